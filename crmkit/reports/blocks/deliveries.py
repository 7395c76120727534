"""Data quality: what became of every row that was read."""

from __future__ import annotations

from crmkit.reports.block import Block, Table
from crmkit.transactions.rejections import Rejections

__all__ = ["data_quality"]


def data_quality(rejections: Rejections, *, currency: str = "") -> Block:
    """Rows and money: read = used + left out + rejected + duplicate."""
    share = rejections.rows_rejected / max(rejections.rows_read, 1)
    totals = rejections.totals
    return Block(
        "Data quality",
        f"{rejections.rows_rejected:,} of {rejections.rows_read:,} rows were rejected ({share:.2%})",
        f"{rejections.rows_read:,} rows read = {' + '.join(f'{n:,} {outcome}' for outcome, (n, _) in totals.items())}. "
        f"The money reconciles to the cent ({rejections.amount_read:,.2f} = "
        f"{' + '.join(f'{amount:,.2f}' for _, amount in totals.values())}).",
        table=Table(rejections.counts),
        more=(Table(rejections.files.drop(columns="sha256"), "File by file"),),
    )
