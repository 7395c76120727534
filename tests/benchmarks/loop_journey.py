"""The loop over a real year: ``python tests/benchmarks/loop_journey.py FOLDER --households 600 --fortnights 22``.

FOLDER holds the Complete Journey as Parquet. Its coupons are the deals (for a maker's goods in the category that most of
the coupon's products are in, a quarter off, paid by the maker), on the days of their campaigns. Every fortnight ``ck.run``
plans lists, they are marked as sent, and the coupons that were redeemed in that year come back as redemptions. A redemption
counts where a list offered the coupon; whether the chance of it was foreseen is judged by offers to households that had been
given the coupon then, on the days of the list. In campaigns of type A a household got some of the coupons only, and which
ones is not known, so these are judged apart.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

import crmkit as ck
from crmkit.pipeline.cli import app

DAYS, SLOTS, FIRST = 14, 8, date(2017, 2, 27)


def deals_of(data: Path, products: pd.DataFrame, prices: pd.Series) -> pd.DataFrame:
    """A deal for each coupon of each campaign."""
    coupons = pd.read_parquet(data / "coupons.parquet").merge(products, on="product_id").dropna(subset=["category"])
    goods = coupons.groupby(["campaign_id", "coupon_upc", "category", "brand"]).size().rename("n").reset_index()
    main = goods.sort_values("n", kind="stable").drop_duplicates(["campaign_id", "coupon_upc"], keep="last")
    price = coupons.assign(price=coupons["product_id"].map(prices)).groupby(["category", "brand"])["price"].mean()
    days = pd.read_parquet(data / "campaign_descriptions.parquet")
    table = main.merge(days, on="campaign_id").join(price, on=["category", "brand"]).dropna(subset=["price"])
    value = (0.25 * table["price"]).round(2).clip(lower=0.1)
    return pd.DataFrame(
        {
            "deal_id": table["campaign_id"].astype(str) + "-" + table["coupon_upc"].astype(str), "title": "a quarter off",
            "category": table["category"], "brand": table["brand"], "funder": "maker " + table["brand"], "funder_share": 1,
            "value": value, "price": table["price"].round(2), "budget": (value * 20).round(2),
            "starts": table["start_date"].dt.date, "ends": table["end_date"].dt.date,
        }
    )  # fmt: skip


def deliver(data: Path, home: Path, n_households: int) -> pd.DataFrame:
    """Write the year of some households as a delivery; returns who was given which coupon, and whether it was redeemed."""
    products = pd.read_parquet(data / "products.parquet").rename(columns={"product_category": "category"})
    products = products.assign(brand="M" + products["manufacturer_id"].astype(str))[["product_id", "category", "brand"]]
    lines = pd.read_parquet(data / "transactions.parquet")
    given = pd.read_parquet(data / "campaigns.parquet")
    frequent = given.groupby("household_id").size().sort_values(ascending=False, kind="stable").index[:n_households]
    lines = lines[lines["household_id"].isin(frequent) & (lines["quantity"] > 0) & (lines["sales_value"] > 0)]
    prices = (lines["sales_value"] / lines["quantity"]).groupby(lines["product_id"]).mean()
    lines.to_parquet(home / "lines.parquet", index=False)
    products.to_parquet(home / "products.parquet", index=False)
    deals = deals_of(data, products, prices)
    deals.to_csv(home / "deals.csv", index=False)
    back = pd.read_parquet(data / "coupon_redemptions.parquet")
    back = back.assign(deal_id=back["campaign_id"].astype(str) + "-" + back["coupon_upc"].astype(str))
    back = back.merge(deals[["deal_id", "value"]], on="deal_id", how="left")
    table = back[["household_id", "deal_id", "redemption_date", "value"]].fillna({"value": 0.0})
    table.columns = pd.Index(["customer_id", "deal_id", "redeemed_at", "amount"])
    table.to_csv(home / "redemptions.csv", index=False)
    had = given[given["household_id"].isin(frequent)].astype(str)
    kinds = pd.read_parquet(data / "campaign_descriptions.parquet").set_index("campaign_id")["campaign_type"]
    return had.assign(kind=had["campaign_id"].astype(int).map(kinds))


def judged(offers: pd.DataFrame, given: pd.DataFrame, redeemed: pd.DataFrame) -> pd.DataFrame:
    """Offers to households that had been given the coupon: expected and real redemptions, by type of campaign."""
    offers = offers.assign(campaign_id=offers["deal_id"].str.partition("-")[0])
    had = offers.merge(given.rename(columns={"household_id": "customer_id"}), on=["customer_id", "campaign_id"])
    keys = ["campaign", "customer_id", "deal_id"]
    real = pd.MultiIndex.from_frame(had[keys]).isin(pd.MultiIndex.from_frame(redeemed[keys]))
    table = had.assign(real=real, kind=np.where(had["kind"] == "Type A", "A", "B and C")).groupby("kind")
    found = table.agg(offers=("real", "size"), expected=("p_redeem", "sum"), redeemed=("real", "sum"))
    return found.assign(ratio=found["expected"] / found["redeemed"])


def reconciled(done: ck.RunResult) -> pd.DataFrame:
    """What became of every redemption of the year, in rows and money; the last row is what was delivered."""
    read, unmatched = done.manifest["redemptions_read"], done.tables["unmatched_redemptions"]
    rows = [("matched to an offer", read["matched"], float(read["amount_matched"]))]
    rows += [(reason, len(those), those["amount"].sum()) for reason, those in unmatched.groupby("reason")]
    assert sum(n for _, n, _ in rows) == read["rows"]
    return pd.DataFrame(
        [*rows, ("delivered", read["rows"], float(read["amount"]))], columns=["redemptions", "rows", "amount"]
    )


def main() -> None:
    """Print what the lists held, fortnight by fortnight and in all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--households", type=int, default=600)
    parser.add_argument("--fortnights", type=int, default=22)
    parser.add_argument("--refit", type=int, default=84)
    options = parser.parse_args()
    warnings.simplefilter("ignore", ck.CrmkitWarning)
    home = Path(tempfile.mkdtemp())
    given, out = deliver(options.data, home, options.households), home / "out"
    config = {
        "until": "2017-12-31", "products": {"files": "products.parquet"}, "deals": {"files": "deals.csv"},
        "transactions": {
            "files": "lines.parquet", "time_zone": "America/New_York", "recorded_in": "UTC",
            "columns": {"customer_id": "household_id", "purchased_at": "transaction_timestamp", "amount": "sales_value",
                        "order_id": "basket_id"},
        },
        "redemptions": {"files": "redemptions.csv"}, "campaign": {"every": DAYS, "starts": str(FIRST)},
        "repurchase": {"by": "category", "horizon": DAYS, "refit_every": options.refit,
                       "exclude": ["COUPON/MISC ITEMS", "FUEL", "MISC. TRANS.", "MISCELLANEOUS"]},
        "offers": {"slots": SLOTS}, "backtests": {"max_age": 400}, "value": {"refit_every": 182},
        "churn": {"refit_every": 182}, "thresholds": {"vanished_categories": {"warn": None}},
    }  # fmt: skip
    rows, parts = [], []
    for fortnight in range(options.fortnights):
        first, began = FIRST + timedelta(days=fortnight * DAYS), time.perf_counter()
        done = ck.run(config, out, home=home, as_of=first - timedelta(days=1))
        if "offers" not in done.tables:
            continue
        offers, needs = done.tables["offers"], done.tables["repurchases"]
        stdout, sys.stdout = sys.stdout, sys.stderr
        app(["sent", str(first), "--out", str(out)], standalone_mode=False)
        sys.stdout = stdout
        due = needs.merge(offers, left_on=["customer_id", "category"], right_on=["customer_id", "item"])
        rows.append(
            {
                "first day": first, "offers": len(offers), "members": offers["customer_id"].nunique(),
                "beside a need": (due["p_purchase_x"] >= 0.3).mean(), "trials": offers["is_trial"].mean(),
                "expected": offers["p_redeem"].sum(), "seconds": time.perf_counter() - began,
            }
        )  # fmt: skip
        parts.append(offers)
    last = FIRST + timedelta(days=options.fortnights * DAYS - 1)
    end = ck.run(config, out, home=home, as_of=min(last, date(2017, 12, 31)))
    redeemed = end.tables["redemptions"]
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda x: f"{x:,.3f}"))
    print(reconciled(end).to_string(index=False))
    print(judged(pd.concat(parts), given, redeemed).to_string(float_format=lambda x: f"{x:,.3f}"))


if __name__ == "__main__":
    main()
