"""Access, erasure and the end of keeping: who was forgotten is in no file, and does not come back."""

from __future__ import annotations

import json
from decimal import Decimal
from html import escape
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from crmkit import RunResult, run
from crmkit.exceptions import ConfigError, ContractError, ExtractError, NoInputError
from crmkit.pipeline import people
from crmkit.pipeline.cli import app
from crmkit.pipeline.erased_files import cleaned
from crmkit.pipeline.history import manifest_of
from crmkit.pipeline.people import forget, held_of, purge, to_purge
from crmkit.pipeline.publish import is_whole
from crmkit.pipeline.stages import STAGES
from crmkit.testing import generated_sales
from crmkit.transactions.erasure import KEY, Tombstones

CANARY = "CANARY77X"
DAYS = ("2017-08-24", "2017-09-07")
SLOW = {"backtest-value", "backtest-churn", "backtest-repurchase"}
CONFIG = """
until = 2017-09-07
[transactions]
files = "till*.csv"
[members]
files = "members.csv"
[deals]
files = "deals.csv"
[value]
model = "BG/NBD"
[repurchase]
by = "category"
[output]
formats = ["csv", "xlsx"]
"""


def shop(folder: Path, with_store: bool) -> Path:
    sales = generated_sales(n_customers=80, days=250, seed=3)
    best = sales["customer_id"].value_counts().index[0]
    sales["customer_id"] = sales["customer_id"].replace(best, CANARY)
    sales.to_csv(folder / "till.csv", index=False)
    pd.DataFrame({"customer_id": sales["customer_id"].unique(), "no_contact": ""}).to_csv(
        folder / "members.csv", index=False
    )
    categories = sales["category"].value_counts().index[:3]
    deals = {
        "deal_id": [f"d{n}" for n in range(3)],
        "title": "Off",
        "funder": "Maker",
        "category": categories,
        "value": 0.5,
        "margin": 0.4,
    }
    pd.DataFrame(deals | {"starts": "2017-08-01", "ends": "2017-12-31", "budget": 500}).to_csv(
        folder / "deals.csv", index=False
    )
    store = '[store]\nfolder = "store"\n' if with_store else ""
    (folder / "crmkit.toml").write_text(CONFIG + store, encoding="utf-8")
    return folder / "crmkit.toml"


def night(config: Path, out: Path, day: str) -> RunResult:
    return run(config, out, as_of=day, stages=[one for one in STAGES if one.name not in SLOW])


def files_with(canary: str, folder: Path) -> list[str]:
    """Files that hold the canary in bytes, or in a table's rows."""
    found = []
    for file in sorted(one for one in folder.rglob("*") if one.is_file()):
        rows = pq.read_table(file).to_pylist() if file.suffix == ".parquet" else []
        if canary.encode() in file.read_bytes() or canary in str(rows):
            found.append(str(file.relative_to(folder)))
    return found


@pytest.fixture(scope="module", params=[True, False], ids=["store", "files"])
def erased(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """Two nights, and a member who was forgotten after them."""
    home = tmp_path_factory.mktemp("shop")
    config, out = shop(home, request.param), home / "out"
    for day in DAYS:
        night(config, out, day)
    assert any("customers.parquet" in one for one in files_with(CANARY, out))
    assert any("lists" in one for one in map(str, out.rglob("*.pdf")))
    return config, out, str(forget([CANARY], config, out))


def test_who_was_forgotten_is_in_no_file(erased: tuple[Path, Path, str]) -> None:
    config, out, said = erased
    home = config.parent
    assert files_with(CANARY, out) == []
    assert files_with(CANARY, home / "privacy") == []
    if (home / "store").is_dir():
        assert files_with(CANARY, home / "store") == []
    assert CANARY not in said
    assert "1 customers are forgotten" in said
    assert (home / "privacy" / "forgotten.json").stat().st_mode & 0o077 == 0


def test_what_was_published_is_whole_but_for_them(erased: tuple[Path, Path, str]) -> None:
    _, out, _ = erased
    for folder in (out / "runs").glob("*"):
        assert is_whole(folder)
        assert len(pd.read_parquet(folder / "customers.parquet")) == 79
        assert not list(folder.rglob("*.pdf"))  # they are made of tables with a member less


def test_who_was_forgotten_does_not_come_back_and_the_money_stays(erased: tuple[Path, Path, str]) -> None:
    config, out, _ = erased
    done = night(config, out, DAYS[-1])
    assert not done.repeated
    assert len(done.tables["customers"]) == 79
    assert files_with(CANARY, out) == []
    assert (done.folder / "report.html").is_file()
    assert list((done.folder / "lists").glob("*.pdf"))
    sales = pd.read_csv(config.parent / "till.csv")
    read = manifest_of(done.folder)["read"]
    if not (config.parent / "store").is_dir():
        assert Decimal(read["amount_used"]) == Decimal(str(round(sales["amount"].sum(), 2)))
        assert any("forgotten were delivered again" in one for one in done.notes)


def test_a_late_file_in_the_store_brings_nobody_back(tmp_path: Path) -> None:
    config, out = shop(tmp_path, with_store=True), tmp_path / "out"
    night(config, out, DAYS[0])
    forget([CANARY], config, out)
    late = pd.read_csv(tmp_path / "till.csv").head(1).assign(customer_id=CANARY, order_id="late", amount=9.99)
    late.to_csv(tmp_path / "till-late.csv", index=False)
    done = night(config, out, DAYS[1])
    assert files_with(CANARY, tmp_path / "store") == []
    assert files_with(CANARY, out) == []
    assert any("erased from the store again" in one for one in done.notes)


def test_whom_a_delivered_table_names_is_erased_before_anything_is_read(tmp_path: Path) -> None:
    config, out = shop(tmp_path, with_store=True), tmp_path / "out"
    tables = {"cards": {"card": [CANARY, "other"], "member": "m1"}, "merges": {"member": [CANARY], "merged_into": "m2"}}
    for name, rows in tables.items():
        pd.DataFrame(rows | ({"merged_on": "2017-03-01"} if name == "merges" else {})).to_csv(
            tmp_path / f"{name}.csv", index=False
        )
    sections = "".join(f'[{name}]\nfiles = "{name}.csv"\n' for name in (*tables, "erasures"))
    config.write_text(config.read_text() + sections)
    (tmp_path / "erasures.csv").write_text("customer_id,asked_on\n")
    first = night(config, out, DAYS[0])
    assert first.manifest["erasures"] == {"asked": 0, "rejected": 0, "erased": 0}
    assert files_with(CANARY, first.folder.resolve())
    (tmp_path / "erasures.csv").write_text(f"customer_id,asked_on\n{CANARY},2017-08-25\n,2017-08-25\n")
    done = night(config, out, DAYS[1])
    told = done.manifest["erasures"]
    assert (told["asked"], told["rejected"], told["erased"]) == (1, 1, 1)
    assert told["store_lines"] > 0
    assert done.manifest["stages"][0]["stage"] == "tell-erasures"
    assert len(done.tables["customers"]) == 79
    for place in ("out", "store", "privacy"):
        assert files_with(CANARY, tmp_path / place) == []
    (receipt,) = (tmp_path / "privacy" / "receipts").iterdir()
    assert receipt.stat().st_mode & 0o077 == 0
    assert json.loads(receipt.read_text())["store_lines"] == told["store_lines"]
    assert night(config, out, DAYS[1]).repeated


def test_an_erasure_that_was_killed_is_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, out = shop(tmp_path, with_store=True), tmp_path / "out"
    (tmp_path / "erasures.csv").write_text("customer_id\n")
    config.write_text(config.read_text() + '[erasures]\nfiles = "erasures.csv"\n')
    night(config, out, DAYS[0])
    (tmp_path / "erasures.csv").write_text(f"customer_id\n{CANARY}\n")

    def killed(folder: Path, ids: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(people, "cleaned", killed)
        with pytest.raises(KeyboardInterrupt):
            night(config, out, DAYS[1])
    assert files_with(CANARY, out) != []
    assert night(config, out, DAYS[1]).manifest["erasures"]["erased"] == 1
    assert files_with(CANARY, out) == []


def test_a_workbook_and_a_page_are_searched_as_they_are_read(tmp_path: Path) -> None:
    for name, text in (("theirs", "A&B <7>"), ("others", "A&B <70>")):
        pd.DataFrame({"text": [f"{text} asked"] * 50}).to_excel(tmp_path / f"{name}.xlsx", index=False)
        (tmp_path / f"{name}.html").write_text(f"<p>{escape(text)}</p>")
    assert [one["file"] for one in cleaned(tmp_path, ["A&B <7>"])] == ["theirs.html", "theirs.xlsx"]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["others.html", "others.xlsx"]


def test_all_that_is_held_is_shown(tmp_path: Path) -> None:
    config, out = shop(tmp_path, with_store=True), tmp_path / "out"
    night(config, out, DAYS[1])
    held = held_of(CANARY, config, out)
    lines = pd.read_csv(tmp_path / "till.csv")
    assert len(held["store"]["lines"]) == int((lines["customer_id"] == CANARY).sum())
    (run_,) = [tables for place, tables in held.items() if place.startswith("runs/")]
    assert len(run_["customers.parquet"]) == 1
    assert {row["customer_id"] for row in run_["repurchases.parquet"]} == {CANARY}
    shown = CliRunner().invoke(app, ["show", CANARY, "--config", str(config), "--out", str(out)])
    assert set(json.loads(shown.output)) == set(held)
    page = tmp_path / "held.html"
    CliRunner().invoke(app, ["show", CANARY, "--config", str(config), "--out", str(out), "--page", str(page)])
    assert "rows in 1 table of store" in page.read_text(encoding="utf-8")
    with pytest.raises(NoInputError, match="Nothing is held"):
        held_of("nobody", config, out)


def test_old_runs_go_and_the_newest_stays(tmp_path: Path) -> None:
    config, out = shop(tmp_path, with_store=False), tmp_path / "out"
    for day in DAYS:
        night(config, out, day)
    assert to_purge(out, {"runs": 14, "lists": 14}) == []
    printed = to_purge(out, {"runs": 14, "lists": 7})
    assert {one.folder.name for one in printed} == {"lists"}
    purge(out, printed)
    (old,) = (folder for folder in (out / "runs").glob(f"{DAYS[0]}*"))
    assert is_whole(old)
    assert not list(old.rglob("lists/*"))
    told = CliRunner().invoke(app, ["purge", "--older-than", "7", "--out", str(out)])
    assert told.exit_code == 0
    assert "To be removed: runs/2017-08-24" in told.output
    (left,) = (out / "runs").glob("*")
    assert left.name.startswith(DAYS[1])
    assert manifest_of(left)["previous"] is None
    again = night(config, out, DAYS[1])
    assert not [one for one in again.notes if "out of reach" in one or "lost" in one]


def test_a_key_of_the_environment_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "a secret of the house")
    Tombstones.read(tmp_path).with_ids(["7"]).save(tmp_path)
    assert "a secret" not in (tmp_path / "forgotten.json").read_text()
    assert Tombstones.read(tmp_path).among(pd.Series(["7", "8", None])).tolist() == [True, False, False]
    monkeypatch.setenv(KEY, "another secret of it")
    with pytest.raises(ConfigError, match="not the one"):
        Tombstones.read(tmp_path)
    monkeypatch.setenv(KEY, "short")
    with pytest.raises(ConfigError, match="5 bytes"):
        Tombstones.read(tmp_path)


def test_a_damaged_file_of_marks_is_no_empty_one(tmp_path: Path) -> None:
    (tmp_path / "forgotten.json").write_text("{")
    with pytest.raises(ExtractError, match="who must not come back"):
        Tombstones.read(tmp_path)


def test_nobody_is_nobody(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="Nobody is named"):
        forget([" "], tmp_path / "none.toml", tmp_path)
