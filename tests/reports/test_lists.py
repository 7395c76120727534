"""Printed lists: what is on the page, that the till can read it, and that nothing half-done is left."""

from __future__ import annotations

import base64
import io
import os
import re
from importlib import metadata
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pypdfium2
import pytest
import zxingcpp
from fontTools.ttLib import TTFont
from offer_tables import deal_rows
from pypdf import PdfReader

from crmkit.exceptions import ConfigError, ContractError, PublishError
from crmkit.offers.barcodes import bars_of, gtin_check_digit
from crmkit.offers.deals import Deals
from crmkit.reports.lists.html import write_html_lists
from crmkit.reports.lists.mailing import write_offers
from crmkit.reports.lists.page_layout import PrintedLists, print_lists

FORTNIGHT = {"as_of": "2017-12-31", "horizon": 14}


def codes(n: int) -> list[str]:
    return [f"{stem}{gtin_check_digit(stem)}" for stem in (f"2590{i:08d}" for i in range(n))]


def deals(n: int = 1, **columns: object) -> Deals:
    return Deals.from_extract(deal_rows(n, **{"title": "Any fresh milk", "barcode": codes(n), **columns}))


def offers(n_deals: int = 1, members: tuple[str, ...] = ("007700001609",)) -> pd.DataFrame:
    return pd.DataFrame(
        [(member, f"D{i}", i + 1) for member in members for i in range(n_deals)],
        columns=["customer_id", "deal_id", "position"],
    )


def due(n: int = 1, member: str = "007700001609", **columns: object) -> pd.DataFrame:
    items = [f"Item {i}" for i in range(n)]
    return pd.DataFrame({"customer_id": member, "category": items, "p_purchase": 0.8}).assign(**columns)


def pages(path: Path) -> list[pypdfium2.PdfPage]:
    return list(pypdfium2.PdfDocument(str(path)))


def text_of(printed: PrintedLists, page: int = 0) -> str:
    return pages(printed.paths[0])[page].get_textpage().get_text_range()


def scan(page: pypdfium2.PdfPage) -> list[str]:
    image = page.render(scale=150 / 72).to_numpy()
    return [found.text for found in zxingcpp.read_barcodes(np.ascontiguousarray(image))]


def text_boxes(page: pypdfium2.PdfPage) -> list[tuple[float, float, float, float]]:
    text = page.get_textpage()
    return [text.get_rect(i) for i in range(text.count_rects())]


def overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return width > 0.5 and height > 0.5


# -- the till ----------------------------------------------------------------------------------------------------


def test_a_barcode_is_its_nominal_bars(tmp_path: Path) -> None:
    printed = print_lists(offers(2), deals(2), due(1), tmp_path, **FORTNIGHT)
    content = PdfReader(printed.paths[0]).pages[0].get_contents()
    assert content is not None
    paths = [line for line in content.get_data().decode("latin1").splitlines() if line.count(" re") > 1]
    assert len(paths) == 2
    for path, code in zip(paths, codes(2), strict=True):
        found = np.array([float(number) for number in re.findall(r"-?[\d.]+", path)]).reshape(-1, 4)
        tall, long, _ = bars_of(code, "ean")
        module = 72 / 75
        assert found[:, 2] == pytest.approx([(width - 0.059) * module for _, width in [*tall, *long]], abs=0.01)
        starts = np.array([at for at, _ in [*tall, *long]])
        assert found[:, 0] - found[:, 0].min() == pytest.approx((starts - starts.min()) * module, abs=0.011)


def test_every_barcode_of_a_full_page_is_read_back_at_150_dpi(tmp_path: Path) -> None:
    printed = print_lists(offers(10), deals(10), due(8), tmp_path, **FORTNIGHT)
    assert printed.pages == 1
    assert sorted(scan(pages(printed.paths[0])[0])) == sorted(codes(10))


@pytest.mark.parametrize(
    ("given", "read"),
    [("036000291452", "0036000291452"), ("96385074", "96385074"), ("4006381333931", "4006381333931")],
)
def test_each_kind_of_barcode_is_read_back(tmp_path: Path, given: str, read: str) -> None:
    printed = print_lists(offers(), deals(barcode=given), due(), tmp_path, **FORTNIGHT)
    assert [code.zfill(13) for code in scan(pages(printed.paths[0])[0])] == [read.zfill(13)]


def test_a_deal_without_a_barcode_says_what_to_do(tmp_path: Path) -> None:
    printed = print_lists(offers(), deals(barcode=[None]), due(), tmp_path, **FORTNIGHT)
    assert scan(pages(printed.paths[0])[0]) == []
    assert "show your card" in text_of(printed)


def gtin(i: int) -> str:
    stem = f"{9501101530000 + i:013d}"
    return stem + str(gtin_check_digit(stem))


LONG = {
    "one identifier": lambda i: f"(8020){i:012d}",
    "item and batch": lambda i: f"(01){gtin(i)}(10)AB-{i}",
    "item and serial": lambda i: f"(01){gtin(i)}(21){i:08d}",
    "item, weight, serial": lambda i: f"(01){gtin(i)}(3103)001250(21){i:06d}",
    "item, day, batch": lambda i: f"(01){gtin(i)}(17)251231(10)A{i:03d}",
    "item, day, batch, serial": lambda i: f"(01){gtin(i)}(17)251231(10)ABC{i:03d}(21)XY{i:02d}",
    "the longest": lambda i: f"(01){gtin(i)}(17)251231(10)ABCDEFGH{i:02d}(21)abcdef{i:02d}",
}


@pytest.mark.parametrize("long", LONG)
def test_long_gs1_codes_are_read_back_from_full_pages(tmp_path: Path, long: str) -> None:
    given = [LONG[long](i) for i in range(10)]
    running = deals(10, barcode=given, barcode_type="gs1", price=2.5, title="Any fresh milk of the region, all sizes")
    printed = print_lists(offers(10), running, due(8), tmp_path, **FORTNIGHT)
    assert sorted(code for page in pages(printed.paths[0]) for code in scan(page)) == sorted(given)
    for page in pages(printed.paths[0]):
        boxes = text_boxes(page)
        assert not [pair for i, one in enumerate(boxes) for other in boxes[:i] if overlap(*(pair := (one, other)))]
    html = write_html_lists(offers(10), running, due(8), tmp_path, **FORTNIGHT).read_text(encoding="utf-8")
    broad = long in ("item, weight, serial", "item, day, batch", "item, day, batch, serial", "the longest")
    assert html.count('<article class="broad">') == 10 * broad


@pytest.mark.parametrize("stem", ["CLUB-", "2018010199887", "A2B4C6D8E0F1G3H5J7"])
def test_code_128_is_read_back_from_a_full_page(tmp_path: Path, stem: str) -> None:
    given = [f"{stem}{i}" for i in range(10)]
    running = deals(10, barcode=given, barcode_type="code 128", price=2.5, title="Any fresh milk of the region")
    printed = print_lists(offers(10), running, due(8), tmp_path, **FORTNIGHT)
    assert sorted(found for page in pages(printed.paths[0]) for found in scan(page)) == given


def test_a_barcode_of_a_list_that_is_none_or_too_wide_is_refused(tmp_path: Path) -> None:
    for code, fault in (("汉", "cannot be a barcode"), ("x" * 60, "too wide")):
        with pytest.raises(ConfigError, match=f"of the list of the member whose card ends in 1609.*{fault}"):
            print_lists(offers(), deals(), due(), tmp_path, codes={"007700001609": code}, **FORTNIGHT)


def test_broad_cards_stand_among_others_in_the_order_of_slots(tmp_path: Path) -> None:
    broad = LONG["item, day, batch"](1)
    running = deals(3, barcode=[codes(1)[0], broad, codes(2)[1]], barcode_type=["ean", "gs1", "ean"], title=list("ABC"))
    printed = print_lists(offers(3), running, due(), tmp_path, **FORTNIGHT)
    assert scan(pages(printed.paths[0])[0]) == [codes(1)[0], broad, codes(2)[1]]


def test_a_barcode_too_wide_for_the_page_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="deal D0 is too wide for the page: 695 modules, of which 500 fit"):
        print_lists(offers(), deals(barcode="x" * 60, barcode_type="code 128"), due(), tmp_path, **FORTNIGHT)


def test_a_gs1_code_that_is_none_is_refused_with_its_deal(tmp_path: Path) -> None:
    running = deals(barcode="(01)09501101530003(17)2512", barcode_type="gs1")
    with pytest.raises(ConfigError, match=r"barcode of deal D0: .*cannot be a barcode"):
        print_lists(offers(), running, due(), tmp_path, **FORTNIGHT)


def test_a_list_has_a_barcode_of_its_own(tmp_path: Path) -> None:
    printed = print_lists(offers(), deals(), due(), tmp_path, codes={"007700001609": "L-2018-0042"}, **FORTNIGHT)
    assert sorted(scan(pages(printed.paths[0])[0])) == sorted([*codes(1), "L-2018-0042"])


# -- the page ----------------------------------------------------------------------------------------------------


def test_a_page_says_whose_it_is_without_the_whole_card_number(tmp_path: Path) -> None:
    names = {"007700001609": "Ada Lovelace"}
    text = text_of(print_lists(offers(), deals(), due(), tmp_path, names=names, title="Riverside", **FORTNIGHT))
    assert "Riverside" in text
    assert "1 to 14 January 2018" in text
    assert "For Ada Lovelace" in text
    assert "card ending in 1609" in text
    assert "00001609" not in text


def test_a_list_says_probably_only_of_what_is_bought_with_seven_in_ten(tmp_path: Path) -> None:
    known = due(2, day_10=1.0, day_50=6.2, day_90=17.4, p_purchase=[0.75, 0.65])
    text = text_of(print_lists(offers(), deals(), known, tmp_path, **FORTNIGHT))
    assert text.count("probably by 12 January") == 1
    assert text.count("perhaps in the next two weeks") == 1


def test_a_page_says_when_an_item_is_needed_as_exactly_as_it_is_known(tmp_path: Path) -> None:
    known = due(
        4,
        day_10=[3, 1, 4, np.nan],
        day_50=[5, 6.2, 30, np.nan],
        day_90=[9, 60, np.nan, np.nan],
        p_purchase=[0.9, 0.8, 0.3, 0.05],
    )
    text = text_of(print_lists(offers(), deals(), known, tmp_path, **FORTNIGHT))
    assert "likely 3–9 January" in text
    assert "probably by 14 January" in text
    assert text.count("perhaps in the next two weeks") == 2


def test_the_most_probable_items_are_printed(tmp_path: Path) -> None:
    items = due(12, p_purchase=np.linspace(0.1, 0.9, 12))
    text = text_of(print_lists(offers(), deals(), items, tmp_path, top_due=3, **FORTNIGHT))
    assert [f"Item {i}\r" in text for i in range(12)] == [False] * 9 + [True] * 3


def test_a_deal_says_its_value_and_its_days(tmp_path: Path) -> None:
    running = deals(2, starts=["2017-12-01", "2018-01-05"], ends=["2018-02-04", "2018-01-09"], title="1.00 off any tea")
    text = text_of(print_lists(offers(2), running, due(), tmp_path, currency="£", **FORTNIGHT))
    assert text.count("£1.00 off") == 2
    assert "Any tea" in text
    assert "Valid until 4 February 2018" in text
    assert "Valid 5–9 January 2018" in text


def test_each_kind_of_deal_is_worded_with_the_price_before_and_after(tmp_path: Path) -> None:
    kinds = ["amount", "percent", "points", "bundle", "early notice"]
    running = deals(5, kind=kinds, value=[0.5, 20, 30, 1, 0], price=[2.5, 5, None, None, 9], bundle_with="RED TEA")
    chosen = offers(5).assign(value=[0.75, 20, 30, 1, 0])
    text = " ".join(text_of(print_lists(chosen, running, due(), tmp_path, currency="£", **FORTNIGHT)).split())
    for words in ("£0.75 off", "was £2.50, now £1.75", "20% off", "was £5.00, now £4.00", "30 points", "£1.00 off",
                  "bought with Red tea", "For you first"):  # fmt: skip
        assert words in text


def test_tips_have_their_place(tmp_path: Path) -> None:
    tips = pd.DataFrame({"customer_id": ["007700001609"], "title": ["Soup of leeks"], "slot": [1]})
    assert "Soup of leeks" in text_of(print_lists(offers(), deals(), due(), tmp_path, tips=tips, **FORTNIGHT))


def test_the_web_page_says_the_same_and_asks_nobody(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    path = write_html_lists(
        offers(2), deals(2, price=2.5), due(category=hostile), tmp_path, title="Riverside", codes={"007700001609": "L-42"},
        names={"007700001609": "Ada"}, **FORTNIGHT,
    )  # fmt: skip
    page = path.read_text(encoding="utf-8")
    for words in ("Riverside", "For Ada", "card ending in 1609", "was 2.50, now 1.50", "L-42", *codes(2)):
        assert words in page
    assert hostile not in page
    assert "://" not in page
    assert page.count("<svg") == 3
    assert "default-src 'none'" in page.partition("</head>")[0]
    assert [(found.name, found.stat().st_mode & 0o777) for found in tmp_path.iterdir()] == [("lists.html", 0o640)]


def test_bars_on_the_web_page_are_those_in_print(tmp_path: Path) -> None:
    page = write_html_lists(offers(), deals(), due(), tmp_path, **FORTNIGHT).read_text(encoding="utf-8")
    runs = re.findall(r"M(\d+) 0h(\d+)v", page)
    row = np.full(115, 255, dtype=np.uint8)
    for at, width in runs:
        row[int(at) : int(at) + int(width)] = 0
    image = np.ascontiguousarray(np.tile(np.repeat(row, 3), (60, 1)))
    assert [found.text for found in zxingcpp.read_barcodes(image)] == codes(1)


def test_the_days_come_from_due_when_it_has_them(tmp_path: Path) -> None:
    dated = due(as_of=pd.Timestamp("2017-12-31"), horizon=7)
    assert "1 to 7 January 2018" in text_of(print_lists(offers(), deals(), dated, tmp_path))
    with pytest.raises(ConfigError, match="Pass them"):
        print_lists(offers(), deals(), due(), tmp_path)


def test_each_member_has_a_page_of_their_own_in_order(tmp_path: Path) -> None:
    members = ("00770003", "00770001", "00770002")
    printed = print_lists(offers(2, members), deals(2), due(member="00770002"), tmp_path, **FORTNIGHT)
    assert [f"ending in 000{i + 1}" in text_of(printed, i) for i in range(3)] == [True] * 3
    assert ["Item 0" in text_of(printed, i) for i in range(3)] == [False, True, False]
    assert str(printed).startswith("3 lists on 3 pages in lists.pdf")


def test_nothing_overlaps_or_leaves_the_page(tmp_path: Path) -> None:
    title = "Extraordinarily long titles with Donaudampfschifffahrtsgesellschaftskapitänsmützen " * 4
    long = due(9, category=[f"{i} {title}" for i in range(9)])
    names = {"007700001609": "Wolfeschlegelsteinhausenbergerdorff " * 3}
    printed = print_lists(
        offers(14), deals(14, title=title), long, tmp_path, names=names, title=title, top_due=9, **FORTNIGHT
    )
    assert printed.pages == 2
    assert sorted(code for page in pages(printed.paths[0]) for code in scan(page)) == codes(14)
    for page in pages(printed.paths[0]):
        boxes = text_boxes(page)
        assert all(left >= 0 and bottom >= 0 and right <= 595.3 and top <= 841.9 for left, bottom, right, top in boxes)
        assert not [pair for i, one in enumerate(boxes) for other in boxes[:i] if overlap(*(pair := (one, other)))]


# -- hostile and foreign text ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "title", ["<b>Milk</b>", "**Milk** {nb}", "=1+1 (Milk) \\", "Milk) Tj ET (", "%PDF-1.4 endobj"]
)
def test_text_that_means_something_elsewhere_is_printed_as_it_is(tmp_path: Path, title: str) -> None:
    printed = print_lists(offers(), deals(title=title), due(category=title), tmp_path, **FORTNIGHT)
    assert text_of(printed).count(title) == 2
    assert len(pages(printed.paths[0])) == 1


def test_characters_that_control_a_device_or_turn_the_writing_are_left_out(tmp_path: Path) -> None:
    title = "Any\nfresh\tmi\u202elk\x07\u200b"
    assert "Any fresh milk" in text_of(print_lists(offers(), deals(title=title), due(), tmp_path, **FORTNIGHT))


def test_accents_are_printed_however_they_are_composed(tmp_path: Path) -> None:
    assert "Crème brûlée" in text_of(
        print_lists(offers(), deals(title="Cre\u0300me bru\u0302le\u0301e"), due(), tmp_path, **FORTNIGHT)
    )


@pytest.mark.parametrize(
    ("where", "named"),
    [
        ("title", "the title"),
        ("deal", "deal D0 '우'"),
        ("item", "the item '우'"),
        ("name", "the name of the member whose card ends in 1609"),
    ],
)
def test_a_character_that_the_font_lacks_is_named_and_nothing_is_printed(
    tmp_path: Path, where: str, named: str
) -> None:
    with pytest.raises(ConfigError, match=rf"DejaVuSans.ttf lacks '우' \(U\+C6B0\) in {named}.*font="):
        print_lists(
            offers(),
            deals(title="우" if where == "deal" else "milk"),
            due(category="우" if where == "item" else "milk"),
            tmp_path,
            title="우" if where == "title" else "shop",
            names={"007700001609": "우"} if where == "name" else None,
            **FORTNIGHT,
        )
    assert list(tmp_path.iterdir()) == []


def test_another_font_can_be_given(tmp_path: Path) -> None:
    serif = Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSerif.ttf"
    assert "Any fresh milk" in text_of(print_lists(offers(), deals(), due(), tmp_path, font=serif, **FORTNIGHT))


@pytest.fixture(scope="session")
def eastern() -> Path:
    """A font with Chinese, Japanese and Korean, from the package mplfonts. Where CI is set it must be there."""
    try:
        files = metadata.files("mplfonts") or []
    except metadata.PackageNotFoundError:
        reason = "the package mplfonts, which carries a font for these languages, is not installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return next(Path(str(file.locate())) for file in files if file.name == "NotoSansCJKsc-Regular.otf")


EASTERN = {
    "Korean": ("김민준", "신선한 우유"),
    "Chinese": ("王小明", "鲜牛奶"),
    "Japanese": ("佐藤さくら", "新鮮なミルク"),
}


@pytest.mark.parametrize("language", EASTERN)
def test_eastern_names_are_on_paper_and_on_the_page(tmp_path: Path, eastern: Path, language: str) -> None:
    name, item = EASTERN[language]
    terms = {"names": {"007700001609": name}, "title": item, "font": eastern, **FORTNIGHT}
    printed = print_lists(offers(), deals(title=item), due(category=item), tmp_path, **terms)
    text = text_of(printed)
    assert f"For {name}" in text
    assert text.count(item) == 3
    assert scan(pages(printed.paths[0])[0]) == codes(1)
    page = write_html_lists(offers(), deals(title=item), due(category=item), tmp_path, **terms).read_text(
        encoding="utf-8"
    )
    assert page.count(item) == 4  # the window's title too
    data = base64.b64decode(re.search(r"url\(data:font/otf;base64,([^)]+)\)", page)[1])
    assert {*map(ord, name + item)} <= set(TTFont(io.BytesIO(data)).getBestCmap())
    assert len(data) < 100_000


def test_what_an_eastern_font_lacks_is_named_with_its_item(tmp_path: Path, eastern: Path) -> None:
    for write in (print_lists, write_html_lists):
        with pytest.raises(ConfigError, match=r"lacks 'ቦ' \(U\+1266\) in the item 'ዳቦ', 'ዳ' \(U\+12F3\) in"):
            write(offers(), deals(), due(category="ዳቦ"), tmp_path, font=eastern, **FORTNIGHT)
    assert list(tmp_path.iterdir()) == []


def test_writing_without_spaces_is_broken_between_characters(tmp_path: Path, eastern: Path) -> None:
    title = "有机栽培的新鲜蔬菜和水果，每日清晨从本地农场直接送到店里"
    text = text_of(print_lists(offers(), deals(title=title), due(), tmp_path, font=eastern, **FORTNIGHT))
    assert title in text.replace("\r\n", "")
    assert title not in text
    assert "\n，" not in text


def test_a_font_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.ttf").write_text("no font")
    for font in (tmp_path / "bad.ttf", tmp_path / "absent.ttf"):
        for write in (print_lists, write_html_lists):
            with pytest.raises(ConfigError, match="cannot be read"):
                write(offers(), deals(), due(), tmp_path, font=font, **FORTNIGHT)


# -- the file ----------------------------------------------------------------------------------------------------


def test_the_same_input_gives_the_same_bytes_in_any_order_of_rows(tmp_path: Path) -> None:
    members = ("00770003", "00770001")
    first = print_lists(offers(3, members), deals(3), due(5), tmp_path / "a", **FORTNIGHT)
    other = print_lists(offers(3, members)[::-1], deals(3), due(5)[::-1], tmp_path / "b", **FORTNIGHT)
    assert first.paths[0].read_bytes() == other.paths[0].read_bytes()


def test_many_lists_are_several_files_that_say_the_same(tmp_path: Path) -> None:
    members = ("1003", "1001", "1002")
    needs = pd.concat([due(3, member) for member in members])
    tips = pd.DataFrame({"customer_id": members, "title": [f"Soup of {m}" for m in members], "slot": 1})
    whole = print_lists(offers(2, members), deals(2), needs, tmp_path, tips=tips, **FORTNIGHT)
    parts = print_lists(offers(2, members), deals(2), needs, tmp_path, tips=tips, per_file=2, **FORTNIGHT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lists_0001.pdf", "lists_0002.pdf"]
    assert (parts.members, parts.pages, parts.beside_needs) == (whole.members, whole.pages, whole.beside_needs)
    said = [page.get_textpage().get_text_range() for path in parts.paths for page in pages(path)]
    assert ["Soup of 1001" in said[0], "Soup of 1002" in said[1], "Soup of 1003" in said[2]] == [True] * 3
    assert str(parts).startswith("3 lists on 3 pages in lists_0001.pdf … lists_0002.pdf")
    again = print_lists(offers(2, members), deals(2), needs, tmp_path, tips=tips, **FORTNIGHT)
    assert [path.name for path in tmp_path.iterdir()] == ["lists.pdf"]
    assert [page.get_textpage().get_text_range() for page in pages(again.paths[0])] == said


@pytest.mark.parametrize("n", [3, 0])
def test_tables_in_files_give_the_same_bytes(tmp_path: Path, n: int) -> None:
    members = ("1001", "1002", "1003")[:n]
    needs = pd.concat([due(3, member) for member in ("1000", "1001", "1002", "1003")])
    tips = pd.DataFrame({"customer_id": members, "title": [f"Soup of {m}" for m in members], "slot": 1})
    usual = needs[["customer_id"]].assign(item="Item 0", name="Oat drink", price=1.5, current=True, product_id="P")
    tables = {"offers": offers(2, members), "due": needs, "tips": tips, "usual": usual}
    files = {name: tmp_path / f"{name}.parquet" for name in tables}
    for name, table in tables.items():
        table.to_parquet(files[name], index=False)
    printed = [
        print_lists(
            given["offers"], deals(2), given["due"], tmp_path / name, tips=given["tips"], usual=given["usual"],
            per_file=2, **FORTNIGHT,
        )
        for name, given in (("here", tables), ("files", files))
    ]  # fmt: skip
    one, other = ([path.read_bytes() for path in these.paths] for these in printed)
    assert len(one) == max(1, n - 1)
    assert one == other


def test_no_offers_is_a_file_that_says_so(tmp_path: Path) -> None:
    printed = print_lists(offers(0), deals(), due(0), tmp_path, **FORTNIGHT)
    assert (printed.members, printed.pages) == (0, 0)
    assert "No member has an offer from 1 to 14 January 2018" in text_of(printed)


def test_a_failed_write_leaves_the_earlier_lists_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = print_lists(offers(), deals(), due(), tmp_path, **FORTNIGHT).paths[0].read_bytes()

    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(PublishError, match="no space left"):
        print_lists(offers(2), deals(2), due(), tmp_path, **FORTNIGHT)
    assert [path.name for path in tmp_path.iterdir()] == ["lists.pdf"]
    assert (tmp_path / "lists.pdf").read_bytes() == before


def test_offers_of_deals_that_are_absent_or_over_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="'D1'"):
        print_lists(offers(2), deals(1), due(), tmp_path, **FORTNIGHT)
    with pytest.raises(ContractError, match="not valid from 1 to 14 February 2018"):
        print_lists(offers(), deals(), due(), tmp_path, as_of="2018-01-31", horizon=14)


def test_missing_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"Columns not found: \['position'\].*offers has"):
        print_lists(offers().drop(columns="position"), deals(), due(), tmp_path, **FORTNIGHT)
    with pytest.raises(ContractError, match=r"Columns not found: \['p_purchase'\]"):
        print_lists(offers(), deals(), due().drop(columns="p_purchase"), tmp_path, **FORTNIGHT)


def test_files_for_a_mailing_system_hold_no_formulas(tmp_path: Path) -> None:
    table = offers(5).assign(item=["=1+1", "@SUM(A1)", "-2", "＝1", "milk"], expected_gain=[-0.5, 1, 2, 3, 4])
    parquet, mailing = write_offers(table, tmp_path)
    pd.testing.assert_frame_equal(pd.read_parquet(parquet), table)
    found = pd.read_csv(mailing, dtype=str)
    assert found["item"].tolist() == ["'=1+1", "'@SUM(A1)", "'-2", "'＝1", "milk"]
    assert found["expected_gain"].astype(float).tolist() == table["expected_gain"].tolist()
    assert found["customer_id"].tolist() == table["customer_id"].tolist()
