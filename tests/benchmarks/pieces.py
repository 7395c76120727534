"""The pieces of the main job that ``speed.py`` measures, written so that earlier code runs them too."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

UNTIL, HORIZON, CHURN = date(2017, 12, 31), 14, 30
DEALS, SLOTS = 50, 5

_clock = [0.0]


def start_clock() -> None:
    _clock[0] = time.process_time()


def spent() -> float:
    """Processor seconds since the clock was started."""
    return time.process_time() - _clock[0]


# -- The log -----------------------------------------------------------------------------------------------------------


def write_csv(journey: Path, home: Path) -> None:
    """The lines as a till writes them, in the shops' time."""
    import duckdb

    duckdb.sql("set TimeZone = 'America/New_York'")
    duckdb.sql(
        f"""copy (
            select household_id as customer_id, strftime(transaction_timestamp at time zone 'UTC', '%Y-%m-%d %H:%M:%S') as purchased_at,
                sales_value as amount, basket_id as order_id, product_id, product_category as category, quantity
            from read_parquet('{journey / "transactions.parquet"}') as lines
            join read_parquet('{journey / "products.parquet"}') as products using (product_id)
        ) to '{home / "till.csv"}' (header)"""
    )


def write_copies(home: Path, copies: list[int]) -> None:
    """A log of the lines, and logs in which there is each household several times."""
    import duckdb

    import crmkit as ck

    ck.Transactions.split_extract(ck.read_extract(str(home / "till.csv")), until=UNTIL, folder=home / "log1")
    for n in (n for n in copies if n > 1):
        (home / f"log{n}").mkdir(exist_ok=True)
        for table in ("lines", "trips", "days"):
            duckdb.sql(
                f"""copy (select t.* replace (customer_id || '-' || copy as customer_id)
                from read_parquet('{home / "log1" / table}.parquet') as t, range({n}) as copies(copy))
                to '{home / f"log{n}" / table}.parquet' (format parquet, compression zstd)"""
            )


def log_in(home: Path, copies: int) -> Any:
    import crmkit as ck

    return ck.Transactions(home / f"log{copies}", UNTIL, ("product_id", "category"))


# -- Pieces: each returns how many rows it answered ----------------------------------------------------------------------


def typed_read(home: Path, copies: int) -> int:
    import duckdb

    columns = (
        "count(customer_id), count(purchased_at), sum(amount), count(order_id), count(product_id), count(category)"
    )
    return int(duckdb.sql(f"select count(*), {columns} from read_csv('{home / 'till.csv'}')").fetchall()[0][0])


def checked_load(home: Path, copies: int) -> int:
    import crmkit as ck

    _, told = ck.Transactions.split_extract(ck.read_extract(str(home / "till.csv")), until=UNTIL)
    return int(told.rows_read)


def state(home: Path, copies: int) -> int:
    """What is known of each pair at one day."""
    try:
        from crmkit.summaries.items import item_state
    except ImportError:  # where it was before
        from crmkit.features import item_state
    return len(item_state(log_in(home, copies), "category"))


def state_in_parts(home: Path, copies: int) -> int:
    """The same, a part of the customers at a time, as it is scored."""
    from crmkit.summaries.purchase_history import purchase_history

    with purchase_history(log_in(home, copies), "category") as history:
        return sum(map(len, history.each_answer(None, lambda pairs: pairs)))


def further_day(home: Path, copies: int) -> int:
    """The state of another day, of purchases that are there already."""
    from crmkit.summaries.purchase_history import purchase_history

    with purchase_history(log_in(home, copies), "category") as history:
        history.state(UNTIL)
        start_clock()
        return len(history.state(UNTIL - timedelta(days=28)))


def fit(home: Path, copies: int) -> int:
    import crmkit as ck

    model = ck.NextPurchase(by="category").fit(log_in(home, copies))
    if hasattr(model, "save"):
        model.save(home / "model.json")
    return len(model.new_items_)


def predict(home: Path, copies: int) -> int:
    """After the fit, of the same log."""
    import crmkit as ck

    log = log_in(home, copies)
    model = ck.NextPurchase(by="category").fit(log)
    start_clock()
    return len(model.predict(log, horizon=HORIZON))


def write(home: Path, copies: int) -> int:
    """Scored by a model that was fitted before and written, a part of the customers at a time; the log is looked at first."""
    import pyarrow.parquet as pq

    import crmkit as ck

    model = ck.load_next_purchase(home / "model.json")
    path = model.write_predictions(log_in(home, copies), home / "due.parquet", horizon=HORIZON)
    return int(pq.read_metadata(path).num_rows)


def look_back(home: Path, copies: int) -> int:
    import crmkit as ck

    return len(ck.backtest(ck.NextPurchase(by="category"), log_in(home, copies)).scores)


def churn_fit(home: Path, copies: int) -> int:
    import crmkit as ck

    return len(ck.ChurnModel(horizon=CHURN).fit(log_in(home, copies)).choice_)


def churn_look_back(home: Path, copies: int) -> int:
    import crmkit as ck

    return len(ck.backtest(ck.ChurnModel(horizon=CHURN), log_in(home, copies)).scores)


def lists(home: Path, copies: int) -> int:
    """A printed page for each household: five deals, each with its barcode and price."""
    import numpy as np
    import pandas as pd

    import crmkit as ck

    n, some = 2_469 * copies, range(DEALS)
    deals = ck.Deals.from_extract(
        pd.DataFrame(
            {
                "deal_id": [f"D{place:02d}" for place in some],
                "title": "off",
                "category": [f"C{place:02d}" for place in some],
                "funder": "Maker",
                "funder_share": 1.0,
                "budget": 1e6,
                "value": 1.0,
                "price": 9.99,
                "barcode": [_code(f"2590{place:08d}") for place in some],
                "starts": "2018-01-01",
                "ends": "2018-01-14",
            }
        )
    )
    chosen = (np.arange(n)[:, None] * 7 + np.arange(SLOTS) * 11) % DEALS
    place = np.tile(np.arange(SLOTS) + 1, n)
    offers = pd.DataFrame(
        {
            "customer_id": np.repeat([f"{i:08d}" for i in range(n)], SLOTS),
            "deal_id": [f"D{i:02d}" for i in chosen.ravel()],
            "slot": place,
            "position": place,
        }
    )
    due = offers[["customer_id"]].assign(category=[f"C{i:02d}" for i in chosen.ravel()], p_purchase=0.5)
    start_clock()
    return int(ck.print_lists(offers, deals, due, home / "lists", as_of=UNTIL, horizon=HORIZON).pages)


def _code(stem: str) -> str:
    """A number with its check digit."""
    return f"{stem}{-sum(int(digit) * (1, 3)[place % 2] for place, digit in enumerate(stem)) % 10}"


def purchase_model(home: Path, copies: int) -> int:
    """Summary, BG/NBD fit, and purchases expected in 90 days, of lines as pandas has them."""
    import crmkit as ck

    days = ck.btyd_summary(log_in(home, copies))
    return len(ck.BGNBD().fit(days).expected_purchases(days, 90))


def by_lifetimes(home: Path, copies: int) -> None:
    import pandas as pd
    from lifetimes import BetaGeoFitter
    from lifetimes.utils import summary_data_from_transaction_data

    lines = pd.read_parquet(home / f"log{copies}" / "lines.parquet", columns=["customer_id", "day", "amount"])
    lines = lines.assign(at=pd.to_datetime(lines["day"], unit="D"), amount=lines["amount"].astype(float))
    days = summary_data_from_transaction_data(lines, "customer_id", "at", "amount", observation_period_end=UNTIL)
    model = BetaGeoFitter(penalizer_coef=0.001).fit(  # without it, it does not converge on this log
        days["frequency"], days["recency"], days["T"]
    )
    model.conditional_expected_number_of_purchases_up_to_time(90, days["frequency"], days["recency"], days["T"])


PEERS: Mapping[str, Callable[[Path, int], None]] = {"purchase-model": by_lifetimes}
"""What lifetimes does for the same answer."""

PIECES: Mapping[str, tuple[Callable[[Path, int], int], str, float | None, bool]] = {
    "typed-read": (typed_read, "the engine's own typed read of the CSV file", None, False),
    "checked-load": (checked_load, "checked load of the CSV file", None, False),
    "state": (state, "state of all pairs at a day", 1 / 3, False),
    "state-in-parts": (state_in_parts, "the same, a part of the households at a time", None, True),
    "further-day": (further_day, "state of all pairs at one more day", None, False),
    "fit": (fit, "`NextPurchase.fit`", 1 / 4, False),
    "predict": (predict, "`NextPurchase.predict` after the fit", 1 / 3.5, False),
    "write": (write, "`NextPurchase.write_predictions`, by a saved model", None, True),
    "look-back": (look_back, "backtest of the next purchase, three origins", 1 / 4, False),
    "churn-fit": (churn_fit, "`ChurnModel.fit`", 1 / 2, False),
    "churn-look-back": (churn_look_back, "backtest of churn, three origins", 1 / 4, False),
    "lists": (lists, "printed lists, one page a household", None, True),
    "purchase-model": (purchase_model, "summary, BG/NBD fit, purchases expected of each household", None, False),
}
"""Name → what is done, in words, the ratio aimed at, and whether its growth is measured."""
