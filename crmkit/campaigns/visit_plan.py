"""Who is worth a visit, by whom, on which day and in which order; what visits achieved stands in the next plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd
from scipy.optimize import LinearConstraint, milp
from scipy.sparse import csr_array

from crmkit._checks import require_columns
from crmkit._days import as_day
from crmkit._types import Floats, Ints
from crmkit.campaigns._visit_math import anchors, expected_gain, kilometres, ordered, shrunk
from crmkit.displays import InNotebook
from crmkit.exceptions import ConfigError, ContractError
from crmkit.offers.control_group import control_group

__all__ = ["VisitPlan", "VisitResult"]

_COLUMNS = ["field_person", "day", "position", "customer_id", "expected_gain", "begins", "travel_minutes"]
_PRIOR_VISITS = 2.0
_MIDNIGHT = 24 * 60.0


@dataclass(frozen=True)
class VisitResult(InNotebook):
    """A plan of visits; prints as a sentence.

    Attributes
    ----------
    visits : DataFrame
        field_person, day, position, customer_id, expected_gain, begins (time of day), travel_minutes (from the visit before).
    control : DataFrame
        customer_id of those who were worth a visit and are held back, so that what visits achieve can be measured.
    worth_visiting : DataFrame
        customer_id and expected_gain of all customers whom a visit would pay for, the most first.
    objective, bound : float
        Expected gain of the assignment less its travel, and what no assignment of these customers exceeds.
    dropped : int
        Assigned visits that the day had no time for, or whose place was closed.
    """

    visits: pd.DataFrame
    control: pd.DataFrame
    worth_visiting: pd.DataFrame
    objective: float
    bound: float
    dropped: int = 0

    @property
    def gap(self) -> float:
        """Optimality gap of the assignment, as a share of the bound."""
        return 0.0 if self.bound <= 0 else max(self.bound - self.objective, 0.0) / self.bound

    def __str__(self) -> str:
        people, days = self.visits["field_person"].nunique(), self.visits["day"].nunique()
        return (
            f"{len(self.visits):,} visits by {people:,} field persons on {days:,} days, with an expected gain of "
            f"{self.visits['expected_gain'].sum():,.2f}; less the cost of travel the assignment gains {self.objective:,.2f}, and none "
            f"more than {self.bound:,.2f} (optimality gap {self.gap:.2%}); {len(self.control):,} customers held back as control"
        )


@dataclass(frozen=True)
class VisitPlan:
    """Terms of a plan of visits.

    Parameters
    ----------
    minutes : float, default 45
        That a visit takes.
    minute : float, default 0.5
        Money that a minute of a field person costs.
    effect : float, default 0.10
        Share of the value at risk that a visit to a customer who is met saves: an assumption until it has been measured
        against a control group (`campaign_effect`).
    margin : float, default 0.30
        Of what is sold at a visit.
    speed : float, default 40
        Kilometres an hour, as the crow flies.
    travel : float, default 15
        Minutes between visits where there are no coordinates.
    start : float, default 9
        Hour at which a day begins.
    rest : int, default 28
        Days in which a customer who was visited is not visited again.
    control : float, default 0.10
        Share of the customers worth a visit who are held back.
    most : int, default 1000
        Customers that the assignment chooses among, the greatest gain first.

    Examples
    --------
    >>> customers = pd.DataFrame({"customer_id": list("abc"), "value_at_risk": [900.0, 500.0, 10.0]})
    >>> staff = pd.DataFrame({"field_person": ["Kim"]})
    >>> found = VisitPlan(control=0).solve(customers, staff, days=["2018-01-02"])
    >>> found.visits[["field_person", "position", "customer_id"]]
      field_person  position customer_id
    0          Kim         1           a
    1          Kim         2           b
    """

    minutes: float = 45.0
    minute: float = 0.5
    effect: float = 0.10
    margin: float = 0.30
    speed: float = 40.0
    travel: float = 15.0
    start: float = 9.0
    rest: int = 28
    control: float = 0.10
    most: int = 1000

    def __post_init__(self) -> None:
        above = {name: getattr(self, name) for name in ("minutes", "speed", "most")}
        if wrong := [f"{name}={value!r}" for name, value in above.items() if not value > 0]:
            raise ConfigError(f"{', '.join(wrong)}: must be above 0.")

    def solve(
        self,
        customers: pd.DataFrame,
        staff: pd.DataFrame,
        *,
        days: Sequence[str | date],
        premises: pd.DataFrame | None = None,
        results: pd.DataFrame | None = None,
        key: str = "visits",
    ) -> VisitResult:
        """Plan the visits of these days.

        Parameters
        ----------
        customers : DataFrame
            customer_id, value_at_risk; open_complaints, where known, are no reason to stay away.
        staff : DataFrame
            field_person; of minutes (of a day, by default 480), visits (at most a day), area (several parted by ``;``), latitude
            and longitude (where the day begins) what there is.
        days : sequence of date
        premises : DataFrame, optional
            Of customers: customer_id; area, latitude, longitude, opens and closes (hours), closed_on (days, as in ``"Sat;Sun"``).
        results : DataFrame, optional
            Of earlier visits: customer_id, day, met (1 or 0), sold.
        key : str
            Names the draw of the control group.

        Returns
        -------
        VisitResult
        """
        require_columns(customers, ["customer_id", "value_at_risk"])
        require_columns(staff, ["field_person"])
        if not len(days) or staff["field_person"].duplicated().any():
            raise ContractError("A plan needs at least one day, and each field_person once.")
        when = sorted(as_day(day) for day in days)
        worth = self._worth(customers, results, when[0])
        held = control_group(worth["customer_id"], self.control, key)
        free = worth[~worth["customer_id"].isin(held["customer_id"])].head(self.most).reset_index(drop=True)
        if premises is not None:
            free = free.merge(premises.drop_duplicates("customer_id"), how="left", on="customer_id")
        market = _Market(self, free, staff.reset_index(drop=True), when)
        chosen, objective, bound = market.assign()
        visits = market.routes(chosen)
        return VisitResult(visits, held, worth, objective, bound, len(chosen) - len(visits))

    def _worth(self, customers: pd.DataFrame, results: pd.DataFrame | None, first: date) -> pd.DataFrame:
        """Customers whom a visit is expected to pay for, the most first; those who were visited lately are left out."""
        at_risk = customers["value_at_risk"].fillna(0).to_numpy(np.float64)
        p_met, sold = np.ones(len(customers)), np.zeros(len(customers))
        rested = np.zeros(len(customers), dtype=bool)
        if results is not None and len(results):
            past = results[pd.to_datetime(results["day"]) < pd.Timestamp(first)]
            by = (
                past.assign(n=1.0)
                .groupby("customer_id")
                .agg(n=("n", "sum"), met=("met", "sum"), sold=("sold", "sum"), last=("day", "max"))
            )
            own = by.reindex(customers["customer_id"])
            n, met, money = (own[name].fillna(0).to_numpy(np.float64) for name in ("n", "met", "sold"))
            p_met = shrunk(met, n, float(past["met"].mean()) if len(past) else 1.0, _PRIOR_VISITS)
            mean = float(past["sold"].sum() / max(past["met"].sum(), 1.0))
            sold = shrunk(money, met, mean, _PRIOR_VISITS)
            last = pd.to_datetime(own["last"]).to_numpy()
            rested = last > np.datetime64(first - timedelta(days=self.rest))
        gain = expected_gain(at_risk, p_met, sold, self.effect, self.margin, self.minute, self.minutes)
        table = customers[["customer_id"]].assign(expected_gain=gain)[(gain > 0) & ~rested]
        return table.sort_values(["expected_gain", "customer_id"], ascending=[False, True], ignore_index=True)


class _Market:
    """Customers, field persons and days as arrays: first who goes where on which day, then in which order."""

    def __init__(self, plan: VisitPlan, customers: pd.DataFrame, staff: pd.DataFrame, days: Sequence[date]) -> None:
        self.plan, self.customers, self.staff, self.days = plan, customers, staff, days
        self.places = _places(customers)
        self.homes = _places(staff)
        self.opens, self.closes = (
            _column(customers, name, default) * 60 for name, default in (("opens", 0.0), ("closes", 24.0))
        )
        self.closes = np.minimum(self.closes, _MIDNIGHT)

    def assign(self) -> tuple[pd.DataFrame, float, float]:
        """Rows of customer, person and day (places in their tables) with the greatest gain less travel, and its bound.

        A day's travel is counted as twice the way from its neighbourhood's centre, which is what keeps a day together.
        """
        who = self._possible()
        if not len(who):
            return who, 0.0, 0.0
        gain = self.customers["expected_gain"].to_numpy()[who["customer"]] - self.plan.minute * who["way"]
        who, gain = who[gain > 0].reset_index(drop=True), gain[gain > 0].to_numpy(np.float64)
        n_days, n = len(self.days), len(who)
        shift = who["person"].to_numpy() * n_days + who["day"].to_numpy()
        n_shifts, column = len(self.staff) * n_days, np.arange(n)
        once = csr_array((np.ones(n), (who["customer"].to_numpy(), column)), shape=(len(self.customers), n))
        time = csr_array((self.plan.minutes + who["way"].to_numpy(), (shift, column)), shape=(n_shifts, n))
        count = csr_array((np.ones(n), (shift, column)), shape=(n_shifts, n))
        minutes = np.repeat(_column(self.staff, "minutes", 480.0), n_days)
        visits = np.repeat(_column(self.staff, "visits", np.inf), n_days)
        solved = milp(
            -gain,
            integrality=np.ones(n),
            bounds=(0, 1),
            constraints=[
                LinearConstraint(once, ub=1),
                LinearConstraint(time, ub=minutes),
                LinearConstraint(count, ub=visits),
            ],
            options={"time_limit": 60.0, "mip_rel_gap": 1e-3},
        )
        taken = np.zeros(n, dtype=bool) if solved.x is None else solved.x > 0.5
        bound = -float(solved.mip_dual_bound) if solved.mip_dual_bound is not None else float(gain.sum())
        return who[taken].reset_index(drop=True), float(gain[taken].sum()), bound

    def _possible(self) -> pd.DataFrame:
        """Customers with the persons of their area and the days on which they are open, and minutes of travel."""
        rows = []
        closed = self._closed()
        for person in range(len(self.staff)):
            near = np.flatnonzero(self._in_area(person))
            if not len(near):
                continue
            ways = self._ways(near)
            for day in range(len(self.days)):
                there = ~closed[near, self.days[day].weekday()]
                rows.append(
                    pd.DataFrame({"customer": near[there], "person": person, "day": day, "way": ways[there, day]})
                )
        table = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()
        return (
            table if len(table) else pd.DataFrame({"customer": [], "person": [], "day": [], "way": []}, dtype=np.int64)
        )

    def _in_area(self, person: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        own = self.staff["area"].iloc[person] if "area" in self.staff else None
        if not isinstance(own, str) or "area" not in self.customers:
            return np.ones(len(self.customers), dtype=bool)
        return self.customers["area"].isin([area.strip() for area in own.split(";")]).to_numpy()

    def _closed(self) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
        """For each customer and day of the week, Monday first, whether the place is closed."""
        said = self.customers.get("closed_on", pd.Series("", index=self.customers.index)).fillna("").str.lower()
        days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
        return np.column_stack([said.str.contains(day).to_numpy(dtype=bool) for day in days])

    def _ways(self, near: Ints) -> Floats:
        """Minutes of travel that a visit on each day takes: a fixed number where a place has no coordinates."""
        known = np.isfinite(self.places[near]).all(axis=1)
        ways = np.full((len(near), len(self.days)), self.plan.travel)
        if known.any():
            places = self.places[near][known]
            gains = self.customers["expected_gain"].to_numpy()[near][known]
            centres = anchors(places, gains, len(self.days))
            ways[known] = 2 * kilometres(places, centres) / self.plan.speed * 60
        return ways

    def routes(self, chosen: pd.DataFrame) -> pd.DataFrame:
        """The visits of each person and day in their order; what the day has no time for is left out, the least gain first."""
        if not len(chosen):
            return pd.DataFrame({name: [] for name in _COLUMNS})
        shifts = chosen[["person", "day"]].drop_duplicates().to_numpy(np.int64).tolist()
        rows = [
            self._route(person, day, chosen.loc[(chosen["person"] == person) & (chosen["day"] == day), "customer"])
            for person, day in shifts
        ]
        table = pd.concat(rows, ignore_index=True)
        return table.sort_values(["field_person", "day", "position"], ignore_index=True)[_COLUMNS]

    def _route(self, person: int, day: int, assigned: pd.Series[int]) -> pd.DataFrame:
        gains = self.customers["expected_gain"].to_numpy()
        there: Ints = np.asarray(assigned, dtype=np.int64)
        there = there[np.argsort(-gains[there], kind="stable")]
        end = self.plan.start * 60 + float(_column(self.staff, "minutes", 480.0)[person])
        while True:
            travel, home = self._minutes_between(there), self._minutes_from_home(person, there)
            closes = np.minimum(self.closes[there], end)
            order, begins = ordered(travel, home, self.opens[there], closes, self.plan.minutes, self.plan.start * 60)
            if len(order) == len(there) or not len(there):
                break
            there = there[order] if len(order) >= len(there) - 1 else there[:-1]
        way = np.concatenate([home[order[:1]], travel[order[:-1], order[1:]]])
        chosen = there[order]
        return pd.DataFrame(
            {
                "field_person": self.staff["field_person"].iloc[person],
                "day": pd.Timestamp(self.days[day]),
                "position": np.arange(1, len(order) + 1),
                "customer_id": self.customers["customer_id"].to_numpy()[chosen],
                "expected_gain": gains[chosen],
                "begins": [f"{int(at) // 60:02d}:{int(at) % 60:02d}" for at in begins],
                "travel_minutes": np.round(way, 1),
            }
        )

    def _minutes_between(self, there: Ints) -> Floats:
        places = self.places[there]
        minutes = kilometres(places, places) / self.plan.speed * 60
        return np.where(np.isfinite(minutes), minutes, self.plan.travel)

    def _minutes_from_home(self, person: int, there: Ints) -> Floats:
        minutes = kilometres(self.places[there], self.homes[[person]])[:, 0] / self.plan.speed * 60
        return np.where(np.isfinite(minutes), minutes, self.plan.travel)


def _places(table: pd.DataFrame) -> Floats:
    return np.column_stack([_column(table, name, np.nan) for name in ("latitude", "longitude")])


def _column(table: pd.DataFrame, name: str, default: float) -> Floats:
    """A column of numbers; the default where it, or a value of it, is missing."""
    if name not in table:
        return np.full(len(table), default)
    return np.asarray(table[name].astype("float64").fillna(default), dtype=np.float64)
