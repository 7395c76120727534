"""Rules as data: what a sound row of each table is, and the reasons for which rows are rejected.

A reason is its own key: it is what the report prints, what the tests are named after, and it maps to one condition in
portable SQL that holds for a faulty row. ``raw_<column>`` is the text as delivered.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

from crmkit.exceptions import ContractError
from crmkit.formats import NO_HEADER, are_values

__all__ = ["COSTS", "DEALS", "ITEM_COLUMNS", "MEMBERS", "PRODUCTS", "SALES", "SERVICE", "TIPS", "Contract"]

Kind = Literal["id", "text", "money", "number", "time", "date"]

ITEM_COLUMNS = ("product_id", "category", "brand", "brand_type", "manufacturer", "department")

_LARGEST = "1000000000000"


@dataclass(frozen=True)
class Contract:
    """What a sound row of one table is.

    Parameters
    ----------
    name : str
        What the table holds, for messages.
    columns : mapping of str to kind
        ``id`` and ``text`` stay text; ``money`` and ``number`` become decimals of four places; ``time`` becomes the
        shop's wall clock; ``date`` a day.
    required : tuple of str
        Columns that must be there, with a value in every row.
    rules : mapping of str to str
        Reason, which starts with the name of its column → SQL condition that holds for a faulty row.
    products : mapping of str to pair of str
        A column that may be left out when both factors are delivered: it is their product.
    nobody : mapping of str to str
        Reason → condition for a row that is sound but belongs to no member; looked for last.
    """

    name: str
    columns: Mapping[str, Kind]
    required: tuple[str, ...]
    rules: Mapping[str, str] = field(default_factory=dict)
    products: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    nobody: Mapping[str, str] = field(default_factory=dict)

    def resolve(
        self,
        delivered: tuple[str, ...],
        names: Mapping[str, str],
        source: str,
        call: str,
        elsewhere: Container[str] = (),
    ) -> dict[str, str]:
        """Contract column → delivered column: those named, and those already called by the contract's name.

        A column that is not required may be named and not be there when other files of the extract, ``elsewhere``, have it.

        Raises
        ------
        ContractError
            All unknown and missing names in one message, with what is there and what to write; or, that these look like
            values.
        """
        found = {name: names.get(name, name) for name in self.columns if names.get(name, name) in delivered}
        needed = [name for name in self.required if name not in found and not self.computed(name, found)]
        needed += [factor for name in needed for factor in self._factors(name)]
        lost = {
            name: given
            for name, given in names.items()
            if given not in delivered and (name in needed or given not in elsewhere)
        }
        absent = [f"{given!r} (for {name}{_hint(given, delivered)})" for name, given in lost.items()]
        missing = [name for name in self.required if name in needed and not lost.keys() & {name, *self._factors(name)}]
        faults = self.unknown(names)
        if absent:
            faults += [f"Columns not found: {', '.join(absent)}."]
        if missing:
            near = _nearest(missing[0], delivered)
            faults += [
                f"Columns not found: {missing}. Name them: {call}(…, {missing[0]}={repr(near) if near else '…'})."
            ]
        if (absent or missing) and are_values(delivered):
            raise ContractError(f"{source} seems to have no header: {NO_HEADER}")
        if faults:
            raise ContractError(f"{' '.join(faults)} {source} has {list(delivered)}.")
        return found

    def _factors(self, name: str) -> tuple[str, ...]:
        return self.products.get(name, ())

    def computed(self, name: str, found: Mapping[str, str]) -> bool:
        """Whether a column is not delivered but follows from two that are."""
        return name not in found and name in self.products and all(factor in found for factor in self.products[name])

    def unknown(self, names: Iterable[str]) -> list[str]:
        """A sentence for each name that is not a column of this contract."""
        near = {name: get_close_matches(name, self.columns, n=1) for name in names if name not in self.columns}
        return [
            f"{name!r} is not a column of {self.name}{f'; did you mean {close[0]!r}' if close else ''} "
            f"(there are {', '.join(self.columns)})."
            for name, close in near.items()
        ]

    def faults(self, present: Mapping[str, str]) -> dict[str, tuple[str, str]]:
        """Reason → (column, condition) for the columns that are there, in the order in which they are looked for."""
        found: dict[str, tuple[str, str]] = {}
        for name in self.required:
            if f"{name} is missing" not in self.nobody:
                found[f"{name} is missing"] = (name, f"raw_{name} is null")
        for name in present:
            found |= {reason: (name, rule) for reason, rule in _KIND_FAULTS[self.columns[name]](name).items()}
        for reason, rule in self.rules.items():
            column = reason.split(" ", 1)[0]
            if column in present:
                found[reason] = (column, rule)
        return found

    def screens(self, present: Iterable[str]) -> dict[str, str]:
        """Columns to be computed before `faults`: whether a row may have one of the faults that are costly to look for."""
        ids = ", ".join(["''", *(f"raw_{name}" for name in present if self.columns[name] == "id")])
        texts = ", ".join(["''", *(f"raw_{name}" for name in present if self.columns[name] in ("id", "text"))])
        odd = " or ".join(f"contains(concat_ws({ids}), {mark})" for mark in ("chr(10)", "chr(13)", "'e'", "'E'"))
        return {"has_nul": f"contains(concat_ws({texts}), chr(0))", "has_odd_id": odd}


def _nearest(name: str, there: tuple[str, ...]) -> str | None:
    """The delivered column that is spelt most like a name, when any is near."""
    plain = {"".join(filter(str.isalnum, column.casefold())): column for column in there}
    near = get_close_matches("".join(filter(str.isalnum, name.casefold())), plain, n=1, cutoff=0.8)
    return plain[near[0]] if near else None


def _hint(name: str, there: tuple[str, ...]) -> str:
    near = _nearest(name, there)
    return f"; did you mean {near!r}" if near else ""


def _text_faults(name: str) -> dict[str, str]:
    return {f"{name} holds a NUL character": f"has_nul and contains(raw_{name}, chr(0))"}


def _id_faults(name: str) -> dict[str, str]:
    raw = f"raw_{name}"
    return _text_faults(name) | {
        f"{name} holds a line break": f"has_odd_id and (contains({raw}, chr(10)) or contains({raw}, chr(13)))",
        f"{name} lost its digits (1.2E+12)": (
            f"has_odd_id and (lower({raw}) like '%e+%' or lower({raw}) like '%.%e%') and try_cast({raw} as double) is not null"
        ),
    }


def _number_faults(name: str) -> dict[str, str]:
    lost = f"raw_{name} is not null and {name} is null"
    size = f"abs(try_cast(raw_{name} as double))"
    return {
        f"{name} is beyond 1,000,000,000,000": f"abs({name}) > {_LARGEST} or ({lost} and {size} between 1e12 and 1e308)",
        f"{name} is not a number": lost,
    }


def _time_faults(name: str) -> dict[str, str]:
    return {
        f"{name} is not a time": f"raw_{name} is not null and {name} is null",
        f"{name} is a placeholder date": (
            f"{name} < timestamp '1980-01-01 00:00:00' or {name} >= timestamp '9999-01-01 00:00:00'"
        ),
    }


def _date_faults(name: str) -> dict[str, str]:
    return {f"{name} is not a date": f"raw_{name} is not null and {name} is null"}


_KIND_FAULTS = {
    "id": _id_faults,
    "text": _text_faults,
    "money": _number_faults,
    "number": _number_faults,
    "time": _time_faults,
    "date": _date_faults,
}

SALES = Contract(
    name="transactions",
    columns={
        "customer_id": "id",
        "purchased_at": "time",
        "amount": "money",
        "order_id": "id",
        "line_id": "id",
        "returned_order_id": "id",
        "store": "id",
        "product_id": "id",
        "quantity": "number",
        "unit_price": "money",
        "discount": "money",
        "category": "text",
        "brand": "text",
        "brand_type": "text",
        "manufacturer": "text",
        "department": "text",
    },
    required=("customer_id", "purchased_at", "amount"),
    products={"amount": ("quantity", "unit_price")},
    nobody={
        "customer_id is missing": "raw_customer_id is null",
        "customer_id is all nines": "length(raw_customer_id) >= 8 and replace(raw_customer_id, '9', '') = ''",
    },
)

PRODUCTS = Contract(
    name="products",
    columns={
        "product_id": "id",
        "name": "text",
        "category": "text",
        "brand": "text",
        "brand_type": "text",
        "manufacturer": "text",
        "department": "text",
    },
    required=("product_id",),
    rules={
        "brand_type is neither national nor store": "brand_type is not null and brand_type not in ('national', 'store')"
    },
)

MEMBERS = Contract(
    name="members",
    columns={
        "customer_id": "id",
        "joined": "date",
        "no_contact": "text",
        "gender": "text",
        "birth_year": "number",
        "age_group": "text",
    },
    required=("customer_id",),
)

SERVICE = Contract(
    name="service records",
    columns={
        "record_id": "id",
        "customer_id": "id",
        "recorded_at": "time",
        "kind": "text",
        "topic": "text",
        "score": "number",
        "resolved_at": "time",
    },
    required=("record_id", "customer_id", "recorded_at", "kind"),
    rules={
        "kind is neither complaint, survey nor recovery": "kind not in ('complaint', 'survey', 'recovery')",
        "score is not between 0 and 10": "score < 0 or score > 10",
        "resolved_at is before recorded_at": "resolved_at < recorded_at",
    },
)

COSTS = Contract(
    name="costs",
    columns={
        "cost_id": "id",
        "customer_id": "id",
        "kind": "text",
        "amount": "money",
        "starts": "date",
        "ends": "date",
        "allocated_by": "text",
    },
    required=("cost_id", "kind", "amount", "starts", "ends"),
    rules={
        "amount is below 0": "amount < 0",
        "ends is before starts": "ends < starts",
        "allocated_by is neither orders, lines nor visits": (
            "allocated_by is not null and allocated_by not in ('orders', 'lines', 'visits')"
        ),
    },
)

TIPS = Contract(
    name="tips",
    columns={"tip_id": "id", "category": "text", "title": "text"},
    required=("tip_id", "category", "title"),
)

DEALS = Contract(
    name="deals",
    columns={
        "deal_id": "id",
        "title": "text",
        "category": "text",
        "brand": "text",
        "product_id": "id",
        "brand_type": "text",
        "brand_group": "text",
        "funder": "text",
        "funder_share": "number",
        "kind": "text",
        "value": "money",
        "value_light": "money",
        "value_medium": "money",
        "value_heavy": "money",
        "bundle_with": "text",
        "price": "money",
        "margin": "number",
        "response": "number",
        "budget": "money",
        "limit_per_member": "number",
        "conflicts": "text",
        "starts": "date",
        "ends": "date",
        "barcode": "id",
        "barcode_type": "text",
    },
    required=("deal_id", "title", "category", "funder", "value", "budget", "starts", "ends"),
    rules={
        "kind is neither amount, percent, points, bundle nor early notice": (
            "kind not in ('amount', 'percent', 'points', 'bundle', 'early notice')"
        ),
        "kind is bundle and bundle_with is missing": "kind = 'bundle' and bundle_with is null",
        "value is not above 0": "value < 0 or (value = 0 and coalesce(kind, 'amount') <> 'early notice')",
        "value is above 100 percent": "kind = 'percent' and value > 100",
        "value_light is not between 0 and value_medium": "value_light < 0 or value_light > coalesce(value_medium, value)",
        "value_medium is below 0": "value_medium < 0",
        "value_heavy is below value_medium": "value_heavy < 0 or value_heavy < coalesce(value_medium, value)",
        "value_heavy is above 100 percent": "kind = 'percent' and value_heavy > 100",
        "budget is below 0": "budget < 0",
        "price is not above 0": "price <= 0",
        "price is below the money off": (
            "coalesce(kind, 'amount') = 'amount' and price < coalesce(value_heavy, value_medium, value)"
        ),
        "margin is not between 0 and 1": "margin < 0 or margin > 1",
        "response is not above 0": "response <= 0",
        "limit_per_member is not a whole number above 0": "limit_per_member < 1 or limit_per_member <> floor(limit_per_member)",
        "funder_share is not between 0 and 1": "funder_share < 0 or funder_share > 1",
        "brand_type is neither national nor store": "brand_type not in ('national', 'store')",
        "brand_group is neither national, store nor switcher": "brand_group not in ('national', 'store', 'switcher')",
        "ends is before starts": "ends < starts",
    },
)
