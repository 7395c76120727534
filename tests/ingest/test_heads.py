"""Orders in one file and their lines in another are joined one way, and counted."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from crmkit._hashes import FileHashes
from crmkit.exceptions import ConfigError, ContractError, CrmkitWarning
from crmkit.ingest.extracts import read_extract
from crmkit.ingest.layouts import layout
from crmkit.pipeline.check import check_files
from crmkit.pipeline.config import config_of
from crmkit.pipeline.sources import Delivery
from crmkit.summaries.customers import rfm_table
from crmkit.transactions.log import Transactions
from crmkit.transactions.rejections import Rejections

ITEMS = """\
order_id,sku,qty,row_total
1,A,2,10.00
1,B,1,5.00
2,A,1,5.00
4,A,1,7.00
"""
ORDERS = """\
entity_id,customer,created_at,status,refunded
1,ann,2026-01-02 10:00,complete,3.00
2, bob ,2026-01-03 11:00,canceled,0
3,cat,2026-01-04 12:00,complete,0
"""
NAMES = {"customer_id": "customer", "purchased_at": "created_at", "amount": "row_total", "product_id": "sku"}
JOIN = {"order_id": "entity_id"}


def joined(
    folder: Path, orders: str = ORDERS, items: str = ITEMS, on: Any = JOIN, **options: Any
) -> tuple[Transactions, Rejections]:
    (folder / "items.csv").write_text(items)
    (folder / "orders.csv").write_text(orders)
    extract = read_extract(folder / "items.csv", join={"files": str(folder / "orders.csv"), "on": on})
    return Transactions.split_extract(extract, until="2026-01-31", **(NAMES | options))


def spend(log: Transactions) -> dict[str, float]:
    table = rfm_table(log)
    return dict(zip(table["customer_id"], table["total_spend"].astype(float), strict=True))


def test_each_line_has_what_its_order_says(tmp_path: Path) -> None:
    with pytest.warns(CrmkitWarning, match="without a line in this delivery, which count nothing: 1"):
        log, found = joined(tmp_path, leave_out={"status": ["canceled"]})
    assert spend(log) == {"ann": 15.0}
    assert pd.read_parquet(log.lines)["hour"].tolist() == [10, 10]
    assert found.totals == {
        "used": (2, Decimal("15.0000")),
        "left out": (1, Decimal("5.0000")),
        "rejected": (1, Decimal("7.0000")),
        "duplicate": (0, Decimal(0)),
    }
    assert found.counts["reason"].tolist() == ["'status' is 'canceled'", "its order is in none of the joined files"]
    assert found.rows["line"].tolist() == [4, 5]


@pytest.mark.filterwarnings("ignore::crmkit.exceptions.CrmkitWarning")
def test_money_of_an_order_is_taken_off_once(tmp_path: Path) -> None:
    log, _ = joined(tmp_path, deduct=["refunded"])
    assert spend(log) == {"ann": 12.0, "bob": 5.0}


def test_money_of_an_order_is_no_lines(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="it would count once for each of its lines"):
        joined(tmp_path, amount="refunded")


def test_an_order_with_two_heads_is_refused_and_one_delivered_twice_is_one(tmp_path: Path) -> None:
    again = ORDERS + "1,ann,2026-01-02 10:00,complete,3.00\n3,cat,2026-01-04 12:00,complete,0\n"
    with pytest.warns(CrmkitWarning):
        assert joined(tmp_path, again)[1].rows_used == 3
    with pytest.raises(ContractError, match="1 orders stand more than once"):
        joined(tmp_path, ORDERS + "1,dan,2026-01-02 10:00,complete,3.00\n")


@pytest.mark.parametrize(
    ("on", "kind", "message"),
    [
        (None, ConfigError, "must have files, and on"),
        ("order_id", ContractError, "orders.csv of the joined files has no"),
    ],
)
def test_what_tells_orders_apart_must_be_there(tmp_path: Path, on: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        joined(tmp_path, on=on)


@pytest.mark.filterwarnings("ignore::crmkit.exceptions.CrmkitWarning")
def test_several_files_of_lines_share_their_heads(tmp_path: Path) -> None:
    first, second = ITEMS.splitlines(keepends=True)[:3], ITEMS.splitlines(keepends=True)[3:]
    for name, lines in (("a.csv", first), ("b.csv", [ITEMS.splitlines(keepends=True)[0], *second])):
        (tmp_path / name).write_text("".join(lines))
    (tmp_path / "orders.txt").write_text(ORDERS)
    extract = read_extract(str(tmp_path / "*.csv"), join={"files": str(tmp_path / "orders.txt"), "on": JOIN})
    log, found = Transactions.split_extract(extract, until="2026-01-31", **NAMES)
    assert (spend(log), found.rows_used, found.rows_rejected) == ({"ann": 15.0, "bob": 5.0}, 3, 1)


@pytest.mark.filterwarnings("ignore::crmkit.exceptions.CrmkitWarning")
def test_money_of_an_order_whose_lines_are_in_two_files_is_refused(tmp_path: Path) -> None:
    lines = ITEMS.splitlines(keepends=True)
    (tmp_path / "a.csv").write_text("".join(lines[:2]))
    (tmp_path / "b.csv").write_text("".join([lines[0], lines[2]]))
    (tmp_path / "orders.txt").write_text(ORDERS)
    extract = read_extract(str(tmp_path / "*.csv"), join={"files": str(tmp_path / "orders.txt"), "on": JOIN})
    with pytest.raises(ContractError, match="1 orders have lines in two files"):
        Transactions.split_extract(extract, until="2026-01-31", deduct=["refunded"], **NAMES)


TOML = """\
until = 2026-01-31
[transactions]
files = "items.csv"
join = { files = "orders.csv", on = { order_id = "entity_id" } }
columns = { customer_id = "customer", purchased_at = "created_at", amount = "row_total" }
"""


def test_the_configuration_names_the_files_of_orders_from_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text(ITEMS)
    (tmp_path / "orders.csv").write_text(ORDERS)
    config = config_of(tomllib.loads(TOML))
    delivery = Delivery.of(config, tmp_path, FileHashes(tmp_path / "hashes.json"))
    assert [file["file"] for file in delivery.files()] == ["items.csv", "orders.csv"]
    told = str(check_files([str(tmp_path / "items.csv")], config, home=tmp_path))
    assert "orders.csv: text in utf-8, fields between ',', joined by order_id" in told
    assert "1 where its order is in none of the joined files" in told
    assert "Note: Orders of the joined files without a line in this delivery, which count nothing: 1." in told
    assert 'join = { files = "orders.csv", on = { order_id = "entity_id" } }' in told


@pytest.mark.parametrize("stated", ['{ on = "a" }', '{ files = "x.csv" }', '{ files = "x.csv", on = "a", sep = ";" }'])
def test_a_join_that_is_not_whole_is_refused_by_the_configuration(stated: str) -> None:
    with pytest.raises(ConfigError, match="join"):
        config_of(tomllib.loads(f'until = 2026-01-31\n[transactions]\nfiles = "a.csv"\njoin = {stated}\n'))


def test_lines_of_a_german_till_are_joined_with_their_receipts(tmp_path: Path) -> None:
    (tmp_path / "lines.csv").write_text(
        "Z_KASSE_ID;Z_ERSTELLUNG;Z_NR;BON_ID;POS_ZEILE;ARTIKELTEXT;GV_TYP;P_STORNO;ART_NR;WARENGR;MENGE;STK_BR\n"
        "K1;2026-01-02T20:00:00;7;1;1;Milch;Umsatz;0;4711;Molkerei;2,000;1,20\n"
        "K1;2026-01-02T20:00:00;7;1;2;Brot;Umsatz;0;4712;Brot;1,000;3,00\n"
        "K1;2026-01-02T20:00:00;7;2;1;Brot;Umsatz;0;4712;Brot;1,000;3,00\n"
        "K1;2026-01-03T20:00:00;8;1;1;Brot;Umsatz;0;4712;Brot;1,000;3,00\n"
    )
    (tmp_path / "transactions.csv").write_text(
        "Z_KASSE_ID;Z_ERSTELLUNG;Z_NR;BON_ID;BON_NR;BON_TYP;BON_STORNO;BON_START;BON_ENDE;UMS_BRUTTO;KUNDE_ID\n"
        "K1;2026-01-02T20:00:00;7;1;11;Beleg;0;2026-01-02T08:59:00.000+01:00;2026-01-02T09:00:00.000+01:00;5,40;M1\n"
        "K1;2026-01-02T20:00:00;7;2;12;AVTraining;0;2026-01-02T09:59:00.000+01:00;2026-01-02T10:00:00.000+01:00;3,00;M1\n"
        "K1;2026-01-03T20:00:00;8;1;13;Beleg;0;2026-01-03T09:59:00.000+01:00;2026-01-03T10:00:00.000+01:00;3,00;M2\n"
    )
    join = {"files": str(tmp_path / "transactions.csv"), "on": ["Z_KASSE_ID", "Z_NR", "BON_ID"], "decimal": ","}
    extract = read_extract(tmp_path / "lines.csv", decimal=",", join=join)
    log, found = Transactions.split_extract(
        extract, until="2026-01-31", time_zone="Europe/Berlin", **layout("dsfinvk-lines")
    )
    assert spend(log) == {"M1": 5.4, "M2": 3.0}
    assert (found.rows_left_out, found.rows_rejected) == (1, 0)
    told = str(check_files([str(tmp_path / "lines.csv")]))
    assert "These are the columns of layout 'dsfinvk-lines'" in told
    assert 'join = { files = "transactions.csv"' in told
    assert "Not found: customer_id, purchased_at" in told


def test_items_of_a_web_shop_are_joined_with_their_orders(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text(
        "item_id,order_id,parent_item_id,created_at,sku,qty_ordered,price,discount_amount,amount_refunded,row_total\n"
        "1,10,,2026-01-02 10:00:00,A,2,10.00,1.00,0.00,20.00\n"
        "2,10,1,2026-01-02 10:00:00,A-red,2,0.00,0.00,0.00,0.00\n"
        "3,11,,2026-01-03 10:00:00,B,1,5.00,0.00,5.00,5.00\n"
        "4,12,,2026-01-03 10:00:00,B,1,5.00,0.00,0.00,5.00\n"
    )
    (tmp_path / "orders.csv").write_text(
        "entity_id,state,status,customer_id,created_at,discount_amount,order_currency_code\n"
        "10,complete,complete,c1,2026-01-02 10:00:00,1.00,EUR\n"
        "11,complete,complete,c2,2026-01-03 10:00:00,0.00,EUR\n"
        "12,canceled,canceled,c2,2026-01-03 10:00:00,0.00,EUR\n"
    )
    join = {"files": str(tmp_path / "orders.csv"), "on": {"order_id": "entity_id"}}
    log, found = Transactions.split_extract(
        read_extract(tmp_path / "items.csv", join=join), until="2026-01-31", **layout("magento-order-items")
    )
    assert spend(log) == {"c1": 19.0, "c2": 0.0}
    assert (found.rows_used, found.rows_left_out) == (2, 2)
