"""Expected purchases of many customers, computed at a few and interpolated for the others."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmkit._types import Floats, Table
from crmkit.models._columns import read_columns

if TYPE_CHECKING:
    from crmkit.models.purchase_model import PurchaseModel

_NODES, _LARGEST = 6, 4_000_000


def purchases_at_nodes(
    model: PurchaseModel, customers: Table, ahead: Callable[[Table], pd.Series[float]]
) -> pd.Series[float] | None:
    """P(alive) times what lies ahead of the living, which is smooth in frequency and T: computed at a few of each and interpolated.

    For models in which a living customer is known by frequency and T. Between Chebyshev nodes in log(T + the shortest
    time among the parameters), and between whole numbers next to such nodes in log(frequency + 1), the interpolating
    polynomial is right to ten digits; None where there is nothing to gain by it.
    """
    if not getattr(model, "_times", ()) or tuple(getattr(model, "_state", ())) != ("frequency", "T"):
        return None
    x, T = read_columns(customers, ("frequency", "T"), {})
    (of_x, xs), (of_T, Ts) = pd.factorize(x), pd.factorize(T)
    shift = min((model.params_[name] for name in model._times), default=1.0)
    ends = np.log(shift + np.array([Ts.min(initial=np.inf), Ts.max(initial=0.0)]))
    n_nodes = _NODES + math.ceil(_NODES * (ends[1] - ends[0])) if len(Ts) > _NODES else len(Ts)
    counts = _counts(xs)
    if len(Ts) < 3 * n_nodes or len(xs) * len(Ts) > _LARGEST or len(counts) * n_nodes > len(x):
        return None
    nodes = ends.mean() + np.diff(ends) / 2 * np.cos((np.arange(n_nodes) + 0.5) * np.pi / n_nodes)
    cells = pd.DataFrame({"frequency": np.repeat(counts, n_nodes), "T": np.tile(np.exp(nodes) - shift, len(counts))})
    cells["recency"] = np.where(cells["frequency"] > 0, cells["T"], 0.0)
    alive = np.asarray(ahead(cells) / model.probability_alive(cells)).reshape(len(counts), n_nodes)
    if len(counts) < len(xs):
        alive = _barycentric(np.log1p(xs), np.log1p(counts)) @ alive
    of_living: Floats = alive @ _barycentric(np.log(shift + Ts), nodes).T
    purchases: pd.Series[float] = model.probability_alive(customers) * of_living[of_x, of_T]
    return purchases


def _counts(xs: Floats) -> Floats:
    """Whole numbers next to Chebyshev nodes in log(1 + x), ends included; those that are there, where they are not many more."""
    low, high = np.log1p([xs.min(initial=np.inf), xs.max(initial=0.0)])
    n_nodes = _NODES + math.ceil(_NODES * (high - low)) if len(xs) > _NODES else len(xs)
    if len(xs) < 2 * n_nodes:
        return xs
    nodes = (low + high) / 2 - (high - low) / 2 * np.cos(np.arange(n_nodes) * np.pi / (n_nodes - 1))
    return np.unique(np.round(np.expm1(nodes)))


def _barycentric(at: Floats, nodes: Floats) -> Floats:
    """Weights of the nodes in the polynomial through them, (n_at, n_nodes): the barycentric formula.

    Berrut & Trefethen (2004), "Barycentric Lagrange interpolation", SIAM Review 46(3), equations 3.2 and 4.2.
    """
    spread = 4 / np.ptp(nodes) if len(nodes) > 1 else 1.0  # keeps products of many differences near 1
    between = (nodes[:, None] - nodes) * spread
    np.fill_diagonal(between, 1.0)
    gap = at[:, None] - nodes
    weight = 1 / (between.prod(axis=1) * np.where(gap == 0, 1e-300, gap))
    shares: Floats = weight / weight.sum(axis=1, keepdims=True)
    return shares
