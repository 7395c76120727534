"""Repurchase timing: what a user of the tables relies on, leaks, bad input, and defined answers at the edges."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
import pytest

from crmkit import ContractError, LeakError, ModelError, NextPurchase, Transactions
from crmkit.evaluation import metrics
from crmkit.summaries import _partitions, purchase_history
from crmkit.summaries.items import item_bought, item_panel, item_state, purchase_days
from crmkit.testing import generated_sales


@pytest.fixture(scope="module")
def sales() -> pd.DataFrame:
    return generated_sales(n_customers=400, days=300, seed=3)


@pytest.fixture(scope="module")
def model(log: Transactions) -> NextPurchase:
    return NextPurchase(by="category").fit(log)


@pytest.fixture(scope="module")
def log(sales: pd.DataFrame) -> Transactions:
    return Transactions.from_extract(sales, until="2017-10-27")


def test_table_has_the_contracts_columns_and_no_number_out_of_range(model: NextPurchase, log: Transactions) -> None:
    due = model.predict(log, horizon=14)
    names = [
        "customer_id",
        "category",
        "p_purchase",
        "expected_day",
        "day_10",
        "day_50",
        "day_90",
        "p_stopped",
        "reason",
    ]
    assert list(due.columns[:9]) == names
    assert due[["p_purchase", "p_stopped"]].stack().between(0, 1).all()
    assert due["expected_day"].between(0, 84).all()
    assert not due.duplicated(["customer_id", "category"]).any()
    assert (due["as_of"] == pd.Timestamp("2017-10-27")).all()


def test_a_quantile_is_missing_exactly_when_day_84_does_not_reach_it(model: NextPurchase, log: Transactions) -> None:
    due = model.predict(log, horizon=84)
    for name, share in (("day_10", 0.1), ("day_50", 0.5), ("day_90", 0.9)):
        assert (due[name].isna() == (due["p_purchase"] < share)).all()


def test_longer_horizons_are_never_less_likely(model: NextPurchase, log: Transactions) -> None:
    short, long = (model.predict(log, horizon=days)["p_purchase"] for days in (7, 28))
    assert (short <= long).all()


@pytest.mark.parametrize("rows", [400_000, 900])
def test_predictions_are_written_in_parts_as_they_are_returned(
    model: NextPurchase, log: Transactions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    due = model.predict(log)
    monkeypatch.setattr(_partitions, "_PART", rows)
    monkeypatch.setattr(
        purchase_history, "_KEPT", WeakKeyDictionary()
    )  # as in a process that has not looked at the log
    written = pd.read_parquet(model.write_predictions(log, tmp_path / "due.parquet"))
    changes = (written["customer_id"] != written["customer_id"].shift()).sum()
    assert changes == due["customer_id"].nunique()
    one, other = (table.sort_values(["customer_id", "category"], ignore_index=True) for table in (written, due))
    pd.testing.assert_frame_equal(one.astype({"as_of": other["as_of"].dtype}), other, rtol=1e-12)


def test_excluded_items_are_neither_learned_nor_predicted(log: Transactions) -> None:
    model = NextPurchase(by="category", exclude=["Category 01"]).fit(log)
    assert "Category 01" not in set(model.estimator_.rates.priors_["item"])
    assert "Category 01" not in set(model.predict(log)["category"])


@pytest.mark.parametrize("horizon", [0, -1, 85, 2.5])
def test_a_horizon_that_was_not_modelled_is_refused(model: NextPurchase, log: Transactions, horizon: int) -> None:
    with pytest.raises(ModelError, match="between 1 and 84"):
        model.predict(log, horizon=horizon)


def test_questions_the_log_cannot_answer_are_refused(log: Transactions) -> None:
    with pytest.raises(ContractError, match=r"by='brand' is not an item column.*category"):
        NextPurchase(by="brand").fit(log)
    with pytest.raises(LeakError, match="last day observed"):
        NextPurchase(by="category").fit(log, as_of=date(2018, 1, 1))
    with pytest.raises(ModelError, match="no customer × item pair"):
        NextPurchase(by="category").fit(log, as_of="2016-01-01")


def test_reasons_are_words() -> None:
    till = pd.DataFrame(
        {
            "customer_id": list("aabcc"),
            "category": "Milk",
            "amount": 1,
            "purchased_at": ["2017-01-01", "2017-01-08", "2017-01-30", "2017-01-30", "2017-01-31"],
        }
    )
    log = Transactions.from_extract(till, until="2017-01-31")
    reasons = NextPurchase(by="category").fit(log).predict(log)["reason"].tolist()
    assert reasons == [
        "bought twice, every 7 days or so, last 23 days ago",
        "bought once, last 1 day ago",
        "bought twice, every 1 day or so, last today",
    ]


def small(rows: list[tuple[object, ...]], until: str = "2017-03-31", **columns: str) -> Transactions:
    till = pd.DataFrame(rows, columns=["customer_id", "purchased_at", "category", "amount", "quantity"])
    return Transactions.from_extract(till, until=until, **columns)


# -- What is known of a pair -----------------------------------------------------------------------------------------


def test_state_agrees_with_counting_by_hand(sales: pd.DataFrame, log: Transactions) -> None:
    close = pd.Timestamp("2017-09-15")
    state = item_state(log, "category", close.date())
    past = sales.assign(day=sales["purchased_at"].dt.normalize()).query("day <= @close")
    pairs = past.drop_duplicates(["customer_id", "category", "day"])
    assert len(state) == len(pairs.drop_duplicates(["customer_id", "category"]))
    for row in state[state["frequency"] >= 2].sample(20, random_state=0).itertuples():
        days = pairs.query("customer_id == @row.customer_id and category == @row.item")["day"].sort_values()
        trips = past.query("customer_id == @row.customer_id")["day"].drop_duplicates()
        age, trip_age = (close - days).dt.days, (close - trips).dt.days
        assert (row.frequency, row.recency, row.T) == (len(days) - 1, age.max() - age.min(), age.max())
        assert row.sum_log_gap == pytest.approx(np.log(days.diff().dt.days.dropna()).sum())
        assert (row.recent_28, row.recent_84) == ((age < 28).sum(), (age < 84).sum())
        assert row.decayed_45 == pytest.approx(np.exp(-age / 45).sum())
        assert row.decayed_250 == pytest.approx(np.exp(-age / 250).sum())
        assert (row.visit_days, row.visit_T) == (len(trips), trip_age.max())
        assert row.visits_decayed_60 == pytest.approx(np.exp(-trip_age / 60).sum())
        assert row.visits_since_last == (trips > days.max()).sum()
        assert row.visits_decayed_since_first == pytest.approx(np.exp(-trip_age[trips > days.min()] / 250).sum())
    assert (state["n_items"] == state.groupby("customer_id")["item"].transform("size")).all()
    assert (state["item_recent_28"] == state.groupby("item")["recent_28"].transform("sum")).all()


def test_a_level_above_adds_what_is_known_of_the_customer_and_the_level(log: Transactions) -> None:
    both = item_state(log, ["product_id", "category"])
    alone, above = item_state(log, "product_id"), item_state(log, "category")
    pd.testing.assert_frame_equal(both[alone.columns], alone)
    assert (both["category_frequency"] >= both["frequency"]).all()
    assert (
        both.groupby("customer_id")["category_frequency"].max().equals(above.groupby("customer_id")["frequency"].max())
    )


def test_panel_knows_the_next_purchase_and_only_what_was_seen_by_then(sales: pd.DataFrame, log: Transactions) -> None:
    [panel] = item_panel(log, "category", "2017-09-15", [28])
    pd.testing.assert_frame_equal(
        panel[list(item_state(log, "category").columns)], item_state(log, "category", "2017-08-18")
    )
    assert (panel["follow"] == 28).all()
    assert panel["wait"].dropna().between(1, 28).all()
    bought = item_bought(log, "category", "2017-08-18", 28).merge(panel, on=["customer_id", "item"])
    assert bought["wait"].notna().all()
    assert len(bought) == panel["wait"].notna().sum()


def test_a_panel_of_some_customers_has_all_of_theirs(log: Transactions) -> None:
    [whole], [some] = (item_panel(log, "category", None, [28], share=share) for share in (1.0, 0.3))
    share = some["customer_id"].nunique() / whole["customer_id"].nunique()
    assert 0.15 < share < 0.45
    mine = whole[whole["customer_id"].isin(some["customer_id"])].reset_index(drop=True)
    ours = [name for name in whole if not name.startswith("item_recent")]
    pd.testing.assert_frame_equal(some[ours], mine[ours])


# -- Answers ---------------------------------------------------------------------------------------------------------


def test_the_hazard_is_learned_at_past_days_and_is_better_than_the_closed_form(sales: pd.DataFrame) -> None:
    log = Transactions.from_extract(generated_sales(n_customers=3000, days=400, seed=5), until="2018-02-04")
    origin = date(2018, 1, 7)
    model = NextPurchase(by="category").fit(log, origin)
    assert model.origins_
    assert max(model.origins_) < origin
    assert set(model.estimator_.curves_) == {"new", "regular"}
    due = model.predict(log, origin, 28)
    state = item_state(log, "category", origin)
    state["p"] = model.estimator_.shares.probability_of_purchase(state, 28)
    bought = item_bought(log, "category", origin, 28).rename(columns={"item": "category"}).assign(y=1.0)
    due = due.merge(bought, how="left", on=["customer_id", "category"]).fillna({"y": 0.0})
    assert metrics.log_loss(due["y"], due["p_purchase"]) < metrics.log_loss(due["y"], state["p"]) - 0.002
    assert metrics.calibration_error(due["y"], due["p_purchase"]) < 0.01
    few = due[due["n_purchases"] <= 2]
    rate = few["category"].map(few.groupby("category")["y"].mean())
    assert metrics.log_loss(few["y"], few["p_purchase"]) < metrics.log_loss(few["y"], rate)


def test_one_curve_gives_every_window(model: NextPurchase, log: Transactions) -> None:
    curve = model.predict_distribution(log)
    assert list(curve.columns[:2]) == ["customer_id", "category"]
    bought = curve[list(range(1, 85))].to_numpy()
    assert ((bought >= 0) & (bought <= 1)).all()
    assert (np.diff(bought, axis=1) >= 0).all()
    for horizon in (1, 7, 10, 84):
        assert model.predict(log, horizon=horizon)["p_purchase"].to_numpy() == pytest.approx(bought[:, horizon - 1])
    due = model.predict(log)
    assert (due["p_stopped"] <= 1 - bought[:, -1] + 1e-12).all()
    reached = due["day_50"].notna()
    below = np.floor(due.loc[reached, "day_50"]).astype(int).to_numpy()
    assert (np.column_stack([np.zeros(len(due)), bought])[reached.to_numpy(), below] <= 0.5 + 1e-9).all()


def test_a_log_too_short_to_look_back_from_is_answered_by_the_closed_form() -> None:
    log = small([("a", f"2017-01-{day:02d}", "Milk", 1, 1) for day in (1, 8, 15)], until="2017-01-18")
    model = NextPurchase(by="category").fit(log)
    assert model.origins_ == []
    due = model.predict(log)
    assert 0 < due.loc[0, "p_purchase"] < 1
    closed = model.estimator_.closed_form(item_state(log, "category"), weeks=2)
    assert due.loc[0, "p_purchase"] == pytest.approx(1 - closed[0, 2])


def test_explanation_shows_the_purchases_and_what_moves_the_answer(model: NextPurchase, log: Transactions) -> None:
    due = model.predict(log).sort_values("n_purchases").iloc[-1]
    told = model.explain(log, due["customer_id"], due["category"])
    assert told.p_purchase == pytest.approx(due["p_purchase"])
    assert len(told.purchases) == due["n_purchases"]
    assert told.curve["p_bought"].iloc[[0, 14]].tolist() == pytest.approx([0, due["p_purchase"]])
    assert told.reasons["contribution"].abs().is_monotonic_decreasing
    assert f"{due['category']}: bought on {due['n_purchases']} days" in str(told)
    assert "2017-" in told.expectation or "no purchase expected" in told.expectation


def test_a_pair_never_bought_is_answered_from_what_others_buy_first(model: NextPurchase, log: Transactions) -> None:
    due = model.predict(log)
    customer = due["customer_id"].iloc[0]
    item = next(
        name
        for name in due["category"].unique()
        if name not in set(due.loc[due["customer_id"] == customer, "category"])
    )
    told = model.explain(log, customer, item)
    assert 0 < told.p_purchase < 0.5
    assert told.expectation == "never bought"
    assert 0 < model.explain(log, customer, "an item nobody ever bought").p_purchase < 0.5


def test_an_unknown_customer_is_refused_and_the_nearest_are_named(model: NextPurchase, log: Transactions) -> None:
    due = model.predict(log).iloc[0]
    with pytest.raises(ContractError, match=rf"no customer .* The nearest ids: .*{due['customer_id']}"):
        model.explain(log, int(due["customer_id"]), due["category"])  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="There is no customer 'a stranger' among"):
        model.explain(log, "a stranger", due["category"])


def test_a_list_has_the_likeliest_repeats_and_room_for_what_is_new(model: NextPurchase, log: Transactions) -> None:
    lists = model.recommend(log, k=6, explore=2)
    assert (lists.groupby("customer_id").size() == 6).all()
    assert lists.groupby("customer_id")["rank"].apply(list).map(lambda ranks: ranks == [1, 2, 3, 4, 5, 6]).all()
    assert (lists[lists["part"] == "explore"].groupby("customer_id").size() >= 2).all()
    known = pd.MultiIndex.from_frame(model.predict(log)[["customer_id", "category"]])
    assert (
        pd.MultiIndex.from_frame(lists[["customer_id", "category"]]).isin(known) == (lists["part"] == "repeat")
    ).all()
    assert not lists.duplicated(["customer_id", "category"]).any()
    best = model.predict(log, horizon=7).sort_values(["customer_id", "p_purchase"], ascending=[True, False])
    tops = lists[lists["part"] == "repeat"].groupby("customer_id")["p_purchase"].max()
    assert tops.to_numpy() == pytest.approx(best.groupby("customer_id")["p_purchase"].first().to_numpy())
    with pytest.raises(ModelError, match="explore"):
        model.recommend(log, k=3, explore=4)


def test_levels_are_given_finest_first(log: Transactions) -> None:
    model = NextPurchase(by=["product_id", "category"]).fit(log)
    due = model.predict(log)
    assert model.item == "product_id"
    assert "product_id" in due
    assert due["p_purchase"].between(0, 1).all()
    with pytest.raises(ModelError, match=r"hazard='tree' is not known.*boosted"):
        NextPurchase(hazard="tree").fit(log)
    with pytest.raises(ModelError, match="names no item column"):
        NextPurchase(by=[]).fit(log)
    with pytest.raises(ContractError, match="not an item column"):
        NextPurchase(by=["product_id", "brand"]).fit(log)


# -- Leaks -----------------------------------------------------------------------------------------------------------


def test_what_comes_later_moves_no_bit_of_fit_curve_or_list(sales: pd.DataFrame) -> None:
    day = "2017-08-31"
    more = sales.assign(customer_id="9" + sales["customer_id"], order_id="n" + sales["order_id"])
    later = pd.concat([sales, more[more["purchased_at"] > f"{day} 23:59"]], ignore_index=True)
    before = Transactions.from_extract(sales[sales["purchased_at"] <= f"{day} 23:59"], until=day)
    after = Transactions.from_extract(later, until="2017-10-27")
    known, told = NextPurchase().fit(before), NextPurchase().fit(after, day)
    assert known.origins_ == told.origins_ != []
    for name in known.estimator_.curves_:
        assert (known.estimator_.curves_[name].level == told.estimator_.curves_[name].level).all()
    pd.testing.assert_frame_equal(
        known.predict_distribution(before), told.predict_distribution(after, day), check_exact=True
    )
    pd.testing.assert_frame_equal(known.recommend(before, 5, 1), told.recommend(after, 5, 1, day), check_exact=True)


def test_training_sees_no_purchase_after_as_of(log: Transactions) -> None:
    for panel in item_panel(log, "category", "2017-08-31", [14, 56]):
        assert (panel["wait"].fillna(0) <= panel["follow"]).all()


# -- Bad input -------------------------------------------------------------------------------------------------------


def test_weights_and_thousandths_are_one_purchase() -> None:
    fuel = small(
        [
            ("a", "2017-01-01", "Fuel", 20, 12_345),
            ("a", "2017-01-11", "Fuel", 20, 0.351),
            ("b", "2017-01-02", "Fuel", 9, 8),
        ]
    )
    state = item_state(fuel, "category")
    assert state["frequency"].tolist() == [1, 0]
    assert state["decayed_45"].max() < 2


def test_repeats_on_a_day_are_one_purchase_and_what_is_returned_is_none() -> None:
    rows = [("a", "2017-01-01", "Milk", 1, 1), ("a", "2017-01-01", "Milk", 1, 3), ("a", "2017-01-09", "Milk", 1, 1)]
    assert item_state(small(rows), "category")["frequency"].tolist() == [1]
    back = small([*rows, ("a", "2017-01-09", "Milk", -1, -1)])
    assert item_state(back, "category")["frequency"].tolist() == [0]
    assert len(purchase_days(back, "category", "a", "Milk")) == 1


def test_one_trip_of_one_member_has_an_answer() -> None:
    log = small([("a", "2017-01-01", "Milk", 1, 1)])
    due = NextPurchase().fit(log).predict(log)
    assert due["p_purchase"].between(0, 1, inclusive="neither").all()
    assert due["reason"].tolist() == ["bought once, last 89 days ago"]
    assert NextPurchase().fit(log).recommend(log, k=3)["category"].tolist() == ["Milk"]


def test_before_the_first_purchase_fit_is_refused_and_predict_is_empty(model: NextPurchase, log: Transactions) -> None:
    with pytest.raises(ModelError, match="no customer × item pair"):
        NextPurchase().fit(log, "2016-12-01")
    assert model.predict(log, "2016-12-01").empty
    assert list(model.predict(log, "2016-12-01").columns) == list(model.predict(log).columns)
    assert model.predict_distribution(log, "2016-12-01").empty
    assert model.recommend(log, as_of="2016-12-01").empty
