"""Measuring register tiles on this machine, for whoever asks (``layerkit tune``): a choice that is kept beside compiled code.

``codegen/tuner.py`` chooses by a model of the registers, which on the processors it was checked on is as good as any
measurement. On others a measurement may do better; it can do no harm to results, as a tile changes no bit of them.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from layerkit.engines.llvm.codegen import jit, tuner
from layerkit.engines.llvm.codegen.builder import Module
from layerkit.engines.llvm.codegen.target import Target
from layerkit.engines.llvm.codegen.tuner import Choice
from layerkit.engines.llvm.tiles import conv
from layerkit.engines.llvm.tiles.conv import Geometry
from layerkit.records import dataclass

IMAGES, SIZE, CHANNELS = 2, 16, 64  # of what is measured: a convolution, and its gradient by the kernel
SECONDS, CALLS = 0.01, 8  # for each tile, at least
GAIN = 1.03  # times as fast as the model's choice: less may be chance


@dataclass(frozen=True)
class Measured:
    """One height of tile.

    Attributes:
        vectors, rows: the tile.
        forward, backward: GFLOP/s in form "n" and "t".
    """

    vectors: int
    rows: int
    forward: float
    backward: float


def measure(target: Target) -> Iterator[Measured]:
    """GFLOP/s of all tiles near those that the model chooses."""
    for choice in tuner.model(target.registers):
        near = {choice.rows + d for d in (-2, -1, 0, 1, 2)} | {choice.rows_t + d for d in (-2, -1, 0, 1, 2)}
        for rows in sorted(r for r in near if r > 0):
            yield Measured(choice.vectors, rows, *_rates(target, choice.vectors, rows))


def best(target: Target, found: list[Measured]) -> tuple[Choice, ...]:
    """The model's tiles, but for those that another height beats clearly.

    >>> from layerkit.engines.llvm.codegen.target import host
    >>> slow = [Measured(c.vectors, r, 50.0, 50.0) for c in tuner.model(32) for r in (c.rows, c.rows_t)]
    >>> best(replace(host(), registers=32), [*slow, Measured(4, 5, 60.0, 51.0)])[3]
    Choice(vectors=4, rows=5, rows_t=6)
    """
    chosen = []
    for choice in tuner.model(target.registers):
        forward = {m.rows: m.forward for m in found if m.vectors == choice.vectors}
        backward = {m.rows: m.backward for m in found if m.vectors == choice.vectors}
        chosen.append(Choice(choice.vectors, _height(forward, choice.rows), _height(backward, choice.rows_t)))
    return tuple(chosen)


def _height(rates: dict[int, float], usual: int) -> int:
    fastest = max(rates, key=lambda rows: rates[rows])
    return fastest if rates[fastest] > GAIN * rates[usual] else usual


def _rates(target: Target, vectors: int, rows: int) -> tuple[float, float]:
    """GFLOP/s of a convolution and of its gradient by the kernel, with as many filters as a tile has columns."""
    odd = replace(target, tiles=tuple(Choice(v + 1, rows, rows) for v in range(vectors)))
    filters = target.lanes(4) * vectors
    size = (SIZE, SIZE)
    shape = Geometry(size, size, (3, 3), (1, 1), (1, 1), (1, 1), CHANNELS, filters, 1)
    module = Module(target.attributes)
    names = [
        conv.write(module, odd, "float", shape.forward(filters), ()),
        conv.kernel_grad(module, odd, "float", shape, shape.frame(), ()),
    ]
    module.export("kernels", names)
    library = jit.load([jit.to_object(str(module), target)], target)
    table = (ctypes.c_void_p * 2).from_address(library.address("kernels"))
    x, y, w = (
        np.ones(n + 64, "float32")
        for n in (IMAGES * SIZE * SIZE * CHANNELS, IMAGES * SIZE * SIZE * filters, 9 * CHANNELS * filters)
    )
    flops = 2.0 * IMAGES * SIZE * SIZE * filters * CHANNELS * 9
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    rates = []
    for address, arrays in zip(table, ((x, w, y), (x, y, w)), strict=True):
        pointers = np.array([a.ctypes.data for a in arrays], np.int64)
        rates.append(flops / _least(call(address), pointers.ctypes.data) / 1e9)
    return rates[0], rates[1]


def _least(call: Callable[[int, int, int], object], arguments: int) -> float:
    """The least seconds of a call."""
    times: list[float] = []
    while len(times) < CALLS or sum(times) < SECONDS:
        start = time.perf_counter()
        call(arguments, 0, IMAGES)
        times.append(time.perf_counter() - start)
    return min(times)
