"""Pareto/NBD: exact at the extremes, independent of units, honest about data without an answer."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.optimize import approx_fprime

from crmkit.exceptions import ContractError, CrmkitWarning, ModelError
from crmkit.models import _bgnbd_math, load_model
from crmkit.models import _pareto_math as formulas
from crmkit.models.pareto_nbd import ParetoNBD

TABLE = pd.DataFrame({"frequency": [0, 1, 1, 2, 2, 3, 6, 9], "recency": [0, 5, 28, 15, 34, 30, 38, 37], "T": 39.0})
WEIGHT = [300, 40, 20, 15, 10, 10, 5, 5]
NAMES = ("r", "alpha", "s", "beta")
PARAMS = {
    "cdnow": (0.553, 10.578, 0.606, 11.669),
    "s = 1": (0.8, 40, 1, 60),
    "below s = 1": (0.8, 40, 0.9999999, 60),
    "above s = 1": (0.8, 40, 1.0000001, 60),
    "beta << alpha": (0.8, 400, 0.6, 0.01),
    "alpha << beta": (0.8, 0.01, 2, 4000),
    "alike": (50, 500, 20, 20000),
}
DELTA = np.log(1.1) / 365.25

# In 50 digits, from the integrals of the two stories and the generalised exponential integral: parameters, x, t_x, T;
# log-likelihood, P(alive), purchases in 365 days, all to come at 10 % a year, P(no purchase in 90 days) of the living.
EXACT = [
    ("cdnow", 0, 0, 0, 0.0, 1.0, 4.53830249544764, 11.9649965891098, 0.546807086235489),
    (
        "cdnow",
        0,
        0,
        3650,
        -0.672779673502785,
        2.37175358810899e-3,
        0.0535582610110047,
        0.411734606651628,
        0.986755504040914,
    ),
    ("cdnow", 1, 3650, 3650, -15.5146789752261, 1.0, 0.150408642586059, 1.15628181578658, 0.963251221520021),
    ("cdnow", 3, 200, 365, -20.1784337820682, 0.405981366519353, 2.76721898717054, 12.3825176007979, 0.495257906857059),
    (
        "cdnow",
        40,
        1,
        365,
        5.82465409534779,
        4.99594366580062e-61,
        31.5843038521607,
        141.330772942628,
        0.0148248930905467,
    ),
    (
        "cdnow",
        5000,
        3600,
        3650,
        -3386.97385979132,
        1.10953022474792e-26,
        484.30546613628,
        3723.14778028141,
        1.2113582057804e-4,
    ),
    ("cdnow", 5000, 3650, 3650, -3446.73713550437, 1.0, 484.30546613628, 3723.14778028141, 1.2113582057804e-4),
    ("s = 1", 0, 0, 0, 0.0, 1.0, 2.34929352804278, 4.3823623426357, 0.563629591762131),
    (
        "s = 1",
        0,
        0,
        3650,
        -0.711249079397015,
        8.82461549287167e-4,
        0.0754779854683185,
        0.490268963256157,
        0.981132869908331,
    ),
    ("s = 1", 1, 3650, 3650, -16.1805697080647, 1.0, 0.169825467303717, 1.10310516732635, 0.958052713971836),
    ("s = 1", 3, 200, 365, -19.2775101602617, 0.316751030197992, 2.47212147927578, 7.70684464922012, 0.50864053421949),
    (
        "s = 1",
        40,
        1,
        365,
        -43.2650011276859,
        2.2978654906526e-40,
        26.5427779880136,
        82.7471741284687,
        0.0230721805896297,
    ),
    (
        "s = 1",
        5000,
        3600,
        3650,
        -3425.64940047074,
        1.1640180504007e-26,
        471.812887162459,
        3064.67128931424,
        1.98850675344243e-4,
    ),
    ("s = 1", 5000, 3650, 3650, -3485.36473503218, 1.0, 471.812887162459, 3064.67128931424, 1.98850675344243e-4),
    ("below s = 1", 0, 0, 0, 0.0, 1.0, 2.34929375800863, 4.38236322194618, 0.563629578431959),
    (
        "below s = 1",
        0,
        0,
        3650,
        -0.711249127702154,
        8.82461955880888e-4,
        0.075477985822457,
        0.490268985524511,
        0.981132869885883,
    ),
    ("below s = 1", 1, 3650, 3650, -16.1805692956204, 1.0, 0.169825468100528, 1.10310521743015, 0.95805271392213),
    (
        "below s = 1",
        3,
        200,
        365,
        -19.2775100559272,
        0.316751059161713,
        2.4721215559046,
        7.70684555292085,
        0.508640530246812,
    ),
    (
        "below s = 1",
        40,
        1,
        365,
        -43.2650012243873,
        2.29786616272295e-40,
        26.5427788107651,
        82.7471838313607,
        0.0230721783619185,
    ),
    (
        "below s = 1",
        5000,
        3600,
        3650,
        -3425.64940015963,
        1.16401816835879e-26,
        471.812889376179,
        3064.67142851372,
        1.9885065546313e-4,
    ),
    ("below s = 1", 5000, 3650, 3650, -3485.36473461973, 1.0, 471.812889376179, 3064.67142851372, 1.9885065546313e-4),
    ("above s = 1", 0, 0, 0, 0.0, 1.0, 2.34929329807696, 4.38236146332547, 0.563629605092303),
    (
        "above s = 1",
        0,
        0,
        3650,
        -0.711249031091883,
        8.82461142693639e-4,
        0.0754779851141801,
        0.490268940987804,
        0.981132869930779,
    ),
    ("above s = 1", 1, 3650, 3650, -16.1805701205089, 1.0, 0.169825466506905, 1.10310511722256, 0.958052714021543),
    (
        "above s = 1",
        3,
        200,
        365,
        -19.2775102645961,
        0.316751001234275,
        2.47212140264696,
        7.70684374551956,
        0.508640538192168,
    ),
    (
        "above s = 1",
        40,
        1,
        365,
        -43.2650010309845,
        2.29786481858248e-40,
        26.5427771652621,
        82.7471644255784,
        0.023072182817341,
    ),
    (
        "above s = 1",
        5000,
        3600,
        3650,
        -3425.64940078184,
        1.16401793244263e-26,
        471.81288494874,
        3064.67115011476,
        1.98850695225357e-4,
    ),
    ("above s = 1", 5000, 3650, 3650, -3485.36473544462, 1.0, 471.81288494874, 3064.67115011476, 1.98850695225357e-4),
    ("beta << alpha", 0, 0, 0, -1.06910588403688e-50, 1.0, 3.29111873341046e-3, 7.54284051884877e-3, 0.99832848876371),
    (
        "beta << alpha",
        0,
        0,
        3650,
        -2.8433263668228e-3,
        7.2367302218761e-5,
        0.0700441691166655,
        0.539654466913342,
        0.982696983007757,
    ),
    ("beta << alpha", 1, 3650, 3650, -18.066215025181, 1.0, 0.157599380512497, 1.21422255055502, 0.961490662645404),
    (
        "beta << alpha",
        3,
        200,
        365,
        -24.7852925205649,
        0.570148491091455,
        1.448233938697,
        6.47658106673547,
        0.67601023687006,
    ),
    (
        "beta << alpha",
        40,
        1,
        365,
        -133.531074605894,
        1.61070286993587e-13,
        15.549459131273,
        69.5380282954756,
        0.0383170652381286,
    ),
    (
        "beta << alpha",
        5000,
        3600,
        3650,
        -3899.40156785125,
        7.80063255201308e-24,
        437.846101148276,
        3373.3800726753,
        1.33108383043207e-4,
    ),
    ("beta << alpha", 5000, 3650, 3650, -3952.60940525629, 1.0, 437.846101148276, 3373.3800726753, 1.33108383043207e-4),
    ("alpha << beta", 0, 0, 0, -2.13821176807376e-50, 1.0, 26758.304696449, 126532.274225426, 7.84267531371358e-4),
    (
        "alpha << beta",
        0,
        0,
        3650,
        -8.3652222380425,
        0.0416803854714641,
        0.0763566217457598,
        0.465554355218568,
        0.980924702013473,
    ),
    ("alpha << beta", 1, 3650, 3650, -19.9685756088797, 1.0, 0.17180239892796, 1.04749729924178, 0.957595394384216),
    (
        "alpha << beta",
        3,
        200,
        365,
        -24.6345201669683,
        0.779022648927415,
        3.5066692545653,
        17.2110981393158,
        0.442272296076568,
    ),
    (
        "alpha << beta",
        40,
        1,
        365,
        94.0631110655702,
        2.85335012965097e-100,
        37.6505541016485,
        184.792843180023,
        4.29398398217192e-3,
    ),
    (
        "alpha << beta",
        5000,
        3600,
        3650,
        -3374.26181581943,
        5.75880233621031e-27,
        477.305242532745,
        2910.18027447127,
        1.90803200253409e-4,
    ),
    (
        "alpha << beta",
        5000,
        3650,
        3650,
        -3434.68088380492,
        1.0,
        477.305242532745,
        2910.18027447127,
        1.90803200253409e-4,
    ),
    ("alike", 0, 0, 0, 0.0, 1.0, 30.6109875630565, 81.8352448692829, 0.010323765726302),
    (
        "alike",
        0,
        0,
        3650,
        -4.59583742995897,
        3.85495425245886e-46,
        3.7864069496106,
        11.2086832463171,
        0.362139540136854,
    ),
    ("alike", 1, 3650, 3650, -113.584233175603, 1.0, 3.86213508860281, 11.4328569112434, 0.355017888908794),
    (
        "alike",
        3,
        200,
        365,
        -29.2119360288947,
        8.6832897506273e-4,
        18.8129771000442,
        50.8523547544278,
        0.0207946315633865,
    ),
    (
        "alike",
        40,
        1,
        365,
        -84.8638513370904,
        5.61633405014671e-20,
        31.9465648868676,
        86.353055243368,
        9.57173697885965e-3,
    ),
    (
        "alike",
        5000,
        3600,
        3650,
        -3845.34602854171,
        3.62929665267758e-24,
        382.42710191067,
        1132.07700787803,
        6.9458383645173e-4,
    ),
    ("alike", 5000, 3650, 3650, -3899.31903190365, 1.0, 382.42710191067, 1132.07700787803, 6.9458383645173e-4),
]

# The same: parameters, n, P(a new customer makes n purchases in 365 days).
EXACT_COUNTS = [
    ("cdnow", 0, 0.517788059918172),
    ("cdnow", 1, 0.138332961948997),
    ("cdnow", 30, 0.00169302305437231),
    ("cdnow", 400, 8.28261540369919e-9),
    ("s = 1", 0, 0.500853314809705),
    ("s = 1", 1, 0.166558247260304),
    ("s = 1", 30, 0.000565333764742349),
    ("s = 1", 400, 5.05252509453051e-21),
    ("below s = 1", 0, 0.500853293506389),
    ("below s = 1", 1, 0.166558246072961),
    ("below s = 1", 30, 0.000565333857934497),
    ("below s = 1", 400, 5.05252607256201e-21),
    ("above s = 1", 0, 0.50085333611302),
    ("above s = 1", 1, 0.166558248447647),
    ("above s = 1", 30, 0.000565333671550218),
    ("above s = 1", 400, 5.0525241164992e-21),
    ("beta << alpha", 0, 0.997627230613373),
    ("beta << alpha", 1, 0.00181973156475069),
    ("beta << alpha", 30, 1.12326471067726e-13),
    ("beta << alpha", 400, 8.02818287745363e-133),
    ("alpha << beta", 0, 0.000358944593631894),
    ("alpha << beta", 1, 0.000282153677036433),
    ("alpha << beta", 30, 0.000141556742901171),
    ("alpha << beta", 400, 7.41846400165068e-5),
    ("alike", 0, 0.0100937644208013),
    ("alike", 1, 0.00998472125620436),
    ("alike", 30, 0.0333139094867836),
    ("alike", 400, 1.11482047946625e-96),
]


@pytest.fixture(scope="module")
def model():
    return ParetoNBD().fit(TABLE, sample_weight=WEIGHT)


def at(*params):
    model = ParetoNBD().fit(TABLE, sample_weight=WEIGHT)
    model.params_ = dict(zip(NAMES, map(float, params), strict=True))
    return model


def shoppers(n, seed, params, days):
    """A simulated base in whole days."""
    customers = at(*params).simulate(n, np.random.default_rng(seed).integers(days // 2, days, n), seed)
    return customers.assign(recency=np.ceil(customers["recency"]))


# -- Exactness -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PARAMS)
def test_formulas_equal_fifty_digits(name):
    rows = np.array([row[1:] for row in EXACT if row[0] == name], dtype=float)
    x, t_x, T, *exact = rows.T
    p = PARAMS[name]
    mine = (
        formulas.pareto_terms(x, t_x, T)(*p)[0],
        formulas.pareto_alive(*p, x, t_x, T),
        formulas.pareto_purchases(*p, x, T, 365.0),
        formulas.pareto_discounted_purchases(*p, x, T, np.inf, DELTA),
        formulas.pareto_no_purchase(*p, x, T, 90.0),
    )
    for value, reference in zip(mine, exact, strict=True):
        np.testing.assert_allclose(value, reference, rtol=1e-8, atol=1e-13)
        assert np.abs(value / np.where(reference == 0, 1, reference) - 1)[np.abs(reference) > 1e-30].max() < 1e-8


@pytest.mark.parametrize("name", PARAMS)
def test_count_distribution_equals_fifty_digits(name):
    rows = np.array([row[1:] for row in EXACT_COUNTS if row[0] == name])
    mine = formulas.pareto_probability_of(*PARAMS[name], rows[:, 0], 365.0)
    np.testing.assert_allclose(mine, rows[:, 1], rtol=1e-8)


def test_gradient_is_the_slope():
    rng = np.random.default_rng(0)
    T = rng.uniform(0.3, 1, 400)
    x = rng.integers(0, 30, 400).astype(float)
    t_x = np.where(x > 0, T * rng.random(400), 0.0)
    evaluate = formulas.pareto_terms(x, t_x, T)
    for params in ((0.5, 0.3, 0.7, 0.9), (0.5, 1.3, 0.7, 0.2), (30.0, 3.0, 0.01, 0.001)):
        slopes = np.array([slope.sum() for slope in evaluate(*params)[1]])
        numeric = approx_fprime(np.array(params), lambda p: evaluate(*p)[0].sum(), np.array(params) * 1e-7)
        np.testing.assert_allclose(slopes, numeric, rtol=1e-4, atol=1e-3 * np.abs(slopes).max())


@pytest.mark.parametrize("n", [1, 2047, 2048, 5000])
def test_blocks_do_not_show(n):
    """A row's value does not depend on the company it is evaluated in, nor on whether its parameters are its own."""
    rng = np.random.default_rng(n)
    T = rng.uniform(1, 700, n)
    x = rng.integers(0, 5, n).astype(float)
    t_x = np.where(x > 0, T * rng.random(n), 0.0)
    whole, slopes = formulas.pareto_terms(x, t_x, T)(0.6, 30.0, 0.5, np.full(n, 20.0))
    single, single_slopes = formulas.pareto_terms(x[-1:], t_x[-1:], T[-1:])(0.6, np.array([30.0]), 0.5, 20.0)
    assert whole[-1] == pytest.approx(single[0], rel=1e-10)
    assert [slope[-1] for slope in slopes] == pytest.approx([slope[0] for slope in single_slopes], rel=1e-7)


def test_expectation_by_definition():
    """Purchases ahead are the integral of rate times P(still there), each discounted from its moment."""
    r, alpha, s, beta = PARAMS["cdnow"]

    def rate(t, x, T, delta):
        return (r + x) / (alpha + T) * np.exp(-delta * t) * ((beta + T) / (beta + T + t)) ** s

    for x, T, delta in ((0.0, 0.0, 0.0), (3.0, 90.0, 0.001), (60.0, 700.0, 0.01)):
        expected = quad(rate, 0, 365, args=(x, T, delta), epsabs=1e-12)[0]
        mine = formulas.pareto_discounted_purchases(r, alpha, s, beta, np.array([x]), np.array([T]), 365.0, delta)
        assert mine[0] == pytest.approx(expected, rel=1e-10)


def test_counts_add_up(model):
    """Chances sum to one, their mean is the expectation, and no purchase is silence."""
    n = np.arange(2000)
    chances = model.probability_of(n, 39)
    assert chances.sum() == pytest.approx(1, abs=1e-12)
    assert chances @ n == pytest.approx(model.expected_purchases_new(39), rel=1e-10)
    new = pd.DataFrame({"frequency": [0], "recency": [0], "T": [0]})
    assert model.probability_no_purchase(new, 39).iloc[0] == pytest.approx(chances[0], rel=1e-12)
    assert model.probability_of([0, 1], 0).tolist() == [1.0, 0.0]
    assert isinstance(model.probability_of(3, 39), float)


CORNERS = pd.DataFrame(
    [(x, t, T) for x in (0, 1, 40, 5000) for T in (0, 1, 365, 3650) for t in {0, T / 2 * (x > 0), T * (x > 0)}],
    columns=["frequency", "recency", "T"],
    dtype=float,
)


@pytest.mark.parametrize("horizon", [0, 1, 365, 1e6])
@pytest.mark.parametrize("params", [*PARAMS.values(), (1e-3, 1e-3, 1e-3, 1e-3), (1e4, 1e-3, 1e4, 1e5)])
def test_answers_are_finite_and_in_range_at_the_extremes(params, horizon):
    model = at(*params)
    purchases = model.expected_purchases(CORNERS, horizon)
    ceiling = (params[0] + CORNERS["frequency"]) * horizon / (params[1] + CORNERS["T"])
    assert purchases.between(0, ceiling * (1 + 1e-9)).all()
    assert model.discounted_purchases(CORNERS, horizon, 0.1).between(0, purchases * (1 + 1e-9)).all()
    assert model.residual_purchases(CORNERS, 0.1).between(0, 1e12).all()
    assert model.probability_alive(CORNERS).between(0, 1).all()
    assert model.probability_no_purchase(CORNERS, horizon).between(0, 1).all()
    assert 0 <= model.expected_purchases_new(horizon) < np.inf


@pytest.mark.parametrize("params", [*PARAMS.values(), (1e-3, 1e-3, 1e-3, 1e-3), (1e4, 1e-3, 1e4, 1e5)])
def test_the_likelihood_and_its_slopes_are_finite_at_the_extremes(params):
    value, slopes = formulas.pareto_terms(*CORNERS.to_numpy().T)(*params)
    assert np.isfinite([value, *slopes]).all()


# -- Fitting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [1 / 7, 24.0, 86_400.0], ids=["weeks", "hours", "seconds"])
def test_the_unit_of_time_does_not_matter(model, unit):
    other = ParetoNBD().fit(TABLE.assign(recency=TABLE["recency"] * unit, T=TABLE["T"] * unit), sample_weight=WEIGHT)
    expected = np.array(list(model.params_.values())) * [1, unit, 1, unit]
    assert list(other.params_.values()) == pytest.approx(expected, rel=1e-7)
    assert other.log_likelihood_ == pytest.approx(
        model.log_likelihood_ - TABLE["frequency"] @ WEIGHT * np.log(unit), abs=1e-6
    )


def test_doubling_the_table_changes_only_the_errors(model):
    twice = ParetoNBD().fit(pd.concat([TABLE, TABLE]), sample_weight=WEIGHT * 2)
    assert list(twice.params_.values()) == pytest.approx(list(model.params_.values()), rel=1e-6)
    half = np.array(list(model.standard_errors_.values())) / np.sqrt(2)
    assert list(twice.standard_errors_.values()) == pytest.approx(half, rel=1e-4)
    assert twice.log_likelihood_ == pytest.approx(2 * model.log_likelihood_)


def test_a_warm_start_changes_nothing():
    """Beyond 20,000 distinct rows the fit starts from a part of them; the top is the same as from afar."""
    customers = shoppers(40_000, 3, (0.8, 40.0, 0.6, 60.0), 730)
    whole = ParetoNBD().fit(customers)
    assert whole.training_["n_cells"] > 20_000
    afar = ParetoNBD()
    afar._near = lambda likelihood, cells: np.array(ParetoNBD._start)
    afar.fit(customers)
    assert list(whole.params_.values()) == pytest.approx(list(afar.params_.values()), rel=1e-7)
    assert whole.log_likelihood_ == pytest.approx(afar.log_likelihood_, abs=1e-6)
    assert whole.converged_


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (
            pd.DataFrame({"frequency": 0, "recency": 0.0, "T": [10.0, 30.0, 90.0] * 50}),
            "no customer in the table bought twice",
        ),
        (pd.DataFrame({"frequency": 0, "recency": 0.0, "T": [0.0]}), "no customer in the table bought twice"),
        (
            pd.DataFrame({"frequency": 5, "recency": 90.0, "T": [90.0] * 50}),
            "keeps rising, or is flat, along (r|alpha|s|beta)",
        ),
        (TABLE.iloc[[3]], "keeps rising, or is flat, along (r|alpha|s|beta)"),
    ],
    ids=["no repeats", "first day", "all alike", "one customer"],
)
def test_a_weak_prior_takes_over_where_the_data_do_not_decide(table, why):
    with pytest.warns(CrmkitWarning, match=f"Pareto/NBD: .*{why}.*weak prior was used: .*beta / max"):
        model = ParetoNBD().fit(table)
    assert model.prior_used_
    assert model.converged_
    assert all(0 < value < np.inf for value in [*model.params_.values(), *model.standard_errors_.values()])
    assert model.expected_purchases(CORNERS, 365).between(0, 1e5).all()


def test_a_fit_that_stops_short_says_so(monkeypatch):
    monkeypatch.setattr(_bgnbd_math, "_newton", lambda loss, theta: (theta + 1e-6, _bgnbd_math._hessian(loss, theta)))
    with pytest.warns(CrmkitWarning, match="Pareto/NBD: the fit did not converge"):
        model = ParetoNBD().fit(TABLE, sample_weight=WEIGHT)
    assert not model.converged_


def test_near_daily_shoppers_are_fitted_to_the_top_where_lifetimes_stops_short():
    """Three years of days at a café: from scipy 1.16 on the likelihood of lifetimes 0.11.3 is not a number for many."""
    customers = shoppers(300, 5, (3.0, 6.0, 0.5, 400.0), 1095)
    mine = ParetoNBD().fit(customers)
    assert mine.converged_
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifetimes import ParetoNBDFitter

        theirs = ParetoNBDFitter().fit(customers["frequency"], customers["recency"], customers["T"])
    x, t_x, T = (customers[name].to_numpy(dtype=float) for name in ("frequency", "recency", "T"))
    their_likelihood = formulas.pareto_terms(x, t_x, T)(*theirs.params_)[0].sum()
    assert mine.log_likelihood_ > their_likelihood + 1
    truth = at(3.0, 6.0, 0.5, 400.0).expected_purchases(customers, 90).sum()
    assert mine.expected_purchases(customers, 90).sum() == pytest.approx(truth, rel=0.02)


# -- Answers ---------------------------------------------------------------------------------------------------------


def test_lifetimes_agrees_where_it_works():
    """The second witness, on a grid with no purchase on the last day."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifetimes import ParetoNBDFitter
    witness, model = ParetoNBDFitter(), at(*PARAMS["cdnow"])
    witness.params_ = pd.Series(model.params_)
    grid = pd.DataFrame(
        [(x, t * (x > 0), T) for x in (0, 1, 2, 5, 20) for T in (10.0, 39.0, 150.0) for t in (0.2 * T, 0.9 * T)],
        columns=["frequency", "recency", "T"],
    )
    x, t_x, T = (grid[name].to_numpy(dtype=float) for name in grid)
    np.testing.assert_allclose(
        model.probability_alive(grid), witness.conditional_probability_alive(x, t_x, T), rtol=1e-7
    )
    theirs = witness.conditional_expected_number_of_purchases_up_to_time(52, x, t_x, T)
    np.testing.assert_allclose(model.expected_purchases(grid, 52), theirs, rtol=1e-7)


def test_simulated_customers_behave_as_the_model_answers():
    model, n = at(0.8, 40.0, 0.6, 60.0), 40_000
    customers = model.simulate(n, 365, seed=1)
    assert customers["frequency"].mean() == pytest.approx(model.expected_purchases_new(365), rel=0.03)
    shares = np.bincount(customers["frequency"], minlength=4)[:4] / n
    np.testing.assert_allclose(shares, model.probability_of(np.arange(4), 365), atol=0.009)
    assert model.probability_alive(customers).mean() == pytest.approx(customers["alive"].mean(), abs=0.007)
    sure = model.probability_alive(customers) > 0.9
    assert customers.loc[sure, "alive"].mean() == pytest.approx(
        model.probability_alive(customers)[sure].mean(), abs=0.01
    )
    pd.testing.assert_frame_equal(customers, model.simulate(n, 365, seed=1))
    assert not customers.equals(model.simulate(n, 365, seed=2))
    assert (customers["recency"] <= customers["T"]).all()


def test_forecasts_come_true_in_a_simulation():
    """What customers known at day 365 do in the next 365 days, told by the same seed observed for longer."""
    model, n = at(0.8, 40.0, 0.6, 60.0), 40_000
    rng = np.random.default_rng(4)
    rate, ends = rng.gamma(0.8, 1 / 40, n), rng.exponential(1, n) / rng.gamma(0.6, 1 / 60, n)
    x = rng.poisson(rate * np.minimum(ends, 365))
    last = np.minimum(ends, 365) * rng.random(n) ** (1 / np.maximum(x, 1)) * (x > 0)
    ahead = rng.poisson(rate * np.clip(ends - 365, 0, 365))
    customers = pd.DataFrame({"frequency": x, "recency": last, "T": 365.0})
    forecast = model.expected_purchases(customers, 365)
    assert forecast.sum() == pytest.approx(ahead.sum(), rel=0.02)
    assert np.corrcoef(forecast, ahead)[0, 1] > 0.8
    assert model.probability_no_purchase(customers, 365).mean() == pytest.approx((ahead == 0).mean(), abs=0.007)


def test_residual_purchases_are_the_limit_of_discounted_ones(model):
    np.testing.assert_allclose(
        model.residual_purchases(TABLE, 0.1), model.discounted_purchases(TABLE, 1e6, 0.1), rtol=1e-10
    )
    plain = model.expected_purchases(TABLE, 365)
    pd.testing.assert_series_equal(model.discounted_purchases(TABLE, 365, 0.0), plain, check_names=False)
    with pytest.raises(ModelError, match="annual_discount must be above 0"):
        model.residual_purchases(TABLE, 0.0)


def test_bad_rows_are_refused(model):
    bad = pd.concat([TABLE, pd.DataFrame([(1, 50, 39)], columns=TABLE.columns)])
    for call in (ParetoNBD().fit, model.probability_alive):
        with pytest.raises(ContractError, match=r"of 9 .*1 where not: recency is not above T"):
            call(bad)


def test_save_and_load_give_the_same_answers(model, tmp_path):
    again = load_model(model.save(tmp_path / "model.json"))
    pd.testing.assert_series_equal(again.expected_purchases(TABLE, 30), model.expected_purchases(TABLE, 30), rtol=0)
    assert again.params_ == model.params_
