"""What no stage makes: the configured tables, the run date, and what earlier runs left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from crmkit._hashes import FileHashes
from crmkit.exceptions import ConfigError, ExtractError
from crmkit.ingest.extracts import Extract, read_extract
from crmkit.pipeline.artefacts import digest_of, document
from crmkit.pipeline.config import Config, TableSource
from crmkit.pipeline.history import Previous, Published, chain
from crmkit.pipeline.stage import Source
from crmkit.transactions.store import Store

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SOURCES", "Delivery", "earlier_runs", "history_sources"]

TABLES = ("transactions", "products", "members", "deals", "tips", "service", "costs")
SOURCES = (
    "transactions_files",
    "products_files",
    "members_files",
    "deals_files",
    "tips_files",
    "service_files",
    "costs_files",
    "font",
    "store_folder",
    "as_of",
    "until",
    "notes",
    "blocks",
    "previous",
    "previous_scorecard",
    "previous_clusters",
    "earlier_runs",
    "campaign_tables",
    "received_offers",
)
"""What no stage makes: the configured tables, and what earlier runs left."""

CAMPAIGN_TABLES = ("repurchases", "offers", "planned", "control", "deals")


@dataclass(frozen=True)
class Delivery:
    """The configured tables as they lie there, and the hash of each file."""

    extracts: dict[str, Extract]
    font: Path | None
    store: Path | None
    hashes: FileHashes
    waiting: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Config, home: Path, hashes: FileHashes) -> Delivery:
        """Find the files; ``home`` is where the configuration's paths start. For a store, those that are not complete yet wait."""
        tables: dict[str, TableSource] = {
            name: table for name in TABLES if (table := getattr(config, name)) is not None
        }
        store, waiting = home / config.store.folder if config.store.folder else None, dict[str, str]()
        extracts = dict[str, Extract]()
        for name, table in tables.items():
            source, options = table.source(home), table.read_options(config.currency)
            if store and name == "transactions":
                extracts[name], waiting = config.store.incoming.complete(source, options)
            else:
                extracts[name] = read_extract(source, **options)
        return cls(extracts, _font(config, home), store, hashes, waiting)

    @property
    def notes(self) -> list[str]:
        """What is not read yet, and why."""
        return [f"{name} was not loaded: {why}." for name, why in self.waiting.items()]

    def files(self) -> list[dict[str, str]]:
        """Every file that the run depends on: table, file, sha256."""
        files = [(name, part.name, part.path) for name, source in self.extracts.items() for part in source.parts]
        files += [("lists.font", self.font.name, self.font)] if self.font else []
        return [{"table": table, "file": name, "sha256": self.hashes.of(path)} for table, name, path in files if path]

    def sources(self) -> dict[str, Source]:
        """The tables as inputs of stages: ``transactions_files`` and so on."""
        files = self.files()
        found = {
            f"{name}_files": Source(digest_of([file for file in files if file["table"] == name]), _given(extract))
            for name, extract in self.extracts.items()
        }
        if self.store:
            others = Store(self.store).given_besides(self.extracts["transactions"])
            found["store_folder"] = Source(digest_of([str(self.store), others]), _given(self.store))
        if self.font:
            found["font"] = Source(files[-1]["sha256"], _given(self.font))
        return found


def _given(value: object) -> Callable[[], object]:
    return lambda: value


def _font(config: Config, home: Path) -> Path | None:
    if config.lists.font is None:
        return None
    font = home / config.lists.font
    if not font.is_file():
        raise ConfigError(f"[lists] font: there is no file {font}. The path starts from the configuration's folder.")
    return font


def earlier_runs(out: Path, day: date) -> tuple[list[Published], list[str]]:
    """Runs of earlier days, newest first, and a note where one is damaged: the runs behind it are then out of reach."""
    found = list[Published]()
    try:
        for run in chain(out, day):
            if not found:
                run.check("customers")
            found.append(run)
    except ExtractError as error:
        again = "To keep its labels, point CURRENT at its run and run again."
        lost = f"Segments and tiers were rebuilt from scratch: {error} {again}"
        return found, [f"Runs before that of {found[-1].day} are out of reach: {error}" if found else lost]
    return found, []


def history_sources(runs: Sequence[Published], day: date, until: date, horizon: int) -> dict[str, Source]:
    """What earlier runs left: labels to hold, and the newest campaign whose days are over."""
    found = {"as_of": Source(str(day), _given(day)), "until": Source(str(until), _given(until))}
    if runs and runs[0].has("customers"):
        newest = runs[0]
        found["previous"] = Source(newest.digest("customers"), lambda: Previous.of(newest))
    if runs and runs[0].has("scorecard"):
        found["previous_scorecard"] = Source(runs[0].digest("scorecard"), lambda: runs[0].table("scorecard"))
    if runs and runs[0].has("clusters"):
        model, labels = runs[0].folder / "details" / "cluster_model.json", runs[0]
        found["previous_clusters"] = Source(
            labels.digest("clusters"), lambda: (document(model), labels.table("clusters"))
        )
    found["earlier_runs"] = Source(digest_of([run.run for run in runs]), _given(runs))
    over = next((run for run in runs if run.day + timedelta(days=horizon) <= day), None)
    if over and over.has(*CAMPAIGN_TABLES):
        found["campaign_tables"] = Source(over.digest(*CAMPAIGN_TABLES), lambda: _tables(over, CAMPAIGN_TABLES))
    return found


def _tables(run: Published, names: Sequence[str]) -> dict[str, pd.DataFrame]:
    return {name: run.table(name) for name in names}
