"""A compiled graph: native code, the memory that it works in, and how arrays get in and out."""

from __future__ import annotations

import ctypes
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from math import prod
from operator import is_
from threading import Lock
from time import perf_counter
from typing import Any

import numpy as np

from layerkit.dtypes import numpy_dtype
from layerkit.engines.base import Batches, bind_sizes, check_arrays, value_bytes
from layerkit.engines.llvm.codegen import jit
from layerkit.engines.llvm.runtime import threads
from layerkit.engines.llvm.runtime.compilation import Compilation
from layerkit.engines.llvm.runtime.driver import Control, driver
from layerkit.engines.llvm.runtime.plan import ALIGN, Plan
from layerkit.engines.llvm.runtime.repeat import Feed, repeat
from layerkit.errors import ArgumentError, DataError, NonFiniteError, ShapeError
from layerkit.ir import BATCH, Array, Graph, axis, number
from layerkit.ir.graph import Input
from layerkit.ir.types import bind
from layerkit.ops.checks import RequireFinite

PARALLEL_NS = 100_000.0  # estimated cost from which a step is worth several threads
_WRITES = [0]  # runs so far, of all programs, that wrote over their inputs
NOTHING: Any = object()  # the state of no run
BOUND_SIZES = 8  # batch sizes whose memory plan is kept
SMALL_BYTES = 1 << 14
"""Inputs and outputs of at most so many bytes are copied: asking NumPy where an array lies takes longer."""


def address(array: Array) -> int:
    """Where the numbers of an array begin."""
    found: int = array.__array_interface__["data"][0]
    return found


def memory(plan: Plan, graph: Graph, sizes: Mapping[str, int]) -> int:
    """Bytes of a run of a planned graph: inputs, outputs that are not written over them, and the arena."""
    fresh = [v for i, v in enumerate(graph.outputs) if i not in plan.aliases]
    return plan.layout(sizes).size + sum(value_bytes(v.type.bind(sizes)) for v in (*graph.inputs, *fresh))


class _Bound:
    """Everything that depends on the sizes of a call: where buffers lie, how many chunks there are."""

    def __init__(self, program: LLVMProgram, sizes: Mapping[str, int]) -> None:
        plan = program.plan
        layout = plan.layout(sizes)
        self.control = Control(plan, sizes, program.functions, program.is_timed)
        self.table = self.control.table
        self.price = plan.price(sizes)
        self.address = ctypes.c_void_p(self.control.address)
        arena = program.arena(layout.size)
        for i, slot in enumerate(plan.slots):
            if slot.kind == "local":
                self.table[i] = arena + layout.offsets[i]
            elif slot.kind == "constant":
                self.table[i] = address(plan.constants[slot.index])
        self.shapes, self.input_shapes = (
            [tuple(number(bind(n, sizes)) for n in t.shape) for t in types]
            for types in (program.result_types, program.types)
        )
        self.pace = threads.Pace()
        self.state: tuple[Array, ...] | None = None
        """The state of the last call."""
        self.small = [
            None if i in program.lasting else _small(s, d)
            for i, (s, d) in enumerate(zip(self.input_shapes, program.input_dtypes, strict=True))
        ]
        """Memory for small inputs, which are copied."""
        self.own: list[Any] = list(self.small)
        """The arrays of the last call, or copies where those could not be used as they are."""
        self.places = [0] * len(self.own)
        """Their addresses."""
        self.results: list[Any] | None = None
        """The outputs that are written over inputs; None for the others."""
        fresh = [(i, slot, dtype, _small(self.shapes[i], dtype)) for i, slot, dtype in program.fresh]
        self.large = [(i, slot, dtype) for i, slot, dtype, memory in fresh if memory is None]
        """The others, if large: which, their place in the table, dtype."""
        self.copied = [(i, slot, memory) for i, slot, _, memory in fresh if memory is not None]
        """The small ones, which are copied: which, their place in the table, from where."""
        self.point_small(program)

    def point_small(self, program: LLVMProgram) -> None:
        """Let small inputs and outputs be read and written where they are copied."""
        for i, memory in enumerate(self.small):
            if memory is not None:
                self.table[program.input_slots[i]] = self.places[i] = address(memory)
        for _, slot, memory in self.copied:
            self.table[slot] = address(memory)


def _small(shape: Sequence[int], dtype: Any) -> Array | None:
    size = prod(shape) * np.dtype(dtype).itemsize
    return np.empty(shape, dtype) if 0 < size <= SMALL_BYTES else None


class LLVMProgram:
    """One native function for a graph; it serves every batch size."""

    def __init__(self, compilation: Compilation, timed: bool = False) -> None:
        self.compilation, self.is_timed = compilation, timed
        self.plan, codes = compilation.compiled()
        plan, graph = self.plan, compilation.graph
        self._library = jit.load(codes, compilation.target)
        self.functions = [self._library.address(name) for name in plan.functions]
        self._driver = driver()
        self._prepared: list[Array] = []
        """The kept inputs for which ``prepare`` was run last,"""
        self._known, self._writes = NOTHING, -1
        """the state that they were part of, and the number of writing runs before it."""
        self.types = [v.type for v in graph.inputs]
        self.result_types = [v.type for v in graph.outputs]
        self._labels = [v.node.op.label for v in graph.inputs if isinstance(v.node.op, Input)]
        self.input_dtypes = [numpy_dtype(t.dtype) for t in self.types]
        self.input_slots: list[list[int]] = [[] for _ in self.types]
        for i, slot in enumerate(plan.slots):
            if slot.kind == "input":
                self.input_slots[slot.index].append(i)
        for output, source in plan.aliases.items():
            self.input_slots[source].append(plan.outputs[output])
        self._sources = [plan.aliases.get(i) for i in range(len(self.result_types))]
        fresh = [(i, t) for i, t in enumerate(self.result_types) if self._sources[i] is None]
        self.fresh = [(i, plan.outputs[i], numpy_dtype(t.dtype)) for i, t in fresh]
        """Outputs that are not written over inputs: which, their place in the table, dtype."""
        self._donors = set(plan.aliases.values())
        self.lasting = {*compilation.kept, *compilation.donated.values()}
        """Inputs that are used where they are, since they come again."""
        self._size_places = [self._find_size(name) for name in plan.names]
        self._sampled = [i for i, t in enumerate(self.types) if t.shape[:1] == (BATCH,)]
        is_plain = all(t.shape[:1] == (BATCH,) or not t.axes for _, t in fresh)
        self.can_repeat = is_plain and set(plan.aliases) >= set(compilation.donated)
        self._lock = Lock()
        self._bound: OrderedDict[tuple[int, ...], _Bound] = OrderedDict()
        self._arena: Array = np.empty(0, np.uint8)

    @property
    def graph(self) -> Graph:
        """The graph after all passes."""
        return self.compilation.pipeline.run(self.compilation.graph)

    def memory(self, sizes: Mapping[str, int]) -> int:
        """Bytes of a run: inputs, outputs that are not written over them, and the arena."""
        return memory(self.plan, self.compilation.graph, sizes)

    def _find_size(self, name: str) -> tuple[int, int]:
        """An input and its axis that tell an unknown size."""
        for i, type_ in enumerate(self.types):
            for at, n in enumerate(type_.shape):
                if n == axis(name):
                    return i, at
        return 0, 0

    def arena(self, size: int) -> int:
        """The address of at least ``size`` bytes to work in."""
        if len(self._arena) < size + ALIGN:
            self._arena = np.empty(size + ALIGN, np.uint8)
            self._bound.clear()
            self._known, self._writes = NOTHING, -1
        return -(-self._arena.ctypes.data // ALIGN) * ALIGN

    def _bind(self, sizes: Mapping[str, int]) -> _Bound:
        key = tuple(sizes[n] for n in self.plan.names)
        found = self._bound.get(key)
        if found is None:
            found = _Bound(self, sizes)
            self._bound[key] = found
            if len(self._bound) > BOUND_SIZES:
                self._bound.popitem(last=False)
        self._bound.move_to_end(key)
        return found

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        if len(arrays) != len(self.types):
            raise ArgumentError("another number of inputs.", expected=str(len(self.types)), got=str(len(arrays)))
        return self.run(arrays, (), None)

    def run(self, given: Sequence[Array], state: tuple[Array, ...], key: Array | None) -> tuple[Array, ...]:
        """One step; ``Program.run`` says what is given and returned."""
        with self._lock:
            bound = self._enter(given, state, key)
            results = list(bound.results or self._results(bound))
            for i, slot, dtype in bound.large:
                results[i] = np.empty(bound.shapes[i], dtype)
                bound.table[slot] = address(results[i])
            if self._start(bound):
                self._complain(bound)
            for i, _, memory in bound.copied:
                results[i] = memory.copy()
            return tuple(results)

    def repeat(
        self, given: Sequence[Array], state: tuple[Array, ...], key: Array | None, batches: Batches
    ) -> tuple[Array, ...]:
        """One step for each batch, in one native call; ``Program.repeat`` says what is given and returned."""
        with self._lock:
            return self._repeat(given, state, key, batches)

    def _repeat(
        self, given: Sequence[Array], state: tuple[Array, ...], key: Array | None, batches: Batches
    ) -> tuple[Array, ...]:
        rows, first = batches.rows, slice(batches.start, batches.start + batches.rows)
        whole = {i: np.require(given[i], requirements=("C", "A")) for i in self._sampled}
        given = list(given)
        for i, array in whole.items():
            given[i] = array[first] if batches.order is None else np.empty((rows, *array.shape[1:]), array.dtype)
        bound = self._enter(given, state, key)
        feed = Feed(batches.steps, rows)
        if key is not None:
            feed.key = address(bound.own[-1])
        order = None if batches.order is None else np.ascontiguousarray(batches.order[batches.start :], np.int64)
        for i, array in whole.items():
            size = array.nbytes // max(len(array), 1)
            if order is not None:
                feed.gathers.append((address(bound.own[i]), address(array), size, address(order)))
            else:
                feed.moves += [(bound.table.ctypes.data + 8 * slot, rows * size) for slot in self.input_slots[i]]
                bound.table[self.input_slots[i]] = address(given[i])
        results = list(self._results(bound))
        for i, slot, dtype in self.fresh:
            is_sampled = self.result_types[i].shape[:1] == (BATCH,)
            shape = bound.shapes[i]
            fresh = results[i] = np.empty((rows * batches.steps, *shape[1:]) if is_sampled else shape, dtype)
            bound.table[slot] = address(fresh)
            if is_sampled:
                feed.moves.append((bound.table.ctypes.data + 8 * slot, fresh.nbytes // batches.steps))
        try:
            failed = self._start(bound, feed)
        finally:  # pointers have moved on, whether or not an interrupt came
            for i in whole:
                bound.own[i] = bound.small[i]
            bound.point_small(self)
        if failed:
            self._complain(bound, failed - 1)
        return tuple(results)

    def _enter(self, given: Sequence[Array], state: tuple[Array, ...], key: Array | None) -> _Bound:
        """Let the step work on these arrays."""
        bound = self._bound.get(tuple([self._size_of(given, i, axis) for i, axis in self._size_places]))
        if bound is None:
            arrays = [*given, *state, *(() if key is None else (key,))]
            bound = self._bind(bind_sizes(self.types, arrays, self._labels))
        own = bound.own
        changed = [i for i, a in enumerate(given) if a is not own[i]]
        for i in changed:
            self._take(bound, i, given[i])
        if key is not None:
            self._take(bound, len(own) - 1, key)
        if state is not bound.state or not state:
            start = len(given)
            moved = [i for i, a in enumerate(state, start) if a is not own[i]]
            for i in moved:
                self._take(bound, i, state[i - start])
            bound.state = state
            changed += moved
        if changed and not self._donors.isdisjoint(changed):
            self._separate(bound, changed)
            bound.results = None
        return bound

    def _results(self, bound: _Bound) -> list[Any]:
        """The outputs that are written over inputs, in their places."""
        if bound.results is None:
            bound.results = [None if i is None else bound.own[i] for i in self._sources]
        return bound.results

    def _start(self, bound: _Bound, feed: Feed | None = None) -> int:
        """Run the step, on several threads if it is worth it and no other step has them; 0, or not if a guard failed."""
        if self._donors:
            _WRITES[0] += 1
        if self.plan.prologue and not (self._known is bound.state and self._writes == _WRITES[0]):
            self._prepare_for(bound)
        if feed is None and bound.price <= PARALLEL_NS:
            result: int = self._driver.step(bound.address)
            return result
        if bound.price > PARALLEL_NS and not self.is_timed and (count := threads.threads()) > 1:
            pool = threads.pool()
            if pool.lock.acquire(blocking=False):
                try:
                    began = perf_counter()
                    count -= bound.pace.spared
                    return self._alone(bound, feed) if count == 1 else self._together(bound, feed, pool, count)
                finally:
                    bound.pace.took(perf_counter() - began, feed.steps if feed else 1)
                    pool.lock.release()
        return self._alone(bound, feed)

    def _alone(self, bound: _Bound, feed: Feed | None) -> int:
        if feed is not None:
            return repeat(self._driver.step_address, bound.control.numbers, feed)
        result: int = self._driver.step(bound.address)
        return result

    def _together(self, bound: _Bound, feed: Feed | None, pool: threads.Pool, count: int) -> int:
        control = bound.control
        return pool.run(self._driver.parallel_address, control.numbers, control.counters, count, feed)

    def _prepare_for(self, bound: _Bound) -> None:
        """Compute what depends on kept inputs, unless that was done since one of them changed."""
        arrays = [bound.own[i] for i in self.plan.early]
        is_same = len(arrays) == len(self._prepared) and all(map(is_, arrays, self._prepared))
        if not is_same or self._writes != _WRITES[0]:
            self._driver.prepare(bound.address)
        self._known, self._writes, self._prepared = bound.state or NOTHING, _WRITES[0], arrays

    @staticmethod
    def _size_of(arrays: Sequence[Array], index: int, axis: int) -> int:
        shape = arrays[index].shape
        return shape[axis] if axis < len(shape) else -1

    def _take(self, bound: _Bound, index: int, array: Array) -> None:
        """Let an input be read where this array is."""
        array = np.asarray(array)
        if array.dtype != self.input_dtypes[index]:
            check_arrays([self.types[index]], [array], [self._labels[index]])
        if array.shape != bound.input_shapes[index]:
            raise ShapeError(
                f"input '{self._labels[index]}' has another shape.",
                expected=str(bound.input_shapes[index]),
                got=str(array.shape),
            )
        small = bound.small[index]
        if small is not None:
            small[...] = array
            return
        own = array
        is_mine = index not in self._donors or array.flags.writeable
        if not (array.flags.c_contiguous and array.flags.aligned and is_mine):
            own = np.array(array, order="C")
        bound.own[index] = own
        self._point(bound, index)

    def _point(self, bound: _Bound, index: int) -> None:
        where = bound.places[index] = address(bound.own[index])
        for slot in self.input_slots[index]:
            bound.table[slot] = where

    def _separate(self, bound: _Bound, changed: Sequence[int]) -> None:
        """Two inputs that are one array, one of which is written: give the written one memory of its own."""
        for i in changed:
            where = bound.places[i]
            if not bound.own[i].size or bound.places.count(where) == 1:
                continue
            same = [j for j, place in enumerate(bound.places) if place == where]
            written = [j for j in same if j in self._donors]
            for j in written[1:] if len(written) == len(same) else written:
                bound.own[j] = bound.own[j].copy()
                self._point(bound, j)

    def _complain(self, bound: _Bound, done: int = 0) -> None:
        """A guard was not 0: a row number outside its table, or a number that is not finite, after ``done`` steps."""
        for place, slot in enumerate(slot for guards in self.plan.guards for slot in guards):
            flag = ctypes.c_int64.from_address(int(bound.table[slot])).value
            if flag:
                kernel = self.compilation.lowered().guards[place]
                if kernel.what == RequireFinite.name:
                    error = NonFiniteError("a number is not finite.", expected="finite numbers", got="nan or infinity")
                    error.step = done
                    raise error
                row = -(flag // 2) if flag % 2 else flag // 2 - 1
                raise DataError(
                    f"'{kernel.what}' has no row {row}.", layer=" ".join(kernel.origins) or None,
                    expected="whole numbers in [0, rows)", got=str(row),
                    fix="enlarge the table (for an Embedding: input_dim), or correct the numbers",
                )  # fmt: skip

    def explain(self, sizes: Mapping[str, int], arrays: Sequence[Array] | None = None) -> str:
        from layerkit.engines.llvm.runtime.report import table

        return table(self, sizes, arrays)

    def code(self) -> str:
        return str(self.compilation.lowered().module)

    def timed(self) -> LLVMProgram:
        """The same program, with a clock around each of its kernels, on one thread."""
        return LLVMProgram(self.compilation, timed=True)

    def ticks(self) -> Array:
        """What the clocks of a timed program have counted, for each kernel, in the last size it ran for."""
        return next(reversed(self._bound.values())).control.ticks
