"""What each stage leaves behind when it has ended: its key, its outputs, how long it took; written last, in one step."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Self

from crmkit._atomic import replacing, sync
from crmkit.pipeline.artefacts import Artefact, digest_of

__all__ = ["Cost", "Key", "Record", "measured", "records_of"]


@dataclass(frozen=True)
class Key:
    """What a stage's outputs depend on, each part by digest.

    Attributes
    ----------
    code : str
    settings, inputs : mapping of str to str
    lineage : str
        Code and settings of this stage and of all that its inputs come from; what was delivered does not count.
    """

    code: str
    settings: Mapping[str, str]
    inputs: Mapping[str, str]
    lineage: str = ""

    @property
    def digest(self) -> str:
        """Of all that counts for the outputs: the lineage is in the content of the inputs already."""
        return digest_of([self.code, self.settings, self.inputs])

    def made_like(self, other: Key, ages: tuple[str, ...]) -> bool:
        """Whether another key differs at most in what was delivered, as far as it comes in by ``ages``."""
        mine, others = ({name: one for name, one in key.inputs.items() if name not in ages} for key in (self, other))
        return self.lineage == other.lineage and mine == others

    def differences(self, other: Key) -> list[str]:
        """In words, what is not the same."""
        changed = [f"[{name}] changed" for name, one in self.settings.items() if other.settings.get(name) != one]
        changed += [f"{name} changed" for name, one in self.inputs.items() if other.inputs.get(name) != one]
        changed += [f"{name} is gone" for name in other.inputs if name not in self.inputs]
        if not changed and self.lineage != other.lineage:
            changed = ["the origin of its inputs changed"]
        return changed + (["the code changed"] if self.code != other.code else [])


@dataclass
class Cost:
    """Wall and processor seconds, and the most memory in MB."""

    seconds: float = 0.0
    processor: float = 0.0
    peak_mb: int = 0


@dataclass(frozen=True)
class Record:
    """One stage of one run.

    Attributes
    ----------
    stage : str
    key : Key
    day : date
        The run date of the night that made it.
    outputs : mapping
        Name → what was made; names that are missing were absent.
    notes : list of str
    cost : Cost
    failed : str
        The error of a stage that may fail.
    """

    stage: str
    key: Key
    day: date
    outputs: Mapping[str, Artefact] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    cost: Cost = field(default_factory=Cost)
    failed: str = ""

    def save(self, folder: Path) -> None:
        """Write it, after everything it names is on the disk."""
        for artefact in self.outputs.values():
            for name in artefact.files:
                sync(folder / name)
        with replacing(folder / f".{self.stage}.json") as part:
            part.write_text(json.dumps(asdict(self), indent=1, default=str) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, file: Path) -> Self | None:
        """A record; None where it is missing or damaged: the stage then has not ended."""
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            outputs = {name: Artefact(**one) for name, one in content.pop("outputs").items()}
            key, day, cost = (
                Key(**content.pop("key")),
                date.fromisoformat(content.pop("day")),
                Cost(**content.pop("cost")),
            )
            return cls(key=key, day=day, outputs=outputs, cost=cost, **content)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def is_whole(self, folder: Path) -> bool:
        """Whether all its outputs are in a folder as they were written."""
        return all(artefact.is_whole(folder) for artefact in self.outputs.values())


def records_of(folder: Path) -> dict[str, Record]:
    """Records of a run's folder, by stage."""
    found = [Record.read(file) for file in sorted(folder.glob(".*.json"))]
    return {record.stage: record for record in found if record is not None}


@contextmanager
def measured() -> Iterator[Cost]:
    """Time and memory of what is done inside; filled in at the end, also where it fails."""
    cost, wall, spent = Cost(), time.perf_counter(), _processor()
    _forget_peak()
    try:
        yield cost
    finally:
        cost.seconds = round(time.perf_counter() - wall, 3)
        cost.processor = round(_processor() - spent, 3)
        cost.peak_mb = _peak_mb()


def _processor() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _forget_peak() -> None:
    """Reset Linux's peak of memory; elsewhere it is that of the process so far."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def _peak_mb() -> int:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) // 1024
    except (OSError, StopIteration):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most // (1024 * 1024 if sys.platform == "darwin" else 1024)
