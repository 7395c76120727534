"""Deals: what is offered, for how much, on whose money, and on which days."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pandas as pd

from crmkit.contracts import DEALS
from crmkit.exceptions import ConfigError
from crmkit.tables import ContractTable
from crmkit.transactions import as_day

__all__ = ["Deals", "ean13", "gtin_check_digit"]

_WEIGHTED = " + ".join(
    f"{3 if place % 2 else 1} * try_cast(substr(lpad(barcode, 14, '0'), {place}, 1) as integer)"
    for place in range(1, 15)
)
_BARCODE_RULES = {
    "barcode is not 8, 12 or 13 digits": (
        "length(barcode) not in (8, 12, 13) or length(translate(barcode, '0123456789', '')) > 0"
    ),
    "barcode has a wrong check digit": f"({_WEIGHTED}) % 10 <> 0",
}


class Deals(ContractTable):
    """Money off, one row per deal.

    The columns are deal_id, title, category, product_id, brand_type, funder, funder_share (0 … 1, what the funder pays
    of each redeemed deal; the shop pays all when it is missing), kind, value (money off), budget (the total face value
    that may be redeemed), starts and ends (days, both inclusive), and barcode: EAN-8, UPC-A or EAN-13 with a right check
    digit, or nothing.

    Examples
    --------
    >>> deals = Deals.from_extract(pd.DataFrame({
    ...     "deal_id": ["D1", "D2"], "title": ["0.50 off milk", "1.00 off tea"], "category": ["Milk", "Tea"],
    ...     "funder": ["Dairy", "Shop"], "funder_share": [1, 0], "value": [0.5, 1], "budget": [100, 50],
    ...     "starts": ["2018-01-01", "2018-02-01"], "ends": ["2018-01-14", "2018-02-14"],
    ...     "barcode": ["4006381333931", None]}))
    >>> deals.active("2018-01-10", "2018-01-24").frame.deal_id.tolist()
    ['D1']
    """

    contract = replace(DEALS, rules={**DEALS.rules, **_BARCODE_RULES})

    def active(self, first_day: str | date, last_day: str | date) -> Deals:
        """The deals that can be redeemed on some day from ``first_day`` to ``last_day``, both inclusive."""
        first, last = pd.Timestamp(as_day(first_day)), pd.Timestamp(as_day(last_day))
        starts, ends = pd.to_datetime(self.frame["starts"]), pd.to_datetime(self.frame["ends"])
        return Deals(self.frame[(starts <= last) & (ends >= first)].reset_index(drop=True))


def gtin_check_digit(digits: str) -> int:
    """The check digit that follows the leading digits of a GTIN of any length.

    Weights of 3 and 1 alternate from the right; the check digit completes the sum to a multiple of ten.

    Source: GS1 General Specifications, section 7.9.

    >>> gtin_check_digit("629104150021")
    3
    """
    if not (digits.isascii() and digits.isdigit()):
        raise ConfigError(f"{digits!r} is not digits only.")
    odd, even = digits[::-2], digits[-2::-2]
    return -(3 * sum(map(int, odd)) + sum(map(int, even))) % 10


def ean13(barcode: str) -> str:
    """A barcode as the till reads it: a UPC-A of 12 digits is an EAN-13 with a leading 0, others stay.

    >>> ean13("036000291452")
    '0036000291452'
    """
    return barcode.zfill(13) if len(barcode) == 12 else barcode
