"""From a graph to what runs: lowered, scheduled, compiled; or taken from the cache, where none of that is done again."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache, cached_property
from operator import itemgetter
from pathlib import Path
from typing import Literal

import numpy as np

from layerkit.dtypes import numpy_dtype
from layerkit.engines.llvm.codegen import jit
from layerkit.engines.llvm.codegen.builder import Module, Sketch
from layerkit.engines.llvm.codegen.cache import ObjectCache, key_of
from layerkit.engines.llvm.codegen.target import Target
from layerkit.engines.llvm.kernel import Buffer, Kernel
from layerkit.engines.llvm.lowering.lower import Lowering
from layerkit.engines.llvm.lowering.outline import Outline
from layerkit.engines.llvm.runtime.plan import Call, Plan, Slot, Work
from layerkit.engines.llvm.runtime.schedule import Schedule, Segment, schedule
from layerkit.ir import Array, Graph
from layerkit.ir.fingerprint import fingerprint
from layerkit.passes import Pipeline
from layerkit.records import dataclass

Detail = Literal["code", "kernels", "outline"]


class Lowered:
    """A graph as kernels in an order, with the code of all of them as text.

    Args:
        graph: after all passes.
        target: the processor.
        donated: outputs that may be written over an input.
        kept: inputs that mostly stay the same from call to call.
        detail: "code" is all; "kernels" have no code; of an "outline" loops are known roughly.
    """

    def __init__(
        self, graph: Graph, target: Target, donated: Mapping[int, int], kept: Collection[int], detail: Detail = "code"
    ) -> None:
        self.graph = graph
        self.names = tuple(sorted({name for v in graph.inputs for name in v.type.axes}))
        self.module = (Module if detail == "code" else Sketch)(target.attributes)
        lasting = set(kept) - set(donated.values())
        lowering: Lowering | Outline
        if detail == "outline":
            lowering = Outline(graph, target, self.names, donated)
        else:
            lowering = Lowering(graph, self.module, target, self.names, lasting=lasting, state=donated)
        self.kernels = lowering.kernels()
        self.schedule: Schedule = schedule(self.kernels, donated, kept)
        buffers = [use.buffer for k in self.kernels for use in (*k.reads, *k.writes)]
        self.outputs = lowering.outputs
        self.slots: dict[Buffer, int] = {b: i for i, b in enumerate(dict.fromkeys([*buffers, *self.outputs]))}
        order = [s for phase in self.schedule.phases for s in phase]
        self.works = {s: i for i, s in enumerate(order)}
        self.order = [k for s in order for k in s.kernels]
        """The kernels as they are run."""
        self.guards = [k for k in self.order if k.guard]
        self.functions = {name: i for i, name in enumerate(dict.fromkeys(k.function for k in self.kernels))}

    def plan(self) -> Plan:
        """What it takes to run it."""
        found = self.schedule
        constants: list[Array] = []
        first: dict[Buffer, int] = {}
        last: dict[Buffer, int] = {}
        copies: dict[Buffer, int] = {}
        for k, phase in sorted(found.phase_of.items(), key=itemgetter(1)):
            for use in (*k.reads, *k.writes):
                b = use.buffer
                first.setdefault(b, phase)
                last[b] = phase
                if use.chunk:
                    copies[b] = self.works[found.segment_of[k]]
        for k in self.guards:
            last[k.writes[0].buffer] = len(found.phases)  # read after the run
        slots: list[Slot] = []
        for b in self.slots:
            index = b.index
            if b.kind == "constant":
                index = len(constants)
                constants.append(b.array)
            size = b.size * numpy_dtype(b.dtype).itemsize
            slots.append(
                Slot(b.kind, index, size, first.get(b, 0), last.get(b, 0), copies.get(b, -1), b in found.lasting)
            )
        early = [k for phase in found.phases[: found.prologue] for s in phase for k in s.kernels]
        return Plan(
            self.names, tuple(self._work(s) for s in self.works), tuple(map(len, found.phases)), found.prologue, tuple(slots),
            tuple(self.slots[b] for b in self.outputs), dict(found.aliases),
            tuple(sorted({u.buffer.index for k in early for u in k.reads if u.buffer.kind == "input"})),
            tuple(tuple(self.slots[k.writes[0].buffer] for s in p for k in s.kernels if k.guard) for p in found.phases),
            tuple(self.functions), tuple(constants),
        )  # fmt: skip

    def _work(self, segment: Segment) -> Work:
        return replace(segment.work(), calls=tuple(map(self._call, segment.kernels)))

    def _call(self, kernel: Kernel) -> Call:
        uses = (*kernel.reads, *kernel.writes)
        slots = tuple(~self.slots[u.buffer] if u.chunk else self.slots[u.buffer] for u in uses)
        counted = -1 if kernel.counted is None else self.works[self._producers[kernel.counted]]
        return Call(self.functions[kernel.function], slots, counted, kernel.units if kernel.whole else -1)

    @cached_property
    def _producers(self) -> dict[Buffer, Segment]:
        return {u.buffer: self.schedule.segment_of[k] for k in self.kernels for u in k.writes}


@dataclass(frozen=True)
class Compilation:
    """A graph to be compiled, and how.

    Attributes:
        graph: as it was traced.
        pipeline: the passes that come first.
        target, donated, kept: as for ``Lowered``.
    """

    graph: Graph
    pipeline: Pipeline
    target: Target
    donated: Mapping[int, int]
    kept: Collection[int] = ()

    def lowered(self, detail: Detail = "code") -> Lowered:
        """The graph after all passes, as kernels; equal each time."""
        return Lowered(self.pipeline.run(self.graph), self.target, self.donated, self.kept, detail)

    def key(self) -> str | None:
        """A name in the cache, which tells all that plan and code depend on; None if there is something else."""
        import llvmlite

        if sources() is None or not all(_is_ours(type(node.op)) for node in self.graph.nodes()):
            return None
        how = repr((sorted(self.donated.items()), sorted(self.kept)))
        versions = f"numpy {np.__version__} llvmlite {llvmlite.__version__}"
        return key_of(fingerprint(self.graph), str(self.pipeline), how, repr(self.target), versions, sources() or "")

    def compiled(self) -> tuple[Plan, list[bytes]]:
        """The plan and the machine code, from the cache on disk as far as they are there."""
        objects, key = ObjectCache.default(), self.key()
        if key is not None and (found := objects.get(key)) is not None:
            with suppress(ValueError):
                places, _, plan = found.partition(b"\n")
                codes = [objects.get(place) for place in places.decode().split()]
                if None not in codes:
                    return Plan.decoded(plan), [code for code in codes if code is not None]
        lowered = self.lowered()
        made = lowered.plan()
        parts = jit.compiled_parts(lowered.module, made.functions, self.target)
        if key is not None:
            objects.put(key, " ".join(parts).encode() + b"\n" + made.encoded())
        return made, list(parts.values())


def _is_ours(op: type) -> bool:
    """Whether an op is part of this package, as everything else is that ``sources`` knows."""
    return op.__module__.startswith("layerkit.")


@cache
def sources() -> str | None:
    """A hash of the text of this package, on which all that it compiles depends; None where the text cannot be read."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[3]
    try:
        found = sorted(root.rglob("*.py"))
        for path in found:
            text = path.read_bytes()
            digest.update(f"{path.relative_to(root)} {len(text)}\n".encode() + text)
    except OSError:
        return None
    return digest.hexdigest() if found else None
