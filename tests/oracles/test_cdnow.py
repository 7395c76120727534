"""Published figures for the CDNOW sample: 2,357 customers, calibrated on the first 39 weeks, time in weeks."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crmkit.models import BGNBD, GammaGamma

END = pd.Timestamp("1997-09-30")


@pytest.fixture(scope="module")
def cdnow():
    """One row per customer, from the transaction file that lifetimes ships (found, not imported)."""
    folder = find_spec("lifetimes").submodule_search_locations[0]
    file = Path(folder) / "datasets" / "CDNOW_sample.txt"
    lines = pd.read_csv(
        file, sep=r"\s+", header=None, names=["master", "id", "day", "discs", "dollars"], dtype={"day": str}
    )
    lines["day"] = pd.to_datetime(lines["day"], format="%Y%m%d")
    days = lines[lines["day"] <= END].groupby(["id", "day"], as_index=False)["dollars"].sum()
    by_customer = days.groupby("id")["day"]
    first, last = by_customer.min(), by_customer.max()
    repeats = days[days["day"] > days["id"].map(first)]
    return pd.DataFrame(
        {
            "frequency": by_customer.size() - 1,
            "recency": (last - first).dt.days / 7,
            "T": (END - first).dt.days / 7,
            "monetary_value": repeats.groupby("id")["dollars"].mean(),
        }
    )


@pytest.fixture(scope="module")
def bgnbd(cdnow):
    return BGNBD().fit(cdnow)


@pytest.fixture(scope="module")
def gamma_gamma(cdnow):
    return GammaGamma().fit(cdnow)


def at(params):
    """A BG/NBD model held at printed parameters."""
    table = pd.DataFrame({"frequency": [0, 1, 1, 2, 3, 6, 9], "recency": [0, 5, 28, 15, 30, 20, 37], "T": 39})
    model = BGNBD().fit(table, sample_weight=[300, 40, 40, 20, 15, 8, 8])
    model.params_ = dict(zip(("r", "alpha", "a", "b"), params, strict=True))
    return model


def customers(*rows):
    return pd.DataFrame(rows, columns=["frequency", "recency", "T"], dtype=float)


def test_the_sample_is_the_papers(cdnow):
    assert len(cdnow) == 2357
    assert (cdnow["frequency"] > 0).sum() == 946
    assert cdnow["monetary_value"].mean() == pytest.approx(35.08, abs=0.005)


def test_bgnbd_paper(bgnbd):
    """Fader, Hardie & Lee (2005), table 2."""
    assert {name: round(value, 3) for name, value in bgnbd.params_.items()} == {
        "r": 0.243,
        "alpha": 4.414,
        "a": 0.793,
        "b": 2.426,
    }
    assert round(bgnbd.log_likelihood_, 1) == -9582.4


def test_bgnbd_optimum(bgnbd):
    assert list(bgnbd.params_.values()) == pytest.approx([0.242594522, 4.41360202, 0.792922017, 2.42590678], rel=5e-9)
    assert bgnbd.log_likelihood_ == pytest.approx(-9582.429207, abs=5e-7)
    assert [round(value, 6) for value in bgnbd.standard_errors_.values()] == [0.012557, 0.378224, 0.185734, 0.705414]
    assert bgnbd.aic_ == pytest.approx(8 + 2 * 9582.429207, abs=1e-6)
    assert not bgnbd.prior_used_


def test_bgnbd_covariance_is_symmetric(bgnbd):
    assert np.array_equal(bgnbd.covariance_, bgnbd.covariance_.T)
    assert bgnbd.covariance_[0, 1] == pytest.approx(0.0037, abs=5e-5)


def test_bgnbd_customer_1516(bgnbd):
    customer = customers((26, 216 / 7, 31))
    assert bgnbd.expected_purchases(customer, 52).round(6).tolist() == [25.757337]
    assert bgnbd.probability_alive(customer).round(6).tolist() == [0.968854]
    rounded = at((0.2425982, 4.413684, 0.79299, 2.42617))
    assert rounded.expected_purchases(customer, 52).iloc[0] == pytest.approx(25.75659, abs=5e-4)


def test_bgnbd_hardies_sheet(bgnbd):
    assert bgnbd.expected_purchases(customers((2, 30.43, 38.86)), 39).round(6).tolist() == [1.225907]


def test_bgnbd_fewer_for_the_frequent_who_fell_silent(bgnbd):
    """BTYD walkthrough: (x, 20, 39), 52 weeks."""
    silent = customers((10, 20, 39), (15, 20, 39), (20, 20, 39))
    assert bgnbd.expected_purchases(silent, 52).round(6).tolist() == [0.347484, 0.042837, 0.004159]


def test_bgnbd_new_customer():
    """BTYD walkthrough, at its printed parameters."""
    assert at((0.2425982, 4.413684, 0.79299, 2.42617)).expected_purchases_new(52) == pytest.approx(1.444005, abs=5e-6)


def test_gamma_gamma_note(gamma_gamma):
    """Fader & Hardie (2013), note 025."""
    assert {name: round(value, 2) for name, value in gamma_gamma.params_.items()} == {
        "p": 6.25,
        "q": 3.74,
        "gamma": 15.44,
    }


def test_gamma_gamma_optimum(gamma_gamma):
    assert [round(value, 6) for value in gamma_gamma.params_.values()] == [6.249572, 3.744225, 15.443521]
    assert gamma_gamma.log_likelihood_ == pytest.approx(-4055.917695, abs=5e-7)
    assert gamma_gamma.n_customers_ == 946


def test_lifetimes_agrees(cdnow, bgnbd, gamma_gamma):
    """The second witness: conditional expectation, P(alive) and spend on a grid, at our parameters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifetimes import BetaGeoFitter, GammaGammaFitter
    witness, spend_witness = BetaGeoFitter(), GammaGammaFitter()
    witness.params_ = pd.Series(bgnbd.params_)
    spend_witness.params_ = pd.Series(
        {name.replace("gamma", "v"): value for name, value in gamma_gamma.params_.items()}
    )
    grid = customers(
        *((x, t * (x > 0), T) for x in (0, 1, 2, 5, 20, 80) for T in (1, 10, 39, 150) for t in (0.2 * T, T))
    )
    x, t, T = (grid[name] for name in grid)
    for weeks in (1, 13, 52):
        theirs = witness.conditional_expected_number_of_purchases_up_to_time(weeks, x, t, T)
        np.testing.assert_allclose(bgnbd.expected_purchases(grid, weeks), theirs, rtol=1e-9)
    np.testing.assert_allclose(bgnbd.probability_alive(grid), witness.conditional_probability_alive(x, t, T), rtol=1e-9)
    theirs = spend_witness.conditional_expected_average_profit(cdnow["frequency"], cdnow["monetary_value"].fillna(0))
    np.testing.assert_allclose(gamma_gamma.expected_value(cdnow), theirs, rtol=1e-9)
