"""Money off that coupons took from purchases which would have come anyway."""

from __future__ import annotations

import numpy as np
import pandas as pd

from crmkit._checks import require_columns

__all__ = ["given_away"]


def given_away(redemptions: pd.DataFrame, offers: pd.DataFrame, scale: float = 1.0) -> pd.DataFrame:
    """The shop's money that went, member by member, to redemptions of purchases that needed no coupon.

    The share of the purchases with a deal that the deal has added is ``scale (p_with_deal - p_purchase) / p_redeem`` of an
    offer, at most 1: ``scale`` is what was measured against the control group (`ResponseScale`). The rest would have been
    bought anyway, and what the shop paid on it is given away.

    Parameters
    ----------
    redemptions : DataFrame
        ``match_redemptions(…).matched``: campaign, customer_id, deal_id, amount.
    offers : DataFrame
        campaign, customer_id, deal_id, p_purchase, p_with_deal, p_redeem, funder_share.
    scale : float
        Response measured, as a multiple of the one planned with.

    Returns
    -------
    DataFrame
        customer_id, redeemed (money off), paid (the shop's part of it), given_away (of that, on purchases that would have come
        anyway); ordered by customer_id.

    Examples
    --------
    >>> keys = {"campaign": ["1"], "customer_id": ["a"], "deal_id": ["D1"]}
    >>> offers = pd.DataFrame(keys | {"p_purchase": [0.5], "p_with_deal": [0.55], "p_redeem": [0.2], "funder_share": [0.5]})
    >>> given_away(pd.DataFrame(keys | {"amount": [2.0]}), offers)
      customer_id  redeemed  paid  given_away
    0           a       2.0   1.0        0.75
    """
    keys = ["campaign", "customer_id", "deal_id"]
    require_columns(redemptions, [*keys, "amount"], "redemptions")
    require_columns(offers, [*keys, "p_purchase", "p_with_deal", "p_redeem", "funder_share"], "offers")
    known = offers.drop_duplicates(keys)[[*keys, "p_purchase", "p_with_deal", "p_redeem", "funder_share"]]
    table = redemptions[[*keys, "amount"]].merge(known, on=keys, how="left")
    added, p = (scale * (table["p_with_deal"] - table["p_purchase"])).astype(float), table["p_redeem"].astype(float)
    share = np.divide(added, p, out=np.zeros(len(table)), where=p.to_numpy() > 0).clip(0, 1)
    paid = table["amount"].astype(float) * (1 - table["funder_share"].fillna(0).astype(float))
    found = pd.DataFrame(
        {
            "customer_id": table["customer_id"],
            "redeemed": table["amount"].astype(float),
            "paid": paid,
            "given_away": paid * (1 - share),
        }
    )
    return found.groupby("customer_id", as_index=False).sum()
