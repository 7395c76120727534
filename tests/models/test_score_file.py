"""Customer tables in files: a fit on the counts of equal customers, scores in chunks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crmkit.exceptions import ConfigError, ContractError
from crmkit.models import BGNBD, MBGCNBD, CustomerLifetimeValue, GammaGamma
from crmkit.models import scoring as cells
from crmkit.models.scoring import customer_cells, fit_customers, score_customers, score_file

SEED = pd.DataFrame({"frequency": [0, 1, 1, 2, 3, 6, 9], "recency": [0, 5, 28, 15, 30, 20, 37], "T": 39})


@pytest.fixture(scope="module")
def customers() -> pd.DataFrame:
    """Customers of a BG/NBD process, in whole days."""
    model = BGNBD().fit(SEED, sample_weight=[300, 40, 40, 20, 15, 8, 8])
    rng, n = np.random.default_rng(2), 5_000
    table = model.simulate(n, until=rng.integers(30, 400, n).astype(float), seed=1)
    money = np.round(rng.gamma(6, 3, n) + 0.01, 2)
    return table.drop(columns="alive").assign(
        recency=np.ceil(table["recency"]), monetary_value=np.where(table["frequency"] > 0, money, np.nan)
    )


@pytest.fixture
def file(customers: pd.DataFrame, tmp_path: Path) -> Path:
    customers.to_parquet(tmp_path / "customers.parquet")
    return tmp_path / "customers.parquet"


def test_cells_of_a_file_are_those_of_the_table(customers: pd.DataFrame, file: Path) -> None:
    pd.testing.assert_frame_equal(customer_cells(file), customer_cells(customers))
    found = customer_cells(file, ["frequency"], means=["sum_log_gap"])
    assert found["n_customers"].sum() == len(customers)
    expected = customers.groupby("frequency")["sum_log_gap"].mean()
    np.testing.assert_allclose(found["sum_log_gap"], expected, rtol=1e-12)


@pytest.mark.parametrize("model", [BGNBD(), MBGCNBD(), CustomerLifetimeValue(BGNBD(), GammaGamma())], ids=str)
def test_a_fit_from_a_file_is_the_fit_on_all_rows(customers: pd.DataFrame, file: Path, model: object) -> None:
    mine, theirs = fit_customers(model, file), fit_customers(model, customers)
    for part in ("purchases_", "spend_") if isinstance(model, CustomerLifetimeValue) else ("",):
        one, other = (getattr(found, part) if part else found for found in (mine, theirs))
        np.testing.assert_allclose(list(one.params_.values()), list(other.params_.values()), rtol=1e-5)


def test_a_file_is_scored_in_chunks(
    customers: pd.DataFrame, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "_CHUNK", 700)
    clv = CustomerLifetimeValue(BGNBD(), GammaGamma()).fit(customers)
    target = score_file(file, tmp_path / "scored.parquet", value=clv, p_alive=clv.purchases_.probability_alive)
    expected = score_customers(customers, value=clv, p_alive=clv.purchases_.probability_alive)
    pd.testing.assert_frame_equal(pd.read_parquet(target), expected, rtol=1e-9)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["customers.parquet", "scored.parquet"]


def test_nothing_is_replaced_by_a_score_that_fails(customers: pd.DataFrame, file: Path, tmp_path: Path) -> None:
    (tmp_path / "scored.parquet").write_text("as it was")
    model = BGNBD().fit(customers)
    with pytest.raises(ConfigError, match="has columns"):
        score_file(file, tmp_path / "scored.parquet", frequency=model.probability_alive)
    with pytest.raises(ContractError, match="Columns not found"):
        customer_cells(file, ["visits"])
    assert (tmp_path / "scored.parquet").read_text() == "as it was"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["customers.parquet", "scored.parquet"]
