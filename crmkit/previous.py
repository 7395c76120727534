"""The run before: its labels hold those of the next one, so that a customer moves who clearly changed, and nobody else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Self

import pandas as pd

from crmkit.moves import Migration, migration
from crmkit.rfm import RFMScores
from crmkit.tiers import ValueTiers

__all__ = ["Previous", "folders_of", "labelled"]

_SCORES = ["r_score", "f_score", "m_score", "segment"]
_KEPT = ["customer_id", *_SCORES, "tier", "tier_since", "value"]


@dataclass(frozen=True)
class Previous:
    """What a published run said of its customers.

    Attributes
    ----------
    run : str
        Its id.
    day : date
        The day it stands for.
    value : dict
        The settings of [value] under which its tiers were made.
    customers : DataFrame
        By customer_id: r_score, f_score, m_score, segment, tier, tier_since, value.
    """

    run: str
    day: date
    value: dict[str, Any]
    customers: pd.DataFrame

    @classmethod
    def before(cls, out: Path, day: date) -> Self | None:
        """The newest run before a day: the one that ``out/CURRENT`` is, or that it goes back to."""
        folder = out / "CURRENT"
        while (file := folder / "run.json").is_file():
            manifest = json.loads(file.read_text(encoding="utf-8"))
            if "previous" not in manifest:  # made before runs were handed on
                return None
            if date.fromisoformat(manifest["as_of"]) < day:
                return cls._read(folder, manifest)
            earlier = folders_of(out, manifest["previous"]) if manifest["previous"] else []
            if not earlier:
                return None
            folder = earlier[-1]
        return None

    @classmethod
    def _read(cls, folder: Path, manifest: dict[str, Any]) -> Self:
        customers = pd.read_parquet(folder / "customers.parquet", columns=_KEPT).set_index("customer_id")
        day = date.fromisoformat(manifest["as_of"])
        return cls(manifest["run"], day, manifest["settings"]["value"], customers)

    def moved(self, customers: pd.DataFrame, rule: ValueTiers) -> Migration:
        """Who is in another tier now, and why; ``rule`` made the tiers of ``customers`` from those of this run."""
        before = self.customers.reset_index()
        earlier = ValueTiers(rule.shares, rule.names, rule.hysteresis).fit(before["value"])
        return migration(before, customers, tiers=(earlier, rule))


def folders_of(out: Path, run: str) -> list[Path]:
    """Folders in which a run was published, the newest last: a forced repetition has a number behind its id."""
    return sorted((out / "runs").glob(f"{run}*"), key=lambda folder: (len(folder.name), folder.name))


def labelled(customers: pd.DataFrame, rule: ValueTiers, day: date, previous: Previous | None) -> pd.DataFrame:
    """The customers with r_score, f_score, m_score, segment, tier and tier_since, by edges and thresholds of today.

    Parameters
    ----------
    customers : DataFrame
        customer_id, days_since_last, n_purchases, total_spend, value.
    rule : ValueTiers
        Fitted here.
    day : date
        The day that the labels stand for; tier_since is the day of the run that found the customer in its tier first.
    previous : Previous, optional
        Its labels are left only as far as hysteresis says.
    """
    by_id = customers.set_index("customer_id")
    earlier = None if previous is None else previous.customers
    tiers = None if earlier is None else earlier["tier"]
    labels = RFMScores().fit(by_id).transform(by_id, previous=earlier)
    labels["tier"] = rule.fit(by_id["value"]).transform(by_id["value"], previous=tiers)
    labels["tier_since"] = pd.Timestamp(day)
    if earlier is not None:
        stayed = labels["tier"] == earlier["tier"].reindex(labels.index)
        labels["tier_since"] = labels["tier_since"].mask(stayed, earlier["tier_since"].reindex(labels.index))
    return customers.join(labels, on="customer_id")
