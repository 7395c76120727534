"""Fits against the peers in one process: ``pytest tests/benchmarks/test_fit_speed.py --benchmark-only -s``.

``CRMKIT_CUSTOMERS=1000000`` in the environment runs them on a million customers.
"""

from __future__ import annotations

import os
import time
import warnings

import numpy as np
import pandas as pd
import pytest

from crmkit.models import BGNBD, MBGCNBD, MBGNBD

N = int(os.environ.get("CRMKIT_CUSTOMERS", "100000"))


@pytest.fixture(scope="module")
def customers():
    """BG/NBD customers, whole days, observed for one to two years."""
    rng = np.random.default_rng(0)
    rate, dropout, T = rng.gamma(0.8, 1 / 40, N), rng.beta(0.6, 2.5, N), rng.integers(365, 730, N).astype(float)
    x, last, logs, now, alive = np.zeros(N), np.zeros(N), np.zeros(N), np.zeros(N), np.arange(N)
    while len(alive):
        now[alive] += rng.exponential(1 / rate[alive])
        alive = alive[now[alive] <= T[alive]]
        x[alive] += 1
        logs[alive] += np.log(np.maximum(np.ceil(now[alive]) - last[alive], 0.5))
        last[alive] = np.ceil(now[alive])
        alive = alive[rng.random(len(alive)) > dropout[alive]]
    logs = np.minimum(logs, x * np.log(np.maximum(last, 0.5) / np.maximum(x, 1)))
    return pd.DataFrame({"frequency": x, "recency": last, "T": T, "sum_log_gap": np.where(x > 0, logs, 0.0)})


def seconds_of(call, rounds):
    """The best of several, and the last answer."""
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        answer = call()
        seconds.append(time.perf_counter() - start)
    return min(seconds), answer


@pytest.mark.parametrize(("mine", "theirs"), [(BGNBD, "BetaGeoFitter"), (MBGNBD, "ModifiedBetaGeoFitter")])
def test_fit_against_lifetimes(benchmark, customers, mine, theirs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lifetimes

        columns = [customers[name].to_numpy() for name in ("frequency", "recency", "T")]
        slow, witness = seconds_of(lambda: getattr(lifetimes, theirs)().fit(*columns), 3)
    model = benchmark.pedantic(mine().fit, args=(customers,), rounds=5, warmup_rounds=1)
    logs = np.log(witness.params_.to_numpy())
    mean = witness._negative_log_likelihood(logs, *columns, np.ones(len(customers)), 0.0)
    ratio = slow / benchmark.stats.stats.min
    print(f"\n{mine.__name__} fit, {N:,} customers: {ratio:.1f} x lifetimes", end="; ")
    print(f"log-likelihood {model.log_likelihood_:.6f} against {-mean * N:.6f}")
    assert model.log_likelihood_ >= -mean * N - 1e-5
    assert ratio > 2


@pytest.mark.parametrize("mine", [BGNBD, MBGNBD])
def test_fit_against_clvkit(benchmark, customers, mine):
    clvkit = pytest.importorskip("clvkit")
    base = clvkit.CustomerBase(
        customers,
        time_unit="D",
        observation_period_end=pd.Timestamp("2020-01-01"),
        has_monetary=False,
        on_negative="net",
    )
    slow, witness = seconds_of(lambda: getattr(clvkit, mine.__name__)().fit(base), 1)
    model = benchmark.pedantic(mine().fit, args=(customers,), rounds=5, warmup_rounds=1)
    ratio = slow / benchmark.stats.stats.min
    print(f"\n{mine.__name__} fit, {N:,} customers: {ratio:.0f} x clvkit", end="; ")
    print(f"log-likelihood {model.log_likelihood_:.6f} against {witness.log_likelihood_:.6f}")
    assert model.log_likelihood_ >= witness.log_likelihood_ - 1e-5
    assert ratio > 20


def test_regular_timing_costs_a_few_plain_fits(benchmark, customers):
    """The search over k against one MBG/NBD fit."""
    plain, _ = seconds_of(lambda: MBGNBD().fit(customers), 3)
    model = benchmark.pedantic(MBGCNBD().fit, args=(customers,), rounds=2)
    print(f"\nMBGCNBD fit with its search, {N:,} customers: {benchmark.stats.stats.min / plain:.1f} x one MBGNBD fit")
    assert model.k_ == 1
    assert benchmark.stats.stats.min < 40 * plain
