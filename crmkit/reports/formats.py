"""How numbers are written, on the page and in the workbook: what a column holds is told by its name and type, once."""

from __future__ import annotations

from typing import Any, SupportsFloat

import pandas as pd

__all__ = ["EXCEL", "in_html", "kind_of", "label", "money", "number"]

_SHARES = ("share", "p_", "mean_p_", "median_p")
_SHARES_TOO = ("growth", "bias_of_total_value", "bias_of_total", "deal_share_change", "coverage")

_MONEY = {"amount", "budget", "cost", "discounts", "loss", "price", "revenue", "sales", "spent", "total_spend", "value"}
"""Two digits, however little it is."""

_DIGITS = {"whole": 0, "number": 2, "small": 3}
"""Digits after the point, all through a column."""

_LABELS = {
    "auc": "AUC",
    "base_rate": "base rate",
    "bias_of_total": "bias of the total",
    "by_basket": "by items taken",
    "by_customers": "by number of customers",
    "by_frequency": "by visits",
    "by_price": "by prices",
    "mae": "mean error, money",
    "rmse": "RMSE, money",
    "rmse_ratio": "RMSE / RMSE of predicting 0",
    "capture": "money captured",
    "deal_share": "bought on a deal",
    "deal_share_change": "change in half a year",
    "share_rising": "customers with whom it rises",
    "n_purchases": "purchase days",
    "value_at_risk": "money at risk",
    "p_churn": "risk",
    "reason_1": "reason",
    "flag": "state",
    "bias_of_total_value": "bias of the total",
    "brier": "Brier score",
    "correlation_purchases": "correlation, purchases",
    "correlation_value": "correlation, money",
    "ece": "calibration error",
    "empc": "expected maximum profit",
    "log_loss": "log-loss",
    "mae_purchases": "mean error, purchases",
    "mae_value": "mean error, money",
    "mean_p_churn": "mean risk",
    "median_p": "median probability",
    "p_purchase": "probability",
    "p_redeem": "probability of redemption",
    "p_stopped": "probability of having stopped",
    "pr_auc": "area under precision-recall",
    "rmse_purchases": "RMSE, purchases",
    "rmse_value": "RMSE, money",
    "top_decile_lift": "lift of the top tenth",
    "top_decile_share_of_value": "money in the top tenth",
    "value_captured": "money captured",
}


def label(name: object) -> str:
    """A column's name, or a score's, as one reads it.

    >>> label("mae_value"), label("total_spend")
    ('mean error, money', 'total spend')
    """
    return _LABELS.get(str(name), str(name).replace("_", " "))


EXCEL = {
    "text": "@",
    "date": "yyyy-mm-dd",
    "month": "mmm yyyy",
    "share": "0.0%",
    "whole": "#,##0",
    "number": "#,##0.00",
    "small": "0.000",
}
"""Kind of a column → number format of a spreadsheet."""
_PERIODS = ("period", "cohort", "month")


def kind_of(column: pd.Series) -> str:
    """What a column holds: text (ids too), date, month, share, whole (numbers), number, or small (between -1 and 1).

    >>> kind_of(pd.Series([7], name="customer_id")), kind_of(pd.Series([0.25], name="share_of_value"))
    ('text', 'share')
    >>> from decimal import Decimal
    >>> kind_of(pd.Series([Decimal("4.3800")])), kind_of(pd.Series([0.3], name="cost")), kind_of(pd.Series([0.3]))
    ('number', 'number', 'small')
    """
    name = str(column.name)
    if name.endswith("_id") or pd.api.types.is_bool_dtype(column) or not _is_number_or_day(column):
        return "text"
    if pd.api.types.is_datetime64_any_dtype(column):
        return "month" if name in _PERIODS and len(column) > 1 and (column.dropna().dt.day == 1).all() else "date"
    if name in _SHARES_TOO or name.startswith(_SHARES) or "_share_of_" in name or name.endswith("_share"):
        return "share"
    if pd.api.types.is_integer_dtype(column):
        return "whole"
    return "small" if 0 < column.abs().max() <= 1 and name not in _MONEY else "number"


def _is_number_or_day(column: pd.Series) -> bool:
    types = pd.api.types
    return (
        types.is_numeric_dtype(column)
        or types.is_datetime64_any_dtype(column)
        or types.infer_dtype(column) == "decimal"
    )


def in_html(kind: str, value: Any) -> str:
    """A cell of the page.

    >>> in_html("share", 0.256), in_html("number", 1234.5), in_html("number", 7.887), in_html("text", None)
    ('25.6%', '1,234.50', '7.89', '–')
    """
    if pd.isna(value):
        return "–"
    if kind == "share":
        return f"{value:.1%}"
    if kind == "date":
        return f"{value:%d %b %Y}"
    if kind == "month":
        return f"{value:%b %Y}"
    if kind == "text":
        return str(value)
    if kind in _DIGITS and abs(value) != float("inf"):
        return f"{value:,.{_DIGITS[kind]}f}"
    return number(value)


def number(value: SupportsFloat) -> str:
    """A number as one reads it: more digits where it is small.

    >>> number(2), number(0.1234), number(4.38), number(12.345), number(123456.7)
    ('2', '0.123', '4.38', '12.35', '123,457')
    """
    found = float(value)
    if abs(found) >= 1000 or found == round(found):
        return f"{found:,.0f}"
    return f"{found:,.2f}" if abs(found) >= 1 else f"{found:,.3f}"


def money(value: SupportsFloat, currency: str) -> str:
    """An amount in words; cents where it is small.

    >>> money(4500.4, "USD"), money(12.5, "USD"), money(3, "")
    ('USD 4,500', 'USD 12.50', '3.00')
    """
    amount = float(value)
    return f"{currency} {amount:,.0f}".strip() if abs(amount) >= 1000 else f"{currency} {amount:,.2f}".strip()
