"""A supplier's report, from what a run has published and the record of campaigns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pandas as pd

from crmkit._days import day_number
from crmkit.campaigns.effect import campaign_effect
from crmkit.engine.choose import engine_for
from crmkit.exceptions import ExtractError
from crmkit.pipeline.campaign_folder import CampaignFolder, Recorded
from crmkit.pipeline.history import Published, manifest_of
from crmkit.pipeline.sheets import log_of
from crmkit.reports.disclosure import DisclosureRules, Ledger
from crmkit.reports.supplier_report import SupplierReport, supplier_named, supplier_report
from crmkit.transactions.log import Transactions

__all__ = ["write_supplier"]


def write_supplier(supplier: str, out: Path) -> tuple[SupplierReport, Path]:
    """Write ``out/suppliers/<name>/report.html`` and ``report.xlsx``, and record what was released.

    Raises
    ------
    ExtractError
        There is no run, or what it read is gone.
    ContractError
        There is no such supplier, or it is spelt in several ways.
    ConfigError
        No whole period has been observed, or the rules of [suppliers] are not those of earlier releases.
    """
    run = Published(out / "CURRENT", manifest_of(out / "CURRENT"))
    settings = dict(run.manifest["settings"]["suppliers"])
    log, by, period = log_of(run), settings.pop("by"), settings.pop("period")
    name = supplier_named(supplier, log, by)
    day = date.fromisoformat(run.manifest["as_of"])
    redemptions = run.table("redemptions") if run.has("redemptions") else pd.DataFrame()
    recorded = CampaignFolder(out).campaigns(day)
    deals = pd.DataFrame(
        _deals(name, by, [one for one in recorded if one.is_sent and one.last_day <= day], redemptions, log)
    )
    report = supplier_report(
        name,
        log,
        run.table("members") if run.has("members") else None,
        deals,
        by=by,
        period=period,
        rules=DisclosureRules(**settings),
        ledger=Ledger(out / "suppliers" / "ledger.parquet"),
        as_of=day,
        currency=run.manifest["settings"]["currency"],
    )
    folder = out / "suppliers" / _folder_name(name)
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    report.page.save(folder / "report.xlsx")
    return report, report.page.save(folder / "report.html")


def _folder_name(name: str) -> str:
    """A name that a folder may bear.

    >>> _folder_name("../Müller & Sons")
    'müller-sons'
    """
    plain = "-".join(re.findall(r"\w+", name.casefold()))
    if not plain:
        raise ExtractError(f"{name!r} has no letter or figure that a folder could be named by.")
    return plain[:80]


def _deals(
    supplier: str, by: str, recorded: list[Recorded], redemptions: pd.DataFrame, log: Transactions
) -> Iterator[dict[str, object]]:
    """What each deal of each campaign that is over did; the effect is that of all the supplier's deals of the campaign."""
    for one in recorded:
        offers = one.sent_offers()
        own = offers[offers["funder"] == supplier]
        if not len(own):
            continue
        effect = _effect(supplier, by, one, log)
        back = redemptions[redemptions["campaign"] == one.name] if len(redemptions) else redemptions
        about = one.table("deals").drop_duplicates("deal_id").set_index("deal_id")[["title", "budget"]].to_dict()
        for deal_id, of in own.groupby("deal_id"):
            used = back[back["deal_id"] == deal_id] if len(back) else back
            yield {
                "deal_id": deal_id,
                "title": about["title"].get(deal_id),
                "starts": one.first_day,
                "sent": of["customer_id"].nunique(),
                "redeemed": used["customer_id"].nunique() if len(used) else 0,
                "budget": about["budget"].get(deal_id),
                "spent": used["amount"].sum() if len(used) else 0.0,
                **effect,
            }


def _effect(supplier: str, by: str, one: Recorded, log: Transactions) -> dict[str, float]:
    """What the plan added to the sales of the supplier's goods, against the members held back."""
    planned, control = one.table("planned")["customer_id"], one.table("control")["customer_id"]
    if min(len(planned), len(control)) < 2:
        return {}
    with engine_for(log) as engine:
        text = f"""select customer_id, cast(sum(amount) as double) as amount from {engine.parquet(log.lines)}
            where {engine.quoted(by)} = :supplier and day between :first and :last and customer_id is not null
            group by customer_id order by customer_id"""
        spend = engine.frame(
            text, {"supplier": supplier, "first": day_number(one.first_day), "last": day_number(one.last_day)}
        )
    found = campaign_effect(spend.set_index("customer_id")["amount"], planned, control)
    return {name: getattr(found, name) * len(planned) for name in ("effect", "low", "high")}
