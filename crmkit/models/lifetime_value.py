"""Customer lifetime value: purchases to come, times what each brings, discounted; and how far it can be off."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from scipy.stats import chi2
from sklearn.base import clone

from crmkit._types import Floats, Interval
from crmkit.exceptions import CrmkitWarning, ModelError
from crmkit.models import _value_math as formulas
from crmkit.models._base import Model
from crmkit.models._columns import DAYS_PER_YEAR, PURCHASE_RULES, SPEND_RULES, aligned, check_number, read_columns
from crmkit.models._value_math import Future
from crmkit.models.gamma_gamma import GammaGamma, GammaGammaTrend

_STEP = 1e-3
_CHUNK = 8_192
_NODES, _LARGEST = 6, 4_000_000
_CERTAIN, _MATERIAL = 0.01, 1.25


@dataclass(frozen=True)
class CohortValue:
    """What a group of customers is worth together; prints as sentences.

    Attributes
    ----------
    expected : Interval
        estimate, low, high of the expected value: how well the parameters are known.
    realised : Interval or None
        The same estimate, and the interval in which what they really bring will lie: parameters and chance. None
        for an infinite horizon.
    level : float
        Coverage aimed for.
    n_customers, n_one_time : int
        All, and those without a repeat purchase.
    value_one_time : float
        The part of the estimate that one-time buyers hold.
    spend_one_time : float
        What the spend model expects of each of their purchases, having seen none of them repeat.
    note : str
        On spend and frequency.
    """

    expected: Interval
    realised: Interval | None
    level: float
    n_customers: int
    n_one_time: int
    value_one_time: float
    spend_one_time: float
    note: str = field(repr=False, default="")

    def __str__(self) -> str:
        value, low, high = self.expected
        lines = [
            f"{self.n_customers:,} customers: {value:,.0f} expected ({low:,.0f} to {high:,.0f} at {self.level:.0%}, as well as "
            "the parameters are known)."
        ]
        if self.realised:
            lines.append(f"What they bring will lie between {self.realised.low:,.0f} and {self.realised.high:,.0f}.")
        lines.append(
            f"{self.n_one_time:,} of them have bought once: nothing is known of their spend on a second visit, so each is "
            f"given {self.spend_one_time:,.2f}, the spend model's mean for such customers; they hold {self.value_one_time:,.0f}."
        )
        return "\n".join([*lines, *([self.note] if self.note else [])])


class CustomerLifetimeValue(Model):
    """Discounted value expected of each customer in days 1 to ``horizon``: margin × spend × discounted purchases.

    Parameters
    ----------
    purchases : BGNBD, MBGNBD, ParetoNBD, …
        Expects purchases; anything with ``discounted_purchases(X, horizon, annual_discount)``, and for an infinite
        horizon ``residual_purchases(X, annual_discount)``.
    spend : GammaGamma or GammaGammaTrend
        Expects spend per purchase; anything with ``expected_value(X)``.
    horizon : float, default 365
        Days ahead; ``math.inf`` for all that is still to come.
    annual_discount : float, default 0.10
        Money 365.25 days ahead is worth 1/1.10, and so on continuously.
    margin : float, default 1.0
        What is kept of each unit of spend.

    Attributes
    ----------
    purchases_, spend_ : the two models, fitted
    spend_dependence_ : dict of float, or None
        The test of what `GammaGamma` assumes, on repeat buyers: the ``correlation`` of frequency and mean spend, with
        ``correlation_low`` and ``correlation_high`` (Fisher, 95 %); ``per_doubling``, the factor on spend for each
        doubling of the purchases in `GammaGammaTrend`, with ``per_doubling_low`` and ``per_doubling_high``; ``p_value`` of
        its likelihood ratio (of Wald's test where a prior held the plain model). None where there was nothing to test. Where p < 0.01 and the factor is above 1.25 or below
        0.8, ``spend_`` is the GammaGammaTrend; a weaker trend is left alone, because carrying it on to one-time buyers
        costs more than it mends (measured on CDNOW: 1.17).
    log_covariance_ : ndarray or None
        Covariance of the logarithms of all parameters, when a bootstrap has measured it; else that of the two fits.
    feature_names_in_ : ndarray of str
    n_customers_ : int

    References
    ----------
    Fader, Hardie & Lee (2005), "RFM and CLV: using iso-value curves for customer base analysis", Journal of Marketing
    Research 42(4), 415-430.

    Examples
    --------
    >>> import pandas as pd
    >>> from crmkit.models import BGNBD, CustomerLifetimeValue, GammaGamma
    >>> table = pd.DataFrame({"frequency": [0, 1, 1, 1, 1, 2, 2, 3, 6, 9],
    ...     "recency": [0, 35, 196, 14, 90, 105, 250, 210, 140, 259], "T": 273,
    ...     "monetary_value": [None, 12, 25, 45, 90, 15, 60, 18, 50, 22]})
    >>> model = CustomerLifetimeValue(BGNBD(), GammaGamma(), horizon=365, annual_discount=0.10)
    >>> model = model.fit(table, sample_weight=[300, 20, 20, 20, 20, 10, 10, 15, 8, 8])
    >>> model.predict(table).round(1).tolist()
    [6.6, 4.1, 15.4, 7.5, 29.2, 18.7, 98.9, 49.5, 124.7, 192.6]
    >>> model.expected_interval(table).round(1).iloc[9].to_dict()
    {'expected': 192.6, 'low': 159.1, 'high': 233.2}
    """

    _fitted: ClassVar[tuple[str, ...]] = (
        "purchases_",
        "spend_",
        "spend_dependence_",
        "log_covariance_",
        "n_customers_",
        "feature_names_in_",
    )
    spend_dependence_: dict[str, float] | None = None
    log_covariance_: Floats | None = None

    def __init__(
        self, purchases: Any, spend: Any, horizon: float = 365, annual_discount: float = 0.10, margin: float = 1.0
    ) -> None:
        self.purchases = purchases
        self.spend = spend
        self.horizon = horizon
        self.annual_discount = annual_discount
        self.margin = margin

    def fit(self, customers: Any, y: None = None, sample_weight: Any = None) -> Self:
        """Fit a copy of each model, and test whether spend depends on frequency; the ones given stay as they are.

        Parameters
        ----------
        customers : table of shape (n_customers, at least 4)
            Columns frequency, recency, T (days), monetary_value.
        y : None
            Ignored; scikit-learn's convention.
        sample_weight : array of shape (n_customers,), optional
            How many customers each row stands for.

        Raises
        ------
        ContractError, ModelError
            As the two models do; ModelError also for a horizon, discount or margin below 0.
        """
        return self.fit_parts(lambda model: model.fit(customers, sample_weight=sample_weight))

    def fit_parts(self, fit: Callable[[Any], Any]) -> Self:
        """The same, by a function that fits a model wherever the customers are (see `fit_customers`)."""
        self._check_settings()
        self.log_covariance_, self.spend_dependence_ = None, None
        self.purchases_ = fit(clone(self.purchases))
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            self.spend_ = plain = fit(clone(self.spend))
        if type(plain) is GammaGamma and plain.correlation_ is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CrmkitWarning)
                self._test_spend(plain, fit(GammaGammaTrend()))
        for warning in said if self.spend_ is plain else ():
            warnings.warn(warning.message, stacklevel=3)
        self.n_customers_ = self.purchases_.n_customers_
        names = [*self.purchases_.feature_names_in_, *self.spend_.feature_names_in_]
        self.feature_names_in_ = np.array(list(dict.fromkeys(names)), dtype=object)
        return self

    def _check_settings(self) -> None:
        if self.horizon != math.inf:
            check_number("horizon", self.horizon)
        check_number("margin", self.margin)
        if not check_number("annual_discount", self.annual_discount) and self.horizon == math.inf:
            raise ModelError(
                "annual_discount must be above 0 for an infinite horizon: the undiscounted sum has no end."
            )

    def _test_spend(self, plain: GammaGamma, trend: GammaGammaTrend) -> None:
        if trend.prior_used_:
            return
        factor, error = trend.params_["per_doubling"], trend.standard_errors_["per_doubling"]
        far = np.exp(1.96 * error / factor)
        around = 1.96 / math.sqrt(max(plain.n_customers_ - 3, 1))
        correlation = plain.correlation_ or 0.0
        centre = np.arctanh(np.clip(correlation, -0.999999, 0.999999))
        p_value = 2 * NormalDist().cdf(-abs(math.log(factor)) * factor / error)
        if not plain.prior_used_:
            p_value = float(chi2.sf(2 * max(trend.log_likelihood_ - plain.log_likelihood_, 0.0), 1))
        self.spend_dependence_ = {
            "correlation": correlation,
            "correlation_low": float(np.tanh(centre - around)),
            "correlation_high": float(np.tanh(centre + around)),
            "per_doubling": factor,
            "per_doubling_low": float(factor / far),
            "per_doubling_high": float(factor * far),
            "p_value": p_value,
        }
        if p_value < _CERTAIN and not 1 / _MATERIAL <= factor <= _MATERIAL:
            self.spend_ = trend

    def predict(self, customers: Any) -> pd.Series[float]:
        """Discounted value expected of each customer in days 1 to ``horizon``, in the table's currency unit.

        Parameters
        ----------
        customers : table of shape (n_customers, at least 4)
            Columns frequency, recency, T (days), monetary_value (which may be missing where frequency is 0).
        """
        self._check_fitted()
        self._check_settings()
        value = self.margin * self.spend_.expected_value(customers) * self.purchases_ahead(customers)
        return aligned(value.to_numpy(), customers, "lifetime_value")

    def purchases_ahead(self, customers: Any) -> pd.Series[float]:
        """Purchases expected of each customer within the horizon, each discounted from its own moment."""
        purchases = _by_nodes(self.purchases_, customers, self._ahead)
        return self._ahead(customers) if purchases is None else purchases

    def _ahead(self, customers: Any) -> pd.Series[float]:
        model, days = self.purchases_, self.horizon
        purchases: pd.Series[float] = (
            model.residual_purchases(customers, self.annual_discount)
            if days == math.inf
            else model.discounted_purchases(customers, days, self.annual_discount)
        )
        return purchases

    def expected_interval(self, customers: Any, level: float = 0.95) -> pd.DataFrame:
        """Interval for the *expected* value of each customer: how well the parameters are known, and nothing else.

        It narrows as customers are added to the fit. What one customer really brings varies far more: `predict_interval`.

        Parameters
        ----------
        customers : table of shape (n_customers, at least 4)
            As for `predict`.
        level : float, default 0.95
            Coverage aimed for.

        Returns
        -------
        DataFrame of shape (n_customers, 3)
            expected (equal to `predict`), low, high; on the table's index.

        Notes
        -----
        Delta method on the logarithm of the value: its gradient in the logarithms of the parameters, by central
        differences, with their covariance from the fit (Laplace) or from `bootstrap`.
        """
        value = self.predict(customers)
        gradient = self._gradient(customers, np.asarray(value, dtype=np.float64))
        wide = np.exp(_quantile(level) * np.sqrt(np.einsum("ij,jk,ik->i", gradient, self._log_covariance(), gradient)))
        return pd.DataFrame({"expected": value, "low": value / wide, "high": value * wide})

    def predict_interval(self, customers: Any, level: float = 0.8, n_draws: int = 400, seed: int = 0) -> pd.DataFrame:
        """Interval for the *realised* value of each customer: what they may really bring, chance included.

        Where bringing nothing is more likely than the share left out below, ``low`` is 0 and all that is left out is above.

        Parameters
        ----------
        customers : table of shape (n_customers, at least 4)
            As for `predict`.
        level : float, default 0.8
            Coverage aimed for; more where bringing nothing is already more likely than that.
        n_draws : int, default 400
            Futures drawn, each with parameters of its own.
        seed : int, default 0
            The same seed gives the same intervals.

        Returns
        -------
        DataFrame of shape (n_customers, 3)
            expected (equal to `predict`), low, high; on the table's index.

        Raises
        ------
        ModelError
            The horizon is infinite, or there is no way to draw futures of the purchase model.
        """
        value, tail = self.predict(customers), (1 - _checked_level(level)) / 2
        bounds = [_bounds(futures, tail, level) for futures in self._futures(customers, n_draws, seed)]
        low, high = np.concatenate(bounds, axis=1) if bounds else np.empty((2, 0))
        return pd.DataFrame({"expected": value, "low": low, "high": high}, index=value.index)

    def cohort(self, customers: Any, level: float = 0.95, n_draws: int = 400, seed: int = 0) -> CohortValue:
        """What all customers of a table are worth together, with intervals.

        Parameters
        ----------
        customers : table of shape (n_customers, at least 4)
            As for `predict`.
        level : float, default 0.95
            Coverage aimed for.
        n_draws, seed : int
            Futures drawn for the realised value, and where they start; 0 draws leave it out.

        Returns
        -------
        CohortValue
        """
        value: Floats = np.asarray(self.predict(customers), dtype=np.float64)
        total, slope = float(value.sum()), value @ self._gradient(customers, value)
        wide = np.exp(_quantile(level) * np.sqrt(slope @ self._log_covariance() @ slope) / (total or 1.0))
        realised = None
        if n_draws and self.horizon != math.inf:
            totals = sum((part.sum(axis=1) for part in self._futures(customers, n_draws, seed)), np.zeros(n_draws))
            low, high = np.quantile(totals, [(1 - level) / 2, (1 + level) / 2])
            realised = Interval(total, float(low), float(high))
        once = read_columns(customers, ("frequency", "monetary_value"), SPEND_RULES)[0] == 0
        return CohortValue(
            expected=Interval(total, float(total / wide), float(total * wide)),
            realised=realised,
            level=level,
            n_customers=len(value),
            n_one_time=int(once.sum()),
            value_one_time=float(value[once].sum()),
            spend_one_time=float(self.spend_.expected_value(_NOBODY).iloc[0]),
            note=self._note(),
        )

    def bootstrap(self, customers: Any, n: int = 50, seed: int = 0) -> Self:
        """A copy whose intervals rest on a parametric bootstrap: simulate as many customers, refit, and see what varies.

        Parameters
        ----------
        customers : table
            The one this was fitted on: its T, one row per customer.
        n : int, default 50
            Simulated tables; at least 2 times the number of parameters is wise.
        seed : int, default 0

        Returns
        -------
        CustomerLifetimeValue
            Fitted; ``log_covariance_`` holds the covariance of the refits.

        Raises
        ------
        ModelError
            In less than half of the tables the refit stood on the data alone.
        """
        self._check_fitted()
        T = read_columns(customers, ("T",), {})[0]
        rng = np.random.default_rng(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CrmkitWarning)
            refits = [self._refit(customers, T, int(rng.integers(2**31)), rng) for _ in range(n)]
        sound = [logs for logs in refits if logs is not None]
        if len(sound) < max(2, n / 2):
            raise ModelError(f"Only {len(sound)} of {n} simulated tables could be fitted on their own; add customers.")
        again = copy.copy(self)
        again.log_covariance_ = np.cov(np.array(sound).T)
        return again

    def _refit(self, customers: Any, T: Floats, seed: int, rng: np.random.Generator) -> Floats | None:
        others = {"covariates": customers} if getattr(self.purchases_, "_covariates", ()) else {}
        table = self.purchases_.simulate(len(T), T, seed, **others)
        x = table["frequency"].to_numpy(dtype=float)
        p, q, gamma, level = _spend_of(self.spend_, x)
        table["monetary_value"] = level * formulas.draw_means(rng, p, q, gamma, x)
        try:
            parts = [clone(part).fit(table) for part in (self.purchases_, self.spend_)]
        except ModelError:
            return None
        return None if any(part.prior_used_ for part in parts) else _coordinates(parts)

    # -- Parameters and what follows from them

    def _log_covariance(self) -> Floats:
        """Covariance of the logarithms of the parameters of both models, purchases first."""
        if self.log_covariance_ is not None:
            return self.log_covariance_
        units = [np.where(_positive(part), _values(part), 1.0) for part in self._parts()]
        blocks = [part.covariance_ / np.outer(unit, unit) for part, unit in zip(self._parts(), units, strict=True)]
        first = len(blocks[0])
        both = np.zeros((first + len(blocks[1]),) * 2)
        both[:first, :first], both[first:, first:] = blocks
        return both

    def _parts(self) -> list[Any]:
        return [self.purchases_, self.spend_]

    def _at(self, logs: Floats) -> CustomerLifetimeValue:
        """A copy with other parameters, given by their logarithms (coefficients of covariates as they are)."""
        there, first = copy.copy(self), len(_free(self.purchases_))
        there.purchases_, there.spend_ = _moved(self.purchases_, logs[:first]), _moved(self.spend_, logs[first:])
        return there

    def _gradient(self, customers: Any, value: Floats) -> Floats:
        """Slope of the logarithm of each value along the logarithm of each parameter; (n_customers, n_parameters)."""
        at, first = _coordinates(self._parts()), len(_free(self.purchases_))
        slopes = []
        for place, step in enumerate(_STEP * np.eye(len(at))):
            answer = CustomerLifetimeValue.purchases_ahead if place < first else _expected_spend
            up, down = (answer(self._at(at + side), customers).to_numpy() for side in (step, -step))
            middle = (up + down) / 2
            slopes.append((up - down) / (2 * _STEP) / np.where(middle > 0, middle, 1.0))
        return np.array(slopes).T * (value > 0)[:, None]

    def _futures(self, customers: Any, n_draws: int, seed: int) -> Iterator[Floats]:
        """Draws of the realised value, (n_draws, chunk of customers), with the same parameters in every chunk."""
        if self.horizon == math.inf:
            raise ModelError("What customers realise is drawn up to a finite horizon; this one is infinite.")
        rng = np.random.default_rng(seed)
        logs = rng.multivariate_normal(_coordinates(self._parts()), self._log_covariance(), n_draws, method="eigh")
        models = [self._at(row) for row in logs]
        table = (
            customers
            if isinstance(customers, pd.DataFrame)
            else pd.DataFrame({n: customers[n] for n in self.feature_names_in_})
        )
        for start in range(0, len(table), _CHUNK):
            chunk = table.iloc[start : start + _CHUNK]
            yield np.array([model._future(chunk, rng) for model in models])

    def _future(self, customers: pd.DataFrame, rng: np.random.Generator) -> Floats:
        """Value brought by each customer in one possible future at these parameters."""
        delta = np.log1p(self.annual_discount) / DAYS_PER_YEAR
        alive = rng.random(len(customers)) < self.purchases_.probability_alive(customers).to_numpy()
        future = _draw(self.purchases_, customers, rng, (self.horizon, delta))
        x, z = read_columns(customers, ("frequency", "monetary_value"), SPEND_RULES)
        p, q, gamma, level = _spend_of(self.spend_, x)
        own = np.where(x > 0, np.maximum(z, 0), 0.0) / level
        spent = formulas.draw_spend(rng, p, q, gamma, x, own, future.purchases * alive)
        return self.margin * level * spent * future.discount

    def _note(self) -> str:
        found = self.spend_dependence_
        if found is None:
            return ""
        used = isinstance(self.spend_, GammaGammaTrend)
        return (
            f"Spend and frequency: correlation {found['correlation']:.2f} ({found['correlation_low']:.2f} to "
            f"{found['correlation_high']:.2f}), spend × {found['per_doubling']:.2f} for each doubling of purchases "
            f"(p = {found['p_value']:.2g}); "
            + ("the spend model follows it." if used else "the spend model takes them as independent.")
        )


def _by_nodes(model: Any, customers: Any, ahead: Callable[[Any], pd.Series[float]]) -> pd.Series[float] | None:
    """P(alive) times what lies ahead of the living, which is smooth in T: computed at a few T and carried to the others.

    For models in which a living customer is known by frequency and T. Between Chebyshev nodes in log(T + the shortest
    time among the parameters) the interpolating polynomial is right to ten digits; None where there are too few distinct
    T to gain by it.
    """
    if not getattr(model, "_times", ()) or tuple(getattr(model, "_state", ())) != ("frequency", "T"):
        return None
    x, T = read_columns(customers, ("frequency", "T"), {})
    (of_x, xs), (of_T, Ts) = pd.factorize(x), pd.factorize(T)
    shift = min((model.params_[name] for name in model._times), default=1.0)
    ends = np.log(shift + np.array([Ts.min(initial=np.inf), Ts.max(initial=0.0)]))
    n_nodes = _NODES + math.ceil(_NODES * (ends[1] - ends[0])) if len(Ts) > _NODES else len(Ts)
    if len(Ts) < 3 * n_nodes or len(xs) * len(Ts) > _LARGEST:
        return None
    angles = (np.arange(n_nodes) + 0.5) * np.pi / n_nodes
    nodes = ends.mean() + np.diff(ends) / 2 * np.cos(angles)
    cells = pd.DataFrame({"frequency": np.repeat(xs, n_nodes), "T": np.tile(np.exp(nodes) - shift, len(xs))})
    cells["recency"] = np.where(cells["frequency"] > 0, cells["T"], 0.0)
    alive = np.asarray(ahead(cells) / model.probability_alive(cells)).reshape(len(xs), n_nodes)
    of_living: Floats = alive @ _carry(np.log(shift + Ts), nodes, angles).T
    purchases: pd.Series[float] = model.probability_alive(customers) * of_living[of_x, of_T]
    return purchases


def _carry(at: Floats, nodes: Floats, angles: Floats) -> Floats:
    """Weights of the nodes in the polynomial through them, (n_at, n_nodes): the barycentric formula.

    Berrut & Trefethen (2004), "Barycentric Lagrange interpolation", SIAM Review 46(3), equations 4.2 and 5.3.
    """
    gap = at[:, None] - nodes
    weight = np.sin(angles) * (-1.0) ** np.arange(len(nodes)) / np.where(gap == 0, 1e-300, gap)
    shares: Floats = weight / weight.sum(axis=1, keepdims=True)
    return shares


_NOBODY = pd.DataFrame({"frequency": [0.0], "monetary_value": [0.0]})


def _checked_level(level: float) -> float:
    if not 0 < level < 1:
        raise ModelError(f"level must lie between 0 and 1; it is {level!r}.")
    return level


def _quantile(level: float) -> float:
    return NormalDist().inv_cdf((1 + _checked_level(level)) / 2)


def _bounds(futures: Floats, tail: float, level: float) -> Floats:
    """Quantiles over the draws, (2, n_customers); with an interval from 0 where the lower one is 0."""
    low, high, from_zero = np.quantile(futures, [tail, 1 - tail, level], axis=0)
    return np.array([low, np.where(low > 0, high, from_zero)])


def _free(part: Any) -> list[str]:
    """Names of the parameters that were fitted, in the order of the covariance."""
    return list(part.params_)[: len(part.covariance_)]


def _positive(part: Any) -> Any:
    """Which of them are positive, and so moved by their logarithm; coefficients of covariates are moved as they are."""
    return np.array([name in part._parameters for name in _free(part)])


def _values(part: Any) -> Floats:
    return np.array([part.params_[name] for name in _free(part)])


def _coordinates(parts: list[Any]) -> Floats:
    return np.concatenate(
        [np.log(v, where=logs, out=v.copy()) for v, logs in ((_values(p), _positive(p)) for p in parts)]
    )


def _moved(part: Any, coordinates: Floats) -> Any:
    moved = copy.copy(part)
    values = np.exp(coordinates, where=_positive(part), out=coordinates.copy())
    moved.params_ = part.params_ | dict(zip(_free(part), values.tolist(), strict=True))
    return moved


def _expected_spend(model: CustomerLifetimeValue, customers: Any) -> pd.Series[float]:
    spend: pd.Series[float] = model.spend_.expected_value(customers)
    return spend


def _spend_of(spend: GammaGamma, x: Floats) -> tuple[float, float, float, Floats]:
    """(p, q, gamma) and the level of spend of each customer."""
    p, q, gamma = (spend.params_[name] for name in ("p", "q", "gamma"))
    return p, q, gamma, formulas.spend_level(spend.params_.get("per_doubling", 1.0), x)


def _draw(model: Any, customers: Any, rng: np.random.Generator, ahead: tuple[float, float]) -> Future:
    """One possible future of each customer, given that they are alive."""
    plain = model._plain(customers, "") if getattr(model, "_covariates", ()) else model
    known, kind = plain.params_, type(model).__name__
    if kind not in _DRAWN:
        raise ModelError(
            f"There is no way yet to draw futures of a {kind}, only of {sorted(_DRAWN)}; expected_interval works for all."
        )
    x, t_x, T = read_columns(customers, ("frequency", "recency", "T"), PURCHASE_RULES)
    rate = (known["r"], known["alpha"])
    if not _DRAWN[kind]:
        lifetime = (known["s"], known["beta"]) if "s" in known else None
        return formulas.stop_at_any_time(rng, rate, lifetime, (x, T), ahead)
    dropout = (known["a"], known["b"] + x + (_DRAWN[kind] == "coin at the start too"))
    k = int(known.get("k", getattr(model, "k_", 1)))
    return formulas.stop_after_purchase(rng, rate, dropout, k, (x, t_x, T), ahead)


_DRAWN = {
    "BGNBD": "coin",
    "BGCNBD": "coin",
    "MBGNBD": "coin at the start too",
    "MBGCNBD": "coin at the start too",
    "NBD": "",
    "ParetoNBD": "",
}
