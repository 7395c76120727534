"""Why a row is rejected: each rule with its reason, its condition in portable SQL, and what to do about it.

The reason is the key: it is what the report prints, what the tests are named after, and it begins with the column whose
value is shown. In a condition a column's name is its typed value, ``raw_<column>`` the text as delivered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from crmkit._days import as_day, day_number
from crmkit.engine.texts import literal
from crmkit.exceptions import ConfigError

__all__ = ["Rule", "kind_rules", "own_rules"]

REJECTED, LEFT_OUT = "rejected", "left out"
_LARGEST = "1000000000000"


@dataclass(frozen=True)
class Rule:
    """One reason for which rows are rejected.

    Parameters
    ----------
    reason : str
        Begins with the name of the column whose value is shown.
    condition : str
        Portable SQL that holds for an invalid row; empty where such rows are found in another way.
    advice : str
        What to do about it; printed by the load report, by ``crmkit check`` and ``crmkit run``, and by exceptions.
    outcome : str
        What becomes of such rows: they are ``"rejected"``, or ``"left out"`` because somebody said so.

    Examples
    --------
    >>> Rule("quantity is above 10,000", "quantity > 10000", advice="State the unit of quantity.").column
    'quantity'
    """

    reason: str
    condition: str = ""
    advice: str = "Correct these rows at their source."
    outcome: str = REJECTED

    @property
    def column(self) -> str:
        """The column whose value is shown."""
        return self.reason.partition(" ")[0]


def own_rules(rules: Mapping[str, str]) -> tuple[Rule, ...]:
    """Rules that a user adds, ``{reason: condition}``.

    >>> own_rules({"quantity is above 10,000": "quantity > 10000"})[0].condition
    'quantity > 10000'
    """
    empty = [reason for reason, condition in rules.items() if not (reason.strip() and condition.strip())]
    if empty:
        raise ConfigError(
            f"rules: {empty} lack a reason or a condition. Write them as in "
            '{"quantity is above 10,000": "quantity > 10000"}.'
        )
    return tuple(Rule(reason, condition, _OWN) for reason, condition in rules.items())


_OWN = "A rule of your own: change it under rules, or correct these rows at their source."


# -- Rules of each kind of column ------------------------------------------------------------------------------------


def missing(name: str) -> Rule:
    """A required column without a value."""
    return Rule(f"{name} is missing", f"raw_{name} is null", f"Check that the right column is named for {name}.")


def kind_rules(name: str, kind: str) -> tuple[Rule, ...]:
    """What a column of this kind must not hold, in the order in which it is looked for."""
    return _OF_KIND[kind](name)


_NOTHING = "''"


def joined_texts(ids: Iterable[str], texts: Iterable[str]) -> dict[str, str]:
    """Columns to be computed first: all ids of a row as one text, and all texts."""
    named = {"all_ids": ids, "all_texts": texts}
    return {
        name: f"concat_ws('', {', '.join(f'raw_{one}' for one in every) or _NOTHING})" for name, every in named.items()
    }


def screens(matches: Callable[[str, str], str]) -> dict[str, str]:
    """Columns to be computed next: whether a row may have one of the faults that are costly to look for."""
    return {"has_nul": "contains(all_texts, chr(0))", "has_odd_id": matches("all_ids", "[.+\n\r]")}


def _of_text(name: str) -> tuple[Rule, ...]:
    return (
        Rule(
            f"{name} holds a NUL character",
            f"has_nul and contains(raw_{name}, chr(0))",
            "Export the file again: NUL characters come from a damaged or binary file.",
        ),
    )


def _of_id(name: str) -> tuple[Rule, ...]:
    raw = f"raw_{name}"
    has_power = f"lower({raw}) like '%e+%' or lower({raw}) like '%.%e%'"
    return (
        *_of_text(name),
        Rule(
            f"{name} holds a line break",
            f"has_odd_id and (contains({raw}, chr(10)) or contains({raw}, chr(13)))",
            "Export the file with quotes around its fields.",
        ),
        Rule(
            f"{name} lost its digits (1.2E+12)",
            f"has_odd_id and ({has_power}) and try_cast({raw} as double) is not null",
            "Export the column again as text: a spreadsheet has rounded it.",
        ),
    )


def _of_number(name: str) -> tuple[Rule, ...]:
    lost = f"raw_{name} is not null and {name} is null"
    size = f"abs(try_cast(raw_{name} as double))"
    return (
        Rule(
            f"{name} is beyond 1,000,000,000,000",
            f"abs({name}) > {_LARGEST} or ({lost} and {size} between 1e12 and 1e308)",
            "Check the unit of the column, and whether an id stands in it.",
        ),
        Rule(
            f"{name} is not a number", lost, "Deliver numbers as in 1234.50, or state decimal, thousands and currency."
        ),
    )


def _of_time(name: str) -> tuple[Rule, ...]:
    return (
        Rule(
            f"{name} is not a time",
            f"raw_{name} is not null and {name} is null",
            "Deliver times as in 2026-03-01 10:00, or state time_format.",
        ),
        Rule(
            f"{name} is in a year of another calendar",
            f"({name} >= timestamp '2400-01-01 00:00:00' and {name} < timestamp '2700-01-01 00:00:00') or "
            f"({name} >= timestamp '1300-01-01 00:00:00' and {name} < timestamp '1500-01-01 00:00:00')",
            "2568 is 2025 of Thailand's calendar, 1404 is 2025 or 2026 of Iran's: state calendar='thai' or calendar='jalali'. Years of the "
            "Islamic calendar (1447 is 2025 or 2026) are not read: deliver those of the common one.",
        ),
        Rule(
            f"{name} is a placeholder date",
            f"{name} < timestamp '1980-01-01 00:00:00' or {name} >= timestamp '9999-01-01 00:00:00'",
            "Deliver the true day, or leave the rows out.",
        ),
    )


def _of_date(name: str) -> tuple[Rule, ...]:
    return (
        Rule(
            f"{name} is not a date",
            f"raw_{name} is not null and {name} is null",
            "Deliver days as in 2026-03-01, or state date_format.",
        ),
    )


_OF_KIND = {
    "id": _of_id,
    "text": _of_text,
    "money": _of_number,
    "number": _of_number,
    "time": _of_time,
    "date": _of_date,
}


# -- Rules of a delivery ---------------------------------------------------------------------------------------------


def another_currency(name: str, condition: str) -> Rule:
    """An amount with the sign of a currency that was not stated."""
    return Rule(f"{name} is in another currency", condition, "Deliver one currency, or name the column that states it.")


def refunded_after(until: str | date, column: str) -> Rule:
    """Money given back on a day that has not been observed yet."""
    last = as_day(until)
    return Rule(
        f"{column!r} is after {last}",
        f"refunded <> 0 and refunded_on > {day_number(last)}",
        "Set until to the last day of the extract.",
    )


def refund_rules(column: str) -> tuple[Rule, ...]:
    """What the day of money given back must not be."""
    return (
        Rule(
            f"{column!r} is not a time",
            "refunded <> 0 and raw_refunded_at is not null and refunded_at is null",
            "Deliver times as in 2026-03-01 10:00, or as those of the sale.",
        ),
        Rule(f"{column!r} is before the sale", "refunded <> 0 and refunded_on < day"),
    )


def dated_after(until: str | date) -> Rule:
    """A purchase dated after the last day of the delivery."""
    last = as_day(until)
    return Rule(
        f"purchased_at is after {last}",
        f"day > {day_number(last)}",
        "Set until to the last day of the delivery; --as-of then gives results as of an earlier day.",
    )


_IN_SALES = "Such rows count in sales and in no member's history."
_MISSING = (
    "nan",
    "null",
    "none",
    "n/a",
    "na",
    "#n/a",
    "#null!",
    "<na>",
    "nat",
    "nil",
    "undefined",
    "(null)",
    "-",
    "--",
    "?",
)
_NOBODY = (
    "unknown", "guest", "walk-in", "walk in", "walkin", "walk-in customer", "walk in customer", "anonymous", "cash", "cash customer", "cash sale",
    "no customer", "not set", "(not set)", "not provided", "unassigned", "default customer", "n.a.", "tbd", "consumidor final", "cliente final",
    "cliente generico", "cliente genérico", "clientes varios", "cliente contado", "público en general", "publico en general", "público general",
    "publico general", "cliente não identificado", "client comptoir", "client de passage", "client divers", "inconnu",
    "anonyme", "laufkundschaft", "laufkunde", "barverkauf", "barkunde", "unbekannt", "anonym", "gast", "cliente occasionale", "sconosciuto", "desconocido", "desconhecido", "onbekend", "nieznany", "розничный покупатель",
    "физическое лицо", "гость", "비회원", "비회원고객", "일반고객", "미등록", "非会員", "一般客", "ゲスト", "不明", "散客", "游客", "未登录", "非会员", "顾客", "會員外",
)  # fmt: skip
_TOTALS = (
    "total", "grand total", "subtotal", "sub total", "totals", "summe", "gesamt", "gesamtsumme", "zwischensumme", "total general",
    "total général", "somme", "suma", "totale", "totaal", "razem", "итого", "всего", "합계", "총계", "소계", "合計", "総計", "小計", "合计", "总计", "小计",
)  # fmt: skip
_ANYBODY = ("999999990", "222222222222", "66666666-6", "XAXX010101000", "XEXX010101000")
"""Portugal, Colombia, Chile, and Mexico's two; those of Ecuador are nines."""


def _is_word(words: Iterable[str]) -> str:
    """Whether an id is one of some words. Most ids have a digit in the second place, and no word has: looking there is quick."""
    listed = ", ".join(map(literal, words))
    is_none = "substring(raw_customer_id, 2, 1) between '0' and '9'"
    return f"case when {is_none} then false else lower(raw_customer_id) in ({listed}) end"


NO_CUSTOMER = Rule(
    "customer_id is missing",
    "raw_customer_id is null",
    f"{_IN_SALES} Check that the right column is named for customer_id.",
)
NON_MEMBERS = (
    NO_CUSTOMER,
    Rule(
        "customer_id is a word for missing",
        _is_word(_MISSING),
        f"{_IN_SALES} Deliver such rows with an empty customer_id.",
    ),
    Rule(
        "customer_id is a number for anybody",
        f"raw_customer_id in ({', '.join(map(literal, _ANYBODY))})",
        f"{_IN_SALES} It is the tax number that tills print where the buyer gives none.",
    ),
    Rule(
        "customer_id is a word for anybody",
        _is_word(_NOBODY),
        f"{_IN_SALES} If it is a member's id, deliver it in another way.",
    ),
    Rule(
        "customer_id is all nines",
        "raw_customer_id like '99999999%' and replace(raw_customer_id, '9', '') = ''",
        _IN_SALES,
    ),
)
A_TOTAL = Rule(
    "customer_id is a word for a total",
    f"{_is_word(_TOTALS)} and raw_order_id is null and raw_product_id is null",
    "Take lines of totals out of the delivery: their money is that of other lines.",
)
LISTED = "customer_id is a non-member card (till, staff or test)"


FORGOTTEN = Rule(
    "customer_id is of somebody who was forgotten",
    advice=f"{_IN_SALES} Take them out of the delivery too: the tills, or whoever exports them, still have them.",
)


NON_MEMBER_REASONS = (*(rule.reason for rule in NON_MEMBERS), LISTED, FORGOTTEN.reason)
"""Reasons for which a row is rejected for members, and kept for sales."""


def listed_cards(ids: Iterable[str]) -> tuple[Rule, ...]:
    """Cards that a user says belong to no member."""
    listed = ", ".join(map(literal, ids))
    condition = f"raw_customer_id in ({listed})"
    return (Rule(LISTED, condition, "Listed under non_members; such rows count in sales only."),) if listed else ()


# -- Reasons that no condition gives ---------------------------------------------------------------------------------

TORN = {
    "UNQUOTED VALUE": Rule(
        "a quote is not closed where its field ends",
        advice="Export the file with quotes doubled inside quoted fields.",
    ),
    "LINE SIZE OVER MAXIMUM": Rule(
        "the row is longer than 2,000,000 bytes", advice="Look for a quote that is opened in it and not closed."
    ),
    "JSON": Rule(
        "the line is not a JSON object, or has a name twice", advice="Write one object per line, each name once."
    ),
}
FIELDS = Rule(
    "fields do not match the header", advice="Look for a delimiter inside an unquoted field, or state delimiter."
)
REPEATED_LINE = Rule(
    "line_id repeats with other content",
    advice="Number the lines of each order. A corrected day is loaded with Store.correct.",
)
NO_RATE = Rule(
    "currency has no rate on this day",
    advice="Add a rate of its currency for this day or before it, or leave such rows out.",
)
WITHOUT_CONDITION = (*TORN.values(), FIELDS, REPEATED_LINE, NO_RATE, FORGOTTEN)
