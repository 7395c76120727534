"""What is implausible about a log is told once, at the user's line."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pandas as pd
import pytest

from crmkit import Transactions
from crmkit.exceptions import DeliveryWarning


def till(n: int = 1200, one: float = 0.0, bad: float = 0.0) -> pd.DataFrame:
    days = pd.date_range("2025-01-01", periods=100).strftime("%Y-%m-%d")
    return pd.DataFrame(
        {
            "customer_id": ["M" if k < one * n else f"c{k % 60}" for k in range(n)],
            "purchased_at": [days[k % 100] for k in range(n)],
            "amount": ["dear" if k < bad * n else "1.5" for k in range(n)],
            "order_id": range(n),
        }
    )


def told(make: Callable[[], object]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make()
    assert all(one.filename == __file__ for one in caught)
    return [str(one.message) for one in caught if one.category is DeliveryWarning]


@pytest.mark.parametrize("make", [Transactions.split_extract, Transactions.from_extract])
def test_an_end_long_after_the_last_line(make: Callable[..., object]) -> None:
    (message,) = told(lambda: make(till(), until="2025-12-31"))
    assert "dated 2025-04-10, but until is 2025-12-31" in message
    assert "state until='2025-04-10'" in message


def test_many_invalid_rows() -> None:
    (message,) = told(lambda: Transactions.split_extract(till(bad=0.2), until="2025-04-10"))
    assert message.startswith("240 of 1,200 rows are invalid (20%), most of them since amount is not a number.")


def test_one_member_with_a_tenth_of_all_receipts() -> None:
    (message,) = told(lambda: Transactions.split_extract(till(one=0.15), until="2025-04-10"))
    assert message.startswith("One customer id has 15% of all receipts")


@pytest.mark.parametrize("given", [{}, {"n": 500, "one": 0.5, "bad": 0.5}])
def test_a_plausible_log_and_a_small_one_are_told_nothing(given: dict[str, float]) -> None:
    assert told(lambda: Transactions.split_extract(till(**given), until="2025-04-12")) == []  # type: ignore[arg-type]
