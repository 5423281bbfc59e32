"""A compiled graph: native code, the memory that it works in, and how arrays get in and out."""

from __future__ import annotations

import ctypes
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from layerkit.dtypes import numpy_dtype
from layerkit.engines.base import bind_sizes, check_arrays
from layerkit.engines.llvm import driver, jit
from layerkit.engines.llvm.builder import Module
from layerkit.engines.llvm.kernel import Buffer
from layerkit.engines.llvm.lower import Lowering
from layerkit.engines.llvm.schedule import ALIGN, Layout, Schedule, plan, schedule
from layerkit.engines.llvm.target import Target
from layerkit.errors import DataError
from layerkit.ir import Array, Graph
from layerkit.ir.graph import Input
from layerkit.ir.types import bind

BOUND_SIZES = 8  # batch sizes whose memory plan is kept


class _Bound:
    """Everything that depends on the sizes of a call: where buffers lie, how many chunks there are."""

    def __init__(self, program: LLVMProgram, sizes: Mapping[str, int]) -> None:
        self.layout: Layout = plan(program.schedule, sizes, program.held)
        self.table = np.zeros(len(program.slots) + 1, np.uint64)
        names = program.names
        control = [self.table.ctypes.data, *(sizes[n] for n in names)]
        for segment in program.schedule.segments:
            control += segment.chunks(sizes)
        self.control = np.array(control, np.int64)
        self.address = ctypes.c_void_p(self.control.ctypes.data)
        arena = program.arena(self.layout.size)
        for buffer, slot in program.slots.items():
            if buffer in self.layout.offsets:
                self.table[slot] = arena + self.layout.offsets[buffer]
            elif buffer.kind == "constant":
                self.table[slot] = buffer.array.ctypes.data
        self.arena = arena
        self.shapes = [tuple(bind(n, sizes) for n in v.shape) for v in program.graph.outputs]


class LLVMProgram:
    """One native function for a graph; it serves every batch size."""

    def __init__(self, graph: Graph, target: Target, donated: Mapping[int, int] | None = None) -> None:
        self.graph = graph
        axes = {name for v in graph.inputs for name in v.type.axes}
        self.names = tuple(sorted(axes))
        module = Module(target.attributes)
        lowering = Lowering(graph, module, target, self.names)
        kernels = lowering.kernels()
        self.schedule: Schedule = schedule(kernels, donated or {})
        self.kernels = kernels
        buffers = [use.buffer for k in kernels for use in (*k.reads, *k.writes)]
        self.slots: dict[Buffer, int] = {b: i for i, b in enumerate(dict.fromkeys([*buffers, *lowering.outputs]))}
        self.guards = [(k, k.writes[0].buffer) for k in kernels if k.guard]
        self.held = [b for _, b in self.guards]
        producer = {u.buffer: self.schedule.segment_of(k) for k in kernels for u in k.writes}
        driver.write_step(module, target, self.schedule, self.names, self.slots, producer)
        self.text = str(module)
        self._library = jit.load(jit.to_object(self.text, target), target)
        self._step = self._library.function("step", ctypes.c_void_p, result=ctypes.c_int64)
        self._types = [v.type for v in graph.inputs]
        self._labels = [v.node.op.label for v in graph.inputs if isinstance(v.node.op, Input)]
        self._dtypes = [numpy_dtype(v.dtype) for v in graph.outputs]
        self._inputs = [(b, s) for b, s in self.slots.items() if b.kind == "input"]
        self._outputs = lowering.outputs
        self._bound: OrderedDict[tuple[int, ...], _Bound] = OrderedDict()
        self._arena: Array = np.empty(0, np.uint8)

    def arena(self, size: int) -> int:
        """The address of at least ``size`` bytes to work in."""
        if len(self._arena) < size + ALIGN:
            self._arena = np.empty(size + ALIGN, np.uint8)
            self._bound.clear()
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
        sizes = bind_sizes(self._types, arrays, self._labels)
        check_arrays(self._types, arrays, self._labels)
        bound = self._bind(sizes)
        given = [np.ascontiguousarray(a) for a in arrays]
        for buffer, slot in self._inputs:
            bound.table[slot] = given[buffer.index].ctypes.data
        results: list[Any] = []
        for i, (buffer, shape, dtype) in enumerate(zip(self._outputs, bound.shapes, self._dtypes, strict=True)):
            if i in self.schedule.aliases:
                own = given[self.schedule.aliases[i]]
                results.append(own if own.flags.writeable else own.copy())
            else:
                results.append(np.empty(shape, dtype))
            bound.table[self.slots[buffer]] = results[-1].ctypes.data
        for i, source in self.schedule.aliases.items():  # an input that had to be copied is read where it now is
            for buffer, slot in self._inputs:
                if buffer.index == source:
                    bound.table[slot] = results[i].ctypes.data
        stopped = self._step(bound.address)
        if stopped:
            self._complain(given, bound)
        return tuple(results)

    def _complain(self, arrays: Sequence[Array], bound: _Bound) -> None:
        raise DataError("a row number lies outside its table.", expected="whole numbers in [0, rows)")

    def explain(self) -> str:
        """The compiled steps as text."""
        lines = []
        for number, phase in enumerate(self.schedule.phases):
            for segment in phase:
                for k in segment.kernels:
                    lines.append(f"{number:3} {segment.units!s:>8} {k.function:40} {k.what} {' '.join(k.origins)}")
        return "\n".join(lines)
