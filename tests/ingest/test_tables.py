"""Small tables beside the sales: sound or refused, row by row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from crmkit import Members, Products, read_extract
from crmkit.exceptions import ContractError


def test_products_from_a_file(till: Callable[..., Path]) -> None:
    path = till(b'sku,product,kind\n0077,"TV 32"" LED",store\n78,=1+1,national\n')
    products = Products.from_extract(read_extract(path), product_id="sku", name="product", brand_type="kind")
    assert products.frame[["product_id", "name"]].to_numpy().tolist() == [["0077", 'TV 32" LED'], ["78", "=1+1"]]


def test_faulty_products_are_named_by_line(till: Callable[..., Path]) -> None:
    path = till(b"product_id,brand_type\n1,store\n,store\n2,Private\n")
    with pytest.raises(
        ContractError, match=r"2 rows of products(?s:.)*line 3: product_id is missing(?s:.)*line 4: brand_type"
    ):
        Products.from_extract(read_extract(path))
    table, rejected = Products.split_extract(read_extract(path))
    assert (len(table.frame), rejected["line"].tolist()) == (1, [3, 4])
    assert rejected["value"].tolist()[1] == "Private"


def test_a_table_repeats_no_key() -> None:
    with pytest.raises(ContractError, match="1 rows repeat the customer_id"):
        Members.from_extract(pd.DataFrame({"customer_id": ["1", "1.0"]}))


@pytest.mark.parametrize(("text", "faulty"), [("2026-03-04", 0), ("", 0), ("soon", 1), ("2025-02-29", 1)])
def test_days_of_joining_are_written_year_first(till: Callable[..., Path], text: str, faulty: int) -> None:
    table, rejected = Members.split_extract(read_extract(till(f"customer_id,joined\n1,{text}\n".encode())))
    assert (len(table.frame), len(rejected)) == (1 - faulty, faulty)


def test_tables_without_rows_are_tables(till: Callable[..., Path]) -> None:
    assert len(Members.from_extract(read_extract(till(b"customer_id,joined\n"))).frame) == 0


def test_ids_of_tables_meet_ids_of_sales() -> None:
    frames = [pd.DataFrame({"customer_id": pd.Series([7, 12345]).astype(kind)}) for kind in ("int64", "float64", "str")]
    assert [Members.from_extract(frame).frame["customer_id"].tolist() for frame in frames] == [["7", "12345"]] * 3


def test_every_rule_of_every_contract_catches_its_fault() -> None:
    from crmkit import Costs, ServiceRecords

    desk = {"record_id": range(4), "customer_id": "a", "recorded_at": "2017-05-02", "kind": "survey"}
    records = pd.DataFrame(desk).assign(
        score=[11, 5, 5, 5], resolved_at=[None, "2017-05-01", None, None], kind=["survey", "survey", "gossip", "survey"]
    )
    _, rejected = ServiceRecords.split_extract(records)
    assert rejected["reason"].tolist() == [
        "score is not between 0 and 10",
        "resolved_at is before recorded_at",
        "kind is neither complaint, survey nor recovery",
    ]
    sheet = pd.DataFrame({"cost_id": range(4), "kind": "delivery", "amount": [-1, 1, 1, 1], "starts": "2017-05-02"})
    sheet = sheet.assign(
        ends=["2017-05-31", "2017-05-01", "2017-05-31", "2017-05-31"], allocated_by=[None, None, "luck", "visits"]
    )
    table, rejected = Costs.split_extract(sheet)
    assert rejected["reason"].tolist() == [
        "amount is below 0",
        "ends is before starts",
        "allocated_by is neither orders, lines nor visits",
    ]
    assert len(table.frame) == 1
