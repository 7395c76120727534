"""What a notebook shows of results: their words and a few numbers, escaped, and nothing that runs."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import crmkit as ck
from crmkit import RunResult, Transactions
from crmkit.displays import shown
from crmkit.testing import generated_log, generated_sales

HOSTILE = '<script>alert(1)</script> <img src=x onerror=alert(2)> "quoted" &amp;'


@pytest.fixture(scope="module")
def log() -> Transactions:
    return generated_log(n_customers=120, days=200, seed=4)


def test_text_and_table_are_escaped_and_short() -> None:
    page = shown(f"{HOSTILE}\nsecond line", pd.DataFrame({HOSTILE: [HOSTILE] * 30, "n": 1.23456789}))
    assert "<script" not in page
    assert "<img" not in page
    assert page.count("<p>") == 3
    assert "8 of 30 rows." in page
    assert "1.235" in page


def test_results_show_words_and_figures(log: Transactions) -> None:
    check = ck.backtest(ck.CustomerLifetimeValue(ck.BGNBD(), ck.GammaGamma()), log, horizon=30)
    views = {
        "transactions": (log, "Transactions up to the close of"),
        "backtest": (check, "predict zero"),
        "rejections": (ck.Transactions.split_extract(generated_sales(20), until="2017-12-31")[1], "rows read; used"),
    }
    for shown_one, words in views.values():
        assert words in shown_one._repr_html_()  # type: ignore[attr-defined]
    assert str(log.folder) not in log._repr_html_()


def test_a_fitted_model_shows_its_parameters_and_another_none(log: Transactions) -> None:
    model = ck.BGNBD()
    assert "standard error" not in str(model._repr_mimebundle_())
    page = model.fit(ck.btyd_summary(log))._repr_mimebundle_()["text/html"]
    assert "BG/NBD, 120 customers; log-likelihood" in page
    assert all(name in page for name in ("alpha", "standard error"))
    assert len(page) < 3_000


def test_a_run_shows_its_day_notes_and_tables(tmp_path: Path) -> None:
    manifest: dict[str, Any] = {"as_of": str(date(2017, 5, 31)), "notes": [HOSTILE], "rows": {"customers": 12}}
    page = RunResult(tmp_path, manifest)._repr_html_()
    assert "Run of 2017-05-31, published in" in page
    assert "<script" not in page
    assert re.search(r"customers</td>\s*<td>12", page)
