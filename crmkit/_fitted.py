"""The error of a model that is asked for an answer before it was fitted; scikit-learn's own and crmkit's at once."""

from __future__ import annotations

import sklearn.exceptions

from crmkit.exceptions import CrmkitError

__all__ = ["NotFittedError"]


class NotFittedError(CrmkitError, sklearn.exceptions.NotFittedError):  # type: ignore[misc]
    """The model was asked for an answer before ``fit``."""
