"""What is known of customers beforehand, as covariates that move their rates of buying and of dropping out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple, Self, overload

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from crmkit._types import Bools, Floats, Table
from crmkit.exceptions import ModelError
from crmkit.models._bgnbd_math import PRIOR_SD, Likelihood, Maximum, maximise
from crmkit.models._columns import Rules, aligned, check_number, read_columns
from crmkit.models.purchase_model import Cells, PurchaseModel

Terms = Callable[..., tuple[Floats, Sequence[Floats]]]

_STEEPEST, _LARGEST = 50.0, 300.0
_SAMPLE, _STEPS = 5_000, 10


# -- Formulas --------------------------------------------------------------------------------------------------------


class Move(NamedTuple):
    """Covariates, a column each, that multiply one parameter by e^(sign · z @ coefficients)."""

    parameter: int
    sign: int
    z: Floats


def moved_likelihood(terms: Terms, n_parameters: int, moves: Sequence[Move], count: Floats) -> Likelihood:
    """Log-likelihood and gradient in (parameters, coefficients of each move), from those of rows in their parameters.

    Fader & Hardie (2007), "Incorporating time-invariant covariates into the Pareto/NBD and BG/NBD models", note 019: a
    row's parameter is the shared one times e^(±z'coefficients), and the gradient follows by the chain rule.
    """
    stops = np.cumsum([n_parameters, *(move.z.shape[1] for move in moves)])

    def evaluate(params: Floats) -> tuple[float, Floats]:
        shared, *coefficients = np.split(params, stops[:-1])
        of_row = list(shared)
        for move, its in zip(moves, coefficients, strict=True):
            of_row[move.parameter] = shared[move.parameter] * _factor(move, its)
        values, slopes = terms(*of_row)
        weighted = [count * slope * row for slope, row in zip(slopes, of_row, strict=True)]
        gradient = [[part.sum() for part in weighted] / shared]
        gradient += [move.sign * np.einsum("i,ik->k", weighted[move.parameter], move.z) for move in moves]
        return float(np.einsum("i,i->", count, values)), np.concatenate(gradient)

    return evaluate


def _factor(move: Move, coefficients: Floats) -> Floats:
    exponent = move.sign * np.einsum("ik,k->i", move.z, coefficients)
    return np.asarray(np.exp(np.clip(exponent, -_STEEPEST, _STEEPEST)))


def in_logs_and_plain(n_parameters: int) -> Callable[[Floats], tuple[Floats, Floats]]:
    """Positive parameters from their logarithms, coefficients as they are, and the Jacobian."""

    def link(theta: Floats) -> tuple[Floats, Floats]:
        params = np.concatenate([np.exp(theta[:n_parameters]), theta[n_parameters:]])
        return params, np.diag(np.concatenate([params[:n_parameters], np.ones(len(theta) - n_parameters)]))

    return link


def approach(likelihood: Likelihood, top: Maximum, n_parameters: int, share: float) -> Floats:
    """Close to the maximum from that of a share of the customers: Newton steps with their Hessian, while they shrink."""
    link, plain = in_logs_and_plain(n_parameters), np.ones(len(top.params) - n_parameters)
    units = np.append(top.params[:n_parameters], plain)
    inverse = top.covariance / np.outer(units, units) * share
    theta, last = np.append(np.log(top.params[:n_parameters]), top.params[n_parameters:]), np.inf
    for _ in range(_STEPS):
        params, jacobian = link(theta)
        step = inverse @ (likelihood(params)[1] @ jacobian)
        if not np.abs(step).max() < last:
            break
        theta, last = theta + np.clip(step, -1, 1), np.abs(step).max()
        if last < 1e-7:
            break
    return theta


# -- Models ----------------------------------------------------------------------------------------------------------


class CovariateModel(PurchaseModel):
    """A purchase model in which covariates may move the rate of buying and the rate of dropping out.

    A subclass says in ``_moves`` which parameter each role moves and with which sign, so that a positive coefficient means
    more (purchases, drop-out), and gives ``_terms``: the log-likelihood of each row and its slopes, where every parameter
    may be one number or one per row. Columns stand in the order frequency, covariates, recency, T.

    For models whose customers drop out with probability Beta(a, b) after a purchase, ``_moves`` is to have
    ``"dropout": ("a", 1)``: the log-odds a / b of the mean then move by the coefficient (note 019 moves a and b each by
    its own). Moving both alike, as is also seen, leaves the mean where it was and changes only how much customers differ.
    """

    _moves: ClassVar[dict[str, tuple[str, int]]] = {"rate": ("alpha", -1), "dropout": ("beta", -1)}

    def __init__(self, rate_covariates: Sequence[str] = (), dropout_covariates: Sequence[str] = ()) -> None:
        self.rate_covariates = rate_covariates
        self.dropout_covariates = dropout_covariates

    @abstractmethod
    def _terms(self, x: Floats, t_x: Floats, T: Floats) -> Terms:
        """Of distinct rows: log-likelihood of each and its slopes in each parameter, as a function of the parameters."""

    # What the model reads depends on its covariates.

    @property
    def _columns(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("frequency", *self._covariates, "recency", "T")

    @property
    def _state(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("frequency", *self._covariates, "T")

    @property
    def _rules(self) -> Rules:  # type: ignore[override]
        return PurchaseModel._rules | _finite(self._covariates)

    @property
    def _covariates(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for role in self._moves for name in self._named(role)))

    def _named(self, role: str) -> tuple[str, ...]:
        names = getattr(self, f"{role}_covariates")
        if isinstance(names, str):
            raise ModelError(f"{role}_covariates must be a tuple of column names; write ({names!r},).")
        if taken := {"frequency", "recency", "T"} & set(names):
            raise ModelError(f"{role}_covariates holds {sorted(taken)}, which the model itself explains; remove them.")
        return tuple(str(name) for name in names)

    @property
    def _coefficients(self) -> tuple[str, ...]:
        return tuple(f"{role}_{name}" for role in self._moves for name in self._named(role))

    def _names(self) -> tuple[str, ...]:
        return (*self._parameters, *self._coefficients)

    # Fitting, in covariates that have mean 0 and standard deviation 1.

    def _likelihood(self, *columns: Floats, count: Floats) -> Likelihood:
        x, *z, t_x, T = columns
        order = self._order(x, t_x, T)
        by_name = {name: column[order] for name, column in zip(self._covariates, z, strict=True)}
        moves = [
            Move(
                self._parameters.index(name), sign, np.stack([by_name[column] for column in self._named(role)], axis=1)
            )
            for role, (name, sign) in self._moves.items()
            if self._named(role)
        ]
        return moved_likelihood(self._terms(x[order], t_x[order], T[order]), len(self._parameters), moves, count[order])

    def _order(self, x: Floats, t_x: Floats, T: Floats) -> NDArray[np.intp]:
        """The order in which rows are evaluated fastest."""
        return np.arange(len(x))

    def _maximise(self, cells: Cells) -> Maximum:
        x, *z, t_x, T = cells.columns
        mean, spread = _mean_and_spread(np.reshape(z, (len(z), len(x))), cells.counts)
        standard = [(column - m) / s for column, m, s in zip(z, mean, spread, strict=True)]
        best = self._top(cells._replace(columns=[x, *standard, t_x, T]))
        return self._as_given(best, mean * cells.scale, spread * cells.scale)

    def _top(self, cells: Cells) -> Maximum:
        k, n = len(self._parameters), cells.n_customers
        likelihood, link = self._likelihood(*cells.columns, count=cells.counts), in_logs_and_plain(k)
        best = maximise(likelihood, link, self._near(likelihood, cells), n)
        self.prior_used_ = best.runaway is not None
        if best.runaway is not None:
            name = [*self._parameters, *self._coefficients][best.runaway]
            rising = f"the likelihood keeps rising, or is flat, along {name}"
            self._warn_prior(rising if cells.purchases else "no customer in the table bought twice", self._prior())
            best = maximise(likelihood, link, np.zeros(k + len(self._coefficients)), n, PRIOR_SD)
        return best

    def _prior(self) -> str:
        coefficients = ", coefficients of standardised covariates normal with mean 0" if self._coefficients else ""
        return super()._prior() + coefficients

    def _near(self, likelihood: Likelihood, cells: Cells) -> Floats:
        """Where to start: with many distinct rows, from the top for some of them."""
        k, start = len(self._parameters), np.array([*self._start, *[0.0] * len(self._coefficients)])
        every = len(cells.counts) // _SAMPLE
        some = cells._replace(columns=[c[:: every or 1] for c in cells.columns], counts=cells.counts[:: every or 1])
        if every < 4 or not some.counts.any():
            return start
        top = maximise(
            self._likelihood(*some.columns, count=some.counts), in_logs_and_plain(k), start, some.n_customers
        )
        return start if top.runaway is not None else approach(likelihood, top, k, some.n_customers / cells.n_customers)

    def _as_given(self, best: Maximum, mean: Floats, spread: Floats) -> Maximum:
        """The fit in covariates as they were given: coefficients per unit, parameters of a customer with zeros."""
        k, place = len(self._parameters), dict(zip(self._covariates, range(len(mean)), strict=True))
        change, at, params = np.eye(len(best.params)), k, best.params.copy()
        for role, (parameter, sign) in self._moves.items():
            row = self._parameters.index(parameter)
            for name in self._named(role):
                m, s = mean[place[name]], spread[place[name]]
                change[row, at], change[at, at] = -sign * m / s, 1 / s
                at += 1
        with np.errstate(over="ignore"):
            params[:k] *= np.exp(change[:k, k:] @ best.params[k:])
        params[k:] = np.diag(change)[k:] * best.params[k:]
        if not (np.isfinite(params).all() and (params[:k] > 0).all()):
            raise ModelError(
                f"Covariates lie too far from 0 for their spread: {dict(zip(self._covariates, mean.tolist(), strict=True))} "
                "are their means. Subtract the means first."
            )
        into, out_of = np.append(best.params[:k], np.ones(at - k)), np.append(params[:k], np.ones(at - k))
        change = change * out_of[:, None] / into
        change[:k, k:] *= into[k:]
        covariance = change @ best.covariance @ change.T
        return best._replace(params=params, covariance=(covariance + covariance.T) / 2)

    def _keep_fit(self, cells: Cells, best: Maximum, log_likelihood: float) -> None:
        k = len(self._parameters)
        shared = best._replace(params=best.params[:k], covariance=best.covariance[:k, :k])
        super()._keep_fit(cells, shared, log_likelihood)
        if not self._coefficients:
            return
        scale = np.array([cells.scale if name in self._times else 1.0 for name in self._parameters])
        scale = np.append(scale, np.ones(len(self._coefficients)))
        self.covariance_ = best.covariance * np.outer(scale, scale)
        self.params_ |= dict(zip(self._coefficients, best.params[k:].tolist(), strict=True))
        errors = np.sqrt(np.diag(self.covariance_))[k:].tolist()
        self.standard_errors_ |= dict(zip(self._coefficients, errors, strict=True))
        self.aic_ = 2 * len(self.params_) - 2 * log_likelihood

    # Answers, from the parameters of each customer.

    def _at(self, z: Sequence[Floats]) -> dict[str, float]:
        """The parameters of customers with these covariates."""
        by_name = dict(zip(self._covariates, z, strict=True))
        params: dict[str, float] = {name: self.params_[name] for name in self._parameters}
        for role, (parameter, sign) in self._moves.items():
            if names := self._named(role):
                its = np.array([self.params_[f"{role}_{name}"] for name in names])
                exponent = sign * np.einsum("ik,k->i", np.stack([by_name[name] for name in names], axis=1), its)
                params[parameter] = np.exp(np.clip(np.log(params[parameter]) + exponent, -_LARGEST, _LARGEST))
        return params

    def _meant(self, covariates: Table | None, question: str) -> Table | None:
        """The covariates of the customers meant, or None where the model has none; a ModelError where they are missing."""
        if not self._covariates:
            return None
        if covariates is None:
            raise ModelError(
                f"This {self.label} model has covariates {list(self._covariates)}: say which customers are meant, "
                f"{question}, covariates=a table with these columns)."
            )
        return covariates

    def _plain(self, covariates: Table) -> Self:
        """The model without covariates, of customers with these; its parameters then hold one number for each."""
        plain = type(self)()
        for name in self._fitted:
            setattr(plain, name, getattr(self, name))
        plain.params_ = self._at(read_columns(covariates, self._covariates, _finite(self._covariates)))
        return plain

    @overload
    def expected_purchases_new(self, horizon: float) -> float: ...

    @overload
    def expected_purchases_new(self, horizon: float, covariates: Table | None) -> float | pd.Series[float]: ...

    def expected_purchases_new(self, horizon: float, covariates: Table | None = None) -> float | pd.Series[float]:
        """Repeat purchases expected of customers who have just bought for the first time, within ``horizon`` days.

        Parameters
        ----------
        horizon : float
            Days (the unit of T), 0 or more; else a ModelError.
        covariates : table of shape (n_customers, n_covariates), optional
            Needed by a model with covariates, and only then; else a ModelError.

        Returns
        -------
        float, or Series of shape (n_customers,) where there are covariates
        """
        self._check_fitted()
        covariates = self._meant(covariates, "expected_purchases_new(horizon")
        if covariates is None:
            return super().expected_purchases_new(horizon)
        plain = self._plain(covariates)
        start = np.zeros(len(covariates))
        purchases = plain._purchases(start, start, horizon=check_number("horizon", horizon))
        return aligned(plain._alive(start, start, start) * purchases, covariates, "expected_purchases_new")

    @overload
    def probability_of(self, n: int, horizon: float, covariates: Table | None = None) -> float: ...

    @overload
    def probability_of(self, n: ArrayLike, horizon: float, covariates: Table | None = None) -> float | Floats: ...

    def probability_of(self, n: ArrayLike, horizon: float, covariates: Table | None = None) -> float | Floats:
        """P(a customer who has just bought for the first time makes n repeat purchases within ``horizon``).

        Parameters
        ----------
        n : int or array of int
            Repeat purchase days, 0 or more; else a ModelError.
        horizon : float
            Days (the unit of T), 0 or more; else a ModelError.
        covariates : table of shape (1, n_covariates), optional
            Needed by a model with covariates, and only then; else a ModelError.

        Returns
        -------
        float, or ndarray of the shape of n
            Between 0 and 1.
        """
        self._check_fitted()
        covariates = self._meant(covariates, "probability_of(n, horizon")
        if covariates is None:
            return super().probability_of(n, horizon)
        plain = self._plain(covariates)
        if len(covariates) != 1:
            raise ModelError(f"probability_of takes one customer at a time; covariates has {len(covariates)} rows.")
        plain.params_ = {name: float(np.squeeze(value)) for name, value in plain.params_.items()}
        return plain.probability_of(n, horizon)

    def simulate(self, n: int, until: ArrayLike, seed: int, covariates: Table | None = None) -> pd.DataFrame:
        """New customers who behave as the model says, from their first purchase on.

        Parameters
        ----------
        n : int
            How many.
        until : float or array of shape (n,)
            How long each is observed (the unit of T), 0 or more and finite.
        seed : int
            The same seed gives the same customers.
        covariates : table of shape (n, n_covariates), optional
            Needed by a model with covariates, and only then; its columns are part of the answer.

        Returns
        -------
        DataFrame of shape (n, 6 + n_covariates)
            customer_id, frequency, recency, T, sum_log_gap (of the times between purchases), alive (at T), covariates.

        Raises
        ------
        ModelError
            A count or a time makes no sense, or covariates are missing or not n.
        """
        self._check_fitted()
        covariates = self._meant(covariates, "simulate(n, until, seed")
        if covariates is None:
            return super().simulate(n, until, seed)
        plain = self._plain(covariates)
        if len(covariates) != n:
            raise ModelError(f"covariates must have a row for each of the {n} customers; it has {len(covariates)}.")
        z = read_columns(covariates, self._covariates, {})
        return plain.simulate(n, until, seed).assign(**dict(zip(self._covariates, z, strict=True)))


def _finite(names: Sequence[str]) -> dict[str, Callable[[dict[str, Floats]], Bools]]:
    def rule(name: str) -> Callable[[dict[str, Floats]], Bools]:
        return lambda columns: np.isfinite(columns[name])

    return {f"{name} is a finite number": rule(name) for name in names}


def _mean_and_spread(z: Floats, count: Floats) -> tuple[Floats, Floats]:
    share = count / count.sum()
    mean = np.einsum("ki,i->k", z, share)
    spread = np.sqrt(np.einsum("ki,i->k", (z - mean[:, None]) ** 2, share))
    return mean, np.where(spread > 1e-9 * np.abs(mean), spread, 1.0)
