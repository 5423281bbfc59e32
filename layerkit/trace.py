"""State and traces: how a Python function that reads and assigns weights becomes a graph from state to state.

A ``Weight`` is a handle: identity, shape, dtype, and its present numbers. While a function is traced, reading a weight
gives a symbolic value (an input of the graph) and ``assign`` sets what it will be after the step (an output). Outside a
trace it reads as an array. Layers, optimizers and metrics keep all their state in weights, so nothing is hidden.

A ``Trace`` also carries what would otherwise be global: the mode (training or not), masks, added losses, and the key of
random numbers.
"""

from __future__ import annotations

import os
import weakref
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import field
from functools import partial
from typing import Any, ClassVar

import numpy as np

from layerkit.dtypes import canonical, numpy_dtype
from layerkit.errors import ArgumentError, ShapeError, StateError
from layerkit.ir import Arithmetic, Array, Value, placeholder
from layerkit.ops.core import operand
from layerkit.ops.operators import attach, reflected
from layerkit.records import dataclass

_TRACE: ContextVar[Trace | None] = ContextVar("trace", default=None)

Initial = Callable[[tuple[int, ...], str, "tuple[int, int]"], Any]  # (shape, dtype, seed words) -> numbers


class Weight(Arithmetic):
    """A tensor that is kept between steps."""

    __array_priority__ = 100
    latest: ClassVar[object] = object()
    """Another object whenever any weight has got another array."""

    def __init__(
        self,
        shape: Sequence[int],
        dtype: str = "float32",
        initial: Initial | None = None,
        *,
        trainable: bool = True,
        name: str = "weight",
        path: Callable[[], str] | None = None,
        seed: Callable[[], int] | None = None,
        regularizer: Any = None,
        constraint: Any = None,
    ) -> None:
        self.shape, self.dtype, self.name = tuple(int(n) for n in shape), canonical(dtype), name
        self.trainable, self.regularizer, self.constraint = trainable, regularizer, constraint
        self._initial, self._path, self._seed = initial, path, seed
        self._array: Array | None = None

    @property
    def path(self) -> str:
        """Where it is in its model: ``dense/kernel``."""
        return self._path() if self._path else self.name

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def array(self) -> Array:
        """Its numbers now; made by its initializer when first asked for. To change them assign an array, or ``assign``."""
        if self._array is None:
            if self._initial is None:
                self._array = np.zeros(self.shape, numpy_dtype(self.dtype))
            else:
                seed = (self._seed() if self._seed else 0, stream(self.path))
                numbers = np.asarray(self._initial(self.shape, self.dtype, seed), numpy_dtype(self.dtype))
                self._array = np.array(np.broadcast_to(numbers, self.shape), order="C")  # our own: programs write to it
            Weight.latest = object()
        return self._array

    @array.setter
    def array(self, numbers: Any) -> None:
        numbers = np.asarray(numbers)
        if numbers.shape != self.shape:
            raise ShapeError(
                f"weight '{self.path}' has another shape.", expected=str(self.shape), got=str(numbers.shape)
            )
        self.store(np.array(numbers, numpy_dtype(self.dtype)))

    def numpy(self) -> Array:
        """A copy of its numbers."""
        return self.array.copy()

    def store(self, array: Array) -> None:
        """Take over an array that a program returned, without a copy; programs may write to it later."""
        self._array = array
        Weight.latest = object()

    @property
    def value(self) -> Any:
        """What it is in the present trace, or its numbers outside one."""
        return self.__layerkit_value__()

    def __layerkit_value__(self) -> Any:
        trace = _TRACE.get()
        return self.array if trace is None or trace.is_eager else trace.read(self)

    def assign(self, value: Any) -> Any:
        """Set its numbers; in a trace, what it will be after the step."""
        trace = _TRACE.get()
        if trace is None or trace.is_eager:
            self.array = operand(value, self.dtype)
            return self
        value = operand(value, self.dtype)
        if tuple(value.shape) != self.shape:
            raise ShapeError(
                f"weight '{self.path}' is assigned another shape.", expected=str(self.shape), got=str(value.shape)
            )
        trace.updates[self] = value
        return self

    def assign_add(self, value: Any) -> Any:
        """Add to its numbers."""
        return self.assign(self.value + value)

    def assign_sub(self, value: Any) -> Any:
        """Subtract from its numbers."""
        return self.assign(self.value - value)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """``array + weight`` is ``weight``'s own sum; other functions of NumPy take the numbers, outside programs."""
        out = kwargs.get("out", ())
        if any(isinstance(x, Weight) for x in out):
            return NotImplemented
        found = reflected(self, ufunc, method, inputs, kwargs)
        if found is not NotImplemented:
            return found
        require_no_trace(f"numpy.{ufunc.__name__}")
        return getattr(ufunc, method)(*(x.array if isinstance(x, Weight) else x for x in inputs), **kwargs)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.array, dtype=dtype)

    def __float__(self) -> float:
        require_no_trace("float")
        return float(self.array)

    def __int__(self) -> int:
        require_no_trace("int")
        return int(self.array)

    def __getstate__(self) -> dict[str, Any]:
        """For ``pickle`` and ``copy``: its numbers and names, and no longer how they are found."""
        names = {k: partial(str, v()) for k, v in vars(self).items() if k in ("_path", "own_name") and v is not None}
        return {**vars(self), **names, "_array": self.array, "_initial": None, "_seed": None}

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<Weight {self.path} {self.dtype}{list(self.shape)}>"


attach(Weight)


@dataclass(eq=False)
class Trace:
    """A function being turned into a graph, or (``is_eager``) layers being called on arrays."""

    training: bool = False
    is_eager: bool = False
    inputs: dict[Weight, Value] = field(default_factory=dict)
    updates: dict[Weight, Any] = field(default_factory=dict)
    losses: list[Any] = field(default_factory=list)
    metrics: list[tuple[str, Any]] = field(default_factory=list)
    """Numbers that layers want in the logs, by name."""
    draws: dict[Any, int] = field(default_factory=dict)
    """How often each source of random numbers was asked."""
    key: Value | None = None
    """u32[2]: the seed and the number of this run, on which random numbers depend; an input, if anything asks for it."""

    def read(self, weight: Weight) -> Any:
        """The weight's value at this point of the function."""
        if weight in self.updates:
            return self.updates[weight]
        if weight not in self.inputs:
            self.inputs[weight] = placeholder(weight.path, weight.dtype, weight.shape)
        return self.inputs[weight]

    def random_key(self) -> Value:
        """The run's key, made an input when first asked for."""
        if self.key is None:
            self.key = placeholder("random_key", "uint32", (2,))
        return self.key


def current() -> Trace | None:
    """The trace that is under way."""
    return _TRACE.get()


@contextmanager
def tracing(trace: Trace | None) -> Iterator[Trace | None]:
    """Make ``trace`` the present one."""
    token = _TRACE.set(trace)
    try:
        yield trace
    finally:
        _TRACE.reset(token)


def stream(path: str) -> int:
    """A word of a key that depends on a path alone."""
    return zlib.crc32(path.encode())


# Masks: which elements of a tensor count. Kept beside the tensors, whether symbolic or arrays. --------------------------

_MASKS: dict[int, tuple[weakref.ref[Any], Any]] = {}


def set_mask(tensor: Any, mask: Any) -> None:
    """Say which elements of ``tensor`` count; None: all."""
    key = id(tensor)
    if mask is None:
        _MASKS.pop(key, None)
        return
    _MASKS[key] = (weakref.ref(tensor, lambda _: _MASKS.pop(key, None)), mask)


def get_mask(tensor: Any) -> Any:
    """Which elements of ``tensor`` count, or None."""
    found = _MASKS.get(id(tensor))
    return found[1] if found is not None and found[0]() is tensor else None


# The seed of everything that is not seeded on its own -----------------------------------------------------------------


@dataclass
class _Seeds:
    seed: int | None = None
    drawn: int = 0


_SEEDS = _Seeds()


def set_seed(seed: int) -> None:
    """Make everything that follows repeatable."""
    if type(seed) is bool or not isinstance(seed, int | np.integer) or seed < 0:
        raise ArgumentError("a seed is a whole number.", expected="a whole number >= 0", got=repr(seed))
    _SEEDS.seed, _SEEDS.drawn = int(seed), 0


def draw_seed() -> int:
    """A seed of 32 bits: the next of the sequence that ``set_seed`` began, or of the operating system's choice."""
    if _SEEDS.seed is None:
        return int.from_bytes(os.urandom(4), "little")  # numpy.random takes a while to load
    _SEEDS.drawn += 1
    return int(np.random.SeedSequence([_SEEDS.seed, _SEEDS.drawn]).generate_state(1)[0])


def require_no_trace(what: str) -> None:
    """Refuse a call that makes no sense while a function is traced."""
    trace = _TRACE.get()
    if trace is not None and not trace.is_eager:
        raise StateError(f"'{what}' cannot be called while a function is traced.", fix="call it outside the function")
