"""What of a table may leave the house: cells of too few or of one that dominates are suppressed, and so is what would give
them away; what is left is rounded, and what was released once stays as it was."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from crmkit._atomic import replacing
from crmkit.exceptions import ConfigError

__all__ = ["LEAST_CELL", "DisclosureRules", "Ledger", "protected", "protected_counts"]

LEAST_CELL = 5


@dataclass(frozen=True)
class DisclosureRules:
    """When a cell may be shown, and how it is rounded.

    Parameters
    ----------
    min_cell : int
        Customers that a cell needs; 5 at least.
    dominance : float
        A cell is not shown where one customer has more than this share of it.
    p_percent : float
        Nor where the second largest customer could tell the largest one's money to within this share (p % rule).
    count_grid, money_grid : number
        Counts and money are rounded to the nearest multiple.

    References
    ----------
    Hundepool et al. (2012), Statistical Disclosure Control, Wiley: sections 4.2 (rules) and 4.3 (secondary suppression).

    Examples
    --------
    >>> DisclosureRules(min_cell=3)
    Traceback (most recent call last):
        ...
    crmkit.exceptions.ConfigError: min_cell=3 is below 5: a cell of fewer customers may betray one of them.
    """

    min_cell: int = 10
    dominance: float = 0.5
    p_percent: float = 0.2
    count_grid: int = 5
    money_grid: float = 10.0

    def __post_init__(self) -> None:
        if not self.min_cell >= LEAST_CELL:
            raise ConfigError(
                f"min_cell={self.min_cell} is below {LEAST_CELL}: a cell of fewer customers may betray one of them."
            )
        if not (0 < self.dominance < 1 and 0 < self.p_percent < 1 and self.count_grid >= 1 and self.money_grid > 0):
            raise ConfigError(f"{self}: shares lie between 0 and 1, grids are above 0.")

    def allows(self, amounts: pd.Series) -> bool:
        """Whether a cell of these customers' money may be shown."""
        return bool(self.allowed(amounts.to_frame("amount").assign(row=0))["safe"].all()) if len(amounts) else False

    def allowed(self, parts: pd.DataFrame) -> pd.DataFrame:
        """For each ``row`` of a table of one line per row and customer: buyers, sales and whether it is safe."""
        parts = parts.reset_index(drop=True)
        positive = parts.assign(amount=parts["amount"].clip(lower=0))
        ranked = positive.sort_values("amount", ascending=False, kind="stable").groupby("row")["amount"]
        first, second = ranked.nth(0), ranked.nth(1)
        largest = pd.Series(first.to_numpy(), index=positive.loc[first.index, "row"])
        runner_up = pd.Series(second.to_numpy(), index=positive.loc[second.index, "row"])
        found = parts.groupby("row").agg(buyers=("amount", "size"), sales=("amount", "sum"))
        total, top = positive.groupby("row")["amount"].sum(), largest.reindex(found.index)
        rest = total - top - runner_up.reindex(found.index).fillna(0.0)
        return found.assign(
            safe=(found["buyers"] >= self.min_cell) & (top <= self.dominance * total) & (rest >= self.p_percent * top)
        )

    def rounded(self, values: pd.Series, money: bool) -> pd.Series:
        """Values on the grid; missing ones stay missing."""
        grid = self.money_grid if money else self.count_grid
        return (values / grid).round() * grid


def protected(parts: pd.DataFrame, rules: DisclosureRules, rows: list[str] | None = None) -> pd.DataFrame:
    """A table of rows and their total as it may be shown.

    Parameters
    ----------
    parts : DataFrame
        row, customer_id, amount: one line per row and customer. Rows add up to the total.
    rules : DisclosureRules
    rows : list of str, optional
        Rows that stand in the table although nobody is in them.

    Returns
    -------
    DataFrame
        row ("all" is the last one), buyers, sales, both missing where they are suppressed.

    Notes
    -----
    Where rows are suppressed, what is left of the total after the others is the money of all of them together. So rows are
    added, the smallest first, until that is safe as a cell of its own; where no choice is, all rows are suppressed.

    Examples
    --------
    >>> parts = pd.DataFrame({"row": ["north"] * 40 + ["south"] * 30 + ["west"], "customer_id": range(71), "amount": 8.0})
    >>> protected(parts, DisclosureRules()).to_dict("list")
    {'row': ['north', 'south', 'west', 'all'], 'buyers': [40.0, nan, nan, 70.0], 'sales': [320.0, nan, nan, 570.0]}
    """
    names = sorted({*parts["row"].astype(str), *(rows or ())})
    parts = parts.assign(row=parts["row"].astype(str))
    whole = parts.groupby("customer_id", as_index=False)["amount"].sum().assign(row="all")
    total = rules.allowed(whole).reindex(["all"])
    cells = rules.allowed(parts).reindex(names)
    safe = cells["safe"].fillna(False).astype(bool)
    if not bool(total["safe"].fillna(False).iloc[0]):
        safe[:], total["safe"] = False, False
    hidden = _hidden(parts, cells, list(safe.index[~safe]), rules)
    table = pd.concat([cells, total])
    shown = ~table.index.isin(hidden) & table["safe"].fillna(False).astype(bool).to_numpy()
    return pd.DataFrame(
        {
            "row": table.index,
            "buyers": rules.rounded(table["buyers"].astype("float64"), money=False).where(shown).to_numpy(),
            "sales": rules.rounded(table["sales"].astype("float64"), money=True).where(shown).to_numpy(),
        }
    )


def _hidden(parts: pd.DataFrame, cells: pd.DataFrame, hidden: list[str], rules: DisclosureRules) -> list[str]:
    """Rows to suppress: the unsafe ones, and the smallest others until what they are together is safe."""
    if not hidden:
        return []
    others = cells.drop(index=hidden).sort_values(["buyers"], kind="stable").index.tolist()
    while others and not (len(hidden) > 1 and _safe_together(parts, hidden, rules)):
        hidden.append(others.pop(0))
    return hidden


def _safe_together(parts: pd.DataFrame, hidden: list[str], rules: DisclosureRules) -> bool:
    together = parts[parts["row"].isin(hidden)].groupby("customer_id")["amount"].sum()
    return rules.allows(together)


def protected_counts(counts: dict[str, int], rules: DisclosureRules) -> dict[str, float]:
    """Counts that belong together: all rounded, or all missing where one of them is of too few.

    New, continuing and lapsed buyers hang together with the buyers of two periods, so that one alone would be told by the
    others. A count of 0 is one of too few: it says something about everybody.

    >>> protected_counts({"sent": 200, "redeemed": 42, "not_redeemed": 158}, DisclosureRules())
    {'sent': 200.0, 'redeemed': 40.0, 'not_redeemed': 160.0}
    >>> protected_counts({"new": 4, "continuing": 80}, DisclosureRules())
    {'new': nan, 'continuing': nan}
    """
    if any(count < rules.min_cell for count in counts.values()):
        return {name: float("nan") for name in counts}
    grid = rules.count_grid
    return {name: float(round(count / grid) * grid) for name, count in counts.items()}


class Ledger:
    """What was released to whom; a cell that was, is released again as it was, and a period gets no further cells.

    So no two releases differ in what they say of one period, and none can be subtracted from the other: lines that came
    late, or a customer who was erased, do not show.

    Parameters
    ----------
    file : path
        A Parquet file; made by the first release.
    """

    _KEYS: tuple[str, ...] = ("table", "period", "row", "measure")

    def __init__(self, file: Path) -> None:
        self.file = file

    def release(self, supplier: str, cells: pd.DataFrame, rules: DisclosureRules, grid: str, day: date) -> pd.DataFrame:
        """Cells (table, period, row, measure, value) as they may be released today; recorded.

        Raises
        ------
        ConfigError
            Earlier releases to this supplier were made on another grid or by other rules.
        """
        terms = f"{grid}; {sorted(asdict(rules).items())}"
        before = self._read()
        own = before[before["supplier"] == supplier]
        if len(other := own[own["terms"] != terms]):
            raise ConfigError(
                f"Reports of this supplier were released by other rules ({other['terms'].iloc[0]}); now they are {terms}. Two "
                "such reports could be subtracted from each other. Keep the rules, or give the supplier no further report."
            )
        known = own.set_index([*self._KEYS])["value"]
        told = set(zip(own["table"], own["period"], strict=True))
        keys = pd.MultiIndex.from_frame(cells[[*self._KEYS]])
        is_told = [(table, period) in told for table, period in zip(cells["table"], cells["period"], strict=True)]
        values = np.where(is_told, known.reindex(keys).to_numpy(dtype=np.float64), cells["value"].astype("float64"))
        released = cells.assign(value=values)
        fresh = released[~np.array(is_told, dtype=bool)].assign(supplier=supplier, terms=terms, released_on=str(day))
        if len(fresh):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.file) as part:
                pd.concat([before, fresh[before.columns]], ignore_index=True).to_parquet(part, index=False)
        return released

    def _read(self) -> pd.DataFrame:
        if self.file.exists():
            return pd.read_parquet(self.file)
        kinds = {"supplier": "str", **dict.fromkeys(self._KEYS, "str"), "value": "float64"}
        return pd.DataFrame(
            {name: pd.Series(dtype=kind) for name, kind in (kinds | {"terms": "str", "released_on": "str"}).items()}
        )
