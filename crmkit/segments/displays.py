"""Figures of tiers, segments and moves between them; each holds the numbers it draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from crmkit._checks import numbers, require_columns
from crmkit._types import Floats
from crmkit.displays import BLUE, GREY, INK, ORANGE, Display, legend, short, text_on, text_over
from crmkit.segments.migration import Migration
from crmkit.segments.rfm import RFMScores
from crmkit.segments.tiers import concentration

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "LorenzDisplay",
    "MigrationDisplay",
    "ProfileDisplay",
    "RFGridDisplay",
    "SegmentDisplay",
    "SegmentMapDisplay",
    "TierDisplay",
    "group_profile",
    "lorenz_curve",
    "migration_flow",
    "rf_grid",
    "segment_map",
]

_CURVE = 100
_LONGEST = 22


class RFGridDisplay(Display):
    """Customers in each cell of recency by frequency; table: r_score, f_score, segment, customers, share."""

    title = "Customers by recency and frequency"

    def _draw(self, ax: Axes) -> None:
        counts = self.table.pivot(index="r_score", columns="f_score", values="customers").sort_index(ascending=False)
        names = self.table.pivot(index="r_score", columns="f_score", values="segment").sort_index(ascending=False)
        values = counts.to_numpy(dtype=np.float64)
        top = max(float(values.max()), 1.0)
        image = ax.imshow(values, aspect="auto", cmap="Blues", vmin=0, vmax=top)
        ax.set_xticks(np.arange(counts.shape[1]), [str(name) for name in counts.columns])
        ax.set_yticks(np.arange(counts.shape[0]), [str(name) for name in counts.index])
        small = max(4.5, 7.5 - 0.35 * max(0, counts.shape[1] - 5))
        for (row, column), value in np.ndenumerate(values):
            name = _short(str(names.iat[row, column]))
            text = f"{name if counts.shape[1] <= 5 else fill(name, 10)}\n{value:,.0f}"
            colour = text_over(image, value)
            ax.text(column, row, text, ha="center", va="center", fontsize=small, color=colour, parse_math=False)
        ax.set(xlabel="frequency score", ylabel="recency score")


class SegmentMapDisplay(Display):
    """Segments as areas: the area is customers, the colour mean value; table: segment, customers, value, mean_value, and
    the rectangle x, y, width, height in the unit square."""

    title = "Segments: area is customers, colour is value per customer"

    def _draw(self, ax: Axes) -> None:
        from matplotlib import colormaps
        from matplotlib.colors import Normalize
        from matplotlib.patches import Rectangle

        means = self.table["mean_value"]
        scale = Normalize(float(means.min()), max(float(means.max()), float(means.min()) + 1e-9))
        for row in _rows(self.table):
            shade = float(scale(row.mean_value))
            ground = colormaps["YlGnBu"](0.1 + 0.8 * shade)
            box = Rectangle((row.x, row.y), row.width, row.height, facecolor=ground)
            box.set(edgecolor="white", linewidth=2)
            ax.add_patch(box)
            colour = text_on(ground)
            lines = [_short(str(row.segment)), f"{row.customers:,.0f} × {row.mean_value:,.0f}"]
            size = min(9.0, 600 * row.width / max(map(len, lines)), 85 * row.height)
            if size >= 4:
                place = (row.x + row.width / 2, row.y + row.height / 2)
                ax.text(
                    *place, "\n".join(lines), ha="center", va="center", fontsize=size, color=colour, parse_math=False
                )
        ax.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[])
        for side in ax.spines.values():
            side.set_visible(False)


class MigrationDisplay(Display):
    """Flows of customers between states at two dates; table: before, after, customers, change (of value), and
    before_place and after_place, the order of the states, best first."""

    title = "Customers by earlier and current group"

    def _draw(self, ax: Axes) -> None:
        from matplotlib.patches import Patch, PathPatch, Rectangle
        from matplotlib.path import Path

        left, right = (self._places(side) for side in ("before", "after"))
        for x, places in ((0.0, left), (1.0, right)):
            for name, (low, high) in places.items():
                ax.add_patch(Rectangle((x - 0.02, low), 0.04, high - low, facecolor=INK))
                inward = "right" if x == 0 else "left"
                said = f"{_short(name)}  {self._total('before' if x == 0 else 'after', name):,.0f}"
                ax.text(x - 0.035 if x == 0 else x + 0.035, (low + high) / 2, said, ha=inward, va="center",
                        fontsize=8, color=INK, parse_math=False)  # fmt: skip
        low_left, low_right = ({name: place[0] for name, place in side.items()} for side in (left, right))
        names = list(left)
        for row in _rows(self.table):
            width = row.customers / self.table["customers"].sum()
            a, b = low_left[row.before], low_right[row.after]
            low_left[row.before], low_right[row.after] = a + width, b + width
            colour = GREY if row.before == row.after else BLUE if row.after_place < row.before_place else ORANGE
            corners = [(0.02, a), (0.5, a), (0.5, b), (0.98, b), (0.98, b + width), (0.5, b + width), (0.5, a + width),
                       (0.02, a + width)]  # fmt: skip
            steps = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3]
            ax.add_patch(PathPatch(Path(corners, steps), facecolor=(colour, 0.45), edgecolor=colour, linewidth=0.5))
        high = max(max(place[1] for place in side.values()) for side in (left, right))
        ax.set(xlim=(-0.6, 1.5), ylim=(high + 0.02, -0.02), xticks=[0, 1], yticks=[])
        ax.set_xticklabels(["before", "after"])
        keys = [
            Patch(facecolor=(colour, 0.45), edgecolor=colour, linewidth=0.5, label=label)
            for colour, label in ((BLUE, "to a better state"), (ORANGE, "to a worse one"), (GREY, "the same"))
        ]
        legend(ax, handles=keys, loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=3)
        ax.spines["left"].set_visible(False)
        ax.spines["bottom"].set_visible(bool(not names))

    def _total(self, side: str, name: str) -> int:
        return int(self.table.loc[self.table[side] == name, "customers"].sum())

    def _places(self, side: str) -> dict[str, tuple[float, float]]:
        """Where each state's bar begins and ends, as shares of all customers, with a gap between bars."""
        totals = self.table.groupby(side, sort=False, observed=True)["customers"].sum()
        totals = totals.reindex([name for name in self._order(side) if name in totals.index])
        share = totals / totals.sum()
        start = share.cumsum() - share + 0.03 * np.arange(len(share))
        return {str(name): (float(start[name]), float(start[name] + share[name])) for name in share.index}

    def _order(self, side: str) -> list[str]:
        return list(dict.fromkeys(self.table.sort_values(f"{side}_place")[side]))


@dataclass(frozen=True)
class ProfileDisplay(Display):
    """Groups by measures: the median of each, coloured by how far it is above or below that of all; table: group,
    customers, and one column a measure, the last row being everybody.

    Attributes
    ----------
    heights : DataFrame
        ln((1 + group's median) / (1 + everybody's)), what is coloured; same rows but the last, and columns.
    """

    heights: pd.DataFrame
    title = "Group profiles (median of each measure)"

    def _draw(self, ax: Axes) -> None:
        measures = list(self.heights.columns)
        reach = max(float(np.abs(self.heights.to_numpy()).max(initial=0.0)), 1e-9)
        rows = np.vstack([self.heights.to_numpy(dtype=np.float64), np.zeros(len(measures))])
        image = ax.imshow(rows, aspect="auto", cmap="RdBu", vmin=-reach * 1.4, vmax=reach * 1.4)
        ax.set_xticks(np.arange(len(measures)), [_short(str(name)) for name in measures])
        labels = [f"{_short(str(row.group))} ({row.customers:,})" for row in _rows(self.table)]
        ax.set_yticks(np.arange(len(labels)), labels)
        for (row, column), height in np.ndenumerate(rows):
            value = self.table[measures[column]].iloc[row]
            colour = text_over(image, height)
            ax.text(column, row, _number(value), ha="center", va="center", fontsize=8, color=colour)


@dataclass(frozen=True)
class LorenzDisplay(Display):
    """Share of value held by the best customers, as a curve; table: share_of_customers, share_of_value.

    Attributes
    ----------
    shares : DataFrame
        The same at 1, 5, 10, 20 and 50 % of customers.
    gini : float
        Twice the area between the curve and equality: 0 when all are equal; refunds may bring it above 1.
    """

    shares: pd.DataFrame
    gini: float
    title = "Concentration of value"

    def _draw(self, ax: Axes) -> None:
        ax.plot([0, 100], [0, 100], color=GREY, linewidth=1, linestyle=":", label="all equal")
        x, y = (100 * self.table[name] for name in ("share_of_customers", "share_of_value"))
        ax.plot(x, y, color=BLUE, label=f"customers (Gini {self.gini:.2f})")
        for row in _rows(self.shares):
            place = (100 * row.share_of_customers, 100 * row.share_of_value)
            ax.plot(*place, "o", color=BLUE, markersize=4)
            said = f"best {place[0]:.3g} %: {place[1]:.0f} %"
            ax.annotate(said, place, (7, -9), textcoords="offset points", fontsize=8, color=INK)
        ax.set(
            xlabel="best % of customers", ylabel="% of value", xlim=(0, 100), ylim=(0, max(102.0, float(y.max()) + 2))
        )
        legend(ax, loc="lower right")


def rf_grid(scores: RFMScores, customers: pd.DataFrame) -> RFGridDisplay:
    """Customers in each cell of a fitted grid; cells without anybody too.

    Examples
    --------
    >>> customers = pd.DataFrame({"days_since_last": [1, 9], "n_purchases": [5, 1], "total_spend": [50.0, 5]})
    >>> table = rf_grid(RFMScores().fit(customers), customers).table
    >>> len(table), int(table["customers"].sum())
    (25, 2)
    """
    scored = scores.transform(customers)
    cells: Any = scores.grid_.rename_axis(columns="f_score").stack()
    table: pd.DataFrame = cells.rename("segment").reset_index()
    counted = scored.groupby(["r_score", "f_score"]).size().rename("customers")
    table = table.merge(counted.reset_index(), how="left", on=["r_score", "f_score"])
    table["customers"] = table["customers"].fillna(0).astype(np.int64)
    return RFGridDisplay(table.assign(share=table["customers"] / max(len(scored), 1)))


def segment_map(customers: pd.DataFrame, segment: str = "segment", value: str = "total_spend") -> SegmentMapDisplay:
    """Segments as rectangles, largest first, with areas in proportion to their customers.

    Examples
    --------
    >>> customers = pd.DataFrame({"segment": ["loyal", "loyal", "new"], "total_spend": [10.0, 30, 5]})
    >>> segment_map(customers).table[["segment", "customers", "mean_value", "width", "height"]].round(2)
      segment  customers  mean_value  width  height
    0   loyal          2        20.0   0.67     1.0
    1     new          1         5.0   0.33     1.0
    """
    require_columns(customers, (segment, value))
    grouped = customers.assign(_value=numbers(customers[value])).groupby(segment, observed=True)["_value"]
    table: pd.DataFrame = grouped.agg(customers="size", value="sum").rename_axis("segment").reset_index()
    table = table.sort_values("customers", ascending=False, kind="stable", ignore_index=True)
    table["mean_value"] = table["value"] / table["customers"]
    boxes = _squares((table["customers"] / table["customers"].sum()).to_numpy(np.float64))
    return SegmentMapDisplay(table.join(pd.DataFrame(boxes, columns=["x", "y", "width", "height"])))


def migration_flow(moved: Migration) -> MigrationDisplay:
    """Flows between all states that a migration found."""
    counts: Any = moved.counts.stack()
    flows: Any = counts.rename("customers").to_frame().assign(change=moved.money.stack())
    table: pd.DataFrame = flows.rename_axis(["before", "after"]).reset_index()
    states = list(dict.fromkeys([*moved.counts.columns, *moved.counts.index]))
    for side in ("before", "after"):
        table[f"{side}_place"] = pd.Index(states).get_indexer(pd.Index(table[side]))
    return MigrationDisplay(table[table["customers"] > 0].reset_index(drop=True))


def group_profile(customers: pd.DataFrame, group: str, measures: Sequence[str]) -> ProfileDisplay:
    """Medians of measures by tier, segment or cluster; groups in the order of the first measure's median, highest first.

    Examples
    --------
    >>> customers = pd.DataFrame({"tier": list("ABB"), "total_spend": [90.0, 4, 8], "n_purchases": [9, 1, 2]})
    >>> group_profile(customers, "tier", ["total_spend", "n_purchases"]).table
      group  customers  total_spend  n_purchases
    0     A          1         90.0          9.0
    1     B          2          6.0          1.5
    2   all          3          8.0          2.0
    """
    require_columns(customers, (group, *measures))
    values = pd.DataFrame({name: numbers(customers[name]) for name in measures})
    by = values.groupby(customers[group].astype(str).to_numpy())
    medians = by.median().assign(customers=by.size()).sort_values(measures[0], ascending=False, kind="stable")
    everybody = values.median()
    heights = np.log1p(medians[list(measures)].clip(lower=0)) - np.log1p(everybody.clip(lower=0))
    table = medians.rename_axis("group").reset_index()[["group", "customers", *measures]]
    last: dict[Any, Any] = {"group": "all", "customers": len(values)} | everybody.to_dict()
    return ProfileDisplay(pd.concat([table, pd.DataFrame([last])], ignore_index=True), heights.reset_index(drop=True))


def lorenz_curve(values: ArrayLike) -> LorenzDisplay:
    """The curve of `concentration`, and the Gini coefficient.

    Examples
    --------
    >>> lorenz_curve([1.0, 1, 1, 1]).gini
    0.0
    >>> lorenz_curve([1.0, 0, 0, 0]).gini
    0.75
    """
    curve = concentration(values, at=[place / _CURVE for place in range(1, _CURVE + 1)])
    start = pd.DataFrame({"share_of_customers": [0.0], "share_of_value": [0.0]})
    best = np.sort(np.asarray(values, dtype=np.float64))[::-1]
    held = np.concatenate([[0.0], np.cumsum(best)]) / best.sum()
    gini = float(2 * np.mean((held[1:] + held[:-1]) / 2) - 1)
    return LorenzDisplay(pd.concat([start, curve], ignore_index=True), concentration(values), round(gini, 12) + 0.0)


def _squares(shares: Floats) -> list[tuple[float, float, float, float]]:
    """Rectangles of the given areas that fill the unit square, as square as a row by row filling makes them.

    Bruls, Huizing & van Wijk (2000), "Squarified treemaps", Data Visualization 2000.
    """
    boxes, x, y, width, height = [], 0.0, 0.0, 1.0, 1.0
    rest = list(shares)
    while rest:
        side = min(width, height)
        n = 1
        while n < len(rest) and _worst(rest[: n + 1], side) <= _worst(rest[:n], side):
            n += 1
        row, rest = rest[:n], rest[n:]
        thick = sum(row) / side
        along = 0.0
        for area in row:
            long = area / thick
            boxes.append((x, y + along, thick, long) if width >= height else (x + along, y, long, thick))
            along += long
        x, y, width, height = (
            (x + thick, y, width - thick, height) if width >= height else (x, y + thick, width, height - thick)
        )
    return boxes


def _worst(areas: Sequence[float], side: float) -> float:
    """The longest aspect of a row of areas laid along a side."""
    total = sum(areas)
    return max(side**2 * max(areas) / total**2, total**2 / (side**2 * min(areas)))


def _rows(table: pd.DataFrame) -> Any:
    """Rows by their columns' names; what is in them only the table knows."""
    return table.itertuples()


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"


class TierDisplay(Display):
    """Share of customers and of value in each tier; table: tier, share_of_customers, share_of_value."""

    title = "Value by tier"

    def _draw(self, ax: Axes) -> None:
        place = np.arange(len(self.table))
        for shift, name, colour, label in (
            (-0.2, "share_of_customers", GREY, "customers"),
            (0.2, "share_of_value", BLUE, "value"),
        ):
            bars = ax.bar(place + shift, 100 * self.table[name], 0.38, color=colour, label=label)
            ax.bar_label(bars, fmt="{:.0f}%", fontsize=8, color=INK)
        ax.set_xticks(place, short(self.table["tier"]))
        ax.set(xlabel="tier", ylabel="% of all")
        legend(ax)


class SegmentDisplay(Display):
    """Customers in each named segment; table: segment, customers, total_spend."""

    title = "Customers by segment"

    def _draw(self, ax: Axes) -> None:
        rows = self.table.sort_values("customers")
        bars = ax.barh(short(rows["segment"]), rows["customers"], color=BLUE)
        ax.bar_label(bars, fmt="{:,.0f}", fontsize=8, color=INK, padding=2)
        ax.set(xlabel="customers")
        ax.margins(x=0.1)
