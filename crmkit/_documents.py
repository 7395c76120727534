"""Results and fitted models as JSON documents; reading one executes nothing and makes only crmkit's own classes."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crmkit.exceptions import ContractError

if TYPE_CHECKING:
    import pandas as pd

    from crmkit._types import Json

__all__ = ["decoded", "encoded"]

_PLAIN = str | bool | int | None


def encoded(value: object) -> Json:
    """A value as JSON can hold it: numbers, texts, days, arrays, tables, and objects of crmkit made of these.

    Examples
    --------
    >>> decoded(encoded({"day": date(2017, 12, 31), "shares": (0.1, math.nan)}))
    {'day': datetime.date(2017, 12, 31), 'shares': (0.1, nan)}
    """
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"float": str(float(value))}
    if isinstance(value, list):
        return [encoded(one) for one in value]
    for kind, test, write, _ in _KINDS:
        if test(value):
            return {kind: write(value)}
    raise TypeError(f"A {type(value).__name__} cannot be saved in a document.")


def decoded(value: object) -> Any:
    """What `encoded` was given.

    Raises
    ------
    ContractError
        The document is not one of crmkit's.
    """
    if isinstance(value, list):
        return [decoded(one) for one in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "float":
        return float(content)
    reader = next((read for name, _, _, read in _KINDS if name == kind), None)
    if reader is None:
        raise ContractError(f"{kind!r} is not a kind of value that crmkit saves.")
    return reader(content)


# -- Kinds -----------------------------------------------------------------------------------------------------------


def _is_table(value: object) -> bool:
    return type(value).__module__.startswith("pandas") and type(value).__name__ == "DataFrame"


def _write_table(table: pd.DataFrame) -> str:
    import pyarrow as pa

    packed, sink = pa.Table.from_pandas(table), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, packed.schema) as stream:
        stream.write_table(packed)
    return base64.b64encode(sink.getvalue().to_pybytes()).decode()


def _read_table(text: str) -> pd.DataFrame:
    import pyarrow as pa

    table: pd.DataFrame = pa.ipc.open_stream(base64.b64decode(text)).read_all().to_pandas()
    return table


def _is_array(value: object) -> bool:
    return type(value).__module__ == "numpy"


def _write_array(array: NDArray[np.generic]) -> dict[str, Json]:
    return {"of": str(array.dtype), "shape": list(array.shape), "values": encoded(array.ravel().tolist())}


def _read_array(content: Mapping[str, Any]) -> object:
    import numpy as np

    array = np.array(decoded(content["values"]), dtype=content["of"]).reshape(content["shape"])
    return array if array.shape else array[()]


def _is_object(value: object) -> bool:
    return type(value).__module__.partition(".")[0] == "crmkit" and _is_data(type(value))


def _is_data(kind: type) -> bool:
    """Whether a class is a result (a dataclass, a named tuple) or a model with settings."""
    return is_dataclass(kind) or hasattr(kind, "get_params") or hasattr(kind, "_asdict")


def _write_object(value: Any) -> dict[str, Json]:
    kind, learned = type(value), dict[str, Any]()
    if is_dataclass(kind):
        settings = {one.name: getattr(value, one.name) for one in fields(value) if one.init}
    elif hasattr(value, "_asdict"):
        settings = value._asdict()
    else:
        settings = value.get_params(deep=False)
    if hasattr(value, "__dict__"):
        known = {name: one for name, one in vars(value).items() if name not in settings}
        learned = {name: one for name, one in known.items() if name.endswith("_") and not name.startswith("_")}
    return {
        "class": f"{kind.__module__}:{kind.__qualname__}",
        "settings": {name: encoded(one) for name, one in settings.items()},
        "learned": {name: encoded(one) for name, one in learned.items()},
    }


def _read_object(content: Mapping[str, Any]) -> object:
    module, _, name = str(content["class"]).partition(":")
    if module.partition(".")[0] != "crmkit":
        raise ContractError(f"{content['class']!r} is not a class of crmkit.")
    kind = getattr(import_module(module), name, None)
    if not (isinstance(kind, type) and _is_data(kind)):
        raise ContractError(f"{content['class']!r} is not a result or a model of crmkit.")
    made = kind(**{name: decoded(one) for name, one in content["settings"].items()})
    for name, one in content["learned"].items():
        if not name.endswith("_") or name.startswith("_"):
            raise ContractError(f"{name!r} is not a fitted attribute of a model.")
        object.__setattr__(made, name, decoded(one))
    return made


def _write_pairs(pairs: Mapping[object, object]) -> list[Json]:
    return [[encoded(name), encoded(one)] for name, one in pairs.items()]


def _read_pairs(pairs: list[tuple[object, object]]) -> dict[object, object]:
    return {decoded(name): decoded(one) for name, one in pairs}


_KINDS: tuple[tuple[str, Any, Any, Any], ...] = (
    ("map", lambda value: isinstance(value, Mapping), _write_pairs, _read_pairs),
    ("table", _is_table, _write_table, _read_table),
    ("array", _is_array, _write_array, _read_array),
    ("object", _is_object, _write_object, _read_object),
    (
        "tuple",
        lambda value: type(value) is tuple,
        lambda value: encoded(list(value)),
        lambda content: tuple(decoded(content)),
    ),
    ("day", lambda value: type(value) is date, date.isoformat, date.fromisoformat),
    ("decimal", lambda value: isinstance(value, Decimal), str, Decimal),
    ("path", lambda value: isinstance(value, Path), str, Path),
)
