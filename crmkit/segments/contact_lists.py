"""Who may be written to, who is to be called, who is left in peace."""

from __future__ import annotations

from datetime import date

import pandas as pd

from crmkit._checks import require_columns
from crmkit.ingest.tables import ServiceRecords
from crmkit.summaries.service import known_records, satisfaction_index, together, unresolved

__all__ = ["contact_lists"]


def contact_lists(
    customers: pd.DataFrame, service: ServiceRecords, as_of: str | date
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Who may get promotions, and whom to call first: customers with an open complaint leave the one for the other.

    Parameters
    ----------
    customers : DataFrame
        One row per customer, with customer_id; value_at_risk, where there is one, orders the recovery list.
    service : ServiceRecords
    as_of : date

    Returns
    -------
    promotion : DataFrame
        The rows of ``customers`` without an open complaint, in their order.
    recovery : DataFrame
        The others, with open_complaints, oldest_complaint (its date), topics and satisfaction, the most at risk first;
        also complainants who are not in ``customers``.

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
    require_columns(customers, ["customer_id"])
    known = known_records(service, as_of)
    complaints = known[(known["kind"] == "complaint") & unresolved(known, as_of)]
    topics = complaints.assign(topic=complaints["topic"].fillna("")).sort_values("recorded_at")
    waiting = topics.groupby("customer_id", as_index=False).agg(
        open_complaints=("record_id", "size"), oldest_complaint=("recorded_at", "min"), topics=("topic", together)
    )
    index = satisfaction_index(service, as_of)[["customer_id", "satisfaction"]]
    recovery = waiting.merge(index, how="left", on="customer_id").merge(customers, how="left", on="customer_id")
    order = [name for name in ("value_at_risk", "open_complaints") if name in recovery.columns]
    recovery = recovery.sort_values([*order, "customer_id"], ascending=[False] * len(order) + [True], ignore_index=True)
    return customers[~customers["customer_id"].isin(waiting["customer_id"])], recovery
