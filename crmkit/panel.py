"""Customers at past days: what was known of each at the close of a day, and whether they bought on the days after it.

A panel stacks such snapshots. Nothing dated after a snapshot enters its features, and a label whose days have not all been
observed is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crmkit.engine import engine_for, is_spark, sql_text
from crmkit.exceptions import ContractError, LeakError
from crmkit.transactions import Transactions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["THEMES", "Snapshots", "customer_features", "date_terms", "snapshots"]

ANCHOR = "btyd_log_odds"
_LINES = ("n_lines", "n_categories", "categories_84", "categories_168", "paid", "discount", "branded", "store_brand")

THEMES: dict[str, tuple[str, ...]] = {
    "silence": ("log_silence", "log_overdue", "log_overdue_ahead", "longer_gaps", "beyond_longest"),
    "rhythm": ("log_gap", "log_cv", "mean_log_gap", "last_gap"),
    "frequency": ("log_purchases", "log_rate", "faded_60", "faded_150", "days_84", "days_168"),
    "recent visits": ("days_7", "days_14", "days_28", "days_56", "faded_20", "trend_28"),
    "spend": ("log_spend", "spend_trend"),
    "basket": ("lines", "categories", "categories_84", "categories_trend", "discount_share", "store_brand_share"),
    "drop-out model": (ANCHOR,),
    "season": ("season_sin", "season_cos", "half_year_sin", "half_year_cos"),
    "service": ("open_complaints", "recovered", "satisfaction"),
}
"""What each feature speaks of: reasons add up the terms of a theme."""


@dataclass(frozen=True)
class Snapshots:
    """A log that is looked at as of several days; made by `snapshots`."""

    log: Transactions
    _engine: Any
    _days: str
    _lines: str

    def state(self, as_of: str | date | int | None = None) -> pd.DataFrame:
        """One row per customer with a purchase by the close of ``as_of``.

        Returns
        -------
        DataFrame
            customer_id; frequency, recency, T, monetary_value and sum_log_gap as in `btyd_summary`; silence (days since
            the last purchase day); squared_gaps, longest_gap, last_gap (days between purchase days), longer_gaps (own
            gaps of at least the silence); days_7 … days_168 (purchase days in the last so many days), faded_20 …
            faded_150 (purchase days, one of age a counting exp(−a / 20) and so on); spend, spend_84, spend_168 (money
            in all, in the last 84 days and the 84 before); of the baskets, as they were bought, whether or not goods
            were taken back later: n_lines, n_categories, categories_84, categories_168, paid, discount, branded and
            store_brand (money on brand types as `BrandUsage` reads them).
        """
        day = self.day(as_of)
        state = self._frame("customer_state", [day] * 6, days=self._days)
        baskets = self._frame("customer_baskets", [day] * 2, lines=self._lines)
        state = state.merge(baskets, how="left", on="customer_id")
        return state.fillna(dict.fromkeys(_LINES, 0))

    def far_state(self, as_of: str | date | None = None) -> Any:
        """`state` of a log that is `on_spark`, as a Spark DataFrame that nobody has computed or collected yet."""
        day = self.day(as_of)
        state = self._engine.summary("customer_state", [day] * 6, days=self._days)
        baskets: Any = self._engine.summary("customer_baskets", [day] * 2, lines=self._lines)
        return state.join(baskets, "customer_id", "left").fillna(0, subset=list(_LINES))

    def after(self, as_of: str | date | int, horizon: int) -> pd.DataFrame:
        """What customers did on days as_of + 1 … as_of + horizon: customer_id, purchases, spend, n_categories.

        Raises
        ------
        LeakError
            Those days are not all observed.
        """
        day = self.day(as_of)
        if day + horizon > self.log.close_of(None):
            raise LeakError(
                f"The {horizon} days after {self.date(day)} are not all observed: the log ends on {self.log.until}."
            )
        return self.window(day, day + horizon)

    def window(self, after: int, until: int) -> pd.DataFrame:
        """What customers did on the days after one and up to another: customer_id, purchases, spend, n_categories."""
        return self._frame("customer_window", [after, until] * 2, days=self._days, lines=self._lines)

    def labels(self, state: pd.DataFrame, as_of: str | date | int, horizon: int) -> Floats:
        """1.0 for each customer of ``state`` who bought nothing on days as_of + 1 … as_of + horizon, else 0.0."""
        after = self.after(as_of, horizon)
        came = after.loc[after["purchases"] > 0, "customer_id"]
        silent = ~state["customer_id"].isin(came)
        return np.asarray(silent, dtype=np.float64)

    def day(self, as_of: str | date | int | None) -> int:
        """Day number of an ``as_of``; a day that has not been observed raises `LeakError`."""
        return self.log.close_of(self.date(as_of) if isinstance(as_of, int | np.integer) else as_of)

    @staticmethod
    def date(day: int) -> date:
        """The date of a day number."""
        return date(1970, 1, 1) + timedelta(days=int(day))

    def _frame(self, name: str, values: Sequence[int], **relations: str) -> pd.DataFrame:
        found = self._engine.summary(name, list(values), **relations)
        frame: pd.DataFrame = found.toPandas() if is_spark(found) else found
        return frame


@contextmanager
def snapshots(log: Transactions, share: float = 1.0) -> Iterator[Snapshots]:
    """Open a log to be looked at as of several days; what does not depend on the day is computed once.

    Parameters
    ----------
    log : Transactions
    share : float
        Share of the customers to take, the same ones on all days, chosen by a hash of the id.

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": ["a"] * 3, "amount": [1.0, 2.0, 3.0],
    ...                      "purchased_at": ["2017-01-01", "2017-01-05", "2017-02-01"]})
    >>> with snapshots(Transactions.from_extract(till, until="2017-03-01")) as shop:
    ...     state = shop.state("2017-01-20")
    ...     state[["frequency", "recency", "T", "silence", "spend"]].iloc[0].tolist(), shop.labels(state, "2017-01-20", 10)
    ([1.0, 4.0, 19.0, 15.0, 3.0], array([1.]))
    """
    with engine_for(log) as engine:
        days, lines = engine.parquet(log.days), engine.parquet(log.lines)
        if share < 1:
            few = f"where substr(md5('panel:' || customer_id), 1, 8) < '{int(share * 16**8):08x}'"
            days = engine.stage(f"select * from {days} {few}")
            lines = engine.stage(
                f"select customer_id, day, category, units, amount, discount, brand_type from {lines} {few}"
            )
        yield Snapshots(log, engine, days, engine.stage(sql_text("customer_lines", lines=lines)))


def customer_features(
    state: pd.DataFrame, horizon: int, log_odds_silent: Any = None, more: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """The features of a churn model: logarithms of what is known, smoothed so that one purchase is enough for all.

    Parameters
    ----------
    state : DataFrame of shape (n_customers, …)
        From `Snapshots.state`.
    horizon : int
        Days ahead.
    log_odds_silent : array (n_customers,), optional
        Log-odds of no purchase within the horizon as a buy-till-you-die model has them.
    more : mapping of str to array or number, optional
        Further columns: service signals, date terms.

    Returns
    -------
    DataFrame
        Finite numbers on the index of ``state``; what each column speaks of is in `THEMES`.

    Raises
    ------
    ContractError
        Columns are missing.

    Examples
    --------
    >>> from crmkit.testing import generated_log
    >>> with snapshots(generated_log(50)) as shop:
    ...     features = customer_features(shop.state(), horizon=30)
    >>> bool(np.isfinite(features.to_numpy()).all())
    True
    """
    missing = [name for name in ("silence", "squared_gaps", *_LINES) if name not in state.columns]
    if missing:
        raise ContractError(f"Columns not found: {missing}. Make the table with snapshots(log).state(as_of).")
    known = {
        name: state[name].to_numpy(dtype=np.float64, na_value=0.0) for name in state.columns if name != "customer_id"
    }
    columns = _visits(known, float(horizon)) | _gaps(known, float(horizon)) | _baskets(known)
    if log_odds_silent is not None:
        columns = {ANCHOR: np.asarray(log_odds_silent, dtype=np.float64)} | columns
    extra = {name: np.broadcast_to(np.asarray(value, float), len(state)) for name, value in (more or {}).items()}
    return pd.DataFrame(columns | extra, index=state.index)


def _visits(k: dict[str, Floats], horizon: float) -> dict[str, Floats]:
    """How often, how long ago, and whether it becomes less."""
    usual_28 = (k["days_84"] + 1) / 3 * 84 / np.minimum(84, k["T"] + 1)
    counts = {name: np.log1p(k[name]) for name in ("days_7", "days_14", "days_28", "days_56", "days_84", "days_168")}
    faded = {name: np.log(k[name] + 0.1) for name in ("faded_20", "faded_60", "faded_150")}
    return {
        "log_silence": np.log1p(k["silence"]),
        "log_purchases": np.log1p(k["frequency"]),
        "log_rate": np.log((k["frequency"] + 0.5) / (k["T"] + horizon)),
        **counts,
        **faded,
        "trend_28": np.log((k["days_28"] + 0.5) / (usual_28 + 0.5)),
    }


def _gaps(k: dict[str, Floats], horizon: float) -> dict[str, Floats]:
    """The customer's own rhythm, and how the silence compares with it."""
    n, gap = k["frequency"], usual_gap(k["frequency"], k["recency"], horizon)
    mean = k["recency"] / np.maximum(n, 1)
    return {
        "log_overdue": np.log1p(k["silence"] / gap),
        "log_overdue_ahead": np.log1p((k["silence"] + horizon) / gap),
        "longer_gaps": np.log((k["longer_gaps"] + 0.5) / (n - k["longer_gaps"] + 0.5)),
        "beyond_longest": np.log1p(k["silence"]) - np.log1p(k["longest_gap"]),
        "log_gap": np.log(gap),
        "log_cv": np.log(usual_variation(n, k["recency"], k["squared_gaps"])),
        "mean_log_gap": np.where(n > 0, k["sum_log_gap"] / np.maximum(n, 1) - np.log(np.maximum(mean, 1)), 0.0),
        "last_gap": np.log((np.where(n > 0, k["last_gap"], horizon) + 1) / (gap + 1)),
    }


def usual_gap(frequency: Floats, recency: Floats, horizon: float) -> Floats:
    """A customer's mean days between purchase days, with half a gap as long as the horizon added: never 0."""
    return np.asarray((recency + horizon / 2) / (frequency + 0.5), dtype=np.float64)


def usual_variation(frequency: Floats, recency: Floats, squared_gaps: Floats) -> Floats:
    """Coefficient of variation of a customer's gaps, with two gaps of a purely random rhythm (1) added."""
    n, mean = np.maximum(frequency, 1), recency / np.maximum(frequency, 1)
    spread = np.sqrt(np.maximum(squared_gaps / n - mean**2, 0))
    own = np.where(frequency > 1, spread / np.maximum(mean, 1), 1.0)
    return np.asarray((own * frequency + 2) / (frequency + 2), dtype=np.float64)


def _baskets(k: dict[str, Floats]) -> dict[str, Floats]:
    """Money and goods; shares are 0 where nothing is known."""
    full = k["paid"] + k["discount"]
    spend, recent, before = (np.log1p(np.maximum(k[name], 0)) for name in ("spend", "spend_84", "spend_168"))
    return {
        "log_spend": spend - np.log1p(k["frequency"]),
        "spend_trend": recent - before,
        "lines": np.log1p(k["n_lines"] / (k["frequency"] + 1)),
        "categories": np.log1p(k["n_categories"]),
        "categories_84": np.log1p(k["categories_84"]),
        "categories_trend": np.log1p(k["categories_84"]) - np.log1p(k["categories_168"]),
        "discount_share": _share(k["discount"], full),
        "store_brand_share": _share(k["store_brand"], k["branded"]),
    }


def _share(part: Floats, whole: Floats) -> Floats:
    return np.clip(np.where(whole > 0, part / np.where(whole > 0, whole, 1), 0.0), 0.0, 1.0)


def date_terms(day: int, horizon: int) -> dict[str, float]:
    """Where the middle of the window lies in the year: a year's and half a year's wave.

    >>> {name: round(value, 2) for name, value in date_terms(17_166, 30).items()}
    {'season_sin': 0.26, 'season_cos': 0.97, 'half_year_sin': 0.49, 'half_year_cos': 0.87}
    """
    angle = 2 * np.pi * (day + horizon / 2 - 17_166) / 365.25
    return {
        "season_sin": float(np.sin(angle)),
        "season_cos": float(np.cos(angle)),
        "half_year_sin": float(np.sin(2 * angle)),
        "half_year_cos": float(np.cos(2 * angle)),
    }
