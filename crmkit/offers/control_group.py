"""Control groups: members who get no offer, as a baseline for those who do."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

import pandas as pd

from crmkit.engine.choose import engine_of
from crmkit.engine.frames import is_table
from crmkit.exceptions import ConfigError

if TYPE_CHECKING:
    from crmkit._types import Ids
    from crmkit.engine.frames import Frame, SparkFrame

__all__ = ["UNIVERSAL", "control_group"]

UNIVERSAL = "universal"
"""The key of the control group of all campaigns."""


@overload
def control_group(customer_ids: SparkFrame, share: float, key: str, strata: str | None = None) -> SparkFrame: ...
@overload
def control_group(
    customer_ids: Ids | pd.DataFrame, share: float, key: str, strata: Ids | str | None = None
) -> pd.DataFrame: ...
def control_group(customer_ids: Ids | Frame, share: float, key: str, strata: Ids | str | None = None) -> Frame:
    """Draw the members who get no offer, by a keyed hash of their ids.

    The draw needs no memory: the same key always draws the same members, in whatever order and whoever else is in the table, and a larger share only adds to a smaller one. Another campaign that shall not burden the same members takes
    another key.

    Parameters
    ----------
    customer_ids : Series, sequence, pandas or Spark DataFrame
        Members to draw from; of a table its customer_id.
    share : float
        Between 0 (no member) and 1 (all); each member is drawn with this probability.
    key : str
        Names the draw.
    strata : Series or sequence, or str, optional
        A value of each member, its tier say, or the column of the table that holds it: of every value the share is drawn
        to the next whole member, those with the lowest hashes. Who else is there then decides beside the hash.

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
    members: Frame
    if is_table(customer_ids):
        members = customer_ids
    else:
        members = pd.DataFrame({"customer_id": pd.Series(customer_ids)})
        if members.empty:
            return members
    column = strata if isinstance(strata, str) else None
    if strata is not None and column is None:
        if not isinstance(members, pd.DataFrame):
            raise ConfigError("strata of a Spark DataFrame must be the name of one of its columns.")
        members, column = members.assign(stratum=pd.Series(strata).astype("str").to_numpy()), "stratum"
    with engine_of(members) as engine:
        relation = engine.register(members)
        if column is None:
            values: dict[str, object] = {"key": key, "threshold": threshold}
            return engine.summary("offers/control_group", values, members=relation)
        of_strata = f"(select customer_id, cast({engine.quoted(column)} as string) as stratum from {relation})"
        return engine.summary("offers/control_by_stratum", {"share": share, "key": key}, members=of_strata)


def _threshold(share: float) -> str:
    """Eight hex digits that a uniform hash is below with probability ``share``; no hash is beyond ``g``."""
    if not 0 <= share <= 1:
        raise ConfigError(f"share={share!r} is not between 0 and 1.")
    below = round(share * 2**32)
    return "g" if below == 2**32 else f"{below:08x}"
