"""One suite over every model: what a user of scikit-learn expects."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import sklearn.exceptions
from sklearn.base import clone

from crmkit.exceptions import ContractError, CrmkitError, ExtractError, PublishError
from crmkit.models import BGNBD, CustomerLifetimeValue, GammaGamma, load_model

TABLE = pd.DataFrame(
    {
        "customer_id": list("abcdefghij"),
        "frequency": [0, 1, 1, 1, 1, 2, 2, 3, 6, 9],
        "recency": [0, 35, 196, 14, 90, 105, 250, 210, 140, 259],
        "T": 273,
        "monetary_value": [None, 12, 25, 45, 90, 15, 60, 18, 50, 22],
    },
    index=[f"row {i}" for i in range(10)],
)
WEIGHT = [300, 20, 20, 20, 20, 10, 10, 15, 8, 8]
ANSWERS = {
    "BGNBD": (BGNBD(), lambda model, X: model.expected_purchases(X, 90)),
    "GammaGamma": (GammaGamma(), lambda model, X: model.expected_value(X)),
    "CustomerLifetimeValue": (
        CustomerLifetimeValue(BGNBD(), GammaGamma(), horizon=180, annual_discount=0.07, margin=0.3),
        lambda model, X: model.predict(X),
    ),
}
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
        (replace("settings", by={"command": "ls"}), "takes no arguments"),
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
