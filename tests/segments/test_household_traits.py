"""Traits from baskets: the model is checked on households it was not fitted on, and whoever opts out is left out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crmkit import ConfigError, HouseholdTraits, Transactions
from crmkit._fitted import NotFittedError

N = 400


@pytest.fixture(scope="module")
def known() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    ids = [f"h{one:03d}" for one in range(N)]
    return pd.DataFrame({"customer_id": ids, "baby": rng.random(N) < 0.4, "pet": rng.random(N) < 0.5})


@pytest.fixture(scope="module")
def till(known: pd.DataFrame) -> pd.DataFrame:
    rng, n = np.random.default_rng(1), 20
    home = np.repeat(np.arange(N), n)
    item = rng.choice(["MILK", "BREAD"], N * n).astype(object)
    baby, pet = known["baby"].to_numpy()[home], known["pet"].to_numpy()[home]
    item[baby & (rng.random(N * n) < 0.15)] = "DIAPERS"
    item[pet & (rng.random(N * n) < 0.15)] = "DOG FOOD"
    item[rng.random(N * n) < 0.01] = "DIAPERS"
    day = pd.Timestamp("2017-01-01") + pd.to_timedelta(rng.integers(0, 120, N * n), unit="D")
    return pd.DataFrame(
        {"customer_id": known["customer_id"].to_numpy()[home], "purchased_at": day, "amount": 1.0, "category": item}
    )


EVIDENCE = {"baby": ["DIAPERS"], "pet": ["DOG FOOD", "CAT FOOD"]}


def test_the_probability_is_calibrated_on_households_that_were_not_seen(
    till: pd.DataFrame, known: pd.DataFrame
) -> None:
    log = Transactions.from_extract(till, until="2017-04-30")
    seen, other = known.iloc[:200], known.iloc[200:]
    traits = HouseholdTraits(EVIDENCE).fit(log, seen)
    assert (traits.check_["auc"] > 0.9).all()
    assert (traits.check_["brier"] < traits.check_["brier_of_the_share"] / 2).all()
    found = traits.predict(log).merge(other, on="customer_id")
    for trait in EVIDENCE:
        own = found[found["trait"] == trait]
        assert own["probability"].mean() == pytest.approx(own[trait].mean(), abs=0.06)
    assert len(traits.predict(log)) == 2 * N


def test_who_opted_out_is_not_there_and_evidence_is_told(till: pd.DataFrame, known: pd.DataFrame) -> None:
    log = Transactions.from_extract(till, until="2017-04-30")
    traits = HouseholdTraits(EVIDENCE).fit(log, known)
    found = traits.predict(log, opted_out=["h000", "h001"])
    assert not set(found["customer_id"]) & {"h000", "h001"}
    one = found[(found["customer_id"] == "h007") & (found["trait"] == "baby")].iloc[0]
    own = till[(till["customer_id"] == "h007") & (till["category"] == "DIAPERS")]
    assert one["evidence_days"] == own["purchased_at"].nunique()
    early = traits.predict(log, as_of="2017-02-15")
    short = Transactions.from_extract(till[till["purchased_at"] < "2017-02-16"], until="2017-02-15")
    pd.testing.assert_frame_equal(early, traits.predict(short))


def test_what_is_wrong_is_told(till: pd.DataFrame, known: pd.DataFrame) -> None:
    log = Transactions.from_extract(till, until="2017-04-30")
    with pytest.raises(ConfigError, match="at least one trait"):
        HouseholdTraits({"baby": []})
    with pytest.raises(ConfigError, match="20 of each are needed"):
        HouseholdTraits(EVIDENCE).fit(log, known.head(20))
    with pytest.raises(NotFittedError):
        HouseholdTraits(EVIDENCE).predict(log)
