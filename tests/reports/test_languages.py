"""The report in Korean, Chinese and Japanese: every sentence has its message, and what is filled in comes out whole."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

import crmkit
from crmkit import ConfigError, Report
from crmkit.reports.formats import _LABELS
from crmkit.reports.languages import LANGUAGES, Words, pattern_of, words_of
from tests.test_messages import sentences, spoken_in_templates

HOME = Path(crmkit.__file__).parent
SLOT = re.compile(r"\{[a-z]+\d*\}")
OTHERS = LANGUAGES[1:]
MADE_ELSEWHERE = {
    "evaluation/backtest.py": ("days ahead: ", "no difference beyond"),
    "evaluation/scorecard.py": ("published for", "called likely"),
    "campaigns/effect.py": ("The campaign added",),
    "campaigns/lift.py": ("Over {",),
    "campaigns/pooling.py": ("A control group", "campaigns added"),
    "campaigns/response.py": ("A deal multiplies", "No due item"),
    "offers/redemption.py": ("a coupon in hand", "each budget", "trial offers", "whoever redeems", "with the coupon"),
    "pipeline/stages/summary.py": ("",),
    "summaries/management.py": ("No ", "The log holds no whole"),
    "summaries/points_balances.py": ("points stand",),
}
"""Sentences of other rooms that stand in the report, by how they begin or what they hold."""


def messages(language: str) -> dict[str, str]:
    text = (HOME / "reports" / "messages" / f"{language}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def said_in_the_report() -> Iterator[tuple[str, str]]:
    for path in sorted((HOME / "reports" / "blocks").glob("*.py")):
        yield from ((path.name, one) for one in sentences(ast.parse(path.read_text("utf-8"))))
    yield from (("page", one) for one in spoken_in_templates(HOME / "reports" / "templates" / "report.html.j2"))
    yield from (("label", one) for one in _LABELS.values())
    for name, begins in MADE_ELSEWHERE.items():
        found = list(sentences(ast.parse((HOME / name).read_text("utf-8"))))
        yield from ((name, one) for one in found if any(part in one for part in begins))


def pieces_of(text: str) -> list[str]:
    """The sentences of a text of the code."""
    return re.split(r"(?<=[a-z)}])\.(?=[\s{])\s*", text.replace(":.{digits}", "}"))


def literal(text: str) -> re.Pattern[str]:
    """A sentence of the code as it may stand in a message: whatever is filled in may be there in words."""
    parts = re.split(r"\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}|…", text.strip(" .;,("))
    told = [re.sub(r"\d+", r"(?:\g<0>|\\{n\\d*\\})", re.escape(part)) for part in parts if part.strip()]
    return re.compile(r"[^\n]*?".join(told), re.IGNORECASE)


def test_every_sentence_of_the_report_has_a_message() -> None:
    known = "\n".join(messages("ko"))
    parts = [(where, part) for where, text in said_in_the_report() for part in pieces_of(text)]
    assert [(where, part) for where, part in parts if not literal(part).search(known)] == []


@pytest.mark.parametrize("language", OTHERS)
def test_the_messages_are_those_of_the_other_languages_and_fill_in_the_same(language: str) -> None:
    found = messages(language)
    assert list(found) == list(messages("ko"))
    assert [one for one, said in found.items() if sorted(SLOT.findall(one)) != sorted(SLOT.findall(said))] == []
    assert [one for one, said in found.items() if not said.strip() or one.endswith(".") or said.endswith((".", "。"))
            if one not in ("stop", "space")] == []  # fmt: skip
    assert all(pattern_of(one) for one in found)


@pytest.mark.parametrize("language", OTHERS)
def test_a_page_is_in_one_language(language: str) -> None:
    customers = pd.DataFrame(
        {
            "customer_id": list("abcd"), "value": [90.0, 6.0, 3.0, 1.0], "tier": list("ABBC"), "p_churn": 0.25,
            "value_at_risk": 1.0, "segment": ["champions", "loyal", "loyal", "at risk"], "total_spend": 4.0,
        }
    )  # fmt: skip
    report = Report("6월", as_of=date(2017, 6, 30), currency="KRW", language=language)
    report.add_tiers(customers).add_segments(customers).add_churn(customers, horizon=30)
    page = report.html()
    assert f'<html lang="{language}">' in page
    text = re.sub(r"<style>.*?</style>|<[^>]*>|\{[^}]*\}|\.[\w-]+\.parquet", " ", page, flags=re.DOTALL)
    assert set(re.findall("[A-Za-z]{3,}", text)) <= {"crmkit", "KRW", "image", "svg", "xml"}
    assert ("2017년 6월 30일" if language == "ko" else "2017年6月30日") in page
    assert "champions" not in page
    assert page == report.html()


@pytest.mark.parametrize(
    ("english", "said"),
    [
        ("Sales since 30 November 2017 (31 days): USD 49,536, +4.0% on the same weekdays 5 weeks before",
         "2017年11月30日以降の売上（31日間）：$49,536, 5週前の同じ曜日比 +4.0%"),
        ("It has 3 customers and 5% of the money spent. It has 4 customers and 6% of the money spent.",
         "顧客3人、支出の5%です。顧客4人、支出の6%です。"),
        ("“Tier A holds 1%” has 3 members", "「ランクAは…」は会員3人"),
        ("Deals of the house", "Deals of the house"),
        ("Lifetime value, 91 days ahead: BG/NBD beats recent rate (60-day decay) (log-loss 0.1 against 0.2; better at 1 of 2 origins).",
         "生涯価値、91日先：BG/NBDが最近の率（60日減衰）より優位（対数損失 0.1 対 0.2、2時点中1時点で優位）。"),
    ],
)  # fmt: skip
def test_what_is_filled_in_comes_out_whole(english: str, said: str) -> None:
    if "…" in said:  # a name that looks like a sentence is a name still: nothing of it is lost
        assert "1%" in words_of("ja")(english)
        return
    assert words_of("ja")(english) == said


def test_names_of_the_shop_stay_and_what_is_unknown_is_kept() -> None:
    words = Words("ko")
    assert words.cell("product_id", "new") == "new"
    assert words.cell("segment", "new") == "신규"
    assert words("A block of our own. With money: USD 12.50.") == "A block of our own. With money: US$12.50."
    assert list(words.missing) == ["A block of our own", "With money: USD 12.50."]


def test_workbook_and_page_say_the_same(tmp_path: Path) -> None:
    from python_calamine import CalamineWorkbook

    customers = pd.DataFrame({"customer_id": list("abcd"), "value": [90.0, 6.0, 3.0, 1.0], "tier": list("ABBC")})
    report = Report("June", currency="JPY", language="ja").add_tiers(customers)
    book = CalamineWorkbook.from_path(report.save(tmp_path / "report.xlsx"))
    assert book.sheet_names == ["はじめに", "価値ランク", "集中度", "集中度 2"]
    rows = book.get_sheet_by_name("価値ランク").to_python()
    assert str(rows[0][0]) in report.html()
    assert rows[3] == ["ランク", "顧客数", "価値", "顧客の割合", "価値の割合"]
    assert rows[4] == ["A", 1, 90, 0.25, 0.9]


def test_a_language_without_words_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not written in 'fr'"):
        Report("June", language="fr").html()
    with pytest.raises(ConfigError, match="print the page"):
        Report("June", language="ko").save(tmp_path / "report.pdf")
