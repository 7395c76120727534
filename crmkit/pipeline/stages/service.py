"""What members told the service desk: on the customer row, and off the promotion list."""

from __future__ import annotations

from datetime import date

import pandas as pd

from crmkit.ingest.tables import ServiceRecords
from crmkit.pipeline.stage import stage
from crmkit.reports.blocks.service import service as service_block
from crmkit.segments.contact_lists import contact_lists
from crmkit.summaries.service import service_signals as signals_of


@stage("service_signals", "service_block")
def service_signals(service: pd.DataFrame, as_of: date) -> dict[str, object]:
    """Open complaints and satisfaction of each customer with a record."""
    signals = signals_of(ServiceRecords(service), as_of)
    return {"service_signals": signals, "service_block": service_block(signals)}


@stage("recovery")
def recovery_list(customers: pd.DataFrame, service: pd.DataFrame, as_of: date) -> dict[str, object]:
    """Whom to call first: customers with an open complaint, who get no promotion."""
    return {"recovery": contact_lists(customers, ServiceRecords(service), as_of)[1]}
