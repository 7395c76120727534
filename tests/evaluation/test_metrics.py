"""Every score against scikit-learn or a sum done by hand, at its extremes, and refusing what it cannot score."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics
from sklearn.calibration import calibration_curve

from crmkit.evaluation import metrics
from crmkit.exceptions import ConfigError, ContractError, ModelError

BINARY_SCORES = [
    metrics.log_loss,
    metrics.brier_score,
    metrics.calibration_error,
    metrics.roc_auc,
    metrics.average_precision,
    metrics.top_decile_lift,
]
AMOUNT_SCORES = [metrics.mean_absolute_error, metrics.bias_of_total, metrics.correlation]
PROBABILITY_SCORES = BINARY_SCORES[:3]


@pytest.fixture(params=["distinct", "tied", "extreme"])
def sample(request):
    rng = np.random.default_rng(7)
    p = rng.random(5_000)
    if request.param == "tied":
        p = p.round(1)
    if request.param == "extreme":
        p = np.where(p < 0.1, 0.0, np.where(p > 0.9, 1.0, p))
    return (rng.random(5_000) < p**1.3).astype(float), p


# Against scikit-learn


def test_probability_scores_agree_with_scikit_learn(sample):
    y, p = sample
    assert metrics.log_loss(y, p) == pytest.approx(sklearn_metrics.log_loss(y, p), rel=1e-12)
    assert metrics.brier_score(y, p) == pytest.approx(sklearn_metrics.brier_score_loss(y, p), rel=1e-12)


def test_rankings_agree_with_scikit_learn(sample):
    y, p = sample
    assert metrics.roc_auc(y, p) == pytest.approx(sklearn_metrics.roc_auc_score(y, p), rel=1e-12)
    assert metrics.average_precision(y, p) == pytest.approx(sklearn_metrics.average_precision_score(y, p), rel=1e-12)
    assert metrics.roc_auc(y, 100 * p - 7) == pytest.approx(metrics.roc_auc(y, p), rel=1e-12)


def test_amounts_agree_with_scikit_learn_and_numpy(sample):
    _, p = sample
    y = np.random.default_rng(1).poisson(3 * p)
    assert metrics.mean_absolute_error(y, p) == pytest.approx(sklearn_metrics.mean_absolute_error(y, p), rel=1e-12)
    assert metrics.correlation(y, p) == pytest.approx(np.corrcoef(y, p)[0, 1], rel=1e-12)


def test_reliability_agrees_with_scikit_learn_where_nothing_is_tied():
    rng = np.random.default_rng(3)
    p = rng.random(1_000)
    y = rng.random(1_000) < p
    observed, predicted = calibration_curve(y, p, n_bins=10, strategy="quantile")
    table = metrics.reliability_table(y, p)
    np.testing.assert_allclose(table["observed_rate"], observed, rtol=1e-12)
    np.testing.assert_allclose(table["mean_predicted"], predicted, rtol=1e-12)
    assert table["count"].tolist() == [100] * 10
    assert metrics.calibration_error(y, p) == pytest.approx(np.mean(np.abs(observed - predicted)), rel=1e-12)


def test_lists_agree_with_a_loop_over_groups():
    rng = np.random.default_rng(5)
    groups, p = rng.integers(0, 40, 600), rng.random(600).round(1)
    y = (rng.random(600) < p / 3).astype(float)
    recall, precision = [], []
    for group in np.unique(groups):
        mine = groups == group
        if y[mine].sum():
            best = y[mine][np.argsort(-p[mine], kind="stable")][:5].sum()
            recall.append(best / y[mine].sum())
            precision.append(best / 5)
    assert len(recall) < 40
    assert metrics.recall_at_k(groups, y, p, 5) == pytest.approx(np.mean(recall), rel=1e-12)
    assert metrics.precision_at_k(groups, y, p, 5) == pytest.approx(np.mean(precision), rel=1e-12)


# By hand, and at the extremes


def test_certain_and_right_costs_nothing_certain_and_wrong_36_nats():
    assert metrics.log_loss([0, 1], [0, 1]) == pytest.approx(0, abs=1e-15)
    assert metrics.log_loss([1], [0.0]) == pytest.approx(-np.log(np.finfo(float).eps))
    assert metrics.log_loss([0], [1.0]) == pytest.approx(36.04, abs=0.01)
    assert metrics.brier_score([0, 1], [1, 0]) == 1


def test_one_probability_for_all_ranks_nobody():
    y, p = [1, 0, 0, 0, 1], [0.4] * 5
    assert metrics.roc_auc(y, p) == 0.5
    assert metrics.average_precision(y, p) == pytest.approx(0.4)
    assert metrics.top_decile_lift(y, p) == pytest.approx(1)
    assert metrics.calibration_error(y, p) == pytest.approx(0, abs=1e-15)
    assert metrics.calibration_error(y, [0.9] * 5, n_bins=3) == pytest.approx(0.5)


def test_a_perfect_ranking_and_its_reverse():
    y, p = np.array([0, 0, 0, 1, 1]), np.arange(5) / 10
    assert metrics.roc_auc(y, p) == 1
    assert metrics.roc_auc(y, -p) == 0
    assert metrics.average_precision(y, p) == 1
    assert metrics.lift_at(y, p, 0.4) == pytest.approx(2.5)
    assert metrics.lift_at(y, -p, 0.6) == 0
    assert metrics.lift_at(y, p, 1) == 1


def test_lift_of_a_list_that_ends_inside_a_row_or_a_tie():
    assert metrics.lift_at([1, 0, 0], [0.9, 0.5, 0.1], 0.1) == pytest.approx(3)
    assert metrics.lift_at([1, 0, 0, 0], [0.9, 0.9, 0.5, 0.1], 0.25) == pytest.approx(2)


def test_lift_of_amounts():
    assert metrics.lift_at([30.0, 5.0, 5.0, 0.0], [4, 3, 2, 1], 0.25) == pytest.approx(3)


def test_bins_differ_by_one_row_and_few_rows_are_a_bin_each():
    y, p = np.zeros(23), np.linspace(0, 1, 23)
    count = metrics.reliability_table(y, p)["count"]
    assert count.sum() == 23
    assert set(count.tolist()) == {2, 3}
    few = metrics.reliability_table([0, 1], [0.2, 0.9])
    assert few["mean_predicted"].tolist() == pytest.approx([0.2, 0.9])
    assert few["observed_rate"].tolist() == [0, 1]


def test_bins_weigh_in_calibration_by_their_rows():
    assert metrics.calibration_error([0, 0, 1], [0.1, 0.5, 0.9], n_bins=2) == pytest.approx((0.1 + 2 * 0.2) / 3)


def test_a_tie_across_a_bin_boundary_is_shared_out():
    table = metrics.reliability_table([1, 1, 0, 0], [0.5] * 4, n_bins=2)
    assert table["observed_rate"].tolist() == [0.5, 0.5]


def test_lists_shorter_than_k_still_divide_by_k():
    groups, y, p = ["ann", "ann", "bob"], [1, 0, 1], [0.3, 0.2, 0.9]
    assert metrics.recall_at_k(groups, y, p, 10) == 1
    assert metrics.precision_at_k(groups, y, p, 10) == pytest.approx(0.1)


def test_equal_scores_are_listed_in_row_order():
    assert metrics.recall_at_k([1, 1, 1], [1, 0, 0], [0.5, 0.5, 0.5], 1) == 1
    assert metrics.recall_at_k([1, 1, 1], [0, 0, 1], [0.5, 0.5, 0.5], 1) == 0


def test_bias_of_total_has_a_sign():
    assert metrics.bias_of_total([10, 10], [11, 13]) == pytest.approx(0.2)
    assert metrics.bias_of_total([10, 10], [5, 5]) == pytest.approx(-0.5)


binary_rows = st.lists(st.tuples(st.booleans(), st.integers(0, 20).map(lambda x: x / 20)), min_size=2, max_size=50)


@pytest.mark.parametrize("score", BINARY_SCORES, ids=lambda score: score.__name__)
@given(rows=binary_rows.filter(lambda rows: len({y for y, _ in rows}) == 2), random=st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(score, rows, random):
    shuffled = random.sample(rows, len(rows))
    assert score(*zip(*rows, strict=True)) == pytest.approx(score(*zip(*shuffled, strict=True)), rel=1e-9, abs=1e-12)


# Uncertainty


def test_the_interval_of_a_mean_is_the_textbook_one():
    rng = np.random.default_rng(11)
    y, p = rng.random(4_000), np.zeros(4_000)
    estimate, low, high = metrics.bootstrap_interval(metrics.mean_absolute_error, y, p, n=1_000)
    half = 1.96 * y.std() / np.sqrt(4_000)
    assert estimate == pytest.approx(y.mean())
    assert high - estimate == pytest.approx(half, rel=0.1)
    assert estimate - low == pytest.approx(half, rel=0.1)


def test_rows_of_one_customer_are_drawn_together():
    rng = np.random.default_rng(13)
    y = np.repeat(rng.random(50), 40)
    p, groups = np.zeros(2_000), np.repeat([f"c{i}" for i in range(50)], 40)
    by_row = metrics.bootstrap_interval(metrics.mean_absolute_error, y, p, n=400)
    mixed = rng.permutation(2_000)
    by_group = metrics.bootstrap_interval(metrics.mean_absolute_error, y[mixed], p, groups[mixed], n=400)
    assert (by_group.high - by_group.low) / (by_row.high - by_row.low) == pytest.approx(np.sqrt(40), rel=0.2)


def test_groups_of_several_sizes_are_drawn_whole():
    groups = np.array([3, 1, 3, 3, 2, 1])
    seen = []

    def witness(y, p):
        seen.append(y)
        return 0.0

    metrics.bootstrap_interval(witness, np.arange(6), np.zeros(6), groups, n=50)
    blocks = {1: [1, 5], 2: [4], 3: [0, 2, 3]}
    for draw in seen[1:]:
        counts = np.bincount(draw.astype(int), minlength=6)
        assert all(len(set(counts[rows])) == 1 for rows in blocks.values())
        assert sum(counts[rows[0]] for rows in blocks.values()) == 3


def test_the_seed_decides_and_the_level_widens(sample):
    y, p = sample
    first = metrics.bootstrap_interval(metrics.roc_auc, y, p, n=50)
    assert metrics.bootstrap_interval(metrics.roc_auc, y, p, n=50) == first
    assert metrics.bootstrap_interval(metrics.roc_auc, y, p, n=50, seed=1) != first
    narrow = metrics.bootstrap_interval(metrics.roc_auc, y, p, n=50, level=0.5)
    assert first.low < narrow.low < first.estimate < narrow.high < first.high
    assert str(narrow).startswith(f"{first.estimate:.4g} (")


def test_a_paired_difference_is_sharper_than_two_intervals():
    rng = np.random.default_rng(17)
    q = rng.random(2_000)
    y = (rng.random(2_000) < q).astype(float)
    p = np.clip(q + rng.normal(0, 0.02, 2_000), 0, 1)
    difference = metrics.paired_difference(metrics.brier_score, y, p, q)
    alone = metrics.bootstrap_interval(metrics.brier_score, y, p)
    assert difference.estimate == pytest.approx(metrics.brier_score(y, p) - metrics.brier_score(y, q))
    assert difference.high - difference.low < 0.2 * (alone.high - alone.low)
    assert metrics.paired_difference(metrics.brier_score, y, p, p) == (0, 0, 0)


def test_draws_of_one_class_are_left_out_until_too_few_remain():
    interval = metrics.bootstrap_interval(metrics.roc_auc, [0, 0, 0, 1, 1], [0.1, 0.2, 0.5, 0.4, 0.9])
    assert 0 <= interval.low <= interval.estimate <= interval.high <= 1

    def needs_every_row(y, p):
        if np.unique(y).size < 4:
            raise ModelError("a row is absent")
        return 0.0

    with pytest.raises(ModelError, match=r"is defined in only [1-9]\d* of 200 draws"):
        metrics.bootstrap_interval(needs_every_row, np.arange(4), np.zeros(4))


@pytest.mark.parametrize("bad", [{"n": 0}, {"level": 1.0}, {"level": 95}])
def test_a_bootstrap_that_makes_no_sense_is_refused(bad):
    with pytest.raises(ConfigError, match="n must be at least 1 and level between 0 and 1"):
        metrics.bootstrap_interval(metrics.brier_score, [0, 1], [0.2, 0.7], **bad)


def test_several_scores_are_drawn_at_once_and_missing_where_they_do_not_exist():
    y, p = np.array([0.0, 0.0, 0.0, 1.0]), np.array([0.1, 0.4, 0.2, 0.9])

    def both(rows):
        return [metrics.brier_score(y[rows], p[rows]), metrics.roc_auc(y[rows], p[rows])]

    draws = metrics.bootstrap_draws(both, 4, n=100)
    alone = metrics.bootstrap_draws(lambda rows: metrics.brier_score(y[rows], p[rows]), 4, n=100)
    lost = np.isnan(draws).all(axis=1)
    assert 0.15 < lost.mean() < 0.6  # without the only positive row: (3/4)^4
    np.testing.assert_array_equal(draws[~lost, 0], alone[~lost])
    with pytest.raises(ConfigError, match="n must be at least 1"):
        metrics.bootstrap_draws(both, 4, n=0)


def test_all_scores_at_once_are_the_scores_one_by_one(sample):
    y, p = sample
    scores = metrics.probability_scores(y, p)
    one_by_one = [metrics.log_loss, metrics.brier_score, metrics.roc_auc, metrics.average_precision,
                  metrics.calibration_error, metrics.top_decile_lift]  # fmt: skip
    assert list(scores.values()) == [5_000, y.mean(), *[score(y, p) for score in one_by_one]]
    flat = metrics.probability_scores([1, 1], [0.5, 0.5])
    assert np.isnan([flat["auc"], flat["pr_auc"], flat["top_decile_lift"]]).all()
    assert metrics.jeffreys_share([]) == 0.5


# Refusals


@pytest.mark.parametrize("score", BINARY_SCORES + AMOUNT_SCORES, ids=lambda score: score.__name__)
@pytest.mark.parametrize(
    ("y", "p", "match"),
    [
        ([0, 1, 1], [0.5, 0.5], r"Lengths differ: \{'y': 3, 'p': 2\}"),
        ([], [], "No rows to score"),
        ([0, 1], [0.5, np.nan], r"Missing or infinite values: \{'p': 1\}"),
        ([np.nan, np.inf], [0.5, 0.5], r"Missing or infinite values: \{'y': 2\}"),
        ([0, None], [0.5, "x"], "y|p does not hold numbers"),
        ([0, 1], [[0.5, 0.5], [0.1, 0.9]], r"p has shape \(2, 2\).*predict_proba"),
    ],
)
def test_arrays_that_cannot_be_scored_are_refused(score, y, p, match):
    with pytest.raises(ContractError, match=match):
        score(y, p)


@pytest.mark.parametrize("score", PROBABILITY_SCORES, ids=lambda score: score.__name__)
def test_what_is_no_probability_is_refused(score):
    with pytest.raises(ContractError, match=r"p: 2 of 3 values are outside \[0, 1\] \(-0.1 to 1.2\)"):
        score([0, 1, 1], [-0.1, 0.5, 1.2])


@pytest.mark.parametrize("score", BINARY_SCORES[:5], ids=lambda score: score.__name__)
def test_outcomes_other_than_0_and_1_are_refused(score):
    with pytest.raises(ContractError, match="1 of 3 outcomes are neither 0 nor 1"):
        score([0, 1, 2], [0.1, 0.5, 0.9])


@pytest.mark.parametrize("y", [[0, 0], [1, 1]])
def test_an_auc_of_one_class_is_refused(y):
    with pytest.raises(ModelError, match=f"All 2 outcomes are {y[0]}"):
        metrics.roc_auc(y, [0.1, 0.9])


@pytest.mark.parametrize(
    "score",
    [
        metrics.average_precision,
        metrics.top_decile_lift,
        lambda y, p: metrics.recall_at_k([1, 1], y, p, 1),
        lambda y, p: metrics.precision_at_k([1, 1], y, p, 1),
    ],
)
def test_no_positive_outcome_at_all_is_refused(score):
    with pytest.raises(ModelError, match="No row has a positive outcome"):
        score([0, 0], [0.1, 0.9])


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: metrics.lift_at([0, 1], [0.1, 0.9], 10), ConfigError, "For the best tenth write 0.1"),
        (lambda: metrics.lift_at([-1, 1], [0.1, 0.9], 0.5), ContractError, "1 of 2 values are below 0"),
        (lambda: metrics.reliability_table([0, 1], [0.1, 0.9], 0), ConfigError, "n_bins must be at least 1"),
        (lambda: metrics.recall_at_k([1, 1], [0, 1], [0.1, 0.9], 0), ConfigError, "k must be at least 1"),
        (lambda: metrics.recall_at_k([1], [0, 1], [0.1, 0.9], 1), ContractError, r"groups has shape \(1,\) for 2 rows"),
        (lambda: metrics.recall_at_k(["a", None], [0, 1], [0.1, 0.9], 1), ContractError, "missing labels"),
        (lambda: metrics.recall_at_k([1, np.nan], [0, 1], [0.1, 0.9], 1), ContractError, "missing labels"),
        (lambda: metrics.bias_of_total([0, 0], [0.1, 0.9]), ModelError, "y sums to 0"),
        (lambda: metrics.correlation([1, 1], [0.1, 0.9]), ModelError, "y is the same in all 2 rows"),
        (lambda: metrics.correlation([1, 2], [0.5, 0.5]), ModelError, "p is the same in all 2 rows"),
    ],
)
def test_what_has_no_answer_is_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()


# Lists and days to the next purchase


def test_ndcg_agrees_with_scikit_learn():
    rng = np.random.default_rng(21)
    y, p = (rng.random((40, 12)) < 0.3).astype(float), rng.random((40, 12))
    some = y.any(axis=1)
    expected = sklearn_metrics.ndcg_score(y[some], p[some], k=5)
    groups = np.repeat(np.arange(40), 12)
    assert metrics.ndcg_at_k(groups, y.ravel(), p.ravel(), 5) == pytest.approx(expected, rel=1e-12)


def test_crps_of_a_sure_forecast_is_the_absolute_error_in_days():
    wait, told = np.array([3.0, 10.0, np.nan]), np.array([5, 10, 84])
    bought = (np.arange(1, 85) >= told[:, None]).astype(float)
    bought[2] = 0
    assert metrics.crps_days(wait, bought) == pytest.approx((2 + 0 + 0) / 3)


def test_crps_is_least_for_the_true_distribution():
    rng, days = np.random.default_rng(22), np.arange(1, 85)
    wait = np.ceil(rng.exponential(30, 4000))
    score = {
        mean: metrics.crps_days(np.where(wait > 84, np.nan, wait), np.tile(1 - np.exp(-days / mean), (4000, 1)))
        for mean in (15, 30, 60)
    }
    assert min(score, key=score.get) == 30


def test_coverage_is_the_level_for_the_true_distribution_though_some_never_came():
    rng, days = np.random.default_rng(23), np.arange(1, 85)
    mean = rng.uniform(10, 80, 20_000)
    wait = np.ceil(rng.exponential(mean))
    bought = 1 - np.exp(-days / mean[:, None])
    seen = np.where(wait > 84, np.nan, wait)
    assert metrics.interval_coverage(seen, bought) == pytest.approx(0.8, abs=0.02)
    assert metrics.interval_coverage(seen, bought**3) < 0.75


@pytest.mark.parametrize("longest", [7, 28, 84])
def test_coverage_does_not_hang_on_how_long_was_watched(longest):
    """Half or more of the purchases come after anybody looked: a product limit said .205 to .799 here."""
    rng, days = np.random.default_rng(29), np.arange(1, longest + 1)
    mean = rng.uniform(40, 400, 60_000)
    wait = rng.exponential(mean)
    bought = 1 - np.exp(-days / mean[:, None])
    seen = np.where(wait > longest, np.nan, np.ceil(wait))
    step = 1 / longest
    assert metrics.interval_coverage(seen, bought, level=0.8) == pytest.approx(0.8, abs=0.02 + step)
    with pytest.raises(ModelError, match="No purchase came while it was watched"):
        metrics.interval_coverage([np.nan], [[0.1, 0.2]])


def test_pinball_is_least_at_the_quantile():
    rng = np.random.default_rng(24)
    wait = np.ceil(rng.exponential(20, 20_000))
    seen = np.where(wait > 84, np.nan, wait)
    loss = [metrics.pinball_days(seen, np.full(20_000, day), 0.5, 84) for day in (8, 14, 25)]
    assert min(loss) == loss[1]
    assert metrics.pinball_days([np.nan], [np.nan], 0.9, 84) == 0


def test_concordance_is_the_area_under_the_curve_where_all_that_came_came_together():
    rng = np.random.default_rng(25)
    y, score = rng.random(500) < 0.3, rng.random(500).round(1)
    wait = np.where(y, 1.0, np.nan)
    assert metrics.concordance(wait, -score) == pytest.approx(sklearn_metrics.roc_auc_score(y, score), rel=1e-12)
    assert metrics.concordance([1, 2, 3, np.nan], [1, 2, 3, 4]) == 1
    assert metrics.concordance([1, 2, 3, np.nan], [0, 0, 0, 0]) == 0.5


@pytest.mark.parametrize(
    ("score", "error", "match"),
    [
        (lambda: metrics.crps_days([1], [0.5]), ContractError, "one curve per row"),
        (lambda: metrics.crps_days([], np.empty((0, 3))), ContractError, "one curve per row"),
        (lambda: metrics.crps_days([1], [[0.5, 1.2]]), ContractError, "1 of 1 curves leave"),
        (lambda: metrics.crps_days([0], [[0.5, 0.6]]), ContractError, "days count from 1"),
        (lambda: metrics.interval_coverage([1], [[0.5, 0.6]], level=1), ConfigError, "level"),
        (lambda: metrics.pinball_days([1], [2], 1.0, 84), ConfigError, "share"),
        (lambda: metrics.concordance([np.nan, np.nan], [1, 2]), ModelError, "No two rows can be compared"),
        (lambda: metrics.ndcg_at_k(["a"], [0], [0.5], 3), ModelError, "positive"),
        (lambda: metrics.ndcg_at_k(["a"], [1], [0.5], 0), ConfigError, "k must be"),
    ],
)
def test_new_scores_refuse_what_they_cannot_score(score, error, match):
    with pytest.raises(error, match=match):
        score()
