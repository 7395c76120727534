"""Codes of printed lists and coupons: EAN-13 numbers of the range that stores keep for themselves."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmkit._checks import require_columns
from crmkit._types import Ints

__all__ = ["with_codes"]

COUPON, LIST = 28, 29
"""How the codes of single coupons and of whole lists begin; GS1 leaves 20 to 29 to the store."""

_NUMBERS, _STEP = 10**10, 6_180_339_887


def with_codes(offers: pd.DataFrame, campaign: str) -> pd.DataFrame:
    """The offers with the codes that a till reads: one for each coupon, and one for the whole list.

    Within a campaign no code comes twice, and the next one does not follow from the one before. Another campaign has other
    codes: which ones depends on its name.

    Parameters
    ----------
    offers : DataFrame
        customer_id, deal_id, ordered by member, as in ``OfferResult.offers``.
    campaign : str

    Returns
    -------
    DataFrame
        The columns given, with campaign, code and list_code (13 digits each, the last one a check digit).

    Examples
    --------
    >>> offers = pd.DataFrame({"customer_id": ["a", "a", "b"], "deal_id": ["D1", "D2", "D1"]})
    >>> found = with_codes(offers, "2018-01-01")
    >>> found["list_code"].nunique(), found["code"].nunique(), found["code"].str.len().unique().tolist()
    (2, 3, [13])
    """
    require_columns(offers, ["customer_id", "deal_id"], "offers")
    member = pd.factorize(offers["customer_id"])[0].astype(np.int64)
    code, list_code = (_numbered(prefix, places, campaign) for prefix, places in
                       ((COUPON, np.arange(len(offers), dtype=np.int64)), (LIST, member)))  # fmt: skip
    return offers.assign(campaign=campaign, code=code, list_code=list_code)


def _numbered(prefix: int, places: Ints, campaign: str) -> NDArray[np.object_]:
    """EAN-13 codes of consecutive places, scattered over the range by a step that shares no factor with its size."""
    start = int(hashlib.sha256(f"{prefix}/{campaign}".encode()).hexdigest()[:12], 16) % _NUMBERS
    # the product is past 64 bits, so places are taken in two halves
    high, low = np.divmod(places, 10**5)
    number = (high * (_STEP * 10**5 % _NUMBERS) + low * (_STEP % 10**5)) % _NUMBERS
    number = (number + low * (_STEP // 10**5) % 10**5 * 10**5 + start) % _NUMBERS
    return _with_check_digit(prefix * _NUMBERS + number)


def _with_check_digit(number: Ints) -> NDArray[np.object_]:
    """Twelve digits as text, with the thirteenth: weights of 3 and 1 from the right (GS1 General Specifications, 7.9)."""
    digits = number[:, None] // 10 ** np.arange(12) % 10
    check = -(digits * np.where(np.arange(12) % 2, 1, 3)).sum(axis=1) % 10
    codes: NDArray[np.object_] = (number * 10 + check).astype("U13").astype(object)
    return codes
