"""Printed lists: one page a member, with what they may need soon and the deals chosen for them, barcodes included.

Nothing is printed before every character of it is known to be in the font, and nothing stands in the folder before all
of it is printed.
"""

from __future__ import annotations

import math
import os
import time
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from crmkit.exceptions import ConfigError, ContractError, PublishError
from crmkit.offers.deals import Deals, ean13
from crmkit.offers.plan import fortnight_of
from crmkit.transactions import as_day

__all__ = ["PrintedLists", "print_lists"]

GREEN, INK, GREY, WHITE, RED = (0, 94, 66), (28, 32, 30), (105, 112, 108), (255, 255, 255), (190, 30, 45)
REGULAR, BOLD = "", "B"

# millimetres on A4
_LEFT, _RIGHT, _BOTTOM = 14.0, 196.0, 283.0
_COLUMN, _GUTTER = 88.0, 6.0
_BAND, _ROW, _CARD, _CARD_GAP = 30.0, 9.8, 32.0, 3.5
_MODULE, _BARS, _QUIET = 0.33, 16.0, 11
_TEXT = _COLUMN - 113 * _MODULE - 6

_TWO_WEEKS = {7: "in the next week", 14: "in the next two weeks"}
_OWN_CHARACTERS = "".join(map(chr, range(32, 127))) + "–…"


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
        customer_id, deal_id, slot, as in ``OfferResult.offers``.
    deals : Deals
    due : DataFrame
        customer_id, product_id or category, p_purchase; day_10, day_50, day_90 (days from ``as_of``) where known, and name
        if the item has a better one. The most probable ``top_due`` are printed.
    folder : path
        Made if it is not there.
    names : mapping of str to str, optional
        Customer id → the name to greet the member by.
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
        The font cannot be read or lacks characters (they are named), or the days are not known.
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
    window = _window(due, as_of, horizon)
    pages = _pages(offers, due, names or {}, window, top_due)
    cards = _cards(offers, deals, window, currency)
    sheet = _Sheet(font, window[0] - timedelta(days=1))
    sheet.check([title, currency], *(page.texts() for page in pages), *(card.texts() for card in cards.values()))
    for number, page in enumerate(pages, 1):
        _draw(sheet, page, cards, _clean(title), _fortnight(*window))
        if progress and number % 1000 == 0:
            progress(f"{number:,} of {len(pages):,} lists printed")
    if not pages:
        sheet.page()
        sheet.write(_LEFT, 30, f"No member has an offer from {_fortnight(*window)}.")
    path = sheet.publish(Path(folder) / "lists.pdf")
    return PrintedLists(path, len(pages), sheet.pages if pages else 0, time.perf_counter() - began)


# -- what is said ------------------------------------------------------------------------------------------------


class _Card(NamedTuple):
    """A deal as it is printed."""

    value: str
    title: str
    valid: str
    barcode: str

    def texts(self) -> tuple[str, ...]:
        return self.value, self.title


class _Page(NamedTuple):
    """A member's list: whose it is, (item, when) in the order of need, deal ids in the order of slots."""

    name: str
    card_ending: str
    needs: list[tuple[str, str]]
    deals: list[str]

    def texts(self) -> Iterable[str]:
        return self.name, self.card_ending, *(item for item, _ in self.needs)


def _window(due: pd.DataFrame, as_of: str | date | None, horizon: int | None) -> tuple[date, date]:
    if as_of is not None and horizon is not None:
        return as_day(as_of) + timedelta(days=1), as_day(as_of) + timedelta(days=horizon)
    window = fortnight_of(due)
    if window is None:
        raise ConfigError(
            "The days of the list are not known. State them: print_lists(…, as_of='2017-12-31', horizon=14)."
        )
    return window


def _pages(
    offers: pd.DataFrame, due: pd.DataFrame, names: Mapping[str, str], window: tuple[date, date], top_due: int
) -> list[_Page]:
    missing = [name for name in ("customer_id", "deal_id", "slot") if name not in offers]
    if missing:
        raise ContractError(
            f"offers lacks {missing}; it has {list(offers.columns)}. OfferPlan.solve(…).offers has them."
        )
    lists = offers.sort_values(["customer_id", "slot"]).groupby("customer_id", sort=True)["deal_id"].agg(list)
    needs = _needs(due[due["customer_id"].isin(lists.index)], window, top_due)
    return [
        _Page(_clean(names.get(member, "")), _ending(str(member)), needs.get(member, []), chosen)
        for member, chosen in zip(lists.index, lists, strict=True)
    ]


def _ending(customer_id: str) -> str:
    """The last four characters of an id, fewer of a short one.

    >>> _ending("007700001609"), _ending("1609")
    ('1609', '09')
    """
    return _clean(customer_id[-min(4, len(customer_id) // 2) :]) if len(customer_id) > 1 else ""


def _needs(due: pd.DataFrame, window: tuple[date, date], top_due: int) -> dict[Any, list[tuple[str, str]]]:
    """Each member's most probable items, as printed."""
    item = next((name for name in ("name", "product_id", "category") if name in due), None)
    missing = [name for name in ("customer_id", "p_purchase") if name not in due]
    if missing or item is None:
        raise ContractError(f"due lacks {missing or 'category or product_id'}; it has {list(due.columns)}.")
    ranked = due.sort_values(["customer_id", "p_purchase", item], ascending=[True, False, True])
    top = ranked.groupby("customer_id").head(top_due).dropna(subset=[item])
    top = top.reindex(columns=["customer_id", item, "day_10", "day_50", "day_90"]).astype({item: str})
    found: dict[Any, list[tuple[str, str]]] = {}
    for member, label, *days in top.itertuples(index=False):
        found.setdefault(member, []).append((_label(label), _when(*map(float, days), *window)))
    return found


@cache
def _label(item: str) -> str:
    """An item's name as one would write it.

    >>> _label("FRZN MEAT/MEAT DINNERS")
    'Frzn meat/meat dinners'
    """
    return _clean(item).capitalize() if item.isupper() else _clean(item)


@cache
def _when(low: float, middle: float, high: float, first: date, last: date) -> str:
    """When an item is needed, as a stretch of days: never more exact than it is known.

    >>> fortnight = date(2018, 1, 1), date(2018, 1, 14)
    >>> _when(2.4, 5.0, 8.1, *fortnight)  # bought by the 9th with 90 %
    'likely 3–9 January'
    >>> _when(1.0, 6.2, 40.0, *fortnight)  # more likely than not by the 7th
    'probably by 7 January'
    >>> _when(4.0, 30.0, float("nan"), *fortnight)
    'perhaps in the next two weeks'
    """
    days = (last - first).days + 1

    def on(day: float) -> date:
        return first + timedelta(days=max(1, math.ceil(day)) - 1)

    if low <= high <= days:
        return f"likely {_span(on(low), on(high))}" if on(low) < on(high) else f"likely around {_day(on(high))}"
    if middle <= days:
        return f"probably by {_day(on(middle))}"
    return f"perhaps {_TWO_WEEKS.get(days, f'in the next {days} days')}"


def _cards(offers: pd.DataFrame, deals: Deals, window: tuple[date, date], currency: str) -> dict[str, _Card]:
    running = deals.active(*window).frame
    frame = running[running["deal_id"].isin(offers["deal_id"])]
    unknown = sorted(set(offers["deal_id"]) - set(frame["deal_id"]))
    if unknown:
        raise ContractError(
            f"offers names {len(unknown)} deals that are not among those running from {_fortnight(*window)}: "
            f"{unknown[:5]}. Give the deals of the plan."
        )
    columns = frame[["deal_id", "title", "value", "starts", "ends", "barcode"]]
    return {
        deal: _card(title, f"{value:,.2f} off", currency, as_day(starts), as_day(ends), barcode, window[0])
        for deal, title, value, starts, ends, barcode in columns.itertuples(index=False)
    }


def _card(title: str, value: str, currency: str, starts: date, ends: date, barcode: Any, first: date) -> _Card:
    """A deal in print; its title does not say again how much it takes off."""
    wording = _clean(title).removeprefix(currency).removeprefix(f"{value} ")
    valid = f"until {_day(ends)} {ends.year}" if starts <= first else f"{_span(starts, ends)} {ends.year}"
    code = "" if pd.isna(barcode) else ean13(barcode)
    return _Card(_clean(currency + value), wording[:1].upper() + wording[1:], f"Valid {valid}", code)


def _clean(text: str) -> str:
    """One line of text: spaces for line ends and tabs, no characters that control a device or turn the writing."""
    spaced = " ".join(unicodedata.normalize("NFC", text).split())
    return "".join(character for character in spaced if unicodedata.category(character)[0] != "C")


@cache
def _day(day: date) -> str:
    from babel.dates import format_date

    return str(format_date(day, "d MMMM", locale="en"))


def _span(start: date, end: date) -> str:
    return f"{start.day}–{_day(end)}" if start.month == end.month else f"{_day(start)} – {_day(end)}"


@cache
def _fortnight(first: date, last: date) -> str:
    """Days from first to last in words.

    >>> _fortnight(date(2018, 1, 1), date(2018, 1, 14)), _fortnight(date(2017, 12, 25), date(2018, 1, 7))
    ('1 to 14 January 2018', '25 December 2017 to 7 January 2018')
    """
    if first.year != last.year:
        return f"{_day(first)} {first.year} to {_day(last)} {last.year}"
    start = str(first.day) if first.month == last.month else _day(first)
    return f"{start} to {_day(last)} {last.year}"


# -- how it looks ------------------------------------------------------------------------------------------------


def _draw(sheet: _Sheet, page: _Page, cards: Mapping[str, _Card], title: str, fortnight: str) -> None:
    y = _head(sheet, page, title, fortnight)
    if page.needs:
        y = _heading(sheet, y, "You may need soon")
        for pair in _pairs(page.needs):
            y = y if y + _ROW <= _BOTTOM else _head(sheet, page, title, fortnight)
            for x, (item, when) in zip(_COLUMNS, pair, strict=False):
                _need(sheet, x, y, item, when)
            y += _ROW
        y += 8
    y = _heading(sheet, y, "Your deals")
    for couple in _pairs(page.deals):
        y = y if y + _CARD <= _BOTTOM else _head(sheet, page, title, fortnight)
        for x, deal in zip(_COLUMNS, couple, strict=False):
            _coupon(sheet, x, y, cards[deal])
        y += _CARD + _CARD_GAP


_COLUMNS = (_LEFT, _LEFT + _COLUMN + _GUTTER)


def _pairs(entries: list[Any]) -> list[list[Any]]:
    return [entries[at : at + 2] for at in range(0, len(entries), 2)]


def _head(sheet: _Sheet, page: _Page, title: str, fortnight: str) -> float:
    """Start a page with its coloured band; returns where the page goes on."""
    sheet.page()
    sheet.block(0, 0, 210, _BAND, GREEN)
    width = (_RIGHT - _LEFT) * 0.62
    sheet.write(_LEFT, 15, sheet.fit(title, width, BOLD, 22), BOLD, 22, WHITE)
    sheet.write(_LEFT, 23.5, fortnight, REGULAR, 12, WHITE)
    side = _RIGHT - _LEFT - width - 4
    if page.name:
        sheet.write_to(_RIGHT, 15, sheet.fit(f"For {page.name}", side, BOLD, 12), BOLD, 12, WHITE)
    if page.card_ending:
        sheet.write_to(
            _RIGHT, 23.5, sheet.fit(f"card ending in {page.card_ending}", side, REGULAR, 10), REGULAR, 10, WHITE
        )
    return _BAND + 11


def _heading(sheet: _Sheet, y: float, text: str) -> float:
    sheet.write(_LEFT, y, text, BOLD, 14, GREEN)
    sheet.block(_LEFT, y + 2, _RIGHT - _LEFT, 0.5, GREEN)
    return y + 5.5


def _need(sheet: _Sheet, x: float, y: float, item: str, when: str) -> None:
    sheet.frame(x, y + 1.2, 4, 4)
    sheet.write(x + 6.5, y + 3.8, sheet.fit(item, _COLUMN - 7, REGULAR, 10.5), REGULAR, 10.5)
    sheet.write(x + 6.5, y + 7.4, when, REGULAR, 8, GREY)


def _coupon(sheet: _Sheet, x: float, y: float, card: _Card) -> None:
    sheet.frame(x, y, _COLUMN, _CARD, dashed=True)
    sheet.write(x + 4, y + 8, sheet.fit(card.value, _TEXT, BOLD, 16), BOLD, 16, RED)
    for number, line in enumerate(sheet.wrap(card.title, _TEXT, 9, lines=4)):
        sheet.write(x + 4, y + 13.5 + 4 * number, line, REGULAR, 9)
    sheet.write(x + 4, y + _CARD - 2.2, sheet.fit(card.valid, _TEXT, REGULAR, 7.5), REGULAR, 7.5, GREY)
    right = x + _COLUMN - 2
    if card.barcode:
        _barcode(sheet, right, y + 5, card.barcode)
    else:
        sheet.write_to(right - 2, y + 8, "show your card", REGULAR, 8, GREY)


def _barcode(sheet: _Sheet, right: float, y: float, code: str) -> None:
    """Bars in their nominal size with the digits below, the quiet zone ending at ``right``."""
    tall, long, modules = _bars(code)
    x = right - (modules + 7) * _MODULE
    for bars, height in ((tall, _BARS), (long, _BARS + 1.65)):
        for at, width in bars:
            sheet.block(x + at * _MODULE, y, width * _MODULE, height, INK)
    half = len(code) // 2
    places = ((code[-2 * half : -half], 0.26), (code[-half:], 0.74))
    for digits, place in places:
        centre = x + place * modules * _MODULE
        sheet.write(centre - sheet.width(digits, REGULAR, 8) / 2, y + _BARS + 3.3, digits, REGULAR, 8)
    if len(code) % 2:
        sheet.write(x - 3.2, y + _BARS + 3.3, code[0], REGULAR, 8)


@cache
def _bars(code: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]], int]:
    """(start, width) in modules of the ordinary bars and of the longer guard bars, and the modules of the symbol."""
    import zxingcpp

    kind = zxingcpp.BarcodeFormat.EAN8 if len(code) == 8 else zxingcpp.BarcodeFormat.EAN13
    rows: list[list[int]] = np.asarray(zxingcpp.create_barcode(code, kind).to_image(add_quiet_zones=False)).tolist()
    guards = _runs(rows[-1])
    return [run for run in _runs(rows[0]) if run not in guards], guards, len(rows[0])


def _runs(row: list[int]) -> list[tuple[int, int]]:
    """Start and width of each run of black.

    >>> _runs([0, 255, 0, 0, 255])
    [(0, 1), (2, 2)]
    """
    edges = [0, *(at for at in range(1, len(row)) if row[at] != row[at - 1]), len(row)]
    return [(start, end - start) for start, end in pairwise(edges) if row[start] == 0]


class _Sheet:
    """A PDF under way: text and blocks at places in millimetres, widths measured once."""

    def __init__(self, font: str | Path | None, day: date) -> None:
        from fpdf import FPDF

        self._pdf = FPDF(unit="mm", format="A4")
        self._pdf.set_creation_date(datetime(day.year, day.month, day.day, tzinfo=UTC))
        self._pdf.set_auto_page_break(False)
        self._pdf.alias_nb_pages("")
        self._pdf.set_draw_color(*GREY)
        self._pdf.set_line_width(0.25)
        regular, bold = _faces(font)
        self._face = regular.name
        self._embed(REGULAR, regular)
        self._embed(BOLD, bold)
        self._widths: dict[tuple[str, str], float] = {}
        self._wrapped: dict[str, list[str]] = {}

    @property
    def pages(self) -> int:
        return int(self._pdf.pages_count)

    def _embed(self, style: str, path: Path) -> None:
        try:
            self._pdf.add_font("list", style, path)
        except Exception as error:
            raise ConfigError(f"The font {path} cannot be read ({error}). Give a .ttf, .otf or .ttc file.") from error

    def check(self, *texts: Iterable[str]) -> None:
        """Raise when the font lacks a character of any text."""
        wanted = set(_OWN_CHARACTERS).union(*(_clean(text) for group in texts for text in group))
        faces: list[Any] = [self._pdf.fonts["list"], self._pdf.fonts["listB"]]
        known = set(faces[0].cmap) & set(faces[1].cmap)
        lacking = sorted(character for character in wanted if ord(character) not in known)
        if lacking:
            shown = ", ".join(f"{character!r} (U+{ord(character):04X})" for character in lacking[:10])
            more = f" and {len(lacking) - 10} more" if len(lacking) > 10 else ""
            raise ConfigError(
                f"The font {self._face} lacks {shown}{more}. Name one that has them: print_lists(…, font='NotoSansCJK.ttc'), "
                "say."
            )

    def page(self) -> None:
        self._pdf.add_page()

    def block(self, x: float, y: float, width: float, height: float, colour: tuple[int, int, int]) -> None:
        self._pdf.set_fill_color(*colour)
        self._pdf.rect(x, y, width, height, style="F")

    def frame(self, x: float, y: float, width: float, height: float, dashed: bool = False) -> None:
        self._pdf.set_dash_pattern(dash=1.2 if dashed else 0, gap=1 if dashed else 0)
        self._pdf.rect(x, y, width, height)

    def write(
        self,
        x: float,
        y: float,
        text: str,
        style: str = REGULAR,
        size: float = 10,
        colour: tuple[int, int, int] = INK,
    ) -> None:
        self._pdf.set_font("list", style, size)
        self._pdf.set_text_color(*colour)
        self._pdf.text(x, y, text)

    def write_to(self, x: float, y: float, text: str, style: str, size: float, colour: tuple[int, int, int]) -> None:
        """Text that ends at ``x``."""
        self.write(x - self.width(text, style, size), y, text, style, size, colour)

    def width(self, text: str, style: str, size: float) -> float:
        """Width of a text in millimetres."""
        if (text, style) not in self._widths:
            self._pdf.set_font("list", style, 100)
            self._widths[text, style] = self._pdf.get_string_width(text) / 100
        return self._widths[text, style] * size

    def fit(self, text: str, room: float, style: str, size: float) -> str:
        """The text, shortened with an ellipsis when it is wider than the room."""
        if self.width(text, style, size) <= room:
            return text
        kept = next((n for n in range(len(text) - 1, 0, -1) if self.width(text[:n] + "…", style, size) <= room), 0)
        return text[:kept].rstrip() + "…"

    def wrap(self, text: str, room: float, size: float, lines: int) -> list[str]:
        """The text in at most so many lines, broken at spaces, the last one shortened."""
        if text not in self._wrapped:
            self._wrapped[text] = self._broken(text, room, size, lines)
        return self._wrapped[text]

    def _broken(self, text: str, room: float, size: float, lines: int) -> list[str]:
        broken: list[str] = []
        rest = text.split()
        while rest and len(broken) < lines - 1:
            n = max(
                (n for n in range(1, len(rest) + 1) if self.width(" ".join(rest[:n]), REGULAR, size) <= room), default=1
            )
            broken.append(self.fit(" ".join(rest[:n]), room, REGULAR, size))
            rest = rest[n:]
        return broken + ([self.fit(" ".join(rest), room, REGULAR, size)] if rest else [])

    def publish(self, path: Path) -> Path:
        """Write the file beside its place, then put it there."""
        part = path.with_name(path.name + ".part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._pdf.output(str(part))
            os.replace(part, path)
        except OSError as error:
            raise PublishError(f"{path} cannot be written ({error}). What was there before is untouched.") from error
        finally:
            part.unlink(missing_ok=True)
        return path


def _faces(font: str | Path | None) -> tuple[Path, Path]:
    """Regular and bold font files; one that is given serves as both."""
    if font is None:
        import matplotlib as mpl

        shipped = Path(mpl.get_data_path()) / "fonts" / "ttf"
        return shipped / "DejaVuSans.ttf", shipped / "DejaVuSans-Bold.ttf"
    return Path(font), Path(font)
