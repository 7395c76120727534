"""btyd_summary beside lifetimes, one process, one million lines; ratios are printed, nothing is asserted about time."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import pandas as pd
import pytest

from crmkit import Transactions, btyd_summary

N_LINES, UNTIL = 1_000_000, "2025-12-31"


@pytest.fixture(scope="module")
def lines(lines_of: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    return lines_of(N_LINES, 100_000)


def by_lifetimes(lines: pd.DataFrame) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        utils = pytest.importorskip("lifetimes.utils")
        return utils.summary_data_from_transaction_data(
            lines, "customer_id", "purchased_at", monetary_value_col="amount", observation_period_end=UNTIL
        )


def by_crmkit(lines: pd.DataFrame) -> pd.DataFrame:
    return btyd_summary(Transactions.split_extract(lines, until=UNTIL)[0])


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def report(benchmark, name: str, theirs: float, capsys) -> None:
    ours = benchmark.stats.stats.min
    with capsys.disabled():
        print(f"\n{name}: {ours:.2f} s; lifetimes {theirs:.2f} s; lifetimes / crmkit = {theirs / ours:.1f}")


def test_summary_from_the_log(benchmark, lines: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    log, _ = Transactions.split_extract(lines, until=UNTIL)
    table = benchmark.pedantic(btyd_summary, (log,), rounds=5, warmup_rounds=1)
    assert len(table) > 50_000
    report(
        benchmark,
        "btyd_summary from the log's days",
        min(seconds(lambda: by_lifetimes(lines)) for _ in range(3)),
        capsys,
    )


def test_summary_from_lines_with_the_load(benchmark, lines: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    table = benchmark.pedantic(by_crmkit, (lines,), rounds=3, warmup_rounds=1)
    assert len(table) > 50_000
    report(
        benchmark,
        "lines checked and loaded, then btyd_summary",
        min(seconds(lambda: by_lifetimes(lines)) for _ in range(3)),
        capsys,
    )
