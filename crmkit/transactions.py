"""Transactions: the only form in which the rest of crmkit ever sees sales.

``Transactions.split_extract`` takes an extract through the door and keeps the sound rows as two Parquet files: lines,
and the trips they fold into (one row per member, day and receipt). A log holds the paths of these, so it can be
pickled and reopened, and a source that changes later does not change it.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from crmkit import door
from crmkit.contracts import SALES
from crmkit.engine import Engine, sql_text
from crmkit.exceptions import ConfigError, ContractError, LeakError
from crmkit.extracts import Extract, read_extract

if TYPE_CHECKING:
    from crmkit.tables import Products

__all__ = ["Rejections", "Transactions", "as_day", "day_number"]

_EPOCH = date(1970, 1, 1)
_DUPLICATE = "line delivered before"
_CONFLICT = "line_id repeats with other content"


def day_number(day: str | date) -> int:
    """Days since 1970-01-01 of an ISO date.

    >>> day_number("1970-01-31")
    30
    """
    return (as_day(day) - _EPOCH).days


def as_day(day: str | date) -> date:
    """A date, or the day an ISO date names.

    >>> as_day("2017-12-31")
    datetime.date(2017, 12, 31)
    """
    try:
        return date.fromisoformat(day) if isinstance(day, str) else date(day.year, day.month, day.day)
    except (ValueError, AttributeError):
        raise ConfigError(f"{day!r} is not a day. Write it as in '2017-12-31'.") from None


@dataclass(frozen=True)
class Rejections:
    """What became of every row that was read; prints as one sentence.

    Attributes
    ----------
    rows_read, rows_used, rows_rejected, rows_duplicate : int
        ``rows_read = rows_used + rows_rejected + rows_duplicate``, always.
    amount_read, amount_used, amount_rejected, amount_duplicate : Decimal
        The same for money; an amount that cannot be read counts as 0.
    counts : DataFrame
        reason, rows, amount, most frequent first.
    rows : DataFrame
        file, record, line, reason, value, amount of each rejected row. ``record`` counts from 1 after the header,
        ``line`` is the physical line of the file. Customer ids are never shown.
    files : DataFrame
        file, sha256, rows_read, rows_used, rows_rejected, rows_duplicate.
    """

    files: pd.DataFrame = field(repr=False)
    rows: pd.DataFrame = field(repr=False)
    amount_read: Decimal
    amount_used: Decimal
    amount_rejected: Decimal
    amount_duplicate: Decimal

    @property
    def rows_read(self) -> int:
        return int(self.files["rows_read"].sum())

    @property
    def rows_used(self) -> int:
        return int(self.files["rows_used"].sum())

    @property
    def rows_rejected(self) -> int:
        return int(self.files["rows_rejected"].sum())

    @property
    def rows_duplicate(self) -> int:
        return int(self.files["rows_duplicate"].sum())

    @property
    def counts(self) -> pd.DataFrame:
        table = self.rows.groupby("reason", sort=True).agg(rows=("record", "size"), amount=("amount", "sum"))
        return table.sort_values("rows", ascending=False, kind="stable").reset_index()

    def __str__(self) -> str:
        parts = [f"{n:,} where {reason}" for reason, n in zip(self.counts["reason"], self.counts["rows"], strict=True)]
        reasons = f": {', '.join(parts)}" if parts else ""
        return (
            f"{self.rows_read:,} rows read; used {self.rows_used:,}; duplicate {self.rows_duplicate:,}; "
            f"rejected {self.rows_rejected:,}{reasons}"
        )


@dataclass(frozen=True)
class Transactions:
    """Sales that were accepted, up to the close of day ``until``.

    Attributes
    ----------
    folder : Path
        Holds ``lines.parquet`` and ``trips.parquet``.
    until : date
        Last day that was observed.
    items : tuple of str
        Item columns that the lines have: what ``by=`` can name.
    """

    folder: Path
    until: date
    items: tuple[str, ...] = ()

    @property
    def lines(self) -> Path:
        """Parquet file with one row per sold line."""
        return self.folder / "lines.parquet"

    @property
    def trips(self) -> Path:
        """Parquet file with one row per member, day and receipt."""
        return self.folder / "trips.parquet"

    def close_of(self, as_of: str | date | None) -> int:
        """Day number of ``as_of`` (default: ``until``); a day that has not been observed raises `LeakError`."""
        day = self.until if as_of is None else as_day(as_of)
        if day > self.until:
            raise LeakError(f"as_of={day} is after {self.until}, the last day observed in this log.")
        return day_number(day)

    def up_to(self, day: str | date) -> Transactions:
        """The same log as it was known at the close of ``day``."""
        self.close_of(day)
        return replace(self, until=as_day(day))

    @classmethod
    def from_extract(cls, extract: Extract | object, *, until: str | date, **options: object) -> Transactions:
        """Like `split_extract`, but raise `ContractError` when any row is rejected.

        Examples
        --------
        >>> import pandas as pd
        >>> till = pd.DataFrame({"customer_id": ["a", ""], "purchased_at": ["2017-01-01"] * 2, "amount": [1.0, 2.0]})
        >>> Transactions.from_extract(till, until="2017-12-31")
        Traceback (most recent call last):
            ...
        crmkit.exceptions.ContractError: 2 rows read; used 1; duplicate 0; rejected 1: 1 where customer_id is missing.
        Mend the extract, or take the sound rows with split_extract.
        """
        log, rejections = cls.split_extract(extract, until=until, **options)  # type: ignore[arg-type]
        if rejections.rows_rejected:
            raise ContractError(f"{rejections}.\nMend the extract, or take the sound rows with split_extract.")
        return log

    @classmethod
    def split_extract(
        cls,
        extract: Extract | object,
        *,
        until: str | date,
        time_zone: str | None = None,
        recorded_in: str | None = None,
        time_format: str | None = None,
        products: Products | None = None,
        folder: str | Path | None = None,
        progress: Callable[[str], None] | None = None,
        **columns: str,
    ) -> tuple[Transactions, Rejections]:
        """Sort the rows of an extract into sound ones and rejected ones.

        Parameters
        ----------
        extract : Extract or dataframe
            From `read_extract`.
        until : date
            Last day of observation; a row dated later is rejected.
        time_zone, recorded_in, time_format : str, optional
            The shop's IANA zone; the zone in which times without an offset were recorded (the shop's own when not
            given); a ``strptime`` format for times that are not written year first.
        products : Products, optional
            Adds category, brand, brand_type, manufacturer and department by product_id; the line's own stand where the
            product is not in the table.
        folder : path, optional
            Where lines and trips are kept. By default a private folder that is removed when Python ends.
        progress : callable, optional
            Called with the name of each part as it is read.
        **columns : str
            Contract column = name in the extract. Required: customer_id, purchased_at, amount. Optional: order_id,
            line_id, product_id, quantity, unit_price, discount, category, brand, brand_type, manufacturer, department.
            A column that already has the contract's name need not be named. Without amount, it is quantity ×
            unit_price.

        Returns
        -------
        log : Transactions
        rejections : Rejections
            ``rows_read = rows_used + rows_rejected + rows_duplicate``, and the same for money.

        Raises
        ------
        ContractError
            Columns are missing or unknown, or times state offsets and no zone is given.
        ExtractError
            A file cannot be read at all.

        Notes
        -----
        A file whose content was delivered before, and a line whose (order_id, line_id) was, are duplicates; rows that
        only look equal are not. A line counts as a purchase when its amount is not negative and its quantity, if
        known, is above 0; other lines (returns) change money only.

        Examples
        --------
        >>> import pandas as pd
        >>> till = pd.DataFrame({"card_no": ["0077", "0077", None], "at": ["2017-01-01 09:00", "soon", "2017-01-02"],
        ...                      "paid": [2.5, 1.0, 3.0]})
        >>> log, rejections = Transactions.split_extract(
        ...     till, until="2017-12-31", customer_id="card_no", purchased_at="at", amount="paid")
        >>> print(rejections)
        3 rows read; used 1; duplicate 0; rejected 2: 1 where customer_id is missing, 1 where purchased_at is not a time
        """
        source = extract if isinstance(extract, Extract) else read_extract(extract)
        clock = door.Clock(time_zone, recorded_in, time_format)
        last = as_day(until)
        home = Path(folder) if folder is not None else _private_folder()
        home.mkdir(parents=True, exist_ok=True)
        with Engine() as engine:
            admitted = _admit_parts(engine, source, columns, clock, last, progress)
            lines = _unite(engine, admitted)
            unique, conflicts, doubled = _without_duplicates(engine, lines)
            _write(engine, unique, products, home)
            rejections = _account(engine, admitted, unique, conflicts, doubled)
        return cls(home, last, _items(home)), rejections


def _private_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="crmkit-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _admit_parts(
    engine: Engine,
    source: Extract,
    columns: Mapping[str, str],
    clock: door.Clock,
    last: date,
    progress: Callable[[str], None] | None,
) -> list[door.Admitted]:
    late = {f"purchased_at is after {last}": ("purchased_at", f"day > {day_number(last)}")}
    admitted = []
    for part in source.parts:
        if progress:
            progress(part.name)
        admitted.append(door.admit(engine, source, part, SALES, columns, clock, "Transactions.from_extract", late))
    return admitted


def _unite(engine: Engine, admitted: list[door.Admitted]) -> str:
    """Sound lines of all parts whose content was not delivered before; ``file`` is the part's number."""
    selects = [
        f"select {number} as file, * exclude (reason, value) from {part.sound} where reason is null"
        for number, part in enumerate(admitted)
        if not _resent(admitted, number)
    ]
    table = engine.stage(" union all ".join(selects))
    engine.drop(*(part.sound for part in admitted))
    return table


def _resent(admitted: list[door.Admitted], number: int) -> bool:
    digest = admitted[number].sha256
    return bool(digest) and digest in [part.sha256 for part in admitted[:number]]


def _without_duplicates(engine: Engine, lines: str) -> tuple[str, pd.DataFrame, pd.DataFrame]:
    """Lines without those delivered before; the conflicting and the duplicate ones, as file, record, amount."""
    content = "customer_id, purchased_at, product_id, quantity, amount, discount"
    repeated = engine.stage(
        f"""with keys as (select order_id, line_id from {lines} where order_id is not null and line_id is not null
            group by order_id, line_id having count(*) > 1)
        select l.file, l.record, l.amount, row_number() over w as delivery,
            row({content}) is distinct from first_value(row({content})) over w as differs
        from {lines} l join keys using (order_id, line_id)
        window w as (partition by order_id, line_id order by l.file, l.record)"""
    )
    later = f"select file, record, amount, differs from {repeated} where delivery > 1 order by file, record"
    found = engine.frame(later)
    if not len(found):
        return lines, found, found
    unique = engine.stage(
        f"select l.* from {lines} l anti join (select file, record from {repeated} where delivery > 1) using (file, record)"
    )
    engine.drop(lines, repeated)
    return unique, found[found["differs"]], found[~found["differs"]]


def _write(engine: Engine, lines: str, products: Products | None, home: Path) -> None:
    enriched = f"select * exclude (purchased_at, unit_price) from {lines}"
    if products is not None:
        attributes = [name for name in products.frame.columns if name in SALES.columns and name != "product_id"]
        table = engine.register(products.frame[["product_id", *attributes]])
        chosen = ", ".join(f"coalesce(p.{name}, l.{name}) as {name}" for name in attributes)
        enriched = (
            f"select l.* exclude (purchased_at, unit_price) replace ({chosen}) from {lines} l "
            f"left join {table} p on l.product_id = p.product_id"
        )
    engine.save(enriched, home / "lines.parquet")
    stored = engine.parquet(home / "lines.parquet")
    engine.save(sql_text("trips", lines=stored), home / "trips.parquet")


def _items(home: Path) -> tuple[str, ...]:
    from crmkit.contracts import ITEM_COLUMNS

    with Engine() as engine:
        lines = engine.parquet(home / "lines.parquet")
        counts = ", ".join(f"count({name}) as {name}" for name in ITEM_COLUMNS)
        filled = engine.frame(f"select {counts} from {lines}").iloc[0]
    return tuple(name for name in ITEM_COLUMNS if filled[name])


def _account(
    engine: Engine, admitted: list[door.Admitted], unique: str, conflicts: pd.DataFrame, doubled: pd.DataFrame
) -> Rejections:
    """Give every row read its place, and prove that rows and money add up."""
    resent = [_resent(admitted, number) for number in range(len(admitted))]
    late = [_conflicting(part, conflicts[conflicts["file"] == n]) for n, part in enumerate(admitted)]
    rejected = [part.rejected for part, again in zip(admitted, resent, strict=True) if not again]
    rows = pd.concat(rejected + [table for table in late if len(table)], ignore_index=True)
    n_doubled = doubled.groupby("file").size()
    n_conflicts = conflicts.groupby("file").size()
    files = pd.DataFrame(
        {
            "file": [part.name for part in admitted],
            "sha256": [part.sha256 for part in admitted],
            "rows_read": [part.rows_read for part in admitted],
            "rows_rejected": [
                0 if again else len(part.rejected) + int(n_conflicts.get(n, 0))
                for n, (part, again) in enumerate(zip(admitted, resent, strict=True))
            ],
            "rows_duplicate": [
                part.rows_read if again else int(n_doubled.get(n, 0))
                for n, (part, again) in enumerate(zip(admitted, resent, strict=True))
            ],
        }
    )
    files.insert(3, "rows_used", files["rows_read"] - files["rows_rejected"] - files["rows_duplicate"])
    used = engine.arrow(f"select count(*) as n, coalesce(sum(amount), 0) as total from {unique}")
    zero = Decimal("0.0000")
    duplicate = sum((p.amount_read for p, again in zip(admitted, resent, strict=True) if again), zero)
    found = Rejections(
        files,
        rows,
        amount_read=sum((part.amount_read for part in admitted), zero),
        amount_used=Decimal(used["total"][0].as_py()),
        amount_rejected=sum((a for a in rows["amount"] if a is not None and not pd.isna(a)), zero),
        amount_duplicate=duplicate + sum(doubled["amount"], zero),
    )
    _prove(found, used["n"][0].as_py())
    return found


def _conflicting(part: door.Admitted, conflicts: pd.DataFrame) -> pd.DataFrame:
    places = part.places.of_staged(conflicts["record"].to_numpy(dtype="int64"))
    rows = places.assign(file=part.name, reason=_CONFLICT, value=None, amount=conflicts["amount"].to_numpy())
    return rows[list(part.rejected.columns)]


def _prove(found: Rejections, n_used: int) -> None:
    money = found.amount_used + found.amount_rejected + found.amount_duplicate
    if n_used != found.rows_used or money != found.amount_read:
        raise AssertionError(
            f"rows do not add up: {found.rows_read} read, {n_used} kept; {found.amount_read} read, {money} placed"
        )
