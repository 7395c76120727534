"""Spend that depends on frequency is found and followed, also where spend has no finite mean."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crmkit import BGNBD, CustomerLifetimeValue, GammaGamma
from crmkit.models.gamma_gamma import GammaGammaTrend


def customers(q: float, power: float, n: int = 5000) -> pd.DataFrame:
    """Most buy once; spend per purchase grows as (1 + x) ** power with the number of repeat purchases, with a tail of q."""
    rng = np.random.default_rng(3)
    x = rng.poisson(rng.gamma(0.25, 1, n) * 1.2)
    age = rng.integers(30, 700, n)
    last = np.minimum(np.where(x > 0, (age * rng.uniform(0.1, 1, n)).astype(int), 0), age)
    scale = np.maximum(rng.gamma(q, 1 / 50.0, n), 1e-12)
    spend = rng.gamma(1.5 * np.maximum(x, 1), 1 / scale) / np.maximum(x, 1) * (1.0 + x) ** power
    return pd.DataFrame({"frequency": x, "recency": last, "T": age, "monetary_value": np.where(x > 0, spend, np.nan)})


@pytest.mark.filterwarnings("ignore::crmkit.exceptions.CrmkitWarning")
@pytest.mark.parametrize("q", [3.0, 0.7])
def test_dependent_spend_is_told_and_followed_whatever_its_tail(q: float) -> None:
    model = CustomerLifetimeValue(BGNBD(), GammaGamma()).fit(customers(q, 1.2))
    assert model.spend_dependence_ is not None
    assert model.spend_dependence_["p_value"] < 1e-10
    assert model.spend_dependence_["per_doubling"] > 1.5
    assert isinstance(model.spend_, GammaGammaTrend)


@pytest.mark.filterwarnings("ignore::crmkit.exceptions.CrmkitWarning")
def test_spend_with_a_heavy_tail_that_does_not_depend_on_frequency_is_left_alone() -> None:
    model = CustomerLifetimeValue(BGNBD(), GammaGamma()).fit(customers(0.7, 0.0))
    assert model.spend_dependence_ is not None
    assert model.spend_dependence_["p_value"] > 0.01
    assert type(model.spend_) is GammaGamma


def test_the_rank_correlation_is_spearmans_of_all_customers_that_rows_stand_for() -> None:
    table = pd.DataFrame({"frequency": [1, 2, 2, 5, 3], "monetary_value": [4.0, 9.0, 1.0, 20.0, 8.0]})
    weight = np.array([3, 1, 2, 1, 4])
    whole = table.loc[table.index.repeat(weight)]
    found = GammaGamma().fit(table, sample_weight=weight).rank_correlation_
    assert found == pytest.approx(whole["frequency"].corr(whole["monetary_value"], method="spearman"))
