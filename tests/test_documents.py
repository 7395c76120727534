"""Results and models as documents: back to the last digit, and nothing but crmkit's own is made."""

from __future__ import annotations

import json
import math
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crmkit import NextPurchase, Transactions, backtest, load_next_purchase
from crmkit._documents import decoded, encoded
from crmkit._types import Interval
from crmkit.exceptions import ContractError, ExtractError
from crmkit.testing import generated_log


def again(value: Any) -> Any:
    return decoded(json.loads(json.dumps(encoded(value), allow_nan=False)))


def test_values_come_back_as_they_were() -> None:
    value = {
        "a": (1, 2.5, None, True),
        3: [math.inf, "x"],
        "day": date(2017, 1, 2),
        "money": Decimal("1.10"),
        "p": Path("x/y"),
    }
    assert again(value) == value
    assert again(Interval(1.0, 0.5, 2.0)) == Interval(1.0, 0.5, 2.0)
    array = np.array([[0.1, np.nan], [np.inf, 1 / 3]])
    np.testing.assert_array_equal(again(array), array)
    assert again(np.int64(7)) == 7


def test_tables_come_back_with_their_types_and_index() -> None:
    frame = pd.DataFrame(
        {
            "day": pd.to_datetime(["2017-01-01", None]),
            "share": [0.1, np.nan],
            "tier": pd.Categorical(["A", "B"], categories=["B", "A"], ordered=True),
        },
        index=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", "n"]),
    )
    pd.testing.assert_frame_equal(again(frame), frame)


def test_only_results_and_models_of_crmkit_are_made() -> None:
    for name in ("os:system", "crmkit.pipeline.cli:main", "crmkit._atomic:sync"):
        with pytest.raises(ContractError):
            decoded({"object": {"class": name, "settings": {}, "learned": {}}})
    with pytest.raises(ContractError, match="not a kind of value"):
        decoded({"pickle": "x"})
    with pytest.raises(ContractError, match="not a fitted attribute"):
        decoded(
            {"object": {"class": "crmkit.repurchase.next_purchase:NextPurchase", "settings": {}, "learned": {"fit": 1}}}
        )
    with pytest.raises(TypeError, match="cannot be saved"):
        encoded(object())


@pytest.fixture(scope="module")
def log() -> Transactions:
    return generated_log(n_customers=150, days=300)


def test_a_model_of_repurchases_answers_the_same_to_the_last_digit(log: Transactions, tmp_path: Path) -> None:
    model = NextPurchase(by="category").fit(log)
    found = load_next_purchase(model.save(tmp_path / "model.json"))
    pd.testing.assert_frame_equal(found.predict(log), model.predict(log), check_exact=True)
    assert found.origins_ == model.origins_
    assert found.save(tmp_path / "again.json").read_bytes() == (tmp_path / "model.json").read_bytes()


def test_a_changed_model_is_refused(log: Transactions, tmp_path: Path) -> None:
    file = NextPurchase(by="category").fit(log).save(tmp_path / "model.json")
    file.write_text(file.read_text().replace("0.", "1.", 1))
    with pytest.raises(ContractError, match="not a NextPurchase saved by crmkit"):
        load_next_purchase(file)
    with pytest.raises(ExtractError):
        load_next_purchase(tmp_path / "absent.json")


def test_a_backtest_comes_back_with_its_verdict_and_figure(log: Transactions) -> None:
    check = backtest(NextPurchase(by="category"), log)
    found = again(check)
    assert found.verdict == check.verdict
    pd.testing.assert_frame_equal(found.display.table, check.display.table)
    assert type(found.display) is type(check.display)
