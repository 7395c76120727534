"""Which member gets which deal: the most expected gain within every funder's budget, and how far from the best it is.

A deal is worth sending where it moves a purchase that is not certain, more than it costs. Members come one by one to
the same budgets, so the plan prices each budget: at the right prices every member's best list, chosen alone, nearly
spends what there is. Whatever the prices, the lists so chosen plus the budgets at their price bound the gain of every
possible plan from above (the Lagrangian dual), and that is the gap reported.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from numbers import Integral
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmkit.exceptions import ConfigError, ContractError
from crmkit.offers.control import control_group
from crmkit.offers.deals import Deals
from crmkit.transactions import as_day

__all__ = ["OfferPlan", "OfferResult", "fortnight_of"]

Numbers = NDArray[np.float64]
Index = NDArray[np.int64]

_STEPS = 200
_PATIENCE = 5
_EASED = (0.995, 0.98, 1.0)


@dataclass(frozen=True)
class OfferResult:
    """What each member is offered, and how good the plan is.

    Attributes
    ----------
    offers : DataFrame
        customer_id, deal_id, slot (1 is the member's best), expected_gain, p_purchase (without the deal),
        p_with_deal, expected_cost (to the deal's budget), item. Ordered by customer_id and slot.
    control : DataFrame
        customer_id of the members who could have been offered something and were drawn to get nothing.
    objective : float
        Sum of the expected gains.
    bound : float
        No plan under the same terms can have a larger sum.
    shadow_prices : DataFrame
        deal_id, funder, budget, spent (in expectation), shadow_price: the gain one more unit of budget would bring.
        Every deal of these days, ordered by deal_id.
    n_members : int
        Members who could be offered something, those in control not counted.
    assumptions : tuple of str
        What the figures rest on beside the data.
    """

    offers: pd.DataFrame = field(repr=False)
    control: pd.DataFrame = field(repr=False)
    objective: float
    bound: float
    shadow_prices: pd.DataFrame = field(repr=False)
    n_members: int
    assumptions: tuple[str, ...] = field(repr=False)

    @property
    def gap(self) -> float:
        """The share of ``bound`` that is not proven to be reached: 0.01 means the plan lacks 1% at most."""
        return (self.bound - self.objective) / self.bound if self.bound > 0 else 0.0

    def __str__(self) -> str:
        served = self.offers["customer_id"].nunique()
        dearest = self.shadow_prices.nlargest(3, "shadow_price")
        dearest = dearest[dearest["shadow_price"] > 0]
        prices = [
            f"{deal} {price:.3f}" for deal, price in zip(dearest["deal_id"], dearest["shadow_price"], strict=True)
        ]
        return "\n".join(
            [
                f"{len(self.offers):,} offers to {served:,} of {self.n_members:,} members; "
                f"{len(self.control):,} more are kept as control",
                f"expected gain {self.objective:,.2f}; no plan exceeds {self.bound:,.2f} (gap {self.gap:.2%})",
                f"budgets spent {self.shadow_prices['spent'].sum():,.2f} of {self.shadow_prices['budget'].sum():,.2f}"
                + (f"; one more unit brings most at {', '.join(prices)}" if prices else ""),
                *(f"assumed: {sentence}" for sentence in self.assumptions),
            ]
        )


@dataclass(frozen=True)
class OfferPlan:
    """Choose offers for every member under the deals' budgets.

    With a deal the odds of the purchase are multiplied by ``response``. A deal then gains what the raised probability
    is worth, less what the shop pays on every purchase with it, those included that would have come anyway::

        p_with_deal   = response p / (1 - p + response p)
        expected_gain = (p_with_deal - p) margin spend - p_with_deal value (1 - funder_share)
        expected_cost = p_with_deal value                                   (what it takes from the deal's budget)

    Only offers with a positive gain are made, at most ``slots`` a member and one for each of the member's categories.

    Parameters
    ----------
    deals : Deals
    slots : int
        Offers on a member's list, at most.
    control : float
        Share of the members who get nothing, see `control_group`.
    key : str
        Names the draw of the control group; another campaign takes another key.
    response : float
        Odds ratio of a purchase with the deal to one without. Its default is a cautious prior, not an estimate.
    margin : float
        Share of the spend that is earned.
    min_weekly_spend : float
        Members under it get no list; above 0 it needs the column weekly_spend of the members.

    References
    ----------
    Fisher, M. L. (1981), "The Lagrangian relaxation method for solving integer programming problems",
    Management Science 27(1).

    Examples
    --------
    >>> deals = Deals.from_extract(pd.DataFrame({
    ...     "deal_id": ["D1"], "title": ["0.50 off milk"], "category": ["Milk"], "funder": ["Dairy"],
    ...     "funder_share": [1], "value": [0.5], "budget": [0.3], "starts": ["2018-01-01"], "ends": ["2018-01-14"]}))
    >>> due = pd.DataFrame({"customer_id": ["a", "b"], "category": ["Milk", "Milk"], "p_purchase": [0.5, 0.9],
    ...                     "spend": [4.0, 4.0]})
    >>> plan = OfferPlan(deals, control=0).solve(due, pd.DataFrame({"customer_id": ["a", "b"]}))
    >>> plan.offers[["customer_id", "deal_id", "slot", "p_with_deal"]].round(3)
      customer_id deal_id  slot  p_with_deal
    0           a      D1     1        0.556
    """

    deals: Deals
    slots: int = 10
    control: float = 0.10
    key: str = "crmkit"
    response: float = 1.25
    margin: float = 0.30
    min_weekly_spend: float = 0.0

    def __post_init__(self) -> None:
        rules = {
            f"slots={self.slots!r} is not a whole number above 0": isinstance(self.slots, Integral) and self.slots >= 1,
            f"control={self.control!r} is not between 0 and 1": 0 <= self.control <= 1,
            f"response={self.response!r} is not a finite odds ratio above 0": 0 < self.response < float("inf"),
            f"margin={self.margin!r} is not above 0 and at most 1": 0 < self.margin <= 1,
            f"min_weekly_spend={self.min_weekly_spend!r} is below 0": self.min_weekly_spend >= 0,
        }
        faults = [fault for fault, holds in rules.items() if not holds]
        if faults:
            raise ConfigError("; ".join(faults) + ".")

    def solve(self, due: pd.DataFrame, customers: pd.DataFrame) -> OfferResult:
        """Draw the control group, then plan the others' lists.

        Parameters
        ----------
        due : DataFrame
            customer_id, product_id or category, p_purchase and spend (the member's expected spend on a purchase of
            the item); with as_of and horizon, which are the same in every row, the deals are those that can be
            redeemed on days as_of + 1 … as_of + horizon, otherwise all.
        customers : DataFrame
            customer_id, one row per member; weekly_spend where ``min_weekly_spend`` is above 0; a member with
            anything in no_contact gets no list and is not in the control group either.

        Raises
        ------
        ContractError
            A column is missing, a member (or a member's item) is there twice, or a probability is none.
        """
        item = _check_due(due)
        _check_customers(customers, due, self.min_weekly_spend)
        window = fortnight_of(due)
        running = self.deals.active(*window) if window else self.deals
        deals = running.frame.sort_values("deal_id", ignore_index=True)
        members = _contactable(customers, self.min_weekly_spend)
        control = control_group(members, self.control, self.key)
        members = members[~members.isin(control["customer_id"])]
        candidates = self._candidates(due[due["customer_id"].isin(members)], deals, item)
        market = _Market.of(candidates, deals["budget"].to_numpy(float), self.slots)
        prices, bound = market.price()
        chosen = market.best(prices)
        return self._result(candidates.iloc[chosen], control, deals, prices, bound, len(members))

    def _candidates(self, due: pd.DataFrame, deals: pd.DataFrame, item: str) -> pd.DataFrame:
        """Every due item with every deal on it that gains something and fits its budget, in a canonical order."""
        offered = deals.assign(deal=np.arange(len(deals)), place=deals["category"], item=deals[item])
        found = due[["customer_id", "p_purchase", "spend"]].assign(item=due[item])
        found = found.dropna().merge(offered.drop(columns=[item]).dropna(subset="item"), on="item")
        p = found["p_purchase"].astype(float)
        found["p_with_deal"] = self.response * p / (1 - p + self.response * p)
        found["expected_cost"] = found["p_with_deal"] * found["value"]
        uplift = (found["p_with_deal"] - p) * self.margin * found["spend"].astype(float)
        found["expected_gain"] = uplift - found["expected_cost"] * (1 - found["funder_share"].fillna(0))
        found = found[(found["expected_gain"] > 0) & (found["expected_cost"] <= found["budget"])]
        return found.sort_values(["customer_id", "place", "deal_id", "item"], ignore_index=True)

    def _result(
        self,
        chosen: pd.DataFrame,
        control: pd.DataFrame,
        deals: pd.DataFrame,
        prices: Numbers,
        bound: float,
        members: int,
    ) -> OfferResult:
        offers = chosen.sort_values(
            ["customer_id", "expected_gain", "deal_id"], ascending=[True, False, True], ignore_index=True
        )
        offers["slot"] = offers.groupby("customer_id").cumcount() + 1
        spent = np.bincount(offers["deal"], offers["expected_cost"], minlength=len(deals))
        objective = float(offers["expected_gain"].sum())
        return OfferResult(
            offers=offers[_OFFERS],
            control=control,
            objective=objective,
            bound=max(bound, objective),
            shadow_prices=deals[["deal_id", "funder", "budget"]].assign(spent=spent, shadow_price=prices),
            n_members=members,
            assumptions=self._assumptions(),
        )

    def _assumptions(self) -> tuple[str, ...]:
        return (
            f"a deal multiplies the odds of the purchase by {self.response:g} (a prior until a campaign has measured it)",
            f"{self.margin:.0%} of the spend is earned, and the spend with a deal is what it was without",
            "every purchase of the item redeems its deal, and no less of it is bought afterwards",
        )


_OFFERS = [
    "customer_id", "deal_id", "slot", "expected_gain", "p_purchase", "p_with_deal", "expected_cost", "item",
]  # fmt: skip


def fortnight_of(due: pd.DataFrame) -> tuple[date, date] | None:
    """First and last day that ``due`` looks at, or nothing when it does not say.

    >>> fortnight_of(pd.DataFrame({"as_of": ["2017-12-31"], "horizon": [14]}))
    (datetime.date(2018, 1, 1), datetime.date(2018, 1, 14))
    """
    if not {"as_of", "horizon"} <= set(due.columns) or due.empty:
        return None
    windows = due[["as_of", "horizon"]].drop_duplicates()
    if len(windows) > 1:
        raise ContractError(f"due looks at {len(windows)} windows (as_of, horizon). Plan one of them at a time.")
    day = as_day(windows["as_of"].iloc[0])
    return day + timedelta(days=1), day + timedelta(days=int(windows["horizon"].iloc[0]))


def _check_due(due: pd.DataFrame) -> str:
    """The item column that ``due`` speaks of."""
    item = next((name for name in ("product_id", "category") if name in due), None)
    missing = [name for name in ("customer_id", "p_purchase", "spend") if name not in due]
    if item is None:
        missing.append("category or product_id")
    if missing or item is None:
        raise ContractError(
            f"due lacks {missing}; it has {list(due.columns)}. NextPurchase(by=…).predict gives such a table; spend is "
            "what the member is expected to spend on the item when buying it."
        )
    repeated = due.duplicated(["customer_id", item]).sum()
    if repeated:
        raise ContractError(f"due: {repeated:,} rows repeat an earlier row's customer_id and {item}. Give each once.")
    if not due["p_purchase"].dropna().between(0, 1).all():
        raise ContractError("due: p_purchase is not between 0 and 1 in every row.")
    return item


def _check_customers(customers: pd.DataFrame, due: pd.DataFrame, min_weekly_spend: float) -> None:
    missing = [name for name in ("customer_id",) if name not in customers]
    if min_weekly_spend > 0 and "weekly_spend" not in customers:
        missing.append("weekly_spend")
    if missing:
        raise ContractError(f"customers lacks {missing}; it has {list(customers.columns)}.")
    if customers["customer_id"].duplicated().any():
        raise ContractError("customers: a customer_id is there more than once. Give one row per member.")
    numeric = [pd.api.types.is_numeric_dtype(table["customer_id"]) for table in (due, customers) if len(table)]
    if len(set(numeric)) > 1:
        raise ContractError(
            "customer_id is text in one of due and customers, and a number in the other. Use text in both."
        )


def _contactable(customers: pd.DataFrame, min_weekly_spend: float) -> pd.Series[Any]:
    """Members who may be sent a list: nothing in no_contact, and they spend enough."""
    wanted = pd.Series(True, index=customers.index)
    if "no_contact" in customers:
        flag = customers["no_contact"]
        wanted &= flag.isna() | flag.isin([False, ""])
    if min_weekly_spend > 0:
        wanted &= customers["weekly_spend"] >= min_weekly_spend
    return customers.loc[wanted, "customer_id"].dropna()


@dataclass(frozen=True)
class _Market:
    """Candidates as arrays, ordered by member and category; prices of budgets, and lists at those prices.

    ``group`` numbers the (member, category) pairs, of which one candidate may be taken; ``start`` is where each begins,
    ``member`` and ``column`` where it stands in a grid of members × categories.
    """

    gain: Numbers
    cost: Numbers
    deal: Index
    group: Index
    start: Index
    member: Index
    column: Index
    budget: Numbers
    slots: int

    @classmethod
    def of(cls, candidates: pd.DataFrame, budget: Numbers, slots: int) -> Self:
        first = ~candidates.duplicated(["customer_id", "place"])
        owners = candidates.loc[first, "customer_id"]
        by_member = owners.groupby(owners, sort=False)
        return cls(
            gain=candidates["expected_gain"].to_numpy(float),
            cost=candidates["expected_cost"].to_numpy(float),
            deal=candidates["deal"].to_numpy(np.int64),
            group=np.cumsum(first.to_numpy()) - 1,
            start=np.flatnonzero(first.to_numpy()),
            member=by_member.ngroup().to_numpy().astype(np.int64),
            column=by_member.cumcount().to_numpy().astype(np.int64),
            budget=budget,
            slots=slots,
        )

    def price(self) -> tuple[Numbers, float]:
        """Prices of the budgets, and the smallest upper bound found on the gain of any plan.

        Projected subgradient steps of Polyak's length towards the gain of an unpriced plan. A deal's price moves in
        units of its gain by cost and its excess in units of its budget, so large and small budgets settle alike.
        """
        reached = float(self.gain[self.fill(np.zeros_like(self.budget))].sum())
        scale = _ratio(_ratio(self._of_deals(self.gain), self._of_deals(self.cost)), self.budget)
        prices, best, bound = np.zeros_like(self.budget), np.zeros_like(self.budget), np.inf
        pace, stalled = 1.0, 0
        for _ in range(_STEPS):
            value, excess = self._relaxed(prices)
            stalled = stalled + 1 if value >= bound else 0
            if value < bound:
                bound, best = value, prices
            if stalled == _PATIENCE:
                pace, stalled = pace / 1.5, 0
            excess[(prices == 0) & (excess < 0)] = 0
            length = float((scale * excess**2).sum())
            if length == 0 or value <= reached:
                break
            prices = np.maximum(0, prices + pace * (value - reached) / length * scale * excess)
        return best, float(bound)

    def best(self, prices: Numbers) -> Index:
        """The best plan found near these prices; slightly below them nobody is turned away whom a budget has room for."""
        return max((self.fill(prices * eased) for eased in _EASED), key=lambda taken: self.gain[taken].sum())

    def fill(self, prices: Numbers) -> Index:
        """A plan within every budget: the candidates taken, best at these prices first, then whatever still gains.

        In each round members fill their free slots from what is left, and each deal keeps the applicants who bring
        most for its budget.
        """
        score = self._reduced(prices)
        left, free = self.budget.copy(), np.full(self.member.max(initial=-1) + 1, self.slots)
        live, taken = np.ones(len(score), dtype=bool), [np.empty(0, dtype=np.int64)]
        for floor in (0.0, -np.inf):
            while True:
                within = live & (self.cost <= left[self.deal]) & (score > floor)
                kept = self._affordable(self._applicants(np.where(within, score, -np.inf), free), score, left)
                if not len(kept):
                    break
                taken.append(kept)
                left -= self._of_deals(self.cost, kept)
                free -= np.bincount(self.member[self.group[kept]], minlength=len(free))
                live &= ~np.isin(self.group, self.group[kept])
        return np.concatenate(taken)

    def _relaxed(self, prices: Numbers) -> tuple[float, Numbers]:
        """Gain of the members' best lists at these prices plus the budgets at theirs; spending above each budget."""
        score = self._reduced(prices)
        values, candidates = self._top(score)
        chosen = candidates[values > 0]
        return score[chosen].sum() + prices @ self.budget, self._of_deals(self.cost, chosen) - self.budget

    def _reduced(self, prices: Numbers) -> Numbers:
        return self.gain - prices[self.deal] * self.cost

    def _of_deals(self, amounts: Numbers, chosen: Index | slice = slice(None)) -> Numbers:
        return np.bincount(self.deal[chosen], amounts[chosen], minlength=len(self.budget)).astype(float)

    def _top(self, score: Numbers) -> tuple[Numbers, Index]:
        """Each member's ``slots`` best categories: the score and the candidate of each, unordered, -inf for none."""
        if not len(score):
            return np.empty((0, 0)), np.empty((0, 0), dtype=np.int64)
        highest = np.maximum.reduceat(score, self.start)
        reached = np.flatnonzero(score == highest[self.group])
        shape = self.member.max() + 1, self.column.max() + 1
        values, candidates = np.full(shape, -np.inf), np.zeros(shape, dtype=np.int64)
        values[self.member, self.column] = highest
        candidates[self.member, self.column] = reached[np.diff(self.group[reached], prepend=-1) > 0]
        if shape[1] <= self.slots:
            return values, candidates
        columns = np.argpartition(-values, self.slots - 1, axis=1)[:, : self.slots]
        return np.take_along_axis(values, columns, axis=1), np.take_along_axis(candidates, columns, axis=1)

    def _applicants(self, score: Numbers, free: Index) -> Index:
        """The best candidates of each member for the slots still free."""
        values, candidates = self._top(score)
        order = np.argsort(-values, axis=1, kind="stable")
        possible = np.take_along_axis(values, order, axis=1) > -np.inf
        within = np.arange(values.shape[1]) < free[:, None]
        found: Index = np.take_along_axis(candidates, order, axis=1)[possible & within]
        return found

    def _affordable(self, applicants: Index, score: Numbers, left: Numbers) -> Index:
        """Of each deal's applicants those with the most gain by cost, as far as its budget goes."""
        order = applicants[np.lexsort((applicants, -score[applicants] / self.cost[applicants], self.deal[applicants]))]
        deal, total = self.deal[order], np.concatenate([[0.0], np.cumsum(self.cost[order])])
        before = total[np.searchsorted(deal, np.arange(len(left)))]
        kept: Index = order[total[1:] - before[deal] <= left[deal]]
        return kept


def _ratio(amounts: Numbers, by: Numbers) -> Numbers:
    """Quotients, 0 where the divisor is."""
    quotients: Numbers = np.divide(amounts, by, out=np.zeros_like(amounts), where=by > 0)
    return quotients
