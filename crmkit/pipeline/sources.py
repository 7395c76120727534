"""What no stage makes: the configured tables, the run date, and what earlier runs left."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from glob import glob
from pathlib import Path

from crmkit._hashes import FileHashes
from crmkit.engine.frames import is_spark
from crmkit.engine.spark import content_hash, spark_table
from crmkit.exceptions import ConfigError, ExtractError
from crmkit.ingest.extracts import Extract, read_extract
from crmkit.ingest.pseudonyms import Pseudonyms
from crmkit.pipeline.artefacts import digest_of, document
from crmkit.pipeline.campaign_folder import Recorded
from crmkit.pipeline.config import Config
from crmkit.pipeline.history import Previous, Published, chain
from crmkit.pipeline.pseudonym_keys import pseudonyms_of
from crmkit.pipeline.stage import Source
from crmkit.pipeline.table_sources import TableSource
from crmkit.transactions.erasure import Tombstones
from crmkit.transactions.store import Store

__all__ = ["SOURCES", "Delivery", "campaign_sources", "earlier_runs", "extract_of", "history_sources", "yet_to_come"]

TABLES = (
    "transactions",
    "products",
    "members",
    "deals",
    "tips",
    "prices",
    "stock",
    "rates",
    "service",
    "costs",
    "redemptions",
    "cards",
    "merges",
    "points_entries",
    "field_staff",
    "premises",
    "visit_results",
)
SOURCES = (
    "transactions_files",
    "products_files",
    "members_files",
    "deals_files",
    "tips_files",
    "prices_files",
    "stock_files",
    "rates_files",
    "service_files",
    "costs_files",
    "redemptions_files",
    "cards_files",
    "merges_files",
    "points_entries_files",
    "field_staff_files",
    "premises_files",
    "visit_results_files",
    "font",
    "store_folder",
    "forgotten",
    "erasures_done",
    "as_of",
    "until",
    "notes",
    "blocks",
    "previous",
    "previous_scorecard",
    "previous_clusters",
    "earlier_runs",
    "campaign_due",
    "campaign_record",
    "sent_campaign",
    "previous_effects",
)
"""What no stage makes: the configured tables, and what earlier runs left."""


@dataclass(frozen=True)
class Delivery:
    """The configured tables as they lie there, and the hash of each file."""

    extracts: dict[str, Extract]
    font: Path | None
    store: Store | None
    hashes: FileHashes
    forgotten: Tombstones
    pseudonyms: Pseudonyms | None = None
    waiting: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Config, home: Path, hashes: FileHashes) -> Delivery:
        """Find the files; ``home`` is where the configuration's paths start. For a store, those that are not complete yet wait."""
        tables: dict[str, TableSource] = {
            name: table for name in TABLES if (table := getattr(config, name)) is not None
        }
        store, waiting = config.store.store(home), dict[str, str]()
        extracts = dict[str, Extract]()
        for name, table in tables.items():
            if store and name == "transactions":
                options = table.options(home, config.currency)
                extracts[name], waiting = config.store.incoming.complete(table.source(home), options)
            elif name != "redemptions" or not yet_to_come(table, home):
                extracts[name] = extract_of(table, home, config.currency)
        forgotten = Tombstones.read(home / config.privacy.folder)
        known = pseudonyms_of(config, home, forgotten)
        if known:
            known.verify()
            extracts = {name: replace(one, pseudonyms=known) for name, one in extracts.items()}
        return cls(extracts, _font(config, home), store, hashes, forgotten, known, waiting)

    @property
    def naming(self) -> list[str]:
        """What customers are called, and who is called nothing any more; empty where they keep their ids."""
        return [self.pseudonyms.check, self.forgotten.digest] if self.pseudonyms else []

    @property
    def notes(self) -> list[str]:
        """What is not read yet, and why."""
        return [f"{name} was not loaded: {why}." for name, why in self.waiting.items()]

    def files(self) -> list[dict[str, str]]:
        """Every file and table of Spark that the run depends on: table, file, sha256."""
        parts = [
            (name, part.name, part.path or part.table)
            for name, one in self.extracts.items()
            for part in (*one.parts, *one.heads)
        ]
        parts += [("lists.font", self.font.name, self.font)] if self.font else []
        return [{"table": table, "file": name, "sha256": self._hash(content)} for table, name, content in parts]

    def _hash(self, content: object) -> str:
        return content_hash(content) if is_spark(content) else self.hashes.of(Path(str(content)))

    def sources(self) -> dict[str, Source]:
        """The tables as inputs of stages: ``transactions_files`` and so on."""
        files = self.files()
        found = {
            f"{name}_files": Source(
                digest_of([*(file for file in files if file["table"] == name), *self.naming]), _given(extract)
            )
            for name, extract in self.extracts.items()
        }
        if self.store:
            others = self.store.given_besides(self.extracts["transactions"])
            found["store_folder"] = Source(digest_of([self.store.place, others]), _given(self.store))
        if self.forgotten.marks:
            found["forgotten"] = Source(self.forgotten.digest, _given(self.forgotten))
        if self.font:
            found["font"] = Source(files[-1]["sha256"], _given(self.font))
        return found


def extract_of(table: TableSource, home: Path, currency: str) -> Extract:
    """Files, a database, or a table of Spark, which is called by its own name in what is told of its rows."""
    if not table.on_spark:
        return read_extract(table.source(home), **table.options(home, currency))
    found = read_extract(spark_table(str(table.table)), **table.read_options(currency))
    return replace(found, parts=tuple(replace(part, name=str(table.table)) for part in found.parts))


def yet_to_come(table: TableSource, home: Path) -> bool:
    """Whether a pattern of files matches none so far: before the first lists nothing has been redeemed."""
    source = table.source(home)
    patterns = source if isinstance(source, list) else []
    return bool(patterns) and all("*" in pattern and not glob(pattern) for pattern in patterns)


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


def campaign_sources(recorded: Sequence[Recorded], due: Mapping[str, str] | None, day: date) -> dict[str, Source]:
    """The campaign to be planned, the record of those that have begun, and this day's own where it was sent already."""
    begun = [one for one in recorded if one.first_day <= day]
    found = {"campaign_record": Source(digest_of([one.digest for one in begun]), _given(begun))}
    if due is not None:
        found["campaign_due"] = Source(digest_of(due), _given(due))
        if own := next((one for one in recorded if one.name == due["campaign"] and one.is_sent), None):
            found["sent_campaign"] = Source(own.digest, _given(own))
    return found


def history_sources(runs: Sequence[Published], day: date, until: date, on_spark: bool = False) -> dict[str, Source]:
    """What earlier runs left: labels to hold, and scores to be compared with what came."""
    found = {"as_of": Source(str(day), _given(day)), "until": Source(str(until), _given(until))}
    if runs and runs[0].has("customers"):
        newest = runs[0]
        found["previous"] = Source(newest.digest("customers"), lambda: Previous.of(newest, on_spark))
    if runs and runs[0].has("scorecard"):
        found["previous_scorecard"] = Source(runs[0].digest("scorecard"), lambda: runs[0].table("scorecard"))
    effects = ("campaign_effects", "campaign_groups")
    if runs and runs[0].has(*effects):
        found["previous_effects"] = Source(runs[0].digest(*effects), lambda: tuple(map(runs[0].table, effects)))
    if runs and runs[0].has("clusters"):
        model, labels = runs[0].folder / "details" / "cluster_model.json", runs[0]
        found["previous_clusters"] = Source(
            labels.digest("clusters"), lambda: (document(model), labels.table("clusters", on_spark=on_spark))
        )
    found["earlier_runs"] = Source(digest_of([run.run for run in runs]), _given(runs))
    return found
