"""What lines mean: returns, purchases of non-members, classes of lines, non-member cards."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from crmkit import Rejections, Transactions, btyd_summary, purchase_gaps, rfm_table
from crmkit.ingest.tables import Products
from crmkit.summaries.items import item_bought, item_state
from crmkit.summaries.sales import sales_summary
from crmkit.transactions.suspect_cards import suspect_cards

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


def test_purchases_of_non_members_are_kept_for_sales_and_are_in_no_members_history() -> None:
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


def test_listed_cards_are_non_members() -> None:
    log, found = split(SALE, ("till 4", "2026-01-02", "tea", 1, 5.0, "r2"), non_members=["till 4", "o'clock"])
    assert found.counts["reason"].tolist() == ["customer_id is a non-member card (till, staff or test)"]
    assert rfm_table(log)["customer_id"].tolist() == ["a"]
    assert len(lines_of(log)) == 2


def test_cards_used_as_no_member_shops_are_listed_and_stay() -> None:
    busy = [("till", "2026-01-02", "tea", 1, 1.0, f"t{n}") for n in range(21)]
    log, _ = split(SALE, *busy, ("till", "2026-01-03", "tea", 1, 1.0, "t99"))
    suspects = suspect_cards(log)
    assert suspects[["customer_id", "most_receipts", "n_days"]].to_numpy().tolist() == [["till", 21, 2]]
    assert suspect_cards(log, as_of="2026-01-01").empty
    assert set(rfm_table(log)["customer_id"]) == {"a", "till"}


def test_a_card_with_a_share_that_no_member_has_is_listed() -> None:
    members = [(f"m{n}", f"2026-01-{1 + day:02}", "tea", 1, 20.0, f"{n}-{day}") for n in range(40) for day in range(3)]
    walk_in = [
        ("counter 4", f"2026-01-{1 + day:02}", "tea", 1, 15.0, f"w{day}-{n}") for day in range(10) for n in range(9)
    ]
    log, _ = split(*members, *walk_in)
    listed = suspect_cards(log)
    assert listed["customer_id"].tolist() == ["counter 4"]
    assert listed["share_of_receipts"].round(3).tolist() == [round(90 / 210, 3)]
    assert listed["share_of_money"].round(3).tolist() == [round(1350 / 3750, 3)]
    few, _ = split(*members[:30], *walk_in)
    assert suspect_cards(few).empty


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


MILK = ("a", "2026-01-01", "milk", 1, 2.0, "r1")


def back(day: str, units: float = -1, order: str = "r9") -> tuple[object, ...]:
    return ("a", day, "milk", units, 2.0 * units, order)


def how(log: Transactions) -> list[str]:
    return lines_of(log)["how"].dropna().tolist()


def test_two_returns_take_back_two_sales() -> None:
    log, _ = split(MILK, ("a", "2026-01-03", "milk", 1, 2.0, "r2"), back("2026-01-05"), back("2026-01-06"))
    assert how(log) == ["by member and product"] * 2
    assert purchase_gaps(log, by="product_id").empty
    assert btyd_summary(log)["monetary_value"].tolist() == [0.0]


def test_two_scans_of_one_article_that_are_both_voided_were_never_bought() -> None:
    log, _ = split(MILK, MILK, back("2026-01-01"), back("2026-01-01"))
    assert rfm_table(log).empty
    assert purchase_gaps(log, by="product_id").empty


def test_one_return_takes_back_two_equal_lines() -> None:
    log, _ = split(MILK, MILK, back("2026-01-05", units=-2))
    assert how(log) == ["by member and product"]
    assert purchase_gaps(log, by="product_id").empty


def test_a_return_that_finds_no_sale_uses_nothing_up() -> None:
    sale = ("a", "2026-01-01", "milk", 3, 6.0, "r1")
    log, _ = split(sale, *(back(f"2026-01-0{day}", units) for day, units in ((2, -2), (3, -2), (4, -1))))
    assert how(log) == ["by member and product", "unmatched", "by member and product"]
    assert purchase_gaps(log, by="product_id").empty


def test_of_one_day_the_return_that_names_its_receipt_comes_first() -> None:
    second = ("a", "2026-01-03", "milk", 1, 2.0, "r2")
    log, _ = split(MILK, second, back("2026-01-06"), back("2026-01-06"), returned=[None, None, None, "r2"])
    assert how(log) == ["by member and product", "by receipt"]
    assert lines_of(log)["buy_day"].tolist()[2:] == lines_of(log)["day"].tolist()[:2]


def test_a_later_return_moves_no_earlier_one() -> None:
    """Even one that names the receipt: it was not known then."""
    second = ("a", "2026-01-03", "milk", 1, 2.0, "r2")
    log, _ = split(MILK, second, back("2026-01-05"), back("2026-01-06"), returned=[None, None, None, "r2"])
    assert how(log) == ["by member and product"] * 2
    assert lines_of(log)["buy_day"].tolist()[2:] == lines_of(log)["day"].tolist()[:2][::-1]


def test_a_return_of_the_morning_takes_back_no_sale_of_the_evening() -> None:
    evening = ("a", "2026-01-03 18:00", "milk", 1, 2.0, "r3")
    log, _ = split(MILK, ("a", "2026-01-03 09:00", "milk", -1, -2.0, "r2"), evening)
    assert lines_of(log)["buy_day"][1] == lines_of(log)["day"][0]
    assert rfm_table(log)["n_purchases"].tolist() == [2]


@pytest.mark.parametrize(("quantity", "amount"), [(3, 6.0), (0.5, 1.0), (None, 2.0)])
def test_a_return_without_a_quantity_takes_back_the_line_of_its_money(quantity: float | None, amount: float) -> None:
    log, _ = split(
        ("a", "2026-01-01", "milk", quantity, amount, "r1"), ("a", "2026-01-01", "milk", None, -amount, "r2")
    )
    assert rfm_table(log).empty


def test_money_back_that_names_its_receipt_is_a_return_whatever_the_sign_of_its_quantity() -> None:
    log, found = split(MILK, ("a", "2026-01-01", "milk", 1, -2.0, "r2"), returned=[None, "r1"])
    assert how(log) == ["by receipt"]
    assert rfm_table(log).empty
    assert found.kinds["kind"].tolist() == ["return", "sale"]


WITH_CATEGORY = ["customer_id", "purchased_at", "product_id", "quantity", "amount", "order_id", "category", "store"]


def categorised(*rows: tuple[object, ...]) -> Transactions:
    return Transactions.from_extract(pd.DataFrame(rows, columns=WITH_CATEGORY), until="2026-12-31")


def test_without_products_a_return_takes_back_its_own_category_at_its_own_price() -> None:
    log = categorised(
        ("a", "2026-01-05", None, 1, 2.0, "r1", "Milk", None),
        ("a", "2026-01-09", None, 1, 50.0, "r2", "Bread", None),
        ("a", "2026-01-20", None, -1, -2.0, "r3", "Milk", None),
        ("a", "2026-01-21", None, -1, -9.0, "r4", "Bread", None),
    )
    assert how(log) == ["by member and product", "unmatched"]
    assert purchase_gaps(log, by="category")["category"].tolist() == ["Bread"]


def test_a_return_is_of_the_category_of_what_it_takes_back() -> None:
    log = categorised(
        ("a", "2026-01-05", "p", 1, 2.0, "r1", "Milk", None), ("a", "2026-01-20", "p", -1, -2.0, "r2", None, None)
    )
    assert lines_of(log)["category"].tolist() == ["Milk", "Milk"]
    assert purchase_gaps(log, by="category").empty


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 0, 2], [2, 1, 0]])
def test_what_stands_first_moves_nothing(order: list[int]) -> None:
    rows = [
        ("a", "2026-01-05", "p", 1, 2.0, "r1", "Milk", "N"),
        ("a", "2026-01-05", "p", 1, 2.0, "r1", "Bread", "S"),
        ("a", "2026-01-05", "p", -1, -2.0, "r1", "Bread", "S"),
    ]
    log = categorised(*(rows[place] for place in order))
    assert purchase_gaps(log, by="category")["category"].tolist() == ["Milk"]
    assert sales_summary(log, "store").set_index("store")["items"].to_dict() == {"N": 1, "S": 0}


def test_classes_see_the_categories_of_the_products_table() -> None:
    products = Products.from_extract(pd.DataFrame({"product_id": ["1", "2"], "category": ["Milk", "gift card"]}))
    rows = [("a", "2026-01-01", "1", 1, 5.0, "r1"), ("a", "2026-01-09", "2", 1, 50.0, "r2")]
    log, _ = split(*rows, products=products, classes={"gift card": ["gift%"]})
    assert lines_of(log)["kind"].tolist() == ["sale", "gift card"]
    assert rfm_table(log)["n_purchases"].tolist() == [1]


def slow_matches(lines: pd.DataFrame) -> list[object]:
    """Which earlier day each return takes back, one after the other, from what is left of each line."""
    left = lines["quantity"].where(lines["quantity"] > 0, 0.0).to_dict()
    days: list[object] = []
    back = lines[lines["quantity"] < 0].sort_values(["day", "quantity", "amount"], ascending=[True, False, True])
    for row in back.itertuples():
        fits = lines[
            (lines["customer_id"] == row.customer_id) & (lines["product_id"] == row.product_id)
            & (lines["day"] <= row.day) & (lines["day"] >= row.day - 90)
            & (lines.index.map(left) >= -row.quantity)
        ].sort_values(["day", "amount"], ascending=False)  # fmt: skip
        if len(fits):
            left[fits.index[0]] += row.quantity
        days.append((row.record, fits["day"].iloc[0] if len(fits) else row.day))
    return sorted(days)


def test_returns_take_what_is_left_one_after_the_other() -> None:
    rng = np.random.default_rng(8)
    n = 1500
    frame = pd.DataFrame(
        {
            "customer_id": rng.integers(0, 12, n).astype(str),
            "purchased_at": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 200, n), unit="D"),
            "product_id": rng.integers(0, 4, n).astype(str),
            "quantity": rng.choice([1, 2, 3, 4, -1, -2, -3], n),
            "order_id": np.arange(n).astype(str),
        }
    )
    frame["amount"] = frame["quantity"] * np.arange(1, n + 1) / 100  # no two lines are alike
    log = Transactions.from_extract(frame, until="2026-12-31")
    lines = lines_of(log).astype({"quantity": float, "amount": float})
    mine = lines.loc[lines["quantity"] < 0, ["record", "buy_day"]]
    assert sorted(mine.itertuples(index=False, name=None)) == slow_matches(lines)
    assert (lines["how"] == "by member and product").sum() > 300
