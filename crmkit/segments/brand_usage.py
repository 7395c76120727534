"""Brand by usage: in each category, who buys the shop's own brand, who national brands, who both, and how much."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Self

import pandas as pd

from crmkit._fitted import NotFittedError
from crmkit.engine.base import SqlEngine
from crmkit.engine.choose import engine_for
from crmkit.engine.frames import to_pandas
from crmkit.engine.tables import grouped, joined, with_difference, with_product
from crmkit.exceptions import ConfigError, ContractError
from crmkit.transactions.log import Transactions, check_item

__all__ = ["BRAND_USERS", "USAGE_GROUPS", "USAGE_LEVELS", "BrandUsage", "own_brand_change"]

BRAND_USERS = ("national brand", "switcher", "store brand")
USAGE_LEVELS = ("light", "medium", "heavy")
USAGE_GROUPS = tuple(f"{level} {user}" for user in BRAND_USERS for level in USAGE_LEVELS)


@dataclass
class BrandUsage:
    """Nine groups in each category: national-brand users, switchers and store-brand users × light, medium, heavy.

    The share of store brands in a member's money on the category (on products whose brand type is known) says which
    brands it uses: ``loyal`` or more, a store-brand user; 1 − ``loyal`` or less, a national-brand user; a switcher in
    between. The money itself says how much: the thresholds are the amounts of the buyer at one third and at two thirds of the category's
    buyers, frozen by ``fit``. Up to the first is light, above the second heavy, so buyers of equal amounts share a group.

    Parameters
    ----------
    by : str
        Item column that divides the shop into categories.
    loyal : float
        Above .5, at most 1.
    light, heavy : float
        Shares of a category's buyers at which the thresholds lie.
    window : int
        Days, up to ``as_of``, of which purchases count.

    Attributes
    ----------
    thresholds_ : DataFrame
        The item column, buyers, light_up_to and heavy_above (money): one row per category.

    Notes
    -----
    Money makes packs and pieces comparable, but national brands cost more: their users look heavier by the difference in
    price. Who bought a category once is in a group too; ``n_days`` says how much it rests on.

    Brand types are national and store (also written National, Private, private or Store); lines with another or none
    do not count.

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": list("aabbcc"), "purchased_at": "2017-01-05", "category": "Milk",
    ...                      "amount": [1.0, 1, 6, 2, 20, 10],
    ...                      "brand_type": ["store", "store", "national", "store", "national", "national"]})
    >>> log = Transactions.from_extract(till, until="2017-01-31")
    >>> usage = BrandUsage().fit(log)
    >>> usage.thresholds_
      category  buyers  light_up_to  heavy_above
    0     Milk       3          2.0          8.0
    >>> usage.predict(log)[["customer_id", "store_share", "usage_group"]]
      customer_id  store_share           usage_group
    0           a         1.00     light store brand
    1           b         0.25  medium national brand
    2           c         0.00  heavy national brand
    """

    by: str = "category"
    loyal: float = 0.75
    light: float = 1 / 3
    heavy: float = 2 / 3
    window: int = 365

    def fit(self, log: Transactions, as_of: str | date | None = None) -> Self:
        """Freeze the thresholds of each category.

        Raises
        ------
        ContractError
            The log has no such item column, or no line whose brand type is national or store.
        ConfigError
            ``loyal``, ``light``, ``heavy`` or ``window`` make no groups.
        """
        self._check_parameters()
        with engine_for(log) as engine:
            usage = self._usage(engine, log, as_of)
            # a hair below the share, so that a third of nine buyers is the third one and not, by rounding, the fourth
            shares = {"light": self.light - 1e-9, "heavy": self.heavy - 1e-9}
            found = to_pandas(engine.summary("segments/brand_thresholds", shares, usage=usage))
        if found.empty:
            raise ContractError(
                f"No purchase of a {self.by} with brand_type national or store in the {self.window} days before the "
                "close. Name the column when the log is made: Transactions.from_extract(…, brand_type=…), or give "
                "products=…."
            )
        self.thresholds_ = found.rename(columns={"item": self.by})
        return self

    def predict(self, log: Transactions, as_of: str | date | None = None) -> pd.DataFrame:
        """The group of each member in each category in which it bought; categories unknown to ``fit`` are excluded.

        Returns
        -------
        DataFrame
            customer_id, the item column, n_days (purchase days of which not all was taken back), spend, store_share,
            brand_user, usage_level, usage_group.
        """
        self._check_fitted()
        with engine_for(log) as engine:
            usage = self._usage(engine, log, as_of)
            thresholds = engine.register(self.thresholds_.rename(columns={self.by: "item"}))
            values = {"loyal": self.loyal - 1e-9}
            groups: pd.DataFrame = engine.summary(
                "segments/brand_groups", values, item=self.by, usage=usage, thresholds=thresholds
            )
            return groups

    def summary(self, groups: pd.DataFrame) -> pd.DataFrame:
        """Customers, spend and mean share of store brands of the nine groups in each category of a prediction.

        Returns
        -------
        DataFrame
            The item column, usage_group, customers, share_of_customers, spend, store_share (of the group's money): nine
            rows per category, groups without anybody too.
        """
        self._check_fitted()
        rows = with_product(groups, "store_spend", "spend", "store_share")
        sums = {"customers": ("customer_id", "size"), "spend": ("spend", "sum"), "store_spend": ("store_spend", "sum")}
        table = grouped(rows, self.by, "usage_group", **sums).set_index([self.by, "usage_group"])
        names: Any = [self.thresholds_[self.by], list(USAGE_GROUPS)]
        table = table.reindex(pd.MultiIndex.from_product(names, names=[self.by, "usage_group"]), fill_value=0)
        table = table.reset_index()
        buyers = table.groupby(self.by)["customers"].transform("sum").clip(lower=1)
        table.insert(3, "share_of_customers", table["customers"] / buyers)
        table["store_share"] = table["store_spend"] / table["spend"].where(table["spend"] > 0, 1.0)
        return table.drop(columns="store_spend")

    def _usage(self, engine: SqlEngine, log: Transactions, as_of: str | date | None) -> str:
        check_item(log, self.by)
        check_item(log, "brand_type")
        day = log.close_of(as_of)
        values, lines = {"as_of": day, "since": day - self.window}, engine.parquet(log.lines)
        return engine.register(engine.summary("segments/brand_usage", values, item=self.by, lines=lines))

    def _check_parameters(self) -> None:
        faults = {
            f"loyal={self.loyal} must be above .5 and at most 1": not 0.5 < self.loyal <= 1,
            f"light={self.light}, heavy={self.heavy} must rise within (0, 1)": not 0 < self.light < self.heavy < 1,
            f"window={self.window} must be 1 day or more": not self.window >= 1,
        }
        if said := [fault for fault, found in faults.items() if found]:
            raise ConfigError("; ".join(said) + ".")

    def _check_fitted(self) -> None:
        if not hasattr(self, "thresholds_"):
            raise NotFittedError("This BrandUsage is not fitted yet. Call fit(log) first.")


def own_brand_change(log: Transactions, as_of: str | date | None = None, window: int = 182) -> pd.DataFrame:
    """Each member's own-brand share now, before, and the change: store brands' part of the money on branded goods.

    Parameters
    ----------
    log : Transactions
    as_of : date, optional
    window : int
        Now are the days up to the close of ``as_of``, so many; before are as many days before these.

    Returns
    -------
    DataFrame
        customer_id, own_brand_share, own_brand_share_before, own_brand_change: of members who bought in both, for
        `target_group`. Of a log that is `on_spark` a Spark DataFrame.

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": list("aaab"), "amount": [6.0, 3, 1, 5], "brand_type": "national store store store".split(),
    ...                      "purchased_at": ["2017-01-05", "2017-01-05", "2017-02-05", "2017-02-05"]})
    >>> own_brand_change(Transactions.from_extract(till, until="2017-02-28"), window=28).round(2)
      customer_id  own_brand_share  own_brand_share_before  own_brand_change
    0           a              1.0                    0.33              0.67
    """
    if not window >= 1:
        raise ConfigError(f"window={window} must be 1 day or more.")
    check_item(log, "brand_type")
    day = log.close_of(as_of)
    if log.on_spark:
        there: pd.DataFrame = _change_on_spark(log, day, window)
        return there
    shares = []
    with engine_for(log) as engine:
        lines = engine.parquet(log.lines)
        for close in (day, day - window):
            values = {"as_of": close, "since": close - window}
            rows = to_pandas(engine.summary("segments/brand_usage", values, item="brand_type", lines=lines))
            sums = rows.groupby("customer_id")[["spend", "store_spend"]].sum()
            shares.append(sums["store_spend"] / sums["spend"])
    table = pd.concat(shares, axis=1, join="inner", keys=["own_brand_share", "own_brand_share_before"]).sort_index()
    return table.assign(own_brand_change=table.iloc[:, 0] - table.iloc[:, 1]).reset_index()


def _change_on_spark(log: Transactions, day: int, window: int) -> Any:
    with engine_for(log) as spark:
        engine: Any = spark
        lines = engine.parquet(log.lines)
        now, before = (
            engine.query(
                f"""select customer_id, sum(store_spend) / nullif(sum(spend), 0) as {name}
                from {_brand_rows(engine, lines, close, window)} group by customer_id"""
            )
            for name, close in {"own_brand_share": day, "own_brand_share_before": day - window}.items()
        )
    return with_difference(joined(now, before), "own_brand_change", "own_brand_share", "own_brand_share_before")


def _brand_rows(engine: SqlEngine, lines: str, close: int, window: int) -> str:
    values = {"as_of": close, "since": close - window}
    return engine.register(engine.summary("segments/brand_usage", values, item="brand_type", lines=lines))
