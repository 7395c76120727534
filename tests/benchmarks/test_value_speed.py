"""Spend and lifetime value against lifetimes in one process: ``pytest tests/benchmarks --benchmark-only -s``.

CRMKIT_BENCH_CUSTOMERS sets how many customers; 100,000 by default.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crmkit.models import BGNBD, CustomerLifetimeValue, GammaGamma
from crmkit.models._value_math import draw_means
from crmkit.models.lifetimes import to_lifetimes

N = int(os.environ.get("CRMKIT_BENCH_CUSTOMERS", "100000"))


@pytest.fixture(scope="module")
def customers() -> pd.DataFrame:
    """BG/NBD customers with gamma-gamma spend, whole days, observed for one to two years."""
    rng = np.random.default_rng(0)
    story = BGNBD().fit(
        pd.DataFrame({"frequency": [0, 1, 1, 2, 3, 6, 9], "recency": [0, 5, 28, 15, 30, 20, 37], "T": 39}),
        sample_weight=[300, 40, 40, 20, 15, 8, 8],
    )
    story.params_ = {"r": 0.8, "alpha": 40.0, "a": 0.6, "b": 2.5}
    table = story.simulate(N, rng.integers(365, 730, N).astype(float), seed=1)
    x = table["frequency"].to_numpy(dtype=float)
    return table.assign(recency=np.ceil(table["recency"]), monetary_value=draw_means(rng, 6.0, 4.0, 15.0, x))


def fastest(call: Callable[[], Any], rounds: int = 3) -> float:
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def test_gamma_gamma_fit(benchmark, customers):
    bought = customers[customers["frequency"] > 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifetimes import GammaGammaFitter

        fitter = GammaGammaFitter()
        theirs = fastest(lambda: fitter.fit(bought["frequency"], bought["monetary_value"]), 5)
    mine = benchmark.pedantic(GammaGamma().fit, args=(bought,), rounds=10, warmup_rounds=1)
    assert mine.params_["q"] == pytest.approx(fitter.params_["q"], rel=0.02)
    print(f"\nGamma-gamma fit, {len(bought):,} repeat buyers: {theirs / benchmark.stats.stats.min:.1f} x lifetimes")


def test_lifetime_value(benchmark, customers):
    """Twelve months, discounted: one integral here, twelve months one by one there."""
    model = CustomerLifetimeValue(BGNBD(), GammaGamma(), horizon=360, annual_discount=1.01**12 - 1).fit(customers)
    purchases, spend = to_lifetimes(model.purchases_), to_lifetimes(model.spend_)
    columns = [customers[name] for name in ("frequency", "recency", "T", "monetary_value")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = spend.customer_lifetime_value(purchases, *columns, time=12, discount_rate=0.01, freq="D")
        theirs = fastest(
            lambda: spend.customer_lifetime_value(purchases, *columns, time=12, discount_rate=0.01, freq="D")
        )
    mine = benchmark.pedantic(model.predict, args=(customers,), rounds=5, warmup_rounds=1)
    ratio = theirs / benchmark.stats.stats.min
    print(
        f"\nTwelve months' value, {N:,} customers: {ratio:.1f} x lifetimes, {mine.sum() / value.sum():.4f} of its total",
        end=" ",
    )
    print("(each purchase discounted from its own day, not from the end of its month)")
    assert mine.sum() == pytest.approx(value.sum(), rel=0.02)


@pytest.mark.parametrize("kind", ["expected_interval", "predict_interval", "cohort"])
def test_intervals(benchmark, customers, kind):
    model = CustomerLifetimeValue(BGNBD(), GammaGamma()).fit(customers)
    table = customers.iloc[:100_000]
    benchmark.pedantic(getattr(model, kind), args=(table,), rounds=1)
    print(f"\n{kind}, {len(table):,} customers: {benchmark.stats.stats.min:.2f} s")
