"""The configuration of a run: one TOML file, every key known, every mistake told in one message."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, get_args, get_type_hints

from pydantic import BaseModel, Field, ValidationError, create_model, field_validator, model_validator

from crmkit.exceptions import ConfigError
from crmkit.ingest.databases import is_url, secrets_of
from crmkit.ingest.layouts import settings_of
from crmkit.ingest.parts import Reading
from crmkit.ingest.row_meaning import RowMeaning
from crmkit.ingest.schemas import CONTRACTS, COSTS, PRICES, REDEMPTIONS, SERVICE
from crmkit.ingest.times import TimeRules
from crmkit.pipeline.settings import (
    Backtests,
    BrandUsageGroups,
    Bundles,
    Campaign,
    Churn,
    Clusters,
    Cohorts,
    Count,
    Engine,
    LifeCycle,
    Lists,
    Offers,
    Relationships,
    Repurchase,
    Scorecard,
    Section,
    StoreFolder,
    TargetGroup,
    Thresholds,
    Value,
    WinBack,
)
from crmkit.transactions.line_meaning import LineMeaning, stated

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from pydantic_core import ErrorDetails

__all__ = ["Config", "config_of", "read_config"]


def _options(kind: type[DataclassInstance]) -> dict[str, Any]:
    """The options that a dataclass states, with their types and defaults, as fields of a section."""
    hints = get_type_hints(kind)
    made = {
        one.name: Field(default_factory=one.default_factory) for one in fields(kind) if callable(one.default_factory)
    }
    return {
        one.name: (Count if hints[one.name] is int else hints[one.name], made.get(one.name, one.default))
        for one in fields(kind)
    }


_Readable = create_model("_Readable", __base__=Section, **_options(Reading))
_Timed = create_model("_Timed", __base__=Section, **_options(TimeRules))
_Meant = create_model("_Meant", __base__=Section, **_options(RowMeaning))


class TableSource(_Readable):
    """Files of one table, a database, or a table of Spark; how it is written (`read_extract`), and how its columns are called.

    ``table`` alone, without files, names a table of the Spark session: ``table = "lake.sales"``.

    ``layout`` names one of `crmkit.ingest.layouts`, whose settings apply where none are given here. In the address of a
    database ``${NAME}`` is taken from the environment; a password is never written here.
    """

    about: ClassVar[str]

    files: str | Annotated[list[str], Field(min_length=1)] | None = None
    table: str | None = None
    layout: str | None = None
    columns: dict[str, str | list[str]] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _with_layout(cls, given: object) -> object:
        if not isinstance(given, dict) or not isinstance(given.get("layout"), str):
            return given
        ready = settings_of(given["layout"], cls.about)
        columns = given.get("columns", {})
        merged = ready.get("columns", {}) | columns if isinstance(columns, dict) else columns
        return ready | given | {"columns": merged}

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.files is None and self.table is None:
            raise ValueError(
                'files are not stated. Name them: files = "…"; or, on Spark, a table: table = "lake.sales"'
            )
        self.read_options("")
        for file in self._listed():
            if is_url(file) and any("${" not in secret for secret in secrets_of(file)):
                raise ConfigError("the file contains the password. Write ${NAME} and set NAME in the environment.")
        return self

    @property
    def on_spark(self) -> bool:
        """Whether it is a table of the Spark session."""
        return self.files is None

    def _listed(self) -> list[str]:
        return [self.files] if isinstance(self.files, str) else self.files or []

    def source(self, home: Path) -> str | list[str]:
        """What to hand to `read_extract`: paths from the configuration's folder, or a database address."""
        files = self._listed()
        if len(files) == 1 and is_url(files[0]):
            file = files[0].removeprefix("sqlite:///")
            return _filled(files[0]) if file == files[0] else f"sqlite:///{home / file}"
        return [str(home / file) for file in files]

    def read_options(self, currency: str) -> dict[str, Any]:
        """Options of `read_extract`; amounts are in the run's currency unless another is stated."""
        wanted = {one.name for one in fields(Reading)} - ({"table"} if self.on_spark else set())
        stated = self.model_dump(include=wanted, exclude_none=True)
        options = ({"currency": currency} if currency else {}) | stated
        Reading(**options)
        return options


class SalesSource(TableSource, _Timed, _Meant):
    """Files of sold lines, and how their times are written."""

    about = "transactions"

    classes: dict[str, list[str]] | None = None

    def line_options(self) -> dict[str, Any]:
        """Keywords of `Transactions.split_extract`: how times are written, what lines mean, and the names of columns."""
        names = {one.name for kind in (TimeRules, LineMeaning) for one in fields(kind)}
        return self.model_dump(include=names, exclude_defaults=True) | self.columns

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        stated(self.line_options())
        return self


class ProductSource(TableSource):
    """Files of what is sold."""

    about = "products"


class MemberSource(TableSource):
    """Files of who holds a card."""

    about = "members"


class DealSource(TableSource):
    """Files of deals."""

    about = "deals"


class TipSource(TableSource):
    """Files of recipes and tips."""

    about = "tips"


class PriceSource(TableSource):
    """Files of current prices."""

    about = "prices"


class ServiceSource(TableSource):
    """Files of complaints, surveys and recoveries."""

    about = "service"


class CostSource(TableSource):
    """Files of what serving members costs."""

    about = "costs"


class RedemptionSource(TableSource):
    """Files of coupons that came back at the tills."""

    about = "redemptions"


class Config(Section):
    """Everything a run needs to know. Paths are relative to the file's own folder."""

    title: str = "Customer report"
    currency: str = Field("", pattern="^([A-Z]{3})?$")
    until: date | Literal["yesterday", "latest"]
    transactions: SalesSource
    products: ProductSource | None = None
    members: MemberSource | None = None
    deals: DealSource | None = None
    tips: TipSource | None = None
    prices: PriceSource | None = None
    service: ServiceSource | None = None
    costs: CostSource | None = None
    redemptions: RedemptionSource | None = None
    value: Value = Value()
    churn: Churn = Churn()
    cohorts: Cohorts = Cohorts()
    repurchase: Repurchase = Repurchase()
    offers: Offers = Offers()
    campaign: Campaign = Campaign()
    lists: Lists = Lists()
    engine: Engine = Engine()
    store: StoreFolder = StoreFolder()
    scorecard: Scorecard = Scorecard()
    backtests: Backtests = Backtests()
    thresholds: Thresholds = Thresholds()
    brand_usage: BrandUsageGroups | None = None
    target_groups: dict[str, TargetGroup] | None = None
    relationships: Relationships | None = None
    life_cycle: LifeCycle | None = None
    bundles: Bundles | None = None
    clusters: Clusters | None = None
    win_back: WinBack | None = None

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
            for section, contract in (
                CONTRACTS | {"service": SERVICE, "costs": COSTS, "redemptions": REDEMPTIONS, "prices": PRICES}
            ).items()
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
        if self.engine.kind == "spark" and self.value.model == "auto":
            raise ValueError('value.model = "auto" is not chosen on Spark yet; name the model, "BG/NBD" say')
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


def _filled(address: str) -> str:
    """An address with its ``${NAME}`` from the environment."""
    absent = [name for name in re.findall(r"\$\{(\w+)\}", address) if name not in os.environ]
    if absent:
        raise ConfigError(f"Environment variables not set: {absent}. The address of the database needs them.")
    return re.sub(r"\$\{(\w+)\}", lambda name: os.environ[name[1]], address)


def _keys_at(place: list[str]) -> list[str]:
    """Known keys of the table at a place of the configuration."""
    if not place:
        return list(Config.model_fields)
    kinds = get_type_hints(Config)[place[0]]
    table = next(
        (kind for kind in (kinds, *get_args(kinds)) if isinstance(kind, type) and issubclass(kind, BaseModel)), Config
    )
    return list(table.model_fields)
