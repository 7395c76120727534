"""Offers as files for another program: Parquet as it is, CSV that no spreadsheet takes for formulas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from crmkit._atomic import no_formula, replacing

__all__ = ["write_offers"]


def write_offers(offers: pd.DataFrame, folder: str | Path) -> tuple[Path, Path]:
    """Write ``offers.parquet``, as it is, and ``offers.csv`` for a mailing system.

    In the CSV a text that a spreadsheet would take for a formula has an apostrophe before it; numbers are written in
    full and stay numbers.

    Parameters
    ----------
    offers : DataFrame
        As in ``OfferResult.offers``, with whatever columns were joined to it.
    folder : path
        Made if it is not there.

    Raises
    ------
    PublishError
        A file cannot be written; an earlier one is untouched.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _, mailing = write_offers(pd.DataFrame({"customer_id": ["=1+1"], "expected_gain": [-0.5]}), folder)
    ...     print(mailing.read_text().split())
    ['customer_id,expected_gain', "'=1+1,-0.5"]
    """
    home = Path(folder)
    plain = offers.assign(
        **{
            name: offers[name].astype("str").map(no_formula, na_action="ignore")
            for name in offers.columns
            if _is_text(offers[name])
        }
    )
    whole, mailing = home / "offers.parquet", home / "offers.csv"
    with replacing(whole) as part:
        home.mkdir(parents=True, exist_ok=True)
        offers.to_parquet(part, index=False)
    with replacing(mailing) as part:
        plain.to_csv(part, index=False, lineterminator="\n")
    return whole, mailing


def _is_text(column: pd.Series[Any]) -> bool:
    return not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column))
