"""A million lines give the same tables on every engine; what is on a cluster stays there."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from parity.engines import Other, engines, other

from crmkit import Rejections, Transactions, btyd_summary, holdout_summary, purchase_gaps, rfm_table
from crmkit.engine.duckdb import DuckDBEngine
from crmkit.engine.frames import to_pandas
from crmkit.engine.texts import sql_text
from crmkit.exceptions import LeakError
from crmkit.products.basket_affinity import bought_together
from crmkit.summaries.card_share import card_share
from crmkit.summaries.cohorts import cohorts, second_purchase
from crmkit.summaries.customers import weekly_spend
from crmkit.summaries.items import item_bought, item_state
from crmkit.summaries.sales import sales_summary, weekly_sales
from crmkit.summaries.snapshots import STATE, WINDOW, snapshots
from crmkit.transactions.levels import at_level, level_totals
from crmkit.transactions.returns import spent_days

N_LINES, UNTIL, SPLIT = 1_000_000, "2025-12-31", "2025-06-30"


def cards() -> pd.DataFrame:
    """Customers two by two a member, four by four a unit; some cards are theirs from a day on."""
    n = np.arange(20_000)
    table = {name: [f"{mark}{one}" for one in n // size] for name, mark, size in (("member", "m", 2), ("unit", "u", 4))}
    since = pd.Series(pd.NaT, index=n).mask(pd.Series(n % 5 == 0), pd.Timestamp("2024-06-01"))
    return pd.DataFrame({"card": [f"{one:06d}" for one in n], **table, "since": pd.to_datetime(since)})


TABLES: dict[str, Callable[[Transactions], Any]] = {
    "rfm_table by unit": lambda log: rfm_table(at_level(log, cards(), "unit")),
    "rfm_table": rfm_table,
    "btyd_summary": btyd_summary,
    "btyd_summary in the past": lambda log: btyd_summary(log, SPLIT),
    "btyd_summary before all sales": lambda log: btyd_summary(log, "2020-01-01"),
    "holdout_summary": lambda log: holdout_summary(log, SPLIT),
    "purchase_gaps": lambda log: purchase_gaps(log, by="category"),
    "item_state": lambda log: item_state(log, by="category"),
    "item_state without an item": lambda log: item_state(log, by="category", exclude=["Milk", 'TV 32" LED']),
    "item_state of levels": lambda log: item_state(log, by=["product_id", "category"], as_of="2024-04-30"),
    "item_bought": lambda log: item_bought(log, "category", SPLIT, 30),
    "sales_summary": lambda log: sales_summary(log, by="category", period="month"),
    "sales_summary by week": lambda log: sales_summary(log, period="week"),
    "sales_summary by day and hour": lambda log: sales_summary(log, by=["hour", "category"], period="day"),
    "sales_summary by year": lambda log: sales_summary(log, period="year"),
    "sales_summary of all": lambda log: sales_summary(log, by="customer_id", period="all"),
    "weekly_sales": weekly_sales,
    "weekly_spend": weekly_spend,
    "the log as it was": lambda log: rfm_table(log.up_to(SPLIT)),
}


@pytest.fixture(scope="module")
def log(lines_of: Callable[..., pd.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Transactions:
    """Its folder has a name that a glob would misread."""
    lines = lines_of(N_LINES, 30_000)
    lines["product_id"] = lines["category"] + " " + (lines["order_id"].astype(int) % 40).astype(str)
    lines.loc[::97, "category"] = None
    lines.loc[::89, "quantity"] = None
    home = tmp_path_factory.mktemp("kept") / "a [log] {of} *one*"
    return Transactions.from_extract(lines, until=UNTIL, folder=home)


@pytest.fixture(scope="module", params=engines())
def there(request: pytest.FixtureRequest) -> Other:
    return other(request)


@pytest.fixture(scope="module")
def far(log: Transactions, there: Other) -> Transactions:
    return there.log(log)


# Tables that do not grow with the customers: pandas on either side.
SMALL: dict[str, Callable[[Transactions], pd.DataFrame]] = {
    **{f"cohorts by {period}": partial(cohorts, period=period) for period in ("week", "month", "quarter")},
    "cohorts in the past": lambda log: cohorts(log, as_of=SPLIT),
    "second_purchase": second_purchase,
    "card_share": card_share,
    "card_share by store and hour": lambda log: card_share(log, by=["store", "hour"], period="all"),
    "level_totals": lambda log: level_totals(log, cards()),
    "bought_together": lambda log: bought_together(log, min_support=20),
    "bought_together in threes": lambda log: bought_together(log, min_support=5, size=3),
}


@pytest.mark.parametrize("name", SMALL)
def test_small_tables_agree(log: Transactions, far: Transactions, name: str) -> None:
    expected = SMALL[name](log)
    assert len(expected)
    pd.testing.assert_frame_equal(SMALL[name](far), expected, rtol=1e-12)


def agree(found: Any, expected: pd.DataFrame) -> None:
    assert not isinstance(found, pd.DataFrame), "it was collected unasked"
    collected = to_pandas(found)
    whole = [name for name in expected.columns if expected[name].dtype != "float64"]
    pd.testing.assert_frame_equal(collected[whole], expected[whole], check_exact=True)
    pd.testing.assert_frame_equal(collected, expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", TABLES)
def test_tables_agree(log: Transactions, far: Transactions, name: str) -> None:
    expected = TABLES[name](log)
    assert len(expected) > 0 or "before" in name
    agree(TABLES[name](far), expected)


@pytest.mark.parametrize("kinds", [STATE, WINDOW])
def test_what_is_told_of_customers_is_the_same_to_the_last_bit(
    log: Transactions, far: Transactions, kinds: str
) -> None:
    def asked(one: Transactions) -> Any:
        with snapshots(one) as shop:
            day = shop.day(SPLIT)
            return shop.ask(lambda told: told.state(day) if kinds == STATE else told.window(day, day + 30), kinds)

    mine, theirs = asked(log), asked(far)
    assert not isinstance(theirs, pd.DataFrame)
    found = to_pandas(theirs).sort_values("customer_id", ignore_index=True)
    pd.testing.assert_frame_equal(found, mine, check_exact=True)


@pytest.mark.parametrize(
    ("fold", "order"), [("trips", "customer_id, day, order_id"), ("days", "customer_id, buy_day, day")]
)
def test_lines_fold_into_the_same_rows(log: Transactions, there: Other, tmp_path: Path, fold: str, order: str) -> None:
    with there.engine() as engine:
        lines = engine.parquet(*log.lines)
        text = sql_text("transactions/trips", lines=lines)
        if fold == "days":
            text = spent_days(sql_text("transactions/spent", lines=lines))
        engine.save(text, tmp_path / f"{fold}.parquet")
    with DuckDBEngine() as near:
        mine = near.frame(f"select * from {near.parquet(log.folder / f'{fold}.parquet')} order by {order}")
        theirs = near.frame(f"select * from {near.parquet(tmp_path / f'{fold}.parquet')} order by {order}")
    pd.testing.assert_frame_equal(theirs, mine, check_exact=True)


@pytest.fixture(scope="module")
def till(lines_of: Callable[..., pd.DataFrame]) -> pa.Table:
    """Times with a zone, decimal money, float cards with nulls and NaN, returns; a name that SQL would misread."""
    lines, rng = lines_of(N_LINES, 30_000), np.random.default_rng(11)
    money = [Decimal(int(cents)).scaleb(-2) for cents in (lines["amount"] * 100).round()]
    cards = lines["customer_id"].astype("float64").to_numpy(copy=True)
    cards[rng.random(N_LINES) < 0.001] = np.nan
    return pa.table(
        {
            "card": pa.array(cards, mask=rng.random(N_LINES) < 0.02),
            "at": pa.array(lines["purchased_at"].dt.tz_localize("UTC").astype("datetime64[us, UTC]")),
            "paid": pa.array(money, pa.decimal128(18, 4), mask=rng.random(N_LINES) < 0.001),
            "receipt": lines["order_id"].to_numpy(dtype=object),
            "how `many`": lines["quantity"].to_numpy(),
            "category": pa.array(lines["category"].to_numpy(dtype=object), mask=rng.random(N_LINES) < 0.01),
        }
    )


def read(table: object, folder: Path) -> tuple[Transactions, Rejections]:
    return Transactions.split_extract(
        table, until=UNTIL, time_zone="America/New_York", folder=folder, customer_id="card", purchased_at="at",
        amount="paid", order_id="receipt", quantity="how `many`",
    )  # fmt: skip


@pytest.mark.long
def test_a_table_is_read_where_it_is(till: pa.Table, there: Other, tmp_path: Path) -> None:
    near, one = read(till, tmp_path / "near")
    far, other = read(there.table(till), tmp_path / "far")
    assert str(other) == str(one)
    assert (other.amount_used, other.amount_rejected) == (one.amount_used, one.amount_rejected)
    assert other.rows_read == N_LINES
    agree(btyd_summary(far), btyd_summary(near))
    agree(purchase_gaps(far, by="category"), purchase_gaps(near, by="category"))


def test_an_empty_table_is_empty(there: Other, tmp_path: Path) -> None:
    kinds = {"customer_id": pa.string(), "purchased_at": pa.timestamp("us"), "amount": pa.decimal128(10, 2)}
    empty = pa.schema(list(kinds.items())).empty_table()
    near, _ = Transactions.split_extract(empty, until=UNTIL, folder=tmp_path / "near")
    log, rejections = Transactions.split_extract(there.table(empty), until=UNTIL, folder=tmp_path / "far")
    assert rejections.rows_read == 0
    agree(rfm_table(log), rfm_table(near))


def test_day_numbers_of_a_spreadsheet_are_read_alike(there: Other, tmp_path: Path) -> None:
    days = pa.table({"purchased_at": ["46082.4375", "46082", "46082,999988426", "soon", "36525"]})
    table = days.append_column("customer_id", pa.array(["a"] * 5)).append_column("amount", pa.array([1] * 5))
    found = []
    for place, given in (("near", table), ("far", there.table(table))):
        log, told = Transactions.split_extract(given, until="2026-12-31", time_format="excel", folder=tmp_path / place)
        lines = pd.concat(map(pd.read_parquet, log.lines)).sort_values("hour")
        found.append((str(told), lines["day"].tolist(), lines["hour"].fillna(-1).tolist()))
    assert found[1] == found[0]
    assert found[0][2] == [10, 23, -1], "a day without a fraction has no hour"


def test_the_same_questions_are_refused(far: Transactions) -> None:
    with pytest.raises(LeakError, match="as_of=2026-01-01 is after 2025-12-31"):
        rfm_table(far, as_of="2026-01-01")
    with pytest.raises(LeakError, match="leaves no observed day"):
        holdout_summary(far, split=UNTIL)
