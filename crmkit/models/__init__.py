"""scikit-learn estimators over customer tables, one row per customer."""

from crmkit.models._base import load_model
from crmkit.models.bgnbd import BGNBD
from crmkit.models.gamma_gamma import GammaGamma
from crmkit.models.lifetime_value import CustomerLifetimeValue

__all__ = ["BGNBD", "CustomerLifetimeValue", "GammaGamma", "load_model"]
