"""What the tests on Spark share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

COLLECTORS = ("collect", "head", "tail", "take", "toArrow", "toLocalIterator", "toPandas")


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch, spark: Any) -> list[float]:
    """How many rows each call of Spark has brought to the driver; infinitely many where it does not say."""
    counts: list[float] = []
    frame = type(spark.range(1))
    for name in COLLECTORS:
        original = getattr(frame, name)

        def counted(self: Any, *args: Any, _original: Callable[..., Any] = original, **options: Any) -> Any:
            found = _original(self, *args, **options)
            counts.append(len(found) if hasattr(found, "__len__") else math.inf)
            return found

        monkeypatch.setattr(frame, name, counted)
    return counts
