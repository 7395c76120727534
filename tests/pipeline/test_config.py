"""The configuration: what a section states reaches the function of the same keywords."""

from __future__ import annotations

from pathlib import Path

import pytest

from crmkit.exceptions import ConfigError
from crmkit.ingest.parts import Reading
from crmkit.pipeline.config import Config, SalesSource, read_config

HEAD = 'until = 2017-12-31\n[transactions]\nfiles = "till.csv"\n'


def configured(folder: Path, text: str) -> Config:
    file = folder / "crmkit.toml"
    file.write_text(HEAD + text, encoding="utf-8")
    return read_config(file)


def test_options_reach_their_functions(tmp_path: Path) -> None:
    sales = configured(
        tmp_path,
        'thousands = "."\ndecimal = ","\nskip_rows = 2\ntime_zone = "Asia/Seoul"\nnon_members = ["till 4"]\n'
        'columns = { amount = "paid" }\n[transactions.rules]\n"quantity is above 10,000" = "quantity > 10000"\n',
    ).transactions
    assert sales.read_options("EUR") == {"currency": "EUR", "decimal": ",", "thousands": ".", "skip_rows": 2}
    assert sales.line_options() == {
        "time_zone": "Asia/Seoul",
        "non_members": ["till 4"],
        "rules": {"quantity is above 10,000": "quantity > 10000"},
        "amount": "paid",
    }


def test_every_option_of_reading_is_a_key() -> None:
    assert set(Reading.__dataclass_fields__) < set(SalesSource.model_fields)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('rules = { "quantity is odd" = "" }', "transactions: rules: .*lack a reason or a condition"),
        ("skip_rows = true", "transactions.skip_rows: .*integer"),
        ('non_member = ["a"]', "transactions.non_member: unknown key; did you mean 'non_members'"),
        ('decimal = "."\nthousands = "."', "decimal and thousands are both"),
        ('recorded_in = "Asia/Seoul"', "recorded_in is given without time_zone"),
    ],
)
def test_faults_are_told_with_their_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configured(tmp_path, text)
