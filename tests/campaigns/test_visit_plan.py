"""Visits: the most gain that fits, in time and open, and results that come back into the next plan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crmkit import ConfigError, ContractError, Premises, VisitPlan, VisitRecords, campaign_effect, read_extract
from crmkit.campaigns._visit_math import kilometres
from crmkit.campaigns.visit_records import split_premises, split_visits

DAYS = ["2018-01-02", "2018-01-03"]


@pytest.fixture(scope="module")
def customers() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    ids = [f"c{one:03d}" for one in range(120)]
    return pd.DataFrame({"customer_id": ids, "value_at_risk": np.round(rng.gamma(2, 400, 120), 2)})


@pytest.fixture(scope="module")
def premises(customers: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    north = np.arange(120) < 60
    return pd.DataFrame(
        {
            "customer_id": customers["customer_id"],
            "area": np.where(north, "north", "south"),
            "latitude": np.where(north, 52.5, 48.1) + rng.normal(0, 0.05, 120),
            "longitude": np.where(north, 13.4, 11.6) + rng.normal(0, 0.05, 120),
            "opens": 8.0,
            "closes": np.where(np.arange(120) % 10 == 0, 10.0, 18.0),
            "closed_on": np.where(np.arange(120) % 7 == 0, "Tue", ""),
        }
    )


STAFF = pd.DataFrame(
    {
        "field_person": ["Kim", "Lee"],
        "area": ["north", "south; west"],
        "latitude": [52.5, 48.1],
        "longitude": [13.4, 11.6],
        "visits": [5, 6],
    }
)


def test_each_visit_is_in_its_area_open_and_in_time(customers: pd.DataFrame, premises: pd.DataFrame) -> None:
    plan = VisitPlan()
    found = plan.solve(customers, STAFF, days=DAYS, premises=premises)
    visits = found.visits.merge(premises, on="customer_id")
    assert visits["customer_id"].is_unique
    assert set(visits.loc[visits["field_person"] == "Kim", "area"]) == {"north"}
    assert set(visits.loc[visits["field_person"] == "Lee", "area"]) == {"south"}
    sizes = visits.groupby(["field_person", "day"]).size()
    assert sizes.max() <= 6
    assert sizes["Kim"].max() <= 5
    begins = visits["begins"].str.split(":").map(lambda at: int(at[0]) * 60 + int(at[1]))
    assert (begins + plan.minutes <= np.minimum(visits["closes"] * 60, 9 * 60 + 480) + 1).all()
    assert not ((visits["day"].dt.day_of_week == 1) & (visits["closed_on"] == "Tue")).any()
    assert not set(found.control["customer_id"]) & set(visits["customer_id"])
    assert len(found.control) > 5
    for _, day in visits.groupby(["field_person", "day"]):
        assert sorted(day["position"]) == list(range(1, len(day) + 1))
        places = day.sort_values("position")[["latitude", "longitude"]].to_numpy()
        way = kilometres(places, places) / plan.speed * 60
        np.testing.assert_allclose(day.sort_values("position")["travel_minutes"][1:], np.diag(way, 1), atol=0.051)
    assert found.objective <= found.bound * (1 + 1e-9)
    assert found.gap <= 2e-3


def test_without_places_it_is_the_customers_with_the_most_gain(customers: pd.DataFrame) -> None:
    staff = pd.DataFrame({"field_person": ["Kim"], "visits": [7]})
    found = VisitPlan(control=0).solve(customers, staff, days=["2018-01-02"])
    best = customers.sort_values("value_at_risk", ascending=False)["customer_id"].head(7)
    assert set(found.visits["customer_id"]) == set(best)
    again = VisitPlan(control=0).solve(customers.sample(frac=1, random_state=1), staff, days=["2018-01-02"])
    pd.testing.assert_frame_equal(found.visits, again.visits)


def test_results_stand_in_the_next_plan(customers: pd.DataFrame) -> None:
    staff = pd.DataFrame({"field_person": ["Kim"], "visits": [5]})
    first = VisitPlan(control=0).solve(customers, staff, days=["2018-01-02"]).visits["customer_id"]
    told = pd.DataFrame({"customer_id": first, "day": "2018-01-02", "met": [1, 0, 0, 0, 0], "sold": [2e5, 0, 0, 0, 0]})
    soon = VisitPlan(control=0).solve(customers, staff, days=["2018-01-09"], results=told).visits["customer_id"]
    assert not set(soon) & set(first)  # they rest
    later = VisitPlan(control=0).solve(customers, staff, days=["2018-03-09"], results=told)
    gains = later.worth_visiting.set_index("customer_id")["expected_gain"]
    assert gains.idxmax() == first[0]
    assert gains.get(first[1], 0.0) < gains[first[0]]


def test_nobody_is_worth_a_visit_whose_gain_is_less_than_the_time(customers: pd.DataFrame) -> None:
    staff = pd.DataFrame({"field_person": ["Kim"]})
    found = VisitPlan(minute=1e6).solve(customers, staff, days=DAYS)
    assert found.visits.empty
    assert found.worth_visiting.empty
    assert found.gap == 0


def test_the_control_group_measures_what_visits_achieve(customers: pd.DataFrame) -> None:
    staff = pd.DataFrame({"field_person": ["Kim"], "minutes": [1440]})
    found = VisitPlan(control=0.5, rest=0).solve(customers, staff, days=DAYS)
    worth = found.worth_visiting["customer_id"]
    planned = worth[~worth.isin(found.control["customer_id"])]
    noise = np.random.default_rng(6).normal(0, 1, len(customers))
    spend = pd.Series(10 + noise, index=pd.Index(customers["customer_id"]))
    spend[planned] += 5.5
    effect = campaign_effect(spend, planned, found.control)
    assert effect.low < 5.5 < effect.high
    assert effect.low > 4


def test_what_is_wrong_is_told_with_file_line_and_reason(tmp_path: Path, customers: pd.DataFrame) -> None:
    book, shops = tmp_path / "visits.csv", tmp_path / "shops.csv"
    book.write_text(
        "field_person,day,customer_id,met,sold\nKim,2018-01-02,c001,1,5\nKim,2018-01-02,nobody,1,5\nKim,2018-01-02,c002,3,5\n"
        "Kim,2018-03-02,c003,1,5\nKim,2018-01-02,c004,1,-5\n",
        encoding="utf-8",
    )
    table, invalid = VisitRecords.split_extract(read_extract(str(book)))
    good, bad = split_visits(table.frame, customers, "2018-01-31")
    told = pd.concat([invalid, bad])
    assert len(good) == 1
    assert dict(zip(told["line"], told["reason"], strict=True)) == {
        4: "met is neither 1 nor 0",
        6: "sold is below 0",
        3: "customer_id is not among the customers",
        5: "day is after the run date",
    }
    shops.write_text(
        "customer_id,latitude,longitude,opens,closes\nc1,37.5,126.9,9,18\nc2,37.4,127.0,9,18\nc3,37.6,126.8,18,9\n"
        "c4,126.9,37.5,9,18\nc5,37.5,,9,18\nc6,37.5,127,9,18\nc6,37.5,127,9,18\nc7,37.4,126.9,,\n",
        encoding="utf-8",
    )
    places, invalid = Premises.split_extract(read_extract(str(shops)))
    good, bad = split_premises(places.frame)
    told = pd.concat([invalid, bad])
    assert sorted(zip(told["line"].astype(int), told["reason"], strict=True)) == [
        (4, "closes is not after opens"),
        (5, "latitude is beyond 90 degrees"),
        (6, "latitude is stated without longitude, or longitude without latitude"),
        (7, "customer_id has two places"),
        (8, "customer_id has two places"),
    ]
    assert good["customer_id"].tolist() == ["c1", "c2", "c7"]
    swapped = pd.DataFrame(
        {"customer_id": list("abcd"), "latitude": [52.5, 52.6, 13.4, 52.4], "longitude": [13.4, 13.3, 52.5, None]}
    )
    assert split_premises(swapped)[1]["reason"].tolist() == ["latitude and longitude are swapped"]
    with pytest.raises(ContractError, match="each field_person once"):
        VisitPlan().solve(customers, pd.DataFrame({"field_person": ["Kim", "Kim"]}), days=DAYS)
    with pytest.raises(ConfigError, match="speed=0: must be above 0"):
        VisitPlan(speed=0)
