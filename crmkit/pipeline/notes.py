"""What a stage has to say to whoever reads the run."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from crmkit.exceptions import CrmkitWarning


def note(sentence: str) -> None:
    """Tell the reader of the run something: it stands in the report, in ``run.json`` and on the terminal."""
    warnings.warn(sentence, CrmkitWarning, stacklevel=2)


def told(caught: Sequence[warnings.WarningMessage]) -> list[str]:
    """Warnings of crmkit as notes, each once; others go on to whoever listens."""
    for other in caught:
        if not issubclass(other.category, CrmkitWarning):
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
    return sorted({str(told.message) for told in caught if issubclass(told.category, CrmkitWarning)})
