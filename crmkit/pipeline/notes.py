"""What a stage has to say to whoever reads the run."""

from __future__ import annotations

import warnings

from crmkit.exceptions import CrmkitWarning


def note(sentence: str) -> None:
    """Tell the reader of the run something: it stands in the report, in ``run.json`` and on the terminal."""
    warnings.warn(sentence, CrmkitWarning, stacklevel=2)
