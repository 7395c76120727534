"""Points to the point: the ledger against one kept by hand, card by card and day by day."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crmkit import (
    ConfigError,
    Identities,
    PointsBonus,
    PointsEntries,
    PointsLedger,
    PricePromise,
    Transactions,
    points_balances,
    points_liability,
    read_extract,
    reconcile_points,
)
from crmkit.transactions.levels import relabelled

UNTIL, EXPIRES = "2017-12-31", 60


@pytest.fixture(scope="module")
def till() -> pd.DataFrame:
    rng, n = np.random.default_rng(11), 1_500
    bought = pd.DataFrame(
        {
            "customer_id": rng.integers(0, 40, n).astype(str),
            "purchased_at": pd.Timestamp("2017-01-01") + pd.to_timedelta(rng.integers(0, 250, n), unit="D"),
            "amount": np.round(rng.gamma(2, 8, n), 2),
            "product_id": [f"p{one}" for one in range(n)],
            "category": rng.choice(["Milk", "Gift card", "Tea"], n),
            "quantity": 1,
        }
    )
    back = bought.sample(150, random_state=2).assign(quantity=-1)
    back["amount"], back["purchased_at"] = -back["amount"], back["purchased_at"] + pd.Timedelta(days=5)
    return pd.concat([bought, back], ignore_index=True)


@pytest.fixture(scope="module")
def log(till: pd.DataFrame) -> Transactions:
    return Transactions.from_extract(till, until=UNTIL)


@pytest.fixture(scope="module")
def spent() -> pd.DataFrame:
    rng = np.random.default_rng(12)
    days = pd.Timestamp("2017-03-01") + pd.to_timedelta(rng.integers(0, 200, 60), unit="D")
    return pd.DataFrame(
        {"customer_id": rng.integers(0, 40, 60).astype(str), "day": days, "kind": "redeemed", "points": 2}
    )


@pytest.fixture(scope="module")
def ledger(log: Transactions, spent: pd.DataFrame) -> pd.DataFrame:
    return PointsLedger(expires=EXPIRES, leave_out="category = 'Gift card'").entries(log, spent)


def by_hand(till: pd.DataFrame, spent: pd.DataFrame) -> dict[tuple[str, str, str], int]:
    """Each card's days one after the other, with a queue of points that are spent oldest first."""
    kept = till[till["category"] != "Gift card"].assign(bought=lambda t: t["purchased_at"])
    goes = kept["quantity"] < 0
    kept.loc[goes, "bought"] -= pd.Timedelta(days=5)
    moves: dict[tuple[str, pd.Timestamp], list[tuple[str, int]]] = {}
    for (customer, _), lines in kept.groupby(["customer_id", "bought"]):
        total = before = 0
        for day, cents in lines.groupby("purchased_at")["amount"]:
            total += round(cents.sum() * 100)
            points = total // 1_000
            if points != before:
                moves.setdefault((customer, day), []).append(
                    ("earned" if points > before else "returned", points - before)
                )
            before = points
    for row in spent.itertuples():
        moves.setdefault((row.customer_id, row.day), []).append(("redeemed", -row.points))
    found: dict[tuple[str, str, str], int] = {}
    for customer in sorted({one for one, _ in moves}):
        queue: deque[list[object]] = deque()
        owed = 0
        for day in pd.date_range("2017-01-01", UNTIL):
            today = moves.get((customer, day), [])
            for kind, points in today:
                key = (customer, str(day.date()), kind)
                found[key] = found.get(key, 0) + points
                if points > 0:
                    queue.append([day, points])
                else:
                    owed -= points
            while queue and owed:
                taken = min(queue[0][1], owed)
                owed -= taken
                queue[0][1] -= taken
                if not queue[0][1]:
                    queue.popleft()
            while queue and queue[0][0] + pd.Timedelta(days=EXPIRES) <= day:
                key = (customer, str(day.date()), "expired")
                found[key] = found.get(key, 0) - queue.popleft()[1]
    return {key: points for key, points in found.items() if points}


def test_each_entry_is_the_one_made_by_hand(till: pd.DataFrame, spent: pd.DataFrame, ledger: pd.DataFrame) -> None:
    keys = zip(ledger["customer_id"], ledger["day"].dt.date.astype(str), ledger["kind"], strict=True)
    found = dict(zip(keys, ledger["points"], strict=True))
    assert found == by_hand(till, spent)
    assert set(ledger["kind"]) == {"earned", "returned", "redeemed", "expired"}


def test_opening_and_flows_give_the_closing_on_each_card(ledger: pd.DataFrame) -> None:
    table = points_balances(ledger, "2017-04-01", "2017-06-30")
    flow = table[["opening", "earned", "bonus", "adjusted"]].sum(axis=1)
    flow -= table[["returned", "redeemed", "expired"]].sum(axis=1)
    assert (flow == table["closing"]).all()
    next_one = points_balances(ledger, "2017-07-01", "2017-09-30").set_index("customer_id")
    assert (next_one.loc[table["customer_id"], "opening"].to_numpy() == table["closing"]).all()
    last = ledger[ledger["day"] <= "2017-06-30"].groupby("customer_id")["balance"].last()
    assert last.to_dict() == table.set_index("customer_id")["closing"].to_dict()


def test_points_add_up_the_same_by_card_member_and_unit(ledger: pd.DataFrame) -> None:
    n = np.arange(30)
    cards = pd.DataFrame({"card": n.astype(str), "member": [f"m{one // 2}" for one in n]})
    ids = Identities.from_extract(cards.assign(unit=[f"u{one // 6}" for one in n])).table()
    tables = [
        points_balances(relabelled(ledger, ids, level), "2017-04-01", UNTIL)  # type: ignore[arg-type]
        for level in ("card", "member", "unit")
    ]
    sums = [table.drop(columns="customer_id").sum().to_dict() for table in tables]
    assert sums[0] == sums[1] == sums[2]
    assert [len(table) for table in tables] == [40, 25, 15]


def test_the_future_changes_nothing(till: pd.DataFrame, spent: pd.DataFrame, log: Transactions) -> None:
    early = till[till["purchased_at"] < "2017-06-01"]
    short = PointsLedger(expires=EXPIRES).entries(Transactions.from_extract(early, until="2017-05-31"), spent)
    pd.testing.assert_frame_equal(PointsLedger(expires=EXPIRES).entries(log, spent, as_of="2017-05-31"), short)


def test_bonuses_specials_vips_and_promises_are_data() -> None:
    till = pd.DataFrame(
        {
            "customer_id": ["a", "a", "b", "b"],
            "purchased_at": ["2017-05-02", "2017-05-20", "2017-05-02", "2017-05-03"],
            "amount": [20.0, 20.0, 20.0, 9.99],
            "product_id": ["milk", "milk", "milk", "pan"],
            "quantity": [2, 2, 2, 1],
        }
    )
    log = Transactions.from_extract(till, until="2017-05-31")
    programme = PointsLedger(
        bonuses=[
            PointsBonus("fortnight", "product_id = 'milk'", each=5, starts="2017-05-01", ends="2017-05-14"),
            PointsBonus("vip", per=5, vip=True),
        ],
        promises=[PricePromise("milk", 9.5, "2017-05-01", "2017-05-10")],
        rewards={"cup": 12},
    )
    vips = pd.DataFrame({"customer_id": ["b"], "since": ["2017-05-03"]})
    found = programme.entries(log, vips=vips)
    rows = found[["customer_id", "kind", "points", "rule"]].values.tolist()
    assert rows == [
        ["a", "earned", 2, ""],
        ["a", "bonus", 10, "fortnight"],
        ["a", "adjusted", 10, "price promise"],  # 20.00 - 2 * 9.50 = 1.00, at 0.10 a point
        ["a", "earned", 2, ""],
        ["b", "earned", 2, ""],
        ["b", "bonus", 10, "fortnight"],
        ["b", "bonus", 1, "vip"],
        ["b", "adjusted", 10, "price promise"],
    ]
    held = programme.next_rewards(pd.DataFrame({"customer_id": ["a", "c"], "balance": [24, 5]}))
    assert held["reward"].tolist() == ["cup", ""]
    assert held["points_to_go"].astype("float").fillna(-1).tolist() == [-1, 7]


def test_what_is_wrong_in_rules_is_told(log: Transactions) -> None:
    with pytest.raises(ConfigError, match="per=0: must be above 0"):
        PointsLedger(per=0)
    with pytest.raises(ConfigError, match=r"state per .* or each"):
        PointsBonus("x")
    with pytest.raises(ConfigError, match="The condition 'categry = 1' of 'x'"):
        PointsLedger(bonuses=[PointsBonus("x", "categry = 1", per=1)]).entries(log)


def test_a_ledger_of_another_system_is_checked_line_by_line(ledger: pd.DataFrame, tmp_path: Path) -> None:
    file = tmp_path / "points.csv"
    file.write_text(
        "customer_id,day,kind,points,balance\n1,2017-05-01,earned,-3,5\n1,2017-05-01,spent,3,5\n1,soon,earned,3,5\n"
        "1,2017-05-01,redeemed,3,-1\n1,2017-05-01,earned,2.5,5\n1,2017-05-01,adjusted,-3,5\n",
        encoding="utf-8",
    )
    table, rejected = PointsEntries.split_extract(read_extract(str(file)))
    assert len(table.frame) == 1
    assert list(zip(rejected["line"], rejected["reason"], strict=True)) == [
        (2, "points is below 0"),
        (3, "kind is neither earned, bonus, adjusted, returned, redeemed nor expired"),
        (4, "day is not a date"),
        (5, "balance is below 0"),
        (6, "points is not a whole number"),
    ]
    theirs = ledger.assign(points=ledger["points"].abs())[["customer_id", "day", "kind", "points"]]
    same = reconcile_points(ledger, theirs)
    assert (same["state"] == "agrees").all()
    other = pd.concat([theirs.iloc[3:], theirs.iloc[[0]].assign(kind="bonus")], ignore_index=True)
    other.loc[0, "points"] += 1
    counts = reconcile_points(ledger, other)["state"].value_counts().to_dict()
    assert counts == {"agrees": len(ledger) - 4, "only ours": 3, "differs": 1, "only theirs": 1}
    assert reconcile_points(ledger, other)["ours"].sum() == ledger["points"].sum()


def test_breakage_is_found_and_its_interval_holds_it() -> None:
    rng = np.random.default_rng(3)
    inside = []
    for _ in range(60):
        stood = rng.integers(5, 60, 300)
        used = rng.binomial(stood, rng.beta(2, 4, 300))
        cards = np.arange(300).astype(str)
        ledger = pd.DataFrame(
            {
                "customer_id": np.tile(cards, 2),
                "day": np.repeat(pd.to_datetime(["2017-01-02", "2017-06-01"]), 300),
                "kind": np.repeat(["earned", "redeemed"], 300),
                "points": np.concatenate([stood, -used]),
            }
        )
        found = points_liability(ledger, "2017-07-31", worth=0.1, expires=182)
        inside.append(found.breakage.low <= 2 / 3 <= found.breakage.high)
        assert found.expected.low <= found.expected.estimate <= found.expected.high <= found.money
    assert np.mean(inside) >= 0.85
    assert "cannot be said" in str(points_liability(ledger.head(300), "2017-07-31", worth=0.1))
