"""What a run hands back: its folder, its manifest, its notes and tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crmkit.displays import InNotebook

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RunResult"]


@dataclass(frozen=True)
class RunResult(InNotebook):
    """A published run.

    Attributes
    ----------
    folder : Path
        ``OUT/CURRENT``; the run's own folder where ``CURRENT`` stays at that of a later day.
    manifest : dict
        The content of ``run.json``.
    repeated : bool
        The same run had been published before; nothing was computed.
    """

    folder: Path
    manifest: dict[str, Any] = field(repr=False)
    repeated: bool = False

    @property
    def notes(self) -> list[str]:
        """What the run has to say."""
        return list(self.manifest["notes"])

    def _notebook_words(self) -> str:
        kept = "published before" if self.repeated else "published"
        return "\n".join([f"Run of {self.manifest['as_of']}, {kept} in {self.folder}.", *self.notes])

    def _notebook_table(self) -> pd.DataFrame:
        import pandas as pd

        return pd.Series(self.manifest["rows"], name="rows").rename_axis("table").reset_index()

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The run's tables by name; each is read when it is asked for."""
        return _Tables(self.folder)


class _Tables(Mapping[str, "pd.DataFrame"]):
    """Parquet files of a folder, by name."""

    def __init__(self, folder: Path) -> None:
        self._files = {file.stem: file for file in sorted(folder.glob("*.parquet"))}

    def __getitem__(self, name: str) -> pd.DataFrame:
        import pandas as pd

        return pd.read_parquet(self._files[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)
