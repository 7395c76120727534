"""What a supplier's report gives away: attacked by linear programming over one, two and three releases, by differencing, by
complementary cells and by rounding."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog

from crmkit.exceptions import ConfigError
from crmkit.reports.disclosure import DisclosureRules, Ledger, protected, protected_counts

RULES = DisclosureRules()
TABLES = ("area", "use")
WITHIN = 0.10


def micro(seed: int, period: int, n: int = 90) -> pd.DataFrame:
    """Spend of customers in one period; a few large ones, areas of one or two customers."""
    rng = np.random.default_rng(1000 * seed + period)
    area = np.random.default_rng(seed).choice(["a", "b", "c", "d", "e"], n, p=[0.5, 0.3, 0.15, 0.03, 0.02])
    use = np.random.default_rng(seed + 500).choice(["light", "medium", "heavy"], n, p=[0.6, 0.35, 0.05])
    spend = rng.lognormal(3, 1.2, n) * (rng.random(n) < 0.6)
    return pd.DataFrame({"customer_id": np.arange(n), "area": area, "use": use, "amount": spend.round(2)})


def release(table: pd.DataFrame, rules: DisclosureRules = RULES) -> dict[tuple[str, str], float]:
    """Published money: (table, row) → value; missing ones are not in it."""
    bought = table[table["amount"] > 0]
    found = {}
    for name in TABLES:
        shown = protected(bought.assign(row=bought[name]), rules, sorted(table[name].unique()))
        found |= {(name, row): sales for row, sales in zip(shown["row"], shown["sales"], strict=True) if sales == sales}
    return found


def bounds(
    releases: list[tuple[pd.DataFrame, dict[tuple[str, str], float]]], victim: int, period: int, known: int, grid: float
) -> tuple[float, float]:
    """What an attacker can say of one customer's spend: who is in which cell is known, and one customer's purchases."""
    sizes = [len(table) for table, _ in releases]
    offset = np.concatenate([[0], np.cumsum(sizes)])
    rows, limits = [], []
    for place, (table, cells) in enumerate(releases):
        for (name, row), value in cells.items():
            inside = np.ones(len(table)) if row == "all" else (table[name] == row).to_numpy(float)
            line = np.zeros(offset[-1])
            line[offset[place] : offset[place + 1]] = inside
            rows += [line, -line]
            limits += [value + grid / 2, -(value - grid / 2)]
    limit = [(0.0, 0.0 if amount == 0 else None) for table, _ in releases for amount in table["amount"]]
    for place, (table, _) in enumerate(releases):
        own = float(table.loc[table["customer_id"] == known, "amount"].iloc[0])
        limit[offset[place] + known] = (own, own)
    aim = np.zeros(offset[-1])
    aim[offset[period] + victim] = 1.0
    found = []
    for sign in (1, -1):
        if not rows:
            return 0.0, np.inf
        solved = linprog(sign * aim, A_ub=np.array(rows), b_ub=np.array(limits), bounds=limit, method="highs")
        found.append(np.inf if solved.status == 3 else float(sign * solved.fun))
    return found[0], found[1]


def riskiest(table: pd.DataFrame, n: int = 4) -> list[int]:
    """Customers in the smallest cells, and the largest ones."""
    bought = table[table["amount"] > 0]
    small = bought.groupby("area")["amount"].transform("size") + bought.groupby("use")["amount"].transform("size")
    order = pd.concat([bought.assign(size=small).nsmallest(n, "size"), bought.nlargest(n, "amount")])
    return order["customer_id"].drop_duplicates().tolist()


@pytest.mark.parametrize("n_releases", [1, 2, 3])
@pytest.mark.parametrize("seed", range(2))
def test_linear_programming_bounds_nobody_within_a_tenth(seed: int, n_releases: int) -> None:
    periods = [micro(seed, period) for period in range(n_releases)]
    releases = [(table, release(table)) for table in periods]
    assert sum(len(cells) for _, cells in releases) >= 2 * n_releases, "something is published"
    for period, table in enumerate(periods):
        largest = table.nlargest(2, "amount")["customer_id"].tolist()
        for victim in riskiest(table):
            known = largest[0] if victim != largest[0] else largest[1]
            truth = float(table.loc[table["customer_id"] == victim, "amount"].iloc[0])
            low, high = bounds(releases, victim, period, known, RULES.money_grid)
            assert low < (1 - WITHIN) * truth, "told from below"
            assert high > (1 + WITHIN) * truth, "told from above"


def test_the_attack_succeeds_where_nothing_is_protected() -> None:
    table = micro(0, 0)
    alone = table[table["amount"] > 0].groupby(["area"]).filter(lambda rows: len(rows) == 1)
    assert len(alone), "there is an area with one buyer"
    cells = {("area", row): of["amount"].sum() for row, of in table.groupby("area")}
    victim = int(alone["customer_id"].iloc[0])
    low, high = bounds([(table, cells)], victim, 0, (victim + 1) % 90, grid=10.0)
    truth = float(alone["amount"].iloc[0])
    assert high - low <= 10.0 + 1e-6
    assert low <= truth <= high


def test_a_suppressed_cell_is_not_the_total_less_the_others() -> None:
    parts = pd.DataFrame({"row": ["x"] * 50 + ["y"] * 30 + ["z"], "customer_id": range(81), "amount": 20.0})
    shown = protected(parts, RULES).set_index("row")["sales"]
    assert shown.isna().tolist() == [False, True, True, False], "one with a single customer takes a second with it"
    one_of_two = protected(parts[parts["row"] != "x"], RULES).set_index("row")["sales"]
    assert one_of_two.isna().tolist() == [True, True, False]
    counts = protected_counts({"continuing": 90, "lapsed": 3, "new": 40}, RULES)
    assert all(value != value for value in counts.values())


def test_one_that_dominates_is_not_told() -> None:
    amounts = pd.Series([1.0] * 40 + [100.0])
    assert not RULES.allows(amounts), "one has more than half"
    assert not RULES.allows(pd.Series([100.0, 95.0] + [0.5] * 20)), "the second would know the first within a tenth"
    assert RULES.allows(pd.Series([10.0] * 10))
    assert not RULES.allows(pd.Series([10.0] * 9))
    assert not RULES.allows(pd.Series([], dtype=float))


def cells_of(table: pd.DataFrame, period: str) -> pd.DataFrame:
    shown = protected(table[table["amount"] > 0].assign(row=table["area"]), RULES)
    return pd.DataFrame(
        {"table": "areas", "period": period, "row": shown["row"], "measure": "sales", "value": shown["sales"]}
    )


def test_two_releases_of_a_period_cannot_be_subtracted(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.parquet")
    table = micro(1, 0)
    first = ledger.release("Acme", cells_of(table, "2017-01-01"), RULES, "quarter", date(2017, 4, 1))
    erased = table[table["customer_id"] != int(table["amount"].idxmax())]  # one is erased, lines come late
    late = pd.concat(
        [erased, micro(1, 9).assign(customer_id=lambda rows: rows["customer_id"] + 500)], ignore_index=True
    )
    again = ledger.release("Acme", cells_of(late, "2017-01-01"), RULES, "quarter", date(2017, 5, 1))
    pd.testing.assert_series_equal(first["value"], again["value"])
    added = pd.concat([cells_of(table, "2017-01-01"), cells_of(table, "2017-01-01").assign(row="slice")])
    sliced = ledger.release("Acme", added, RULES, "quarter", date(2017, 5, 2))
    assert sliced.loc[sliced["row"] == "slice", "value"].isna().all(), "a told period gets no further cells"
    later = ledger.release("Acme", cells_of(late, "2017-04-01"), RULES, "quarter", date(2017, 7, 1))
    assert later["value"].notna().any()
    assert len(pd.read_parquet(tmp_path / "ledger.parquet")) == len(first) + len(later)


def test_releases_by_other_rules_or_on_another_grid_are_refused(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.parquet")
    ledger.release("Acme", cells_of(micro(1, 0), "2017-01-01"), RULES, "quarter", date(2017, 4, 1))
    for rules, grid in (
        (RULES, "month"),
        (DisclosureRules(min_cell=12), "quarter"),
        (DisclosureRules(money_grid=25), "quarter"),
    ):
        with pytest.raises(ConfigError, match="could be subtracted from each other"):
            ledger.release("Acme", cells_of(micro(1, 1), "2017-04-01"), rules, grid, date(2017, 7, 1))
    ledger.release("Bolt", cells_of(micro(1, 1), "2017-04-01"), RULES, "month", date(2017, 7, 1))


def test_rounding_cannot_be_averaged_away_and_hides_a_single_purchase() -> None:
    table = micro(2, 0)
    assert release(table) == release(table.sample(frac=1, random_state=3)), "equal data give equal numbers, always"
    values = np.array(list(release(table).values()))
    assert (values % RULES.money_grid == 0).all()
    without = [
        release(table[table["customer_id"] != one])
        for one in table.loc[table["amount"].between(0.01, 4), "customer_id"]
    ]
    moved = {abs(cells.get(key, value) - value) for cells in without for key, value in release(table).items()}
    assert moved <= {0.0, RULES.money_grid}, "a purchase below the grid shows as nothing or as a whole step"


def test_rules_that_protect_nobody_are_refused() -> None:
    for given in ({"min_cell": 4}, {"dominance": 1.0}, {"p_percent": 0.0}, {"money_grid": 0}, {"count_grid": 0}):
        with pytest.raises(ConfigError):
            DisclosureRules(**given)  # type: ignore[arg-type]
