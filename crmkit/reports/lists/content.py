"""The content of a list: what is needed and the deal beside it, other deals, new things to try, ideas; the layout is elsewhere."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple, Self, TypedDict, Unpack

import pandas as pd

from crmkit._checks import require_columns
from crmkit._days import as_day
from crmkit.engine.pieces import Source
from crmkit.exceptions import ConfigError, CrmkitWarning
from crmkit.offers.deals import Deals
from crmkit.offers.needs import Needs
from crmkit.reports.lists.cards import Card, CardKey, cards_of, modules_of
from crmkit.reports.lists.needs import Need, applies, item_column, needs_of
from crmkit.reports.lists.texts import clean, ending_of
from crmkit.reports.lists.wording import Wording, wording_of

__all__ = ["ListContent", "ListOptions", "Page", "stated_window", "warn_of_endings"]


class Page(NamedTuple):
    """A member's list: whose it is, its code for the till, needs with the deal beside each (or None), other deals and
    trials in the order of positions, and ideas."""

    name: str
    card_ending: str
    code: str
    symbology: str
    needs: list[tuple[Need, CardKey | None]]
    others: list[CardKey]
    trials: list[CardKey]
    tips: list[str]
    without_ending: bool = False


class ListOptions(TypedDict, total=False):
    """What can be said of lists beside their tables; `print_lists` says what each means."""

    names: Mapping[str, str] | None
    codes: Mapping[str, str] | None
    tips: Source | None
    usual: Source | None
    title: str | None
    as_of: str | date | None
    horizon: int | None
    top_due: int
    least_need: float
    currency: str
    language: str


@dataclass(frozen=True)
class ListContent:
    """All that is printed, on paper or on a web page."""

    title: str
    window: str
    first_day: date
    pages: list[Page]
    cards: Mapping[CardKey, Card]
    wording: Wording

    @classmethod
    def of(cls, offers: pd.DataFrame, deals: Deals, due: pd.DataFrame, **options: Unpack[ListOptions]) -> Self:
        """What the lists say; errors as in `crmkit.reports.lists.page_layout.print_lists`."""
        require_columns(offers, ("customer_id", "deal_id", "position"), "offers", "OfferPlan.solve(…).offers has them.")
        wording = wording_of(options.get("language", "en"))
        window = stated_window(due, options.get("as_of"), options.get("horizon"))
        currency = clean(options.get("currency", ""))
        usual = _read(options.get("usual"))
        placed = _placed(offers, deals, due, usual)
        members = pd.unique(placed["customer_id"])
        needs = needs_of(
            due[due["customer_id"].isin(members)], placed.loc[placed["need"], ["customer_id", "item"]],
            usual, top=options.get("top_due", 8), least=options.get("least_need", 0.0), window=window,
            currency=currency, wording=wording,
        )  # fmt: skip
        pages = _pages(placed, needs, options)
        cards = cards_of(placed["key"], deals, window, currency, wording)
        title = clean(options.get("title") or wording.text("title"))
        return cls(title, wording.window(*window), window[0], pages, cards, wording)

    @property
    def beside_needs(self) -> int:
        """How many printed coupons stand beside a printed need."""
        return sum(key is not None for page in self.pages for _, key in page.needs)

    @property
    def coupons(self) -> int:
        """How many coupons are printed."""
        return self.beside_needs + sum(len(page.others) + len(page.trials) for page in self.pages)

    @property
    def unshown(self) -> int:
        """Of how many lists the end of the card number is not shown, for its characters."""
        return sum(page.without_ending for page in self.pages)

    def texts(self) -> Iterator[tuple[str, str]]:
        """Every text that comes from outside or is in the language of the lists, and where it stands."""
        yield self.title, "the title"
        yield self.window, "the days of the list"
        for name in ("scan_head", "scan", "needs", "deals", "others", "trials", "ideas", "show_card"):
            yield self.wording.text(name), f"the heading {name!r}"
        for key, card in self.cards.items():
            for text in (card.value, card.title, card.price, card.valid):
                yield text, f"deal {key.deal_id} {card.title!r}"
        for page in self.pages:
            yield from self._of_page(page)

    def _of_page(self, page: Page) -> Iterator[tuple[str, str]]:
        whose = f"the member whose card ends in {page.card_ending}"
        yield self.greeting(page), f"the name of {whose}"
        yield self.card(page), "a card number"
        yield page.code, f"the barcode of the list of {whose}"
        for need, _ in page.needs:
            yield need.name, f"the item {need.name!r}"
            yield f"{need.price}{need.when}", f"the item {need.name!r}"
        for tip in page.tips:
            yield tip, f"the tip {tip!r}"

    def greeting(self, page: Page) -> str:
        """Whose list it is, where a name is known."""
        return self.wording.text("for_name", name=page.name) if page.name else ""

    def card(self, page: Page) -> str:
        """How the member's card ends, where that can be printed."""
        return self.wording.text("card", ending=page.card_ending) if page.card_ending else ""


def _read(table: Source | None) -> pd.DataFrame | None:
    return table if table is None or isinstance(table, pd.DataFrame) else pd.read_parquet(table)


def stated_window(due: Source, as_of: str | date | None, horizon: int | None) -> tuple[date, date]:
    """First and last day that the list speaks of.

    Raises
    ------
    ConfigError
        Neither the arguments nor ``due`` say it.
    """
    if as_of is not None and horizon is not None:
        return as_day(as_of) + timedelta(days=1), as_day(as_of) + timedelta(days=horizon)
    window = Needs(due).window()
    if window is None:
        raise ConfigError(
            "The days of the list are not stated. Pass them: print_lists(…, as_of='2017-12-31', horizon=14)."
        )
    return window


def _placed(offers: pd.DataFrame, deals: Deals, due: pd.DataFrame, usual: pd.DataFrame | None) -> pd.DataFrame:
    """The offers in their order, with the item and card of each, and whether it is for a need or a trial."""
    rows = offers.sort_values(["customer_id", "position"]).reset_index(drop=True)
    if "item" not in rows:
        column = item_column(due)
        stands_on = deals.frame.set_index("deal_id")[column if column in deals.frame else "category"]
        rows["item"] = rows["deal_id"].map(stands_on)
    trial = rows["is_trial"].fillna(False).astype(bool) if "is_trial" in rows else pd.Series(False, index=rows.index)
    need = rows["need"].fillna(False).astype(bool) if "need" in rows else pd.Series(True, index=rows.index)
    value = rows["value"].fillna(-1.0) if "value" in rows else pd.Series(-1.0, index=rows.index)
    barred = set(deals.frame.loc[deals.frame["barcode"].isna(), "deal_id"])
    own = rows["code"] if "code" in rows else pd.Series("", index=rows.index)
    code = own.where(rows["deal_id"].isin(barred), "").fillna("")
    price = _usual_prices(rows, deals, usual)
    parts = zip(rows["deal_id"], map(float, value), price, map(str, code), strict=True)
    return rows.assign(
        key=pd.Series([CardKey(*one) for one in parts], dtype=object),
        trial=trial,
        need=need & ~trial,
        item=rows["item"].astype(str),
    )


def _usual_prices(rows: pd.DataFrame, deals: Deals, usual: pd.DataFrame | None) -> list[float]:
    """The price of what the member usually takes of an item, where the deal is for that; -1 elsewhere."""
    if usual is None or not len(usual):
        return [-1.0] * len(rows)
    products = {(one["customer_id"], one["item"]): one for one in usual.to_dict("records")}
    known = {deal.deal_id: deal for deal in deals.frame.itertuples(index=False)}

    def price(member: str, item: str, deal_id: str) -> float:
        product, deal = products.get((member, item)), known.get(deal_id)
        fits = product is not None and deal is not None and applies(deal, product) and not pd.isna(product["price"])
        return float(product["price"]) if fits and product is not None else -1.0

    return [price(*one) for one in rows[["customer_id", "item", "deal_id"]].itertuples(index=False)]


def _pages(placed: pd.DataFrame, needs: Mapping[str, list[Need]], options: ListOptions) -> list[Page]:
    """What is on each member's page, in the order of their ids."""
    names, codes, ideas = options.get("names") or {}, options.get("codes") or {}, _ideas(_read(options.get("tips")))
    first = placed.drop_duplicates("customer_id")
    own: dict[str, str] = (
        dict(zip(first["customer_id"], first["list_code"], strict=True)) if "list_code" in first else {}
    )
    offered: dict[str, list[tuple[CardKey, str, bool, bool]]] = {}
    for member, *one in placed[["customer_id", "key", "item", "need", "trial"]].itertuples(index=False):
        offered.setdefault(member, []).append((one[0], one[1], bool(one[2]), bool(one[3])))
    pages = []
    for member, deals in offered.items():
        code, symbology = _own_code(codes.get(member, ""), own.get(member, ""), member)
        beside, rest, trials = _sorted(deals, needs.get(member, []))
        whose = clean(names.get(member, "")), ending_of(member), code, symbology
        tips, shown = [clean(tip) for tip in ideas.get(member, [])], len(str(member)) < 2 or bool(whose[1])
        pages.append(Page(*whose, beside, rest, trials, tips, not shown))
    return pages


def _sorted(
    deals: list[tuple[CardKey, str, bool, bool]], needs: list[Need]
) -> tuple[list[tuple[Need, CardKey | None]], list[CardKey], list[CardKey]]:
    """Needs with the first deal on each, those that have one first; the other deals; and trials."""
    printed = {need.item for need in needs}
    first: dict[str, CardKey] = {}
    for key, item, need, trial in deals:
        if need and not trial and item in printed:
            first.setdefault(item, key)
    beside = [(need, first.get(need.item)) for need in needs]
    taken = set(first.values())
    rest = [key for key, _, _, trial in deals if not trial and key not in taken]
    return (
        [*(one for one in beside if one[1] is not None), *(one for one in beside if one[1] is None)],
        rest,
        [key for key, _, _, trial in deals if trial],
    )


def _ideas(tips: pd.DataFrame | None) -> Mapping[str, list[str]]:
    if tips is None:
        return {}
    found: dict[str, list[str]] = {}
    for member, title in tips.sort_values(["customer_id", "slot"])[["customer_id", "title"]].itertuples(index=False):
        found.setdefault(member, []).append(title)
    return found


def warn_of_endings(unshown: int) -> None:
    """Tell that some lists do not show the end of the card number."""
    if unshown:
        warnings.warn(
            f"{unshown:,} lists do not show the end of the card number, because it has characters that fonts may lack.",
            CrmkitWarning,
            stacklevel=3,
        )


def _own_code(given: str, own: object, member: str) -> tuple[str, str]:
    """What a list says to the till, where it can be printed: the code that is given, or its own of thirteen digits."""
    code, symbology = (clean(given), "code 128") if given else (str(own) if isinstance(own, str) else "", "ean")
    if code:
        modules_of(code, symbology, f"the list of the member whose card ends in {ending_of(member)}")
    return code, symbology
