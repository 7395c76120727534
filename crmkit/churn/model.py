"""`ChurnModel`: the probability that a customer will not buy in the next H days, the money at stake, and why."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Self

import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from crmkit._days import as_day
from crmkit.churn import documents
from crmkit.churn.base_rates import base_rates, year_ago_in_words
from crmkit.churn.estimators import ChurnLogistic
from crmkit.churn.flags import changed_thresholds, proposed_thresholds
from crmkit.churn.scores import ChurnScores, estimator_log_odds, first_to_win_back
from crmkit.churn.selection import BOOSTERS, RARE, choose, fit_candidates, fit_partial, warn_of_leaks
from crmkit.churn.training import BTYD, TrainingTable, fitted_btyd, service_effects, too_small
from crmkit.engine.frames import is_spark
from crmkit.engine.tables import n_rows
from crmkit.exceptions import ContractError, ModelError
from crmkit.ingest.tables import ServiceRecords
from crmkit.models.bgnbd import BGNBD
from crmkit.models.gamma_gamma import GammaGamma
from crmkit.models.scoring import fit_customers
from crmkit.summaries.snapshots import CustomerHistory, Snapshots, snapshots
from crmkit.transactions.log import Transactions

__all__ = ["ChurnModel", "load_churn_model"]


MOST = 50_000

_COLUMNS = "customer_id string, p_churn double, value_at_risk double, reason_1 string, reason_2 string, reason_3 string"
_WIN_BACK = (
    "customer_id string, p_churn double, value_at_risk double, flag string, unusual_since timestamp_ntz, reason_1 string, "
    "reason_2 string, reason_3 string"
)


class ChurnModel(BaseEstimator):  # type: ignore[misc]
    """P(no purchase on days as_of + 1 … as_of + horizon), by whichever model performed best at earlier origins.

    This is not 1 − P(alive), which calls every one-time buyer safe: a customer who has not dropped out may still not come.

    A buy-till-you-die model predicts for a small base (fewer than 200 customers, or too short a log). With more, a logistic
    regression that starts from its prediction, and from 500 customers the mean of that and of boosted trees on the log-odds
    scale, are fitted on past origins 14 days apart (four weeks apart over a whole year, with date terms, when the log is
    long enough). One is chosen when it beat the buy-till-you-die model by more than a standard error at the newest origin
    whose outcome is known: fitted on earlier origins or, while these are few, on other customers; see ``choice_``.

    Parameters
    ----------
    horizon : int
        Days ahead.
    booster : str
        The package that grows the trees: "scikit-learn", or "lightgbm", which is optional (pip install 'crmkit[lightgbm]').

    Attributes
    ----------
    estimator_ : ChurnClassifier or a buy-till-you-die model
        The estimator over the table of features (``features(log)``), or over that of `btyd_summary`.
    choice_ : DataFrame
        candidate, log_loss, auc, ece, judged_by (log-loss; without a whole year of origins, after the candidate's mean is
        moved to the observed one), gain (over the best buy-till-you-die model, in judged_by), standard_error, chosen.
    note_ : str
        What was chosen, and why.
    purchases_ : BGNBD, MBGNBD or ParetoNBD
        The buy-till-you-die model at ``as_of``.
    spend_ : GammaGamma
        Expected money per purchase, for the value at risk.
    base_rates_ : DataFrame
        day, n, observed and predicted share of customers without a purchase, and shift, the log-odds between: one row an
        origin.
    effects_ : DataFrame
        term, coefficient (log-odds per unit), low, high: 95 % intervals by customer. Empty for a buy-till-you-die model.
    service_effects_ : DataFrame
        The same of the service signals alone, given all other features, whatever was chosen; empty without records.
    thresholds_ : dict
        Days since the last purchase after which a customer is frozen, or lost, and the probabilities from which one is
        cooling, or at risk; proposed at the first fit from the longest intervals that ended in a purchase, and kept by later
        fits of this object until changed by `set_thresholds`.
    partial_ : ChurnLogistic or None
        Of those who come: P(they spend, or buy of categories, less than half of before).

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
    'no purchase for 75 days (usual interval: 7 days)'
    >>> print(model.note_)
    BG/NBD was used: 4 customers are too few for a regression (at least 200 are needed).
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
            Complaints and survey answers; an origin sees only what was recorded by its close.

        Raises
        ------
        ModelError
            The horizon is not a whole number of days, the booster is unknown, or no customer bought twice.
        LeakError
            ``as_of`` is after the log's last day.

        Warns
        -----
        CrmkitWarning
            The AUC at the newest origin is implausibly high (above 0.97, or above 0.95 by one feature alone): the outcome
            may have leaked into the features.
        """
        with snapshots(log) as shop:
            return self.fit_snapshots(shop, as_of, service)

    def fit_snapshots(
        self, shop: Snapshots, as_of: str | date | None = None, service: ServiceRecords | None = None
    ) -> Self:
        """`fit` on a log that is open already, so that several fits share what is fetched of it."""
        if not (self.horizon >= 1 and self.horizon == int(self.horizon)):
            raise ModelError(f"horizon={self.horizon} is not a whole number of days of at least 1.")
        if self.booster not in BOOSTERS:
            raise ModelError(f"booster={self.booster!r} is unknown; choose from {list(BOOSTERS)}.")
        with threadpool_limits(1):  # in tables of this size more threads wait longer for each other than they work
            return self._fit(shop, shop.day(as_of), service)

    def _fit(self, shop: Snapshots, top: int, service: ServiceRecords | None) -> Self:
        n = n_rows(state := shop.everybody(top))
        self.purchases_ = fit_customers(BGNBD(), state)
        self.spend_ = fit_customers(GammaGamma(), state)
        if not hasattr(self, "thresholds_"):
            self.thresholds_ = proposed_thresholds(state, self.horizon)
        self._start_from_btyd()
        if why := too_small(n, shop, top, self.horizon):
            self.note_ = f"BG/NBD was used: {why}."
            return self
        known = shop if n <= MOST else shop.some(MOST / n)
        self._learn(TrainingTable(known, top, self.horizon, service), state, n)
        return self

    def _start_from_btyd(self) -> None:
        self.estimator_: Any = self.purchases_
        self.note_ = ""
        self.choice_ = pd.DataFrame(
            columns=["candidate", "log_loss", "auc", "ece", "judged_by", "gain", "standard_error", "chosen"]
        )
        self.base_rates_ = pd.DataFrame(columns=["day", "n", "observed", "predicted", "shift"])
        self.effects_ = pd.DataFrame(columns=["term", "coefficient", "low", "high"])
        self.service_effects_ = self.effects_
        self.partial_: ChurnLogistic | None = None
        self.season_, self.service_ = False, False

    def _learn(self, past: TrainingTable, state: pd.DataFrame, n: int) -> None:
        """Choose at the newest origin whose outcome is known, and fit the choice on all of them."""
        self.season_, self.service_ = past.season, past.service is not None
        test = past.table(past.newest)
        if min(test["label"].sum(), (1 - test["label"]).sum()) < RARE:
            self.note_ = (
                f"BG/NBD was used: fewer than {RARE} customers churned, or stayed, in the {self.horizon} days after "
                f"{past.date(past.newest)}."
            )
            return
        choice = choose(past, n, self.booster)
        self.choice_, self.note_ = choice.scores, choice.note
        warn_of_leaks(self.choice_, test)
        rows = past.rows(past.origins(past.newest))
        if choice.name in BTYD:
            self.estimator_ = self.purchases_ = fitted_btyd(choice.name, state) or self.purchases_
        else:
            names = (choice.name,)
            self.estimator_ = choice.fitted or fit_candidates(rows, past.features, names, self.booster)[choice.name]
            self.effects_ = self.estimator_.estimators_[0].effects()
        if self.service_:
            self.service_effects_ = service_effects(rows, past.features)
        self.partial_ = fit_partial(rows, past.features)
        z = estimator_log_odds(self, rows, rows[past.features])
        self.base_rates_ = base_rates(z, rows["label"], rows["day"], past.date)
        self.note_ += year_ago_in_words(self.base_rates_, past.date(past.top))

    # -- predict -----------------------------------------------------------------------------------------------------

    def predict(
        self, log: Transactions, as_of: str | date | None = None, service: ServiceRecords | None = None
    ) -> pd.DataFrame:
        """One row per customer with a purchase up to ``as_of``.

        Returns
        -------
        DataFrame
            customer_id; p_churn in [0, 1]; value_at_risk, p_churn × the money expected within the horizon given that the
            customer comes; reason_1 … reason_3 in words, empty where there is none. Of a log that is `on_spark` a
            Spark DataFrame, computed where the rows are when it is used; executors need crmkit.
        """
        check_is_fitted(self, "estimator_")
        with snapshots(log) as shop:
            day = shop.day(as_of)
            return shop.ask(partial(_predictions, model=self, day=day, service=service), _COLUMNS)

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
        return self.scores(log, as_of, service).p_within(horizons)

    def features(
        self, log: Transactions, as_of: str | date | None = None, service: ServiceRecords | None = None
    ) -> pd.DataFrame:
        """The table of features that ``estimator_`` reads, with customer_id in front."""
        scores = self.scores(log, as_of, service)
        return pd.concat([scores.state[["customer_id"]], scores.features], axis=1)

    def scores(self, log: Transactions, as_of: str | date | None, service: ServiceRecords | None) -> ChurnScores:
        """Probabilities, reasons, flags and lists from one look at a log, each computed when it is asked for."""
        check_is_fitted(self, "estimator_")
        with snapshots(log) as shop:
            return ChurnScores(self, shop.state(as_of), log.until if as_of is None else as_day(as_of), service)

    def explain(
        self, log: Transactions, as_of: str | date | None = None, service: ServiceRecords | None = None
    ) -> pd.DataFrame:
        """What each theme adds to a customer's log-odds of churn.

        Returns
        -------
        DataFrame
            customer_id; log_odds; baseline, those of a customer average in everything; and one column a theme: recency,
            rhythm, frequency, … Baseline and themes sum to log_odds, which is p_churn's own where the logistic model was
            chosen. Where the average with trees was, the logistic part explains itself: log_odds is that part's. A
            buy-till-you-die model has one theme.
        """
        return self.scores(log, as_of, service).explanation()

    def early_warning(self, log: Transactions, as_of: str | date | None = None) -> pd.DataFrame:
        """Since when each customer has been away for unusually long, by their own interpurchase times.

        Returns
        -------
        DataFrame
            customer_id; days_since_last; usual_interval (days between purchase days); unusual_after, days that nine in ten
            of the customer's own intervals stay below (a gamma distribution with their mean and variation, both shrunk
            towards random purchases); unusual_since, the day on which the time since the last purchase passed it, missing
            while it has not.
        """
        return self.scores(log, as_of, None).unusual

    def flags(
        self, log: Transactions, as_of: str | date | None = None, service: ServiceRecords | None = None
    ) -> pd.DataFrame:
        """One of active, cooling, at risk, frozen, lost and returned for each customer, by ``thresholds_``.

        Returns
        -------
        DataFrame
            customer_id, flag. Lost and frozen go by the days since the last purchase. At risk: p_churn of at least the
            threshold. Cooling: p_churn of at least its threshold, and away for unusually long. Returned: bought again after an
            interval in which they counted as frozen, and are neither of these now.
        """
        scores = self.scores(log, as_of, service)
        return pd.DataFrame({"customer_id": scores.state["customer_id"], "flag": scores.flags})

    def set_thresholds(self, **thresholds: float) -> Self:
        """Change some of ``thresholds_``: frozen_after, lost_after (days), at_risk, cooling (probabilities)."""
        check_is_fitted(self, "thresholds_")
        self.thresholds_ = changed_thresholds(self.thresholds_, thresholds)
        return self

    def partial_defection(
        self, log: Transactions, as_of: str | date | None = None, service: ServiceRecords | None = None
    ) -> pd.DataFrame:
        """Which customers will still come, but for much less.

        Returns
        -------
        DataFrame
            customer_id; p_partial, the probability of buying within the horizon, yet spending, or buying of categories,
            less than half as much as in as many days before; 0 of those who bought nothing then.

        Raises
        ------
        ModelError
            The log was too short, or there were too few such customers, to fit it.
        """
        return self.scores(log, as_of, service).partial()

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
            The columns of `predict`, with flag and unusual_since; customers who are cooling, at risk, frozen or lost. Of a log
            that is `on_spark` a Spark DataFrame.
        """
        check_is_fitted(self, "estimator_")
        with snapshots(log) as shop:
            day = shop.day(as_of)
            found = shop.ask(partial(_to_win_back, model=self, day=day, service=service), _WIN_BACK)
        if is_spark(found):
            found = found.orderBy(found["value_at_risk"].desc(), "customer_id")
            return found if n is None else found.limit(n)
        return first_to_win_back(found, n)

    # -- save --------------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the fitted model as JSON behind a hash; `load_churn_model` refuses a file that was changed since."""
        check_is_fitted(self, "estimator_")
        return documents.write(Path(path), documents.content_of(self))


def _predictions(history: CustomerHistory, model: ChurnModel, day: int, service: ServiceRecords | None) -> pd.DataFrame:
    return ChurnScores(model, history.state(day), Snapshots.date(day), service).predictions()


def _to_win_back(history: CustomerHistory, model: ChurnModel, day: int, service: ServiceRecords | None) -> pd.DataFrame:
    return ChurnScores(model, history.state(day), Snapshots.date(day), service).win_back()


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
    content = documents.read(path)
    try:
        model: ChurnModel = documents.restore(ChurnModel(content["horizon"], content["booster"]), content)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ContractError(f"{os.fspath(path)!r} is not a churn model saved by crmkit: {error}") from error
    return model
