"""The loop over a real year: ``python tests/benchmarks/loop_journey.py FOLDER --households 600 --fortnights 26``.

FOLDER holds the Complete Journey as Parquet. Its coupons are the deals (for a maker's goods in the category that most of
the coupon's products are in, a quarter off, paid by the maker), on the days of their campaigns. Every fortnight ``ck.run``
plans lists. Of these the offers are marked as sent which the household had really been given then (``crmkit sent --file``
with customer_id and deal_id), and the coupons that were redeemed in that year come back as redemptions, so that rates are
learned from coupons that were in a hand. In campaigns of types B and C a household got every coupon. In those of type A it got
16 of about two hundred, and which is not known: these offers are never marked as sent, and are judged apart, what is expected
of them times the share of the coupons that a household had.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from contextlib import redirect_stdout
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from loop import planning_stages

import crmkit as ck
from crmkit.pipeline.cli import app

DAYS, SLOTS, FIRST, OF_TYPE_A = 14, 8, date(2017, 1, 2), 16


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


def with_truth(offers: pd.DataFrame, given: pd.DataFrame, deals: pd.DataFrame, home: Path) -> pd.DataFrame:
    """Offers with the kind of their campaign where the household had been given it, and whether the coupon was then redeemed
    on the days of the list."""
    campaign_id = offers["deal_id"].str.partition("-")[0]
    had = given.rename(columns={"household_id": "customer_id"})
    table = offers.assign(campaign_id=campaign_id).merge(had, how="left", on=["customer_id", "campaign_id"])
    back = pd.read_csv(
        home / "redemptions.csv", dtype={"customer_id": str, "deal_id": str}, parse_dates=["redeemed_at"]
    )
    used = table.reset_index()[["index", "customer_id", "deal_id", "first"]].merge(back, on=["customer_id", "deal_id"])
    within = (used["redeemed_at"] >= used["first"]) & (used["redeemed_at"] < used["first"] + pd.Timedelta(days=DAYS))
    n_coupons = deals["deal_id"].str.partition("-")[0].value_counts()
    in_hand = (OF_TYPE_A / table["campaign_id"].map(n_coupons)).clip(upper=1)
    return table.assign(
        real=table.index.isin(used.loc[within, "index"]), in_hand=in_hand.where(table["kind"] == "Type A", 1.0)
    )


def judged(offers: pd.DataFrame) -> pd.DataFrame:
    """Offers to households that had been given the campaign: expected and real redemptions, by type and half of the year."""
    had = offers.dropna(subset=["kind"]).assign(
        type=lambda t: np.where(t["kind"] == "Type A", "A", "B and C"), expected=lambda t: t["p_redeem"] * t["in_hand"],
        half=lambda t: np.where(t["first"] < "2017-07-03", "first", "second"),
    )  # fmt: skip
    groups = [had.groupby("type"), had.groupby(["type", "half"])]
    tables = [
        one.agg(offers=("real", "size"), expected=("expected", "sum"), redeemed=("real", "sum")) for one in groups
    ]
    found = pd.concat([table.reset_index() for table in tables]).fillna({"half": "both"}).sort_values(["type", "half"])
    return found.assign(ratio=found["expected"] / found["redeemed"])[
        ["type", "half", "offers", "expected", "redeemed", "ratio"]
    ]


def never_bought(offers: pd.DataFrame, home: Path) -> pd.Series:
    """Offers of a maker's goods in a category in which the household had bought none of them before the list."""
    products = pd.read_parquet(home / "products.parquet")
    lines = pd.read_parquet(home / "lines.parquet", columns=["household_id", "product_id", "transaction_timestamp"])
    goods = lines.merge(products, on="product_id").astype({"household_id": str})
    first = (
        goods.groupby(["household_id", "category", "brand"])["transaction_timestamp"]
        .min()
        .rename("since")
        .reset_index()
    )
    keys = {"household_id": "customer_id", "category": "item"}
    table = offers.merge(first.rename(columns=keys), how="left", on=["customer_id", "item", "brand"])
    return ~(table["since"].dt.tz_localize(None) < table["first"] + pd.Timedelta(hours=12))


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
    parser.add_argument("--fortnights", type=int, default=26)
    parser.add_argument("--first", type=date.fromisoformat, default=FIRST, help="first day of the first list")
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
        "redemptions": {"files": "redemptions.csv"}, "campaign": {"every": DAYS, "starts": str(options.first)},
        "repurchase": {"by": "category", "horizon": DAYS, "refit_every": options.refit,
                       "exclude": ["COUPON/MISC ITEMS", "FUEL", "MISC. TRANS.", "MISCELLANEOUS"]},
        "offers": {"slots": SLOTS}, "backtests": {"max_age": 400}, "value": {"model": "BG/NBD", "refit_every": 182},
        "churn": {"refit_every": 182}, "thresholds": {"vanished_categories": {"warn": None}},
    }  # fmt: skip
    deals = pd.read_csv(home / "deals.csv", dtype={"deal_id": str, "brand": str})
    stages = planning_stages()
    rows, parts = [], []
    for fortnight in range(options.fortnights):
        first = options.first + timedelta(days=fortnight * DAYS)
        began, worked = time.perf_counter(), time.process_time()
        try:
            done = ck.run(config, out, home=home, as_of=first - timedelta(days=1), stages=stages)
        except ck.CrmkitError as fault:
            print(f"{first}: {str(fault)[:200]}", file=sys.stderr)
            continue
        row = {"first day": first, "seconds": time.perf_counter() - began, "processor": time.process_time() - worked}
        print(row, file=sys.stderr, flush=True)
        offers = done.tables.get("offers", pd.DataFrame())
        if not len(offers):
            rows.append(row | {"offers": 0})
            continue
        offers = offers.merge(deals[["deal_id", "brand"]], on="deal_id").assign(first=pd.Timestamp(first))
        offers = with_truth(offers, given, deals, home).assign(never=never_bought(offers, home).to_numpy())
        sent = offers.loc[offers["kind"].isin(["Type B", "Type C"]), ["customer_id", "deal_id"]]
        sent.to_csv(home / "mailed.csv", index=False)
        with redirect_stdout(sys.stderr):
            app(["sent", str(first), "--file", str(home / "mailed.csv"), "--out", str(out)], standalone_mode=False)
        rows.append(
            row | {
                "offers": len(offers), "members": offers["customer_id"].nunique(), "beside a need": offers["need"].mean(),
                "never bought": offers["never"].mean(), "of them trials": offers.loc[offers["never"], "is_trial"].mean(),
                "sent": len(sent), "expected of sent": offers.loc[sent.index, "p_redeem"].sum(),
                "redeemed of sent": int(offers.loc[sent.index, "real"].sum()),
            }
        )  # fmt: skip
        parts.append(offers)
    last = options.first + timedelta(days=options.fortnights * DAYS - 1)
    end = ck.run(config, out, home=home, as_of=min(last, date(2017, 12, 31)), stages=stages)
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda x: f"{x:,.3f}"))
    print(reconciled(end).to_string(index=False))
    spent = end.tables["redemptions"].groupby("deal_id")["amount"].sum()
    over = spent > deals.set_index("deal_id")["budget"].reindex(spent.index) + 0.005
    whole = pd.concat(parts)
    print(f"budgets overrun: {int(over.sum())} of {whole['deal_id'].nunique()} deals offered")
    print(f"beside a need {whole['need'].mean():.3f}; never bought {whole['never'].mean():.3f}, of them trials "
          f"{whole.loc[whole['never'], 'is_trial'].mean():.3f}")  # fmt: skip
    print(judged(whole).to_string(index=False, float_format=lambda x: f"{x:,.3f}"))


if __name__ == "__main__":
    main()
