"""What good and likely members get beside the lists: early notice of specials, a discount for cash."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pandas as pd

from crmkit.campaigns.early_notice import early_notice as notices_of
from crmkit.pipeline.notes import note
from crmkit.pipeline.stage import stage
from crmkit.reports.blocks.members import cash_discount as discount_block
from crmkit.reports.blocks.members import early_notice as notice_block
from crmkit.segments.cash_discount import cash_discount as discount_of

if TYPE_CHECKING:
    from crmkit.pipeline.settings import CashDiscount, EarlyNotice


@stage("early_notices", "early_notice_block", may_fail=True, here=True)
def early_notice(
    repurchases: pd.DataFrame, deals: pd.DataFrame, customers: pd.DataFrame, as_of: date, *, early_notice: EarlyNotice
) -> dict[str, object]:
    """Who is told of a coming special, and who is held back."""
    starts = pd.to_datetime(deals["starts"])
    ahead = (starts > pd.Timestamp(as_of)) & (starts <= pd.Timestamp(as_of + timedelta(days=early_notice.days)))
    specials = deals[ahead & (deals["kind"] == "early notice")]
    if not len(specials):
        note(f"No deal of kind 'early notice' begins within {early_notice.days} days.")
        return {}
    found = notices_of(repurchases, specials, early_notice.capacity, early_notice.control, customers)
    return {"early_notices": found, "early_notice_block": notice_block(found, specials)}


@stage("cash_discount", "cash_discount_steps", "cash_discount_told", "cash_discount_block", here=True)
def cash_discount(customers: pd.DataFrame, *, cash_discount: CashDiscount, currency: str) -> dict[str, object]:
    """Members with a good record who get a discount for cash, and its cost."""
    found = discount_of(customers, cash_discount.conditions, cash_discount.rate, cash_discount.days)
    return {
        "cash_discount": found.members,
        "cash_discount_steps": found.steps,
        "cash_discount_told": {"told": str(found), "cost": round(found.cost, 2)},
        "cash_discount_block": discount_block(found, currency=currency),
    }
