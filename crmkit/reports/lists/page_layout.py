"""Printed lists: one page a member, with what they may need soon and the deals chosen for them, barcodes included.

No file is printed before every character of it is known to be in the font, and nothing stands in the folder before all
of them are printed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TypeVar, Unpack

from crmkit._atomic import numbered, replacing_all
from crmkit.engine.pieces import Source
from crmkit.offers.barcodes import bars_of
from crmkit.offers.deals import Deals
from crmkit.reports.lists.cards import Card
from crmkit.reports.lists.content import ListContent, ListOptions, Page, stated_window, warn_of_endings
from crmkit.reports.lists.needs import Need
from crmkit.reports.lists.parts import ListPart, parts_of
from crmkit.reports.lists.pdf_canvas import BOLD, GREEN, GREY, INK, RED, REGULAR, WHITE, Canvas, Rectangles

__all__ = ["PrintedLists", "print_lists", "print_parts"]

# millimetres on A4
_LEFT, _RIGHT, _BOTTOM = 14.0, 196.0, 283.0
_COLUMN, _GUTTER = 88.0, 6.0
_BAND, _ROW, _CARD, _CARD_GAP = 28.0, 9.8, 27.0, 3.0
_MODULE, _BARS = 25.4 / 75, 11.0  # whole dots of a printer or a camera of 150, 300 or 600 dots an inch
_NARROW, _THINNER = 113, 0.02  # ink spreads: bars are drawn a little thinner than they are to be
_TEXT = _COLUMN - _NARROW * _MODULE - 6


@dataclass(frozen=True)
class PrintedLists:
    """Where the lists are, the share of coupons that stand beside a printed need, and how fast they came; prints as one
    sentence."""

    paths: tuple[Path, ...]
    members: int
    pages: int
    beside_needs: float
    seconds: float = field(compare=False)

    @property
    def pages_a_minute(self) -> float:
        """How fast they came."""
        return 60 * self.pages / self.seconds

    def __str__(self) -> str:
        where = " … ".join(dict.fromkeys((self.paths[0].name, self.paths[-1].name)))
        return f"{self.members:,} lists on {self.pages:,} pages in {where}, {self.pages_a_minute:,.0f} pages a minute"


def print_lists(
    offers: Source,
    deals: Deals,
    due: Source,
    folder: str | Path,
    *,
    font: str | Path | None = None,
    per_file: int = 2_000,
    progress: Callable[[str], None] | None = None,
    **options: Unpack[ListOptions],
) -> PrintedLists:
    """Print ``folder/lists.pdf``: a page for every member who has an offer, in the order of their ids.

    More than ``per_file`` lists are several files, ``lists_0001.pdf`` and so on, of which one at a time is in memory, with the
    rows of its members where the tables are files ordered by customer_id. The same input gives the same bytes. A member's page shows the last characters of the card number only.

    Parameters
    ----------
    offers : DataFrame, or path of a Parquet file
        customer_id, deal_id, position, and value where it differs between members, as in ``OfferResult.offers``; need and
        is_trial decide where a deal stands. With codes (`with_codes`) the list has its own at its head, and a deal that has
        no barcode the coupon's.
    deals : Deals
    due : DataFrame, or path of a Parquet file
        customer_id, product_id or category, p_purchase; day_10, day_50, day_90 (days from ``as_of``) where known, and name
        if the item has a better one. At most ``top_due`` are printed, those with a deal first, then the most probable.
    folder : path
        Made if it is not there.
    names : mapping of str to str, optional
        Customer id → the name to greet the member by.
    codes : mapping of str to str, optional
        Customer id → what a Code 128 at the head of the list says to the till.
    tips : DataFrame or path, optional
        customer_id, title, slot, as in ``OfferResult.tips``.
    usual : DataFrame or path, optional
        customer_id, item (as in the offers), name, price, current (whether the price is today's or what was last paid), and
        product_id, brand, brand_type: what the member usually takes of an item. It is printed as the need, and a deal that is
        for it shows its price before and after.
    title : str, optional
        Head of every page: the shop's name, say; "Your shopping list" in the language of the lists otherwise.
    least_need : float
        What is bought with a smaller probability is not printed as a need.
    language : str
        One of en, ko, zh, ja.
    as_of, horizon : date and int, optional
        The list speaks of days as_of + 1 … as_of + horizon; taken from ``due`` when it has these columns.
    currency : str
        A code of three letters, so that money is written as it is in the language ("₩1,500"); or a sign that stands before it.
    font : path, optional
        A .ttf, .otf or .ttc file, for characters that DejaVu Sans lacks (Chinese, Japanese, Korean, …).
    per_file : int
        As many lists stand in one file.
    progress : callable, optional
        Is told of every file.

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
    >>> import pandas as pd
    >>> deals = Deals.from_extract(pd.DataFrame({
    ...     "deal_id": ["D1"], "title": ["Any fresh milk"], "category": ["Milk"], "funder": ["Dairy"], "value": [0.5],
    ...     "budget": [10], "starts": ["2018-01-01"], "ends": ["2018-01-14"], "barcode": ["4006381333931"]}))
    >>> offers = pd.DataFrame({"customer_id": ["00770001"], "deal_id": ["D1"], "position": [1]})
    >>> due = pd.DataFrame({"customer_id": ["00770001"], "category": ["Milk"], "p_purchase": [0.8]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     printed = print_lists(offers, deals, due, folder, as_of="2017-12-31", horizon=14)
    >>> printed.paths[0].name, printed.pages
    ('lists.pdf', 1)
    """
    first, last = stated_window(due, options.get("as_of"), options.get("horizon"))
    window: ListOptions = {"as_of": first - timedelta(days=1), "horizon": (last - first).days + 1}
    parts = parts_of(offers, due, per_file, {**options, **window})
    return print_parts(parts, deals, folder, font=font, progress=progress)


def print_parts(
    parts: Iterable[ListPart],
    deals: Deals,
    folder: str | Path,
    *,
    font: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> PrintedLists:
    """The same for members who come part by part: a file for each part, one of them in memory at a time."""
    began = time.perf_counter()
    path = Path(folder) / "lists.pdf"
    members, pages, coupons, beside, unshown, files = 0, 0, 0, 0, 0, 0
    with replacing_all(path) as another:
        for offers, due, options in parts:
            lists = ListContent.of(offers, deals, due, **options)
            canvas = _drawn(lists, font)
            canvas.write_file(another())
            files, members, pages = files + 1, members + len(lists.pages), pages + canvas.pages * bool(lists.pages)
            coupons, beside, unshown = coupons + lists.coupons, beside + lists.beside_needs, unshown + lists.unshown
            if progress:
                progress(f"{members:,} lists printed")
    warn_of_endings(unshown)
    share = beside / coupons if coupons else 0.0
    return PrintedLists(numbered(path, files), members, pages, share, time.perf_counter() - began)


def _drawn(lists: ListContent, font: str | Path | None) -> Canvas:
    canvas = Canvas(font, lists.first_day - timedelta(days=1))
    canvas.check(lists.texts())
    for page in lists.pages:
        _draw(canvas, page, lists)
    if not lists.pages:
        canvas.page()
        canvas.write(_LEFT, 30, lists.wording.text("empty", window=lists.window))
    return canvas


# -- how it looks ------------------------------------------------------------------------------------------------


def _draw(canvas: Canvas, page: Page, lists: ListContent) -> None:
    text = lists.wording.text
    y = _head(canvas, page, lists)
    beside = [(need, lists.cards[key]) for need, key in page.needs if key is not None]
    if page.needs:
        y = _needs(canvas, page, lists, _heading(canvas, y, text("needs")), beside)
    for name, keys in (("others" if beside else "deals", page.others), ("trials", page.trials)):
        y = _coupons(canvas, page, lists, y, text(name), [lists.cards[key] for key in keys])
    if page.tips:
        enough = y + 8 + _ROW * len(page.tips) <= _BOTTOM
        y = _heading(canvas, y + 6 if enough else _head(canvas, page, lists), text("ideas"))
        for tip in page.tips:
            canvas.write(_LEFT, y + 3.8, canvas.fit(tip, _RIGHT - _LEFT, REGULAR, 10.5), REGULAR, 10.5)
            y += _ROW * 0.6


def _needs(canvas: Canvas, page: Page, lists: ListContent, y: float, beside: list[tuple[Need, Card]]) -> float:
    """Needs with their deals two by two, then those without one; returns where the page goes on."""
    for row in _rows(beside, [card for _, card in beside]):
        y = y if y + _ROW + _CARD <= _BOTTOM else _head(canvas, page, lists)
        for x, (need, card) in zip(_COLUMNS, row, strict=False):
            _need(canvas, x, y, need)
            _coupon(canvas, x, y + _ROW - 0.8, card, _RIGHT - _LEFT if card.broad else _COLUMN, lists)
        y += _ROW + _CARD + _CARD_GAP
    for pair in _pairs([need for need, key in page.needs if key is None]):
        y = y if y + _ROW <= _BOTTOM else _head(canvas, page, lists)
        for x, need in zip(_COLUMNS, pair, strict=False):
            _need(canvas, x, y, need)
        y += _ROW
    return y + 3


def _coupons(canvas: Canvas, page: Page, lists: ListContent, y: float, title: str, cards: list[Card]) -> float:
    """Coupons two by two under a heading, where there are any; a heading never stands alone at the foot of a page."""
    if not cards:
        return y
    y = _heading(canvas, y + 5 if y + 12 + _CARD <= _BOTTOM else _head(canvas, page, lists), title)
    for row in _rows(cards, cards):
        y = y if y + _CARD <= _BOTTOM else _head(canvas, page, lists)
        for x, card in zip(_COLUMNS, row, strict=False):
            _coupon(canvas, x, y, card, _RIGHT - _LEFT if card.broad else _COLUMN, lists)
        y += _CARD + _CARD_GAP
    return y


_COLUMNS = (_LEFT, _LEFT + _COLUMN + _GUTTER)


Entry = TypeVar("Entry")


def _pairs(entries: list[Entry]) -> list[list[Entry]]:
    return [entries[at : at + 2] for at in range(0, len(entries), 2)]


def _rows(entries: list[Entry], cards: list[Card]) -> list[list[Entry]]:
    """Entries two by two in their order, one whose card is broad alone."""
    rows: list[tuple[list[Entry], bool]] = []
    for entry, card in zip(entries, cards, strict=True):
        if rows and len(rows[-1][0]) == 1 and not (card.broad or rows[-1][1]):
            rows[-1][0].append(entry)
        else:
            rows.append(([entry], card.broad))
    return [row for row, _ in rows]


def _head(canvas: Canvas, page: Page, lists: ListContent) -> float:
    """Start a page with its coloured band; returns where the page goes on."""
    canvas.page()
    canvas.block(0, 0, 210, _BAND, GREEN)
    width = (_RIGHT - _LEFT) * 0.62
    title, size = canvas.sized(lists.title, width, BOLD, _TITLE_SIZES)
    canvas.write(_LEFT, 14, title, BOLD, size, WHITE)
    canvas.write(_LEFT, 22, canvas.fit(lists.window, width, REGULAR, 12), REGULAR, 12, WHITE)
    side = _RIGHT - _LEFT - width - 4
    greeting, card = lists.greeting(page), lists.card(page)
    if greeting:
        greeting, size = canvas.sized(greeting, side, BOLD, _GREETING_SIZES)
        canvas.write_to(_RIGHT, 14, greeting, BOLD, size, WHITE)
    if card:
        canvas.write_to(_RIGHT, 22, canvas.fit(card, side, REGULAR, 10), REGULAR, 10, WHITE)
    if not page.code:
        return _BAND + 10
    _barcode(canvas, _RIGHT, _BAND + 4, page.code, page.symbology, height=12)
    room = (_RIGHT - _LEFT) * 0.5
    canvas.write(_LEFT, _BAND + 10, canvas.fit(lists.wording.text("scan_head"), room, BOLD, 11), BOLD, 11)
    for number, line in enumerate(canvas.wrap(lists.wording.text("scan"), room, 9.5, lines=2)):
        canvas.write(_LEFT, _BAND + 15 + 4.2 * number, line, REGULAR, 9.5, GREY)
    return _BAND + 28


def _heading(canvas: Canvas, y: float, text: str) -> float:
    canvas.write(_LEFT, y, text, BOLD, 14, GREEN)
    canvas.block(_LEFT, y + 2, _RIGHT - _LEFT, 0.5, GREEN)
    return y + 5.5


_TITLE_SIZES, _GREETING_SIZES, _NAME_SIZES = (22.0, 18.0, 15.0, 12.0), (12.0, 10.0, 8.0), (10.5, 9.5, 8.5, 7.5)
_CARD_TITLES = {8.5: (2, 11.4, 3.7), 7.2: (3, 10.4, 2.75)}  # size: lines, where the first stands, from line to line
"""Long texts are set smaller, and on more lines, before they are cut."""


def _need(canvas: Canvas, x: float, y: float, need: Need) -> None:
    canvas.frame(x, y + 1.2, 4, 4)
    room = _COLUMN - 7
    name, size = canvas.sized(need.name, room, REGULAR, _NAME_SIZES)
    canvas.write(x + 6.5, y + 3.8, name, REGULAR, size)
    price = canvas.fit(need.price, room * 0.45, REGULAR, 8.5) if need.price else ""
    rest = room - (canvas.width(price, REGULAR, 8.5) + 2 if price else 0)
    if price:
        canvas.write_to(x + _COLUMN - 0.5, y + 7.4, price, REGULAR, 8.5, INK)
    canvas.write(x + 6.5, y + 7.4, canvas.fit(need.when, rest, REGULAR, 8), REGULAR, 8, GREY)


def _coupon(canvas: Canvas, x: float, y: float, card: Card, width: float, lists: ListContent) -> None:
    canvas.frame(x, y, width, _CARD, dashed=True)
    wide = card.modules > _NARROW
    room = width - 8 if wide else _TEXT
    canvas.write(x + 3, y + 7, canvas.fit(card.value, room * (0.5 if wide else 1), BOLD, 15), BOLD, 15, RED)
    if wide:
        canvas.write_to(x + width - 4, y + 7, canvas.fit(card.price, room * 0.45, REGULAR, 8), REGULAR, 8, GREY)
        canvas.write(x + 3, y + 10.6, canvas.fit(card.title, room, REGULAR, 8.5), REGULAR, 8.5)
    else:
        ways = [(size, most if card.price else most + 1) for size, (most, _, _) in _CARD_TITLES.items()]
        lines, size = canvas.wrapped(card.title, room, ways)
        _, first, step = _CARD_TITLES[size]
        for number, line in enumerate(lines):
            canvas.write(x + 3, y + first + step * number, line, REGULAR, size)
        canvas.write(x + 3, y + 19.4, canvas.fit(card.price, room, BOLD, 8), BOLD, 8, INK)
    valid = canvas.fit(card.valid, _TEXT, REGULAR, 7.5)
    right = x + width - 2
    if card.barcode:
        height = 7 if wide else _BARS
        _barcode(canvas, right, y + (11.6 if wide else 5), card.barcode, card.symbology, height=height)
    else:
        said = canvas.fit(lists.wording.text("show_card"), _COLUMN - 8, REGULAR, 8)
        canvas.write_to(right - 2, y + _CARD - 2.2, said, REGULAR, 8, GREY)
    canvas.write(x + 3, y + _CARD - 1.7, valid, REGULAR, 7.5, GREY)


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
