"""One suite over every model: what a user of scikit-learn expects."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import sklearn.exceptions
from sklearn.base import clone

from crmkit.exceptions import ContractError, CrmkitError, ExtractError, ModelError, PublishError
from crmkit.models import BGNBD, PURCHASE_MODELS, CustomerLifetimeValue, GammaGamma, load_model
from crmkit.models.scoring import score_customers

TABLE = pd.DataFrame(
    {
        "customer_id": list("abcdefghij"),
        "frequency": [0, 1, 1, 1, 1, 2, 2, 3, 6, 9],
        "recency": [0, 35, 196, 14, 90, 105, 250, 210, 140, 259],
        "T": 273,
        "monetary_value": [None, 12, 25, 45, 90, 15, 60, 18, 50, 22],
        "sum_log_gap": [0.0, *np.log([35, 196, 14, 90]), 7.8, 9.5, 12.6, 18.5, 29.5],
    },
    index=[f"row {i}" for i in range(10)],
)
WEIGHT = [300, 20, 20, 20, 20, 10, 10, 15, 8, 8]
PURCHASES = {kind.label: kind() for kind in PURCHASE_MODELS}
ANSWERS = {
    **{name: (model, lambda model, X: model.expected_purchases(X, 90)) for name, model in PURCHASES.items()},
    "GammaGamma": (GammaGamma(), lambda model, X: model.expected_value(X)),
    "CustomerLifetimeValue": (
        CustomerLifetimeValue(BGNBD(), GammaGamma(), horizon=180, annual_discount=0.07, margin=0.3),
        lambda model, X: model.predict(X),
    ),
}
purchase_model = pytest.mark.parametrize("model", PURCHASES.values(), ids=PURCHASES.keys())
every_model = pytest.mark.parametrize(("model", "answer"), ANSWERS.values(), ids=ANSWERS.keys())


def fitted(model):
    return clone(model).fit(TABLE, sample_weight=WEIGHT)


@every_model
def test_fit_returns_self_and_leaves_the_parameters(model, answer):
    model = clone(model)
    before = str(model.get_params())
    assert model.fit(TABLE, sample_weight=WEIGHT) is model
    assert str(model.get_params()) == before
    assert "frequency" in model.feature_names_in_


@every_model
def test_clone_forgets_the_fit_and_keeps_the_parameters(model, answer):
    copy = clone(fitted(model))
    assert str(copy.get_params()) == str(model.get_params())
    with pytest.raises(sklearn.exceptions.NotFittedError):
        answer(copy, TABLE)


@every_model
def test_unfitted_says_what_to_do(model, answer):
    with pytest.raises(CrmkitError, match=r"Call fit\(customers\) first"):
        answer(clone(model), TABLE)
    with pytest.raises(CrmkitError, match="not fitted"):
        clone(model).save("never.json")


@every_model
def test_input_is_not_altered(model, answer):
    before = TABLE.copy(deep=True)
    answer(fitted(model), TABLE)
    pd.testing.assert_frame_equal(TABLE, before)


@every_model
def test_rows_out_align_with_rows_in(model, answer):
    model = fitted(model)
    mixed = TABLE.sample(frac=1, random_state=0)
    whole, shuffled = answer(model, TABLE), answer(model, mixed)
    assert whole.dtype == float
    assert whole.name
    pd.testing.assert_series_equal(shuffled, whole.loc[mixed.index], rtol=1e-12)
    assert answer(model, TABLE.iloc[:0]).empty


@every_model
def test_any_table_with_columns_will_do(model, answer):
    import polars
    import pyarrow

    model, plain = fitted(model), TABLE.reset_index(drop=True)
    expected = answer(model, plain)
    for table in (polars.from_pandas(plain), pyarrow.Table.from_pandas(plain), plain.convert_dtypes()):
        pd.testing.assert_series_equal(answer(model, table), expected)
        again = clone(model).fit(table, sample_weight=WEIGHT)
        pd.testing.assert_series_equal(answer(again, plain), expected, rtol=1e-9)


@every_model
def test_missing_columns_are_named(model, answer):
    with pytest.raises(ContractError, match=r"Columns not found: .*frequency.*The table has \['customer_id', .*Rename"):
        clone(model).fit(TABLE.rename(columns={"frequency": "visits"}))


@every_model
def test_wrong_weights_are_refused(model, answer):
    for weight in ([1], [-1] * 10, [np.nan] * 10):
        with pytest.raises(ContractError, match="sample_weight must hold 10 finite numbers"):
            clone(model).fit(TABLE, sample_weight=weight)


@every_model
def test_weights_are_repeated_rows(model, answer):
    repeated = TABLE.loc[TABLE.index.repeat(WEIGHT)]
    one, other = fitted(model), clone(model).fit(repeated)
    assert one.n_customers_ == other.n_customers_
    np.testing.assert_allclose(answer(one, TABLE), answer(other, TABLE), rtol=1e-7)


@every_model
def test_save_and_load_give_the_same_answers_to_the_last_bit(model, answer, tmp_path):
    model = fitted(model)
    path = model.save(tmp_path / "model.json")
    again = load_model(path)
    assert type(again) is type(model)
    assert str(again.get_params()) == str(model.get_params())
    assert again.n_customers_ == model.n_customers_
    pd.testing.assert_series_equal(answer(again, TABLE), answer(model, TABLE), rtol=0, atol=0)
    assert again.save(tmp_path / "again.json").read_bytes() == path.read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["again.json", "model.json"]


def replace(*steps, by):
    def change(document):
        *way, last = steps
        for step in way:
            document = document[step]
        document[last] = by

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replace("format", by="crmkit model 99"), "its format is 'crmkit model 99'"),
        (replace("class", by="Popen"), "its class is 'Popen', known are"),
        (replace("settings", by={"command": "ls"}), "unexpected keyword argument .command."),
        (replace("training", by=[1.0]), "is not a model saved by crmkit"),
        (replace("fitted", "params_", "r", by=float("nan")), "NaN is not a finite number"),
        (replace("fitted", "log_likelihood_", by=float("-inf")), "-Infinity is not a finite number"),
        (replace("fitted", "params_", "r", by=-1.0), "positive and finite"),
        (replace("fitted", "params_", by={"r": 1.0}), "a fitted BGNBD has"),
        (replace("fitted", "__class__", by=0), "a fitted BGNBD has"),
    ],
)
def test_load_refuses_what_it_did_not_write(change, message, tmp_path):
    path = fitted(BGNBD()).save(tmp_path / "model.json")
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(ContractError, match=message):
        load_model(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replace("fitted", "params_", "r", by=10**400), "fitted.params_ must be numbers by name"),
        (replace("fitted", "params_", "r", by=True), "fitted.params_ must be numbers by name"),
        (replace("fitted", "params_", by="x"), "fitted.params_ must be numbers by name; it is 'x'"),
        (replace("fitted", "covariance_", by=[[1.0]]), "fitted.covariance_ must have 4 rows"),
        (replace("fitted", "covariance_", by=[[1.0, 2.0]]), "fitted.covariance_ must be a square of numbers"),
        (replace("fitted", "n_customers_", by=-1), "fitted.n_customers_ must be a whole number"),
        (replace("fitted", "n_customers_", by="many"), "fitted.n_customers_ must be a whole number"),
        (replace("fitted", "converged_", by="yes"), "fitted.converged_ must be true or false"),
        (replace("fitted", "feature_names_in_", by=[1]), "fitted.feature_names_in_ must be a list of names"),
        (replace("settings", "rate_covariates", by="age"), "settings.rate_covariates must be a list of names"),
        (replace("settings", by=[]), "settings must be an object"),
        (replace("fitted", by="x"), "fitted must be an object"),
    ],
)
def test_every_field_of_a_document_is_typed(change, message, tmp_path):
    test_load_refuses_what_it_did_not_write(change, message, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replace("fitted", "purchases_", by="x"), "fitted.purchases_ must be a saved PurchaseModel; it is 'x'"),
        (
            replace("settings", "spend", by={"format": "crmkit model 2", "class": "BGNBD"}),
            "settings.spend must be a saved Gamma",
        ),
        (replace("settings", "horizon", by=0), "settings.horizon must be a number above 0 or 'inf'; it is 0"),
        (replace("settings", "annual_discount", by=10**400), "settings.annual_discount .* a number too large"),
        (replace("fitted", "spend_", "fitted", "params_", "p", by=None), "fitted.params_ must be numbers by name"),
        (replace("fitted", "log_covariance_", by=[1.0]), "fitted.log_covariance_ must be a square of numbers, or null"),
    ],
)
def test_nested_models_and_settings_are_typed(change, message, tmp_path):
    path = fitted(CustomerLifetimeValue(BGNBD(), GammaGamma())).save(tmp_path / "model.json")
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(ContractError, match=message):
        load_model(path)


@pytest.mark.parametrize("text", ["", "[]", "not json", '{"format": "crmkit model 1"}', "[" * 100_000])
def test_load_refuses_other_files(text, tmp_path):
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(ContractError, match="is not a model saved by crmkit"):
        load_model(tmp_path / "model.json")


def test_load_refuses_a_number_too_large_for_a_float(tmp_path):
    path = fitted(BGNBD()).save(tmp_path / "model.json")
    path.write_text(path.read_text().replace('"aic_": ', '"aic_": 1e999, "old": '))
    with pytest.raises(ContractError, match="1e999 is not a finite number"):
        load_model(path)


def test_files_that_cannot_be_read_or_written(tmp_path):
    with pytest.raises(ExtractError, match="No model can be read"):
        load_model(tmp_path / "absent.json")
    with pytest.raises(PublishError, match="cannot be written"):
        fitted(BGNBD()).save(tmp_path / "absent" / "model.json")


# -- What every purchase model answers -------------------------------------------------------------------------------

PER_CUSTOMER = {
    "probability_alive": {},
    "expected_purchases": {"horizon": 90},
    "probability_no_purchase": {"horizon": 90},
    "discounted_purchases": {"horizon": 90, "annual_discount": 0.1},
    "residual_purchases": {"annual_discount": 0.1},
}


@purchase_model
@pytest.mark.parametrize("question", PER_CUSTOMER)
def test_answers_stand_on_the_tables_index(model, question):
    answer = getattr(fitted(model), question)(TABLE, **PER_CUSTOMER[question])
    assert answer.name == question
    assert answer.index.equals(TABLE.index)
    assert answer.between(0, 1 if question.startswith("probability") else 1e4).all()


@purchase_model
def test_answers_agree_with_each_other(model):
    model = fitted(model)
    plain = model.expected_purchases(TABLE, 90)
    np.testing.assert_allclose(model.discounted_purchases(TABLE, 90, 0.0), plain, rtol=1e-9)
    assert (model.discounted_purchases(TABLE, 90, 0.1) < plain).all()
    far = model.discounted_purchases(TABLE, 1e5, 0.5)
    np.testing.assert_allclose(model.residual_purchases(TABLE, 0.5), far, rtol=1e-6)
    assert (model.expected_purchases(TABLE, 0) == 0).all()
    np.testing.assert_allclose(model.probability_no_purchase(TABLE, 0), 1, rtol=1e-12)
    silent, soon = model.probability_no_purchase(TABLE, 90), model.expected_purchases(TABLE, 1e-3)
    assert (silent >= 1 - model.probability_alive(TABLE) - 1e-12).all()
    assert (silent >= 1 - plain - 1e-12).all()
    np.testing.assert_allclose(1 - model.probability_no_purchase(TABLE, 1e-3), soon, rtol=1e-2, atol=1e-9)


@purchase_model
def test_the_distribution_for_a_new_customer(model):
    """Sums to one, has the expectation as its mean, and takes one number as well as many."""
    model = fitted(model)
    n = np.arange(3_000)
    chances = model.probability_of(n, 180)
    assert chances.sum() == pytest.approx(1, abs=1e-8)
    assert chances @ n == pytest.approx(model.expected_purchases_new(180), rel=1e-6)
    assert model.probability_of(3, 180) == chances[3]
    assert model.probability_of([[0], [1]], 180).tolist() == [[chances[0]], [chances[1]]]
    assert model.probability_of(0, 0) == pytest.approx(1)
    assert model.expected_purchases_new(0) == 0


@purchase_model
def test_simulated_customers_do_what_the_model_says(model):
    model = fitted(model)
    made = model.simulate(40_000, until=180.0, seed=11)
    assert list(made.columns) == ["customer_id", "frequency", "recency", "T", "sum_log_gap", "alive"]
    assert made["customer_id"].is_unique
    for n in range(4):
        assert (made["frequency"] == n).mean() == pytest.approx(model.probability_of(n, 180.0), abs=0.01)
    spread = made["frequency"].std() / np.sqrt(len(made))
    assert made["frequency"].mean() == pytest.approx(model.expected_purchases_new(180.0), abs=4 * spread)
    assert made["alive"].mean() == pytest.approx(model.probability_alive(made).mean(), abs=0.01)
    pd.testing.assert_frame_equal(made, model.simulate(40_000, until=180.0, seed=11))
    assert not made.equals(model.simulate(40_000, until=180.0, seed=12))


@purchase_model
def test_simulation_takes_a_time_each(model):
    model = fitted(model)
    until = np.array([0.0, 1.0, 400.0])
    assert model.simulate(3, until, seed=1)["T"].tolist() == until.tolist()
    assert model.simulate(1, 0, seed=1).loc[0, ["frequency", "recency"]].tolist() == [0, 0]
    assert model.simulate(0, 90, seed=1).empty
    for n, wrong in ((3, [1.0, 2.0]), (2, -1), (2, np.inf), (2, np.nan)):
        with pytest.raises(ModelError, match=f"until must be one number or {n}"):
            model.simulate(n, wrong, seed=1)


@purchase_model
def test_questions_that_make_no_sense_are_refused(model):
    model = fitted(model)
    for n in (-1, 0.5, np.nan, "two", None):
        with pytest.raises(ModelError, match="n must be a whole number, 0 or more"):
            model.probability_of(n, 90)
        with pytest.raises(ModelError, match="n must be a whole number, 0 or more"):
            model.simulate(n, 90, seed=1)
    for number in (-1, np.nan, np.inf, "90", None):
        for ask in (
            lambda h: model.expected_purchases(TABLE, h),
            lambda h: model.discounted_purchases(TABLE, h, 0.1),
            lambda h: model.probability_no_purchase(TABLE, h),
            lambda h: model.probability_of(1, h),
            lambda h: model.expected_purchases_new(h),
        ):
            with pytest.raises(ModelError, match="horizon must be a finite number"):
                ask(number)
        with pytest.raises(ModelError, match="annual_discount must be"):
            model.residual_purchases(TABLE, number)


@purchase_model
def test_training_is_saved_with_what_callers_add(model, tmp_path):
    model = fitted(model)
    assert model.training_["n_customers"] == sum(WEIGHT)
    assert set(model.training_["versions"]) == {"crmkit", "numpy", "scipy"}
    model.training_["window"] = ["2017-01-01", "2017-09-30"]
    model.training_["metrics"] = {"mae": 0.75}
    assert load_model(model.save(tmp_path / "model.json")).training_ == model.training_


@purchase_model
def test_the_unit_of_time_does_not_matter(model):
    """Days or seconds: parameters that are times scale, and what will happen stays."""
    second = 1 / 86_400
    longer = TABLE.assign(
        recency=TABLE["recency"] / second,
        T=TABLE["T"] / second,
        sum_log_gap=TABLE["sum_log_gap"] - TABLE["frequency"] * np.log(second),
    )
    days, seconds = fitted(model), clone(model).fit(longer, sample_weight=WEIGHT)
    for name, value in days.params_.items():
        unit = second if name in model._times else 1.0
        assert seconds.params_[name] * unit == pytest.approx(value, rel=1e-7)
        assert seconds.standard_errors_[name] * unit == pytest.approx(days.standard_errors_[name], rel=1e-4)
    np.testing.assert_allclose(
        seconds.expected_purchases(longer, 90 / second), days.expected_purchases(TABLE, 90), rtol=1e-7
    )
    bought = TABLE["frequency"] @ WEIGHT
    assert seconds.log_likelihood_ == pytest.approx(days.log_likelihood_ + bought * np.log(second), abs=1e-5)


@purchase_model
def test_nothing_overflows_at_the_ends_of_the_earth(model):
    """5,000 purchases, ten years of days, somebody of today, and horizons from nothing to a million days."""
    model = fitted(model)
    corners = pd.DataFrame(
        [(x, t, T) for x in (0, 1, 40, 5000) for T in (0, 1, 365, 3650) for t in {0, T / 2 * (x > 0), T * (x > 0)}],
        columns=["frequency", "recency", "T"],
        dtype=float,
    )
    for horizon in (0, 1, 3650, 1e6):
        assert model.expected_purchases(corners, horizon).between(0, 1e10).all()
        assert model.probability_no_purchase(corners, horizon).between(0, 1).all()
    assert model.probability_alive(corners).between(0, 1).all()
    assert model.residual_purchases(corners, 0.1).between(0, 1e8).all()
    assert 0 <= model.probability_of(5_000, 3_650) <= 1


# -- Models of given parameters ---------------------------------------------------------------------------------------


def given(model):
    """The same model by its parameters alone, as somebody who read them in a paper would make it."""
    settings = {"k": model.k_} if hasattr(model, "k_") else {}
    return type(model).from_parameters(covariance=model.covariance_, **settings, **model.params_)


@purchase_model
def test_a_model_of_given_parameters_answers_as_the_fitted_one(model, tmp_path):
    model = fitted(model)
    other = given(model)
    for ask in ("probability_alive", "expected_purchases", "probability_no_purchase", "discounted_purchases"):
        terms = {"probability_alive": (), "discounted_purchases": (90, 0.1)}.get(ask, (90,))
        pd.testing.assert_series_equal(getattr(other, ask)(TABLE, *terms), getattr(model, ask)(TABLE, *terms))
    assert other.probability_of(1, 90) == model.probability_of(1, 90)
    pd.testing.assert_frame_equal(other.simulate(50, 200.0, seed=1), model.simulate(50, 200.0, seed=1))
    again = load_model(other.save(tmp_path / "given.json"))
    assert again.params_ == model.params_
    assert again.log_likelihood_ is None
    assert other.standard_errors_ == pytest.approx(model.standard_errors_)
    scored = score_customers(TABLE, p_alive=again.probability_alive)
    pd.testing.assert_series_equal(scored["p_alive"], model.probability_alive(TABLE), check_names=False)


@purchase_model
def test_a_value_of_given_models_is_that_of_fitted_ones(model):
    whole = CustomerLifetimeValue(clone(model), GammaGamma(), horizon=180).fit(TABLE, sample_weight=WEIGHT)
    parts = given(whole.purchases_), given(whole.spend_)
    other = CustomerLifetimeValue.from_models(*parts, horizon=180)
    pd.testing.assert_series_equal(other.predict(TABLE), whole.predict(TABLE))
    pd.testing.assert_frame_equal(other.expected_interval(TABLE), whole.expected_interval(TABLE))
    exact = CustomerLifetimeValue.from_models(type(parts[0]).from_parameters(
        **({"k": parts[0].k} if hasattr(parts[0], "k") else {}), **parts[0].params_), GammaGamma.from_parameters(
        **parts[1].params_) if type(parts[1]) is GammaGamma else parts[1], horizon=180)  # fmt: skip
    assert (exact.predict_interval(TABLE, n_draws=50)["high"] >= 0).all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"r": 1.0, "alpha": 2.0, "a": 0.5},
            r"has the parameters \['r', 'alpha', 'a', 'b'\]; given were \['a', 'alpha', 'r'\]",
        ),
        ({"r": -1.0, "alpha": 2.0, "a": 0.5, "b": 1.0}, "positive and finite"),
        ({"r": 1.0, "alpha": 2.0, "a": 0.5, "b": 1.0, "covariance": [[1.0]]}, "covariance of shape"),
    ],
)
def test_parameters_that_make_no_model_are_refused(values, message):
    with pytest.raises(ModelError, match=message):
        BGNBD.from_parameters(**values)


def test_what_a_model_of_given_parameters_needs_is_said():
    with pytest.raises(ModelError, match="q must be above 1"):
        GammaGamma.from_parameters(p=6.0, q=0.9, gamma=15.0)
    with pytest.raises(ModelError, match="needs its k"):
        PURCHASES["MBG/CNBD-k"].from_parameters(r=1.0, alpha=2.0, a=0.5, b=1.0)
    moved = BGNBD.from_parameters(r=1.0, alpha=2.0, a=0.5, b=1.0, rate_age=0.1, rate_covariates=("age",))
    assert moved.expected_purchases(TABLE.assign(age=1.0), 90).gt(0).all()
