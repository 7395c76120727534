"""Small tables that stand beside the sales (products, members, deals), each checked by its contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Self

import pandas as pd

from crmkit.engine.base import SqlEngine
from crmkit.engine.duckdb import DuckDBEngine
from crmkit.exceptions import (
    ContractError,
)
from crmkit.ingest.contracts import Contract
from crmkit.ingest.extracts import Extract, read_extract
from crmkit.ingest.schemas import COSTS, MEMBERS, PRODUCTS, REDEMPTIONS, SERVICE, TIPS
from crmkit.ingest.times import TimeRules
from crmkit.ingest.validation import ValidatedPart, validate_part

__all__ = ["ContractTable", "Costs", "Members", "Products", "Redemptions", "ServiceRecords"]


@dataclass(frozen=True)
class ContractTable:
    """A table whose rows meet their contract.

    Attributes
    ----------
    frame : DataFrame
        One row per valid row, with the contract's columns.
    """

    frame: pd.DataFrame
    contract: ClassVar[Contract]
    keyed: ClassVar[bool] = True
    """Whether the first required column tells rows apart; where it does not, each row keeps its file and line."""

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
            first = rejected.head(10)
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
        with DuckDBEngine() as engine:
            parts = [
                validate_part(engine, source, part, cls.contract, columns, TimeRules(), call) for part in source.parts
            ]
            frames = [_valid_rows(engine, part, cls.contract, placed=not cls.keyed) for part in parts]
            rejected = pd.concat([_rejected_rows(engine, part) for part in parts], ignore_index=True)
        frame = pd.concat(frames, ignore_index=True)
        decimals = [name for name, kind in cls.contract.columns.items() if kind in ("money", "number")]
        frame = frame.assign(**{name: frame[name].map(_number).astype(float) for name in decimals})
        if not cls.keyed:
            return cls(frame), rejected
        repeated = frame[frame.duplicated(cls.contract.required[0])][cls.contract.required[0]]
        if len(repeated):
            raise ContractError(
                f"{cls.contract.name}: {len(repeated):,} rows repeat the {repeated.name} of an earlier row. "
                "Deliver each once."
            )
        return cls(frame), rejected.drop(columns="amount")


def _valid_rows(engine: SqlEngine, part: ValidatedPart, contract: Contract, placed: bool) -> pd.DataFrame:
    names = ", ".join(contract.columns)
    if not placed:
        return engine.frame(f"select {names} from {part.rows} where reason is null")
    rows = engine.frame(f"select record, {names} from {part.rows} where reason is null order by record")
    lines = part.places.of_staged(rows["record"].to_numpy("int64"))["line"]
    return rows.assign(file=part.name, line=lines.array).drop(columns="record")


def _rejected_rows(engine: SqlEngine, part: ValidatedPart) -> pd.DataFrame:
    rows = engine.frame(f"select * from {part.rejected}")
    return rows.assign(
        advice=rows["reason"].map({reason: rule.advice for reason, rule in part.rules.items()}).astype("str")
    )


def _number(value: Decimal | None) -> float:
    return float("nan") if value is None else float(value)


class Products(ContractTable):
    """What is sold: product_id, name, category, brand, brand_type (national or store), manufacturer, department.

    Examples
    --------
    >>> import pandas as pd
    >>> Products.from_extract(pd.DataFrame({"sku": [7], "category": ["Milk"]}), product_id="sku").frame.category[0]
    'Milk'
    """

    contract = PRODUCTS


class Members(ContractTable):
    """Who holds a card: customer_id, joined, no_contact (anything in it: the member gets no list).

    Examples
    --------
    >>> import pandas as pd
    >>> len(Members.from_extract(pd.DataFrame({"card_no": ["0077", "0078"]}), customer_id="card_no").frame)
    2
    """

    contract = MEMBERS


class ServiceRecords(ContractTable):
    """What members told the service desk: record_id, customer_id, recorded_at, kind, topic, score, resolved_at.

    ``kind`` is complaint, survey (an answer, with its ``score`` from 0 to 10) or recovery (what was done about it).

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
