"""Till lines at any size, the same for the same seed: monthly Parquet files, one CSV file, and a log made of them.

``python tests/benchmarks/generate.py FOLDER --lines 1e6`` writes about a million lines of 24 months. A receipt has 2.5
lines on average, 40 % of receipts have no card, customers and products are Zipf-like, 2 % of lines are returns.
Numbers come from the engine's hash of the receipt and the line, so they do not depend on the number of threads.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import duckdb

from crmkit import Transactions

FIRST_YEAR, N_MONTHS, UNTIL = 2024, 24, date(2025, 12, 31)
LINES_PER_RECEIPT, LINES_PER_CUSTOMER, N_PRODUCTS = 2.5, 29.4, 50_000
ITEMS = ("product_id", "category", "brand", "brand_type", "manufacturer", "department")

# {u_…} are numbers between 0 and 1: see _draws. Six of ten lines of a member are one of the member's twelve favourites.
_LINES = """
with receipts as (
    select r, {u_hour} as u_hour, {u_store} as u_store, {u_pay} as u_pay,
        case when {u_card} >= 0.4 then 1 + cast(floor({customers} * pow({u_who}, 1.5)) as bigint) end as member,
        unnest(range(1, 1 + [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 4, 4, 5, 6, 7][1 + cast(floor(20 * {u_size}) as int)])) as k
    from range({first}, {last}) receipts(r)
),
chosen as (
    select *, case when member is not null and {u_own} < 0.6 then {u_liked} else {u_any} end as u_sku from receipts
),
lines as (
    select *, cast(floor({products} * pow(u_sku, 3)) as int) as sku,
        case when {u_back} < 0.02 then -1 when {u_more} < 0.15 then 2 else 1 end as quantity,
        case when {u_deal} < 0.2 then 0.1 else 0 end as off
    from chosen
),
priced as (
    select *, quantity * (49 + (sku * 7919) % 1950) as cents from lines
)
select
    format('R{{:010d}}', r) as receipt,
    cast(k as int) as line_id,
    case when member is not null then format('{{:08d}}', member) end as card_no,
    timestamp '{start}' + to_days(cast(floor({days} * (r - {first}) / ({last} - {first})) as int))
        + to_seconds(floor(3600 * (8 + 13 * sqrt(u_hour)))) as till_time,
    1 + cast(floor(120 * u_store) as int) as store,
    format('{{:06d}}', sku) as sku,
    format('Category {{:03d}}', (sku * 31) % 300) as category,
    format('Brand {{:04d}}', (sku * 17) % 2000) as brand,
    case when sku % 4 = 0 then 'store' else 'national' end as brand_type,
    format('Maker {{:03d}}', (sku * 17) % 2000 % 400) as manufacturer,
    format('Department {{:02d}}', (sku * 31) % 300 % 20) as department,
    quantity,
    cast(round(cents * (1 - off)) / 100 as decimal(12, 2)) as net_paid,
    cast(round(cents * off) / 100 as decimal(12, 2)) as discount,
    case when u_pay < 0.6 then 'card' when u_pay < 0.9 then 'cash' else 'voucher' end as payment
from priced
"""

# What the door keeps of these lines: none is rejected, no return matches a sale.
_KEPT = """
select 0 as file, row_number() over () as record, card_no as customer_id, cast(cast(till_time as date) - date '1970-01-01' as integer) as day,
    cast(extract(hour from till_time) as integer) as hour, cast(net_paid as decimal(18, 4)) as amount,
    receipt as order_id, cast(line_id as varchar) as line_id, cast(null as varchar) as returned_order_id,
    cast(store as varchar) as store, sku as product_id, cast(quantity as decimal(18, 4)) as quantity,
    cast(discount as decimal(18, 4)) as discount, category, brand, brand_type, manufacturer, department,
    case when quantity < 0 then 'return' else 'sale' end as kind, case when quantity < 0 then 'unmatched' end as how,
    cast(cast(till_time as date) - date '1970-01-01' as integer) as buy_day,
    cast(case when quantity < 0 then 0 else quantity end as decimal(18, 4)) as units
from {till}
"""


def write_parquet(folder: Path, n_lines: int, seed: int = 0, threads: int = 2) -> list[Path]:
    """Write about ``n_lines`` lines as one Parquet file a month; months are written side by side."""
    folder.mkdir(parents=True, exist_ok=True)
    session = duckdb.connect()
    session.execute("set enable_progress_bar = false")
    n_receipts = int(n_lines / LINES_PER_RECEIPT)
    months = [(FIRST_YEAR + m // 12, 1 + m % 12) for m in range(N_MONTHS)]
    bounds = [n_receipts * m // N_MONTHS for m in range(N_MONTHS + 1)]

    def write(m: int) -> Path:
        (year, month), path = months[m], folder / f"till-{months[m][0]}-{months[m][1]:02d}.parquet"
        after = date(year + month // 12, month % 12 + 1, 1)
        text = _LINES.format(
            first=bounds[m],
            last=bounds[m + 1],
            start=date(year, month, 1),
            days=(after - date(year, month, 1)).days,
            customers=max(1, int(n_lines / LINES_PER_CUSTOMER)),
            products=N_PRODUCTS,
            **_draws(seed),
        )
        with session.cursor() as cursor:
            cursor.execute(f"copy ({text}) to '{path}' (format parquet, compression zstd)")
        return path

    with ThreadPoolExecutor(threads) as pool:
        paths = list(pool.map(write, range(N_MONTHS)))
    session.close()
    return paths


def write_csv(paths: Sequence[Path], path: Path) -> Path:
    """Write the lines of Parquet files as one CSV file, in order."""
    with duckdb.connect() as session:
        session.execute("set enable_progress_bar = false")
        session.read_parquet([str(one) for one in paths]).write_csv(str(path))
    return path


def write_log(paths: Sequence[Path], folder: Path) -> Transactions:
    """A log with these lines under the contract's names, without trips: what the door keeps of a clean extract."""
    folder.mkdir(parents=True, exist_ok=True)
    files = ", ".join(f"'{one}'" for one in paths)
    with duckdb.connect() as session:
        session.execute("set enable_progress_bar = false")
        text = _KEPT.format(till=f"read_parquet([{files}])")
        session.execute(f"copy ({text}) to '{folder / 'lines.parquet'}' (format parquet, compression zstd)")
    return Transactions(folder, UNTIL, ITEMS)


def _draws(seed: int) -> dict[str, str]:
    """A number between 0 and 1 by the name of what it decides: of a receipt, of a line, or of a member's favourite."""
    keys = dict.fromkeys(("size", "card", "who", "hour", "store", "pay"), "r")
    keys |= dict.fromkeys(("own", "slot", "any", "back", "more", "deal"), "16 * r + k")
    draws = {name: _draw(key, 100 * seed + salt) for salt, (name, key) in enumerate(keys.items(), start=1)}
    favourite = f"16 * member + cast(floor(12 * pow({draws['slot']}, 2)) as int)"
    draws["liked"] = _draw(favourite, 100 * seed)
    return {f"u_{name}": draw for name, draw in draws.items()}


def _draw(key: str, salt: int) -> str:
    return f"((hash({key} + {salt * 10**12}) >> 12) / pow(2.0, 52))"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lines", type=float, default=1e6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--csv", action="store_true", help="write till.csv too")
    given = parser.parse_args()
    written = write_parquet(given.folder, int(given.lines), given.seed)
    if given.csv:
        write_csv(written, given.folder / "till.csv")
