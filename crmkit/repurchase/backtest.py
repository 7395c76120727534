"""The next purchase at past origins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from crmkit._types import Interval
from crmkit.evaluation import metrics
from crmkit.evaluation.backtest import Backtest, backtest_of
from crmkit.evaluation.displays import reliability_of
from crmkit.evaluation.value import OFTEN
from crmkit.exceptions import ModelError
from crmkit.repurchase import baselines as timing_baselines
from crmkit.repurchase.next_purchase import NextPurchase
from crmkit.summaries.purchase_history import PurchaseHistory, as_text, purchase_history
from crmkit.transactions.log import Transactions

_REGULAR = 3
_LIST = 10


# -- Next purchase ---------------------------------------------------------------------------------------------------


@backtest_of.register
def _next_purchase(model: NextPurchase, log: Transactions, origins: list[date], ahead: int) -> Backtest:
    rows, answers = [], []
    item = model.item.removesuffix("_id")
    for origin, known in _answers(model, log, origins, ahead, f"{item} base rate"):
        if not len(known):
            raise ModelError(f"No customer has bought any {item} on {_REGULAR} days by {origin}: nothing to score.")
        names = [_HAZARD, f"{item} base rate", *_RIVALS, _FREQUENT]
        for name in names:
            scores = metrics.probability_scores(known["bought"], known[name])
            rows.append({"origin": origin, "model": name, **scores, **_list_scores(known, name)})
        answers.append(known.assign(origin=origin))
    told = pd.concat(answers, ignore_index=True)
    check = Backtest(
        "Next purchase",
        ahead,
        pd.DataFrame(rows),
        reliability_of(told, "bought", names[:2]),
        "log_loss",
        scope=f" (of what a member bought on {_REGULAR} days or more)",
    )
    return replace(check, difference=_difference(told, check.rival))


def _difference(told: pd.DataFrame, rival: str) -> Interval:
    """Log-loss of the hazard less a rival's, with an interval by customer: what one member buys hangs together."""
    own, other = (metrics.row_losses(told["bought"], told[name]) for name in (_HAZARD, rival))
    return metrics.loss_difference(own, other, told["origin"], told["customer_id"])


_HAZARD = "weekly hazard"
_FREQUENT = "own frequency (P-TopFreq)"
_RIVALS: Mapping[str, Callable[[pd.DataFrame, int], Any]] = {
    "own mean interval": timing_baselines.own_interval,
    "Poisson-Gamma": timing_baselines.poisson_gamma,
    "MPG": timing_baselines.amazon_mpg,
}


def _answers(
    model: NextPurchase, log: Transactions, origins: list[date], ahead: int, base_rate: str
) -> Iterator[tuple[date, pd.DataFrame]]:
    """What the model and its rivals said of the regular pairs at each origin, and which were bought."""
    keys = ["customer_id", "item"]
    with purchase_history(log, model.levels, model.exclude) as whole:
        history = whole.remembering()
        for origin in origins:
            fitted = clone(model).fit_history(history, origin)
            due = fitted.predict_history(history, origin, ahead)
            due = due.rename(columns={model.item: "item", "p_purchase": _HAZARD})[[*keys, _HAZARD]]
            known = _rivals(history, origin, ahead, base_rate).merge(due, on=keys)
            bought = history.bought(origin, ahead).assign(bought=1.0)
            yield origin, known.merge(bought, how="left", on=keys).fillna({"bought": 0.0})


def _rivals(history: PurchaseHistory, origin: date, ahead: int, base_rate: str) -> pd.DataFrame:
    """What each rule that needs no model says of the regular pairs at an origin, from what was known then."""
    state = history.state(origin)
    (past,) = map(as_text, history.panel(origin, [ahead]))
    regular, learned = (table[table["frequency"] >= _REGULAR - 1] for table in (state, past))
    said = {name: pd.Series(rule(state, ahead), index=state.index) for name, rule in _RIVALS.items()}
    return (
        regular[["customer_id", "item"]]
        .assign(**{name: said[name] for name in said})
        .assign(**{base_rate: timing_baselines.base_rate(regular, ahead, learned)})
        .assign(**{_FREQUENT: _by_frequency_of_purchase(regular, learned, ahead)})
    )


def _by_frequency_of_purchase(state: pd.DataFrame, past: pd.DataFrame, ahead: int) -> pd.Series[float]:
    """The ranking of P-TopFreq as a probability: the share bought a horizon before, among pairs bought as often."""
    often, before = (timing_baselines.p_topfreq(table).clip(max=OFTEN) for table in (state, past))
    rates = (past["wait"] <= ahead).groupby(before).agg(["sum", "size"])
    overall = metrics.jeffreys_share(past["wait"] <= ahead)
    share = (rates["sum"] + overall) / (rates["size"] + 1)
    return pd.Series(often, index=state.index).map(share).fillna(overall)


def _list_scores(due: pd.DataFrame, name: str) -> dict[str, float]:
    if not due["bought"].any():
        return {f"recall@{_LIST}": np.nan, f"precision@{_LIST}": np.nan}
    arguments = (due["customer_id"], due["bought"], due[name], _LIST)
    return {
        f"recall@{_LIST}": metrics.recall_at_k(*arguments),
        f"precision@{_LIST}": metrics.precision_at_k(*arguments),
    }
