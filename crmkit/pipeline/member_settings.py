"""Further sections of the configuration, about members and new products."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from crmkit.pipeline.settings import Count, Days, Section


class Trials(Section):
    """New products that are followed: those of lines that meet ``where``; see `trial_repeat`."""

    where: str = "brand_type = 'store'"
    horizon: Days = 90
    least: Count = Field(20, ge=1)


class Privacy(Section):
    """Pseudonyms, and where the marks of those who were forgotten are kept: a folder that is closed to others, beside the
    configuration. The table to re-identify is there too; the key is in a file elsewhere, or in the environment. ``keep``
    says for how many days before the newest run each kind of data is kept; `crmkit purge` removes what is older.
    """

    folder: str = "privacy"
    pseudonyms: bool = False
    key_file: str | None = None
    key_env: str = "CRMKIT_PSEUDONYM_KEY"
    keep: dict[Literal["runs", "campaigns", "lists"], Days] = Field(default_factory=dict)
