"""A report as one HTML page that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crmkit import __version__
from crmkit.reports.block import Block, Table, anchor_of
from crmkit.reports.figures import svg
from crmkit.reports.formats import in_html, kind_of, label
from crmkit.reports.languages import Words, words_of

__all__ = ["page"]


_BESIDE = 6
"""A wider table stands below its figure, not beside it; a column of text counts for two."""
_MOST = 60
"""So many rows of a table stand on the page; the workbook has them all."""


@dataclass(frozen=True)
class _Cells:
    """A table as text: column heads and cells, each with whether it reads from the left."""

    caption: str
    head: list[tuple[str, bool]]
    rows: list[list[tuple[str, bool]]]
    cut: str


def page(
    title: str,
    subtitle: str,
    cards: Sequence[tuple[str, str]],
    blocks: Sequence[Block],
    first: Sequence[str] = (),
    lead: Sequence[Block] = (),
    trust: Sequence[Block] | None = None,
    language: str = "en",
) -> str:
    """The page; equal content gives equal text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("crmkit.reports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    say = environment.filters["say"] = words_of(language)
    anchors = _anchors([*lead, *blocks])
    shown = [_block(block, anchor, anchors, say) for block, anchor in zip([*lead, *blocks], anchors, strict=True)]
    chapters = list(dict.fromkeys(block.chapter for block in blocks if block.chapter))
    return environment.get_template("report.html.j2").render(
        title=title, subtitle=say(subtitle), first=[say(one) for one in first], language=language, version=__version__,
        cards=[(value, say(name)) for value, name in cards],
        verdicts=[
            (block.anchor if block.anchor in anchors else "", say(block.judged), say(block.verdict))
            for block in sorted(blocks if trust is None else trust, key=_published_first) if block.verdict
        ],
        chapters=[(say(chapter), f"part-{anchor_of(chapter)}") for chapter in chapters],
        lead=[one | {"first": True} for one in shown[: len(lead)]],
        blocks=_opened(shown[len(lead):]),
    )  # fmt: skip


def _published_first(block: Block) -> bool:
    """What was published and came true or not says most."""
    return block.topic != "Track record"


def _anchors(blocks: Sequence[Block]) -> list[str]:
    """An address of each block that no other has: the first of a topic has the topic's own."""
    found, taken = list[str](), dict[str, int]()
    for block in blocks:
        n = taken[block.anchor] = taken.get(block.anchor, 0) + 1
        found.append(block.anchor if n == 1 else f"{block.anchor}-{n}")
    return found


def _opened(blocks: list[dict[str, object]]) -> list[dict[str, object]]:
    """Blocks that begin a chapter know its address."""
    before, found = "", []
    for one in blocks:
        opens = f"part-{anchor_of(str(one['chapter']))}" if one["chapter"] and one["chapter"] != before else ""
        found.append(one | {"opens": opens})
        before = str(one["chapter"])
    return found


def _block(block: Block, anchor: str, anchors: Sequence[str], say: Words) -> dict[str, object]:
    see = [anchor_of(topic) for topic in block.see]
    linked = [one if one in anchors else "" for one in see] + [""] * (len(block.notes) - len(see))
    return {
        "topic": say(block.topic) if block.topic != block.title else "",
        "anchor": anchor,
        "chapter": block.chapter,
        "title": say(block.title),
        "sentence": say(block.sentence),
        "figure": svg(block.display, say) if block.display else None,
        "label": f"{say(block.title)}. {say(block.display.title)}" if block.display else "",
        "table": _cells(block.table, say) if block.table and len(block.table.frame) else None,
        "beside": bool(block.display and block.table and _width(block.table) <= _BESIDE),
        "more": [_cells(table, say) for table in block.more if len(table.frame)],
        "notes": list(zip(map(say, block.notes), linked, strict=True)),
        "first": False,
    }


def _width(table: Table) -> int:
    kinds = [kind_of(table.frame[name]) for name in table.frame.columns]
    return len(kinds) + kinds.count("text")


def _cells(table: Table, say: Words) -> _Cells:
    whole = table.frame
    kinds, frame = {name: kind_of(whole[name]) for name in whole.columns}, whole.head(_MOST)
    left = [kind == "text" for kind in kinds.values()]
    head = [(say(label(name)), text) for name, text in zip(kinds, left, strict=True)]
    columns = [[say.cell(name, in_html(kind, value)) for value in frame[name]] for name, kind in kinds.items()]
    rows = [list(zip(row, left, strict=True)) for row in zip(*columns, strict=True)]
    cut = (
        f"The first {len(frame):,} of {len(whole):,} rows; the workbook has them all."
        if len(frame) < len(whole)
        else ""
    )
    return _Cells(say(table.caption), head, rows, say(cut))
