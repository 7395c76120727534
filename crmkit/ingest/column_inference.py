"""Which column of a file is which, guessed from names and values."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from crmkit.engine.duckdb import DuckDBEngine
from crmkit.exceptions import ContractError, CrmkitError
from crmkit.ingest.column_names import is_sure, known_words, named
from crmkit.ingest.contracts import pieces_of
from crmkit.ingest.databases import is_url
from crmkit.ingest.extracts import Extract, read_extract
from crmkit.ingest.files import likely_encoding, matching
from crmkit.ingest.layouts import recognised, settings_for
from crmkit.ingest.numbers import SIGNS
from crmkit.ingest.parts import NO_HEADER, Reading, are_values
from crmkit.ingest.row_meaning import RowMeaning
from crmkit.ingest.sale_words import telling_columns
from crmkit.ingest.schemas import CONTRACTS
from crmkit.ingest.times import AMBIGUOUS, TimeRules, calendar_of, fitting_formats
from crmkit.ingest.tried_guesses import Trial, read_shares, tried_money
from crmkit.ingest.worksheets import cell_text

__all__ = ["Guess", "guessed"]
CLOCK = ("time_zone", "recorded_in", "time_format", "trading_day_cutoff", "calendar")
_SAMPLE = 20_000
_TITLES = 12
NEVER = "9998-12-31"
_LIKELY = 0.8


# -- What a user asks for --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Guess:
    """What a delivery seems to be: its table, its columns, how it is written, and what its rows mean.

    ``doubts`` says why to confirm a setting or a column; ``layout`` is the one whose columns these are; ``telling`` says which
    columns are not read and seem to say that rows are no sales, or which were taken for one and cannot be read.
    """

    table: str
    columns: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)
    doubts: dict[str, str] = field(default_factory=dict)
    layout: str = ""
    telling: list[str] = field(default_factory=list)

    @property
    def delivered(self) -> dict[str, str]:
        """Contract column → column of the files; of several, the first."""
        return {name: pieces_of(given)[0] for name, given in self.columns.items()}

    @property
    def row_options(self) -> dict[str, Any]:
        """The settings that say what rows mean."""
        return {name: value for name, value in self.settings.items() if name in RowMeaning.__dataclass_fields__}

    @property
    def read(self) -> dict[str, str]:
        """Every column of the files that is read, and what for."""
        rows = RowMeaning(**self.row_options)
        found = dict.fromkeys(rows.deduct, "taken off amount") | dict.fromkeys(
            rows.leave_out, "says which rows are left out"
        )
        for column, day in rows.refunds.items():
            found |= {column: "taken off amount, on the day of the refund", day: "day of the refund"}
        found |= {str(rows.kinds["column"]): "says what a row is"} if rows.kinds else {}
        return found | {piece: name for name, given in self.columns.items() for piece in pieces_of(given)}

    @property
    def missing(self) -> list[str]:
        """Required columns that no delivered one seems to be."""
        contract = CONTRACTS[self.table]
        return [n for n in contract.required if n not in self.columns and not contract.computed(n, self.columns)]

    @property
    def reading(self) -> dict[str, Any]:
        """The settings that are options of `read_extract`."""
        return {name: value for name, value in self.settings.items() if name in Reading.__dataclass_fields__}

    @property
    def time_rules(self) -> dict[str, str]:
        """The settings that say how times are written."""
        return {name: value for name, value in self.settings.items() if name in CLOCK}


# -- Guessing --------------------------------------------------------------------------------------------------------


def guessed(files: Sequence[str], *, table: str | None = None, query: str | None = None) -> Guess:
    """What files seem to be: their encoding, lines above the names, columns, numbers and times."""
    settings, doubts = _guessed_text(files)
    settings |= selected(table, query)
    extract = read_extract(files[0] if len(files) == 1 else list(files), **settings)
    head = extract.head(_SAMPLE)
    guess = _of_layout(extract, settings, doubts) or _tried(extract, head, settings, doubts)
    check_header(guess, extract)
    if guess.layout:
        _guess_notation(guess, head)
    if guess.table in ("transactions", "members") and (told := _snapshot(guess, head)):
        guess.telling.append(told)
    if guess.table == "transactions":
        unread = [name for name in extract.columns if name not in guess.read]
        guess.telling.extend(
            telling_columns(
                head,
                unread,
                has_currency="currency" in guess.columns,
                less_money=bool({"deduct", "refunds"} & guess.settings.keys()),
            )
        )
    return guess


def _guess_notation(guess: Guess, head: pd.DataFrame) -> None:
    _guess_numbers(guess, head)
    _guess_times(guess, head)


_SUMMED = re.compile(
    "total|recency|frequency|lifetime|tenure|churn|avg|average|count|num|last|n_|clv|since", re.IGNORECASE
)
_CUSTOMERS = 20


def _snapshot(guess: Guess, head: pd.DataFrame) -> str:
    """A sentence where every customer stands in one row, with what was summed up: that is no log of purchases."""
    given = guess.delivered.get("customer_id")
    if given not in head or "order_id" in guess.columns or len(head) < _CUSTOMERS or head[given].duplicated().any():
        return ""
    summed = [name for name in head.columns if name != given and _SUMMED.search(name)]
    if len(summed) < 2:
        return ""
    return (
        f"every customer stands in one row, with {', '.join(summed[:4])}: this is a table of customers, not a log of purchases. "
        "With it you can find clusters (ck.CustomerClusters), rank customers (ck.RFMScores, ck.ValueTiers), and fit ck.BGNBD where it "
        "has frequency, recency and T; churn, repurchase and offers need one row per purchase."
    )


_ATTEMPTS = 12


def _tried(extract: Extract, head: pd.DataFrame, settings: Mapping[str, object], doubts: Mapping[str, str]) -> Guess:
    """Columns guessed by name, those that cannot be read left for the next, and the money tried on quantity × price."""
    refused: dict[tuple[str, str], str] = {}
    for _ in range(_ATTEMPTS):
        table, columns = _guessed_columns(extract.columns, refused)
        guess = Guess(table, dict(columns), dict(settings), dict(doubts))
        check_header(guess, extract)
        _guess_notation(guess, head)
        found = read_shares(head, CONTRACTS[table], columns, Reading(**guess.reading), TimeRules(**_clock(guess)))
        refused |= found.refused
        if not found.refused:
            break
    guess.doubts.update(found.doubts)
    if guess.table == "transactions":
        _apply(guess, tried_money(head, guess.columns, Reading(**guess.reading)))
    for name, given in guess.columns.items():
        if not is_sure(str(given), guess.table, name) and name not in guess.doubts:
            guess.doubts[name] = "guessed by a part of its name"
    guess.telling.extend(
        f"{given} was not taken for {name}: {told}."
        for (name, given), told in refused.items()
        if given not in guess.delivered.values()
    )
    return guess


def _clock(guess: Guess) -> dict[str, str]:
    """How times are written; their zone is asked for later."""
    return {name: value for name, value in guess.time_rules.items() if name in ("time_format", "calendar")} | (
        {"time_zone": "UTC"} if "%z" in guess.settings.get("time_format", "") else {}
    )


def _apply(guess: Guess, found: Trial) -> None:
    for name, given in found.renamed.items():
        if given is None:
            guess.columns.pop(name, None)
        else:
            guess.columns[name] = given
    guess.doubts.update(found.doubts)


def _of_layout(extract: Extract, settings: Mapping[str, object], doubts: dict[str, str]) -> Guess | None:
    """What a known layout says, where these are its columns."""
    name = recognised(extract.columns)
    if name is None:
        return None
    stated = settings_for(name, extract.columns)
    columns = stated.pop("columns")
    return Guess("transactions", columns, {**stated, **settings}, doubts, name)


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
        skip = _titles(read_extract(files[0], **settings), settings.get("encoding"))
        if skip:
            settings["skip_rows"] = skip
            doubts["skip_rows"] = "lines above the line of column names"
    return settings, doubts


def _titles(extract: Extract, encoding: str | None) -> int:
    """Lines above the first that has most fields, where the line taken for the names has a single one."""
    from crmkit.ingest.files import first_lines

    part = extract.parts[0]
    if part.kind != "csv" or len(part.columns) > 1 or part.path is None:
        return 0
    lines = first_lines(part.path, part.member, part.encoding, encoding, _TITLES)
    counts = [max(len(re.split(re.escape(mark), line)) for mark in ",;\t|") for line in lines]
    most = max(counts)
    return counts.index(most) if most > 2 else 0


def _guessed_columns(delivered: Sequence[str], refused: Collection[tuple[str, str]]) -> tuple[str, dict[str, str]]:
    """The table that the columns seem to be of, and contract column → delivered column."""
    found = {table: named(delivered, table, refused) for table in known_words()}
    for table in ("deals", "tips", "transactions", "products", "members"):
        is_lines = table in ("products", "members") and "order_id" in found["transactions"]
        if not Guess(table, dict(found[table])).missing and not is_lines:
            return table, found[table]
    return "transactions", found["transactions"]


def unless_sales(guess: Guess, delivered: Sequence[str]) -> list[str]:
    """What sales would need besides, where another table's guess leaves a column of purchase times unused."""
    sales: dict[str, Any] = dict(named(delivered, "transactions"))
    is_open = guess.table != "transactions" and {"customer_id", "purchased_at"} <= sales.keys()
    unused = is_open and sales["purchased_at"] not in guess.columns.values()
    return Guess("transactions", sales).missing if unused else []


def _values(head: pd.DataFrame, guess: Guess, kinds: tuple[str, ...]) -> dict[str, pd.Series]:
    """The values of the columns of some kinds, of those that the first part has."""
    contract = CONTRACTS[guess.table]
    named = {
        name: given for name, given in guess.delivered.items() if contract.columns[name] in kinds and given in head
    }
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
            values = values.str.replace(rf"{re.escape(sign)}\.?", "", regex=True)
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
            if not formats and kind == "time" and (other := _calendar(values)):
                calendar, time_format = other
                stated = {"calendar": calendar} | ({option: time_format} if time_format else {})
                guess.settings.update(stated)
                guess.doubts.update(dict.fromkeys(stated, f"{guess.delivered[name]} holds {values.iloc[0]!r}"))
            if formats and option not in guess.settings:
                guess.settings[option] = formats[0]
                others = f"; {' and '.join(formats[1:])} would fit too" if len(formats) > 1 else ""
                guess.doubts[option] = f"{guess.delivered[name]} holds {values.iloc[0]!r}{others}"


def _formats(values: pd.Series[str]) -> list[str]:
    """Formats that fit most of the values, where these are not written year first."""
    with DuckDBEngine() as engine:
        table = engine.register(pd.DataFrame({"given": values.astype("str")}))
        plain = engine.frame(f"select count({engine.local_day('given')}) as n from {table}")["n"][0]
        offset = engine.frame(f"select 1 as n from {table} where {engine.has_offset('given')}")
        if not len(values) or (plain + len(offset)) > (1 - _LIKELY) * len(values):
            return []
        return fitting_formats(engine, table, "given")


def _calendar(values: pd.Series) -> tuple[str, str | None] | None:
    """Another calendar, where most values are no days of our time in the common one."""
    texts = values.astype("str")
    shaped = texts[texts.str.contains(r"^(?:[12]\d{3}|\d{2,3}[-/.]|\D)|2[45]\d{2}", regex=True)]
    some = shaped.drop_duplicates().head(200).tolist()
    if not some or len(shaped) < len(texts):
        return None
    with DuckDBEngine() as engine:
        table = engine.register(pd.DataFrame({"given": some}))
        year = f"extract(year from {engine.local_day('given')})"
        plain = engine.frame(f"select count(*) as n from {table} where {year} between 1980 and 2100")["n"][0]
        return None if plain else calendar_of(engine, some)


def selected(table: str | None, query: str | None) -> dict[str, str]:
    return {name: value for name, value in (("table", table), ("query", query)) if value is not None}


def check_header(guess: Guess, extract: Extract) -> None:
    """Raise before values are taken for column names, and shown."""
    for part in extract.parts:
        if are_values(part.columns) and not set(guess.delivered.values()) & set(part.columns):
            raise ContractError(f"{part.name} seems to have no header: {NO_HEADER}")
