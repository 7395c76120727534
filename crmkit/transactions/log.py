"""Transactions: the only form in which the rest of crmkit ever sees sales.

``Transactions.split_extract`` validates an extract and keeps the valid rows as Parquet files: lines, and
what they fold into once, trips (one row per member, day and receipt) and days (one per member and day). A log holds the paths of these, so it can be
pickled and reopened, and a source that changes later does not change it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from crmkit._atomic import full_disk_told
from crmkit._checks import warn_user
from crmkit._days import as_day, day_number
from crmkit._folders import temporary_folder
from crmkit.displays import InNotebook
from crmkit.engine.choose import engine_for, engine_of, no_log
from crmkit.exceptions import ContractError, CrmkitWarning, DeliveryWarning, LeakError
from crmkit.ingest.extracts import Extract, read_extract
from crmkit.ingest.layouts import differs
from crmkit.ingest.times import TimeRules
from crmkit.transactions.deliveries import collect_lines, filled_items
from crmkit.transactions.doubts import doubts
from crmkit.transactions.line_meaning import LineMeaning
from crmkit.transactions.plausibility import implausible
from crmkit.transactions.rejections import Rejections, reconcile
from crmkit.transactions.returns import match_returns

if TYPE_CHECKING:
    from crmkit.ingest.tables import Products, Rates

__all__ = ["Transactions"]


@dataclass(frozen=True)
class Transactions(InNotebook):
    """Sales that were accepted, up to the close of day ``until``.

    Attributes
    ----------
    folder : Path
        Holds ``days.parquet``, and ``lines.parquet`` and ``trips.parquet`` where these are no store's.
    until : date
        Last day that was observed.
    items : tuple of str
        Item columns that the lines have: what ``by=`` can name.
    on_spark : bool
        Summaries are computed by the active Spark session and are Spark DataFrames; set by `crmkit.engine.choose.on_spark`,
        or by reading a Spark DataFrame.
    line_files, trip_files : tuple of Path
        Files of one version of a `Store`.
    """

    folder: Path
    until: date
    items: tuple[str, ...] = ()
    on_spark: bool = False
    line_files: tuple[Path, ...] = ()
    trip_files: tuple[Path, ...] = ()

    def _notebook_words(self) -> str:
        where = "on Spark" if self.on_spark else "on this machine"
        return (
            f"Transactions up to the close of {self.until:%d %B %Y}, {where}; items: {', '.join(self.items) or 'none'}."
        )

    @property
    def lines(self) -> list[Path]:
        """Parquet files with one row per sold line."""
        return list(self.line_files) or [self.folder / "lines.parquet"]

    @property
    def trips(self) -> list[Path]:
        """Parquet files with one row per member, day and receipt."""
        return list(self.trip_files) or [self.folder / "trips.parquet"]

    @property
    def days(self) -> Path:
        """Parquet file with one row per member and day, and one more for what a later day takes back of it."""
        return self.folder / "days.parquet"

    def close_of(self, as_of: str | date | None) -> int:
        """Day number of ``as_of`` (default: ``until``); a day that has not been observed raises `LeakError`."""
        day = self.until if as_of is None else as_day(as_of)
        if day > self.until:
            raise LeakError(f"as_of={day} is after {self.until}, the last day observed in this log.")
        return day_number(day)

    def first_day(self, as_of: str | date | None = None) -> int | None:
        """Day number of the first purchase of any member up to the close of ``as_of``; None before it."""
        with engine_for(self) as engine:
            found = f"select min(day) as day from {engine.parquet(self.days)} where bought = 1 and day <= :as_of"
            first = engine.frame(found, {"as_of": self.close_of(as_of)})["day"][0]
        return int(first) if first == first and first is not None else None

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
        customer_id is missing: Such rows count in sales and in no member's history. Check that the right column is named for customer_id.
        Correct the extract, or take the accepted rows with split_extract.
        """
        log, rejections = cls.split_extract(extract, until=until, **options)  # type: ignore[arg-type]
        if rejections.rows_rejected:
            told = "\n".join([f"{rejections}.", *rejections.advice])
            raise ContractError(f"{told}\nCorrect the extract, or take the accepted rows with split_extract.")
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
        trading_day_cutoff: str | None = None,
        calendar: str | None = None,
        products: Products | None = None,
        non_members: Sequence[str] = (),
        classes: Mapping[str, Sequence[str]] | None = None,
        rules: Mapping[str, str] | None = None,
        leave_out: Mapping[str, Sequence[str]] | None = None,
        kinds: Mapping[str, str | Sequence[str]] | None = None,
        order_columns: Sequence[str] = (),
        reject_unreadable: Sequence[str] = (),
        deduct: Sequence[str] = (),
        refunds: Mapping[str, str] | None = None,
        ids: str | None = None,
        rates: Rates | None = None,
        folder: str | Path | None = None,
        progress: Callable[[str], None] | None = None,
        **columns: str | Sequence[str],
    ) -> tuple[Transactions, Rejections]:
        """Sort the rows of an extract into valid ones and rejected ones.

        Parameters
        ----------
        extract : Extract or dataframe
            From `read_extract`. A Spark DataFrame (``spark.table("lake.sales")``) is read where it is: rows are sorted,
            kept and summarised by its session.
        until : date
            Last day of observation; a row dated later is rejected.
        time_zone, recorded_in, time_format : str, optional
            The shop's IANA zone; the zone in which times without an offset were recorded (the shop's own when not
            given); a ``strptime`` format for times that are not written year first, or ``"excel"`` for the day numbers of
            a spreadsheet.
        trading_day_cutoff : str, optional
            ``"05:00"``: purchases before it belong to the day before; clocks that count on after midnight are read.
        calendar : str, optional
            Whose years are written: ``"thai"`` (2568 is 2025), ``"roc"`` (114), ``"japanese"`` (R7 or 令和7年), ``"jalali"``
            (1404/01/01 is 2025-03-21).
        products : Products, optional
            Adds category, brand, brand_type, manufacturer and department by product_id; the line's own are kept where the
            product is not in the table.
        non_members : sequence of str
            Customer ids that are no member: staff, test and till cards (`suspect_cards` lists what looks like one). Their
            lines count in sales and in no member's history, like those without a customer id.
        classes : mapping of str to patterns, optional
            Lines that are no goods, by product_id or category (SQL ``like``): ``{"service": ["POST", "DOT"],
            "gift card": ["gift_%"], "discount": ["D"]}``. They are money, not purchases, whatever their sign.
        rules : mapping of str to str, optional
            Cleaning rules of your own, reason = SQL condition of an invalid row over the columns of the contract
            (``raw_<column>`` is the text as delivered): ``{"quantity is above 10,000": "quantity > 10000"}``. The reason
            begins with the column whose value is to be shown.
        leave_out : mapping of str to words, optional
            Rows that are no sales because another column says so, ``{"Status": ["cancelled", "failed"], "Cancelled at":
            ["*"]}``: a column of the extract, and its words for such rows (capitals do not count; ``"*"`` is any value,
            ``"cancel*"`` every word that begins so, here and in ``kinds``).
            They are counted apart, with their money.
        kinds : mapping of str to str or words, optional
            A column that says what a row is, ``{"column": "Type", "sale": ["SALE"], "return": ["REFUND"], "cancelled":
            ["VOID"]}``. Amounts and quantities of a return are taken as negative however they are signed; a cancelled row
            is left out. Where words for a sale are stated, a row with another word is rejected.
        order_columns : sequence of str
            Columns that only the first line of an order fills; what it says holds for all its lines.
        reject_unreadable : sequence of str
            Columns whose unreadable values may be rejected though they are written alike. Otherwise the load stops at
            such values, since what would be missing is one-sided: every return, or every large amount.
        deduct : sequence of str
            Columns of the extract whose money is taken off the row that they stand on, whatever its sign: a refund, or a
            discount that the amount still holds.
        refunds : mapping of str to str, optional
            Money given back that stands on the row of its sale, and the column of its day: ``{"Refunded Amount": "Refunded at"}``.
            It is taken off on that day, as a return of the sale; on the day of the sale where none is stated. A row whose
            refund is dated before the sale, or after ``until``, is rejected.
        ids : str, optional
            ``"casefold"``: customer ids that differ by capitals alone are one.
        rates : Rates, optional
            What each currency of the column ``currency`` is worth, by day, in that of the log (``currency=`` of
            `read_extract`, which needs no rate). A row without a rate is rejected.
        folder : path, optional
            Where lines, trips and days are kept. By default a private folder that is removed when Python ends. On a
            cluster every machine must see it.
        progress : callable, optional
            Called with the name of each part as it is read.
        **columns : str
            Contract column = name in the extract. Required: customer_id, purchased_at, amount. Optional: order_id,
            line_id, product_id, quantity, unit_price, discount, category, brand, brand_type, manufacturer, department.
            A day and its time of day may stand in two columns: ``purchased_at=["Date", "Time"]``, where ``time_format`` is
            that of the day; an id may be joined of several.
            A column that already has the contract's name need not be named. Without amount, it is quantity ×
            unit_price.

        Returns
        -------
        log : Transactions
        rejections : Rejections
            ``rows_read = rows_used + rows_left_out + rows_rejected + rows_duplicate``, and the same for money.

        Raises
        ------
        ContractError
            Columns are missing or unknown, or times state offsets and no zone is given.
        ExtractError
            A file cannot be read at all.

        Warns
        -----
        CrmkitWarning
            A file among others has no row, or customer ids may be written in more than one way.

        Notes
        -----
        A file whose content was delivered before, and a line whose (order_id, line_id) was, are duplicates (of one store,
        where every line names its store); rows that only look equal are not. A row without a customer belongs to no
        member: rejected for members, kept for sales. A line counts as a purchase when its amount is not negative and its
        quantity, if known, is above 0.

        A return takes back the sale on the receipt that it names (returned_order_id), else the member's latest sale of
        the product within 90 days, of which enough is left; else it is unmatched: its money then counts on its own day.
        Returns are looked at as time went by, so a later one moves no earlier one; on one day, those that name their
        receipt come first; after 200 of a product by a member no more are matched. One without a quantity takes back a
        line of the same money, one without a product its own category at its own price. What is taken back on the day
        of its sale was never bought; later, the visit remains a purchase day, its money and goods are taken off from
        the day of the return on.

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
        time_rules = TimeRules(time_zone, recorded_in, time_format, trading_day_cutoff, calendar)
        meaning = LineMeaning(
            rules or {}, non_members, leave_out or {}, kinds or {}, order_columns, reject_unreadable, deduct, ids,
            refunds=refunds or {}, products=products, classes=classes, rates=rates,
        )  # fmt: skip
        last = as_day(until)
        home = Path(folder) if folder is not None else temporary_folder("log")
        home.mkdir(parents=True, exist_ok=True)
        full = full_disk_told(home, "Free some space and try again.")
        with full, engine_of(*(part.table for part in source.parts)) as engine:
            received = collect_lines(engine, source, columns, time_rules, meaning, last, progress=progress)
            match_returns(engine, received.lines, meaning, home)
            stored = engine.parquet(home / "lines.parquet")
            rejections = reconcile(engine, received, stored, home / "rejected.parquet")
            other = filter(None, [differs(source.columns, columns)])
            told = dict.fromkeys([*doubts(engine, received), *rejections.empty_files, *other], CrmkitWarning)
            odd = implausible(engine, rejections, stored, engine.parquet(home / "trips.parquet"), last)
            items = filled_items(engine, stored)
        for message, kind in (told | dict.fromkeys(odd, DeliveryWarning)).items():
            warn_user(message, kind)
        return cls(home, last, items, engine.on_spark), rejections


def names(by: object) -> list[str]:
    """The columns that ``by`` names: none, one, or several."""
    if by is None:
        return []
    return [str(name) for name in by] if isinstance(by, Iterable) and not isinstance(by, str) else [str(by)]


def check_log(log: object) -> None:
    """Raise unless a log is given; a dataframe is none."""
    if not isinstance(log, Transactions):
        raise no_log(log)


def check_item(log: Transactions, by: str) -> None:
    """Raise unless ``by`` is an item column that the log has."""
    check_log(log)
    if by not in log.items:
        raise ContractError(
            f"by={by!r} is not an item column of this log; it has {list(log.items)}. Name the column when the log is "
            "made: Transactions.from_extract(…, category=…), or give products=…."
        )
