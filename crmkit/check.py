"""Looking at a delivery before it is loaded: what was found, what would be rejected, what to write in the configuration.

Everything here is a guess or a trial. A guess is marked as one, and nothing is kept.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

from crmkit.config import Config
from crmkit.contracts import DEALS, MEMBERS, PRODUCTS, SALES, TIPS
from crmkit.databases import is_url
from crmkit.door import Clock, admit
from crmkit.engine import Engine
from crmkit.exceptions import ContractError, CrmkitError, NoInputError, PublishError
from crmkit.extracts import Extract, Part, Reading, read_extract
from crmkit.files import likely_encoding, matching
from crmkit.formats import NO_HEADER, are_values, cell_text
from crmkit.layouts import settings_of
from crmkit.notation import AMBIGUOUS, SIGNS, fitting_formats
from crmkit.transactions import Rejections, Transactions

__all__ = ["Guess", "LoadReport", "check_files", "guessed", "initial_config", "write_config"]

_CONTRACTS = {"transactions": SALES, "products": PRODUCTS, "members": MEMBERS, "deals": DEALS, "tips": TIPS}
_CLOCK = ("time_zone", "recorded_in", "time_format", "trading_day_cutoff")
_SAMPLE = 20_000
_TITLES = 12
_NEVER = "9998-12-31"
_LIKELY = 0.8
_GAP, _FEW = 60, 0.005
_ADVICE = {
    "is not a time": "Deliver times as in 2026-03-01 10:00, or state time_format.",
    "is not a date": "Deliver days as in 2026-03-01, or state date_format.",
    "is not a number": "Deliver numbers as in 1234.50, or state decimal and thousands.",
    "is missing": "Look whether the right columns are named.",
}
_OF_KIND = {"csv": "text", "json": "JSON lines", "excel": "workbook", "parquet": "Parquet", "table": "dataframe"}


# -- What a user asks for --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Guess:
    """What a delivery seems to be: its table, its columns, how it is written; ``doubts`` says why to confirm a setting."""

    table: str
    columns: dict[str, str]
    settings: dict[str, Any] = field(default_factory=dict)
    doubts: dict[str, str] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """Required columns that no delivered one seems to be."""
        contract = _CONTRACTS[self.table]
        return [n for n in contract.required if n not in self.columns and not contract.computed(n, self.columns)]

    @property
    def reading(self) -> dict[str, Any]:
        """The settings that are options of `read_extract`."""
        return {name: value for name, value in self.settings.items() if name in Reading.__dataclass_fields__}

    @property
    def clock(self) -> dict[str, str]:
        """The settings that say how times are written."""
        return {name: value for name, value in self.settings.items() if name in _CLOCK}

    def toml(self, files: str | Sequence[str]) -> str:
        """A section of the configuration, its guesses marked to be confirmed."""
        listed = [files] if isinstance(files, str) else list(files)
        lines = [f"[{self.table}]", f"files = {_quoted(listed[0]) if len(listed) == 1 else _listed(listed)}"]
        lines += [f"{name} = {_value(value)}{self._doubt(name)}" for name, value in self.settings.items()]
        if self.missing:
            lines.append(f"# missing: {', '.join(self.missing)}; name the columns below")
        lines += ["", f"[{self.table}.columns]  # confirm: contract column = column of the files"]
        lines += [f"{name} = {_quoted(given)}{self._doubt(name)}" for name, given in self.columns.items()]
        return "\n".join(lines) + "\n"

    def _doubt(self, name: str) -> str:
        return f"  # confirm: {self.doubts[name]}" if name in self.doubts else ""


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
        The first and the last day of the sound rows.
    n_later : int
        Sound rows dated long after that last day.
    refused : str
        Why nothing could be loaded; empty otherwise.
    faulty : DataFrame, optional
        file, record, line, reason of the rows of another table than sales that are not sound; with ``n_rows``, how many
        were read.
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
    faulty: pd.DataFrame | None = None

    @property
    def is_loadable(self) -> bool:
        """Whether anything would be left after loading."""
        return not (self.refused or self.guess.missing or self._nothing_left())

    def _nothing_left(self) -> bool:
        if self.rejections is not None:
            return self.rejections.rows_rejected == self.rejections.rows_read > 0
        return self.faulty is not None and len(self.faulty) == self.n_rows > 0

    def __str__(self) -> str:
        blocks = [self._found(), self._columns(), self._loaded(), self._advice()]
        return "\n\n".join(filter(None, blocks))

    def _found(self) -> str:
        if self.extract is None:
            return f"Found: {', '.join(self.files)}"
        lines = [f"  {part.name}: {_told(part)}{self._lacking(part)}" for part in self.extract.parts]
        shown = lines if len(lines) <= 12 else [*lines[:6], f"  … {len(lines) - 12} more …", *lines[-6:]]
        return "\n".join(
            [f"Found {len(lines)} part{'s' if len(lines) > 1 else ''}, read as {self.guess.table}", *shown]
        )

    def _lacking(self, part: Part) -> str:
        lacking = [given for given in self.guess.columns.values() if given not in part.columns]
        return f", without {', '.join(lacking)}" if lacking else ""

    def _columns(self) -> str:
        if self.extract is None:
            return ""
        meaning = {given: name for name, given in self.guess.columns.items()}
        wide = max(map(len, self.extract.columns))
        lines = [f"  {given:<{wide}}  {meaning.get(given, '-')}" for given in self.extract.columns]
        if self.guess.missing:
            lines.append(f"  Not found: {', '.join(self.guess.missing)}. Name the columns in the configuration.")
        if instead := _unless_sales(self.guess, self.extract.columns):
            lines.append(f"  If these are sales, write [transactions] and name the column of: {', '.join(instead)}.")
        return "\n".join(["Columns, and what each is taken for", *lines])

    def _loaded(self) -> str:
        if self.faulty is not None:
            return self._read()
        if self.rejections is None:
            return f"Nothing could be loaded: {self.refused}" if self.refused else ""
        told = self.rejections
        lines = [
            f"  rows   {told.rows_read:>14,} read = {told.rows_used:,} used + {told.rows_rejected:,} rejected "
            f"+ {told.rows_duplicate:,} duplicate",
            f"  money  {told.amount_read:>14,.2f} read = {told.amount_used:,.2f} used + {told.amount_rejected:,.2f} "
            f"rejected + {told.amount_duplicate:,.2f} duplicate",
        ]
        if self.days:
            later = f", and {self.n_later:,} rows dated long after" if self.n_later else ""
            lines.append(f"  days   {self.days[0]} to {self.days[1]}{later}")
        rows = told.rows
        for reason, n, money in told.counts[["reason", "rows", "amount"]].itertuples(index=False):
            lines.append(f"  {n:,} where {reason} ({money or 0:,.2f}): {_places(rows[rows['reason'] == reason])}")
        return "\n".join(["Loaded on trial", *lines, *self._of_nothing()])

    def _read(self) -> str:
        """What became of the rows of another table than sales."""
        assert self.faulty is not None
        n_faulty = len(self.faulty)
        lines = [f"  rows   {self.n_rows:>14,} read = {self.n_rows - n_faulty:,} sound + {n_faulty:,} not"]
        lines += [
            f"  {len(rows):,} where {reason}: {_places(rows)}"
            for reason, rows in self.faulty.groupby("reason", sort=False)
        ]
        return "\n".join(["Read on trial", *lines, *self._of_nothing()])

    def _of_nothing(self) -> list[str]:
        if not self._nothing_left():
            return []
        faults = self.rejections.counts if self.rejections is not None else self.faulty
        reasons = set() if faults is None else set(faults["reason"])
        told = {advice for end, advice in _ADVICE.items() for reason in reasons if reason.endswith(end)}
        return [" ".join(["  Nothing is left: every row is rejected.", *sorted(told)])]

    def _advice(self) -> str:
        if self.extract is None and not self.guess.columns:
            return ""
        text = self.guess.toml(self.files)
        until = f"until = {self.days[1]}  # confirm: the last day that was delivered in full\n\n" if self.days else ""
        return f"To write in the configuration\n\n{until}{text}".rstrip()


def check_files(
    files: Sequence[str],
    config: Config | None = None,
    layout: str | None = None,
    *,
    table: str | None = None,
    query: str | None = None,
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

    Returns
    -------
    LoadReport

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "till.csv").write_text("Kundennummer;Datum;Betrag\\n0077;24.12.2026;1,50\\n")
    >>> report = check_files([str(folder / "till.csv")])
    >>> report.guess.columns
    {'customer_id': 'Kundennummer', 'purchased_at': 'Datum', 'amount': 'Betrag'}
    >>> report.guess.settings
    {'decimal': ',', 'time_format': '%d.%m.%Y'}
    """
    if config is not None:
        stated = config.transactions
        settings = stated.reading(config.currency) | stated.model_dump(include=set(_CLOCK), exclude_none=True)
        guess = Guess("transactions", dict(stated.columns), settings)
    elif layout is not None:
        ready = settings_of(layout, "transactions")
        guess = Guess("transactions", ready.pop("columns"), ready)
    else:
        guess = Guess("transactions", {}, {})
    guess.settings.update(_selected(table, query))
    report = LoadReport(tuple(files), guess)
    try:
        if config is None and layout is None:
            report = replace(report, guess=guessed(files, table=table, query=query))
        report = replace(report, extract=_read(files, report.guess))
        return _tried(report)
    except NoInputError:
        raise
    except CrmkitError as error:
        return replace(report, refused=str(error))


def _selected(table: str | None, query: str | None) -> dict[str, str]:
    return {name: value for name, value in (("table", table), ("query", query)) if value is not None}


def _read(files: Sequence[str], guess: Guess) -> Extract:
    source = files[0] if len(files) == 1 else list(files)
    extract = read_extract(source, **guess.reading)
    own = {name: name for name in _CONTRACTS[guess.table].columns if name in extract.columns}
    guess.columns.update({name: given for name, given in own.items() if name not in guess.columns})
    _check_header(guess, extract)
    return extract


def _check_header(guess: Guess, extract: Extract) -> None:
    """Raise before values are taken for column names, and shown."""
    for part in extract.parts:
        if are_values(part.columns) and not set(guess.columns.values()) & set(part.columns):
            raise ContractError(f"{part.name} seems to have no header: {NO_HEADER}")


def _tried(report: LoadReport) -> LoadReport:
    """The report with what loading into a folder that is thrown away gave."""
    if report.guess.missing or report.extract is None:
        return report
    if report.guess.table != "transactions":
        return _counted(report, report.extract)
    options: dict[str, Any] = {**report.guess.clock, **report.guess.columns}
    log, rejections = Transactions.split_extract(report.extract, until=_NEVER, **options)
    days = pd.read_parquet(log.lines, columns=["day"])["day"]
    if not len(days):
        return replace(report, rejections=rejections)
    first, last = (date(1970, 1, 1) + timedelta(days=int(day)) for day in (days.min(), _last_day(days)))
    return replace(report, rejections=rejections, days=(first, last), n_later=int((days > _last_day(days)).sum()))


def _counted(report: LoadReport, extract: Extract) -> LoadReport:
    """The report with what reading another table than sales gave."""
    contract = _CONTRACTS[report.guess.table]
    with Engine() as engine:
        parts = [
            admit(engine, extract, part, contract, report.guess.columns, Clock(), f"[{report.guess.table}]")
            for part in extract.parts
        ]
        faulty = [engine.frame(f"select file, record, line, reason from {part.rejected}") for part in parts]
    return replace(report, n_rows=sum(part.rows_read for part in parts), faulty=pd.concat(faulty, ignore_index=True))


def _last_day(days: pd.Series[int]) -> int:
    """The last day, without the few rows that stand alone long after all others: their dates are wrong, likely."""
    counts = days.value_counts().sort_index()
    after = counts[::-1].cumsum()[::-1].shift(-1, fill_value=0)
    gaps = counts.index.to_series().diff().shift(-1, fill_value=0)
    alone = (gaps > _GAP) & (after <= _FEW * len(days))
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


# -- Guessing --------------------------------------------------------------------------------------------------------


def guessed(files: Sequence[str], *, table: str | None = None, query: str | None = None) -> Guess:
    """What files seem to be: their encoding, lines above the names, columns, numbers and times."""
    settings, doubts = _guessed_text(files)
    settings |= _selected(table, query)
    extract = read_extract(files[0] if len(files) == 1 else list(files), **settings)
    head = extract.head(_SAMPLE)
    guess = Guess(*_guessed_columns(extract.columns), settings, doubts)
    _check_header(guess, extract)
    _guess_numbers(guess, head)
    _guess_times(guess, head)
    return guess


def _guessed_text(files: Sequence[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The encoding, and how many lines stand above the names, of the first text file that does not say."""
    settings: dict[str, Any] = {}
    doubts: dict[str, str] = {}
    if any(is_url(file) for file in files):
        return settings, doubts
    for path, _ in [found for file in files for found in matching(file)]:
        likely = likely_encoding(path)
        if likely and "encoding" not in settings:
            settings["encoding"] = likely
            doubts["encoding"] = f"{path.name} is not UTF-8 and looks like this"
    with suppress(CrmkitError):
        skip = _titles(read_extract(files[0], **settings), settings)
        if skip:
            settings["skip_rows"] = skip
            doubts["skip_rows"] = "lines above the line of column names"
    return settings, doubts


def _titles(extract: Extract, settings: Mapping[str, Any]) -> int:
    """Lines above the first that has most fields, where the line taken for the names has a single one."""
    from crmkit.files import first_lines

    part = extract.parts[0]
    if part.kind != "csv" or len(part.columns) > 1 or part.path is None:
        return 0
    lines = first_lines(part.path, part.member, part.encoding, settings.get("encoding"), _TITLES)
    counts = [max(len(re.split(re.escape(mark), line)) for mark in ",;\t|") for line in lines]
    most = max(counts)
    return counts.index(most) if most > 2 else 0


@cache
def _words() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads(resources.files("crmkit").joinpath("words.toml").read_text(encoding="utf-8"))


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", name).casefold()))


def _guessed_columns(delivered: Sequence[str]) -> tuple[str, dict[str, str]]:
    """The table that the columns seem to be of, and contract column → delivered column."""
    found = {table: _named(delivered, words) for table, words in _words().items()}
    for table in ("deals", "tips", "transactions", "products", "members"):
        if not Guess(table, found[table]).missing:
            return table, found[table]
    return "transactions", found["transactions"]


def _named(delivered: Sequence[str], words: Mapping[str, list[str]]) -> dict[str, str]:
    """The surest pairs first: a name that is a word, then one that begins or ends with it, the longest word first."""
    plain = {given: _plain(given) for given in delivered}
    ranked = sorted(
        (_unsure(plain[given], word, rank), name, given)
        for name, known in words.items()
        for rank, word in enumerate(known)
        for given in delivered
        if _unsure(plain[given], word, rank) is not None
    )
    columns: dict[str, str] = {}
    for _, name, given in ranked:
        if name not in columns and given not in columns.values():
            columns[name] = given
    return {name: columns[name] for name in words if name in columns}


def _unsure(name: str, word: str, rank: int) -> tuple[int, int, int] | None:
    if name == word:
        return (0, 0, rank)
    long_enough = len(word) >= 4 or not word.isascii()
    if long_enough and (name.startswith(word) or name.endswith(word)):
        return (1, -len(word), rank)
    return None


def _unless_sales(guess: Guess, delivered: Sequence[str]) -> list[str]:
    """What sales would need besides, where another table's guess leaves a column of purchase times unused."""
    sales = _named(delivered, _words()["transactions"])
    is_open = guess.table != "transactions" and {"customer_id", "purchased_at"} <= sales.keys()
    unused = is_open and sales["purchased_at"] not in guess.columns.values()
    return Guess("transactions", sales).missing if unused else []


def _values(head: pd.DataFrame, guess: Guess, kinds: tuple[str, ...]) -> dict[str, pd.Series[Any]]:
    """The values of the columns of some kinds, of those that the first part has."""
    contract = _CONTRACTS[guess.table]
    named = {name: given for name, given in guess.columns.items() if contract.columns[name] in kinds and given in head}
    return {name: head[given].dropna() for name, given in named.items()}


def _texts(head: pd.DataFrame, guess: Guess, kinds: tuple[str, ...]) -> dict[str, pd.Series[str]]:
    """Those that came as text."""
    named = _values(head, guess, kinds)
    return {name: values.str.strip() for name, values in named.items() if pd.api.types.is_string_dtype(values)}


def _numbers(head: pd.DataFrame, guess: Guess, kinds: tuple[str, ...]) -> dict[str, pd.Series[str]]:
    """Those that came as numbers, as text."""
    named = _values(head, guess, kinds)
    return {name: values.map(cell_text) for name, values in named.items() if pd.api.types.is_numeric_dtype(values)}


def _guess_numbers(guess: Guess, head: pd.DataFrame) -> None:
    texts = _texts(head, guess, ("money", "number"))
    values = pd.concat(texts.values(), ignore_index=True) if texts else pd.Series(dtype="str")
    values = values[values.str.contains(r"\d", regex=True)].astype(str)
    bare = _without_sign(guess, values)
    commas = bare.str.fullmatch(r"[+-]?[\d.]*,\d{1,2}").sum()
    points = bare.str.fullmatch(r"[+-]?[\d,]*\.\d{1,2}").sum()
    if commas > points:
        guess.settings["decimal"] = ","
        guess.doubts["decimal"] = f"{commas:,} numbers are written like {_first(bare, r'.*,[0-9]{1,2}')!r}"
    mark = "." if commas > points else ","
    grouped = rf"[+-]?[1-9]\d{{0,2}}(?:{re.escape(mark)}\d{{3}})+(?:[.,]\d*)?"
    open_ones = bare.str.fullmatch(AMBIGUOUS.strip("^$")).sum()
    if bare.str.fullmatch(grouped).any():
        guess.settings["thousands"] = mark
        guess.doubts["thousands"] = f"there are numbers like {_first(bare, grouped)!r}"
    elif open_ones * 10 > len(bare):
        guess.settings["decimal"] = "."
        guess.doubts["decimal"] = f"{_first(bare, AMBIGUOUS)!r} may also be thousands: decimal = ',' thousands = '.'"


def _without_sign(guess: Guess, values: pd.Series[str]) -> pd.Series[str]:
    """Numbers without a currency's sign, which is noted when most have it."""
    signs = values.str.replace(r"[\d.,+\-\s'’()\u2212]", "", regex=True)
    common = signs[signs != ""].mode()
    if len(common) and (signs == common.iloc[0]).mean() > 0.2:
        sign = common.iloc[0]
        codes = [code for code, known in SIGNS.items() if sign == code or sign in known]
        first = "USD" if "USD" in codes else codes[0] if codes else None
        if first:
            guess.settings["currency"] = first
            guess.doubts["currency"] = f"numbers carry {sign!r}, which is used for {', '.join(codes)}"
    return values.str.replace(r"[^\d.,]", "", regex=True)


def _first(values: pd.Series[str], pattern: str) -> str:
    found = values[values.str.fullmatch(pattern.strip("^$"))]
    return str(found.iloc[0]) if len(found) else ""


def _guess_times(guess: Guess, head: pd.DataFrame) -> None:
    for kind, option in (("time", "time_format"), ("date", "date_format")):
        for name, values in (_texts(head, guess, (kind,)) | _numbers(head, guess, (kind,))).items():
            formats = _formats(values)
            if formats and option not in guess.settings:
                guess.settings[option] = formats[0]
                others = f"; {' and '.join(formats[1:])} would fit too" if len(formats) > 1 else ""
                guess.doubts[option] = f"{guess.columns[name]} holds {values.iloc[0]!r}{others}"


def _formats(values: pd.Series[str]) -> list[str]:
    """Formats that fit most of the values, where these are not written year first."""
    with Engine() as engine:
        table = engine.register(pd.DataFrame({"given": values.astype("str")}))
        plain = engine.frame(f"select count({engine.local_day('given')}) as n from {table}")["n"][0]
        offset = engine.frame(f"select 1 as n from {table} where {engine.has_offset('given')}")
        if not len(values) or (plain + len(offset)) > (1 - _LIKELY) * len(values):
            return []
        return fitting_formats(engine, table, "given")


# -- A configuration to begin with -----------------------------------------------------------------------------------


def initial_config(files: Sequence[str], home: Path, *, table: str | None = None, query: str | None = None) -> str:
    """A commented configuration for files, its guesses marked ``# confirm:``; paths count from ``home``."""
    sections = {guess.table: (guess, named) for guess, named in _grouped(files, table, query)}
    sales = sections.get("transactions")
    last = check_files(sales[1], layout=None, table=table, query=query).days if sales else None
    head = [
        "# Written by crmkit init. Look at every line marked with confirm, then run: crmkit run crmkit.toml --out out/",
        'title = "Customer report"',
    ]
    currency = sales[0].settings.pop("currency", None) if sales else None
    if currency and sales:
        head.append(f'currency = "{currency}"  # confirm: {sales[0].doubts["currency"]}')
    else:
        head.append('# currency = "EUR"   # of every amount')
    until = last[1] if last else "2026-12-31"
    head.append(f"until = {until}  # confirm: the last day that was delivered in full")
    blocks = ["\n".join(head) + "\n"]
    for name, (guess, named) in sections.items():
        text = guess.toml([_relative(file, home) for file in named])
        blocks.append(text.replace(f"[{name}]\n", f"[{name}]\n{_hints(name)}", 1))
    return "\n".join([*blocks, _REST])


_REST = """# [value]
# horizon = 365            # days ahead for which value is predicted
# annual_discount = 0.10

# [churn]
# horizon = 30             # no purchase within so many days

# [repurchase]
# by = "category"          # or "product_id"
# horizon = 14

# [offers]                 # needs [deals]
# slots = 8
# store_budget = 500.0     # the most that the shop pays
# funder_budgets = { "Dairy" = 200.0 }
# min_worth = { A = 30.0 } # what a list of the best tier is worth, at least
"""


def _hints(table: str) -> str:
    return (
        '# time_zone = "Europe/Berlin"   # the shop\'s own; needed where times state offsets\n'
        if (table == "transactions")
        else ""
    )


def _grouped(files: Sequence[str], table: str | None, query: str | None) -> list[tuple[Guess, list[str]]]:
    """Files by the table they seem to be, each with its guess; of several guesses for a table the first stands."""
    found: dict[str, tuple[Guess, list[str]]] = {}
    for file in files:
        guess = guessed([file], table=table, query=query)
        if guess.table in found:
            found[guess.table][1].append(file)
        else:
            found[guess.table] = (guess, [file])
    return [found[table] for table in _CONTRACTS if table in found]


def _relative(file: str, home: Path) -> str:
    import os

    return file if is_url(file) else Path(os.path.relpath(file, home)).as_posix()


def write_config(files: Sequence[str], out: Path, *, table: str | None = None, query: str | None = None) -> Path:
    """Write a configuration to begin with.

    Raises
    ------
    PublishError
        The file is there already, or cannot be written.
    """
    text = initial_config(files, out.resolve().parent, table=table, query=query)
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise PublishError(
            f"{out} is there already and is left as it is. Name another file: --out other.toml."
        ) from None
    except OSError as error:
        raise PublishError(f"{out} cannot be written: {error.strerror}.") from error
    return out


def _quoted(text: str) -> str:
    """Text as TOML writes it."""
    import json

    return json.dumps(text, ensure_ascii=False)


def _value(value: object) -> str:
    return str(value) if isinstance(value, int) else _quoted(str(value))


def _listed(files: Sequence[str]) -> str:
    return "[\n" + "".join(f"    {_quoted(file)},\n" for file in files) + "]"
