"""A step of the run as data: what it needs, what it makes, and which settings it reads."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crmkit.exceptions import ConfigError

__all__ = ["Source", "Stage", "check_order", "stage"]


Work = Callable[..., Mapping[str, object] | None]


@dataclass(frozen=True)
class Stage:
    """One step of a run; made by `stage` from a function.

    Attributes
    ----------
    name : str
        The word in progress, timings, ``--from`` and ``--only``.
    inputs, optional_inputs : tuple of str
        What it needs, and what it takes where it is there: an absent optional input is None.
    settings : tuple of str
        Fields of the configuration that it reads. Two names are the run's own: ``folder``, a private folder to write files
        into, and ``progress``, a function that is told what is being done.
    outputs : tuple of str
        What it makes.
    work : callable
        Returns a mapping of outputs; one that is missing, or None, is absent for later stages.
    max_age : str
        A setting that holds a number of days, ``"churn.refit_every"`` say: an earlier night's outputs are good enough when
        they are younger, whatever has happened to the inputs in ``ages``.
    ages : tuple of str
        Inputs that may change in these days; with ``max_age`` alone all of them.
    may_fail : bool
        An error that crmkit raises becomes a note; the outputs are absent and later stages go on.
    files : tuple of str
        Inputs that are taken as files where they are tables of this machine: parameters that say ``Path``.
    here : bool
        It works on this machine: where the run's tables are on Spark, it is given their files, read here, and a note says
        so.
    """

    name: str
    inputs: tuple[str, ...]
    optional_inputs: tuple[str, ...]
    settings: tuple[str, ...]
    outputs: tuple[str, ...]
    work: Work
    max_age: str = ""
    ages: tuple[str, ...] = ()
    may_fail: bool = False
    here: bool = False
    files: tuple[str, ...] = ()

    def __call__(self, *inputs: object, **more: object) -> Mapping[str, object] | None:
        return self.work(*inputs, **more)

    @property
    def reads(self) -> tuple[str, ...]:
        """All inputs, in the order of the function's parameters."""
        return (*self.inputs, *self.optional_inputs)

    @property
    def reads_history(self) -> bool:
        """Whether it goes through the log of all days again: what it costs grows with history."""
        return not {"delivery", "log", "judged"}.isdisjoint(self.reads)


@dataclass(frozen=True)
class Source:
    """An input that no stage makes: its digest, and how to have it."""

    digest: str
    read: Callable[[], Any]


def stage(
    *outputs: str, max_age: str = "", ages: Sequence[str] = (), may_fail: bool = False, here: bool = False
) -> Callable[[Work], Stage]:
    """Make a stage of a function: its parameters are the inputs, keyword-only ones the settings, its name the stage's.

    Parameters
    ----------
    *outputs : str
        What it makes.
    max_age, ages, may_fail, here
        As in `Stage`.

    Examples
    --------
    >>> @stage("birthdays")
    ... def find_birthdays(members, offers=None, *, lists):
    ...     \"\"\"Whose birthday is near.\"\"\"
    ...     return {"birthdays": members}
    >>> find_birthdays.name, find_birthdays.inputs, find_birthdays.optional_inputs, find_birthdays.settings
    ('find-birthdays', ('members',), ('offers',), ('lists',))
    """

    def made(work: Work) -> Stage:
        parameters = inspect.signature(work).parameters.values()
        named = [one for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
        needed = tuple(one.name for one in named if one.default is one.empty)
        optional = tuple(one.name for one in named if one.default is not one.empty)
        settings = tuple(one.name for one in parameters if one.kind is one.KEYWORD_ONLY)
        aging = tuple(ages) or (needed if max_age else ())
        files = tuple(one.name for one in named if "Path" in str(one.annotation))
        name = work.__name__.strip("_").replace("_", "-")
        return Stage(name, needed, optional, settings, outputs, work, max_age, aging, may_fail, here, files)

    return made


OWN_SETTINGS = ("folder", "progress")


def check_order(stages: Sequence[Stage], sources: Iterable[str], sections: Iterable[str]) -> None:
    """Raise unless every input is a source or made earlier, and every setting is one of the configuration's.

    Raises
    ------
    ConfigError
        All faults in one message.

    Examples
    --------
    >>> late = stage("offers")(lambda repurchases: None)
    >>> check_order([late], ["transactions"], [])
    Traceback (most recent call last):
        ...
    crmkit.exceptions.ConfigError: Stage <lambda>: no source or earlier stage makes its input 'repurchases'.
    """
    known, fields, faults = set(sources), {*sections, *OWN_SETTINGS}, list[str]()
    for step in stages:
        where = f"Stage {step.name}: "
        faults += [
            f"{where}no source or earlier stage makes its input {name!r}." for name in step.reads if name not in known
        ]
        faults += [f"{where}the configuration has no field {name!r}." for name in step.settings if name not in fields]
        faults += [
            f"{where}{name!r} is made by another stage or source already." for name in step.outputs if name in known
        ]
        faults += [
            f"{where}ages names {name!r}, which it does not read." for name in step.ages if name not in step.reads
        ]
        known |= set(step.outputs)
    names = [step.name for step in stages]
    faults += [f"Two stages are called {name!r}." for name in sorted({name for name in names if names.count(name) > 1})]
    if faults:
        raise ConfigError("\n".join(faults))
