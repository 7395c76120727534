"""A run on a store: only new files are read, and the tables are those of a run on all files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from crmkit import ContractError, RunResult, Store, Transactions, rfm_table, run
from crmkit.ingest.validation import validate_part
from crmkit.pipeline import check
from crmkit.pipeline.stage import stage
from crmkit.pipeline.stages import STAGES
from crmkit.testing import generated_sales

pytest.importorskip("deltalake")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    sales = generated_sales(n_customers=120, days=250, seed=4)
    for month, lines in sales.groupby(sales["purchased_at"].dt.month):
        lines.to_csv(tmp_path / f"till-{month:02d}.csv", index=False)
    return tmp_path


@stage("total")
def total(log: Transactions) -> dict[str, Any]:
    """What all members have spent, for the run's manifest."""
    return {"total": {"spent": float(rfm_table(log)["total_spend"].sum())}}


def night(shop: Path, out: str, until: str, to: str = "check-delivery", **sections: Any) -> RunResult:
    place = [one.name for one in STAGES].index(to)
    config = {"until": until, "transactions": {"files": "till-*.csv"}, **sections}
    return run(config, shop / out, home=shop, stages=[*STAGES[: place + 1], total])


def test_a_store_is_given_new_files_alone_and_gives_the_same_tables(shop: Path) -> None:
    later = shop / "later"
    later.mkdir()
    for name in ("till-08.csv", "till-09.csv"):
        (shop / name).rename(later / name)
    model = {"value": {"model": "BG/NBD"}}  # which is chosen anew less often than it is fitted
    store = {"store": {"folder": "warehouse"}, **model}
    first = night(shop, "kept", "2017-07-31", "score-repurchases", **store)
    assert first.manifest["read"]["rows"] > 0
    for file in later.iterdir():
        file.rename(shop / file.name)
    second = night(shop, "kept", "2017-09-07", "score-repurchases", **store)
    loads = Store(shop / "warehouse").loads
    assert [len(files) for files in loads["files"]] == [7, 2]
    assert second.manifest["read"]["rows"] == loads["rows_read"].iloc[-1]
    plain = night(shop, "plain", "2017-09-07", "score-repurchases", **model)
    pd.testing.assert_frame_equal(second.tables["repurchases"], plain.tables["repurchases"])
    scores = ["customer_id", "frequency", "T", "total_spend", "value", "p_churn"]
    pd.testing.assert_frame_equal(second.tables["customers"][scores], plain.tables["customers"][scores])


NIGHT = """
import sys
from pathlib import Path
from crmkit import run
from crmkit.pipeline.stages import STAGES
config = {"until": sys.argv[2], "transactions": {"files": "till-*.csv"}, "store": {"folder": "warehouse"}}
home = Path(sys.argv[1])
stages = STAGES[: [one.name for one in STAGES].index("check-delivery") + 1]
done = run(config | {"title": sys.argv[3]}, home / "out", home=home, stages=stages)
print([one["action"] for one in done.manifest["stages"] if one["stage"] == "load"][0])
"""


def load_action(shop: Path, until: str, title: str) -> str:
    """What became of the stage that loads, in a process of its own."""
    command = [sys.executable, "-c", NIGHT, str(shop), until, title]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]


def test_a_night_without_new_files_keeps_what_it_loaded(shop: Path) -> None:
    assert load_action(shop, "2017-09-07", "first") == "run"
    assert load_action(shop, "2017-09-07", "second") == "kept"
    assert load_action(shop, "2017-09-07", "third") == "kept"
    (shop / "till-10.csv").write_text("customer_id,purchased_at,amount\nc1,2017-09-07,5\n")
    assert load_action(shop, "2017-09-07", "fourth") == "run"
    assert load_action(shop, "2017-09-07", "fifth") == "kept"
    loads = Store(shop / "warehouse").loads
    assert [len(files) for files in loads["files"]] == [9, 1]


def test_what_others_give_the_store_is_seen_by_the_next_night(shop: Path) -> None:
    store = {"store": {"folder": "warehouse"}}
    first = night(shop, "out", "2017-09-07", **store)
    more = pd.DataFrame({"customer_id": ["0000"], "purchased_at": ["2017-09-01"], "amount": [77.0]})
    Store(shop / "warehouse").load(more, until="2017-09-07")
    second = night(shop, "out", "2017-09-07", title="Another", **store)
    spent = [one.manifest["total"]["spent"] for one in (first, second)]
    assert spent[1] - spent[0] == pytest.approx(77)


def test_a_night_waits_for_complete_files_and_takes_corrections(shop: Path) -> None:
    (shop / "till-09.csv").rename(shop / "later.csv")
    for file in shop.glob("till-*.csv"):
        (shop / f"{file.name}.done").touch()
    (shop / "later.csv").rename(shop / "till-09.csv")
    right = pd.read_csv(shop / "till-01.csv").head(1).assign(amount=1000.0)
    right.to_csv(shop / "till-corrected.csv", index=False)
    (shop / "till-corrected.csv.done").touch()
    rules = {"store": {"folder": "warehouse", "done": ".done", "corrections": ["*corrected*"]}}
    found = night(shop, "out", "2017-09-07", **rules)
    assert any("till-09.csv was not loaded: there is no till-09.csv.done beside it." in note for note in found.notes)
    loads = Store(shop / "warehouse").loads
    assert loads["corrects"].tolist() == [False, True]
    assert found.manifest["read"]["rows"] == loads["rows_read"].sum()
    assert found.manifest["read"]["used"] + found.manifest["read"]["rejected"] == loads["rows_read"].sum()


def test_a_refused_file_ends_the_night_and_keeps_no_other_out(shop: Path) -> None:
    (shop / "till-bad.csv").write_text("nothing,of,this\n1,2,3\n")
    store = {"store": {"folder": "warehouse"}}
    with pytest.raises(ContractError, match="Columns not found"):
        night(shop, "out", "2017-09-07", **store)
    assert Store(shop / "warehouse").loads["files"].map(len).sum() == 9
    (shop / "till-bad.csv").unlink()
    assert night(shop, "out", "2017-09-07", **store).manifest["total"]["spent"] > 0


def test_the_latest_day_is_that_of_the_store_and_of_the_new_files(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = list[str]()

    def counted(engine: Any, extract: Any, part: Any, *more: Any) -> Any:
        read.append(part.name)
        return validate_part(engine, extract, part, *more)

    monkeypatch.setattr(check, "validate_part", counted)
    store = {"store": {"folder": "warehouse"}}
    first = night(shop, "out", "latest", **store)
    assert first.manifest["as_of"] == "2017-09-06"
    assert len(read) == 9
    read.clear()
    (shop / "till-10.csv").write_text("customer_id,purchased_at,amount\nc1,2017-09-20,5\n")
    second = night(shop, "out", "latest", **store)
    assert second.manifest["as_of"] == "2017-09-20"
    assert read == ["till-10.csv"]


def test_a_day_without_sales_is_a_day(shop: Path) -> None:
    """A shop that is closed delivers a header, or nothing."""
    store = {"store": {"folder": "warehouse"}}
    night(shop, "out", "2017-09-07", **store)
    (shop / "till-10.csv").write_text("customer_id,purchased_at,amount\n")
    for day in ("2017-09-08", "2017-09-09"):
        closed = night(shop, "out", day, **store)
        assert (closed.manifest["as_of"], closed.manifest["read"]["rows"]) == (day, 0)


def test_a_night_without_new_files_reads_nothing_and_goes_on(shop: Path) -> None:
    store = {"store": {"folder": "warehouse"}}
    night(shop, "out", "2017-09-07", **store)
    again = night(shop, "out", "2017-09-07", title="Another", **store)
    assert {one["action"] for one in again.manifest["stages"] if one["stage"] == "load"} == {"kept"}
    other = night(shop, "elsewhere", "2017-09-07", **store)
    assert other.manifest["read"]["rows"] == 0
    assert other.manifest["total"] == again.manifest["total"]
    assert len(Store(shop / "warehouse").loads) == 1
