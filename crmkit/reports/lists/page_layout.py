"""Printed lists: one page a member, with what they may need soon and the deals chosen for them, barcodes included.

Nothing is printed before every character of it is known to be in the font, and nothing stands in the folder before all
of it is printed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TypeVar, Unpack

import pandas as pd

from crmkit.offers.barcodes import bars_of
from crmkit.offers.deals import Deals
from crmkit.reports.lists.content import Card, ListContent, ListOptions, Page
from crmkit.reports.lists.pdf_canvas import BOLD, GREEN, GREY, INK, RED, REGULAR, WHITE, Canvas, Rectangles

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
    font: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
    **options: Unpack[ListOptions],
) -> PrintedLists:
    """Print ``folder/lists.pdf``: a page for every member who has an offer, in the order of their ids.

    The same input gives the same bytes. A member's page shows the last characters of the card number only.

    Parameters
    ----------
    offers : DataFrame
        customer_id, deal_id, position, and value where it differs between members, as in ``OfferResult.offers``.
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
    >>> offers = pd.DataFrame({"customer_id": ["00770001"], "deal_id": ["D1"], "position": [1]})
    >>> due = pd.DataFrame({"customer_id": ["00770001"], "category": ["Milk"], "p_purchase": [0.8]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     printed = print_lists(offers, deals, due, folder, as_of="2017-12-31", horizon=14)
    >>> printed.path.name, printed.pages
    ('lists.pdf', 1)
    """
    began = time.perf_counter()
    lists = ListContent.of(offers, deals, due, **options)
    canvas = Canvas(font, lists.first_day - timedelta(days=1))
    canvas.check(lists.texts())
    for number, page in enumerate(lists.pages, 1):
        _draw(canvas, page, lists)
        if progress and number % 1000 == 0:
            progress(f"{number:,} of {len(lists.pages):,} lists printed")
    if not lists.pages:
        canvas.page()
        canvas.write(_LEFT, 30, f"No member has an offer from {lists.window}.")
    path = canvas.publish(Path(folder) / "lists.pdf")
    n = len(lists.pages)
    return PrintedLists(path, n, canvas.pages if n else 0, time.perf_counter() - began)


# -- how it looks ------------------------------------------------------------------------------------------------


def _draw(canvas: Canvas, page: Page, lists: ListContent) -> None:
    y = _head(canvas, page, lists)
    if page.needs:
        y = _heading(canvas, y, "You may need soon")
        for pair in _pairs(page.needs):
            y = y if y + _ROW <= _BOTTOM else _head(canvas, page, lists)
            for x, (item, when) in zip(_COLUMNS, pair, strict=False):
                _need(canvas, x, y, item, when)
            y += _ROW
        y += 8
    y = _heading(canvas, y, "Your deals")
    for row in _rows([lists.cards[deal] for deal in page.deals]):
        y = y if y + _CARD <= _BOTTOM else _head(canvas, page, lists)
        for x, card in zip(_COLUMNS, row, strict=False):
            _coupon(canvas, x, y, card, _RIGHT - _LEFT if card.broad else _COLUMN)
        y += _CARD + _CARD_GAP
    if page.tips:
        y = _heading(canvas, y + 8 if y + 8 + _ROW * len(page.tips) <= _BOTTOM else _head(canvas, page, lists), "Ideas")
        for tip in page.tips:
            canvas.write(_LEFT, y + 3.8, canvas.fit(tip, _RIGHT - _LEFT, REGULAR, 10.5), REGULAR, 10.5)
            y += _ROW * 0.6


_COLUMNS = (_LEFT, _LEFT + _COLUMN + _GUTTER)


Entry = TypeVar("Entry")


def _pairs(entries: list[Entry]) -> list[list[Entry]]:
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


def _head(canvas: Canvas, page: Page, lists: ListContent) -> float:
    """Start a page with its coloured band; returns where the page goes on."""
    canvas.page()
    canvas.block(0, 0, 210, _BAND, GREEN)
    width = (_RIGHT - _LEFT) * 0.62
    canvas.write(_LEFT, 15, canvas.fit(lists.title, width, BOLD, 22), BOLD, 22, WHITE)
    canvas.write(_LEFT, 23.5, lists.window, REGULAR, 12, WHITE)
    side = _RIGHT - _LEFT - width - 4
    if page.name:
        canvas.write_to(_RIGHT, 15, canvas.fit(f"For {page.name}", side, BOLD, 12), BOLD, 12, WHITE)
    if page.card_ending:
        canvas.write_to(
            _RIGHT, 23.5, canvas.fit(f"card ending in {page.card_ending}", side, REGULAR, 10), REGULAR, 10, WHITE
        )
    if page.code:
        _barcode(canvas, _RIGHT, _BAND + 5, page.code, "code 128", height=10)
    return _BAND + (31 if page.code else 11)


def _heading(canvas: Canvas, y: float, text: str) -> float:
    canvas.write(_LEFT, y, text, BOLD, 14, GREEN)
    canvas.block(_LEFT, y + 2, _RIGHT - _LEFT, 0.5, GREEN)
    return y + 5.5


def _need(canvas: Canvas, x: float, y: float, item: str, when: str) -> None:
    canvas.frame(x, y + 1.2, 4, 4)
    canvas.write(x + 6.5, y + 3.8, canvas.fit(item, _COLUMN - 7, REGULAR, 10.5), REGULAR, 10.5)
    canvas.write(x + 6.5, y + 7.4, when, REGULAR, 8, GREY)


def _coupon(canvas: Canvas, x: float, y: float, card: Card, width: float) -> None:
    canvas.frame(x, y, width, _CARD, dashed=True)
    wide = card.modules > _NARROW
    room = width - 8 if wide else _TEXT
    canvas.write(x + 4, y + 8, canvas.fit(card.value, room * (0.5 if wide else 1), BOLD, 16), BOLD, 16, RED)
    if wide:
        canvas.write_to(x + width - 4, y + 8, canvas.fit(card.price, room * 0.45, REGULAR, 8), REGULAR, 8, GREY)
        canvas.write(x + 4, y + 12, canvas.fit(card.title, room, REGULAR, 9), REGULAR, 9)
    else:
        lines = canvas.wrap(card.title, room, 9, lines=3 if card.price else 4)
        for number, line in enumerate(lines):
            canvas.write(x + 4, y + 13.5 + 4 * number, line, REGULAR, 9)
        canvas.write(x + 4, y + 25.5, canvas.fit(card.price, room, REGULAR, 8), REGULAR, 8, GREY)
    canvas.write(x + 4, y + _CARD - 2.2, canvas.fit(card.valid, _TEXT, REGULAR, 7.5), REGULAR, 7.5, GREY)
    right = x + width - 2
    if card.barcode:
        _barcode(canvas, right, y + (14 if wide else 5), card.barcode, card.symbology, height=9 if wide else _BARS)
    else:
        canvas.write_to(right - 2, y + 8, "show your card", REGULAR, 8, GREY)


def _barcode(canvas: Canvas, right: float, y: float, code: str, symbology: str, height: float) -> None:
    """Bars in their nominal size with the digits below, the quiet zone ending at ``right``."""
    rectangles, modules = _bars(code, symbology, height)
    quiet, module = 7 if symbology == "ean" else 10, _MODULE
    x = math.floor(right / module - (modules + quiet)) * module
    canvas.bars(x, y, rectangles, INK)
    if symbology != "ean":
        canvas.write_to(x + modules * module, y + height + 3.3, code, REGULAR, 8, INK)
        return
    half = len(code) // 2
    for digits, place in ((code[-2 * half : -half], 0.26), (code[-half:], 0.74)):
        centre = x + place * modules * module
        canvas.write(centre - canvas.width(digits, REGULAR, 8) / 2, y + height + 3.3, digits, REGULAR, 8)
    if len(code) % 2:
        canvas.write(x - 3.2, y + height + 3.3, code[0], REGULAR, 8)


@lru_cache(4096)
def _bars(code: str, symbology: str, height: float) -> tuple[Rectangles, int]:
    """Bars from their upper left corner, a little thinner than nominal, guards longer; and the width in modules."""
    tall, long, modules = bars_of(code, symbology)
    return tuple(
        (at * _MODULE + _THINNER / 2, 0.0, width * _MODULE - _THINNER, tallness)
        for bars, tallness in ((tall, height), (long, height + 1.65))
        for at, width in bars
    ), modules
