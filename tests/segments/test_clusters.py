"""Clusters keep their names: from value, on a frozen scale, through refits; k is what comes back when drawn anew."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from crmkit.exceptions import ConfigError, ContractError
from crmkit.segments.clusters import CustomerClusters

CENTRES = {"good": (3, 60, 4000), "middle": (25, 12, 400), "gone": (300, 2, 40)}
METHODS = ["k-means", "gaussian-mixture"]


def customers(n: int = 150, seed: int = 0, spread: float = 0.15, times: float = 1.0) -> pd.DataFrame:
    """Three log-normal clouds; the index says which."""
    rng = np.random.default_rng(seed)
    clouds = [
        pd.DataFrame(
            np.maximum(np.array(centre) * rng.lognormal(0, spread, (n, 3)), 1e-3),
            columns=["days_since_last", "n_purchases", "total_spend"],
            index=[f"{name} {place}" for place in range(n)],
        )
        for name, centre in CENTRES.items()
    ]
    return (pd.concat(clouds) * [1, 1, times]).sample(frac=1, random_state=seed)


def truth(table: pd.DataFrame) -> list[str]:
    return ["cluster " + "ABC"[list(CENTRES).index(name.split()[0])] for name in table.index]


@pytest.mark.parametrize("method", METHODS)
def test_k_is_found_and_names_follow_value(method):
    table = customers()
    model = CustomerClusters(method, n_bootstraps=4).fit(table)
    assert model.n_clusters_ == 3
    assert model.segment(table).tolist() == truth(table)
    assert model.segment(table).index.equals(table.index)
    assert model.labels_.tolist() == model.predict(table).tolist()
    assert model.profiles_["cluster"].tolist() == ["cluster A", "cluster B", "cluster C"]
    assert model.selection_.loc[model.selection_["chosen"], "stability"].item() > 0.95


def test_whales_do_not_get_clusters_of_their_own():
    table = pd.concat([customers(), pd.DataFrame([[1, 2000, 9e6]] * 4, columns=customers().columns)])
    chosen = CustomerClusters(n_bootstraps=4).fit(table).selection_
    alone = CustomerClusters(n_bootstraps=4, min_share=0.0).fit(table)
    assert chosen.loc[chosen["chosen"], "smallest_share"].item() >= 0.05
    assert alone.profiles_["customers"].min() <= 4


def test_where_nothing_is_large_enough_all_are_one_cluster():
    model = CustomerClusters(n_bootstraps=2, min_share=0.5).fit(customers())
    assert model.n_clusters_ == 1
    assert not model.selection_["chosen"].any()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_refit_keeps_names_whatever_order_it_finds(method, seed):
    first = CustomerClusters(method, n_clusters=3).fit(customers())
    later = customers(seed=seed)
    refit = first.set_params(seed=seed).refit(later)
    assert refit.segment(later).tolist() == truth(later)
    pd.testing.assert_frame_equal(refit.scale_, first.scale_)
    assert refit is not first
    assert first.labels_.tolist() == first.predict(customers()).tolist()


def test_a_refit_matches_by_place_not_by_value():
    """The once good now spend least; their cluster is still theirs, and is still called so."""
    first = CustomerClusters(n_clusters=3).fit(customers())
    later = customers(seed=1)
    good = later.index.str.startswith("good")
    later.loc[good, "total_spend"] *= 0.002
    refit = first.refit(later)
    assert set(refit.segment(later)[good]) == {"cluster A"}
    assert CustomerClusters(n_clusters=3).fit(later).segment(later)[good].unique().tolist() == ["cluster C"]


@pytest.mark.parametrize("method", METHODS)
def test_who_did_not_change_keeps_the_cluster_whoever_else_comes(method):
    table = customers(spread=1.0)
    model = CustomerClusters(method, n_clusters=4).fit(table)
    before = model.segment(table)
    joined = pd.concat([table, customers(seed=9, spread=2.0).add_suffix("").set_axis(range(450))])
    assert model.segment(joined).loc[table.index].equals(before)
    assert model.segment(joined, previous=before).loc[table.index].equals(before)


def test_the_currency_does_not_matter():
    one, other = (CustomerClusters(n_clusters=4).fit(customers(spread=1.0, times=times)) for times in (1.0, 1300.0))
    assert one.labels_.tolist() == other.labels_.tolist()


def test_a_cluster_is_left_only_for_one_that_is_clearly_nearer():
    table = customers()
    model = CustomerClusters(n_clusters=3, measures=["total_spend"]).fit(table)
    unit, mean, sd = model.scale_.loc["total_spend"]
    middle = model.centroids_[:2, 0].mean()
    near = pd.DataFrame(
        {"total_spend": unit * np.expm1((middle + np.array([0.05, 0.3])) * sd + mean)}, index=["a", "b"]
    )
    previous = pd.Series("cluster B", index=["a", "b"])
    assert model.segment(near).tolist() == ["cluster A", "cluster A"]
    assert model.segment(near, previous=previous).tolist() == ["cluster B", "cluster A"]
    assert model.set_params(hysteresis=0.0).segment(near, previous=previous).tolist() == ["cluster A", "cluster A"]
    assert model.segment(near, previous=previous.iloc[1:]).tolist() == ["cluster A", "cluster A"]
    with pytest.raises(ContractError, match=r"unknown clusters: \['gold'\]"):
        model.segment(near, previous=pd.Series(["gold"], index=["a"]))
    with pytest.raises(ContractError, match="No index label of previous is in X"):
        model.segment(near, previous=previous.set_axis(["x", "y"]))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_clusters", [None, 3])
@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"days_since_last": [5], "n_purchases": [1], "total_spend": [9.0]}),
        pd.DataFrame({"days_since_last": [5] * 40, "n_purchases": 1, "total_spend": 9.0}),
        pd.DataFrame({"days_since_last": 5, "n_purchases": [1] * 95 + [2, 3, 4, 5, 9], "total_spend": 9.0}),
        pd.DataFrame({"days_since_last": 5, "n_purchases": 1, "total_spend": [-50.0] * 9 + [20.0]}),
    ],
    ids=["one customer", "all equal", "95 % bought once", "refunds above purchases"],
)
def test_tables_with_little_in_them_are_labelled_without_a_warning(method, n_clusters, table, recwarn):
    model = CustomerClusters(method, n_clusters=n_clusters, n_bootstraps=2).fit(table)
    assert model.segment(table).notna().all()
    assert model.n_clusters_ <= len(table.drop_duplicates())
    assert np.isfinite(model.transform(table)).all()
    assert model.profiles_.notna().all(axis=None)
    assert [str(warning.message) for warning in recwarn if issubclass(warning.category, RuntimeWarning)] == []


def test_names_and_measures_can_be_stated():
    table = customers().assign(region="north", customer_id="x")
    names = ("regulars", "occasional", "silent")
    model = CustomerClusters(n_clusters=3, names=names, measures=["n_purchases"], value="n_purchases").fit(table)
    assert model.names_ == names
    assert set(model.segment(table)) == set(names)
    assert model.profiles_["words"][0].startswith("regulars: 150 customers (33 %) with ")


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"method": "dbscan"}, "is not one of"),
        ({"n_clusters": 0}, "1 or more"),
        ({"names": ("a", "b")}, "for a given n_clusters"),
        ({"names": ("a", "a"), "n_clusters": 2}, "2 different ones"),
        ({"min_share": 0.9}, "min_share"),
        ({"min_stability": 2}, "min_stability"),
        ({"n_bootstraps": 0}, "n_bootstraps"),
        ({"hysteresis": -1}, "hysteresis"),
        ({"value": "profit"}, "not one of the measures"),
    ],
)
def test_parameters_that_make_no_clusters_are_refused(parameters, match):
    with pytest.raises(ConfigError, match=match):
        CustomerClusters(**parameters).fit(customers())


def test_a_missing_measure_is_named_and_a_missing_value_counted():
    with pytest.raises(ContractError, match=r"\['margin'\].*measures="):
        CustomerClusters(measures=["margin"]).fit(customers())
    table = customers()
    table.iloc[:2, 0] = np.nan
    with pytest.raises(ContractError, match="days_since_last: 2 of 450"):
        CustomerClusters().fit(table)


def test_as_a_scikit_learn_object():
    table = customers()
    model = CustomerClusters(n_clusters=3)
    with pytest.raises(NotFittedError):
        model.predict(table)
    away = model.set_output(transform="pandas").fit_transform(table)
    assert away.columns.tolist() == ["distance to cluster A", "distance to cluster B", "distance to cluster C"]
    assert away.columns.tolist() == model.get_feature_names_out().tolist()
    assert away.index.equals(table.index)
    piped = make_pipeline(FunctionTransformer(), clone(model))
    assert piped.fit_predict(table).tolist() == model.labels_.tolist()
    assert model.feature_names_in_.tolist() == list(table.columns)
