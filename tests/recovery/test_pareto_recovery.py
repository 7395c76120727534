"""Simulate from known parameters, fit, and find them again inside the intervals: Pareto/NBD, its covariates, BG/BB."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crmkit.models.bgbb import BGBB
from crmkit.models.pareto_nbd import ParetoNBD

PARETO = {"r": 0.8, "alpha": 40.0, "s": 0.7, "beta": 90.0}
MOVED = PARETO | {"rate_member": 0.4, "dropout_member": -0.6, "dropout_age": 0.02}
DONORS = {"alpha": 1.2, "beta": 0.75, "gamma": 0.66, "delta": 2.78}


def holding(model, params):
    """A model at given parameters, as after a fit."""
    vars(model).update(dict.fromkeys(model._fitted) | {"params_": params})
    return model


def shoppers(seed, n=3_000):
    until = np.random.default_rng(seed).uniform(365, 730, n)
    return holding(ParetoNBD(), PARETO).simulate(n, until, seed + 10_000)


def known_shoppers(seed, n=3_000):
    rng = np.random.default_rng(seed)
    covariates = pd.DataFrame({"member": rng.integers(0, 2, n), "age": rng.normal(0, 10, n)})
    model = holding(ParetoNBD(("member",), ("member", "age")), MOVED)
    return model.simulate(n, rng.uniform(365, 730, n), seed + 10_000, covariates)


def donors(seed, n=3_000):
    until = np.random.default_rng(seed).integers(4, 13, n)
    return holding(BGBB(), DONORS).simulate(n, until, seed + 10_000)


CASES = {
    "pareto": (ParetoNBD(), shoppers, PARETO),
    "covariates": (ParetoNBD(("member",), ("member", "age")), known_shoppers, MOVED),
    "bgbb": (BGBB(), donors, DONORS),
}
every_case = pytest.mark.parametrize(("model", "simulate", "truth"), CASES.values(), ids=CASES)


def z_scores(model, truth):
    """How far off, in standard errors: of the logarithm for parameters, as it is for coefficients."""
    scores = {}
    for name, value in truth.items():
        found, error = model.params_[name], model.standard_errors_[name]
        is_log = name in model._parameters
        scores[name] = np.log(found / value) / (error / found) if is_log else (found - value) / error
    return scores


def coverage(model, simulate, truth, n):
    inside = pd.DataFrame([z_scores(model.fit(simulate(seed)), truth) for seed in range(n)]).abs() < 1.96
    print(
        f"\n95 % intervals in {n} simulations: " + ", ".join(f"{k} {v:.3f}" for k, v in inside.mean().items()), end="; "
    )
    print(f"together {inside.to_numpy().mean():.3f}")
    return inside


@every_case
def test_parameters_are_found_again(model, simulate, truth):
    """In 20 simulations an interval misses 5 % of the time: less than half of them, on the whole less than an eighth."""
    inside = coverage(model, simulate, truth, 20)
    assert inside.mean().min() >= 0.75
    assert inside.to_numpy().mean() >= 0.875


@pytest.mark.long
@every_case
def test_intervals_cover(model, simulate, truth):
    """In 200 simulations the share is .95 give or take three standard errors, and .92 to .98 on the whole."""
    inside = coverage(model, simulate, truth, 200)
    assert (np.abs(inside.mean() - 0.95) < 0.046).all()
    assert 0.92 <= inside.to_numpy().mean() <= 0.98
