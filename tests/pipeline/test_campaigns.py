"""Campaign after campaign: planned on their days, sent or not, redeemed, and known to the next plan."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from crmkit import Transactions
from crmkit.exceptions import ContractError, NoInputError
from crmkit.pipeline.campaign_folder import CampaignFolder, send
from crmkit.pipeline.cli import app
from crmkit.pipeline.nightly import run
from crmkit.pipeline.run_result import RunResult
from crmkit.pipeline.stage import stage
from crmkit.pipeline.stages.campaigns import (
    match_redeemed,
    measure_campaigns,
    recognise_redemptions,
    record_campaigns,
    redemption_rates,
)
from crmkit.pipeline.stages.offers import plan_offers, remember_offers, share_of_deals, usage_for_deals
from crmkit.pipeline.stages.sources import read_deals, read_redemptions, read_tips

MEMBERS = [f"M{number:02d}" for number in range(40)]
DEALS = """deal_id,title,category,brand,funder,funder_share,value,price,margin,budget,starts,ends
D1,0.50 off,Tea,Assam,Maker,1,0.5,2,0.4,20,2017-01-01,2018-12-31
D2,1.00 off,Milk,Farm,Shop,0,1.0,4,0.4,30,2017-01-01,2018-12-31
"""


@stage("log", "read")
def sales(transactions_files: Any, as_of: date) -> dict[str, Any]:
    log = Transactions.from_extract(transactions_files, until=date(2018, 3, 31))
    return {"log": log.up_to(as_of), "read": {}}


@stage("customers", "usage", "identity")
def everybody(log: Transactions) -> dict[str, Any]:
    return {"customers": pd.DataFrame({"customer_id": MEMBERS, "weekly_spend": 30.0})}


@stage("repurchases")
def needs(as_of: date) -> dict[str, Any]:
    due = pd.DataFrame({"customer_id": MEMBERS}).merge(pd.DataFrame({"category": ["Milk", "Tea"]}), how="cross")
    p = np.linspace(0.3, 0.9, len(due))
    return {"repurchases": due.assign(p_purchase=p, spend=6.0, as_of=pd.Timestamp(as_of), horizon=14)}


STAGES = [
    sales, everybody, read_deals, read_redemptions, read_tips, needs, recognise_redemptions, match_redeemed, redemption_rates, record_campaigns,
    measure_campaigns, usage_for_deals, share_of_deals, remember_offers, plan_offers,
]  # fmt: skip


@dataclass
class Shop:
    """A folder of deliveries, and the output folder."""

    home: Path

    @property
    def out(self) -> Path:
        return self.home / "out"

    def night(self, day: str, **options: Any) -> RunResult:
        campaign = {"every": 14, "starts": "2018-01-01"} | options.pop("campaign", {})
        config = {
            "until": "2018-03-31", "transactions": {"files": "till.csv"}, "deals": {"files": "deals.csv"},
            "redemptions": {"files": options.pop("redemptions", "redemptions.csv")}, "campaign": campaign, "offers": {"control": 0.2},
        }  # fmt: skip
        return run(config, self.out, home=self.home, as_of=day, stages=STAGES, **options)

    def redeemed(self, *rows: str) -> None:
        header = "customer_id,deal_id,code,redeemed_at,amount,order_id"
        (self.home / "redemptions.csv").write_text("\n".join([header, *rows]) + "\n")

    def record(self) -> pd.DataFrame:
        return CampaignFolder(self.out).record().set_index("campaign")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Forty members who buy tea and milk every ten days, of the brands that have deals."""
    days = pd.date_range("2017-06-01", "2018-03-31", freq="10D")
    goods = pd.DataFrame({"category": ["Tea", "Milk"], "brand": ["Assam", "Farm"], "amount": [2.0, 4.0]})
    lines = pd.DataFrame({"customer_id": MEMBERS}).merge(pd.DataFrame({"purchased_at": days}), how="cross")
    lines.merge(goods, how="cross").to_csv(tmp_path / "till.csv", index=False)
    (tmp_path / "deals.csv").write_text(DEALS)
    made = Shop(tmp_path)
    made.redeemed()
    return made


def test_lists_are_planned_on_campaign_days_and_on_no_other(shop: Shop) -> None:
    assert "offers" not in shop.night("2017-12-30").tables
    assert "offers" in shop.night("2017-12-31").tables
    assert "offers" not in shop.night("2018-01-01").tables
    assert "offers" in shop.night("2018-01-16").tables, "the day was missed, so the next run plans"
    assert "offers" not in shop.night("2018-01-17").tables
    assert "offers" in shop.night("2018-01-17", plan_lists=True).tables
    assert shop.record().index.tolist() == ["2018-01-01", "2018-01-17", "2018-01-18"]


def test_before_the_first_redemptions_a_pattern_may_match_no_file(shop: Shop) -> None:
    (shop.home / "redemptions.csv").rename(shop.home / "kept.csv")
    assert "offers" in shop.night("2017-12-31", redemptions="redemptions*.csv").tables
    with pytest.raises(NoInputError, match=r"No file matches .*redemptions\.csv"):
        shop.night("2017-12-31", redemptions="redemptions.csv")


def test_without_a_rhythm_every_run_plans(shop: Shop) -> None:
    for day in ("2017-12-30", "2017-12-31"):
        assert "offers" in shop.night(day, campaign={"every": None, "starts": None}).tables


def test_offers_bear_their_campaign_and_codes_and_control_is_drawn_anew(shop: Shop) -> None:
    first = shop.night("2017-12-31").tables
    offers, held_back = first["offers"], set(first["control"]["customer_id"])
    columns = [
        "customer_id",
        "deal_id",
        "position",
        "campaign",
        "code",
        "list_code",
        "p_redeem",
        "expected_gain",
        "is_trial",
    ]
    assert set(columns) <= set(offers)
    assert offers["code"].is_unique
    assert (offers.groupby("customer_id")["list_code"].nunique() == 1).all()
    assert held_back
    assert not held_back & set(offers["customer_id"])
    assert set(shop.night("2018-01-14").tables["control"]["customer_id"]) != held_back


def test_nothing_changed_is_nothing_done_also_after_it_was_sent(shop: Shop) -> None:
    shop.night("2017-12-31")
    assert shop.night("2017-12-31").repeated
    before = shop.night("2017-12-31").tables["offers"]
    send(shop.out, "2018-01-01")
    assert shop.night("2017-12-31").repeated
    again = shop.night("2017-12-31", fresh=True)
    pd.testing.assert_frame_equal(again.tables["offers"], before)
    assert any("was sent already; its offers stay as they were" in note for note in again.notes)
    after = shop.night("2018-01-01")
    kept = {one["stage"]: one["action"] for one in after.manifest["stages"]}
    assert kept["read-deals"] == kept["read-redemptions"] == "kept"


def test_what_was_not_sent_was_not_offered(shop: Shop) -> None:
    offers = shop.night("2017-12-31").tables["offers"]
    mailed = sorted(set(offers["customer_id"]))[:5]
    pd.DataFrame({"customer_id": mailed}).to_csv(shop.home / "mailed.csv", index=False)
    deal = {
        member: offers.set_index("customer_id")["deal_id"].groupby(level=0).first()[member]
        for member in offers["customer_id"]
    }
    other = next(member for member in deal if member not in mailed)
    shop.redeemed(*(f"{member},{deal[member]},,2018-01-05,0.5,1" for member in (mailed[0], other)))
    unsent = shop.night("2018-01-14")
    assert unsent.tables["unmatched_redemptions"]["reason"].tolist() == ["deal_id or code is unknown"] * 2
    assert any("is not marked as sent" in note for note in unsent.notes)
    told = CliRunner().invoke(
        app, ["sent", "2018-01-01", "--file", str(shop.home / "mailed.csv"), "--out", str(shop.out)]
    )
    assert "to 5 members" in told.stdout
    found = shop.night("2018-01-14")
    assert found.tables["redemptions"]["customer_id"].tolist() == [mailed[0]]
    assert found.tables["unmatched_redemptions"]["reason"].tolist() == ["not offered to this member"]


def test_every_redemption_is_matched_or_told_why_not_to_the_row_and_the_cent(shop: Shop) -> None:
    offers = shop.night("2017-12-31").tables["offers"]
    send(shop.out, "2018-01-01")
    one, two = offers.iloc[0], offers.iloc[1]
    held_back = CampaignFolder(shop.out).campaigns(date(2018, 1, 1))[0].table("control")["customer_id"].iloc[0]
    shop.redeemed(
        f"{one.customer_id},{one.deal_id},,2018-01-05,0.50,1",
        f"{one.customer_id},{one.deal_id},,2018-01-05,0.50,1",
        f"{two.customer_id},,{two.code},2018-01-06,0.75,2",
        "STRANGER,D1,,2018-01-06,0.50,3",
        f"{one.customer_id},D9,,2018-01-06,0.50,4",
        f"{held_back},D1,,2018-01-06,0.50,5",
        f"{one.customer_id},{one.deal_id},,2018-01-16,0.50,6",
        f"{one.customer_id},{one.deal_id},,2019-01-05,0.50,7",
        f"{one.customer_id},{one.deal_id},,2018-01-06,-0.50,8",
        f"{one.customer_id},{one.deal_id},,next week,0.50,9",
    )
    found = shop.night("2018-01-16")
    read, unmatched = found.manifest["redemptions_read"], found.tables["unmatched_redemptions"]
    assert found.tables["redemptions"]["amount"].tolist() == [0.5, 0.75]
    assert unmatched.set_index("line")["reason"].to_dict() == {
        3: "repeats an earlier row",
        5: "customer_id is no known member",
        6: "deal_id or code is unknown",
        7: "not offered to this member",
        8: "outside the days of the offer",
        9: "redeemed_at is after the run date",
        10: "amount is below 0",
        11: "redeemed_at is not a time",
    }
    assert (read["rows"], read["matched"], read["unmatched"]) == (10, 2, 8)
    assert (read["amount"], read["amount_matched"], read["amount_unmatched"]) == ("4.25", "1.25", "3.00")
    assert any("8 of 10 redemptions match no offer" in note for note in found.notes)


def test_redemptions_are_read_off_the_lines_where_that_is_asked_for(shop: Shop) -> None:
    till = pd.read_csv(shop.home / "till.csv").assign(discount=0.0, order_id="")
    offers = shop.night("2017-12-31", campaign={"from_lines": True}).tables["offers"]
    send(shop.out, "2018-01-01")
    one = offers[offers["deal_id"] == "D1"].iloc[0]
    bought = (till["customer_id"] == one.customer_id) & (till["purchased_at"] == "2018-01-07")
    till.loc[bought & (till["category"] == "Tea"), "discount"] = 0.5
    till.loc[bought & (till["category"] == "Tea"), "order_id"] = "R1"
    held_back = (till["customer_id"] == "M39") & (till["purchased_at"] == "2017-12-28")
    till.loc[held_back, "discount"] = 0.3
    till.to_csv(shop.home / "till.csv", index=False)
    assert shop.night("2018-01-14").tables["redemptions"].empty
    found = shop.night("2018-01-14", campaign={"from_lines": True})
    row = found.tables["redemptions"].iloc[0]
    assert (row["customer_id"], row["deal_id"], row["amount"], row["order_id"]) == (one.customer_id, "D1", 0.5, "R1")
    assert len(found.tables["redemptions"]) == 1
    assert found.manifest["redemptions_read"]["amount"] == "0.50"


def test_the_next_plan_has_what_is_left_of_the_budgets(shop: Shop) -> None:
    first = shop.night("2017-12-31").tables["offers"]
    send(shop.out, "2018-01-01")
    tea = first[first["deal_id"] == "D1"]
    assert len(tea) >= 5
    shop.redeemed(*(f"{row.customer_id},D1,,2018-01-05,3.5,{row.position}" for row in tea.head(5).itertuples()))
    overlapping = shop.night("2018-01-07", plan_lists=True).tables
    left = overlapping["deals_left"].set_index("deal_id")
    assert left.loc["D1", ["budget", "redeemed"]].tolist() == [2.5, 17.5]
    # half of the days of the others' offers are still to come
    rest = first[(first["deal_id"] == "D1") & ~first["customer_id"].isin(tea["customer_id"].head(5))]
    assert left.loc["D1", "outstanding"] == pytest.approx(rest["expected_cost"].sum() / 2)
    planned = overlapping["offers"]
    assert planned.loc[planned["deal_id"] == "D1", "expected_cost"].sum() + left.loc["D1", "outstanding"] < 2.5


def test_who_redeems_is_expected_to_redeem_again(shop: Shop) -> None:
    first = shop.night("2017-12-31").tables["offers"]
    send(shop.out, "2018-01-01")
    keen = first.drop_duplicates("customer_id").head(6)
    shop.redeemed(*(f"{row.customer_id},{row.deal_id},,2018-01-12,0.5,1" for row in keen.itertuples()))
    second = shop.night("2018-01-14").tables
    rates = second["redemption_rates"].set_index("customer_id")["rate"]
    assert rates[rates.index.isin(keen["customer_id"])].min() > rates[~rates.index.isin(keen["customer_id"])].max()
    chance = second["offers"].groupby("customer_id")["p_redeem"].mean()
    assert (
        chance[chance.index.isin(keen["customer_id"])].mean()
        > 2 * chance[~chance.index.isin(keen["customer_id"])].mean()
    )


def test_a_rest_that_is_asked_for_is_kept(shop: Shop) -> None:
    keys = ["customer_id", "deal_id"]
    first = shop.night("2017-12-31").tables["offers"][keys]
    send(shop.out, "2018-01-01")
    rested = shop.night("2018-01-14", campaign={"rest": 14}).tables["offers"][keys]
    assert first.merge(rested).empty
    assert not first.merge(shop.night("2018-01-14").tables["offers"][keys]).empty


def test_campaigns_go_from_planned_to_sent_to_measured(shop: Shop) -> None:
    offers = shop.night("2017-12-31").tables["offers"]
    assert shop.record()["state"].tolist() == ["planned"]
    send(shop.out, "2018-01-01")
    assert shop.record()["state"].tolist() == ["sent"]
    shop.redeemed(f"{offers.customer_id[0]},{offers.deal_id[0]},,2018-01-05,0.50,1")
    during = shop.night("2018-01-10").tables["campaigns"]
    assert during["state"].tolist() == ["sent"]
    after = shop.night("2018-01-14").tables["campaigns"].iloc[0]
    assert after["expected_redemptions"] == pytest.approx(offers["p_redeem"].sum())
    assert (after["state"], after["redemptions"], after["redeemed"]) == ("measured", 1.0, 0.5)
    assert shop.record().loc["2018-01-01", "state"] == "measured"


def test_campaigns_are_measured_together_and_their_response_goes_into_the_next_plan(shop: Shop) -> None:
    for day, name in (("2017-12-31", "2018-01-01"), ("2018-01-14", "2018-01-15")):
        shop.night(day)
        send(shop.out, name)
    found = shop.night("2018-01-28")
    effects = found.tables["campaign_effects"]
    assert effects["campaign"].tolist() == ["2018-01-01", "2018-01-15"]
    assert (effects["planned"] + effects["held_back"] == 40).all()
    # everybody buys all of it in every fortnight, list or none: nothing was added beyond what was not foreseen
    assert effects["effect"].abs().max() == pytest.approx(0)
    assert set(found.tables["campaign_groups"]["by"]) == {"deal_id", "funder"}
    scale = found.manifest["response_scale"]
    assert scale["low"] < scale["scale"] < scale["high"]
    assert found.tables["offers"]["response_scale"].iloc[0] == pytest.approx(max(scale["scale"], 0.25))
    again = shop.night("2018-03-31", plan_lists=True).tables["campaign_effects"]
    assert again["campaign"].tolist() == ["2018-01-01", "2018-01-15"], "the third was not sent"


def test_steps_that_make_no_sense_are_refused_in_words(shop: Shop) -> None:
    with pytest.raises(NoInputError, match="has no record of campaigns"):
        send(shop.out, "2018-01-01")
    shop.night("2017-12-31")
    with pytest.raises(ContractError, match=r"There is no campaign '2018-02-01'\. The newest are \['2018-01-01'\]"):
        send(shop.out, "2018-02-01")
    with pytest.raises(NoInputError, match="There is no file"):
        send(shop.out, "2018-01-01", shop.home / "absent.csv")
    (shop.home / "wrong.csv").write_text("card\nM01\n")
    with pytest.raises(ContractError, match="has no column customer_id"):
        send(shop.out, "2018-01-01", shop.home / "wrong.csv")
    (shop.home / "others.csv").write_text("customer_id\nX\n")
    with pytest.raises(ContractError, match="1 of 1 mailed members have no offer"):
        send(shop.out, "2018-01-01", shop.home / "others.csv")
    assert shop.record()["state"].tolist() == ["planned"]
    send(shop.out, "2018-01-01")
    with pytest.raises(ContractError, match="is sent already; a campaign is sent once"):
        send(shop.out, "2018-01-01")


@pytest.mark.parametrize("lost", ["campaigns/2018-01-01", "campaigns"])
def test_a_lost_folder_is_restored_from_the_runs(shop: Shop, lost: str) -> None:
    first = shop.night("2017-12-31").tables["offers"]
    send(shop.out, "2018-01-01")
    shop.redeemed(f"{first.customer_id[0]},{first.deal_id[0]},,2018-01-05,0.50,1")
    shop.night("2018-01-10")
    shutil.rmtree(shop.out / lost)
    found = shop.night("2018-01-14")
    assert len(found.tables["redemptions"]) == 1
    assert any("was lost; it was restored from the run of 201" in note for note in found.notes)
    assert shop.record()["state"].tolist() == ["measured", "planned"]


def test_what_no_run_holds_any_more_is_told(shop: Shop) -> None:
    shop.night("2017-12-31")
    send(shop.out, "2018-01-01")
    shutil.rmtree(shop.out / "campaigns" / "2018-01-01")
    for folder in (shop.out / "runs").glob("2017-12-31*"):
        (folder / "offers.parquet").unlink()
    found = shop.night("2018-01-14")
    assert any("no run holds its tables: its redemptions cannot be matched" in note for note in found.notes)
    assert len(found.tables["offers"])


def test_a_damaged_table_is_named_and_no_budget_is_planned_without_it(shop: Shop) -> None:
    shop.night("2017-12-31")
    send(shop.out, "2018-01-01")
    (shop.out / "campaigns" / "2018-01-01" / "sent.parquet").write_bytes(b"torn")
    quiet = shop.night("2018-01-05")
    assert any("sent.parquet cannot be read" in note and "Restore it from a backup" in note for note in quiet.notes)
    with pytest.raises(Exception, match=r"sent\.parquet cannot be read"):
        shop.night("2018-01-14")


@pytest.mark.parametrize("campaign", [{"every": 14}, {"starts": "2018-01-01"}])
def test_a_rhythm_needs_both_its_settings(tmp_path: Path, campaign: dict[str, Any]) -> None:
    config = {"until": "2018-03-31", "transactions": {"files": "till.csv"}, "campaign": campaign}
    with pytest.raises(ValueError, match="every and starts belong together"):
        run(config, tmp_path / "out", home=tmp_path, stages=STAGES)
