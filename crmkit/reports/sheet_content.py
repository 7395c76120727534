"""The blocks of a customer's page: what was bought, dropped, offered, said, and what comes next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmkit.displays import BLUE, Display
from crmkit.reports.block import Block, Table
from crmkit.reports.formats import money, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["MonthsDisplay", "advice", "cards", "item_of", "sheet_blocks"]

_LIKELY, _STOPPED, _OFTEN, _SHOWN = 0.5, 0.5, 3, 8
_RISKY, _ON_DEALS, _MANY_POINTS = 0.5, 0.5, 100

Tables = Mapping[str, pd.DataFrame]


class MonthsDisplay(Display):
    """What a customer spent in each month; table: month, spend."""

    title = "Spend by month"

    def _draw(self, ax: Axes) -> None:
        ax.bar(range(len(self.table)), self.table["spend"], color=BLUE)
        ax.set_xticks(range(len(self.table)), [f"{day:%b %y}" for day in self.table["month"]], rotation=45, ha="right")
        ax.axhline(0, linewidth=0.8, color="black")


def sheet_blocks(
    row: pd.Series, bought: pd.DataFrame, due: pd.DataFrame, tables: Tables, close: date, currency: str
) -> list[Block]:
    """All blocks of the page, what to say first."""
    item = item_of(due)
    blocks = [advice(row, due, item, bought, tables)]
    blocks += _who(row, tables)
    if len(bought):
        blocks += [_months(bought, currency), _categories(bought, close, currency), _amounts(bought, currency)]
    if len(due):
        blocks += [_needs(due, item, close), *_dropped(due, item, bought)]
    blocks += [*_standing(row, currency), *_offered(tables), *_sent(tables), *_points(tables)]
    return blocks + [*_complaints(tables), *_visits(tables, currency)]


def item_of(due: pd.DataFrame) -> str:
    """The column that says what is due."""
    return str(due.columns[1]) if len(due) else ""


def cards(row: pd.Series, bought: pd.DataFrame, close: date, currency: str) -> Iterator[tuple[str, str]]:
    if "tier" in row:
        yield str(row["tier"]), "tier" + (f" since {row['tier_since']:%d %b %Y}" if "tier_since" in row else "")
    if "value" in row:
        yield money(row["value"], currency), "expected value" if not _interval(row) else f"value, {_interval(row)}"
    if "p_churn" in row:
        yield f"{row['p_churn']:.0%}", "risk of churn"
    visits = bought.loc[bought["items"] > 0, "day"]
    if len(visits):
        yield f"{(pd.Timestamp(close) - visits.max()).days:,}", "days since the last purchase"


def _interval(row: pd.Series) -> str:
    if not {"value_low", "value_high"} <= set(row.index) or pd.isna(row["value_low"]):
        return ""
    return f"{money(row['value_low'], '')} to {money(row['value_high'], '')}"


def _who(row: pd.Series, tables: Tables) -> Iterator[Block]:
    """Of a business or a household: its unit, who holds its cards, where it is."""
    cards, place = tables["identity"], tables["premises"]
    if not len(cards) and not len(place):
        return
    said = []
    if len(cards):
        told = (
            f"Unit {cards['unit'].iloc[0]}: {number(len(cards))} cards of {number(cards['member'].nunique())} members"
        )
        said.append(told if len(cards) > 1 else f"Unit {cards['unit'].iloc[0]}: one card")
    if len(place):
        one = place.iloc[0]
        said += [f"{name}: {one[name]}" for name in ("type", "area") if isinstance(one.get(name), str)]
        if pd.notna(one.get("opens")) and pd.notna(one.get("closes")):
            said.append(f"open {one['opens']:g} to {one['closes']:g}")
    yield Block(
        "Customer",
        said[0],
        "; ".join(said[1:]),
        table=Table(cards[["card", "member", "unit"]].head(_SHOWN)) if len(cards) > 1 else None,
    )


def _months(bought: pd.DataFrame, currency: str) -> Block:
    months = bought.assign(month=bought["day"].dt.to_period("M").dt.start_time).groupby("month")
    table = months.agg(spend=("amount", "sum"), days=("day", "nunique"), items=("items", "sum"))
    every = pd.date_range(table.index.min(), table.index.max(), freq="MS", name="month")
    table = table.reindex(every, fill_value=0).reset_index()
    receipts = bought.groupby(["day", "receipt"])["amount"].sum().reset_index()
    top = receipts.sort_values("amount", ascending=False, kind="stable").iloc[0]
    return Block(
        "Purchases",
        f"{money(bought['amount'].sum(), currency)} on {bought.loc[bought['items'] > 0, 'day'].nunique():,} days since {bought['day'].min():%d %b %Y}",
        f"The largest purchase was {money(top['amount'], currency)} on {top['day']:%d %b %Y}.",
        MonthsDisplay(table),
        Table(table.tail(12)),
        (Table(table, f"All {len(table)} months"),) if len(table) > 12 else (),
    )


def _categories(bought: pd.DataFrame, close: date, currency: str) -> Block:
    known = bought[bought["category"].notna()]
    if not len(known):
        return Block("Categories", "The lines of this customer have no categories")
    table = known.groupby("category").agg(spend=("amount", "sum"), days=("day", "nunique"), last_bought=("day", "max"))
    table["share_of_spend"] = table["spend"] / table["spend"].sum()
    table = table.sort_values(["spend"], ascending=False, kind="stable").reset_index()
    top = table.iloc[0]
    return Block(
        "Categories",
        f"{top['category']} is {top['share_of_spend']:.0%} of the money",
        f"{len(table)} categories in all.",
        table=Table(table.head(_SHOWN)),
        more=(Table(table, f"All {len(table)}"),) if len(table) > _SHOWN else (),
    )


def _amounts(bought: pd.DataFrame, currency: str) -> Block:
    """Consumption by amount, by day of the week, and how much hangs on deals."""
    receipts = bought.groupby(["day", "receipt"])[["amount", "discount"]].sum().reset_index()
    paid = receipts[receipts["amount"] > 0]
    if not len(paid):
        return Block("Amounts", "Nothing has been paid")
    quarter, half, most = paid["amount"].quantile([0.25, 0.5, 0.75])
    weekday = paid.groupby(paid["day"].dt.day_name())["amount"].agg(["size", "sum"])
    usual = weekday.sort_values(["size", "sum"], ascending=False, kind="stable").index[0]
    share = float((paid["discount"] > 0).mean())
    saved = paid["discount"].sum() / (paid["discount"].sum() + paid["amount"].sum())
    deals = (
        f"{share:.0%} of receipts hold a discount, which took {saved:.0%} off."
        if share
        else "No receipt holds a discount."
    )
    by_day = weekday.reindex([day for day in _WEEK if day in weekday.index]).reset_index()
    return Block(
        "Amounts",
        f"Half of the receipts are above {money(half, currency)}; most often on a {usual}",
        f"The middle half is {money(quarter, '')} to {money(most, currency)}. {deals}",
        more=(Table(by_day.set_axis(["weekday", "receipts", "spend"], axis=1), "By day of the week"),),
    )


_WEEK = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _needs(due: pd.DataFrame, item: str, close: date) -> Block:
    next_ones = due.sort_values(["p_purchase", item], ascending=[False, True], kind="stable").head(_SHOWN)
    by = [close + timedelta(days=int(day)) if day == day else None for day in next_ones["day_50"]]
    table = next_ones[[item, "p_purchase"]].assign(
        half_have_bought_by=pd.to_datetime(pd.Series(by, index=next_ones.index))
    )
    likely = int((due["p_purchase"] >= _LIKELY).sum())
    ahead = int(due["horizon"].iloc[0])
    return Block(
        "Next needs",
        f"More likely than not to be bought in the next {ahead} days: {likely} of {len(due)} items",
        "The probability is that of these days; by the date, half of such customers have bought.",
        table=Table(table.assign(why=next_ones["reason"])),
    )


def _lost(due: pd.DataFrame) -> pd.DataFrame:
    lost = due[(due["p_stopped"] >= _STOPPED) & (due["n_purchases"] >= _OFTEN)]
    return lost.sort_values("spend", ascending=False, kind="stable")


def _dropped(due: pd.DataFrame, item: str, bought: pd.DataFrame) -> Iterator[Block]:
    lost = _lost(due)
    if len(lost):
        yield Block(
            "Dropped",
            f"Probably given up, of what was bought {_OFTEN} times or more: {len(lost)}",
            "With the probability that the customer has given the item up.",
            table=Table(_since(lost, item, bought)[[item, *_LOST]].head(_SHOWN)),
        )


_LOST = ["last_bought", "p_stopped", "n_purchases", "spend", "reason"]


def _since(lost: pd.DataFrame, item: str, bought: pd.DataFrame) -> pd.DataFrame:
    """With the day on which each item was bought for the last time, where the lines name it."""
    if item not in bought:
        return lost.assign(last_bought=pd.Series(pd.NaT, index=lost.index))
    last = bought[bought["items"] > 0].groupby(item)["day"].max()
    return lost.assign(last_bought=pd.to_datetime(lost[item].map(last)))


def _standing(row: pd.Series, currency: str) -> Iterator[Block]:
    if "p_churn" not in row:
        return
    reasons = [
        row[name] for name in ("reason_1", "reason_2", "reason_3") if isinstance(row.get(name), str) and row[name]
    ]
    at_risk = f" {money(row['value_at_risk'], currency)} is at risk." if "value_at_risk" in row else ""
    yield Block(
        "Risk",
        f"The probability that this customer will not come within the churn horizon is {row['p_churn']:.0%}",
        f"Why: {'; '.join(reasons) or 'no reason stands out'}.{at_risk}",
    )


def _offered(tables: Tables) -> Iterator[Block]:
    offers = tables["offers"]
    if len(offers):
        shown = [name for name in ("position", "title", "deal_id", "ends", "p_redeem") if name in offers]
        yield Block("Offers", f"{len(offers)} offers are planned", table=Table(offers[shown]))


def _sent(tables: Tables) -> Iterator[Block]:
    """Offers that were sent, and what became of them."""
    sent, used = tables["sent"], tables["redemptions"]
    if not len(sent):
        return
    keys = ["campaign", "deal_id"]
    known = set(zip(*(used[key] for key in keys), strict=True)) if len(used) else set()
    was = [one in known for one in zip(*(sent[key] for key in keys), strict=True)]
    shown = [name for name in ("campaign", "title", "deal_id", "ends") if name in sent]
    table = sent[shown].assign(used=np.where(was, "yes", "no")).sort_values(shown[0], ascending=False, kind="stable")
    yield Block("Offers so far", f"{sum(was)} of {len(sent)} offers were used", table=Table(table.head(_SHOWN)))


def _points(tables: Tables) -> Iterator[Block]:
    held, saving = tables["points"], tables["rewards"]
    if not len(held):
        return
    one, more = held.iloc[0], ""
    if len(saving) and isinstance(saving.iloc[0]["next_reward"], str) and saving.iloc[0]["next_reward"]:
        more = f"{number(saving.iloc[0]['points_to_go'])} more make {saving.iloc[0]['next_reward']}."
    shown = [name for name in ("opening", "earned", "redeemed", "expired", "closing") if name in held]
    yield Block("Points", f"{number(one['closing'])} points stand", more, table=Table(held[shown].head(1)))


def _complaints(tables: Tables) -> Iterator[Block]:
    told = tables["service"]
    if not len(told):
        return
    complaints = told[told["kind"] == "complaint"].sort_values("recorded_at", ascending=False)
    waiting = int(complaints["resolved_at"].isna().sum())
    shown = [name for name in ("recorded_at", "topic", "responsible", "due", "resolved_at") if name in complaints]
    yield Block(
        "Complaints",
        f"Complaints: {len(complaints)}, not resolved: {waiting}",
        table=Table(complaints[shown].head(_SHOWN)),
    )


def _visits(tables: Tables, currency: str) -> Iterator[Block]:
    planned, past = tables["visits"], tables["visited"]
    if not len(planned) and not len(past):
        return
    next_one = "No visit is planned"
    if len(planned):
        one = planned.iloc[0]
        next_one = f"{one['field_person']} visits on {one['day']:%d %b %Y}, {one['begins']}"
    met = past[past["met"] == 1] if len(past) else past
    told = (
        f"Met at {len(met)} of {len(past)} visits; ordered {money(met['sold'].sum(), currency)}." if len(past) else ""
    )
    shown = [name for name in ("day", "field_person", "outcome", "sold") if name in past and past[name].notna().any()]
    yield Block(
        "Visits",
        next_one,
        told,
        table=Table(past.sort_values("day", ascending=False)[shown].head(_SHOWN)) if len(past) else None,
    )


def advice(row: pd.Series, due: pd.DataFrame, item: str, bought: pd.DataFrame, tables: Tables) -> Block:
    """What to talk about: risk first, then what was given up, then what is due."""
    said = []
    if row.get("open_complaints", 0) > 0:
        said.append("There is an open complaint: settle it before anything is offered.")
    if row.get("p_churn", 0) >= _RISKY:
        said.append(f"May be leaving: {row.get('reason_1', 'away for unusually long')}. Ask what has changed.")
    if len(due):
        said += [f"Used to buy {name}, and has probably stopped: ask why." for name in _lost(due)[item].head(2)]
        ready = due.sort_values(["p_purchase", item], ascending=[False, True], kind="stable").head(3)
        said.append(f"Due next: {', '.join(map(str, ready[item]))}.")
    if len(tables["points"]) and tables["points"].iloc[0]["closing"] >= _MANY_POINTS:
        said.append(f"Has {number(tables['points'].iloc[0]['closing'])} points to spend.")
    discounts = bought[bought["amount"] > 0] if len(bought) else bought
    if len(discounts) and (discounts.groupby(["day", "receipt"])["discount"].sum() > 0).mean() >= _ON_DEALS:
        said.append("Buys mostly where there is a discount: speak of quality and service first.")
    if not said:
        said.append("Nothing stands out." if len(bought) else "Has bought nothing yet.")
    return Block("What to say", said[0], notes=tuple(said[1:]))
