"""What the last campaign brought, measured before the next one is planned."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Self

from crmkit.exceptions import ContractError
from crmkit.features import item_bought
from crmkit.offers import CampaignEffect, Deals, MeasuredResponse, campaign_effect, measure_response
from crmkit.panel import snapshots
from crmkit.previous import table_of
from crmkit.transactions import Transactions

__all__ = ["LastCampaign"]

_TABLES = ("repurchases", "offers", "planned", "control", "deals")


@dataclass(frozen=True)
class LastCampaign:
    """A published run's offers, held against what was bought in their days; prints as sentences.

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
        Why there is no response: purchases of the items do not tell those with the deals, say.
    """

    day: date
    horizon: int
    effect: CampaignEffect
    response: MeasuredResponse | None
    unmeasured: str

    @classmethod
    def of(cls, folder: Path, log: Transactions, prior: float) -> Self | None:
        """Measure the run in ``folder``; None where it planned nothing, held nobody back, or its days are not over.

        ``prior`` is the odds ratio that was assumed. A table that is damaged raises `ExtractError`.
        """
        if not all((folder / f"{name}.parquet").is_file() for name in _TABLES):
            return None
        due, offers, planned, control, deals = (table_of(folder, name) for name in _TABLES)
        if not len(offers) or min(len(planned), len(control)) < 2:
            return None
        day, horizon, item = due["as_of"].iloc[0].date(), int(due["horizon"].iloc[0]), str(due.columns[1])
        if day + timedelta(days=horizon) > log.until:
            return None
        with snapshots(log) as shop:
            first = shop.day(day)
            spend, before = (
                shop.window(after, after + horizon).set_index("customer_id")["spend"]
                for after in (first, first - horizon)
            )
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
        response = self.response or f"What deals do to the odds of a purchase stays as assumed: {self.unmeasured}"
        return f"The {self.horizon} days after {self.day:%d %B %Y}. {self.effect} {response}"
