"""Scores of predictions, by what is predicted: probabilities, rankings, waiting times, money; and their intervals."""

from crmkit._types import Interval
from crmkit.evaluation.metrics.intervals import (
    bootstrap_draws,
    bootstrap_interval,
    jeffreys_share,
    loss_difference,
    paired_difference,
)
from crmkit.evaluation.metrics.money import (
    MaximumProfit,
    bias_of_total,
    correlation,
    expected_maximum_profit,
    gains_table,
    mean_absolute_error,
    value_captured,
)
from crmkit.evaluation.metrics.probabilities import (
    average_precision,
    brier_score,
    calibration_error,
    lift_at,
    log_loss,
    probability_scores,
    reliability_line,
    reliability_table,
    roc_auc,
    row_losses,
    top_decile_lift,
)
from crmkit.evaluation.metrics.ranking import ndcg_at_k, precision_at_k, recall_at_k
from crmkit.evaluation.metrics.waiting_times import concordance, crps_days, interval_coverage, pinball_days

__all__ = [
    "Interval",
    "MaximumProfit",
    "average_precision",
    "bias_of_total",
    "bootstrap_draws",
    "bootstrap_interval",
    "brier_score",
    "calibration_error",
    "concordance",
    "correlation",
    "crps_days",
    "expected_maximum_profit",
    "gains_table",
    "interval_coverage",
    "jeffreys_share",
    "lift_at",
    "log_loss",
    "loss_difference",
    "mean_absolute_error",
    "ndcg_at_k",
    "paired_difference",
    "pinball_days",
    "precision_at_k",
    "probability_scores",
    "recall_at_k",
    "reliability_line",
    "reliability_table",
    "roc_auc",
    "row_losses",
    "top_decile_lift",
    "value_captured",
]
