"""Who may be written to, who is to be called, who is left in peace."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pandas as pd

from crmkit._checks import require_columns
from crmkit.engine.choose import engine_of
from crmkit.engine.frames import is_spark
from crmkit.ingest.tables import ServiceRecords
from crmkit.summaries.service import known_records, satisfaction_index, together, unresolved

if TYPE_CHECKING:
    from crmkit.engine.frames import Frame, SparkFrame

__all__ = ["contact_lists"]


def contact_lists(customers: Frame, service: ServiceRecords, as_of: str | date) -> tuple[Frame, Frame]:
    """Who may get promotions, and whom to call first: customers with an open complaint leave the one for the other.

    Parameters
    ----------
    customers : pandas or Spark DataFrame
        One row per customer, with customer_id; value_at_risk, where there is one, orders the recovery list.
    service : ServiceRecords
    as_of : date

    Returns
    -------
    promotion : DataFrame
        The rows of ``customers`` without an open complaint, in their order.
    recovery : DataFrame
        The others, with open_complaints, oldest_complaint (its date), topics and satisfaction, the most at risk first;
        also complainants who are not in ``customers``. Of a Spark DataFrame both are.

    Raises
    ------
    ContractError
        ``customers`` has no customer_id.

    Examples
    --------
    >>> desk = pd.DataFrame({"record_id": [1], "customer_id": ["a"], "recorded_at": ["2017-05-01"], "kind": ["complaint"]})
    >>> members = pd.DataFrame({"customer_id": ["a", "b"], "value_at_risk": [5.0, 7.0]})
    >>> promotion, recovery = contact_lists(members, ServiceRecords.from_extract(desk), "2017-05-20")
    >>> promotion["customer_id"].tolist(), recovery["customer_id"].tolist()
    (['b'], ['a'])
    """
    require_columns(list(customers.columns), ["customer_id"])
    known = known_records(service, as_of)
    complaints = known[(known["kind"] == "complaint") & unresolved(known, as_of)]
    topics = complaints.assign(topic=complaints["topic"].fillna("")).sort_values("recorded_at")
    waiting = topics.groupby("customer_id", as_index=False).agg(
        open_complaints=("record_id", "size"), oldest_complaint=("recorded_at", "min"), topics=("topic", together)
    )
    index = satisfaction_index(service, as_of)[["customer_id", "satisfaction"]]
    waiting = waiting.merge(index, how="left", on="customer_id")
    order = [name for name in ("value_at_risk", "open_complaints") if name in (*waiting, *customers.columns)]
    if is_spark(customers):
        return _on_spark(customers, waiting, order)
    about = customers.drop(columns=[name for name in waiting if name != "customer_id"], errors="ignore")
    recovery = waiting.merge(about, how="left", on="customer_id")
    recovery = recovery.sort_values([*order, "customer_id"], ascending=[False] * len(order) + [True], ignore_index=True)
    return customers[~customers["customer_id"].isin(waiting["customer_id"])], recovery


def _on_spark(customers: SparkFrame, waiting: pd.DataFrame, order: list[str]) -> tuple[SparkFrame, SparkFrame]:
    engine = engine_of(customers)
    days = waiting.assign(oldest_complaint=waiting["oldest_complaint"].dt.strftime("%Y-%m-%d %H:%M:%S"))
    named = ", ".join(
        f"cast({name} as timestamp_ntz) as {name}" if name == "oldest_complaint" else str(name) for name in days
    )
    complainants = engine.query(f"select {named} from {engine.register(days)}")
    about = customers.drop(*(str(name) for name in waiting if name != "customer_id"))
    recovery = complainants.join(about, "customer_id", "left")
    recovery = recovery.orderBy(*(recovery[name].desc_nulls_last() for name in order), "customer_id")
    return customers.join(complainants, "customer_id", "left_anti"), recovery
