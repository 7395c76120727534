"""Publishing: a complete run or nothing, and ``CURRENT`` in one step."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from crmkit._atomic import sync, to_disk
from crmkit._hashes import file_hash
from crmkit.exceptions import ExtractError, PublishError
from crmkit.pipeline.history import manifest_of
from crmkit.pipeline.records import records_of

__all__ = ["check_current", "finish", "is_whole", "newest_day", "next_name", "point_current", "sweep"]


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


def finish(part: Path, manifest: dict[str, Any]) -> Path:
    """Write the manifest last, restrict permissions, bring everything to the disk, and give the folder its name."""
    files = (file for file in sorted(part.rglob("*")) if file.is_file() and not file.name.startswith((".", "run.json")))
    manifest["outputs"] = {str(file.relative_to(part)): file_hash(file) for file in files}
    text = json.dumps(manifest, indent=1, allow_nan=False, default=str)
    (part / "run.json").write_text(text + "\n", encoding="utf-8")
    to_disk(part)
    manifest_of(part)
    whole = part.with_suffix("")
    part.rename(whole)
    sync(part.parent)
    return whole


def check_current(out: Path) -> None:
    """Raise `PublishError` where something else has the place of the link ``CURRENT``."""
    current = out / "CURRENT"
    if current.exists() and not current.is_symlink():
        raise PublishError(
            f"{current} is not the link to the newest run, so no run could be published. Move it away, or choose another "
            "folder with --out."
        )


def point_current(out: Path, name: str) -> Path:
    """Point ``CURRENT`` at a complete run, unless it is one of a later day; a relative link, replaced in one step.

    Returns
    -------
    Path
        ``out/CURRENT``, or the run's own folder where ``CURRENT`` stays.
    """
    if newest_day(out) > manifest_of(out / "runs" / name)["as_of"]:
        return out / "runs" / name
    link = out / ".CURRENT.part"
    link.unlink(missing_ok=True)
    link.symlink_to(Path("runs") / name)
    os.replace(link, out / "CURRENT")
    sync(out)
    return out / "CURRENT"


def newest_day(out: Path) -> str:
    """The run date of what ``CURRENT`` points at; empty where there is nothing."""
    try:
        return str(manifest_of(out / "CURRENT")["as_of"])
    except ExtractError:
        return ""


def sweep(out: Path, *kept: Path) -> None:
    """Remove what runs that did not end have left, and private folders that no run in ``kept`` refers to."""
    for left in (out / "runs").glob("*.part"):
        shutil.rmtree(left, ignore_errors=True)
    wanted = {
        (folder / one.about["folder"]).resolve()
        for folder in kept
        for record in records_of(folder).values()
        for one in record.outputs.values()
        if one.kind == "log"
    }
    for home in (out / "work").glob("*"):
        if not any(folder.is_relative_to(home.resolve()) for folder in wanted):
            shutil.rmtree(home, ignore_errors=True)
