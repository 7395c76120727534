"""A purchase model beside what happened: week by week, by frequency, for one customer, by decile."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from crmkit.displays import BLUE, GREY, INK, ORANGE, PALE, Display, legend
from crmkit.engine.choose import engine_for
from crmkit.evaluation.displays import FrequencyDisplay
from crmkit.exceptions import ContractError, ModelError
from crmkit.summaries.customers import btyd_summary, holdout_summary
from crmkit.transactions.log import Transactions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from crmkit.models.purchase_model import PurchaseModel

__all__ = [
    "DecileDisplay",
    "HistoryDisplay",
    "TrackingDisplay",
    "holdout_by_frequency",
    "tracking",
    "value_deciles",
    "visit_history",
]

_EPOCH = date(1970, 1, 1)
_WEEK = 7


# -- Tracking --------------------------------------------------------------------------------------------------------


class TrackingDisplay(Display):
    """Repeat purchases week by week; table: week_end, actual, expected, cumulative_actual, cumulative_expected, holdout."""

    title = "Repeat purchases per week"

    def _draw(self, ax: Axes) -> None:
        self._lines(ax, "actual", "expected", "repeat purchases per week")

    def plot_cumulative(self, ax: Axes | None = None) -> Axes:
        """The same, added up."""
        return _Cumulative(self.table).plot(ax)

    def _lines(self, ax: Axes, actual: str, expected: str, label: str) -> None:
        rows = self.table
        ax.plot(rows["week_end"], rows[actual], color=GREY, label="actual")
        ax.plot(rows["week_end"], rows[expected], color=BLUE, label="expected")
        if rows["holdout"].any():
            ax.axvline(rows.loc[~rows["holdout"], "week_end"].max(), color=INK, linewidth=1, linestyle=":")
        ax.set(ylabel=label, ylim=(0, None))
        ax.yaxis.set_major_formatter("{x:,.0f}")
        ax.tick_params(axis="x", labelrotation=30)
        legend(ax)


class _Cumulative(TrackingDisplay):
    title = "Cumulative repeat purchases"

    def _draw(self, ax: Axes) -> None:
        self._lines(ax, "cumulative_actual", "cumulative_expected", "cumulative repeat purchases")


def tracking(model: PurchaseModel, log: Transactions, split: str | date | None = None) -> TrackingDisplay:
    """Repeat purchases of the members known at ``split``, week by week to the log's end, and what the model expects.

    The expectation knows of each member the first purchase only, as in Fader, Hardie & Lee (2005), figures 4 and 5: it is
    the sum over members of ``expected_purchases_new`` at the days since then.

    Parameters
    ----------
    model : a fitted purchase model
        In days; usually fitted on ``btyd_summary(log, split)``.
    log : Transactions
    split : date, optional
        The close of the day the model knows; default: the log's ``until``, that is no holdout.

    Returns
    -------
    TrackingDisplay
        Whole weeks, counted from the first purchase day; ``holdout`` marks those that end after the split.

    Examples
    --------
    >>> from crmkit.models import BGNBD
    >>> from crmkit.testing import generated_log
    >>> log = generated_log(n_customers=300)
    >>> model = BGNBD().fit(btyd_summary(log, "2017-09-30"))
    >>> tracking(model, log, split="2017-09-30").table.shape
    (52, 6)
    """
    last, end = log.close_of(split), log.close_of(None)
    with engine_for(log) as engine:
        days = engine.parquet(log.days)
        starts = engine.frame(
            f"""select first, cast(count(*) as bigint) as members from
            (select min(day) as first from {days} where bought = 1 group by customer_id) as firsts
            where first <= :split group by first order by first""",
            {"split": last},
        )
        repeats = engine.frame(
            f"""select day, cast(count(*) as bigint) as repeats from
            (select day, min(day) over (partition by customer_id) as first from {days} where bought = 1) as bought
            where first <= :split and day > first group by day order by day""",
            {"split": last},
        )
    if starts.empty:
        raise ModelError(f"The log holds no purchase up to {split or log.until}.")
    first = int(starts["first"].iloc[0])
    length = end - first + 1
    new = np.array([model.expected_purchases_new(day) for day in range(length)])
    members = np.bincount(starts["first"] - first, starts["members"], length)
    expected = np.convolve(members, np.diff(new, prepend=0.0))[:length]
    actual = np.bincount(repeats["day"] - first, repeats["repeats"], length)
    ends = np.arange(_WEEK, length + 1, _WEEK)
    weekly = pd.DataFrame(
        {
            "week_end": [_EPOCH + timedelta(days=int(first + day - 1)) for day in ends],
            "actual": np.add.reduceat(actual[: ends[-1]], ends - _WEEK) if len(ends) else [],
            "expected": np.add.reduceat(expected[: ends[-1]], ends - _WEEK) if len(ends) else [],
        }
    )
    return TrackingDisplay(
        weekly.assign(
            cumulative_actual=weekly["actual"].cumsum(),
            cumulative_expected=weekly["expected"].cumsum(),
            holdout=first + ends - 1 > last,
        )
    )


def holdout_by_frequency(model: PurchaseModel, log: Transactions, split: str | date, most: int = 7) -> FrequencyDisplay:
    """Mean purchases after ``split`` by repeat purchases before it, and what the model expects of the same customers.

    Parameters
    ----------
    model : a purchase model
        Fitted on ``btyd_summary(log, split)``.
    log : Transactions
    split : date
    most : int, default 7
        The last row stands for this many and more.

    Returns
    -------
    FrequencyDisplay
        table: frequency, customers, actual, expected; groups with customers only.
    """
    known = btyd_summary(log, split).merge(holdout_summary(log, split), on="customer_id")
    known["expected"] = model.expected_purchases(known, log.close_of(None) - log.close_of(split))
    group = known["frequency"].clip(upper=most)
    table = known.groupby(group).agg(
        customers=("frequency", "size"), actual=("holdout_purchases", "mean"), expected=("expected", "mean")
    )
    table.insert(0, "frequency", [f"{most}+" if times == most else str(times) for times in table.index])
    return FrequencyDisplay(table.reset_index(drop=True))


class HistoryDisplay(Display):
    """One customer's purchases and P(alive) at the close of each day; table: day, p_alive, bought."""

    title = "One customer: purchases and probability of being active"

    def _draw(self, ax: Axes) -> None:
        ax.plot(self.table["day"], self.table["p_alive"], color=BLUE, label="P(alive)")
        bought = self.table.loc[self.table["bought"], "day"]
        ax.vlines(bought, 0, 0.06, color=ORANGE, linewidth=1.2, label="purchase day")
        ax.set(ylabel="P(alive)", ylim=(0, 1.02))
        ax.tick_params(axis="x", labelrotation=30)
        legend(ax, loc="best")


def visit_history(model: PurchaseModel, log: Transactions, customer_id: str) -> HistoryDisplay:
    """P(alive) of one customer at the close of each day since the first purchase, with what was known on that day.

    Parameters
    ----------
    model : a fitted purchase model
    log : Transactions
    customer_id : str

    Returns
    -------
    HistoryDisplay
        table: day, p_alive, bought.

    Raises
    ------
    ContractError
        The log holds no purchase of this customer.
    """
    with engine_for(log) as engine:
        days = engine.frame(
            f"""select day from {engine.parquet(log.days)} where customer_id = :member and bought = 1 and day <= :until
            order by day""",
            {"member": customer_id, "until": log.close_of(None)},
        )["day"].to_numpy(dtype=int)
    if not len(days):
        raise ContractError(
            f"The log holds no purchase of customer {customer_id!r}. Is it the customer_id of the extract?"
        )
    every = np.arange(days[0], log.close_of(None) + 1)
    frequency = np.searchsorted(days, every, side="right") - 1
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.maximum(np.diff(days), 1)))])
    state = pd.DataFrame(
        {
            "frequency": frequency,
            "recency": days[frequency] - days[0],
            "T": every - days[0],
            "sum_log_gap": logs[frequency],
        }
    )
    return HistoryDisplay(
        pd.DataFrame(
            {
                "day": [_EPOCH + timedelta(days=int(day)) for day in every],
                "p_alive": model.probability_alive(state).to_numpy(),
                "bought": np.isin(every, days),
            }
        )
    )


# -- Value ---------------------------------------------------------------------------------------------------------------


class DecileDisplay(Display):
    """Mean value by tenths of the customers, best first; table: decile, customers, expected, share, and actual if known."""

    title = "Value by tenth of the customers"

    def _draw(self, ax: Axes) -> None:
        place = np.arange(len(self.table))
        both = "actual" in self.table
        ax.bar(place - 0.2 * both, self.table["expected"], 0.38 if both else 0.7, color=BLUE, label="expected")
        if both:
            ax.bar(place + 0.2, self.table["actual"], 0.38, color=PALE, edgecolor=GREY, linewidth=0.5, label="actual")
        ax.set_xticks(place, self.table["decile"])
        ax.set(xlabel="tenth of the customers by expected value, 1 the best", ylabel="mean value")
        ax.yaxis.set_major_formatter("{x:,.0f}")
        legend(ax)


def value_deciles(expected: ArrayLike, actual: ArrayLike | None = None) -> DecileDisplay:
    """Customers in ten groups of equal size by expected value, best first.

    Parameters
    ----------
    expected : array of shape (n_customers,)
        Value expected of each customer.
    actual : array of shape (n_customers,), optional
        What each of them brought, row by row.

    Returns
    -------
    DecileDisplay
        table: decile (1 to 10, or as many as there are customers), customers, expected (mean), share (of the expected
        total), and actual (mean) when it is given.

    Examples
    --------
    >>> value_deciles([9.0, 1.0, 0.0, 0.0]).table["share"].tolist()
    [0.9, 0.1, 0.0, 0.0]
    """
    value = np.asarray(expected, dtype=np.float64)
    if not len(value) or not np.isfinite(value).all():
        raise ContractError(f"expected must hold finite numbers, one a customer; it holds {len(value)} values.")
    best = np.argsort(-value, kind="stable")
    groups = min(10, len(value))
    tenth = np.empty(len(value), dtype=int)
    tenth[best] = np.arange(len(value)) * groups // len(value) + 1
    frame = pd.DataFrame({"decile": tenth, "expected": value})
    table = frame.groupby("decile")["expected"].agg(customers="size", expected="mean").reset_index()
    table["share"] = table["customers"] * table["expected"] / (value.sum() or 1.0)
    if actual is not None:
        frame["actual"] = np.asarray(actual, dtype=np.float64)
        table["actual"] = frame.groupby("decile")["actual"].mean().to_numpy()
    return DecileDisplay(table)
