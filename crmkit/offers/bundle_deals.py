"""What is bought together as deals: money off an item when the other is bought too, planned under the same budgets."""

from __future__ import annotations

from datetime import date

import pandas as pd

from crmkit._checks import require_columns
from crmkit.exceptions import ConfigError
from crmkit.offers.deals import Deals

__all__ = ["bundle_deals"]


def bundle_deals(
    bundles: pd.DataFrame,
    *,
    value: float,
    budget: float,
    starts: str | date,
    ends: str | date,
    funder: str = "Shop",
    funder_share: float = 0.0,
    most: int = 10,
    sure: float = 0.01,
) -> Deals:
    """Deals of the pairs of categories that are surest to be bought together; `OfferPlan` has their expected gain.

    Parameters
    ----------
    bundles : DataFrame
        Pairs, from `bought_together`; those that did not hold in later baskets, where these were looked at, give no deal.
    value : float
        Money off the rarer of the two when the other is bought too.
    budget : float
        Face value that may be redeemed of each deal.
    starts, ends : date
    funder, funder_share : str, float
        Who pays, and which part.
    most : int
        Deals at most, of the highest leverage; an item is in one of them.
    sure : float
        Share of false discoveries up to which a pair counts.

    Returns
    -------
    Deals

    Raises
    ------
    ContractError
        ``bundles`` lacks a column.
    ConfigError
        No pair is sure enough.

    Examples
    --------
    >>> pairs = pd.DataFrame({"item_a": ["Lemon"], "item_b": ["Tea"], "lift": [3.0], "leverage": [0.1], "q_value": [0.0]})
    >>> deals = bundle_deals(pairs, value=0.5, budget=100, starts="2018-01-01", ends="2018-01-14")
    >>> deals.frame[["title", "category", "bundle_with"]].to_dict("records")
    [{'title': '0.50 off Lemon with Tea', 'category': 'Lemon', 'bundle_with': 'Tea'}]
    """
    require_columns(bundles, ["item_a", "item_b", "lift", "leverage", "q_value"], "The table of bundles")
    found = bundles[(bundles["q_value"] <= sure) & (bundles["lift"] > 1)]
    if "later_lift" in found:
        found = found[found["later_lift"] > 1]
    chosen, taken = list[tuple[str, str]](), set[str]()
    for a, b in found.sort_values("leverage", ascending=False, kind="stable")[["item_a", "item_b"]].itertuples(
        index=False
    ):
        if len(chosen) < most and not {a, b} & taken:
            chosen.append((a, b))
            taken |= {a, b}
    if not chosen:
        raise ConfigError(f"No pair is bought together beyond chance with at most {sure:.0%} of false discoveries.")
    rows = pd.DataFrame(chosen, columns=["category", "bundle_with"])
    ids = [f"B{place:02d}" for place in range(1, len(chosen) + 1)]
    rows = rows.assign(deal_id=ids, title=[f"{value:.2f} off {a} with {b}" for a, b in chosen], kind="bundle")
    rows = rows.assign(value=value, budget=budget, funder=funder, funder_share=funder_share)
    return Deals.from_extract(rows.assign(starts=str(starts), ends=str(ends)))
