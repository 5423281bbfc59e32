"""Values of any number as categories of a known number, by a hash."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from layerkit.errors import ArgumentError
from layerkit.fields import OneOf, PositiveInt
from layerkit.ir import Array, Size, TensorType
from layerkit.layers.features import NotSparse, encoded
from layerkit.layers.host import TEXT, Numbers, _Host, hashed

HashMode = Annotated[str, OneOf(("int", "one_hot", "multi_hot", "count"))]


def encoded_shape(shape: tuple[Size, ...], tokens: int, mode: str) -> tuple[Size, ...]:
    """The shape of ``encoded`` numbers of that shape."""
    if mode == "int":
        return shape
    if mode == "one_hot":
        return (*(shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape), tokens)
    return (*shape[:-1], tokens)


class Hashing(_Host):
    """Texts or whole numbers as numbers in [0, num_bins), the same in every run; different ones may share a number.

    Args:
        num_bins: how many numbers there are.
        mask_value: a value that always gets 0, which no other then gets.
        salt: a number, or two, for another way to share. With a salt the numbers are Keras's; without, Keras has a hash
            of its own and ours is that for a salt of 0.
        output_mode: "int", or a vector as ``CategoryEncoding`` makes it.
        sparse: not available.
    Source: Weinberger et al. 2009, arXiv:0902.2206.

    Example:
        >>> Hashing(3, salt=133)(np.array(["A", "B", "C"]))
        array([0, 0, 2])
    """

    num_bins: PositiveInt
    mask_value: Any = None
    salt: Any = None
    output_mode: HashMode = "int"
    sparse: NotSparse = False

    def compute(self, inputs: Any) -> Array:
        numbers = Numbers(self._hash).of(inputs)
        if self.output_mode == "int":
            return numbers
        return np.asarray(encoded(numbers, self.num_bins, self.output_mode, self.compute_dtype))

    def _hash(self, value: Any) -> int:
        if self.mask_value is None:
            return hashed(value, self.num_bins, self.salt)
        return 0 if value == self.mask_value else 1 + hashed(value, max(1, self.num_bins - 1), self.salt)

    def infer(self, shape: tuple[Size, ...]) -> TensorType:
        kind = "int64" if self.output_mode == "int" else self.compute_dtype
        return TensorType(kind, encoded_shape(shape, self.num_bins, self.output_mode))


class HashedCrossing(_Host):
    """Pairs (or more) of categories as one: the values that stand together are hashed together.

    Args:
        num_bins: how many numbers there are.
        output_mode: "int", or "one_hot" for vectors.
        sparse: not available.

    Example:
        >>> HashedCrossing(5)([np.array(["red", "red"]), np.array([1, 1])]).tolist()
        [0, 0]
    """

    num_bins: PositiveInt
    output_mode: Annotated[str, OneOf(("int", "one_hot"))] = "int"
    sparse: NotSparse = False

    def compute(self, inputs: Any) -> Array:
        if not isinstance(inputs, list) or len(inputs) < 2 or len({x.shape for x in inputs}) > 1:
            raise ArgumentError(
                "features that are crossed have one shape.", expected="a list of two or more arrays of one shape",
                got=str([getattr(x, "shape", None) for x in inputs]),
            )  # fmt: skip
        rows = zip(*(x.reshape(-1).tolist() for x in inputs), strict=True)
        joined = np.array(["_X_".join(map(str, row)) for row in rows], TEXT).reshape(inputs[0].shape)
        numbers = Numbers(lambda value: hashed(value, self.num_bins, None)).of(joined)
        if self.output_mode == "int":
            return numbers
        return np.asarray(encoded(numbers, self.num_bins, "one_hot", self.compute_dtype))

    def infer(self, shape: tuple[Size, ...]) -> TensorType:
        kind = "int64" if self.output_mode == "int" else self.compute_dtype
        return TensorType(kind, encoded_shape(shape, self.num_bins, self.output_mode))
