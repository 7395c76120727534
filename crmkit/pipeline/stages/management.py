"""The management pack: tables, a page and a workbook."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from crmkit.pipeline.stage import stage
from crmkit.reports.blocks.management import management as management_block
from crmkit.reports.blocks.management import management_blocks
from crmkit.reports.report import Report
from crmkit.summaries.management import management_pack
from crmkit.transactions.log import Transactions

if TYPE_CHECKING:
    import pandas as pd

    from crmkit.pipeline.output_settings import ReportContents
    from crmkit.pipeline.settings import Management


@stage("management", "management_block", here=True)
def management(
    log: Transactions,
    customers: pd.DataFrame,
    as_of: date,
    members: pd.DataFrame | None = None,
    stock: pd.DataFrame | None = None,
    *,
    management: Management,
    title: str,
    currency: str,
    report: ReportContents,
    folder: Path,
) -> dict[str, object]:
    """Sales by every period and part of the shop, beside the year before."""
    pack = management_pack(log, customers, members, classes=management.classes, stock=stock)
    home = folder / "management"
    home.mkdir()
    for name, table in pack.tables.items():
        table.to_parquet(home / f"{name}.parquet", index=False)
    page = Report(f"{title}: management", as_of=as_of, currency=currency, language=report.language)
    page.blocks += management_blocks(pack, currency=currency)
    page.save(home / "dashboard.html")
    page.save(home / "management.xlsx")
    return {"management": home, "management_block": management_block(pack, currency=currency)}
