"""The command line: ``crmkit run``, ``crmkit demo``. Commands only parse, call the library and say what came out."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from signal import SIG_IGN, Signals, getsignal, signal
from traceback import extract_tb
from typing import TYPE_CHECKING, Annotated, NoReturn, TypedDict

import typer

from crmkit import __version__
from crmkit.exceptions import BusyError, ConfigError, CrmkitError, NoInputError, PublishError, SourceChangedError
from crmkit.pipeline import privacy_commands, report_commands, store_commands
from crmkit.pipeline.terminal import say

if TYPE_CHECKING:
    from crmkit.pipeline.records import Record
    from crmkit.pipeline.run_result import RunResult
    from crmkit.pipeline.runner import Progress

__all__ = ["app", "main"]

EXIT_CODES = """Exit codes: 0 done; 2 wrong usage; 65 data refused; 66 no input; 70 internal error;
71 out of memory;
74 cannot write; 75 try again later (another run, or a source that is still changing);
77 not permitted; 78 wrong configuration."""

PACKAGE = Path(__file__).parents[1]
_LEAST_ROOM = 2 * 2**30
_NO_MEMORY = ("OutOfMemoryException", "launch worker thread", "start new thread", "bad allocation", "bad_alloc")
"""What the engine and other libraries say when they are given no memory, or no thread."""

app = typer.Typer(
    help="Customer segments, value, churn, repurchase timing and offer lists from till extracts.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(store_commands.app, name="store")
for command in privacy_commands.COMMANDS:
    app.command()(command)

Day = Annotated[
    datetime | None,
    typer.Option("--as-of", formats=["%Y-%m-%d"], help="Use only what happened up to the close of this day."),
]
Out = Annotated[Path, typer.Option("--out", help="Folder to publish under; the newest run is OUT/CURRENT.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Redo every stage; models and backtests that are not due stay.")]
Start = Annotated[str, typer.Option("--from", help="Redo this stage and all that depend on it.")]
Only = Annotated[list[str] | None, typer.Option("--only", help="Redo this stage alone (may be repeated).")]
Backtest = Annotated[bool, typer.Option("--backtest", help="Refit the models as of earlier dates, even if not due.")]
Plan = Annotated[bool, typer.Option("--plan", help="Plan lists for the days that follow, whatever [campaign] says.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would run and why, and do nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]
Table = Annotated[str | None, typer.Option("--table", help="Table of the database, as in schema.name.")]
Query = Annotated[str | None, typer.Option("--query", help="What to select from the database, instead of a table.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"crmkit {__version__}")
        raise typer.Exit


@app.callback()
def _front(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Customer segments, value, churn, repurchase timing and offer lists from till extracts."""


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="Configuration file (TOML).")],
    out: Out = Path("out"),
    as_of: Day = None,
    start: Start = "",
    only: Only = None,
    fresh: Fresh = False,
    backtest: Backtest = False,
    plan: Plan = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read the extracts, score every customer, plan the offers, print the lists, write the report.

    A run that ended early goes on where it stopped. Stages whose inputs, settings and code have not changed are kept.

    Example: crmkit run crmkit.toml --out out/ --as-of 2017-12-31
    Example: crmkit run crmkit.toml --from plan-offers
    """
    asked: Asked = {"start": start, "only": only or (), "fresh": fresh, "backtest": backtest, "plan_lists": plan}
    if dry_run:
        _plan(config, out, as_of, as_json, asked)
    else:
        _publish(config, out, as_of, as_json, quiet, asked)


@app.command()
def demo(out: Out = Path("out"), fresh: Fresh = False, as_json: Json = False, quiet: Quiet = False) -> None:
    """Run the whole job on the sample that comes with crmkit.

    Example: crmkit demo --out out/
    """
    from crmkit.datasets import sample_folder

    _publish(sample_folder() / "crmkit.toml", out, None, as_json, quiet, {"fresh": fresh})


@app.command()
def sent(
    campaign: Annotated[str, typer.Argument(help="Its name: the first day of its lists, as in 2018-01-01.")],
    file: Annotated[
        Path | None,
        typer.Option("--file", help="CSV or Parquet: customer_id of who got a list, with a deal_id only these offers."),
    ] = None,
    out: Out = Path("out"),
) -> None:
    """Mark a campaign as sent; what was not sent is not counted as offered.

    Example: crmkit sent 2018-01-01 --file mailed.csv --out out/
    """
    from crmkit.pipeline.campaign_folder import send

    say(send(out, campaign, file))


@app.command()
def sheet(
    customer_id: Annotated[str, typer.Argument(metavar="ID", help="The customer.")],
    run: Annotated[Path, typer.Option("--run", help="The run's output folder.")] = Path("out"),
    out: Annotated[Path, typer.Option("--out", help="The page to write: .html, .pdf or .xlsx.")] = Path("sheet.html"),
) -> None:
    """Write one page about one customer: purchases, what was dropped, next needs, value, risk, offers, what to say.

    Example: crmkit sheet 0049 --run out/ --out sheet.html
    """
    from crmkit.pipeline.sheets import write_sheet

    say(f"Sheet: {write_sheet(customer_id, run, out)}")


app.command()(report_commands.supplier)
app.command()(report_commands.product)


@app.command()
def load(config: Annotated[Path, typer.Argument(help="Configuration file (TOML) with a [store] folder.")]) -> None:
    """Load the new files of the delivery into the store, and say of each what became of it; safe to repeat.

    Ends with 65 when a file was refused; those that are not complete yet wait for the next load.

    Example: crmkit load crmkit.toml
    """
    _check_room()
    done, notes = store_commands.load_new_files(config)
    say("\n".join([str(done), *(f"Note: {note}" for note in notes)]))
    if done.n_refused:
        raise typer.Exit(65)


@app.command()
def check(
    files: Annotated[list[str], typer.Argument(help="Files, folders, globs, or one database address.")],
    config: Annotated[Path | None, typer.Option("--config", help="Read them as its [transactions] say.")] = None,
    layout: Annotated[str | None, typer.Option("--layout", help="Read them in a ready layout.")] = None,
    table: Table = None,
    query: Query = None,
) -> None:
    """Say what files hold, what would be rejected and why, and what to write in the configuration.

    Ends with 65 when nothing of them could be loaded.

    Example: crmkit check till-2026-*.csv
    Example: crmkit check sqlite:///shop.db --table sales
    """
    from crmkit.pipeline.check import check_files
    from crmkit.pipeline.config import read_config

    stated, home = (read_config(config), config.parent) if config else (None, None)
    report = check_files(files, stated, layout, table=table, query=query, home=home)
    say(str(report))
    if not report.is_loadable:
        raise typer.Exit(65)


@app.command()
def init(
    files: Annotated[
        list[str],
        typer.Argument(help="Files, folders, globs: sales, products, members, deals; or one database address."),
    ],
    out: Annotated[
        Path, typer.Option("--out", help="Configuration to write; an existing file is never overwritten.")
    ] = Path("crmkit.toml"),
    table: Table = None,
    query: Query = None,
) -> None:
    """Write a configuration to begin with, its guesses marked to be confirmed.

    Example: crmkit init till-2026-*.csv --out crmkit.toml
    """
    from crmkit.pipeline.init import write_config

    written = write_config(files, out, table=table, query=query)
    typer.echo(f"Written: {written}. Confirm its guesses, then: crmkit run {out} --out out/")


class Asked(TypedDict, total=False):
    """What `run` and `plan` are asked for beside the files."""

    start: str
    only: Sequence[str]
    fresh: bool
    backtest: bool
    plan_lists: bool


def _publish(config: Path, out: Path, as_of: datetime | None, as_json: bool, quiet: bool, asked: Asked) -> None:
    _check_room()
    from crmkit.pipeline.nightly import run as run_night

    with _progress(quiet) as progress:
        result = run_night(config, out, as_of=as_of.date() if as_of else None, progress=progress, **asked)
    say(_as_json(result) if as_json else _in_words(result))


def _plan(config: Path, out: Path, as_of: datetime | None, as_json: bool, asked: Asked) -> None:
    from crmkit.pipeline.nightly import plan

    decisions = plan(config, out, as_of=as_of.date() if as_of else None, **asked)
    rows = [
        {"stage": one.stage.name, "action": one.action, "why": one.why, "reads_history": one.stage.reads_history}
        for one in decisions
    ]
    wide = max(len(one.stage.name) for one in decisions)
    lines = [
        f"{one.stage.name:<{wide}}  {one.action:<8} {one.why}"
        + ("; reads the log of all days" * (one.stage.reads_history and one.action in ("run", "depends")))
        for one in decisions
    ]
    typer.echo(json.dumps(rows, indent=1) if as_json else "\n".join(lines))


def _as_json(result: RunResult) -> str:
    outcome = {"folder": str(result.folder), "repeated": result.repeated}
    told = ("run", "as_of", "read", "rows", "notes", "stages")
    return json.dumps(outcome | {name: result.manifest.get(name) for name in told}, indent=1)


def _in_words(result: RunResult) -> str:
    read, folder = result.manifest["read"], result.folder
    lines = ["Nothing to do: the same inputs, configuration and versions have been run."] if result.repeated else []
    lines.append(
        f"{read['rows']:,} rows read: {read['used']:,} used, "
        + (f"{read['left_out']:,} left out, " if read["left_out"] else "")
        + f"{read['rejected']:,} rejected, {read['duplicate']:,} duplicate"
    )
    lines += [f"Note: {note}" for note in result.notes]
    lines.append(f"Report: {folder / 'report.html'}")
    if (folder / "lists").is_dir():
        lines.append(f"Lists:  {folder / 'lists'}")
    return "\n".join(lines)


@contextmanager
def _progress(quiet: bool) -> Iterator[Progress]:
    """On a terminal a line that tells the stage and the time; elsewhere one line a stage. On standard error."""
    if quiet:
        yield lambda stage, action, record: None
    elif not sys.stderr.isatty():
        yield lambda stage, action, record: _log_line(stage, action, record)
    else:
        from rich.console import Console
        from rich.progress import Progress as Bar
        from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
        with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("starting", total=None)

            def told(stage: str, action: str, record: Record | None) -> None:
                bar.update(task, description=stage if action == "running" else f"{stage}: {action}")
                if record and action != "kept":
                    bar.console.print(_line(stage, action, record))

            yield told


def _log_line(stage: str, action: str, record: Record | None) -> None:
    if record:
        typer.echo(f"{datetime.now():%H:%M:%S} {_line(stage, action, record)}", err=True)


def _line(stage: str, action: str, record: Record) -> str:
    """What a stage made, and what it took."""
    made = ", ".join(f"{one.rows:,} {name}" for name, one in record.outputs.items() if one.rows is not None)
    told = f"{stage:<20} {action:<7}"
    return (
        told
        if action == "kept"
        else f"{told} {record.cost.seconds:7.1f} s {record.cost.peak_mb:6,} MB  {made}".rstrip()
    )


def main() -> None:
    """Run the command line; an error is one message and an exit code, never a traceback of somebody's data."""
    for told in _ENDINGS:
        if getsignal(told) is not SIG_IGN:  # under nohup the end of the terminal is none of the run
            signal(told, _end)
    try:
        app()
    except CrmkitError as error:
        say("\n".join([f"crmkit: {error}", *getattr(error, "__notes__", [])]), err=True)
        raise SystemExit(_exit_code(error)) from None
    except PermissionError as error:
        typer.echo(f"crmkit: not permitted: {error.filename}", err=True)
        raise SystemExit(77) from None
    except OSError as error:
        typer.echo(f"crmkit: cannot write: {error.strerror or 'no space left, or a fault of the disk'}", err=True)
        raise SystemExit(74) from None
    except MemoryError:
        _out_of_memory()
    except ImportError as error:
        if "failed to map" in str(error) or "cannot allocate" in str(error).lower():  # a library that found no room
            _out_of_memory()
        raise
    except Exception as error:
        if _told_to_end:  # while the engine was at work, which raised its own error
            raise SystemExit(_told_to_end[0]) from None
        if any(said in f"{type(error).__name__} {error}" for said in _NO_MEMORY):
            _out_of_memory()
        typer.echo(f"crmkit: internal error: {type(error).__name__} at {_place(error)}", err=True)
        raise SystemExit(70) from None


def _check_room() -> None:
    """Refuse to begin where the process may have less address space than the engine survives."""
    try:
        import resource
    except ImportError:  # on Windows there is no such limit
        return
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    if most != resource.RLIM_INFINITY and most < _LEAST_ROOM:
        said = (
            f"the process may have {most / 2**30:.1f} GB of address space (ulimit -v) and needs {_LEAST_ROOM >> 30} GB"
        )
        typer.echo(f"crmkit: out of memory: {said}.", err=True)
        raise SystemExit(71)


def _out_of_memory() -> NoReturn:
    typer.echo("crmkit: out of memory. Use a machine with more, or fewer files at a time.", err=True)
    raise SystemExit(71) from None


def _place(error: BaseException) -> str:
    """The line of crmkit that an error came from; its message may hold somebody's data and is not told."""
    frames = [frame for frame in extract_tb(error.__traceback__) if f"{PACKAGE}{os.sep}" in frame.filename]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"


_ENDINGS = [Signals[name] for name in ("SIGTERM", "SIGHUP", "SIGINT") if name in Signals.__members__]
_told_to_end: list[int] = []


def _end(number: int, _: object) -> None:
    """End in order, so that temporary folders are removed; the exit code is 128 and the number of the signal."""
    for told in _ENDINGS:
        signal(told, SIG_IGN)
    _told_to_end.append(128 + number)
    raise SystemExit(128 + number)


def _exit_code(error: CrmkitError) -> int:
    codes: list[tuple[type[CrmkitError], int]] = [
        (ConfigError, 78),
        (NoInputError, 66),
        (SourceChangedError, 75),
        (BusyError, 75),
        (PublishError, 74),
    ]
    return next((code for kind, code in codes if isinstance(error, kind)), 65)
