"""Sections of the configuration that name tables: their files, how these are written, and what their columns are called."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, get_type_hints

from pydantic import Field, create_model, model_validator

from crmkit.exceptions import ConfigError
from crmkit.ingest.databases import is_url, secrets_of
from crmkit.ingest.layouts import settings_of
from crmkit.ingest.parts import Reading
from crmkit.ingest.row_meaning import RowMeaning
from crmkit.ingest.times import TimeRules
from crmkit.pipeline.environment import from_environment
from crmkit.pipeline.settings import Count, Section
from crmkit.transactions.line_meaning import LineMeaning, stated

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["SalesSource", "TableSource"]


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
            return (
                from_environment(files[0], "The address of the database")
                if file == files[0]
                else f"sqlite:///{home / file}"
            )
        return [str(home / file) for file in files]

    def read_options(self, currency: str) -> dict[str, Any]:
        """Options of `read_extract`; amounts are in the run's currency unless another is stated."""
        wanted = {one.name for one in fields(Reading)} - ({"table"} if self.on_spark else set())
        stated = self.model_dump(include=wanted, exclude_none=True)
        options = ({"currency": currency} if currency else {}) | stated
        Reading(**options)
        return options

    def options(self, home: Path, currency: str) -> dict[str, Any]:
        """`read_options`, with the files that are joined to these, where there are any."""
        return self.read_options(currency)


class Join(_Readable):
    """Files with one row per order, and the columns that tell orders apart: the same in both, or those of the lines = of the heads."""

    files: str | Annotated[list[str], Field(min_length=1)]
    on: str | list[str] | dict[str, str]


_OF_ONE_FILE = ("sheet", "member", "table", "query", "skip_rows")


class SalesSource(TableSource, _Timed, _Meant):
    """Files of sold lines, and how their times are written."""

    about = "transactions"

    classes: dict[str, list[str]] | None = None
    join: Join | None = None

    def options(self, home: Path, currency: str) -> dict[str, Any]:
        options = self.read_options(currency)
        if self.join is None:
            return options
        files = [self.join.files] if isinstance(self.join.files, str) else self.join.files
        stated = {name: value for name, value in options.items() if name not in _OF_ONE_FILE}
        more = stated | self.join.model_dump(exclude_unset=True) | {"files": [str(home / file) for file in files]}
        return options | {"join": more}

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
    """Files of who holds a card; ``unit`` is the column with the household or business of each."""

    about = "members"

    unit: str | None = None


class CardSource(TableSource):
    """Files that say whose each card is."""

    about = "cards"


class MergeSource(TableSource):
    """Files of members who turned out to be one."""

    about = "merges"


class ErasureSource(TableSource):
    """Files of customers who asked to be forgotten. Whoever is new in them is erased before a run reads anything else."""

    about = "erasures"


class PointsSource(TableSource):
    """Files of a ledger of points that another system keeps."""

    about = "points_entries"


class StaffSource(TableSource):
    """Files of who visits customers."""

    about = "field_staff"


class PremisesSource(TableSource):
    """Files of where customers are."""

    about = "premises"


class VisitSource(TableSource):
    """Files of the results of visits."""

    about = "visit_results"


class DealSource(TableSource):
    """Files of deals."""

    about = "deals"


class TipSource(TableSource):
    """Files of recipes and tips."""

    about = "tips"


class StockSource(TableSource):
    """Files of the stock."""

    about = "stock"


class PriceSource(TableSource):
    """Files of current prices."""

    about = "prices"


class RateSource(TableSource):
    """Files of what currencies are worth, by day."""

    about = "rates"


class ServiceSource(TableSource):
    """Files of complaints, surveys and recoveries."""

    about = "service"


class CostSource(TableSource):
    """Files of what serving members costs."""

    about = "costs"


class RedemptionSource(TableSource):
    """Files of coupons that came back at the tills."""

    about = "redemptions"
