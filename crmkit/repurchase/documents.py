"""A fitted `NextPurchase` as one JSON document behind a hash. Nothing in a file is ever executed."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from crmkit._atomic import replacing
from crmkit._documents import decoded, encoded
from crmkit.exceptions import ContractError, ExtractError

__all__ = ["read", "write"]

_FORMAT = "crmkit next purchase 1"


def write(model: object, path: str | os.PathLike[str]) -> Path:
    """Write a fitted model: the first line states the hash of the second."""
    text = json.dumps(encoded(model), allow_nan=False)
    head = json.dumps({"format": _FORMAT, "sha256": hashlib.sha256(text.encode()).hexdigest()})
    with replacing(Path(path)) as part:
        part.write_text(f"{head}\n{text}\n", encoding="utf-8")
    return Path(path)


def read(path: str | os.PathLike[str]) -> object:
    """What a document holds; one that was changed after it was saved is refused before it is parsed."""
    name = os.fspath(path)
    try:
        head, _, text = Path(path).read_text(encoding="utf-8").removesuffix("\n").partition("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ExtractError(f"No model can be read from {name!r}: {error}") from error
    try:
        stated = json.loads(head)
        if stated != {"format": _FORMAT, "sha256": hashlib.sha256(text.encode()).hexdigest()}:
            raise ContractError("its first line does not state this format and the hash of the rest")
        return decoded(json.loads(text))
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ContractError(f"{name!r} is not a NextPurchase saved by crmkit: {error}") from error
