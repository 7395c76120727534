"""Files as they are delivered: which they are, their bytes without the container, their text without the encoding."""

from __future__ import annotations

import codecs
import glob
import gzip
import io
import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Literal

import numpy as np

from crmkit.exceptions import ConfigError, ExtractError, NoInputError
from crmkit.ingest.encodings import likely_first

__all__ = [
    "Kind",
    "chunks",
    "codec",
    "decoded",
    "first_lines",
    "is_gzip",
    "kind_of",
    "likely_encoding",
    "matching",
]

Kind = Literal["csv", "json", "excel", "parquet", "table"]

_CHUNK = 1 << 20
_START = 1 << 16
_LARGE, _MOST = 100 * 2**20, 200
_BROKEN = (EOFError, zlib.error, OSError, zipfile.BadZipFile, NotImplementedError)
_ALIASES = {
    "euckr": "cp949",
    "uhc": "cp949",
    "ksc56011987": "cp949",
    "gbk": "gb18030",
    "gb2312": "gb18030",
    "cp936": "gb18030",
    "shiftjis": "cp932",
    "sjis": "cp932",
    "ansi": "cp1252",
}
_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF32_LE: "utf-32-le", codecs.BOM_UTF32_BE: "utf-32-be"}
_MARKS |= {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}  # UTF-32 begins like them: it goes first
_UNMARKED = {rb"([^\x00]\x00{3}){2}": "utf-32-le", rb"(\x00{3}[^\x00]){2}": "utf-32-be"}
_UNMARKED |= {rb"([^\x00]\x00){2}": "utf-16-le", rb"(\x00[^\x00]){2}": "utf-16-be"}
_NOT_OF_FILES = ("punycode", "idna", "undefined", "unicode-escape", "raw-unicode-escape")
_LEFT_BY_SYSTEMS = ("thumbs.db", "ehthumbs.db", "desktop.ini", ".ds_store")
_FOREIGN = {
    rb"%PDF": "a PDF document",
    rb"SQLite format 3": "an SQLite database; name it with sqlite:///",
    rb"\x28\xb5\x2f\xfd": "compressed with zstandard",
    rb"PK\x03\x04|\xd0\xcf\x11\xe0|\x1f\x8b": "an archive inside another",
    rb"PAR1": "Parquet inside an archive",
    rb"\s*<": "HTML or XML",
    rb"\s*\[\s*(\{|$)": "a JSON array, not one object per line",
}


# -- Which files -----------------------------------------------------------------------------------------------------


def matching(pattern: str) -> list[tuple[Path, dict[str, str]]]:
    """Regular files that a path, a folder or a glob names, with the values their ``key=value`` folders state.

    Raises
    ------
    NoInputError
        There is none.
    ExtractError
        A name is no regular file, or a link leads out of the folder.
    """
    path = Path(pattern)
    if path.is_dir():
        root, found = path, [item for item in sorted(path.rglob("*")) if not item.is_dir() and _is_data(item, path)]
    elif os.path.lexists(path):
        root, found = path.parent, [path]
    else:
        root, found = _fixed(path), sorted(map(Path, glob.glob(pattern, recursive=True)))
        found = [item for item in found if not item.is_dir() and not _is_left_over(item.name)]
    if not found:
        raise NoInputError(f"No file matches {pattern!r} (looked from {Path.cwd().name}/). Check the path or the glob.")
    return [(_regular(item, root), _partition(item, root)) for item in found]


def _is_data(item: Path, root: Path) -> bool:
    is_hidden = any(step.startswith((".", "_")) for step in item.relative_to(root).parts)
    return not is_hidden and not _is_left_over(item.name)


def _is_left_over(name: str) -> bool:
    """Whether a file is one that a system or an office program leaves in folders, by its name."""
    return name.startswith("~$") or name.casefold() in _LEFT_BY_SYSTEMS


def _fixed(pattern: Path) -> Path:
    """The part of a glob before its first wild card."""
    steps = pattern.parts
    n_fixed = next((n for n, step in enumerate(steps) if glob.has_magic(step)), len(steps) - 1)
    return Path(*steps[:n_fixed])


def _regular(item: Path, root: Path) -> Path:
    if not item.exists():
        raise NoInputError(f"{item.name} is a link to nothing.")
    if not item.is_file():
        raise ExtractError(
            f"{item.name} is not a regular file (a pipe or a device, say). Copy what it gives to a file."
        )
    if not item.resolve().is_relative_to(root.resolve()):
        raise ExtractError(f"{item.name} is a link that leads out of {root.name or root}/. Name the file itself.")
    return item


def _partition(item: Path, root: Path) -> dict[str, str]:
    from urllib.parse import unquote

    steps = item.relative_to(root).parent.parts
    return {unquote(key): unquote(value) for key, sign, value in (step.partition("=") for step in steps) if sign}


# -- What is in them -------------------------------------------------------------------------------------------------


def kind_of(path: Path) -> Kind:
    """What a file is, by its content; its name says nothing.

    Raises
    ------
    ExtractError
        It is something that is not read.
    """
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith(b"\xd0\xcf\x11\xe0") or (start.startswith(b"PK\x03\x04") and _is_workbook(path)):
        return "excel"
    return "csv"


def _is_workbook(path: Path) -> bool:
    with _readable(path), zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
    return bool(names & {"[Content_Types].xml", "content.xml"})


def is_gzip(path: Path) -> bool:
    """Whether the content is gzip, whatever the name says."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def archive_members(path: Path) -> list[str]:
    """Names of the files in a zip archive; of anything else, none."""
    with path.open("rb") as file:
        if file.read(4) not in (b"PK\x03\x04", b"PK\x05\x06"):
            return []
    with _readable(path), zipfile.ZipFile(path) as archive:
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
    names = [name for name in names if not name.startswith("__MACOSX/") and not _is_left_over(Path(name).name)]
    if not names:
        raise ExtractError(f"{path.name} is a zip archive without any file in it: the delivery failed.")
    return names


def check_unpacked(path: Path) -> None:
    """Raise when a workbook unpacks to far more than it is."""
    if zipfile.is_zipfile(path):
        for name in archive_members(path):
            for _ in chunks(path, name):
                pass


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise ExtractError(f"{path.name} is a broken archive: {error}") from None


def chunks(path: Path, member: str | None = None) -> Iterator[bytes]:
    """The content of a file in pieces, unpacked.

    Raises
    ------
    ExtractError
        It ends early, or unpacks to more than 100 MB and 200 times its size.
    """
    done = 0
    try:
        with _opened(path, member) as (file, packed):
            while chunk := file.read(_CHUNK if done else _START):
                done += len(chunk)
                if done > _LARGE and done > _MOST * packed:
                    break
                yield chunk
            else:
                return
    except RuntimeError:
        raise ExtractError(f"{path.name} is protected by a password. Deliver it without one.") from None
    except _BROKEN as error:
        n_sound = _n_sound(path, member)
        raise ExtractError(f"{path.name} ended early, after byte {n_sound:,} of its content: {error}") from None
    raise ExtractError(
        f"{path.name} unpacks to more than {_MOST} times its size (over {_LARGE // 2**20} MB): a fault or an attack. "
        "Deliver it unpacked if it is meant."
    )


def _n_sound(path: Path, member: str | None) -> int:
    """How many bytes of a broken archive's content can be had, each as soon as it is unpacked."""
    done = 0
    with suppress(*_BROKEN), _opened(path, member) as (file, _):
        source = getattr(file, "raw", file)
        read = getattr(source, "read1", source.read)
        while piece := read(_START):
            done += len(piece)
    return done


@contextmanager
def _opened(path: Path, member: str | None) -> Iterator[tuple[IO[bytes], int]]:
    if member is not None:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            yield file, archive.getinfo(member).compress_size
    elif is_gzip(path):
        with gzip.open(path, "rb") as file:
            yield io.BufferedReader(file), path.stat().st_size
    else:
        with path.open("rb") as file:
            yield file, path.stat().st_size


# -- Text ------------------------------------------------------------------------------------------------------------


def codec(name: str) -> str:
    """Python's name of an encoding; the narrow names of Korean, Chinese and Japanese mean what Windows writes.

    >>> codec("EUC-KR"), codec("gb2312"), codec("Shift_JIS"), codec("UTF8")
    ('cp949', 'gb18030', 'cp932', 'utf-8')
    """
    plain = re.sub(r"[^a-z0-9]", "", name.casefold())
    try:
        known = codecs.lookup(_ALIASES.get(plain, name)).name
        if known in _NOT_OF_FILES:
            raise LookupError
        "".encode(known)
    except LookupError:
        raise ConfigError(
            f"There is no encoding {name!r}. Use utf-8, utf-16, cp949, gb18030, cp932, cp1252 or another of Python's."
        ) from None
    return {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(known, known)


def encoding_of(path: Path, member: str | None, stated: str | None) -> str:
    """How the text of a file is encoded: its mark decides, then what is stated; otherwise it has to be UTF-8."""
    start = next(chunks(path, member), b"")
    for mark, name in _MARKS.items():
        if start.startswith(mark):
            return name
    foreign = [kind for pattern, kind in _FOREIGN.items() if re.match(pattern, start)]
    if foreign:
        raise ExtractError(f"{path.name} is {foreign[0]}. That is not read: deliver CSV in UTF-8, or Parquet.")
    if stated is not None:
        return _of_two_ends(start, stated)
    unmarked = next((name for pattern, name in _UNMARKED.items() if re.match(pattern, start)), None)
    if unmarked:
        raise ExtractError(
            f"{path.name} is {unmarked[:6].upper()} text without its mark; state encoding={unmarked!r}, or re-export it as UTF-8."
        )
    return "utf-8"


def _of_two_ends(start: bytes, stated: str) -> str:
    """Python's name of a stated encoding; UTF-16 or 32 that is not said to be either kind is the one that its zeros tell."""
    name = codec(stated)
    is_open = name in ("utf-16-le", "utf-32-le") and "le" not in stated.casefold()
    width = int(name[4:6]) // 8 if is_open else 1
    return name.replace("le", "be") if start[::width].count(0) > start[width - 1 :: width].count(0) else name


def decoded(path: Path, member: str | None, encoding: str, stated: str | None) -> Iterator[tuple[bytes, str]]:
    """The content of a text file in pieces, as bytes and as text without the mark at its start.

    Raises
    ------
    ExtractError
        A byte cannot be decoded; says which, on which line, and which encoding is likely when none was stated.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    done, line, chunk = 0, 1, b""
    at_start, is_narrow = True, "\n".encode(encoding) == b"\n"
    held = header = b""
    try:
        for chunk in chunks(path, member):
            header = header or chunk.partition(b"\n")[0]
            held = decoder.getstate()[0]
            text = decoder.decode(chunk)
            if at_start and text:
                text = text.lstrip("\ufeff")
                at_start = not text
            yield chunk, text
            feeds = np.count_nonzero(np.frombuffer(chunk, dtype=np.uint8) == 0x0A) if is_narrow else text.count("\n")
            done, line = done + len(chunk), line + int(feeds)
        held, chunk = decoder.getstate()[0], b""
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        whole = held + chunk
        line += whole[: error.start].decode(encoding, "ignore").count("\n")
        raise _undecodable(
            path.name, done - len(held) + error.start, line, stated, whole, error.start, header
        ) from None


def _undecodable(
    name: str, byte: int, line: int, stated: str | None, near: bytes, place: int, header: bytes
) -> ExtractError:
    where = f"byte {byte:,}, on line {line:,}"
    if stated is not None:
        return ExtractError(
            f"{name} is not {stated} text ({where}, cannot be decoded). State its true encoding, or mend the file; "
            "nothing was loaded from it."
        )
    guess = likely_first(near[max(0, place - _START) : place + _START], header)[:1]
    likely = (
        f"It looks like {guess[0]}: state encoding={guess[0]!r} if it is so"
        if guess
        else "State its encoding: encoding=…"
    )
    return ExtractError(
        f"{name} is not UTF-8 text ({where}). {likely}, or re-export it as UTF-8; nothing was loaded from it."
    )


def likely_encoding(path: Path) -> str | None:
    """The likely encoding of a text file that is not UTF-8 and does not say, one that decodes all of it; of every other, none."""
    if kind_of(path) != "csv" or len(archive_members(path)) > 1:
        return None
    member = next(iter(archive_members(path)), None)
    if encoding_of(path, member, "utf-8") != "utf-8":
        return None
    decoder, header = codecs.getincrementaldecoder("utf-8")(), b""
    for chunk in chunks(path, member):
        header = header or chunk.partition(b"\n")[0]
        try:
            decoder.decode(chunk)
        except UnicodeDecodeError as error:
            near = likely_first(error.object[max(0, error.start - _START) : error.start + _START], header)
            return next((name for name in near if _decodes(path, member, name)), None)
    return None


def _decodes(path: Path, member: str | None, encoding: str) -> bool:
    with suppress(ExtractError):
        for _ in decoded(path, member, encoding, encoding):
            pass
        return True
    return False


def first_lines(path: Path, member: str | None, encoding: str, stated: str | None, n: int) -> list[str]:
    """The first ``n`` lines of a text file, or as many as its first megabyte has."""
    text, lines = "", [""]
    for _, piece in decoded(path, member, encoding, stated):
        text += piece
        lines = re.split("\r\n|\r|\n", text)
        if len(lines) > n or len(text) > _CHUNK:
            break
    return lines[:n]
