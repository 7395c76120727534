"""Further sections of the configuration, about members and new products."""

from __future__ import annotations

from pydantic import Field

from crmkit.pipeline.settings import Count, Days, Section


class Trials(Section):
    """New products that are followed: those of lines that meet ``where``; see `trial_repeat`."""

    where: str = "brand_type = 'store'"
    horizon: Days = 90
    least: Count = Field(20, ge=1)


class Privacy(Section):
    """Where the marks of those who were forgotten are kept: a folder that is closed to others, beside the configuration."""

    folder: str = "privacy"
