"""What the last campaign achieved."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from crmkit.campaigns.contact_history import LastCampaign
from crmkit.reports.block import Block, Table

__all__ = ["campaign"]


def campaign(
    measured: LastCampaign,
    more: Sequence[str] = (),
    effects: pd.DataFrame | None = None,
    groups: pd.DataFrame | None = None,
    *,
    currency: str = "",
) -> Block:
    """The effect of the newest campaign whose days are over, against its control group, and of all campaigns together."""
    tables = {"Every campaign": effects, "By deal, funder and tier": groups}
    effect, response = measured.effect, measured.response
    found = f"brought {effect.effect:+,.4g} per member" if effect.seen else "had no measurable effect"
    return Block(
        "Last campaign",
        f"The campaign of the {measured.horizon} days after {measured.day:%d %B %Y} {found}",
        " ".join([str(effect), str(response or measured.unmeasured), *more]),
        table=None if response is None else Table(response.groups),
        more=tuple(Table(table, title) for title, table in tables.items() if table is not None),
    )
