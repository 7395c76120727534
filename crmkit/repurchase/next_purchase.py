"""`NextPurchase`: when each customer will need each item again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from crmkit._atomic import replacing
from crmkit._checks import no_customer
from crmkit._types import Floats
from crmkit.engine.frames import to_pandas
from crmkit.exceptions import ContractError, ModelError
from crmkit.repurchase import documents
from crmkit.repurchase._hazard_math import day_survival, mean_day, quantile_day
from crmkit.repurchase.explanation import LONGEST, Explanation, window_in_words
from crmkit.repurchase.features import needs
from crmkit.repurchase.hazard import BoostedHazard, WeeklyHazard
from crmkit.repurchase.next_basket import new_items, recommended, trip_rates
from crmkit.repurchase.rates import RepurchaseRate
from crmkit.repurchase.reasons import reasons
from crmkit.repurchase.trip_share import TripShare
from crmkit.summaries.items import item_state, n_pairs, purchase_days
from crmkit.summaries.purchase_history import PurchaseHistory, Question, as_text, purchase_history
from crmkit.transactions.log import Transactions

if TYPE_CHECKING:
    from crmkit._types import Floats

__all__ = ["NextPurchase", "load_next_purchase"]

_STEP = 14
_ORIGINS = 10
_HISTORY = 84
_PAIRS = 1_000_000
_ROWS = 500_000
_ANSWERS = (
    "customer_id string, `{item}` string, p_purchase double, expected_day double, day_10 double, day_50 double, day_90 double, "
    "p_stopped double, reason string, n_purchases bigint, spend double, as_of timestamp_ntz, horizon bigint"
)
_CURVE = ("p_purchase", "expected_day", "day_10", "day_50", "day_90", "p_stopped")
_HAZARDS: dict[str, type[WeeklyHazard]] = {"boosted": BoostedHazard, "logistic": WeeklyHazard}


class NextPurchase(BaseEstimator):  # type: ignore[misc]
    """Probability and day of the next purchase of every customer and item.

    A weekly hazard, learned at earlier origins of the log: what was known of each pair then, and when it was bought next. Among
    what it is told are two closed forms with a prior per item, shrunk to that of all items: purchases that may have stopped
    (`RepurchaseRate`), and the customer's trips times the item's share of them (`TripShare`). The open spell since the
    last purchase counts as watched in all three. A log too short to look back from is answered by the two closed forms.

    Parameters
    ----------
    by : str or sequence of str
        Item column of the log: category, product_id, brand, … Several are levels, the finest first: rows are of the
        first, and what is known of the others helps (``["product_id", "category"]``: how often the customer buys the
        category tells of a product bought once).
    exclude : sequence of str
        Items that are no goods (deposits, miscellaneous codes).
    hazard : str
        "logistic", or "boosted": averaged with boosted trees, a little better and much slower.

    Attributes
    ----------
    estimator_ : WeeklyHazard
        The estimator over the feature table; its ``rates`` and ``shares`` are the closed forms.
    origins_ : list of date
        Origins that it was learned at; empty when the log is too short.
    new_items_ : DataFrame
        item, buyers, per_trip: how often, per trip of those who had not, an item was bought for the first time of late.

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": ["a"] * 4, "category": ["Milk"] * 4, "amount": [1, 1, 1, 1],
    ...                      "purchased_at": ["2017-01-01", "2017-01-08", "2017-01-15", "2017-01-22"]})
    >>> log = Transactions.from_extract(till, until="2017-01-26")
    >>> due = NextPurchase(by="category").fit(log).predict(log, horizon=14)
    >>> due.loc[0, "reason"]
    'bought 4 times, every 7 days or so, last 4 days ago'
    """

    def __init__(
        self, by: str | Sequence[str] = "category", exclude: Sequence[str] = (), hazard: str = "logistic"
    ) -> None:
        self.by = by
        self.exclude = exclude
        self.hazard = hazard

    backtest_horizon: ClassVar[int] = 14
    """Days ahead of a backtest that states none."""

    @property
    def item(self) -> str:
        """The item column of the rows: ``by``, or the first of its levels."""
        return self.levels[0]

    @property
    def levels(self) -> list[str]:
        """The item column and the levels above it."""
        levels = [self.by] if isinstance(self.by, str) else list(self.by)
        if not levels:
            raise ModelError("by=[] names no item column; give one, or the finest first: ['product_id', 'category'].")
        return levels

    def fit(self, log: Transactions, as_of: str | date | None = None) -> Self:
        """Learn from what happened up to the close of ``as_of`` (default: the log's ``until``).

        Raises
        ------
        ModelError
            No customer has bought any item by then.

        Notes
        -----
        A log of more than a million pairs is learned from a share of its customers, the same at all origins. Of a log that
        is `on_spark` these are all that comes to the driver, an origin at a time.
        """
        with purchase_history(log, self.levels, self.exclude) as history:
            return self.fit_history(history, as_of)

    def fit_history(self, history: PurchaseHistory, as_of: str | date | None = None) -> Self:
        """`fit` on a log that is open already, with this model's levels, so that several fits share what is fetched of it."""
        kind = _HAZARDS.get(self.hazard)
        if kind is None:
            raise ModelError(f"hazard={self.hazard!r} is not known; there are {sorted(_HAZARDS)}.")
        ages = _ages(history.log, as_of)
        share = _PAIRS / max(1, n_pairs(history.log, self.item, as_of))
        states = history.panel(as_of, [0, *ages], share)
        with threadpool_limits(1):
            today = next(states)
            rates, shares = RepurchaseRate().fit(today), TripShare().fit(today)
            panel = _panel(states, today, needs(tuple(self.levels[1:])), len(ages))
            self.estimator_ = kind(rates, shares, above=tuple(self.levels[1:])).fit(panel, panel)
        close = _date(history.log, as_of)
        self.origins_ = [close - timedelta(days=age) for age in ages] if self.estimator_.curves_ else []
        self.new_items_ = as_text(new_items(today))
        return self

    def predict(self, log: Transactions, as_of: str | date | None = None, horizon: int = 14) -> pd.DataFrame:
        """One row per customer and item bought before.

        Returns
        -------
        DataFrame
            customer_id; the item column; p_purchase, P(bought on days as_of + 1 … as_of + horizon); expected_day, given
            that it comes within 84 days; day_10, day_50, day_90, days from ``as_of`` by which it has been bought with
            that probability (missing when beyond 84 days); p_stopped; reason; n_purchases; spend, mean money per
            purchase day; as_of; horizon. Of a log that is `on_spark` a Spark DataFrame, computed where the rows are when it
            is used; executors need crmkit.
        """
        with purchase_history(log, self.levels, self.exclude) as history:
            return self.predict_history(history, as_of, horizon)

    def write_predictions(
        self,
        log: Transactions,
        path: str | os.PathLike[str],
        as_of: str | date | None = None,
        horizon: int = 14,
    ) -> Path:
        """The table of `predict` as a Parquet file, written a part of the customers at a time: a log of any size needs as much
        memory as one of a million lines. One that is in memory already, after a fit of it say, is written as it is there.

        Parameters
        ----------
        log, as_of, horizon
            As in `predict`.
        path : path
            A file there is replaced when the new one is whole, or not at all. All rows of a customer follow each other.
        """
        with purchase_history(log, self.levels, self.exclude) as history, replacing(Path(path)) as part:
            history.write_answers(part, *self._question(history, as_of, horizon))
        return Path(path)

    def predict_history(
        self, history: PurchaseHistory, as_of: str | date | None = None, horizon: int = 14
    ) -> pd.DataFrame:
        """`predict` for a log that is open already, with this model's levels."""
        return history.answers(*self._question(history, as_of, horizon))

    def _question(self, history: PurchaseHistory, as_of: str | date | None, horizon: int) -> Question:
        check_is_fitted(self, "estimator_")
        _check_horizon(horizon)
        answer = partial(self._answers, close=_date(history.log, as_of), horizon=horizon)
        return as_of, answer, _ANSWERS.format(item=self.item)

    def predict_distribution(self, log: Transactions, as_of: str | date | None = None) -> pd.DataFrame:
        """P(bought by the close of day as_of + 1, …, as_of + 84), one row per customer and item bought before.

        Returns
        -------
        DataFrame
            customer_id, the item column, and columns 1 … 84. Of a log that is `on_spark` a Spark DataFrame.
        """
        check_is_fitted(self, "estimator_")
        days = ", ".join(f"`{day}` double" for day in range(1, LONGEST + 1))
        with purchase_history(log, self.levels, self.exclude) as history:
            return history.answers(as_of, self._curves, f"customer_id string, `{self.item}` string, {days}")

    def _curves(self, state: pd.DataFrame) -> pd.DataFrame:
        bought = 1 - day_survival(self.estimator_.weekly_survival(state), np.arange(1, LONGEST + 1))
        curve = pd.DataFrame(bought, columns=range(1, LONGEST + 1))
        return pd.concat([self._pairs(state), curve], axis=1)

    def _pairs(self, state: pd.DataFrame) -> pd.DataFrame:
        return as_text(state[["customer_id", "item"]]).rename(columns={"item": self.item})

    def explain(
        self, log: Transactions, customer_id: str, item: str, as_of: str | date | None = None, horizon: int = 14
    ) -> Explanation:
        """What is expected of one customer and item, and what it rests on.

        A pair that was never bought is answered by how often others buy the item for the first time.

        Raises
        ------
        ContractError
            The log has no purchase of the customer (the nearest ids are named).
        """
        check_is_fitted(self, "estimator_")
        _check_horizon(horizon)
        customer_id, item = str(customer_id), str(item)
        days = purchase_days(log, self.item, customer_id, item, as_of)
        state = item_state(log, self.levels, as_of, self.exclude)
        member = to_pandas(state[state["customer_id"] == customer_id]).reset_index(drop=True)
        if member.empty:
            raise no_customer(customer_id, to_pandas(state[["customer_id"]].drop_duplicates())["customer_id"].tolist())
        mine = member[member["item"] == item].reset_index(drop=True)
        close = _date(log, as_of)
        if mine.empty:
            p = self._first_purchase(member, item, horizon)
            return Explanation(
                customer_id, item, close, horizon, p, "never bought", days, pd.DataFrame(), pd.DataFrame()
            )
        answer = self._answers(mine, close, horizon).iloc[0]
        bought = 1 - day_survival(self.estimator_.weekly_survival(mine), np.arange(LONGEST + 1))[0]
        curve = pd.DataFrame({"day": np.arange(LONGEST + 1), "p_bought": bought})
        return Explanation(
            customer_id, item, close, horizon, float(answer["p_purchase"]), window_in_words(answer, close), days, curve,
            self.estimator_.contributions(mine),
        )  # fmt: skip

    def recommend(
        self, log: Transactions, k: int = 10, explore: int = 0, as_of: str | date | None = None, horizon: int = 7
    ) -> pd.DataFrame:
        """The ``k`` items each customer is most likely to buy: bought before, and ``explore`` that were not.

        Returns
        -------
        DataFrame
            customer_id, the item column, rank (1 is the most likely), p_purchase, part ("repeat" or "explore"). A customer
            who has bought fewer items than there are places for gets more that are new.

        Raises
        ------
        ModelError
            The log is `on_spark`.
        """
        check_is_fitted(self, "estimator_")
        if log.on_spark:
            raise ModelError(
                "recommend does not run on Spark. Give it the log as it was opened, without on_spark; or rank the p_purchase "
                "of predict(log) within each customer."
            )
        _check_horizon(horizon)
        if not 0 <= explore <= k or k < 1:
            raise ModelError(
                f"k={k} and explore={explore}: a list has at least one item, and explore is 0 … k of them."
            )
        state = item_state(log, self.levels, as_of, self.exclude)
        p = np.asarray(self.estimator_.probability_of_purchase(state, horizon), dtype=np.float64)
        return recommended(state, p, self.new_items_, k, explore, horizon).rename(columns={"item": self.item})

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the fitted model as one JSON document; `load_next_purchase` gives it back to the last digit.

        Raises
        ------
        ContractError
            The hazard is "boosted": its trees have no document.
        """
        check_is_fitted(self, "estimator_")
        return documents.write(self, path)

    def _answers(self, state: pd.DataFrame, close: date, horizon: int) -> pd.DataFrame:
        answers = {name: np.empty(len(state)) for name in _CURVE}
        for rows, weekly, stopped in self.estimator_.curves(state):
            for name, values in zip(_CURVE, _curve_answers(weekly, stopped, horizon), strict=True):
                answers[name][rows] = values
        return self._pairs(state).assign(
            **answers,
            reason=reasons(state),
            n_purchases=state["frequency"] + 1,
            spend=state["spend"],
            as_of=pd.Timestamp(close),
            horizon=horizon,
        )

    def _first_purchase(self, member: pd.DataFrame, item: str, horizon: int) -> float:
        known = self.new_items_[self.new_items_["item"] == item]
        per_trip = self.new_items_["per_trip"].mean() if known.empty else known["per_trip"].iloc[0]
        return float(-np.expm1(-horizon * trip_rates(member.iloc[:1])[0] * per_trip))


def load_next_purchase(path: str | os.PathLike[str]) -> NextPurchase:
    """Read a model saved by `NextPurchase.save`; its answers are the same to the last digit.

    Raises
    ------
    ExtractError
        The file cannot be read.
    ContractError
        It is not such a model, or was changed after it was saved. Nothing in a file is ever executed.
    """
    model = documents.read(path)
    if not isinstance(model, NextPurchase):
        raise ContractError(f"{os.fspath(path)!r} holds a {type(model).__name__}, not a NextPurchase.")
    return model


def _date(log: Transactions, as_of: str | date | None) -> date:
    return date(1970, 1, 1) + timedelta(days=log.close_of(as_of))


def _check_horizon(horizon: int) -> None:
    if not 0 < horizon <= LONGEST or horizon != int(horizon):
        raise ModelError(f"horizon={horizon} is not a whole number of days between 1 and {LONGEST} days.")


def _ages(log: Transactions, as_of: str | date | None) -> list[int]:
    """Days before ``as_of`` to learn at: a fortnight apart, each with a history of 84 days, or of half a shorter log."""
    first = log.first_day(as_of)
    days = 0 if first is None else log.close_of(as_of) - first
    oldest = days - min(_HISTORY, days // 2)
    return [age for age in range(_STEP, _STEP * _ORIGINS + 1, _STEP) if age <= oldest]


def _panel(states: Iterator[pd.DataFrame], today: pd.DataFrame, wanted: Sequence[str], n_states: int) -> pd.DataFrame:
    """Rows of origins, drawn so that there are at most about 500,000 of new and of regular pairs each: from 300,000 on,
    more of them change the log-loss by less than .0002.
    """
    rng, regular = np.random.default_rng(0), today["frequency"] >= 2
    most = _ROWS / max(n_states, 1)
    chances = most / max(regular.sum(), 1), most / max((~regular).sum(), 1)
    columns = ["item", *wanted, "wait", "follow"]
    parts = [today.iloc[:0][columns]]
    for part in states:
        drawn = rng.random(len(part)) < np.where(part["frequency"] >= 2, *chances)
        parts.append(part[columns].take(np.flatnonzero(drawn)))
    return pd.concat(parts, ignore_index=True)


def _curve_answers(weekly: Floats, stopped: Floats, horizon: int) -> tuple[Floats, ...]:
    """The columns of `_CURVE`, told from P(no purchase by the end of each week), and the part of the silent that have stopped."""
    days = (quantile_day(weekly, q) for q in (0.1, 0.5, 0.9))
    return 1 - day_survival(weekly, horizon), mean_day(weekly), *days, weekly[:, -1] * stopped
