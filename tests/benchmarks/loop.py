"""The loop on a chain whose truth is known: ``python tests/benchmarks/loop.py --members 600 --fortnights 26 --seed 1``.

Every policy begins with the same year without lists and meets the same luck (`crmkit.testing.SimulatedChain`, which says
what its world assumes). Each fortnight new deals begin, with budgets; what is redeemed beyond a budget is the shop's loss. A
policy is measured by the margin that it brings over no lists, less the shop's part of what is redeemed. What came in one run is
mostly luck (a coupon that moves a purchase shifts all that follow), so shares of perfect information are of the gain that the
coupons sent had in expectation, simulated from the true state; what came is printed beside it with its standard error.

crmkit is driven the public way: a configuration, delivered files, ``ck.run``, ``crmkit sent``, a file of redemptions; of the
run's stages those are left out that only print or look back. It keeps its control group. The perfect-information plan knows the chain: what each coupon would do is simulated from the true
state, many times, and chosen within the budgets by a linear program.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import linprog
from scipy.sparse import coo_array, csr_array, vstack
from sklearn.ensemble import HistGradientBoostingRegressor

import crmkit as ck
from crmkit.pipeline.cli import app
from crmkit.pipeline.stage import Stage
from crmkit.pipeline.stages import STAGES
from crmkit.testing import SimulatedChain

DAYS, BEFORE, SLOTS, NEW_DEALS = 14, 364, 8, 20
FIRST = date(2017, 1, 2)
REPLICAS = 60
NOT_NEEDED = {
    "report", "print-lists", "find-usual-products", "write-till-file", "forecast-total", "look-back", "backtest-value",
    "backtest-churn", "backtest-repurchase", "cohorts", "revenue", "sales", "customer-blocks", "repurchase-block",
    "tier-changes", "guard-against-deals", "win-back", "measure-win-back", "suspect-cards", "share-with-card",
}  # fmt: skip
"""Stages of the run that no plan depends on, and with them what is made of their outputs."""


def planning_stages() -> list[Stage]:
    """The stages that plans need."""
    kept, gone = list[Stage](), set[str]()
    for one in STAGES:
        if one.name in NOT_NEEDED or not gone.isdisjoint(one.reads):
            gone |= set(one.outputs)
        else:
            kept.append(one)
    return kept


@dataclass
class Shop:
    """A policy's own copy of the chain, and what it has seen of it: delivered lines."""

    chain: SimulatedChain
    lines: pd.DataFrame
    folder: Path
    refit: int = 42
    control: float = 0.10
    offers: pd.DataFrame = field(default_factory=pd.DataFrame)
    out_of_plan: list[set[str]] = field(default_factory=list)
    effects: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def until(self) -> date:
        return FIRST + timedelta(days=self.chain.day - 1)


def deals_of(chain: SimulatedChain, fortnight: int) -> pd.DataFrame:
    """Deals of a quarter off that begin with a fortnight and last for two: makers pay for theirs, the shop for its own brand."""
    rng = np.random.default_rng([chain.seed, 3, fortnight + 1])
    half = np.arange(chain.n_categories * chain.n_brands) % 2 == fortnight % 2
    chosen = rng.choice(np.flatnonzero(half), NEW_DEALS, replace=False)
    category, brand = np.divmod(chosen, chain.n_brands)
    worth = np.round(0.25 * chain.price[category, brand], 2)
    starts = FIRST + timedelta(days=BEFORE + fortnight * DAYS)
    return pd.DataFrame(
        {
            "deal_id": [f"F{fortnight:02d}-{number:02d}" for number in range(NEW_DEALS)], "title": "a quarter off",
            "category": [f"Category {number:02d}" for number in category], "brand": [f"Brand {number:02d}" for number in brand],
            "funder": np.where(brand == 0, "shop", [f"Maker {number}" for number in brand]),
            "funder_share": np.where(brand == 0, 0.0, 1.0), "value": worth, "price": chain.price[category, brand],
            "margin": chain.margin[category, brand],
            "budget": np.round(worth * chain.n_members * rng.uniform(0.01, 0.06, NEW_DEALS), 2),
            "starts": str(starts), "ends": str(starts + timedelta(days=2 * DAYS - 1)),
        }
    )  # fmt: skip


# -- Policies: what is sent for the next fortnight --------------------------------------------------------------------


def no_lists(shop: Shop, deals: pd.DataFrame, left: pd.Series) -> pd.DataFrame:
    """Nothing is sent."""
    return _sent(pd.DataFrame({"customer_id": shop.chain.members}).merge(deals, how="cross").head(0))


def favourites(shop: Shop, deals: pd.DataFrame, left: pd.Series) -> pd.DataFrame:
    """Deals that their makers fund in full, on the brand that the member bought most often in the category."""
    often = shop.lines.groupby(["customer_id", "category", "brand"]).size().rename("n").reset_index()
    top = often.sort_values("n", kind="stable").drop_duplicates(["customer_id", "category"], keep="last")
    found = top.merge(deals[deals["funder_share"] == 1], on=["category", "brand"]).sort_values("n", ascending=False)
    return _within(found.groupby("customer_id").head(SLOTS), left)


def best_sellers(shop: Shop, deals: pd.DataFrame, left: pd.Series) -> pd.DataFrame:
    """The deals on the goods that sell most, to everybody."""
    sold = shop.lines.groupby(["category", "brand"]).size().rename("n").reset_index()
    top = deals[deals["deal_id"].map(left) > 0].merge(sold, on=["category", "brand"]).nlargest(SLOTS, "n")
    return _sent(pd.DataFrame({"customer_id": shop.chain.members}).merge(top, how="cross"))


def at_random(shop: Shop, deals: pd.DataFrame, left: pd.Series) -> pd.DataFrame:
    """Deals drawn at random."""
    pairs = pd.DataFrame({"customer_id": shop.chain.members}).merge(deals, how="cross")
    return _within(pairs.sample(frac=SLOTS / len(deals), random_state=shop.chain.day), left)


def _within(listed: pd.DataFrame, left: pd.Series, p_redeem: float = 0.05) -> pd.DataFrame:
    """As many coupons of each deal as what is left of its budget pays for, where one in twenty is redeemed."""
    most = listed["deal_id"].map(left) / listed["value"] / p_redeem
    return _sent(listed[listed.groupby("deal_id").cumcount() < most])


def crmkit_run(shop: Shop, deals: pd.DataFrame, left: pd.Series) -> pd.DataFrame:
    """The nightly run, its lists marked as sent."""
    home, out = shop.folder, shop.folder / "out"
    starts = FIRST + timedelta(days=BEFORE)
    deals.to_csv(home / "deals.csv", index=False)
    config = {
        "until": str(shop.until), "transactions": {"files": "till-*.csv"}, "deals": {"files": "deals.csv"},
        "redemptions": {"files": "redemptions.csv"}, "campaign": {"every": DAYS, "starts": str(starts)},
        "store": {"folder": "store"}, "offers": {"slots": SLOTS, "margin": 0.27, "control": shop.control},
        "repurchase": {"by": "category", "horizon": DAYS, "refit_every": shop.refit},
        "backtests": {"max_age": 728}, "value": {"model": "BG/NBD", "refit_every": 182}, "churn": {"refit_every": 182},
        "thresholds": {"rejected_rows": {"stop": 0.01}},
    }  # fmt: skip
    result = ck.run(config, out, home=home, stages=planning_stages())
    if "offers" not in result.tables:
        raise SystemExit(f"no offers: {result.notes}")
    campaign = str(shop.until + timedelta(days=1))
    app(["sent", campaign, "--out", str(out)], standalone_mode=False)
    shop.out_of_plan.append(set(result.tables["control"]["customer_id"]))
    shop.effects = result.tables.get("campaign_effects", shop.effects)
    return result.tables["offers"][["customer_id", "deal_id", "worth", "p_redeem", "is_trial"]]


def _sent(listed: pd.DataFrame) -> pd.DataFrame:
    return listed[["customer_id", "deal_id"]].assign(worth=listed["value"], p_redeem=np.nan, is_trial=False)


def perfect(shop: Shop, deals: pd.DataFrame, left: pd.Series) -> pd.DataFrame:
    """The best lists of somebody who knows the chain: gains simulated from its true state."""
    pairs = _true_gains(shop.chain, deals)
    pairs = pairs[(pairs["gain"] > 0.005) & (pairs["cost"] <= pairs["deal_id"].map(left))].reset_index(drop=True)
    rows = np.arange(len(pairs))
    member, place, deal = (pd.factorize(pairs[name])[0] for name in ("customer_id", "place", "deal_id"))
    ids = pairs["deal_id"].unique()
    limits = vstack([_matrix(member, rows), _matrix(place, rows), _matrix(deal, rows, pairs["cost"].to_numpy())])
    most = np.concatenate([np.full(member.max() + 1, SLOTS), np.ones(place.max() + 1), left[ids].to_numpy()])
    found = linprog(-pairs["gain"].to_numpy(), limits, most, bounds=(0, 1), method="highs")
    chosen = pairs[found.x > 0.5].merge(deals[["deal_id", "value"]], on="deal_id")
    return _sent(chosen).assign(p_redeem=chosen["p"])


def _matrix(place: Any, rows: Any, values: Any = None) -> csr_array:
    return coo_array((np.ones(len(rows)) if values is None else values, (place, rows))).tocsr()


def _true_gains(chain: SimulatedChain, deals: pd.DataFrame) -> pd.DataFrame:
    """Each member and deal of members who ever carry a list: the gain, redemptions and cost to the budget of a coupon.

    A layer gives every member one coupon in each category; the same draws without coupons are subtracted. What the
    replicas leave to chance is smoothed by a regression on the true state, so that luck is not taken for gain.
    """
    members = np.flatnonzero(chain.carries > 0)
    deals = deals.assign(layer=deals.groupby("category").cumcount())
    given = [pd.DataFrame({"member": members}).merge(layer, how="cross") for _, layer in deals.groupby("layer")]
    places, layers = [], []
    for table in given:
        category, brand = (table[name].str[-2:].astype(int).to_numpy() for name in ("category", "brand"))
        places.append((table["member"].to_numpy(), category, brand))
        worth = np.zeros((chain.n_members, chain.n_categories, chain.n_brands))
        worth[places[-1]] = table["value"]
        layers.append(worth)
    effects = chain.expected_effects(layers, DAYS, REPLICAS, members)
    tables = []
    for table, (member, category, brand), (gain, se, redeemed) in zip(given, places, effects, strict=True):
        own = (table["value"] * (1 - table["funder_share"])).to_numpy()
        figures = (gain[member, category], se[member, category], redeemed[member, category, brand])
        state = chain.state_of(member, category, brand, table["value"].to_numpy())
        tables.append((table, category, own, *figures, state))
    whole = pd.concat([table for table, *_ in tables], ignore_index=True)
    category, own, gain, se, redeemed, state = (np.concatenate([one[at] for one in tables]) for at in range(1, 7))
    p = _smoothed(state, redeemed, np.sqrt(redeemed * (1 - redeemed).clip(0) / REPLICAS)).clip(0, 1)
    return pd.DataFrame(
        {
            "customer_id": chain.members[whole["member"]], "deal_id": whole["deal_id"], "p": p,
            "place": whole["member"] * 100 + category, "gain": _smoothed(state, gain, se) - p * own, "cost": p * whole["value"],
        }
    )  # fmt: skip


def _smoothed(state: np.ndarray, simulated: np.ndarray, se: np.ndarray) -> np.ndarray:
    """Simulated means drawn towards what the state foretells, the more the less exact they are."""
    foretold = HistGradientBoostingRegressor(max_iter=150, random_state=0).fit(state, simulated).predict(state)
    noise = float((se**2).mean())
    real = max(float(((simulated - foretold) ** 2).mean()) - noise, 0.1 * noise)
    return foretold + real / (real + np.maximum(se**2, noise)) * (simulated - foretold)


POLICIES: dict[str, Callable[[Shop, pd.DataFrame, pd.Series], pd.DataFrame]] = {
    "no lists": no_lists, "best sellers": best_sellers, "random deals": at_random, "own favourites": favourites,
    "perfect information": perfect, "crmkit": crmkit_run,
}  # fmt: skip


# -- One policy, fortnight after fortnight ----------------------------------------------------------------------------


@dataclass
class Course:
    """What a policy did: profit by fortnight and member, the gain that its coupons had in expectation (by fortnight and
    member too), the coupons with what became of them, and one row a fortnight."""

    profit: np.ndarray
    foreseen: np.ndarray
    coupons: pd.DataFrame
    fortnights: pd.DataFrame
    out_of_plan: list[set[str]]
    spend: np.ndarray = field(default_factory=lambda: np.zeros(0))
    effects: pd.DataFrame = field(default_factory=pd.DataFrame)


def run(policy: Callable[..., pd.DataFrame], shop: Shop, fortnights: int) -> Course:
    """The course of a policy."""
    profits, foreseen, coupons, rows, spend = [], [], [], [], []
    bought = set(zip(shop.lines["customer_id"], shop.lines["category"], shop.lines["brand"], strict=True))
    deals, spent = deals_of(shop.chain, -1), pd.Series(dtype=float)
    for fortnight in range(fortnights):
        began, worked = time.perf_counter(), time.process_time()
        starts = str(shop.until + timedelta(days=1))
        deals = pd.concat([deals, deals_of(shop.chain, fortnight)])
        running = deals[(deals["starts"] <= starts) & (deals["ends"] >= starts)]
        left = (deals.set_index("deal_id")["budget"].sub(spent, fill_value=0.0)).clip(lower=0)
        made = policy(shop, running, left)
        sent = made.merge(running[["deal_id", "category", "brand", "funder_share"]], on="deal_id")
        never = [key not in bought for key in zip(sent["customer_id"], sent["category"], sent["brand"], strict=True)]
        expected = _expected_gain(shop.chain, sent)
        lines, till = shop.chain.advance(DAYS, sent)
        used = till.merge(running[["deal_id", "funder_share", "budget"]], on="deal_id")
        before = spent
        spent = spent.add(used.groupby("deal_id")["amount"].sum(), fill_value=0.0)
        # a maker pays no more than its budget; of its own deals the shop pays all anyway
        over = (_overrun(deals, spent) - _overrun(deals, before)) * deals.set_index("deal_id")["funder_share"]
        foreseen.append(expected - over.sum() / shop.chain.n_members)
        money = lines.groupby("customer_id")["margin"].sum() - (used["amount"] * (1 - used["funder_share"])).groupby(
            used["customer_id"]).sum().reindex(shop.chain.members, fill_value=0.0)  # fmt: skip
        profits.append(money.reindex(shop.chain.members).fillna(0.0).to_numpy() - over.sum() / shop.chain.n_members)
        keys = pd.MultiIndex.from_frame(used[["customer_id", "deal_id"]])
        redeemed = pd.MultiIndex.from_frame(sent[["customer_id", "deal_id"]]).isin(keys)
        coupons.append(sent.assign(fortnight=fortnight, redeemed=redeemed, never=never))
        spend.append(
            lines.groupby("customer_id")["amount"].sum().reindex(shop.chain.members, fill_value=0.0).to_numpy()
        )
        lines = lines.drop(columns="margin")
        shop.lines = pd.concat([shop.lines, lines], ignore_index=True)
        bought |= set(zip(lines["customer_id"], lines["category"], lines["brand"], strict=True))
        _deliver(shop, lines, till)
        seconds, processor = time.perf_counter() - began, time.process_time() - worked
        rows.append({"fortnight": fortnight + 1, "coupons": len(sent), "seconds": seconds, "processor": processor})
        told = f"{policy.__name__} {fortnight + 1}: {seconds:.1f} s, {processor:.1f} of processor"
        print(told, file=sys.stderr, flush=True)
    ended = deals[deals["deal_id"].isin(pd.concat(coupons)["deal_id"])]
    course = Course(
        np.array(profits),
        np.array(foreseen),
        pd.concat(coupons, ignore_index=True),
        pd.DataFrame(rows),
        shop.out_of_plan,
        np.array(spend),
        shop.effects,
    )
    course.fortnights.attrs["overrun"] = (int((_overrun(ended, spent) > 1e-9).sum()), len(ended))
    return course


def _expected_gain(chain: SimulatedChain, sent: pd.DataFrame) -> np.ndarray:
    """What these coupons bring each member in expectation: simulated from the true state with luck that no policy has seen."""
    gain, members = np.zeros(chain.n_members), np.flatnonzero(chain.carries > 0)
    worth, own = (np.zeros((chain.n_members, chain.n_categories, chain.n_brands)) for _ in range(2))
    if not len(sent):
        return gain
    category, brand = (sent[name].str[-2:].astype(int).to_numpy() for name in ("category", "brand"))
    at = sent["customer_id"].astype(int).to_numpy(), category, brand
    worth[at], own[at] = sent["worth"], sent["worth"] * (1 - sent["funder_share"])
    more, _, redeemed = chain.expected_effects([worth], DAYS, REPLICAS, members, first=REPLICAS)[0]
    return more.sum(axis=1) - (redeemed * own).sum(axis=(1, 2))


def _overrun(deals: pd.DataFrame, spent: pd.Series) -> pd.Series:
    """What was redeemed of each deal beyond its budget."""
    own = deals.set_index("deal_id")["budget"]
    return (spent.reindex(own.index).fillna(0.0).astype(float) - own).clip(lower=0)


def _deliver(shop: Shop, lines: pd.DataFrame, till: pd.DataFrame) -> None:
    number, back = len(list(shop.folder.glob("till-*.csv"))), shop.folder / "redemptions.csv"
    lines.to_csv(shop.folder / f"till-{number:03d}.csv", index=False)
    till.to_csv(back, index=False, mode="a", header=not back.exists())


# -- What is printed --------------------------------------------------------------------------------------------------


def rows_of(courses: dict[str, Course]) -> list[dict[str, Any]]:
    """One row per policy."""
    base, best = courses["no lists"].profit, courses.get("perfect information")
    rows = []
    for name, course in courses.items():
        over, coupons = course.profit - base, course.coupons
        n_over, n_deals = course.fortnights.attrs["overrun"]
        rows.append(
            {
                "policy": name, "gain per member": course.foreseen.sum() / over.shape[1],
                **({} if best is None else _shares(course.foreseen, best.foreseen, course)),
                **({} if best is None else {"share of what came": over.sum() / (best.profit - base).sum()}),
                "its standard error": _noise(over, None if best is None else best.profit - base),
                "coupons": len(coupons), "redeemed": int(coupons["redeemed"].sum()),
                "expected/redeemed": coupons["p_redeem"].sum() / max(coupons["redeemed"].sum(), 1),
                "never bought": coupons["never"].mean() if len(coupons) else 0.0,
                "of them marked": coupons.loc[coupons["never"], "is_trial"].mean() if coupons["never"].any() else np.nan,
                "budgets overrun": f"{n_over} of {n_deals}",
                "seconds a fortnight": course.fortnights["seconds"].mean(),
                "of processor": course.fortnights["processor"].mean(),
            }
        )  # fmt: skip
    return rows


def _shares(over: np.ndarray, best: np.ndarray, course: Course) -> dict[str, float]:
    """Shares of perfect information's gain, in expectation: in fortnights 1-10, from 11 on, and of members not held back."""
    planned = np.ones(over.shape, dtype=bool)
    for at, control in enumerate(course.out_of_plan):
        planned[at] = ~np.isin(np.array([f"{number:06d}" for number in range(over.shape[1])]), list(control))
    spans = {"fortnights 1-10": slice(0, 10), "11 on": slice(10, None)}
    found = {name: over[span].sum() / best[span].sum() for name, span in spans.items() if len(best[span])}
    aside = {
        f"{name}, control aside": over[span][planned[span]].sum() / best[span][planned[span]].sum()
        for name, span in spans.items() if len(best[span])
    }  # fmt: skip
    return found | aside


def _noise(over: np.ndarray, best: np.ndarray | None) -> float:
    """Standard error of the share of the gain that came, members being a sample: how little a single run can tell."""
    if best is None or not best.sum():
        return float("nan")
    ratio = over.sum() / best.sum()
    rest = over.sum(axis=0) - ratio * best.sum(axis=0)
    return float(np.sqrt(len(rest)) * rest.std() / abs(best.sum()))


@contextmanager
def _quiet() -> Iterator[None]:
    """What commands and solvers print goes to standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)


def effects_held(course: Course, base: Course) -> str:
    """How many of the measured campaigns' intervals hold what the lists did: spend over that without lists, by the same luck."""
    more, ids, held = course.spend - base.spend, np.arange(course.spend.shape[1]), 0
    for at, (low, high) in enumerate(course.effects[["low", "high"]].itertuples(index=False)):
        out = np.isin(np.array([f"{number:06d}" for number in ids]), list(course.out_of_plan[at]))
        held += bool(low <= more[at][~out].mean() - more[at][out].mean() <= high)
    lift, expected = course.effects["lift"].sum(), course.effects["expected_lift"].sum()
    return (
        f"effects of campaigns: the 95% interval holds what the lists did in {held} of {len(course.effects)}; purchases of the "
        f"deals' goods added: expected {expected:,.0f}, measured {lift:,.0f} (se {np.sqrt((course.effects['lift_se'] ** 2).sum()):,.0f})"
    )


def calibration(coupons: pd.DataFrame) -> pd.DataFrame:
    """Coupons by decile of their chance of redemption: how many, expected and redeemed."""
    ranked = coupons["p_redeem"].rank(method="first")
    groups = coupons.groupby(np.ceil(10 * ranked / len(coupons)).astype(int).rename("decile"))
    return groups.agg(
        coupons=("p_redeem", "size"), expected=("p_redeem", "mean"), redeemed=("redeemed", "mean")
    ).reset_index()


def courses_of(names: list[str], options: argparse.Namespace) -> dict[str, Course]:
    """The courses of these policies, some at a time: each is a process with its own copy of the chain."""
    longest_first = sorted(names, key=["crmkit", "perfect information"].__contains__, reverse=True)
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
        found = {name: pool.submit(course_of, name, options) for name in longest_first}
        return {name: found[name].result() for name in names}


def course_of(name: str, options: argparse.Namespace) -> Course:
    """The course of one policy, after a year without lists."""
    warnings.simplefilter("ignore", ck.CrmkitWarning)
    chain = SimulatedChain(options.members, seed=options.seed)
    year, till = chain.advance(BEFORE)
    with tempfile.TemporaryDirectory() as folder, _quiet():
        shop = Shop(chain, year.drop(columns="margin"), Path(folder), options.refit, options.control)
        _deliver(shop, shop.lines, till)
        return run(POLICIES[name], shop, options.fortnights)


def main() -> None:
    """Print a line for each policy, and how well redemptions were foreseen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=600)
    parser.add_argument("--fortnights", type=int, default=26)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--refit", type=int, default=84, help="days between fits of the repurchase model")
    parser.add_argument("--control", type=float, default=0.10)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--policies", nargs="+", default=list(POLICIES))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    courses = courses_of(list(dict.fromkeys(["no lists", *options.policies])), options)
    rows, deciles = rows_of(courses), calibration(courses["crmkit"].coupons) if "crmkit" in courses else None
    if options.json:
        print(
            json.dumps(
                {"policies": rows, "deciles": [] if deciles is None else deciles.to_dict("records")}, default=float
            )
        )
        return
    print(pd.DataFrame(rows).set_index("policy").T.to_string(float_format=lambda x: f"{x:,.3f}"))
    if deciles is not None:
        print(deciles.to_string(index=False, float_format=lambda x: f"{x:.4f}"))
    if "crmkit" in courses and len(courses["crmkit"].effects):
        print(effects_held(courses["crmkit"], courses["no lists"]))


if __name__ == "__main__":
    main()
