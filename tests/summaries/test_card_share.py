"""Share of sales with a card: counted again by hand; what has no member counts as sales."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crmkit import ConfigError, Transactions, card_share


def test_counted_again_by_hand() -> None:
    rng, n = np.random.default_rng(5), 2_000
    till = pd.DataFrame(
        {
            "customer_id": np.where(rng.random(n) < 0.4, None, rng.integers(0, 40, n).astype(str)),
            "purchased_at": pd.Timestamp("2017-01-01 08:00") + pd.to_timedelta(rng.integers(0, 89 * 24, n), unit="h"),
            "amount": np.round(rng.gamma(2, 6, n), 2),
            "store": rng.integers(1, 4, n).astype(str),
            "order_id": np.arange(n).astype(str),
        }
    )
    log, _ = Transactions.split_extract(till, until="2017-03-31")
    known, at = till["customer_id"].notna(), till["purchased_at"]
    for by, keys in ((["store"], [till["store"]]), ("hour", [at.dt.hour])):
        found = card_share(log, by=by)
        groups = [at.dt.to_period("M").dt.start_time, *keys]
        sales = till["amount"].groupby(groups).sum()
        with_card = till["amount"].where(known, 0).groupby(groups).sum()
        np.testing.assert_allclose(found["sales"], sales.to_numpy(), rtol=1e-12)
        np.testing.assert_allclose(found["share"], (with_card / sales).to_numpy(), rtol=1e-12)
        assert found["receipts"].sum() == n
        assert found["card_receipts"].sum() == known.sum()
    early = card_share(log, as_of="2017-02-10")
    assert early["receipts"].sum() == (at < "2017-02-11").sum()
    with pytest.raises(ConfigError, match="period='year'"):
        card_share(log, period="year")
