"""What comes with a plan of visits and back from it: results of visits, and where customers are, each row judged beside the others."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from crmkit._days import as_day
from crmkit.campaigns._visit_math import kilometres

__all__ = ["split_premises", "split_visits"]

_FAR = 200.0
"""Kilometres from the middle of all places beyond which swapped coordinates are looked for."""


def split_visits(
    results: pd.DataFrame, customers: pd.DataFrame, as_of: str | date
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Results of visits that can be used, and the others with file, line, reason, advice.

    Parameters
    ----------
    results : DataFrame
        From `VisitRecords`.
    customers : DataFrame
        customer_id of every customer who is known.
    as_of : date
        A visit after this day cannot have taken place.

    Examples
    --------
    >>> told = pd.DataFrame({"field_person": "Kim", "day": "2018-01-02", "customer_id": ["a", "x"], "met": 1, "sold": 0.0})
    >>> split_visits(told, pd.DataFrame({"customer_id": ["a"]}), "2018-01-31")[1]["reason"].tolist()
    ['customer_id is not among the customers']
    """
    days = pd.to_datetime(results["day"])
    unknown = ~results["customer_id"].isin(customers["customer_id"])
    late = days > pd.Timestamp(as_day(as_of))
    reasons = np.select([unknown, late], ["customer_id is not among the customers", "day is after the run date"], "")
    places = results.reindex(columns=["file", "line"])
    bad = places[reasons != ""].assign(reason=reasons[reasons != ""], advice="Correct these rows at their source.")
    good = results[reasons == ""].assign(day=days[reasons == ""])
    return good.reset_index(drop=True), bad.reset_index(drop=True)


def split_premises(premises: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Places of customers that can be used, and the others with file, line, reason, advice.

    A customer with two places is rejected with both; so is a place far from all others that is among them once its latitude and
    longitude are exchanged.

    Parameters
    ----------
    premises : DataFrame
        From `Premises`.

    Examples
    --------
    >>> told = pd.DataFrame({"customer_id": list("abc"), "latitude": [52.5, 52.4, 13.3], "longitude": [13.3, 13.4, 52.5]})
    >>> split_premises(told)[1]["reason"].tolist()
    ['latitude and longitude are swapped']
    """
    reasons = np.select(
        [premises["customer_id"].duplicated(keep=False), _swapped(premises)],
        ["customer_id has two places", "latitude and longitude are swapped"],
        "",
    )
    advice = np.where(
        reasons == "customer_id has two places", "Deliver each customer once.", "Exchange the two columns."
    )
    places = premises.reindex(columns=["file", "line"])
    bad = places[reasons != ""].assign(reason=reasons[reasons != ""], advice=advice[reasons != ""])
    return premises[reasons == ""].reset_index(drop=True), bad.reset_index(drop=True)


def _swapped(premises: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    places = premises[["latitude", "longitude"]].astype("float64").to_numpy(np.float64)
    known = np.isfinite(places).all(axis=1)
    found = np.zeros(len(premises), dtype=bool)
    if known.any():
        middle = np.median(places[known], axis=0, keepdims=True)
        as_told = kilometres(places[known], middle)[:, 0]
        exchanged = kilometres(places[known][:, ::-1], middle)[:, 0]
        found[known] = (as_told > _FAR) & (exchanged < as_told / 4)
    return found
