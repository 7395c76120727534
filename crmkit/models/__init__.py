"""scikit-learn estimators over customer tables, one row per customer."""

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

__all__ = [
    "BGBB",
    "BGCNBD",
    "BGNBD",
    "MBGCNBD",
    "MBGNBD",
    "NBD",
    "CustomerLifetimeValue",
    "GammaGamma",
    "GammaGammaTrend",
    "ParetoNBD",
    "from_lifetimes",
    "load_model",
    "to_lifetimes",
]
