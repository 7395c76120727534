"""What stages make, as files: saved by kind, digested by content, and given back as the same kind."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from crmkit._atomic import replacing
from crmkit._documents import decoded, encoded
from crmkit._hashes import file_hash
from crmkit.exceptions import ExtractError

if TYPE_CHECKING:
    import pandas as pd

    from crmkit.engine.frames import SparkFrame
    from crmkit.transactions.log import Transactions

__all__ = ["Artefact", "document", "link", "load", "load_here", "save"]


@dataclass(frozen=True)
class Artefact:
    """A value that a stage made, where it lies, and what it is by content.

    Attributes
    ----------
    kind : str
        table (pandas or a Parquet file, kept as one), dataset (Spark, a folder of Parquet files), log (sales, in a folder outside the
        published run), model or document (JSON), or files.
    files : mapping of str to str
        Path from the run's folder → sha256.
    digest : str
        Equal for equal content: later stages are redone only when it changes.
    rows : int, optional
    about : mapping
        What else is needed to read it.
    """

    kind: str
    files: Mapping[str, str]
    digest: str
    rows: int | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    def is_whole(self, folder: Path) -> bool:
        """Whether every file is there as it was written."""
        if self.kind == "log":
            sizes = self.about["sizes"].items()
            return all((folder / name).is_file() and (folder / name).stat().st_size == size for name, size in sizes)
        return all(
            (folder / name).is_file() and file_hash(folder / name) == digest for name, digest in self.files.items()
        )


class Saved(Protocol):
    """A fitted model."""

    def save(self, path: Path, /) -> Path: ...


def save(name: str, value: object, folder: Path, key: str) -> Artefact:
    """Write a value into a run's folder; ``key`` stands for the content of what is too large to be digested."""
    kind = _kind_of(value)
    return _SAVERS[kind](name, value, folder, key)


def load(artefact: Artefact, folder: Path) -> object:
    """The value again, of the kind that was saved.

    Raises
    ------
    ExtractError
        A file cannot be read.
    """
    try:
        return _LOADERS[artefact.kind](artefact, folder)
    except (OSError, ValueError, KeyError) as error:
        raise ExtractError(
            f"{next(iter(artefact.files), artefact.kind)} of the run {folder} cannot be read ({error})."
        ) from error


def load_here(artefact: Artefact, folder: Path, home: Path, as_file: bool) -> object:
    """What Spark has made, for a stage of this machine: a log read here, a dataset as one file or as a pandas table.

    The files of a dataset are put in order and together in ``home``, a piece at a time and through the disk; no job of Spark
    runs for it.
    """
    if artefact.kind == "log":
        return replace(_load_log(artefact, folder), on_spark=False)
    import pandas as pd

    from crmkit.engine.duckdb import DuckDBEngine

    path = home / f"{artefact.digest[:16]}.parquet"
    if not path.exists():
        home.mkdir(parents=True, mode=0o700, exist_ok=True)
        with DuckDBEngine() as engine, replacing(path) as part:
            engine.save(f"select * from {engine.parquet(folder / str(artefact.about['folder']))} order by all", part)
    return path if as_file else pd.read_parquet(path)


def link(artefact: Artefact, source: Path, target: Path) -> None:
    """Carry an artefact over to another run's folder; on one disk its files are not copied."""
    if source == target:
        return
    for name in artefact.files:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).unlink(missing_ok=True)
        try:
            os.link(source / name, target / name)
        except OSError:
            shutil.copy2(source / name, target / name)


def digest_of(value: object) -> str:
    """Digest of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


# -- Kinds -----------------------------------------------------------------------------------------------------------


def _kind_of(value: object) -> str:
    from crmkit.engine.frames import kind_of_table

    if kind := kind_of_table(value):
        return kind
    if type(value).__name__ == "Transactions":
        return "log"
    if isinstance(value, Path):
        return "table" if value.suffix == ".parquet" else "files"
    return "model" if hasattr(value, "save") and hasattr(value, "fit") else "document"


def _found(folder: Path, *names: str) -> dict[str, str]:
    return {name: file_hash(folder / name) for name in names}


def _save_table(name: str, value: pd.DataFrame | Path, folder: Path, key: str) -> Artefact:
    """A pandas table, or a file that holds one already."""
    file = f"{name}.parquet"
    if isinstance(value, Path):
        value.replace(folder / file)
    else:
        value.to_parquet(folder / file, index=False)
    files = _found(folder, file)
    return Artefact("table", files, files[file], _n_rows(folder / file))


def _load_table(artefact: Artefact, folder: Path) -> pd.DataFrame:
    import pandas as pd

    return pd.read_parquet(folder / next(iter(artefact.files)))


def _save_dataset(name: str, value: SparkFrame, folder: Path, key: str) -> Artefact:
    import pyarrow.parquet as pq

    from crmkit.engine.spark import write_parquet

    path = folder / f"{name}.parquet"
    write_parquet(value, path)
    files = _found(folder, *(str(file.relative_to(folder)) for file in _files_in(path)))
    rows = sum(pq.read_metadata(folder / file).num_rows for file in files if file.endswith(".parquet"))
    return Artefact("dataset", files, digest_of([name, key]), rows, {"folder": path.name})


def _load_dataset(artefact: Artefact, folder: Path) -> SparkFrame:
    from crmkit.engine.spark import read_parquet

    return read_parquet(folder / str(artefact.about["folder"]))


_IN_STORE = ("line_files", "trip_files")


def _save_log(name: str, value: Transactions, folder: Path, key: str) -> Artefact:
    """A log stays where it is: its own folder, and the files of a store, which never change once they are written.

    Paths start from the run's folder, so that what was published and what it goes back to can be moved together.
    """
    own = [file for file in _files_in(value.folder) if file.suffix == ".parquet"]
    stored = {name: [_way_to(file, folder) for file in getattr(value, name, ())] for name in _IN_STORE}
    sizes = {_way_to(file, folder): file.stat().st_size for file in own}
    sizes |= {name: (folder / name).stat().st_size for one in stored.values() for name in one}
    names = tuple(str(file.relative_to(value.folder)) for file in own)
    content = sizes if value.on_spark else [stored, _content_of(value.folder, names)]
    about = {
        "folder": _way_to(value.folder, folder),
        "until": str(value.until),
        "items": list(value.items),
        "on_spark": value.on_spark,
        "sizes": sizes,
        **stored,
    }
    return Artefact("log", {}, digest_of([about["until"], about["items"], content]), None, about)


def _way_to(path: Path, folder: Path) -> str:
    """The path from a run's folder."""
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()


@cache
def _content_of(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Hashes of a log's own files, which never change once a stage has made them; read once a run."""
    return _found(folder, *names)


def _load_log(artefact: Artefact, folder: Path) -> Transactions:
    from crmkit.transactions.log import Transactions

    about = artefact.about
    stored: dict[str, Any] = {name: tuple(_at(folder, one) for one in about[name]) for name in _IN_STORE if about[name]}
    return Transactions(
        _at(folder, about["folder"]),
        date.fromisoformat(about["until"]),
        tuple(about["items"]),
        about["on_spark"],
        **stored,
    )


def _at(folder: Path, way: str) -> Path:
    return (folder / way).resolve()


def _save_model(name: str, value: Saved, folder: Path, key: str) -> Artefact:
    file = f"models/{name}.json"
    (folder / "models").mkdir(exist_ok=True)
    value.save(folder / file)
    files = _found(folder, file)
    return Artefact("model", files, files[file], None, {"class": type(value).__name__})


def _load_model(artefact: Artefact, folder: Path) -> object:
    from crmkit.churn.model import load_churn_model
    from crmkit.models import load_model
    from crmkit.repurchase.next_purchase import load_next_purchase

    readers = {"ChurnModel": load_churn_model, "NextPurchase": load_next_purchase}
    return readers.get(artefact.about["class"], load_model)(folder / next(iter(artefact.files)))


def _save_document(name: str, value: object, folder: Path, key: str) -> Artefact:
    file = f"details/{name}.json"
    (folder / "details").mkdir(exist_ok=True)
    (folder / file).write_text(json.dumps(encoded(value), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    files = _found(folder, file)
    blocks = type(value).__name__ == "Block" or (
        isinstance(value, list) and {type(one).__name__ for one in value} == {"Block"}
    )
    return Artefact("document", files, files[file], None, {"plain": isinstance(value, Mapping), "blocks": blocks})


def _load_document(artefact: Artefact, folder: Path) -> object:
    return document(folder / next(iter(artefact.files)))


def document(file: Path) -> object:
    """What a document holds."""
    return decoded(json.loads(file.read_text(encoding="utf-8")))


def _save_files(name: str, value: Path, folder: Path, key: str) -> Artefact:
    target = folder / value.name
    if target.is_dir():
        shutil.rmtree(target)
    value.replace(target)
    names = [str(file.relative_to(folder)) for file in _files_in(target)]
    files = _found(folder, *names)
    return Artefact("files", files, digest_of(files), _n_rows(target), {"path": value.name})


def _n_rows(path: Path) -> int | None:
    """Rows of one Parquet file; unknown of other files."""
    if path.suffix != ".parquet" or not path.is_file():
        return None
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


def _load_files(artefact: Artefact, folder: Path) -> Path:
    return folder / str(artefact.about["path"])


def _files_in(path: Path) -> Iterator[Path]:
    yield from sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


_SAVERS: dict[str, Callable[[str, Any, Path, str], Artefact]] = {
    "table": _save_table,
    "dataset": _save_dataset,
    "log": _save_log,
    "model": _save_model,
    "document": _save_document,
    "files": _save_files,
}
_LOADERS: dict[str, Callable[[Artefact, Path], object]] = {
    "table": _load_table,
    "dataset": _load_dataset,
    "log": _load_log,
    "model": _load_model,
    "document": _load_document,
    "files": _load_files,
}
