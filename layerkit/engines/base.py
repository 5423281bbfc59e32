"""What an engine is: it turns a graph into a program, and says beforehand which ops it can do."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from layerkit.dtypes import numpy_dtype
from layerkit.errors import DTypeError, ShapeError
from layerkit.ir import Array, Dim, Graph, Op, TensorType, number
from layerkit.ir.types import Quotient
from layerkit.passes import Pipeline
from layerkit.records import dataclass


@dataclass(frozen=True)
class Batches:
    """Equal batches one after the other: ``steps`` times ``rows`` rows from row ``start`` on, in ``order`` (i64) if given."""

    rows: int
    steps: int = 1
    start: int = 0
    order: Array | None = None

    def __iter__(self) -> Iterator[Any]:
        """What picks the rows of each batch from an array."""
        for at in range(self.start, self.start + self.rows * self.steps, self.rows):
            rows = slice(at, at + self.rows)
            yield rows if self.order is None else self.order[rows]


@dataclass(frozen=True)
class Cost:
    """What a run of a graph takes, predicted.

    Attributes:
        peak_bytes: the most memory that it holds at a time, inputs included.
        seconds: how long it takes; None where the engine has no idea.
    """

    peak_bytes: int
    seconds: float | None = None


@dataclass(frozen=True)
class Change(Op):
    """What an optimizer does to a weight, element by element, in outline: (gradient, weight, slots...) -> (weight, slots...).

    It stands for the rule in graphs that are not run, only looked at for what they take.
    """

    @property
    def word(self) -> str:
        return "change"

    def infer(self, gradient: TensorType, *state: TensorType) -> tuple[TensorType, ...]:  # type: ignore[override]
        return state


class Program(Protocol):
    """A compiled graph; one program serves every batch size."""

    graph: Graph
    can_repeat: bool
    """Whether it can run several steps by itself."""

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        """The outputs for these inputs."""

    def run(self, given: Sequence[Array], state: tuple[Array, ...], key: Array | None) -> tuple[Array, ...]:
        """The outputs for the inputs ``(*given, *state, key)``; the same tuple ``state`` means the same arrays."""

    def repeat(
        self, given: Sequence[Array], state: tuple[Array, ...], key: Array | None, batches: Batches
    ) -> tuple[Array, ...]:
        """One step for each batch, if it ``can_repeat``.

        Inputs with an axis of samples are given whole; what a step writes over an input is what the next one reads; the
        second word of ``key`` counts up. Outputs with an axis of samples hold the rows of all steps, others are those of
        the last one.
        """

    def explain(self, sizes: Mapping[str, int], arrays: Sequence[Array] | None = None) -> str:
        """What the engine made of the graph, as text; with ``arrays`` also how long its parts take."""

    def code(self) -> str:
        """The program in the engine's own language."""


class Engine(Protocol):
    """A way to run graphs."""

    name: ClassVar[str]

    def supports(self, op: Op, *inputs: TensorType) -> bool:
        """Whether the engine can run ``op`` on inputs of these types."""

    def pipeline(self) -> Pipeline:
        """The passes that prepare a graph for it."""

    def cost(
        self,
        graph: Graph,
        sizes: Mapping[str, int],
        donated: Mapping[int, int] | None = None,
        *,
        is_outline: bool = False,
    ) -> Cost:
        """What a run of ``graph`` for these sizes takes, found without running it.

        A graph that ``is_outline`` may have nodes of ``Change``; the engine then finds quickly about what it takes.
        """

    def state(self) -> str | None:
        """All that its programs and their cost depend on besides graphs: its code, the machine; None if that is not known."""

    def compile(self, graph: Graph, donated: Mapping[int, int] | None = None, kept: Collection[int] = ()) -> Program:
        """The program that computes ``graph``.

        ``donated`` maps outputs to inputs whose arrays the program may write them over, and then returns. The arrays of
        inputs in ``kept`` change only by being replaced or by programs that write over them: what depends on nothing
        else may be computed once.
        """


def value_bytes(type_: TensorType) -> int:
    """Bytes of a value whose sizes are known."""
    return number(type_.size) * numpy_dtype(type_.dtype).itemsize


def bind_sizes(types: Sequence[TensorType], arrays: Sequence[Array], labels: Sequence[str]) -> dict[str, int]:
    """The numbers of the unknown sizes, from the arrays given for inputs of these types.

    Raises:
        ShapeError: an array has another shape than its input.
    """
    sizes: dict[str, int] = {}
    for type_, array, label in zip(types, arrays, labels, strict=True):
        if len(type_.shape) != array.ndim:
            raise ShapeError(f"input '{label}' has another rank.", expected=str(type_), got=str(array.shape))
        for wanted, found in zip(type_.shape, array.shape, strict=True):
            if isinstance(wanted, Dim):
                name = wanted.terms[0][0][0]
                if len(wanted.terms) == 1 and len(wanted.terms[0][0]) == 1 and not isinstance(name, Quotient):
                    sizes.setdefault(name, found // wanted.terms[0][1])
                wanted = wanted.bind(sizes)
            if wanted != found:
                raise ShapeError(
                    f"input '{label}' has another shape.", expected=str(type_.bind(sizes)), got=str(array.shape)
                )
    return sizes


def check_arrays(types: Sequence[TensorType], arrays: Sequence[Array], labels: Sequence[str]) -> None:
    """Refuse arrays of another dtype than their inputs."""
    for type_, array, label in zip(types, arrays, labels, strict=True):
        if array.dtype.name != type_.dtype:
            raise DTypeError(f"input '{label}' has another dtype.", expected=type_.dtype, got=array.dtype.name)
