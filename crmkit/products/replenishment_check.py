"""The purchase plan against the data's own past: fill rate and stock, beside a plain rule of so many weeks of cover."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import pandas as pd

from crmkit._types import Bools, Floats, Ints
from crmkit.exceptions import ConfigError
from crmkit.products.forecast_accuracy import cut_at
from crmkit.products.replenishment import SHARES, demand_until
from crmkit.products.series import Series, series_of
from crmkit.transactions.log import Transactions

__all__ = ["simulate_purchases"]

_WEEK, _MEMORY = 7, 4


def simulate_purchases(
    log: Transactions,
    lead_time: int = 1,
    service_level: float = 0.95,
    weeks: int = 26,
    as_of: str | date | None = None,
) -> pd.DataFrame:
    """What the plan, and rules of one to four weeks of cover, would have done with the sales of the last weeks.

    Orders are placed each week by what was known then, and come after the lead time. What is not there is not sold, and what was
    sold is taken for what was asked for. All start with the same stock.

    Parameters
    ----------
    log : Transactions
        With product_id and quantity.
    lead_time : int
        Weeks.
    service_level : float
    weeks : int
        Weeks that are simulated.
    as_of : date, optional

    Returns
    -------
    DataFrame
        plan; fill_rate (share of the demand met from stock), mean_stock (pieces at the end of a week, in weeks of demand), lost
        (pieces), products.

    Raises
    ------
    ConfigError
        The history is shorter than the weeks and eight more.

    Examples
    --------
    >>> days = pd.date_range("2017-01-02", periods=210)
    >>> till = pd.DataFrame({"customer_id": "a", "purchased_at": days, "amount": 1.0, "quantity": 2, "product_id": "milk"})
    >>> found = simulate_purchases(Transactions.from_extract(till, until="2017-07-30"), weeks=8)
    >>> found["plan"][0], float(found["fill_rate"][0])
    ('(R, S) at 95%', 1.0)
    """
    series = series_of(log, "product_id", "week", as_of=as_of)
    periods = series.history.shape[1]
    if lead_time < 1:
        raise ConfigError(f"lead_time={lead_time!r} must be 1 week or more.")
    if periods < weeks + 8:
        raise ConfigError(f"{periods} weeks have been observed; {weeks} to be simulated need {weeks + 8}.")
    span = lead_time + 1
    place = int(np.argmin(np.abs(np.array(SHARES) - service_level)))

    def planned(known: Series, places: Ints) -> Floats:
        return demand_until(known, places, np.full(len(places), float(_WEEK * span)))[1][:, place]

    def covered(more: int) -> Callable[[Series, Ints], Floats]:
        return lambda known, places: known.history[places, -_MEMORY:].mean(axis=1) * (span + more)

    rules: dict[str, Callable[[Series, Ints], Floats]] = {f"(R, S) at {service_level:.0%}": planned}
    rules |= {f"last four weeks' mean, {more} weeks of cover more": covered(more) for more in (0, 1, 2, 4)}
    begin = series.history[:, : periods - weeks].sum(axis=1) > 0
    return pd.DataFrame([{"plan": name, **_run(series, rule, lead_time, weeks, begin)} for name, rule in rules.items()])


def _run(
    series: Series, rule: Callable[[Series, Ints], Floats], lead_time: int, weeks: int, begin: Bools
) -> dict[str, float]:
    n, periods = len(series.items), series.history.shape[1]
    followed = np.flatnonzero(begin)
    stock = np.zeros(n)
    coming = [np.zeros(n)] * (lead_time - 1)
    met = asked = held = 0.0
    for week in range(periods - weeks, periods):
        known, begun = cut_at(series, week)
        places = (np.cumsum(begun) - 1)[followed]
        target = np.zeros(n)
        target[followed] = rule(known, places)
        if week == periods - weeks:
            stock[followed] = known.history[places, -_MEMORY:].mean(axis=1) * (lead_time + 1)
        coming.append(np.maximum(np.ceil(target - stock - sum(coming)), 0.0))
        demand = np.where(begin, series.history[:, week], 0.0)
        sold = np.minimum(stock, demand)
        stock = stock - sold + coming.pop(0)
        met, asked, held = met + sold.sum(), asked + demand.sum(), held + stock.sum()
    return {
        "fill_rate": float(met / asked) if asked else float("nan"),
        "mean_stock": float(held / max(asked, 1e-9)),
        "lost": float(asked - met),
        "products": float(len(followed)),
    }
