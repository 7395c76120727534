"""How long ``import crmkit`` and ``crmkit --help`` take, the best of seven, by the clock and of the processor.

Fails above .05 and .3 s of processor; the interpreter's own start is taken off the import.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time

GOALS = {"import crmkit": 0.05, "crmkit --help": 0.3}


def quickest(*arguments: str) -> tuple[float, float]:
    """Clock and processor of a command of this interpreter."""
    clocks, used = [], []
    for _ in range(7):
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        clocks.append(time.perf_counter() - start)
        used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(clocks), min(used)


bare, imported, helped = quickest("-c", "pass"), quickest("-c", "import crmkit"), quickest("-m", "crmkit", "--help")
figures = {
    "import crmkit": (imported[0] - bare[0], imported[1] - bare[1]),
    "crmkit --help": helped,
}
for name, (clock, used) in figures.items():
    print(f"{name}: {clock:.3f} s by the clock, {used:.3f} s of processor (at most {GOALS[name]})")
sys.exit(int(any(used > GOALS[name] for name, (_, used) in figures.items())))
