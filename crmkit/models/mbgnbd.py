"""MBG/NBD: the BG/NBD model for shops where the first purchase may have been the last."""

from __future__ import annotations

from typing import ClassVar

from crmkit.models.bgnbd import BetaGeometric


class MBGNBD(BetaGeometric):
    """The MBG/NBD model: like `BGNBD`, but a customer may drop out right after the first purchase too.

    Rates vary between customers as Gamma(r, alpha), dropout probabilities as Beta(a, b). So somebody who bought once,
    long ago, is probably gone, where the BG/NBD model holds every one-time buyer to be alive. Tables have one row per
    customer: ``frequency`` (repeat purchase days), ``recency`` (days from first to last purchase) and ``T`` (days from
    first purchase to the end of observation). The fit does not depend on the unit of time; horizons are in the same unit.

    Parameters
    ----------
    rate_covariates, dropout_covariates : sequence of str, default ()
        As in `BGNBD`.

    Attributes
    ----------
    params_, standard_errors_, covariance_, log_likelihood_, aic_, n_customers_, feature_names_in_
        As in `BGNBD`.
    prior_used_, converged_, training_ : bool, bool, dict
        As in `BGNBD`.

    References
    ----------
    Batislam, Denizel & Filiztekin (2007), "Empirical validation and comparison of models for customer base analysis",
    International Journal of Research in Marketing 24(3), 201-209; Hoppe & Wagner (2007), "Customer base analysis: the
    case for a central variant of the Betageometric/NBD model", Marketing - Journal of Research and Management 3(2).

    Examples
    --------
    Two customers who bought once, one week and 39 weeks ago:

    >>> import pandas as pd
    >>> from crmkit.models import MBGNBD
    >>> table = pd.DataFrame({"frequency": [0, 1, 1, 2, 3, 6, 9], "recency": [0, 5, 28, 15, 30, 20, 37], "T": 39})
    >>> model = MBGNBD().fit(table, sample_weight=[300, 40, 40, 20, 15, 8, 8])
    >>> once = pd.DataFrame({"frequency": [0, 0], "recency": [0, 0], "T": [1, 39]})
    >>> model.probability_alive(once).round(2).tolist()
    [0.53, 0.35]
    """

    label: ClassVar[str] = "MBG/NBD"
    dropout: ClassVar[str] = "after any purchase"
    lifetimes_name: ClassVar[str | None] = "ModifiedBetaGeoFitter"
    _first_coin: ClassVar[int] = 1
