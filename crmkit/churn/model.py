"""`ChurnModel`: the probability that a customer will not buy in the next H days, the money at stake, and why."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from crmkit._types import Floats
from crmkit.churn import documents as churn_files
from crmkit.churn._logistic_math import log_odds
from crmkit.churn.base_rates import base_rates, year_ago, year_ago_in_words
from crmkit.churn.estimators import ChurnClassifier, ChurnLogistic
from crmkit.churn.features import THEMES, customer_features
from crmkit.churn.flags import changed_thresholds, flags_of, proposed_thresholds, unusual_silence
from crmkit.churn.reasons import TELLING, WORDS, largest, plain_reasons, silence_in_words
from crmkit.churn.selection import BOOSTERS, RARE, candidates, choose, warn_of_leaks
from crmkit.churn.training import BTYD, WARM_UP, Panel, fitted_btyd, further_terms, service_effects
from crmkit.engine.frames import of_rows
from crmkit.exceptions import ContractError, ModelError
from crmkit.ingest.tables import ServiceRecords
from crmkit.models.bgnbd import BGNBD
from crmkit.models.gamma_gamma import GammaGamma
from crmkit.models.scoring import fit_customers
from crmkit.summaries.snapshots import Snapshots, snapshots
from crmkit.transactions.log import Transactions

__all__ = ["ChurnModel", "load_churn_model"]


SMALL, MOST = 200, 50_000

_ANSWERS = "customer_id string, p_churn double, value_at_risk double, reason_1 string, reason_2 string, reason_3 string"


class ChurnModel(BaseEstimator):  # type: ignore[misc]
    """P(no purchase on days as_of + 1 … as_of + horizon), by whichever model proved best at earlier days.

    Churn is silence: not having dropped out is not enough, an active customer may also just not come. That is why this
    is not 1 − P(alive), which calls every one-time buyer safe.

    A buy-till-you-die model answers for a small base (fewer than 200 customers, or too short a log). With more, a logistic
    regression that starts from its answer, and from 500 customers the mean of that and of boosted trees on the log-odds
    scale, are fitted on a panel of past days 14 days apart (four weeks apart over a whole year, with date terms, when the
    log is long enough). One is taken when it beat the buy-till-you-die model by more than a standard error at the newest day
    whose outcome is known: fitted on what was known before it or, while that is little, on other customers; see ``choice_``.

    Parameters
    ----------
    horizon : int
        Days ahead.
    booster : str
        Who grows the trees: "scikit-learn", or "lightgbm", an optional package (pip install 'crmkit[lightgbm]').

    Attributes
    ----------
    estimator_ : ChurnClassifier or a buy-till-you-die model
        The estimator over the table of features (``features(log)``), or over that of `btyd_summary`.
    choice_ : DataFrame
        candidate, log_loss, auc, ece, gain (in log-loss over the best buy-till-you-die model; without a whole year of days,
        every mean is moved to what was observed first), standard_error, chosen.
    note_ : str
        What was chosen, and why.
    purchases_ : BGNBD, MBGNBD or ParetoNBD
        The buy-till-you-die model at ``as_of``.
    spend_ : GammaGamma
        Expected money per purchase, for the value at risk.
    base_rates_ : DataFrame
        day, n, observed and predicted share of silent customers, and shift, the log-odds between: one row a past day.
    effects_ : DataFrame
        term, coefficient (log-odds per unit), low, high: 95 % intervals by customer. Empty for a buy-till-you-die model.
    service_effects_ : DataFrame
        The same of the service signals alone, given all other features, whatever was chosen; empty without records.
    thresholds_ : dict
        Days of silence after which a customer is frozen, or lost, and the probabilities from which one is cooling, or at
        risk; proposed at the first fit from the longest gaps that ended in a purchase, and kept by later fits of this
        object until changed by `set_thresholds`.
    partial_ : ChurnLogistic or None
        Of those who come, who will spend, or buy of categories, less than half of before.

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": list("aaabbbcd"), "amount": [10.0] * 7 + [12.0], "purchased_at":
    ...     ["2017-01-01", "2017-01-09", "2017-01-15", "2017-01-02", "2017-02-10", "2017-03-18", "2017-01-20", "2017-03-01"]})
    >>> log = Transactions.from_extract(till, until="2017-03-31")
    >>> import warnings
    >>> with warnings.catch_warnings():  # four customers: the weak prior says so
    ...     warnings.simplefilter("ignore")
    ...     model = ChurnModel(horizon=30).fit(log)
    >>> model.predict(log).loc[0, "reason_1"]
    'silent 75 days, usually buys every 7'
    >>> print(model.note_)
    BG/NBD: 4 customers are a small base (fewer than 200).
    """

    def __init__(self, horizon: int = 30, booster: str = "scikit-learn") -> None:
        self.horizon = horizon
        self.booster = booster

    @property
    def backtest_horizon(self) -> int:
        """Days ahead of a backtest that states none."""
        return self.horizon

    # -- fit ---------------------------------------------------------------------------------------------------------

    def fit(self, log: Transactions, as_of: str | date | None = None, service: ServiceRecords | None = None) -> Self:
        """Learn from what happened up to the close of ``as_of`` (default: the log's ``until``).

        Parameters
        ----------
        log : Transactions
        as_of : date, optional
        service : ServiceRecords, optional
            Complaints and answers; only what was recorded by a past day is known on it.

        Raises
        ------
        ModelError
            The horizon is no number of days, the booster not known, or nobody bought twice.
        LeakError
            ``as_of`` is after the log's last day.

        Warns
        -----
        CrmkitWarning
            The answer at the past day was too good (AUC above 0.97, or above 0.95 by one feature alone): something of the
            outcome may be in the features.
        """
        if not (self.horizon >= 1 and self.horizon == int(self.horizon)):
            raise ModelError(f"horizon={self.horizon} is not a number of days of at least 1.")
        if self.booster not in BOOSTERS:
            raise ModelError(f"booster={self.booster!r} is not known; there are {list(BOOSTERS)}.")
        with snapshots(log) as shop:
            top = shop.day(as_of)
            state = shop.state(top)
            self.purchases_ = fit_customers(BGNBD(), state)
            self.spend_ = fit_customers(GammaGamma(), state)
            if not hasattr(self, "thresholds_"):
                self.thresholds_ = proposed_thresholds(state, self.horizon)
            self._stay_simple()
            if why := _too_small(state, shop, top, self.horizon):
                self.note_ = f"BG/NBD: {why}."
                return self
            if len(state) <= MOST:
                self._learn(Panel(shop, top, self.horizon, service), state)
                return self
        with snapshots(log, share=MOST / len(state)) as part:
            self._learn(Panel(part, top, self.horizon, service), state)
        return self

    def _stay_simple(self) -> None:
        self.estimator_: Any = self.purchases_
        self.note_ = ""
        self.choice_ = pd.DataFrame(columns=["candidate", "log_loss", "auc", "ece", "gain", "standard_error", "chosen"])
        self.base_rates_ = pd.DataFrame(columns=["day", "n", "observed", "predicted", "shift"])
        self.effects_ = pd.DataFrame(columns=["term", "coefficient", "low", "high"])
        self.service_effects_ = self.effects_
        self.partial_: ChurnLogistic | None = None
        self.season_, self.service_ = False, False

    def _learn(self, panel: Panel, state: pd.DataFrame) -> None:
        """Choose at the newest past day, fit the choice on all of them."""
        self.season_, self.service_ = panel.season, panel.service is not None
        test = panel.table(panel.newest)
        if min(test["label"].sum(), (1 - test["label"]).sum()) < RARE:
            self.note_ = f"BG/NBD: fewer than {RARE} customers were silent, or came, after {panel.date(panel.newest)}."
            return
        chosen, self.choice_, self.note_ = choose(panel, len(state), self.booster)
        warn_of_leaks(self.choice_, test)
        rows = pd.concat([panel.table(day) for day in panel.days(panel.newest)], ignore_index=True)
        if chosen in BTYD:
            self.estimator_ = self.purchases_ = fitted_btyd(chosen, state) or self.purchases_
        else:
            self.estimator_ = candidates(self.booster)[chosen].fit(
                rows[panel.features], rows["label"], groups=rows["customer_id"]
            )
            self.effects_ = self.estimator_.estimators_[0].effects()
        if self.service_:
            self.service_effects_ = service_effects(rows, panel.features)
        self.partial_ = _partial(rows, panel.features)
        z = self._log_odds(rows, rows[panel.features])
        self.base_rates_ = base_rates(z, rows["label"], rows["day"], panel.date)
        self.note_ += year_ago_in_words(self.base_rates_, panel.date(panel.top))

    # -- predict -----------------------------------------------------------------------------------------------------

    def predict(self, log: Transactions, as_of: str | date | None = None, service: ServiceRecords | None = None) -> Any:
        """One row per customer with a purchase up to ``as_of``.

        Returns
        -------
        DataFrame
            customer_id; p_churn in [0, 1]; value_at_risk, p_churn × the money expected within the horizon if the
            customer is active; reason_1 … reason_3 in words, empty where there is none. Of a log that is `on_spark` a
            Spark DataFrame, computed where the rows are when it is used; executors need crmkit.
        """
        check_is_fitted(self, "estimator_")
        with snapshots(log) as shop:
            state = shop.far_state(as_of) if log.on_spark else shop.state(as_of)
        return of_rows(state, partial(self._answers, as_of=self._day(log, as_of), service=service), _ANSWERS)

    def _answers(self, state: pd.DataFrame, as_of: date, service: ServiceRecords | None) -> pd.DataFrame:
        table = self.features_of(state, as_of, service)
        p = self.probability(state, table, as_of)
        return pd.DataFrame(
            {
                "customer_id": state["customer_id"],
                "p_churn": p,
                "value_at_risk": p * self.value_if_active(state),
                **self._reasons(state, table),
            }
        )

    def probability(self, state: pd.DataFrame, table: pd.DataFrame, as_of: date | None = None) -> Floats:
        """P(no purchase within the horizon) from tables that are there already: no log is read.

        Parameters
        ----------
        state : DataFrame
            From ``snapshots(log).state(as_of)``.
        table : DataFrame
            From `features_of`.
        as_of : date, optional
            The day of the tables; the base rate of the same window a year before corrects the answer where it is known.
        """
        z = self._log_odds(state, table) + (self.year_ago(as_of) if as_of else 0.0)
        return np.asarray(expit(z), dtype=np.float64)

    def year_ago(self, as_of: date) -> float:
        """What the same window a year before adds to the log-odds; 0 where it is unknown, or no more than noise."""
        return year_ago(self.base_rates_, as_of)

    def value_if_active(self, state: pd.DataFrame) -> pd.Series[float]:
        """Money within the horizon of a customer who has not dropped out: (r + x)/(α + T) × H × spend."""
        r, alpha = self.purchases_.params_["r"], self.purchases_.params_["alpha"]
        purchases = (r + state["frequency"]) / (alpha + state["T"]) * self.horizon
        value: pd.Series[float] = purchases * self.spend_.expected_value(state)
        return value

    def probability_within(
        self,
        log: Transactions,
        horizons: Sequence[int],
        as_of: str | date | None = None,
        service: ServiceRecords | None = None,
    ) -> pd.DataFrame:
        """P(no purchase) for other horizons than the fitted one: it falls as they grow, for every customer.

        The log-odds that the fitted model adds to the buy-till-you-die model's at its own horizon are added at all others.

        Parameters
        ----------
        log, as_of, service
            As in `predict`.
        horizons : sequence of int
            Days ahead, at least 1 each; else a ModelError.

        Returns
        -------
        DataFrame
            customer_id, and one column for each of ``horizons``, named by it.
        """
        if not all(days >= 1 and days == int(days) for days in horizons):
            raise ModelError(f"horizons={list(horizons)} must be numbers of days of at least 1.")
        state, table = self._look(log, as_of, service)
        silent = self.purchases_.probability_no_purchase
        added = log_odds(self.probability(state, table, self._day(log, as_of))) - log_odds(silent(state, self.horizon))
        curves = {days: expit(log_odds(silent(state, days)) + added) for days in horizons}
        return pd.DataFrame({"customer_id": state["customer_id"]} | curves)

    def features(
        self, log: Transactions, as_of: str | date | None = None, service: ServiceRecords | None = None
    ) -> pd.DataFrame:
        """The table of features that ``estimator_`` reads, with customer_id in front."""
        state, table = self._look(log, as_of, service)
        table.insert(0, "customer_id", state["customer_id"])
        return table

    def features_of(self, state: pd.DataFrame, as_of: date, service: ServiceRecords | None = None) -> pd.DataFrame:
        """The same from a state that is there already."""
        if self.service_ and service is None:
            raise ModelError("This model was fitted with service records. Give them: predict(log, service=records).")
        silent = log_odds(self.purchases_.probability_no_purchase(state, self.horizon))
        known = service if self.service_ else None
        more = further_terms(state, as_of, self.horizon, self.season_, known)
        return customer_features(state, self.horizon, silent, more)

    def _look(
        self, log: Transactions, as_of: str | date | None, service: ServiceRecords | None
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        check_is_fitted(self, "estimator_")
        with snapshots(log) as shop:
            state = shop.state(as_of)
        return state, self.features_of(state, self._day(log, as_of), service)

    @staticmethod
    def _day(log: Transactions, as_of: str | date | None) -> date:
        return Snapshots.date(log.close_of(as_of))

    def _log_odds(self, state: pd.DataFrame, table: pd.DataFrame) -> Floats:
        if isinstance(self.estimator_, ChurnClassifier):
            return self.estimator_.decision_function(table)
        return log_odds(self.estimator_.probability_no_purchase(state, self.horizon))

    # -- why ---------------------------------------------------------------------------------------------------------

    def explain(
        self, log: Transactions, as_of: str | date | None = None, service: ServiceRecords | None = None
    ) -> pd.DataFrame:
        """What each theme adds to a customer's log-odds of leaving.

        Returns
        -------
        DataFrame
            customer_id; log_odds; baseline, those of a customer average in everything; and one column a theme: silence,
            rhythm, frequency, … Baseline and themes sum to log_odds, which is p_churn's own where the logistic model was
            chosen. Where the average with trees was, the logistic part explains itself: log_odds is that part's. Of a
            buy-till-you-die model there is one theme.
        """
        state, table = self._look(log, as_of, service)
        baseline, themes = self._themes(state, table, self._day(log, as_of))
        parts = pd.DataFrame({"customer_id": state["customer_id"], "log_odds": 0.0, "baseline": baseline, **themes})
        parts["log_odds"] = parts.drop(columns=["customer_id", "log_odds"]).sum(axis=1)
        return parts

    def _themes(self, state: pd.DataFrame, table: pd.DataFrame, as_of: date | None) -> tuple[float, dict[str, Floats]]:
        shift = self.year_ago(as_of) if as_of else 0.0
        if not isinstance(self.estimator_, ChurnClassifier):
            z = self._log_odds(state, table)
            middle = float(z.mean()) if len(z) else 0.0
            return middle + shift, {"drop-out model": z - middle}
        whole, logistic = self.estimator_, self.estimator_.estimators_[0]
        moved = whole.slope_ * logistic.contributions(table)
        names = list(table.columns)
        places = {theme: [names.index(name) for name in of if name in names] for theme, of in THEMES.items()}
        themes = {theme: moved[:, place].sum(axis=1) for theme, place in places.items() if place}
        return whole.intercept_ + whole.slope_ * logistic.intercept_ + shift, themes

    def _reasons(self, state: pd.DataFrame, table: pd.DataFrame) -> dict[str, pd.Series[str]]:
        """The silence against the customer's own rhythm; then the two themes that add most, in words with their size."""
        if not isinstance(self.estimator_, ChurnClassifier):
            return plain_reasons(state)
        themes = self._themes(state, table, None)[1]
        told = [theme for theme in WORDS if theme in themes]
        size = np.column_stack([themes[theme] for theme in told])
        for place, theme in enumerate(told):
            if theme in TELLING:
                size[~TELLING[theme](state).to_numpy(), place] = -np.inf
        facts = {theme: WORDS[theme](state, table) for theme in told}
        return {"reason_1": silence_in_words(state), **largest(size, facts, told, state.index)}

    # -- who is quieter than usual -----------------------------------------------------------------------------------

    def early_warning(self, log: Transactions, as_of: str | date | None = None) -> pd.DataFrame:
        """From which day each customer's silence was unusual for them.

        Returns
        -------
        DataFrame
            customer_id; silence (days); usual_gap (days); unusual_after, days of silence that nine in ten of the customer's
            own waits stay below (a gamma distribution with their mean and variation, both drawn towards a random rhythm);
            unusual_since, the day when the silence passed it, missing while it has not.
        """
        check_is_fitted(self, "estimator_")
        with snapshots(log) as shop:
            state = shop.state(as_of)
        return unusual_silence(state, self._day(log, as_of), self.horizon)

    def flags(
        self, log: Transactions, as_of: str | date | None = None, service: ServiceRecords | None = None
    ) -> pd.DataFrame:
        """One of active, cooling, at risk, frozen, lost and returned for each customer, by ``thresholds_``.

        Returns
        -------
        DataFrame
            customer_id, flag. Lost and frozen go by the silence. At risk: p_churn of at least the threshold. Cooling: p_churn of
            at least its threshold and a silence that is unusual for the customer. Returned: bought again after a gap in
            which they counted as frozen, and are neither of these now.
        """
        state, table = self._look(log, as_of, service)
        day = self._day(log, as_of)
        p = self.probability(state, table, day)
        unusual = unusual_silence(state, day, self.horizon)["unusual_since"].notna().to_numpy()
        flag = flags_of(state, p, unusual, self.thresholds_)
        return pd.DataFrame({"customer_id": state["customer_id"], "flag": flag})

    def set_thresholds(self, **thresholds: float) -> Self:
        """Change some of ``thresholds_``: frozen_after, lost_after (days), at_risk, cooling (probabilities)."""
        check_is_fitted(self, "thresholds_")
        self.thresholds_ = changed_thresholds(self.thresholds_, thresholds)
        return self

    def partial_defection(
        self, log: Transactions, as_of: str | date | None = None, service: ServiceRecords | None = None
    ) -> pd.DataFrame:
        """Who will still come, but for much less.

        Returns
        -------
        DataFrame
            customer_id; p_partial, the probability of buying within the horizon, yet spending, or buying of categories,
            less than half as much as in as many days before; 0 of those who bought nothing then.

        Raises
        ------
        ModelError
            The log was too short, or too few customers fell away, to learn it.
        """
        state, table = self._look(log, as_of, service)
        if self.partial_ is None:
            raise ModelError("Falling away could not be learned: too few customers, or too short a log. See note_.")
        p = self.probability(state, table, self._day(log, as_of))
        came = state["silence"].to_numpy() < self.horizon
        falls = np.where(came, self.partial_.predict_proba(table)[:, 1], 0.0)
        return pd.DataFrame({"customer_id": state["customer_id"], "p_partial": (1 - p) * falls})

    def win_back(
        self,
        log: Transactions,
        as_of: str | date | None = None,
        service: ServiceRecords | None = None,
        n: int | None = None,
    ) -> pd.DataFrame:
        """Customers to win back, the most value at risk first.

        Parameters
        ----------
        log, as_of, service
            As in `predict`.
        n : int, optional
            At most so many.

        Returns
        -------
        DataFrame
            The columns of `predict`, with flag and unusual_since; customers who are cooling, at risk, frozen or lost.
        """
        state, table = self._look(log, as_of, service)
        day = self._day(log, as_of)
        p, late = self.probability(state, table, day), unusual_silence(state, day, self.horizon)["unusual_since"]
        rows = pd.DataFrame(
            {
                "customer_id": state["customer_id"],
                "p_churn": p,
                "value_at_risk": p * self.value_if_active(state),
                "flag": flags_of(state, p, late.notna().to_numpy(), self.thresholds_),
                "unusual_since": late,
                **self._reasons(state, table),
            }
        )
        rows = rows[~rows["flag"].isin(["active", "returned"])]
        rows = rows.sort_values(["value_at_risk", "customer_id"], ascending=[False, True], ignore_index=True)
        return rows if n is None else rows.head(n)

    # -- save --------------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the fitted model as JSON behind a hash; `load_churn_model` refuses a file that was changed before reading it."""
        check_is_fitted(self, "estimator_")
        return churn_files.write(Path(path), churn_files.content_of(self))


def _too_small(state: pd.DataFrame, shop: Snapshots, top: int, horizon: int) -> str:
    """Why the buy-till-you-die model answers, or nothing."""
    if len(state) < SMALL:
        return f"{len(state):,} customers are a small base (fewer than {SMALL})"
    days = top - (shop.log.first_day() or top)
    if days < horizon + WARM_UP:
        return f"{days} days of history are too few for a past day with {WARM_UP} days before and {horizon} after it"
    return ""


def _partial(rows: pd.DataFrame, features: list[str]) -> ChurnLogistic | None:
    """Of those who came: who came for less than half."""
    came = rows[rows["fell"].notna()]
    if not RARE <= came["fell"].sum() <= len(came) - RARE:
        return None
    return ChurnLogistic(anchor=None).fit(came[features], came["fell"], groups=came["customer_id"])


def load_churn_model(path: str | os.PathLike[str]) -> ChurnModel:
    """Read a model saved by `ChurnModel.save`.

    Nothing in the file is ever executed. Its first line holds the hash of the rest; a file whose hash is another is refused
    before the rest is read.

    Raises
    ------
    ExtractError
        The file cannot be read.
    ContractError
        It is not a churn model of this version, or was changed after it was saved.
    """
    content = churn_files.read(path)
    try:
        model: ChurnModel = churn_files.restore(ChurnModel(content["horizon"], content["booster"]), content)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ContractError(f"{os.fspath(path)!r} is not a churn model saved by crmkit: {error}") from error
    return model
