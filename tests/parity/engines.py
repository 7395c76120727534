"""The engines whose answers must be those of the embedded one: a new engine is one line in ``ENGINES``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest

from crmkit import Transactions
from crmkit.engine.base import SqlEngine
from crmkit.engine.choose import on_spark
from crmkit.engine.spark import SparkEngine


@dataclass(frozen=True)
class Entry:
    """How tests reach an engine; the fixture of its session bears the engine's name."""

    engine: Callable[[Any], SqlEngine]
    table: Callable[[Any, pa.Table], Any]
    log: Callable[[Transactions], Transactions]


ENGINES = {"spark": Entry(SparkEngine, lambda session, table: session.createDataFrame(table), on_spark)}


def engines() -> list[Any]:
    """Parameters of a fixture or a test: the name of each engine; its tests stay in one process."""
    return [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in ENGINES]


@dataclass(frozen=True)
class Other:
    """An engine with its session."""

    session: Any
    entry: Entry

    def engine(self) -> SqlEngine:
        return self.entry.engine(self.session)

    def table(self, table: pa.Table) -> Any:
        return self.entry.table(self.session, table)

    def log(self, log: Transactions) -> Transactions:
        return self.entry.log(log)


def other(request: pytest.FixtureRequest) -> Other:
    """The engine that a fixture is parametrised with."""
    return Other(request.getfixturevalue(request.param), ENGINES[request.param])
