"""The runner: stages in order, each kept where nothing it depends on has changed, else redone.

1. Order and completeness are checked before anything is read (`check_order`).
2. A stage's key is made of code, settings and the content of its inputs (`stages_to_run`). Outputs of an earlier run with the
   same key are kept; so are those that are young enough, of a stage that states a ``max_age``. An output that comes out the
   same as before stops the redoing there.
3. Each stage's record is written last and in one step, so a run that ended early goes on from there.
4. Publishing gives the folder its name (`publish`); what was kept is in it by hard link.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from threadpoolctl import threadpool_limits

from crmkit.exceptions import CrmkitError
from crmkit.pipeline import artefacts
from crmkit.pipeline.artefacts import Artefact
from crmkit.pipeline.notes import told
from crmkit.pipeline.records import Key, Record, measured
from crmkit.pipeline.stage import Source, Stage
from crmkit.pipeline.stage_inputs import StageInputs
from crmkit.pipeline.stages_to_run import UNKNOWN, Decider, Decision

__all__ = ["Progress", "Runner"]

Progress = Callable[[str, str, Record | None], None]
"""Told the stage, what becomes of it (running, done, kept, failed, skipped, or what it does), and its record at the end."""


@dataclass
class Runner:
    """Runs stages into ``folder``.

    Parameters
    ----------
    stages : sequence of Stage
    decider : Decider
        Knows what is kept.
    sources : mapping of str to Source
        Absent ones are missing.
    folder : Path
        Of this run.
    work : Path
        Private folders of stages: the log stays there, out of what is published.
    progress : callable
    notes : list of str
        What is to be told before any stage.
    """

    stages: Sequence[Stage]
    decider: Decider
    sources: Mapping[str, Source]
    folder: Path
    work: Path
    progress: Progress = lambda stage, action, record: None
    notes: list[str] = field(default_factory=list)
    made: dict[str, Artefact] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    records: dict[str, Record] = field(default_factory=dict)
    _lineages: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._inputs = StageInputs(self.sources, self.folder, self.work, self.made, self.notes)

    def plan(self) -> list[Decision]:
        """What `run` would do, without doing it: a stage after one that runs depends on what that one gives."""
        for step in self.stages:
            decision = self._decide(step)
            if decision.record:
                self._remember(decision.record)
            elif decision.action != "skipped":
                self.made.update(dict.fromkeys(step.outputs, UNKNOWN))
                self._lineages |= dict.fromkeys(step.outputs, self._key(step).lineage)
        return self.decisions

    def run(self) -> None:
        """Keep or redo every stage.

        Raises
        ------
        CrmkitError
            The first error of a stage that may not fail. Stages that do not depend on it have ended before it is raised, and
            what they made stays in place for the next run.
        """
        faults, blocked = list[CrmkitError](), set[str]()
        for place, step in enumerate(self.stages):
            if not blocked.isdisjoint(step.reads):
                self.progress(step.name, "blocked", None)
                blocked |= set(step.outputs)
                continue
            try:
                self._advance(step)
            except CrmkitError as fault:
                fault.add_note(f"The stage {step.name} failed. Other stages are kept: run again to go on from there.")
                self.progress(step.name, f"failed: {fault}", None)
                faults.append(fault)
                blocked |= set(step.outputs)
            self._inputs.keep_only(self.stages[place + 1 :])
        self._inputs.let_go()
        self._say_what_was_here()
        if faults:
            raise faults[0]

    def _say_what_was_here(self) -> None:
        ran = [one.stage.name for one in self.decisions if one.record is None and self.decider.brought_here(one.stage)]
        here = [name for name in ran if name in self.records]
        if here:
            self.notes.append(
                f"These stages worked on this machine, with what Spark had made read from files: {', '.join(here)}."
            )

    def _advance(self, step: Stage) -> None:
        decision = self._decide(step)
        if decision.action == "skipped":
            self.progress(step.name, "skipped", None)
            return
        record = self._keep(decision) if decision.record else self._redo(step)
        self.progress(step.name, "kept" if decision.record else "failed" if record.failed else "done", record)
        self.records[step.name] = record
        self._remember(record)

    def _decide(self, step: Stage) -> Decision:
        decision = self.decider.decide(step, self._inputs.digests(step), self._lineages)
        self.decisions.append(decision)
        return decision

    def _key(self, step: Stage) -> Key:
        return self.decider.key(step, self._inputs.digests(step), self._lineages)

    def _remember(self, record: Record) -> None:
        self.made.update(record.outputs)
        self._lineages |= dict.fromkeys(record.outputs, record.key.lineage)
        self.notes += [note for note in dict.fromkeys(record.notes) if note not in self.notes]

    def _keep(self, decision: Decision) -> Record:
        record, source = decision.record, decision.folder
        assert record is not None
        assert source is not None
        if source != self.folder:
            for artefact in record.outputs.values():
                artefacts.link(artefact, source, self.folder)
            record.save(self.folder)
        return record

    def _redo(self, step: Stage) -> Record:
        self.progress(step.name, "running", None)
        key = self._key(step)
        home = self.work / f"{step.name}-{key.digest[:16]}"
        with measured() as cost, warnings.catch_warnings(record=True) as caught, threadpool_limits(1):
            warnings.simplefilter("always")
            outputs, failed = self._outputs(step, key.digest, home)
        record = Record(
            step.name, key, self.decider.day, outputs, [*told(caught), *filter(None, [failed])], cost, failed
        )
        record.save(self.folder)
        if not any(artefact.kind == "log" for artefact in outputs.values()):
            shutil.rmtree(home, ignore_errors=True)
        return record

    def _outputs(self, step: Stage, key: str, home: Path) -> tuple[dict[str, Artefact], str]:
        own = {"folder": home, "progress": lambda doing: self.progress(step.name, doing, None)}
        if "folder" in step.settings:
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir(parents=True, mode=0o700)
        settings = {name: own[name] if name in own else self.decider.settings[name] for name in step.settings}
        try:
            given = [self._inputs.given(step, name, self.decider.brought_here(step)) for name in step.reads]
            found = step.work(*given, **settings) or {}
            return {
                name: artefacts.save(name, one, self.folder, key) for name, one in found.items() if one is not None
            }, ""
        except CrmkitError as error:
            if not step.may_fail:
                raise
            return {}, f"The stage {step.name} failed: {error}"
