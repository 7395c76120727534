"""The record of campaigns under the output folder: ``OUT/campaigns/campaigns.parquet``, and a folder for each campaign.

A campaign's folder holds the tables that its run published (as hard links) and, once it was sent, the offers that members
really got. The ledger is written last, so that a campaign is recorded whole or not at all. A folder that is lost is made
again from the run that planned the campaign; a lost ledger comes from the newest run's ``campaigns.parquet``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from crmkit._atomic import replacing, sync
from crmkit._folders import owned
from crmkit.campaigns.record import COLUMNS, mark_sent, no_campaigns, record_plan
from crmkit.exceptions import ContractError, ExtractError, NoInputError
from crmkit.pipeline.artefacts import digest_of, document
from crmkit.pipeline.history import Published

if TYPE_CHECKING:
    from crmkit.pipeline.settings import Campaign

__all__ = ["CampaignFolder", "Recorded", "due_campaign", "send"]

TABLES = ("offers", "control", "planned", "deals", "campaign_needs", "campaign_pairs")


@dataclass(frozen=True)
class Recorded:
    """One campaign of the record, with its tables.

    Attributes
    ----------
    name, state : str
    first_day, last_day : date
    folder : Path
    """

    name: str
    state: str
    first_day: date
    last_day: date
    folder: Path = field(repr=False)

    @property
    def is_sent(self) -> bool:
        return self.state != "planned"

    def table(self, name: str) -> pd.DataFrame:
        """A table of the campaign; the offers are those that were sent, once it was."""
        sent = self.folder / "sent.parquet"
        file = sent if name == "offers" and self.is_sent and sent.is_file() else self.folder / f"{name}.parquet"
        return _read(file)

    def sent_offers(self) -> pd.DataFrame:
        """The offers that were sent, with what each deal is for, and the days on which each can be redeemed."""
        return self.with_days(self.table("offers").drop(columns=["starts", "ends"], errors="ignore"))

    def with_days(self, offers: pd.DataFrame) -> pd.DataFrame:
        """A table with deal_id, with what each deal is for, and the days of the campaign on which it can be redeemed."""
        deals = self.table("deals").drop_duplicates("deal_id")
        about = [
            "deal_id",
            "category",
            "brand",
            "product_id",
            "brand_type",
            "funder",
            "funder_share",
            "limit_per_member",
        ]
        found = offers.merge(deals[[*about, "starts", "ends"]], on="deal_id", how="left")
        first, last = pd.Timestamp(self.first_day), pd.Timestamp(self.last_day)
        starts, ends = (pd.to_datetime(found[name]) for name in ("starts", "ends"))
        return found.assign(
            campaign=self.name, starts=starts.where(starts > first, first), ends=ends.where(ends < last, last)
        )

    @property
    def digest(self) -> str:
        """Of its tables, and of whether it was sent."""
        files = [(file.name, file.stat()) for file in sorted(self.folder.glob("*.parquet"))]
        return digest_of([self.name, self.is_sent, [[name, stat.st_size, stat.st_mtime_ns] for name, stat in files]])


@dataclass(frozen=True)
class CampaignFolder:
    """The record under one output folder."""

    out: Path

    @property
    def home(self) -> Path:
        return self.out / "campaigns"

    @property
    def ledger(self) -> Path:
        return self.home / "campaigns.parquet"

    def record(self) -> pd.DataFrame:
        """One row per campaign, in the order of their first days."""
        return _read(self.ledger)[list(COLUMNS)] if self.ledger.is_file() else no_campaigns()

    def has(self, name: str) -> bool:
        """Whether a campaign of this name is recorded."""
        return bool((self.record()["campaign"] == name).any())

    def campaigns(self, day: date) -> list[Recorded]:
        """Campaigns that begin on the day after ``day`` or earlier, and whose tables are there."""
        record = self.record()
        names, states = record["campaign"].tolist(), record["state"].tolist()
        days = [[day.date() for day in record[name].dt.to_pydatetime()] for name in ("first_day", "last_day")]
        rows = zip(names, states, *days, strict=True)
        found = [Recorded(name, state, first, last, self.home / name) for name, state, first, last in rows]
        return [one for one in found if one.first_day <= day + timedelta(days=1) and one.folder.is_dir()]

    def restore(self, runs: Sequence[Published]) -> list[str]:
        """Make again what was lost, from published runs; a sentence for each loss."""
        notes = []
        if not self.ledger.is_file() and (known := next((run for run in runs if run.has("campaigns")), None)):
            self.home.mkdir(exist_ok=True)
            self._write(known.table("campaigns")[list(COLUMNS)])
            notes.append(f"The record of campaigns was lost; it was restored from the run of {known.day}.")
        for name, state in self.record()[["campaign", "state"]].itertuples(index=False):
            if not (self.home / name / "offers.parquet").is_file():
                notes.append(self._restored(str(name), str(state), runs))
        return notes

    def _restored(self, name: str, state: str, runs: Sequence[Published]) -> str:
        run = next((run for run in runs if run.has("offers", "control") and _planned_in(run.folder) == name), None)
        if run is None:
            return (
                f"The folder of campaign {name} is gone, and no run holds its tables: its redemptions cannot be matched. "
                f"Restore {self.home / name} from a backup."
            )
        self._link(run.folder, name)
        sent = "" if state == "planned" else " All of its lists are taken to have been sent."
        return f"The folder of campaign {name} was lost; it was restored from the run of {run.day}.{sent}"

    def take(self, run: Path, manifest: Mapping[str, object], again: bool = False) -> None:
        """Record the campaign that a run has planned, and those that it has measured; ``again``: only what is missing."""
        plan = manifest.get("campaign_plan")
        if isinstance(plan, dict) and not (again and self.has(plan["campaign"])):
            self.keep(run, plan)
        if (run / "campaigns.parquet").is_file():
            self.note_measured(run / "campaigns.parquet")

    def keep(self, run: Path, plan: Mapping[str, str]) -> None:
        """Record the campaign that a published run has planned, in place of an earlier plan of it that was not sent."""
        name, record = str(plan["campaign"]), self.record()
        if (record.loc[record["campaign"] == name, "state"] != "planned").any():
            return
        offers = _read(run / "offers.parquet")
        days = date.fromisoformat(plan["first_day"]), date.fromisoformat(plan["last_day"])
        record = record_plan(record[record["campaign"] != name], name, *days, offers)
        self._link(run, name)
        self._write(record.sort_values(["first_day", "campaign"], ignore_index=True))

    def note_measured(self, campaigns: Path) -> None:
        """Take over the figures of campaigns that a run has measured."""
        measured = _read(campaigns)
        done = measured.loc[measured["state"] == "measured", list(COLUMNS)]
        record = self.record()
        if len(done) and len(record):
            whole = pd.concat([record[~record["campaign"].isin(done["campaign"])], done])
            self._write(whole.sort_values(["first_day", "campaign"], ignore_index=True).astype(COLUMNS))

    def send(self, name: str, mailed: pd.DataFrame | None) -> tuple[int, int]:
        """Mark a campaign as sent; returns its members and offers that were."""
        record = self.record()
        offers = _offers_of(self.home / name) if self.has(name) else pd.DataFrame()
        record, sent = mark_sent(record, name, offers, mailed)
        with replacing(self.home / name / "sent.parquet") as part:
            sent.to_parquet(part, index=False)
        self._write(record)
        return int(sent["customer_id"].nunique()), len(sent)

    def _link(self, run: Path, name: str) -> None:
        part, whole = self.home / f".{name}.part", self.home / name
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True, mode=0o750)
        lists = [file.relative_to(run) for file in sorted((run / "lists").glob("**/*")) if file.is_file()]
        for file in [*(Path(f"{table}.parquet") for table in TABLES), *lists]:
            if (run / file).is_file():
                _linked(run / file, part / file)
        shutil.rmtree(whole, ignore_errors=True)
        part.rename(whole)
        sync(self.home)

    def _write(self, record: pd.DataFrame) -> None:
        with replacing(self.ledger) as part:
            record.to_parquet(part, index=False)


def send(out: Path, name: str, file: Path | None = None) -> str:
    """Mark a campaign as sent: to everybody in it, or to the customer_id of a file, with a deal_id only these offers.

    Raises
    ------
    ContractError
        There is no such campaign, it was sent before, or the file names members who are not in it.
    NoInputError
        There is no record, or no such file.
    """
    folder = CampaignFolder(out)
    if not folder.ledger.is_file():
        raise NoInputError(f"{folder.home} has no record of campaigns. Plan one first: crmkit run CONFIG --out {out}.")
    mailed = None if file is None else _mailed(file)
    with owned(out, "run"):
        members, offers = folder.send(name, mailed)
    return f"Campaign {name} is marked as sent: {offers:,} offers to {members:,} members."


def due_campaign(
    campaign: Campaign, recorded: Sequence[Recorded], day: date, horizon: int, forced: bool
) -> dict[str, str] | None:
    """The campaign whose lists are made at the close of ``day``, if any.

    One is due on the day before each that ``starts`` and ``every`` name or, where that day had no run, on the next one.
    """
    first = day + timedelta(days=1)
    due = {"campaign": str(first), "first_day": str(first), "last_day": str(first + timedelta(days=horizon - 1))}
    if (
        campaign.every is None
        or campaign.starts is None
        or forced
        or any(one.first_day == first and one.is_sent for one in recorded)
    ):
        return due
    if first < campaign.starts:
        return None
    begins = campaign.starts + timedelta(days=(first - campaign.starts).days // campaign.every * campaign.every)
    return None if any(begins <= one.first_day < first for one in recorded) else due


def _planned_in(folder: Path) -> str:
    file = folder / "details" / "campaign_plan.json"
    if not file.is_file():
        return ""
    plan = document(file)
    return str(plan["campaign"]) if isinstance(plan, dict) else ""


def _offers_of(folder: Path) -> pd.DataFrame:
    try:
        return _read(folder / "offers.parquet")
    except ExtractError:
        raise ContractError(
            f"{folder} has no offers: the folder was lost. The next run restores it: crmkit run CONFIG."
        ) from None


def _mailed(file: Path) -> pd.DataFrame:
    """The customer_id, and deal_id where there is one, of a CSV or Parquet file."""
    if not file.is_file():
        raise NoInputError(f"There is no file {file}.")
    table = pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file, dtype=str, encoding="utf-8-sig")
    if "customer_id" not in table:
        raise ContractError(f"{file.name} has no column customer_id; it has {list(table.columns)[:10]}.")
    there = [name for name in ("customer_id", "deal_id") if name in table]
    return table[there].dropna().astype(str)


def _linked(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _read(file: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise ExtractError(f"{file} cannot be read ({error}). Restore it from a backup.") from error
