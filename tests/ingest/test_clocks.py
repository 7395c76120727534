"""Days and times as usual languages write them; other calendars are recognised; a year far ahead is asked about."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pandas as pd
import pytest

from crmkit.engine.duckdb import DuckDBEngine
from crmkit.exceptions import ContractError, RefusedError
from crmkit.ingest.column_inference import guessed
from crmkit.ingest.extracts import read_extract
from crmkit.ingest.times import formats_fitting, readable
from crmkit.pipeline.check import check_files, latest_day
from crmkit.pipeline.init import initial_config
from crmkit.transactions.log import Transactions


@pytest.fixture(scope="module")
def engine() -> Iterator[DuckDBEngine]:
    with DuckDBEngine() as made:
        yield made


def till(folder: Path, *days: str) -> str:
    file = folder / "till.csv"
    rows = "".join(f'c{n},"{day}",1.50\n' for n, day in enumerate(days))
    file.write_text(f"customer_id,purchased_at,amount\n{rows}", encoding="utf-8")
    return str(file)


@pytest.mark.parametrize(
    ("day", "meant"),
    [
        ("3/15/2025, 1:05:22 PM", datetime(2025, 3, 15, 13)),
        ("3/15/2025, 1:05:22\u202fPM", datetime(2025, 3, 15, 13)),
        ("3/15/2025 12:05\u202fAM", datetime(2025, 3, 15, 0)),
        ("15. März 2025", datetime(2025, 3, 15)),
        ("15-Mrz-2025", datetime(2025, 3, 15)),
        ("15 janv. 2025", datetime(2025, 1, 15)),
        ("15 août 2025 10:30", datetime(2025, 8, 15, 10)),
        ("15 de octubre de 2025", datetime(2025, 10, 15)),
        ("15 gen 2025", datetime(2025, 1, 15)),
        ("15 fevereiro 2025", datetime(2025, 2, 15)),
        ("15 mei 2025", datetime(2025, 5, 15)),
        ("15 października 2025", datetime(2025, 10, 15)),
        ("15 июня 2025", datetime(2025, 6, 15)),
        ("15 Ağustos 2025", datetime(2025, 8, 15)),
        ("15-DEC-2025", datetime(2025, 12, 15)),
        ("December 15, 2025", datetime(2025, 12, 15)),
    ],
)
def test_a_guessed_format_reads_the_day(engine: DuckDBEngine, day: str, meant: datetime) -> None:
    (time_format, *_) = formats_fitting(engine, [day])
    moment = engine.local_time(*readable(engine, "given", time_format), None, None)
    table = engine.register(pd.DataFrame({"given": [day]}))
    assert engine.frame(f"select date_trunc('hour', {moment}) as at from {table}")["at"][0] == meant


def test_a_file_of_such_times_is_read_as_guessed(tmp_path: Path) -> None:
    file = till(tmp_path, "3/15/2025, 1:05:22\u202fPM", "3/16/2025, 9:05:22\u202fAM")
    log, found = Transactions.split_extract(
        read_extract(file), until="2025-12-31", time_format=guessed([file]).settings["time_format"]
    )
    assert found.rows_used == 2
    assert pd.read_parquet(log.lines)["hour"].tolist() == [13, 9]


@pytest.mark.parametrize(
    ("day", "calendar"),
    [
        ("05/03/2568", "thai"),
        ("2568-03-05", "thai"),
        ("114/03/05", "roc"),
        ("令和7年3月5日", "japanese"),
        ("1403/12/15", "jalali"),
    ],
)
def test_another_calendar_is_recognised(tmp_path: Path, day: str, calendar: str) -> None:
    report = check_files([till(tmp_path, day, day)])
    assert report.guess.settings["calendar"] == calendar
    assert report.days == (date(2025, 3, 5), date(2025, 3, 5))
    assert f'calendar = "{calendar}"  # confirm' in str(report)


def test_where_it_is_not_stated_the_load_names_it(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"state calendar='thai', time_format='%d/%m/%Y'"):
        Transactions.split_extract(read_extract(till(tmp_path, "05/03/2568", "06/03/2568")), until="2025-12-31")


def test_a_year_beyond_the_next_is_asked_about_and_never_advised(tmp_path: Path) -> None:
    ahead = date.today().year + 2
    file = till(tmp_path, f"{ahead}-03-05", f"{ahead}-03-06")
    for text in (str(check_files([file])), initial_config([file], tmp_path)):
        assert f"\nuntil = {ahead}" not in text
        assert f"# until = ?  The last day would be {ahead}-03-06: is the year right?" in text
    with pytest.raises(RefusedError, match=f"would be {ahead}-03-06. Is the year right"):
        latest_day(read_extract(file), {})
