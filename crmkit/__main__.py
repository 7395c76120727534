"""``python -m crmkit`` is the command line."""

from __future__ import annotations

from crmkit.pipeline.cli import main

main()
