"""Cells are trimmed only where the bytes of a file show that they may need it; the rows are those of careful reading."""

from __future__ import annotations

import tempfile
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from crmkit.engine.base import SqlEngine
from crmkit.engine.choose import engine_of
from crmkit.exceptions import ContractError
from crmkit.ingest import files, staged_rows
from crmkit.ingest.casts import ColumnFormats, quick_reads
from crmkit.ingest.extracts import read_extract
from crmkit.ingest.numbers import plain_number
from crmkit.ingest.parts import Reading
from crmkit.ingest.tidiness import TidyScan, rows_of_lines
from crmkit.ingest.times import TimeRules, wall_clock
from crmkit.transactions.log import Transactions

QUICK = (Phase.explicit, Phase.reuse, Phase.generate)
"""Loads are too slow to look for the smallest example."""

HEADER = "customer_id,purchased_at,amount,product_id,category"
CLEAN = ("c1,2026-01-02 10:00:00,1.50,p1,milk and eggs", "0077,2026-01-03 09:30:00,-2,p2,bread", ",2026-01-04,3,,")
DIRTY = (
    " c1,2026-01-02 10:00:00,1.50,p1,milk",
    "c1 ,2026-01-02 10:00:00, 1.50,p1,milk",
    "c1\u00a0,2026-01-02 10:00:00,1.50,p1,milk\u3000",
    '"c1\t",2026-01-02 10:00:00 ,1.50,p1,"milk\n"',
    "c1,2026-01-02 10:00:00,1.50,p1,\ufeffmilk ",
    '"c\n1",2026-01-02,1,p1,milk',
    "c1,2026-01-02,1,p\x00,milk",
    "c1,2026-01-02,1,1.5E+12,milk",
    "c1,2026-01-02",
    "",
    "c1.0,20260102,1e1,p1,milk",
    "c1,2026-01-02 10:00:00,１２,p1,우유",
    "'c1,2026-01-02 10:00:00,1_000,p1,milk",
    '"=""c1""",2026-01-02 10:00,-5e-1,p+1,milk',
    "nan,2026-01-02 10:00:00,1e13,p1,milk",
    "c1,2568-01-02 10:00:00,(1.50),p1,milk",
    "c1,2027-01-02 10:00:00,1.50,p1,milk",
    "99999999,2026-01-02 10:00:00,1.50,p1,milk",
    "c1,soon,2,p1,milk",
    "c1,2026-01-02 10:00:00,dear,p1,milk",
)


def sorted_rows(content: str, careful: bool, piece: int) -> tuple[Any, ...]:
    """The lines, the rows that are not used and the sums of a file that is read in small pieces."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / "till.csv"
        path.write_text(content, encoding="utf-8", newline="")
        patch.setattr(files, "_START", piece)
        patch.setattr(files, "_CHUNK", piece)
        if careful:
            patch.setattr(staged_rows, "_care", lambda *_: ("true", frozenset()))
        try:
            log, found = Transactions.split_extract(read_extract(path), until="2026-12-31")
        except ContractError as error:
            return (str(error),)
        lines = pd.read_parquet(log.lines).sort_values("record").astype("str")
        return lines.values.tolist(), found.rows.astype("str").values.tolist(), found.totals


@given(
    st.lists(st.sampled_from(CLEAN), min_size=20, max_size=80),
    st.lists(st.tuples(st.integers(0, 79), st.sampled_from(DIRTY)), max_size=8),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([64, 250, 4096]),
)
@example([CLEAN[0]] * 30, list(enumerate(DIRTY)), "\n", 250)
@settings(max_examples=30, deadline=None, phases=QUICK)
def test_a_dirty_cell_anywhere_gives_the_rows_of_careful_reading(
    rows: list[str], dirt: list[tuple[int, str]], end: str, piece: int
) -> None:
    for place, row in dirt:
        rows.insert(min(place, len(rows)), row)
    content = end.join([HEADER, *rows, ""])
    assert sorted_rows(content, False, piece) == sorted_rows(content, True, piece)


CELLS = (
    " c1",
    "c1\u00a0",
    "'c1",
    '="c1"',
    "c1.0",
    "1.5E+12",
    "c\n1",
    "nan",
    "2026-01-02",
    " 5",
    "1e1",
    "1_0",
    "１２",
    "(3)",
    "soon",
    "",
)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:Customer ids that differ")
@given(
    st.lists(st.sampled_from(CLEAN[:2]), min_size=8, max_size=20),
    st.lists(st.tuples(st.integers(0, 19), st.integers(0, 4), st.sampled_from(CELLS)), max_size=6),
)
@settings(max_examples=6, deadline=None, phases=QUICK, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_gives_the_rows_that_spark_gives_cell_by_cell(
    spark: Any, rows: list[str], dirt: list[tuple[int, int, str]]
) -> None:
    cells = [row.split(",") for row in rows]
    for row, column, cell in dirt:
        cells[row % len(cells)][column] = cell
    frame = pd.DataFrame(cells, columns=HEADER.split(","), dtype="str")
    kept = ["customer_id", "day", "hour", "amount", "product_id", "category", "kind"]
    told = []
    for source in (frame.to_csv, spark.createDataFrame(frame)):
        with tempfile.TemporaryDirectory() as folder:
            if source == frame.to_csv:
                path = Path(folder) / "till.csv"
                frame.to_csv(path, index=False)
                source = read_extract(path)
            try:
                log, found = Transactions.split_extract(source, until="2026-12-31", folder=Path(folder) / "log")
            except ContractError as error:
                told.append(str(error).partition(": ")[2])
                continue
            lines = pd.concat(map(pd.read_parquet, log.lines))[kept].astype("str").fillna("")
            told.append(
                (sorted(lines.values.tolist()), found.counts.astype("str").fillna("").values.tolist(), found.totals)
            )
    assert told[0] == told[1]


def untidy(content: str, size: int = 20) -> list[tuple[int, int]]:
    scan = TidyScan(",")
    for start in range(0, len(content), size):
        piece = content[start : start + size]
        scan.look_at(piece)
    return scan.ended()


@pytest.mark.parametrize(
    "content", ["a,b\n1,2\n", "a,b\nwhole milk,2\n", "고객,금액\n우유 하나,2\n", 'a\n"x, y"\n'[:5], ""]
)
def test_a_clean_file_has_no_line_to_look_at(content: str) -> None:
    assert untidy(content) == []


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
@pytest.mark.parametrize(
    "row", [" 1,2", "1 ,2", "1, 2", "1,2 ", '" 1",2', "1\t,2", "1\u00a0,2", "\u200b1,2", "1\x00,2", "１,2"]
)
def test_each_kind_of_dirt_is_seen_wherever_a_piece_ends(row: str, size: int) -> None:
    clean = "a,b\n" + "1,2\n" * 30
    for content in (clean + row + "\n" + "1,2\n" * 30, clean + row):
        assert any(first <= 32 <= last for first, last in untidy(content, size)), (row, size)


def test_one_dirty_line_leaves_the_others_as_they_are() -> None:
    content = "a,b\n" + "1,2\n" * 1000 + " 1,2\n" + "1,2\n" * 1000
    ranges = untidy(content, 100)
    assert sum(last - first + 1 for first, last in ranges) < 60
    assert rows_of_lines(ranges, 2002, 2001, "n").count("between") == 1


def test_many_ranges_are_few() -> None:
    ranges = [(n, n + 1) for n in range(0, 100_000, 1000)]
    told = rows_of_lines(ranges, 100_001, 100_000, "n")
    assert told.count("between") <= 30
    assert told.startswith("n between -1 and ")
    assert told.endswith(" and 99000")


# -- What the engine reads by itself -------------------------------------------------------------------------------------


def quick_and_careful(engine: SqlEngine, kind: str, texts: list[str], careful: str) -> tuple[list[str], list[str]]:
    table = engine.register(pd.DataFrame({"n": range(len(texts)), "raw_x": texts}))
    quick, usable = quick_reads("x", kind)
    found = engine.frame(
        f"""select case when {usable} then cast(quick_x as string) else 'careful' end as quick,
        cast({careful} as string) as careful from (select *, {quick} as quick_x from {table}) as read order by n"""
    ).fillna("none")
    return found["quick"].tolist(), found["careful"].tolist()


@pytest.fixture(params=["duckdb", "spark"])
def engine(request: pytest.FixtureRequest) -> Any:
    of = request.getfixturevalue("spark").range(1) if request.param == "spark" else None
    with engine_of(of) as engine:
        yield engine


def test_numbers_that_the_engine_reads_are_those_that_are_accepted(engine: SqlEngine) -> None:
    texts = ["".join(marks) for n in (1, 2, 3, 4) for marks in product("0.7+-x_ e,d", repeat=n)]
    texts = [text for text in texts if text == text.strip()]
    careful = f"try_cast({plain_number(engine, 'raw_x', Reading())} as decimal(18, 4))"
    quick, slow = quick_and_careful(engine, "number", texts, careful)
    told = [(text, a, b) for text, a, b in zip(texts, quick, slow, strict=True) if a not in ("careful", b)]
    assert told == []
    assert sum(a != "careful" for a in quick) > 100


def test_times_that_the_engine_reads_are_those_that_are_accepted(engine: SqlEngine) -> None:
    days = [
        "2026-01-02",
        "0044-03-15",
        "12026-01-02",
        "-0044-03-15",
        "2026-1-2",
        "2026/01/02",
        "20260102",
        "infinity",
        "epoch",
        "now",
    ]
    times = [
        "",
        " 10:00:00",
        "T10:00:00",
        " 10:00",
        " 24:00:00",
        " 10:00:00.5",
        " 10:00:00.123456",
        " 10:00:00Z",
        " 10:00:00+01",
        " (BC) 10:00:00",
    ]
    texts = [day + time for day, time in product(days, times)]
    rules = TimeRules(time_zone="Europe/Berlin")
    careful = wall_clock(engine, "raw_x", rules, False, False)
    quick, slow = quick_and_careful(engine, "time", texts, careful)
    told = [(text, a, b) for text, a, b in zip(texts, quick, slow, strict=True) if a not in ("careful", b)]
    assert told == []
    assert "careful" in quick
    assert "2026-01-02 10:00:00" in quick


def test_columns_written_another_way_are_read_carefully() -> None:
    formats = ColumnFormats(TimeRules(time_format="%d/%m/%Y"), Reading(decimal=","))
    assert not formats.is_quick("amount", "money")
    assert not formats.is_quick("purchased_at", "time")
