"""CDNOW sample, 39 weeks: the relatives of the BG/NBD model, their optima, point values and distributions."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crmkit.models import BGCNBD, BGNBD, MBGCNBD, MBGNBD, NBD

END = pd.Timestamp("1997-09-30")


@pytest.fixture(scope="module")
def cdnow():
    """One row per customer, in weeks, from the transaction file that lifetimes ships (found, not imported)."""
    file = Path(find_spec("lifetimes").submodule_search_locations[0]) / "datasets" / "CDNOW_sample.txt"
    lines = pd.read_csv(file, sep=r"\s+", header=None, usecols=[1, 2], names=["id", "day"], dtype={"day": str})
    lines["day"] = pd.to_datetime(lines["day"], format="%Y%m%d")
    days = lines[lines["day"] <= END].drop_duplicates().sort_values(["id", "day"])
    by_customer = days.groupby("id")["day"]
    return pd.DataFrame(
        {
            "frequency": by_customer.size() - 1,
            "recency": (by_customer.max() - by_customer.min()).dt.days / 7,
            "T": (END - by_customer.min()).dt.days / 7,
            "sum_log_gap": np.log(by_customer.diff().dt.days / 7).groupby(days["id"]).sum(),
        }
    )


@pytest.fixture(scope="module")
def mbgnbd(cdnow):
    return MBGNBD().fit(cdnow)


def customers(*rows):
    return pd.DataFrame(rows, columns=["frequency", "recency", "T"], dtype=float)


def test_mbgnbd_optimum(mbgnbd):
    assert list(mbgnbd.params_.values()) == pytest.approx([0.524843159, 6.18308528, 0.891359391, 1.61400224], rel=2e-8)
    assert mbgnbd.log_likelihood_ == pytest.approx(-9582.135716, abs=5e-7)
    assert [round(value, 6) for value in mbgnbd.standard_errors_.values()] == [0.083268, 0.695621, 0.15479, 0.537495]
    assert mbgnbd.converged_


def test_nbd_optimum(cdnow):
    model = NBD().fit(cdnow)
    assert round(model.params_["r"], 6) == 0.384766
    assert model.params_["alpha"] == pytest.approx(12.07201, abs=2e-5)
    assert round(model.log_likelihood_, 3) == -9763.658


@pytest.mark.parametrize(("regular", "plain"), [(BGCNBD(), BGNBD()), (MBGCNBD(), MBGNBD())], ids=["BG", "MBG"])
def test_music_is_bought_at_random(cdnow, regular, plain):
    """k = 1: nothing regular about CDs, and then the model is the plain one."""
    regular.fit(cdnow)
    assert regular.k_ == 1
    assert regular.log_likelihood_ == pytest.approx(plain.fit(cdnow).log_likelihood_, abs=1e-8)
    assert list(regular.params_.values()) == pytest.approx(list(plain.params_.values()), rel=1e-7)


def test_mbgnbd_point_values(mbgnbd):
    customer = customers((26, 216 / 7, 31))
    assert mbgnbd.expected_purchases(customer, 52).round(6).tolist() == [23.998191]
    assert mbgnbd.probability_alive(customer).round(6).tolist() == [0.965485]
    assert mbgnbd.expected_purchases(customers((2, 30.43, 38.86)), 39).round(6).tolist() == [1.262669]


def test_bgnbd_distribution_of_purchases(cdnow):
    """At the parameters that the R package prints, to their seven digits."""
    model = BGNBD().fit(cdnow)
    model.params_ = {"r": 0.2425982, "alpha": 4.413684, "a": 0.79299, "b": 2.42617}
    published = [0.574304671, 0.199192780, 0.085324257, 0.045798409, 0.027631877, 0.017938711]
    np.testing.assert_allclose(model.probability_of(np.arange(6), 39), published, atol=1e-7)
    assert model.probability_of(np.arange(400), 39).sum() == pytest.approx(1, abs=1e-9)
