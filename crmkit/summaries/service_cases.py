"""Complaints as cases: which are overdue, how their handling was judged, what was expected, and who came back."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
from scipy.special import ndtri, stdtrit

from crmkit._days import as_day
from crmkit._types import Floats, Interval
from crmkit.exceptions import ConfigError
from crmkit.ingest.tables import ServiceRecords
from crmkit.summaries.customers import purchases_of
from crmkit.summaries.service import known_records, unresolved
from crmkit.transactions.log import Transactions

__all__ = ["handling_satisfaction", "overdue_complaints", "recovery_outcome", "service_gap"]

_GROUPS = ("responsible", "store", "topic")


def overdue_complaints(service: ServiceRecords, as_of: str | date, deadline: int = 14) -> pd.DataFrame:
    """Complaints that were to be resolved by the close of ``as_of`` and are not, the longest overdue first.

    Parameters
    ----------
    service : ServiceRecords
    as_of : date
    deadline : int, default 14
        Days to resolve a complaint that bears no day of its own.

    Returns
    -------
    DataFrame
        record_id, customer_id, topic, responsible, recorded_at, due, days_overdue.

    Examples
    --------
    >>> desk = pd.DataFrame({"record_id": [1, 2], "customer_id": ["a", "b"], "kind": "complaint", "responsible": "Kim",
    ...     "recorded_at": ["2017-05-01", "2017-05-01"], "due": ["2017-05-03", None]})
    >>> overdue_complaints(ServiceRecords.from_extract(desk), "2017-05-10")[["record_id", "days_overdue"]]
      record_id  days_overdue
    0         1             7
    """
    known = known_records(service, as_of)
    waiting = known[(known["kind"] == "complaint") & unresolved(known, as_of)]
    recorded = pd.to_datetime(waiting["recorded_at"])
    due = pd.to_datetime(waiting["due"]).fillna(recorded.dt.normalize() + pd.Timedelta(days=deadline))
    table = waiting.assign(recorded_at=recorded, due=due.astype("datetime64[us]"))
    table["days_overdue"] = (pd.Timestamp(as_day(as_of)) - table["due"]).dt.days.astype("int64")
    shown = table[["record_id", "customer_id", "topic", "responsible", "recorded_at", "due", "days_overdue"]]
    late = shown[shown["days_overdue"] > 0]
    return late.sort_values(["days_overdue", "record_id"], ascending=[False, True], ignore_index=True)


def handling_satisfaction(
    service: ServiceRecords, as_of: str | date, by: str | None = None, least: int = 10, level: float = 0.95
) -> pd.DataFrame:
    """How satisfied customers were with the handling of their complaints, by who handled them, the store or the topic.

    Parameters
    ----------
    service : ServiceRecords
    as_of : date
    by : {"responsible", "store", "topic"}, optional
        By default all together.
    least : int, default 10
        Answers below which a group is not shown, so that nobody is judged by a few.
    level : float, default 0.95
        Coverage of the interval (Student's t).

    Returns
    -------
    DataFrame
        ``by``, answers, mean (0 to 10), low, high. Groups that are too small are together in the last row, as "others".

    Examples
    --------
    >>> desk = pd.DataFrame({"record_id": range(4), "customer_id": list("abcd"), "kind": "complaint", "recorded_at": "2017-05-01",
    ...     "responsible": ["Kim", "Kim", "Kim", "Lee"], "handling": [6, 8, 10, 1]})
    >>> found = handling_satisfaction(ServiceRecords.from_extract(desk), "2017-05-10", by="responsible", least=2)
    >>> found.round(2).values.tolist()
    [['Kim', 3, 8.0, 3.03, 10.0], ['others', 1, nan, nan, nan]]
    """
    if by is not None and by not in _GROUPS:
        raise ConfigError(f"by={by!r} is not known; there are {list(_GROUPS)}.")
    known = known_records(service, as_of)
    rated = known[(known["kind"] == "complaint") & known["handling"].notna()]
    groups = rated[by].fillna("not stated").astype("str") if by else pd.Series("all", index=rated.index, dtype="str")
    sizes = groups.map(groups.value_counts())
    named = groups.where(sizes >= least, "others")
    rows = []
    for name, scores in rated["handling"].astype("float64").groupby(named):
        values = np.asarray(scores, dtype=np.float64)
        mean = _mean_interval(values, level, 0, 10) if len(values) >= least else Interval(np.nan, np.nan, np.nan)
        rows.append([name, len(scores), *mean])
    table = pd.DataFrame(rows, columns=[by or "who", "answers", "mean", "low", "high"])
    order = table[table.columns[0]].eq("others")
    return pd.concat(
        [table[~order].sort_values("mean", ascending=False, kind="stable"), table[order]], ignore_index=True
    )


def service_gap(service: ServiceRecords, as_of: str | date, least: int = 10, level: float = 0.95) -> pd.DataFrame:
    """Perception less expectation, where both were asked, by topic and over all.

    Returns
    -------
    DataFrame
        topic ("all" first), answers, perceived, expected, gap (perceived less expected, of the same answers), low, high. Topics
        with fewer than ``least`` answers are not shown.

    References
    ----------
    Parasuraman, Zeithaml & Berry (1988), SERVQUAL, Journal of Retailing 64(1), 12-40.

    Examples
    --------
    >>> desk = pd.DataFrame({"record_id": range(3), "customer_id": list("abc"), "kind": "survey", "recorded_at": "2017-05-01",
    ...     "score": [6, 7, 8], "expected": [8, 8, 8]})
    >>> service_gap(ServiceRecords.from_extract(desk), "2017-05-10", least=3)[["topic", "gap"]].values.tolist()
    [['all', -1.0]]
    """
    known = known_records(service, as_of)
    asked = known[(known["kind"] == "survey") & known["score"].notna() & known["expected"].notna()]
    chosen = [("all", asked), *((str(name), rows) for name, rows in asked.groupby("topic"))]
    rows = []
    for name, part in chosen:
        if len(part) < least:
            continue
        score, expected = (part[column].to_numpy(np.float64) for column in ("score", "expected"))
        gap = _mean_interval(score - expected, level, -10, 10)
        rows.append([name, len(part), float(score.mean()), float(expected.mean()), *gap])
    return pd.DataFrame(rows, columns=["topic", "answers", "perceived", "expected", "gap", "low", "high"])


def recovery_outcome(service: ServiceRecords, log: Transactions, days: int = 90, level: float = 0.95) -> pd.DataFrame:
    """Who bought again within ``days`` of a complaint: of those whose complaint was resolved by then, and of the others.

    Only complaints that are older than that. It is an association: complaints that are easily resolved may be the lighter ones.

    Returns
    -------
    DataFrame
        resolved (yes, no), complaints, share (who bought again), low, high (Wilson).

    References
    ----------
    Wilson (1927), Journal of the American Statistical Association 22, 209-212.

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": ["a", "a"], "purchased_at": ["2017-04-20", "2017-05-20"], "amount": 1.0})
    >>> desk = pd.DataFrame({"record_id": [1, 2], "customer_id": ["a", "b"], "kind": "complaint",
    ...     "recorded_at": "2017-05-01", "resolved_at": ["2017-05-03", None]})
    >>> log = Transactions.from_extract(till, until="2017-08-31")
    >>> recovery_outcome(ServiceRecords.from_extract(desk), log)[["resolved", "complaints", "share"]].values.tolist()
    [['yes', 1, 1.0], ['no', 1, 0.0]]
    """
    known = known_records(service, log.until - timedelta(days=days))
    cases = known[known["kind"] == "complaint"]
    cases = cases.assign(recorded_at=pd.to_datetime(cases["recorded_at"]))
    end = cases["recorded_at"] + pd.Timedelta(days=days)
    bought = purchases_of(log, cases["customer_id"].astype("str").drop_duplicates().tolist())
    bought = bought[bought["items"] > 0][["customer_id", "day"]]
    later = cases[["record_id", "customer_id", "recorded_at"]].merge(bought, on="customer_id")
    back = later[
        (later["day"] > later["recorded_at"]) & (later["day"] <= later["recorded_at"] + pd.Timedelta(days=days))
    ]
    came, resolved = cases["record_id"].isin(back["record_id"]), pd.to_datetime(cases["resolved_at"]) <= end
    rows = []
    for told, who in (("yes", resolved), ("no", ~resolved)):
        if who.any():
            rows.append([told, int(who.sum()), *_share_interval(int(came[who].sum()), int(who.sum()), level)])
    return pd.DataFrame(rows, columns=["resolved", "complaints", "share", "low", "high"])


def _mean_interval(values: Floats, level: float, least: float, most: float) -> Interval:
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return Interval(mean, np.nan, np.nan)
    width = float(stdtrit(n - 1, (1 + level) / 2)) * float(values.std(ddof=1)) / np.sqrt(n)
    return Interval(mean, max(mean - width, least), min(mean + width, most))


def _share_interval(k: int, n: int, level: float) -> Interval:
    """Wilson's interval of a share.

    >>> print(_share_interval(0, 10, 0.95))
    0 (0 to 0.2775)
    """
    z = float(ndtri((1 + level) / 2))
    centre, spread = (k + z * z / 2) / (n + z * z), z / (n + z * z) * np.sqrt(k * (n - k) / n + z * z / 4)
    return Interval(k / n, max(float(centre - spread), 0.0), min(float(centre + spread), 1.0))
