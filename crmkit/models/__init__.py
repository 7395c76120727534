"""Models of customer bases: scikit-learn estimators over tables of one row per customer."""

from crmkit.models._base import load_model
from crmkit.models.bgbb import BGBB
from crmkit.models.bgcnbd import BGCNBD, MBGCNBD
from crmkit.models.bgnbd import BGNBD
from crmkit.models.gamma_gamma import GammaGamma, GammaGammaTrend
from crmkit.models.lifetime_value import CustomerLifetimeValue
from crmkit.models.lifetimes import from_lifetimes, to_lifetimes
from crmkit.models.mbgnbd import MBGNBD
from crmkit.models.nbd import NBD
from crmkit.models.pareto_nbd import ParetoNBD
from crmkit.models.shifted_beta_geometric import ShiftedBetaGeometric

PURCHASE_MODELS = (BGNBD, MBGNBD, ParetoNBD, NBD, BGCNBD, MBGCNBD)
"""Every model of purchases over the table of `btyd_summary`: candidates of `choose_model`, and what the tests go through."""

__all__ = [
    "BGBB",
    "BGCNBD",
    "BGNBD",
    "MBGCNBD",
    "MBGNBD",
    "NBD",
    "PURCHASE_MODELS",
    "CustomerLifetimeValue",
    "GammaGamma",
    "GammaGammaTrend",
    "ParetoNBD",
    "ShiftedBetaGeometric",
    "from_lifetimes",
    "load_model",
    "to_lifetimes",
]
