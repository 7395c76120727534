"""What was known of customers and items at the close of a day, and what happened on the days after it.

Tables are pandas; for a log that is `on_spark` they are Spark DataFrames, computed when they are used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING

from crmkit.engine.choose import engine_for
from crmkit.engine.frames import to_pandas
from crmkit.summaries.purchase_history import as_text, purchase_history
from crmkit.transactions.log import Transactions, check_item

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["item_bought", "item_panel", "item_state", "n_pairs", "purchase_days", "purchase_gaps"]


def item_state(
    log: Transactions, by: str | Sequence[str], as_of: str | date | None = None, exclude: Sequence[str] = ()
) -> pd.DataFrame:
    """What is known of each customer and item at the close of ``as_of``.

    Parameters
    ----------
    log : Transactions
    by : str or sequence of str
        Item column; more of them are the levels above it (``["product_id", "category"]``), which add what is known of the
        customer and the item's level, its columns named ``category_frequency`` and so on.
    as_of : date, optional
    exclude : sequence of str
        Items to leave out.

    Returns
    -------
    DataFrame
        customer_id, item; of the pair: frequency (repeat purchase days), recency and T (days from the first purchase
        to the last, and to ``as_of``), spend (mean money per purchase day), sum_log_gap (ln days between purchase days),
        recent_28 and recent_84 (purchase days in that many days), decayed_45, decayed_150, decayed_250 (purchase days, one
        of age a counting exp(−a / 45) and so on), visits_since_last and visits_decayed_since_first (the customer's visits
        after the pair's last purchase, and after its first, decaying over 250 days); of the customer: visit_days (days
        with a purchase of anything), visit_recency, visit_T, sum_log_visit_gap, visit_days_14, visit_days_28,
        visit_days_84, visits_decayed_60, visits_decayed_250, n_items, n_item_days (their purchase days),
        items_decayed_45; of the item: item_recent_28, item_recent_84.

    Examples
    --------
    >>> import pandas as pd
    >>> till = pd.DataFrame({"customer_id": ["a"] * 2, "category": ["Milk"] * 2, "amount": [1, 2],
    ...                      "purchased_at": ["2017-01-01", "2017-01-05"]})
    >>> item_state(Transactions.from_extract(till, until="2017-01-20"), by="category").iloc[:, :6]
      customer_id  item  frequency  recency   T  spend
    0           a  Milk          1        4  19    1.5
    """
    with purchase_history(log, by, exclude, as_of) as history:
        state: pd.DataFrame = history.state()
        return state


def item_panel(
    log: Transactions,
    by: str | Sequence[str],
    as_of: str | date | None = None,
    ages: Sequence[int] = (),
    exclude: Sequence[str] = (),
    share: float = 1.0,
) -> Iterator[pd.DataFrame]:
    """`item_state` at origins, each with the days to the next purchase, as far as it is known at ``as_of``.

    These are rows to learn from: of a log that is `on_spark` too they come as pandas, so take a ``share`` of a large one.

    Parameters
    ----------
    log, by, as_of, exclude
        As in `item_state`.
    ages : sequence of int
        Days before ``as_of`` at which to look.
    share : float
        Share of the customers to take, the same ones at all days, chosen by a hash of the id. Counts of an item over
        customers are then counts over these.

    Yields
    ------
    DataFrame
        The columns of `item_state`; wait, days to the next purchase (missing where there was none); follow, days watched.
    """
    with purchase_history(log, by, exclude, as_of) as history:
        for panel in history.panel(None, ages, share):
            yield as_text(panel)


def n_pairs(log: Transactions, by: str, as_of: str | date | None = None) -> int:
    """How many pairs of customer and item have been bought by the close of ``as_of``, taken back later or not."""
    check_item(log, by)
    with engine_for(log) as engine:
        item, lines = engine.quoted(by), engine.parquet(log.lines)
        bought = f"day <= :as_of and customer_id is not null and {item} is not null and units > 0"
        pairs = f"select distinct customer_id, {item} from {lines} where {bought}"
        return int(
            engine.frame(f"select count(*) as n from ({pairs}) as pairs", {"as_of": log.close_of(as_of)})["n"][0]
        )


def purchase_days(
    log: Transactions, by: str, customer_id: str, item: str, as_of: str | date | None = None
) -> pd.DataFrame:
    """Days on which a customer bought an item, as known at the close of ``as_of``.

    Returns
    -------
    DataFrame
        day, units.
    """
    check_item(log, by)
    with engine_for(log) as engine:
        values = {"as_of": log.close_of(as_of), "customer_id": customer_id, "item": item}
        return to_pandas(engine.summary("summaries/purchase_days", values, item=by, lines=engine.parquet(log.lines)))


def item_bought(log: Transactions, by: str, as_of: str | date, horizon: int) -> pd.DataFrame:
    """Customer and item pairs that were bought on days as_of + 1 … as_of + horizon, and not taken back by their close.

    Raises
    ------
    LeakError
        Those days are not all observed.
    """
    with purchase_history(log, by) as history:
        bought: pd.DataFrame = history.bought(as_of, horizon)
        return bought


def purchase_gaps(log: Transactions, by: str, as_of: str | date | None = None) -> pd.DataFrame:
    """How regularly each customer buys each item.

    Parameters
    ----------
    log : Transactions
    by : str
        An item column of the log: product_id, category, brand, brand_type, manufacturer or department.
    as_of : date, optional

    Returns
    -------
    DataFrame
        customer_id, the item column, n_purchases (days), first_day, last_day, days_since_last (from the last to
        ``as_of``), mean_gap, sd_gap, mean_log_gap (of the days between purchase days; missing when there are too few).

    Examples
    --------
    >>> import pandas as pd
    >>> till = pd.DataFrame({"customer_id": ["a"] * 3, "category": ["Milk"] * 3, "amount": [1, 1, 1],
    ...                      "purchased_at": ["2017-01-01", "2017-01-05", "2017-01-11"]})
    >>> gaps = purchase_gaps(Transactions.from_extract(till, until="2017-01-20"), by="category")
    >>> gaps[["category", "n_purchases", "days_since_last", "mean_gap"]]
      category  n_purchases  days_since_last  mean_gap
    0     Milk            3                9       5.0
    """
    check_item(log, by)
    day = log.close_of(as_of)
    with engine_for(log) as engine:
        return engine.summary("summaries/purchase_gaps", {"as_of": day}, item=by, lines=engine.parquet(log.lines))
