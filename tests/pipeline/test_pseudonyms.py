"""Pseudonyms: no id beyond the door, the same figures, a table to re-identify that is closed, and another key by one command."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from crmkit import RunResult, run
from crmkit.exceptions import ConfigError
from crmkit.ingest.pseudonyms import FILE, Pseudonyms
from crmkit.pipeline.cli import app
from crmkit.pipeline.key_change import change_key
from crmkit.pipeline.people import forget, held_of
from crmkit.pipeline.stages import STAGES
from crmkit.testing import generated_sales

KEY = "a secret of the house"
DAYS = ("2017-08-24", "2017-09-07")
DRAWN = ("code", "list_code", "run")
"""Drawn from what members are called, or of a run."""
SLOW = {"backtest-value", "backtest-churn", "backtest-repurchase"}
CONFIG = """
until = 2017-09-07
[transactions]
files = "till*.csv"
[members]
files = "members.csv"
[service]
files = "service.csv"
[deals]
files = "deals.csv"
[offers]
control = 0
[value]
model = "BG/NBD"
[repurchase]
by = "category"
[store]
folder = "store"
"""


def shop(folder: Path, pseudonyms: bool) -> Path:
    folder.mkdir()
    sales = generated_sales(n_customers=80, days=250, seed=3)
    sales["customer_id"] = "CANARY" + sales["customer_id"].astype(str)
    own = sales.groupby("customer_id").ngroup() / 100
    sales["amount"] = (sales["amount"] + own).round(2)  # no two members are alike, so no tie falls by their ids
    sales.to_csv(folder / "till.csv", index=False)
    members = sales["customer_id"].unique()
    pd.DataFrame({"customer_id": members, "no_contact": ""}).to_csv(folder / "members.csv", index=False)
    cases = pd.DataFrame({"customer_id": members[:9], "kind": "complaint", "recorded_at": "2017-08-01"})
    cases.assign(record_id=range(9)).to_csv(folder / "service.csv", index=False)
    deals = {"title": "Off", "funder": "Maker", "category": sales["category"].value_counts().index[:3], "value": 0.5}
    deals |= {"margin": 0.4, "starts": "2017-08-01", "ends": "2017-12-31", "budget": 500}
    pd.DataFrame({"deal_id": ["d1", "d2", "d3"]} | deals).to_csv(folder / "deals.csv", index=False)
    key = folder.with_suffix(".key")
    key.write_text(KEY)
    key.chmod(0o600)
    privacy = f'[privacy]\npseudonyms = true\nkey_file = "../{key.name}"\n' if pseudonyms else ""
    (folder / "crmkit.toml").write_text(CONFIG + privacy, encoding="utf-8")
    return folder / "crmkit.toml"


def night(config: Path, day: str) -> RunResult:
    return run(config, config.parent / "out", as_of=day, stages=[one for one in STAGES if one.name not in SLOW])


def name_of(customer_id: str, key: str = KEY) -> str:
    """By the definition of HMAC, without the library's own."""
    block = key.encode().ljust(64, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in block) for pad in (0x36, 0x5C))
    digest = hashlib.sha256(outer + hashlib.sha256(inner + customer_id.encode()).digest()).digest()
    return base64.b32encode(digest[:15]).decode().lower()


def files_with(words: list[str], *folders: Path) -> list[str]:
    """Files that hold one of the words in bytes, or in a table's rows."""
    found = []
    for file in sorted(one for folder in folders for one in folder.rglob("*") if one.is_file()):
        rows = str(pq.read_table(file).to_pylist()) if file.suffix == ".parquet" else ""
        content = file.read_bytes()
        if any(word.encode() in content or word in rows for word in words):
            found.append(str(file))
    return found


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same two nights with ids and with pseudonyms."""
    home = tmp_path_factory.mktemp("shops")
    found = shop(home / "ids", False), shop(home / "names", True)
    for config in found:
        for day in DAYS:
            night(config, day)
    return found


@pytest.fixture
def names(shops: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of the shop with pseudonyms."""
    shutil.copytree(shops[1].parent, tmp_path / "names", symlinks=True)
    shutil.copy2(shops[1].parent.with_suffix(".key"), tmp_path / "names.key")
    return tmp_path / "names" / "crmkit.toml"


def members(config: Path) -> list[str]:
    return list(pd.read_csv(config.parent / "members.csv")["customer_id"])


def test_no_id_is_in_store_runs_campaigns_and_logs(shops: tuple[Path, Path]) -> None:
    home = shops[1].parent
    assert files_with(["CANARY", KEY], home / "store", home / "out") == []
    table = home / "privacy" / FILE
    assert files_with([KEY], home / "privacy") == []
    assert (table.stat().st_mode & 0o077, table.parent.stat().st_mode & 0o077) == (0, 0)
    lists = "".join(map(str, (home / "out").rglob("lists/*.pdf")))
    assert lists, "lists were printed"
    scored = pd.read_parquet(home / "out/CURRENT/customers.parquet")["customer_id"]
    assert set(scored) <= set(map(name_of, members(shops[1])))


def test_every_figure_is_the_same_with_and_without(shops: tuple[Path, Path]) -> None:
    ids, names = (config.parent / "out" / "CURRENT" for config in shops)
    back = {name_of(one): one for one in members(shops[1])}
    tables = sorted(file.relative_to(ids) for file in ids.rglob("*.parquet"))
    assert len(tables) > 20
    assert tables == sorted(file.relative_to(names) for file in names.rglob("*.parquet"))
    unequal = []
    for name in tables:
        one, other = pd.read_parquet(ids / name), pd.read_parquet(names / name)
        for column in other.select_dtypes(["object", "string"]):
            other[column] = other[column].where(~other[column].isin(back), other[column].map(back))
        one, other = (_sorted(table.drop(columns=[*DRAWN], errors="ignore")) for table in (one, other))
        try:
            pd.testing.assert_frame_equal(one, other, rtol=1e-9)
        except AssertionError as error:
            unequal.append(f"{name}: {error}")
    assert not unequal, "\n".join(unequal)


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    keys = table.map(str).apply("|".join, axis=1) if len(table) else pd.Series(dtype=str)
    return table.loc[keys.sort_values(kind="stable").index].reset_index(drop=True)


def test_a_pseudonym_is_looked_up_with_the_key_alone(names: Path) -> None:
    one = members(names)[0]
    said = CliRunner().invoke(app, ["reveal", name_of(one), "nobody", "--config", str(names)])
    assert said.output.splitlines() == [f"{name_of(one)}: {one}", "nobody: nobody known"]
    names.parent.with_suffix(".key").write_text("another secret of it")
    with pytest.raises(ConfigError, match="every customer would be a new one"):
        night(names, DAYS[1])


def test_who_is_forgotten_by_id_is_in_no_file_and_does_not_come_back(names: Path) -> None:
    home, one = names.parent, members(names)[0]
    assert held_of(one, names, home / "out")["store"]["lines"]
    receipt = forget([one], names, home / "out")
    assert receipt.store_lines == int((pd.read_csv(home / "till.csv")["customer_id"] == one).sum())
    assert files_with([one, name_of(one)], home / "store", home / "out", home / "privacy") == []
    late = pd.read_csv(home / "till.csv").head(2)
    late = late.assign(customer_id=[one, members(names)[1]], order_id=["late", "later"], amount=9.99)
    late.to_csv(home / "till-late.csv", index=False)
    done = night(names, DAYS[1])
    assert len(done.tables["customers"]) == 79
    assert done.manifest["read"]["reasons"] == {"customer_id is of somebody who was forgotten": 1}
    assert files_with([one, name_of(one)], home / "store", home / "out", home / "privacy") == []


def test_another_key_by_one_command(names: Path) -> None:
    home, out = names.parent, names.parent / "out"
    before = pd.read_parquet(out / "CURRENT" / "customers.parquet")
    new = home.with_name("new.key")
    new.write_text("the secret of next year")
    new.chmod(0o600)
    assert change_key(new, names, out).n_customers == 80
    old = [name_of(one) for one in members(names)]
    assert files_with([*old, "secret of next"], home / "store", out, home / "privacy") == []
    shutil.copy2(new, home.with_suffix(".key"))
    names_now = dict(zip(old, (name_of(one, "the secret of next year") for one in members(names)), strict=True))
    done = night(names, DAYS[1])
    seen = ["customer_id", "frequency", "recency", "segment", "tier_since", "joined"]  # models are fitted anew
    after = done.tables["customers"][seen]
    expected = before[seen].assign(customer_id=before["customer_id"].map(names_now))
    pd.testing.assert_frame_equal(_sorted(after), _sorted(expected), rtol=1e-9)
    assert not [note for note in done.notes if "rebuilt" in note]
    assert CliRunner().invoke(app, ["store", "check", str(names)]).exit_code == 0


def test_a_change_of_key_that_did_not_end_stops_all_until_it_is_said_again(names: Path) -> None:
    home, new = names.parent, names.parent.with_name("new.key")
    new.write_text("the secret of next year")
    new.chmod(0o600)
    old, other = (Pseudonyms(key.encode(), home / "privacy") for key in (KEY, "the secret of next year"))
    old.begin_change(other)
    with pytest.raises(ConfigError, match="Say crmkit rekey again"):
        night(names, DAYS[1])
    with pytest.raises(ConfigError, match="Another change of the key did not end"):
        old.begin_change(Pseudonyms(b"a third key of it, long", home / "privacy"))
    change_key(new, names, home / "out")
    other.verify()


def test_what_was_made_in_the_other_way_is_refused(shops: tuple[Path, Path], names: Path, tmp_path: Path) -> None:
    home = names.parent
    (home / "off.toml").write_text(names.read_text().replace("pseudonyms = true", "pseudonyms = false"))
    with pytest.raises(ConfigError, match="shows that customers had pseudonyms here"):
        run(home / "off.toml", home / "out")
    shutil.rmtree(home / "privacy")
    with pytest.raises(ConfigError, match="was loaded without pseudonyms"):
        run(names, home / "out")
    shutil.rmtree(home / "store")
    with pytest.raises(ConfigError, match="Publish into another folder"):
        run(names, shops[0].parent / "out")


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [("short", 0o600, "5 bytes"), (KEY, 0o644, "Others may read"), (None, 0, "cannot be read")],
)
def test_a_key_that_is_none(names: Path, content: str | None, mode: int, said: str) -> None:
    file = names.parent.with_suffix(".key")
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
        os.chmod(file, mode)
    with pytest.raises(ConfigError, match=said):
        night(names, DAYS[1])


def test_a_key_of_the_environment(names: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names.write_text(names.read_text().replace('key_file = "../names.key"', 'key_env = "HOUSE_KEY"'))
    with pytest.raises(ConfigError, match="the environment has no HOUSE_KEY"):
        night(names, DAYS[1])
    monkeypatch.setenv("HOUSE_KEY", KEY)
    done = night(names, DAYS[1])
    assert KEY not in json.dumps(done.manifest)
    (names.parent / "privacy" / "in.key").write_text(KEY)
    names.write_text(names.read_text().replace('key_env = "HOUSE_KEY"', 'key_file = "privacy/in.key"'))
    (names.parent / "privacy" / "in.key").chmod(0o600)
    with pytest.raises(ConfigError, match="lies with the data"):
        night(names, DAYS[1])
