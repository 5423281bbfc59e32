"""Plain values with arrays in them: a document for ``config.json``, and arrays that lie beside it.

Callbacks remember such values: numbers (infinite ones too), texts, lists, dicts, arrays. Every number comes back to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from layerkit.errors import ArgumentError, FileFormatError

Arrays = dict[str, np.ndarray[Any, Any]]


def pack(value: Any, arrays: Arrays, prefix: str) -> dict[str, Any]:
    """A document for ``value``; the arrays in it go into ``arrays`` under names that begin with ``prefix``.

    Raises:
        ArgumentError: a value of another kind.

    >>> arrays = {}
    >>> pack({"best": float("inf"), "weights": [np.zeros(2)]}, arrays, "x")
    {'dict': {'best': {'float': 'inf'}, 'weights': {'list': [{'array': 'x/0'}]}}}
    >>> list(arrays)
    ['x/0']
    """

    def keep(array: np.ndarray[Any, Any]) -> str:
        name = f"{prefix}/{len(arrays)}"
        arrays[name] = array
        return name

    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return {"is": value}
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, np.ndarray):
        return {"array": keep(value)}
    if isinstance(value, Mapping) and all(isinstance(k, str) for k in value):
        return {"dict": {k: pack(v, arrays, prefix) for k, v in value.items()}}
    if isinstance(value, list | tuple):
        if value and all(type(v) is float for v in value):  # a history may be long
            return {"floats": keep(np.array(value, "float64"))}
        return {"list": [pack(v, arrays, prefix) for v in value]}
    raise ArgumentError(
        "a state is made of plain values.", expected="numbers, texts, arrays, lists and dicts of them",
        got=type(value).__name__, fix="return such values from get_state",
    )  # fmt: skip


def unpack(document: Any, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Any:
    """The value whose document this is.

    Raises:
        FileFormatError: it is none.

    >>> unpack({"list": [{"float": "inf"}, {"is": None}]}, {})
    [inf, None]
    """
    try:
        ((kind, value),) = document.items()
        if kind == "is":
            return value
        if kind == "float":
            return float.fromhex(value)
        if kind == "array":
            return arrays[value]
        if kind == "floats":
            return arrays[value].tolist()
        if kind == "dict":
            return {k: unpack(v, arrays) for k, v in value.items()}
        if kind == "list":
            return [unpack(v, arrays) for v in value]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise FileFormatError("a packed value is broken.", got=str(document)[:80]) from error
    raise FileFormatError("a packed value is of an unknown kind.", got=str(document)[:80])
