"""How far the models can be trusted."""

from __future__ import annotations

import pandas as pd

from crmkit.churn.backtest import ChurnBacktest
from crmkit.evaluation.backtest import Backtest
from crmkit.evaluation.selection import ModelChoice
from crmkit.reports.block import Block, Table
from crmkit.reports.formats import label

__all__ = ["backtest", "choice", "churn_targeting", "judged"]

_MODELS = {"BG/NBD", "MBG/NBD", "Pareto/NBD", "NBD", "BG/BB", "BG/CNBD-k", "MBG/CNBD-k", "Poisson-Gamma", "MPG"}
_MANY = 4  # more models than these are told by the scores that decide
_DECIDING = (
    *("rmse_value", "mae_value", "bias_of_total_value", "top_decile_share_of_value"),
    *("log_loss", "auc", "ece", "recall@10", "precision@10"),
)


def backtest(check: Backtest, *, currency: str = "") -> Block:
    """A model's predictions against what happened."""
    return Block(
        f"Backtest of {check.subject}",
        judged(check).removesuffix("."),
        check.verdict,
        check.display,
        Table(_scores(check.mean)),
        (Table(check.display.table, "Data of the figure"), Table(check.scores, "Every origin")),
        verdict=check.verdict,
        judged=judged(check),
    )


def judged(check: Backtest) -> str:
    """The verdict in a few words: whether the model is better than the best of what it is compared with."""
    mean, model, rival = check.mean[check.metric], str(check.mean.index[0]), check.rival
    named = f"the model {rival}" if rival in _MODELS else f"the simple rule “{rival}”"
    if check.difference and check.difference.low <= 0 <= check.difference.high:
        return f"{check.subject}: no better than {named}, beyond chance."
    if mean[model] < mean[rival]:
        return f"{check.subject}: better than the best alternative, {named}."
    return f"{check.subject}: worse than {named}; go by that."


def choice(found: ModelChoice, used: str, *, currency: str = "") -> Block:
    """Which purchase model values the customers, and how the others did, the rules that need no model among them."""
    ratios = found.table["rmse_ratio"]
    better = f"; the rule “{found.name}” was nearer to the money spent" if found.name != used else ""
    past = found.scores.loc[found.scores["role"] == "choice", "origin"].nunique()
    return Block(
        "Choice of the value model",
        f"{used} values the customers{better}",
        f"At {past} earlier origin{'s' * (past > 1)} the error of {used} was {ratios[used]:.3f} of that of predicting 0 (root mean "
        f"squared error of the money spent); the best of all tried, {found.name}, had {ratios[found.name]:.3f}. A rule gives no "
        "interval and no probability of coming back, so the best model is used.",
        table=Table(found.table.rename_axis("candidate").reset_index()),
        more=(
            Table(found.holdout.rename_axis("candidate").reset_index(), "At the last origin, which decided nothing"),
        ),
    )


def _scores(mean: pd.DataFrame) -> pd.DataFrame:
    if len(mean) > _MANY:
        return mean[[name for name in _DECIDING if name in mean]].rename_axis("model").reset_index()
    scores = mean.T.rename_axis("score").reset_index()
    return scores.assign(score=scores["score"].map(label))


def churn_targeting(check: ChurnBacktest, *, currency: str = "") -> Block:
    """What the best tenth of the churn list holds."""
    gains = check.gains.table
    tenth = gains[gains["share_of_rows"] == 0.1].set_index("list")["share_of_outcome"]
    lists = ", ".join(f"{name} {share:.0%}" for name, share in tenth.items())
    return Block(
        "Churn targeting",
        f"The tenth of the customers with most at risk held {tenth.iloc[0]:.0%} of the money that was lost",
        f"Share of the money lost that was held by the first tenth of each list: {lists}.",
        check.gains,
        Table(gains[gains["share_of_rows"].isin([0.1, 0.2, 0.5])]),
        (Table(gains, "The curves"),),
    )
