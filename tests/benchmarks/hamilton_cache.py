"""What Apache Hamilton would do of the runner's four rules: run it where it is installed, beside pandas and pyarrow.

    python -m venv /some/folder && /some/folder/bin/pip install sf-hamilton pyarrow
    /some/folder/bin/python tests/benchmarks/hamilton_cache.py

A chain of three functions, the middle one with a helper, is run with Hamilton's cache again and again: after nothing has changed,
after the helper has, after a source has that changes nothing further down, and after an error.
"""

from __future__ import annotations

import importlib
import inspect
import linecache
import sys
import tempfile
import time
from importlib.metadata import distributions, version
from pathlib import Path

CHAIN = """
import pandas as pd
CALLS = []

def _helper(sales):
    return sales[sales["amount"] > {least}]

def sales(amounts: list) -> pd.DataFrame:
    CALLS.append("sales")
    return pd.DataFrame({{"amount": amounts}})

def kept(sales: pd.DataFrame) -> pd.DataFrame:
    CALLS.append("kept")
    return _helper(sales).reset_index(drop=True)

def total(kept: pd.DataFrame) -> float:
    CALLS.append("total")
    {fault}
    return float(kept["amount"].sum())
"""


def main() -> None:
    from hamilton import driver
    from hamilton.caching.stores import base, file

    home = Path(tempfile.mkdtemp())
    sys.path.insert(0, str(home))
    sys.dont_write_bytecode = True

    def ran(amounts: list[float], least: float = 0.0, fault: str = "") -> list[str]:
        (home / "chain.py").write_text(CHAIN.format(least=least, fault=fault))
        importlib.invalidate_caches()
        linecache.clearcache()
        chain = importlib.reload(sys.modules["chain"]) if "chain" in sys.modules else importlib.import_module("chain")
        chain.CALLS.clear()
        made = driver.Builder().with_modules(chain).with_cache(path=home / "cache").build()
        try:
            made.execute(["total"], inputs={"amounts": amounts})
        except ZeroDivisionError:
            chain.CALLS.append("failed")
        return list(chain.CALLS)

    start = time.process_time()
    print("first run:", ran([1.0, -1.0]))
    print(f"  {time.process_time() - start:.2f} s of processor")
    print("nothing changed:", ran([1.0, -1.0]))
    print("the helper of kept changed:", ran([1.0, -1.0], least=0.5), "(kept should run)")
    print("a source changed, kept gives the same:", ran([1.0, -2.0]), "(total should not run)")
    print("total failed:", ran([3.0], fault="1 / 0"), "then mended:", ran([3.0]))
    names = sorted(path.suffix or "no suffix" for path in (home / "cache").rglob("*") if path.is_file())
    print("files of the cache:", {name: names.count(name) for name in set(names)})
    print("how a result is written:", "write_bytes" in inspect.getsource(file) and "in place, in one call")
    print("pickle in the store:", "pickle" in inspect.getsource(base))
    files = (Path(str(one.locate())) for found in distributions() for one in found.files or [])
    size = sum(one.stat().st_size for one in files if one.is_file())
    print(f"Hamilton {version('sf-hamilton')}; with all that is installed: {size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
