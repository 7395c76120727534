"""The nightly run: one configuration in, one published folder out, or nothing at all.

`run` writes everything into ``OUT/runs/<id>.part``, stage by stage, renames it when it is complete, and then points
``OUT/CURRENT`` at it, unless that is a run of a later day. The id is made of the inputs, the configuration, the code and
the run before, so running again on the same delivery finds its result and does nothing. A run that ended early leaves its
finished stages in place; the next one goes on from there.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from crmkit import __version__
from crmkit._atomic import full_disk_told
from crmkit._days import as_day
from crmkit._folders import owned
from crmkit._hashes import FileHashes
from crmkit.engine.duckdb import engine_limits
from crmkit.engine.spark import start_session
from crmkit.exceptions import ConfigError, NoInputError, SourceChangedError
from crmkit.pipeline import publish
from crmkit.pipeline.artefacts import Artefact, digest_of, load
from crmkit.pipeline.campaign_folder import CampaignFolder, Recorded, due_campaign
from crmkit.pipeline.config import Config, config_of, read_config
from crmkit.pipeline.erasure_table import erase_delivered
from crmkit.pipeline.fingerprints import code_digest, package_digest, versions
from crmkit.pipeline.history import Published, folders_of, manifest_of
from crmkit.pipeline.plugins import rules_of, stages_of
from crmkit.pipeline.records import Record
from crmkit.pipeline.run_result import RunResult
from crmkit.pipeline.runner import Progress, Runner
from crmkit.pipeline.sources import SOURCES, Delivery, campaign_sources, earlier_runs, history_sources
from crmkit.pipeline.stage import Source, Stage, check_order
from crmkit.pipeline.stages_to_run import Decider, Decision, Wishes
from crmkit.pipeline.table_formats import write_formats

__all__ = ["plan", "run"]

_KEPT = "The published run is unchanged, and what this one has made is kept. Free some space and run again: it goes on from there."


def run(
    config: str | Path | Mapping[str, object] | Config,
    out: str | Path = "out",
    *,
    as_of: str | date | None = None,
    home: str | Path | None = None,
    start: str = "",
    only: Sequence[str] = (),
    fresh: bool = False,
    backtest: bool = False,
    plan_lists: bool = False,
    stages: Sequence[Stage] | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """Read, score, plan and publish.

    Parameters
    ----------
    config : path, mapping or Config
    out : path
        Folder to publish under; ``out/CURRENT`` is the complete run of the newest day.
    as_of : date, optional
        The run date: only what happened up to its close is used. Default: the configured ``until``.
    home : path, optional
        Folder that the configuration's paths start from: by default that of its file, or the current one.
    start : str
        Redo this stage, and all that depend on it, though nothing has changed.
    only : sequence of str
        Redo these stages and nothing else: all others stay as they are.
    fresh : bool
        Redo every stage; models and backtests of an earlier night that are not due stay.
    backtest : bool
        Refit the models as of earlier dates, even if that is not due.
    plan_lists : bool
        Plan lists for the days after this one, whatever [campaign] says.
    stages : sequence of Stage, optional
        By default those of `crmkit.pipeline.stages`; give that list with more of your own.
    progress : callable, optional
        Told each stage and what becomes of it.

    Returns
    -------
    RunResult

    Raises
    ------
    CrmkitError
        Nothing has been published; what was there before is untouched, and finished stages are kept for the next run.

    Examples
    --------
    >>> import tempfile
    >>> from crmkit.testing import generated_sales
    >>> folder = Path(tempfile.mkdtemp())
    >>> generated_sales(n_customers=60, days=200).to_csv(folder / "till.csv", index=False)
    >>> done = run({"until": "2017-07-19", "transactions": {"files": "till.csv"}}, folder / "out", home=folder)
    >>> len(done.tables["customers"]), done.repeated
    (60, False)
    """
    wishes = Wishes(start, tuple(only), fresh, backtest)
    with _prepared(config, Path(out), as_of, home, stages, plan_lists, erase=True) as night:
        if night.done and wishes == Wishes() and publish.is_whole(night.done[-1]):
            CampaignFolder(night.out).take(night.done[-1], manifest_of(night.done[-1]), again=True)
            result = _pointed(night, night.done[-1].name, repeated=True)
            _remove(night.done[:-1])  # a run that took their place was killed before it removed them
            return result
        if not fresh:
            night.check_store()
        return night.publish(wishes, progress)


def plan(
    config: str | Path | Mapping[str, object] | Config,
    out: str | Path = "out",
    *,
    as_of: str | date | None = None,
    home: str | Path | None = None,
    start: str = "",
    only: Sequence[str] = (),
    fresh: bool = False,
    backtest: bool = False,
    plan_lists: bool = False,
    stages: Sequence[Stage] | None = None,
) -> list[Decision]:
    """What `run` would do, stage by stage, and why; no table is read, and nothing is published."""
    wishes = Wishes(start, tuple(only), fresh, backtest)
    with _prepared(config, Path(out), as_of, home, stages, plan_lists) as night:
        return night.runner(wishes, None).plan()


# -- A night ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Night:
    """Everything that is known before the first stage."""

    config: Config
    out: Path
    day: date
    delivery: Delivery
    inputs: list[dict[str, str]]
    runs: list[Published]
    notes: list[str]
    stages: Sequence[Stage] | None
    run_id: str
    recorded: list[Recorded]
    due: dict[str, str] | None
    erasures: dict[str, object]

    @property
    def done(self) -> list[Path]:
        """Folders in which this very run was published before."""
        return folders_of(self.out, self.run_id)

    @property
    def part(self) -> Path:
        """The folder in which this run is made."""
        return self.out.resolve() / "runs" / f"{publish.next_name(self.run_id, self.done)}.part"

    def check_store(self) -> None:
        """Raise where the run before had a store and its lines are gone: a new one would hold what is delivered now alone."""
        store, before = self.delivery.store, self.runs[0].manifest["settings"].get("store", {}) if self.runs else {}
        if store and before.get("folder") == self.config.store.folder and store.is_empty:
            raise NoInputError(
                f"The store {store.place} is gone; the run of {self.runs[0].day} had it. Put it back. To load into a new one what is delivered "
                "now, run with --fresh."
            )

    def runner(self, wishes: Wishes, progress: Progress | None) -> Runner:
        """The stages with everything they are given."""
        stages = self.stages or _usual_stages()
        settings = {name: getattr(self.config, name) for name in Config.model_fields}
        check_order(stages, SOURCES, settings)
        config = self.config
        assert isinstance(config.until, date)
        far = config.engine.kind == "spark"
        left = history_sources(self.runs, self.day, config.until, far)
        left |= campaign_sources(self.recorded, self.due, self.day)
        left["erasures_done"] = Source(digest_of(self.erasures), lambda: self.erasures)
        decider = Decider(
            day=self.day,
            settings=settings,
            code=code_digest,
            folders=[self.part, *self._like_this()],
            aged=[run.folder for run in self.runs[:1]],
            wishes=wishes,
        )
        wishes.check(stages)
        return Runner(
            stages,
            decider,
            self.delivery.sources() | left,
            folder=self.part,
            work=self.out.resolve() / "work",
            progress=progress or (lambda stage, action, record: None),
            notes=list(self.notes),
        )

    def _like_this(self) -> list[Path]:
        """Folders whose outputs may be kept, the likeliest first: runs that did not end, this one before, the current one,
        others of this day, and that of the day before.
        """
        runs, current = self.out / "runs", self.out / "CURRENT"
        ended = _newest_first(runs.glob("*.part"))
        today = _newest_first(folder for folder in runs.glob(f"{self.day}-*") if folder.suffix != ".part")
        found = [*ended, *self.done[::-1], *([current] if current.is_symlink() else []), *today]
        before = [run.folder for run in self.runs[:1]]
        return [folder for folder in dict.fromkeys([*map(Path.resolve, found), *before]) if folder != self.part]

    def publish(self, wishes: Wishes, progress: Progress | None) -> RunResult:
        """Do the work in a hidden folder, and give it its name when it is complete."""
        done, part, runner = self.done, self.part, self.runner(wishes, progress)
        part.mkdir(mode=0o700, exist_ok=True)
        with full_disk_told(part.parent, _KEPT), engine_limits(**self.config.engine.model_dump(exclude={"kind"})):
            runner.run()
            runner.notes += write_formats(part, self.config.output.formats)
        if self.delivery.files() != self.inputs:
            raise SourceChangedError("A file changed while it was read. Run again when the delivery is complete.")
        self.delivery.hashes.save()
        whole = publish.finish(part, self._manifest(runner))
        result = _pointed(self, whole.name, repeated=False)
        CampaignFolder(self.out).take(whole, result.manifest)
        _remove(done)
        publish.sweep(self.out, whole, result.folder)
        return result

    def _manifest(self, runner: Runner) -> dict[str, Any]:
        """What ``run.json`` holds: the stages' records put together."""
        return {
            "run": self.run_id,
            "crmkit": __version__,
            "as_of": str(self.day),
            "previous": self.runs[0].run if self.runs else None,
            "versions": versions(),
            "settings": self.config.model_dump(mode="json"),
            "inputs": self.inputs,
            **facts(runner.made, self.part),
            "rows": {name: one.rows for name, one in runner.made.items() if one.rows is not None},
            "notes": runner.notes,
            "stages": account(runner.decisions, runner.records),
        }


def _remove(folders: Iterable[Path]) -> None:
    for old in folders:
        shutil.rmtree(old, ignore_errors=True)


def _newest_first(folders: Iterable[Path]) -> list[Path]:
    return sorted(folders, key=lambda folder: folder.stat().st_mtime, reverse=True)


@contextmanager
def _prepared(
    config: str | Path | Mapping[str, object] | Config,
    out: Path,
    as_of: str | date | None,
    home: str | Path | None,
    stages: Sequence[Stage] | None,
    forced: bool = False,
    erase: bool = False,
) -> Iterator[_Night]:
    """Own the output folder, erase whom the delivery asks to forget, find the delivery and the runs before, and name this one."""
    settings = _read(config)
    start = Path(home) if home is not None else Path(config).parent if isinstance(config, str | Path) else Path()
    added = stages_of(settings.plugins)
    with owned(out, "run"):
        publish.check_current(out)
        (out / "runs").mkdir(exist_ok=True)
        if settings.engine.kind == "spark":
            start_session()
        erasures, said = erase_delivered(settings, start.resolve(), out) if erase else ({}, [])
        delivery = Delivery.of(settings, start.resolve(), FileHashes(out / ".hashes.json"))
        inputs = delivery.files()
        settings = settings.model_copy(update={"until": observed_until(settings, delivery)})
        day = _run_date(settings, as_of)
        runs, notes = earlier_runs(out, day)
        _check_names(settings, runs)
        notes += [*said, *delivery.notes]
        folder = CampaignFolder(out)
        lost = folder.restore(runs)
        recorded = folder.campaigns(day)
        due = due_campaign(settings.campaign, recorded, day, settings.repurchase.horizon, forced)
        parts = [
            settings.model_dump(mode="json"),
            str(day),
            inputs,
            delivery.forgotten.digest,
            delivery.naming,
            package_digest(),
            versions(),
            runs[0].run if runs else None,
            [one.digest for one in recorded if one.first_day <= day],
            due,
            lost,
        ]
        own = [code_digest(one.work) for one in [*(stages or ()), *added]]
        run_id = f"{day}-{digest_of([*parts, own])[:12]}"
        chosen = _with_added(stages or _usual_stages(), added) if added else stages
        yield _Night(settings, out, day, delivery, inputs, runs, notes + lost, chosen, run_id, recorded, due, erasures)


def _check_names(config: Config, runs: Sequence[Published]) -> None:
    """Raise where earlier runs call customers otherwise: each would be a new one."""
    before = runs[0].manifest["settings"].get("privacy", {}).get("pseudonyms", False) if runs else None
    if before not in (None, config.privacy.pseudonyms):
        raise ConfigError(
            f"[privacy] pseudonyms is {str(config.privacy.pseudonyms).lower()}, and the run of {runs[0].day} was made otherwise: "
            "every customer would be a new one. Publish into another folder: --out."
        )


def observed_until(config: Config, delivery: Delivery) -> date:
    """The last day that is observed: as stated, yesterday by the clock, or the last one with transactions."""
    if isinstance(config.until, date):
        return config.until
    if config.until == "yesterday":
        return date.today() - timedelta(days=1)
    from crmkit.pipeline.check import latest_day

    return latest_day(delivery.extracts["transactions"], config.transactions.line_options(), delivery.store)


def _run_date(config: Config, as_of: str | date | None) -> date:
    assert isinstance(config.until, date)
    day = config.until if as_of is None else as_day(as_of)
    if day > config.until:
        raise ConfigError(
            f"--as-of {day} is after until = {config.until}, the last day that is observed. If the delivery holds {day} in "
            f'full, set until = {day} (or "yesterday", or "latest"); otherwise run with --as-of {config.until}.'
        )
    return day


def _pointed(night: _Night, name: str, repeated: bool) -> RunResult:
    """The published run, ``CURRENT`` pointed at it unless that is a later day's."""
    folder = publish.point_current(night.out, name)
    manifest = manifest_of(folder)
    if folder.name != "CURRENT":
        newest = publish.newest_day(night.out)
        stays = f"{night.out / 'CURRENT'} stays at the run of {newest}, a later day; this one is {folder}."
        manifest |= {"notes": [*manifest["notes"], stays]}
    return RunResult(folder, manifest, repeated)


def _usual_stages() -> Sequence[Stage]:
    """Loaded when there is work: they bring every library with them."""
    from crmkit.pipeline.stages import STAGES

    return STAGES


def _with_added(stages: Sequence[Stage], added: Sequence[Stage]) -> Sequence[Stage]:
    """Stages of plug-ins stand before the report."""
    last = next((place for place, one in enumerate(stages) if one.name == "report"), len(stages))
    return [*stages[:last], *added, *stages[last:]]


def _read(config: str | Path | Mapping[str, object] | Config) -> Config:
    """The configuration with the cleaning rules of its plug-ins; where both have a reason, its own holds."""
    if isinstance(config, Config):
        settings = config
    else:
        settings = config_of(config) if isinstance(config, Mapping) else read_config(config)
    rules = rules_of(settings.plugins)
    if not rules:
        return settings
    own = settings.transactions
    stated = own.model_dump()["rules"] or {}
    return settings.model_copy(update={"transactions": own.model_copy(update={"rules": rules | stated})})


def facts(made: Mapping[str, Artefact], folder: Path) -> dict[str, Any]:
    """Documents that are plain: numbers and words by name, as stages gave them for ``run.json``."""
    found = {name: load(one, folder) for name, one in made.items() if one.kind == "document" and one.about["plain"]}
    return dict(sorted(found.items()))


def account(decisions: Sequence[Decision], records: Mapping[str, Record]) -> list[dict[str, Any]]:
    """Each stage, what became of it, when it was made, and what it cost."""
    return [
        {"stage": one.stage.name, "action": one.action, "why": one.why, "reads_history": one.stage.reads_history}
        | ({"made_on": str(record.day), "failed": record.failed, **asdict(record.cost)} if record else {})
        for one in decisions
        for record in [records.get(one.stage.name)]
    ]
