"""Pareto/NBD fits against lifetimes in one process: ``pytest tests/benchmarks/test_pareto_speed.py --benchmark-only -s``."""

from __future__ import annotations

import time
import warnings

import numpy as np
import pytest

from crmkit.models import _pareto_math as formulas
from crmkit.models.pareto_nbd import ParetoNBD


def shoppers(n):
    """Pareto/NBD customers in whole days, observed for one to two years."""
    model = ParetoNBD()
    vars(model).update(dict.fromkeys(model._fitted) | {"params_": {"r": 0.8, "alpha": 40.0, "s": 0.6, "beta": 60.0}})
    customers = model.simulate(n, np.random.default_rng(0).integers(365, 731, n), seed=0)
    return customers.assign(recency=np.ceil(customers["recency"]))


@pytest.fixture(scope="module")
def customers():
    return shoppers(100_000)


def test_pareto_fit(benchmark, customers):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifetimes import ParetoNBDFitter

        start = time.perf_counter()
        theirs = ParetoNBDFitter().fit(customers["frequency"], customers["recency"], customers["T"])
        seconds = time.perf_counter() - start
    mine = benchmark.pedantic(ParetoNBD().fit, args=(customers,), rounds=5, warmup_rounds=1)
    columns = (customers[name].to_numpy(dtype=float) for name in ("frequency", "recency", "T"))
    likelihood = formulas.pareto_terms(*columns)(*theirs.params_)[0].sum()
    ratio = seconds / benchmark.stats.stats.min
    print(f"\nPareto/NBD fit, {len(customers):,} customers: {ratio:.0f} x lifetimes ({seconds:.1f} s)", end="; ")
    print(f"log-likelihood {mine.log_likelihood_:.6f} against {likelihood:.6f}")
    assert mine.log_likelihood_ >= likelihood - 1e-6


def test_pareto_fit_of_a_million(benchmark):
    model = benchmark.pedantic(ParetoNBD().fit, args=(shoppers(1_000_000),), rounds=1)
    print(f"\nPareto/NBD fit, 1,000,000 customers: {benchmark.stats.stats.min:.2f} s", end="; ")
    print(f"{model.training_['n_cells']:,} distinct rows")
    assert model.converged_


def test_pareto_forecast_of_a_million(benchmark, customers):
    table, model = shoppers(1_000_000), ParetoNBD().fit(customers)
    benchmark.pedantic(model.expected_purchases, args=(table, 90), rounds=1)
    print(f"\nPareto/NBD forecast, 1,000,000 customers: {benchmark.stats.stats.min:.2f} s")
