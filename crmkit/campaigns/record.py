"""The record of campaigns: planned, sent, measured; and what they leave of the deals' budgets."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING, Any

import pandas as pd

from crmkit._checks import require_columns
from crmkit.exceptions import ContractError
from crmkit.offers.deals import Deals

if TYPE_CHECKING:
    from crmkit._types import Ids

__all__ = ["COLUMNS", "budgets_left", "campaign_table", "mark_measured", "mark_sent", "no_campaigns", "record_plan"]

PLANNED, SENT, MEASURED = STATES = ("planned", "sent", "measured")

COLUMNS = {
    "campaign": "str",
    "first_day": "datetime64[us]",
    "last_day": "datetime64[us]",
    "state": "str",
    "offers": "int64",
    "members": "int64",
    "expected_gain": "float64",
    "expected_cost": "float64",
    "expected_redemptions": "float64",
    "redemptions": "float64",
    "redeemed": "float64",
}
"""Columns of the record: expected_cost is the money that redemptions are expected to take off, expected_redemptions their
number (missing where the offers do not say p_redeem); redemptions and redeemed (their number and money) are missing until
the campaign is measured."""


def no_campaigns() -> pd.DataFrame:
    """A record without campaigns."""
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMNS.items()})


def record_plan(
    record: pd.DataFrame, campaign: str, first_day: date, last_day: date, offers: pd.DataFrame
) -> pd.DataFrame:
    """The record with one more campaign, planned and not sent.

    Parameters
    ----------
    record : DataFrame
        `no_campaigns`, or what these functions returned earlier.
    campaign : str
        Its name, which is also the key of its control group.
    first_day, last_day : date
        Days on which its offers can be redeemed.
    offers : DataFrame
        As in ``OfferResult.offers``.

    Raises
    ------
    ContractError
        There is a campaign of this name, or a column is missing.

    Examples
    --------
    >>> offers = pd.DataFrame({"customer_id": ["a"], "deal_id": ["D1"], "expected_gain": [0.5], "expected_cost": [0.1]})
    >>> record = record_plan(no_campaigns(), "2018-01", date(2018, 1, 1), date(2018, 1, 14), offers)
    >>> record, _ = mark_sent(record, "2018-01", offers)
    >>> record[["campaign", "state", "offers"]]
      campaign state  offers
    0  2018-01  sent       1
    """
    require_columns(offers, ["customer_id", "deal_id", "expected_gain", "expected_cost"], "offers")
    if (record["campaign"] == campaign).any():
        raise ContractError(f"There is a campaign {campaign!r} already. Give the new one another name.")
    if last_day < first_day:
        raise ContractError(f"The last day of campaign {campaign!r} ({last_day}) is before its first ({first_day}).")
    row = {
        "campaign": campaign, "first_day": pd.Timestamp(first_day), "last_day": pd.Timestamp(last_day), "state": PLANNED,
        "redemptions": float("nan"), "redeemed": float("nan"), **_expected(offers),
    }  # fmt: skip
    return pd.concat([record, pd.DataFrame([row])[list(COLUMNS)].astype(COLUMNS)], ignore_index=True)


def mark_sent(
    record: pd.DataFrame, campaign: str, offers: pd.DataFrame, mailed: Ids | pd.DataFrame | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The record with this campaign sent, and the offers that were.

    Parameters
    ----------
    record : DataFrame
    campaign : str
    offers : DataFrame
        The campaign's planned offers.
    mailed : sequence of ids or DataFrame, optional
        Members who really got their list; all of them otherwise. Whoever is not among them was not offered anything. Of a
        DataFrame the customer_id, and where it has a deal_id, only these offers.

    Raises
    ------
    ContractError
        There is no such campaign, it was sent before, or someone was mailed for whom nothing was planned.
    """
    place = _place(record, campaign)
    state: Any = record.at[place, "state"]
    if state != PLANNED:
        raise ContractError(f"Campaign {campaign!r} is {state} already; a campaign is sent once.")
    sent = offers if mailed is None else _really_sent(offers, mailed, campaign)
    changed = record.copy()
    for name, value in ({"state": SENT} | _expected(sent)).items():
        changed.at[place, name] = value
    return changed, sent


def _really_sent(offers: pd.DataFrame, mailed: Ids | pd.DataFrame, campaign: str) -> pd.DataFrame:
    """The offers of these members, or these offers alone."""
    table = mailed if isinstance(mailed, pd.DataFrame) else pd.DataFrame({"customer_id": pd.Index(mailed)})
    by_deal = "deal_id" in table
    keys = ["customer_id", "deal_id"] if by_deal else ["customer_id"]
    given, made = (pd.MultiIndex.from_frame(one[keys].drop_duplicates()) for one in (table, offers))
    if unknown := int((~given.isin(made)).sum()):
        what = "mailed offers are none" if by_deal else "mailed members have no offer"
        raise ContractError(
            f"{unknown:,} of {len(given):,} {what} in campaign {campaign!r}. Is it the file of another?"
        )
    return offers[pd.MultiIndex.from_frame(offers[keys]).isin(given)].reset_index(drop=True)


def mark_measured(record: pd.DataFrame, campaign: str, matched: pd.DataFrame) -> pd.DataFrame:
    """The record with the redemptions of a sent campaign.

    Parameters
    ----------
    record : DataFrame
    campaign : str
    matched : DataFrame
        ``match_redemptions(…).matched`` with the column campaign; those of other campaigns are not counted.

    Raises
    ------
    ContractError
        There is no such campaign, or it was not sent.
    """
    place = _place(record, campaign)
    if record.at[place, "state"] == PLANNED:
        raise ContractError(f"Campaign {campaign!r} was planned but not sent: mark it as sent first.")
    require_columns(matched, ["campaign", "amount"], "matched")
    own = matched[matched["campaign"] == campaign]
    changed = record.copy()
    found: dict[str, Any] = {"state": MEASURED, "redemptions": float(len(own)), "redeemed": float(own["amount"].sum())}
    for name, value in found.items():
        changed.at[place, name] = value
    return changed


def campaign_table(
    campaigns: Iterable[tuple[str, date, date, bool, pd.DataFrame]], redemptions: pd.DataFrame | None, as_of: date
) -> pd.DataFrame:
    """The record of campaigns as it stands at the close of ``as_of``.

    Parameters
    ----------
    campaigns : sequence of (name, first day, last day, whether it was sent, offers)
    redemptions : DataFrame, optional
        ``match_redemptions(…).matched``; without it nothing is known of redemptions.
    as_of : date

    Returns
    -------
    DataFrame
        One row per campaign; measured are those that were sent and whose days are over, redemptions being delivered.
    """
    record = no_campaigns()
    for name, first, last, sent, offers in campaigns:
        record = record_plan(record, name, first, last, offers)
        if sent:
            record, _ = mark_sent(record, name, offers)
            if redemptions is not None and last <= as_of:
                record = mark_measured(record, name, redemptions)
    return record


def budgets_left(deals: Deals, matched: pd.DataFrame, outstanding: pd.DataFrame) -> Deals:
    """The deals with what earlier campaigns leave of their budgets.

    Parameters
    ----------
    deals : Deals
    matched : DataFrame
        deal_id, amount: redemptions so far.
    outstanding : DataFrame
        deal_id, expected_cost: offers sent that can still be redeemed, without those that were.

    Returns
    -------
    Deals
        With budgets not below 0.

    Examples
    --------
    >>> deals = Deals.from_extract(pd.DataFrame({
    ...     "deal_id": ["D1"], "title": ["0.50 off"], "category": ["Milk"], "funder": ["Dairy"], "value": [0.5],
    ...     "budget": [10], "starts": ["2018-01-01"], "ends": ["2018-01-31"]}))
    >>> redeemed = pd.DataFrame({"deal_id": ["D1"] * 4, "amount": 0.5})
    >>> budgets_left(deals, redeemed, pd.DataFrame({"deal_id": ["D1"], "expected_cost": [1.5]})).frame["budget"].tolist()
    [6.5]
    """
    require_columns(matched, ["deal_id", "amount"], "matched")
    require_columns(outstanding, ["deal_id", "expected_cost"], "outstanding")
    taken = matched.groupby("deal_id")["amount"].sum().add(
        outstanding.groupby("deal_id")["expected_cost"].sum(), fill_value=0.0
    )  # fmt: skip
    frame = deals.frame
    left = frame["budget"].astype(float) - frame["deal_id"].map(taken).fillna(0.0).astype(float)
    return Deals(frame.assign(budget=left.clip(lower=0.0)))


def _expected(offers: pd.DataFrame) -> dict[str, float]:
    return {
        "offers": len(offers), "members": int(offers["customer_id"].nunique()),
        "expected_gain": float(offers["expected_gain"].sum()), "expected_cost": float(offers["expected_cost"].sum()),
        "expected_redemptions": float(offers["p_redeem"].sum()) if "p_redeem" in offers else float("nan"),
    }  # fmt: skip


def _place(record: pd.DataFrame, campaign: str) -> int:
    found = record.index[record["campaign"] == campaign]
    if not len(found):
        there = record["campaign"].tolist()[-5:]
        known = f". The newest are {there}." if there else ": none was planned yet."
        raise ContractError(f"There is no campaign {campaign!r}{known}")
    return int(found[0])
