"""Each summary against plain pandas, written here, and against lifetimes; and what must not change it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crmkit import Transactions, btyd_summary, holdout_summary, purchase_gaps, rfm_table
from crmkit.exceptions import ContractError, LeakError
from crmkit.summaries.customers import weekly_spend
from crmkit.summaries.items import item_bought, item_panel, item_state, n_pairs
from crmkit.summaries.snapshots import snapshots
from crmkit.summaries.usual_products import usual_products

UNTIL, SPLIT = "2025-12-31", "2025-06-30"


@pytest.fixture(scope="module")
def lines(lines_of: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    return lines_of(20_000, 900)


@pytest.fixture(scope="module")
def log(lines: pd.DataFrame) -> Transactions:
    return Transactions.from_extract(lines, until=UNTIL)


@pytest.fixture(scope="module")
def sold(lines: pd.DataFrame) -> pd.DataFrame:
    """The lines without those that come back."""
    return lines[(lines["quantity"] > 0) & (lines["amount"] >= 0)]


@pytest.fixture(scope="module")
def sold_log(sold: pd.DataFrame) -> Transactions:
    return Transactions.from_extract(sold, until=UNTIL)


def same(got: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(got, expected, check_dtype=False, rtol=1e-9, atol=1e-9)


def identical(one: pd.DataFrame, other: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def up_to(lines: pd.DataFrame, day: str) -> pd.DataFrame:
    lines = lines.assign(
        day=lines["purchased_at"].dt.normalize(), bought=(lines["amount"] >= 0) & (lines["quantity"] > 0)
    )
    return lines[lines["day"] <= day]


def receipts_with_purchase(lines: pd.DataFrame) -> pd.DataFrame:
    receipts = lines.groupby(["customer_id", "day", "order_id"]).agg(amount=("amount", "sum"), bought=("bought", "any"))
    return receipts[receipts["bought"]].reset_index()


def plain_btyd(lines: pd.DataFrame, day: str) -> pd.DataFrame:
    days = receipts_with_purchase(up_to(lines, day)).groupby(["customer_id", "day"])["amount"].sum().reset_index()
    days["gap"] = days.groupby("customer_id")["day"].diff().dt.days
    days["repeat"] = days["amount"].where(days["gap"].notna())
    days["first_value"] = days["amount"].where(days["gap"].isna())
    table = days.groupby("customer_id").agg(
        frequency=("gap", "count"), first=("day", "min"), last=("day", "max"), monetary_value=("repeat", "mean"),
        sum_log_gap=("gap", lambda gap: np.log(gap.dropna()).sum()), first_value=("first_value", "sum"),
    )  # fmt: skip
    table["recency"], table["T"] = (
        (table["last"] - table["first"]).dt.days,
        (pd.Timestamp(day) - table["first"]).dt.days,
    )
    return table.reset_index()[
        ["customer_id", "frequency", "recency", "T", "monetary_value", "sum_log_gap", "first_value"]
    ]


@pytest.mark.parametrize("day", [UNTIL, SPLIT, "2024-03-01"])
def test_btyd_summary_is_what_pandas_says(sold_log: Transactions, sold: pd.DataFrame, day: str) -> None:
    same(btyd_summary(sold_log, as_of=day), plain_btyd(sold, day))


@pytest.mark.parametrize("day", [UNTIL, SPLIT])
def test_rfm_table_is_what_pandas_says(sold_log: Transactions, sold: pd.DataFrame, day: str) -> None:
    known = up_to(sold, day)
    bought = known[known["bought"]].groupby("customer_id")["day"].agg(["max", "nunique"])
    expected = pd.DataFrame(
        {
            "days_since_last": (pd.Timestamp(day) - bought["max"]).dt.days,
            "n_purchases": bought["nunique"],
            "total_spend": known.groupby("customer_id")["amount"].sum().reindex(bought.index),
        }
    )
    same(rfm_table(sold_log, as_of=day), expected.reset_index())


def test_holdout_summary_is_what_pandas_says(sold_log: Transactions, sold: pd.DataFrame) -> None:
    known = up_to(sold, UNTIL)
    members = sorted(known[known["bought"] & (known["day"] <= SPLIT)]["customer_id"].unique())
    later = known[known["day"] > SPLIT]
    expected = pd.DataFrame(
        {
            "holdout_purchases": later[later["bought"]].groupby("customer_id")["day"].nunique().reindex(members),
            "holdout_spend": later.groupby("customer_id")["amount"].sum().reindex(members),
        }
    )
    same(holdout_summary(sold_log, SPLIT), expected.fillna(0).rename_axis("customer_id").reset_index())


@pytest.mark.parametrize("day", [UNTIL, SPLIT])
def test_purchase_gaps_are_what_pandas_says(sold_log: Transactions, sold: pd.DataFrame, day: str) -> None:
    known = up_to(sold, day)
    days = known[known["bought"]][["customer_id", "category", "day"]].drop_duplicates().sort_values("day")
    days["gap"] = days.groupby(["customer_id", "category"])["day"].diff().dt.days
    table = days.groupby(["customer_id", "category"]).agg(
        n_purchases=("day", "size"), first_day=("day", "min"), last_day=("day", "max"),
        mean_gap=("gap", "mean"), sd_gap=("gap", "std"), mean_log_gap=("gap", lambda gap: np.log(gap).mean()),
    )  # fmt: skip
    table.insert(3, "days_since_last", (pd.Timestamp(day) - table["last_day"]).dt.days)
    same(purchase_gaps(sold_log, by="category", as_of=day), table.reset_index())


def test_btyd_summary_agrees_with_lifetimes(sold_log: Transactions, sold: pd.DataFrame) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        utils = pytest.importorskip("lifetimes.utils")
        sales = receipts_with_purchase(up_to(sold, UNTIL))
        theirs = utils.summary_data_from_transaction_data(
            sales, "customer_id", "day", monetary_value_col="amount", observation_period_end=UNTIL
        )
    ours = btyd_summary(sold_log).drop(columns=["sum_log_gap", "first_value"]).fillna({"monetary_value": 0.0})
    same(ours, theirs.reset_index())


# -- by hand ---------------------------------------------------------------------------------------------------------


def log_of(*rows: tuple[str, str, float], **more: list) -> Transactions:
    frame = pd.DataFrame(rows, columns=["customer_id", "purchased_at", "amount"]).assign(**more)
    return Transactions.from_extract(frame, until="2026-12-31")


def test_several_receipts_on_a_day_are_one_purchase() -> None:
    log = log_of(
        ("a", "2026-01-01 09:00", 1), ("a", "2026-01-01 18:00", 2), ("a", "2026-01-31", 5), order_id=["1", "2", "3"]
    )
    row = btyd_summary(log).iloc[0]
    assert row.tolist()[1:5] == [1, 30, 364, 5.0]
    assert row["sum_log_gap"] == pytest.approx(np.log(30), abs=1e-12)


def test_returns_change_money_only() -> None:
    log = log_of(("a", "2026-01-01", 10), ("a", "2026-01-05", -4), ("b", "2026-01-01", -3))
    assert rfm_table(log).to_numpy().tolist() == [["a", 364, 1, 6.0]]
    assert btyd_summary(log)["customer_id"].tolist() == ["a"]
    assert holdout_summary(log, "2026-01-02").to_numpy().tolist() == [["a", 0, -4.0]]


def goods_of(*rows: tuple[str, str, float, float]) -> Transactions:
    """Lines of one member: day, product, quantity, amount; "gift" is a card, which is no goods."""
    frame = pd.DataFrame(rows, columns=["purchased_at", "product_id", "quantity", "amount"]).assign(customer_id="a")
    return Transactions.from_extract(frame, until="2026-12-31", classes={"gift card": ["gift"]})


MONEY_TESTS = [
    ("free goods on a day of their own", ("2026-02-01", "tea", 1, 0.0), 6.0),
    ("a gift card on a day of its own", ("2026-02-01", "gift", 1, 50.0), 12.0),
    ("a gift card before the first purchase", ("2025-12-30", "gift", 1, 50.0), 12.0),
    ("a return without its sale on a day of its own", ("2026-02-01", "milk", -1, -4.0), 8.0),
    ("an adjustment on a day of its own", ("2026-02-01", "tea", 0, -4.0), 8.0),
    ("a return without its sale on a repeat purchase day", ("2026-01-11", "milk", -1, -4.0), 8.0),
    ("a return without its sale on the first purchase day", ("2026-01-01", "milk", -1, -4.0), 12.0),
    ("a return of the first purchase", ("2026-02-01", "wine", -1, -10.0), 12.0),
]


@pytest.mark.parametrize(("besides", "value"), [row[1:] for row in MONEY_TESTS], ids=[row[0] for row in MONEY_TESTS])
def test_monetary_value_is_money_of_repeat_purchases_less_what_comes_off(besides: tuple, value: float) -> None:
    log = goods_of(("2026-01-01", "wine", 1, 10.0), ("2026-01-11", "tea", 1, 12.0), besides)
    assert btyd_summary(log)["monetary_value"].tolist() == [value]
    with snapshots(log) as shop:
        assert shop.state()["monetary_value"].tolist() == [value]


@pytest.mark.parametrize(
    "before",
    [
        [("2026-01-01", "tea", 1, 5.0), ("2026-01-01", "tea", -1, -5.0)],
        [("2026-12-01", "gift", 1, 50.0)],
        [("2026-12-01", "tea", 0, -3.0)],
        [("2026-12-01", "milk", -1, -3.0)],
    ],
    ids=["voided", "gift card", "adjustment", "return without its sale"],
)
def test_weekly_spend_begins_with_the_first_purchase(before: list[tuple]) -> None:
    log = goods_of(*before, ("2026-12-11", "tea", 1, 30.0), ("2026-12-30", "gift", 1, 60.0))
    assert weekly_spend(log).to_numpy().tolist() == [["a", 30.0]]
    assert weekly_spend(log, days=14).to_numpy().tolist() == [["a", 30.0]]
    assert weekly_spend(log, "2026-12-12").to_numpy().tolist() == [["a", 30.0]]
    assert weekly_spend(log, "2026-12-10").empty


def test_weekly_spend_is_nothing_when_all_is_long_ago() -> None:
    assert weekly_spend(goods_of(("2026-01-01", "tea", 1, 5.0))).to_numpy().tolist() == [["a", 0.0]]


def test_goods_taken_back_within_the_days_were_not_bought_on_them() -> None:
    log = goods_of(("2026-01-01", "tea", 1, 5.0), ("2026-01-09", "tea", -1, -5.0), ("2026-01-09", "wine", 1, 9.0))
    assert item_bought(log, "product_id", "2025-12-31", 8)["item"].tolist() == ["tea"]
    assert item_bought(log, "product_id", "2025-12-31", 9)["item"].tolist() == ["wine"]
    (panel,) = item_panel(log.up_to("2026-01-09"), "product_id", ages=[4])
    assert panel[["item", "wait"]].to_numpy().tolist() == [["tea", pytest.approx(np.nan, nan_ok=True)]]


def test_pairs_have_an_item_that_was_bought() -> None:
    log = goods_of(
        ("2026-01-01", "tea", 1, 5.0), ("2026-01-01", None, 1, 5.0), ("2026-01-01", "gift", 1, 5.0),
        ("2026-01-02", "milk", -1, -5.0),
    )  # fmt: skip
    assert n_pairs(log, "product_id") == len(item_state(log, "product_id")) == 1


@pytest.mark.parametrize("by", [None, [], 5, ["product_id", None]])
def test_items_that_are_no_columns_are_refused(by: object) -> None:
    log = goods_of(("2026-01-01", "tea", 1, 5.0))
    with pytest.raises(ContractError, match="is not an item column of this log"):
        item_state(log, by)


def test_even_gaps_have_no_spread() -> None:
    days = pd.date_range("2026-01-01", periods=40, freq="7D")
    log = log_of(*[("a", str(day.date()), 1.0) for day in days], category=["Milk"] * 40)
    row = purchase_gaps(log, by="category").iloc[0]
    assert (row["mean_gap"], row["sd_gap"]) == (7.0, 0.0)


def test_gaps_are_missing_when_there_are_too_few() -> None:
    log = log_of(("a", "2026-01-01", 1), ("b", "2026-01-01", 1), ("b", "2026-01-09", 1), category=["Milk"] * 3)
    table = purchase_gaps(log, by="category").set_index("customer_id")
    assert table.loc["a", ["mean_gap", "sd_gap", "mean_log_gap"]].isna().all()
    assert (table.loc["b", "mean_gap"], np.isnan(table.loc["b", "sd_gap"])) == (8.0, True)


def test_monetary_value_is_missing_without_a_repeat() -> None:
    assert np.isnan(btyd_summary(log_of(("a", "2026-01-01", 1)))["monetary_value"][0])


def test_a_day_before_all_sales_gives_empty_tables(log: Transactions) -> None:
    early = "2020-01-01"
    tables = [rfm_table(log, early), btyd_summary(log, early), purchase_gaps(log, "category", early)]
    tables += [holdout_summary(log, early, early.replace("01-01", "01-02"))]
    assert [len(table) for table in tables] == [0, 0, 0, 0]
    assert list(tables[1].columns)[:5] == ["customer_id", "frequency", "recency", "T", "monetary_value"]


def test_an_unknown_item_column_is_refused(log: Transactions) -> None:
    for wrong in ("brand", "customer_id", "category; drop table lines"):
        with pytest.raises(ContractError, match="is not an item column of this log"):
            purchase_gaps(log, by=wrong)


# -- what must not change a summary ----------------------------------------------------------------------------------


def tables(log: Transactions, day: str) -> list[pd.DataFrame]:
    return [
        rfm_table(log, as_of=day),
        btyd_summary(log, as_of=day),
        purchase_gaps(log, by="category", as_of=day),
        holdout_summary(log, split="2025-01-31", until=day),
        weekly_spend(log, as_of=day),
    ]


def test_the_order_of_rows_changes_nothing(log: Transactions, lines: pd.DataFrame) -> None:
    for seed in (1, 2):
        again = Transactions.from_extract(lines.sample(frac=1, random_state=seed), until=UNTIL)
        for one, other in zip(tables(log, UNTIL), tables(again, UNTIL), strict=True):
            identical(one, other)


def test_the_future_changes_nothing(log: Transactions, lines: pd.DataFrame) -> None:
    past = Transactions.from_extract(lines[lines["purchased_at"] < "2025-07-01"], until=SPLIT)
    for one, other in zip(tables(past, SPLIT), tables(log, SPLIT), strict=True):
        identical(one, other)


def test_a_stranger_changes_nothing(log: Transactions, lines: pd.DataFrame) -> None:
    stranger = lines[lines["customer_id"] < "000300"].assign(
        customer_id="zz", order_id=lambda frame: "z" + frame["order_id"]
    )
    both = Transactions.from_extract(pd.concat([stranger, lines]), until=UNTIL)
    for one, other in zip(tables(log, UNTIL), tables(both, UNTIL), strict=True):
        identical(one, other[other["customer_id"] != "zz"].reset_index(drop=True))


def test_nobody_may_ask_for_days_that_were_not_observed(log: Transactions) -> None:
    for question in (rfm_table, btyd_summary):
        with pytest.raises(LeakError, match="as_of=2026-01-01 is after 2025-12-31"):
            question(log, as_of="2026-01-01")
    with pytest.raises(LeakError, match="is after"):
        purchase_gaps(log, by="category", as_of="2026-01-01")
    for split, until in ((UNTIL, None), (SPLIT, SPLIT), (SPLIT, "2025-01-01"), ("2026-01-01", None)):
        with pytest.raises(LeakError, match=r"leaves no observed day|is after"):
            holdout_summary(log, split, until)


def test_calibration_and_holdout_make_the_whole(log: Transactions) -> None:
    known = btyd_summary(log, as_of=SPLIT).set_index("customer_id")["frequency"]
    later = holdout_summary(log, SPLIT).set_index("customer_id")
    whole = btyd_summary(log).set_index("customer_id")["frequency"]
    assert known.index.equals(later.index)
    assert (known + later["holdout_purchases"] == whole.reindex(known.index)).all()
    spend = rfm_table(log).set_index("customer_id")["total_spend"].reindex(known.index)
    parts = rfm_table(log, SPLIT).set_index("customer_id")["total_spend"] + later["holdout_spend"]
    np.testing.assert_allclose(parts, spend, rtol=1e-12, atol=1e-9)


def test_what_came_back_before_the_first_purchase_takes_nothing_from_the_repeat_ones() -> None:
    till = pd.DataFrame(
        {
            "customer_id": "a",
            "purchased_at": ["2017-01-01", "2017-02-01", "2017-03-01", "2017-03-05"],
            "product_id": list("zyxw"),
            "quantity": [-1, 1, 1, -1],
            "amount": [-50.0, 5, 5, -2],
        }
    )
    log = Transactions.from_extract(till, until="2017-03-31")
    assert btyd_summary(log)["monetary_value"].tolist() == [3.0]
    with snapshots(log) as found:
        assert found.state()["monetary_value"].tolist() == [3.0]


def test_usual_products_of_products_are_the_products_themselves(tmp_path: Path) -> None:
    till = pd.DataFrame({"customer_id": ["a", "a", "b"], "purchased_at": "2017-01-01", "amount": 2.0})
    log = Transactions.from_extract(till.assign(product_id=["m", "n", "m"]), until="2017-01-20")
    wanted = till[["customer_id"]].assign(product_id=["m", "n", "m"])
    wanted.to_parquet(tmp_path / "wanted.parquet", index=False)
    here, in_file = (usual_products(log, "product_id", given) for given in (wanted, tmp_path / "wanted.parquet"))
    assert here.columns.tolist() == ["customer_id", "product_id", "n_days", "last_day", "last_paid"]
    assert here["product_id"].tolist() == ["m", "n", "m"]
    pd.testing.assert_frame_equal(here, in_file)
    with pytest.raises(ContractError, match="product_id are there twice"):
        usual_products(log, "product_id", pd.concat([wanted, wanted]))
