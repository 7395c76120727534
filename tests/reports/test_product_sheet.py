"""One page about one product: what is on it, in three formats, and what is said where something is not known."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import crmkit as ck
from crmkit import ContractError, Transactions, product_sheet, purchase_plan
from crmkit.pipeline.cli import app


def till_of() -> pd.DataFrame:
    rng = np.random.default_rng(6)
    n = 4_000
    till = pd.DataFrame(
        {
            "customer_id": rng.integers(0, 80, n).astype(str),
            "purchased_at": pd.Timestamp("2017-01-01") + pd.to_timedelta(rng.integers(0, 300, n), unit="D"),
            "order_id": np.arange(n).astype(str),
            "product_id": rng.choice(["milk", "tea", "bread", "salt"], n, p=[0.5, 0.3, 0.15, 0.05]),
            "quantity": 1,
            "amount": 2.5,
        }
    )
    beside = till[till["product_id"] == "tea"].assign(product_id="lemon", amount=0.5)
    return pd.concat([till, beside], ignore_index=True)


@pytest.fixture(scope="module")
def log() -> Transactions:
    return Transactions.from_extract(till_of(), until="2017-10-27")


@pytest.fixture(scope="module")
def known(log: Transactions) -> ck.ProductTables:
    stock = pd.DataFrame(
        {"product_id": ["tea", "salt"], "supplier": ["<b>Leaf</b>", "Mine"], "stock": [4.0, 900.0], "lead_time": [7.0, 7.0],
         "pack_size": [6.0, 1.0], "vat_rate": [0.07, 0.19], "expires": [pd.Timestamp("2018-03-01"), pd.NaT], "min_order": [12.0, 0.0]}
    )  # fmt: skip
    products = pd.DataFrame(
        {"product_id": ["tea", "lemon"], "name": ["Green tea", "Lemon 1 kg"], "category": ["Tea", "Fruit"]}
    )
    deals = pd.DataFrame(
        {"deal_id": ["D1", "D2"], "title": ["1.00 off tea", "milk"], "funder": "Leaf", "category": ["Tea", "Milk"],
         "product_id": [None, "milk"], "starts": date(2017, 10, 1), "ends": date(2017, 11, 30)}
    )  # fmt: skip
    customers = pd.DataFrame({"customer_id": [str(k) for k in range(80)], "tier": ["A", "B"] * 40})
    plan = purchase_plan(log, stock).orders
    return ck.ProductTables(products, None, stock, deals, customers, plan)


def test_the_page_says_what_the_lines_say(log: Transactions, known: ck.ProductTables) -> None:
    page = product_sheet("tea", log, known, currency="EUR")
    assert page.title == "Product tea: Green tea"
    till = till_of()
    pieces = int((till["product_id"] == "tea").sum())
    cards = {label: value for value, label in page.cards}
    assert cards["pieces of the last 12 months"] == f"{pieces:,}"
    assert cards["in stock"] == "4"
    blocks = {block.topic: block for block in page.blocks}
    assert blocks["Bought with it"].title == "Lemon 1 kg is in 100% of its baskets"
    beside = blocks["Bought with it"].table
    assert beside is not None
    assert beside.frame["lift"].iloc[0] == pytest.approx(4_000 / pieces, rel=1e-6)
    assert blocks["Order"].title.startswith("Order ")
    assert blocks["Promotions"].title == "1 deals were for it or its category; 1 run now or later"
    about = blocks["About"].table
    assert about is not None
    facts = about.frame.set_index("what")["value"]
    assert facts["VAT rate"] == "7%"
    assert facts["expires"] == "01 Mar 2018"
    tiers = blocks["Buyers"].table
    assert tiers is not None
    assert tiers.frame["spend"].sum() == pytest.approx(2.5 * pieces)
    assert "pieces are expected in four weeks" in blocks["Next weeks"].title


def test_three_formats_from_the_same_blocks(log: Transactions, known: ck.ProductTables, tmp_path: Path) -> None:
    from pypdf import PdfReader

    page = product_sheet("tea", log, known)
    html = page.save(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;Leaf" in html
    assert "<b>Leaf" not in html
    assert page.save(tmp_path / "page.xlsx").stat().st_size > 5_000
    first = page.save(tmp_path / "page.pdf").read_bytes()
    assert page.save(tmp_path / "again.pdf").read_bytes() == first
    sheets = PdfReader(tmp_path / "page.pdf").pages
    assert len(sheets) == 1
    text = sheets[0].extract_text()
    assert "Product tea: Green tea" in text
    assert "Bought with it" not in text, "messages are printed, not topics"
    assert "Lemon 1 kg is in 100%" in text


def test_what_is_not_known_is_said(log: Transactions, known: ck.ProductTables) -> None:
    with pytest.raises(ContractError, match=r"There is no product 'te' among 5. The nearest ids: tea"):
        product_sheet("te", log, known)
    bare = {block.topic: block for block in product_sheet("milk", log).blocks}
    assert bare["Order"].title == "No order can be suggested"
    assert "deliver its stock" in bare["Order"].sentence
    assert "VAT rate" in bare["About"].notes[0]
    unsold = product_sheet(
        "new", log, ck.ProductTables(products=pd.DataFrame({"product_id": ["new"], "name": ["New"]}))
    )
    assert [block.topic for block in unsold.blocks] == ["Order", "About"]
    plenty = {block.topic: block for block in product_sheet("salt", log, known).blocks}
    assert plenty["Order"].title == "Nothing is to be ordered now"


def test_the_command_writes_it_from_a_run(tmp_path: Path) -> None:
    till_of().to_csv(tmp_path / "till.csv", index=False)
    ck.run({"until": "2017-10-27", "transactions": {"files": "till.csv"}}, tmp_path / "out", home=tmp_path)
    asked = ["product", "tea", "--run", str(tmp_path / "out"), "--out", str(tmp_path / "tea.pdf")]
    said = CliRunner().invoke(app, asked)
    assert said.exit_code == 0, said.output
    assert (tmp_path / "tea.pdf").read_bytes().startswith(b"%PDF")
