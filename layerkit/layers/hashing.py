"""Values of any number as categories of a known number, by a hash."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from layerkit.dtypes import is_floating
from layerkit.errors import ArgumentError
from layerkit.fields import Check, OneOf, PositiveInt
from layerkit.ir import Array, Size, TensorType
from layerkit.layers.features import NotSparse, encoded, encoded_shape
from layerkit.layers.hashes import crossed, farmhash, hashed
from layerkit.layers.host import Numbers, _Host
from layerkit.records import dataclass

HashMode = Annotated[str, OneOf(("int", "one_hot", "multi_hot", "count"))]


@dataclass(frozen=True)
class _Salt(Check):
    """A number, or two."""

    expected: str = "a whole number, or two"

    def __call__(self, value: Any, owner: Any) -> Any:
        given = list(value) if isinstance(value, list | tuple) else [value] * 2
        if len(given) != 2 or not all(isinstance(n, int) for n in given):
            raise ValueError
        return value


class _Hashed(_Host):
    """Layers that share values out among ``num_bins`` numbers."""

    num_bins: PositiveInt
    if TYPE_CHECKING:
        output_mode: str

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.output_mode == "int" and self.dtype is not None and is_floating(self.dtype):
            raise ArgumentError(
                "numbers of categories are whole.", layer=type(self).__name__, expected='an integer dtype with output_mode="int"',
                got=self.dtype, fix="leave out dtype",
            )  # fmt: skip

    def finish(self, numbers: Array) -> Array:
        """The numbers, or what the output mode makes of them."""
        if self.output_mode == "int":
            return numbers.astype(self.kind)
        return np.asarray(encoded(numbers, self.num_bins, self.output_mode, self.kind))

    @property
    def kind(self) -> str:
        """The dtype of the output."""
        return self.dtype or ("int64" if self.output_mode == "int" else "float32")

    def infer(self, shape: tuple[Size, ...]) -> TensorType:
        return TensorType(self.kind, encoded_shape(shape, self.num_bins, self.output_mode))


_Hashed.__init__._is_declared = True  # type: ignore[attr-defined]


class Hashing(_Hashed):
    """Texts or whole numbers as numbers in [0, num_bins), the same in every run; different ones may share a number.

    Args:
        num_bins: how many numbers there are.
        mask_value: a value that always gets 0, which no other then gets.
        salt: a number, or two, for another way to share.
        output_mode: "int", or a vector as ``CategoryEncoding`` makes it.
        sparse: not available.
    Source: Weinberger et al. 2009, arXiv:0902.2206.

    Example:
        >>> Hashing(3, salt=133)(np.array(["A", "B", "C"]))
        array([0, 0, 2])
    """

    num_bins: PositiveInt
    mask_value: Any = None
    salt: Annotated[Any, _Salt()] = None
    output_mode: HashMode = "int"
    sparse: NotSparse = False

    def compute(self, inputs: Any) -> Array:
        return self.finish(Numbers(self._hash).of(inputs))

    def _hash(self, value: Any) -> int:
        if self.mask_value is None:
            return hashed(value, self.num_bins, self.salt)
        return 0 if value == self.mask_value else 1 + hashed(value, max(1, self.num_bins - 1), self.salt)


class HashedCrossing(_Hashed):
    """Pairs (or more) of categories as one: the values that stand together are hashed together.

    Shapes:
        inputs: two or more arrays of texts or whole numbers, each (batch,) or (batch, 1)
    Args:
        num_bins: how many numbers there are.
        output_mode: "int", or "one_hot" for vectors.
        sparse: not available.

    Example:
        >>> HashedCrossing(5)([np.array(["red", "red"]), np.array([1, 1])]).tolist()
        [4, 4]
    """

    num_bins: PositiveInt
    output_mode: Annotated[str, OneOf(("int", "one_hot"))] = "int"
    sparse: NotSparse = False

    def compute(self, inputs: Any) -> Array:
        shapes = [x.shape for x in inputs] if isinstance(inputs, list) else [inputs.shape]
        kinds = {x.dtype.kind for x in inputs} if isinstance(inputs, list) else set()
        if len(shapes) < 2 or len(set(shapes)) > 1 or not (len(shapes[0]) < 2 or shapes[0][1:] == (1,)) or "f" in kinds:
            raise ArgumentError(
                "features that are crossed have one shape, one value in each row, and no fractions.",
                expected="a list of two or more arrays of texts or whole numbers, each (batch,) or (batch, 1)",
                got=f"{shapes}, {sorted(kinds)}",
            )  # fmt: skip
        rows = zip(*(x.reshape(-1).tolist() for x in inputs), strict=True)
        numbers = [reduce(crossed, map(_fingerprint, row), _CROSSING_KEY) % self.num_bins for row in rows]
        return self.finish(np.asarray(numbers, "int64").reshape(shapes[0]))


_CROSSING_KEY = 0xDECAFCAFFE  # TensorFlow's


def _fingerprint(value: Any) -> int:
    return int(value) if isinstance(value, int) else farmhash(str(value).encode("utf-8"))
