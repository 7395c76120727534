"""Data to try things on."""

from __future__ import annotations

import pytest

import crmkit as ck
from crmkit import datasets
from crmkit.exceptions import ConfigError, NoInputError


def test_the_shop_is_that_of_the_demo() -> None:
    shop = ck.sample()
    assert str(shop.rejections).startswith("176,971 rows read; used 163,030; duplicate 13,910; rejected 31")
    assert "category" in shop.log.items
    assert {"crmkit.toml", "deals.csv", "members.csv", "products.csv.gz"} < set(shop.files)
    assert len(ck.Deals.from_extract(ck.read_extract(shop.files["deals.csv"]), product_id="sku").frame)


def test_cdnow_gives_the_papers_parameters() -> None:
    customers = ck.btyd_summary(ck.sample("cdnow").log, as_of="1997-09-30")
    assert len(customers) == 2357
    weeks = customers[["frequency", "recency", "T"]] / [1, 7, 7]
    found = ck.BGNBD().fit(weeks).params_
    assert found == pytest.approx({"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}, rel=2e-3)


def test_what_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"There is no data set 'cdnwo'; there are \['cdnow', 'shop'\]"):
        ck.sample("cdnwo")
    monkeypatch.setattr(datasets, "__file__", "/nowhere/crmkit/datasets.py")
    with pytest.raises(NoInputError, match="The sample was not found"):
        ck.sample()
