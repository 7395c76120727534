"""The run before: its labels hold those of the next one, so that a customer moves who clearly changed, and nobody else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Self

import pandas as pd

from crmkit.exceptions import ExtractError
from crmkit.segments.migration import Migration, migration
from crmkit.segments.tiers import ValueTiers

__all__ = ["Previous", "folders_of", "manifest_of", "table_of"]

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
        """The newest run before a day: the one that ``out/CURRENT`` is, or that it goes back to.

        Raises
        ------
        ExtractError
            A run on the way is not there, or cannot be read.
        """
        folder = out / "CURRENT"
        if not folder.is_symlink() and not _has_runs(out):
            return None
        while True:
            manifest = manifest_of(folder)
            if "previous" not in manifest:  # made before runs were handed on
                return None
            if date.fromisoformat(manifest["as_of"]) < day:
                return cls._read(folder, manifest)
            if not manifest["previous"]:
                return None
            folder = [out / "runs" / manifest["previous"], *folders_of(out, manifest["previous"])][-1]

    @classmethod
    def _read(cls, folder: Path, manifest: dict[str, Any]) -> Self:
        customers = table_of(folder, "customers", _KEPT).set_index("customer_id")
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


def _has_runs(out: Path) -> bool:
    return any(folder.suffix != ".part" for folder in (out / "runs").glob("*"))


def manifest_of(folder: Path) -> dict[str, Any]:
    """The content of a run's ``run.json``.

    Raises
    ------
    ExtractError
        It is not there, or is damaged.
    """
    file = folder / "run.json"
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(file, error) from error
    if not isinstance(manifest, dict) or not {"run", "as_of"} <= set(manifest):
        raise _damaged(file, "it does not say its run and as_of")
    return manifest


def table_of(folder: Path, name: str, columns: list[str] | None = None) -> pd.DataFrame:
    """A table that a run wrote; raises `ExtractError` where it is not there, or is damaged."""
    file = folder / f"{name}.parquet"
    try:
        return pd.read_parquet(file, columns=columns)
    except (OSError, ValueError, KeyError) as error:
        raise _damaged(file, error) from error


def _damaged(file: Path, error: object) -> ExtractError:
    why = getattr(error, "strerror", None) or error
    return ExtractError(f"{file} of an earlier run cannot be read ({why}). Put it back from a copy.")
