"""Many nights with all that goes wrong, and a hundred kills: as commands ``python tests/soak.py`` and ``python tests/kills.py``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
pytestmark = [pytest.mark.long, pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked here")]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["soak.py", "--nights", "6"], "All is equal."),
        (["kills.py", "--kills", "100"], "Nothing was torn; every published run equals that of a night without kills."),
    ],
)
def test_what_goes_wrong_in_the_night_leaves_no_trace(command: list[str], said: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(TESTS / command[0]), *command[1:]],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == [said], done.stdout + done.stderr
