"""Small tables that stand beside the sales (products, members, deals), each checked by its contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import pandas as pd

from crmkit.engine.base import SqlEngine
from crmkit.engine.choose import engine_of
from crmkit.engine.duckdb import DuckDBEngine
from crmkit.exceptions import (
    ContractError,
)
from crmkit.ingest.contracts import Contract
from crmkit.ingest.extracts import Extract, read_extract
from crmkit.ingest.schemas import (
    CARDS,
    COSTS,
    ERASURES,
    MEMBERS,
    MERGES,
    POINTS,
    PREMISES,
    PRICES,
    PRODUCTS,
    RATES,
    REDEMPTIONS,
    SERVICE,
    STAFF,
    STOCK,
    TIPS,
    VISITS,
)
from crmkit.ingest.times import TimeRules
from crmkit.ingest.validation import ValidatedPart, validate_part

__all__ = [
    "Cards",
    "ContractTable",
    "Costs",
    "Erasures",
    "FieldStaff",
    "Members",
    "Merges",
    "PointsEntries",
    "Premises",
    "Prices",
    "Products",
    "Rates",
    "Redemptions",
    "ServiceRecords",
    "Stock",
    "Tips",
    "VisitRecords",
]

_TOLD = 1000
"""Of the invalid rows of a table that stays on Spark so many come to the driver."""


@dataclass(frozen=True)
class ContractTable:
    """A table whose rows meet their contract.

    Attributes
    ----------
    frame : DataFrame
        One row per valid row, with the contract's columns. Of members that are a Spark DataFrame it is one too: they stay
        where they are, while other tables come to this machine.
    """

    frame: Any
    contract: ClassVar[Contract]
    keyed: ClassVar[bool] = True
    """Whether the first required column tells rows apart; where it does not, each row keeps its file and line."""
    stays: ClassVar[bool] = False
    """Whether rows that are on Spark stay there; these are keyed."""

    @classmethod
    def from_extract(cls, extract: Extract | object, **columns: str | Sequence[str]) -> Self:
        """Read the table, or raise `ContractError` with what is wrong in each invalid row.

        Parameters
        ----------
        extract : Extract or dataframe
        **columns : str or sequence of str
            Contract column = name in the extract.
        """
        table, rejected = cls.split_extract(extract, **columns)
        if len(rejected):
            first: Any = rejected.head(10)
            lines = [f"  {row.file} line {row.line}: {row.reason}. {row.advice}" for row in first.itertuples()]
            more = f"\n  … and {len(rejected) - len(first):,} more" if len(rejected) > len(first) else ""
            raise ContractError(
                f"{len(rejected):,} rows of {cls.contract.name} are invalid:\n" + "\n".join(lines) + more
            )
        return table

    @classmethod
    def split_extract(cls, extract: Extract | object, **columns: str | Sequence[str]) -> tuple[Self, pd.DataFrame]:
        """The table of valid rows, and the rejected ones: file, record, line, reason, value, advice."""
        source = extract if isinstance(extract, Extract) else read_extract(extract)
        call = f"{cls.__name__}.from_extract"
        with engine_of(*(part.table for part in source.parts)) if cls.stays else DuckDBEngine() as engine:
            parts = [
                validate_part(engine, source, part, cls.contract, columns, TimeRules(), call) for part in source.parts
            ]
            rows = " union all ".join(
                f"select {_typed(cls.contract)} from {part.rows} where reason is null" for part in parts
            )
            rejected = pd.concat([_rejected_rows(engine, part) for part in parts], ignore_index=True)
            if not cls.keyed:
                placed = [_placed_rows(engine, part, cls.contract) for part in parts]
                return cls(pd.concat(placed, ignore_index=True)), rejected
            cls._check_repeated(engine, rows)
            return cls(engine.table(rows)), rejected.drop(columns="amount")

    @classmethod
    def _check_repeated(cls, engine: SqlEngine, rows: str) -> None:
        key = cls.contract.required[0]
        counts = engine.frame(f"select count(*) as n, count(distinct {key}) as keys from ({rows}) as t").iloc[0]
        if repeated := int(counts["n"] - counts["keys"]):
            raise ContractError(
                f"{cls.contract.name}: {repeated:,} rows repeat the {key} of an earlier row. Deliver each once."
            )


def _typed(contract: Contract) -> str:
    """The columns of a contract, as SQL selects them; decimals as floating numbers."""
    return ", ".join(
        f"cast({name} as double) as {name}" if kind in ("money", "number") else name
        for name, kind in contract.columns.items()
    )


def _placed_rows(engine: SqlEngine, part: ValidatedPart, contract: Contract) -> pd.DataFrame:
    """Valid rows with their file and line."""
    rows = engine.frame(f"select record, {_typed(contract)} from {part.rows} where reason is null order by record")
    lines = part.places.of_staged(rows["record"].to_numpy("int64"))["line"]
    return rows.assign(file=part.name, line=lines.array).drop(columns="record")


def _rejected_rows(engine: SqlEngine, part: ValidatedPart) -> pd.DataFrame:
    most = f" limit {_TOLD}" if engine.on_spark else ""
    rows = engine.frame(f"select * from {part.rejected}{most}")
    return rows.assign(
        advice=rows["reason"].map({reason: rule.advice for reason, rule in part.rules.items()}).astype("str")
    )


class Products(ContractTable):
    """What is sold: product_id, name, category, brand, brand_type (national or store), manufacturer, department.

    Examples
    --------
    >>> import pandas as pd
    >>> Products.from_extract(pd.DataFrame({"sku": [7], "category": ["Milk"]}), product_id="sku").frame.category[0]
    'Milk'
    """

    contract = PRODUCTS


class Prices(ContractTable):
    """Current prices: product_id, price of one piece, once for each product.

    Examples
    --------
    >>> import pandas as pd
    >>> shelf = pd.DataFrame({"product_id": ["m1", "m2"], "price": [2.49, -1]})
    >>> Prices.split_extract(shelf)[1]["reason"].tolist()
    ['price is not above 0']
    """

    contract = PRICES


class Stock(ContractTable):
    """What is there and how more of it comes: product_id, supplier, stock, lead_time (days), and what else is known.

    on_order, min_order and pack_size are pieces, shelf_life days, vat_rate a share, arrives and expires days; anything in
    exclusive says that only this shop has it.

    Examples
    --------
    >>> import pandas as pd
    >>> sheet = pd.DataFrame({"sku": ["m1", "m2"], "supplier": "Farm", "stock": [5, 8], "lead_time": [7, -7]})
    >>> Stock.split_extract(sheet, product_id="sku")[1]["reason"].tolist()
    ['lead_time is below 0']
    """

    contract = STOCK


class Rates(ContractTable):
    """What currencies are worth in that of the log: currency, day, rate; a rate holds until the next one's day.

    Examples
    --------
    >>> import pandas as pd
    >>> bank = pd.DataFrame({"currency": ["JPY", "EUR"], "day": "2026-01-01", "rate": ["0.0067", "-1"]})
    >>> Rates.split_extract(bank)[1]["reason"].tolist()
    ['rate is not a number above 0']
    """

    contract = RATES
    keyed = False

    @classmethod
    def split_extract(cls, extract: Extract | object, **columns: str | Sequence[str]) -> tuple[Self, pd.DataFrame]:
        """The rates of valid rows, each with the days for which it holds, and the rejected rows."""
        table, rejected = super().split_extract(extract, **columns)
        frame = table.frame.assign(currency=table.frame["currency"].str.upper())
        if (twice := frame.duplicated(["currency", "day"])).any():
            first = frame[twice].iloc[0]
            raise ContractError(f"rates: {first['currency']} has two rates on {first['day']}. Deliver one a day.")
        frame = frame.sort_values(["currency", "day"], ignore_index=True)
        return cls(frame.assign(until=frame.groupby("currency")["day"].shift(-1))), rejected


class Members(ContractTable):
    """Who holds a card: customer_id, joined, no_contact (anything in it: the member gets no list), agreement (anything in it:
    there is one, without which no relationship is an alliance).

    Examples
    --------
    >>> import pandas as pd
    >>> len(Members.from_extract(pd.DataFrame({"card_no": ["0077", "0078"]}), customer_id="card_no").frame)
    2
    """

    contract = MEMBERS
    stays = True


class Cards(ContractTable):
    """Which card is whose: card, member, unit (a household or a business), since (the card is the member's from this day on).

    Examples
    --------
    >>> import pandas as pd
    >>> len(Cards.from_extract(pd.DataFrame({"card": ["c1", "c2"], "member": ["m1", "m1"], "unit": "u1"})).frame)
    2
    """

    contract = CARDS
    keyed = False


class Merges(ContractTable):
    """Members who turned out to be one: member, merged_into, merged_on, undone_on.

    Examples
    --------
    >>> import pandas as pd
    >>> ledger = pd.DataFrame({"member": ["m1"], "merged_into": ["m1"], "merged_on": ["2017-05-01"]})
    >>> Merges.split_extract(ledger)[1]["reason"].tolist()
    ['member is merged into itself']
    """

    contract = MERGES
    keyed = False


class Erasures(ContractTable):
    """Customers who asked to be forgotten: customer_id, asked_on.

    Examples
    --------
    >>> import pandas as pd
    >>> desk = pd.DataFrame({"customer_id": ["a", ""], "asked_on": "2017-05-01"})
    >>> Erasures.split_extract(desk)[1]["reason"].tolist()
    ['customer_id is missing']
    """

    contract = ERASURES
    keyed = False


class PointsEntries(ContractTable):
    """Entries of a ledger of points that another system keeps: customer_id, day, kind, points, balance.

    ``points`` is above 0, and ``kind`` says whether they come (earned, bonus) or go (returned, redeemed, expired); what is adjusted
    may be below 0.

    Examples
    --------
    >>> import pandas as pd
    >>> till = pd.DataFrame({"customer_id": ["a", "a"], "day": "2017-05-01", "kind": "redeemed", "points": [20, -20]})
    >>> PointsEntries.split_extract(till)[1]["reason"].tolist()
    ['points is below 0']
    """

    contract = POINTS
    keyed = False


class ServiceRecords(ContractTable):
    """What members told the service desk: record_id, customer_id, recorded_at, kind, topic, score, resolved_at.

    ``kind`` is complaint, survey (an answer, with its ``score`` from 0 to 10, and ``expected``, what was expected, where that is
    asked) or recovery (what was done about it). A complaint may name who is ``responsible``, the ``store``, the day it is ``due``, and
    how satisfied the customer was with its ``handling`` (0 to 10).

    Examples
    --------
    >>> import pandas as pd
    >>> desk = pd.DataFrame({"record_id": [1], "customer_id": ["a"], "recorded_at": ["2017-05-01"], "kind": ["complaint"]})
    >>> len(ServiceRecords.from_extract(desk).frame)
    1
    """

    contract = SERVICE


class Costs(ContractTable):
    """What serving members costs: cost_id, kind, amount, starts, ends; of one customer_id, or to be shared out.

    ``allocated_by`` says by what a shared cost is divided: orders, lines or visits.

    Examples
    --------
    >>> import pandas as pd
    >>> sheet = pd.DataFrame({"cost_id": [1], "kind": ["delivery"], "amount": [900], "starts": ["2017-05-01"],
    ...                       "ends": ["2017-05-31"], "allocated_by": ["orders"]})
    >>> float(Costs.from_extract(sheet).frame.amount[0])
    900.0
    """

    contract = COSTS


class Redemptions(ContractTable):
    """Coupons that came back at the tills: customer_id, deal_id or code, redeemed_at, amount (what it took off), order_id.

    Each row keeps the file and line it came from, and rejected rows the amount that they name.

    Examples
    --------
    >>> import pandas as pd
    >>> till = pd.DataFrame({"customer_id": ["a", "b"], "code": ["2810000000007", "2810000000014"], "amount": [0.5, -1],
    ...                      "redeemed_at": "2018-01-03"})
    >>> found, rejected = Redemptions.split_extract(till)
    >>> len(found.frame), rejected["reason"].tolist()
    (1, ['amount is below 0'])
    """

    contract = REDEMPTIONS
    keyed = False


class Tips(ContractTable):
    """Recipes and tips: tip_id, category, title."""

    contract = TIPS


class Premises(ContractTable):
    """Where customers are: customer_id, area, type, latitude, longitude, opens and closes (hours), closed_on (``"Sat;Sun"``).

    Examples
    --------
    >>> import pandas as pd
    >>> shop = pd.DataFrame({"customer_id": ["a"], "latitude": [126.9], "longitude": [37.5]})
    >>> Premises.split_extract(shop)[1]["reason"].tolist()
    ['latitude is beyond 90 degrees']
    """

    contract = PREMISES
    keyed = False


class FieldStaff(ContractTable):
    """Who visits customers: field_person, area, latitude and longitude (where a day begins), minutes and visits of a day."""

    contract = STAFF


class VisitRecords(ContractTable):
    """Results of visits: field_person, day, customer_id, met (1 or 0), outcome, minutes, sold (what was ordered).

    Examples
    --------
    >>> import pandas as pd
    >>> book = pd.DataFrame({"field_person": ["Kim"], "day": ["2018-01-02"], "customer_id": ["a"], "met": [2]})
    >>> VisitRecords.split_extract(book)[1]["reason"].tolist()
    ['met is neither 1 nor 0']
    """

    contract = VISITS
    keyed = False
