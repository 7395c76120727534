"""What the lines of a delivery mean: which rows count, whose they are, and what was sold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from crmkit.exceptions import ConfigError
from crmkit.ingest.row_meaning import RowMeaning, check_words
from crmkit.ingest.times import TimeRules

if TYPE_CHECKING:
    import pandas as pd

    from crmkit.ingest.tables import Products, Rates

__all__ = ["LineMeaning", "stated"]

KINDS = ("sale", "free", "return", "adjustment")
"""What a line is that belongs to no class."""


@dataclass(frozen=True)
class LineMeaning(RowMeaning):
    """A `RowMeaning` with what is known of the goods.

    Attributes
    ----------
    products : Products, optional
        What is sold.
    classes : mapping of str to patterns, optional
        Lines that are money, not goods, by product_id or category.
    rates : Rates, optional
        What other currencies are worth in that of the log.
    """

    products: Products | None = None
    classes: Mapping[str, Sequence[str]] | None = None
    rates: Rates | None = None

    @property
    def rate_table(self) -> pd.DataFrame | None:
        return None if self.rates is None else self.rates.frame

    def __post_init__(self) -> None:
        super().__post_init__()
        if taken := [name for name in self.classes or {} if name in KINDS]:
            raise ConfigError(
                f"classes: {taken} cannot be stated: what is sold, given away, returned or adjusted is told by a line's amount and "
                "quantity. Choose another name, such as 'service', 'gift card' or 'discount'."
            )
        for name, patterns in (self.classes or {}).items():
            check_words(f"classes[{name!r}]", patterns)


def stated(options: Mapping[str, Any]) -> tuple[TimeRules, LineMeaning, dict[str, Any]]:
    """The keywords of `Transactions.split_extract`: how times are written, what lines mean, and the names of columns.

    >>> times, meaning, columns = stated({"time_zone": "Asia/Seoul", "non_members": ["till 4"], "amount": "paid"})
    >>> times.time_zone, meaning.non_members, columns
    ('Asia/Seoul', ['till 4'], {'amount': 'paid'})
    """
    given = {name: value for name, value in options.items() if value is not None}
    of_times, of_lines = ({one.name for one in fields(kind)} for kind in (TimeRules, LineMeaning))
    return (
        TimeRules(**{name: value for name, value in given.items() if name in of_times}),
        LineMeaning(**{name: value for name, value in given.items() if name in of_lines}),
        {name: value for name, value in given.items() if name not in of_times | of_lines},
    )
