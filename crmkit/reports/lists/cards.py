"""Deals as they are printed: what they give, the price before and after, their days, and their barcode."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from functools import cache
from typing import Any, NamedTuple

import pandas as pd

from crmkit._days import as_day
from crmkit.exceptions import ConfigError, ContractError
from crmkit.offers.barcodes import bars_of, ean13
from crmkit.offers.deals import Deals
from crmkit.reports.lists.texts import clean, label
from crmkit.reports.lists.wording import Wording

__all__ = ["Card", "CardKey", "cards_of", "modules_of"]

BROAD, WIDEST = 226, 500
"""Modules of the widest barcodes that a card has room for: in its column, and across the page."""


class CardKey(NamedTuple):
    """A deal as a member gets it: its value for the member, the price of what the member usually buys, the coupon's own code.

    A value or price of -1 is that of the deal; an empty code is the deal's.
    """

    deal_id: str
    value: float = -1.0
    price: float = -1.0
    code: str = ""


class Card(NamedTuple):
    """A deal as it is printed; a broad one needs the width of the page for its barcode of so many modules."""

    value: str
    title: str
    price: str
    valid: str
    barcode: str
    symbology: str
    modules: int

    @property
    def broad(self) -> bool:
        return self.modules > BROAD


def cards_of(
    keys: Iterable[CardKey], deals: Deals, window: tuple[date, date], currency: str, wording: Wording
) -> dict[CardKey, Card]:
    """Every deal that is offered, as it is printed."""
    wanted = list(dict.fromkeys(keys))
    frame = deals.active(*window).frame
    known: dict[str, Any] = {str(row.deal_id): row for row in frame.itertuples(index=False)}
    unknown = sorted({key.deal_id for key in wanted} - set(known), key=str)
    if unknown:
        raise ContractError(
            f"offers has {len(unknown)} deals that are not valid from {Wording('en').window(*window)}: "
            f"{unknown[:5]}. Pass the deals of the plan."
        )
    return {key: _card(known[key.deal_id], key, currency, window, wording) for key in wanted}


def _card(deal: Any, key: CardKey, currency: str, window: tuple[date, date], wording: Wording) -> Card:
    """A deal in print; its title does not say again how much it takes off."""
    value = deal.value if key.value < 0 else key.value
    kind = "amount" if pd.isna(deal.kind) else deal.kind
    title = _without_saving(clean(deal.title), kind, value, currency)
    if kind == "bundle":
        title = wording.text("bundle", title=title, partner=label(str(deal.bundle_with)))
    code, symbology = _barcode(deal, key.code)
    modules = modules_of(code, symbology, f"deal {deal.deal_id}") if code else 0
    usual = key.price if key.price > 0 and pd.isna(deal.price) else deal.price
    price = _price(kind, value, usual, currency, wording)
    saving = clean(_saving(kind, value, currency, wording))
    return Card(saving, title[:1].upper() + title[1:], price, _valid(deal, window, wording), code, symbology, modules)


def _barcode(deal: Any, own: str) -> tuple[str, str]:
    if pd.isna(deal.barcode) or not deal.barcode:
        return own, "ean"
    symbology = "ean" if pd.isna(deal.barcode_type) else deal.barcode_type
    return (ean13(deal.barcode) if symbology == "ean" else deal.barcode), symbology


def _valid(deal: Any, window: tuple[date, date], wording: Wording) -> str:
    starts, ends = as_day(deal.starts), as_day(deal.ends)
    if starts <= window[0]:
        return wording.text("valid_until", day=wording.day(ends, year=True))
    return wording.text("valid_span", span=wording.dated(starts, ends))


def _without_saving(title: str, kind: str, value: float, currency: str) -> str:
    """A title without what it takes off, where it begins with that.

    >>> _without_saving("0.50 off any tea", "amount", 0.5, "USD")
    'any tea'
    """
    english = Wording("en")
    said = _saving(kind, value, "", english), _saving(kind, value, currency, english)
    return next((title.removeprefix(f"{one} ") for one in said if title.startswith(f"{one} ")), title)


def modules_of(code: str, symbology: str, whose: str) -> int:
    """How wide a barcode is, where it can be one and the page has room for it."""
    try:
        modules = bars_of(code, symbology)[2]
    except ConfigError as error:
        raise ConfigError(f"The barcode of {whose}: {error}") from None
    if modules > WIDEST:
        raise ConfigError(
            f"The barcode {code!r} of {whose} is too wide for the page: {modules} modules, of which {WIDEST} fit. "
            "Give it fewer characters; digits take half the room of letters."
        )
    return modules


@cache
def _saving(kind: str, value: float, currency: str, wording: Wording) -> str:
    """What a deal gives, in words.

    >>> english = Wording("en")
    >>> _saving("amount", 0.5, "USD", english), _saving("percent", 20, "", english), _saving("points", 50, "", english)
    ('$0.50 off', '20% off', '50 points')
    """
    number = f"{value:g}"
    forms = {
        "percent": ("percent", number),
        "points": ("points", number),
        "early notice": ("early", number),
        "perk": ("perk", number),
    }
    if kind in forms:
        name, written = forms[kind]
        return wording.text(name, number=written)
    return wording.text("off", amount=wording.money(value, currency))


def _price(kind: str, value: float, price: float, currency: str, wording: Wording) -> str:
    """The price before and after, where it is known.

    >>> english = Wording("en")
    >>> _price("percent", 20, 5.0, "GBP", english), _price("points", 20, 5.0, "GBP", english)
    ('was £5.00, now £4.00', '£5.00')
    """
    if pd.isna(price):
        return ""
    after = {"amount": price - value, "percent": price * (1 - value / 100)}.get(kind)
    before = wording.money(price, currency)
    if after is None or after <= 0:
        return before
    return wording.text("before_after", before=before, after=wording.money(after, currency))
