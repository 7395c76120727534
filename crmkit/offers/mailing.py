"""Offers as files for another program: Parquet as it is, CSV that no spreadsheet takes for formulas."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from crmkit.exceptions import PublishError

__all__ = ["write_offers"]

_FORMULA = r"^[=+\-@\t\r\n＝＋－＠]"


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
    plain = offers.assign(**{name: _plain(offers[name]) for name in offers.columns if _is_text(offers[name])})
    return (
        _written(home / "offers.parquet", lambda path: offers.to_parquet(path, index=False)),
        _written(home / "offers.csv", lambda path: plain.to_csv(path, index=False, lineterminator="\n")),
    )


def _is_text(column: pd.Series[Any]) -> bool:
    return not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column))


def _plain(column: pd.Series[Any]) -> pd.Series[Any]:
    text = column.astype("str")
    return text.where(~text.str.contains(_FORMULA, regex=True, na=False), "'" + text)


def _written(path: Path, write: Callable[[Path], object]) -> Path:
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(part)
        os.replace(part, path)
    except OSError as error:
        raise PublishError(f"{path} cannot be written ({error}). What was there before is untouched.") from error
    finally:
        part.unlink(missing_ok=True)
    return path
