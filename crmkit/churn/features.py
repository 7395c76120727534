"""The features of a churn model: what a customer's state at the close of a day says, as finite numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmkit._checks import require_columns
from crmkit._types import Floats
from crmkit.summaries.snapshots import LINES

if TYPE_CHECKING:
    from crmkit._types import Numbers

__all__ = ["THEMES", "customer_features", "date_terms"]

ANCHOR = "btyd_log_odds"

THEMES: dict[str, tuple[str, ...]] = {
    "recency": ("log_days_since_last", "log_overdue", "log_overdue_ahead", "longer_gaps", "beyond_longest"),
    "rhythm": ("log_gap", "log_cv", "mean_log_gap", "last_gap"),
    "frequency": ("log_purchases", "log_rate", "decayed_60", "decayed_150", "days_84", "days_168"),
    "recent visits": ("days_7", "days_14", "days_28", "days_56", "decayed_20", "trend_28"),
    "spend": ("log_spend", "spend_trend"),
    "basket": ("lines", "categories", "categories_84", "categories_trend", "discount_share", "store_brand_share"),
    "dropout model": (ANCHOR,),
    "season": ("season_sin", "season_cos", "half_year_sin", "half_year_cos"),
    "service": ("open_complaints", "recovered", "satisfaction"),
}
"""The features by theme; a reason adds up the terms of its theme."""


def customer_features(
    state: pd.DataFrame, horizon: int, btyd_log_odds: Floats | None = None, more: Mapping[str, Numbers] | None = None
) -> pd.DataFrame:
    """Features of each customer: logarithms of counts, intervals and money, smoothed so that one purchase is enough.

    Parameters
    ----------
    state : DataFrame of shape (n_customers, …)
        From `Snapshots.state`.
    horizon : int
        Days ahead.
    btyd_log_odds : array (n_customers,), optional
        Log-odds of no purchase within the horizon by a buy-till-you-die model.
    more : mapping of str to array or number, optional
        Further columns: service signals, date terms.

    Returns
    -------
    DataFrame
        Finite numbers on the index of ``state``; `THEMES` groups the columns.

    Raises
    ------
    ContractError
        Columns are missing.

    Examples
    --------
    >>> from crmkit.summaries.snapshots import snapshots
    >>> from crmkit.testing import generated_log
    >>> with snapshots(generated_log(50)) as shop:
    ...     features = customer_features(shop.state(), horizon=30)
    >>> bool(np.isfinite(features.to_numpy()).all())
    True
    """
    made = "Make it with snapshots(log).state(as_of)."
    require_columns(state, ("days_since_last", "squared_gaps", *LINES), advice=made)
    known = {
        name: state[name].to_numpy(dtype=np.float64, na_value=0.0) for name in state.columns if name != "customer_id"
    }
    columns = _visits(known, float(horizon)) | _gaps(known, float(horizon)) | _baskets(known)
    if btyd_log_odds is not None:
        columns = {ANCHOR: np.asarray(btyd_log_odds, dtype=np.float64)} | columns
    extra = {name: np.broadcast_to(np.asarray(value, float), len(state)) for name, value in (more or {}).items()}
    return pd.DataFrame(columns | extra, index=state.index)


def _visits(k: dict[str, Floats], horizon: float) -> dict[str, Floats]:
    """How often, how long ago, and whether it becomes less."""
    usual_28 = (k["days_84"] + 1) / 3 * 84 / np.minimum(84, k["T"] + 1)
    counts = {name: np.log1p(k[name]) for name in ("days_7", "days_14", "days_28", "days_56", "days_84", "days_168")}
    decayed = {name: np.log(k[name] + 0.1) for name in ("decayed_20", "decayed_60", "decayed_150")}
    return {
        "log_days_since_last": np.log1p(k["days_since_last"]),
        "log_purchases": np.log1p(k["frequency"]),
        "log_rate": np.log((k["frequency"] + 0.5) / (k["T"] + horizon)),
        **counts,
        **decayed,
        "trend_28": np.log((k["days_28"] + 0.5) / (usual_28 + 0.5)),
    }


def _gaps(k: dict[str, Floats], horizon: float) -> dict[str, Floats]:
    """The customer's own interpurchase times, and how the time since the last purchase compares with them."""
    n, gap = k["frequency"], usual_interval(k["frequency"], k["recency"], horizon)
    mean = k["recency"] / np.maximum(n, 1)
    return {
        "log_overdue": np.log1p(k["days_since_last"] / gap),
        "log_overdue_ahead": np.log1p((k["days_since_last"] + horizon) / gap),
        "longer_gaps": np.log((k["longer_gaps"] + 0.5) / (n - k["longer_gaps"] + 0.5)),
        "beyond_longest": np.log1p(k["days_since_last"]) - np.log1p(k["longest_gap"]),
        "log_gap": np.log(gap),
        "log_cv": np.log(usual_variation(n, k["recency"], k["squared_gaps"])),
        "mean_log_gap": np.where(n > 0, k["sum_log_gap"] / np.maximum(n, 1) - np.log(np.maximum(mean, 1)), 0.0),
        "last_gap": np.log((np.where(n > 0, k["last_gap"], horizon) + 1) / (gap + 1)),
    }


def usual_interval(frequency: Floats, recency: Floats, horizon: float) -> Floats:
    """A customer's mean days between purchase days, with half an interval of the horizon's length added: never 0."""
    return np.asarray((recency + horizon / 2) / (frequency + 0.5), dtype=np.float64)


def usual_variation(frequency: Floats, recency: Floats, squared_gaps: Floats) -> Floats:
    """Coefficient of variation of a customer's interpurchase times, shrunk to 1 (random purchases) by two more of them."""
    n, mean = np.maximum(frequency, 1), recency / np.maximum(frequency, 1)
    spread = np.sqrt(np.maximum(squared_gaps / n - mean**2, 0))
    own = np.where(frequency > 1, spread / np.maximum(mean, 1), 1.0)
    return np.asarray((own * frequency + 2) / (frequency + 2), dtype=np.float64)


def _baskets(k: dict[str, Floats]) -> dict[str, Floats]:
    """Money and items; shares are 0 where nothing is known."""
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
