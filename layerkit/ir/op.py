"""An op is a value: its static arguments are fields, its tensors are inputs.

Equal fields make interchangeable ops, so hashing, printing, sharing and saving need no code of their own. A subclass
states everything that is known of the op: its type rule (``infer``), its meaning in NumPy (``reference``), its reverse
gradient (``vjp``) and the cases that every generated test runs on (``cases``, ``bad_cases``). Engines, passes and tests
find ops through ``Op.registry``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from layerkit.errors import ShapeError
from layerkit.ir.types import Dim, Shape, Size, TensorType, bind, unify
from layerkit.records import dataclass

if TYPE_CHECKING:
    from layerkit.ir.graph import Value

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Op:
    """One operation with its static arguments."""

    name: ClassVar[str]
    registry: ClassVar[dict[str, type[Op]]] = {}
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """For a family of alike ops (``unary``): the word of each member -> the fields that select it."""
    moves: ClassVar[bool] = False
    """It passes numbers on without computing, so it takes bfloat16 and float16 as they are (see ``ops.core.apply``)."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" in cls.__dict__:
            for word in cls.presets or (cls.name,):
                assert word not in Op.registry, f"two ops are called '{word}'"
                Op.registry[word] = cls

    @property
    def word(self) -> str:
        """The word for this op in the text form of a graph."""
        return self.name

    def attributes(self) -> dict[str, Any]:
        """The fields that the word alone does not tell."""
        told = self.presets.get(self.word, {})
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in told}

    def infer(self, *inputs: TensorType) -> TensorType | tuple[TensorType, ...]:
        """The type of the output, or a tuple of them; raises when the inputs do not fit."""
        raise NotImplementedError

    def reference(self, *arrays: Array) -> Any:
        """The output computed with NumPy: the definition of meaning."""
        raise NotImplementedError

    def vjp(self, g: Any, out: Any, *inputs: Value) -> tuple[Value | None, ...]:
        """The cotangent of each input from the cotangent ``g`` of the output; None where no gradient flows.

        For an op with several outputs ``g`` and ``out`` are tuples, and ``g`` holds None where no gradient comes in.
        """
        raise NotImplementedError

    def multiply_adds(self, *inputs: TensorType) -> Size:
        """Multiply-adds of one run; products of matrices override it."""
        return 0

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """Ops with inputs for the generated tests."""
        raise NotImplementedError

    @classmethod
    def bad_cases(cls) -> Iterator[BadCase]:
        """Inputs that ``infer`` has to refuse."""
        yield from ()

    def bind(self, sizes: Mapping[str, int]) -> Op:
        """This op with unknown sizes in its fields replaced by numbers."""
        bound = {f.name: _bind(getattr(self, f.name), sizes) for f in fields(self)}
        changed = {k: v for k, v in bound.items() if v is not getattr(self, k)}
        return replace(self, **changed) if changed else self


def _bind(value: Any, sizes: Mapping[str, int]) -> Any:
    if isinstance(value, Dim):
        return bind(value, sizes)
    if isinstance(value, tuple):
        new = tuple(_bind(v, sizes) for v in value)
        return new if any(a is not b for a, b in zip(new, value, strict=True)) else value
    if hasattr(value, "bind"):
        return value.bind(sizes)
    return value


def nondifferentiable(why: str) -> Callable[..., tuple[None, ...]]:
    """A ``vjp`` through which no gradient flows, with the reason."""

    def vjp(self: Op, g: Any, out: Any, *inputs: Value) -> tuple[None, ...]:
        return (None,) * len(inputs)

    vjp.__doc__ = f"No gradient: {why}."
    return vjp


@dataclass(frozen=True)
class Case:
    """One op, or a function of ops, and the inputs that tests draw for it.

    ``domain`` bounds the drawn numbers and keeps them off kinks; ``distinct`` draws values far apart (for maxima);
    ``integers`` maps the number of an input to the half-open range of integers that it takes; ``dtypes`` fixes the
    dtype of an input that is not the one under test.
    """

    op: Op | Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    domain: tuple[float, float] = (-2.0, 2.0)
    distinct: bool = False
    integers: Mapping[int, tuple[int, int]] | None = None
    dtypes: Mapping[int, str] | None = None
    differentiable: bool = True
    label: str = ""

    def arrays(self, dtype: str, seed: int = 0) -> tuple[Array, ...]:
        """Inputs of floating ``dtype``, the same for the same seed."""
        rng = np.random.default_rng(seed)
        return tuple(self._draw(rng, i, shape, dtype) for i, shape in enumerate(self.shapes))

    def _draw(self, rng: np.random.Generator, index: int, shape: tuple[int, ...], dtype: str) -> Array:
        if self.integers and index in self.integers:
            kind = (self.dtypes or {}).get(index, "int32")
            return np.asarray(rng.integers(*self.integers[index], size=shape), dtype=kind)
        low, high = self.domain
        if self.distinct:
            count = int(np.prod(shape, dtype=int))
            numbers = np.linspace(low, high, count) + index * (high - low) / (3 * count)  # never equal between inputs
            return np.asarray(rng.permutation(numbers).reshape(shape), dtype=dtype)
        numbers = rng.uniform(low, high, shape)
        kind = (self.dtypes or {}).get(index, dtype)
        return np.asarray(numbers > (low + high) / 2 if kind == "bool" else numbers, dtype=kind)


@dataclass(frozen=True)
class BadCase:
    """Input types that ``infer`` has to refuse, with the error and what it says was expected."""

    op: Op
    types: tuple[TensorType, ...]
    error: type[Exception]
    expected: str


def broadcast_shapes(op: str, shapes: Iterable[Shape]) -> Shape:
    """The shape in which tensors of these shapes meet, by NumPy's rule."""
    shapes = list(shapes)
    rank = max(map(len, shapes), default=0)
    result: list[Size] = [1] * rank
    for shape in shapes:
        for i, size in enumerate(shape, start=rank - len(shape)):
            if result[i] == 1:
                result[i] = size
            elif size != 1:
                common = unify(result[i], size)
                if common is None:
                    raise ShapeError(
                        f"'{op}' needs shapes that broadcast.",
                        expected=f"sizes that are equal or 1 on each axis, like {show_shape(shapes[0])}",
                        got=" and ".join(map(show_shape, shapes)),
                        fix="reshape one of them, or reduce the axis that differs",
                    )
                result[i] = common
    return tuple(result)


def show_shape(shape: Iterable[Any]) -> str:
    """A shape as errors print it.

    >>> show_shape((2, 3)), show_shape((4,))
    ('(2, 3)', '(4,)')
    """
    sizes = [str(size) for size in shape]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
