"""Which engine a table or a log belongs to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar, overload

from crmkit.engine.base import SqlEngine
from crmkit.engine.duckdb import DuckDBEngine
from crmkit.engine.frames import is_spark
from crmkit.engine.spark import SparkEngine

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from crmkit.engine.frames import SparkFrame

__all__ = ["engine_for", "engine_of", "on_spark"]


Log = TypeVar("Log", bound="DataclassInstance")


def engine_for(log: object) -> SqlEngine:
    """The engine that a log asks for, to be used in a ``with`` block."""
    return SparkEngine() if getattr(log, "on_spark", False) else DuckDBEngine()


@overload
def engine_of(*tables: SparkFrame) -> SparkEngine: ...
@overload
def engine_of(*tables: object) -> SqlEngine: ...
def engine_of(*tables: object) -> SqlEngine:
    """The engine where tables are, to be used in a ``with`` block: Spark's session if all are its DataFrames."""
    sessions = [table.sparkSession for table in tables if is_spark(table)]
    return SparkEngine(sessions[0]) if sessions and len(sessions) == len(tables) else DuckDBEngine()


def on_spark(log: Log) -> Log:
    """The same log, to be summarised by the active Spark session.

    Parameters
    ----------
    log : Transactions
        Its folder must be seen by every machine of the cluster.

    Returns
    -------
    Transactions
        Summaries and features of it are Spark DataFrames, equal to the pandas ones, not computed or collected
        yet. It holds no session, so it can still be pickled.

    Raises
    ------
    ConfigError
        There is no Spark session.
    """
    SparkEngine().close()
    return replace(log, on_spark=True)
