"""The configuration of a run: one TOML file, every key known, every mistake told in one message."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING, Literal, Self, get_args, get_type_hints

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from crmkit.exceptions import ConfigError
from crmkit.ingest.schemas import (
    CARDS,
    CONTRACTS,
    COSTS,
    ERASURES,
    MERGES,
    POINTS,
    PREMISES,
    PRICES,
    RATES,
    REDEMPTIONS,
    SERVICE,
    STAFF,
    STOCK,
    VISITS,
)
from crmkit.pipeline.member_settings import Privacy, Trials
from crmkit.pipeline.output_settings import Output, ReportContents
from crmkit.pipeline.settings import (
    Backtests,
    BrandUsageGroups,
    Bundles,
    Campaign,
    CashDiscount,
    Churn,
    Clusters,
    Cohorts,
    Desk,
    EarlyNotice,
    Engine,
    Forecast,
    LifeCycle,
    Lists,
    Management,
    Offers,
    Points,
    Potential,
    PurchasePlanning,
    Relationships,
    Repurchase,
    Scorecard,
    Section,
    Sheets,
    Suppliers,
    TargetGroup,
    Thresholds,
    Value,
    Visits,
    WinBack,
)
from crmkit.pipeline.store_settings import StoreFolder
from crmkit.pipeline.table_sources import (
    CardSource,
    CostSource,
    DealSource,
    ErasureSource,
    MemberSource,
    MergeSource,
    PointsSource,
    PremisesSource,
    PriceSource,
    ProductSource,
    RateSource,
    RedemptionSource,
    SalesSource,
    ServiceSource,
    StaffSource,
    StockSource,
    TableSource,
    TipSource,
    VisitSource,
)

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["Config", "config_of", "read_config"]


_OTHERS = {
    "service": SERVICE,
    "costs": COSTS,
    "redemptions": REDEMPTIONS,
    "prices": PRICES,
    "stock": STOCK,
    "rates": RATES,
    "cards": CARDS,
    "merges": MERGES,
    "erasures": ERASURES,
    "points_entries": POINTS,
    "field_staff": STAFF,
    "premises": PREMISES,
    "visit_results": VISITS,
}


class Config(Section):
    """Everything a run needs to know. Paths are relative to the file's own folder."""

    title: str = "Customer report"
    currency: str = Field("", pattern="^([A-Z]{3})?$")
    until: date | Literal["yesterday", "latest"]
    transactions: SalesSource
    products: ProductSource | None = None
    members: MemberSource | None = None
    cards: CardSource | None = None
    merges: MergeSource | None = None
    erasures: ErasureSource | None = None
    points_entries: PointsSource | None = None
    field_staff: StaffSource | None = None
    premises: PremisesSource | None = None
    visit_results: VisitSource | None = None
    level: Literal["card", "member", "unit"] = "card"
    deals: DealSource | None = None
    tips: TipSource | None = None
    prices: PriceSource | None = None
    stock: StockSource | None = None
    rates: RateSource | None = None
    service: ServiceSource | None = None
    costs: CostSource | None = None
    redemptions: RedemptionSource | None = None
    value: Value = Value()
    desk: Desk = Desk()
    churn: Churn = Churn()
    cohorts: Cohorts = Cohorts()
    privacy: Privacy = Privacy()
    repurchase: Repurchase = Repurchase()
    offers: Offers = Offers()
    campaign: Campaign = Campaign()
    lists: Lists = Lists()
    engine: Engine = Engine()
    store: StoreFolder = StoreFolder()
    scorecard: Scorecard = Scorecard()
    backtests: Backtests = Backtests()
    thresholds: Thresholds = Thresholds()
    suppliers: Suppliers = Suppliers()
    brand_usage: BrandUsageGroups | None = None
    target_groups: dict[str, TargetGroup] | None = None
    relationships: Relationships | None = None
    life_cycle: LifeCycle | None = None
    bundles: Bundles | None = None
    forecast: Forecast | None = None
    management: Management | None = None
    purchase_plan: PurchasePlanning | None = None
    clusters: Clusters | None = None
    win_back: WinBack | None = None
    points: Points | None = None
    visits: Visits | None = None
    trials: Trials | None = None
    early_notice: EarlyNotice | None = None
    cash_discount: CashDiscount | None = None
    potential: Potential | None = None
    sheets: Sheets | None = None
    report: ReportContents = ReportContents()
    output: Output = Output()
    plugins: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _usual_model_on_spark(cls, given: object) -> object:
        """Models are compared on this machine alone; on Spark the usual one is taken where none is named."""
        if not isinstance(given, dict):
            return given
        engine, value = given.get("engine"), given.get("value", {})
        if isinstance(engine, dict) and engine.get("kind") == "spark" and isinstance(value, dict):
            return given | {"value": {"model": "BG/NBD"} | value}
        return given

    @field_validator("rates", mode="before")
    @classmethod
    def _a_file(cls, rates: object) -> object:
        """``rates = "rates.csv"`` names the file alone, whose columns have the contract's names."""
        return {"files": rates} if isinstance(rates, str) else rates

    @field_validator("until", mode="before")
    @classmethod
    def _a_day(cls, until: object) -> object:
        """A number would be taken for seconds since 1970."""
        if isinstance(until, int | float):
            raise ValueError(f"{until} is a number, not a day; write it as until = 2017-12-31")
        return until

    @model_validator(mode="after")
    def _known_columns(self) -> Self:
        """Every key of a ``columns`` table is a column of its contract."""
        faults = [
            fault
            for section, contract in (CONTRACTS | _OTHERS).items()
            if (table := getattr(self, section)) is not None
            for fault in (f"{section}.columns: {text}" for text in contract.unknown(table.columns))
        ]
        if faults:
            raise ValueError(" ".join(faults))
        return self

    @model_validator(mode="after")
    def _tables_of_the_engine(self) -> Self:
        named = [
            name
            for name in Config.model_fields
            if isinstance(table := getattr(self, name), TableSource) and table.on_spark
        ]
        if named and self.engine.kind != "spark":
            raise ValueError(
                f'{", ".join(named)}: a table without files is one of Spark. State files, or [engine] kind = "spark"'
            )
        if self.store.folder and self.transactions.on_spark:
            raise ValueError("a store is loaded from files; transactions is a table of Spark, which needs none")
        return self

    @model_validator(mode="after")
    def _deals_for_items(self) -> Self:
        """Deals name a category or a product, so that is what must be timed."""
        if self.deals and self.repurchase.by not in (None, "category", "product_id"):
            raise ValueError(f"repurchase.by = {self.repurchase.by!r}: deals need 'category' or 'product_id'")
        return self

    @model_validator(mode="after")
    def _tips_for_categories(self) -> Self:
        if self.tips and self.repurchase.by not in (None, "category"):
            raise ValueError(f"repurchase.by = {self.repurchase.by!r}: tips are chosen by 'category'")
        return self

    @model_validator(mode="after")
    def _worth_of_tiers(self) -> Self:
        """Tiers have letters, the best one A."""
        tiers = list(ascii_uppercase[: len(self.value.tiers)])
        if unknown := sorted(set(self.offers.min_worth) - set(tiers)):
            raise ValueError(f"offers.min_worth names {unknown}; the tiers are {tiers}")
        return self


def read_config(path: str | Path) -> Config:
    """Read and check a configuration file.

    Raises
    ------
    ConfigError
        The file is missing or is not TOML, or keys are unknown, missing or of the wrong kind: all of them in one
        message, with the nearest known name.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "crmkit.toml"
    >>> _ = file.write_text('until = 2017-12-31\\n[transactions]\\nfile = "till.csv"\\n')
    >>> read_config(file)
    Traceback (most recent call last):
        ...
    crmkit.exceptions.ConfigError: crmkit.toml:
      transactions.file: unknown key; did you mean 'files'?
    """
    file = Path(path)
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file.name} is not TOML: {error}.") from None
    return config_of(content, file.name)


def config_of(content: Mapping[str, object], name: str = "configuration") -> Config:
    """Check a configuration that is a mapping already; errors as in `read_config`."""
    try:
        return Config.model_validate(dict(content))
    except ValidationError as error:
        faults = "\n".join(f"  {_fault(fault)}" for fault in error.errors())
        raise ConfigError(f"{name}:\n{faults}") from None


def _fault(fault: ErrorDetails) -> str:
    place = [str(step) for step in fault["loc"]]
    if fault["type"] != "extra_forbidden":
        return ": ".join(filter(None, (".".join(place), fault["msg"].removeprefix("Value error, "))))
    near = get_close_matches(place[-1], _keys_at(place[:-1]), n=1)
    return f"{'.'.join(place)}: unknown key" + (f"; did you mean {near[0]!r}?" if near else "")


def _keys_at(place: list[str]) -> list[str]:
    """Known keys of the table at a place of the configuration."""
    if not place:
        return list(Config.model_fields)
    kinds = get_type_hints(Config)[place[0]]
    table = next(
        (kind for kind in (kinds, *get_args(kinds)) if isinstance(kind, type) and issubclass(kind, BaseModel)), Config
    )
    return list(table.model_fields)
