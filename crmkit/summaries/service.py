"""Service records as signals of one customer, and the index of satisfaction."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd

from crmkit._days import as_day
from crmkit.ingest.tables import ServiceRecords

__all__ = ["satisfaction_index", "service_signals"]

_PRIOR = 2.0
_HALF_LIFE = 180.0
_SIGNALS = ["open_complaints", "past_complaints", "n_answers", "satisfaction", "recovered"]


def service_signals(service: ServiceRecords, as_of: str | date) -> pd.DataFrame:
    """One row per customer with a record by the close of ``as_of``; nothing later is looked at.

    Parameters
    ----------
    service : ServiceRecords
    as_of : date
        A complaint is open when it was recorded by then and not resolved by then; neither a later ``resolved_at`` nor a
        later recovery on its topic counts.

    Returns
    -------
    DataFrame
        customer_id; open_complaints and past_complaints (all that were recorded, whether open or not); n_answers to
        surveys; satisfaction, as in `satisfaction_index`; recovered, complaints that were resolved.

    Examples
    --------
    >>> desk = pd.DataFrame({"record_id": [1, 2], "customer_id": ["a", "a"], "kind": ["complaint", "survey"],
    ...     "recorded_at": ["2017-05-01", "2017-05-03"], "score": [None, 2], "resolved_at": ["2017-06-01", None]})
    >>> records = ServiceRecords.from_extract(desk)
    >>> service_signals(records, "2017-05-20")[["open_complaints", "past_complaints"]].iloc[0].tolist()
    [1, 1]
    >>> service_signals(records, "2017-06-20")[["open_complaints", "past_complaints"]].iloc[0].tolist()
    [0, 1]
    """
    known = known_records(service, as_of)
    complaint = known["kind"] == "complaint"
    open_now = complaint & unresolved(known, as_of)
    counts = pd.DataFrame(
        {
            "customer_id": known["customer_id"],
            "open_complaints": open_now.astype(np.int64),
            "past_complaints": complaint.astype(np.int64),
            "n_answers": ((known["kind"] == "survey") & known["score"].notna()).astype(np.int64),
            "recovered": (complaint & ~open_now).astype(np.int64),
        }
    )
    table = counts.groupby("customer_id", as_index=False).sum()
    index = satisfaction_index(service, as_of).set_index("customer_id")["satisfaction"]
    table["satisfaction"] = table["customer_id"].map(index).fillna(0.0).astype(np.float64)
    return table[["customer_id", *_SIGNALS]]


def known_records(service: ServiceRecords, as_of: str | date) -> pd.DataFrame:
    """Records by the close of a day."""
    frame: pd.DataFrame = service.frame
    return frame[pd.to_datetime(frame["recorded_at"]) < _next_day(as_of)]


def _next_day(as_of: str | date) -> pd.Timestamp:
    return pd.Timestamp(as_day(as_of) + timedelta(days=1))


def unresolved(known: pd.DataFrame, as_of: str | date) -> pd.Series[bool]:
    """Complaints with no end by the close of a day: neither their own, nor a recovery of the customer on the topic."""
    resolved = pd.to_datetime(known["resolved_at"])
    keys = ["customer_id", "topic"]
    topic = known.assign(topic=known["topic"].fillna(""), recorded_at=pd.to_datetime(known["recorded_at"]))
    recovered = topic[topic["kind"] == "recovery"].groupby(keys)["recorded_at"].max().rename("recovered_at")
    last = topic.join(recovered, on=keys)["recovered_at"]
    later: pd.Series[bool] = ~((resolved < _next_day(as_of)) | (last >= topic["recorded_at"]))
    return later


def satisfaction_index(service: ServiceRecords, as_of: str | date) -> pd.DataFrame:
    """How much more satisfied than the average each customer has said to be, in standard deviations of one answer.

    Answers (0 to 10) fade with a half-life of 180 days; with w the sum of a customer's weights and d their weighted mean less
    the mean of all answers, the index is d / sd × w / (w + 2): two answers' worth of doubt (an empirical-Bayes mean).

    Parameters
    ----------
    service : ServiceRecords
    as_of : date

    Returns
    -------
    DataFrame
        customer_id, satisfaction (0 is the average), n_answers; only customers who answered.

    Examples
    --------
    >>> desk = pd.DataFrame({"record_id": range(4), "customer_id": list("aabc"), "kind": "survey",
    ...     "recorded_at": "2017-05-20", "score": [2, 4, 9, 9]})
    >>> satisfaction_index(ServiceRecords.from_extract(desk), "2017-05-20").round(2)["satisfaction"].tolist()
    [-0.49, 0.32, 0.32]
    """
    known = known_records(service, as_of)
    answers = known[(known["kind"] == "survey") & known["score"].notna()]
    if not len(answers):
        return pd.DataFrame({"customer_id": pd.Series(dtype="str"), "satisfaction": [], "n_answers": []})
    age = (pd.Timestamp(as_day(as_of)) - pd.to_datetime(answers["recorded_at"]).dt.normalize()).dt.days
    weight = 0.5 ** (age.to_numpy(dtype=np.float64) / _HALF_LIFE)
    score = answers["score"].to_numpy(dtype=np.float64)
    centred = (score - score.mean()) / (score.std() or 1.0)
    sums = pd.DataFrame({"w": weight, "wd": weight * centred, "n_answers": 1}).groupby(
        answers["customer_id"].to_numpy()
    )
    table = sums.sum()
    return pd.DataFrame(
        {
            "customer_id": table.index,
            "satisfaction": (table["wd"] / (table["w"] + _PRIOR)).to_numpy(),
            "n_answers": table["n_answers"].to_numpy(),
        }
    )


def together(topics: pd.Series[str]) -> str:
    return ", ".join(topic for topic in dict.fromkeys(topics) if topic)
