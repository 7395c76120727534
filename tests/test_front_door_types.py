"""What type checkers and editors see of the front door: every name with its type, and a misspelt one as an error."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import crmkit

ROOT = Path(crmkit.__file__).parents[1]
RIGHT = """
import crmkit as ck
till = ck.read_extract("till.csv")
log, rejections = ck.Transactions.split_extract(till, until="2017-12-31")
model = ck.BGNBD().fit(ck.btyd_summary(log))
reveal_type(ck.BGNBD)
"""
MISSPELT = RIGHT.replace("btyd_summary", "btyd_sumary")


CHECKERS = {
    "mypy": ["mypy", "--strict", "--config-file=", "--cache-dir=cache"],
    "pyright": ["basedpyright", "--level=error", f"--pythonpath={sys.executable}"],
}


@pytest.mark.parametrize("checker", CHECKERS)
def test_a_misspelt_name_is_found_and_a_right_script_passes(checker: str, tmp_path: Path) -> None:
    (tmp_path / "right.py").write_text(RIGHT)
    (tmp_path / "misspelt.py").write_text(MISSPELT)
    command = [sys.executable, "-m", *CHECKERS[checker], "right.py", "misspelt.py"]
    said = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path).stdout
    faults = [line for line in said.splitlines() if "error" in line and ".py:" in line]
    assert faults
    assert all("misspelt.py" in fault and "btyd_sumary" in fault for fault in faults)
    if checker == "mypy":
        assert "crmkit.models.bgnbd.BGNBD" in said


def test_the_stub_names_what_is_there_under_its_own_name() -> None:
    stub = ast.parse((ROOT / "crmkit" / "__init__.pyi").read_text(encoding="utf-8"))
    names = [name for node in stub.body if isinstance(node, ast.ImportFrom) for name in node.names]
    assert [name.name for name in names if name.asname != name.name] == []
    assert sorted({name.name for name in names} | {"__version__"}) == crmkit.__all__
    assert len(names) == len({name.name for name in names})
