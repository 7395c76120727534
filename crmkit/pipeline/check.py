"""Looking at a delivery before it is loaded: what was found, what would be rejected, what to write in the configuration.

Everything here is a guess or a trial. A guess is marked as one, and nothing is kept.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from crmkit.engine.duckdb import DuckDBEngine
from crmkit.exceptions import CrmkitError, CrmkitWarning, NoInputError, RefusedError
from crmkit.ingest.column_inference import CLOCK, NEVER, Guess, check_header, guessed, selected, unless_sales
from crmkit.ingest.contracts import Contract
from crmkit.ingest.extracts import Extract, read_extract
from crmkit.ingest.layouts import layouts, note_of, settings_of
from crmkit.ingest.parts import Part
from crmkit.ingest.row_meaning import RowMeaning
from crmkit.ingest.schemas import CONTRACTS, SALES
from crmkit.ingest.tables import Rates
from crmkit.ingest.times import TimeRules
from crmkit.ingest.validation import validate_part
from crmkit.pipeline.config import Config
from crmkit.pipeline.row_account import row_account
from crmkit.pipeline.sections import section_of
from crmkit.transactions.line_meaning import stated
from crmkit.transactions.log import Transactions
from crmkit.transactions.rejections import Rejections
from crmkit.transactions.store import Store

__all__ = ["LoadReport", "check_files", "latest_day", "until_line"]

_GAP, _FEW = 60, 0.005
_DATED = Contract(SALES.name, {"customer_id": "id", "purchased_at": "time"}, ("purchased_at",))
_OF_KIND = {"csv": "text", "json": "JSON lines", "excel": "workbook", "parquet": "Parquet", "table": "dataframe"}


@dataclass(frozen=True)
class LoadReport:
    """What a delivery holds and what loading it would do; prints as the report.

    Attributes
    ----------
    extract : Extract, optional
        Missing when the files cannot be read at all.
    guess : Guess
        As configured where there is a configuration.
    rejections : Rejections, optional
        What became of every row; missing when nothing could be loaded.
    days : pair of date, optional
        The first and the last day of the valid rows.
    n_later : int
        Valid rows dated long after that last day.
    refused : str
        Why nothing could be loaded; empty otherwise.
    invalid : DataFrame, optional
        file, record, line, reason, advice of the rows of another table than sales that are invalid; with ``n_rows``, how many
        were read.
    told : tuple of str
        What a load would warn of.
    files : tuple of str
    """

    files: tuple[str, ...]
    guess: Guess
    extract: Extract | None = None
    rejections: Rejections | None = None
    days: tuple[date, date] | None = None
    n_later: int = 0
    refused: str = ""
    n_rows: int = 0
    invalid: pd.DataFrame | None = None
    told: tuple[str, ...] = ()

    @property
    def is_loadable(self) -> bool:
        """Whether anything would be left after loading."""
        return not (self.refused or self.guess.missing or self._nothing_left())

    def _nothing_left(self) -> bool:
        if self.rejections is not None:
            return self.rejections.rows_used + self.rejections.rows_duplicate == 0 < self.rejections.rows_read
        return self.invalid is not None and len(self.invalid) == self.n_rows > 0

    def __str__(self) -> str:
        rows = "\n".join(row_account(self.guess)) if self.extract else ""
        blocks = [self._found(), self._layout(), rows, self._columns(), self._loaded(), self._advice()]
        return "\n\n".join(filter(None, blocks))

    def _found(self) -> str:
        if self.extract is None:
            return f"Found: {', '.join(self.files)}"
        lines = [f"  {part.name}: {_told(part)}{self._lacking(part)}" for part in self.extract.parts]
        on = self.extract.parts[0].heads.on if self.extract.parts[0].heads else ()
        keys = " + ".join(line for line, _ in on)
        lines += [f"  {part.name}: {_told(part)}, joined by {keys}" for part in self.extract.heads]
        shown = lines if len(lines) <= 12 else [*lines[:6], f"  … {len(lines) - 12} more …", *lines[-6:]]
        return "\n".join(
            [f"Found {len(lines)} part{'s' if len(lines) > 1 else ''}, read as {self.guess.table}", *shown]
        )

    def _layout(self) -> str:
        name = self.guess.layout
        if not name:
            return ""
        note = note_of(name).replace("\n", "\n  ")
        return f"These are the columns of layout {name!r}: {layouts()[name]}\n  {note}".rstrip()

    def _lacking(self, part: Part) -> str:
        lacking = [given for given in self.guess.read if given not in part.columns]
        return f", without {', '.join(lacking)}" if lacking else ""

    def _columns(self) -> str:
        if self.extract is None:
            return ""
        meaning = self.guess.read
        read = [given for given in self.extract.columns if given in meaning]
        wide = max(map(len, read), default=0)
        lines = [f"  {given:<{wide}}  {meaning[given]}{self._doubt(given)}" for given in read]
        if unread := [given for given in self.extract.columns if given not in meaning]:
            lines.append(f"  Not used: {', '.join(unread)}.")
        if self.guess.missing:
            lines.append(f"  Not found: {', '.join(self.guess.missing)}. Name the columns in the configuration.")
        if instead := unless_sales(self.guess, self.extract.columns):
            lines.append(f"  If these are sales, write [transactions] and name the column of: {', '.join(instead)}.")
        lines += [f"  Not read: {sentence}" for sentence in self.guess.telling]
        return "\n".join(["Columns and what they were recognised as", *lines])

    def _doubt(self, given: str) -> str:
        """Why the meaning of a column is to be confirmed."""
        names = [name for name, column in self.guess.delivered.items() if column == given and name in self.guess.doubts]
        return f" ?  {self.guess.doubts[names[0]]}" if names else ""

    def _loaded(self) -> str:
        if self.invalid is not None:
            return self._read()
        if self.rejections is None:
            return f"Nothing could be loaded: {self.refused}" if self.refused else ""
        told = self.rejections
        lines = [
            f"  rows   {told.rows_read:>14,} read = "
            + " + ".join(f"{n:,} {what}" for what, (n, _) in told.totals.items()),
            f"  money  {told.amount_read:>14,.2f} read = "
            + " + ".join(f"{money:,.2f} {what}" for what, (_, money) in told.totals.items()),
        ]
        if self.days:
            later = f", and {self.n_later:,} rows dated long after" if self.n_later else ""
            lines.append(f"  days   {self.days[0]} to {self.days[1]}{later}")
        rows = told.rows
        for reason, n, money, advice in told.counts[["reason", "rows", "amount", "advice"]].itertuples(index=False):
            lines.append(f"  {n:,} where {reason} ({money or 0:,.2f}): {_places(rows[rows['reason'] == reason])}")
            lines.append(f"      {advice}")
        lines += [f"  Note: {text}" for text in self.told]
        return "\n".join(["Trial load", *lines, *self._of_nothing()])

    def _read(self) -> str:
        """What became of the rows of another table than sales."""
        assert self.invalid is not None
        n_invalid = len(self.invalid)
        lines = [f"  rows   {self.n_rows:>14,} read = {self.n_rows - n_invalid:,} valid + {n_invalid:,} invalid"]
        for (reason, advice), rows in self.invalid.groupby(["reason", "advice"], sort=False):
            lines += [f"  {len(rows):,} where {reason}: {_places(rows)}", f"      {advice}"]
        return "\n".join(["Trial read", *lines, *self._of_nothing()])

    def _of_nothing(self) -> list[str]:
        return ["  Nothing is left: every row is rejected."] if self._nothing_left() else []

    def _advice(self) -> str:
        if self.extract is None and not self.guess.columns:
            return ""
        text = section_of(self.guess, self.files)
        until = f"{until_line(self.days[1])}\n\n" if self.days else ""
        return f"To write in the configuration\n\n{until}{text}".rstrip()


def until_line(last: date) -> str:
    """The line of the configuration that states the last day; one beyond next year is asked about."""
    if last.year <= date.today().year + 1:
        return f"until = {last}  # confirm: the last day that was delivered in full"
    return f"# until = ?  The last day would be {last}: is the year right? If years are of another calendar, state calendar; if not, correct it."


def check_files(
    files: Sequence[str],
    config: Config | None = None,
    layout: str | None = None,
    *,
    table: str | None = None,
    query: str | None = None,
    home: Path | None = None,
) -> LoadReport:
    """Read files on trial and say what was found.

    Parameters
    ----------
    files : sequence of str
        Paths, folders, globs, or one database address.
    config : Config, optional
        Its [transactions] say how the files are read and called; otherwise both are guessed.
    layout : str, optional
        A ready layout instead.
    table, query : str, optional
        What to read from a database, one of the two.
    home : Path, optional
        Where the paths of the configuration start.

    Returns
    -------
    LoadReport

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "till.csv").write_text("Kundennummer;Datum;Betrag\\n0077;24.12.2026;1,50\\n")
    >>> report = check_files([str(folder / "till.csv")])
    >>> report.guess.columns
    {'customer_id': 'Kundennummer', 'purchased_at': 'Datum', 'amount': 'Betrag'}
    >>> report.guess.settings
    {'decimal': ',', 'time_format': '%d.%m.%Y'}
    """
    rates = None
    if config is not None:
        stated = config.transactions
        settings = stated.read_options(config.currency) | stated.model_dump(include=set(CLOCK), exclude_none=True)
        rows = stated.model_dump(include=set(RowMeaning.__dataclass_fields__), exclude_defaults=True)
        joined = {"join": stated.join.model_dump(exclude_unset=True)} if stated.join else {}
        guess = Guess("transactions", dict(stated.columns), settings | rows | joined, layout=stated.layout or "")
        rates = config.rates
    elif layout is not None:
        ready = settings_of(layout, "transactions")
        guess = Guess("transactions", dict(ready.pop("columns")), ready, layout=layout)
    else:
        guess = Guess("transactions", {}, {})
    guess.settings.update(selected(table, query))
    worth = Rates.from_extract(read_extract(rates.source(home or Path())), **rates.columns) if rates else None
    report = LoadReport(tuple(files), guess)
    heads = config.transactions.options(home or Path(), config.currency).get("join") if config else None
    try:
        if config is None and layout is None:
            report = replace(report, guess=guessed(files, table=table, query=query))
        report = replace(report, extract=_read(files, report.guess, heads))
        return _tried(report, worth)
    except NoInputError:
        raise
    except CrmkitError as error:
        return replace(report, refused=str(error))


def _read(files: Sequence[str], guess: Guess, heads: Mapping[str, object] | None) -> Extract:
    source = files[0] if len(files) == 1 else list(files)
    extract = read_extract(source, **guess.reading, join=heads)
    own = {name: name for name in CONTRACTS[guess.table].columns if name in extract.columns}
    guess.columns.update({name: given for name, given in own.items() if name not in guess.columns})
    check_header(guess, extract)
    return extract


def _tried(report: LoadReport, rates: Rates | None) -> LoadReport:
    """The report with what loading into a folder that is thrown away gave."""
    if report.guess.missing or report.extract is None:
        return report
    if report.guess.table != "transactions":
        return _counted(report, report.extract)
    options: dict[str, Any] = {**report.guess.time_rules, **report.guess.row_options, **report.guess.columns}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CrmkitWarning)
        log, rejections = Transactions.split_extract(report.extract, until=NEVER, rates=rates, **options)
    told = [str(one.message) for one in caught if issubclass(one.category, CrmkitWarning)]
    known = {sentence.partition(" If ")[0] for sentence in report.guess.telling}
    told = [text for text in told if text.removeprefix("Not read: ").partition(" If ")[0] not in known]
    report = replace(report, told=tuple(text for text in told if NEVER not in text))  # there is no until yet
    days = pd.concat(pd.read_parquet(file, columns=["day"]) for file in log.lines)["day"]
    if not len(days):
        return replace(report, rejections=rejections)
    latest = _last_day(days.value_counts().sort_index())
    first, last = (date(1970, 1, 1) + timedelta(days=int(day)) for day in (days.min(), latest))
    return replace(report, rejections=rejections, days=(first, last), n_later=int((days > latest).sum()))


def _counted(report: LoadReport, extract: Extract) -> LoadReport:
    """The report with what reading another table than sales gave."""
    contract = CONTRACTS[report.guess.table]
    with DuckDBEngine() as engine:
        parts = [
            validate_part(engine, extract, part, contract, report.guess.columns, TimeRules(), f"[{report.guess.table}]")
            for part in extract.parts
        ]
        invalid = [engine.frame(f"select file, record, line, reason from {part.rejected}") for part in parts]
        advice = {reason: rule.advice for part in parts for reason, rule in part.rules.items()}
        invalid = [rows.assign(advice=rows["reason"].map(advice)) for rows in invalid]
    return replace(report, n_rows=sum(part.rows_read for part in parts), invalid=pd.concat(invalid, ignore_index=True))


def latest_day(extract: Extract, options: Mapping[str, object], store: Store | None = None) -> date:
    """The last day with transactions, without the few rows that stand alone long after all others.

    Nothing is read but the times, and of files that a store has been given not even these.
    """
    counts: list[pd.Series[int]] = []
    if store is not None:
        extract, counts = store.new_parts(extract), [store.lines_per_day()]
    time_rules, meaning, columns = stated(options)
    names = {name: given for name, given in columns.items() if name in _DATED.columns}
    meaning = replace(meaning, rules={}, non_members=(), order_columns=(), deduct=(), refunds={})
    for part in extract.parts:
        with DuckDBEngine() as engine:
            call = "Transactions.from_extract"
            rows = validate_part(engine, extract, part, _DATED, names, time_rules, call, meaning).rows
            found = engine.frame(f"select day, count(*) as n from {rows} where reason is null group by day")
        counts.append(found.set_index("day")["n"])
    together = pd.concat(counts).groupby(level=0).sum()
    if not len(together):
        raise RefusedError('No row could be used, so until = "latest" has no day. Look at the files with crmkit check.')
    last = date(1970, 1, 1) + timedelta(days=_last_day(together))
    if last.year > date.today().year + 1:
        raise RefusedError(
            f'until = "latest" would be {last}. Is the year right? State until, or calendar, or correct the dates.'
        )
    return last


def _last_day(counts: pd.Series[int]) -> int:
    """The last day, without the few rows that stand alone long after all others: their dates are wrong, likely."""
    after = counts[::-1].cumsum()[::-1].shift(-1, fill_value=0)
    gaps = counts.index.to_series().diff().shift(-1, fill_value=0)
    alone = (gaps > _GAP) & (after <= _FEW * counts.sum())
    return int(counts.index[alone][0] if alone.any() else counts.index[-1])


def _told(part: Part) -> str:
    if part.kind != "csv":
        return _OF_KIND[part.kind]
    mark = {"\t": "tabs"}.get(part.delimiter, repr(part.delimiter))
    member = f", member {part.member}" if part.member else ""
    return f"text in {part.encoding}, fields between {mark}{member}"


def _places(rows: pd.DataFrame) -> str:
    first = rows.head(3)
    told = [
        f"{file} record {record}" if line is None else f"{file} line {line}"
        for file, record, line in zip(first["file"], first["record"], _known(first["line"]), strict=True)
    ]
    return ", ".join(told) + (" …" if len(rows) > len(told) else "")


def _known(lines: pd.Series[int]) -> list[int | None]:
    return [None if unknown else int(line) for line, unknown in zip(lines, lines.isna(), strict=True)]
