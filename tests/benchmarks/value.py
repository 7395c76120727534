"""How far lifetime values hold, over rolling origins of every set at hand: ``python tests/benchmarks/value.py``.

For each set, six origins a horizon apart (or as many as leave a horizon before them), nothing after an origin being used: does
the interval of a cohort's total hold what came, with the level judged by past forecasts and without; what does it change
whether the money of the first purchase counts; and what do the rules without a model reach. Nothing is chosen on these windows.
CDNOW, the groceries and Online Retail are read where they are there; the Complete Journey comes from PyPI.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from timing import complete_journey

from crmkit import BGNBD, CustomerLifetimeValue, GammaGamma, Transactions, holdout_summary, past_totals
from crmkit.evaluation.backtest import opened_on
from crmkit.evaluation.baselines import RULES
from crmkit.evaluation.value import known_at, value_scores
from crmkit.exceptions import CrmkitWarning

DATA = Path(__file__).parents[3] / "shared" / "data"
MOST = 6


def cdnow() -> Transactions:
    """A year and a half of a shop that won no customer after its first quarter."""
    orders = pd.read_parquet(DATA / "cdnow" / "master.parquet")
    names = {"customer_id": "customer_id", "purchased_at": "date", "amount": "amount"}
    named = {want: have if have in orders else _like(orders, want) for want, have in names.items()}
    return Transactions.split_extract(orders, until="1998-06-30", **named)[0]


def groceries() -> Transactions:
    """Orders of an online grocer, of a cohort."""
    orders = pd.read_parquet(DATA / "btyd_small" / "groceryElog.parquet")
    orders["amount"] = 1.0
    named = {"customer_id": _like(orders, "customer_id"), "purchased_at": _like(orders, "purchased_at")}
    return Transactions.split_extract(
        orders, until=pd.to_datetime(orders[named["purchased_at"]]).max().date(), **named
    )[0]


def online_retail() -> Transactions:
    """A wholesaler's year, its returns taken off."""
    lines = pd.read_parquet(DATA / "online_retail_I" / "online_retail_I.parquet")
    return Transactions.split_extract(
        lines, until="2011-12-09", customer_id="CustomerID", purchased_at="InvoiceDate", order_id="InvoiceNo",
        product_id="StockCode", quantity="Quantity", unit_price="UnitPrice",
    )[0]  # fmt: skip


def _like(orders: pd.DataFrame, want: str) -> str:
    words = {
        "customer_id": ("cust", "id"),
        "purchased_at": ("date", "day"),
        "amount": ("amount", "spend", "usd", "sales"),
    }
    return next(str(name) for word in words[want] for name in orders if word in str(name).lower())


SETS: dict[str, tuple[Callable[[], Transactions], str, tuple[int, ...]]] = {
    "Complete Journey": (complete_journey, "", (30, 60)),
    "CDNOW": (cdnow, "cdnow", (60, 90)),
    "groceries": (groceries, "btyd_small", (60, 90)),
    "Online Retail": (online_retail, "online_retail_I", (30, 60)),
}


def origins_of(log: Transactions, ahead: int) -> list[date]:
    found = [log.until - timedelta(days=ahead * k) for k in range(1, MOST + 1)]
    return [origin for origin in found if (origin - opened_on(log)).days >= 2 * ahead][::-1]


def model(ahead: int, first_purchase: bool = False) -> CustomerLifetimeValue:
    return CustomerLifetimeValue(BGNBD(), GammaGamma(first_purchase=first_purchase), horizon=ahead, annual_discount=0.0)


def cohorts_of(name: str, log: Transactions, ahead: int) -> Iterator[dict[str, object]]:
    """Per origin: what came over what was forecast, and which intervals held it."""
    for origin in origins_of(log, ahead):
        known = known_at(log, origin)
        came = holdout_summary(log, origin, origin + timedelta(days=ahead))["holdout_spend"].sum()
        fitted = model(ahead).fit(known)
        row: dict[str, object] = {
            "set": name,
            "ahead": ahead,
            "origin": origin,
            "came": came / fitted.predict(known).sum(),
        }
        for label, past in {"judged": past_totals(model(ahead), log, origin), "assumed": None}.items():
            _, low, high = fitted.cohort(known, past=past).realised or (0, 0, 0)
            row |= {label: bool(low <= came <= high), f"{label}_width": float(np.log(high / low))}
        low, high = fitted.cohort(known).expected[1:]
        yield row | {"parameters_alone": bool(low <= came <= high)}


def scores_of(name: str, log: Transactions, ahead: int) -> Iterator[dict[str, object]]:
    """Per origin and model: errors, and how much of the later money the better half of one-time buyers holds."""
    for origin in origins_of(log, ahead):
        known = known_at(log, origin)
        after = holdout_summary(log, origin, origin + timedelta(days=ahead))
        table = known.merge(
            after.rename(columns={"holdout_spend": "spent", "holdout_purchases": "bought"}), on="customer_id"
        )
        answers = {f"first purchase {word}": model(ahead, on).fit(known).predict(known) for word, on in WAYS.items()}
        answers |= {rule: what.expected_spend(known, ahead) for rule, what in RULES.items()}
        once = (table["frequency"] == 0).to_numpy()
        for who, value in answers.items():
            held = np.nan
            if once.sum() > 1 and table["spent"][once].sum() > 0:
                best = value[once].rank(method="first", ascending=False) <= once.sum() / 2
                held = float(table["spent"][once][best].sum() / table["spent"][once].sum())
            scores = value_scores(table, value, value)
            yield {"set": name, "ahead": ahead, "model": who, "one_time_money_in_best_half": held} | {
                score: scores[score]
                for score in ("rmse_value", "mae_value", "bias_of_total_value", "top_decile_share_of_value")
            }


WAYS = {"left out": False, "counted": True}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=list(SETS))
    warnings.simplefilter("ignore", CrmkitWarning)
    totals, scores = list[dict[str, object]](), list[dict[str, object]]()
    for name in parser.parse_args().only:
        read, folder, horizons = SETS[name]
        if folder and not (DATA / folder).is_dir():
            print(f"{name}: not here")
            continue
        log = read()
        for ahead in horizons:
            totals += cohorts_of(name, log, ahead)
            scores += scores_of(name, log, ahead)
    table = pd.DataFrame(totals)
    print(table.round(3).to_string(index=False))
    print(table.groupby("set", sort=False)[["judged", "assumed", "parameters_alone"]].agg(["mean", "size"]).to_string())
    print(
        "All:", table[["judged", "assumed", "parameters_alone"]].mean().round(3).to_dict(), f"of {len(table)} origins"
    )
    means = pd.DataFrame(scores).groupby(["set", "ahead", "model"], sort=False).mean()
    print(means.round(3).to_string())


if __name__ == "__main__":
    main()
