"""Earlier runs: what they published is the reference for hysteresis, and is scored when its horizon is over."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crmkit._hashes import file_hash
from crmkit.exceptions import ExtractError

if TYPE_CHECKING:
    import pandas as pd

    from crmkit.pipeline.settings import Value
    from crmkit.segments.migration import Migration
    from crmkit.segments.tiers import ValueTiers

__all__ = ["Previous", "Published", "chain", "folders_of", "manifest_of"]

_SCORES = ["r_score", "f_score", "m_score", "segment"]
_KEPT = ["customer_id", *_SCORES, "tier", "tier_since", "value"]
_VALUED = ("horizon", "annual_discount", "margin", "tiers")


@dataclass(frozen=True)
class Published:
    """A run's folder and the content of its ``run.json``."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def run(self) -> str:
        return str(self.manifest["run"])

    @property
    def day(self) -> date:
        return date.fromisoformat(self.manifest["as_of"])

    def file(self, name: str) -> Path:
        return self.folder / f"{name}.parquet"

    def has(self, *names: str) -> bool:
        """Whether it published all these tables."""
        return all(self.file(name).exists() for name in names)

    def outputs(self, name: str) -> dict[str, str]:
        """Files of a table and their hashes as they were published: one file, or those of a folder."""
        file = f"{name}.parquet"
        outputs = self.manifest.get("outputs", {})
        return {one: digest for one, digest in outputs.items() if one == file or one.startswith(f"{file}/")}

    def digest(self, *names: str) -> str:
        """Of the tables as they were published."""
        return json.dumps([self.run, *(list(self.outputs(name).values()) for name in names)])

    def check(self, name: str) -> None:
        """Raise `ExtractError` unless a table is as it was published."""
        for file, digest in self.outputs(name).items():
            if not ((self.folder / file).is_file() and file_hash(self.folder / file) == digest):
                raise _damaged(self.folder / file, "it is gone or changed")

    def table(self, name: str, columns: list[str] | None = None, on_spark: bool = False) -> Any:
        """A table that the run wrote, as pandas or as a Spark DataFrame.

        Raises
        ------
        ExtractError
            It is not there, or is damaged.
        """
        from crmkit.engine.tables import stored

        try:
            return stored(self.file(name), columns, on_spark)
        except (OSError, ValueError, KeyError) as error:
            raise _damaged(self.file(name), error) from error


def chain(out: Path, day: date) -> Iterator[Published]:
    """Runs of earlier days, the newest first: that which ``out/CURRENT`` is, and those that it goes back to.

    Raises
    ------
    ExtractError
        A run on the way is not there, or cannot be read.
    """
    folder: Path | None = out / "CURRENT"
    if not (out / "CURRENT").is_symlink() and not _has_runs(out):
        return
    while folder is not None:
        found = Published(folder, manifest_of(folder))
        if found.day < day:
            yield Published(folder.resolve(), found.manifest)
        previous = found.manifest.get("previous")
        folder = [out / "runs" / previous, *folders_of(out, previous)][-1] if previous else None


@dataclass(frozen=True)
class Previous:
    """What a published run said of its customers: the reference that holds segments and tiers.

    Attributes
    ----------
    day : date
    value : mapping
        The settings of [value] under which its tiers were made.
    customers : pandas or Spark DataFrame
        customer_id, r_score, f_score, m_score, segment, tier, tier_since, value.
    """

    day: date
    value: Mapping[str, Any]
    customers: Any

    @classmethod
    def of(cls, run: Published, on_spark: bool = False) -> Previous:
        """Read it from a published run."""
        return cls(run.day, run.manifest["settings"]["value"], run.table("customers", _KEPT, on_spark))

    def valued_by(self, value: Value) -> bool:
        """Whether its values were made under the same terms."""
        now = value.model_dump(mode="json")
        return all(self.value.get(name) == now[name] for name in _VALUED)

    def moved(self, customers: pd.DataFrame, rule: ValueTiers) -> Migration:
        """Who is in another tier now, and why; ``rule`` made the tiers of ``customers`` from those of this run."""
        from crmkit.segments.labels import fitted_tiers
        from crmkit.segments.migration import migration
        from crmkit.segments.tiers import ValueTiers

        before = self.customers
        earlier = fitted_tiers(ValueTiers(rule.shares, rule.names, rule.hysteresis), before)
        return migration(before, customers, tiers=(earlier, rule))


def folders_of(out: Path, run: str) -> list[Path]:
    """Folders in which a run was published, the newest last: a repetition has a number behind its id."""
    found = (folder for folder in (out / "runs").glob(f"{run}*") if folder.suffix != ".part")
    return sorted(found, key=lambda folder: (len(folder.name), folder.name))


def _has_runs(out: Path) -> bool:
    return any(folder.suffix != ".part" for folder in (out / "runs").glob("*"))


def manifest_of(folder: Path) -> dict[str, Any]:
    """The content of a run's ``run.json``.

    Raises
    ------
    ExtractError
        It is not there, or is damaged.
    """
    file = folder / "run.json"
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(file, error) from error
    if not isinstance(manifest, dict) or not {"run", "as_of"} <= set(manifest):
        raise _damaged(file, "it does not say its run and as_of")
    return manifest


def _damaged(file: Path, error: object) -> ExtractError:
    why = getattr(error, "strerror", None) or error
    return ExtractError(f"{file} of an earlier run cannot be read ({why}). Restore it from a backup.")
