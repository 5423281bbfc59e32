"""Matrix products and convolutions of the LLVM engine on one core: GFLOP/s, and the share of the measured peak.

The peak is that of a loop of fused multiply-adds in registers, measured in the same process. A time is the least of many.

    python tests/benchmarks/kernels.py [WORD ...]        only lines that contain one of the words
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from layerkit.engines.llvm.codegen import jit
from layerkit.engines.llvm.codegen.builder import INT, Module, Reg
from layerkit.engines.llvm.codegen.machine import peak
from layerkit.engines.llvm.codegen.target import Target, host
from layerkit.engines.llvm.loops import affine
from layerkit.engines.llvm.tiles import conv, depthwise, gemm, matrices, packing
from layerkit.engines.llvm.tiles.depthwise import Sweep
from layerkit.engines.llvm.tiles.strips import Axis

RNG = np.random.default_rng(0)
SECONDS, ROUNDS = 0.06, 4  # of timing for each line


@dataclass
class Bench:
    """One line: a native kernel with its arguments."""

    name: str
    flops: float
    build: Callable[[Module, Target], str]
    sizes: Sequence[int]
    """Elements of the operands."""
    numbers: Sequence[int]
    """What follows the pointers: sizes, begin, end."""


def native(module: Module, name: str, target: Target) -> tuple[jit.Library, int]:
    """The address of a kernel of the module: ``k(args, begin, end)``, ``args`` holding pointers and sizes."""
    params = [Reg("%args", "ptr"), Reg("%begin", INT), Reg("%end", INT)]
    f = module.function(params)
    f.run(name, params)
    module.add(f, "entry", exported=True)
    library = jit.load([jit.to_object(str(module), target)], target)
    return library, library.address("entry")


def least_time(call: Callable[[], object], seconds: float = SECONDS) -> float:
    """The least time of a call."""
    best, stop = float("inf"), time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        call()
        end = time.perf_counter()
        best = min(best, end - start)
        if end > stop:
            return best


def stacked(
    name: str, front: tuple[int, ...], sizes: tuple[int, int, int], a: tuple[int, int], b: tuple[int, int]
) -> Bench:
    """Products of matrices whose rows and columns lie ``a`` and ``b`` elements apart."""
    m, k, n = sizes
    target, apart = host(), (m * max(a[0], k), n * max(b[1], k) if b[0] == 1 else k * b[0])
    left, right = (
        (affine.Affine((*(size for _ in front), *own)), size) for own, size in zip((a, b), apart, strict=True)
    )
    what = matrices.Stack(front, m, k, n, left[0], right[0], *matrices.blocks(target, "float", m, n, apart=not front))
    count = prod(front)
    return Bench(
        name, 2.0 * m * k * n * count, lambda module, target: matrices.stack(module, target, "float", what, (), 1),
        (left[1] * count, right[1] * count, m * n * count), (0, what.units),
    )  # fmt: skip


def matmuls() -> Iterator[Bench]:
    """a @ panels for (rows, inner, columns), and a.T @ b for (rows of the result, columns, inner), and stacks of products."""
    for m, k, n in (
        (128, 784, 512), (512, 512, 512), (64, 128, 512), (128, 512, 10), (6400, 32, 512), (2048, 64, 64),
        (1, 784, 512), (4, 512, 512), (32, 256, 1024), (127, 333, 509),
    ):  # fmt: skip
        yield Bench(
            f"matmul {m}x{k}x{n}", 2.0 * m * k * n,
            lambda module, target, k=k, n=n: matrices.matmul(module, target, "float", k, n, ()),
            (m * k, (n + 512) * k, m * n), (0, m),
        )  # fmt: skip
    for m, n, r in (
        (784, 512, 128), (32, 512, 6400), (128, 512, 6400), (512, 512, 512), (1024, 1024, 1024), (512, 10, 128),
        (64, 64, 2048), (100, 77, 1000), (256, 256, 2048), (256, 1024, 2048), (1024, 256, 2048), (127, 509, 333),
        (256, 64, 2048), (1000, 60, 500),
    ):  # fmt: skip
        yield stacked(f"matmul_t {m}x{n} of {r}", (), (m, r, n), (1, m), (n, 1))
    for count, (m, k, n), a, b in (
        (16, (128, 64, 128), (256, 1), (1, 256)), (16, (128, 128, 64), (128, 1), (256, 1)),
        (16, (128, 128, 64), (1, 128), (64, 1)), (16, (127, 61, 93), (61, 1), (93, 1)), (256, (16, 16, 16), (16, 1), (16, 1)),
        (64, (1, 64, 128), (64, 1), (1, 64)),
    ):  # fmt: skip
        turned = " a turned" * (a[0] == 1) + " b turned" * (b[0] == 1)
        yield stacked(f"stack {count} of {m}x{k}x{n}{turned}", (count,), (m, k, n), a, b)
    for k, n in ((784, 512), (512, 512), (64, 64), (512, 10)):
        yield Bench(
            f"pack_transposed {n}x{k} (GB/s)", 8.0 * k * n,
            lambda module, target, k=k, n=n: packing.pack_transposed(module, target, "float", k, n, ()),
            (n * k, (n + 512) * k), (0, gemm.tile(host(), "float", n).panels(n)),
        )  # fmt: skip


CONVS = (
    # images, sizes, channels, filters, window, strides, same
    (16, (32, 32), 16, 16, (3, 3), 1, True), (16, (32, 32), 16, 32, (3, 3), 2, True), (16, (16, 16), 32, 32, (3, 3), 1, True),
    (16, (16, 16), 64, 64, (3, 3), 1, True), (16, (8, 8), 64, 64, (3, 3), 1, True), (4, (28, 28), 128, 128, (3, 3), 1, True),
    (8, (7, 7), 512, 512, (3, 3), 1, True), (16, (32, 32), 3, 32, (3, 3), 1, True), (16, (28, 28), 1, 32, (5, 5), 1, True),
    (16, (14, 14), 32, 64, (5, 5), 1, True), (16, (32, 32), 16, 32, (1, 1), 2, True), (16, (32, 32), 32, 64, (1, 1), 1, True),
    (16, (1, 128), 9, 64, (1, 5), 1, False), (16, (1, 124), 64, 64, (1, 5), 1, False), (32, (4, 4), 64, 64, (3, 3), 1, True),
    (16, (28, 28), 1, 6, (5, 5), 1, True),
)  # fmt: skip


def geometry(
    sizes: tuple[int, int], channels: int, filters: int, window: tuple[int, int], stride: int, same: bool
) -> conv.Geometry:
    """A convolution as the engine sees it."""
    strides = (stride, stride) if sizes[0] > 1 else (1, stride)
    if same:
        out = [-(-n // s) for n, s in zip(sizes, strides, strict=True)]
        before = [max((o - 1) * s + k - n, 0) // 2 for n, o, s, k in zip(sizes, out, strides, window, strict=True)]
    else:
        out, before = [(n - k) // s + 1 for n, s, k in zip(sizes, strides, window, strict=True)], [0, 0]
    return conv.Geometry(sizes, (out[0], out[1]), window, strides, (1, 1), (before[0], before[1]), channels, filters, 1)


def convolutions() -> Iterator[Bench]:
    """All three directions; "input" is left out for images of one channel, where the engine has another kernel."""
    for n, sizes, c, k, window, stride, same in CONVS:
        shape = geometry(sizes, c, k, window, stride, same)
        x, y, w = n * prod(sizes) * c, n * prod(shape.out) * k, prod(window) * c * (k + 64)
        flops = 2.0 * n * prod(shape.out) * k * c * prod(window)
        name = f"{'x'.join(map(str, window))} {'x'.join(map(str, sizes))}x{c}->{k}{f' stride {stride}' * (stride > 1)}"

        def forward(module: Module, target: Target, shape: conv.Geometry = shape) -> str:
            return conv.write(
                module, target, "float", shape.forward(gemm.tile(target, "float", shape.filters).width), ()
            )

        def backward(module: Module, target: Target, shape: conv.Geometry = shape) -> str:
            return conv.write(
                module, target, "float", shape.backward(gemm.tile(target, "float", shape.channels).width)[0], ()
            )

        def kernel(module: Module, target: Target, shape: conv.Geometry = shape) -> str:
            return conv.kernel_grad(module, target, "float", shape, shape.frame(), ())

        yield Bench(f"conv        {name}", flops, forward, (x, w, y), (0, n))
        if c > 1:
            yield Bench(f"input grad  {name}", flops, backward, (y, prod(window) * k * (c + 64), x), (0, n))
        yield Bench(f"kernel grad {name}", flops, kernel, (x, y, w), (0, n))


def sweeps() -> Iterator[Bench]:
    """Depthwise convolutions, and few filters."""
    for n, size, c, k, window, stride in (
        (16, 56, 64, 64, 3, 1), (16, 28, 128, 128, 3, 1), (16, 14, 256, 256, 3, 1), (16, 7, 512, 512, 3, 1),
        (16, 28, 128, 128, 3, 2), (16, 28, 96, 96, 5, 1), (16, 32, 64, 3, 3, 1), (16, 28, 32, 1, 3, 1),
    ):  # fmt: skip
        out = -(-size // stride)
        before = max((out - 1) * stride + window - size, 0) // 2
        axes = (Axis.forward(size, out, window, stride, 1, before),) * 2
        is_dots = k < c
        sweep = Sweep(axes, 1, c, k, "dots") if is_dots else Sweep(axes, c)
        flops, w = 2.0 * n * out**2 * window**2 * (c * k if is_dots else c), window**2 * (c * k if is_dots else c)
        name = f"{window}x{window} {size}x{size}x{c}{f'->{k}' * is_dots}{f' stride {stride}' * (stride > 1)}"

        def forward(module: Module, target: Target, sweep: Sweep = sweep) -> str:
            return depthwise.write(module, target, "float", sweep, ())

        def kernel(module: Module, target: Target, sweep: Sweep = sweep) -> str:
            return depthwise.kernel_grad(module, target, "float", sweep, ())

        x, y = n * sweep.operand, n * sweep.result
        yield Bench(f"sweep       {name}", flops, forward, (x, w, y), (0, n))
        yield Bench(f"kernel grad sweep {name}", flops, kernel, (x, y, w), (0, n))


def ready(bench: Bench, target: Target) -> tuple[Callable[[], object], float]:
    """A call of the compiled kernel, and how long compiling took."""
    start = time.perf_counter()
    module = Module(target.attributes)
    name = bench.build(module, target)
    library, entry = native(module, name, target)
    compiled = time.perf_counter() - start
    arrays = [RNG.normal(size=n + 64).astype("float32") for n in bench.sizes]
    *sizes, begin, end = bench.numbers
    args = np.array([*(-(-a.ctypes.data // 64) * 64 for a in arrays), *sizes], np.int64)
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(entry)
    return lambda kept=(library, arrays): function(args.ctypes.data, begin, end), compiled  # type: ignore[misc]


def main() -> None:
    words, target = sys.argv[1:], host()
    benches = [
        b for b in (*matmuls(), *convolutions(), *sweeps()) if not words or any(word in b.name for word in words)
    ]
    calls = [ready(bench, target) for bench in benches]
    best, times = 0.0, [float("inf")] * len(benches)
    for _ in range(ROUNDS):  # apart in time, as other programs may disturb
        best = max(best, peak())
        times = [min(t, least_time(call)) for t, (call, _) in zip(times, calls, strict=True)]
    print(f"peak {best:.0f} GFLOP/s of float on one core ({target.cpu})")
    for bench, seconds, (_, compiled) in zip(benches, times, calls, strict=True):
        rate = 1e-9 * bench.flops / seconds
        print(
            f"{bench.name:44} {1e6 * seconds:9.1f} us {rate:7.1f} GFLOP/s {100 * rate / best:5.1f} %"
            f"   compiled in {1e3 * compiled:4.0f} ms"
        )


if __name__ == "__main__":
    main()
