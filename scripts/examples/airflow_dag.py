"""The nightly run in Airflow: one task, which goes on where an earlier try stopped; what it published is passed on."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.decorators import dag, task  # type: ignore[import-not-found]
from airflow.exceptions import AirflowFailException  # type: ignore[import-not-found]

import crmkit as ck

CONFIG, OUT = "/srv/crm/crmkit.toml", "/srv/crm/out"


@dag(schedule="30 3 * * *", start_date=datetime(2026, 1, 1), catchup=False, max_active_runs=1)
def crmkit_nightly() -> None:
    """Score every member and publish."""

    @task(retries=3, retry_delay=timedelta(minutes=30))
    def run(data_interval_start: datetime | None = None) -> dict[str, Any]:
        assert data_interval_start is not None
        try:
            done = ck.run(CONFIG, OUT, as_of=data_interval_start.date())
        except (ck.ConfigError, ck.RefusedError) as error:  # trying again would change nothing
            raise AirflowFailException(str(error)) from error
        return {"folder": str(done.folder), "notes": done.notes, "rows": done.manifest["rows"]}

    run()


crmkit_nightly()
