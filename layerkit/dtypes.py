"""The dtypes of tensors, how two of them meet, and how closely results in them can agree.

A dtype is its Keras name, a string. ``bool < integers < floats``; within a kind the wider wins; signed with unsigned
gives the next wider signed (uint64 with signed float32); an integer with a float gives that float. bfloat16 and float16
are for storage: an op that computes with them does so in float32, and rounds what it gives. A Python number is *weak*: it takes the dtype of the tensor it meets, unless its kind is
higher (``2 * int32`` is int32, ``0.5 * int32`` is float32).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from layerkit.errors import DTypeError, did_you_mean

SHORT = {
    "bool": "bool",
    "uint8": "u8",
    "uint16": "u16",
    "uint32": "u32",
    "uint64": "u64",
    "int8": "i8",
    "int16": "i16",
    "int32": "i32",
    "int64": "i64",
    "bfloat16": "bf16",
    "float16": "f16",
    "float32": "f32",
    "float64": "f64",
}
LONG = {short: name for name, short in SHORT.items()}

STRING = "string"
"""Of texts, which layers on the host turn into numbers; no tensor of a program has it."""

FLOATS = ("bfloat16", "float16", "float32", "float64")
INTEGERS = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64", "bool")
STORAGE = ("bfloat16", "float16")

# Relative tolerance when two engines, or an engine and another library, compute the same thing.
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


def is_floating(dtype: str) -> bool:
    return dtype in FLOATS


def is_integer(dtype: str) -> bool:
    return dtype in INTEGERS


@cache
def numpy_dtype(dtype: str) -> np.dtype[Any]:
    """The NumPy dtype of a name; bfloat16 is loaded from ``ml_dtypes`` when first used."""
    if dtype == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(dtype)


def canonical(dtype: Any) -> str:
    """The name of a dtype given as a name, a NumPy dtype or type, or a Python type.

    >>> canonical(np.float64), canonical("f32"), canonical(bool)
    ('float64', 'float32', 'bool')
    """
    if isinstance(dtype, str):
        name = LONG.get(dtype, dtype)
    elif isinstance(dtype, np.dtype):
        name = _name_of(dtype)
    elif dtype is float or dtype is int:
        name = "float32" if dtype is float else "int32"
    else:
        try:
            name = np.dtype(dtype).name
        except TypeError:
            name = str(dtype)
    if name not in SHORT:
        raise DTypeError(
            f"{name!r} is not a dtype of tensors.",
            expected=", ".join(SHORT),
            got=name,
            fix="there is no mixed precision: leave it out" if name.startswith("mixed_") else did_you_mean(name, SHORT),
        )
    return name


@cache
def _name_of(dtype: np.dtype[Any]) -> str:
    return dtype.name  # which NumPy computes, in Python, each time


@cache
def promote(a: str, b: str) -> str:
    """The dtype of a result computed from tensors of dtypes ``a`` and ``b``.

    >>> promote("int64", "float32"), promote("int32", "uint8"), promote("uint32", "int32")
    ('float32', 'int32', 'int64')
    >>> promote("int8", "uint8"), promote("bool", "uint16")
    ('int16', 'uint16')
    """
    if a == b:
        return a
    if is_floating(a) and is_floating(b):
        return "float32" if {a, b} == {"bfloat16", "float16"} else max(a, b, key=FLOATS.index)
    if is_floating(a) or is_floating(b):
        return a if is_floating(a) else b
    if "bool" in (a, b) or (a in UNSIGNED) == (b in UNSIGNED):
        return max(a, b, key=_bits)
    unsigned, signed = (a, b) if a in UNSIGNED else (b, a)
    bits = max(_bits(signed), 2 * _bits(unsigned))
    return f"int{bits}" if bits <= 64 else "float32"


def _bits(dtype: str) -> int:
    return 1 if dtype == "bool" else 8 * numpy_dtype(dtype).itemsize


def promote_scalar(dtype: str, scalar: bool | int | float) -> str:
    """The dtype when a tensor of ``dtype`` meets a Python number."""
    if isinstance(scalar, bool) or is_floating(dtype):
        return dtype
    if isinstance(scalar, int):
        return "int32" if dtype == "bool" else dtype
    return "float32"
