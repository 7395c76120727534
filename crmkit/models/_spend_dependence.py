"""Does spend per purchase depend on how often a customer buys? The test of what the gamma-gamma model assumes."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from scipy.stats import chi2

from crmkit.models.gamma_gamma import GammaGamma, GammaGammaTrend

_CERTAIN, _MATERIAL, _ENOUGH = 0.01, 1.25, 100


def spend_dependence(plain: GammaGamma, trend: GammaGammaTrend) -> dict[str, float] | None:
    """Correlation of frequency and spend, and the factor on spend for each doubling of purchases, with 95 % intervals.

    The p-value is that of the likelihood ratio, or of Wald's test where a prior held the plain model. Where the trend itself
    rests on its prior, as with an infinite mean of spend, correlation and p-value are those of the ranks, which need no mean;
    None where there are too few customers for that.
    """
    by_rank = trend.prior_used_
    if by_rank and (plain.rank_correlation_ is None or plain.n_customers_ < _ENOUGH):
        return None
    factor, error = trend.params_["per_doubling"], trend.standard_errors_["per_doubling"]
    far = math.exp(1.96 * error / factor)
    around = 1.96 / math.sqrt(max(plain.n_customers_ - 3, 1))
    correlation = (plain.rank_correlation_ if by_rank else plain.correlation_) or 0.0
    centre = math.atanh(min(max(correlation, -0.999999), 0.999999))
    p_value = 2 * NormalDist().cdf(-abs(math.log(factor)) * factor / error)
    if by_rank:
        p_value = 2 * NormalDist().cdf(-abs(correlation) * math.sqrt(plain.n_customers_ - 1))
    elif not plain.prior_used_ and plain.log_likelihood_ is not None and trend.log_likelihood_ is not None:
        p_value = float(chi2.sf(2 * max(trend.log_likelihood_ - plain.log_likelihood_, 0.0), 1))
    return {
        "correlation": correlation,
        "correlation_low": float(np.tanh(centre - around)),
        "correlation_high": float(np.tanh(centre + around)),
        "per_doubling": factor,
        "per_doubling_low": factor / far,
        "per_doubling_high": factor * far,
        "p_value": p_value,
    }


def is_material(found: dict[str, float]) -> bool:
    """Whether the trend is certain and strong enough to be carried on to customers without repeat purchases."""
    return found["p_value"] < _CERTAIN and not 1 / _MATERIAL <= found["per_doubling"] <= _MATERIAL


def dependence_note(found: dict[str, float] | None, used: bool) -> str:
    """A sentence on what was found, and whether the spend model follows it."""
    if found is None:
        return ""
    return (
        f"Spend and frequency: correlation {found['correlation']:.2f} ({found['correlation_low']:.2f} to "
        f"{found['correlation_high']:.2f}), spend × {found['per_doubling']:.2f} for each doubling of purchases "
        f"(p = {found['p_value']:.2g}); "
        + ("the spend model follows it." if used else "the spend model takes them as independent.")
    )
