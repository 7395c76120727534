"""Published figures of the Pareto/NBD model: the CDNOW sample, the online grocery, and DERT."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crmkit.models import _pareto_math as formulas
from crmkit.models.pareto_nbd import ParetoNBD

NAMES = ("r", "alpha", "s", "beta")
WALKTHROUGH = (0.5533971, 10.5801985, 0.6060625, 11.6562237)
GROCERY = Path(__file__).parents[3] / "shared" / "data" / "btyd_small" / "groceryElog.parquet"


def summary(days, customer, day, end):
    """One row per customer from distinct purchase days, in weeks."""
    by_customer = days[days[day] <= end].groupby(customer)[day]
    first, last = by_customer.min(), by_customer.max()
    weeks = {"recency": (last - first).dt.days / 7, "T": (pd.Timestamp(end) - first).dt.days / 7}
    return pd.DataFrame({"frequency": by_customer.size() - 1, **weeks})


@pytest.fixture(scope="module")
def cdnow():
    """2,357 customers, first 39 weeks, from the transaction file that lifetimes ships (found, not imported)."""
    folder = find_spec("lifetimes").submodule_search_locations[0]
    file = Path(folder) / "datasets" / "CDNOW_sample.txt"
    lines = pd.read_csv(file, sep=r"\s+", header=None, usecols=[1, 2], names=["id", "day"], dtype={"day": str})
    lines["day"] = pd.to_datetime(lines["day"], format="%Y%m%d")
    return summary(lines.drop_duplicates(), "id", "day", "1997-09-30")


@pytest.fixture(scope="module")
def model(cdnow):
    return ParetoNBD().fit(cdnow)


@pytest.fixture
def at(cdnow):
    def held(*params):
        model = ParetoNBD().fit(cdnow)
        model.params_ = dict(zip(NAMES, params, strict=True))
        return model

    return held


def customers(*rows):
    return pd.DataFrame(rows, columns=["frequency", "recency", "T"], dtype=float)


def test_paper(model):
    """Fader, Hardie & Lee (2005), table 2."""
    rounded = {name: round(value, 3) for name, value in model.params_.items()}
    assert rounded == {"r": 0.553, "alpha": 10.578, "s": 0.606, "beta": 11.669}
    assert round(model.log_likelihood_, 1) == -9595.0


def test_optimum(model):
    expected = [0.553277047, 10.5776835, 0.606239989, 11.6687353]
    assert list(model.params_.values()) == pytest.approx(expected, rel=5e-9)
    assert model.log_likelihood_ == pytest.approx(-9594.976179, abs=5e-7)
    assert [round(value, 6) for value in model.standard_errors_.values()] == [0.047628, 0.842723, 0.187281, 6.211114]
    assert model.aic_ == pytest.approx(8 + 2 * 9594.976179, abs=1e-6)
    assert model.converged_
    assert not model.prior_used_


def test_standard_errors_of_clvtools(model):
    expected = [0.0476264, 0.8427222, 0.1872594, 6.2105448]
    assert list(model.standard_errors_.values()) == pytest.approx(expected, rel=2e-4)


def test_customer_1516(model, at):
    customer = customers((26, 216 / 7, 31))
    assert model.expected_purchases(customer, 52).round(6).tolist() == [25.455184]
    assert model.probability_alive(customer).round(6).tolist() == [0.997873]
    assert at(*WALKTHROUGH).expected_purchases(customer, 52).iloc[0] == pytest.approx(25.45647, abs=3e-3)


def test_hardies_row(model):
    assert model.expected_purchases(customers((2, 30.43, 38.86)), 39).round(6).tolist() == [1.455099]


def test_fewer_for_the_frequent_who_fell_silent(model):
    """BTYD walkthrough: (x, 20, 39), 52 weeks."""
    silent = customers((10, 20, 39), (15, 20, 39), (20, 20, 39))
    assert model.expected_purchases(silent, 52).round(6).tolist() == [0.705888, 0.144151, 0.022490]


def test_new_customer_of_the_walkthrough(at):
    model = at(*WALKTHROUGH)
    assert model.expected_purchases_new(52) == pytest.approx(1.473112, abs=1e-6)
    expected = [0.593569292, 0.165585279, 0.082499229, 0.049047234, 0.031700449, 0.021488025]
    np.testing.assert_allclose(model.probability_of(np.arange(6), 39), expected, atol=5e-8)


def test_dert():
    """Fader, Hardie & Lee (2005), "RFM and CLV", at their parameters: force of interest .0027 a week, T = 77.86."""
    params = (0.5629966, 12.559037, 0.4081095, 10.5148048)
    x, t_x = np.array([[7, 7, 4, 0, 26], [70, 35, 30, 0, 77]], dtype=float)
    T = np.full(5, 77.86)
    alive = formulas.pareto_alive(*params, x, t_x, T)
    dert = alive * formulas.pareto_discounted_purchases(*params, x, T, np.inf, 0.0027)
    np.testing.assert_allclose(
        dert, [17.5248230259, 1.86418332807, 2.44541007861, 0.36475592809, 64.6948839365], rtol=5e-12
    )


def test_residual_purchases_discount_by_the_year(model, cdnow):
    """The annual rate of the method is the force of interest of the formula, over 365.25 units of time."""
    x, t_x, T = (cdnow[name].to_numpy(dtype=float) for name in ("frequency", "recency", "T"))
    params = tuple(model.params_.values())
    expected = formulas.pareto_alive(*params, x, t_x, T) * formulas.pareto_discounted_purchases(
        *params, x, T, np.inf, np.log(1.15) / 365.25
    )
    np.testing.assert_allclose(model.residual_purchases(cdnow, 0.15), expected, rtol=1e-12)


@pytest.mark.skipif(not GROCERY.exists(), reason="the online grocery log is not here")
def test_online_grocery():
    """BTYDplus, groceryElog: 1,525 customers to the end of 2006, in weeks."""
    log = pd.read_parquet(GROCERY).drop_duplicates()
    model = ParetoNBD().fit(summary(log, "cust", "date", "2006-12-31"))
    assert model.n_customers_ == 1525
    assert [round(value, 5) for value in model.params_.values()] == [0.78644, 5.67904, 0.38624, 5.71779]
    assert model.log_likelihood_ == pytest.approx(-15782.392, abs=5e-4)
