"""A page about one customer, from what a run has published."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from crmkit.exceptions import ExtractError
from crmkit.pipeline.artefacts import load
from crmkit.pipeline.history import Published, manifest_of
from crmkit.pipeline.records import records_of
from crmkit.reports.customer_sheet import customer_sheet
from crmkit.reports.product_sheet import ProductTables, product_sheet
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
    due, offers = (run.table(name) if run.has(name) else None for name in ("repurchases", "offers"))
    currency = run.manifest["settings"]["currency"]
    return customer_sheet(customer_id, log_of(run), run.table("customers"), due, offers, currency=currency).save(file)


def write_product(product_id: str, out: Path, file: Path) -> Path:
    """Write the page of one product of ``out/CURRENT``; errors as in `write_sheet`."""
    run = Published(out / "CURRENT", manifest_of(out / "CURRENT"))
    names = {name: name for name in ("products", "prices", "stock", "deals", "customers")} | {"plan": "purchase_plan"}
    known = ProductTables(**{name: run.table(table) for name, table in names.items() if run.has(table)})
    settings = run.manifest["settings"]
    page = product_sheet(product_id, log_of(run), known, as_of=run.manifest["as_of"], currency=settings["currency"])
    return page.save(file)


def log_of(run: Published) -> Transactions:
    """The log that the run worked on, as it was known on its day."""
    record = records_of(run.folder).get(_LOG_STAGE)
    if record is None or not record.is_whole(run.folder):
        raise ExtractError(f"The lines that the run {run.run} read are gone. Run again, and ask for the sheet then.")
    return cast(Transactions, load(record.outputs["log"], run.folder))
