"""Rules: each reason has its advice, and the load report, the exception and the run print it."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from crmkit.exceptions import ConfigError, ContractError, RefusedError
from crmkit.ingest.rules import WITHOUT_CONDITION, Rule, dated_after, kind_rules, own_rules
from crmkit.ingest.schemas import CARDS, CONTRACTS, COSTS, MERGES, POINTS, PREMISES, SERVICE, STAFF, VISITS
from crmkit.offers.deals import Deals
from crmkit.pipeline.quality import check_rejected
from crmkit.pipeline.settings import Thresholds
from crmkit.transactions.log import Transactions

EVERY = (*CONTRACTS.values(), SERVICE, COSTS, CARDS, MERGES, POINTS, PREMISES, STAFF, VISITS, Deals.contract)


@pytest.mark.parametrize("contract", EVERY, ids=lambda contract: contract.name)
def test_every_rule_begins_with_its_column_and_says_what_to_do(contract) -> None:
    for rule in (*contract.rules_for(contract.columns), *contract.non_members):
        assert rule.column in contract.columns
        assert rule.condition
        assert rule.advice.endswith(".")


def test_reasons_without_a_condition_say_what_to_do() -> None:
    assert all(rule.advice.endswith(".") and not rule.condition for rule in WITHOUT_CONDITION)


def test_rows_after_until_are_advised_to_set_until() -> None:
    rule = dated_after("2017-12-31")
    assert (rule.reason, rule.condition) == ("purchased_at is after 2017-12-31", "day > 17531")
    assert rule.advice.startswith("Set until to the last day of the delivery")


def test_the_exception_and_the_run_print_the_advice_of_the_rule() -> None:
    till = pd.DataFrame({"customer_id": ["a", "b"], "purchased_at": ["2017-01-01", "soon"], "amount": [1.0, 2.0]})
    advice = next(rule.advice for rule in kind_rules("purchased_at", "time") if "not a time" in rule.reason)
    with pytest.raises(ContractError) as raised:
        Transactions.from_extract(till, until="2017-12-31")
    assert f"purchased_at is not a time: {advice}\n" in str(raised.value)
    _, rejections = Transactions.split_extract(till, until="2017-12-31")
    with pytest.raises(RefusedError) as refused:
        check_rejected(rejections, rejections.path, Thresholds())
    assert f"purchased_at is not a time. {advice}" in str(refused.value)


def test_a_rule_of_ones_own_rejects_rows_and_shows_the_value() -> None:
    till = pd.DataFrame(
        {"customer_id": ["a", "b"], "purchased_at": "2017-01-01", "amount": 1.0, "quantity": [1, 99999]}
    )
    rules = {"quantity is above 10,000": "quantity > 10000", "brand isn't known": "raw_brand = 'x'"}
    _, rejections = Transactions.split_extract(till, until="2017-12-31", rules=rules)
    assert str(rejections) == "2 rows read; used 1; duplicate 0; rejected 1: 1 where quantity is above 10,000"
    assert rejections.rows["value"].tolist() == ["99999"]
    assert "under rules" in rejections.advice[0]


def test_a_rule_of_ones_own_about_a_person_shows_no_id() -> None:
    till = pd.DataFrame({"customer_id": ["a", "test7"], "purchased_at": "2017-01-01", "amount": 1.0})
    rules = {"customer_id is a test card": "customer_id like 'test%'"}
    _, rejections = Transactions.split_extract(till, until="2017-12-31", rules=rules)
    assert rejections.rows["value"].isna().all()
    assert rejections.rows_rejected == 1


@pytest.mark.parametrize("condition", ["quantity >", "quantityy > 1", "quantity > 1; drop table x"])
def test_a_condition_that_is_no_sql_is_named(condition: str) -> None:
    till = pd.DataFrame({"customer_id": ["a"], "purchased_at": "2017-01-01", "amount": 1.0, "quantity": [1]})
    with pytest.raises(ConfigError, match=r"rule 'too many'.*Columns are customer_id"):
        Transactions.split_extract(till, until="2017-12-31", rules={"too many": condition})


def test_a_rule_of_ones_own_needs_a_reason_and_a_condition() -> None:
    assert own_rules({"amount is odd": "amount % 2 = 1"})[0] == replace(
        Rule("amount is odd", "amount % 2 = 1"), advice=own_rules({"a": "b"})[0].advice
    )
    with pytest.raises(ConfigError, match="lack a reason or a condition"):
        own_rules({"amount is odd": " "})
