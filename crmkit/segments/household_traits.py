"""Traits of households read from baskets (pets, babies), from stated evidence, with a probability checked on known households.

For choosing tips and needs. It is never to be printed as a claim about a person, and whoever opts out is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Self

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.model_selection import cross_val_predict

from crmkit._checks import require_columns
from crmkit._fitted import NotFittedError
from crmkit._types import Floats
from crmkit.engine.choose import engine_for
from crmkit.engine.frames import to_pandas
from crmkit.engine.texts import sql_text
from crmkit.exceptions import ConfigError
from crmkit.transactions.log import Transactions, check_item

__all__ = ["HouseholdTraits"]

_FOLDS, _LEAST = 5, 20


class HouseholdTraits:
    """Probability that a household has a trait, from what it buys.

    Parameters
    ----------
    evidence : mapping of str to sequence of str
        Trait -> items whose purchase is evidence of it: ``{"baby": ["DIAPERS", "BABY FOODS"]}``.
    by : str, default "category"
        Item column.
    window : int, default 365
        Days looked at.

    Attributes
    ----------
    check_ : DataFrame
        trait, households (known), share (that have it), auc, brier and brier_of_the_share (of a prediction that is the share for
        all), by five-fold cross-validation: what the model answers for households it was not fitted on.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> baby = rng.random(200) < 0.5
    >>> till = pd.DataFrame({"customer_id": np.repeat(np.arange(200).astype(str), 5), "purchased_at": "2017-01-05", "amount": 1.0,
    ...     "category": np.where(rng.random(1000) < np.where(np.repeat(baby, 5), 0.5, 0.02), "DIAPERS", "MILK")})
    >>> log = Transactions.from_extract(till, until="2017-01-31")
    >>> known = pd.DataFrame({"customer_id": np.arange(200).astype(str), "baby": baby})
    >>> traits = HouseholdTraits({"baby": ["DIAPERS"]}).fit(log, known)
    >>> bool(traits.check_["auc"][0] > 0.9), traits.predict(log)["trait"].unique().tolist()
    (True, ['baby'])
    """

    def __init__(self, evidence: Mapping[str, Sequence[str]], by: str = "category", window: int = 365) -> None:
        if not evidence or not all(evidence.values()):
            raise ConfigError(f"evidence={dict(evidence)!r}: state at least one trait, and at least one item of each.")
        self.evidence, self.by, self.window = dict(evidence), by, window

    def fit(self, log: Transactions, known: pd.DataFrame, as_of: str | date | None = None) -> Self:
        """Learn from households whose traits are known.

        Parameters
        ----------
        log : Transactions
        known : DataFrame
            customer_id, and a column for each trait: true or false, missing where it is not known.
        as_of : date, optional
            By default the log's ``until``.

        Raises
        ------
        ConfigError
            Of a trait fewer than 20 households have it, or have it not.
        """
        require_columns(known, ["customer_id", *self.evidence], "The table of known households")
        found = self._evidence(log, as_of)
        self.models_, checks = dict[str, LogisticRegression](), []
        for trait in self.evidence:
            told = known.loc[known[trait].notna(), ["customer_id", trait]].astype({"customer_id": "str"})
            rows = found[found["trait"] == trait].merge(told, on="customer_id")
            has = rows[trait].astype(bool).to_numpy()
            if min(has.sum(), (~has).sum()) < _LEAST:
                raise ConfigError(
                    f"{trait}: {int(has.sum()):,} known households have it and {int((~has).sum()):,} have not; {_LEAST} of each are needed."
                )
            checks.append({"trait": trait, **_check(_features(rows), has)})
            self.models_[trait] = LogisticRegression().fit(_features(rows), has)
        self.check_ = pd.DataFrame(checks)
        return self

    def predict(
        self, log: Transactions, opted_out: Iterable[object] = (), as_of: str | date | None = None
    ) -> pd.DataFrame:
        """The probability of each trait, and the evidence for it.

        Parameters
        ----------
        log : Transactions
        opted_out : ids
            Customers of whom nothing is inferred.
        as_of : date, optional

        Returns
        -------
        DataFrame
            customer_id, trait, probability, evidence_days (purchase days with evidence), evidence_items, days (all purchase days),
            days_since_evidence. One row per customer with a purchase in the window, and trait.
        """
        if not hasattr(self, "models_"):
            raise NotFittedError("This HouseholdTraits is not fitted yet. Call fit first.")
        found = self._evidence(log, as_of)
        found = found[~found["customer_id"].isin({str(one) for one in opted_out})].reset_index(drop=True)
        chances = pd.Series(0.0, index=found.index)
        for trait, model in self.models_.items():
            own = found["trait"] == trait
            if own.any():
                chances[own] = model.predict_proba(_features(found[own]))[:, 1]
        found.insert(2, "probability", chances)
        return found

    def _evidence(self, log: Transactions, as_of: str | date | None) -> pd.DataFrame:
        check_item(log, self.by)
        items = [(trait, item) for trait, named in self.evidence.items() for item in named]
        with engine_for(log) as engine:
            stated = engine.register(pd.DataFrame(items, columns=["trait", "item"], dtype="str"))
            text = sql_text(
                "segments/trait_evidence", item=engine.quoted(self.by), lines=engine.parquet(log.lines), evidence=stated
            )
            return to_pandas(engine.table(text, {"as_of": log.close_of(as_of), "window": self.window}))


def _features(rows: pd.DataFrame) -> Floats:
    """How often, how many kinds, and in what share of the purchase days evidence was bought."""
    days, items = (rows[name].to_numpy(np.float64) for name in ("evidence_days", "evidence_items"))
    return np.column_stack([np.log1p(days), items, days / rows["days"].to_numpy(np.float64)])


def _check(features: Floats, has: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> dict[str, float]:
    """What the model answers for households it was not fitted on."""
    chances = cross_val_predict(LogisticRegression(), features, has, cv=_FOLDS, method="predict_proba")[:, 1]
    share = float(has.mean())
    return {
        "households": len(has),
        "share": share,
        "auc": float(roc_auc_score(has, chances)),
        "brier": float(brier_score_loss(has, chances)),
        "brier_of_the_share": share * (1 - share),
    }
