"""What members told the service desk, and whom to win back."""

from __future__ import annotations

import pandas as pd

from crmkit.engine.tables import grouped, n_rows, total
from crmkit.reports.block import Block, Table
from crmkit.reports.formats import money, number

__all__ = ["service", "win_back"]


def service(signals: pd.DataFrame, *, currency: str = "") -> Block:
    """Open complaints and satisfaction; from ``service_signals``."""
    waiting = int((signals["open_complaints"] > 0).sum())
    table = pd.DataFrame(
        {
            "customers": [waiting, int((signals["past_complaints"] > 0).sum()), int((signals["n_answers"] > 0).sum())],
        },
        index=pd.Index(
            ["with an open complaint", "with a complaint, open or not", "who answered a survey"], name="who"
        ),
    )
    mean = signals["satisfaction"].mean()
    said = "" if pd.isna(mean) else f"The mean satisfaction index is {mean:.2f}. "
    return Block(
        "Service",
        f"{number(waiting)} customers have an open complaint",
        f"{said}They get no promotion and are listed in recovery.parquet, the most at risk first.",
        table=Table(table.reset_index()),
    )


def win_back(customers: pd.DataFrame, *, currency: str = "") -> Block:
    """Customers who are cooling, at risk, frozen or lost; from ``ChurnModel.win_back``."""
    table = grouped(customers, "flag", customers=("customer_id", "size"), value_at_risk=("value_at_risk", "sum"))
    return Block(
        "Win-back",
        f"{number(n_rows(customers))} customers to win back hold {money(total(customers, 'value_at_risk'), currency)} at risk",
        "They are listed in win_back.parquet with their reasons, the most value at risk first.",
        table=Table(table.sort_values("value_at_risk", ascending=False, ignore_index=True)),
    )
