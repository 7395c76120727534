"""Which stages are to run: whether each is kept, redone or skipped, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from crmkit.exceptions import ConfigError
from crmkit.pipeline.artefacts import Artefact, digest_of
from crmkit.pipeline.records import Key, Record, records_of
from crmkit.pipeline.stage import OWN_SETTINGS, Stage

__all__ = ["Decider", "Decision", "Wishes"]

LOOKING_BACK = "backtest-"
"""How the names of stages begin that refit models as of earlier dates."""
UNKNOWN = Artefact("unknown", {}, "unknown")
"""What a stage will make that has not run yet."""


@dataclass(frozen=True)
class Wishes:
    """What the operator asks for beyond what has changed.

    Attributes
    ----------
    start : str
        This stage, and all that depend on it.
    only : tuple of str
        These stages and nothing else: all others stay as they are.
    fresh : bool
        All stages, but for models and backtests that an earlier night made and that are not due.
    backtest : bool
        The stages that look back, however young their outputs.
    """

    start: str = ""
    only: tuple[str, ...] = ()
    fresh: bool = False
    backtest: bool = False

    def check(self, stages: Sequence[Stage]) -> None:
        """Raise `ConfigError` where a stage is named that is not there."""
        names = [step.name for step in stages]
        asked = [*self.only, *([self.start] if self.start else [])]
        if unknown := [name for name in asked if name not in names]:
            raise ConfigError(f"There is no stage {unknown[0]!r}; there are {', '.join(names)}.")


@dataclass(frozen=True)
class Decision:
    """What becomes of a stage (kept, run, skipped; depends, where that hangs on one that runs), and why."""

    stage: Stage
    action: str
    why: str
    record: Record | None = None
    folder: Path | None = None


@dataclass
class Decider:
    """Decides stage by stage.

    Parameters
    ----------
    day : date
    settings : mapping of str to anything
        Fields of the configuration.
    code : callable
        Digest of all code that a stage's function depends on.
    folders : sequence of Path
        Runs whose outputs may be kept, this one first.
    aged : sequence of Path
        Those of earlier days, the newest first: only their outputs are ever taken for their age.
    wishes : Wishes
    """

    day: date
    settings: Mapping[str, Any]
    code: Callable[[Callable[..., Any]], str]
    folders: Sequence[Path]
    aged: Sequence[Path]
    wishes: Wishes
    _redone: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._known = {folder: records_of(folder) for folder in dict.fromkeys([*self.folders, *self.aged])}

    def decide(self, step: Stage, digests: Mapping[str, str], lineages: Mapping[str, str]) -> Decision:
        """What becomes of a stage whose inputs have these digests and lineages; an absent input is missing."""
        if lacking := [name for name in step.inputs if name not in digests]:
            return Decision(step, "skipped", f"there is no {lacking[0]}")
        if unset := [name for name in step.settings if name not in OWN_SETTINGS and self.settings[name] is None]:
            return Decision(step, "skipped", f"there is no [{unset[0]}]")
        key, asked = self.key(step, digests, lineages), self._asked(step)
        if self.wishes.only and not asked:
            return self._kept(step, lambda record: True) or Decision(step, "skipped", "not asked for")
        if not asked and step.max_age and (young := self._young(step, key)):
            return young
        if asked or self.wishes.fresh:
            return Decision(step, "run", "asked for")
        if waits := next((name for name, digest in key.inputs.items() if digest == UNKNOWN.digest), ""):
            return Decision(step, "depends", f"runs if {waits} changes")
        same = self._kept(step, lambda record: record.key.digest == key.digest and not record.failed)
        return same or Decision(step, "run", self._why(step, key))

    def brought_here(self, step: Stage) -> bool:
        """Whether the stage works on this machine though the run's tables are on Spark."""
        return step.here and self.settings["engine"].kind == "spark"

    def key(self, step: Stage, digests: Mapping[str, str], lineages: Mapping[str, str]) -> Key:
        """What the stage's outputs depend on."""
        own = {name: digest_of(_plain(self.settings[name])) for name in step.settings if name not in OWN_SETTINGS}
        code, given = self.code(step.work), {name: digests[name] for name in step.reads if name in digests}
        return Key(
            code, own, given, digest_of([code, own, {name: lineages[name] for name in given if name in lineages}])
        )

    def _asked(self, step: Stage) -> bool:
        """Whether the operator asked for this stage, by its name or as one that follows another."""
        wishes = self.wishes
        follows = bool(wishes.start) and (step.name == wishes.start or not self._redone.isdisjoint(step.reads))
        if follows:
            self._redone |= set(step.outputs)
        return follows or step.name in wishes.only or (wishes.backtest and step.name.startswith(LOOKING_BACK))

    def _young(self, step: Stage, key: Key) -> Decision | None:
        section, _, name = step.max_age.partition(".")
        days = getattr(self.settings[section], name)

        def fits(record: Record) -> bool:
            return (
                not record.failed and key.made_like(record.key, step.ages) and 0 < (self.day - record.day).days < days
            )

        return self._kept(step, fits, self.aged)

    def _kept(self, step: Stage, fits: Callable[[Record], bool], folders: Sequence[Path] = ()) -> Decision | None:
        for folder in folders or self._known:
            record = self._known[folder].get(step.name)
            if record is not None and fits(record) and record.is_whole(folder):
                why = "nothing changed" if record.day == self.day else f"made on {record.day}"
                return Decision(step, "kept", why, record, folder)
        return None

    def _why(self, step: Stage, key: Key) -> str:
        known = [records[step.name] for records in self._known.values() if step.name in records]
        if not known:
            return "it has not run before"
        return ", ".join(key.differences(known[0].key)) or known[0].failed or "its files are gone or changed"


def _plain(setting: object) -> object:
    """A section as it enters a key: without what only says when something is recomputed."""
    if isinstance(setting, Mapping):
        return {name: _plain(one) for name, one in setting.items()}
    if not hasattr(setting, "model_dump"):
        return setting
    return setting.model_dump(mode="json", exclude=set(getattr(setting, "rhythm", ())))
