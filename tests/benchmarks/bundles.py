"""Pairs and triples on the Complete Journey, beside mlxtend's fpgrowth on the same baskets: equal results, and how fast.

python tests/benchmarks/bundles.py --journey FOLDER       (mlxtend: pip install mlxtend)
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import process_time

import pandas as pd
from forecast import journey

from crmkit import Transactions, bought_together
from crmkit.engine.choose import engine_for

SUPPORT = 100


def baskets_of(log: Transactions) -> tuple[pd.DataFrame, int]:
    """One column a category, one row a basket that has any."""
    with engine_for(log) as engine:
        lines = engine.parquet(log.lines)
        key = engine.number_of("coalesce(order_id, '')", "day", "coalesce(customer_id, '')", "coalesce(store, '')")
        rows = engine.frame(
            f"select distinct {key} as basket, category from {lines} where units > 0 and category is not null"
        )
        n = int(engine.frame(f"select count(distinct {key}) as n from {lines} where units > 0")["n"][0])
    return pd.crosstab(rows["basket"], rows["category"]).astype(bool), n


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--journey", type=Path, required=True)
    asked.add_argument("--sizes", type=int, nargs="+", default=[2, 3])
    given = asked.parse_args()
    log = journey(given.journey)
    begin = process_time()
    products = bought_together(log, by="product_id", min_support=SUPPORT)
    print(f"pairs of products: {len(products):,} in {process_time() - begin:.2f} processor seconds")
    from mlxtend.frequent_patterns import fpgrowth

    table, n = baskets_of(log)
    for size in given.sizes:
        begin = process_time()
        ours = bought_together(log, min_support=SUPPORT, size=size)
        took = process_time() - begin
        begin = process_time()
        theirs = fpgrowth(table, min_support=(SUPPORT - 0.5) / len(table), use_colnames=True, max_len=size)
        other = process_time() - begin
        found = {
            frozenset(row[:-1]): row[-1]
            for row in ours[[*(f"item_{letter}" for letter in "abc"[:size]), "baskets"]].itertuples(
                index=False, name=None
            )
        }
        wanted = {
            one: round(share * len(table))
            for one, share in zip(theirs["itemsets"], theirs["support"], strict=True)
            if len(one) == size
        }
        equal = "equal" if found == wanted else f"NOT EQUAL: {len(found)} and {len(wanted)}"
        print(
            f"sets of {size} categories: {len(found):,}, {equal}; ours {took:.2f}, fpgrowth {other:.1f} processor seconds, "
            f"{other / took:.0f} × ({n:,} baskets)",
            flush=True,
        )


if __name__ == "__main__":
    main()
