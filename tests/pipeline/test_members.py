"""A run by card, member and unit: the same money, and what is wrong in a delivery is told with file and line."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import crmkit as ck
from crmkit.testing import generated_sales


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    sales = generated_sales(n_customers=60, days=200)
    sales.to_csv(folder / "till.csv", index=False)
    cards = sorted(sales["customer_id"].unique())
    pd.DataFrame({"customer_id": cards, "household": [f"H{n // 3}" for n in range(60)]}).to_csv(
        folder / "members.csv", index=False
    )
    pd.DataFrame({"card": cards[:4], "member": ["m1", "m1", "m2", "m3"], "unit": ["U1", "U1", "U2", "U2"]}).to_csv(
        folder / "cards.csv", index=False
    )
    (folder / "merges.csv").write_text(
        "member,merged_into,merged_on\nm2,m3,2017-03-01\nm2,m1,2017-04-01\n", encoding="utf-8"
    )
    redeemed = "".join(f"{card},2017-05-0{n + 1},redeemed,3\n" for n, card in enumerate(cards[:8]))
    wrong = f"{cards[0]},2017-05-01,redeemed,-3\n"
    (folder / "points.csv").write_text(f"customer_id,day,kind,points\n{redeemed}{wrong}", encoding="utf-8")
    told = f"1,{cards[30]},complaint,2017-05-01,Kim,2017-05-08,4\n2,{cards[31]},complaint,2017-07-10,Kim,2017-08-08,\n"
    (folder / "desk.csv").write_text(
        f"record_id,customer_id,kind,recorded_at,responsible,due,handling\n{told}", encoding="utf-8"
    )
    (folder / "staff.csv").write_text("field_person,visits\nKim,3\nLee,4\n", encoding="utf-8")
    told = f"Kim,2017-07-03,{cards[20]},1,90\nKim,2017-07-03,nobody,1,5\n"
    (folder / "visits.csv").write_text(f"field_person,day,customer_id,met,sold\n{told}", encoding="utf-8")
    return folder


def config(**more: object) -> dict[str, object]:
    return {"until": "2017-07-19", "transactions": {"files": "till.csv"}} | more


def test_two_nights_by_card_member_and_unit_add_up_the_same(home: Path, tmp_path: Path) -> None:
    tables = {
        "members": {"files": "members.csv", "unit": "household"},
        "cards": {"files": "cards.csv"},
        "merges": {"files": "merges.csv"},
        "points": {"per": 10, "expires": 90},
        "points_entries": {"files": "points.csv"},
        "visits": {"minute": 0.01},
        "sheets": {"most": 15},
        "potential": {},
        "service": {"files": "desk.csv"},
        "cash_discount": {"conditions": {"spends 5 a week": "weekly_spend >= 5"}},
        "field_staff": {"files": "staff.csv"},
        "visit_results": {"files": "visits.csv"},
    }
    spent, stood = {}, {}
    for level in ("card", "member", "unit"):
        done = ck.run(config(level=level, **tables), tmp_path / level, home=home)
        spent[level] = round(float(done.tables["customers"]["total_spend"].sum()), 2)
        assert len(done.tables["customers"]) == {"card": 60, "member": 58, "unit": 21}[level]
        assert list(done.tables["identity"].columns) == ["card", "member", "unit", "since"]
        totals = done.tables["level_totals"]
        assert totals["customers"].tolist() == [60, 58, 21]
        assert totals["sales"].round(2).nunique() == totals["card_days"].nunique() == 1
        told = " ".join(done.notes)
        stood[level] = tuple(done.tables["points_balances"].drop(columns="customer_id").sum())
        assert (done.tables["points_check"]["state"] == "agrees").all()
        assert len(done.tables["rejected_visits"]) == 1
        assert "points.csv line 10: points is below 0" in told
        assert "1 rows of merges are invalid" in told
        assert "merges.csv line 3: member is merged already" in told
        plan = done.tables["visits"]
        assert list(plan.columns[:5]) == ["field_person", "day", "position", "customer_id", "expected_gain"]
        assert plan["customer_id"].is_unique
        assert done.tables["overdue"]["record_id"].tolist() == ["1"]
        index = done.tables["sheet_index"]
        assert len(index) == 15
        assert index["customer_id"].head(len(plan)).tolist() == plan["customer_id"].head(15).tolist()
        assert [file.name for file in (done.folder / "sheets").iterdir()] == ["sheets_0001.pdf"]
        assert "customer_id is not among the customers" in told
    assert len(set(spent.values())) == len(set(stood.values())) == 1
    again = ck.run(config(level="unit", **tables), tmp_path / "unit", home=home)
    assert again.repeated
    later = ck.run(config(level="unit", title="Second", **tables), tmp_path / "unit", home=home)
    page = (later.folder / "report.html").read_text(encoding="utf-8")
    for topic in ("Identity", "Points", "Visits", "Revenue", "Potential", "Overdue complaints", "Cash discount"):
        assert f">{topic}<" in page
    pd.testing.assert_frame_equal(later.tables["identity"], again.tables["identity"])
