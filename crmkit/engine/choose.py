"""Which engine a table or a log belongs to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar, overload

from crmkit.engine.base import SqlEngine
from crmkit.engine.duckdb import DuckDBEngine
from crmkit.engine.frames import is_spark
from crmkit.engine.spark import SparkEngine
from crmkit.exceptions import ContractError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from crmkit.engine.frames import SparkFrame

__all__ = ["engine_for", "engine_of", "on_spark"]


Log = TypeVar("Log", bound="DataclassInstance")


def engine_for(log: object) -> SqlEngine:
    """The engine that a log asks for, to be used in a ``with`` block.

    Raises
    ------
    ContractError
        It is no log of transactions.
    """
    if not hasattr(log, "on_spark"):
        raise no_log(log)
    return SparkEngine() if getattr(log, "on_spark", False) else DuckDBEngine()


def no_log(given: object) -> ContractError:
    """The error for what stands where a log of transactions is wanted.

    >>> str(no_log([]))[:60]
    'A list stands where a log of transactions is wanted. Make on'
    """
    return ContractError(
        f"A {type(given).__name__} stands where a log of transactions is wanted. Make one of it: "
        "log = Transactions.from_extract(table, until=…, customer_id=…, purchased_at=…, amount=…)."
    )


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
