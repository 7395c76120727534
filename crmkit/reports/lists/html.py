"""ListContent as one HTML file: the same words and barcodes as in print, a page for each member when it is printed."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import pandas as pd

from crmkit._atomic import replacing
from crmkit.offers.barcodes import bars_of
from crmkit.offers.deals import Deals
from crmkit.reports.lists.content import ListContent, ListOptions, warn_of_endings
from crmkit.reports.lists.fonts import subset_of

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["write_html_lists"]


def write_html_lists(
    offers: pd.DataFrame,
    deals: Deals,
    due: pd.DataFrame,
    folder: str | Path,
    *,
    font: str | Path | None = None,
    **options: Unpack[ListOptions],
) -> Path:
    """Write ``folder/lists.html``: the lists of `print_lists` as one page that takes nothing from elsewhere.

    Parameters
    ----------
    offers, deals, due, folder, **options
        As in `print_lists`: names, codes, tips, usual, title, as_of, horizon, top_due, least_need, currency, language.
    font : path, optional
        A .ttf, .otf or .ttc file; what is needed of it becomes part of the page. Otherwise the reader's own is used.

    Raises
    ------
    ContractError, ConfigError, PublishError
        As `print_lists` does; without ``font`` no character is missing here.

    Examples
    --------
    >>> import tempfile
    >>> deals = Deals.from_extract(pd.DataFrame({
    ...     "deal_id": ["D1"], "title": ["Any fresh milk"], "category": ["Milk"], "funder": ["Dairy"], "value": [0.5],
    ...     "budget": [10], "starts": ["2018-01-01"], "ends": ["2018-01-14"], "price": [2.5]}))
    >>> offers = pd.DataFrame({"customer_id": ["00770001"], "deal_id": ["D1"], "position": [1]})
    >>> due = pd.DataFrame({"customer_id": ["00770001"], "category": ["Milk"], "p_purchase": [0.8]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = write_html_lists(offers, deals, due, folder, as_of="2017-12-31", horizon=14).read_text(encoding="utf-8")
    >>> "was 2.50, now 2.00" in page
    True
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    lists = ListContent.of(offers, deals, due, **options)
    warn_of_endings(lists.unshown)
    environment = Environment(
        loader=PackageLoader("crmkit.reports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    stream = environment.get_template("lists.html.j2").stream(
        lists=lists,
        font=None if font is None else Markup(subset_of(Path(font), lists.texts())),
        bars=_drawing,
        text=lists.wording.text,
    )
    path = Path(folder) / "lists.html"
    with replacing(path) as part:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(stream)
    return path


@cache
def _drawing(code: str, symbology: str) -> Markup:
    """The bars as SVG, ten modules of quiet on either side."""
    from markupsafe import Markup

    tall, long, modules = bars_of(code, symbology)
    path = "".join(f"M{at + 10} 0h{width}v1h-{width}z" for at, width in sorted([*tall, *long]))
    return Markup(
        f'<svg viewBox="0 0 {modules + 20} 1" preserveAspectRatio="none" style="width:{(modules + 20) * 0.33:.2f}mm" '
        f'shape-rendering="crispEdges"><path d="{path}"/></svg>'
    )
