"""Whose each card is, and what that makes of customers."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pandas as pd

from crmkit.engine.frames import to_pandas
from crmkit.ingest.extracts import Extract
from crmkit.pipeline.notes import note
from crmkit.pipeline.stage import stage
from crmkit.reports.blocks.identity import card_share as card_block
from crmkit.reports.blocks.identity import identity as identity_block
from crmkit.summaries.card_share import card_share
from crmkit.transactions.erasure import Tombstones
from crmkit.transactions.identities import Identities
from crmkit.transactions.levels import Level, level_totals, near_identical
from crmkit.transactions.log import Transactions

if TYPE_CHECKING:
    from crmkit.pipeline.table_sources import CardSource, MergeSource


@stage("stated_cards", "rejected_cards")
def read_cards(cards_files: Extract, forgotten: Tombstones | None = None, *, cards: CardSource) -> dict[str, object]:
    """Whose each card is said to be."""
    found, rejected = Identities.split_extract(cards_files, **cards.columns)
    _tell(rejected, "cards")
    return {"stated_cards": _without(found.cards, forgotten, "card", "member"), "rejected_cards": rejected}


@stage("merges", "rejected_merges")
def read_merges(
    merges_files: Extract, forgotten: Tombstones | None = None, *, merges: MergeSource
) -> dict[str, object]:
    """Members who turned out to be one."""
    found, rejected = Identities().with_merges(merges_files, **merges.columns)
    _tell(rejected, "merges")
    return {"merges": _without(found.merges, forgotten, "member", "merged_into"), "rejected_merges": rejected}


def _tell(rejected: pd.DataFrame, what: str) -> None:
    if len(rejected):
        first = rejected.iloc[0]
        where = f"{first['file']} line {first['line']}: {first['reason']}. {first['advice']}"
        note(f"{len(rejected):,} rows of {what} are invalid (rejected_{what}.parquet); the first: {where}")


@stage("identity")
def identify(
    as_of: date,
    members: pd.DataFrame | None = None,
    stated_cards: pd.DataFrame | None = None,
    merges: pd.DataFrame | None = None,
    forgotten: Tombstones | None = None,
) -> dict[str, object]:
    """Card, member and unit of each card on the run date."""
    units = to_pandas(members)[["customer_id", "unit"]] if members is not None and "unit" in members.columns else None
    given = {"cards": stated_cards, "merges": merges}
    stated = {name: table for name, table in given.items() if table is not None}
    if units is None and not stated:
        return {}
    identities = Identities(**stated)
    if units is not None:
        identities = Identities.of_members(units, identities)
    table = identities.table(as_of)
    return {"identity": _without(table, forgotten, "card", "member")}


def _without(table: pd.DataFrame, forgotten: Tombstones | None, *columns: str) -> pd.DataFrame:
    return table if forgotten is None else forgotten.without(table, *columns)


@stage("level_totals", "near_identical", "identity_block")
def tell_identity(
    delivery: Transactions,
    identity: pd.DataFrame,
    as_of: date,
    merges: pd.DataFrame | None = None,
    *,
    level: Level,
    currency: str,
) -> dict[str, object]:
    """The same purchases by card, member and unit, and numbers that are nearly the same."""
    log = delivery.up_to(as_of)
    totals, alike = level_totals(log, identity), near_identical(log)
    if len(alike):
        groups = alike["same_as"].nunique()
        note(
            f"{len(alike):,} cards are written nearly alike, in {groups:,} groups (near_identical.parquet). None was merged: "
            "state those that are one member under [cards] or [merges]."
        )
    told = identity_block(identity, totals, level, merges, currency=currency)
    return {"level_totals": totals, "near_identical": alike, "identity_block": told}


@stage("card_share", "card_share_by_place", "card_block")
def share_with_card(log: Transactions, *, currency: str) -> dict[str, object]:
    """Share of sales with a member's card, over time, by store and hour."""
    months = card_share(log)
    if not len(months) or (months["card_sales"] == months["sales"]).all():
        return {}
    places = card_share(log, by=["store", "hour"], period="all")
    return {
        "card_share": months,
        "card_share_by_place": places,
        "card_block": card_block(months, places, currency=currency),
    }
