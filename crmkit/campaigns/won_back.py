"""What win-back achieved: customers who came back among those contacted, against those held back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date

import pandas as pd

from crmkit._checks import require_columns
from crmkit._days import as_day
from crmkit.campaigns.contact_history import spend_around
from crmkit.campaigns.effect import campaign_effect
from crmkit.displays import InNotebook
from crmkit.engine.pieces import Source, columns_of, whole_members
from crmkit.transactions.log import Transactions

__all__ = ["WonBack", "what_to_offer", "won_back"]


@dataclass(frozen=True)
class WonBack(InNotebook):
    """Customers won back by a contact; prints as a sentence.

    Attributes
    ----------
    contacted, held_back : int
        Customers.
    came_back, came_back_anyway : float
        Share of those contacted, and of those held back, who bought again.
    effect, low, high : float
        Difference of the shares, and its 95 % interval.
    spend, spend_low, spend_high : float
        Money per customer contacted that the contact brought, and its 95 % interval.
    cost : float
        Of all contacts.
    """

    contacted: int
    held_back: int
    came_back: float
    came_back_anyway: float
    effect: float
    low: float
    high: float
    spend: float
    spend_low: float
    spend_high: float
    cost: float

    @property
    def cost_of_one(self) -> float:
        """Cost of each customer won back who would not have come anyway; infinite where there is none."""
        won = self.effect * self.contacted
        return self.cost / won if won > 0 else float("inf")

    @property
    def table(self) -> pd.DataFrame:
        """All figures as one row."""
        return pd.DataFrame([asdict(self) | {"cost_of_one": self.cost_of_one}])

    def __str__(self) -> str:
        verdict = ": no significant effect" if self.low <= 0 <= self.high else ""
        each = f" Each customer won back cost {self.cost_of_one:,.2f}." if 0 < self.cost_of_one < float("inf") else ""
        return (
            f"{self.came_back:.1%} of {self.contacted:,} customers contacted bought again, against {self.came_back_anyway:.1%} "
            f"of {self.held_back:,} held back: {self.effect:+.1%} (95% interval {self.low:+.1%} to {self.high:+.1%}){verdict}. "
            f"A contact brought {self.spend:+,.2f} (95% interval {self.spend_low:+,.2f} to {self.spend_high:+,.2f}).{each}"
        )


def won_back(
    log: Transactions, listed: pd.DataFrame, day: str | date, horizon: int, cost_of_contact: float = 0.0
) -> WonBack:
    """Compare the customers on a win-back list who were contacted with those who were held back.

    Parameters
    ----------
    log : Transactions
        Up to ``day`` + ``horizon`` at least.
    listed : DataFrame
        customer_id, held_back: the list of ``day``, with the control group drawn from it.
    day : date
        The list's as-of date; purchases on the ``horizon`` days after it count.
    horizon : int
        Days.
    cost_of_contact : float
        Money for each customer contacted.

    Raises
    ------
    ContractError
        A column is missing, or a group has fewer than two customers.

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": list("abcd"), "purchased_at": "2018-01-05", "amount": [8.0, 9.0, 8.0, 1.0]})
    >>> log = Transactions.from_extract(till, until="2018-01-31")
    >>> listed = pd.DataFrame({"customer_id": list("abcxdyz"), "held_back": [False] * 4 + [True] * 3})
    >>> found = won_back(log, listed, "2017-12-31", 30)
    >>> found.came_back, round(found.came_back_anyway, 2)
    (0.75, 0.33)
    """
    require_columns(listed, ["customer_id", "held_back"], "listed")
    held = listed["held_back"].astype(bool)
    groups = listed.loc[~held, "customer_id"], listed.loc[held, "customer_id"]
    spend, _ = spend_around(log, as_day(day), horizon)
    back = campaign_effect((spend > 0).astype(float), *groups)
    money = campaign_effect(spend, *groups)
    return WonBack(
        back.planned, back.held_back, back.effect + back.mean, back.mean, back.effect, back.low, back.high,
        money.effect, money.low, money.high, cost_of_contact * back.planned,
    )  # fmt: skip


_SHARES = ["customer_id", "deal_id", "category_days", "own_days"]


def what_to_offer(listed: pd.DataFrame, shares: Source, deals: pd.DataFrame) -> pd.DataFrame:
    """The list with the deal that fits each customer best: on what was bought most often of all that has a deal.

    Parameters
    ----------
    listed : DataFrame
        customer_id.
    shares : DataFrame, or path of a Parquet file
        As `deal_shares` gives them, of the deals of the days to come.
    deals : DataFrame
        deal_id, title, category.

    Returns
    -------
    DataFrame
        ``listed`` with offer (its deal_id), offer_title and offer_category; missing where no deal is on anything the customer
        ever bought.

    Examples
    --------
    >>> listed = pd.DataFrame({"customer_id": ["a", "b"]})
    >>> shares = pd.DataFrame({"customer_id": "a", "deal_id": ["D1", "D2"], "category_days": [5.0, 3.0], "own_days": [1.0, 3.0]})
    >>> deals = pd.DataFrame({"deal_id": ["D1", "D2"], "title": ["1.00 off", "0.50 off"], "category": ["Tea", "Milk"]})
    >>> what_to_offer(listed, shares, deals)
      customer_id offer offer_title offer_category
    0           a    D2    0.50 off           Milk
    1           b  <NA>        <NA>           <NA>
    """
    require_columns(columns_of(shares), _SHARES, "shares")
    best = pd.concat([_best_of(piece, listed["customer_id"]) for piece in whole_members(shares, _SHARES)])
    about = best[["customer_id", "deal_id"]].merge(deals[["deal_id", "title", "category"]], on="deal_id")
    names = {"deal_id": "offer", "title": "offer_title", "category": "offer_category"}
    found = listed.merge(about.rename(columns=names), how="left", on="customer_id")
    return found.astype(dict.fromkeys(names.values(), "string"))


def _best_of(shares: pd.DataFrame, members: pd.Series[str]) -> pd.DataFrame:
    """The deal on what each of these members bought most often."""
    theirs = shares[shares["customer_id"].isin(members)]
    order = ["customer_id", "own_days", "category_days", "deal_id"]
    return theirs.sort_values(order, ascending=[True, False, False, True]).drop_duplicates("customer_id")
