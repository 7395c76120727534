"""The rows of one prepared part as text inside the engine."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from crmkit.engine.base import SqlEngine
from crmkit.exceptions import ContractError
from crmkit.ingest.files import is_gzip
from crmkit.ingest.parts import Part
from crmkit.ingest.staging import Fingerprint, with_line_feeds

__all__ = ["as_text"]

_NESTED = ("[]", "STRUCT", "MAP", "UNION", "BLOB", "BIT")


def as_text(
    engine: SqlEngine, part: Part, wanted: set[str], content: Fingerprint | None
) -> tuple[str, dict[str, str], pd.DataFrame, str]:
    """The rows of a part as text, in order; the type each column had; the records that are not rows; and all of its columns."""
    if part.kind == "csv" and part.path and content:
        source = part if content.even else with_line_feeds(part, engine)
        path = source.path or part.path
        with engine.named_source(part.name):
            staged, broken = engine.csv(path, part.own_columns, part.delimiter, is_gzip(path))
            if part.constants:
                staged = engine.stage(f"select *{part.constant_columns} from {staged}")
        return staged, {}, broken, staged
    with engine.named_source(part.name):
        relation = engine.register(part.table) if part.path is None else engine.parquet(part.path)
        kinds = {given: kind for given, kind in engine.types(relation).items() if given in wanted}
        _refuse_nested(part, kinds | dict.fromkeys(_nested_in(content, kinds), "lists or objects []"))
        texts = [f"{engine.text(given, kind)} as {engine.quoted(given)}" for given, kind in kinds.items()]
        constants = part.constant_columns.removeprefix(", ")
        staged = engine.stage(f"select {', '.join([*texts, *filter(None, [constants])])} from {relation}")
    torn = content.torn if content else ()
    broken = pd.DataFrame({"record": np.array(torn, dtype=np.int64) + 1, "kind": "JSON", "message": None})
    return staged, kinds, broken, relation


def _nested_in(content: Fingerprint | None, kinds: Mapping[str, str]) -> set[str]:
    return set(content.nested) & set(kinds) if content else set()


def _refuse_nested(part: Part, kinds: Mapping[str, str]) -> None:
    nested = [
        f"{name!r} ({kind})" for name, kind in kinds.items() if kind.startswith(_NESTED) or kind.endswith(_NESTED)
    ]
    if nested:
        raise ContractError(f"{part.name}: {', '.join(nested)} must hold single values: text, numbers, dates or times.")
