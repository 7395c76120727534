"""Repurchase timing: the formulas against independent ones, and the table against what a user relies on."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import minimize

from crmkit import ContractError, LeakError, ModelError, NextPurchase, Transactions
from crmkit.models import _gap_math as gap
from crmkit.models.repurchase import RepurchaseRate
from crmkit.testing import generated_sales

CASES = [
    (0.3, 5.0, 0.0, 0.0, 1.0),
    (1.4, 30.0, 7.0, 60.0, 80.0),
    (2.0, 12.0, 400.0, 3600.0, 3650.0),
    (1.0, 5.0, 0.0, 0.0, 0.0),
]


@pytest.fixture(scope="module")
def sales() -> pd.DataFrame:
    return generated_sales(n_customers=400, days=300, seed=3)


@pytest.fixture(scope="module")
def log(sales: pd.DataFrame) -> Transactions:
    return Transactions.from_extract(sales, until="2017-10-27")


def survival(day: float, r: float, alpha: float, x: float, T: float) -> float:
    """P(no purchase by a day), mixed over the posterior gamma numerically."""
    rate = stats.gamma(r + x, scale=1 / (alpha + T))
    return quad(lambda lam: np.exp(-lam * day) * rate.pdf(lam), 0, rate.ppf(1 - 1e-12), limit=200)[0]


@pytest.mark.parametrize(("r", "alpha", "x", "t_x", "T"), CASES)
def test_purchase_probability_is_the_mixed_exponential(r: float, alpha: float, x: float, t_x: float, T: float) -> None:
    ours = gap.purchase_probability(*map(np.float64, (r, alpha, x, T)), 14.0)
    assert ours == pytest.approx(1 - survival(14.0, r, alpha, x, T), rel=1e-6)


@pytest.mark.parametrize(("r", "alpha", "x", "t_x", "T"), CASES)
def test_mean_day_within_agrees_with_integration(r: float, alpha: float, x: float, t_x: float, T: float) -> None:
    def alive(day: float) -> float:
        return float(((alpha + T) / (alpha + T + day)) ** (r + x))

    area = quad(alive, 0, 84)[0]
    expected = (area - 84 * alive(84)) / (1 - alive(84))
    assert gap.mean_day_within(*map(np.float64, (r, alpha, x, T)), 84.0) == pytest.approx(expected, rel=1e-9)


def test_quantile_is_the_inverse_of_the_probability() -> None:
    r, alpha, x, _, T = (np.array(values) for values in zip(*CASES, strict=True))
    share = np.full(len(CASES), 0.4)
    day = gap.purchase_quantile(r, alpha, x, T, share)
    again = [gap.purchase_probability(r[i], alpha[i], x[i], T[i], day[i]) for i in range(len(CASES))]
    assert again == pytest.approx(share)


def test_gamma_rates_are_the_maximum_found_by_another_route() -> None:
    rng = np.random.default_rng(1)
    T = rng.integers(20, 300, 4000).astype(float)
    x = rng.poisson(rng.gamma(1.3, 1 / 25, 4000) * T).astype(float)
    log_r, log_alpha = gap.fit_gamma_rates(gap.GammaCells.of(np.zeros(4000, dtype=np.int64), x, T, 1), strength=0.0)

    def loss(theta: np.ndarray) -> float:
        r, alpha = np.exp(theta)
        return -stats.nbinom.logpmf(x, r, alpha / (alpha + T)).sum()

    other = minimize(loss, [0.0, 3.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-8})
    assert (log_r[0], log_alpha[0]) == pytest.approx(other.x, abs=1e-4)


def test_gamma_rates_recover_each_items_own_prior() -> None:
    rng = np.random.default_rng(2)
    group = np.repeat(np.arange(3), 6000)
    r, alpha = np.array([0.8, 1.5, 3.0]), np.array([60.0, 30.0, 15.0])
    T = rng.integers(100, 400, len(group)).astype(float)
    x = rng.poisson(rng.gamma(r[group], 1 / alpha[group]) * T).astype(float)
    log_r, log_alpha = gap.fit_gamma_rates(gap.GammaCells.of(group, x, T, 3), (0.0, 3.0), strength=1.0)
    assert np.exp(log_r) == pytest.approx(r, rel=0.08)
    assert np.exp(log_alpha) == pytest.approx(alpha, rel=0.1)


def test_drop_out_is_recovered_from_purchases_that_stop() -> None:
    rng = np.random.default_rng(4)
    n, q = 20_000, 0.05
    rate, end = rng.gamma(2.0, 1 / 20, n), rng.integers(200, 400, n).astype(float)
    lives = rng.geometric(q, n)
    arrivals = np.cumsum(rng.exponential(1 / rate[:, None], (n, 120)), axis=1)
    counted = (arrivals <= end[:, None]) & (np.arange(120) < lives[:, None] - 1 + 1)
    x = counted.sum(axis=1).astype(float)
    t_x = np.where(x > 0, np.take_along_axis(arrivals, np.maximum(x.astype(int) - 1, 0)[:, None], 1)[:, 0], 0.0)
    found = gap.fit_stopping(np.full(n, 2.0), np.full(n, 20.0), x, t_x, end)
    assert found == pytest.approx(q, rel=0.05)


def test_probability_of_having_stopped_rises_with_silence() -> None:
    pairs = pd.DataFrame({"item": "milk", "frequency": 10, "recency": 70, "T": [70, 84, 120, 300, 3000]})
    model = RepurchaseRate().fit(pairs)
    stopped = model.probability_stopped(pairs)
    assert stopped.is_monotonic_increasing
    assert stopped.between(0, 1).all()


def test_table_has_the_contracts_columns_and_no_number_out_of_range(log: Transactions) -> None:
    due = NextPurchase(by="category").fit(log).predict(log, horizon=14)
    names = [
        "customer_id",
        "category",
        "p_purchase",
        "expected_day",
        "day_10",
        "day_50",
        "day_90",
        "p_stopped",
        "reason",
    ]
    assert list(due.columns[:9]) == names
    assert due[["p_purchase", "p_stopped"]].stack().between(0, 1).all()
    assert due["expected_day"].between(0, 84).all()
    assert not due.duplicated(["customer_id", "category"]).any()
    assert (due["as_of"] == pd.Timestamp("2017-10-27")).all()


def test_a_quantile_is_missing_exactly_when_day_84_does_not_reach_it(log: Transactions) -> None:
    model = NextPurchase(by="category").fit(log)
    due = model.predict(log, horizon=84)
    for name, share in (("day_10", 0.1), ("day_50", 0.5), ("day_90", 0.9)):
        assert (due[name].isna() == (due["p_purchase"] < share)).all()


def test_longer_horizons_are_never_less_likely(log: Transactions) -> None:
    model = NextPurchase(by="category").fit(log)
    short, long = (model.predict(log, horizon=days)["p_purchase"] for days in (7, 28))
    assert (short <= long).all()


def test_future_rows_and_strangers_move_nothing(sales: pd.DataFrame) -> None:
    past = sales[sales["purchased_at"] <= "2017-07-31 23:59"]
    before = Transactions.from_extract(past, until="2017-07-31")
    after = Transactions.from_extract(sales, until="2017-10-27")
    known = NextPurchase(by="category").fit(before).predict(before)
    later = NextPurchase(by="category").fit(after, "2017-07-31").predict(after, "2017-07-31")
    pd.testing.assert_frame_equal(known, later, check_exact=True)


def test_excluded_items_are_neither_learned_nor_predicted(log: Transactions) -> None:
    model = NextPurchase(by="category", exclude=["Category 01"]).fit(log)
    assert "Category 01" not in set(model.estimator_.priors_["item"])
    assert "Category 01" not in set(model.predict(log)["category"])


def test_an_item_never_seen_takes_the_pooled_prior() -> None:
    pairs = pd.DataFrame({"item": ["milk"] * 50, "frequency": 5, "recency": 60, "T": 70})
    model = RepurchaseRate().fit(pairs)
    new = model.probability_of_purchase(pd.DataFrame({"item": ["tea"], "frequency": [0], "recency": [0], "T": [3]}), 14)
    assert 0 < new.iloc[0] < 1


@pytest.mark.parametrize("horizon", [0, -1, 85])
def test_a_horizon_that_was_not_modelled_is_refused(log: Transactions, horizon: int) -> None:
    with pytest.raises(ModelError, match="between 1 and 84"):
        NextPurchase(by="category").fit(log).predict(log, horizon=horizon)


def test_questions_the_log_cannot_answer_are_refused(log: Transactions) -> None:
    with pytest.raises(ContractError, match=r"by='brand' is not an item column.*category"):
        NextPurchase(by="brand").fit(log)
    with pytest.raises(LeakError, match="last day observed"):
        NextPurchase(by="category").fit(log, as_of=date(2018, 1, 1))
    with pytest.raises(ModelError, match="no customer × item pair"):
        NextPurchase(by="category").fit(log, as_of="2016-01-01")


def test_faulty_pairs_are_counted() -> None:
    pairs = pd.DataFrame({"item": ["a", "b"], "frequency": [1, -1], "recency": [5, 0], "T": [4, 3]})
    with pytest.raises(ContractError, match="2 pairs do not have an item"):
        RepurchaseRate().fit(pairs)
    with pytest.raises(ContractError, match=r"Columns not found: \['T'\]"):
        RepurchaseRate().fit(pairs.drop(columns="T"))


def test_reasons_are_words() -> None:
    till = pd.DataFrame(
        {
            "customer_id": list("aabcc"),
            "category": "Milk",
            "amount": 1,
            "purchased_at": ["2017-01-01", "2017-01-08", "2017-01-30", "2017-01-30", "2017-01-31"],
        }
    )
    log = Transactions.from_extract(till, until="2017-01-31")
    reasons = NextPurchase(by="category").fit(log).predict(log)["reason"].tolist()
    assert reasons == [
        "bought twice, every 7 days or so, last 23 days ago",
        "bought once, last 1 day ago",
        "bought twice, every 1 day or so, last today",
    ]
