"""Names of months in usual languages, as SQL: the same text with the English name."""

from __future__ import annotations

from crmkit.engine.base import SqlEngine
from crmkit.engine.texts import literal

__all__ = ["english_months"]

_MONTHS = (
    ("january", "januar jänner janvier enero gennaio janeiro januari stycznia styczeń января январь ocak leden ledna tammikuu január",
     "jan jän janv ene gen sty янв oca"),
    ("february", "februar feber février fevrier febrero febbraio fevereiro februari lutego luty февраля февраль şubat subat únor února helmikuu február",
     "feb févr fevr fév fev lut фев şub sub"),
    ("march", "märz maerz mars marzo março marco maart marts marca marzec марта март mart březen března maaliskuu március",
     "mar mär mrz mrt mars мар"),
    ("april", "avril abril aprile kwietnia kwiecień апреля апрель nisan duben dubna huhtikuu április", "apr avr abr kwi апр nis"),
    ("may", "mai mayo maggio maio mei maj maja мая май mayıs mayis květen května toukokuu május", "may mai mag mei maj май мая"),
    ("june", "juni juin junio giugno junho czerwca czerwiec июня июнь haziran červen června kesäkuu június",
     "jun juin giu cze июн haz"),
    ("july", "juli juillet julio luglio julho lipca lipiec июля июль temmuz červenec července heinäkuu július",
     "jul juil lug lip июл tem"),
    ("august", "août aout agosto augustus augusti sierpnia sierpień августа август ağustos agustos srpen srpna elokuu augusztus",
     "aug août aout ago sie авг ağu agu"),
    ("september", "septembre septiembre setiembre settembre setembro września wrzesień сентября сентябрь eylül eylul září syyskuu szeptember",
     "sep sept set wrz сен сент eyl"),
    ("october", "oktober octobre octubre ottobre outubro października październik октября октябрь ekim říjen října lokakuu október",
     "oct okt ott out paź paz окт eki"),
    ("november", "novembre noviembre novembro listopada listopad ноября ноябрь kasım kasim listopadu marraskuu", "nov lis ноя нояб kas"),
    ("december", "dezember décembre decembre diciembre dicembre dezembro grudnia grudzień декабря декабрь aralık aralik prosinec prosince joulukuu",
     "dec dez déc dic gru дек ara"),
)  # fmt: skip


def english_months(engine: SqlEngine, text: str, time_format: str) -> str:
    """Text whose month has its English name, full where the format reads full names; text with an English name stays."""
    short = "%b" in time_format
    known = [
        (name, name[:3] if short else name, (others[1] if short else others[0]).split()) for name, *others in _MONTHS
    ]
    english = "|".join(wanted for _, wanted, _ in known)
    is_english = engine.matches(text, rf"(?i)(^|[^\p{{L}}])({english})($|[^\p{{L}}.])")
    name = f"lower(regexp_extract({text}, '(\\p{{L}}{{3,}})', 1))"
    cases = " ".join(
        f"when {name} in ({', '.join(map(literal, (wanted, *words)))}) then {literal(wanted)}"
        for _, wanted, words in known
    )
    named = f"case {cases} end"
    replaced = f"regexp_replace({text}, '\\p{{L}}{{3,}}[.]?', {named})"
    return f"case when {is_english} then {text} else coalesce({replaced}, {text}) end"
