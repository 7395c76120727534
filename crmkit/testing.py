"""Generated sales with known behaviour, for tests, examples and benchmarks. Nothing in crmkit imports this."""

from __future__ import annotations

import numpy as np
import pandas as pd

from crmkit.transactions.log import Transactions

__all__ = ["generated_log", "generated_sales"]


def generated_sales(n_customers: int = 1000, days: int = 365, seed: int = 0) -> pd.DataFrame:
    """Sales of customers who buy at gamma-distributed rates and drop out at beta-distributed chances.

    Parameters
    ----------
    n_customers, days, seed : int

    Returns
    -------
    DataFrame
        customer_id, purchased_at (days of 2017 and on), amount, order_id, line_id, product_id, category.

    Examples
    --------
    >>> generated_sales(n_customers=3, days=30).columns.tolist()
    ['customer_id', 'purchased_at', 'amount', 'order_id', 'line_id', 'product_id', 'category']
    """
    rng = np.random.default_rng(seed)
    rate, stop = rng.gamma(1.2, 1 / 16, n_customers), rng.beta(1.0, 4.0, n_customers)
    start = rng.integers(0, days // 2, n_customers)
    n_bought = np.minimum(rng.geometric(np.maximum(stop, 0.005)), 200)
    customer = np.repeat(np.arange(n_customers), n_bought)
    gap = rng.exponential(1 / np.maximum(rate[customer], 1e-4))
    gap[np.cumsum(n_bought) - n_bought] = 0.0
    day = start[customer] + pd.Series(gap).groupby(customer).cumsum().to_numpy()
    item = rng.zipf(1.6, len(customer)) % 40
    mean = rng.gamma(6.0, 3.0, n_customers)
    sales = pd.DataFrame(
        {
            "customer_id": [f"{c:06d}" for c in customer],
            "purchased_at": pd.Timestamp("2017-01-01 10:00") + pd.to_timedelta(np.floor(day), unit="D"),
            "amount": np.round(mean[customer] * rng.gamma(4.0, 0.25, len(customer)), 2),
            "order_id": np.arange(len(customer)).astype(str),
            "line_id": "1",
            "product_id": (item * 7).astype(str),
            "category": [f"Category {i:02d}" for i in item],
        }
    )
    return sales[day < days].reset_index(drop=True)


def generated_log(n_customers: int = 1000, days: int = 365, seed: int = 0) -> Transactions:
    """The same, as a log.

    Examples
    --------
    >>> generated_log(n_customers=3, days=30).until.isoformat()
    '2017-01-30'
    """
    last = pd.Timestamp("2017-01-01") + pd.Timedelta(days=days - 1)
    return Transactions.from_extract(generated_sales(n_customers, days, seed), until=last.date())
