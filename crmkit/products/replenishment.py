"""What to order, from whom and by when: orders up to a level that the demand until the next delivery rarely exceeds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from crmkit._atomic import write_csv
from crmkit._checks import require_columns
from crmkit._days import day_of
from crmkit._types import Floats, Ints
from crmkit.displays import InNotebook
from crmkit.exceptions import ConfigError, ContractError
from crmkit.products._forecast_math import candidates, combined, demand_over, rolling_errors
from crmkit.products.series import Series, series_of
from crmkit.transactions.log import Transactions

__all__ = ["PurchasePlan", "demand_until", "order_quantities", "purchase_plan"]

SHARES = tuple(round(share, 3) for share in (0.01, 0.05, *np.arange(0.1, 0.96, 0.05), 0.975, 0.99, 0.995))
_WEEK, _LEAST, _FULL = 7, 0.5, 0.995
_FILLED = {"on_order": 0.0, "min_order": 0.0, "pack_size": 1.0, "shelf_life": np.inf, "unit_cost": np.nan}


@dataclass(frozen=True)
class PurchasePlan(InNotebook):
    """Orders to place.

    Attributes
    ----------
    orders : DataFrame
        product_id, supplier, order_quantity, order_by, expected_demand (pieces until the delivery after next), service_level (the
        probability that the stock and the order last until then), stock, expiring (pieces of it that will hardly be sold in
        time), on_order, cost.
    unknown : DataFrame
        Rows of the stock whose product has not been sold: nothing is ordered of it.
    service_level : float
        That was ordered for; below the one asked for where a budget binds.
    """

    orders: pd.DataFrame
    unknown: pd.DataFrame
    service_level: float

    def __str__(self) -> str:
        n, cost = int((self.orders["order_quantity"] > 0).sum()), self.orders["cost"].sum()
        return (
            f"{n:,} of {len(self.orders):,} products to order, for {cost:,.2f}; service level {self.service_level:.1%}"
        )

    def write(self, folder: Path) -> list[Path]:
        """A CSV file for each supplier, to be opened by people: what is to be ordered of it, and by when."""
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        placed = self.orders[self.orders["order_quantity"] > 0]
        for place, (supplier, rows) in enumerate(placed.groupby("supplier", sort=True), 1):
            words = "-".join(re.findall(r"\w+", str(supplier).casefold()))[:60]
            file = folder / f"{place:03d}-{words or 'supplier'}.csv"
            told = rows[["product_id", "supplier", "order_quantity", "order_by", "cost"]]
            write_csv(told.assign(order_by=told["order_by"].dt.strftime("%Y-%m-%d")), file, for_spreadsheets=True)
            files.append(file)
        return files


def purchase_plan(
    log: Transactions,
    stock: pd.DataFrame,
    *,
    review: int = 7,
    service_level: float = 0.95,
    budget: float | None = None,
    needs: pd.DataFrame | None = None,
    as_of: str | date | None = None,
) -> PurchasePlan:
    """How many of each product to order now.

    Parameters
    ----------
    log : Transactions
        With product_id and quantity.
    stock : DataFrame
        product_id, supplier, stock (pieces), lead_time (days), and where known on_order, min_order, pack_size, unit_cost,
        shelf_life (days) and expires (the last day on which the stock on hand is sold); as `Stock` checks it.
    review : int
        Days until the next time orders are placed.
    service_level : float
        Probability with which a product shall last until the delivery after next.
    budget : float, optional
        Money for all orders. Where it does not suffice, the service level of all products is lowered alike; needs unit_cost.
    needs : DataFrame, optional
        product_id and expected (pieces that members are expected to need in the ``days`` named by its column, or 14): where they
        need more than the forecast says, that is ordered for.
    as_of : date, optional

    Returns
    -------
    PurchasePlan

    Raises
    ------
    ConfigError
        ``service_level``, ``review`` or ``budget`` is out of range.
    ContractError
        A column is missing, a number is below 0, or a budget is given and a cost is not.

    Notes
    -----
    The periodic review system (R, S): each ``review`` days the stock on hand and on order is raised to S, the quantile of the
    demand over lead time and review at the service level, which is that of the newsvendor (ibid., chapter 9) where the service
    level is the critical ratio. Sales stand for demand: what was asked for and not there is unknown. Orders are rounded up to
    packs, raised to the least order, and never exceed what is sold within the shelf life. Of a stock that expires before the
    delivery after next only what is sold until then is counted.

    References
    ----------
    Silver, Pyke & Thomas (2017), Inventory and Production Management in Supply Chains, 4th edition, chapter 6.

    Examples
    --------
    >>> days = pd.date_range("2017-01-01", periods=140)
    >>> till = pd.DataFrame({"customer_id": "a", "purchased_at": days, "amount": 1.0, "quantity": 2, "product_id": "milk"})
    >>> log = Transactions.from_extract(till, until="2017-05-20")
    >>> stock = pd.DataFrame({"product_id": ["milk"], "supplier": ["Farm"], "stock": [10], "lead_time": [7], "pack_size": [6]})
    >>> purchase_plan(log, stock).orders[["product_id", "order_quantity", "expected_demand"]].round(1)
      product_id  order_quantity  expected_demand
    0       milk            18.0             28.0
    """
    _check(stock, review, service_level, budget)
    series = series_of(log, "product_id", "week", as_of=as_of)
    known = stock[stock["product_id"].isin(series.items)].reset_index(drop=True)
    unknown = stock[~stock["product_id"].isin(series.items)].reset_index(drop=True)
    supply = known.assign(
        **{name: known[name].fillna(value) if name in known else value for name, value in _FILLED.items()}
    )
    mean, quantiles = demand_until(
        series, series.items.get_indexer(pd.Index(supply["product_id"])), _span(supply, review)
    )
    mean, quantiles = _with_needs(mean, quantiles, supply, needs, review)
    expiring = _expiring(supply, mean, review, day_of(series.day))
    supply = supply.assign(stock=supply["stock"] - expiring)
    level, quantity = _within_budget(supply, mean, quantiles, review, service_level, budget)
    orders = _orders(supply, expiring, mean, quantiles, quantity, review, day_of(series.day))
    return PurchasePlan(orders, unknown, level)


def _check(stock: pd.DataFrame, review: int, service_level: float, budget: float | None) -> None:
    require_columns(
        stock, ["product_id", "supplier", "stock", "lead_time"], "The stock", "Check it with Stock.from_extract."
    )
    if not (_LEAST <= service_level <= _FULL and review >= 1 and (budget is None or budget >= 0)):
        raise ConfigError(
            f"service_level={service_level!r} must lie between {_LEAST} and {_FULL}, review={review!r} be 1 day or more, and "
            f"budget={budget!r} not be below 0."
        )
    if repeated := int(stock["product_id"].duplicated().sum()):
        raise ContractError(f"The stock: {repeated:,} rows repeat a product_id. Give each product once.")
    numbers = [name for name in ("stock", "lead_time", "on_order", "min_order", "unit_cost") if name in stock]
    if below := [name for name in numbers if (stock[name] < 0).any()]:
        raise ContractError(f"The stock: {below} are below 0 for some products. Check it with Stock.split_extract.")
    if budget is not None and ("unit_cost" not in stock or stock["unit_cost"].isna().any()):
        raise ContractError("A budget needs the unit_cost of every product.")


def _span(supply: pd.DataFrame, review: int) -> Floats:
    """Days that an order of now must last: until the delivery of the next one."""
    return np.asarray(supply["lead_time"].to_numpy(np.float64) + review, dtype=np.float64)


def demand_until(series: Series, places: Ints, days: Floats) -> tuple[Floats, Floats]:
    """Demand of each of some series over its own number of days: mean, and quantiles at `SHARES`."""
    history, first = series.history, series.first
    level, slope = candidates(history, first)
    weights = combined(rolling_errors(history, first, level, slope, 4), np.maximum(history.shape[1] - first - 4, 0))
    mean, quantiles = np.zeros(len(places)), np.zeros((len(places), len(SHARES)))
    weeks = np.maximum(np.ceil(days / _WEEK), 1).astype(np.int64)
    for n in np.unique(weeks):
        of = weeks == n
        means, bounds = demand_over(history, first, level, slope, weights, int(n), SHARES)
        part = days[of] / (_WEEK * n)
        mean[of] = means[places[of]] * part
        away = bounds[places[of]] - means[places[of], None]
        quantiles[of] = np.maximum(mean[of, None] + away * np.sqrt(part)[:, None], 0.0)
    return mean, quantiles


def _with_needs(
    mean: Floats, quantiles: Floats, supply: pd.DataFrame, needs: pd.DataFrame | None, review: int
) -> tuple[Floats, Floats]:
    if needs is None or not len(needs):
        return mean, quantiles
    require_columns(needs, ["product_id", "expected"], "The table of needs")
    days = needs["days"].iloc[0] if "days" in needs else 14
    daily = needs.groupby("product_id")["expected"].sum() / days
    wanted = supply["product_id"].map(daily).fillna(0.0).to_numpy(np.float64) * _span(supply, review)
    more = np.maximum(wanted - mean, 0.0)
    return mean + more, quantiles + more[:, None]


def _expiring(supply: pd.DataFrame, mean: Floats, review: int, day: date) -> Floats:
    """Pieces of the stock that expire before the delivery after next, and will hardly be sold by then."""
    if "expires" not in supply:
        return np.zeros(len(supply))
    left = (pd.to_datetime(supply["expires"]) - pd.Timestamp(day)).dt.days.to_numpy(np.float64)
    span, stock = _span(supply, review), supply["stock"].to_numpy(np.float64)
    sold = np.ceil(np.maximum(left, 0) * mean / span - 1e-9)
    return np.where(left < span, np.maximum(stock - sold, 0.0), 0.0)  # of what has no date nothing is lost


def order_quantities(supply: pd.DataFrame, up_to: Floats, daily: Floats) -> Floats:
    """Packs that raise stock on hand and on order to a level; ``daily`` is the mean demand, which the shelf life bounds."""
    position = (supply["stock"] + supply["on_order"]).to_numpy(np.float64)
    pack = np.maximum(supply["pack_size"].to_numpy(np.float64), 1e-9)
    wanted = np.maximum(up_to - position, 0.0)
    packs = np.ceil(wanted / pack - 1e-9) * pack
    least = np.ceil(supply["min_order"].to_numpy(np.float64) / pack) * pack
    packs = np.where(packs > 0, np.maximum(packs, least), 0.0)
    life = supply["shelf_life"].to_numpy(np.float64)
    sellable = np.where(np.isinf(life), np.inf, np.maximum(daily * np.minimum(life, 1e6) - position, 0.0))
    fresh = np.where(np.isinf(sellable), packs, np.floor(np.minimum(sellable, 1e12) / pack) * pack)
    return np.asarray(np.minimum(packs, fresh), dtype=np.float64)


def _at(quantiles: Floats, share: float) -> Floats:
    return np.array([np.interp(share, SHARES, row) for row in np.maximum.accumulate(quantiles, axis=1)])


def _within_budget(
    supply: pd.DataFrame, mean: Floats, quantiles: Floats, review: int, asked: float, budget: float | None
) -> tuple[float, Floats]:
    """The highest service level for all, up to that asked for, whose orders the money pays for."""
    daily = mean / _span(supply, review)

    def quantity(share: float) -> Floats:
        return order_quantities(supply, _at(quantiles, share), daily)

    cost = supply["unit_cost"].to_numpy(np.float64)
    if budget is None or quantity(asked) @ cost <= budget:
        return asked, quantity(asked)
    low, high = 0.0, asked
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if quantity(middle) @ cost <= budget else (low, middle)
    left = quantity(low)
    if left @ cost > budget:  # even the least orders are too dear: those of the highest stock cover are left out first
        order = np.argsort(
            (supply["stock"] + supply["on_order"]).to_numpy(np.float64) / np.maximum(daily, 1e-9), kind="stable"
        )
        kept = np.cumsum((left * cost)[order]) <= budget
        left[order[~kept]] = 0.0
    return low, left


def _orders(
    supply: pd.DataFrame,
    expiring: Floats,
    mean: Floats,
    quantiles: Floats,
    quantity: Floats,
    review: int,
    day: date,
) -> pd.DataFrame:
    position = (supply["stock"] + supply["on_order"]).to_numpy(np.float64)
    span = _span(supply, review)
    reached = [
        float(np.interp(have, row, SHARES, left=0.0, right=1.0)) if row[-1] > 0 else 1.0
        for have, row in zip(position + quantity, np.maximum.accumulate(quantiles, axis=1), strict=True)
    ]
    high = np.maximum(_at(quantiles, 0.95), 1e-9)
    spare = np.clip(np.floor(position / high * span - supply["lead_time"].to_numpy(np.float64)), 0, None)
    by = [pd.Timestamp(day + timedelta(days=1 + int(min(days, review - 1)))) for days in spare]
    table = pd.DataFrame(
        {
            "product_id": supply["product_id"],
            "supplier": supply["supplier"],
            "order_quantity": quantity,
            "order_by": pd.Series(by, dtype="datetime64[us]").where(quantity > 0),
            "expected_demand": mean,
            "service_level": reached,
            "stock": supply["stock"].astype("float64") + expiring,
            "expiring": expiring,
            "on_order": supply["on_order"].astype("float64"),
            "cost": quantity * supply["unit_cost"],
        }
    )
    return table.sort_values(["supplier", "product_id"], kind="stable", ignore_index=True)
