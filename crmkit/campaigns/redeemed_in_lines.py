"""Redemptions that no file reports: they are read off the sales lines, where a coupon's discount stands."""

from __future__ import annotations

import numpy as np
import pandas as pd

from crmkit._checks import require_columns
from crmkit._days import day_number
from crmkit.engine.choose import engine_for
from crmkit.engine.frames import to_pandas
from crmkit.offers.shares import NARROWING, matches_deal
from crmkit.transactions.log import Transactions

__all__ = ["redeemed_in_lines"]

_FIRST = pd.Timestamp("1970-01-01")


def redeemed_in_lines(log: Transactions, offers: pd.DataFrame) -> pd.DataFrame:
    """Lines of the log on which an offer was redeemed.

    A line redeems an offer of its member, on the offer's days, where it is of the offer's goods and has a discount, or where its
    product_id is the deal's id or the coupon's code. Where several offers fit, it is the one whose worth is nearest to the
    discount. Other discounts are promotions for everybody, and no redemptions.

    Parameters
    ----------
    log : Transactions
        With category, and discount or coupon lines.
    offers : DataFrame
        customer_id, deal_id, category, starts, ends (days, both inclusive), worth; code where known; brand, product_id
        and brand_type narrow the goods where the lines have them.

    Returns
    -------
    DataFrame
        customer_id, deal_id, code, redeemed_at, amount (the discount), order_id, file and line (where the sales line stands).

    Raises
    ------
    ContractError
        A column of the offers is missing.

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": "a", "purchased_at": ["2018-01-02", "2018-01-03"], "amount": [2.5, 3.0],
    ...                      "discount": [0.5, 0.0], "category": "Tea", "order_id": ["1", "2"]})
    >>> offers = pd.DataFrame({"customer_id": ["a"], "deal_id": ["D1"], "category": ["Tea"], "worth": [0.5],
    ...                        "starts": ["2018-01-01"], "ends": ["2018-01-14"]})
    >>> redeemed_in_lines(Transactions.from_extract(till, until="2018-01-31"), offers)[["deal_id", "amount", "order_id"]]
      deal_id  amount order_id
    0      D1     0.5        1
    """
    require_columns(offers, ["customer_id", "deal_id", "category", "starts", "ends", "worth"], "offers")
    columns = ["customer_id", "deal_id", "code", "redeemed_at", "amount", "order_id", "file", "line"]
    if "category" not in log.items or not len(offers):
        return pd.DataFrame({name: pd.Series(dtype="float64" if name == "amount" else "str") for name in columns})
    narrowing = [name for name in NARROWING if name in log.items and name in offers and offers[name].notna().any()]
    given = offers.assign(
        code=offers["code"] if "code" in offers else pd.Series(pd.NA, index=offers.index, dtype="str")
    )
    days = {name: pd.to_datetime(given[name]).map(lambda day: day_number(day.date())) for name in ("starts", "ends")}
    names = [
        "customer_id",
        "deal_id",
        "code",
        "category",
        "worth",
        *(name for name in narrowing if name != "product_id"),
    ]
    table = given[names + ["product_id"] * ("product_id" in narrowing)].assign(offer=np.arange(len(given)), **days)
    with engine_for(log) as engine:
        found = to_pandas(
            engine.summary(
                "campaigns/redeemed_in_lines",
                {"as_of": log.close_of(None)},
                lines=engine.parquet(log.lines),
                offers=engine.register(table.astype({"worth": float, "code": "str"})),
                matches=" and ".join(matches_deal("l", "o", name) for name in narrowing) or "1 = 1",
            )
        )
    of_offer = given[["deal_id", "code"]].astype("str").iloc[found["offer"].to_numpy()].reset_index(drop=True)
    when = _FIRST + pd.to_timedelta(found["buy_day"].astype("int64"), unit="D")
    return found.assign(**of_offer, redeemed_at=when, line=found["record"].astype("int64"))[columns]
