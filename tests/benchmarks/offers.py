"""Print the targets of the offer plan and the lists: ``python tests/benchmarks/offers.py --members 1e4 1e6 --pages 2000``.

Each size is planned in a process of its own. Members × 50 deals, 51 budgets (one a deal, and the shop's own), 5 slots; every
member has a due item for every deal. Greedy and first come, first served stand beside it; up to 10,000 members the
linear relaxation is solved too. Lists are one page a member with five deals, of which every barcode is read back at 150
dots an inch.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from crmkit.offers.deals import Deals
from crmkit.offers.needs import Needs
from crmkit.offers.plan import OfferPlan
from crmkit.offers.problem import Problem, solved
from crmkit.offers.solver import exact
from crmkit.offers.solver.market import Market

DEALS, SLOTS, PIECE = 50, 5, 20_000


def write_due(n: int, path: Path) -> None:
    """Due items of ``n`` members as a Parquet file, ordered by member."""
    rng = np.random.default_rng(7)
    items = pa.array([f"C{i:02d}" for i in range(DEALS)])
    with pq.ParquetWriter(path, _piece(rng, 0, 1, items).schema) as writer:
        for start in range(0, n, PIECE):
            writer.write_table(_piece(rng, start, min(start + PIECE, n), items))


def _piece(rng: np.random.Generator, start: int, end: int, items: pa.Array) -> pa.Table:
    n = (end - start) * DEALS
    ids = pa.array([f"{i:08d}" for i in range(start, end)])
    return pa.table(
        {
            "customer_id": pa.DictionaryArray.from_arrays(
                np.repeat(np.arange(end - start, dtype=np.int32), DEALS), ids
            ),
            "category": pa.DictionaryArray.from_arrays(np.tile(np.arange(DEALS, dtype=np.int32), end - start), items),
            "p_purchase": rng.beta(1.5, 4, n).astype(np.float32),
            "spend": (4 * rng.lognormal(1.5, 0.6, n)).astype(np.float32),
        }
    )


def terms(n: int) -> OfferPlan:
    """Budgets of which about a third bind."""
    rng = np.random.default_rng(1)
    value = rng.choice([0.5, 1.0, 1.5, 2.0], DEALS)
    share = rng.choice([1.0, 0.9, 0.8, 0.5], DEALS)
    budget = np.round(value * n * rng.uniform(0.3, 2, DEALS) * 0.012, 2)
    deals = pd.DataFrame(
        {
            "deal_id": [f"D{i:02d}" for i in range(DEALS)],
            "title": "off",
            "category": [f"C{i:02d}" for i in range(DEALS)],
            "funder": [f"Maker {i}" for i in range(DEALS)],
            "funder_share": share,
            "value": value,
            "budget": budget,
            "starts": "2018-01-01",
            "ends": "2018-01-14",
        }
    )
    store = float(np.round((budget * (1 - share)).sum() * 0.5, 2))
    return OfferPlan(Deals.from_extract(deals), slots=SLOTS, control=0.0, store_budget=store)


def greedy(market: Market, whole_list_first: bool) -> float:
    """Gain of taking offers one by one while the budgets last: by gain for cost, or whole lists as members come."""
    limits = market.limits
    flat = [
        (
            np.repeat(b.member, b.gain.shape[1]),
            b.deal.ravel(),
            b.gain.ravel().astype(float),
            b.cost.ravel().astype(float),
        )
        for b in market.blocks
    ]
    member, deal, gain, cost = (np.concatenate(column) for column in zip(*flat, strict=True))
    kept = np.isfinite(gain)
    member, deal, gain, cost = member[kept], deal[kept], gain[kept], cost[kept]
    order = np.lexsort((-gain, member)) if whole_list_first else np.argsort(-gain / cost, kind="stable")
    left, free, total = limits.budget.copy(), {}, 0.0
    use = limits.use.T.copy()
    for i in order.tolist():
        room = free.get(member[i], SLOTS)
        need = use[deal[i]] * cost[i]
        taken = room and (need <= left).all()
        if taken:
            left -= need
            total += gain[i]
        if room and (whole_list_first or taken):
            free[member[i]] = room - 1
    return total


def measure(n: int) -> dict[str, float]:
    """Plan once; memory before the rivals are asked."""
    with tempfile.TemporaryDirectory() as home:
        due = Path(home, "due.parquet")
        write_due(n, due)
        customers = pd.DataFrame({"customer_id": [f"{i:08d}" for i in range(n)]})
        plan = terms(n)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        start, used = time.perf_counter(), time.process_time()
        problem = Problem.of(plan, Needs(due), customers, None, None)
        market = problem.market()
        built = time.perf_counter()
        chosen, prices, with_minimums = solved(market)
        priced = time.perf_counter()
        candidates, kept = market.n_candidates, market if n <= 50_000 else None
        del market
        result = problem.result(chosen, prices, with_minimums)
        done, used = time.perf_counter(), time.process_time() - used
        found = {
            "members": n,
            "candidates": candidates,
            "offers": len(result.offers),
            "build s": built - start,
            "solve s": priced - built,
            "all s": done - start,
            "processor s": used,
            "GiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
            "GiB before": before,
            "gap %": 100 * result.gap,
            "within": float(
                (result.budgets["spent"] <= result.budgets["budget"] * (1 + 1e-9)).all()
            ),  # sums are rounded
            "binding": float((result.budgets["shadow_price"] > 0.01).sum()),
            "load": os.getloadavg()[0],
        }
        if kept is not None and n <= 10_000:
            best = relaxation(kept)
            found["below the LP optimum %"] = 100 * (1 - result.objective / best)
        if kept is not None:
            found["greedy %"] = 100 * (greedy(kept, False) / result.objective - 1)
            found["first come %"] = 100 * (greedy(kept, True) / result.objective - 1)
    return found


def relaxation(market: Market) -> float:
    """The optimum of the linear relaxation, by HiGHS."""
    from scipy import sparse
    from scipy.optimize import linprog

    found = exact._candidates(market)
    lists, _, _ = exact._lists(market, found)
    budgets = sparse.csr_array(market.limits.use[:, found.deal] * found.cost)
    rows = exact._stacked([exact._Rows(budgets, market.limits.budget), *lists], len(found.gain))
    return -float(linprog(-found.gain, rows.matrix, rows.limit, bounds=(0, 1), method="highs-ipm").fun)


def measure_lists(n: int) -> dict[str, float]:
    """Print lists, then read every page."""
    import pypdfium2
    import zxingcpp

    from crmkit.offers.barcodes import gtin_check_digit
    from crmkit.reports.lists.page_layout import print_lists

    rng = np.random.default_rng(3)
    stems = [f"2590{i:08d}" for i in range(DEALS)]
    frame = terms(n).deals.frame.assign(barcode=[f"{stem}{gtin_check_digit(stem)}" for stem in stems], price=9.99)
    ids = np.repeat([f"{i:08d}" for i in range(n)], SLOTS)
    chosen = np.concatenate([rng.choice(DEALS, SLOTS, replace=False) for _ in range(n)])
    offers = pd.DataFrame(
        {"customer_id": ids, "deal_id": [f"D{i:02d}" for i in chosen], "position": np.tile(np.arange(SLOTS) + 1, n)}
    )
    due = pd.DataFrame({"customer_id": ids, "category": [f"Item {i}" for i in chosen], "p_purchase": 0.5})
    with tempfile.TemporaryDirectory() as home:
        printed = print_lists(offers, Deals.from_extract(frame), due, home, as_of="2017-12-31", horizon=14)
        wanted = frame.set_index("deal_id")["barcode"].loc[offers["deal_id"]].to_numpy().reshape(n, SLOTS)
        right = 0
        for page, codes in zip(pypdfium2.PdfDocument(str(printed.path)), wanted, strict=True):
            image = np.ascontiguousarray(page.render(scale=150 / 72).to_numpy())
            right += sorted(found.text for found in zxingcpp.read_barcodes(image)) == sorted(codes)
    return {"pages": printed.pages, "pages a minute": printed.pages_a_minute, "pages read back": right}


def main() -> None:
    """Print one line for each figure of each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", nargs="+", type=float, default=[1e4, 1e6])
    parser.add_argument("--pages", type=int, default=0)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one)))
        return
    rows = []
    for n in map(int, options.members):
        done = subprocess.run([sys.executable, __file__, "--one", str(n)], capture_output=True, text=True, check=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
    print(pd.DataFrame(rows).T.to_string(header=False, float_format=lambda value: f"{value:,.4g}"))
    print("targets: 1e6 members ≤ 60 s, ≤ 2 GiB, gap ≤ .1 %; 1e4 members ≤ 1 s, ≤ .03 % below the LP optimum")
    if options.pages:
        print(pd.Series(measure_lists(options.pages)).to_string(float_format=lambda value: f"{value:,.0f}"))
        print("targets: ≥ 2,000 pages a minute, every barcode read back")


if __name__ == "__main__":
    main()
