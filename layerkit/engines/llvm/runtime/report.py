"""What a program consists of, as a table: its fused ops and the layers they came from, work, memory, and measured time."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING

import numpy as np

from layerkit.dtypes import numpy_dtype
from layerkit.engines.llvm.codegen.machine import LARGEST, bandwidth, peak
from layerkit.engines.llvm.kernel import CHUNKS, Buffer, Kernel
from layerkit.ir import Array
from layerkit.ir.types import bind

if TYPE_CHECKING:
    from layerkit.engines.llvm.runtime.program import LLVMProgram

REPEATS = 5


def table(program: LLVMProgram, sizes: Mapping[str, int], arrays: Sequence[Array] | None = None) -> str:
    """The kernels of a program in their order; with ``arrays`` also how long each takes on one thread."""
    from rich.console import Console
    from rich.table import Table

    known = {**sizes, CHUNKS: 1}
    lowered = program.compilation.lowered()
    seconds = measure(program, lowered.order, arrays) if arrays is not None else {}
    shown = Table(title=f"{lowered.graph.name} for {_named(sizes)}", title_justify="left")
    for column in ("Phase", "Ops", "Layers", "MFLOP", "MB"):
        shown.add_column(column, justify="right" if column in ("Phase", "MFLOP", "MB") else "left")
    if seconds:
        for column in ("us", "GFLOP/s", "GB/s", "of peak"):
            shown.add_column(column, justify="right")
    last = -1
    for k in sorted(lowered.kernels, key=lambda k: lowered.schedule.phase_of[k]):
        phase = lowered.schedule.phase_of[k]
        flops, moved = float(bind(k.flops, known)), traffic(k, sizes)
        row = [
            str(phase) if phase != last else "",
            k.what,
            " ".join(k.origins),
            f"{flops / 1e6:.2f}" if flops else "",
            f"{moved / 1e6:.2f}",
        ]
        if seconds:
            took = max(seconds[k], 1e-9)
            rate = flops / took / 1e9
            row += [
                f"{took * 1e6:.1f}",
                f"{rate:.0f}" if flops else "",
                f"{moved / took / 1e9:.1f}",
                f"{rate / peak():.0%}" if flops else f"{moved / took / 1e9 / bandwidth(moved):.0%}",
            ]
        shown.add_row(*row)
        last = phase
    out = StringIO()
    console = Console(file=out, width=140 if seconds else 100, force_terminal=False)
    console.print(shown)
    arena = program.plan.layout(sizes).size
    console.print(
        f"{len(lowered.kernels)} kernels in {len(program.plan.phases)} phases, {program.plan.prologue} of them only when "
        f"weights change; arena {arena / 1e6:.2f} MB, all in all {program.memory(sizes) / 1e6:.2f} MB",
        highlight=False,
    )
    if seconds:
        total = sum(seconds.values())
        flops = sum(float(bind(k.flops, known)) for k in lowered.kernels)
        console.print(
            f"one thread: {total * 1e3:.3f} ms, {flops / total / 1e9:.0f} GFLOP/s; measured peak of a core {peak():.0f} GFLOP/s; "
            f"kernels without products: share of a plain loop's GB/s over as many bytes ({bandwidth(LARGEST):.0f} from memory)",
            highlight=False,
        )
    return out.getvalue().rstrip("\n")


def _named(sizes: Mapping[str, int]) -> str:
    names = {"b": "batch size"}
    return ", ".join(f"{names.get(k, k)} {v}" for k, v in sizes.items()) or "known sizes"


def buffer_bytes(buffer: Buffer, sizes: Mapping[str, int]) -> int:
    """Bytes of a buffer."""
    count = bind(buffer.size, sizes)
    assert isinstance(count, int)
    return count * numpy_dtype(buffer.dtype).itemsize


def traffic(kernel: Kernel, sizes: Mapping[str, int]) -> int:
    """Bytes of all tensors that a kernel reads and writes, each once."""
    return sum(buffer_bytes(b, {**sizes, CHUNKS: 1}) for b in {u.buffer for u in (*kernel.reads, *kernel.writes)})


def measure(program: LLVMProgram, kernels: Sequence[Kernel], arrays: Sequence[Array]) -> dict[Kernel, float]:
    """Seconds that each kernel of a program, in their order, takes on one thread; the arrays stay as they are."""
    timed = program.timed()
    copies = [np.array(a) for a in arrays]
    best: dict[int, float] = {}
    timed(*copies)
    for _ in range(REPEATS):
        ticks = timed.ticks()
        ticks[:] = 0
        start = time.perf_counter()
        timed(*copies)
        spent = time.perf_counter() - start
        total = max(1, int(timed.ticks().sum()))
        for i, count in enumerate(timed.ticks()):
            best[i] = min(best.get(i, float("inf")), spent * int(count) / total)
    return {k: best[i] for i, k in enumerate(kernels)}
