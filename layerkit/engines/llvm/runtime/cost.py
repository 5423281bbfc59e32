"""What a step takes before it has run: its memory, from the plan, and its time, from what the machine can do.

A product takes as long as its multiplications at the share of a core's peak that kernels of its kind reach, and what is done
beside them; a loop as long as its bytes at the speed of memory, or as its arithmetic. The shares were measured over training
steps of the example specs and of all spaces that ship (docs/performance.md says how near they are met); peak and speed are
measured on the machine itself, once.
"""

from __future__ import annotations

from collections.abc import Mapping

from layerkit.engines.base import Cost
from layerkit.engines.llvm.codegen.machine import bandwidth, peak
from layerkit.engines.llvm.kernel import CHUNKS, Kernel
from layerkit.engines.llvm.runtime import threads
from layerkit.engines.llvm.runtime.compilation import Compilation, Detail, Lowered
from layerkit.engines.llvm.runtime.plan import Plan
from layerkit.engines.llvm.runtime.program import PARALLEL_NS, memory
from layerkit.engines.llvm.runtime.report import traffic
from layerkit.engines.llvm.runtime.schedule import Segment
from layerkit.ir.types import bind

SHARES = {
    "stack": 0.8, "conv_kernel_grad": 0.83, "depthwise": 0.35, "depthwise_kernel_grad": 0.28, "attend": 0.7,
    "attend_grad": 0.7,
}  # fmt: skip
"""Of a core's peak, by the first word of a kernel's function."""
SHARE = 0.9  # of products of other kinds
PRICED = {"scan": 0.9}
"""Nanoseconds of a kernel by its price, which errs to the safe side: of loops over time, whose products are small."""
OTHER = 0.75  # of what has no products
CALL_NS, PHASE_NS = 50.0, 2_000.0
"""Of one call of a kernel; and of waiting for all threads at the end of a phase."""


def predict(compilation: Compilation, sizes: Mapping[str, int], detail: Detail) -> Cost:
    """Memory and time of a run for these sizes."""
    lowered = compilation.lowered(detail)
    plan = lowered.plan()
    return Cost(memory(plan, compilation.graph, sizes), seconds(lowered, plan, sizes, threads.threads()))


def seconds(lowered: Lowered, plan: Plan, sizes: Mapping[str, int], count: int) -> float:
    """Seconds of a run on ``count`` threads."""
    if plan.price(sizes) <= PARALLEL_NS:
        count = 1
    total = 0.0
    for phase in lowered.schedule.phases[plan.prologue :]:
        took = [_nanoseconds(s, sizes) for s in phase]
        chunks = [s.work().chunks(sizes)[2] for s in phase]
        longest = max(ns / n for ns, n in zip(took, chunks, strict=True))
        total += max(sum(took) / count, longest) + (PHASE_NS if count > 1 else 0.0)
    return total / 1e9


def _nanoseconds(segment: Segment, sizes: Mapping[str, int]) -> float:
    return sum(_kernel(k, sizes) for k in segment.kernels)


def _kernel(kernel: Kernel, sizes: Mapping[str, int]) -> float:
    known = {**sizes, CHUNKS: 1}
    kind, moved = kernel.function.split(".")[0], traffic(kernel, sizes)
    flops, beside = float(bind(kernel.flops, known)), float(bind(kernel.beside, known))
    if kind in PRICED or not (flops or beside):
        took = PRICED.get(kind, OTHER) * kernel.price * float(bind(kernel.units, known))
    else:
        took = flops / (kernel.saving * SHARES.get(kind, SHARE) * peak()) + beside
    return max(took, moved / bandwidth(moved)) + CALL_NS
