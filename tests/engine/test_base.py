"""What every engine promises: values by name, tables that last, private files that go, and no method left out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from parity.engines import engines, other

from crmkit.engine.base import SqlEngine
from crmkit.engine.choose import engine_of
from crmkit.engine.duckdb import DuckDBEngine
from crmkit.engine.texts import bound
from crmkit.exceptions import ExtractError

ROWS = pd.DataFrame({"id": ["a", "b", "c"], "day": [1, 2, 3]})


@pytest.fixture(scope="module", params=["duckdb", *engines()])
def engine(request: pytest.FixtureRequest) -> Iterator[SqlEngine]:
    with DuckDBEngine() if request.param == "duckdb" else other(request).engine() as opened:
        yield opened


def test_values_go_in_by_name_as_often_as_they_are_named(engine: SqlEngine) -> None:
    rows = engine.register(ROWS)
    text = f"""select id, :mark as mark, ':day' as word -- :mark is text
        from {rows} where day >= :day and day < :day + :most order by id"""
    found = engine.frame(text, {"day": 2, "most": 1, "mark": "o'clock :day", "unused": None})
    assert found.to_numpy().tolist() == [["b", "o'clock :day", ":day"]]


def test_a_value_is_never_sql(engine: SqlEngine) -> None:
    rows = engine.register(ROWS)
    found = engine.frame(f"select count(*) as n from {rows} where id = :id", {"id": "a' or '1' = '1"})
    assert found["n"].tolist() == [0]


def test_staged_tables_take_values_and_outlive_what_they_were_made_of(engine: SqlEngine, tmp_path: Path) -> None:
    ROWS.to_parquet(tmp_path / "rows.parquet")
    staged = engine.stage(f"select * from {engine.parquet(tmp_path / 'rows.parquet')} where day > :day", {"day": 1})
    (tmp_path / "rows.parquet").unlink()
    assert engine.frame(f"select id from {staged} order by id")["id"].tolist() == ["b", "c"]
    engine.drop(staged)


def test_what_is_saved_replaces_what_was_there(engine: SqlEngine, tmp_path: Path) -> None:
    rows = engine.register(ROWS)
    for day in (1, 3):
        engine.save(f"select id from {rows} where day >= :day order by id", tmp_path / "saved.parquet", {"day": day})
    assert pq.read_table(tmp_path / "saved.parquet")["id"].to_pylist() == ["c"]


def test_names_are_quoted_as_the_engine_writes_them(engine: SqlEngine) -> None:
    odd = 'a "name", `quoted`; it\'s odd'
    table = engine.register(pd.DataFrame({odd: ["x"]}))
    assert engine.frame(f"select {engine.quoted(odd)} as found from {table}")["found"].tolist() == ["x"]


def test_a_scratch_file_goes_with_its_engine(engine: SqlEngine) -> None:
    path = engine.scratch_file(".csv")
    path.write_text("0077")
    with engine_of(ROWS) as another:
        assert another.scratch.parent == engine.scratch.parent
        assert another.scratch != engine.scratch
        there = another.scratch
    assert path.exists()
    assert not there.exists()


def test_an_engine_lacks_no_method() -> None:
    class Half(SqlEngine):
        on_spark = False

    with pytest.raises(TypeError, match=r"abstract methods? .*arrow.*register"):
        Half()  # type: ignore[abstract]


def test_an_error_of_the_engine_names_its_source_and_shows_no_row() -> None:
    with DuckDBEngine() as engine:
        rows = engine.register(pd.DataFrame({"card": ["card's 0077"]}))
        with pytest.raises(ExtractError, match=r"till\.csv cannot be read: ") as told, engine.named_source("till.csv"):
            engine.frame(f"select cast(card as integer) as card from {rows}")
    assert "\n" not in str(told.value)
    assert "0077" not in str(told.value)
    assert told.value.__cause__ is None


def test_casts_quotes_and_unknown_names_are_left_alone() -> None:
    text = """select x::day, ':day', "a:day", `b:day`, y[1:day], :days, :day -- :day"""
    marked, used = bound(text, {"day": 1}, "$")
    assert marked == """select x::day, ':day', "a:day", `b:day`, y[1:day], :days, $day -- :day"""
    assert used == {"day": 1}
