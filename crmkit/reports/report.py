"""The report: blocks put together, saved as one HTML page or as one workbook."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from crmkit._atomic import replacing
from crmkit.churn.backtest import ChurnBacktest
from crmkit.evaluation.backtest import Backtest
from crmkit.exceptions import ConfigError
from crmkit.reports.block import Block
from crmkit.reports.blocks import BLOCKS
from crmkit.reports.formats import number
from crmkit.reports.html import page
from crmkit.reports.pdf import write_pdf
from crmkit.reports.workbook import write_workbook

if TYPE_CHECKING:
    from crmkit.campaigns.contact_history import LastCampaign
    from crmkit.offers.result import OfferResult
    from crmkit.segments.migration import Migration
    from crmkit.transactions.rejections import Rejections

__all__ = ["Report"]


@dataclass
class Report:
    """A report that is put together block by block and saved.

    Parameters
    ----------
    title : str
    as_of : date, optional
        The as-of date of the numbers.
    currency : str, optional
        What money is in, for the words.
    language : {"en", "ko", "zh", "ja"}, default "en"
        What the page and the workbook are written in. The title and the shop's own names stay as they are.

    Attributes
    ----------
    blocks : list of Block
        What has been added, in its order.
    cards : list of (str, str)
        Key figures and what they are.
    first : list of str
        Sentences that stand before everything else: what was demanded and cannot be had.
    lead : list of Block
        The first screen: what changed and what to do, before how far the numbers can be trusted.
    trust : list of Block, optional
        Whose verdicts are told; by default those of ``blocks``.

    Examples
    --------
    >>> customers = pd.DataFrame({"customer_id": list("abcd"), "value": [90.0, 6.0, 3.0, 1.0], "tier": list("ABBC")})
    >>> report = Report("June").add("tiers", customers)
    >>> report.blocks[0].title
    'Tier A holds 90% of the value with 25% of the customers'
    >>> report.blocks[0].title in report.html()
    True
    """

    title: str
    as_of: date | None = None
    currency: str = ""
    language: str = "en"
    cards: list[tuple[str, str]] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    first: list[str] = field(default_factory=list)
    lead: list[Block] = field(default_factory=list)
    trust: list[Block] | None = None

    def add(self, name: str, *tables: Any, **options: object) -> Self:
        """Add a block by its name.

        Parameters
        ----------
        name : str
            One of `crmkit.reports.blocks.BLOCKS`: sales, tiers, concentration, tier_changes, segments, churn,
            repurchases, campaign, offers, backtest, churn_targeting, data_quality.
        *tables, **options
            What the block's function takes.

        Raises
        ------
        ConfigError
            There is no such block.
        """
        if name not in BLOCKS:
            raise ConfigError(f"There is no block {name!r}. There are {sorted(BLOCKS)}.")
        self.blocks.append(BLOCKS[name](*tables, currency=self.currency, **options))
        return self

    def add_card(self, value: float | str, label: str) -> Self:
        """A key figure at the top."""
        self.cards.append((value if isinstance(value, str) else number(value), label))
        return self

    def add_sales(self, sales: pd.DataFrame) -> Self:
        """Sales per week, from ``weekly_sales``."""
        return self.add("sales", sales)

    def add_tiers(self, customers: pd.DataFrame) -> Self:
        """Value tiers and how concentrated the value is; columns value and tier."""
        return self.add("tiers", customers).add("concentration", customers)

    def add_changes(self, moved: Migration, since: date) -> Self:
        """Who is in another tier than at an earlier day, and why; from ``migration``."""
        return self.add("tier_changes", moved, since)

    def add_segments(self, customers: pd.DataFrame) -> Self:
        """Named RFM segments; columns segment and total_spend."""
        return self.add("segments", customers)

    def add_churn(self, customers: pd.DataFrame, horizon: int) -> Self:
        """Risk by tier; columns tier, p_churn, value_at_risk."""
        return self.add("churn", customers, horizon)

    def add_repurchases(self, due: pd.DataFrame, by: str) -> Self:
        """Items due; from ``NextPurchase.predict``."""
        return self.add("repurchases", due, by)

    def add_campaign(self, measured: LastCampaign) -> Self:
        """What the newest campaign achieved; from ``LastCampaign.of``."""
        return self.add("campaign", measured)

    def add_offers(self, plan: OfferResult) -> Self:
        """The offer plan: budgets, optimality gap, what it rests on."""
        return self.add("offers", plan)

    def add_backtest(self, check: Backtest) -> Self:
        """A model's predictions against what happened; the verdict stands at the head of the report too."""
        self.add("backtest", check)
        if isinstance(check, ChurnBacktest) and len(check.gains.table):
            self.add("churn_targeting", check)
        return self

    def add_rejections(self, rejections: Rejections) -> Self:
        """What became of every row that was read."""
        return self.add("data_quality", rejections)

    def add_note(self, title: str, *sentences: str) -> Self:
        """A block of sentences only, a bullet each; further notes of the same title are added to it."""
        last = self.blocks[-1] if self.blocks else None
        if last is not None and last.topic == title and last.table is None and last.display is None:
            self.blocks[-1] = replace(last, notes=(*last.notes, *sentences))
        else:
            self.blocks.append(Block(title, title, notes=sentences))
        return self

    @property
    def verdicts(self) -> list[str]:
        """How far the models can be trusted, a sentence each."""
        return [block.verdict for block in self._judged if block.verdict]

    @property
    def _judged(self) -> list[Block]:
        return self.blocks if self.trust is None else self.trust

    @property
    def subtitle(self) -> str:
        """Currency and as-of date in words."""
        currency = f"Amounts in {self.currency}. " if self.currency else ""
        return currency + (f"As of the close of {self.as_of:%d %B %Y}." if self.as_of else "")

    def html(self) -> str:
        """The page: one file that needs no network."""
        said = (self.title, self.subtitle, self.cards, self.blocks, self.first, self.lead, self._judged, self.language)
        return page(*said)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the report as a page (``.html``), a workbook (``.xlsx``) or for print (``.pdf``), made from the same blocks.

        What was there is replaced only when the new file is complete.

        Raises
        ------
        ConfigError
            The name ends otherwise, or there are no words of the language.
        PublishError
            The file cannot be written.
        """
        file, blocks = Path(path), [*self.lead, *self.blocks]
        if file.suffix == ".xlsx":
            subtitle = " ".join([*self.first, self.subtitle])
            return write_workbook(file, self.title, subtitle, self.cards, blocks, self.as_of, self.language)
        if file.suffix == ".pdf":
            if self.language != "en":
                raise ConfigError(
                    f"A report in {self.language!r} is saved as .html or .xlsx; print the page for a PDF."
                )
            return write_pdf(file, self.title, self.subtitle, self.cards, blocks, self.as_of)
        if file.suffix != ".html":
            raise ConfigError(f"A report is saved as .html, .xlsx or .pdf, not as {file.name!r}.")
        with replacing(file) as part:
            part.write_text(self.html(), encoding="utf-8")
        return file
