"""A compiled graph: native code, the memory that it works in, and how arrays get in and out."""

from __future__ import annotations

import ctypes
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from threading import Lock
from time import perf_counter
from typing import Any

import numpy as np

from layerkit.dtypes import numpy_dtype
from layerkit.engines.base import Batches, bind_sizes, check_arrays, value_bytes
from layerkit.engines.llvm import driver, jit, threads
from layerkit.engines.llvm.builder import Module
from layerkit.engines.llvm.kernel import Buffer
from layerkit.engines.llvm.lower import Lowering
from layerkit.engines.llvm.repeat import Feed, repeat
from layerkit.engines.llvm.schedule import ALIGN, Schedule, plan, schedule
from layerkit.engines.llvm.target import Target
from layerkit.errors import ArgumentError, DataError, ShapeError
from layerkit.ir import BATCH, Array, Graph, axis
from layerkit.ir.graph import Input
from layerkit.ir.types import bind

PARALLEL_NS = 100_000.0  # estimated cost from which a step is worth several threads
_WRITES = [0]  # runs so far, of all programs, that wrote over their inputs
BOUND_SIZES = 8  # batch sizes whose memory plan is kept


def address(array: Array) -> int:
    """Where the numbers of an array begin."""
    found: int = array.__array_interface__["data"][0]
    return found


class _Bound:
    """Everything that depends on the sizes of a call: where buffers lie, how many chunks there are."""

    def __init__(self, program: LLVMProgram, sizes: Mapping[str, int]) -> None:
        layout = plan(program.schedule, sizes, program.held)
        self.table = np.zeros(len(program.slots) + 1, np.uint64)
        names = program.names
        control = [self.table.ctypes.data, *(sizes[n] for n in names)]
        for segment in program.schedule.segments:
            control += segment.chunks(sizes)
        self.control = np.array(control + [0] * len(program.kernels), np.int64)
        self.counters = np.zeros(3 * threads.LINE * (len(program.schedule.phases) + 1), np.uint8)
        self.price = sum(s.price * s.chunks(sizes)[0] for s in program.schedule.segments)
        self.address = ctypes.c_void_p(self.control.ctypes.data)
        arena = program.arena(layout.size)
        for buffer, slot in program.slots.items():
            if buffer in layout.offsets:
                self.table[slot] = arena + layout.offsets[buffer]
            elif buffer.kind == "constant":
                self.table[slot] = buffer.array.ctypes.data
        self.shapes = [tuple(bind(n, sizes) for n in v.shape) for v in program.graph.outputs]
        self.input_shapes = [tuple(bind(n, sizes) for n in v.shape) for v in program.graph.inputs]
        self.pace = threads.Pace()
        self.own: list[Any] = [None] * len(self.input_shapes)
        """The arrays of the last call, or copies where those could not be used as they are."""
        self.results: list[Any] | None = None
        """The outputs that are written over inputs; None for the others."""


class Plan:
    """A graph lowered and scheduled, not yet machine code."""

    def __init__(
        self,
        graph: Graph,
        target: Target,
        donated: Mapping[int, int] | None = None,
        kept: Collection[int] = (),
        timed: bool = False,
    ) -> None:
        self.graph, self.target, self.donated, self.kept, self.is_timed = graph, target, donated, kept, timed
        axes = {name for v in graph.inputs for name in v.type.axes}
        self.names = tuple(sorted(axes))
        self.module = module = Module(target.attributes)
        lasting = set(kept) - set((donated or {}).values())
        lowering = Lowering(graph, module, target, self.names, lasting=lasting)
        kernels = lowering.kernels()
        self.schedule: Schedule = schedule(kernels, donated or {}, kept)
        self.kernels = kernels
        buffers = [use.buffer for k in kernels for use in (*k.reads, *k.writes)]
        self.slots: dict[Buffer, int] = {b: i for i, b in enumerate(dict.fromkeys([*buffers, *lowering.outputs]))}
        self.guards = [(k, k.writes[0].buffer) for k in kernels if k.guard]
        self.held = [b for _, b in self.guards]
        self.outputs = lowering.outputs
        producer = {u.buffer: self.schedule.segment_of(k) for k in kernels for u in k.writes}
        clocks = {k: i for i, k in enumerate(kernels)} if timed else None
        driver.write_step(module, target, self.schedule, self.names, self.slots, producer, clocks)

    def memory(self, sizes: Mapping[str, int]) -> int:
        """Bytes of a run: inputs, outputs that are not written over them, and the arena."""
        total = plan(self.schedule, sizes, self.held).size
        total += sum(value_bytes(v.type.bind(sizes)) for v in self.graph.inputs)
        fresh = (v for i, v in enumerate(self.graph.outputs) if i not in self.schedule.aliases)
        return total + sum(value_bytes(v.type.bind(sizes)) for v in fresh)


class LLVMProgram(Plan):
    """One native function for a graph; it serves every batch size."""

    def __init__(self, *plan: Any, **options: Any) -> None:
        super().__init__(*plan, **options)
        graph, target = self.graph, self.target
        self.text = str(self.module)
        self._library = jit.load(jit.compiled(self.text, target), target)
        self._step = self._library.function("step", ctypes.c_void_p, result=ctypes.c_int64)
        self._parallel = None if self.is_timed else self._library.address("parallel")
        self._prepare = self._library.function("prepare", ctypes.c_void_p, result=ctypes.c_int64)
        early = [k for phase in self.schedule.phases[: self.schedule.prologue] for s in phase for k in s.kernels]
        self._early = sorted({u.buffer.index for k in early for u in k.reads if u.buffer.kind == "input"})
        self._prepared: tuple[int, list[Array]] | None = None
        self._types = [v.type for v in graph.inputs]
        self._labels = [v.node.op.label for v in graph.inputs if isinstance(v.node.op, Input)]
        self._input_dtypes = [numpy_dtype(v.dtype) for v in graph.inputs]
        self._dtypes = [numpy_dtype(v.dtype) for v in graph.outputs]
        self._input_slots = [
            [s for b, s in self.slots.items() if b.kind == "input" and b.index == i] for i in range(len(graph.inputs))
        ]
        self._output_slots = [self.slots[b] for b in self.outputs]
        for output, source in self.schedule.aliases.items():
            self._input_slots[source].append(self._output_slots[output])
        self._sources = [self.schedule.aliases.get(i) for i in range(len(graph.outputs))]
        self._fresh = [(i, self._output_slots[i], d) for i, d in enumerate(self._dtypes) if self._sources[i] is None]
        self._donors = set(self.schedule.aliases.values())
        self._size_places = [self._find_size(name) for name in self.names]
        self._sampled = [i for i, v in enumerate(graph.inputs) if v.shape[:1] == (BATCH,)]
        fresh = [v for v, source in zip(graph.outputs, self._sources, strict=True) if source is None]
        is_plain = all(v.shape[:1] == (BATCH,) or not v.type.axes for v in fresh)
        self.can_repeat = is_plain and set(self.schedule.aliases) >= set(self.donated or ())
        self._lock = Lock()
        self._bound: OrderedDict[tuple[int, ...], _Bound] = OrderedDict()
        self._arena: Array = np.empty(0, np.uint8)

    def _find_size(self, name: str) -> tuple[int, int]:
        """An input and its axis that tell an unknown size."""
        for i, type_ in enumerate(self._types):
            for at, n in enumerate(type_.shape):
                if n == axis(name):
                    return i, at
        return 0, 0

    def arena(self, size: int) -> int:
        """The address of at least ``size`` bytes to work in."""
        if len(self._arena) < size + ALIGN:
            self._arena = np.empty(size + ALIGN, np.uint8)
            self._bound.clear()
            self._prepared = None
        return -(-self._arena.ctypes.data // ALIGN) * ALIGN

    def _bind(self, sizes: Mapping[str, int]) -> _Bound:
        key = tuple(sizes[n] for n in self.names)
        found = self._bound.get(key)
        if found is None:
            found = _Bound(self, sizes)
            self._bound[key] = found
            if len(self._bound) > BOUND_SIZES:
                self._bound.popitem(last=False)
        self._bound.move_to_end(key)
        return found

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        if len(arrays) != len(self._types):
            raise ArgumentError("another number of inputs.", expected=str(len(self._types)), got=str(len(arrays)))
        with self._lock:
            return self._run(arrays)

    def _run(self, arrays: Sequence[Array]) -> tuple[Array, ...]:
        bound = self._enter(arrays)
        results = self._results(bound)
        for i, slot, dtype in self._fresh:
            fresh = results[i] = np.empty(bound.shapes[i], dtype)
            bound.table[slot] = address(fresh)
        if self._start(bound):
            self._complain(bound)
        return tuple(results)

    def repeat(self, arrays: Sequence[Array], batches: Batches, key: int | None) -> tuple[Array, ...]:
        """One step for each batch, in one native call; ``Program.repeat`` says what is given and returned."""
        with self._lock:
            return self._repeat(arrays, batches, key)

    def _repeat(self, arrays: Sequence[Array], batches: Batches, key: int | None) -> tuple[Array, ...]:
        rows, first = batches.rows, slice(batches.start, batches.start + batches.rows)
        whole = {i: np.ascontiguousarray(arrays[i]) for i in self._sampled}
        given = list(arrays)
        for i, array in whole.items():
            given[i] = array[first] if batches.order is None else np.empty((rows, *array.shape[1:]), array.dtype)
        bound = self._enter(given)
        feed = Feed(batches.steps, rows)
        if key is not None:
            feed.key = address(bound.own[key])
        order = None if batches.order is None else np.ascontiguousarray(batches.order[batches.start :], np.int64)
        for i, array in whole.items():
            size = array.nbytes // max(len(array), 1)
            if order is not None:
                feed.gathers.append((address(bound.own[i]), address(array), size, address(order)))
            else:
                feed.moves += [(bound.table.ctypes.data + 8 * slot, rows * size) for slot in self._input_slots[i]]
        results = self._results(bound)
        for i, slot, dtype in self._fresh:
            is_sampled = self.graph.outputs[i].shape[:1] == (BATCH,)
            shape = bound.shapes[i]
            fresh = results[i] = np.empty((rows * batches.steps, *shape[1:]) if is_sampled else shape, dtype)
            bound.table[slot] = address(fresh)
            if is_sampled:
                feed.moves.append((bound.table.ctypes.data + 8 * slot, fresh.nbytes // batches.steps))
        failed = self._start(bound, feed)
        for i in whole:
            bound.own[i] = None  # its pointers have moved on
        if failed:
            self._complain(bound)
        return tuple(results)

    def _enter(self, arrays: Sequence[Array]) -> _Bound:
        """Let the step work on these arrays."""
        key = tuple(self._size_of(arrays, i, axis) for i, axis in self._size_places)
        bound = self._bound.get(key)
        if bound is None:
            bound = self._bind(bind_sizes(self._types, arrays, self._labels))
        own = bound.own
        changed = [i for i, a in enumerate(arrays) if a is not own[i]]
        for i in changed:
            self._take(bound, i, arrays[i])
        if not self._donors.isdisjoint(changed):
            self._separate(bound)
            bound.results = None
        return bound

    def _results(self, bound: _Bound) -> list[Any]:
        """The outputs that are written over inputs, in their places."""
        if bound.results is None:
            bound.results = [None if i is None else bound.own[i] for i in self._sources]
        return list(bound.results)

    def _start(self, bound: _Bound, feed: Feed | None = None) -> int:
        """Run the step, on several threads if it is worth it and no other step has them; 0, or not if a guard failed."""
        if self._donors:
            _WRITES[0] += 1
        if self.schedule.prologue and not self._is_prepared(bound):
            self._prepare(bound.address)
            self._prepared = _WRITES[0], [bound.own[i] for i in self._early]
        if bound.price > PARALLEL_NS and self._parallel is not None and (count := threads.threads()) > 1:
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
            return repeat(self._library.address("step"), bound.control, feed)
        result: int = self._step(bound.address)
        return result

    def _together(self, bound: _Bound, feed: Feed | None, pool: threads.Pool, count: int) -> int:
        assert self._parallel is not None
        return pool.run(self._parallel, bound.control, bound.counters, count, feed)

    def _is_prepared(self, bound: _Bound) -> bool:
        """Whether what depends on kept inputs was computed since one of them changed."""
        if self._prepared is None or self._prepared[0] != _WRITES[0]:
            return False
        return all(a is bound.own[i] for a, i in zip(self._prepared[1], self._early, strict=True))

    @staticmethod
    def _size_of(arrays: Sequence[Array], index: int, axis: int) -> int:
        shape = arrays[index].shape
        return shape[axis] if axis < len(shape) else -1

    def _take(self, bound: _Bound, index: int, array: Array) -> None:
        """Let an input be read where this array is."""
        array = np.asarray(array)
        if array.dtype != self._input_dtypes[index]:
            check_arrays([self._types[index]], [array], [self._labels[index]])
        if array.shape != bound.input_shapes[index]:
            raise ShapeError(
                f"input '{self._labels[index]}' has another shape.",
                expected=str(bound.input_shapes[index]),
                got=str(array.shape),
            )
        own = array
        is_mine = index not in self._donors or array.flags.writeable
        if not (array.flags.c_contiguous and array.flags.aligned and is_mine):
            own = np.array(array, order="C")
        bound.own[index] = own
        self._point(bound, index)

    def _point(self, bound: _Bound, index: int) -> None:
        where = address(bound.own[index])
        for slot in self._input_slots[index]:
            bound.table[slot] = where

    def _separate(self, bound: _Bound) -> None:
        """Two inputs that are one array, one of which is written: give the written one memory of its own."""
        seen = {address(a) for i, a in enumerate(bound.own) if i not in self._donors and a.size}
        for i in sorted(self._donors):
            if bound.own[i].size and address(bound.own[i]) in seen:
                bound.own[i] = bound.own[i].copy()
                self._point(bound, i)
            seen.add(address(bound.own[i]))

    def _complain(self, bound: _Bound) -> None:
        """A row number was outside its table: let the reference say which."""
        for kernel, buffer in self.guards:
            flag = ctypes.c_int64.from_address(int(bound.table[self.slots[buffer]])).value
            if flag:
                row = -(flag // 2) if flag % 2 else flag // 2 - 1
                raise DataError(
                    f"'{kernel.what}' has no row {row}.", layer=" ".join(kernel.origins) or None,
                    expected="whole numbers in [0, rows)", got=str(row),
                    fix="enlarge the table (for an Embedding: input_dim), or correct the numbers",
                )  # fmt: skip

    def explain(self, sizes: Mapping[str, int], arrays: Sequence[Array] | None = None) -> str:
        from layerkit.engines.llvm.report import table

        return table(self, sizes, arrays)

    def code(self) -> str:
        return self.text

    def timed(self) -> LLVMProgram:
        """The same program with clocks around its kernels, for one thread."""
        return LLVMProgram(self.graph, self.target, self.donated, self.kept, timed=True)

    def ticks(self) -> Array:
        """What the clocks of a timed program have counted, for each kernel, in the last size it ran for."""
        control = next(reversed(self._bound.values())).control
        return control[len(control) - len(self.kernels) :]
