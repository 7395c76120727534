"""The page in Chromium: text that looks like markup runs nothing, and no request leaves."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pandas as pd
import pytest

from crmkit import Report
from crmkit.offers.displays import BudgetDisplay
from crmkit.reports.block import Block, Table

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """An address of this machine, and the paths that were asked for there."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing is said."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", paths
    server.shutdown()
    server.server_close()


def dom(page: Path) -> str:
    """The page as it stands once it was loaded and whatever runs has run."""
    assert CHROMIUM is not None
    home = f"--user-data-dir={page.parent / 'profile'}"
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=2000",
        home,
        "--dump-dom",
    ]
    return subprocess.run([*command, page.as_uri()], capture_output=True, text=True, check=True, timeout=60).stdout


def payloads(address: str) -> list[str]:
    return [
        f"<script>document.title='ran';fetch('{address}/script')</script>",
        f"<img src='{address}/image' onerror=\"document.title='ran'\">",
        f"\"><svg onload=\"document.title='ran'\"><image href='{address}/svg'/></svg>",
        f"</style><style>@import '{address}/style';body{{background:url({address}/ground)}}</style>",
        f"{{{{ 7 * 7 }}}}</script><iframe src='{address}/frame'></iframe><base href='{address}/'>",
        f"</title><link rel=prefetch href='{address}/link'><meta http-equiv=refresh content='0;url={address}/meta'>",
    ]


def hostile(text: str) -> Report:
    """A report that has the text wherever a text can stand."""
    table = pd.DataFrame({"customer_id": [text], text: [text], "amount": [1.0]})
    figure = BudgetDisplay(pd.DataFrame({"funder": [text, "b"], "budget": [5.0, 7.0], "spent": [1.0, 2.0]}))
    block = Block(
        text, text, text, figure, Table(table, text), (Table(table, text),), (text,), text, text, (text,), chapter=text
    )
    report = Report(text, currency=text, cards=[(text, text)], first=[text], lead=[block], blocks=[block, block])
    return report.add_note(text, text)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_payloads_in_every_text_run_nothing_and_no_request_leaves(
    tmp_path: Path, asked: tuple[str, list[str]], language: str
) -> None:
    address, paths = asked
    text = " ".join(payloads(address))
    report = hostile(text)
    report.language = language
    found = dom(report.save(tmp_path / "report.html"))
    assert "document.title='ran'" in found, "the text itself is shown"
    assert "<title>ran" not in found
    assert "{{ 7 * 7 }}" in found
    elements = set(re.findall(r"<(\w+)", re.sub(r'="[^"]*"', "", found)))  # a value of an attribute may hold any sign
    assert not elements & {"script", "img", "iframe", "base", "image", "link"}
    assert paths == []


def test_a_page_that_runs_and_asks_would_be_seen(tmp_path: Path, asked: tuple[str, list[str]]) -> None:
    address, paths = asked
    page = tmp_path / "bad.html"
    page.write_text(f"<title>x</title><body>{payloads(address)[0]}{payloads(address)[1]}", encoding="utf-8")
    assert "<title>ran" in dom(page)
    assert {"/script", "/image"} <= set(paths)
