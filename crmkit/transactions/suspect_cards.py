"""Cards that look like no member's: a till's own, a cashier's, a card for tests."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from crmkit.engine.choose import engine_for
from crmkit.transactions.log import Transactions

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["suspect_cards"]

_MEMBERS = 30


def suspect_cards(
    log: Transactions, as_of: str | date | None = None, receipts: int = 20, stores: int = 3, share: float = 0.1
) -> pd.DataFrame:
    """Cards with more receipts, or in more stores, on one day than a member has; or with a share of all that no member has.

    They are listed, not taken out: what is known of a card must not change its past. Give the ids of non-members to
    ``Transactions.split_extract(…, non_members=[…])``.

    Parameters
    ----------
    log : Transactions
        With order_id, and store where it is delivered.
    as_of : date, optional
    receipts, stores : int
        More than so many on one day is suspect.
    share : float
        So is more than this share of all receipts, or of all money, where there are 30 members or more.

    Returns
    -------
    DataFrame
        customer_id, most_receipts and most_stores on one day, n_days on which the card was used; share_of_receipts
        (of days, where no receipts are numbered) and share_of_money, of all members'.

    Examples
    --------
    >>> import pandas as pd
    >>> till = pd.DataFrame({"customer_id": ["till 4"] * 25 + ["a"], "purchased_at": "2017-01-01", "amount": 1.0,
    ...                      "order_id": range(26)})
    >>> suspects = suspect_cards(Transactions.from_extract(till, until="2017-01-31"))
    >>> suspects[["customer_id", "most_receipts", "share_of_money"]].round(2)
      customer_id  most_receipts  share_of_money
    0      till 4             25            0.96
    """
    with engine_for(log) as engine:
        values = {
            "as_of": log.close_of(as_of),
            "receipts": receipts,
            "stores": stores,
            "share": share,
            "members": _MEMBERS,
        }
        return engine.summary("transactions/suspect_cards", values, lines=engine.parquet(log.lines))
