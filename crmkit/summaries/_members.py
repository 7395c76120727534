"""All purchases of some customers, in memory: what was known of them at the close of any day is told from here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from crmkit._types import Ints
from crmkit.summaries import _pair_math as pairs
from crmkit.summaries._exact_math import kept
from crmkit.summaries._partitions import coded

__all__ = ["ABOVE", "Facts", "Members"]

ABOVE = (
    "frequency",
    "recency",
    "T",
    "sum_log_gap",
    "recent_28",
    "recent_84",
    "decayed_45",
    "decayed_150",
    "decayed_250",
)
"""What is also told of each level above an item."""


@dataclass(frozen=True)
class Facts:
    """What is known of items at the close of a day, over all customers.

    Parameters
    ----------
    homes : sequence of DataFrame
        item, parent: under which item of each level above it is sold.
    recent : DataFrame, optional
        item, recent_28, recent_84: on how many days customers bought it; counted here when there are no other customers.
    """

    homes: Sequence[pd.DataFrame] = ()
    recent: pd.DataFrame | None = None


@dataclass(frozen=True)
class Level:
    """Purchases by one item column, ``name``; items are sorted by theirs."""

    name: str
    items: pd.Index[str]
    purchases: pairs.Purchases

    def recent(self, state: pairs.State, facts: Facts) -> pairs.Columns:
        """Purchase days of each item of late."""
        if facts.recent is None:
            return state.recent
        counts = facts.recent.set_index("item").reindex(self.items, fill_value=0)
        return {name: counts[name].to_numpy() for name in ("recent_28", "recent_84")}


@dataclass(frozen=True)
class Members:
    """All purchases of some customers, who are sorted by their ids; a level for each item column, the finest first."""

    customers: pd.Index[str]
    visits: pairs.Visits
    levels: Sequence[Level]

    @classmethod
    def of(cls, rows: pa.Table, names: Sequence[str], exclude: Sequence[str] = ()) -> Members:
        """Take in the rows of ``summaries/purchase_history``, whose item columns have these names.

        A purchase of an item to ``exclude`` is a visit alone.
        """
        customer, customers = coded(rows["customer_id"])
        lines = [rows[name].to_numpy().astype(np.int64) for name in ("buy_day", "day", "units", "amount")]
        bought = lines[2] > 0
        visits = pairs.visits_of(customer[bought], lines[0][bought])
        levels = []
        for place, name in enumerate(names):
            item, items = coded(rows[f"item_{place}"], exclude)
            mine = kept(item >= 0, customer, item, *lines)
            levels.append(Level(name, items, pairs.purchases_of(visits, *mine)))
        return cls(customers, visits, levels)

    def state_at(self, as_of: int) -> pairs.State:
        """What `state` and `panel` say of the purchases of these customers alone."""
        return pairs.state_at(self._own.purchases, self.visits, as_of, len(self._own.items))

    def recent(self, as_of: int) -> pd.DataFrame:
        """On how many of the last 28 and 84 days these customers bought each item: item, recent_28, recent_84."""
        return pd.DataFrame({"item": self._own.items, **self.state_at(as_of).recent})

    def known(self, as_of: int) -> pairs.Known:
        """The purchases that stand at the close of a day."""
        return self._own.purchases.known(as_of)

    def state(self, state: pairs.State, as_of: int, facts: Facts) -> pd.DataFrame:
        """The columns of `items.item_state`; customer_id and item are categorical."""
        item = self._own.purchases.item[state.pair]
        own = state.columns
        columns = dict(self._named(state.pair)) | own
        columns |= {f"item_{name}": n[item] for name, n in self._own.recent(state, facts).items()}
        for level, homes in zip(self.levels[1:], facts.homes, strict=True):
            columns |= {
                f"{level.name}_{name}": of for name, of in self._above(level, homes, state.pair, own, as_of).items()
            }
        return pd.DataFrame(columns, copy=False)

    def panel(self, state: pairs.State, as_of: int, later: pairs.Known, facts: Facts) -> pd.DataFrame:
        """`state`, with wait, days to the next purchase as known ``later``, and follow, days watched."""
        wait = later.next_after(as_of, len(self._own.purchases.customer))
        return self.state(state, as_of, facts).assign(wait=wait[state.pair], follow=later.as_of - as_of)

    def bought(self, as_of: int, until: int) -> pd.DataFrame:
        """customer_id and item of what was bought after one day and not taken back by the close of another."""
        wait = self.known(until).next_after(as_of, len(self._own.purchases.customer))
        return self._named(np.flatnonzero(~np.isnan(wait)))

    @property
    def _own(self) -> Level:
        return self.levels[0]

    def _named(self, pair: Ints) -> pd.DataFrame:
        own = self._own
        codes = {"customer_id": (own.purchases.customer, self.customers), "item": (own.purchases.item, own.items)}
        return pd.DataFrame(
            {name: pd.Categorical.from_codes(of[pair], there) for name, (of, there) in codes.items()}, copy=False
        )

    def _above(self, level: Level, homes: pd.DataFrame, pair: Ints, own: pairs.Columns, as_of: int) -> pairs.Columns:
        """Columns of the customer and the item's level above; those of the pair where that was never bought."""
        n = len(level.items)
        bought, above, *_ = pairs.pairs_at(level.purchases.known(as_of))
        parent = np.full(len(self._own.items), -1)
        item = self._own.items.get_indexer(pd.Index(homes["item"]))
        parent[item[item >= 0]] = level.items.get_indexer(pd.Index(homes["parent"]))[item >= 0]
        parent = parent[self._own.purchases.item[pair]]
        wanted = self._own.purchases.customer[pair] * n + parent
        there = level.purchases.customer[bought] * n + level.purchases.item[bought]
        row = np.searchsorted(there, wanted)
        row[row == len(there)] = 0
        found = (parent >= 0) & (there[row] == wanted) if len(there) else np.zeros(len(wanted), dtype=bool)
        return {name: np.where(found, above[name][row], own[name]) if len(there) else own[name] for name in ABOVE}
