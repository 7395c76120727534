"""NBD: the baseline without dropout."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import nbinom

from crmkit.exceptions import ContractError, CrmkitWarning
from crmkit.models import NBD
from crmkit.models import _bgnbd_math as formulas

TABLE = pd.DataFrame({"frequency": [0, 1, 2, 9, 0, 3], "T": [39.0, 39.0, 20.0, 39.0, 5.0, 12.0]})
WEIGHT = [300, 80, 20, 8, 60, 10]


@pytest.fixture(scope="module")
def model():
    return NBD().fit(TABLE, sample_weight=WEIGHT)


def test_counts_are_negative_binomial(model):
    r, alpha = model.params_.values()
    n = np.arange(60)
    np.testing.assert_allclose(model.probability_of(n, 26), nbinom.pmf(n, r, alpha / (alpha + 26)), rtol=1e-9)


def test_likelihood_is_that_of_the_counts_but_for_their_own_term(model):
    x, T = TABLE.to_numpy(dtype=float).T
    r, alpha = model.params_.values()
    counts = (
        nbinom.logpmf(x, r, alpha / (alpha + T))
        - x * np.log(T)
        + np.array([0, 0, np.log(2), np.log(362880), 0, np.log(6)])
    )
    assert model.log_likelihood_ == pytest.approx(counts @ WEIGHT, rel=1e-10)


def test_gradient_is_the_slope():
    x, T = TABLE.to_numpy(dtype=float).T
    likelihood, params = formulas.nbd_likelihood(x, T, np.array(WEIGHT, float)), np.array([0.4, 9.0])
    np.testing.assert_allclose(
        likelihood(params)[1], approx_fprime(params, lambda p: likelihood(p)[0], 1e-7), rtol=1e-4
    )


def test_answers_by_hand(model):
    r, alpha = model.params_.values()
    rate = (r + TABLE["frequency"]) / (alpha + TABLE["T"])
    np.testing.assert_allclose(model.expected_purchases(TABLE, 10), rate * 10, rtol=1e-12)
    delta = np.log(1.1) / 365.25
    np.testing.assert_allclose(model.residual_purchases(TABLE, 0.1), rate / delta, rtol=1e-12)
    assert (model.probability_alive(TABLE) == 1).all()


def test_recency_is_not_asked_for(model):
    assert model.feature_names_in_.tolist() == ["frequency", "T"]
    with pytest.raises(ContractError, match=r"not found: \['T'\]"):
        model.expected_purchases(TABLE[["frequency"]], 10)


def test_customers_all_alike_get_the_prior():
    with pytest.warns(CrmkitWarning, match=r"NBD: .* along (r|alpha), .*weak prior was used: r and alpha / max"):
        model = NBD().fit(pd.DataFrame({"frequency": [4] * 100, "T": 40.0}))
    assert model.params_["r"] / model.params_["alpha"] == pytest.approx(0.1, rel=0.2)
