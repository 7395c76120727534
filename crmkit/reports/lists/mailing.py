"""Offers as files for another program: Parquet as it is, CSV that no spreadsheet takes for formulas."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from crmkit._atomic import replacing, write_csv

__all__ = ["write_offers"]


def write_offers(offers: pd.DataFrame, folder: str | Path) -> tuple[Path, Path]:
    """Write ``offers.parquet``, as it is, and ``offers.csv`` for a mailing system.

    In the CSV, which begins with a byte order mark, a text that a spreadsheet would take for a formula has an apostrophe
    before it; numbers are written in full and stay numbers.

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
    ...     print(mailing.read_text(encoding="utf-8-sig").split())
    ['customer_id,expected_gain', "'=1+1,-0.5"]
    """
    home = Path(folder)
    whole, mailing = home / "offers.parquet", home / "offers.csv"
    with replacing(whole) as part:
        home.mkdir(parents=True, exist_ok=True)
        offers.to_parquet(part, index=False)
    write_csv(offers, mailing, for_spreadsheets=True)
    return whole, mailing
