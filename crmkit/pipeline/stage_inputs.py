"""What stages are given: sources, what earlier stages of the run made, its notes and its report blocks."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crmkit.pipeline import artefacts
from crmkit.pipeline.artefacts import Artefact, digest_of
from crmkit.pipeline.stage import Source, Stage
from crmkit.pipeline.stages_to_run import UNKNOWN

__all__ = ["StageInputs"]

_BROUGHT = "here"
"""Folder of what Spark has made and a stage of this machine reads; it is brought once a run."""


@dataclass
class StageInputs:
    """Values by name, always as they were saved, so that a resumed run sees what a whole one sees.

    Parameters
    ----------
    sources : mapping of str to Source
        Absent ones are missing.
    folder : Path
        Of this run.
    work : Path
        Private folders of stages.
    made : dict of str to Artefact
        What the stages made so far; those who run them add to it.
    notes : list of str
        What was told so far.
    """

    sources: Mapping[str, Source]
    folder: Path
    work: Path
    made: dict[str, Artefact]
    notes: list[str]
    _values: dict[str, Any] = field(default_factory=dict)

    def digests(self, step: Stage) -> dict[str, str]:
        """Of the content of a stage's inputs that are there."""
        return {name: digest for name in step.reads if (digest := self._digest(name)) is not None}

    def given(self, step: Stage, name: str, brought_here: bool) -> object:
        """An input as a stage takes it: a table of this machine as its file, where the stage asks for that."""
        artefact = self.made.get(name)
        if artefact and artefact.kind in ("dataset", "log") and brought_here:
            return artefacts.load_here(artefact, self.folder, self.work / _BROUGHT, as_file=name in step.files)
        if name in step.files and artefact and artefact.kind == "table":
            return self.folder / next(iter(artefact.files))
        return self._value(name)

    def keep_only(self, later: Iterable[Stage]) -> None:
        """Let go of values that no later stage reads."""
        wanted = {name for step in later for name in step.reads}
        self._values = {name: value for name, value in self._values.items() if name in wanted}

    def let_go(self) -> None:
        """Remove what was brought to this machine."""
        shutil.rmtree(self.work / _BROUGHT, ignore_errors=True)

    def _digest(self, name: str) -> str | None:
        """Of an input's content; None where it is absent. A stage that has not run yet may add a note or a block."""
        if name in ("notes", "blocks") and UNKNOWN in self.made.values():
            return UNKNOWN.digest
        if name == "notes":
            return digest_of(self.notes)
        if name == "blocks":
            return digest_of([[one, self.made[one].digest] for one in self._blocks()])
        found = self.made.get(name) or self.sources.get(name)
        return found.digest if found else None

    def _blocks(self) -> list[str]:
        """Names of the report blocks that stages have made."""
        return [name for name, one in self.made.items() if one.about.get("blocks")]

    def _value(self, name: str) -> object:
        if name == "notes":
            return list(self.notes)
        if name == "blocks":
            return {one: artefacts.load(self.made[one], self.folder) for one in self._blocks()}
        if self._digest(name) is None:
            return None
        if name not in self._values:
            artefact = self.made.get(name)
            self._values[name] = artefacts.load(artefact, self.folder) if artefact else self.sources[name].read()
        return self._values[name]
