"""Data quality: what became of every row that was read."""

from __future__ import annotations

from crmkit.reports.block import Block, Table
from crmkit.transactions.rejections import Rejections

__all__ = ["data_quality"]


def data_quality(rejections: Rejections, *, currency: str = "") -> Block:
    """Rows and money: read = used + rejected + duplicate."""
    share = rejections.rows_rejected / max(rejections.rows_read, 1)
    amounts = (rejections.amount_used, rejections.amount_rejected, rejections.amount_duplicate)
    return Block(
        "Data quality",
        f"{rejections.rows_rejected:,} of {rejections.rows_read:,} rows were rejected ({share:.2%})",
        f"{rejections.rows_read:,} rows read = {rejections.rows_used:,} used + {rejections.rows_rejected:,} rejected + "
        f"{rejections.rows_duplicate:,} duplicates. The money reconciles to the cent "
        f"({rejections.amount_read:,.2f} = {' + '.join(f'{amount:,.2f}' for amount in amounts)}).",
        table=Table(rejections.counts),
        more=(Table(rejections.files.drop(columns="sha256"), "File by file"),),
    )
