"""A report as one HTML page that needs no network."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crmkit import __version__
from crmkit.displays import Display
from crmkit.reports.block import Block, Table
from crmkit.reports.formats import in_html, kind_of, label

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["page"]


_BESIDE = 5
"""A table of more columns stands below its figure, not beside it."""
_MOST = 150
"""So many rows of a table stand on the page; the workbook has them all."""


@dataclass(frozen=True)
class _Cells:
    """A table as text: column heads and cells, each with whether it reads from the left."""

    caption: str
    head: list[tuple[str, bool]]
    rows: list[list[tuple[str, bool]]]
    cut: str


def page(
    title: str, subtitle: str, cards: Sequence[tuple[str, str]], blocks: Sequence[Block], first: Sequence[str] = ()
) -> str:
    """The page; equal content gives equal text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("crmkit.reports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("report.html.j2").render(
        title=title, subtitle=subtitle, first=list(first), cards=cards, version=__version__,
        verdicts=[block.verdict for block in blocks if block.verdict],
        blocks=[_block(block) for block in blocks],
    )  # fmt: skip


def _block(block: Block) -> dict[str, object]:
    return {
        "topic": block.topic if block.topic != block.title else "",
        "title": block.title,
        "sentence": block.sentence,
        "figure": _svg(block.display) if block.display else None,
        "label": block.display.title if block.display else "",
        "table": _cells(block.table) if block.table and len(block.table.frame) else None,
        "beside": bool(block.display and block.table and len(block.table.frame.columns) <= _BESIDE),
        "more": [_cells(table) for table in block.more if len(table.frame)],
        "notes": block.notes,
    }


def _cells(table: Table) -> _Cells:
    whole = table.frame
    kinds, frame = {name: kind_of(whole[name]) for name in whole.columns}, whole.head(_MOST)
    left = [kind == "text" for kind in kinds.values()]
    head = [(label(name), text) for name, text in zip(kinds, left, strict=True)]
    columns = [[in_html(kind, value) for value in frame[name]] for name, kind in kinds.items()]
    rows = [list(zip(row, left, strict=True)) for row in zip(*columns, strict=True)]
    cut = (
        f"The first {len(frame):,} of {len(whole):,} rows; the workbook has them all."
        if len(frame) < len(whole)
        else ""
    )
    return _Cells(table.caption, head, rows, cut)


def _svg(display: Display) -> Markup:
    """The figure as inline SVG; equal numbers give equal bytes."""
    import matplotlib
    from markupsafe import Markup
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "crmkit", "text.parse_math": False}):
        figure = Figure(figsize=(4.8, 3.1), layout="constrained")
        display.plot(figure.add_subplot())
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return Markup(text[text.index("<svg") :])
