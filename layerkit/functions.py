"""``function`` turns a Python function of tensors into compiled programs; ``grad`` and ``value_and_grad`` differentiate.

A function is traced once for each signature of its arguments (dtypes, shapes, everything that is not a tensor). Weights
that it reads become inputs of the program, weights that it assigns become outputs; after each call they are stored.
"""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import update_wrapper
from typing import Any

import numpy as np

from layerkit import engines, tree
from layerkit.autodiff import gradient
from layerkit.dtypes import canonical
from layerkit.engines import Batches, Engine, Program
from layerkit.errors import ArgumentError, NonFiniteError, StateError
from layerkit.ir import BATCH, Array, Graph, Value, constant, placeholder
from layerkit.ops.checks import require_finite
from layerkit.ops.core import operand
from layerkit.records import dataclass
from layerkit.trace import Trace, Weight, current, draw_seed, tracing

SIGNATURES = 32  # programs that one function keeps
_ONE = tree.flatten((0,))[1]  # the structure of one argument


@dataclass
class Traced:
    """A traced function: its graph, and how arguments, state and results map to it."""

    graph: Graph
    program: Program
    read: list[Weight]
    written: list[Weight]
    takes_key: bool
    result: Any
    trace: Trace
    _state: tuple[object, tuple[Array, ...]] = (None, ())

    def state(self) -> tuple[Array, ...]:
        """The numbers of the weights that are read: the same tuple again, as long as no weight gets another array."""
        latest = Weight.latest
        seen, arrays = self._state
        if seen is not latest:
            arrays = tuple([w.array if w._array is None else w._array for w in self.read])
            self._state = latest, arrays
        return arrays


class RandomState:
    """The seed and the number of runs so far, on which random numbers in programs depend."""

    def __init__(self, seed: int | None = None) -> None:
        self.seed = draw_seed() if seed is None else seed
        self.runs = 0

    def next(self) -> Array:
        """The key of the next run: u32[2]."""
        self.runs += 1
        return np.array([self.seed & 0xFFFFFFFF, self.runs & 0xFFFFFFFF], "uint32")


class Function:
    """A Python function compiled for each signature of its arguments; see ``function``."""

    def __init__(
        self,
        call: Callable[..., Any],
        *,
        engine: str | Engine | None = None,
        symbolic_batch: bool = False,
        training: bool = False,
        random: RandomState | None = None,
        state: Callable[[], Any] = lambda: None,
    ) -> None:
        self._call, self._engine = call, engines.get(engine)
        self._symbolic_batch, self._training, self._random = symbolic_batch, training, random
        self._state = state
        self._traced: OrderedDict[Any, Traced] = OrderedDict()
        self._recent: tuple[Any, Traced] | None = None
        update_wrapper(self, call)

    def __call__(self, *args: Any) -> Any:
        trace = current()
        if (
            len(args) == 1 and type(args[0]) is np.ndarray and trace is None
        ):  # the most common call, by the shortest way
            arrays, structure = list(args), _ONE
        else:
            leaves, structure = tree.flatten(args)
            if (trace is not None and not trace.is_eager) or any(isinstance(x, Value) for x in leaves):
                return self._call(*args)  # already inside a program: becomes part of it
            arrays = [_as_array(x) for x in leaves]
        traced = self.trace(arrays, structure)
        key = (self._random or _DEFAULT_RANDOM()).next() if traced.takes_key else None
        return self._finish(traced, traced.program.run(arrays, traced.state(), key))

    @staticmethod
    def _finish(traced: Traced, out: Sequence[Array]) -> Any:
        """Store the weights that were written; the results in their structure."""
        if not traced.written:
            return out[0] if traced.result is tree.LEAF else tree.unflatten(traced.result, out)
        count = len(out) - len(traced.written)
        for weight, array in zip(traced.written, out[count:], strict=True):
            if weight._array is not array:
                weight.store(array)
        return tree.unflatten(traced.result, out[:count])

    def repeat(self, args: Sequence[Any], batches: Batches) -> Any:
        """One call for each of ``batches`` of the rows of ``args``, by the engine alone if it can.

        Results with an axis of samples are those of all calls, others those of the last one.
        """
        leaves, structure = tree.flatten(tuple(args))
        arrays = [_as_array(x) for x in leaves]
        traced = self.trace([a[: batches.rows] for a in arrays], structure)
        if batches.steps == 1 or not traced.program.can_repeat:
            results: list[Any] = []
            for rows in batches:
                try:
                    results.append(self(*tree.unflatten(structure, [a[rows] for a in arrays])))
                except NonFiniteError as error:
                    error.step = len(results)
                    raise
            return results[0] if len(results) == 1 else _joined(results, traced.graph)
        if not traced.takes_key:
            return self._finish(traced, traced.program.repeat(arrays, traced.state(), None, batches))
        random = self._random or _DEFAULT_RANDOM()
        key = random.next()
        try:
            out = traced.program.repeat(arrays, traced.state(), key, batches)
        except NonFiniteError as error:
            random.runs += error.step
            raise
        random.runs += batches.steps - 1
        return self._finish(traced, out)

    def trace(self, arrays: Sequence[Array], structure: Any) -> Traced:
        """The traced function for arguments like these."""
        shared = 1 if self._symbolic_batch else 0
        types = tuple([(a.dtype, a.shape[shared:], a.ndim) for a in arrays])
        recent = types, structure, self._state()
        if self._recent is not None and recent == self._recent[0]:
            return self._recent[1]
        signature = (types, tree.key(structure), recent[2])
        if signature not in self._traced:
            with uncollected():
                self._traced[signature] = self._build(arrays, structure)
            if len(self._traced) > SIGNATURES:
                self._traced.popitem(last=False)
        self._traced.move_to_end(signature)
        found = self._traced[signature]
        self._recent = recent, found
        return found

    def _build(self, arrays: Sequence[Array], structure: Any) -> Traced:
        names = list(tree.describe(structure))
        given = []
        for array, name in zip(arrays, names, strict=True):
            front = (BATCH,) if self._symbolic_batch and array.ndim else array.shape[:1]
            given.append(placeholder(f"arg{name}", canonical(array.dtype), (*front, *array.shape[1:])))
        trace = Trace(training=self._training)
        with tracing(trace):
            result = self._call(*tree.unflatten(structure, given))
            leaves, returned = tree.flatten(result)
            outputs = [_as_value(x) for x in leaves]
        read, written = list(trace.inputs), list(trace.updates)
        key = () if trace.key is None else (trace.key,)
        graph = Graph(
            (*given, *trace.inputs.values(), *key),
            (*outputs, *(_as_value(v) for v in trace.updates.values())),
            getattr(self._call, "__name__", "f").strip("<>"),
        )
        # the old numbers of a weight that is written are nobody's any more
        place = {id(w): len(given) + i for i, w in enumerate(read)}
        donated = {len(outputs) + i: place[id(w)] for i, w in enumerate(written) if id(w) in place}
        return Traced(
            graph, self._engine.compile(graph, donated, place.values()), read, written, bool(key), returned, trace
        )


@contextmanager
def uncollected() -> Iterator[None]:
    """No looking for cycles while a graph grows: nearly all of it stays, and each look takes longer than the last."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


_RANDOM: list[RandomState] = []


def _DEFAULT_RANDOM() -> RandomState:
    if not _RANDOM:
        _RANDOM.append(RandomState())
    return _RANDOM[0]


def _joined(results: Sequence[Any], graph: Graph) -> Any:
    """The results of several calls: their rows, where they have rows, else those of the last."""
    parts = zip(*(tree.leaves(r) for r in results), strict=True)
    joined = [
        np.concatenate(p) if v.shape[:1] == (BATCH,) else p[-1] for v, p in zip(graph.outputs, parts, strict=False)
    ]
    return tree.unflatten(tree.flatten(results[0])[1], joined)


def _as_array(x: Any) -> Array:
    if type(x) is np.ndarray:
        return x
    if isinstance(x, Weight):
        return x.array
    array = operand(x)
    if not isinstance(array, np.ndarray):
        raise ArgumentError("an argument is no tensor.", expected="an array", got=repr(x))
    return array


def _as_value(x: Any) -> Value:
    x = operand(x)
    return x if isinstance(x, Value) else constant(x)


def function(
    call: Callable[..., Any] | None = None, *, engine: str | Engine | None = None, symbolic_batch: bool = False
) -> Any:
    """Compile a function of tensors: it runs as one program.

    Args:
        call: the function; its arguments and results are nested tuples, lists, dicts of tensors.
        engine: the name of the engine; by default the best available.
        symbolic_batch: all tensors share their first axis, and one program serves every size of it.

    Example:
        >>> @function
        ... def area(width, height):
        ...     return width * height
        >>> area(np.float32(3), np.float32(4))
        array(12., dtype=float32)
    """
    if call is None:
        return lambda call: Function(call, engine=engine, symbolic_batch=symbolic_batch)
    return Function(call, engine=engine, symbolic_batch=symbolic_batch)


def value_and_grad(
    call: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns what ``call`` returns, and its gradient by some of its arguments.

    Args:
        call: returns a float scalar; with ``has_aux`` a pair of it and anything else.
        argnums: the arguments by which to differentiate; each may be nested, and may hold weights.
        has_aux: whether ``call`` returns a pair.

    Example:
        >>> value_and_grad(lambda x: x * x * x)(np.float32(2))
        (array(8., dtype=float32), array(12., dtype=float32))
    """
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    def inside(*args: Any) -> Any:
        wanted = [args[i] for i in numbers]
        leaves, structure = tree.flatten(wanted)
        values = [x if isinstance(x, Value) else operand(x) for x in leaves]
        if not all(isinstance(v, Value) for v in values):
            raise StateError(
                "a gradient is wanted by something that is no tensor of the program.", got=repr(leaves)[:80]
            )
        given = list(args)
        for i, part in zip(numbers, tree.unflatten(structure, leaves), strict=True):
            given[i] = part
        out = call(*given)
        value = out[0] if has_aux else out
        grads = tree.unflatten(structure, gradient(operand(value), values))
        trace = current()
        if trace is not None and trace.training:  # a training step ends where what it makes small is not finite
            value = require_finite(value)
            out = (value, *out[1:]) if has_aux else value
        return (out, grads[0] if isinstance(argnums, int) else tuple(grads))

    compiled = Function(inside)

    def run(*args: Any) -> Any:
        trace = current()
        if trace is not None and not trace.is_eager:
            return inside(*args)
        leaves = tree.leaves(args)
        if any(isinstance(x, Value) for x in leaves):
            return inside(*args)
        if any(isinstance(x, Weight) for x in leaves):  # keep the handles: the trace reads them itself
            others, where = [x for x in leaves if not isinstance(x, Weight)], tree.flatten(args)[1]

            def with_weights(arrays: Any) -> Any:
                rest = iter(arrays)
                return inside(*tree.unflatten(where, (x if isinstance(x, Weight) else next(rest) for x in leaves)))

            return Function(with_weights)(others)
        return compiled(*args)

    update_wrapper(run, call)
    return run


def grad(call: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that returns the gradient of ``call`` by some of its arguments.

    Example:
        >>> grad(grad(lambda x: x * x * x))(np.float32(2))
        array(12., dtype=float32)
    """
    both = value_and_grad(call, argnums)

    def run(*args: Any) -> Any:
        return both(*args)[1]

    return update_wrapper(run, call)
