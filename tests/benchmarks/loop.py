"""The loop on a chain whose truth is known: ``python tests/benchmarks/loop.py --members 600 --fortnights 26 --seed 1``.

Every policy begins with the same year without lists and meets the same luck (`crmkit.testing.SimulatedChain`). Each
fortnight there are new deals with budgets; a policy sees delivered lines and redemptions only, and is measured by the
margin that it brings over no lists, less the retailer's part of what is redeemed. It calls the public functions
(`NextPurchase`, `deal_shares`, `match_redemptions`, `redemption_rates`, `OfferPlan`), not yet `ck.run`; and there is no plan
with perfect information beside it yet, so figures are money, not shares of what could be had.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import pandas as pd

import crmkit as ck
from crmkit.testing import SimulatedChain

DAYS, BEFORE, SLOTS, DEALS = 14, 364, 8, 40
FIRST = date(2017, 1, 2)


@dataclass
class Shop:
    """What a policy has seen: delivered lines, its offers, redemptions matched to them, and purchases that qualified."""

    chain: SimulatedChain
    lines: pd.DataFrame
    offers: list[pd.DataFrame] = field(default_factory=list)
    redeemed: list[pd.DataFrame] = field(default_factory=list)
    qualified: list[pd.DataFrame] = field(default_factory=list)
    model: ck.NextPurchase | None = None

    @property
    def until(self) -> date:
        return FIRST + timedelta(days=self.chain.day - 1)

    def log(self) -> ck.Transactions:
        return ck.Transactions.from_extract(self.lines, until=self.until)


def deals_of(chain: SimulatedChain, fortnight: int, starts: date) -> pd.DataFrame:
    """Forty deals of a quarter off: makers pay for theirs, the shop for its own brand."""
    rng = np.random.default_rng([chain.seed, 3, fortnight])
    chosen = rng.choice(chain.n_categories * chain.n_brands, DEALS, replace=False)
    category, brand = np.divmod(chosen, chain.n_brands)
    worth = np.round(0.25 * chain.price[category, brand], 2)
    return pd.DataFrame(
        {
            "deal_id": [f"F{fortnight:02d}-{number:02d}" for number in range(DEALS)], "title": "a quarter off",
            "category": [f"Category {number:02d}" for number in category], "brand": [f"Brand {number:02d}" for number in brand],
            "funder": np.where(brand == 0, "shop", [f"Maker {number}" for number in brand]),
            "funder_share": np.where(brand == 0, 0.0, 1.0), "value": worth, "margin": chain.margin[category, brand],
            "budget": np.round(worth * chain.n_members * rng.uniform(0.005, 0.03, DEALS), 2), "starts": str(starts),
            "ends": str(starts + timedelta(days=DAYS - 1)),
        }
    )  # fmt: skip


def no_lists(shop: Shop, deals: pd.DataFrame) -> pd.DataFrame:
    """Nothing is sent."""
    return _sent(pd.DataFrame({"customer_id": shop.chain.members}).merge(deals, how="cross").head(0), 0.0)


def favourites(shop: Shop, deals: pd.DataFrame) -> pd.DataFrame:
    """Deals that their makers fund in full, on the brand that the member bought most often in the category."""
    often = shop.lines.groupby(["customer_id", "category", "brand"]).size().rename("n").reset_index()
    top = often.sort_values("n", kind="stable").drop_duplicates(["customer_id", "category"], keep="last")
    found = top.merge(deals[deals["funder_share"] == 1], on=["category", "brand"]).sort_values("n", ascending=False)
    listed = found.groupby("customer_id").head(SLOTS)
    # a coupon in twenty is redeemed: as many are sent as the budget pays for then
    return _sent(listed[listed.groupby("deal_id").cumcount() < 20 * listed["budget"] / listed["value"]], 0.05)


def best_sellers(shop: Shop, deals: pd.DataFrame) -> pd.DataFrame:
    """The deals on the goods that sell most, to everybody."""
    sold = shop.lines.groupby(["category", "brand"]).size().rename("n").reset_index()
    top = deals.merge(sold, on=["category", "brand"]).nlargest(SLOTS, "n")
    return _sent(pd.DataFrame({"customer_id": shop.chain.members}).merge(top, how="cross"), 0.05)


def at_random(shop: Shop, deals: pd.DataFrame) -> pd.DataFrame:
    """Deals drawn at random."""
    pairs = pd.DataFrame({"customer_id": shop.chain.members}).merge(deals, how="cross")
    return _sent(pairs.sample(frac=SLOTS / DEALS, random_state=shop.chain.day), 0.05)


def plan_assuming(shop: Shop, deals: pd.DataFrame) -> pd.DataFrame:
    """`OfferPlan` where every purchase of the category is taken to redeem."""
    plan = _plan(deals).solve(_due(shop), pd.DataFrame({"customer_id": shop.chain.members}))
    return plan.offers.assign(p_redeem=plan.offers["p_with_deal"])


def plan_modelled(shop: Shop, deals: pd.DataFrame) -> pd.DataFrame:
    """`OfferPlan` with redemption modelled and learned."""
    rates = ck.redemption_rates(_all(shop.qualified, ["customer_id"]), _all(shop.redeemed, ["customer_id"]))
    model = ck.RedemptionModel(
        ck.deal_shares(shop.log(), ck.Deals.from_extract(deals)), rates.members, rates.mean, rates.uncertainty
    )
    due = _due(shop)
    return _plan(deals).solve(due, pd.DataFrame({"customer_id": shop.chain.members}), redemption=model).offers


def _plan(deals: pd.DataFrame) -> ck.OfferPlan:
    return ck.OfferPlan(ck.Deals.from_extract(deals), slots=SLOTS, control=0.0, margin=0.24)


def _due(shop: Shop) -> pd.DataFrame:
    log = shop.log()
    if shop.model is None or (shop.chain.day - BEFORE) % (6 * DAYS) == 0:
        shop.model = ck.NextPurchase(by="category").fit(log)
    return shop.model.predict(log, horizon=DAYS)


def _sent(listed: pd.DataFrame, p_redeem: float) -> pd.DataFrame:
    return listed[["customer_id", "deal_id"]].assign(worth=listed["value"], p_redeem=p_redeem)


def _all(tables: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame({name: [] for name in columns})


POLICIES: dict[str, Callable[[Shop, pd.DataFrame], pd.DataFrame]] = {
    "no lists": no_lists, "best sellers": best_sellers, "random deals": at_random, "own favourites": favourites,
    "plan, all redeem": plan_assuming, "plan, redemption modelled": plan_modelled,
}  # fmt: skip


def run(policy: Callable[[Shop, pd.DataFrame], pd.DataFrame], shop: Shop, fortnights: int) -> pd.DataFrame:
    """One row per fortnight: profit, coupons, how many are redeemed and expected to be, trials, and budgets overrun."""
    rows, bought = [], set(zip(shop.lines["customer_id"], shop.lines["category"], shop.lines["brand"], strict=True))
    for fortnight in range(fortnights):
        starts = shop.until + timedelta(days=1)
        deals = deals_of(shop.chain, fortnight, starts)
        made = policy(shop, deals)[["customer_id", "deal_id", "worth", "p_redeem"]]
        sent = made.merge(deals[["deal_id", "category", "brand", "starts", "ends", "funder_share"]], on="deal_id")
        lines, till = shop.chain.advance(DAYS, sent)
        match = ck.match_redemptions(till, sent)
        assert match.unmatched.empty, match
        used = match.matched.merge(deals[["deal_id", "funder_share", "budget"]], on="deal_id")
        first = lines.merge(sent, on=["customer_id", "category", "brand"]).drop_duplicates(["customer_id", "deal_id"])
        spent = used.groupby("deal_id").agg(spent=("amount", "sum"), budget=("budget", "first"))
        new = [key not in bought for key in zip(sent["customer_id"], sent["category"], sent["brand"], strict=True)]
        rows.append(
            {
                "profit": lines["margin"].sum() - (used["amount"] * (1 - used["funder_share"])).sum(),
                "coupons": len(sent), "redeemed": len(used), "expected": sent["p_redeem"].sum(), "never bought": sum(new),
                "overrun": int((spent["spent"] > spent["budget"] + 1e-9).sum()),
            }
        )  # fmt: skip
        shop.lines = pd.concat([shop.lines, lines.drop(columns="margin")], ignore_index=True)
        bought |= set(zip(lines["customer_id"], lines["category"], lines["brand"], strict=True))
        shop.redeemed.append(match.matched)
        shop.qualified.append(first[["customer_id"]])
    return pd.DataFrame(rows)


def main() -> None:
    """Print a line for each policy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=600)
    parser.add_argument("--fortnights", type=int, default=26)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--policies", nargs="+", default=list(POLICIES))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ck.CrmkitWarning)
    chain = SimulatedChain(options.members, seed=options.seed)
    year, _ = chain.advance(BEFORE)
    found, rows = {}, []
    for name in dict.fromkeys(["no lists", *options.policies]):
        began = time.process_time()
        table = found[name] = run(
            POLICIES[name], Shop(copy.deepcopy(chain), year.drop(columns="margin")), options.fortnights
        )
        over = table["profit"] - found["no lists"]["profit"]
        total = table.sum()
        rows.append(
            {
                "policy": name, "gain per member": over.sum() / options.members,
                "in fortnights 11 on": over[10:].sum() / options.members, "coupons": total["coupons"],
                "redeemed": total["redeemed"], "expected / redeemed": total["expected"] / max(total["redeemed"], 1),
                "never bought": total["never bought"] / max(total["coupons"], 1),
                "budgets overrun": total["overrun"] / (DEALS * options.fortnights),
                "seconds a fortnight": (time.process_time() - began) / options.fortnights,
            }
        )  # fmt: skip
    table = pd.DataFrame(rows)
    print(json.dumps(rows) if options.json else table.to_string(index=False, float_format=lambda x: f"{x:,.3f}"))


if __name__ == "__main__":
    main()
