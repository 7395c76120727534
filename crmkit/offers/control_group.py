"""Control groups: members who get nothing, so that what the others did can be compared with something."""

from __future__ import annotations

from typing import Any

import pandas as pd

from crmkit.engine.duckdb import Engine
from crmkit.engine.frames import is_spark
from crmkit.engine.spark import SparkEngine
from crmkit.exceptions import ConfigError

__all__ = ["UNIVERSAL", "control_group"]

UNIVERSAL = "universal"
"""The key of the control group of all campaigns."""


def control_group(customer_ids: Any, share: float, key: str, strata: Any = None) -> Any:
    """Draw the members who get no offer, by a keyed hash of their ids.

    The draw needs no memory: the same key always draws the same members, in whatever order and beside whomever they
    come, and a larger share only adds to a smaller one. Another campaign that shall not burden the same members takes
    another key.

    Parameters
    ----------
    customer_ids : Series, sequence or Spark DataFrame
        Members to draw from; of a Spark DataFrame its customer_id.
    share : float
        Between 0 (nobody) and 1 (everybody); each member is drawn with this probability.
    key : str
        Names the draw.
    strata : Series or sequence, or str, optional
        A value of each member, its tier say, or the column of a Spark DataFrame that holds it: of every value the share is drawn to the next whole member, those with
        the lowest hashes. Who else is there then decides beside the hash.

    Returns
    -------
    DataFrame
        customer_id of the members drawn, ordered; on Spark a Spark DataFrame, not computed yet.

    Raises
    ------
    ConfigError
        ``share`` is not between 0 and 1.

    Examples
    --------
    >>> control_group(["a", "b", "c", "d"], share=0.5, key="spring")
      customer_id
    0           a
    1           b
    2           d
    """
    threshold = _threshold(share)
    if is_spark(customer_ids):
        return _on_spark(customer_ids, share, threshold, key, strata)
    ids = pd.DataFrame({"customer_id": pd.Series(customer_ids)})
    if ids.empty:
        return ids
    with Engine() as engine:
        if strata is not None:
            members = ids.assign(stratum=pd.Series(strata).astype("str").to_numpy())
            return engine.summary("offers/control_by_stratum", [share, key], members=engine.register(members))
        return engine.summary("offers/control_group", [key, threshold], members=engine.register(ids))


def _on_spark(customers: Any, share: float, threshold: str, key: str, strata: str | None) -> Any:
    with SparkEngine(customers.sparkSession) as engine:
        if strata is None:
            return engine.summary("offers/control_group", [key, threshold], members=engine.register(customers))
        stratum = f"cast({engine.quoted(strata)} as string) as stratum"
        members = engine.register(customers.selectExpr("customer_id", stratum))
        return engine.summary("offers/control_by_stratum", [share, key], members=members)


def _threshold(share: float) -> str:
    """Eight hex digits that a uniform hash is below with probability ``share``; no hash is beyond ``g``."""
    if not 0 <= share <= 1:
        raise ConfigError(f"share={share!r} is not between 0 and 1.")
    below = round(share * 2**32)
    return "g" if below == 2**32 else f"{below:08x}"
