"""Published figures for the donations: 11,104 donors, six yearly appeals after the first gift."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crmkit.models import _bgbb_math as formulas
from crmkit.models.bgbb import BGBB


@pytest.fixture(scope="module")
def donors():
    """The 22 distinct rows and how many donors share each, from the file that lifetimes ships (found, not imported)."""
    folder = find_spec("lifetimes").submodule_search_locations[0]
    return pd.read_csv(Path(folder) / "datasets" / "donations.csv").rename(columns={"periods": "T"})


@pytest.fixture(scope="module")
def model(donors):
    return BGBB().fit(donors, sample_weight=donors["weights"])


@pytest.fixture
def printed(donors):
    """A model held at the parameters rounded as the spreadsheets have them."""
    model = BGBB().fit(donors, sample_weight=donors["weights"])
    model.params_ = {"alpha": 1.20, "beta": 0.75, "gamma": 0.66, "delta": 2.78}
    return model


def test_the_data_are_the_papers(donors):
    assert donors["weights"].sum() == 11_104
    assert len(donors) == 22


def test_paper(model):
    """Fader, Hardie & Shang (2010), table 3."""
    rounded = {name: round(value, 3) for name, value in model.params_.items()}
    assert rounded == {"alpha": 1.204, "beta": 0.750, "gamma": 0.657, "delta": 2.783}
    assert round(model.log_likelihood_, 1) == -33225.6


def test_optimum(model):
    assert [round(value, 6) for value in model.params_.values()] == [1.203522, 0.749716, 0.656718, 2.783442]
    assert model.log_likelihood_ == pytest.approx(-33225.581274, abs=5e-7)
    assert model.n_customers_ == 11_104
    assert model.converged_
    assert not model.prior_used_
    assert np.array_equal(model.covariance_, model.covariance_.T)


def test_a_row_for_every_donor_gives_the_same(donors, model):
    each = donors.loc[donors.index.repeat(donors["weights"])]
    assert list(BGBB().fit(each).params_.values()) == pytest.approx(list(model.params_.values()), rel=1e-9)


def test_donors_of_the_spreadsheets(printed):
    """(x, t_x) = (4, 5), (0, 0), (6, 6): P(alive in the next year), gifts in five years, DERT at 10 % a year."""
    rows = pd.DataFrame({"frequency": [4, 0, 6], "recency": [5, 0, 6], "T": 6})
    assert printed.probability_alive(rows).round(9).tolist() == [0.695698484, 0.107756061, 0.930084746]
    assert printed.expected_purchases(rows, 5).round(9).tolist() == [2.025089376, 0.072384028, 3.748649300]
    assert printed.residual_purchases(rows, 0.1).round(9).tolist() == [3.185992739, 0.113878918, 5.897601159]


def test_dert_as_a_formula():
    """The same from the free functions, the force of interest per opportunity given."""
    params, (x, t_x, n) = (1.20, 0.75, 0.66, 2.78), (np.array([value]) for value in (4.0, 5.0, 6.0))
    alive = formulas.bgbb_alive(*params, x, t_x, n)
    assert alive * formulas.bgbb_residual_purchases(*params, x, n, np.log(1.1)) == pytest.approx(3.185992739, abs=5e-10)


def test_total_of_the_sheet(donors, model):
    """Hardie's sheet: 12,884.2 gifts expected of all donors in the five years that follow."""
    assert model.expected_purchases(donors, 5) @ donors["weights"] == pytest.approx(12_884.2, abs=0.05)


def test_table_6(model):
    """P(alive in the next year) of donors who never gave again, gave twice until the fourth year, and always."""
    rows = pd.DataFrame({"frequency": [0, 2, 6], "recency": [0, 4, 6], "T": 6})
    assert model.probability_alive(rows).round(2).tolist() == [0.11, 0.59, 0.93]
