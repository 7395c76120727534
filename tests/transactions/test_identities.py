"""Whose each card is: the same rows and money by card, member and unit; merges with a ledger; what cannot be right is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crmkit import (
    ContractError,
    Identities,
    Transactions,
    at_level,
    btyd_summary,
    cohorts,
    level_totals,
    near_identical,
    read_extract,
    rfm_table,
)
from crmkit.exceptions import ConfigError, CrmkitWarning


@pytest.fixture(scope="module")
def log() -> Transactions:
    rng, n = np.random.default_rng(7), 4_000
    till = pd.DataFrame(
        {
            "customer_id": ["c" + str(one) for one in rng.integers(0, 300, n)],
            "purchased_at": pd.Timestamp("2016-10-05") + pd.to_timedelta(rng.integers(0, 300, n), unit="D"),
            "amount": np.round(rng.gamma(2, 6, n), 2),
            "product_id": rng.integers(0, 30, n).astype(str),
            "quantity": 1,
        }
    )
    back = till.sample(60, random_state=1).assign(quantity=-1)
    back["amount"], back["purchased_at"] = -back["amount"], back["purchased_at"] + pd.Timedelta(days=3)
    return Transactions.from_extract(pd.concat([till, back], ignore_index=True), until="2017-12-31")


@pytest.fixture(scope="module")
def ids() -> Identities:
    """Cards 0 to 199: two to a member, two members to a unit; the rest are in no table."""
    n = np.arange(200)
    cards = pd.DataFrame({"card": [f"c{one}" for one in n], "member": [f"m{one // 2}" for one in n]})
    return Identities.from_extract(cards.assign(unit=[f"u{one // 4}" for one in n]))


def test_money_and_rows_are_the_same_at_each_level(log: Transactions, ids: Identities) -> None:
    card = rfm_table(log)
    for level, name in (("member", "member"), ("unit", "unit")):
        other = rfm_table(at_level(log, ids, level))  # type: ignore[arg-type]
        names = ids.table().set_index("card")[name]
        by_hand = card.assign(customer_id=card["customer_id"].map(names).fillna(card["customer_id"]))
        sums = by_hand.groupby("customer_id")["total_spend"].sum().round(2)
        assert other.set_index("customer_id")["total_spend"].round(2).to_dict() == sums.to_dict()
    assert btyd_summary(at_level(log, ids, "unit"))["frequency"].max() > btyd_summary(log)["frequency"].max()
    totals = level_totals(log, ids.table())
    assert totals["customers"].tolist() == [300, 200, 150]
    assert totals["card_days"].nunique() == 1
    assert totals["sales"].round(2).nunique() == 1


def test_a_summary_of_money_over_time_does_not_depend_on_the_level(log: Transactions, ids: Identities) -> None:
    sales = [cohorts(at_level(log, ids, level))["revenue"].sum() for level in ("card", "member", "unit")]  # type: ignore[arg-type]
    assert np.ptp(sales) == pytest.approx(0, abs=1e-6)


def test_a_card_is_the_members_from_its_day_on() -> None:
    till = pd.DataFrame({"customer_id": "c1", "purchased_at": ["2017-01-05", "2017-02-05"], "amount": [1.0, 2.0]})
    cards = Identities.from_extract(pd.DataFrame({"card": ["c1"], "member": ["m1"], "since": ["2017-02-01"]}))
    found = rfm_table(at_level(Transactions.from_extract(till, until="2017-02-28"), cards, "member"))
    assert dict(zip(found["customer_id"], found["total_spend"], strict=True)) == {"c1": 1.0, "m1": 2.0}


def test_what_cannot_be_right_is_rejected_with_file_line_and_reason(tmp_path: Path) -> None:
    file = tmp_path / "cards.csv"
    file.write_text(
        "card,member,unit\nc1,m1,u1\nc1,m1,u2\nc2,m2,u2\nc3,m3,u3\nc3,m4,u3\nc5,m5,u5\nc6,m5,u6\nc7,,u1\nc2,m2,u2\n",
        encoding="utf-8",
    )
    found, rejected = Identities.split_extract(read_extract(str(file)))
    told = rejected.groupby("reason")["line"].apply(lambda lines: sorted(map(int, lines))).to_dict()
    assert told == {
        "card is in two units": [2, 3],
        "card belongs to two members": [5, 6],
        "member is in two units": [7, 8],
        "member is missing": [9],
    }
    assert set(rejected["file"]) == {"cards.csv"}
    assert rejected["advice"].str.endswith(".").all()
    assert found.cards["card"].tolist() == ["c2"]  # delivered twice alike: once
    with pytest.raises(ContractError, match=r"7 rows of cards are invalid:\n  cards.csv line"):
        Identities.from_extract(read_extract(str(file)))


def test_a_unit_with_the_number_of_a_strange_member_is_refused(log: Transactions) -> None:
    cards = pd.DataFrame({"card": ["c1", "c2"], "member": ["7", "8"], "unit": ["u", "7"]})
    with pytest.raises(ContractError, match="1 units have the number of a member who is not in them"):
        Identities.from_extract(cards).table()
    taken = Identities.from_extract(pd.DataFrame({"card": ["c1"], "member": ["m1"], "unit": ["c2"]}))
    with pytest.raises(ContractError, match="1 cards of the log are in no table of cards"):
        at_level(log, taken, "unit")
    with pytest.raises(ConfigError, match="level='house' is not known"):
        at_level(log, taken, "house")  # type: ignore[arg-type]


def test_merges_are_done_undone_and_kept_in_the_ledger(log: Transactions, ids: Identities) -> None:
    one = ids.merge("m1", into="m0", on="2017-03-01").merge("m0", into="m9", on="2017-04-01")
    table = one.table().set_index("card")["member"]
    assert set(table[["c0", "c1", "c2", "c3", "c18"]]) == {"m9"}
    assert one.table("2017-03-31").set_index("card")["member"][["c2", "c18"]].tolist() == ["m0", "m9"]
    assert one.table("2017-02-28").set_index("card")["member"]["c2"] == "m1"
    parted = one.undo("m0", on="2017-05-01")
    assert parted.table().set_index("card")["member"][["c0", "c2", "c18"]].tolist() == ["m0", "m0", "m9"]
    assert len(parted.merges) == 2
    back = parted.undo("m1", on="2017-05-02").table().set_index("card")["member"]
    assert back[ids.table()["card"]].tolist() == ids.table()["member"].tolist()
    merged = rfm_table(at_level(log, one, "member"))["total_spend"].sum()
    assert merged == pytest.approx(rfm_table(log)["total_spend"].sum())


def test_merges_of_merged_members_are_refused(ids: Identities, tmp_path: Path) -> None:
    one = ids.merge("m1", into="m0", on="2017-03-01")
    with pytest.raises(ContractError, match="member is merged already"):
        one.merge("m1", into="m2", on="2017-04-01")
    with pytest.raises(ContractError, match="merged_into is merged already"):
        one.merge("m2", into="m1", on="2017-04-01")
    with pytest.raises(ContractError, match="merged into itself"):
        one.merge("m2", into="m2", on="2017-04-01")
    with pytest.raises(ContractError, match="not merged"):
        ids.undo("m1", on="2017-04-01")
    file = tmp_path / "merges.csv"
    file.write_text(
        "member,merged_into,merged_on,undone_on\nm1,m0,2017-03-01,\nm1,m2,2017-04-01,\nm3,m1,2017-04-02,\n"
        "m4,m4,2017-04-03,\nm5,m6,2017-04-04,2017-04-01\nm7,m8,2017-04-05,2017-04-06\nm7,m9,2017-04-07,\n",
        encoding="utf-8",
    )
    done, rejected = ids.with_merges(read_extract(str(file)))
    assert sorted(zip(rejected["line"].astype(int), rejected["reason"], strict=True)) == [
        (3, "member is merged already"),
        (4, "merged_into is merged already"),
        (5, "member is merged into itself"),
        (6, "undone_on is before merged_on"),
    ]
    assert len(done.merges) == 3  # and nothing is lost: 3 kept, 4 rejected


def test_nearly_identical_numbers_are_told_and_not_merged() -> None:
    till = pd.DataFrame(
        {"customer_id": ["A-17", "a17", "018", "18", "19"], "purchased_at": "2017-01-05", "amount": 1.0}
    )
    with pytest.warns(CrmkitWarning, match="differ from those of others of this delivery by leading zeros alone: 1"):
        log = Transactions.from_extract(till, until="2017-01-31")
    assert near_identical(log)["same_as"].tolist() == ["018", "018", "A-17", "A-17"]
    assert len(rfm_table(log)) == 5
