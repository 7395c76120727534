"""Fits against lifetimes in one process: ``pytest tests/benchmarks --benchmark-only -s``."""

from __future__ import annotations

import time
import warnings

import numpy as np
import pandas as pd
import pytest

from crmkit.models import BGNBD


@pytest.fixture(scope="module")
def customers():
    """100,000 BG/NBD customers, whole days, observed for one to two years."""
    rng, n = np.random.default_rng(0), 100_000
    rate, dropout, T = rng.gamma(0.8, 1 / 40, n), rng.beta(0.6, 2.5, n), rng.integers(365, 730, n).astype(float)
    x, last, now, alive = np.zeros(n), np.zeros(n), np.zeros(n), np.arange(n)
    while len(alive):
        now[alive] += rng.exponential(1 / rate[alive])
        alive = alive[now[alive] <= T[alive]]
        x[alive] += 1
        last[alive] = np.ceil(now[alive])
        alive = alive[rng.random(len(alive)) > dropout[alive]]
    return pd.DataFrame({"frequency": x, "recency": last, "T": T})


def test_bgnbd_fit(benchmark, customers):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifetimes import BetaGeoFitter

        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            theirs = BetaGeoFitter().fit(customers["frequency"], customers["recency"], customers["T"])
            seconds.append(time.perf_counter() - start)
    mine = benchmark.pedantic(BGNBD().fit, args=(customers,), rounds=10, warmup_rounds=1)
    columns = (customers[name].to_numpy() for name in customers)
    mean = theirs._negative_log_likelihood(np.log(theirs.params_.to_numpy()), *columns, np.ones(len(customers)), 0.0)
    likelihood = -mean * len(customers)
    ratio = min(seconds) / benchmark.stats.stats.min
    print(f"\nBG/NBD fit, {len(customers):,} customers: {ratio:.1f} x lifetimes", end="; ")
    print(f"log-likelihood {mine.log_likelihood_:.6f} against {likelihood:.6f}")
    assert mine.log_likelihood_ >= likelihood - 1e-6
