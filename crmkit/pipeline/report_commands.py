"""Commands that write a page from what a run has published: ``crmkit supplier`` and ``crmkit product``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crmkit.pipeline.terminal import say

Run = Annotated[Path, typer.Option("--run", help="The run's output folder.")]


def supplier(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The supplier, as the products name it.")],
    run: Run = Path("out"),
) -> None:
    """Write a supplier's report: its sales, buyers and deals, and nothing by which anybody could be known.

    It is written to OUT/suppliers/; what was released before is released again as it was (OUT/suppliers/ledger.parquet).

    Example: crmkit supplier "Maker 69" --run out/
    """
    from crmkit.pipeline.suppliers import write_supplier

    report, page = write_supplier(name, run)
    say(f"{report}\nReport: {page}")


def product(
    product_id: Annotated[str, typer.Argument(metavar="SKU", help="The product.")],
    run: Run = Path("out"),
    out: Annotated[Path, typer.Option("--out", help="The page to write: .html, .pdf or .xlsx.")] = Path("product.html"),
) -> None:
    """Write one page about one product: supplier, price, sales, stock, forecast, buyers, promotions, what to order.

    Example: crmkit product 25671 --run out/ --out product.pdf
    """
    from crmkit.pipeline.sheets import write_product

    say(f"Sheet: {write_product(product_id, run, out)}")
