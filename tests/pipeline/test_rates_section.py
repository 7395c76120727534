"""A section [rates] converts the amounts of a run's delivery."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from crmkit.ingest.extracts import read_extract
from crmkit.pipeline.check import check_files
from crmkit.pipeline.config import read_config
from crmkit.pipeline.stages import STAGES

CONFIG = """until = 2025-04-30
currency = "USD"
[transactions]
files = "orders.csv"
[rates]
files = "rates.csv"
"""


def test_amounts_are_converted_by_the_rates_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(CONFIG)
    (tmp_path / "orders.csv").write_text(
        "customer_id,purchased_at,amount,currency\na,2025-03-01,10,USD\na,2025-03-02,1000,JPY\n"
    )
    (tmp_path / "rates.csv").write_text("currency,day,rate\nJPY,2025-01-01,0.0067\n")
    config = read_config(tmp_path / "c.toml")
    assert config.rates is not None
    stages = {stage.name: stage.work for stage in STAGES}
    extracts = {
        name: read_extract(table.source(tmp_path), **table.read_options(config.currency))
        for name, table in (("orders", config.transactions), ("rates", config.rates))
    }
    rates = stages["read-rates"](extracts["rates"], rates=config.rates)["rates"]
    found = stages["load"](
        extracts["orders"], config.until, rates=rates, transactions=config.transactions, store=config.store,
        engine=config.engine, folder=tmp_path, progress=str,
    )  # fmt: skip
    assert found["received"].amount_used == Decimal("16.7")
    told = check_files([str(tmp_path / "orders.csv")], config, home=tmp_path)
    assert told.rejections is not None
    assert told.rejections.amount_used == Decimal("16.7")
