"""Peak memory of the stages that plan and print lists, at so many members × 30 items with a deal each.

    python tests/benchmarks/offers_memory.py --members 1000000 [--budget 40] [--folder FOLDER] [--memory-limit 1GB]

What is due and the shares of deals are made up as files, as the stages before write them; no line is made, so that a million
members take minutes. The budget of each deal decides how many lists are printed.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import pandas as pd

from crmkit.engine.duckdb import DuckDBEngine, engine_limits
from crmkit.offers.deals import Deals
from crmkit.pipeline.records import measured
from crmkit.pipeline.settings import Campaign, Lists, Offers
from crmkit.pipeline.stages.lists import print_lists, write_till_file
from crmkit.pipeline.stages.offers import plan_offers

ITEMS = 30
DUE = {"campaign": "2018-01-01", "first_day": "2018-01-01", "last_day": "2018-01-14"}


def write_tables(home: Path, members: int) -> None:
    """Repurchases in no order of members, shares ordered by member and deal, and customers with a value."""
    pairs = f"from range({members}) as members(m), range({ITEMS}) as items(i)"
    customer, chance = "lpad(cast(m as varchar), 8, '0') as customer_id", "hash(m, i) % 1000 / cast(1000 as double)"
    with DuckDBEngine() as engine:
        engine.save(
            f"""select {customer}, 'Category ' || i as category, {chance} as p_purchase, cast(2 + i as double) as spend,
            cast(3 as double) as day_10, cast(9 as double) as day_50, cast(20 as double) as day_90,
            date '2017-12-31' as as_of, 14 as horizon {pairs}""",
            home / "repurchases.parquet",
        )
        engine.save(
            f"""select {customer}, 'D' || i as deal_id, cast(5 as double) as category_days, cast(i % 4 as double) as own_days,
            {chance} as share, cast(20 as double) as yearly {pairs} order by customer_id, deal_id""",
            home / "shares.parquet",
        )
        engine.save(
            f"select {customer}, hash(m) % 997 / cast(10 as double) as value from range({members}) as members(m)",
            home / "customers.parquet",
        )


def deals_of(budget: float) -> pd.DataFrame:
    """A deal in each category, of which nothing was redeemed yet."""
    i = pd.Series(range(ITEMS)).astype(str)
    table = pd.DataFrame({"deal_id": "D" + i, "title": "0.50 off " + i, "category": "Category " + i, "funder": "Maker"})
    terms = {"funder_share": 1.0, "value": 0.5, "budget": budget, "starts": "2018-01-01", "ends": "2018-01-31"}
    return Deals.from_extract(table.assign(**terms)).frame.assign(redeemed=0.0, outstanding=0.0)


def measure(home: Path, budget: float) -> None:
    """Run the stages one after the other, each on the files of the one before."""
    deals, due = deals_of(budget), home / "repurchases.parquet"
    nobody = pd.DataFrame({name: pd.Series(dtype="str") for name in ("customer_id", "deal_id")})
    terms = Offers(control=0.1)
    with measured() as cost:
        made = plan_offers(
            DUE, due, home / "shares.parquet", pd.read_parquet(home / "customers.parquet"), deals, nobody,
            *[None] * 8, offers=terms, campaign=Campaign(), currency="USD", folder=home,
        )  # fmt: skip
    assert made is not None
    print(f"plan-offers       {cost.peak_mb:>6,} MB {cost.processor:>7.1f} s")
    offers, tips = home / "offers.parquet", home / "tips.parquet"
    pd.DataFrame(made["offer_tips"]).to_parquet(tips, index=False)
    with measured() as cost:
        write_till_file(offers, deals, folder=home)
    print(f"write-till-file   {cost.peak_mb:>6,} MB {cost.processor:>7.1f} s")
    with measured() as cost:
        printed = print_lists(
            offers, deals, due, made["list_terms"], None, tips, None, lists=Lists(), currency="USD", folder=home
        )
    assert printed is not None
    print(f"print-lists       {cost.peak_mb:>6,} MB {cost.processor:>7.1f} s  {printed['printed']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=1_000_000)
    parser.add_argument("--budget", type=float, default=40.0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--memory-limit", default="1GB")
    stated = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, engine_limits(stated.memory_limit, 1):
        home = stated.folder or Path(folder)
        home.mkdir(parents=True, exist_ok=True)
        write_tables(home, stated.members)
        print(f"{stated.members:,} members × {ITEMS} items, budgets of {stated.budget:,.0f}")
        measure(home, stated.budget)


if __name__ == "__main__":
    main()
