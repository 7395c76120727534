"""crmkit's command in a process of its own that is forked, so that a start costs no imports; it may be killed, or short of disk."""

from __future__ import annotations

import atexit
import os
import resource
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from crmkit.pipeline import cli

__all__ = ["Attempt", "start"]

for module in ("nightly", "stages", "people"):  # what commands import when they are asked, once for all processes
    import_module(f"crmkit.pipeline.{module}")


@dataclass
class Attempt:
    """One start of a command: how it ended, what it took."""

    code: int
    seconds: float
    peak_mb: float
    said: str


def start(home: Path, *arguments: str, kill_after: float | None = None, most: int | None = None) -> Attempt:
    """Run a command in a process of its own; it may be killed, or its files may not grow beyond some bytes."""
    with tempfile.TemporaryFile() as said:
        process = os.fork()
        if process == 0:
            command(home, arguments, said.fileno(), most)
        ends = time.monotonic() + (kill_after or 600)
        while not (ended := os.wait4(process, os.WNOHANG))[0]:
            if time.monotonic() > ends:
                os.kill(process, signal.SIGKILL)
            time.sleep(0.01)
        said.seek(0)
        usage, text = ended[2], said.read().decode(errors="replace")
        return Attempt(
            os.waitstatus_to_exitcode(ended[1]), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, text
        )


def command(home: Path, arguments: tuple[str, ...], said: int, most: int | None) -> None:
    """What the new process does; it has imported what it needs, and nothing else of its parent's work goes on in it."""
    code = 70
    atexit._clear()  # what its parent wants removed at its own end stays
    try:
        for stream in (1, 2):
            os.dup2(said, stream)
        os.chdir(home)
        if most is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        sys.argv = ["crmkit", *arguments]
        cli.main()
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(code)
