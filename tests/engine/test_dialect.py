"""Each kind of expression that the SQL files use gives the same on every engine, and each file uses no other."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from parity.engines import engines, other

import crmkit
from crmkit.engine.duckdb import DuckDBEngine
from crmkit.engine.texts import raw_sql

HOME = Path(crmkit.__file__).parent
FILES = sorted(f"{path.parts[-3]}/{path.stem}" for path in HOME.glob("*/sql/*.sql"))

# Each stands for a kind of expression; "v" has one row per number or null, "w" one row per word.
SCALARS = [
    "exp(-cast(5 as double) / 45)",
    ":day + 1",
    ":day - cast(3 as bigint)",
    "7 / 2",
    "7 / nullif(0, 0)",
    "cast(7 as double) / nullif(cast(2 as bigint), 0)",
    "7.0 * cast(3 as double) / greatest(7, least(9, :day))",
    "greatest(1, null)",
    "least(null, 2)",
    "-7 % 3",
    "(19723 + 3) % 7",
    "cast(5 - (5 + 3) % 7 as integer)",
    "unix_date(date '2024-02-29')",
    "date '1970-01-01' + cast(19723 as integer)",
    "cast(date '1970-01-01' + cast(19723 as integer) as timestamp_ntz)",
    "cast(date '2024-03-31' as timestamp_ntz)",
    "cast(date_trunc('week', date '2024-01-07') as date)",
    "cast(date_trunc('month', date '1970-01-01' + cast(19783 as integer)) as date)",
    "cast(date_trunc('year', date '2024-02-29') as date)",
    "cast(12 * year(date '1970-01-01' + cast(19783 as integer)) + month(date '2024-02-29') - 1 as bigint)",
    "cast(4 * year(date '2024-02-29') + quarter(date '2024-12-31') - 1 as bigint)",
    "cast(floor((-4 + 3) / 7) as bigint)",
    "cast(date '2024-01-31' + interval '1' month as date)",
    "cast(date '2024-02-29' + interval '1' year as date)",
    "cast(floor(2.7) as integer)",
    "round(cast(2.345 as double), 2)",
    "round(cast(-7.005 as double), 2)",
    "sqrt(cast(2 as double))",
    "sqrt(cast(9 * 5 - 3 * 3 as double) / (3 * 2))",
    "ln(7)",
    "floor(log2(1.0 + 12))",
    "exp(-ln(1.0 + cast(0.1 as double)) * 30 / 365.25)",
    "case when 0 > 0 then ln(0) end",
    "cast(ln(2) as decimal(18, 12))",
    "cast(cast(12.345 as decimal(18, 4)) as double)",
    "coalesce(null, 'a')",
    "lower(trim(translate(' A-b. C ', '-. ', '')))",
    "sign(cast(-3 as decimal(18, 4)))",
    "coalesce(cast(null as decimal(18, 4)), 1)",
    "cast(12 as string)",
    "'a' || cast(1 as string)",
    "'a' || null",
    "md5('spring' || ':' || '0077')",
    "substr(md5('spring'), 1, 8)",
    "substr(md5('spring'), 1, 8) < :threshold",
    "null = null",
    "1 is distinct from null",
    "null is not distinct from null",
    "'b' in ('a', 'b')",
    "not false",
    "'Ä' < 'a'",
    "extract(hour from cast('2024-01-01 23:59:59' as timestamp_ntz))",
]
QUERIES = [
    """select k, cast(sum(cast(exp(-cast(k as double) / 45) as decimal(38, 18))) over (partition by g order by k) as double)
    as a, count(*) over (partition by g order by k) as n from {v} order by k""",
    "select cast(sum(x) as bigint) as a, count(x) as b, count(*) as c, min(x) as d, max(x) as e, avg(x) as f from {v}",
    "select cast(sum(cast(x as decimal(18, 4))) as double) as a, cast(sum(x * x) as double) as b from {v}",
    "select cast(sum(cast(ln(abs(x) + 1) as decimal(18, 12))) as double) as a from {v} having max(x) is not null",
    "select cast(sum(x) as double) as a from {v} where x > 100",
    "select count(distinct x) as a, cast(sum(case when x > 0 then 1 else 0 end) as bigint) as b from {v}",
    "select g, median(x) as a from {v} group by g having count(*) > 1 order by g",
    "select g, x, row_number() over (partition by g order by x nulls last, k desc) as n from {v} order by k",
    "select k, x - lag(x) over (partition by g order by k) as step from {v} order by k",
    "select k, lead(x) over (partition by g order by k) as x_after from {v} order by k",
    """select k, cast(sum(case when x > 0 then 1 else 0 end) over (partition by g, x > 0 order by k
        rows between unbounded preceding and current row) as bigint) as n from {v} order by k""",
    "select k, max(x) over (partition by g) > 0 as b, first_value(x) over (partition by g order by k) as f from {v} order by k",
    "select k, ntile(3) over (order by x nulls last, k) as third from {v} order by k",
    "select distinct g from {v} where x is not null order by g",
    "select x from {v} order by x nulls last, k",
    "select k, ntile(3) over (order by k) as third from {v} order by k",
    "select k from {v} where x between -1 and 3 order by k desc",
    "with big as (select * from {v} where x > 0), twice as (select k from big union all select k from big) "
    "select k, cast(count(*) as bigint) as n from twice group by k order by k",
    "select a.k, b.x from {v} a left join {v} b on a.x = b.k order by a.k",
    "select a.k from {v} a join {v} b using (k) where a.x not in (select x from {v} where x > 100) order by k",
    "select a.k from {v} a where not exists (select 1 from {v} b where b.x = a.k) order by a.k",
    "select g, cast(sum(x) as bigint) as total from {v} group by grouping sets ((g), ()) order by g nulls last",
    "select w from {w} order by w",
    "select w, length(w) as n from {w} where w like '%e%' order by w",
]
VALUES = {"day": 4, "threshold": "8"}
NUMBERS = pd.DataFrame(
    {"k": range(1, 9), "g": list("aaabbbcc"), "x": pd.array([3, -1, None, 2, 2, 0, None, 12], dtype="Int64")}
)
WORDS = pd.DataFrame({"w": ["Käse", "Zebra", "apple", "Éclair", "emoji 🧀", "쌀", "e", "_"]})


def plain(value: Any) -> Any:
    """A cell as plain Python, whatever its type was."""
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool | np.bool_ | str):
        return value if isinstance(value, str) else bool(value)
    if isinstance(value, pd.Timestamp) or hasattr(value, "isoformat"):
        return value.isoformat()
    return pytest.approx(float(value), rel=1e-12)


def cells(frame: pd.DataFrame) -> list[list[Any]]:
    return [[plain(value) for value in row] for row in frame.astype(object).to_numpy().tolist()]


@pytest.fixture(scope="module", params=engines())
def both(request: pytest.FixtureRequest) -> Iterator[Callable[[str], tuple[pd.DataFrame, pd.DataFrame]]]:
    """Run a text on the embedded engine and on another, over the same tables."""
    with DuckDBEngine() as near, other(request).engine() as far:
        tables = [{"v": engine.register(NUMBERS), "w": engine.register(WORDS)} for engine in (near, far)]

        def run(text: str) -> tuple[pd.DataFrame, pd.DataFrame]:
            return near.frame(text.format(**tables[0]), VALUES), far.frame(text.format(**tables[1]), VALUES)

        yield run


@pytest.mark.parametrize("expression", SCALARS)
def test_expressions_agree(both: Callable[..., Any], expression: str) -> None:
    mine, theirs = both(f"select {expression} as value")
    assert cells(theirs) == cells(mine)


@pytest.mark.parametrize("query", QUERIES)
def test_queries_agree(both: Callable[..., Any], query: str) -> None:
    mine, theirs = both(query)
    assert list(mine.columns) == list(theirs.columns)
    assert len(mine), "a query that finds nothing compares nothing"
    assert cells(theirs) == cells(mine)


def without_comments(name: str) -> str:
    return re.sub(r"--.*", "", raw_sql(name))


def functions(text: str) -> set[str]:
    words = set(re.findall(r"\b([a-z_0-9]+)\(", text)) | set(re.findall(r"\b(over|having|distinct|exists) ?\(?", text))
    return words - {"and", "or", "on", "in", "using", "by", "when", "then", "decimal", "from", "as", "with"}


@pytest.mark.parametrize("name", FILES)
def test_every_function_of_a_file_is_tried_here(name: str) -> None:
    tried = functions(" ".join(SCALARS + QUERIES))
    assert functions(without_comments(name)) - tried == set()


@pytest.mark.parametrize("name", FILES)
def test_a_file_says_which_values_it_takes(name: str) -> None:
    text = raw_sql(name)
    named = set(re.findall(r"(?<![:\w]):([a-z_]+)", without_comments(name)))
    stated = re.match(r"-- values: ([a-z_, ]+)[.(\n]", text)
    assert set(stated[1].strip().split(", ") if stated else []) == named
    assert "?" not in without_comments(name)
