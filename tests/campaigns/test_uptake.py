"""How offers are taken up beside what was foretold of them, against known truths."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crmkit.campaigns.uptake import offer_uptake

N = 6000


def made(known: float, tried: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Offers of which so many times as many are redeemed as need, share and readiness foretell, half of them trials."""
    rng = np.random.default_rng(1)
    second = np.arange(N) % 2 == 1
    trial = np.arange(N) < N // 2
    within = np.where(second, 0.5, 1.0)  # the multiple that the second campaign's forecast held already
    offers = pd.DataFrame(
        {
            "campaign": np.where(second, "two", "one"),
            "customer_id": np.arange(N).astype(str),
            "deal_id": "D1",
            "is_trial": trial,
            "readiness": 0.2,
            "uptake": within,
            "p_redeem": 0.2 * within,
        }
    )
    return offers, offers[rng.random(N) < 0.2 * np.where(trial, tried, known)]


def test_each_kind_is_learned_from_its_own_and_undoes_what_was_in_the_forecast() -> None:
    offers, redeemed = made(known=0.7, tried=0.4)
    known, trial = offer_uptake(offers, redeemed)
    assert known.rate == pytest.approx(0.7, abs=3 * known.sd)
    assert trial.rate == pytest.approx(0.4, abs=3 * trial.sd)
    assert (trial.offers, trial.expected) == (N // 2, pytest.approx(0.2 * N // 2))


def test_a_readiness_that_was_learned_since_is_not_counted_twice() -> None:
    offers, redeemed = made(known=0.5, tried=0.5)
    rates = pd.Series(0.1, index=offers["customer_id"])
    for found in offer_uptake(offers, redeemed, rates):
        assert found.rate == pytest.approx(1.0, abs=3 * found.sd)


def test_without_evidence_offers_are_taken_up_as_foretold() -> None:
    offers, redeemed = made(known=0.5, tried=0.5)
    assert [found.rate for found in offer_uptake(offers.head(0), redeemed)] == [1.0, 1.0]
