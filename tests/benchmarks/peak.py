"""The most memory that this process has held."""

from __future__ import annotations

import resource
from pathlib import Path


def peak_mb() -> float:
    """In MB; not by ``getrusage`` where there is better, since that starts from what the parent process held."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    [held] = (line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(held) / 1024
