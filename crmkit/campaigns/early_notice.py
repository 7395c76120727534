"""Notice of a coming special to those likeliest to want it, up to a capacity, with some held back."""

from __future__ import annotations

from math import ceil

import pandas as pd

from crmkit._checks import require_columns
from crmkit.exceptions import ConfigError
from crmkit.offers.control_group import control_group

__all__ = ["early_notice"]


def early_notice(
    repurchases: pd.DataFrame,
    specials: pd.DataFrame,
    capacity: int,
    control: float = 0.10,
    customers: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Who is told of each special before it begins, in the order of the probability that they want it.

    Parameters
    ----------
    repurchases : DataFrame
        From ``NextPurchase.predict``: customer_id, the item column, p_purchase.
    specials : DataFrame
        deal_id and the item column.
    capacity : int
        Notices of one special.
    control : float, default 0.10
        Share of the likeliest who are held back, so that what the notice achieves can be measured with `campaign_effect`.
    customers : DataFrame, optional
        Those who may be told: customer_id; of no_contact (anything in it: not told) and open_complaints (any: not told) what there is.

    Returns
    -------
    DataFrame
        deal_id, position, customer_id, p_purchase, group (notice or control). The likeliest capacity / (1 - control) customers of
        each special are drawn from; ties go by customer.

    Examples
    --------
    >>> due = pd.DataFrame({"customer_id": list("abc"), "category": "Coffee", "p_purchase": [0.2, 0.9, 0.5]})
    >>> early_notice(due, pd.DataFrame({"deal_id": ["d1"], "category": ["Coffee"]}), capacity=2, control=0)
      deal_id  position customer_id  p_purchase   group
    0      d1         1           b         0.9  notice
    1      d1         2           c         0.5  notice
    """
    require_columns(repurchases, ["customer_id", "p_purchase"])
    item = str(repurchases.columns[1])
    require_columns(specials, ["deal_id", item], "The table of specials")
    if capacity < 1 or not 0 <= control < 1:
        raise ConfigError(f"capacity={capacity!r}, control={control!r}: at least 1, and from 0 to below 1.")
    wanted = specials[["deal_id", item]].merge(repurchases[["customer_id", item, "p_purchase"]], on=item)
    if customers is not None:
        wanted = wanted[wanted["customer_id"].isin(_reachable(customers))]
    order = wanted.sort_values(["deal_id", "p_purchase", "customer_id"], ascending=[True, False, True])
    drawn = order.groupby("deal_id", sort=False).head(ceil(capacity / (1 - control))).reset_index(drop=True)
    held = [
        control_group(rows["customer_id"], control, f"early notice {deal}").assign(deal_id=deal, group="control")
        for deal, rows in drawn.groupby("deal_id")
    ]
    if held:
        drawn = drawn.merge(pd.concat(held, ignore_index=True), how="left", on=["deal_id", "customer_id"])
    groups = drawn.assign(group=drawn["group"].fillna("notice") if held else "notice")
    groups["position"] = groups.groupby(["deal_id", "group"]).cumcount() + 1
    kept = groups[(groups["group"] == "control") | (groups["position"] <= capacity)]
    return kept[["deal_id", "position", "customer_id", "p_purchase", "group"]].reset_index(drop=True)


def _reachable(customers: pd.DataFrame) -> pd.Series[str]:
    """Customers who may be told."""
    left = pd.Series(False, index=customers.index)
    if "no_contact" in customers:
        left |= customers["no_contact"].notna()
    if "open_complaints" in customers:
        left |= customers["open_complaints"].fillna(0) > 0
    return customers.loc[~left, "customer_id"]
