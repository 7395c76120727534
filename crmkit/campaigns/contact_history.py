"""The last campaign, measured before the next one is planned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Self

import pandas as pd

from crmkit.campaigns.effect import CampaignEffect, campaign_effect
from crmkit.campaigns.response import MeasuredResponse, measure_response
from crmkit.exceptions import ContractError
from crmkit.offers.deals import Deals
from crmkit.summaries.items import item_bought
from crmkit.summaries.snapshots import snapshots
from crmkit.transactions.log import Transactions

__all__ = ["CAMPAIGN_TABLES", "LastCampaign", "spend_around"]

CAMPAIGN_TABLES = ("repurchases", "offers", "planned", "control", "deals")


@dataclass(frozen=True)
class LastCampaign:
    """A published run's offers, compared with what was bought during their days; prints as sentences.

    Attributes
    ----------
    day : date
        The day before the campaign's first.
    horizon : int
        Its days.
    effect : CampaignEffect
        Spend per member, adjusted for that of as many days before.
    response : MeasuredResponse, optional
        What deals do to the odds of a purchase.
    unmeasured : str
        Why the response could not be measured.
    """

    day: date
    horizon: int
    effect: CampaignEffect
    response: MeasuredResponse | None
    unmeasured: str

    @classmethod
    def of(cls, tables: Mapping[str, pd.DataFrame], log: Transactions, prior: float) -> Self | None:
        """Measure an earlier run from its tables repurchases, offers, planned, control and deals; None where it planned nothing, held no one back, or its days are not over.

        ``prior`` is the odds ratio that was assumed.
        """
        if not set(CAMPAIGN_TABLES) <= set(tables):
            return None
        due, offers, planned, control, deals = (tables[name] for name in CAMPAIGN_TABLES)
        if not len(offers) or min(len(planned), len(control)) < 2:
            return None
        day, horizon, item = due["as_of"].iloc[0].date(), int(due["horizon"].iloc[0]), str(due.columns[1])
        if day + timedelta(days=horizon) > log.until:
            return None
        spend, before = spend_around(log, day, horizon)
        bought = item_bought(log, item, day, horizon).rename(columns={"item": item})
        effect = campaign_effect(spend, planned, control, before)
        groups: dict[str, Any] = {"offers": offers, "planned": planned, "control": control}
        try:
            return cls(day, horizon, effect, measure_response(due, bought, Deals(deals), **groups, prior=prior), "")
        except ContractError as error:
            return cls(day, horizon, effect, None, str(error))

    def for_deals(self, deals: Deals) -> Deals:
        """The next deals, with what was measured as their response."""
        return deals if self.response is None else self.response.for_deals(deals)

    def __str__(self) -> str:
        response = self.response or f"The response to deals remains the assumed one: {self.unmeasured}"
        return f"The {self.horizon} days after {self.day:%d %B %Y}. {self.effect} {response}"


def spend_around(log: Transactions, day: date, horizon: int) -> tuple[pd.Series, pd.Series]:
    """Spend by customer in the ``horizon`` days after ``day``, and in as many up to it."""
    with snapshots(log) as shop:
        first = shop.day(day)
        after, before = (
            shop.window(start, start + horizon).set_index("customer_id")["spend"] for start in (first, first - horizon)
        )
    return after, before
