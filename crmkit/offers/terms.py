"""The terms of a plan, and what they mean for all lists: the deals that may be offered, the budgets, and the limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral

import numpy as np
import pandas as pd

from crmkit.exceptions import ConfigError
from crmkit.offers.deals import Deals
from crmkit.offers.needs import Needs
from crmkit.offers.solver.market import Limits

__all__ = ["EXCLUDED", "Terms", "budget_table", "limits_of", "offered_deals"]

EXCLUDED = ("gift card", "deposit", "tobacco", "cigar")
"""Words of categories in which nothing is offered."""


@dataclass(frozen=True)
class Terms:
    """What a plan keeps to; `OfferPlan` says what each field means."""

    deals: Deals
    slots: int = 10
    control: float = 0.10
    key: str = "crmkit"
    response: float = 1.25
    margin: float = 0.30
    min_weekly_spend: float = 0.0
    contact_cost: float = 0.0
    point_value: float = 0.10
    funder_budgets: Mapping[str, float] | None = None
    store_budget: float | None = None
    min_reach: Mapping[str, int] | None = None
    funder_cap: int | None = None
    frequency_cap: int | None = None
    min_worth: Mapping[str, float] | None = None
    excluded: tuple[str, ...] = EXCLUDED
    tips: pd.DataFrame | None = None
    tip_slots: int = 1
    control_by: str | None = None
    universal: float = 0.0
    least_need: float = 0.0
    need_share: float = 0.0
    worth_by_value: float = 0.0
    trial_slots: int | None = None
    perks_below: float = 0.0

    def __post_init__(self) -> None:
        amounts = {
            "store_budget": self.store_budget,
            "contact_cost": self.contact_cost,
            "point_value": self.point_value,
        }
        named = {"funder_budgets": self.funder_budgets, "min_reach": self.min_reach, "min_worth": self.min_worth}
        rules = {
            f"slots={self.slots!r} is not a whole number above 0": isinstance(self.slots, Integral) and self.slots >= 1,
            f"control={self.control!r} is not between 0 and 1": 0 <= self.control <= 1,
            f"universal={self.universal!r} is not between 0 and 1": 0 <= self.universal <= 1,
            f"response={self.response!r} is not a finite odds ratio above 0": 0 < self.response < float("inf"),
            f"margin={self.margin!r} is not above 0 and at most 1": 0 < self.margin <= 1,
            f"min_weekly_spend={self.min_weekly_spend!r} is below 0": self.min_weekly_spend >= 0,
            f"least_need={self.least_need!r} is not between 0 and 1": 0 <= self.least_need <= 1,
            f"trial_slots={self.trial_slots!r} is below 0": self.trial_slots is None or self.trial_slots >= 0,
            f"need_share={self.need_share!r} is not between 0 and 1": 0 <= self.need_share <= 1,
            f"perks_below={self.perks_below!r} is not between 0 and 1": 0 <= self.perks_below <= 1,
            f"worth_by_value={self.worth_by_value!r} is not between 0 and below 1": 0 <= self.worth_by_value < 1,
            **{f"{name}={value!r} is below 0": value is None or value >= 0 for name, value in amounts.items()},
            **{
                f"{name}={dict(values)!r} has an amount below 0": all(value >= 0 for value in values.values())
                for name, values in named.items()
                if values
            },
            f"funder_cap={self.funder_cap!r} is below 1": self.funder_cap is None or self.funder_cap >= 1,
            f"frequency_cap={self.frequency_cap!r} is below 0": self.frequency_cap is None or self.frequency_cap >= 0,
            **self._unknown_funders(),
        }
        faults = [fault for fault, holds in rules.items() if not holds]
        if faults:
            raise ConfigError("; ".join(faults) + ".")

    def _unknown_funders(self) -> dict[str, bool]:
        there = set(self.deals.frame["funder"])
        given = {"funder_budgets": self.funder_budgets or {}, "min_reach": self.min_reach or {}}
        return {
            f"{name} names {sorted(set(values) - there)}, which fund no deal (there are {sorted(there)[:10]})": (
                set(values) <= there
            )
            for name, values in given.items()
        }

    def columns_of_members(self) -> list[str]:
        """Columns that the members' table must have beside customer_id."""
        needed = ["weekly_spend"] * (self.min_weekly_spend > 0) + ["tier"] * bool(self.min_worth)
        needed += ["value"] * (self.worth_by_value > 0) + ["deal_share"] * (self.perks_below > 0)
        return needed + ([self.control_by] if self.control_by else [])

    def wanted_reach(self) -> dict[str, int]:
        """Funder → members that shall be reached, where any shall."""
        return {name: n for name, n in (self.min_reach or {}).items() if n > 0}

    def least_worth(self) -> dict[str, float]:
        """Tier → what a list shall be worth, where it shall be worth anything."""
        return {tier: least for tier, least in (self.min_worth or {}).items() if least > 0}


def offered_deals(terms: Terms, needs: Needs) -> tuple[pd.DataFrame, int]:
    """The deals of these days that may be offered, ordered by id, and how many may not."""
    window = needs.window()
    running = (terms.deals.active(*window) if window else terms.deals).frame.sort_values("deal_id", ignore_index=True)
    barred = running["category"].str.casefold().map(lambda name: any(word in name for word in terms.excluded))
    return running[~barred.astype(bool)].reset_index(drop=True), int(barred.astype(bool).sum())


def budget_table(terms: Terms, deals: pd.DataFrame) -> pd.DataFrame:
    """Every budget that the plan keeps: whose, name, budget; the deals' first."""
    budgets = [("deal", name, money) for name, money in zip(deals["deal_id"], deals["budget"], strict=True)]
    budgets += [("funder", name, money) for name, money in _paying(terms, deals).items()]
    if terms.store_budget is not None:
        budgets.append(("store", "store", terms.store_budget))
    return pd.DataFrame(budgets, columns=["level", "name", "budget"]).astype({"budget": float})


def _paying(terms: Terms, deals: pd.DataFrame) -> dict[str, float]:
    there = set(deals["funder"])
    return {name: money for name, money in (terms.funder_budgets or {}).items() if name in there}


def limits_of(terms: Terms, deals: pd.DataFrame) -> Limits:
    """What all lists share."""
    share = deals["funder_share"].fillna(0).to_numpy(float)
    funders, funder = np.unique(deals["funder"].to_numpy(object).astype(str), return_inverse=True)
    use = [np.eye(len(deals)), *((funders[funder] == name)[None] * share for name in _paying(terms, deals))]
    if terms.store_budget is not None:
        use.append((1 - share)[None])
    table, reach = budget_table(terms, deals), terms.wanted_reach()
    groupings = [pd.factorize(deals[column])[0] for column in ("category", "conflicts")]
    return Limits(
        use=np.concatenate(use),
        fee=np.where(table["level"] == "store", terms.contact_cost, 0.0),
        budget=table["budget"].to_numpy(float),
        reach=np.array(list(reach.values()), dtype=float),
        by=np.array([funders[funder] == name for name in reach], dtype=bool).reshape(len(reach), len(deals)),
        groupings=np.stack(groupings).astype(np.int64),
        funder=funder.astype(np.int64),
        funder_cap=terms.funder_cap or 10**6,
    )
