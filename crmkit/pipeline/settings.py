"""Sections of the configuration: what each stage can be told, with its defaults."""

from __future__ import annotations

from datetime import date
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Number = Annotated[float, Field(strict=True)]
Count = Annotated[int, Field(strict=True)]
Money = Annotated[Number, Field(ge=0)]
Days = Annotated[Count, Field(ge=1)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    rhythm: ClassVar[tuple[str, ...]] = ("refit_every", "max_age")
    """Settings that say when or how something is computed, not what it is."""


class Value(Section):
    """Lifetime value and tiers."""

    horizon: Count = Field(365, ge=1)
    annual_discount: Number = Field(0.10, ge=0)
    margin: Number = Field(1.0, gt=0)
    tiers: tuple[Number, ...] = (0.05, 0.15, 0.30, 0.50)
    model: Literal["auto", "BG/NBD", "MBG/NBD", "Pareto/NBD", "NBD", "BG/CNBD-k", "MBG/CNBD-k"] = "auto"
    refit_every: Days = 28

    @field_validator("tiers")
    @classmethod
    def _whole(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if not all(share > 0 for share in shares) or abs(sum(shares) - 1) > 1e-9:
            raise ValueError("the shares of the tiers must be above 0 and sum to 1")
        return shares


class Cohorts(Section):
    """By which periods customers are followed from their first purchase on."""

    period: Literal["month", "week", "quarter"] = "month"


class Churn(Section):
    """Churn is no purchase within ``horizon`` days."""

    horizon: Count = Field(30, ge=1)
    refit_every: Days = 28


class Repurchase(Section):
    """Which items are followed, and how far ahead."""

    by: Literal["product_id", "category", "brand", "brand_type", "manufacturer", "department"] | None = None
    horizon: Count = Field(14, ge=1, le=84)
    exclude: list[str] = []
    refit_every: Days = 28


class Scorecard(Section):
    """By how much the scores of what was published may get worse, relative to the baseline's: 0.15 is 15 %.

    Above ``warn`` there is a note, and the model is refitted; above ``stop`` the run is refused.
    """

    warn: Number = Field(0.15, gt=0)
    stop: Number | None = Field(None, gt=0)


class Backtests(Section):
    """How old, in days, backtests may be before the models are refitted as of earlier dates again."""

    max_age: Days = 91


class Offers(Section):
    """Terms of the plan, named as `OfferPlan` names them.

    Of the offers ``need_share`` are for needs (bought with at least ``least_need``), the worth of lists follows the members'
    value with a correlation of at least ``worth_by_value``, and one on a list may be a trial, where `OfferPlan` demands none
    of these unless it is told to. Under a share of purchases on a deal of ``perks_below`` perks replace the shop's own money.
    """

    slots: Count = Field(8, ge=1)
    control: Number = Field(0.10, ge=0, lt=1)
    universal: Number = Field(0.0, ge=0, le=1)
    response: Number = Field(1.25, ge=1)
    margin: Number = Field(0.30, gt=0, le=1)
    min_weekly_spend: Number = Field(0.0, ge=0)
    store_budget: Money | None = None
    funder_budgets: dict[str, Money] = {}
    min_reach: dict[str, Annotated[Count, Field(ge=0)]] = {}
    min_worth: dict[str, Money] = {}
    tip_slots: Count = Field(1, ge=1)
    least_need: Number = Field(0.30, ge=0, le=1)
    need_share: Number = Field(0.70, ge=0, le=1)
    worth_by_value: Number = Field(0.50, ge=0, lt=1)
    trial_slots: Count = Field(1, ge=0)
    perks_below: Number = Field(0.0, ge=0, le=1)


class Campaign(Section):
    """When lists are planned: for every ``every`` days from the day ``starts`` on; by every run where neither is stated.

    ``keep_budgets`` is the probability with which each budget is kept. A member who ignored a coupon gets none of the same
    deal for ``rest`` days; by default what was ignored is evidence, and no rest is kept. With ``from_lines`` redemptions are
    read off the sales lines (`redeemed_in_lines`): a discount on an offer's goods, or a line with the coupon's code.
    """

    every: Days | None = None
    starts: date | None = None
    keep_budgets: Number = Field(0.95, ge=0.5, lt=1)
    rest: Annotated[Count, Field(ge=0)] = 0
    from_lines: bool = False

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.every is None) != (self.starts is None):
            raise ValueError("every and starts belong together: every = 14, starts = 2018-01-01")
        return self


class Lists(Section):
    """How the printed lists look: title, font, language, and how many needs a list shows at most."""

    title: str | None = None
    font: str | None = None
    language: Literal["en", "ko", "zh", "ja"] = "en"
    needs: Count = Field(8, ge=1)


class Threshold(Section):
    """Above ``warn`` there is a note, above ``stop`` the run is refused; None: never."""

    warn: Number | None = Field(None, ge=0)
    stop: Number | None = Field(None, ge=0)


class Thresholds(Section):
    """What a delivery may look like.

    ``rejected_rows`` and ``rejected_money`` are shares of what was read (rows that only lack a member do not count);
    ``missing_days`` counts days without a transaction before the run date, in multiples of the longest such time before;
    ``unmatched_members`` is the share of customers who are not among the members; ``vanished_categories`` is the share of
    sales that categories had which have sold nothing in the last 14 days. An id with more than the share ``one_id`` of all
    receipts, or of all money, is no member's (where there are 30 or more): it is left out of every model and list, stands in
    ``ids_left_out.parquet``, and its lines count in sales. Without it such ids are only told.
    """

    rejected_rows: Threshold = Threshold(warn=None, stop=0.05)
    rejected_money: Threshold = Threshold()
    missing_days: Threshold = Threshold(warn=1.0, stop=5.0)
    unmatched_members: Threshold = Threshold(warn=0.0, stop=0.999999)
    vanished_categories: Threshold = Threshold(warn=0.05, stop=None)
    one_id: Number | None = Field(None, gt=0, lt=1)


Item = Literal["product_id", "category", "brand", "brand_type", "manufacturer", "department"]


class BrandUsageGroups(Section):
    """Brand users and light, medium or heavy use in each category; see `BrandUsage`."""

    by: Item = "category"
    loyal: Number = Field(0.75, gt=0.5, le=1)
    light: Number = Field(1 / 3, gt=0, lt=1)
    heavy: Number = Field(2 / 3, gt=0, lt=1)
    window: Days = 365


class TargetGroup(Section):
    """Conditions in words = SQL over the columns of customers.parquet; ``measure`` is followed over time."""

    conditions: Annotated[dict[str, str], Field(min_length=1)]
    measure: Literal["own_brand_share", "spend", "receipts", "spend_per_receipt", "items_per_receipt"] | None = None
    period: Literal["month", "week", "28 days"] = "month"


class Relationships(Section):
    """How close the relationship with each customer is; see `RelationshipLevel`."""

    by: Item = "category"
    margin: Number = Field(1.0, gt=0, le=1)
    edges: dict[str, tuple[Number, Number, Number]] | None = None
    window: Days = 365
    least_share: Number = Field(0.5, ge=0, le=1)
    least_weight: Number = Field(1.0, ge=0)


class LifeCycle(Section):
    """Where items stand in their lives; see `life_cycle`."""

    by: Item = "category"
    runs: Count = Field(6, ge=4)
    min_items: Count = Field(12, ge=1)


class Bundles(Section):
    """Items that are bought together; see `bought_together`. They are looked at again in the last ``retest`` days."""

    by: Item = "category"
    min_support: Number = Field(100, gt=0)
    size: Literal[2, 3] = 2
    retest: Days | None = None


class Forecast(Section):
    """What will be sold; see `forecast`. Deals are events of their kind where the deals are for items of ``by``."""

    by: Item = "category"
    horizon: Count = Field(4, ge=1)
    period: Literal["day", "week", "28 days"] = "week"
    measure: Literal["quantity", "sales"] = "quantity"
    within: Item | None = None
    holidays: str | None = None


class Management(Section):
    """The management pack; ``classes`` is the column of customers.parquet by which customers are counted."""

    classes: Literal["tier", "segment"] = "tier"


class Suppliers(Section):
    """What suppliers may be told; see `DisclosureRules` and `supplier_report`. Once a report is released, they stay."""

    by: Literal["manufacturer", "brand"] = "manufacturer"
    period: Literal["quarter", "month"] = "quarter"
    min_cell: Count = Field(10, ge=5)
    dominance: Number = Field(0.5, gt=0, lt=1)
    p_percent: Number = Field(0.2, gt=0, lt=1)
    count_grid: Count = Field(5, ge=1)
    money_grid: Number = Field(10.0, gt=0)


class PurchasePlanning(Section):
    """What is ordered: every how many days, with which service level, and for how much money; see `purchase_plan`."""

    review: Days = 7
    service_level: Number = Field(0.95, ge=0.5, le=0.995)
    budget: Money | None = None


class Clusters(Section):
    """Clusters that keep their names; see `CustomerClusters`."""

    method: Literal["k-means", "gaussian-mixture"] = "k-means"
    n_clusters: Count | None = Field(None, ge=1)
    measures: list[str] | None = None
    value: str | None = None
    names: list[str] | None = None
    seed: Count = 0


class WinBack(Section):
    """Customers to win back: at most ``n``, the most value at risk first.

    A share ``control`` of them is held back, the same customers for a month, so that the list ``horizon`` days on can be
    compared with them; ``contact_cost`` is what each contact costs.
    """

    n: Count | None = Field(None, ge=1)
    control: Number = Field(0.20, ge=0, lt=1)
    horizon: Days = 30
    contact_cost: Money = 0.0


class Bonus(Section):
    """Points on top of those that all purchases earn; see `PointsBonus`."""

    name: str
    where: str = "true"
    per: Number | None = Field(None, gt=0)
    each: Count | None = Field(None, ge=1)
    starts: date | None = None
    ends: date | None = None
    vip: bool = False

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if (self.per is None) == (self.each is None):
            raise ValueError("state per (money per point) or each (points per piece)")
        return self


class Promise(Section):
    """Who bought a product dearer in these days gets the difference back, as points."""

    product_id: str
    price: Money
    starts: date
    ends: date


class Points(Section):
    """A programme of points; see `PointsLedger`. A point is earned by ``per`` spent and is ``worth`` money."""

    per: Number = Field(10.0, gt=0)
    worth: Number = Field(0.10, gt=0)
    expires: Days | None = None
    leave_out: str | None = None
    bonuses: list[Bonus] = []
    promises: list[Promise] = []
    rewards: dict[str, Annotated[Count, Field(ge=1)]] = {}


class Visits(Section):
    """Visits to customers, planned for ``days`` working days from the day after the run date on; see `VisitPlan`."""

    days: Count = Field(5, ge=1, le=31)
    weekend: bool = False
    minutes: Number = Field(45, gt=0)
    minute: Number = Field(0.5, ge=0)
    effect: Number = Field(0.10, ge=0, le=1)
    margin: Number = Field(0.30, ge=0, le=1)
    speed: Number = Field(40, gt=0)
    travel: Number = Field(15, ge=0)
    start: Number = Field(9, ge=0, lt=24)
    rest: Count = Field(28, ge=0)
    control: Number = Field(0.10, ge=0, lt=1)
    most: Count = Field(1000, ge=1)


class Sheets(Section):
    """Pages about customers, as PDF: those to be visited first, then the most value at risk; at most ``most``.

    ``where`` is an SQL condition over the columns of customers.parquet.
    """

    most: Count = Field(1000, ge=1)
    where: str | None = None


class Potential(Section):
    """What customers could spend beside those who come as often; see `potential`."""

    by: Item = "category"
    window: Days = 365
    bands: Count = Field(5, ge=1)


class Desk(Section):
    """The service desk: ``deadline`` days for a complaint without a day of its own; who has fewer than ``least`` answers is not shown."""

    deadline: Days = 14
    least: Count = Field(10, ge=2)


class EarlyNotice(Section):
    """Notice of specials that begin within ``days``, to the ``capacity`` customers likeliest to want each; see `early_notice`."""

    capacity: Count = Field(500, ge=1)
    control: Number = Field(0.10, ge=0, lt=1)
    days: Days = 28


class CashDiscount(Section):
    """A discount for paying cash, for members who meet all conditions (words = SQL over customers.parquet); see `cash_discount`."""

    conditions: Annotated[dict[str, str], Field(min_length=1)]
    rate: Number = Field(0.02, gt=0, lt=1)
    days: Days = 90


class Engine(Section):
    """Where the run's tables are: ``"duckdb"``, on this machine, or ``"spark"``, in the session that is active or started.

    ``memory_limit`` (as in "2GB") and ``threads`` are limits of DuckDB; `engine_limits` has them for a whole program.
    """

    rhythm: ClassVar[tuple[str, ...]] = ("memory_limit", "threads")

    kind: Literal["duckdb", "spark"] = "duckdb"
    memory_limit: str | None = None
    threads: Count | None = Field(None, ge=1)
