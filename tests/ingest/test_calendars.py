"""Years of other calendars are read when they are stated."""

from __future__ import annotations

from datetime import date
from typing import Any

import pandas as pd
import pytest

from crmkit.engine.choose import engine_of
from crmkit.exceptions import ConfigError
from crmkit.ingest.calendars import common_year
from crmkit.transactions.log import Transactions

CASES = {
    "thai": {
        "2568-03-05": "2025-03-05",
        "2567/02/29": "2024/02/29",
        "05/03/2568 14:05": "05/03/2025 14:05",
        "soon": "soon",
    },
    "roc": {
        "114/03/05": "2025/03/05",
        "民國114年3月5日": "2025年3月5日",
        "99-12-31 08:00": "2010-12-31 08:00",
        "1140305": "20250305",
        "2025-03-05": "2025-03-05",
    },
    "japanese": {
        "令和7年3月5日": "2025年3月5日",
        "R7.03.05": "2025.03.05",
        "平成元年1月8日": "1989年1月8日",
        "H31/04/30": "2019/04/30",
    },
    "jalali": {
        "1404/01/01": "2025-03-21",
        "1403-12-30 23:10": "2025-03-20 23:10",
        "1403/01/01": "2024-03-20",
        "1400.01.01": "2021-03-21",
        "1399/12/30": "2021-03-20",
        "1404/07/01": "2025-09-23",
        "1404/12/30": None,
        "1404/13/01": None,
    },
}


@pytest.fixture(params=["duckdb", "spark"])
def engine(request: pytest.FixtureRequest) -> Any:
    of = request.getfixturevalue("spark").range(1) if request.param == "spark" else None
    with engine_of(of) as engine:
        yield engine


@pytest.mark.parametrize("calendar", CASES)
def test_years_are_those_of_the_common_calendar(engine: Any, calendar: str) -> None:
    given = pd.DataFrame({"given": list(CASES[calendar])}, dtype="str")
    read = f"select given, {common_year(engine, 'given', calendar)} as common from {engine.register(given)}"
    found = engine.frame(read).set_index("given")["common"]
    assert {text: None if pd.isna(value) else value for text, value in found.items()} == CASES[calendar]


def till(day: str) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": ["a"], "purchased_at": [day], "amount": ["1"]}, dtype="str")


@pytest.mark.parametrize(
    ("day", "options"),
    [
        ("2568-03-05 10:00:00", {"calendar": "thai"}),
        ("05/03/2568", {"calendar": "thai", "time_format": "%d/%m/%Y"}),
        ("114/03/05", {"calendar": "roc"}),
        ("令和7年3月5日", {"calendar": "japanese", "time_format": "%Y年%m月%d日"}),
        ("1403/12/15 10:00", {"calendar": "jalali"}),
    ],
)
def test_a_log_of_another_calendar(day: str, options: dict[str, str]) -> None:
    log = Transactions.from_extract(till(day), until="2025-12-31", **options)
    assert log.first_day() == (date(2025, 3, 5) - date(1970, 1, 1)).days


def test_without_it_such_years_are_told() -> None:
    _, found = Transactions.split_extract(till("2568-03-05 10:00:00"), until="9998-12-31")
    assert found.counts["reason"].tolist() == ["purchased_at is in a year of another calendar"]
    assert "calendar='thai'" in found.advice[0]


def test_an_unknown_calendar_is_refused() -> None:
    with pytest.raises(ConfigError, match="There is no calendar 'mayan'"):
        Transactions.from_extract(till("2025-03-05"), until="2025-12-31", calendar="mayan")
