"""Cut points are frozen, ties stay together, labels mean what the grid and the shares say."""

from __future__ import annotations

import importlib.util
import pickle
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from crmkit.exceptions import ConfigError, ContractError
from crmkit.segments.clusters import CustomerClusters
from crmkit.segments.cut_points import log_scaled, log_unit, natural_breaks
from crmkit.segments.rfm import RFM_GRID, RFMScores
from crmkit.segments.tiers import ValueTiers, concentration, past_and_expected

WIDTH = "the check sends arrays of another width; this transformer takes exactly its own columns"
TEXT = "the check subtracts outputs; labels are text"

NOT_FOR_RFM = {
    "check_estimators_overwrite_params": WIDTH,
    "check_estimators_fit_returns_self": WIDTH,
    "check_readonly_memmap_input": WIDTH,
    "check_n_features_in_after_fitting": WIDTH,
    "check_positive_only_tag_during_fit": WIDTH,
    "check_estimators_dtypes": WIDTH,
    "check_complex_data": WIDTH,
    "check_dtype_object": WIDTH,
    "check_estimators_empty_data_messages": WIDTH,
    "check_fit2d_1sample": WIDTH,
    "check_fit2d_1feature": WIDTH,
    "check_fit2d_predict1d": WIDTH,
    "check_fit_idempotent": WIDTH,
    "check_fit_check_is_fitted": WIDTH,
    "check_n_features_in": WIDTH,
    "check_pipeline_consistency": TEXT,
    "check_estimators_pickle": TEXT,
    "check_transformer_data_not_an_array": TEXT,
    "check_transformer_general": TEXT,
    "check_methods_sample_order_invariance": TEXT,
    "check_methods_subset_invariance": TEXT,
}
NOT_FOR_TIERS = NOT_FOR_RFM | {
    "check_fit_score_takes_y": WIDTH,
    "check_dont_overwrite_parameters": WIDTH,
    "check_estimators_nan_inf": WIDTH,
    "check_f_contiguous_array_estimator": WIDTH,
    "check_dict_unchanged": WIDTH,
    "check_fit1d": "a one-dimensional array is one value per customer, and welcome",
}
NOT_FOR_TIERS.pop("check_fit2d_1feature")
NOT_FOR_TIERS.pop("check_complex_data")


NOT_FOR_CLUSTERS = {"check_dtype_object": "the message says what the column holds, not what an argument must be"}
NOT_FOR = {"RFMScores": NOT_FOR_RFM, "ValueTiers": NOT_FOR_TIERS, "CustomerClusters": NOT_FOR_CLUSTERS}
TRANSFORMERS = [
    RFMScores(),
    ValueTiers(),
    CustomerClusters(n_clusters=2),
    CustomerClusters("gaussian-mixture", n_clusters=2),
]


@parametrize_with_checks(TRANSFORMERS, expected_failed_checks=lambda estimator: NOT_FOR[type(estimator).__name__])
def test_scikit_learn_checks_pass_but_for_those_listed(estimator, check):
    check(estimator)


@pytest.fixture
def customers() -> pd.DataFrame:
    """A hundred customers whose three measures are 1 … 100, the first the best in all."""
    rank = np.arange(1, 101)
    table = {"days_since_last": rank, "n_purchases": 101 - rank, "total_spend": 10.0 * (101 - rank), "region": "north"}
    return pd.DataFrame(table, index=pd.Index([f"c{i:03}" for i in rank], name="customer_id"))


# The grid


def test_the_grid_is_total_and_has_ten_names():
    assert sorted(RFM_GRID) == [1, 2, 3, 4, 5]
    cells = [name for row in RFM_GRID.values() for name in row]
    assert len(cells) == 25
    assert len(set(cells)) == 10


@pytest.mark.parametrize(
    ("r", "f", "name"),
    [
        (5, 1, "new"),
        (4, 1, "promising"),
        (5, 5, "champions"),
        (4, 4, "loyal"),
        (3, 3, "need attention"),
        (3, 2, "about to sleep"),
        (2, 3, "at risk"),
        (1, 5, "can't lose"),
        (1, 1, "hibernating"),
        (4, 3, "potential loyalist"),
    ],
)
def test_a_cell_has_the_published_name(r, f, name):
    assert RFM_GRID[r][f - 1] == name


def test_every_cell_is_reached_and_carries_its_name():
    r, f = (side.ravel() for side in np.meshgrid(range(1, 6), range(1, 6)))
    table = pd.DataFrame({"days_since_last": 60 - 10 * r, "n_purchases": f, "total_spend": 1.0})
    scored = RFMScores().fit_transform(table)
    assert (scored["r_score"] == r).all()
    assert (scored["f_score"] == f).all()
    assert scored["segment"].tolist() == [RFM_GRID[a][b - 1] for a, b in zip(r, f, strict=True)]


# RFM scores


def test_quintiles_hold_a_fifth_each_and_five_is_best(customers):
    scored = RFMScores().fit_transform(customers)
    assert list(scored.columns) == ["r_score", "f_score", "m_score", "segment"]
    for column in ("r_score", "f_score", "m_score"):
        assert scored[column].value_counts().to_dict() == dict.fromkeys((1, 2, 3, 4, 5), 20)
        assert scored[column].iloc[0] == 5
        assert scored[column].iloc[-1] == 1


def test_rows_align_and_the_input_is_untouched(customers):
    before = customers.copy(deep=True)
    shuffled = customers.sample(frac=1, random_state=0)
    rfm = RFMScores().fit(customers)
    scored = rfm.transform(shuffled)
    pd.testing.assert_index_equal(scored.index, shuffled.index)
    pd.testing.assert_frame_equal(scored.loc[customers.index], rfm.transform(customers))
    pd.testing.assert_frame_equal(scored.iloc[7:8], rfm.transform(shuffled.iloc[7:8]))
    pd.testing.assert_frame_equal(customers, before)


@pytest.mark.parametrize(
    ("n_purchases", "scores"),
    [
        ([1] * 95 + [2] * 5, {1, 5}),
        ([1] * 50 + [2] * 25 + [9] * 25, {1, 3, 5}),
        ([1] * 40 + [2] * 20 + [3] * 20 + [4] * 20, {1, 2, 4, 5}),
        ([1] * 20 + [2] * 80, {1, 5}),
        ([1] * 5 + [2] * 5 + [3] * 90, {1, 5}),
        ([3] * 100, {1}),
    ],
)
def test_one_and_five_are_both_given_however_many_ties(n_purchases, scores):
    table = pd.DataFrame({"days_since_last": 1, "n_purchases": n_purchases, "total_spend": 1.0})
    scored = RFMScores().fit_transform(table)
    assert set(scored["f_score"]) == scores
    assert (scored.groupby(table["n_purchases"])["f_score"].nunique() == 1).all()


def test_a_measure_without_spread_still_tells_a_better_newcomer():
    same = pd.DataFrame({"days_since_last": [5, 5], "n_purchases": [1, 1], "total_spend": [9.0, 9.0]})
    rfm = RFMScores().fit(same)
    assert rfm.transform(same).iloc[0].tolist() == [5, 1, 1, "new"]
    newcomer = pd.DataFrame({"days_since_last": [90], "n_purchases": [2], "total_spend": [10.0]})
    assert rfm.transform(newcomer).iloc[0].tolist() == [1, 5, 5, "can't lose"]


def test_an_array_is_read_in_contract_order(customers):
    named = RFMScores().fit_transform(customers)
    unnamed = RFMScores().fit_transform(customers.iloc[:, :3].to_numpy())
    assert named.to_numpy().tolist() == unnamed.to_numpy().tolist()


def test_names_seen_are_the_three_measures(customers):
    rfm = RFMScores().fit(customers)
    assert rfm.feature_names_in_.tolist() == ["days_since_last", "n_purchases", "total_spend"]
    assert rfm.n_features_in_ == 3
    assert rfm.get_feature_names_out().tolist() == ["r_score", "f_score", "m_score", "segment"]
    assert not hasattr(RFMScores().fit(customers.iloc[:, :3].to_numpy()), "feature_names_in_")


def test_set_output_keeps_the_table(customers):
    as_is = RFMScores().fit_transform(customers)
    pd.testing.assert_frame_equal(RFMScores().set_output(transform="pandas").fit_transform(customers), as_is)


def test_missing_columns_are_all_named_with_what_to_do(customers):
    other = customers.rename(columns={"days_since_last": "recency", "total_spend": "net"})
    with pytest.raises(
        ContractError,
        match=r"\['days_since_last', 'total_spend'\].*\['recency', 'n_purchases', 'net', 'region'\].*rename",
    ):
        RFMScores().fit(other)


def test_a_column_found_twice_is_refused(customers):
    with pytest.raises(ContractError, match=r"found twice: \['total_spend'\]"):
        RFMScores().fit(pd.concat([customers, customers[["total_spend"]]], axis=1))


# Other bins, other money, other grids


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 10])
def test_any_number_of_quantile_scores_divides_evenly(customers, n):
    scored = RFMScores(r=n, f=n, m=n).fit_transform(customers)
    for column in ("r_score", "f_score", "m_score"):
        counts = scored[column].value_counts()
        assert sorted(counts.index) == list(range(1, n + 1))
        assert counts.max() - counts.min() <= 1
    assert scored["segment"].iloc[0] == ("champions" if n > 1 else "hibernating")
    assert scored["segment"].iloc[-1] == "hibernating"


def test_stated_thresholds_count_the_edge_to_the_band_below():
    table = pd.DataFrame({"days_since_last": [30, 31, 90, 91], "n_purchases": [1, 2, 3, 4], "total_spend": 1.0})
    rfm = RFMScores(r=(30, 90), f=[1, 3]).fit(table)
    scored = rfm.transform(table)
    assert scored["r_score"].tolist() == [3, 2, 2, 1]
    assert scored["f_score"].tolist() == [1, 2, 2, 3]
    assert rfm.edges_["days_since_last"] == (30.0, 90.0)
    assert scored["segment"].tolist() == ["new", "need attention", "need attention", "can't lose"]


def test_bands_print_the_frozen_edges_and_count_everybody(customers):
    bands = RFMScores(r=(30, 90)).fit(customers).bands_
    assert bands.loc[bands["measure"] == "days_since_last", "range"].tolist() == ["≤ 30", "30 < … ≤ 90", "> 90"]
    assert (bands.groupby("measure")["customers"].sum() == len(customers)).all()
    assert RFMScores(m=1).fit(customers).bands_["range"].iloc[-1] == "all"


def test_what_money_means_is_recorded(customers):
    customers["net_margin"] = customers["total_spend"].to_numpy()[::-1]
    total, mean, margin = (
        RFMScores(monetary=name).fit(customers) for name in ("total_spend", "mean_spend", "net_margin")
    )
    assert total.transform(customers).attrs["monetary"] == "total_spend"
    assert list(margin.edges_) == ["days_since_last", "n_purchases", "net_margin"]
    assert margin.transform(customers)["m_score"].tolist() == total.transform(customers)["m_score"].tolist()[::-1]
    assert mean.edges_["mean_spend"] == (10.0,)
    with pytest.raises(ContractError, match=r"\['net_margin'\]"):
        RFMScores(monetary="net_margin").fit(customers.drop(columns="net_margin"))
    with pytest.raises(ContractError, match="not above 0 in 1 rows"):
        RFMScores(monetary="mean_spend").fit(customers.assign(n_purchases=range(100)))


def test_refunds_above_purchases_score_lowest(customers):
    customers.iloc[0, 2] = -500.0
    scored = RFMScores().fit_transform(customers)
    assert scored["m_score"].iloc[0] == 1
    assert scored["f_score"].iloc[0] == 5


SIDES = {"active": [(2, (1, 2))], "silent": [(1, 1)], "lost regulars": [(1, 2)]}


def test_a_users_grid_names_every_cell(customers):
    rfm = RFMScores(r=2, f=2, grid=SIDES).fit(customers)
    assert rfm.grid_.loc[2].tolist() == ["active", "active"]
    assert rfm.grid_.loc[1].tolist() == ["silent", "lost regulars"]
    assert set(rfm.transform(customers)["segment"]) == {"active", "silent"}


@pytest.mark.parametrize(
    ("grid", "match"),
    [
        ({"active": [(2, (1, 2))], "silent": [(1, 1)]}, r"1 cells \(r, f\) without a name: \(1, 2\)"),
        ({**SIDES, "late": [((1, 2), 2)]}, r"2 cells with several: \(1, 2\) is lost regulars and late, \(2, 2\) is"),
        ({**SIDES, "far": [(3, 1)]}, r"1 outside the grid: far: \(r, f\) = \(3, 1\)"),
        ({"active": [(2, 1)], "far": [(0, 5)]}, r"3 cells .* without.*outside"),
        ({"active": [2, 1]}, "give a list of blocks"),
        ({}, "4 cells"),
    ],
)
def test_gaps_and_overlaps_of_a_grid_are_told(customers, grid, match):
    with pytest.raises(ConfigError, match=match):
        RFMScores(r=2, f=2, grid=grid).fit(customers)


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"r": 0}, "r=0 must be 1 to 100"),
        ({"f": (3, 1)}, "thresholds that rise"),
        ({"m": (1, np.nan)}, "thresholds that rise"),
        ({"r": "five"}, "thresholds that rise"),
        ({"f": True}, "thresholds that rise"),
        ({"monetary": "profit"}, "is not one of"),
        ({"hysteresis": -1}, "must be 0 or more"),
    ],
)
def test_bins_that_make_no_scores_are_refused(customers, parameters, match):
    with pytest.raises(ConfigError, match=match):
        RFMScores(**parameters).fit(customers)


class TestEarlierScores:
    """Thresholds 30 and 90 days, a quarter of hysteresis: left beyond 37.5 and 112.5."""

    @pytest.mark.parametrize(
        ("days", "earlier", "score"),
        [
            (36, 3, 3),
            (38, 3, 2),
            (30, 2, 3),
            (112, 2, 2),
            (113, 2, 1),
            (113, 3, 1),
            (100, 3, 2),
            (20, 1, 3),
        ],
    )
    def test_a_score_is_left_only_well_beyond_its_band(self, days, earlier, score):
        rfm = RFMScores(r=(30, 90), f=1, m=1)
        table = pd.DataFrame({"days_since_last": [1, days], "n_purchases": 1, "total_spend": 1.0}, index=["a", "b"])
        previous = pd.DataFrame({"r_score": [earlier], "f_score": 1, "m_score": 1}, index=["b"])
        held = rfm.fit(table).transform(table, previous=previous)
        assert held["r_score"].tolist() == [3, score]
        assert held["segment"].iloc[1] == rfm.grid_.loc[score, 1]

    def test_who_did_not_change_keeps_all_scores(self, customers):
        rfm = RFMScores().fit(customers)
        scored = rfm.transform(customers)
        pd.testing.assert_frame_equal(
            rfm.transform(customers.sample(frac=1, random_state=1), previous=scored).loc[customers.index], scored
        )

    @pytest.mark.parametrize(
        ("previous", "match"),
        [
            (pd.Series(["champions"]), "must be a table"),
            (pd.DataFrame({"r_score": [9], "f_score": 1, "m_score": 1}, index=["c001"]), "beyond"),
            (pd.DataFrame({"r_score": [1], "f_score": 1, "m_score": 1}, index=["x"]), "No index label"),
            (pd.DataFrame({"r_score": [1, 1], "f_score": 1, "m_score": 1}, index=["c001"] * 2), "repeated"),
        ],
    )
    def test_scores_that_cannot_be_matched_are_refused(self, customers, previous, match):
        with pytest.raises(ContractError, match=match):
            RFMScores().fit(customers).transform(customers, previous=previous)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_missing_and_infinite_measures_are_counted(customers, bad):
    rfm = RFMScores().fit(customers)
    customers.iloc[:3, customers.columns.get_loc("total_spend")] = bad
    with pytest.raises(ContractError, match=r"total_spend: 3 of 100 values are missing"):
        rfm.transform(customers)


@pytest.mark.parametrize("shape", [(4, 2), (4,), (2, 2, 2)])
def test_an_array_of_another_shape_is_refused(shape):
    with pytest.raises(ContractError, match=r"features|dense table"):
        RFMScores().fit(np.ones(shape))


# Value tiers


def test_the_example_of_the_contract_works():
    customers = pd.DataFrame({"value": np.arange(100.0)[::-1]}, index=np.arange(100) + 7)
    customers["tier"] = ValueTiers(shares=(0.05, 0.15, 0.30, 0.50)).fit_transform(customers["value"])
    assert customers["tier"].tolist() == ["A"] * 5 + ["B"] * 15 + ["C"] * 30 + ["D"] * 50


def test_the_shape_in_is_the_shape_out():
    value = pd.Series([3.0, 1.0, 2.0, 0.0], index=list("wxyz"), name="value")
    tiers = ValueTiers(shares=(0.25, 0.75)).fit(value)
    as_series = tiers.transform(value)
    assert as_series.name == "tier"
    assert as_series.to_dict() == {"w": "A", "x": "B", "y": "B", "z": "B"}
    assert tiers.transform(value.to_frame()).tolist() == [["A"], ["B"], ["B"], ["B"]]
    assert tiers.transform(value.to_frame()).dtype == object
    with pytest.warns(UserWarning, match="valid feature names"):
        assert tiers.transform(value.to_numpy()).tolist() == ["A", "B", "B", "B"]
    as_table = tiers.set_output(transform="pandas").transform(value.to_frame())
    pd.testing.assert_frame_equal(as_table, as_series.to_frame())


@pytest.mark.parametrize("n", [1, 2, 3, 7, 20, 1000])
def test_no_tier_and_those_above_hold_more_than_their_shares(n):
    shares = (0.05, 0.15, 0.30, 0.50)
    tier = ValueTiers(shares).fit_transform(pd.Series(np.arange(float(n))))
    held = np.cumsum([(tier == name).sum() for name in "ABCD"])
    assert (held == np.floor(np.round(np.cumsum(shares) * n, 6))).all()


def test_shares_that_binary_fractions_cannot_hold_still_count_whole_customers():
    tier = ValueTiers(shares=(0.7, 0.2, 0.1)).fit_transform(pd.Series(np.arange(10.0)))
    assert tier.value_counts().to_dict() == {"A": 7, "B": 2, "C": 1}


def test_zeros_are_all_in_the_lowest_tier():
    value = pd.Series([0.0] * 95 + [5.0, 4.0, 3.0, 2.0, 1.0])
    tier = ValueTiers().fit_transform(value)
    assert set(tier[value == 0]) == {"D"}
    assert set(tier[value > 0]) == {"A"}


def test_a_customer_back_at_zero_leaves_its_tier_whatever_the_hysteresis():
    tiers = ValueTiers().fit(pd.Series([0.0] * 95 + [5.0, 4.0, 3.0, 2.0, 1.0]))
    assert tiers.transform(pd.Series([0.0]), previous=pd.Series(["A"])).tolist() == ["D"]


@pytest.mark.parametrize("values", [[7.0] * 12, [0.0] * 3, [4.2]])
def test_equal_values_and_one_customer_share_the_last_tier(values):
    assert set(ValueTiers().fit_transform(pd.Series(values))) == {"D"}


def test_one_tier_is_everybody():
    tiers = ValueTiers(shares=(1.0,), names=["all"])
    assert tiers.fit_transform(pd.Series([1.0, 2.0])).tolist() == ["all", "all"]
    assert tiers.thresholds_ == {}


def test_a_tie_at_a_threshold_goes_down_together():
    value = pd.Series([9.0, 5.0, 5.0, 5.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    tier = ValueTiers(shares=(0.2, 0.2, 0.6)).fit_transform(value)
    assert tier.tolist() == ["A"] + ["B"] * 3 + ["C"] * 6
    assert ValueTiers(shares=(0.2, 0.1, 0.7)).fit_transform(value).tolist() == ["A"] + ["C"] * 9


class TestHysteresis:
    """Thresholds 100 (A) and 50 (B); left at or below 90 and 45."""

    @pytest.fixture
    def tiers(self) -> ValueTiers:
        value = pd.Series([200.0, 100.0, 60.0, 50.0, 10.0])
        tiers = ValueTiers(shares=(0.2, 0.4, 0.4)).fit(value)
        assert tiers.thresholds_ == {"A": 100.0, "B": 50.0}
        return tiers

    @pytest.mark.parametrize(
        ("value", "earlier", "tier"),
        [
            (95.0, "A", "A"),
            (95.0, "B", "B"),
            (90.0, "A", "B"),
            (101.0, "B", "A"),
            (101.0, "C", "A"),
            (47.0, "A", "B"),
            (47.0, "B", "B"),
            (47.0, "C", "C"),
            (45.0, "B", "C"),
            (0.0, "A", "C"),
        ],
    )
    def test_falls_only_below_the_leaving_threshold_and_rises_at_once(self, tiers, value, earlier, tier):
        assert tiers.transform(pd.Series([value]), previous=pd.Series([earlier])).tolist() == [tier]

    def test_earlier_tiers_are_aligned_by_index_and_newcomers_enter_where_they_stand(self, tiers):
        value = pd.Series([95.0, 95.0, 95.0, 95.0], index=list("abcd"))
        previous = pd.Series({"z": "C", "c": "A", "a": "C", "d": None})
        assert tiers.transform(value, previous=previous).to_dict() == {"a": "B", "b": "B", "c": "A", "d": "B"}

    def test_no_earlier_tier_at_all_is_a_first_run(self, tiers):
        value = pd.Series([95.0, 101.0])
        for previous in (pd.Series([None, None]), pd.Series([], dtype=object)):
            assert tiers.transform(value, previous=previous).tolist() == ["B", "A"]

    def test_a_categorical_of_earlier_tiers_and_a_table_are_fine(self, tiers):
        table = pd.DataFrame({"value": [95.0]}, index=["a"])
        previous = pd.Series(["A"], index=["a"], dtype="category")
        assert ValueTiers((0.2, 0.4, 0.4)).fit(pd.DataFrame({"value": [200.0, 100, 60, 50, 10]})).transform(
            table, previous=previous
        ).tolist() == [["A"]]

    def test_none_keeps_nobody(self, tiers):
        value, previous = pd.Series([95.0, 47.0]), pd.Series(["A", "B"])
        tiers.set_params(hysteresis=0.0)
        assert tiers.transform(value, previous=previous).equals(tiers.transform(value))

    def test_negative_thresholds_are_left_further_down(self):
        tiers = ValueTiers(shares=(0.5, 0.5)).fit(pd.Series([-10.0, -20.0]))
        value = pd.Series([-21.0, -23.0])
        assert tiers.transform(value, previous=pd.Series(["A", "A"])).tolist() == ["A", "B"]

    @pytest.mark.parametrize(
        ("previous", "match"),
        [
            (["A"], "is a list"),
            (pd.Series(["gold"]), r"do not exist here: \['gold'\].*\['A', 'B', 'C'\]"),
            (pd.Series(["A", "B"], index=[0, 0]), "1 repeated index labels"),
            (pd.Series(["A"], index=["c001"]), "No index label of previous is in X"),
        ],
    )
    def test_earlier_tiers_that_cannot_be_matched_are_refused(self, tiers, previous, match):
        with pytest.raises(ContractError, match=match):
            tiers.transform(pd.Series([95.0]), previous=previous)


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"shares": (0.5, 0.4)}, "sum to 1, their sum is 0.9"),
        ({"shares": (1.5, -0.5)}, "shares must be positive"),
        ({"shares": (0.5, np.nan)}, "shares must be positive.*sum is nan"),
        ({"shares": ()}, "sum is 0"),
        ({"names": ("gold", "silver")}, "2 names for 4 shares"),
        ({"names": ("a", "a", "b", "c")}, "names must differ"),
        ({"hysteresis": 1.0}, r"hysteresis must be in \[0, 1\), got 1.0"),
        ({"shares": (0.5, 0.4), "hysteresis": -0.1}, "sum to 1.*hysteresis"),
        ({"shares": (1 / 30,) * 30}, "26 names for 30 shares"),
    ],
)
def test_parameters_that_make_no_tiers_are_refused_at_fit(parameters, match):
    tiers = ValueTiers(**parameters)
    with pytest.raises(ConfigError, match=match):
        tiers.fit(pd.Series([1.0, 2.0]))


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (pd.Series([1.0, np.nan, np.nan], name="value"), "value: 2 of 3 values are missing"),
        (pd.Series([1, None, 3], dtype="Int64", name="value"), "value: 1 of 3 values are missing"),
        (pd.Series([1.0, np.inf]), "1 of 2 values are missing .* infinite"),
        (pd.Series(["1", "2"], name="value"), "value is .*, not numbers"),
        (pd.Series(pd.to_datetime(["2017-01-01"]), name="day"), "day is datetime64.*, not numbers"),
        (pd.Series([], dtype=float), r"0 sample\(s\)"),
        (pd.DataFrame({"a": [1.0], "b": [2.0]}), "X has 2 features.*customers"),
    ],
)
def test_values_that_cannot_be_ranked_are_refused(values, match):
    with pytest.raises(ContractError, match=match):
        ValueTiers().fit(values)


def test_a_table_with_another_column_is_refused_a_series_is_not():
    tiers = ValueTiers().fit(pd.DataFrame({"value": [1.0, 2.0]}))
    assert tiers.feature_names_in_.tolist() == ["value"]
    assert tiers.transform(pd.Series([1.0], name="expected_value")).tolist() == ["D"]
    with pytest.raises(ContractError, match="feature names should match"):
        tiers.transform(pd.DataFrame({"total_spend": [1.0]}))


def test_nobody_today_is_an_empty_answer():
    tiers = ValueTiers().fit(pd.Series([1.0, 2.0]))
    assert tiers.transform(pd.Series([], dtype=float)).empty
    assert tiers.transform(pd.Series([], dtype=float), previous=pd.Series(["A"])).empty


# Tiers by share of value, by stated money, by natural classes


@pytest.mark.parametrize(
    ("values", "tiers"),
    [
        ([70.0, 20, 6, 3, 1, 0], "AABCCC"),
        ([100.0, 0, 0, -40], "ACCC"),
        ([100.0, -500], "AC"),
        ([25.0] * 4, "AAAA"),
        ([9.0], "A"),
        ([40.0, 40, 20], "AAB"),
    ],
)
def test_abc_tiers_are_the_fewest_best_who_carry_the_share(values, tiers):
    assert "".join(ValueTiers((0.80, 0.15, 0.05), of="value").fit_transform(pd.Series(values))) == tiers


def test_shares_of_no_value_are_refused():
    with pytest.raises(ContractError, match="sum to 0"):
        ValueTiers(of="value").fit(pd.Series([0.0, -5.0]))


def test_stated_money_is_reached_and_left_below_the_lower_one():
    tiers = ValueTiers(thresholds=(1000, 100), names=("gold", "silver", "standard")).fit(pd.Series([1.0]))
    value = pd.Series([1000.0, 999.99, 900.0, 899.99, 100.0, 99.99])
    assert tiers.transform(value).tolist() == ["gold", *["silver"] * 4, "standard"]
    held = tiers.transform(value, previous=pd.Series(["gold"] * 6))
    assert held.tolist() == ["gold", "gold", "gold", "silver", "silver", "silver"]
    tiers.set_params(hysteresis=0.0)
    assert tiers.transform(value, previous=pd.Series(["gold"] * 6)).equals(tiers.transform(value))


def test_natural_classes_split_where_the_logarithm_has_gaps():
    value = pd.Series([1.0, 1.1, 1.2, 30, 33, 35, 1000, 1100, 0.9])
    tiers = ValueTiers(clusters=3).fit(value)
    assert tiers.thresholds_ == {"A": 1000.0, "B": 30.0}
    assert (tiers.transform(value) == "A").sum() == 2
    assert ValueTiers(clusters=3).fit_transform(value * 1000).tolist() == tiers.transform(value).tolist()


def test_natural_classes_are_the_best_of_all_partitions():
    rng = np.random.default_rng(3)
    values = np.sort(rng.gamma(1.0, 50.0, 24))
    logs = log_scaled(values, log_unit(values))

    def within(cuts):
        return sum(((part - part.mean()) ** 2).sum() for part in np.split(logs, cuts))

    best = min(combinations(range(1, 24), 3), key=within)
    assert natural_breaks(values, 4).tolist() == values[list(best)][::-1].tolist()


@pytest.mark.parametrize("values", [[5.0], [5.0] * 9, [0.0] * 9])
def test_natural_classes_of_equal_customers_are_one(values):
    assert set(ValueTiers(clusters=4).fit_transform(pd.Series(values))) == {"D"}
    assert set(ValueTiers(clusters=4).fit_transform(pd.Series([*values, 1e6]))) == {"A", "D"}


def test_natural_classes_of_many_values_are_nearly_those_of_k_means():
    values = np.random.default_rng(0).lognormal(4, 1.5, 20_000)
    logs = log_scaled(values, log_unit(values))[:, None]
    ours = pd.factorize(ValueTiers(clusters=4).fit_transform(pd.Series(values)))[0]
    cost = sum(((logs[ours == code] - logs[ours == code].mean()) ** 2).sum() for code in range(4))
    assert cost <= KMeans(4, n_init=5, random_state=0).fit(logs).inertia_ * 1.0005


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"of": "money"}, "of must be one of"),
        ({"thresholds": (1, 2)}, "thresholds must fall"),
        ({"thresholds": (np.inf,)}, "thresholds must fall"),
        ({"clusters": 1}, "clusters must be a whole number"),
        ({"clusters": 2.5}, "clusters must be a whole number"),
        ({"clusters": 3, "thresholds": (5,)}, "not both"),
        ({"thresholds": (5, 1), "names": ("a", "b")}, "2 names for 3 tiers"),
    ],
)
def test_other_ways_to_tiers_are_checked(parameters, match):
    with pytest.raises(ConfigError, match=match):
        ValueTiers(**parameters).fit(pd.Series([1.0, 2.0]))


def test_past_and_expected_stand_side_by_side():
    past = pd.Series([100.0, 50, 10, 1], index=list("abcd"))
    ahead = pd.Series([1.0, 60, 5, 90], index=list("dcba"))
    table = past_and_expected(past, ahead, ValueTiers((0.25, 0.25, 0.5)))
    assert table.loc["a"].tolist() == [100.0, "A", 90.0, "A", "steady"]
    assert table.loc["b", "move"] == "falling"
    assert table.loc["c", "move"] == "rising"
    with pytest.raises(ContractError, match="4 customers, expected 5"):
        past_and_expected(past, pd.concat([ahead, pd.Series({"e": 1.0})]))
    with pytest.raises(ContractError, match="the same ones"):
        past_and_expected(past, ahead.iloc[:3])


@pytest.mark.parametrize("model", [RFMScores(), ValueTiers(), ValueTiers(clusters=4)], ids=repr)
def test_a_million_are_scored_in_seconds(model):
    rng = np.random.default_rng(0)
    n = 1_000_000
    table = pd.DataFrame(
        {
            "days_since_last": rng.integers(0, 730, n),
            "n_purchases": rng.geometric(0.5, n),
            "total_spend": rng.gamma(1, 50, n),
        }
    )
    X = table if isinstance(model, RFMScores) else table["total_spend"]
    model = clone(model).fit(X.iloc[:50_000])
    start = time.perf_counter()
    model.transform(X)
    assert time.perf_counter() - start < 5


# Both, as scikit-learn objects (what the checks above cannot see for want of three, or of one, columns)


@pytest.fixture(params=["RFMScores", "ValueTiers"])
def case(request, customers):
    return (RFMScores(), customers) if request.param == "RFMScores" else (ValueTiers(), customers[["total_spend"]])


def test_unfitted_says_so(case):
    transformer, table = case
    with pytest.raises(NotFittedError):
        transformer.transform(table)
    with pytest.raises(NotFittedError):
        transformer.get_feature_names_out()


def test_fit_returns_self_stores_no_parameter_and_repeats(case):
    transformer, table = case
    parameters = transformer.get_params()
    assert transformer.fit(table) is transformer
    assert transformer.get_params() == parameters
    first = np.asarray(transformer.transform(table)).tolist()
    assert np.asarray(transformer.fit(table).transform(table)).tolist() == first
    assert np.asarray(clone(transformer).fit_transform(table)).tolist() == first
    assert np.asarray(pickle.loads(pickle.dumps(transformer)).transform(table)).tolist() == first  # noqa: S301
    assert np.asarray(make_pipeline(FunctionTransformer(), transformer).fit_transform(table)).tolist() == first


# Concentration


def test_concentration_of_cdnow():
    """CDNOW master data: 23,570 customers, 69,659 lines, 2.5 M USD."""
    if (spec := importlib.util.find_spec("lifetimes")) is None:
        pytest.skip("needs the CDNOW file that the lifetimes package carries")
    file = Path(spec.submodule_search_locations[0]) / "datasets" / "CDNOW_master.txt"
    lines = pd.read_csv(file, sep=r"\s+", skiprows=1, names=["customer_id", "day", "items", "amount"], dtype={0: str})
    assert len(lines) == 69_659
    table = concentration(lines.groupby("customer_id")["amount"].sum())
    assert table["share_of_customers"].tolist() == [0.01, 0.05, 0.10, 0.20, 0.50]
    assert table["share_of_value"].round(2).tolist() == [0.16, 0.37, 0.51, 0.68, 0.90]


def test_equal_customers_hold_their_share():
    table = concentration(np.ones(7), at=(0.1, 0.25, 1.0))
    np.testing.assert_allclose(table["share_of_value"], [0.1, 0.25, 1.0])


def test_refunds_may_lower_the_total_not_remove_it():
    assert concentration([10.0, -2.0], at=(0.5,))["share_of_value"].tolist() == [1.25]
    with pytest.raises(ContractError, match="sum to -1"):
        concentration([1.0, -2.0])


@pytest.mark.parametrize(
    ("values", "at", "error", "match"),
    [
        ([1.0, np.nan], (0.5,), ContractError, "values: 1 of 2"),
        ([], (0.5,), ContractError, "sum to 0"),
        ([0.0, 0.0], (0.5,), ContractError, "sum to 0"),
        ([[1.0], [2.0]], (0.5,), ContractError, r"shape \(2, 1\)"),
        ([1.0], (5,), ConfigError, "For 5 % write .05"),
    ],
)
def test_concentration_refuses(values, at, error, match):
    with pytest.raises(error, match=match):
        concentration(values, at=at)
