"""Amounts of several currencies become one by the rate of the day; ids and orders that may be doubled are told."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from crmkit import Rates, Transactions, btyd_summary, read_extract
from crmkit.exceptions import ContractError, CrmkitWarning

ORDERS = """customer_id,purchased_at,amount,currency,order_id
C1,2025-01-10,100.00,USD,1
C1,2025-02-10,8319.00,INR,2
C2,2025-02-11,40.00,usd,3
C3,2025-02-12,15000,JPY,4
C4,2025-02-12,9,XAU,5
,2025-02-12,10,EUR,6
"""
BANK = pd.DataFrame(
    {
        "currency": ["inr", "JPY", "JPY", "JPY", "EUR"],
        "day": ["2025-01-01", "2025-01-01", "2025-02-12", "2025-03-01", "2025-01-01"],
        "rate": ["0.012", "0.0060", "0.0066666667", "0.01", "1.05"],
    }
)


def read(folder: Path, text: str, **options: Any) -> Any:
    (folder / "orders.csv").write_text(text)
    return read_extract(folder / "orders.csv", **options)


def test_each_amount_is_worth_the_rate_of_its_day(tmp_path: Path) -> None:
    extract, rates = read(tmp_path, ORDERS, currency="USD"), Rates.from_extract(BANK)
    log, found = Transactions.split_extract(extract, until="2025-12-31", rates=rates)
    spent = btyd_summary(log).set_index("customer_id")
    lines = pd.read_parquet(log.lines).set_index("order_id")["amount"]
    assert lines.to_dict() == {
        "1": Decimal("100"), "2": Decimal("99.828"), "3": Decimal("40"), "4": Decimal("100.0000"), "6": Decimal("10.5"),
    }  # fmt: skip
    assert spent.index.tolist() == ["C1", "C2", "C3"]
    assert found.counts[["reason", "rows"]].values.tolist() == [
        ["currency has no rate on this day", 1],
        ["customer_id is missing", 1],
    ]
    assert found.rows["value"].dropna().tolist() == ["XAU"]


def test_without_rates_they_are_not_added(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"The amounts are in 5 currencies: .*rates=Rates"):
        Transactions.split_extract(read(tmp_path, ORDERS), until="2025-12-31")


def test_two_rates_on_a_day_are_refused() -> None:
    with pytest.raises(ContractError, match="JPY has two rates on 2025-01-01"):
        Rates.from_extract(pd.concat([BANK, BANK.iloc[[1]].assign(rate="2")]))


LINES = st.lists(
    st.tuples(
        st.sampled_from(["a", "A", "b", "", "nan"]),
        st.sampled_from(["2024-12-30", "2025-01-10 10:00:00", "2025-02-12", "soon", ""]),
        st.sampled_from(["1", "2.55", "-3", "0", "dear", "1e1", ""]),
        st.sampled_from(["USD", "usd", "EUR", "JPY", "XAU", ""]),
        st.sampled_from(["1", "2", "3", ""]),
    ),
    min_size=1,
    max_size=15,
)
STATED = st.fixed_dictionaries({}, optional={"ids": st.just("casefold"), "trading_day_cutoff": st.just("05:00")})


def adds_up(frames: Any, options: dict[str, Any], folder: Path) -> dict[str, Any]:
    _, found = Transactions.split_extract(
        frames, until="2025-12-31", rates=Rates.from_extract(BANK), folder=folder, reject_unreadable=["amount", "purchased_at"],
        **options,
    )  # fmt: skip
    rows, money = zip(*found.totals.values(), strict=True)
    assert sum(rows) == found.rows_read
    assert sum(money) == found.amount_read
    return found.totals


@given(LINES, STATED)
@settings(
    max_examples=20,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@pytest.mark.filterwarnings("ignore::crmkit.exceptions.CrmkitWarning")
def test_rows_and_money_add_up_with_rates(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]], options: dict[str, Any]
) -> None:
    frame = pd.DataFrame(rows, columns=["customer_id", "purchased_at", "amount", "currency", "order_id"], dtype="str")
    folder = tmp_path_factory.mktemp("rates")
    frame.to_csv(folder / "till.csv", index=False)
    totals = adds_up(read_extract(folder / "till.csv"), options, folder / "log")
    assert totals == adds_up(frame, options, folder / "other")


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::crmkit.exceptions.CrmkitWarning")
def test_rates_on_spark_as_here(spark: Any, tmp_path: Path) -> None:
    days, currencies, amounts = (
        ["2024-12-30", "2025-02-12", "soon"],
        ["USD", "EUR", "JPY", "XAU", ""],
        ["2.55", "-3", "dear"],
    )
    rows = [(c, d, a, k, "1") for c in ("a", "A", "") for d in days for a in amounts for k in currencies]
    frame = pd.DataFrame(rows, columns=["customer_id", "purchased_at", "amount", "currency", "order_id"], dtype="str")
    here = adds_up(frame, {"ids": "casefold"}, tmp_path / "here")
    assert here == adds_up(spark.createDataFrame(frame), {"ids": "casefold"}, tmp_path / "there")


# -- Ids and orders that may be doubled ------------------------------------------------------------------------------------

MAIL = "customer_id,purchased_at,amount\nAnn@x.org,2025-01-01,1\nann@x.org,2025-01-02,2\nbob@x.org,2025-01-02,2\n"


def test_ids_that_differ_by_capitals_are_told_and_joined_when_stated(tmp_path: Path) -> None:
    with pytest.warns(CrmkitWarning, match="differ from others by capitals alone: 1.*ids='casefold'"):
        log, _ = Transactions.split_extract(read(tmp_path, MAIL), until="2025-12-31")
    assert len(btyd_summary(log)) == 3
    log, _ = Transactions.split_extract(read(tmp_path, MAIL), until="2025-12-31", ids="casefold")
    assert btyd_summary(log)["customer_id"].tolist() == ["ann@x.org", "bob@x.org"]


def test_orders_in_two_files_with_other_lines_are_told_with_their_money(tmp_path: Path) -> None:
    head = "customer_id,purchased_at,amount,order_id\n"
    (tmp_path / "jan.csv").write_text(head + "C1,2025-01-30,20,1\nC1,2025-01-31,30,3\nC1,2025-01-31,5,3\n")
    (tmp_path / "feb.csv").write_text(head + "C1,2025-01-31,30,3\nC2,2025-02-01,10,4\n")
    with pytest.warns(CrmkitWarning, match=r"stand in two files with different lines: 1\. .* files bear 35\.00"):
        _, found = Transactions.split_extract(read_extract(tmp_path), until="2025-12-31")
    assert found.amount_used == 95
    assert found.rows_duplicate == 0
