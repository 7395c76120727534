"""The forecast on real sales: errors beside simple rules and other packages, coverage of its intervals, and its speed.

    python tests/benchmarks/forecast.py --journey FOLDER --retail FOLDER [--library PYTHON]

PYTHON is an interpreter with statsforecast, in an environment of its own (it needs pandas below 3).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import pandas as pd

from crmkit import Transactions, forecast, read_extract
from crmkit.ingest.tables import Products
from crmkit.products.forecast import LEVELS, project
from crmkit.products.forecast_accuracy import _errors, _scores, cut_at
from crmkit.products.series import Series, series_of

HORIZON, ORIGINS = 4, 4

LIBRARY = """
import sys, time, warnings
import numpy as np, pandas as pd
from statsforecast import StatsForecast
from statsforecast.models import (AutoETS, AutoTheta, CrostonSBA, DynamicOptimizedTheta, HistoricAverage, IMAPA,
                                  SimpleExponentialSmoothingOptimized, TSB)
warnings.filterwarnings("ignore")
frame, out = pd.read_parquet(sys.argv[1]), []
for model in (AutoETS(season_length=1), AutoTheta(season_length=1), DynamicOptimizedTheta(season_length=1),
              SimpleExponentialSmoothingOptimized(), CrostonSBA(), TSB(0.1, 0.1), IMAPA()):
    for origin, rows in frame.groupby("origin"):
        begin = time.process_time()
        made = StatsForecast(models=[model], freq=1, n_jobs=1, fallback_model=HistoricAverage()).forecast(
            df=rows[["unique_id", "ds", "y"]], h=4).sort_values(["unique_id", "ds"])
        out.append(made.iloc[:, [0, 1]].assign(mean=np.maximum(made.iloc[:, -1], 0), origin=origin, model=repr(model),
                                               seconds=time.process_time() - begin))
pd.concat(out).to_parquet(sys.argv[2])
"""


def journey(folder: Path) -> Transactions:
    products = Products.from_extract(
        read_extract(folder / "products.parquet"), category="product_category", manufacturer="manufacturer_id"
    )
    return Transactions.split_extract(
        read_extract(folder / "transactions.parquet"), until="2017-12-31", products=products,
        time_zone="America/New_York", recorded_in="UTC", customer_id="household_id",
        purchased_at="transaction_timestamp", amount="sales_value", order_id="basket_id",
    )[0]  # fmt: skip


def retail(folder: Path) -> Transactions:
    return Transactions.split_extract(
        read_extract(folder / "online_retail_I.parquet"), until="2011-12-09", time_zone="Europe/London",
        customer_id="CustomerID", purchased_at="InvoiceDate", order_id="InvoiceNo", product_id="StockCode",
        quantity="Quantity", unit_price="UnitPrice",
    )[0]  # fmt: skip


def cuts_of(series: Series) -> list[int]:
    return [series.history.shape[1] - HORIZON * (k + 1) for k in range(ORIGINS)]


def ours(series: Series) -> pd.DataFrame:
    begin = process_time()
    rows = [row for cut in cuts_of(series) for row in _scores(series, cut, HORIZON)]
    table = pd.DataFrame(rows).groupby("method", sort=False).mean()
    return table.assign(seconds=(process_time() - begin) / ORIGINS)


def library(series: Series, python: str) -> pd.DataFrame:
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "given.parquet", Path(folder) / "made.parquet"
        pd.concat([_long(series, cut) for cut in cuts_of(series)]).to_parquet(given)
        subprocess.run([python, "-c", LIBRARY, given, made], check=True, stderr=subprocess.DEVNULL)
        found = pd.read_parquet(made)
    rows = []
    for (model, cut), of in found.groupby(["model", "origin"]):
        known, begun = cut_at(series, cut)
        means = of.sort_values(["unique_id", "ds"])["mean"].to_numpy("float64").reshape(-1, HORIZON)
        came = series.history[begun, cut : cut + HORIZON]
        rows.append({"method": model, **_errors(known.history, came, means), "seconds": of["seconds"].iloc[0]})
    return pd.DataFrame(rows).groupby("method", sort=False).mean()


def _long(series: Series, cut: int) -> pd.DataFrame:
    known, _ = cut_at(series, cut)
    row, period = np.nonzero(np.arange(cut) >= known.first[:, None])
    return pd.DataFrame({"unique_id": row, "ds": period, "y": known.history[row, period], "origin": cut})


def speed() -> str:
    rng = np.random.default_rng(0)
    history = rng.poisson(rng.gamma(0.5, 8, 5_000)[:, None], (5_000, 104)).astype(float)
    none = np.full(5_000, "")
    series = Series(pd.RangeIndex(5_000), none, history, np.zeros(5_000, dtype=np.int64), 17_531, 7, 52)
    wall, begin = perf_counter(), process_time()
    project(series, 13, np.ones_like(history), np.ones((13, 5_000)), LEVELS)
    return f"5,000 series of 104 weeks, 13 weeks ahead: {process_time() - begin:.1f} processor seconds, {perf_counter() - wall:.1f} s"


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--journey", type=Path)
    asked.add_argument("--retail", type=Path)
    asked.add_argument("--library")
    given = asked.parse_args()
    jobs = [("Complete Journey", given.journey, journey, ("category", "product_id"))]
    jobs += [("Online Retail", given.retail, retail, ("product_id",))]
    print(speed())
    for name, folder, read, items in jobs:
        if folder is None:
            continue
        log = read(folder)
        for item in items:
            for period in ("week", "day") if item == "category" else ("week",):
                series = series_of(log, item, period)
                table = ours(series)
                if given.library and period == "week":
                    table = pd.concat([table, library(series, given.library)])
                print(f"\n{name} by {item} and {period}: {len(series.items):,} series of {series.history.shape[1]}")
                print(table.round(4).to_string())
        table = forecast(log, by=items[0])
        print(f"{len(table):,} rows of forecast.parquet")


if __name__ == "__main__":
    sys.exit(main())
