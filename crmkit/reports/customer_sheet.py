"""One page about one customer, to be read before a visit or a call; of one, or of thousands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pandas as pd

from crmkit._checks import no_customer, require_columns
from crmkit._days import as_day
from crmkit.exceptions import ConfigError, ContractError
from crmkit.reports.report import Report
from crmkit.reports.sheet_content import cards, sheet_blocks
from crmkit.reports.sheet_pages import write_sheet_pages
from crmkit.summaries.customers import purchases_of
from crmkit.transactions.log import Transactions

__all__ = ["customer_sheet", "print_sheets"]

_AT_ONCE = 500
TABLES = ("sent", "redemptions", "points", "rewards", "service", "identity", "premises", "visits", "visited")
"""Further tables that a page can show."""


def customer_sheet(
    customer_id: object,
    log: Transactions,
    customers: pd.DataFrame,
    repurchases: pd.DataFrame | None = None,
    offers: pd.DataFrame | None = None,
    *,
    as_of: str | date | None = None,
    currency: str = "",
    **tables: pd.DataFrame | None,
) -> Report:
    """A page about one customer: what was bought, what was dropped, what comes next, value and risk, offers, what to say.

    Parameters
    ----------
    customer_id : str or number
    log : Transactions
    customers : DataFrame
        One row per customer, as ``customers.parquet`` of a run or put together by hand: customer_id, and of value, value_low,
        value_high, tier, tier_since, p_churn, value_at_risk, reason_1 … what there is.
    repurchases : DataFrame, optional
        From ``NextPurchase.predict``.
    offers : DataFrame, optional
        What was planned for the customer: deal_id, title and ends, where known.
    as_of : date, optional
        By default the log's ``until``.
    currency : str, optional
    **tables : DataFrame, optional
        With customer_id: ``sent`` (offers that were sent: campaign, deal_id) and ``redemptions`` (those that were used), ``points``
        (from `points_balances`), ``rewards``, ``service`` (from `ServiceRecords`), ``premises``, ``visits`` (planned) and
        ``visited`` (their results); ``identity`` (from `Identities.table`).

    Returns
    -------
    Report
        ``save("sheet.html")`` writes the page, ``save("sheet.xlsx")`` the same as a workbook; `print_sheets` prints one page of A4.

    Raises
    ------
    ContractError
        The table has no such customer; the nearest ids are named.

    Examples
    --------
    >>> from crmkit.testing import generated_log
    >>> log = generated_log(n_customers=50)
    >>> from crmkit import rfm_table
    >>> page = customer_sheet("000007", log, rfm_table(log))
    >>> page.title
    'Customer 000007'
    """
    row, close = _row_of(customers, str(customer_id)), as_day(log.until if as_of is None else as_of)
    bought = purchases_of(log, [str(row["customer_id"])], close)
    return _page(row, bought, _given(repurchases, offers, tables), close, currency)


def print_sheets(
    customer_ids: Sequence[object] | pd.Series,
    log: Transactions,
    customers: pd.DataFrame,
    folder: str | Path,
    repurchases: pd.DataFrame | None = None,
    offers: pd.DataFrame | None = None,
    *,
    as_of: str | date | None = None,
    currency: str = "",
    font: str | Path | None = None,
    per_file: int = _AT_ONCE,
    **tables: pd.DataFrame | None,
) -> pd.DataFrame:
    """The pages of many customers as PDF (A4), ``per_file`` to a file; only these are held at a time.

    Parameters
    ----------
    customer_ids : sequence
        In the order of the pages.
    log, customers, repurchases, offers, as_of, currency, **tables
        As for `customer_sheet`.
    folder : path
        Files are called ``sheets_0001.pdf`` and so on: no customer's number is in a name.
    font : path, optional
        TrueType or OpenType; by default one that has Latin, Greek and Cyrillic.
    per_file : int, default 500

    Returns
    -------
    DataFrame
        customer_id, file, page: where each customer's page is.

    Raises
    ------
    ContractError
        Some of the customers are not in the table.

    Examples
    --------
    >>> import tempfile
    >>> from crmkit import rfm_table
    >>> from crmkit.testing import generated_log
    >>> log = generated_log(n_customers=5)
    >>> print_sheets(["000003", "000001"], log, rfm_table(log), tempfile.mkdtemp())
      customer_id             file  page
    0      000003  sheets_0001.pdf     1
    1      000001  sheets_0001.pdf     2
    """
    require_columns(customers, ["customer_id"])
    ids, close = [str(one) for one in customer_ids], as_day(log.until if as_of is None else as_of)
    rows = customers.assign(customer_id=customers["customer_id"].astype("str")).set_index("customer_id", drop=False)
    if unknown := len(set(ids) - set(rows.index)):
        raise ContractError(f"{unknown:,} of {len(ids):,} customers are not among the {len(rows):,} of the table.")
    given, found = _given(repurchases, offers, tables), list[pd.DataFrame]()
    for n, begin in enumerate(range(0, len(ids), per_file), start=1):
        part, file = ids[begin : begin + per_file], Path(folder) / f"sheets_{n:04d}.pdf"
        lines = purchases_of(log, part, close)
        bought = dict(iter(lines.groupby("customer_id")))
        some = {name: _groups(table, part) for name, table in given.items()}
        pages = (
            _page(
                rows.loc[[one]].iloc[0],
                bought.get(one, lines.head(0)),
                {name: of.get(one) for name, of in some.items()},
                close,
                currency,
            )
            for one in part
        )
        at = write_sheet_pages(file, pages, close, font)
        found.append(pd.DataFrame({"customer_id": part, "file": file.name, "page": at}))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame({"customer_id": [], "file": [], "page": []})


def _groups(table: pd.DataFrame, ids: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Rows of each of these customers."""
    if not len(table):
        return {}
    key = table["customer_id"].astype("str")
    known = table[key.isin(ids)]
    return {str(one): rows.reset_index(drop=True) for one, rows in known.groupby(key[known.index], sort=False)}


def _page(
    row: pd.Series,
    bought: pd.DataFrame,
    tables: dict[str, pd.DataFrame] | dict[str, pd.DataFrame | None],
    close: date,
    currency: str,
) -> Report:
    own = {name: _of(table, row["customer_id"]) for name, table in tables.items()}
    page = Report(f"Customer {row['customer_id']}", as_of=close, currency=currency)
    for value, label in cards(row, bought, close, currency):
        page.add_card(value, label)
    page.blocks += sheet_blocks(row, bought, own["repurchases"], own, close, currency)
    return page


def _given(
    repurchases: pd.DataFrame | None, offers: pd.DataFrame | None, tables: dict[str, pd.DataFrame | None]
) -> dict[str, pd.DataFrame]:
    """All tables that a page can show, empty where one is not given; cards are those of the customer's unit."""
    if unknown := sorted(set(tables) - set(TABLES)):
        raise ConfigError(f"customer_sheet knows no tables {unknown}; it knows {list(TABLES)}.")
    given = {"repurchases": repurchases, "offers": offers, **dict.fromkeys(TABLES), **tables}
    found = {name: pd.DataFrame() if table is None else table for name, table in given.items()}
    if len(found["identity"]):
        found["identity"] = _cardholders(found["identity"])
    return found


def _cardholders(identity: pd.DataFrame) -> pd.DataFrame:
    """Each card, member and unit as a customer, with the cards of the unit."""
    names = pd.concat(
        [identity[[level, "unit"]].set_axis(["customer_id", "unit"], axis=1) for level in ("card", "member")]
        + [identity[["unit"]].assign(customer_id=identity["unit"])[["customer_id", "unit"]]]
    ).drop_duplicates()
    return names.merge(identity[["card", "member", "unit"]], on="unit")


def _of(table: pd.DataFrame | None, customer_id: object) -> pd.DataFrame:
    if table is None or not len(table):
        return pd.DataFrame()
    return table[table["customer_id"].astype("str") == str(customer_id)].reset_index(drop=True)


def _row_of(customers: pd.DataFrame, customer_id: str) -> pd.Series:
    require_columns(
        customers, ["customer_id"], advice="Give the customers of a run, or a table with one row per customer."
    )
    ids = customers["customer_id"].astype(str)
    found = customers[ids == customer_id]
    if len(found):
        return found.iloc[0]
    raise no_customer(customer_id, ids.tolist())
