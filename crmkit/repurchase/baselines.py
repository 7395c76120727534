"""What a model of the next purchase must beat: rules that need no model, and the published ones.

Each gives P(bought within the horizon) for the rows of `summaries.items.item_state`, in their order, from that table alone, or
from such a table a horizon earlier where it says so.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from crmkit._types import Floats
from crmkit.repurchase import _rates_math as gap

__all__ = ["amazon_mpg", "base_rate", "own_interval", "own_rate", "p_topfreq", "poisson_gamma"]


def base_rate(state: pd.DataFrame, horizon: int, past: pd.DataFrame) -> Floats:
    """Share of each item's pairs bought within as many days of an origin.

    Parameters
    ----------
    past : DataFrame
        From `summaries.items.item_panel` at least a horizon earlier: it has wait. One pair of the overall share is added to each
        item's own, so that no item is called impossible or certain.
    """
    bought = past["wait"] <= horizon
    overall = (bought.sum() + 0.5) / (len(past) + 1)
    rates = bought.groupby(past["item"]).agg(["sum", "size"])
    share = (rates["sum"] + overall) / (rates["size"] + 1)
    return state["item"].map(share).fillna(overall).to_numpy(dtype=np.float64)


def own_interval(state: pd.DataFrame, horizon: int) -> Floats:
    """1 − exp(−horizon / mean interval); a pair bought once has the mean interval of its item, or of all."""
    x, span = state["frequency"], state["recency"]
    of_item = span.groupby(state["item"]).transform("sum") / x.groupby(state["item"]).transform("sum").replace(
        0, np.nan
    )
    usual = span.sum() / max(x.sum(), 1) if x.sum() else float(horizon)
    mean = (span / x.replace(0, np.nan)).fillna(of_item).fillna(usual).clip(lower=1)
    return _at_rate(1 / mean.to_numpy(dtype=np.float64), horizon)


def own_rate(state: pd.DataFrame, horizon: int) -> Floats:
    """1 − exp(−horizon × repeat purchases / days since the first): the open spell counts."""
    rate = state["frequency"].to_numpy(dtype=np.float64) / np.maximum(state["T"].to_numpy(dtype=np.float64), 1)
    return _at_rate(rate, horizon)


def poisson_gamma(state: pd.DataFrame, horizon: int) -> Floats:
    """Negative binomial with a gamma prior per item, by empirical Bayes (Ehrenberg 1959); no customer stops."""
    r, alpha, x, T = _gamma(state)
    return gap.purchase_probability(r, alpha, x, T, float(horizon))


def amazon_mpg(state: pd.DataFrame, horizon: int) -> Floats:
    """After the modified Poisson-gamma of Bhagat, Muralidharan, Lobzhanidze & Vishwanath (2018), *Buy It Again*, KDD.

    1 − exp(−λ · horizon) with λ = (n + r) / (span + watched + α): n purchases, from the first to the last in ``span`` days.
    The t days since count as 2 |mean gap − t| until twice the mean gap and as t from there, so that the rate is highest
    when the usual time has passed. A pair bought once has the mean gap of the prior. The prior is that of
    `poisson_gamma`; the paper fits it to the rates of single customers, which does worse. Without its factor for
    items that few buy again.
    """
    r, alpha, x, _ = _gamma(state)
    span, since = (
        state["recency"].to_numpy(dtype=np.float64),
        (state["T"] - state["recency"]).to_numpy(dtype=np.float64),
    )
    mean_gap = np.where(x > 0, span / np.maximum(x, 1), alpha / r)
    watched = np.where(since < 2 * mean_gap, 2 * np.abs(mean_gap - since), since)
    return _at_rate((x + 1 + r) / (span + watched + alpha), horizon)


def p_topfreq(state: pd.DataFrame) -> Floats:
    """The customer's own purchase days of the item, most first: a list, not a probability (Li et al. 2023)."""
    return (state["frequency"] + 1).to_numpy(dtype=np.float64)


def _gamma(state: pd.DataFrame) -> tuple[Floats, Floats, Floats, Floats]:
    """r and alpha of each row's item, its repeat purchases, and its days since the first."""
    x, T = (state[name].to_numpy(dtype=np.float64) for name in ("frequency", "T"))
    codes: Any = pd.factorize(state["item"])[0].astype(np.int64)
    whole = gap.fit_gamma_rates(gap.GammaCells.of(np.zeros_like(codes), x, T, 1))
    centre = (float(whole[0][0]), float(whole[1][0]))
    log_r, log_alpha = gap.fit_gamma_rates(gap.GammaCells.of(codes, x, T, int(codes.max(initial=-1)) + 1), centre)
    return np.exp(log_r)[codes], np.exp(log_alpha)[codes], x, T


def _at_rate(rate: Floats, horizon: int) -> Floats:
    p: Floats = -np.expm1(-horizon * rate)
    return p
