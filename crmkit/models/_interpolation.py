"""Expected purchases of many customers, computed at a few times observed and interpolated for the others."""

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
    """P(alive) times what lies ahead of the living, which is smooth in T: computed at a few T and interpolated.

    For models in which a living customer is known by frequency and T. Between Chebyshev nodes in log(T + the shortest
    time among the parameters) the interpolating polynomial is right to ten digits; None where there are too few distinct
    T to gain by it.
    """
    if not getattr(model, "_times", ()) or tuple(getattr(model, "_state", ())) != ("frequency", "T"):
        return None
    x, T = read_columns(customers, ("frequency", "T"), {})
    (of_x, xs), (of_T, Ts) = pd.factorize(x), pd.factorize(T)
    shift = min((model.params_[name] for name in model._times), default=1.0)
    ends = np.log(shift + np.array([Ts.min(initial=np.inf), Ts.max(initial=0.0)]))
    n_nodes = _NODES + math.ceil(_NODES * (ends[1] - ends[0])) if len(Ts) > _NODES else len(Ts)
    if len(Ts) < 3 * n_nodes or len(xs) * len(Ts) > _LARGEST:
        return None
    angles = (np.arange(n_nodes) + 0.5) * np.pi / n_nodes
    nodes = ends.mean() + np.diff(ends) / 2 * np.cos(angles)
    cells = pd.DataFrame({"frequency": np.repeat(xs, n_nodes), "T": np.tile(np.exp(nodes) - shift, len(xs))})
    cells["recency"] = np.where(cells["frequency"] > 0, cells["T"], 0.0)
    alive = np.asarray(ahead(cells) / model.probability_alive(cells)).reshape(len(xs), n_nodes)
    of_living: Floats = alive @ _barycentric(np.log(shift + Ts), nodes, angles).T
    purchases: pd.Series[float] = model.probability_alive(customers) * of_living[of_x, of_T]
    return purchases


def _barycentric(at: Floats, nodes: Floats, angles: Floats) -> Floats:
    """Weights of the nodes in the polynomial through them, (n_at, n_nodes): the barycentric formula.

    Berrut & Trefethen (2004), "Barycentric Lagrange interpolation", SIAM Review 46(3), equations 4.2 and 5.3.
    """
    gap = at[:, None] - nodes
    weight = np.sin(angles) * (-1.0) ** np.arange(len(nodes)) / np.where(gap == 0, 1e-300, gap)
    shares: Floats = weight / weight.sum(axis=1, keepdims=True)
    return shares
