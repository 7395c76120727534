"""What is bought together: pairs and triples of items, how far beyond chance, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from math import comb

import numpy as np
import pandas as pd
from scipy.stats import chi2

from crmkit._checks import require_columns
from crmkit._days import as_day, day_number
from crmkit._types import Floats, Ints
from crmkit.engine.base import SqlEngine
from crmkit.engine.choose import engine_for
from crmkit.engine.texts import sql_text
from crmkit.exceptions import ConfigError
from crmkit.products._triple_math import triples
from crmkit.transactions.log import Transactions, check_item

__all__ = ["bought_together"]

_RECEIPT = ("coalesce(l.order_id, '')", "l.day", "coalesce(l.customer_id, '')", "coalesce(l.store, '')")
_LETTERS = "abc"


def bought_together(
    log: Transactions,
    by: str = "category",
    min_support: float = 100,
    size: int = 2,
    as_of: str | date | None = None,
    since: str | date | None = None,
    *,
    retest: str | date | None = None,
    promotions: pd.DataFrame | None = None,
    each: str = "basket",
) -> pd.DataFrame:
    """Items that stand in one basket more often than chance would have it.

    Baskets of everybody count, members or not. A basket is a receipt, or where the lines have no receipts, what a customer
    bought in a day.

    Parameters
    ----------
    log : Transactions
    by : str
        Item column: category, product_id, brand, …
    min_support : int or float
        In how many baskets at least the items must stand together; below 1, in what share of them.
    size : {2, 3}
        Pairs or triples; of a triple any two items must reach ``min_support`` too, as they then do.
    as_of, since : date, optional
        Only baskets after the close of ``since`` and up to that of ``as_of`` count. Found up to a day and looked at again
        after it, an affinity that was chance is gone.

    retest : date, optional
        Sets are looked for in baskets up to the close of this day, and those that are found are looked at again in later ones.
    promotions : DataFrame, optional
        The column of ``by``, starts and ends: days on which an item was promoted. For pairs.
    each : {"basket", "customer"}
        With ``"customer"`` a basket is all that a customer bought: which categories, or with ``by="store"`` which stores, share
        their customers.

    Returns
    -------
    DataFrame
        item_a, item_b (, item_c): the item with the fewest baskets first; baskets (that hold all of them); support (share of
        all baskets); confidence (share of the baskets with all but the last that have the last); lift (support over the
        product of the items' own shares); leverage (support less that product); p_value (of a χ² test, without a correction, of
        the last item against the others); q_value (the share of false discoveries among all that are as sure, by
        Benjamini and Hochberg over everything that was compared). The highest leverage first. A pandas table, of a log that is
        `on_spark` too: its size does not depend on the number of baskets.

    Raises
    ------
    ConfigError
        ``size`` is neither 2 nor 3, or ``min_support`` is not above 0.
    ContractError
        The log has no such item column.

    References
    ----------
    Brin, Motwani, Ullman & Tsur (1997), "Dynamic itemset counting and implication rules for market basket data" (lift, χ²);
    Benjamini & Hochberg (1995), Journal of the Royal Statistical Society B 57(1), 289-300.

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": list("aabbccddeef"), "purchased_at": "2017-01-01", "amount": 1.0,
    ...     "category": ["Bread", "Butter"] * 3 + ["Bread", "Tea", "Tea", "Milk", "Milk"]})
    >>> log = Transactions.from_extract(till, until="2017-01-31")
    >>> bought_together(log, min_support=2)[["item_a", "item_b", "baskets", "confidence", "lift"]]
       item_a item_b  baskets  confidence  lift
    0  Butter  Bread        3         1.0   1.5
    """
    _check(log, by, min_support, size, each)
    first = -1_000_000 if since is None else day_number(as_day(since))
    close = log.close_of(as_of)
    middle = close if retest is None else min(log.close_of(retest), close)
    with engine_for(log) as engine:
        asked = _Asked(engine, engine.parquet(log.lines), by, _basket(each), _promoted_days(promotions, by))
        found, items, n = asked.found(first, middle, min_support, size)
        table = _affinities(found, items, n)
        if promotions is not None and size == 2:
            table = table.merge(_promoted(found[0], items), on=["item_a", "item_b"], how="left", validate="1:1")
        if retest is not None and len(table):
            table = _looked_at_again(table, asked, middle, close, size)
    return table


def _check(log: Transactions, by: str, min_support: float, size: int, each: str) -> None:
    if each not in ("basket", "customer"):
        raise ConfigError(f"each={each!r} is neither 'basket' nor 'customer'.")
    if not (by == "store" and each == "customer"):
        check_item(log, by)
    if size not in (2, 3):
        raise ConfigError(f"size={size!r}: items are put together in twos or threes.")
    if not min_support > 0:
        raise ConfigError(f"min_support={min_support!r} must be above 0: a number of baskets, or a share of them.")


def _basket(each: str) -> tuple[str, ...]:
    return ("l.customer_id",) if each == "customer" else tuple(_RECEIPT)


@dataclass(frozen=True)
class _Asked:
    """Where sets are looked for, and in what."""

    engine: SqlEngine
    lines: str
    by: str
    receipt: tuple[str, ...]
    promoted: pd.DataFrame

    def found(
        self, since: int, as_of: int, min_support: float, size: int, among: pd.Series | None = None
    ) -> tuple[list[pd.DataFrame], pd.DataFrame, int]:
        """Pairs (and triples) by number, the items by number, and how many baskets there are."""
        engine, lines, values = self.engine, self.lines, {"since": since, "as_of": as_of}
        item, basket = engine.quoted(self.by), engine.number_of(*self.receipt)
        if self.receipt == _basket("customer"):
            lines = engine.view(f"select * from {lines} where customer_id is not null")
        n = _n_baskets(engine, lines, basket, values)
        if among is not None:
            wanted = engine.register(pd.DataFrame({"wanted": among}))
            lines = engine.view(f"select l.* from {lines} l inner join {wanted} w on w.wanted = l.{item}")
        support = int(np.ceil(min_support * n)) if min_support < 1 else int(np.ceil(min_support))
        texts = {"item": item, "lines": lines, "basket": basket, "promoted": engine.register(self.promoted)}
        sold = engine.stage(sql_text("products/basket_items", **texts), values | {"support": support})
        each = f"select code, max(item) as item, max(baskets) as baskets from {sold} group by code order by code"
        items = engine.frame(each).set_index("code")
        pairs = engine.stage(sql_text("products/bought_pairs", sold=sold), {"support": support})
        found = [engine.frame(f"select * from {pairs} order by a, b")]
        return [*found, *([_triples(engine, sold, pairs, found[0], support)] if size > 2 else [])], items, n


def _triples(engine: SqlEngine, sold: str, pairs: str, found: pd.DataFrame, support: int) -> pd.DataFrame:
    """Counted by SQL on a cluster; on one machine by sparse products, which the join takes fifty times as long for."""
    if engine.on_spark:
        return engine.frame(sql_text("products/bought_triples", sold=sold, pairs=pairs), {"support": support})
    entries = engine.arrow(f"select basket, cast(code as bigint) as code from {sold}")
    basket, code = (entries[name].to_numpy() for name in ("basket", "code"))
    counted = triples(basket, code, found[["a", "b"]].to_numpy(np.int64), support)
    return pd.DataFrame(counted, columns=["a", "b", "c", "baskets"])


def _promoted_days(promotions: pd.DataFrame | None, by: str) -> pd.DataFrame:
    """Each day on which an item was promoted, once: item, day."""
    if promotions is None or not len(promotions):
        return pd.DataFrame({"item": pd.Series(dtype="str"), "day": pd.Series(dtype="int32")})
    require_columns(promotions, [by, "starts", "ends"], "The table of promotions")
    starts, ends = (pd.to_datetime(promotions[side]).map(day_number).astype("int64") for side in ("starts", "ends"))
    days = [range(first, last + 1) for first, last in zip(starts, ends, strict=True)]
    table = pd.DataFrame({"item": promotions[by].astype("str"), "day": days}).explode("day").dropna()
    return table.astype({"day": "int32"}).drop_duplicates(ignore_index=True)


def _promoted(pairs: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """Of each pair, the share of its baskets on days of a promotion."""
    name, baskets = items["item"], items["baskets"]
    first = baskets.reindex(pairs["a"]).to_numpy() <= baskets.reindex(pairs["b"]).to_numpy()
    a, b = (name.reindex(pairs[side]).to_numpy() for side in "ab")
    share = (pairs["promoted"] / pairs["baskets"]).to_numpy(np.float64)
    return pd.DataFrame({"item_a": np.where(first, a, b), "item_b": np.where(first, b, a), "share_promoted": share})


def _looked_at_again(table: pd.DataFrame, asked: _Asked, since: int, as_of: int, size: int) -> pd.DataFrame:
    """The sets that were found, in later baskets: how many have them, and how far beyond chance."""
    names = [f"item_{letter}" for letter in _LETTERS[:size]]
    among = pd.Series(pd.unique(table[names].to_numpy().ravel()))
    found, items, n = asked.found(since, as_of, 1, size, among)
    later = _affinities(found, items, n)
    keys = [
        pd.Series([tuple(sorted(row)) for row in one[names].to_numpy().tolist()], dtype="object")
        for one in (table, later)
    ]
    columns = {"baskets": "later_baskets", "lift": "later_lift", "p_value": "later_p_value"}
    known = later[list(columns)].rename(columns=columns).set_axis(pd.Index(keys[1]), axis=0)
    again = known.reindex(pd.Index(keys[0])).reset_index(drop=True)
    again["later_baskets"] = again["later_baskets"].fillna(0).astype("int64")
    return table.join(again)


def _n_baskets(engine: SqlEngine, lines: str, basket: str, values: dict[str, int]) -> int:
    """Baskets with goods in them, whatever items are looked at."""
    text = f"""select count(distinct {basket}) as n from {lines} l where day > :since and day <= :as_of and units > 0"""
    return int(engine.frame(text, values)["n"][0])


def _affinities(found: list[pd.DataFrame], items: pd.DataFrame, n: int) -> pd.DataFrame:
    """Measures of the sets that were found, the largest ones of them; smaller ones are the baskets of all items but one."""
    together, size = found[-1], len(found) + 1
    baskets = items["baskets"]
    codes = together[list(_LETTERS[:size])].to_numpy()
    rarest = np.lexsort((codes, baskets.reindex(codes.ravel()).to_numpy().reshape(codes.shape)))
    codes = np.take_along_axis(codes, rarest, axis=1)
    single = [baskets.reindex(codes[:, k]).to_numpy(np.float64) for k in range(size)]
    both = together["baskets"].to_numpy(np.float64)
    rest = single[0] if size == 2 else _of_pairs(found[0], codes[:, :2])
    by_chance = np.prod(single, axis=0) / float(n) ** size if n else both
    p_value = chi_square_p(both, rest, single[-1], n)
    table = pd.DataFrame({f"item_{_LETTERS[k]}": items["item"].reindex(codes[:, k]).to_numpy() for k in range(size)})
    table = table.assign(
        baskets=together["baskets"].astype("int64"),
        support=both / max(n, 1),
        confidence=both / rest,
        lift=both / max(n, 1) / by_chance,
        leverage=both / max(n, 1) - by_chance,
        p_value=p_value,
        q_value=false_discoveries(p_value, comb(len(items), size)),
    )
    order = ["leverage", *(f"item_{letter}" for letter in _LETTERS[:size])]
    table["leverage"] = table["leverage"].round(12)
    return table.sort_values(order, ascending=[False, *[True] * size], ignore_index=True)


def _of_pairs(pairs: pd.DataFrame, codes: Ints) -> Floats:
    """Baskets of each pair, whichever of the two comes first."""
    known = pairs.set_index(["a", "b"])["baskets"]
    return known.reindex(pd.MultiIndex.from_arrays(list(np.sort(codes, axis=1).T))).to_numpy(np.float64)


def chi_square_p(both: Floats, one: Floats, other: Floats, n: int) -> Floats:
    """P of Pearson's χ², one degree of freedom, of a table of two by two; 1 where a margin is empty.

    >>> chi_square_p(np.array([30.0]), np.array([50.0]), np.array([40.0]), 100).round(5).tolist()
    [4e-05]
    """
    spread = one * (n - one) * other * (n - other)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.where(spread > 0, n * (both * n - one * other) ** 2 / spread, 0.0)
    return np.asarray(chi2.sf(statistic, 1), dtype=np.float64)


def false_discoveries(p: Floats, tested: int) -> Floats:
    """Adjusted p-values of Benjamini and Hochberg, of the smallest of so many that were tested.

    >>> false_discoveries(np.array([0.01, 0.04, 0.03]), 4).round(3).tolist()
    [0.04, 0.053, 0.053]
    """
    order = np.argsort(p)
    adjusted = p[order] * max(tested, len(p)) / np.arange(1, len(p) + 1)
    q = np.empty(len(p))
    q[order] = np.minimum(1.0, np.minimum.accumulate(adjusted[::-1])[::-1])
    return q
