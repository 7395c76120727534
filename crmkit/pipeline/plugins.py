"""Parts that other packages add, by entry points; only those that the configuration names are loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points

from crmkit.exceptions import ConfigError
from crmkit.pipeline.stage import Stage

__all__ = ["rules_of", "stages_of"]

STAGES_GROUP, RULES_GROUP = "crmkit.stages", "crmkit.rules"


def stages_of(names: Sequence[str]) -> list[Stage]:
    """Stages of the plug-ins that are named, in the order of the names.

    An entry point of the group ``crmkit.stages`` is a function under `crmkit.stage`, or a list of such. What they make and call
    ``…_block`` stands in the report.

    Raises
    ------
    ConfigError
        One is not installed, cannot be loaded, or is no stage.
    """
    found = list[Stage]()
    for name, made in _loaded(names, STAGES_GROUP):
        stages = [made] if isinstance(made, Stage) else list(made) if isinstance(made, Iterable) else []
        if not stages or not all(isinstance(one, Stage) for one in stages):
            raise ConfigError(
                f"The plug-in {name!r} ({STAGES_GROUP}) is no stage: write a function under @ck.stage, or a list of such."
            )
        found += stages
    return found


def rules_of(names: Sequence[str]) -> dict[str, str]:
    """Cleaning rules of the plug-ins that are named: reason → condition that a row meets to be valid, from ``crmkit.rules``.

    Raises
    ------
    ConfigError
        One cannot be loaded, or is no mapping of text to text.
    """
    found = dict[str, str]()
    for name, made in _loaded(names, RULES_GROUP):
        if not isinstance(made, Mapping) or not all(isinstance(one, str) for pair in made.items() for one in pair):
            raise ConfigError(f"The plug-in {name!r} ({RULES_GROUP}) is no mapping of reasons to conditions.")
        found |= made
    return found


def _loaded(names: Sequence[str], group: str) -> list[tuple[str, object]]:
    """What the plug-ins of these names have in a group; each must be in one of the groups."""
    there: dict[str, EntryPoint] = {one.name: one for one in entry_points(group=group)}
    known = {one.name for each in (STAGES_GROUP, RULES_GROUP) for one in entry_points(group=each)}
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else " Is its package installed here?"
            raise ConfigError(f"There is no plug-in {name!r}.{hint} There are {sorted(known)}.")
    found = []
    for name in names:
        if name in there:
            try:
                found.append((name, there[name].load()))
            except Exception as error:
                raise ConfigError(f"The plug-in {name!r} cannot be loaded: {type(error).__name__}: {error}") from error
    return found
