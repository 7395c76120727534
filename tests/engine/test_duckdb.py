"""The engines' face: limits that change no answer, folders of Parquet, and what is said when there is no Spark."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crmkit import Transactions, btyd_summary, purchase_gaps
from crmkit.engine.choose import engine_for
from crmkit.engine.duckdb import DuckDBEngine, engine_limits
from crmkit.exceptions import ConfigError


def setting(name: str) -> object:
    with DuckDBEngine() as engine:
        return engine.frame(f"select current_setting('{name}') as value")["value"][0]


def test_limits_hold_inside_the_block_only() -> None:
    before = setting("threads"), setting("memory_limit")
    with engine_limits(memory_limit="512MB", threads=1):
        assert (setting("threads"), setting("memory_limit")) == (1, "488.2 MiB")
        with engine_limits(threads=2):
            assert (setting("threads"), setting("memory_limit")) == (2, "488.2 MiB")
        assert setting("threads") == 1
    assert (setting("threads"), setting("memory_limit")) == before


def test_limits_change_no_answer(lines_of: Callable[..., pd.DataFrame]) -> None:
    lines = lines_of(200_000, 20_000)
    free = Transactions.from_extract(lines, until="2025-12-31")
    with engine_limits(memory_limit="200MB", threads=1):
        bounded = Transactions.from_extract(lines, until="2025-12-31")
        tables = btyd_summary(bounded), purchase_gaps(bounded, by="category")
    for one, other in zip(tables, (btyd_summary(free), purchase_gaps(free, by="category")), strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


@pytest.mark.parametrize("wrong", [{"memory_limit": "much"}, {"threads": 0}])
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    before = setting("threads")
    with pytest.raises(ConfigError, match=r"memory_limit=.*, threads="), engine_limits(**wrong):  # type: ignore[arg-type]
        pytest.fail("the block must not run")
    assert setting("threads") == before


def test_a_folder_of_parquet_files_is_one_table(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "a [b]" / str(number)).mkdir(parents=True)
        pq.write_table(pa.table({"x": [number]}), tmp_path / "a [b]" / str(number) / "part.parquet")
    with DuckDBEngine() as engine:
        table = engine.parquet(tmp_path / "a [b]")
        assert engine.frame(f"select x from {table} order by x")["x"].tolist() == [0, 1, 2]


def test_a_log_is_computed_here_unless_it_says_spark() -> None:
    till = pd.DataFrame({"customer_id": ["a"], "purchased_at": ["2026-01-01"], "amount": [1.0]})
    log = Transactions.from_extract(till, until="2026-12-31")
    assert not log.on_spark
    with engine_for(log) as engine:
        assert isinstance(engine, DuckDBEngine)


@pytest.mark.parametrize(
    ("missing", "message"),
    [("", "ConfigError: There is no Spark session. Make one first"), ("pyspark", "pip install 'crmkit[spark]'")],
)
def test_without_spark_it_says_what_to_do(missing: str, message: str) -> None:
    pytest.importorskip("pyspark")
    code = f"""
import sys
if {missing!r}:
    sys.modules[{missing!r}] = None
import pandas as pd
from crmkit import Transactions
from crmkit.engine.choose import on_spark
till = pd.DataFrame({{"customer_id": ["a"], "purchased_at": ["2026-01-01"], "amount": [1.0]}})
on_spark(Transactions.from_extract(till, until="2026-12-31"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert message in done.stderr


def test_parts_have_every_row_and_all_rows_of_their_keys() -> None:
    rows = pd.DataFrame({"customer_id": [f"c{i % 37}" for i in range(1000)], "x": range(1000)})
    with DuckDBEngine() as engine:
        table = engine.register(rows)
        parts = [
            read().to_pandas()
            for read in engine.split(f"select * from {table} where x < :most", "customer_id", 5, {"most": 900})
        ]
        nothing = [read() for read in engine.split(f"select * from {table} where false", "customer_id", 3)]
    assert len(parts) == 5
    assert sorted(pd.concat(parts)["x"]) == list(range(900))
    assert sum(part["customer_id"].nunique() for part in parts) == 37
    assert [part.num_rows for part in nothing] == [0, 0, 0]
    assert nothing[0].column_names == ["customer_id", "x"]


def test_nothing_is_fetched_or_loaded_by_itself() -> None:
    with DuckDBEngine() as engine:
        names = ("autoinstall_known_extensions", "autoload_known_extensions")
        told = engine.frame(
            f"select {', '.join(f'cast(current_setting({name!r}) as varchar) as {name}' for name in names)}"
        )
    assert told.iloc[0].str.lower().tolist() == ["false", "false"]
