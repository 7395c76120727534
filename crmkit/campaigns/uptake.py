"""How offers are taken up, compared with what was foretold of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from crmkit._checks import require_columns

__all__ = ["OfferUptake", "offer_uptake"]


@dataclass(frozen=True)
class OfferUptake:
    """How often offers of a kind are redeemed, compared with what the model expects of them; prints as a sentence.

    Attributes
    ----------
    kind : str
        "offers of known goods" or "trial offers".
    rate, sd : float
        Redemptions as a multiple of those expected: posterior mean, and its standard deviation.
    offers, redeemed : int
        Offers whose days are over, and how many were redeemed.
    expected : float
        Redemptions that were expected of them, were the multiple 1.
    """

    kind: str
    rate: float
    sd: float
    offers: int
    redeemed: int
    expected: float

    def __str__(self) -> str:
        return (
            f"{self.redeemed:,} of {self.offers:,} {self.kind} were redeemed, {self.expected:,.1f} were to be expected: "
            f"they are redeemed {self.rate:.2f} times as often (± {1.96 * self.sd:.2f})."
        )


def offer_uptake(
    offers: pd.DataFrame,
    redeemed: pd.DataFrame,
    rates: pd.Series | None = None,
    mean: float = 0.2,
    prior_weight: float = 10.0,
) -> tuple[OfferUptake, OfferUptake]:
    """Uptake of offers of goods that the member had bought before, and of trial offers: a gamma-Poisson model of each.

    Each offer's expected redemption holds what is known of the member's need, the goods' share and the member's readiness to
    redeem. That readiness is learned too, so it is taken as it is known now, not as it was then. Their sum E and the
    redemptions R give the multiple ``(R + w) / (E + w)``: as expected, until ``w`` redemptions' worth of evidence says
    otherwise.

    Parameters
    ----------
    offers : DataFrame
        customer_id, deal_id, is_trial, p_redeem; campaign where there are several; readiness and uptake, the member's rate and
        the multiple that are in p_redeem (the rate as now, and 1, where they are missing).
    redeemed : DataFrame
        The same keys: offers that were redeemed.
    rates : Series of float, optional
        customer_id → the rate known now, as ``redemption_rates`` gives it.
    mean : float
        That of other members.
    prior_weight : float

    Returns
    -------
    OfferUptake of goods bought before, OfferUptake of trials

    Examples
    --------
    >>> offers = pd.DataFrame({"customer_id": list("abcd"), "deal_id": "D1", "is_trial": [True, True, True, False], "p_redeem": 0.1})
    >>> known, trial = offer_uptake(offers, offers.head(2), prior_weight=1.0)
    >>> print(trial)
    2 of 3 trial offers were redeemed, 0.3 were to be expected: they are redeemed 2.31 times as often (± 2.61).
    """
    keys = [name for name in ("campaign", "customer_id", "deal_id") if name in offers]
    require_columns(offers, ["customer_id", "deal_id", "is_trial", "p_redeem"], "offers")
    require_columns(redeemed, keys, "redeemed")
    now = offers["customer_id"].map({} if rates is None else rates).astype(float).fillna(mean)
    then = _column(offers, "readiness").fillna(now)
    foretold = offers["p_redeem"].astype(float) * now / then / _column(offers, "uptake").fillna(1.0)
    taken = redeemed[keys].drop_duplicates().assign(taken=True)
    was_taken = offers[keys].merge(taken, how="left", on=keys)["taken"].notna().to_numpy()
    trial = offers["is_trial"].to_numpy(bool)
    kinds = (("offers of known goods", ~trial), ("trial offers", trial))
    known, tried = (_uptake(kind, foretold[those], was_taken[those], prior_weight) for kind, those in kinds)
    return known, tried


def _column(offers: pd.DataFrame, name: str) -> pd.Series[float]:
    return offers[name].astype(float) if name in offers else pd.Series(np.nan, index=offers.index)


def _uptake(kind: str, foretold: pd.Series[float], taken: np.ndarray, weight: float) -> OfferUptake:
    expected, came = float(foretold.sum()), int(taken.sum())
    rate = (came + weight) / (expected + weight)
    return OfferUptake(kind, rate, math.sqrt(came + weight) / (expected + weight), len(foretold), came, expected)
