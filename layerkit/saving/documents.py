"""JSON with one way to write each value, and a reader that refuses what other readers would guess about.

Values go to bytes (``encode``: no blanks, no NaN, UTF-8) and back (``decode``: bounded size and depth, no key twice, no
infinity). Keys keep their order: that of a model's outputs is the order of its predictions and logs. ``archive`` uses them
for the documents of a model file, ``tensors`` for the header of its tensors.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any

from layerkit.errors import ArgumentError

MAX_BYTES = 1 << 26
MAX_DEPTH = 200

_TOKEN = re.compile(
    rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL
)  # possessive: an unclosed string costs no more than another


def encode(value: dict[str, Any], what: str) -> bytes:
    """The bytes of a document; ``what`` names it in errors.

    >>> encode({"b": [1, 0.5], "a": None}, "config")
    b'{"b":[1,0.5],"a":null}'

    Raises:
        ArgumentError: a value that JSON cannot hold exactly, with its path.
    """
    if not isinstance(value, dict):
        raise ArgumentError(f"{what} is not a dict.", expected="a dict with text as keys", got=type(value).__name__)
    _check_plain(value, what, 1)
    try:
        data = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
    except ValueError as error:  # lone surrogates, integers of thousands of digits
        raise ArgumentError(f"{what} cannot be written as JSON.", got=str(error)) from error
    if len(data) > MAX_BYTES:
        raise ArgumentError(f"{what} is too large.", expected=f"at most {MAX_BYTES} bytes of JSON", got=len(data))
    return data


def decode(data: bytes, *, max_bytes: int = MAX_BYTES) -> tuple[dict[str, Any], list[str]]:
    """The document in ``data``, and what is wrong with it (then the document is empty).

    >>> decode(b'{"a": 1, "a": NaN}')
    ({}, ['NaN is not a number that a file may hold'])
    """
    if len(data) > max_bytes:
        return {}, [f"it has {len(data)} bytes of JSON, at most {max_bytes} are allowed"]
    depth = 0
    for token in _TOKEN.finditer(data):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(token.group(), 0)
        if depth > MAX_DEPTH:
            return {}, [f"it is nested deeper than {MAX_DEPTH} levels"]
    try:
        value = json.loads(
            data.decode(), object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite_float
        )
        json.dumps(value, ensure_ascii=False).encode()  # refuses lone surrogates
    except (ValueError, RecursionError) as error:
        return {}, [str(error)[:200]]
    return (value, []) if isinstance(value, dict) else ({}, [f"it holds a {type(value).__name__}, not an object"])


def _check_plain(value: object, path: str, depth: int) -> None:
    """Raise for anything that would come back from JSON as something else."""
    if depth > MAX_DEPTH:
        raise ArgumentError(f"{path[:80]}... is nested too deeply.", expected=f"at most {MAX_DEPTH} levels")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ArgumentError(f"A key of {path} is not text.", expected="str", got=repr(key)[:80])
            _check_plain(item, f"{path}.{key}", depth + 1)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _check_plain(item, f"{path}[{index}]", depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ArgumentError(f"{path} is not a finite number.", expected="a finite number", got=value)
    elif value is not None and not isinstance(value, (str, int, float)):
        raise ArgumentError(
            f"{path} cannot be written as JSON.",
            expected="dict, list, str, int, float, bool or None",
            got=type(value).__name__,
            fix="convert it to plain Python values first",
        )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise ValueError(f"key {counts.most_common(1)[0][0][:80]!r} is there twice")
    return result


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not a number that a file may hold")


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:80]} is too large for a number")
    return value
