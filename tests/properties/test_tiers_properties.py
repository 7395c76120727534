"""What no table of customers may break: order, copies, strangers, currency, and labels that stay put."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from crmkit.segments.migration import migration
from crmkit.segments.rfm import RFMScores
from crmkit.segments.tiers import ValueTiers, concentration

amounts = st.one_of(st.integers(0, 6).map(float), st.floats(0, 1e6, allow_nan=False).map(lambda x: round(x, 2)))
values = st.lists(amounts, min_size=1, max_size=60).map(lambda rows: pd.Series(rows, dtype=float, name="value"))
tables = st.lists(st.tuples(st.integers(0, 400), st.integers(1, 12), amounts), min_size=1, max_size=60).map(
    lambda rows: pd.DataFrame(rows, columns=["days_since_last", "n_purchases", "total_spend"])
)
shares = st.lists(st.integers(1, 20), min_size=1, max_size=6).map(lambda parts: tuple(np.array(parts) / sum(parts)))
letters = st.sampled_from("ABCD")


# RFM scores


@given(tables, st.randoms(use_true_random=False))
def test_scores_do_not_depend_on_the_order_of_rows(table, random):
    shuffled = table.iloc[random.sample(range(len(table)), len(table))]
    pd.testing.assert_frame_equal(RFMScores().fit_transform(shuffled).sort_index(), RFMScores().fit_transform(table))


@given(tables, st.integers(2, 4))
def test_scores_do_not_change_when_every_customer_is_repeated(table, times):
    repeated = RFMScores().fit(pd.concat([table] * times))
    pd.testing.assert_frame_equal(repeated.transform(table), RFMScores().fit_transform(table))


@given(tables, st.data())
def test_an_equal_copy_gets_the_same_scores_and_changes_nobody(table, data):
    rfm = RFMScores().fit(table)
    copied = data.draw(st.integers(0, len(table) - 1))
    with_copy = rfm.transform(pd.concat([table, table.iloc[[copied]]], ignore_index=True))
    assert with_copy.iloc[-1].tolist() == with_copy.iloc[copied].tolist()
    pd.testing.assert_frame_equal(with_copy.iloc[:-1], rfm.transform(table))


@given(tables, tables)
def test_better_measures_never_score_lower_and_nothing_is_missing(fitted, table):
    scored = RFMScores().fit(fitted).transform(table)
    assert scored.notna().all(axis=None)
    for measure, score, sign in [("days_since_last", "r", -1), ("n_purchases", "f", 1), ("total_spend", "m", 1)]:
        ordered = scored[f"{score}_score"].iloc[np.argsort(sign * table[measure].to_numpy(), kind="stable")]
        assert ordered.is_monotonic_increasing
        assert ordered.between(1, 5).all()


@given(tables)
def test_one_and_five_are_given_wherever_a_measure_varies(table):
    scored = RFMScores().fit_transform(table)
    for measure, score in [("days_since_last", "r"), ("n_purchases", "f"), ("total_spend", "m")]:
        if table[measure].nunique() > 1:
            assert {1, 5} <= set(scored[f"{score}_score"])


# Value tiers


@given(values, shares, st.randoms(use_true_random=False))
def test_tiers_do_not_depend_on_the_order_of_rows(value, shares, random):
    shuffled = value.iloc[random.sample(range(len(value)), len(value))]
    tiers = ValueTiers(shares)
    pd.testing.assert_series_equal(tiers.fit_transform(shuffled).sort_index(), tiers.fit_transform(value))


@given(values, shares)
def test_a_higher_value_is_never_in_a_lower_tier_and_equal_ones_share(value, shares):
    tier = ValueTiers(shares).fit_transform(value)
    assert tier[value.sort_values(ascending=False).index].is_monotonic_increasing
    assert (tier.groupby(value).nunique() == 1).all()


@given(values, shares)
def test_the_first_tiers_never_hold_more_than_their_shares(value, shares):
    tier = ValueTiers(shares).fit_transform(value)
    for name, share in zip("ABCDEF", np.cumsum(shares), strict=False):
        assert (tier <= name).sum() <= share * len(value) + 1e-6


@given(values, st.data())
def test_an_equal_copy_shares_the_tier_and_changes_nobody(value, data):
    tiers = ValueTiers().fit(value)
    copied = data.draw(st.integers(0, len(value) - 1))
    with_copy = tiers.transform(pd.concat([value, value.iloc[[copied]]], ignore_index=True))
    assert with_copy.iloc[-1] == with_copy.iloc[copied]
    assert with_copy.iloc[:-1].tolist() == tiers.transform(value).tolist()


@given(values, st.sampled_from([0.25, 8.0, 1024.0]))
def test_the_currency_does_not_matter(value, rate):
    assert ValueTiers().fit_transform(value).tolist() == ValueTiers().fit_transform(value * rate).tolist()


@given(values, values, st.floats(0, 0.99))
def test_who_did_not_change_keeps_the_label_whoever_joins(value, strangers, hysteresis):
    tiers = ValueTiers(hysteresis=hysteresis).fit(value)
    earlier = tiers.transform(value)
    joined = pd.concat([value, strangers], ignore_index=True)
    assert tiers.transform(joined).iloc[: len(value)].tolist() == earlier.tolist()
    assert tiers.transform(joined, previous=earlier).iloc[: len(value)].tolist() == earlier.tolist()


@given(values, st.lists(letters, min_size=60, max_size=60), st.floats(0, 0.99))
def test_hysteresis_only_ever_keeps_a_better_tier(value, earlier, hysteresis):
    tiers = ValueTiers(hysteresis=hysteresis).fit(value)
    previous = pd.Series(earlier[: len(value)])
    plain, held = tiers.transform(value), tiers.transform(value, previous=previous)
    assert (held <= plain).all()
    assert ((held == plain) | (held >= previous)).all()
    assert tiers.transform(value, previous=held).equals(held)


# Concentration


@given(values.filter(lambda value: value.sum() > 0), st.lists(st.floats(0.01, 1), min_size=2, max_size=5))
def test_concentration_is_a_concave_curve_above_the_diagonal(value, at):
    at = sorted([*at, 1.0])
    held = concentration(value, at=at)["share_of_value"].to_numpy()
    assert (held >= np.array(at) - 1e-9).all()
    assert (np.diff(held) >= -1e-9).all()
    assert held[-1] == 1


# Migration


customers = st.dictionaries(
    st.integers(0, 30).map(str), st.tuples(letters, amounts, st.integers(0, 400)), min_size=0, max_size=25
).map(
    lambda rows: pd.DataFrame(
        [(who, *cells) for who, cells in rows.items()], columns=["customer_id", "tier", "value", "days_since_last"]
    ).astype({"customer_id": object, "tier": object, "value": float, "days_since_last": int})
)


@given(customers, customers, st.lists(st.integers(0, 30).map(str), unique=True), st.booleans())
def test_everybody_is_in_one_cell_whatever_moved(before, after, earlier, silent):
    days = {"frozen_after": 60, "lapsed_after": 200} if silent else {}
    moved = migration(before, after, earlier=earlier, order="ABCD", **days)
    known = set(before["customer_id"]) | set(after["customer_id"])
    assert set(moved.customers["customer_id"]) == known
    assert int(moved.counts.to_numpy().sum()) == len(known) == int(moved.moves["customers"].sum())
    change = after["value"].sum() - before["value"].sum()
    assert abs(moved.money.to_numpy().sum() - change) <= 1e-6 * (1 + after["value"].sum() + before["value"].sum())
    assert moved.row_shares.to_numpy().max(initial=0) <= 1
    assert (moved.changes["reason"] != "").all()
    assert moved.customers.notna().all(axis=None)


@given(customers)
def test_nothing_moves_between_a_day_and_itself(table):
    moved = migration(table, table, order="ABCD")
    assert set(moved.customers["move"]) <= {"same"}
    assert moved.changes.empty


@given(tables, st.floats(0, 3))
def test_scores_held_are_never_below_those_of_the_day_and_settle_at_once(table, hysteresis):
    rfm = RFMScores(hysteresis=hysteresis).fit(table)
    earlier = rfm.transform(table.iloc[::-1].reset_index(drop=True))
    plain, held = rfm.transform(table), rfm.transform(table, previous=earlier)
    for score in ("r_score", "f_score", "m_score"):
        assert (held[score] >= plain[score]).all()
        assert (held[score] <= np.maximum(plain[score], earlier[score])).all()
    pd.testing.assert_frame_equal(rfm.transform(table, previous=held), held)


@given(values.filter(lambda value: value.max() > 0), shares)
def test_abc_tiers_hold_their_share_with_the_fewest_customers(value, shares):
    tier = ValueTiers(shares, of="value").fit_transform(value)
    for name, share in zip("ABCDEF", np.cumsum(shares)[:-1], strict=False):
        best = value[tier <= name]
        assert best.sum() >= share * value.sum() * (1 - 1e-9)
        assert best[best > best.min()].sum() < share * value.sum() * (1 + 1e-9)


@given(values, st.integers(2, 5), st.sampled_from([0.25, 8.0, 1024.0]))
def test_natural_classes_are_ordered_and_do_not_know_the_currency(value, n, rate):
    tier = ValueTiers(clusters=n).fit_transform(value)
    assert tier[value.sort_values(ascending=False).index].is_monotonic_increasing
    assert (tier.groupby(value).nunique() == 1).all()
    assert ValueTiers(clusters=n).fit_transform(value * rate).tolist() == tier.tolist()
