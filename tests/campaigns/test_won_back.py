"""Win-back measured against customers held back from the list."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crmkit import Transactions
from crmkit.campaigns.won_back import won_back
from crmkit.exceptions import ContractError
from crmkit.offers.control_group import control_group


def shop(lift: float) -> tuple[Transactions, pd.DataFrame]:
    """A thousand silent customers of whom a tenth come back anyway, and ``lift`` more of those contacted; 20.00 each."""
    ids = [f"C{number:04d}" for number in range(1000)]
    listed = pd.DataFrame(
        {"customer_id": ids, "held_back": pd.Series(ids).isin(control_group(ids, 0.3, "win-back")["customer_id"])}
    )
    luck = np.random.default_rng(1).random(1000)
    back = luck < 0.1 + lift * ~listed["held_back"]
    till = pd.DataFrame({"customer_id": listed.loc[back, "customer_id"], "purchased_at": "2018-01-10", "amount": 20.0})
    late = pd.DataFrame({"customer_id": ids, "purchased_at": "2018-02-20", "amount": 20.0})
    return Transactions.from_extract(pd.concat([till, late]), until="2018-02-28"), listed


def test_who_came_back_because_of_the_contact_is_told_with_an_interval_and_a_cost() -> None:
    log, listed = shop(0.15)
    found = won_back(log, listed, "2017-12-31", 30, cost_of_contact=0.5)
    assert found.contacted + found.held_back == 1000
    assert found.came_back - found.came_back_anyway == pytest.approx(found.effect)
    assert found.low <= 0.15 <= found.high
    assert found.low > 0
    assert found.spend == pytest.approx(20 * found.effect)
    assert found.cost_of_one == pytest.approx(0.5 / found.effect)
    assert "no significant effect" not in str(found)


def test_a_contact_that_does_nothing_has_no_effect_and_no_price() -> None:
    log, listed = shop(0.0)
    found = won_back(log, listed, "2017-12-31", 30)
    assert found.low <= 0 <= found.high
    assert "no significant effect" in str(found)


def test_a_list_without_a_control_group_is_refused() -> None:
    log, listed = shop(0.0)
    with pytest.raises(ContractError, match="control has 0 members"):
        won_back(log, listed.assign(held_back=False), "2017-12-31", 30)
    with pytest.raises(ContractError, match="held_back"):
        won_back(log, listed.drop(columns="held_back"), "2017-12-31", 30)
