"""Relationship levels: transactional buyer, preferred supplier, partner, alliance; and those that cost more than they bring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmkit._checks import customer_index, numbers
from crmkit.engine.choose import engine_for
from crmkit.engine.frames import to_pandas
from crmkit.exceptions import ConfigError, ContractError
from crmkit.ingest.tables import Costs
from crmkit.segments.cut_points import distinct_quantiles, score
from crmkit.summaries.costs import allocate_costs
from crmkit.transactions.log import Transactions, check_item

if TYPE_CHECKING:
    from crmkit._types import Bools, Floats, Ints

__all__ = ["LEVELS", "RelationshipLevel", "Relationships"]

LEVELS = ("transactional buyer", "preferred supplier", "partner", "alliance")
AXES = ("length", "breadth", "contact", "share", "cost_ratio")
_LOW_IS_GOOD = "cost_ratio"
_SUPPLIER, _PARTNER = 2, 3
PROXY, STATED = "proxy: share of weeks with a purchase", "stated estimate"


@dataclass(frozen=True)
class Relationships:
    """The level of each relationship, with its evidence; prints as two sentences.

    Attributes
    ----------
    table : DataFrame
        customer_id; length (days since the first purchase), breadth (items bought and not all taken back), contact (purchase days in 28 days),
        share (of the customer's purchases, 0 … 1) and share_source (a stated estimate, or the name of the proxy),
        sales, weight (sales / the mean of all customers), income, cost, cost_ratio (cost / income); a score from 1 to 4 of each axis
        that enters the level; agreement (one is stated); level, and lacking (what evidence for a higher one is missing, where the
        scores would give it); profit (income − cost), loss (what it costs more than it brings, else 0) and costs_more.
    edges : dict of str to tuple of float
        Of each axis, the values up to which scores 1, 2 and 3 reach.
    unassigned_cost : float
        Cost of trade without a member, and of members who never bought.
    """

    table: pd.DataFrame
    edges: Mapping[str, tuple[float, ...]]
    unassigned_cost: float

    @property
    def costly(self) -> pd.DataFrame:
        """Relationships that cost more than they bring, largest loss first."""
        found = self.table[self.table["costs_more"]]
        return found.sort_values("loss", ascending=False, kind="stable").reset_index(drop=True)

    def __str__(self) -> str:
        counts = self.table["level"].value_counts()
        said = ", ".join(f"{counts.get(level, 0):,} {level}" for level in LEVELS)
        costly = self.costly
        return (
            f"{len(self.table):,} relationships: {said}. "
            f"{len(costly):,} cost more than they bring, together {costly['loss'].sum():,.2f}"
        )


@dataclass(frozen=True)
class RelationshipLevel:
    """How close the relationship with each customer is, and whether it pays.

    Each of five axes scores 1 to 4, by the quartiles of the customers or by stated edges: length, breadth, contact,
    share of the customer's purchases, and cost to serve (cost over income, where little is good). The mean of the scores,
    rounded (halves down), is the level that is possible: 1 is a transactional buyer, 2 we are a preferred supplier, 3
    partner, 4 alliance. The two upper ones need evidence too, since somebody is in the upper quarter of any group: a partner
    makes half of its purchases here and brings no less than the mean customer (each means something to the other), and an
    alliance is, beside that, an agreement that somebody has stated.

    What a customer buys elsewhere no till can see. Where an estimate is given (a survey, the account manager), it is
    used and called stated; elsewhere a proxy stands in, the share of weeks with a purchase, and is called that.

    Parameters
    ----------
    by : str
        Item column that breadth counts.
    margin : float
        Income is net sales times this, above 0, at most 1: 1 where sales are all that is known.
    edges : mapping of str to three rising numbers, optional
        For axes of which the steps are stated: ``{"length": (90, 365, 1095)}``. A value at an edge belongs below it.
    window : int
        Days, up to ``as_of``, over which contact and the proxy are counted.
    least_share, least_weight : float
        What a partner has at least: its share of purchases made here, and its sales over those of the mean customer.

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": ["a"] * 4 + ["b"], "amount": [50.0, 60, 55, 58, 8], "category": list("MBMFM"),
    ...                      "purchased_at": ["2017-01-24", "2017-02-01", "2017-02-08", "2017-02-20", "2017-02-20"]})
    >>> log = Transactions.from_extract(till, until="2017-02-28")
    >>> sheet = pd.DataFrame({"cost_id": [1], "kind": ["delivery"], "customer_id": ["b"], "amount": [9.5],
    ...                       "starts": ["2017-02-01"], "ends": ["2017-02-28"]})
    >>> levels = RelationshipLevel().assess(log, Costs.from_extract(sheet))
    >>> print(levels)
    2 relationships: 1 transactional buyer, 0 preferred supplier, 1 partner, 0 alliance. 1 cost more than they bring,
    together 1.50
    >>> levels.table[["customer_id", "level", "lacking", "loss"]]
      customer_id                level                 lacking  loss
    0           a              partner  no agreement is stated   0.0
    1           b  transactional buyer                           1.5
    """

    by: str = "category"
    margin: float = 1.0
    edges: Mapping[str, Sequence[float]] | None = None
    window: int = 365
    least_share: float = 0.5
    least_weight: float = 1.0

    def assess(
        self,
        log: Transactions,
        costs: Costs | None = None,
        share: pd.Series[float] | None = None,
        agreement: pd.Series[bool] | None = None,
        as_of: str | date | None = None,
    ) -> Relationships:
        """Levels of all customers who have bought by the close of ``as_of``.

        Parameters
        ----------
        log : Transactions
        costs : Costs, optional
            Without it cost is 0 for everyone and does not enter the level.
        share : Series, optional
            Estimated share of the customer's purchases that are made here, 0 … 1, by customer_id; not all need one.
        agreement : Series, optional
            Whether there is an agreement, formal or informal, by customer_id; without it nobody is in an alliance.
        as_of : date, optional

        Raises
        ------
        ConfigError, ContractError
            The parameters, the costs or the shares make no sense.
        """
        self._check_parameters()
        table = self._dealings(log, as_of)
        table, unassigned = self._with_costs(table, log, costs, as_of)
        table = _with_share(table, share)
        edges = {axis: self._edges(axis, table[axis].to_numpy(np.float64)) for axis in AXES}
        scores = {}
        for axis in AXES if costs is not None else AXES[:-1]:
            points = score(table[axis].to_numpy(np.float64), edges[axis], 4)
            scores[f"{axis}_score"] = 5 - points if axis == _LOW_IS_GOOD else points
        possible = np.ceil(np.mean(list(scores.values()), axis=0) - 0.5).astype(np.int64)
        table = self._with_level(table.assign(**scores), possible, agreement)
        loss = np.maximum(table["cost"] - table["income"], 0.0).round(2)
        table = table.assign(profit=table["income"] - table["cost"], loss=loss, costs_more=loss > 0)
        return Relationships(table, edges, unassigned)

    def _with_level(self, table: pd.DataFrame, possible: Ints, agreement: pd.Series[bool] | None) -> pd.DataFrame:
        """The level that scores and evidence give, and what is lacking for the one that the scores alone would give."""
        signed = _agreed(table["customer_id"], agreement)
        small = table["weight"].to_numpy(np.float64) < self.least_weight
        elsewhere = table["share"].to_numpy(np.float64) < self.least_share
        highest = np.select([small | elsewhere, ~signed], [_SUPPLIER, _PARTNER], len(LEVELS))
        missing = (
            (f"less than {self.least_share:.0%} of the purchases are here", elsewhere & (possible > _SUPPLIER)),
            (
                f"brings less than {self.least_weight:g} times what the mean customer does",
                small & (possible > _SUPPLIER),
            ),
            ("no agreement is stated", ~signed & (possible > _PARTNER)),
        )
        lacking = pd.Series("", index=table.index)
        for words, found in missing:
            lacking = lacking.mask(found, lacking.where(lacking == "", lacking + "; ") + words)
        level = np.array(LEVELS, dtype=object)[np.minimum(possible, highest) - 1]
        return table.assign(agreement=signed, level=level, lacking=lacking)

    def _dealings(self, log: Transactions, as_of: str | date | None) -> pd.DataFrame:
        check_item(log, self.by)
        values = {"as_of": log.close_of(as_of), "window": self.window}
        with engine_for(log) as engine:
            relations = {"lines": engine.parquet(log.lines), "trips": engine.parquet(log.trips)}
            table = to_pandas(engine.summary("segments/relationships", values, item=self.by, **relations))
        if table.empty:
            raise ContractError("No customer has bought by then, so there is no relationship to assess.")
        mean = table["sales"].mean()
        return table.assign(weight=table["sales"] / mean if mean > 0 else 0.0)

    def _with_costs(
        self, table: pd.DataFrame, log: Transactions, costs: Costs | None, as_of: str | date | None
    ) -> tuple[pd.DataFrame, float]:
        income = self.margin * table["sales"]
        cost, total = pd.Series(0.0, index=table.index), 0.0
        if costs is not None:
            parts = allocate_costs(costs, log, as_of)
            total = float(parts["amount"].sum())
            of_member = parts.dropna(subset=["customer_id"]).groupby("customer_id")["amount"].sum()
            cost = table["customer_id"].map(of_member).fillna(0.0).astype(float).round(2)
        dear = float((cost[income > 0] / income[income > 0]).max()) if (income > 0).any() else 0.0
        no_income = np.where(cost > 0, max(dear, 1.0), 0.0)
        ratio = np.where(income > 0, cost / income.where(income > 0, 1.0), no_income)
        return table.assign(income=income, cost=cost, cost_ratio=ratio), round(total - float(cost.sum()), 2)

    def _edges(self, axis: str, values: Floats) -> tuple[float, ...]:
        if self.edges is not None and axis in self.edges:
            return tuple(float(edge) for edge in self.edges[axis])
        return distinct_quantiles(values, 4)

    def _check_parameters(self) -> None:
        stated = dict(self.edges) if self.edges is not None else {}
        uneven = [axis for axis, edges in stated.items() if len(edges) != 3 or not (np.diff(edges) > 0).all()]
        faults = {
            f"margin={self.margin} must be above 0 and at most 1": not 0 < self.margin <= 1,
            f"least_share={self.least_share} must be between 0 and 1": not 0 <= self.least_share <= 1,
            f"least_weight={self.least_weight} must be 0 or more": not self.least_weight >= 0,
            f"window={self.window} must be 28 days or more": not self.window >= 28,
            f"edges name unknown axes {sorted(set(stated) - set(AXES))}; there are {list(AXES)}": not set(stated)
            <= set(AXES),
            f"edges of {uneven} must be three rising numbers": bool(uneven),
        }
        if said := [fault for fault, found in faults.items() if found]:
            raise ConfigError("; ".join(said) + ".")


def _with_share(table: pd.DataFrame, share: pd.Series[float] | None) -> pd.DataFrame:
    """Stated estimates where there are, the proxy elsewhere, and which of them it is."""
    proxy = table["regularity"].clip(upper=1.0)
    stated = pd.Series(np.nan, index=table.index)
    if share is not None:
        given = customer_index(share.rename("share").rename_axis("customer_id").reset_index(), ("share",), "share")
        estimate = pd.Series(numbers(given["share"].dropna()), given["share"].dropna().index)
        if n_odd := int((~estimate.between(0, 1)).sum()):
            raise ContractError(f"share: {n_odd:,} estimates are not between 0 and 1; write .30 for 30 %.")
        stated = table["customer_id"].map(estimate).astype(float)
    source = np.where(stated.notna(), STATED, PROXY)
    return table.drop(columns="regularity").assign(share=stated.fillna(proxy), share_source=source)


def _agreed(customers: pd.Series[str], agreement: pd.Series[bool] | None) -> Bools:
    """Of each customer, whether there is an agreement."""
    if agreement is None:
        return np.zeros(len(customers), dtype=bool)
    given = customer_index(
        agreement.rename("agreement").rename_axis("customer_id").reset_index(), ("agreement",), "agreement"
    )
    return customers.map(given["agreement"]).fillna(False).to_numpy(dtype=bool)
