"""Sections of the configuration about what is handed out: the report's content, and the formats of tables."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from crmkit.pipeline.settings import Section

__all__ = ["Output", "ReportContents"]


class ReportContents(Section):
    """Which blocks the report has, in this order, each by the words printed above it: ``["What to do", "Offers"]``.

    Without ``blocks`` it has all, in the order of the reader. How far the numbers can be trusted is always told. Page and
    workbook are written in ``language``; names that are the shop's own stay as they are.
    """

    language: Literal["en", "ko", "zh", "ja"] = "en"
    blocks: Annotated[list[str], Field(min_length=1)] | None = None


class Output(Section):
    """As what the run's tables are written. Parquet always is; ``"csv"`` and ``"xlsx"`` are copies in the folder tables/."""

    formats: tuple[Literal["parquet", "csv", "xlsx"], ...] = ("parquet",)
