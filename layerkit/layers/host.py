"""Layers that work on data before a program runs: texts are no tensors of programs.

In a functional model they come first, behind the ``Input``s; ``fit``, ``evaluate`` and ``predict`` let them work on all the
data at once, and the programs begin with what they make of it (``layerkit.models.functional``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from layerkit import tree
from layerkit.errors import StateError, placed
from layerkit.ir import Array, Node, Size, TensorType, Value
from layerkit.layers.base import Layer
from layerkit.layers.recorded import LayerCall, Slot
from layerkit.trace import current

TEXT = np.dtypes.StringDType()


class _Host(Layer):
    """``compute`` works on arrays, ``infer`` says what comes out."""

    is_host: ClassVar[bool] = True

    def compute(self, inputs: Any) -> Array:
        """The output for an array of texts or numbers, or for a list of them."""
        raise NotImplementedError

    def infer(self, shape: tuple[Size, ...]) -> TensorType:
        """The type of the output for inputs of that shape."""
        raise NotImplementedError

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        inputs = args[0] if args else kwargs.get("inputs")
        leaves = tree.leaves(inputs)
        with placed(self.describe()):
            if not any(isinstance(x, Value) for x in leaves):
                self.built = True
                if isinstance(inputs, list | tuple) and any(hasattr(x, "shape") for x in inputs):
                    return self.compute([as_data(x) for x in inputs])
                return self.compute(as_data(inputs))
            trace = current()
            if trace is not None and not trace.is_eager:
                raise StateError(
                    "this layer works on data before a program runs.", expected="data as they are given to the model",
                    got="a tensor of a program", fix="put it directly behind an Input of the outermost model",
                )  # fmt: skip
            self.built = True
            slots = [Slot(i) for i in range(len(leaves))]
            given = slots[0] if isinstance(inputs, Value) else slots
            structure = tree.flatten(leaves[0])[1]
            call = LayerCall(self, ((given,), {}), structure)
            return Node(call, tuple(leaves), (self.infer(leaves[0].shape),), True, self.name or "").outputs[0]

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """The shape of the output for inputs of this shape."""
        shape = args[0] if args else next(iter(kwargs.values()))
        if shape and isinstance(shape[0], list | tuple):
            shape = shape[0]
        return tuple(n if isinstance(n, int) else None for n in self.infer(tuple(shape)).shape)


def as_data(x: Any) -> Array:
    """Numbers as they are, texts as an array in which each takes the room that it needs (one longest text would cost all others its length)."""
    x = x.to_numpy() if hasattr(x, "to_numpy") else np.asarray(x)
    return as_texts(x) if x.dtype.kind in "SUO" else x


def as_texts(x: Array) -> Array:
    """Texts, bytes (UTF-8) or objects as an array of texts."""
    if x.dtype.kind in "SO":
        flat = [v.decode("utf-8") if isinstance(v, bytes) else str(v) for v in x.reshape(-1).tolist()]
        return np.array(flat, TEXT).reshape(x.shape)
    return x.astype(TEXT)


class Numbers(dict[Any, int]):
    """What ``ask`` says of values: asked once for each that differs, and not for those that are known."""

    def __init__(self, ask: Callable[[Any], int], known: Mapping[Any, int] | None = None) -> None:
        super().__init__(known or {})
        self.ask = ask

    def __missing__(self, value: Any) -> int:
        found = self[value] = self.ask(value)
        return found

    def of(self, values: Array) -> Array:
        """The number of each value: i64 of the same shape."""
        found = map(self.__getitem__, values.reshape(-1).tolist())
        return np.fromiter(found, "int64", values.size).reshape(values.shape)


# A hash of texts -----------------------------------------------------------------------------------------------------

_WORD = (1 << 64) - 1


def _turned(x: int, bits: int) -> int:
    return ((x << bits) | (x >> (64 - bits))) & _WORD


def _rounds(v: list[int], count: int) -> None:
    for _ in range(count):
        v[0] = (v[0] + v[1]) & _WORD
        v[2] = (v[2] + v[3]) & _WORD
        v[1], v[3] = _turned(v[1], 13) ^ v[0], _turned(v[3], 16) ^ v[2]
        v[0] = _turned(v[0], 32)
        v[2] = (v[2] + v[1]) & _WORD
        v[0] = (v[0] + v[3]) & _WORD
        v[1], v[3] = _turned(v[1], 17) ^ v[2], _turned(v[3], 21) ^ v[0]
        v[2] = _turned(v[2], 32)


def siphash(data: bytes, key: tuple[int, int]) -> int:
    """SipHash-2-4 of ``data``: 64 bits. Source: Aumasson and Bernstein 2012, "SipHash: a fast short-input PRF".

    >>> hex(siphash(bytes(range(15)), (0x0706050403020100, 0x0F0E0D0C0B0A0908)))  # the paper's appendix A
    '0xa129ca6149be45e5'
    """
    first, second = key[0] & _WORD, key[1] & _WORD
    v = [
        first ^ 0x736F6D6570736575,
        second ^ 0x646F72616E646F6D,
        first ^ 0x6C7967656E657261,
        second ^ 0x7465646279746573,
    ]
    whole = len(data) // 8 * 8
    words = [int.from_bytes(data[i : i + 8], "little") for i in range(0, whole, 8)]
    words.append(int.from_bytes(data[whole:], "little") | (len(data) & 0xFF) << 56)
    for word in words:
        v[3] ^= word
        _rounds(v, 2)
        v[0] ^= word
    v[2] ^= 0xFF
    _rounds(v, 4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def salted(salt: int | Sequence[int] | None) -> tuple[int, int]:
    """The key of ``siphash`` for a salt: one number stands twice, none is 0."""
    if salt is None:
        return 0, 0
    return (salt, salt) if isinstance(salt, int) else (int(salt[0]), int(salt[1]))


def hashed(value: Any, bins: int, salt: int | Sequence[int] | None) -> int:
    """A text, or a number as a text, as one of [0, bins)."""
    return siphash(str(value).encode("utf-8"), salted(salt)) % bins
