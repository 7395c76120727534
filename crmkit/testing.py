"""Generated sales with known behaviour, for tests, examples and benchmarks. Nothing in crmkit imports this."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmkit.transactions.log import Transactions

if TYPE_CHECKING:
    from crmkit._types import Bools, Floats, Ints

__all__ = ["SimulatedChain", "generated_log", "generated_sales"]

_KEPT_FROM_BUYING = 0.7
"""Purchases at the chain that a pack in stock replaces; the others would have been made elsewhere."""

_OF_MEMBERS = (
    "members", "_pace", "_size", "_use", "_event", "_after", "_taste", "_sensitive", "_habit", "carries", "_notices",
    "_ahead", "_elsewhere", "_stock", "_since_trip",
)  # fmt: skip
"""What `SimulatedChain` holds one of for each member."""


def generated_sales(n_customers: int = 1000, days: int = 365, seed: int = 0) -> pd.DataFrame:
    """Sales of customers who buy at gamma-distributed rates and drop out at beta-distributed chances.

    Parameters
    ----------
    n_customers, days, seed : int

    Returns
    -------
    DataFrame
        customer_id, purchased_at (days of 2017 and on), amount, order_id, line_id, product_id, category.

    Examples
    --------
    >>> generated_sales(n_customers=3, days=30).columns.tolist()
    ['customer_id', 'purchased_at', 'amount', 'order_id', 'line_id', 'product_id', 'category']
    """
    rng = np.random.default_rng(seed)
    rate, stop = rng.gamma(1.2, 1 / 16, n_customers), rng.beta(1.0, 4.0, n_customers)
    start = rng.integers(0, days // 2, n_customers)
    n_bought = np.minimum(rng.geometric(np.maximum(stop, 0.005)), 200)
    customer = np.repeat(np.arange(n_customers), n_bought)
    gap = rng.exponential(1 / np.maximum(rate[customer], 1e-4))
    gap[np.cumsum(n_bought) - n_bought] = 0.0
    day = start[customer] + pd.Series(gap).groupby(customer).cumsum().to_numpy()
    item = rng.zipf(1.6, len(customer)) % 40
    mean = rng.gamma(6.0, 3.0, n_customers)
    sales = pd.DataFrame(
        {
            "customer_id": [f"{c:06d}" for c in customer],
            "purchased_at": pd.Timestamp("2017-01-01 10:00")
            + pd.to_timedelta(np.minimum(np.floor(day), days), unit="D"),
            "amount": np.round(mean[customer] * rng.gamma(4.0, 0.25, len(customer)), 2),
            "order_id": np.arange(len(customer)).astype(str),
            "line_id": "1",
            "product_id": (item * 7).astype(str),
            "category": [f"Category {i:02d}" for i in item],
        }
    )
    return sales[day < days].reset_index(drop=True)


def generated_log(n_customers: int = 1000, days: int = 365, seed: int = 0) -> Transactions:
    """The same, as a log.

    Examples
    --------
    >>> generated_log(n_customers=3, days=30).until.isoformat()
    '2017-01-30'
    """
    last = pd.Timestamp("2017-01-01") + pd.Timedelta(days=days - 1)
    return Transactions.from_extract(generated_sales(n_customers, days, seed), until=last.date())


@dataclass
class SimulatedChain:
    """A grocery chain whose truth is known, to run the loop of lists, redemptions and plans against.

    The world is written from what is known of shoppers, and shares no formula with the models of this package:

    * Households shop in trips, the more probable the longer the last one is ago, more at weekends.
    * Each uses up its stock of a category at its own pace, and buys, on a trip, when little is left. Some categories are
      none of theirs; at life events (a child, a pet) a category begins or ends. Households shop elsewhere too: what has run
      out is bought there, sooner or later, and what is bought there is lost to the chain.
    * Which brand is taken is a choice by taste, habit (what was bought last weighs most) and price, with the household's own
      sensitivity to price.
    * Most households never carry a list (about three in five); others do on some trips, few on nearly all. A coupon in hand
      can be overlooked. One that is used lowers the price, and some then buy ahead: that stock is not bought later.

    Draws of a day depend on the seed and the day alone, so that policies meet the same luck.

    Parameters
    ----------
    n_members, n_categories, n_brands : int
        Brand 0 of each category is the store's own, which is cheaper and earns more.
    seed : int

    Examples
    --------
    >>> chain = SimulatedChain(n_members=50, seed=1)
    >>> lines, redemptions = chain.advance(28)
    >>> len(redemptions), sorted(lines.columns)[:4]
    (0, ['amount', 'brand', 'brand_type', 'category'])
    """

    n_members: int = 600
    n_categories: int = 16
    n_brands: int = 5
    seed: int = 0
    day: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng([self.seed, 1])
        n, c, b = self.n_members, self.n_categories, self.n_brands
        self.members = np.array([f"{number:06d}" for number in range(n)])
        self.price = np.round(rng.uniform(1.5, 8.0, c)[:, None] * rng.uniform(0.85, 1.3, (c, b)), 2)
        self.price[:, 0] = np.round(self.price[:, 1:].mean(axis=1) * 0.8, 2)
        self.margin = np.where(np.arange(b) == 0, 0.38, 0.24)[None] * np.ones((c, 1))
        self._pace = rng.gamma(6.0, 1.1, n)  # days between trips
        self._size = rng.lognormal(0, 0.5, n)[:, None]
        self._use = self._size * rng.gamma(0.9, 1.0, (n, c)) / rng.uniform(12, 40, c)  # packs a day
        self._use *= rng.random((n, c)) < rng.beta(3, 2, c)
        self._event = np.where(rng.random((n, c)) < 0.06, rng.integers(200, 760, (n, c)), 10**6)
        self._after = np.where(self._use > 0, 0.0, self._size * rng.gamma(0.9, 1.0, (n, c)) / 25)
        self._taste = rng.gumbel(0, 0.8, (n, c, b)) + rng.normal(0, 0.5, (c, b))
        self._sensitive = rng.lognormal(0.6, 0.7, n)[:, None, None]
        self._habit = np.zeros((n, c, b))
        carrier = rng.random(n)
        self.carries = np.select([carrier < 0.6, carrier < 0.9], [np.zeros(n), rng.beta(2, 4, n)], rng.beta(8, 2, n))
        self._notices = rng.beta(6, 2, n)
        self._ahead = rng.beta(1.5, 4, n)
        self._elsewhere = 0.3 * rng.beta(1.5, 3, n)
        self._stock = self._use * rng.uniform(0, 40, (n, c))
        self._since_trip = rng.integers(0, 10, n)

    def advance(self, days: int, coupons: pd.DataFrame | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Let some days pass.

        Parameters
        ----------
        days : int
        coupons : DataFrame, optional
            customer_id, deal_id, category, brand, worth: what is sent for these days; each can be used once.

        Returns
        -------
        lines : DataFrame
            customer_id, purchased_at, amount (paid), order_id, line_id, product_id, category, brand, brand_type, quantity,
            margin (money earned on it before the coupon).
        redemptions : DataFrame
            customer_id, deal_id, redeemed_at, amount, order_id.
        """
        worth, deal = self._in_hand(coupons)
        bought = []
        for _ in range(days):
            who, what, brand, packs, used = self._bought(np.random.default_rng([self.seed, 2, self.day]), worth)
            bought.append((np.full(len(who), self.day), who, what, brand, packs, used))
            spent = used > 0
            worth[who[spent], what[spent], brand[spent]] = 0
            self.day += 1
        day, who, what, brand, packs, used = (np.concatenate(column) for column in zip(*bought, strict=True))
        return self._written(day, who, what, brand, packs, used, deal)

    def expected_effects(
        self, layers: list[Floats], days: int, replicas: int, members: Ints, first: int = 0
    ) -> list[tuple[Floats, Floats, Floats]]:
        """What coupons would do in the next days, from the true state: simulated with them and, with the same draws, without.

        What is in stock at the end counts for what it keeps from being bought later.

        Parameters
        ----------
        layers : list of array, shape (n_members, n_categories, n_brands)
            Money off of each coupon, one a category; 0 where there is none.
        days, replicas : int
        members : array of int
            Whom to look at; the others' effect is 0.
        first : int
            Number of the first replica: others have other luck.

        Returns
        -------
        list of (gain, se, redeemed)
            For each layer: margin (before the coupon is paid) in expectation and its standard error, arrays of shape
            (n_members, n_categories), and redemptions, shape (n_members, n_categories, n_brands).
        """
        many = self._of(np.tile(members, replicas))
        pack = _KEPT_FROM_BUYING * many._earned_a_pack()
        nothing = np.zeros((many.n_members, self.n_categories, self.n_brands))
        without, _, before = many._course(nothing, days, first)
        found = []
        for worth in layers:
            margin, used, stock = many._course(np.tile(worth[members], (replicas, 1, 1)), days, first)
            more = (margin - without - (stock - before) * pack).reshape(replicas, len(members), self.n_categories)
            redeemed = used.reshape(replicas, len(members), self.n_categories, self.n_brands).mean(axis=0)
            mean, se = more.mean(axis=0), more.std(axis=0) / np.sqrt(replicas)
            found.append((self._spread(members, mean), self._spread(members, se), self._spread(members, redeemed)))
        return found

    def _spread(self, members: Ints, figures: Floats) -> Floats:
        """Figures of some members among all; the others have 0."""
        table = np.zeros((self.n_members, *figures.shape[1:]))
        table[members] = figures
        return table

    def state_of(self, member: Ints, category: Ints, brand: Ints, worth: Floats) -> Floats:
        """What decides the effect of a coupon, one row each: habits of the household, its stock, and the choice of the brand."""
        use = np.where(self.day >= self._event, self._after, self._use)[member, category]
        off = np.zeros((len(member), self.n_brands))
        off[np.arange(len(member)), brand] = worth
        chances = [self._chance(member, category, brand, reduced) for reduced in (np.zeros_like(off), off)]
        columns = [
            self.carries[member] * self._notices[member], self._ahead[member], self._sensitive[member, 0, 0],
            self._pace[member], use, self._stock[member, category] / np.maximum(use, 1e-3), self._since_trip[member],
            *chances, chances[1] - chances[0], worth, self.price[category, brand],
            self.margin[category, brand] * self.price[category, brand], brand == 0,
            self._chance(member, category, np.zeros_like(brand), np.zeros_like(off)),
        ]  # fmt: skip
        return np.stack([np.asarray(column, dtype=float) for column in columns], axis=1)

    def _earned_a_pack(self) -> Floats:
        """What each household's purchase of each category earns, without coupons."""
        relative = self.price / self.price.mean(axis=1, keepdims=True)
        power = np.exp((self._taste + 1.2 * self._habit - self._sensitive * relative) / 0.9)
        earned: Floats = (power * self.price * self.margin).sum(axis=2) / power.sum(axis=2)
        return earned

    def _chance(self, member: Ints, category: Ints, brand: Ints, off: Floats) -> Floats:
        """The probability that a brand is the one taken."""
        relative = (self.price[category] - off) / self.price[category].mean(axis=1, keepdims=True)
        liking = self._taste[member, category] + 1.2 * self._habit[member, category]
        power = np.exp((liking - self._sensitive[member, 0] * relative) / 0.9)
        chance: Floats = power[np.arange(len(member)), brand] / power.sum(axis=1)
        return chance

    def _of(self, members: Ints) -> SimulatedChain:
        """Some of the members alone."""
        few = copy.copy(self)
        few.n_members = len(members)
        for name in _OF_MEMBERS:
            setattr(few, name, getattr(self, name)[members])
        return few

    def _course(self, worth: Floats, days: int, replica: int) -> tuple[Floats, Floats, Floats]:
        """Margin and redemptions (by brand too) over some days, and the stock at their end; nothing is changed."""
        start = {name: getattr(self, name) for name in ("_stock", "_habit", "_since_trip", "day")}
        self._stock, self._habit, self._since_trip = (
            start[name].copy() for name in ("_stock", "_habit", "_since_trip")
        )
        margin, redeemed = np.zeros((self.n_members, self.n_categories)), np.zeros(worth.shape)
        for _ in range(days):
            rng = np.random.default_rng([self.seed, 4, self.day, replica])
            who, what, brand, packs, used = self._bought(rng, worth)
            np.add.at(margin, (who, what), packs * self.price[what, brand] * self.margin[what, brand])
            np.add.at(redeemed, (who, what, brand), used > 0)
            spent = used > 0
            worth[who[spent], what[spent], brand[spent]] = 0
            self.day += 1
        stock = self._stock
        for name, value in start.items():
            setattr(self, name, value)
        return margin, redeemed, stock

    def _in_hand(self, coupons: pd.DataFrame | None) -> tuple[Floats, NDArray[np.object_]]:
        shape = (self.n_members, self.n_categories, self.n_brands)
        worth, deal = np.zeros(shape), np.full(shape, "", dtype=object)
        if coupons is not None and len(coupons):
            at = (
                np.searchsorted(self.members, coupons["customer_id"].to_numpy().astype(str)),
                coupons["category"].str[-2:].astype(int).to_numpy(),
                coupons["brand"].str[-2:].astype(int).to_numpy(),
            )
            worth[at], deal[at] = coupons["worth"].to_numpy(float), coupons["deal_id"].to_numpy(object)
        return worth, deal

    def _bought(self, rng: np.random.Generator, worth: Floats) -> tuple[Ints, Ints, Ints, Ints, Floats]:
        """A day's purchases: member, category, brand, packs and what a coupon took off."""
        use = self._pass_a_night(rng)
        there = self._on_trip(rng)
        off = worth[there] * self._seen(rng, there)
        which = self._preferred(rng, there, off)
        reduced = np.take_along_axis(off / self.price, which[:, :, None], axis=2)[:, :, 0]
        row, what = np.nonzero(self._wanted(rng, there, use[there], reduced))
        who, brand = there[row], which[row, what]
        used = off[row, what, brand]
        ahead = (used > 0) & (rng.random(len(there))[row] < self._ahead[who])
        packs = 1 + (use[who, what] * self._pace[who] > 1) + ahead
        self._stock[who, what] += packs
        self._habit[who, what] *= 0.75
        self._habit[who, what, brand] += 0.25
        return who, what, brand, packs, used

    def _pass_a_night(self, rng: np.random.Generator) -> Floats:
        """What is used up, and bought elsewhere where nothing is left; returns packs a day."""
        use = np.where(self.day >= self._event, self._after, self._use)
        self._stock = np.maximum(self._stock - use, 0)
        elsewhere = rng.random(use.shape) < self._elsewhere[:, None]
        self._stock += np.where((use > 0) & (self._stock == 0) & elsewhere, 1.0, 0.0)
        self._since_trip += 1
        return use

    def _on_trip(self, rng: np.random.Generator) -> Ints:
        """Who shops today; coupons have no part in it."""
        weekend = 1.5 if self.day % 7 >= 5 else 0.8
        trip = rng.random(self.n_members) < weekend * np.minimum(self._since_trip / self._pace, 2.5) / self._pace
        self._since_trip[trip] = 0
        return np.flatnonzero(trip)

    def _seen(self, rng: np.random.Generator, there: Ints) -> Bools:
        """Where a coupon in hand is taken along and not overlooked."""
        carried = rng.random(len(there)) < self.carries[there]
        noticed = rng.random((len(there), self.n_categories)) < self._notices[there, None]
        return (carried[:, None] & noticed)[:, :, None]

    def _wanted(self, rng: np.random.Generator, there: Ints, use: Floats, reduced: Floats) -> Bools:
        """Which categories are bought on a trip: where little is left, or more is but what would be taken is reduced."""
        days_left = np.divide(self._stock[there], use, out=np.full(use.shape, 99.0), where=use > 0)
        attracted = reduced * self._sensitive[there, :, 0] ** 0.5
        ready = np.exp(-((days_left / (6 + 14 * attracted)) ** 1.5))
        return rng.random(use.shape) < np.where(use > 0, 0.9 * ready, 0.002)

    def _preferred(self, rng: np.random.Generator, there: Ints, off: Floats) -> Ints:
        """The brand that each would take: by taste, habit and price."""
        relative = (self.price - off) / self.price.mean(axis=1, keepdims=True)
        luck = rng.gumbel(size=off.shape)
        liking = self._taste[there] + 1.2 * self._habit[there]
        best: Ints = (liking - self._sensitive[there] * relative + 0.9 * luck).argmax(axis=2)
        return best

    def _written(
        self, day: Ints, who: Ints, what: Ints, brand: Ints, packs: Ints, used: Floats, deal: NDArray[np.object_]
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Lines and redemptions, as tills deliver them."""
        paid = packs * self.price[what, brand]
        receipts = [f"{one:04d}-{member:06d}" for one, member in zip(day, who, strict=True)]
        lines = pd.DataFrame(
            {
                "customer_id": self.members[who],
                "purchased_at": pd.Timestamp("2017-01-02 17:00") + pd.to_timedelta(day, unit="D"),
                "amount": np.round(paid - used, 2), "order_id": receipts, "line_id": what.astype(str),
                "product_id": (what * self.n_brands + brand).astype(str),
                "category": np.array([f"Category {number:02d}" for number in range(self.n_categories)])[what],
                "brand": np.array([f"Brand {number:02d}" for number in range(self.n_brands)])[brand],
                "brand_type": np.where(brand == 0, "store", "national"), "quantity": packs,
                "margin": paid * self.margin[what, brand],
            }
        )  # fmt: skip
        taken = used > 0
        redemptions = lines.loc[taken, ["customer_id", "purchased_at", "order_id"]].assign(
            deal_id=deal[who, what, brand][taken], amount=used[taken]
        )
        return lines, redemptions.rename(columns={"purchased_at": "redeemed_at"})
