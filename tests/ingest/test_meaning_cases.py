"""Files in which money was silently wrong, each read as it has to be; the right values were worked out by hand."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crmkit import (
    BGNBD,
    CustomerLifetimeValue,
    GammaGamma,
    Rates,
    Transactions,
    layout,
    read_extract,
    rfm_table,
    sales_summary,
    suspect_cards,
)
from crmkit.exceptions import ContractError, DeliveryWarning
from crmkit.pipeline.check import check_files

HERE = Path(__file__).parent / "meaning"


def bought(log: Transactions) -> dict[str, tuple[int, float]]:
    """customer_id → purchases and money."""
    table = rfm_table(log)
    return {
        str(row.customer_id): (int(row.n_purchases), round(float(row.total_spend), 2)) for row in table.itertuples()
    }


def test_cancelled_and_refunded_orders_of_a_shopify_export() -> None:
    extract = read_extract(HERE / "shopify.csv")
    log, found = Transactions.split_extract(
        extract, until="2025-12-31", **({"time_zone": "Europe/London"} | layout("shopify-orders"))
    )
    spent = {customer.partition("@")[0]: told for customer, told in bought(log).items()}
    assert spent == {"ann": (2, 84.40), "cat": (1, 70.00)}
    assert found.amount_used == Decimal("154.40")
    told = str(check_files([str(HERE / "shopify.csv")]))
    assert "layout 'shopify-orders'" in told
    assert "left out" in told


def test_a_cancelled_receipt_of_a_loyverse_export() -> None:
    log, found = Transactions.split_extract(
        read_extract(HERE / "loyverse.csv"), until="2025-12-31", **layout("loyverse-receipts")
    )
    assert list(bought(log).values()) == [(1, 70.00)]
    assert found.rows_left_out == 1


def test_a_returned_line_of_a_korean_till() -> None:
    options = {name: given for name, given in layout("korean-pos").items() if name not in ("category", "store")}
    log, _ = Transactions.split_extract(read_extract(HERE / "korean.csv", thousands=","), until="2025-03-31", **options)
    lines = pd.read_parquet(log.lines).groupby("customer_id")["amount"].sum()
    assert lines.to_dict() == {"0001": 0, "0002": 22000}
    told = check_files([str(HERE / "korean.csv")])
    assert told.guess.layout == "korean-pos" or any("반품여부" in sentence for sentence in told.guess.telling)


NAMES = {"purchased_at": "order_date", "amount": "total"}


def test_orders_in_three_currencies() -> None:
    with pytest.raises(
        ContractError, match=r"3 currencies: USD 140\.00 in 2 rows, INR 8,319\.00 in 1 rows, JPY 15,000\.00"
    ):
        Transactions.split_extract(read_extract(HERE / "currencies.csv"), until="2025-12-31", **NAMES)
    stated = read_extract(HERE / "currencies.csv", currency="USD")
    log, found = Transactions.split_extract(stated, until="2025-12-31", **NAMES)
    assert bought(log) == {"C1": (1, 100.0), "C2": (1, 40.0)}
    assert found.counts["reason"].tolist() == ["amount is in another currency"]
    rates = Rates.from_extract(
        pd.DataFrame({"currency": ["INR", "JPY"], "day": "2025-01-01", "rate": ["0.012", "0.0067"]})
    )
    log, _ = Transactions.split_extract(stated, until="2025-12-31", rates=rates, **NAMES)
    assert bought(log) == {"C1": (2, 199.83), "C2": (1, 40.0), "C3": (1, 100.5)}


OF_JAPAN = {"customer_id": "会員番号", "purchased_at": "売上日", "amount": "金額", "order_id": "伝票番号"}


@pytest.mark.parametrize(
    ("file", "currency", "encoding", "names", "money"),
    [
        ("pos_sjis.csv", "JPY", "cp932", OF_JAPAN, [1200, -300, 2400, 5000]),
        ("pos_yen.csv", "JPY", "cp932", OF_JAPAN, [1200, 2400, 5000]),
        ("inr.csv", "INR", None, {}, [Decimal("123456"), 2500, Decimal("1234567.5"), 950]),
    ],
)
def test_notations(file: str, currency: str, encoding: str | None, names: dict[str, str], money: list[Any]) -> None:
    extract = read_extract(HERE / file, encoding=encoding, thousands=",", currency=currency)
    log, found = Transactions.split_extract(extract, until="2025-12-31", **names)
    assert pd.read_parquet(log.lines).sort_values("record")["amount"].tolist() == money
    assert found.rows_rejected == 0


def test_an_order_of_two_overlapping_files() -> None:
    extract = read_extract([HERE / "jan.csv", HERE / "feb.csv"])
    log, found = Transactions.split_extract(extract, until="2025-12-31")
    assert bought(log) == {"C1": (2, 40.0), "C2": (2, 60.0), "C3": (1, 50.0)}
    assert (found.rows_used, found.rows_duplicate, found.amount_used) == (5, 1, 150)


@pytest.mark.parametrize("word", ["nan", "NULL", "N/A"])
def test_a_word_for_missing_that_would_be_the_best_customer(word: str) -> None:
    rng = np.random.default_rng(5)
    days = np.arange(120).repeat(14)
    who = [word if n % 14 < 10 else f"M{rng.integers(40):02d}" for n in range(len(days))]
    day = pd.Series(pd.Timestamp("2025-01-01") + pd.to_timedelta(days, unit="D")).dt.strftime("%Y-%m-%d")
    till = pd.DataFrame({"customer_id": who, "purchased_at": day, "amount": "20.00", "order_id": range(len(who))})
    log, found = Transactions.split_extract(till, until="2025-04-30")
    assert word not in bought(log)
    assert found.counts["reason"].tolist() == ["customer_id is a word for missing"]
    assert int(sales_summary(log, period="all")["sales"].sum()) == 20 * len(who)
    till.loc[till["customer_id"] == word, "customer_id"] = "9000"
    with pytest.warns(DeliveryWarning, match="One customer id has 71% of all receipts"):
        log, _ = Transactions.split_extract(till, until="2025-04-30")
    (share,) = suspect_cards(log)["share_of_money"]
    assert round(share, 3) == round(10 / 14, 3)


@pytest.mark.parametrize("q", [3.0, 0.7])
@pytest.mark.filterwarnings("ignore")
def test_spend_that_grows_with_frequency_is_told_whatever_its_tail(q: float) -> None:
    rng, n = np.random.default_rng(3), 5000
    x = rng.poisson(rng.gamma(0.25, 1, n) * 1.2)
    age = rng.integers(30, 700, n)
    recency = np.minimum(np.where(x > 0, (age * rng.uniform(0.1, 1, n)).astype(int), 0), age)
    rate = rng.gamma(q, 1 / 50.0, n)
    mean = rng.gamma(1.5 * np.maximum(x, 1), 1 / np.maximum(rate, 1e-12)) / np.maximum(x, 1) * (1.0 + x) ** 1.2
    table = pd.DataFrame(
        {"frequency": x, "recency": recency, "T": age, "monetary_value": np.where(x > 0, mean, np.nan)}
    )
    model = CustomerLifetimeValue(BGNBD(), GammaGamma()).fit(table)
    assert model.spend_dependence_["p_value"] < 1e-6


@pytest.mark.filterwarnings("ignore:Not read. Event Type holds 'Refund'")
@pytest.mark.parametrize("cutoff", [None, "05:00"])
def test_days_whose_time_stands_in_another_column(cutoff: str | None) -> None:
    extract = read_extract(HERE / "square.csv", currency="USD", thousands=",")
    names = {
        "customer_id": "Customer ID", "amount": "Net Sales", "order_id": "Transaction ID", "quantity": "Qty", "category": "Category",
    }  # fmt: skip
    told = {}
    for purchased_at in ("Date", ["Date", "Time"]):
        log, _ = Transactions.split_extract(
            extract, until="2025-07-31", trading_day_cutoff=cutoff, purchased_at=purchased_at, **names
        )
        lines = pd.read_parquet(log.lines)
        days = pd.to_datetime(lines["day"], unit="D").dt.strftime("%m-%d")
        told[str(purchased_at)] = sorted(set(days)), sorted(set(lines["hour"].dropna().astype(int)))
    days = ["07-18", "07-19", "07-20", "07-25"]
    assert told == {"Date": (days, []), "['Date', 'Time']": (days, [9, 12])}
