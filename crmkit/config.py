"""The configuration of a run: one TOML file, every key known, every mistake told in one message."""

from __future__ import annotations

import tomllib
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crmkit.exceptions import ConfigError

__all__ = ["Config", "read_config"]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TableSource(_Table):
    """Files of one table, and how its columns are called: ``columns = { customer_id = "card_no" }``."""

    files: str | list[str]
    columns: dict[str, str] = {}
    delimiter: str | None = None


class SalesSource(TableSource):
    """Files of sold lines, and how their times are written."""

    time_zone: str | None = None
    recorded_in: str | None = None
    time_format: str | None = None
    max_rejected: float = Field(0.05, ge=0, le=1)


class Value(_Table):
    """Lifetime value and tiers."""

    horizon: int = Field(365, ge=1)
    annual_discount: float = Field(0.10, ge=0)
    margin: float = Field(1.0, gt=0)
    tiers: tuple[float, ...] = (0.05, 0.15, 0.30, 0.50)


class Churn(_Table):
    """Churn is no purchase within ``horizon`` days."""

    horizon: int = Field(30, ge=1)


class Repurchase(_Table):
    """Which items are followed, and how far ahead."""

    by: Literal["product_id", "category", "brand", "brand_type", "manufacturer", "department"] | None = None
    horizon: int = Field(14, ge=1, le=84)
    exclude: list[str] = []


class Offers(_Table):
    """Who gets how many offers; ``response`` is the assumed odds ratio of buying with a deal."""

    slots: int = Field(8, ge=1)
    control: float = Field(0.10, ge=0, le=1)
    key: str = "crmkit"
    response: float = Field(1.25, ge=1)
    margin: float = Field(0.30, gt=0, le=1)
    min_weekly_spend: float = Field(0.0, ge=0)


class Lists(_Table):
    """How the printed lists look."""

    title: str = "Your shopping list"
    font: str | None = None


class Config(_Table):
    """Everything a run needs to know. Paths are relative to the file's own folder."""

    title: str = "Customer report"
    currency: str = Field("", pattern="^([A-Z]{3})?$")
    until: date
    transactions: SalesSource
    products: TableSource | None = None
    members: TableSource | None = None
    deals: TableSource | None = None
    value: Value = Value()
    churn: Churn = Churn()
    repurchase: Repurchase = Repurchase()
    offers: Offers = Offers()
    lists: Lists = Lists()


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
      transactions.files: Field required
      transactions.file: unknown key; did you mean 'files'?
    """
    file = Path(path)
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file.name} is not TOML: {error}.") from None
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        faults = "\n".join(f"  {_fault(dict(fault))}" for fault in error.errors())
        raise ConfigError(f"{file.name}:\n{faults}") from None


def _fault(fault: dict[str, Any]) -> str:
    place = [str(step) for step in fault["loc"]]
    if fault["type"] != "extra_forbidden":
        return f"{'.'.join(place)}: {fault['msg']}"
    near = get_close_matches(place[-1], _keys_at(place[:-1]), n=1)
    return f"{'.'.join(place)}: unknown key" + (f"; did you mean {near[0]!r}?" if near else "")


def _keys_at(place: list[str]) -> list[str]:
    """Known keys of the table at a place of the configuration."""
    tables: dict[str, type[BaseModel]] = {
        "transactions": SalesSource,
        "products": TableSource,
        "members": TableSource,
        "deals": TableSource,
        "value": Value,
        "churn": Churn,
        "repurchase": Repurchase,
        "offers": Offers,
        "lists": Lists,
    }
    table = tables[place[0]] if place else Config
    return list(table.model_fields)
