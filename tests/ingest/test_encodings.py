"""The suggested encoding of files as tills and offices of many countries write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from crmkit.ingest.files import likely_encoding

RUSSIAN = "Клиент;Дата;Сумма\n1;2026-03-01;5\nИванов;2026-03-01;Молоко свежее\n"
GERMAN = "Kundennummer;Datum;Betrag;Ware\n1;2026-03-01;5;Käse\n2;2026-03-01;6;Brötchen süß\n"
POLISH = "Numer klienta;Data;Kwota;Towar\n1;2026-03-01;5;Żółty ser\n2;2026-03-01;6;Śmietana łagodna\n"
JAPANESE = "会員番号,日付,金額\n1,2026-03-01,5\n2,2026-03-01,牛乳の新しいもの\n"
WRITTEN = [
    *((name, RUSSIAN) for name in ("cp1251", "koi8-r", "cp866")),
    *((name, GERMAN) for name in ("cp1252", "cp850", "mac-roman")),
    *((name, POLISH) for name in ("cp1250", "iso8859-2")),
    *((name, JAPANESE) for name in ("cp932", "euc_jp")),
    ("cp949", "고객번호,구매일,금액\n0077,2026-03-01,우유 신선한 것 하나\n"),
    ("gb18030", "会员编号,日期,金额\n1,2026-03-01,5\n2,2026-03-01,新鲜牛奶一瓶\n"),
    ("big5", "會員編號,日期,金額\n1,2026-03-01,5\n2,2026-03-01,新鮮牛奶一瓶\n"),
    ("cp1254", "Müşteri No;Tarih;Tutar;Ürün\n1;2026-03-01;5;Süt ışık\n2;2026-03-01;6;Yoğurt şeker\n"),
]


@pytest.mark.parametrize(("encoding", "text"), WRITTEN, ids=[name for name, _ in WRITTEN])
def test_few_lines_are_enough(tmp_path: Path, encoding: str, text: str) -> None:
    path = tmp_path / "till.csv"
    path.write_bytes(text.encode(encoding))
    assert likely_encoding(path) == encoding


def test_a_byte_that_the_likeliest_cannot_decode_leaves_it_out(tmp_path: Path) -> None:
    path = tmp_path / "till.csv"
    path.write_bytes(GERMAN.encode("cp1252") + b"3;2026-03-02;6;plain\n" * 8_000 + b"4;2026-03-02;6;\x81\n")
    assert likely_encoding(path) not in (None, "cp1252")
