"""Deals: what is offered, how much off, who pays and on which days."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pandas as pd

from crmkit._days import as_day
from crmkit.ingest.schemas import DEALS
from crmkit.ingest.tables import ContractTable
from crmkit.offers.barcodes import BARCODE_RULES

__all__ = ["Deals"]


class Deals(ContractTable):
    """What members can be offered, one row per deal.

    ==================== ===========================================================================================
    deal_id, title       what it is called
    category             whose buyers it is for; brand or product_id narrow it; brand_type says national or store
    kind                 amount (money off; so it is when missing), percent, points, bundle (money off when
                         ``bundle_with``, another category or product, is bought too), early notice or perk (a service or a treat;
                         both take no money off)
    value                how much, in the unit of its kind; value_light, value_medium, value_heavy where it depends on
                         how much of the category the member uses (never falling)
    brand_group          only for the users of this group (national, store, switcher): with brand_type ``store`` and
                         brand_group ``national`` a deal converts
    funder, funder_share who pays, and which part (0 … 1) of each redeemed deal; the shop pays the rest, all when missing
    budget               the total face value that may be redeemed
    price, margin        of the goods: the price before, the share of it that is earned
    response             odds ratio of buying with the deal, where a campaign has measured it
    limit_per_member     how often a member may have it
    conflicts            deals with the same word here are never on one list
    starts, ends         days, both inclusive
    barcode              EAN-8, UPC-A or EAN-13 with a right check digit; with barcode_type ``code 128`` any plain text,
                         with ``gs1`` element strings, ``(01)09501101530003(10)AB`` say
    ==================== ===========================================================================================

    Examples
    --------
    >>> deals = Deals.from_extract(pd.DataFrame({
    ...     "deal_id": ["D1", "D2"], "title": ["0.50 off milk", "1.00 off tea"], "category": ["Milk", "Tea"],
    ...     "funder": ["Dairy", "Shop"], "funder_share": [1, 0], "value": [0.5, 1], "budget": [100, 50],
    ...     "starts": ["2018-01-01", "2018-02-01"], "ends": ["2018-01-14", "2018-02-14"],
    ...     "barcode": ["4006381333931", None]}))
    >>> deals.active("2018-01-10", "2018-01-24").frame.deal_id.tolist()
    ['D1']
    """

    contract = replace(DEALS, rules=(*DEALS.rules, *BARCODE_RULES))

    def active(self, first_day: str | date, last_day: str | date) -> Deals:
        """The deals that can be redeemed on some day from ``first_day`` to ``last_day``, both inclusive."""
        first, last = pd.Timestamp(as_day(first_day)), pd.Timestamp(as_day(last_day))
        starts, ends = pd.to_datetime(self.frame["starts"]), pd.to_datetime(self.frame["ends"])
        return Deals(self.frame[(starts <= last) & (ends >= first)].reset_index(drop=True))
