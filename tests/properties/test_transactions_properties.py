"""Whatever the till delivers, rows and cents add up; and summaries keep to their symmetries."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmkit import Rejections, Transactions, btyd_summary, holdout_summary, purchase_gaps, read_extract, rfm_table

HEADER = ["customer_id", "purchased_at", "amount", "order_id", "line_id", "category"]
UNTIL = "2026-12-31"

cents = st.integers(-99_999, 99_999).map(lambda n: f"{n / 100:.2f}")
cards = st.sampled_from(["0077", "77", "K1", "12", "", "  "])
times = st.sampled_from(["2026-01-01 09:00", "2026-06-30", "soon", "12", "2027-01-01", "1900-01-01", ""])
amounts = st.one_of(cents, cents, cents, st.sampled_from(["", "oops", "1e400", "nan", "1_000", "1,50"]))
texts = st.text(st.sampled_from(["A", "é", '"', "\n", ",", " ", "\u2028", "漢"]), max_size=6)
rows = st.tuples(cards, times, amounts, st.sampled_from(["r1", "r2", "r3", ""]), st.sampled_from(["1", "2", ""]), texts)
bodies = st.lists(st.one_of(rows.map(list), rows.map(lambda row: list(row[:3])), st.just([])), max_size=12)
ends = st.sampled_from(["\n", "\r\n"])


def as_csv(body: list[list[str]], end: str, last: bool) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator=end).writerows([HEADER, *body])
    return (out.getvalue() if last else out.getvalue().removesuffix(end)).encode()


def is_sound(row: list[str]) -> bool:
    return len(row) == 6 and bool(row[0].strip()) and row[1].startswith("2026-") and amount_of(row) is not None


def amount_of(row: list[str]) -> Decimal | None:
    plain = len(row) == 6 and row[2].lstrip("-").replace(".", "", 1).isdigit()
    return Decimal(row[2]) if plain else None


def witness(contents: list[bytes]) -> tuple[list[int], list[Decimal]]:
    """Rows and money read, used, rejected, duplicate: by the csv module, Decimal and a dictionary."""
    n, money, seen, first, receipts = [0] * 4, [Decimal(0)] * 4, set(), {}, []
    for content in contents:
        again, _ = content in seen, seen.add(content)
        body = [row for row in csv.reader(io.StringIO(content.decode(), newline="")) if row][1:]
        own = receipts_of([] if again else body)
        for row in body:
            place = 3 if again or any(in_receipt(row, own, other) for other in receipts) else place_of(row, first)
            for at in (0, place):
                n[at] += 1
                money[at] += amount_of(row) or 0
        receipts.append(own)
    return n, money


def receipts_of(body: list[list[str]]) -> dict[tuple[str, ...], list[tuple[object, ...]]]:
    """Lines of each receipt of which no line is numbered: by its number, card and time."""
    found: dict[tuple[str, ...], list[tuple[object, ...]]] = {}
    for row in body:
        if is_sound(row) and row[3] and not row[4]:
            key = (row[3], row[0].strip(), row[1][:10])
            found[key] = sorted([*found.get(key, []), (Decimal(row[2]), row[5].strip(), row[1])])
    return found


def in_receipt(row: list[str], own: dict, other: dict) -> bool:
    """Whether a line is of a receipt that stands with the same lines in another file."""
    key = (row[3], row[0].strip(), row[1][:10]) if is_sound(row) and row[3] and not row[4] else None
    return key in own and own[key] == other.get(key)


def place_of(row: list[str], first: dict[tuple[str, str], tuple]) -> int:
    if not is_sound(row):
        return 2
    key, told = (row[3], row[4]), (row[0].strip(), row[1], Decimal(row[2]))
    if not all(key):
        return 1
    if key not in first:
        first[key] = told
        return 1
    return 3 if first[key] == told else 2


def read(contents: list[bytes]) -> tuple[Transactions, Rejections]:
    with tempfile.TemporaryDirectory() as folder:
        for number, content in enumerate(contents):
            (Path(folder) / f"{number:02}.csv").write_bytes(content)
        knowingly = ["amount", "purchased_at"]
        return Transactions.split_extract(read_extract(f"{folder}/*.csv"), until=UNTIL, reject_unreadable=knowingly)


def lines_where_records_start(content: bytes) -> list[int]:
    """Physical line of each record after the header, by counting line feeds outside of quotes."""
    starts, line, quoted, fresh = [], 1, False, True
    for char in content.decode().replace("\r\n", "\n"):
        if fresh and char != "\n":
            starts.append(line)
        fresh = char == "\n" and not quoted
        quoted ^= char == '"'
        line += char == "\n"
    return starts[1:]


@pytest.mark.filterwarnings("ignore:.*has column names and no row:crmkit.exceptions.CrmkitWarning")
@given(st.lists(st.builds(as_csv, bodies, ends, st.booleans()), min_size=1, max_size=3), st.booleans())
def test_rows_and_cents_add_up_for_any_delivery(contents: list[bytes], resend: bool) -> None:
    contents = contents + contents[:1] * resend
    log, found = read(contents)
    n, money = witness(contents)
    assert [found.rows_read, found.rows_used, found.rows_rejected, found.rows_duplicate] == n
    assert [found.amount_read, found.amount_used, found.amount_rejected, found.amount_duplicate] == money
    assert n[0] == sum(n[1:])
    assert len(found.rows) == n[2] == found.counts["rows"].sum()
    stored = pd.read_parquet(log.lines).dropna(subset="customer_id")
    assert (len(stored), sum(stored["amount"], Decimal(0))) == (n[1], money[1])
    for name, table in found.rows.groupby("file"):
        starts = lines_where_records_start(contents[int(str(name)[:2])])
        assert table["line"].tolist() == [starts[record - 1] for record in table["record"]]


# -- symmetries of the summaries -------------------------------------------------------------------------------------

sales = st.lists(
    st.tuples(
        st.sampled_from("abc"), st.integers(0, 300), st.integers(-500, 5_000), st.sampled_from(["Milk", "Bread"])
    ),
    min_size=1,
    max_size=25,
)
CLOSE = 20_000
MONEY = {"first_value", "total_spend", "monetary_value", "holdout_spend"}


def log_of(lines: list[tuple[str, int, int, str]], times: int = 1, shift: int = 0) -> Transactions:
    frame = pd.DataFrame(
        {
            "customer_id": [line[0] for line in lines],
            "purchased_at": [date.fromordinal(719163 + CLOSE - 300 + line[1] + shift).isoformat() for line in lines],
            "amount": [Decimal(line[2] * times) / 100 for line in lines],
            "category": [line[3] for line in lines],
        }
    )
    return Transactions.from_extract(frame, until=date.fromordinal(719163 + CLOSE + shift))


def summaries(log: Transactions, shift: int = 0) -> list[pd.DataFrame]:
    split = date.fromordinal(719163 + CLOSE - 150 + shift)
    return [rfm_table(log), btyd_summary(log), holdout_summary(log, split), purchase_gaps(log, by="category")]


def without(table: pd.DataFrame, change: Callable[[pd.Series], pd.Series], columns: set[str]) -> pd.DataFrame:
    return table.assign(**{name: change(table[name]) for name in table.columns if name in columns})


@given(sales, st.integers(2, 2_000))
def test_another_currency_changes_money_only(lines: list, times: int) -> None:
    for plain, other in zip(summaries(log_of(lines)), summaries(log_of(lines, times=times)), strict=True):
        scaled = without(plain, lambda money: money * times, MONEY)
        pd.testing.assert_frame_equal(scaled, other, rtol=1e-12, atol=0)


@given(sales, st.integers(-3_000, 3_000))
def test_other_dates_change_dates_only(lines: list, shift: int) -> None:
    for plain, other in zip(summaries(log_of(lines)), summaries(log_of(lines, shift=shift), shift), strict=True):
        moved = without(plain, lambda day: day + pd.Timedelta(days=shift), {"first_day", "last_day"})
        pd.testing.assert_frame_equal(moved, other, check_exact=True)


@given(sales, st.integers(0, 299))
def test_two_windows_make_the_whole(lines: list, day: int) -> None:
    log, split = log_of(lines), date.fromordinal(719163 + CLOSE - 300 + day)
    known = btyd_summary(log, as_of=split).set_index("customer_id")["frequency"]
    later = holdout_summary(log, split).set_index("customer_id")["holdout_purchases"]
    whole = btyd_summary(log).set_index("customer_id")["frequency"]
    assert (known + later).to_dict() == whole.reindex(known.index).to_dict()


@given(sales, st.randoms(use_true_random=False))
def test_any_order_of_rows_gives_the_same_bits(lines: list, random: object) -> None:
    shuffled = list(lines)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for one, other in zip(summaries(log_of(lines)), summaries(log_of(shuffled)), strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_the_witness_sees_what_it_should() -> None:
    assert lines_where_records_start(b'h\n"a\nb"\n\nc\n') == [2, 5]
    body = [["7", "2026-01-01", "1.50", "r1", "1", "A"], ["7", "soon", "2.00", "", "", ""], ["short"]]
    content = as_csv(body, "\n", True)
    assert witness([content, content])[0] == [6, 1, 2, 3]
    assert witness([content, content])[1] == [Decimal(7), Decimal("1.5"), Decimal(2), Decimal("3.5")]
