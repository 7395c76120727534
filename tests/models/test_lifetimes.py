"""Coming from lifetimes: its tables as they are, its fits with what they lack, and where its answers are wrong."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crmkit import Transactions, btyd_summary, holdout_summary
from crmkit.exceptions import ContractError, CrmkitError, CrmkitWarning, ModelError
from crmkit.models import BGNBD, CustomerLifetimeValue, GammaGamma
from crmkit.models.bgbb import BGBB
from crmkit.models.bgcnbd import MBGCNBD
from crmkit.models.lifetimes import from_lifetimes, to_lifetimes
from crmkit.models.mbgnbd import MBGNBD
from crmkit.models.pareto_nbd import ParetoNBD

pytest.importorskip("dill", reason="lifetimes is not installed")
END = pd.Timestamp("1997-09-30")


@pytest.fixture(scope="module", autouse=True)
def lifetimes():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lifetimes
        import lifetimes.utils
    return lifetimes


@pytest.fixture(scope="module")
def lines():
    folder = find_spec("lifetimes").submodule_search_locations[0]
    names = ["master", "customer_id", "purchased_at", "discs", "amount"]
    lines = pd.read_csv(Path(folder) / "datasets" / "CDNOW_sample.txt", sep=r"\s+", header=None, names=names, dtype=str)
    return lines.assign(
        amount=lines["amount"].astype(float),
        purchased_at=pd.to_datetime(lines["purchased_at"]),
        order_id=range(len(lines)),
    ).drop(columns=["master", "discs"])


@pytest.fixture(scope="module")
def summary(lifetimes, lines):
    """Exactly what a user of lifetimes has: customer_id as index, monetary_value 0 where frequency is 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lifetimes.utils.summary_data_from_transaction_data(
            lines, "customer_id", "purchased_at", "amount", observation_period_end=END
        )


@pytest.fixture(scope="module")
def theirs(lifetimes, summary):
    """Every fitter that can be fitted on the summary."""
    x, t_x, T, z = (summary[name] for name in summary)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "bg": lifetimes.BetaGeoFitter().fit(x, t_x, T),
            "mbg": lifetimes.ModifiedBetaGeoFitter().fit(x, t_x, T),
            "spend": lifetimes.GammaGammaFitter().fit(x[x > 0], z[x > 0]),
        }


OURS = {"bg": BGNBD, "mbg": MBGNBD, "spend": GammaGamma}


# -- Tables ------------------------------------------------------------------------------------------------------------


def test_their_summary_is_read_as_it_is(summary):
    assert summary.index.name == "customer_id"
    assert (summary.loc[summary["frequency"] == 0, "monetary_value"] == 0).all()
    model = CustomerLifetimeValue(BGNBD(), GammaGamma()).fit(summary)
    value = model.predict(summary)
    assert value.index.equals(summary.index)
    assert (value > 0).all()


def test_their_summary_equals_ours(lines, summary):
    ours = btyd_summary(Transactions.from_extract(lines, until="1998-06-30"), "1997-09-30").set_index("customer_id")
    for name in ("frequency", "recency", "T"):
        np.testing.assert_array_equal(ours[name], summary[name])
    np.testing.assert_allclose(ours["monetary_value"].fillna(0), summary["monetary_value"], rtol=1e-9)


def test_a_regular_model_says_what_their_summary_lacks(summary):
    with pytest.raises(ContractError, match="sum_log_gap"):
        MBGCNBD().fit(summary)


# -- Fits, where lifetimes is right --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OURS)
def test_taken_over_fits_equal_our_own(name, theirs, summary):
    taken, own = from_lifetimes(theirs[name]), OURS[name]().fit(summary)
    assert type(taken) is OURS[name]
    assert list(taken.params_.values()) == pytest.approx(list(theirs[name].params_), rel=1e-12)
    assert list(taken.params_.values()) == pytest.approx(list(own.params_.values()), rel=2e-3)
    assert own.log_likelihood_ >= taken.log_likelihood_
    assert taken.log_likelihood_ == pytest.approx(own.log_likelihood_, abs=1e-3)
    assert list(taken.standard_errors_.values()) == pytest.approx(list(own.standard_errors_.values()), rel=0.01)
    assert taken.n_customers_ == own.n_customers_


@pytest.mark.parametrize("name", ["bg", "mbg"])
def test_taken_over_fits_give_their_predictions(name, theirs, summary):
    x, t_x, T = (summary[column] for column in ("frequency", "recency", "T"))
    expected = theirs[name].conditional_expected_number_of_purchases_up_to_time(90, x, t_x, T)
    taken = from_lifetimes(theirs[name])
    np.testing.assert_allclose(taken.expected_purchases(summary, 90), expected, rtol=1e-8)
    back = to_lifetimes(taken)
    np.testing.assert_allclose(back.predict(90, x, t_x, T), expected, rtol=1e-12)
    assert back.confidence_intervals_.shape == (4, 2)


def test_spend_there_and_back(theirs, summary):
    taken = from_lifetimes(theirs["spend"])
    x, z = summary["frequency"], summary["monetary_value"]
    expected = theirs["spend"].conditional_expected_average_profit(x, z)
    np.testing.assert_allclose(taken.expected_value(summary), expected, rtol=1e-9)
    np.testing.assert_allclose(to_lifetimes(taken).conditional_expected_average_profit(x, z), expected, rtol=1e-12)


def test_donations_there_and_back(lifetimes):
    rows = [(0, 0, 3464), (1, 1, 1091), (1, 6, 129), (3, 3, 322), (3, 6, 357), (5, 6, 728), (6, 6, 1203), (2, 2, 613)]
    x, t_x, count = np.array(rows).T
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = lifetimes.BetaGeoBetaBinomFitter().fit(x, t_x, np.full(len(x), 6), count)
    taken = from_lifetimes(theirs)
    table = pd.DataFrame({"frequency": x, "recency": t_x, "T": 6})
    own = BGBB().fit(table, sample_weight=count)
    assert taken.log_likelihood_ == pytest.approx(own.log_likelihood_, abs=1e-3)
    expected = theirs.conditional_expected_number_of_purchases_up_to_time(5, x, t_x, 6)
    np.testing.assert_allclose(taken.expected_purchases(table, 5), expected, rtol=1e-8)


def test_a_taken_over_pareto_has_the_errors_theirs_lacks(lifetimes, summary):
    weeks = summary[["frequency", "recency", "T"]].assign(recency=summary["recency"] / 7, T=summary["T"] / 7)
    fitter = lifetimes.ParetoNBDFitter()
    fitter.params_ = pd.Series({"r": 0.553277047, "alpha": 10.5776835, "s": 0.606239989, "beta": 11.6687353})
    fitter.data = weeks.assign(weights=1)
    taken = from_lifetimes(fitter)
    assert taken.log_likelihood_ == pytest.approx(-9594.976179, abs=1e-5)
    assert list(taken.standard_errors_.values()) == pytest.approx([0.047628, 0.842723, 0.187281, 6.211114], rel=1e-3)
    ours = ParetoNBD().fit(weeks)
    assert to_lifetimes(ours).params_.to_dict() == pytest.approx(ours.params_)


# -- Where lifetimes is wrong --------------------------------------------------------------------------------------------


def test_their_covariance_is_not_symmetric(theirs):
    wrong, right = theirs["bg"].variance_matrix_.to_numpy(), from_lifetimes(theirs["bg"]).covariance_
    assert np.array_equal(right, right.T)
    np.testing.assert_allclose(np.diag(wrong), np.diag(right), rtol=0.01)
    assert abs(wrong[0, 1] / wrong[1, 0]) > 100


def test_a_penalizer_leaves_no_answer_and_is_named(lifetimes, summary):
    x, t_x, T = (summary[name] for name in ("frequency", "recency", "T"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = lifetimes.BetaGeoFitter(penalizer_coef=0.01).fit(x, t_x / 7, T / 7)
        expected = theirs.predict(39, x, t_x / 7, T / 7)
    assert expected[x == 0].isna().all()
    with pytest.warns(CrmkitWarning, match=r"penalizer_coef=0.01.*Fit the crmkit model"):
        taken = from_lifetimes(theirs)
    weeks = summary.assign(recency=t_x / 7, T=T / 7)
    assert np.isfinite(taken.expected_purchases(weeks, 39)).all()


def test_a_penalizer_makes_their_mean_spend_negative(lifetimes, summary):
    bought = summary[summary["frequency"] > 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = lifetimes.GammaGammaFitter(penalizer_coef=0.01).fit(bought["frequency"], bought["monetary_value"])
    assert theirs.conditional_expected_average_profit(pd.Series([0]), pd.Series([0.0])).iloc[0] < 0
    with pytest.raises(ModelError, match="mean spend infinite"):
        from_lifetimes(theirs)


def test_their_pareto_stops_short_on_near_daily_shoppers(lifetimes, summary):
    """Since scipy 1.16 its likelihood is missing for some who bought on the last day, and the search does not move on."""
    model = ParetoNBD().fit(summary)
    model.params_ = {"r": 1.1, "alpha": 6.0, "s": 0.6, "beta": 500.0}
    shoppers = model.simulate(400, 1000.0, seed=1)
    shoppers = shoppers.assign(recency=np.where(shoppers["alive"], 1000.0, shoppers["recency"].round()))
    shoppers.loc[shoppers["frequency"] == 0, "recency"] = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = lifetimes.ParetoNBDFitter().fit(
            *(shoppers[name] for name in ("frequency", "recency", "T")), initial_params=np.ones(4)
        )
        expected = theirs.predict(90, *(shoppers[name] for name in ("frequency", "recency", "T"))).sum()
    ours = ParetoNBD().fit(shoppers).expected_purchases(shoppers, 90).sum()
    assert ours == pytest.approx(model.expected_purchases(shoppers, 90).sum(), rel=0.02)
    assert expected < 0.6 * ours
    with pytest.raises((ModelError, CrmkitWarning), match="short"):
        from_lifetimes(theirs)


def test_their_holdout_loses_the_last_afternoon_and_mixes_lines_with_days(lifetimes):
    """The end of calibration cuts a day in two, and holdout money is a mean per line where calibration's is per day."""
    till = pd.DataFrame(
        {
            "customer_id": ["a", "a", "a", "a", "a"],
            "purchased_at": pd.to_datetime(
                ["2017-01-01 10:00", "2017-01-10 15:00", "2017-01-20 09:00", "2017-01-20 09:00", "2017-01-25 09:00"]
            ),
            "amount": [10.0, 20.0, 5.0, 15.0, 8.0],
            "order_id": list("12345"),
        }
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = lifetimes.utils.calibration_and_holdout_data(
            till, "customer_id", "purchased_at", "2017-01-10", "2017-01-31", monetary_value_col="amount"
        ).loc["a"]
    assert theirs["frequency_cal"] == 0, "the afternoon of 10 January is on neither side of what their text says"
    assert theirs["monetary_value_holdout"] == pytest.approx((20 + 5 + 15 + 8) / 4)
    log = Transactions.from_extract(till, until="2017-01-31")
    assert btyd_summary(log, "2017-01-10")["frequency"].tolist() == [1]
    after = holdout_summary(log, "2017-01-10")
    assert after[["holdout_purchases", "holdout_spend"]].to_numpy().tolist() == [[2, 28.0]]


# -- What cannot be taken over -------------------------------------------------------------------------------------------


def test_what_is_no_fitted_model_of_lifetimes_is_said(lifetimes):
    with pytest.raises(ContractError, match="DataFrame is not a model of lifetimes"):
        from_lifetimes(pd.DataFrame())
    with pytest.raises(ContractError, match="fit it first"):
        from_lifetimes(lifetimes.BetaGeoFitter())


def test_parameters_that_are_missing_are_refused(lifetimes, summary):
    fitter = lifetimes.BetaGeoFitter()
    fitter.params_ = pd.Series({"r": np.nan, "alpha": 1.0, "a": 1.0, "b": 1.0})
    fitter.data = summary.assign(weights=1)
    with pytest.raises(ModelError, match="positive and finite"):
        from_lifetimes(fitter)


def test_what_lifetimes_does_not_know_is_said(summary):
    with pytest.raises(ContractError, match="lifetimes has no customer lifetime value model"):
        to_lifetimes(CustomerLifetimeValue(BGNBD(), GammaGamma()))
    with pytest.raises(ContractError, match="no covariates"):
        to_lifetimes(ParetoNBD(rate_covariates=("age",)))
    with pytest.raises(CrmkitError, match="not fitted"):
        to_lifetimes(BGNBD())
