"""A log of some members, for what need not look at all of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from crmkit.engine.choose import engine_for
from crmkit.transactions.log import Transactions

__all__ = ["of_some_members"]


def of_some_members(log: Transactions, most: int, folder: Path) -> Transactions:
    """The log of about ``most`` members, drawn by a hash of their ids; of all where there are no more. On this machine.

    Parameters
    ----------
    log : Transactions
        Where it is `on_spark` the lines are drawn there, and are read here.
    most : int
    folder : Path
        To write into, where some are drawn.

    Examples
    --------
    >>> import tempfile
    >>> from crmkit.testing import generated_log
    >>> log = generated_log(n_customers=400)
    >>> of_some_members(log, 1_000, Path(tempfile.mkdtemp())) == log
    True
    >>> some = of_some_members(log, 100, Path(tempfile.mkdtemp()))
    >>> with engine_for(some) as engine:
    ...     n = int(engine.frame(f"select count(distinct customer_id) as n from {engine.parquet(some.days)}")["n"][0])
    >>> 70 < n < 130
    True
    """
    with engine_for(log) as engine:
        named = f"select count(distinct customer_id) as n from {engine.parquet(log.days)}"
        n = int(engine.frame(named)["n"][0])
        if n <= most:
            return replace(log, on_spark=False)
        folder.mkdir(parents=True, exist_ok=True)
        drawn = f"substr(md5('some:' || customer_id), 1, 8) < '{int(most / n * 16**8):08x}'"
        for name, files in {"lines": log.lines, "trips": log.trips, "days": [log.days]}.items():
            engine.save(f"select * from {engine.parquet(files)} where {drawn}", folder / f"{name}.parquet")
    return Transactions(folder, log.until, log.items)
