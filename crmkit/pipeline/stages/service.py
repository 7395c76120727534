"""What members told the service desk: on the customer row, and off the promotion list."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pandas as pd

from crmkit.ingest.tables import ServiceRecords
from crmkit.pipeline.stage import stage
from crmkit.reports.blocks.service import handling as handling_block
from crmkit.reports.blocks.service import overdue as overdue_block
from crmkit.reports.blocks.service import service as service_block
from crmkit.segments.contact_lists import contact_lists
from crmkit.summaries.service import service_signals as signals_of
from crmkit.summaries.service_cases import handling_satisfaction, overdue_complaints, recovery_outcome, service_gap
from crmkit.transactions.log import Transactions

if TYPE_CHECKING:
    from crmkit.pipeline.settings import Desk


@stage("service_signals", "service_block")
def service_signals(service: pd.DataFrame, as_of: date) -> dict[str, object]:
    """Open complaints and satisfaction of each customer with a record."""
    signals = signals_of(ServiceRecords(service), as_of)
    return {"service_signals": signals, "service_block": service_block(signals)}


@stage(
    "overdue",
    "handling",
    "service_gap",
    "recovery_outcome",
    "overdue_block",
    "handling_block",
    may_fail=True,
    here=True,
)
def service_cases(log: Transactions, service: pd.DataFrame, as_of: date, *, desk: Desk) -> dict[str, object]:
    """Which complaints are overdue, how their handling was judged, what was expected, and who came back."""
    records = ServiceRecords(service)
    overdue, gap = overdue_complaints(records, as_of, desk.deadline), service_gap(records, as_of, desk.least)
    groups = {by: handling_satisfaction(records, as_of, by, desk.least) for by in ("responsible", "store", "topic")}
    outcome = recovery_outcome(records, log)
    named = [table.set_axis(["name", *table.columns[1:]], axis=1).assign(by=by) for by, table in groups.items()]
    rated = [table for table in named if len(table)]
    return {
        "overdue": overdue,
        "handling": pd.concat(rated, ignore_index=True) if rated else None,
        "service_gap": gap if len(gap) else None,
        "recovery_outcome": outcome if len(outcome) else None,
        "overdue_block": overdue_block(overdue),
        "handling_block": handling_block(
            handling_satisfaction(records, as_of, None, desk.least), groups, gap, outcome, desk.least
        ),
    }


@stage("recovery")
def recovery_list(customers: pd.DataFrame, service: pd.DataFrame, as_of: date) -> dict[str, object]:
    """Whom to call first: customers with an open complaint, who get no promotion."""
    return {"recovery": contact_lists(customers, ServiceRecords(service), as_of)[1]}
