"""Contrast of the page and its figures, by the Web Content Accessibility Guidelines 2.2, level AA: 4.5 for text, 3 for what is drawn."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps
from matplotlib.collections import Collection
from matplotlib.colors import to_hex, to_rgba_array
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.text import Text

import crmkit
from crmkit.displays import BLUE, GREEN, GREY, INK, ORANGE, PALE, Display, contrast, text_on
from crmkit.evaluation.displays import FrequencyDisplay
from crmkit.offers.displays import BudgetDisplay
from crmkit.reports.blocks.revenue import FlowsDisplay
from crmkit.reports.blocks.sales import SalesDisplay

CSS = (Path(crmkit.__file__).parent / "reports" / "templates" / "report.html.j2").read_text(encoding="utf-8")
TEXT, DRAWN = 4.5, 3.0


def test_every_text_of_the_page_can_be_read() -> None:
    colours = dict(re.findall(r"--(\w+): (#\w+);", CSS))
    assert set(re.findall(r"[^-]color: (?:var\(--(\w+)\)|(#?\w+))", CSS)) <= {(name, "") for name in colours}
    inks = {name for name, _ in re.findall(r"[^-]color: (?:var\(--(\w+)\)|(#?\w+))", CSS)}
    grounds = {colours[name] for name in ("paper", "ground")}
    assert inks == {"ink", "soft", "blue"}
    assert [(ink, ground) for ink in inks for ground in grounds if contrast(colours[ink], ground) < TEXT] == []


def test_what_is_drawn_stands_out_from_the_paper() -> None:
    assert contrast(INK, "white") >= TEXT
    assert [one for one in (BLUE, ORANGE, GREEN, GREY) if contrast(one, "white") < DRAWN] == []


@pytest.mark.parametrize("name", ["Blues", "YlGnBu", "RdBu"])
def test_numbers_on_a_map_of_colours_can_be_read(name: str) -> None:
    grounds = [colormaps[name](value) for value in np.linspace(0, 1, 256)]
    assert min(contrast(text_on(ground), ground) for ground in grounds) >= TEXT


WEEKS = pd.DataFrame(
    {"week": pd.date_range("2017-01-02", periods=3, freq="7D"), "sales": [5.0, 7.0, 2.0], "days": [7, 7, 1]}
)
BUDGETS = pd.DataFrame({"funder": ["a", "b"], "budget": [5.0, 7.0], "spent": [1.0, 2.0]})
FLOWS = pd.DataFrame(
    {"period": pd.Timestamp("2017-01-01"), "status": ["lapsed", "new", "retained", "returning"], "customers": 5}
)
MEANS = pd.DataFrame({"frequency": ["0", "1"], "customers": 5, "actual": [1.0, 2.0], "BG/NBD": [1.0, 2.0]})


@pytest.mark.parametrize(
    "display", [SalesDisplay(WEEKS), BudgetDisplay(BUDGETS), FlowsDisplay(FLOWS), FrequencyDisplay(MEANS)], ids=repr
)
def test_what_is_pale_has_an_edge_and_words_can_be_read(display: Display) -> None:
    ax = display.plot(Figure().add_subplot())
    areas: list[Patch | Collection] = [*ax.patches, *ax.collections]
    for drawn in areas:
        for face, edge in zip(*map(to_rgba_array, (drawn.get_facecolor(), drawn.get_edgecolor())), strict=False):
            seen = edge if to_hex(face) == PALE else face
            assert contrast(to_hex(seen), "white") >= DRAWN
    words = [text for text in ax.figure.findobj(Text) if text.get_text()]
    assert [text.get_text() for text in words if contrast(to_hex(text.get_color()), "white") < TEXT] == []
