"""Extracts become validated transactions."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from crmkit.engine.duckdb import DuckDBEngine
from crmkit.engine.frames import to_pandas
from crmkit.engine.tables import n_rows
from crmkit.exceptions import DeliveryWarning
from crmkit.ingest.extracts import Extract
from crmkit.ingest.layouts import note_in_words
from crmkit.ingest.tables import Products, Rates
from crmkit.pipeline.notes import note
from crmkit.pipeline.quality import check_categories, check_last_days, check_rejected
from crmkit.pipeline.stage import stage
from crmkit.reports.blocks.deliveries import data_quality
from crmkit.summaries.sales import n_later
from crmkit.transactions.delivery_folder import load_files
from crmkit.transactions.erasure import Tombstones, customers_in, erase_again, without_customers
from crmkit.transactions.levels import Level, at_level
from crmkit.transactions.log import Transactions
from crmkit.transactions.member_sample import of_some_members
from crmkit.transactions.rejections import Rejections
from crmkit.transactions.store import Store
from crmkit.transactions.suspect_cards import suspect_cards as suspicious

if TYPE_CHECKING:
    from crmkit.pipeline.settings import Engine, Thresholds
    from crmkit.pipeline.store_settings import StoreFolder
    from crmkit.pipeline.table_sources import SalesSource

_REJECTED = "file, record, line, reason, outcome, value, amount"


@stage("delivery", "received", "rejections")
def load(
    transactions_files: Extract,
    until: date,
    products: pd.DataFrame | None = None,
    rates: pd.DataFrame | None = None,
    store_folder: Store | None = None,
    forgotten: Tombstones | None = None,
    *,
    transactions: SalesSource,
    store: StoreFolder,
    engine: Engine,
    folder: Path,
    progress: Callable[[str], None],
) -> dict[str, object]:
    """Sort the rows of the delivery into accepted and rejected ones.

    With a store only new files are read; without one all files are read again when one has changed. Files are read by this
    machine, a table of Spark where it is; the log is summarised by the run's engine.
    """
    if transactions.layout:
        note(note_in_words(transactions.layout))
    options: dict[str, Any] = {
        "products": None if products is None else Products(products),
        "rates": None if rates is None else Rates(rates),
    } | transactions.line_options()
    if store_folder is None:
        more: dict[str, Any] = {"folder": folder / "log", "progress": progress}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeliveryWarning)  # the run judges it by its own thresholds
            log, rejections = Transactions.split_extract(transactions_files, until=until, **more, **options)
        log = _without_the_forgotten(log, forgotten, folder)
    else:
        log, rejections = _through_store(store_folder, transactions_files, until, folder, store, options, forgotten)
    table = folder / "rejections.parquet"
    with DuckDBEngine() as here:
        here.save(f"select {_REJECTED} from {here.parquet(rejections.path)} order by place, record", table)
    log = replace(log, on_spark=engine.kind == "spark")
    return {"delivery": log, "received": replace(rejections, path=Path(table.name)), "rejections": table}


def _without_the_forgotten(log: Transactions, forgotten: Tombstones | None, folder: Path) -> Transactions:
    """The log without who was forgotten and is delivered again; the first one is removed."""
    again = customers_in(log, forgotten) if forgotten else []
    if not again:
        return log
    note(
        f"{len(again):,} customers who were forgotten were delivered again; their purchases count as those of nobody known."
    )
    rest = without_customers(log, again, folder / "rest")
    for file in (*log.lines, *log.trips, log.days):
        file.unlink()
    return rest


def _through_store(
    held: Store,
    files: Extract,
    until: date,
    folder: Path,
    settings: StoreFolder,
    options: dict[str, Any],
    forgotten: Tombstones | None,
) -> tuple[Transactions, Rejections]:
    """Load the files that the store has not been given, and take its log; rows are those of tonight's files.

    A file that is refused keeps none of the others out of the store. Who was forgotten and is delivered again is erased.
    """
    done = load_files(held, files, until=until, incoming=settings.incoming, **options)
    if done.refusals:
        raise done.refusals[0]
    if done.loads:
        rejections = Rejections.together(done.loads, folder / "unused.parquet")
        for sentence in rejections.empty_files:
            note(sentence)
    else:
        nothing = pd.DataFrame({"customer_id": [], "purchased_at": [], "amount": []}, dtype="str")
        _, rejections = Transactions.split_extract(nothing, until=until, folder=folder / "nothing")
    if forgotten and (again := erase_again(held, forgotten)):
        note(f"{again:,} customers who were forgotten were delivered again, and erased from the store again.")
    log = held.transactions(folder=folder / "log")
    return replace(log, until=until), rejections  # which is observed though nothing may have been sold on the last days


@stage("log", "read", "delivery_block", "ids_left_out")
def check_delivery(
    delivery: Transactions,
    received: Rejections,
    rejections: Path,
    as_of: date,
    identity: pd.DataFrame | None = None,
    *,
    thresholds: Thresholds,
    level: Level,
    folder: Path,
) -> dict[str, object]:
    """Refuse an implausible delivery, and take the log as it was known on the run date, by card, member or unit."""
    check_rejected(received, rejections, thresholds)
    check_last_days(delivery, as_of, thresholds.missing_days)
    check_categories(delivery, as_of, thresholds.vanished_categories)
    later = n_later(delivery, as_of)
    log = delivery if identity is None else at_level(delivery, identity, level, folder / "log")
    log, left_out = _without_outlying(log.up_to(as_of), thresholds.one_id, folder / "members")
    return {
        "log": log,
        "read": _read(received, later),
        "delivery_block": data_quality(received),
        "ids_left_out": left_out,
    }


def _without_outlying(log: Transactions, share: float | None, folder: Path) -> tuple[Transactions, pd.DataFrame | None]:
    """The log without ids whose share of all receipts or money no member has, and these; their lines stay as nobody's."""
    if share is None:
        return log, None
    some = to_pandas(suspicious(log, share=share))
    ids = some[(some["share_of_receipts"] > share) | (some["share_of_money"] > share)]
    if not len(ids):
        return log, None
    note(
        f"Ids with more than {share:.0%} of all receipts or money, left out of models and lists and kept in sales: {len(ids):,} "
        f"({ids['share_of_receipts'].sum():.0%} of receipts, {ids['share_of_money'].sum():.0%} of money); see ids_left_out.parquet."
    )
    columns = ["customer_id", "n_days", "share_of_receipts", "share_of_money"]
    rest = without_customers(log, ids["customer_id"], folder)
    return rest, ids[columns].reset_index(drop=True)


def _read(received: Rejections, later: int) -> dict[str, object]:
    """Rows and money by what became of them, for ``run.json``."""
    counts = received.counts
    return {
        "rows": received.rows_read,
        "used": received.rows_used,
        "left_out": received.rows_left_out,
        "rejected": received.rows_rejected,
        "duplicate": received.rows_duplicate,
        "after_as_of": later,
        "reasons": dict(zip(counts["reason"], map(int, counts["rows"]), strict=True)),
        "amount": str(received.amount_read),
        "amount_used": str(received.amount_used),
        "amount_left_out": str(received.amount_left_out),
        "amount_rejected": str(received.amount_rejected),
        "amount_duplicate": str(received.amount_duplicate),
    }


_JUDGED_ON = 50_000


@stage("judged")
def draw_members(log: Transactions, *, folder: Path) -> dict[str, object]:
    """The members on whom models are judged as of earlier dates, on this machine: all, or 50,000 of them."""
    return {"judged": of_some_members(log, _JUDGED_ON, folder / "log")}


@stage("suspect_cards")
def suspect_cards(log: Transactions) -> dict[str, object]:
    """Cards that look like no member's, in a table of their own; the report only counts them."""
    suspects = suspicious(log)
    if n_found := n_rows(suspects):
        note(
            "Cards with more than 20 receipts, or more than 3 stores, on one day, or with more than 10% of all receipts or "
            f"money: {n_found:,}, in "
            "suspect_cards.parquet. List the ones that belong to no member under transactions.non_members."
        )
    return {"suspect_cards": suspects}
