"""Barcodes: what a till can read, checked before it is printed, and the bars of it."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np

from crmkit.exceptions import ConfigError
from crmkit.ingest.rules import Rule

__all__ = ["BARCODE_RULES", "Bars", "bars_of", "ean13", "gtin_check_digit"]

Bars = tuple[list[tuple[int, int]], list[tuple[int, int]], int]

LONGEST = 60


def _weighted(digits: str) -> str:
    """SQL: the weighted sum of fourteen digits, a multiple of ten when the check digit is right."""
    places = (
        f"{3 if place % 2 else 1} * coalesce(try_cast(substr({digits}, {place}, 1) as integer), 0)"
        for place in range(1, 15)
    )
    return " + ".join(places)


_KIND = "coalesce(barcode_type, 'ean')"
_NOT_DIGITS = "length(translate({0}, '0123456789', '')) > 0"
_GTIN = "substr(barcode, 5, 14)"
_PADDED = "lpad(barcode, 14, '0')"
_PRINTED = "".join(map(chr, range(33, 127))).replace("'", "''")
BARCODE_RULES = (
    Rule("barcode_type is neither ean, code 128 nor gs1", "barcode_type not in ('ean', 'code 128', 'gs1')"),
    Rule(
        "barcode is not 8, 12 or 13 digits",
        f"{_KIND} = 'ean' and (length(barcode) not in (8, 12, 13) or {_NOT_DIGITS.format('barcode')})",
        "Deliver barcodes as text: a spreadsheet drops leading zeros.",
    ),
    Rule(
        "barcode has a wrong check digit",
        f"({_KIND} = 'ean' and ({_weighted(_PADDED)}) % 10 <> 0) or ({_KIND} = 'gs1' and "
        f"substr(barcode, 1, 4) = '(01)' and ({_weighted(_GTIN)}) % 10 <> 0)",
        "Look the code up again: a scanner would refuse it.",
    ),
    Rule(
        f"barcode is not 1 to {LONGEST} plain characters",
        f"{_KIND} <> 'ean' and (length(barcode) > {LONGEST} or length(translate(barcode, '{_PRINTED}', '')) > 0)",
        "Code 128 takes letters without accents, digits and marks.",
    ),
    Rule(
        "barcode does not begin with a GS1 identifier in brackets",
        f"{_KIND} = 'gs1' and (barcode not like '(__%)%' or {_NOT_DIGITS.format('substr(barcode, 2, 2)')})",
        "Write it as in (01)09501101530003(10)AB.",
    ),
    Rule(
        "barcode has no fourteen digits after (01)",
        f"{_KIND} = 'gs1' and substr(barcode, 1, 4) = '(01)' and (length({_GTIN}) < 14 or {_NOT_DIGITS.format(_GTIN)})",
        "Put zeros before a shorter number.",
    ),
)
"""Rules of the deals."""


def gtin_check_digit(digits: str) -> int:
    """The check digit that follows the leading digits of a GTIN of any length.

    Weights of 3 and 1 alternate from the right; the check digit completes the sum to a multiple of ten.

    Source: GS1 General Specifications, section 7.9.

    >>> gtin_check_digit("629104150021")
    3
    """
    if not (digits.isascii() and digits.isdigit()):
        raise ConfigError(f"{digits!r} is not digits only.")
    odd, even = digits[::-2], digits[-2::-2]
    return -(3 * sum(map(int, odd)) + sum(map(int, even))) % 10


def ean13(barcode: str) -> str:
    """A barcode as the till reads it: a UPC-A of 12 digits is an EAN-13 with a leading 0, others stay.

    >>> ean13("036000291452")
    '0036000291452'
    """
    return barcode.zfill(13) if len(barcode) == 12 else barcode


@lru_cache(4096)
def bars_of(code: str, kind: str) -> Bars:
    """(start, width) in modules of the ordinary bars and of the longer guard bars, and the modules of the symbol.

    Parameters
    ----------
    code : str
    kind : str
        ``ean``, ``code 128`` or ``gs1`` (element strings with the identifiers in brackets).

    Raises
    ------
    ConfigError
        The symbology cannot hold the text.

    Examples
    --------
    >>> bars_of("96385074", "ean")[2], bars_of("LIST-7", "code 128")[2]
    (67, 101)
    """
    import zxingcpp

    formats = zxingcpp.BarcodeFormat
    symbology = {"ean": formats.EAN8 if len(code) == 8 else formats.EAN13}.get(kind, formats.Code128)
    options = {"gs1": True} if kind == "gs1" else {}
    try:
        symbol = zxingcpp.create_barcode(code, symbology, **options)
    except Exception as error:
        raise ConfigError(f"{code!r} cannot be a barcode of the type {kind!r}: {error}") from error
    rows: list[list[int]] = np.asarray(symbol.to_image(add_quiet_zones=False)).tolist()
    guards = _runs(rows[-1]) if kind == "ean" else []
    return [run for run in _runs(rows[0]) if run not in guards], guards, len(rows[0])


def _runs(row: list[int]) -> list[tuple[int, int]]:
    """Start and width of each run of black.

    >>> _runs([0, 255, 0, 0, 255])
    [(0, 1), (2, 2)]
    """
    edges = [0, *(at for at in range(1, len(row)) if row[at] != row[at - 1]), len(row)]
    return [(start, end - start) for start, end in pairwise(edges) if row[start] == 0]
