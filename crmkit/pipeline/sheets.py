"""A page about one customer, from what a run has published."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pandas as pd

from crmkit.exceptions import ExtractError
from crmkit.models import CustomerLifetimeValue, load_model
from crmkit.pipeline.artefacts import load
from crmkit.pipeline.history import Published, manifest_of
from crmkit.pipeline.records import records_of
from crmkit.pipeline.stages.sheets import with_intervals
from crmkit.reports.customer_sheet import customer_sheet
from crmkit.reports.product_sheet import ProductTables, product_sheet
from crmkit.reports.sheet_pages import write_sheet_pages
from crmkit.transactions.log import Transactions

__all__ = ["log_of", "write_product", "write_sheet"]

_LOG_STAGE = "check-delivery"


def write_sheet(customer_id: str, out: Path, file: Path) -> Path:
    """Write the page of one customer of ``out/CURRENT``.

    Raises
    ------
    ExtractError
        There is no run, or what it read is gone.
    ContractError
        The run has no such customer.
    """
    run = Published(out / "CURRENT", manifest_of(out / "CURRENT"))
    customers = _valued(run, customer_id)
    due, offers = (_table(run, name) for name in ("repurchases", "offers"))
    more: dict[str, Any] = {name: _table(run, table) for name, table in _TABLES.items()}
    page = customer_sheet(
        customer_id, log_of(run), customers, due, offers, currency=run.manifest["settings"]["currency"], **more
    )
    if file.suffix == ".pdf":
        write_sheet_pages(file, [page], run.day)
        return file
    return page.save(file)


_TABLES = {
    "redemptions": "redemptions",
    "points": "points_balances",
    "rewards": "points_rewards",
    "service": "service",
    "identity": "identity",
    "premises": "places",
    "visits": "visits",
    "visited": "visited",
}
"""What a page shows, and the run's table that has it."""


def _table(run: Published, name: str) -> pd.DataFrame | None:
    """A table of the run, if it wrote it."""
    return run.table(name) if run.has(name) else None


def _valued(run: Published, customer_id: str) -> pd.DataFrame:
    """The run's customers, the one who is asked for with an interval of what they may bring."""
    customers: pd.DataFrame = run.table("customers")
    model = run.folder / "models" / "value_model.json"
    one = customers[customers["customer_id"].astype("str") == customer_id]
    if not len(one) or not run.has("customer_summary") or not model.is_file():
        return customers
    valued = with_intervals(one, run.table("customer_summary"), cast(CustomerLifetimeValue, load_model(model)))
    return pd.concat([valued, customers.drop(one.index)], ignore_index=True)


def write_product(product_id: str, out: Path, file: Path) -> Path:
    """Write the page of one product of ``out/CURRENT``; errors as in `write_sheet`."""
    run = Published(out / "CURRENT", manifest_of(out / "CURRENT"))
    names = {name: name for name in ("products", "prices", "stock", "deals", "customers")} | {"plan": "purchase_plan"}
    known = ProductTables(**{name: run.table(table) for name, table in names.items() if run.has(table)})
    settings = run.manifest["settings"]
    page = product_sheet(product_id, log_of(run), known, as_of=run.manifest["as_of"], currency=settings["currency"])
    if file.suffix == ".pdf":
        write_sheet_pages(file, [page], run.day)
        return file
    return page.save(file)


def log_of(run: Published) -> Transactions:
    """The log that the run worked on, as it was known on its day."""
    record = records_of(run.folder).get(_LOG_STAGE)
    if record is None or not record.is_whole(run.folder):
        raise ExtractError(f"The lines that the run {run.run} read are gone. Run again, and ask for the sheet then.")
    return cast(Transactions, load(record.outputs["log"], run.folder))
