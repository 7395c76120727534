"""The content of a list: items and when they are needed, deals in words and prices; the layout is elsewhere."""

from __future__ import annotations

import math
import unicodedata
import warnings
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Any, NamedTuple, Self, TypedDict, Unpack

import pandas as pd

from crmkit._checks import require_columns
from crmkit._days import as_day
from crmkit.exceptions import ConfigError, ContractError, CrmkitWarning
from crmkit.offers.barcodes import bars_of, ean13
from crmkit.offers.deals import Deals
from crmkit.offers.needs import window_of

__all__ = [
    "Card",
    "CardKey",
    "ListContent",
    "ListOptions",
    "Page",
    "cards_of",
    "clean",
    "pages_of",
    "stated_window",
    "window_in_words",
]

BROAD, WIDEST = 226, 500
"""Modules of the widest barcodes that a card has room for: in its column, and across the page."""

_TWO_WEEKS = {7: "in the next week", 14: "in the next two weeks"}

CardKey = tuple[str, float]
"""A deal and its value for the member."""


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


class Page(NamedTuple):
    """A member's list: whose it is, what it says to the till, (item, when) in the order of need, deals in the order of
    slots, and tips."""

    name: str
    card_ending: str
    code: str
    needs: list[tuple[str, str]]
    deals: list[CardKey]
    tips: list[str]


class ListOptions(TypedDict, total=False):
    """What can be said of lists beside their tables; `print_lists` says what each means."""

    names: Mapping[str, str] | None
    codes: Mapping[str, str] | None
    tips: pd.DataFrame | None
    title: str
    as_of: str | date | None
    horizon: int | None
    top_due: int
    currency: str


@dataclass(frozen=True)
class ListContent:
    """All that is printed, on paper or on a web page."""

    title: str
    window: str
    first_day: date
    pages: list[Page]
    cards: Mapping[CardKey, Card]
    currency: str

    @classmethod
    def of(cls, offers: pd.DataFrame, deals: Deals, due: pd.DataFrame, **options: Unpack[ListOptions]) -> Self:
        """What the lists say; errors as in `crmkit.reports.lists.page_layout.print_lists`."""
        currency = options.get("currency", "")
        window = stated_window(due, options.get("as_of"), options.get("horizon"))
        pages = pages_of(offers, due, window, options)
        cards = cards_of(offers, deals, window, currency)
        title = clean(options.get("title", "Your shopping list"))
        return cls(title, window_in_words(*window), window[0], pages, cards, clean(currency))

    def texts(self) -> Iterator[tuple[str, str]]:
        """Every text that comes from outside, and where it stands."""
        yield self.title, "the title"
        yield self.currency, "the currency"
        for (deal, _), card in self.cards.items():
            for text in (card.value, card.title, card.price):
                yield text, f"deal {deal} {card.title!r}"
        for page in self.pages:
            yield page.name, f"the name of the member whose card ends in {page.card_ending}"
            yield page.card_ending, "a card number"
            yield page.code, f"the barcode of the list of the member whose card ends in {page.card_ending}"
            for item, _ in page.needs:
                yield item, f"the item {item!r}"
            for tip in page.tips:
                yield tip, f"the tip {tip!r}"


def stated_window(due: pd.DataFrame, as_of: str | date | None, horizon: int | None) -> tuple[date, date]:
    """First and last day that the list speaks of.

    Raises
    ------
    ConfigError
        Neither the arguments nor ``due`` say it.
    """
    if as_of is not None and horizon is not None:
        return as_day(as_of) + timedelta(days=1), as_day(as_of) + timedelta(days=horizon)
    window = window_of(due)
    if window is None:
        raise ConfigError(
            "The days of the list are not stated. Pass them: print_lists(…, as_of='2017-12-31', horizon=14)."
        )
    return window


def pages_of(offers: pd.DataFrame, due: pd.DataFrame, window: tuple[date, date], options: ListOptions) -> list[Page]:
    """What is on each member's page, in the order of their ids."""
    require_columns(offers, ("customer_id", "deal_id", "position"), "offers", "OfferPlan.solve(…).offers has them.")
    ordered = offers.sort_values(["customer_id", "position"])
    lists: dict[Any, list[CardKey]] = {}
    for member, key in zip(ordered["customer_id"], _keys(ordered), strict=True):
        lists.setdefault(member, []).append(key)
    _warn_of_endings(lists)
    needs = _needs(due[due["customer_id"].isin(list(lists))], window, options.get("top_due", 8))
    names, codes, tips = options.get("names") or {}, options.get("codes") or {}, options.get("tips")
    ideas = (
        {}
        if tips is None
        else tips.sort_values(["customer_id", "slot"]).groupby("customer_id")["title"].agg(list).to_dict()
    )
    return [
        Page(
            clean(names.get(member, "")), _ending(str(member)), _own_code(codes.get(member, ""), member), needs.get(member, []), chosen,
            [clean(tip) for tip in ideas.get(member, [])],
        )
        for member, chosen in lists.items()
    ]  # fmt: skip


def _warn_of_endings(members: Iterable[object]) -> None:
    n_left_out = sum(len(str(member)) > 1 and not _ending(str(member)) for member in members)
    if n_left_out:
        warnings.warn(
            f"{n_left_out:,} lists do not show the end of the card number, because it has characters that fonts may lack.",
            CrmkitWarning,
            stacklevel=2,
        )


def _own_code(code: str, member: object) -> str:
    """What a list says to the till, where it can be printed."""
    if code := clean(code):
        _modules(code, "code 128", f"the list of the member whose card ends in {_ending(str(member))}")
    return code


def _keys(offers: pd.DataFrame) -> list[CardKey]:
    """The card of each offer; a value of -1 is that of the deal."""
    values = offers["value"].fillna(-1.0) if "value" in offers else [-1.0] * len(offers)
    return list(zip(offers["deal_id"], map(float, values), strict=True))


def _ending(customer_id: str) -> str:
    """The last four characters of an id, fewer of a short one; none where one is not in every font that lists take.

    >>> _ending("007700001609"), _ending("1609"), _ending("0077000016猫9")
    ('1609', '09', '')
    """
    ending = clean(customer_id[-min(4, len(customer_id) // 2) :]) if len(customer_id) > 1 else ""
    return ending if ending.isascii() else ""


def _needs(due: pd.DataFrame, window: tuple[date, date], top_due: int) -> dict[Hashable, list[tuple[str, str]]]:
    """Each member's most probable items, as printed."""
    item = next((name for name in ("name", "product_id", "category") if name in due), None)
    require_columns(due, ("customer_id", "p_purchase", item or "category or product_id"), "due")
    assert item is not None
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
    return clean(item).capitalize() if item.isupper() else clean(item)


@cache
def _when(low: float, middle: float, high: float, first: date, last: date) -> str:
    """When an item is needed, as a stretch of days: never more exact than it is known.

    >>> window = date(2018, 1, 1), date(2018, 1, 14)
    >>> _when(2.4, 5.0, 8.1, *window)  # bought by the 9th with 90 %
    'likely 3–9 January'
    >>> _when(1.0, 6.2, 40.0, *window)  # more likely than not by the 7th
    'probably by 7 January'
    >>> _when(4.0, 30.0, float("nan"), *window)
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


def cards_of(offers: pd.DataFrame, deals: Deals, window: tuple[date, date], currency: str) -> dict[CardKey, Card]:
    """Every deal that is offered, as it is printed."""
    running = deals.active(*window).frame
    frame = running[running["deal_id"].isin(offers["deal_id"])]
    unknown = sorted(set(offers["deal_id"]) - set(frame["deal_id"]))
    if unknown:
        raise ContractError(
            f"offers has {len(unknown)} deals that are not valid from {window_in_words(*window)}: "
            f"{unknown[:5]}. Pass the deals of the plan."
        )
    known = {row.deal_id: row for row in frame.itertuples(index=False)}
    return {key: _card(known[key[0]], key[1], currency, window[0]) for key in dict.fromkeys(_keys(offers))}


def _card(deal: Any, value: float, currency: str, first: date) -> Card:
    """A deal in print; its title does not say again how much it takes off."""
    value = deal.value if value < 0 else value
    kind = "amount" if pd.isna(deal.kind) else deal.kind
    saving = _saving(kind, value)
    title = clean(deal.title).removeprefix(currency).removeprefix(f"{saving} ")
    if kind == "bundle":
        title = f"{title}, bought with {_label(str(deal.bundle_with))}"
    starts, ends = as_day(deal.starts), as_day(deal.ends)
    valid = f"until {_day(ends)} {ends.year}" if starts <= first else f"{_span(starts, ends)} {ends.year}"
    code = "" if pd.isna(deal.barcode) else deal.barcode
    symbology = "ean" if pd.isna(deal.barcode_type) else deal.barcode_type
    code = ean13(code) if symbology == "ean" else code
    modules = _modules(code, symbology, f"deal {deal.deal_id}") if code else 0
    money = currency if kind in ("amount", "bundle") else ""
    price = _price(kind, value, deal.price, currency)
    return Card(clean(money + saving), title[:1].upper() + title[1:], price, f"Valid {valid}", code, symbology, modules)


def _modules(code: str, symbology: str, whose: str) -> int:
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


def _saving(kind: str, value: float) -> str:
    """What a deal gives, in words.

    >>> _saving("amount", 0.5), _saving("percent", 20), _saving("points", 50), _saving("early notice", 0)
    ('0.50 off', '20% off', '50 points', 'For you first')
    """
    forms = {"percent": f"{value:g}% off", "points": f"{value:g} points", "early notice": "For you first"}
    return forms.get(kind, f"{value:,.2f} off")


def _price(kind: str, value: float, price: float, currency: str) -> str:
    """The price before and after, where the deal states it.

    >>> _price("percent", 20, 5.0, "£"), _price("points", 20, 5.0, "£")
    ('was £5.00, now £4.00', '£5.00')
    """
    if pd.isna(price):
        return ""
    after = {"amount": price - value, "percent": price * (1 - value / 100)}.get(kind)
    before = f"{clean(currency)}{price:,.2f}"
    return before if after is None else f"was {before}, now {clean(currency)}{after:,.2f}"


def clean(text: str) -> str:
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
def window_in_words(first: date, last: date) -> str:
    """Days from first to last in words.

    >>> window_in_words(date(2018, 1, 1), date(2018, 1, 14)), window_in_words(date(2017, 12, 25), date(2018, 1, 7))
    ('1 to 14 January 2018', '25 December 2017 to 7 January 2018')
    """
    if first.year != last.year:
        return f"{_day(first)} {first.year} to {_day(last)} {last.year}"
    start = str(first.day) if first.month == last.month else _day(first)
    return f"{start} to {_day(last)} {last.year}"
