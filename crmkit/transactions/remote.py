"""Storage of another machine: addresses that delta-rs reads (``s3://``, ``az://``, ``gs://`` and others), and the files below them.

What is read of it is copied to this machine once: files of a store never change, and their names hold the SHA-256 of their content.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import pyarrow.fs

from crmkit._checks import require
from crmkit.exceptions import ContractError, CrmkitError, StoreError

__all__ = ["Remote", "is_address", "place_of"]

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_CHUNK = 8 * 2**20
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_LENGTH = 300


def is_address(place: str | os.PathLike[str]) -> bool:
    """Whether it names storage by a scheme; ``file://`` is a folder."""
    return bool(_ADDRESS.match(os.fspath(place))) and urlsplit(os.fspath(place)).scheme.lower() != "file"


def place_of(
    place: str | os.PathLike[str], options: Mapping[str, str], copies: str | os.PathLike[str] | None = None
) -> Remote | Path:
    """A place as what it is: a folder here, or storage elsewhere.

    Raises
    ------
    ContractError
        Nothing can be kept there.
    """
    text = os.fspath(place)
    if not is_address(text):
        if options or copies:
            raise ContractError(f"options and copies are for addresses; {text} is a folder of this machine.")
        told = urlsplit(text)
        return Path(unquote(told.path)) if told.scheme.lower() == "file" else Path(text)
    told = urlsplit(text)
    if told.username or told.password or told.query:
        raise ContractError("The address of a store holds no credentials. State them as options.")
    if told.scheme == "memory":
        raise ContractError(f"{text}: nothing stays in memory from one call to the next. Name a folder or a bucket.")
    if not told.netloc:
        raise ContractError(f"{text}: no bucket or container is named. Write it as in s3://bucket/prefix.")
    return Remote(text.rstrip("/"), dict(options))


class Listed(NamedTuple):
    """A file there: its bytes, and when it was written by the clock there."""

    size: int
    at: float


@dataclass(frozen=True)
class Remote:
    """One prefix of a bucket.

    Parameters
    ----------
    address : str
    options : mapping of str to str
        ``storage_options`` of delta-rs; never shown.
    """

    address: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    def below(self, name: str) -> Remote:
        return replace(self, address=f"{self.address}/{name}")

    @cached_property
    def _files(self) -> pyarrow.fs.FileSystem:
        handler = require("deltalake.fs", "store").DeltaStorageHandler
        with self.told():
            return pyarrow.fs.PyFileSystem(handler(self.address, dict(self.options)))

    @contextmanager
    def told(self) -> Iterator[None]:
        """What storage raises, as an error that shows no secret."""
        try:
            yield
        except CrmkitError:
            raise
        except Exception as error:  # delta-rs raises what its parts raise
            raise StoreError(f"{self.address} cannot be reached: {self.masked(error)}.") from None

    def masked(self, error: Exception) -> str:
        """The text of an error in one line, without the values of options."""
        text = " ".join(_COLOURS.sub("", str(error)).replace("↳", "").split())
        for name, value in self.options.items():
            if len(value) > 3 and not value.startswith("http"):
                text = text.replace(value, f"<{name}>")
        return (text if len(text) <= _LENGTH else text[:_LENGTH] + " …").rstrip(".") or type(error).__name__

    def listed(self, below: str = "") -> dict[str, Listed]:
        """Every file, by its path from here."""
        with self.told():
            wanted = pyarrow.fs.FileSelector(below, recursive=True, allow_not_found=True)
            found = self._files.get_file_info(wanted)
        return {
            one.path: Listed(one.size, one.mtime.timestamp()) for one in found if one.type == pyarrow.fs.FileType.File
        }

    def text(self, path: str) -> str:
        with self.told(), self._files.open_input_stream(path) as stream:
            return bytes(stream.read()).decode()

    def digest(self, path: str) -> str:
        """The SHA-256 of a file as it is there."""
        return self._read(path, lambda chunk: None)

    def fetch(self, path: str, target: Path, sha256: str | None) -> None:
        """Copy a file here, whole or not at all.

        Raises
        ------
        StoreError
            It is not there, or its content is not what it was.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{uuid4().hex}.part")
        try:
            with part.open("wb") as file:
                digest = self._read(path, file.write)
            if sha256 not in (None, digest):
                raise StoreError(f"{self.address}/{path} has been altered.")
            part.chmod(0o640)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def _read(self, path: str, give: Callable[[bytes], object]) -> str:
        found = hashlib.sha256()
        with self.told(), self._files.open_input_stream(path) as stream:
            while chunk := bytes(stream.read(_CHUNK)):
                found.update(chunk)
                give(chunk)
        return found.hexdigest()

    def send(self, source: Path, path: str) -> None:
        """Copy a file there."""
        # delta-rs takes bytes alone, which Arrow hands to it where the stream is buffered
        with (
            self.told(),
            source.open("rb") as file,
            self._files.open_output_stream(path, buffer_size=_CHUNK) as stream,
        ):
            while chunk := file.read(_CHUNK // 2):
                stream.write(chunk)

    def remove(self, path: str) -> None:
        with self.told():
            if self._files.get_file_info(path).type == pyarrow.fs.FileType.File:
                self._files.delete_file(path)

    def without(self, unneeded: Sequence[str], replaced: Collection[str], copies: Path) -> list[str]:
        """Remove files of a table that are not needed, and return them, with copies here of files that are there no more.

        Files that no version ever had stay when they are newer than the last commit: another machine may be about to commit
        them. ``replaced`` are those that a version had.
        """
        there = self.listed()
        last = max(file.at for path, file in there.items() if path.startswith("_delta_log/"))
        gone = [path for path in unneeded if path in replaced or (path in there and there[path].at < last)]
        for path in gone:
            self.remove(path)
        held = [str(path.relative_to(copies)) for path in copies.rglob("*.parquet")]
        return [*gone, *(path for path in held if path not in there)]

    def is_table(self) -> bool:
        """Whether a Delta table is there."""
        with self.told():
            return bool(require("deltalake", "store").DeltaTable.is_deltatable(self.address, dict(self.options)))
