"""Random numbers from a counter: the same key gives the same numbers on every engine, in any order, on any thread.

The generator is Philox4x32 with ten rounds. A key holds four words (uint32): two are Philox's key, two the upper half of
its counter; the lower half counts blocks of four words. Element ``i`` of a float32 tensor is made from word ``i``, of a
float64 tensor from words ``2i`` and ``2i + 1``. Normals come in pairs by the polar form of Box and Muller (1958).
Source: Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3".
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from layerkit import dtypes
from layerkit.errors import DTypeError
from layerkit.ir import Array, BadCase, Case, Op, Shape, TensorType, nondifferentiable
from layerkit.records import dataclass

_DISTRIBUTIONS = ("bits", "uniform", "normal")


@dataclass(frozen=True)
class Random(Op):
    """Numbers of a distribution: u32[4] -> (shape).

    "uniform" is in [0, 1) with 24 (float32) or 53 bits (float64); "normal" has mean 0 and variance 1; "bits" are the
    words themselves (uint32).
    """

    name = "random"
    presets = {f"random_{d}": {"distribution": d} for d in _DISTRIBUTIONS}
    distribution: str
    shape: Shape
    dtype: str

    @property
    def word(self) -> str:
        return f"random_{self.distribution}"

    def infer(self, key: TensorType) -> TensorType:
        if key != TensorType("uint32", (4,)):
            raise DTypeError(f"'{self.word}' needs a key of four words.", expected="u32[4]", got=str(key))
        allowed = ("uint32",) if self.distribution == "bits" else ("float32", "float64")
        if self.dtype not in allowed:
            raise DTypeError(
                f"'{self.word}' does not make {self.dtype}.", expected=" or ".join(allowed), got=self.dtype
            )
        return TensorType(self.dtype, self.shape)

    def reference(self, key: Array) -> Array:
        shape: Any = self.shape
        count = prod(shape)
        if self.distribution == "bits":
            numbers = words(key, count)
        elif self.distribution == "uniform":
            numbers = _uniform(key, count, self.dtype)
        else:
            pairs = _uniform(key, count + count % 2, self.dtype).astype("float64").reshape(-1, 2)
            radius, angle = np.sqrt(-2 * np.log1p(-pairs[:, 0])), 2 * np.pi * pairs[:, 1]
            numbers = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)[:count]
        return numbers.astype(dtypes.numpy_dtype(self.dtype)).reshape(shape)

    vjp = nondifferentiable("a key is an integer")

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for distribution in _DISTRIBUTIONS:
            for dtype in ("uint32",) if distribution == "bits" else ("float32", "float64"):
                op = cls(distribution, (3, 5), dtype)
                yield Case(op, ((4,),), integers={0: (0, 2**32)}, dtypes={0: "uint32"}, differentiable=False)

    @classmethod
    def bad_cases(cls) -> Iterator[BadCase]:
        yield BadCase(cls("uniform", (3,), "float32"), (TensorType("uint32", (2,)),), DTypeError, "u32[4]")
        yield BadCase(cls("uniform", (3,), "int32"), (TensorType("uint32", (4,)),), DTypeError, "float32 or float64")


def _uniform(key: Array, count: int, dtype: str) -> Array:
    if dtype == "float32":
        return (words(key, count) >> np.uint32(8)).astype("float32") * np.float32(2**-24)
    pairs = words(key, 2 * count).astype("uint64").reshape(-1, 2)
    return ((pairs[:, 0] >> np.uint64(5)) * 2.0**26 + (pairs[:, 1] >> np.uint64(6))) * 2.0**-53


def words(key: Array, count: int) -> Array:
    """The first ``count`` words for ``key``, uint32."""
    blocks = np.arange(-(-count // 4), dtype="uint64")
    mask, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    c = [blocks & mask, blocks >> shift, np.full_like(blocks, key[2]), np.full_like(blocks, key[3])]
    k0, k1 = np.uint64(key[0]), np.uint64(key[1])
    for _ in range(10):
        p0, p1 = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(p1 >> shift) ^ c[1] ^ k0, p1 & mask, (p0 >> shift) ^ c[3] ^ k1, p0 & mask]
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & mask, (k1 + np.uint64(0xBB67AE85)) & mask
    return np.stack(c, axis=1).reshape(-1)[:count].astype("uint32")
