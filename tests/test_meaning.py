"""What lines mean: returns, nobody's purchases, classes of lines, cards that are no member's."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from crmkit import Rejections, Transactions, btyd_summary, purchase_gaps, rfm_table
from crmkit.cards import suspect_cards
from crmkit.features import item_bought, item_state

COLUMNS = ["customer_id", "purchased_at", "product_id", "quantity", "amount", "order_id"]


def split(*rows: tuple[object, ...], **options: object) -> tuple[Transactions, Rejections]:
    frame = pd.DataFrame(rows, columns=COLUMNS)
    if "returned" in options:
        frame["returned_order_id"] = options.pop("returned")
    return Transactions.split_extract(frame, until="2026-12-31", **options)  # type: ignore[arg-type]


def lines_of(log: Transactions) -> pd.DataFrame:
    return pd.read_parquet(log.lines).sort_values("record", ignore_index=True)


SALE = ("a", "2026-01-01", "tea", 2, 10.0, "r1")


def test_a_return_takes_back_the_latest_sale_of_the_product_within_the_window() -> None:
    later = ("a", "2026-02-01", "tea", 2, 10.0, "r2")
    log, _ = split(SALE, later, ("a", "2026-02-10", "tea", -2, -10.0, "r3"))
    back = lines_of(log).iloc[2]
    assert (back["kind"], back["how"]) == ("return", "by member and product")
    assert back["buy_day"] == lines_of(log)["day"][1]


def test_a_receipt_reference_decides_whatever_the_window() -> None:
    later = ("a", "2026-11-01", "tea", 2, 10.0, "r2")
    log, _ = split(SALE, later, ("a", "2026-11-10", "tea", -2, -10.0, "r3"), returned=[None, None, "r1"])
    back = lines_of(log).iloc[2]
    assert (back["how"], back["buy_day"]) == ("by receipt", lines_of(log)["day"][0])


@pytest.mark.parametrize(
    "back",
    [
        ("b", "2026-01-05", "tea", -2, -10.0, "r2"),
        ("a", "2026-01-05", "milk", -2, -10.0, "r2"),
        ("a", "2026-01-05", "tea", -3, -15.0, "r2"),
        ("a", "2026-06-05", "tea", -2, -10.0, "r2"),
        ("a", "2025-12-31", "tea", -2, -10.0, "r2"),
    ],
    ids=["another member", "another product", "more than was sold", "after the window", "before the sale"],
)
def test_a_return_without_its_sale_is_unmatched_and_counted(back: tuple[object, ...]) -> None:
    log, found = split(SALE, back)
    assert lines_of(log)["how"].tolist()[1] == "unmatched"
    kinds = found.kinds.set_index(["kind", "how"])["rows"]
    assert kinds.loc[("return", "unmatched")] == 1


def test_a_sale_is_never_taken_back_more_often_than_it_was_sold() -> None:
    one = ("a", "2026-01-05", "tea", -1, -5.0, "r2")
    log, _ = split(SALE, one, ("a", "2026-01-06", "tea", -1, -5.0, "r3"), ("a", "2026-01-07", "tea", -1, -5.0, "r4"))
    assert lines_of(log)["how"].tolist()[1:] == ["by member and product"] * 2 + ["unmatched"]


def test_what_is_taken_back_the_same_day_was_never_bought() -> None:
    log, _ = split(SALE, ("a", "2026-01-01", "tea", -2, -10.0, "r1"), ("a", "2026-01-09", "tea", 1, 5.0, "r2"))
    assert rfm_table(log).to_numpy().tolist() == [["a", 356, 1, 5.0]]
    assert purchase_gaps(log, by="product_id")["n_purchases"].tolist() == [1]


def test_money_comes_off_the_day_that_brought_it_from_the_day_of_the_return_on() -> None:
    second = ("a", "2026-01-11", "tea", 2, 10.0, "r2")
    log, _ = split(SALE, second, ("a", "2026-01-21", "tea", -1, -5.0, "r3"))
    before, after = btyd_summary(log, "2026-01-20").iloc[0], btyd_summary(log, "2026-01-21").iloc[0]
    assert (before["frequency"], before["monetary_value"]) == (1, 10.0)
    assert (after["frequency"], after["recency"], after["monetary_value"]) == (1, 10, 5.0)


def test_money_of_a_return_without_its_sale_comes_off_the_repeat_purchases() -> None:
    second = ("a", "2026-01-11", "tea", 2, 10.0, "r2")
    log, _ = split(SALE, second, ("a", "2026-01-21", "milk", -1, -4.0, "r3"))
    assert btyd_summary(log)["monetary_value"].tolist() == [6.0]


def test_goods_that_came_back_are_no_purchase_of_the_item_from_then_on() -> None:
    log, _ = split(SALE, ("a", "2026-01-11", "tea", 1, 5.0, "r2"), ("a", "2026-01-15", "tea", -1, -5.0, "r3"))
    assert item_state(log, "product_id", "2026-01-14")["frequency"].tolist() == [1]
    assert item_state(log, "product_id", "2026-01-15")["frequency"].tolist() == [0]
    assert item_bought(log, "product_id", "2026-01-12", 10).empty


def test_lines_without_quantity_are_matched_by_their_exact_money() -> None:
    rows = [("a", "2026-01-01", None, None, 10.0, "r1"), ("a", "2026-01-05", None, None, -10.0, "r2")]
    log, _ = split(*rows, ("a", "2026-01-06", None, None, -9.0, "r3"))
    assert lines_of(log)["how"].tolist()[1:] == ["by member and product", "unmatched"]


def test_lines_are_classed() -> None:
    log, found = split(
        SALE,
        ("a", "2026-01-02", "POST", 1, 3.0, "r2"),
        ("a", "2026-01-02", "gift_10", 1, 10.0, "r2"),
        ("a", "2026-01-02", "tea", 1, 0.0, "r2"),
        ("a", "2026-01-02", "coupon", 0, -1.0, "r2"),
        classes={"service": ["POST", "DOT"], "gift card": ["gift%"]},
    )
    assert lines_of(log)["kind"].tolist() == ["sale", "service", "gift card", "free", "adjustment"]
    assert found.kinds["amount"].sum() == Decimal("22.0000")
    assert set(purchase_gaps(log, by="product_id")["product_id"]) == {"tea"}
    assert rfm_table(log)["total_spend"].tolist() == [22.0]


def test_nobodys_purchases_are_kept_for_sales_and_are_in_no_members_history() -> None:
    log, found = split(SALE, (None, "2026-01-02", "tea", 1, 5.0, "r2"), ("99999999", "2026-01-02", "tea", 1, 7.0, "r3"))
    assert found.counts["reason"].tolist() == ["customer_id is all nines", "customer_id is missing"]
    lines = lines_of(log)
    assert lines["customer_id"].isna().tolist() == [False, True, True]
    assert lines["amount"].sum() == Decimal("22.0000")
    assert rfm_table(log)["customer_id"].tolist() == ["a"]
    assert item_state(log, "product_id")["customer_id"].tolist() == ["a"]
    assert pd.read_parquet(log.trips)["customer_id"].notna().all()


def test_a_row_without_a_card_that_is_faulty_besides_is_not_kept() -> None:
    log, found = split(SALE, (None, "soon", "tea", 1, 5.0, "r2"))
    assert found.counts["reason"].tolist() == ["purchased_at is not a time"]
    assert len(lines_of(log)) == 1


def test_listed_cards_are_nobodys() -> None:
    log, found = split(SALE, ("till 4", "2026-01-02", "tea", 1, 5.0, "r2"), nobody=["till 4", "o'clock"])
    assert found.counts["reason"].tolist() == ["customer_id is a card of nobody"]
    assert rfm_table(log)["customer_id"].tolist() == ["a"]
    assert len(lines_of(log)) == 2


def test_cards_used_as_no_member_shops_are_listed_and_stay() -> None:
    busy = [("till", "2026-01-02", "tea", 1, 1.0, f"t{n}") for n in range(21)]
    log, _ = split(SALE, *busy, ("till", "2026-01-03", "tea", 1, 1.0, "t99"))
    suspects = suspect_cards(log)
    assert suspects[["customer_id", "most_receipts", "n_days"]].to_numpy().tolist() == [["till", 21, 2]]
    assert suspect_cards(log, as_of="2026-01-01").empty
    assert set(rfm_table(log)["customer_id"]) == {"a", "till"}


def test_the_future_of_returns_changes_no_past() -> None:
    rng = np.random.default_rng(5)
    n = 3000
    frame = pd.DataFrame(
        {
            "customer_id": rng.integers(0, 60, n).astype(str),
            "purchased_at": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 300, n), unit="D"),
            "product_id": rng.integers(0, 8, n).astype(str),
            "quantity": rng.choice([1, 2, 3, -1, -2], n),
            "order_id": rng.integers(0, 1500, n).astype(str),
        }
    )
    frame["amount"] = frame["quantity"] * rng.choice([1.0, 2.5], n)
    whole = Transactions.from_extract(frame, until="2026-12-31")
    past = Transactions.from_extract(frame[frame["purchased_at"] <= "2026-06-30"], until="2026-06-30")
    mixed = Transactions.from_extract(frame.sample(frac=1, random_state=1), until="2026-12-31")
    assert (pd.read_parquet(whole.lines)["how"] == "by member and product").sum() > 300
    for table in (
        btyd_summary,
        rfm_table,
        lambda log, day: purchase_gaps(log, "product_id", day),
        lambda log, day: item_state(log, "product_id", day),
    ):
        pd.testing.assert_frame_equal(table(past, "2026-06-30"), table(whole, "2026-06-30"), check_exact=True)
        pd.testing.assert_frame_equal(table(mixed, "2026-09-30"), table(whole, "2026-09-30"), check_exact=True)
