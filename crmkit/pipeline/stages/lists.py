"""What members get printed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from crmkit.offers.deals import Deals
from crmkit.pipeline.stage import stage
from crmkit.reports.lists.page_layout import print_lists as print_pages

if TYPE_CHECKING:
    from crmkit.pipeline.settings import Lists


@stage("lists", here=True)
def print_lists(
    offers: Path,
    deals: pd.DataFrame,
    repurchases: pd.DataFrame,
    offer_tips: pd.DataFrame | None = None,
    font: Path | None = None,
    *,
    lists: Lists,
    currency: str,
    folder: Path,
) -> dict[str, object]:
    """One page a member."""
    print_pages(
        pd.read_parquet(offers),
        Deals(deals),
        repurchases,
        folder / "lists",
        tips=offer_tips,
        title=lists.title,
        font=font,
        currency=_symbol(currency),
    )
    return {"lists": folder / "lists"}


def _symbol(currency: str) -> str:
    from babel.numbers import get_currency_symbol

    return get_currency_symbol(currency, locale="en") if currency else ""
