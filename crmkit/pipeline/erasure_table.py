"""Customers whom a delivered table asks to forget: they are erased before a run reads anything else."""

from __future__ import annotations

from pathlib import Path

from crmkit.engine.frames import to_pandas
from crmkit.ingest.tables import Erasures
from crmkit.pipeline.config import Config
from crmkit.pipeline.people import erase
from crmkit.pipeline.sources import extract_of, yet_to_come
from crmkit.transactions.erasure import Tombstones

__all__ = ["erase_delivered"]


def erase_delivered(config: Config, home: Path, out: Path) -> tuple[dict[str, object], list[str]]:
    """Erase whoever is new in [erasures], for the run that owns the output folder.

    Returns
    -------
    dict
        asked, rejected (rows that name nobody), erased (by this run), store_lines, files: for ``run.json``; empty without the table.
    list of str
        Notes: what was done, and an erasure that did not end.
    """
    notes = list[str]()
    counts = dict[str, object]()
    table = config.erasures
    if table is not None and not yet_to_come(table, home):
        delivered = extract_of(table, home, config.currency)
        found, rejected = Erasures.split_extract(delivered, **table.columns)
        asked = sorted(set(to_pandas(found.frame)["customer_id"]))
        stones = Tombstones.read(home / config.privacy.folder)
        new = [one for one in asked if not stones.is_erased(one)]
        counts = {"asked": len(asked), "rejected": len(rejected), "erased": len(new)}
        if len(rejected):
            notes.append(f"{len(rejected):,} rows of the erasures name nobody who can be found; see to them by hand.")
        if new:
            receipt = erase(new, config, home, out)
            counts |= {"store_lines": receipt.store_lines, "files": len(receipt.files)}
            notes.append(
                f"{len(new):,} customers of the erasures were forgotten; the receipt is in {config.privacy.folder}/receipts."
            )
    if Tombstones.read(home / config.privacy.folder).begun:
        notes.append("An erasure did not end. Say crmkit forget again, with the same ids.")
    return counts, notes
