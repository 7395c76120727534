"""The next basket: what each customer is likely to buy again, and what they may buy for the first time."""

from __future__ import annotations

import numpy as np
import pandas as pd

from crmkit._types import Floats, Ints
from crmkit.repurchase._trip_share_math import decayed_days

__all__ = ["new_items", "recommended", "trip_rates"]


def trip_rates(state: pd.DataFrame) -> Floats:
    """Trips a day of each row's customer, decaying in 60 days, with half a trip in ten days for those just come."""
    days = decayed_days(state["visit_T"].to_numpy(dtype=np.float64) + 1, 60.0)
    rate: Floats = (state["visits_decayed_60"].to_numpy() + 0.5) / (days + 10)
    return rate


def new_items(state: pd.DataFrame, days: int = 84) -> pd.DataFrame:
    """How often each item is bought for the first time, per trip of those who had not bought it before.

    Parameters
    ----------
    state : DataFrame
        From `summaries.items.item_state`.
    days : int
        First purchases of the last so many days count.

    Returns
    -------
    DataFrame
        item, buyers (customers who ever bought it), per_trip; most first purchases first.
    """
    members = state.drop_duplicates("customer_id")
    trips = float(members["visit_days_84"].sum()) if days == 84 else float(members["visit_days"].sum())
    mine = state.assign(first=state["T"] < days)
    items = mine.groupby("item", as_index=False, observed=True).agg(
        buyers=("customer_id", "size"), first=("first", "sum")
    )
    open_share = 1 - (items["buyers"] - items["first"]) / max(len(members), 1)
    items["per_trip"] = (items["first"] + 0.1) / (np.maximum(trips, 1) * open_share)
    return items.drop(columns="first").sort_values(["per_trip", "item"], ascending=[False, True], ignore_index=True)


def recommended(state: pd.DataFrame, p: Floats, new: pd.DataFrame, k: int, explore: int, horizon: int) -> pd.DataFrame:
    """Lists of ``k`` items per customer, ``explore`` of them never bought before; fewer repeats leave room for more.

    Parameters
    ----------
    state : DataFrame
        From `summaries.items.item_state`; ``p`` is P(bought again within the horizon) of its rows.
    new : DataFrame
        From `new_items`.

    Returns
    -------
    DataFrame
        customer_id, item, rank, p_purchase, part.
    """
    repeat = state[["customer_id", "item"]].assign(p_purchase=p)
    repeat = repeat.sort_values(["customer_id", "p_purchase", "item"], ascending=[True, False, True])
    repeat = repeat[repeat.groupby("customer_id").cumcount() < k - explore].assign(part="repeat")
    members = state.drop_duplicates("customer_id")
    filled = members["customer_id"].map(repeat.groupby("customer_id").size()).fillna(0)
    room: Ints = k - np.asarray(filled, dtype=np.int64)
    first = _first_purchases(state, members, room, new, horizon)
    lists = pd.concat([repeat, first], ignore_index=True)
    lists = lists.sort_values(["customer_id", "p_purchase", "item"], ascending=[True, False, True], ignore_index=True)
    lists.insert(2, "rank", lists.groupby("customer_id").cumcount() + 1)
    return lists


def _first_purchases(
    state: pd.DataFrame, members: pd.DataFrame, room: Ints, new: pd.DataFrame, horizon: int
) -> pd.DataFrame:
    """The items most often bought for the first time that each customer has not bought, as many as there is room for."""
    wanted = members.loc[room > 0, ["customer_id"]].assign(room=room[room > 0], trips=trip_rates(members)[room > 0])
    found, step = [], max(int(room.max(initial=0)) * 2, 1)
    known = pd.MultiIndex.from_frame(state[["customer_id", "item"]])
    for start in range(0, len(new), step):
        if wanted.empty:
            break
        offered = wanted.merge(new.iloc[start : start + step][["item", "per_trip"]], how="cross")
        offered = offered[~pd.MultiIndex.from_frame(offered[["customer_id", "item"]]).isin(known)]
        offered = offered[offered.groupby("customer_id").cumcount() < offered["room"]]
        found.append(offered)
        wanted = wanted.assign(
            room=wanted["room"] - wanted["customer_id"].map(offered.groupby("customer_id").size()).fillna(0)
        )
        wanted = wanted[wanted["room"] > 0]
    first = pd.concat(found) if found else pd.DataFrame({"customer_id": [], "item": [], "trips": [], "per_trip": []})
    p = -np.expm1(-horizon * first["trips"].to_numpy(dtype=np.float64) * first["per_trip"].to_numpy(dtype=np.float64))
    return first[["customer_id", "item"]].assign(p_purchase=p, part="explore")
