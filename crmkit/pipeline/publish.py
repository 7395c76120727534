"""Publishing: a complete run or nothing, and ``CURRENT`` in one step."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from crmkit._atomic import sync, to_disk
from crmkit._locks import owned
from crmkit.exceptions import (
    ConfigError,
    CrmkitError,
    ExtractError,
    PublishError,
    SourceChangedError,
)
from crmkit.pipeline.config import Config
from crmkit.pipeline.fingerprints import file_hash, font_of, inputs_of, run_digest, sources_of
from crmkit.pipeline.history import Previous, folders_of, manifest_of
from crmkit.pipeline.runner import Progress, Run

__all__ = ["Published", "run"]

_FULL = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


@dataclass(frozen=True)
class Published:
    """Where a run's output is, and whether it was there already.

    Attributes
    ----------
    folder : Path
        ``OUT/CURRENT``; the run's own folder where ``CURRENT`` stays at that of a later day.
    manifest : dict
        The content of ``run.json``; its notes say too that ``CURRENT`` stays.
    repeated : bool
        The same run had been published before; nothing was computed.
    """

    folder: Path
    manifest: dict[str, Any]
    repeated: bool


def run(
    config: Config,
    home: str | Path,
    out: str | Path,
    *,
    as_of: date | None = None,
    force: bool = False,
    progress: Progress = lambda stage: None,
) -> Published:
    """Read, score, plan and publish.

    Parameters
    ----------
    config : Config
    home : path
        Folder that the configuration's paths start from.
    out : path
        Folder to publish under; ``out/CURRENT`` is the complete run of the newest day.
    as_of : date, optional
        The day the numbers stand for; only what happened up to its close is used. Default: the configured ``until``.
    force : bool
        Compute again even if the same run has been published.
    progress : callable
        Called with the name of each stage as it begins.

    Raises
    ------
    CrmkitError
        Nothing has been published; what was there before is untouched.
    """
    day = config.until if as_of is None else as_of
    if day > config.until:
        raise ConfigError(f"--as-of {day} is after until = {config.until}, the last day that is observed.")
    target = Path(out)
    with owned(target, "run"):
        (target / "runs").mkdir(exist_ok=True)
        for left in (target / "runs").glob("*.part"):
            shutil.rmtree(left, ignore_errors=True)
        sources, font = sources_of(config, Path(home)), font_of(config, Path(home))
        inputs = inputs_of(sources, font)
        previous, notes = _before(target, day)
        run_id = f"{day}-{run_digest(config, day, inputs, previous)}"
        done = folders_of(target, run_id)
        if done and not force and is_whole(done[-1]):
            return published(target, done[-1].name, repeated=True)
        name = next_name(run_id, done)
        part = target / "runs" / f"{name}.part"
        publish(Run(config, sources, day, part, progress, previous, font, notes=notes), run_id, inputs)
        fresh = published(target, name, repeated=False)
        for old in done:
            shutil.rmtree(old, ignore_errors=True)
    return fresh


def _before(out: Path, day: date) -> tuple[Previous | None, list[str]]:
    """The run before, which is only history: where it is damaged, a note, and labels start anew."""
    try:
        return Previous.before(out, day), []
    except ExtractError as error:
        again = "To go on from its labels then, point CURRENT at its run, and run again."
        return None, [f"Segments and tiers start anew: {error} {again}"]


def is_whole(folder: Path) -> bool:
    """Whether a published run still has every file as it was written."""
    try:
        outputs = manifest_of(folder).get("outputs", {})
    except ExtractError:
        return False
    files = {folder / name: digest for name, digest in outputs.items()}
    return bool(files) and all(file.is_file() and file_hash(file) == digest for file, digest in files.items())


def next_name(run_id: str, done: list[Path]) -> str:
    """The id itself, or with the number after that of the last repetition.

    >>> next_name("r", []), next_name("r", [Path("r")]), next_name("r", [Path("r-2")])
    ('r', 'r-2', 'r-3')
    """
    if not done:
        return run_id
    number = done[-1].name.removeprefix(run_id).removeprefix("-")
    return f"{run_id}-{int(number or 1) + 1}"


def publish(job: Run, run_id: str, inputs: list[dict[str, str]]) -> None:
    """Do the work in a folder nobody looks into, and give it its name when it is complete."""
    job.folder.mkdir(mode=0o700)
    try:
        with _full_disk_said(job.folder.parent):
            manifest = job.publishable()
        if inputs_of(job.sources, job.font) != inputs:
            raise SourceChangedError("A file changed while it was read. Run again when the delivery is complete.")
        _finish(job.folder, manifest | {"run": run_id, "inputs": inputs})
        job.folder.rename(job.folder.with_suffix(""))
        sync(job.folder.parent)
    except BaseException:
        shutil.rmtree(job.folder, ignore_errors=True)
        raise


@contextmanager
def _full_disk_said(folder: Path) -> Iterator[None]:
    """The engine's own error of a disk that takes no more, as one of an output."""
    try:
        yield
    except Exception as error:
        if isinstance(error, CrmkitError) or not any(told in str(error) for told in _FULL):
            raise
        raise PublishError(
            f"The disk takes no more, that of {folder} or of temporary files. What was published before is untouched. "
            "Make room, and run again."
        ) from error


def published(out: Path, name: str, repeated: bool) -> Published:
    """Point ``CURRENT`` at a complete run, unless it is one of a later day; a relative link, replaced in one step."""
    manifest, newest = manifest_of(out / "runs" / name), _day_of_current(out)
    if newest > manifest["as_of"]:
        stays = f"{out / 'CURRENT'} stays at the run of {newest}, a later day; this one is {out / 'runs' / name}."
        return Published(out / "runs" / name, manifest | {"notes": [*manifest["notes"], stays]}, repeated)
    link = out / ".CURRENT.part"
    link.unlink(missing_ok=True)
    link.symlink_to(Path("runs") / name)
    os.replace(link, out / "CURRENT")
    sync(out)
    return Published(out / "CURRENT", manifest, repeated)


def _day_of_current(out: Path) -> str:
    try:
        return str(manifest_of(out / "CURRENT")["as_of"])
    except ExtractError:
        return ""


# -- Publishing ------------------------------------------------------------------------------------------------------


def _finish(part: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest last, close the files to strangers, and bring everything to the disk."""
    manifest["outputs"] = {
        str(file.relative_to(part)): file_hash(file) for file in sorted(part.rglob("*")) if file.is_file()
    }
    text = json.dumps(manifest, indent=1, allow_nan=False, default=str)
    (part / "run.json").write_text(text + "\n", encoding="utf-8")
    to_disk(part)
