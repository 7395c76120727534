"""What the last campaign achieved."""

from __future__ import annotations

from crmkit.campaigns.contact_history import LastCampaign
from crmkit.reports.block import Block, Table

__all__ = ["campaign"]


def campaign(measured: LastCampaign, *, currency: str = "") -> Block:
    """The effect of the newest campaign whose days are over, against its control group."""
    effect, response = measured.effect, measured.response
    found = f"brought {effect.effect:+,.4g} per member" if effect.seen else "had no measurable effect"
    return Block(
        "Last campaign",
        f"The campaign of the {measured.horizon} days after {measured.day:%d %B %Y} {found}",
        f"{effect} {response or measured.unmeasured}",
        table=None if response is None else Table(response.groups),
    )
