"""Every error crmkit raises, as one tree.

::

    CrmkitError
    ├── ConfigError      the configuration is wrong; says which key, and the nearest known one
    ├── ExtractError     a file or table cannot be read at all; nothing was loaded from it
    │   ├── NoInputError        no file matches
    │   └── SourceChangedError  a file changed while it was read
    ├── ContractError    columns or rows do not meet the contract; names them and what to write instead
    │   └── RefusedError        the delivery is implausible: invalid rows, no member matches, days missing
    ├── ModelError       the data do not identify the model, or a parameter makes no sense
    ├── LeakError        a question about days that are not observed yet
    ├── StoreError       a store has lost or altered files; says which, and what can be rebuilt
    └── PublishError     an output could not be written; what was there before is untouched
        └── BusyError           another run is writing there

    CrmkitWarning        the answer is usable, and says what to know about it
    └── DeliveryWarning      what was read may not be what was meant
"""

from __future__ import annotations

__all__ = [
    "BusyError",
    "ConfigError",
    "ContractError",
    "CrmkitError",
    "CrmkitWarning",
    "DeliveryWarning",
    "ExtractError",
    "LeakError",
    "ModelError",
    "NoInputError",
    "PublishError",
    "RefusedError",
    "SourceChangedError",
    "StoreError",
    "UnmatchedDealsError",
]


class CrmkitError(Exception):
    """Root of every error raised by crmkit."""


class ConfigError(CrmkitError, ValueError):
    """The configuration file or an argument is wrong."""


class ExtractError(CrmkitError, ValueError):
    """A source cannot be read; nothing was loaded from it."""


class NoInputError(ExtractError):
    """No file matches."""


class SourceChangedError(ExtractError):
    """A file changed while it was read; try again when the delivery is complete."""


class ContractError(CrmkitError, ValueError):
    """Columns or rows do not meet the contract of their table."""


class RefusedError(ContractError):
    """The delivery is implausible: too many invalid rows, no member matches, or recent days missing."""


class UnmatchedDealsError(ContractError):
    """No deal is for anything that is due, so that no list can be planned."""


class ModelError(CrmkitError, ValueError):
    """The data do not identify the model, or a parameter makes no sense."""


class LeakError(CrmkitError, ValueError):
    """The question needs days that have not been observed."""


class StoreError(CrmkitError):
    """A store has lost its log or a file of it, or one has been altered; nothing was read from it and nothing written."""


class PublishError(CrmkitError, OSError):
    """An output could not be written; the previous one is untouched."""


class BusyError(PublishError):
    """Another run is writing to the same folder; try again later."""


class CrmkitWarning(UserWarning):
    """The answer is usable, and the message says what to know about it."""


class DeliveryWarning(CrmkitWarning):
    """What was read may not be what was meant: many invalid rows, an end long after the last line, one id with a tenth of all."""
