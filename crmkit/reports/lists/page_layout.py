"""Printed lists: one page a member, with what they may need soon and the deals chosen for them, barcodes included.

Nothing is printed before every character of it is known to be in the font, and nothing stands in the folder before all
of it is printed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from crmkit.offers.barcodes import bars_of
from crmkit.offers.deals import Deals
from crmkit.reports.lists.content import Card, Lists, Page
from crmkit.reports.lists.pdf_canvas import BOLD, GREEN, GREY, INK, RED, REGULAR, WHITE, Sheet

__all__ = ["PrintedLists", "print_lists"]

# millimetres on A4
_LEFT, _RIGHT, _BOTTOM = 14.0, 196.0, 283.0
_COLUMN, _GUTTER = 88.0, 6.0
_BAND, _ROW, _CARD, _CARD_GAP = 30.0, 9.8, 32.0, 3.5
_MODULE, _BARS = 25.4 / 75, 16.0  # whole dots of a printer or a camera of 150, 300 or 600 dots an inch
_NARROW, _THINNER = 113, 0.02  # ink spreads: bars are drawn a little thinner than they are to be
_TEXT = _COLUMN - _NARROW * _MODULE - 6


@dataclass(frozen=True)
class PrintedLists:
    """Where the lists are, and how fast they came; prints as one sentence."""

    path: Path
    members: int
    pages: int
    seconds: float = field(compare=False)

    @property
    def pages_a_minute(self) -> float:
        """How fast they came."""
        return 60 * self.pages / self.seconds

    def __str__(self) -> str:
        return f"{self.members:,} lists on {self.pages:,} pages in {self.path.name}, {self.pages_a_minute:,.0f} pages a minute"


def print_lists(
    offers: pd.DataFrame,
    deals: Deals,
    due: pd.DataFrame,
    folder: str | Path,
    *,
    names: Mapping[str, str] | None = None,
    codes: Mapping[str, str] | None = None,
    tips: pd.DataFrame | None = None,
    title: str = "Your shopping list",
    as_of: str | date | None = None,
    horizon: int | None = None,
    top_due: int = 8,
    currency: str = "",
    font: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> PrintedLists:
    """Print ``folder/lists.pdf``: a page for every member who has an offer, in the order of their ids.

    The same input gives the same bytes. A member's page shows the last characters of the card number only.

    Parameters
    ----------
    offers : DataFrame
        customer_id, deal_id, slot, and value where it differs between members, as in ``OfferResult.offers``.
    deals : Deals
    due : DataFrame
        customer_id, product_id or category, p_purchase; day_10, day_50, day_90 (days from ``as_of``) where known, and name
        if the item has a better one. The most probable ``top_due`` are printed.
    folder : path
        Made if it is not there.
    names : mapping of str to str, optional
        Customer id → the name to greet the member by.
    codes : mapping of str to str, optional
        Customer id → what a Code 128 at the head of the list says to the till.
    tips : DataFrame, optional
        customer_id, title, slot, as in ``OfferResult.tips``.
    title : str
        Head of every page: the shop's name, say.
    as_of, horizon : date and int, optional
        The list speaks of days as_of + 1 … as_of + horizon; taken from ``due`` when it has these columns.
    currency : str
        Stands before the value of a deal.
    font : path, optional
        A .ttf, .otf or .ttc file, for characters that DejaVu Sans lacks (Chinese, Japanese, Korean, …).
    progress : callable, optional
        Is told every thousand pages.

    Raises
    ------
    ContractError
        An offer names a deal that is not in ``deals`` or not running on these days, or a column is missing.
    ConfigError
        The font cannot be read or lacks characters (they are named, with where they stand), a barcode is too wide, or the
        days are not known.
    PublishError
        The file cannot be written; an earlier one is untouched.

    Examples
    --------
    >>> import tempfile
    >>> deals = Deals.from_extract(pd.DataFrame({
    ...     "deal_id": ["D1"], "title": ["Any fresh milk"], "category": ["Milk"], "funder": ["Dairy"], "value": [0.5],
    ...     "budget": [10], "starts": ["2018-01-01"], "ends": ["2018-01-14"], "barcode": ["4006381333931"]}))
    >>> offers = pd.DataFrame({"customer_id": ["00770001"], "deal_id": ["D1"], "slot": [1]})
    >>> due = pd.DataFrame({"customer_id": ["00770001"], "category": ["Milk"], "p_purchase": [0.8]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     printed = print_lists(offers, deals, due, folder, as_of="2017-12-31", horizon=14)
    >>> printed.path.name, printed.pages
    ('lists.pdf', 1)
    """
    began = time.perf_counter()
    lists = Lists.of(
        offers, deals, due, names=names, codes=codes, tips=tips, title=title, as_of=as_of, horizon=horizon,
        top_due=top_due, currency=currency,
    )  # fmt: skip
    sheet = Sheet(font, lists.first_day - timedelta(days=1))
    sheet.check(lists.texts())
    for number, page in enumerate(lists.pages, 1):
        _draw(sheet, page, lists)
        if progress and number % 1000 == 0:
            progress(f"{number:,} of {len(lists.pages):,} lists printed")
    if not lists.pages:
        sheet.page()
        sheet.write(_LEFT, 30, f"No member has an offer from {lists.fortnight}.")
    path = sheet.publish(Path(folder) / "lists.pdf")
    n = len(lists.pages)
    return PrintedLists(path, n, sheet.pages if n else 0, time.perf_counter() - began)


# -- how it looks ------------------------------------------------------------------------------------------------


def _draw(sheet: Sheet, page: Page, lists: Lists) -> None:
    y = _head(sheet, page, lists)
    if page.needs:
        y = _heading(sheet, y, "You may need soon")
        for pair in _pairs(page.needs):
            y = y if y + _ROW <= _BOTTOM else _head(sheet, page, lists)
            for x, (item, when) in zip(_COLUMNS, pair, strict=False):
                _need(sheet, x, y, item, when)
            y += _ROW
        y += 8
    y = _heading(sheet, y, "Your deals")
    for row in _rows([lists.cards[deal] for deal in page.deals]):
        y = y if y + _CARD <= _BOTTOM else _head(sheet, page, lists)
        for x, card in zip(_COLUMNS, row, strict=False):
            _coupon(sheet, x, y, card, _RIGHT - _LEFT if card.broad else _COLUMN)
        y += _CARD + _CARD_GAP
    if page.tips:
        y = _heading(sheet, y + 8 if y + 8 + _ROW * len(page.tips) <= _BOTTOM else _head(sheet, page, lists), "Ideas")
        for tip in page.tips:
            sheet.write(_LEFT, y + 3.8, sheet.fit(tip, _RIGHT - _LEFT, REGULAR, 10.5), REGULAR, 10.5)
            y += _ROW * 0.6


_COLUMNS = (_LEFT, _LEFT + _COLUMN + _GUTTER)


def _pairs(entries: list[Any]) -> list[list[Any]]:
    return [entries[at : at + 2] for at in range(0, len(entries), 2)]


def _rows(cards: list[Card]) -> list[list[Card]]:
    """Cards two by two in their order, a broad one alone."""
    rows: list[list[Card]] = []
    for card in cards:
        if rows and len(rows[-1]) == 1 and not (card.broad or rows[-1][0].broad):
            rows[-1].append(card)
        else:
            rows.append([card])
    return rows


def _head(sheet: Sheet, page: Page, lists: Lists) -> float:
    """Start a page with its coloured band; returns where the page goes on."""
    sheet.page()
    sheet.block(0, 0, 210, _BAND, GREEN)
    width = (_RIGHT - _LEFT) * 0.62
    sheet.write(_LEFT, 15, sheet.fit(lists.title, width, BOLD, 22), BOLD, 22, WHITE)
    sheet.write(_LEFT, 23.5, lists.fortnight, REGULAR, 12, WHITE)
    side = _RIGHT - _LEFT - width - 4
    if page.name:
        sheet.write_to(_RIGHT, 15, sheet.fit(f"For {page.name}", side, BOLD, 12), BOLD, 12, WHITE)
    if page.card_ending:
        sheet.write_to(
            _RIGHT, 23.5, sheet.fit(f"card ending in {page.card_ending}", side, REGULAR, 10), REGULAR, 10, WHITE
        )
    if page.code:
        _barcode(sheet, _RIGHT, _BAND + 5, page.code, "code 128", height=10)
    return _BAND + (31 if page.code else 11)


def _heading(sheet: Sheet, y: float, text: str) -> float:
    sheet.write(_LEFT, y, text, BOLD, 14, GREEN)
    sheet.block(_LEFT, y + 2, _RIGHT - _LEFT, 0.5, GREEN)
    return y + 5.5


def _need(sheet: Sheet, x: float, y: float, item: str, when: str) -> None:
    sheet.frame(x, y + 1.2, 4, 4)
    sheet.write(x + 6.5, y + 3.8, sheet.fit(item, _COLUMN - 7, REGULAR, 10.5), REGULAR, 10.5)
    sheet.write(x + 6.5, y + 7.4, when, REGULAR, 8, GREY)


def _coupon(sheet: Sheet, x: float, y: float, card: Card, width: float) -> None:
    sheet.frame(x, y, width, _CARD, dashed=True)
    wide = card.modules > _NARROW
    room = width - 8 if wide else _TEXT
    sheet.write(x + 4, y + 8, sheet.fit(card.value, room * (0.5 if wide else 1), BOLD, 16), BOLD, 16, RED)
    if wide:
        sheet.write_to(x + width - 4, y + 8, sheet.fit(card.price, room * 0.45, REGULAR, 8), REGULAR, 8, GREY)
        sheet.write(x + 4, y + 12, sheet.fit(card.title, room, REGULAR, 9), REGULAR, 9)
    else:
        lines = sheet.wrap(card.title, room, 9, lines=3 if card.price else 4)
        for number, line in enumerate(lines):
            sheet.write(x + 4, y + 13.5 + 4 * number, line, REGULAR, 9)
        sheet.write(x + 4, y + 25.5, sheet.fit(card.price, room, REGULAR, 8), REGULAR, 8, GREY)
    sheet.write(x + 4, y + _CARD - 2.2, sheet.fit(card.valid, _TEXT, REGULAR, 7.5), REGULAR, 7.5, GREY)
    right = x + width - 2
    if card.barcode:
        _barcode(sheet, right, y + (14 if wide else 5), card.barcode, card.symbology, height=9 if wide else _BARS)
    else:
        sheet.write_to(right - 2, y + 8, "show your card", REGULAR, 8, GREY)


def _barcode(sheet: Sheet, right: float, y: float, code: str, symbology: str, height: float) -> None:
    """Bars in their nominal size with the digits below, the quiet zone ending at ``right``."""
    tall, long, modules = bars_of(code, symbology)
    quiet, module = 7 if symbology == "ean" else 10, _MODULE
    x = math.floor(right / module - (modules + quiet)) * module
    for bars, tallness in ((tall, height), (long, height + 1.65)):
        for at, width in bars:
            sheet.block(x + at * module + _THINNER / 2, y, width * module - _THINNER, tallness, INK)
    if symbology != "ean":
        sheet.write_to(x + modules * module, y + height + 3.3, code, REGULAR, 8, INK)
        return
    half = len(code) // 2
    for digits, place in ((code[-2 * half : -half], 0.26), (code[-half:], 0.74)):
        centre = x + place * modules * module
        sheet.write(centre - sheet.width(digits, REGULAR, 8) / 2, y + height + 3.3, digits, REGULAR, 8)
    if len(code) % 2:
        sheet.write(x - 3.2, y + height + 3.3, code[0], REGULAR, 8)
