"""Redemptions that come back from the tills: each row is matched to an offer, or told why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pandas as pd

from crmkit._checks import require_columns
from crmkit._days import as_day, day_number
from crmkit.engine.choose import engine_for
from crmkit.engine.frames import to_pandas
from crmkit.exceptions import ContractError
from crmkit.offers._redemption_math import shrunk_rate
from crmkit.offers.shares import NARROWING, matches_deal
from crmkit.transactions.log import Transactions

__all__ = ["RedemptionMatch", "RedemptionRates", "match_redemptions", "qualifying_purchases", "redemption_rates"]

REASONS = (
    "customer_id is missing",
    "customer_id is no known member",
    "deal_id or code is unknown",
    "redeemed_at is not a day",
    "redeemed_at is after the run date",
    "amount is not a number of at least 0",
    "repeats an earlier row",
    "not offered to this member",
    "outside the days of the offer",
    "over the limit per member",
)
"""Why a redemption matches no offer; the first that holds is told."""


@dataclass(frozen=True)
class RedemptionMatch:
    """Redemptions by what became of them; prints as a sentence.

    Attributes
    ----------
    matched : DataFrame
        The redemptions of offers: the columns given, with deal_id and, where the offers have one, campaign.
    unmatched : DataFrame
        The others: row (of the table given, from 1), the columns given, reason.
    """

    matched: pd.DataFrame = field(repr=False)
    unmatched: pd.DataFrame = field(repr=False)

    @property
    def counts(self) -> pd.DataFrame:
        """Reason, rows and amount of the redemptions that match no offer, in the order of the reasons."""
        amounts = pd.to_numeric(self.unmatched["amount"], errors="coerce")
        table = self.unmatched.assign(amount=amounts).groupby("reason")["amount"].agg(["size", "sum"])
        there = [reason for reason in REASONS if reason in table.index]
        return table.loc[there].set_axis(["rows", "amount"], axis=1).reset_index()

    def __str__(self) -> str:
        n = len(self.matched) + len(self.unmatched)
        why = ", ".join(f"{row.rows:,} {row.reason}" for row in self.counts.itertuples())
        return f"{n:,} redemptions read; {len(self.matched):,} matched to an offer" + (f"; {why}" if why else "")


def match_redemptions(
    redemptions: pd.DataFrame, offers: pd.DataFrame, as_of: str | date | None = None, members: pd.Series | None = None
) -> RedemptionMatch:
    """Match each redemption to the offer that was redeemed.

    Where a member was offered a deal several times, the newest offer whose days hold the redemption is taken. Every row is
    in exactly one of the two tables of the result, so rows and money reconcile.

    Parameters
    ----------
    redemptions : DataFrame
        customer_id, deal_id or code (a coupon's code, where a row has no deal_id), redeemed_at, amount (money off);
        order_id tells redemptions of one day apart.
    offers : DataFrame
        customer_id, deal_id, starts, ends (days, both inclusive); code, campaign and limit_per_member where known.
    as_of : date, optional
        The last day that is observed: what is dated later matches nothing.
    members : Series, optional
        Ids of all known members.

    Returns
    -------
    RedemptionMatch

    Raises
    ------
    ContractError
        A column is missing.

    Examples
    --------
    >>> offers = pd.DataFrame({"customer_id": ["a"], "deal_id": ["D1"], "starts": ["2018-01-01"], "ends": ["2018-01-14"]})
    >>> came = pd.DataFrame({"customer_id": ["a", "b", "a"], "deal_id": ["D1", "D1", "D9"], "amount": [0.5, 0.5, 1.0],
    ...                      "redeemed_at": "2018-01-03"})
    >>> print(match_redemptions(came, offers))
    3 redemptions read; 1 matched to an offer; 1 deal_id or code is unknown, 1 not offered to this member
    """
    given, made = _same_kind(_redemptions(redemptions, offers), _offers(offers))
    last = pd.Timestamp.max if as_of is None else pd.Timestamp(as_day(as_of))
    pairs = given[["row", "customer_id", "deal_id", "day"]].merge(made, on=["customer_id", "deal_id"])
    valid = pairs[(pairs["starts"] <= pairs["day"]) & (pairs["day"] <= pairs["ends"])]
    newest = valid.sort_values(["row", "starts", "offer"], kind="stable").drop_duplicates("row", keep="last")
    found = given.merge(newest[["row", "offer", "limit_per_member", *_campaign(made)]], how="left", on="row")
    # each flag looks only at rows that no earlier reason has taken, so a repeated or unknown row uses up no limit
    reason = pd.Series(pd.NA, index=found.index, dtype="object")
    keys = [column for column in ("customer_id", "deal_id", "day", "order_id", "amount") if column in found]
    flags: dict[str, Callable[[], pd.Series]] = {
        REASONS[0]: lambda: found["customer_id"].isna(),
        REASONS[1]: lambda: ~found["customer_id"].isin(found["customer_id"] if members is None else members),
        REASONS[2]: lambda: ~found["deal_id"].isin(set(made["deal_id"])),
        REASONS[3]: lambda: found["day"].isna(),
        REASONS[4]: lambda: found["day"] > last,
        REASONS[5]: lambda: ~(found["money"] >= 0) | np.isinf(found["money"]),
        REASONS[6]: lambda: found[keys].where(reason.isna()).duplicated() & reason.isna(),
        REASONS[7]: lambda: ~found["row"].isin(set(pairs["row"])),
        REASONS[8]: lambda: found["offer"].isna(),
        REASONS[9]: lambda: _over_limit(found, reason.isna()),
    }
    for name, holds in flags.items():
        reason = reason.mask(reason.isna() & holds(), name)
    names = [*redemptions.columns, *([] if "deal_id" in redemptions else ["deal_id"]), *_campaign(made)]
    return RedemptionMatch(
        found.loc[reason.isna(), names].reset_index(drop=True),
        found.assign(reason=reason).loc[reason.notna(), ["row", *redemptions.columns, "reason"]].reset_index(drop=True),
    )


def _redemptions(table: pd.DataFrame, offers: pd.DataFrame) -> pd.DataFrame:
    """The redemptions numbered, with their deal and day."""
    require_columns(table, ["customer_id", "redeemed_at", "amount"], "redemptions")
    if "deal_id" not in table:
        require_columns(table, ["code"], "redemptions", "deal_id or code says what was redeemed.")
        require_columns(offers, ["code"], "offers", "The redemptions name codes, not deals.")
    found = table.assign(
        row=np.arange(1, len(table) + 1),
        day=pd.to_datetime(table["redeemed_at"], errors="coerce", format="mixed").dt.normalize(),
        money=pd.to_numeric(table["amount"], errors="coerce"),
    )
    if "code" in table and "code" in offers:
        by_code = table["code"].map(_deals_of_codes(offers))
        found["deal_id"] = found["deal_id"].fillna(by_code) if "deal_id" in table else by_code
    return found


def _deals_of_codes(offers: pd.DataFrame) -> pd.Series:
    deals = offers.drop_duplicates("code")
    if len(deals) < len(offers.drop_duplicates(["code", "deal_id"])):
        raise ContractError("offers: a code stands for several deals. Give each deal its own code, or pass deal_id.")
    return deals.set_index("code")["deal_id"]


def _offers(offers: pd.DataFrame) -> pd.DataFrame:
    """The offers numbered, with days and limits."""
    require_columns(offers, ["customer_id", "deal_id", "starts", "ends"], "offers")
    limit = offers["limit_per_member"] if "limit_per_member" in offers else pd.Series(np.nan, index=offers.index)
    return pd.DataFrame(
        {
            "customer_id": offers["customer_id"], "deal_id": offers["deal_id"], "offer": np.arange(len(offers)),
            "starts": pd.to_datetime(offers["starts"]), "ends": pd.to_datetime(offers["ends"]),
            "limit_per_member": limit.astype(float).fillna(np.inf),
            **{name: offers[name] for name in _campaign(offers)},
        }
    )  # fmt: skip


def _same_kind(given: pd.DataFrame, made: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both with ids of one type; a table without rows takes that of the other."""
    kinds = [table[["customer_id", "deal_id"]].dtypes.to_dict() for table in (given, made)]
    if not len(made):
        return given, made.astype(kinds[0])
    if not len(given):
        return given.astype(kinds[1]), made
    if len({pd.api.types.is_numeric_dtype(kind["customer_id"]) for kind in kinds}) > 1:
        raise ContractError(
            "customer_id is text in one of redemptions and offers, and a number in the other. Use text."
        )
    return given, made


def _campaign(offers: pd.DataFrame) -> list[str]:
    return ["campaign"] if "campaign" in offers else []


def _over_limit(found: pd.DataFrame, counted: pd.Series[bool]) -> pd.Series[bool]:
    """Redemptions of an offer beyond its limit per member, in the order of their days."""
    there = found[counted].sort_values(["day", "row"], kind="stable")
    times = there.groupby(["customer_id", "deal_id"]).cumcount() + 1
    over = times > there["limit_per_member"]
    return over.reindex(found.index, fill_value=False).astype(bool)


def qualifying_purchases(log: Transactions, offers: pd.DataFrame) -> pd.DataFrame:
    """The offers whose goods the member bought on their days, redeemed or not.

    Parameters
    ----------
    log : Transactions
    offers : DataFrame
        customer_id, deal_id, category, starts, ends (days, both inclusive); brand, product_id and brand_type narrow the
        goods where the lines have them.

    Returns
    -------
    DataFrame
        The rows of ``offers`` that a purchase up to the close of the log qualified for, in their order.

    Examples
    --------
    >>> till = pd.DataFrame({"customer_id": ["a", "a"], "purchased_at": ["2018-01-02", "2018-01-20"], "amount": 1,
    ...                      "category": ["Tea", "Milk"]})
    >>> offers = pd.DataFrame({"customer_id": "a", "deal_id": ["D1", "D2"], "category": ["Tea", "Milk"],
    ...                        "starts": "2018-01-01", "ends": "2018-01-14"})
    >>> log = Transactions.from_extract(till, until="2018-01-31")
    >>> qualifying_purchases(log, offers)["deal_id"].tolist()
    ['D1']
    """
    require_columns(offers, ["customer_id", "deal_id", "category", "starts", "ends"], "offers")
    narrowing = [name for name in NARROWING if name in log.items and name in offers and offers[name].notna().any()]
    days = {name: pd.to_datetime(offers[name]).map(lambda day: day_number(day.date())) for name in ("starts", "ends")}
    table = offers[["customer_id", "category", *narrowing]].assign(offer=np.arange(len(offers)), **days)
    if "category" not in log.items or not len(offers):
        return offers.head(0)
    with engine_for(log) as engine:
        found = engine.summary(
            "campaigns/qualifying_purchases",
            {"as_of": log.close_of(None)},
            lines=engine.parquet(log.lines),
            offers=engine.register(table),
            matches=" and ".join(matches_deal("l", "o", name) for name in narrowing) or "1 = 1",
        )
    return offers.iloc[to_pandas(found)["offer"].to_numpy()].reset_index(drop=True)


@dataclass(frozen=True)
class RedemptionRates:
    """Who redeems coupons at purchases that qualify for them.

    Attributes
    ----------
    members : DataFrame
        customer_id, qualified, redeemed, rate.
    mean : float
        Of all members: the rate of a member of whom nothing is known.
    uncertainty : float
        Standard deviation of ``mean`` as a share of it.
    """

    members: pd.DataFrame = field(repr=False)
    mean: float
    uncertainty: float

    def __str__(self) -> str:
        n, took = self.members["qualified"].sum(), self.members["redeemed"].sum()
        return f"{took:,.0f} of {n:,.0f} qualifying purchases redeemed a coupon; estimated rate {self.mean:.1%}"


def redemption_rates(
    qualified: pd.DataFrame, redeemed: pd.DataFrame, prior: float = 0.2, prior_weight: float = 100.0
) -> RedemptionRates:
    """Each member's probability of redeeming at a purchase that qualifies for a coupon in hand.

    Parameters
    ----------
    qualified : DataFrame
        customer_id: one row per purchase that qualified for a coupon which the member had been sent, redeemed or not.
    redeemed : DataFrame
        customer_id: one row per redemption, ``RedemptionMatch.matched`` say.
    prior, prior_weight : float
        The mean rate expected before any campaign, and the qualifying purchases that it counts as.

    Returns
    -------
    RedemptionRates

    Raises
    ------
    ContractError
        A column is missing, or a member redeemed more often than its purchases qualified.

    Examples
    --------
    >>> had = pd.DataFrame({"customer_id": ["a"] * 4 + ["b"] * 4})
    >>> rates = redemption_rates(had, had.tail(3))
    >>> rates.members.round(2)
      customer_id  qualified  redeemed  rate
    0           a          4         0  0.04
    1           b          4         3  0.64
    """
    require_columns(qualified, ["customer_id"], "qualified")
    require_columns(redeemed, ["customer_id"], "redeemed")
    chances, taken = (table.groupby("customer_id").size() for table in (qualified, redeemed))
    members = pd.DataFrame({"qualified": chances, "redeemed": taken}).fillna(0).astype(int).sort_index()
    if more := int((members["redeemed"] > members["qualified"]).sum()):
        raise ContractError(
            f"{more:,} members redeemed more coupons than their purchases qualified for. Every redemption is at a "
            "qualifying purchase: pass the purchases of all coupons sent."
        )
    n, k = members["qualified"].to_numpy(float), members["redeemed"].to_numpy(float)
    rate, mean, uncertainty = shrunk_rate(k, n, prior, prior_weight)
    table = members.assign(rate=rate).rename_axis("customer_id").reset_index()
    return RedemptionRates(table, mean, uncertainty)
