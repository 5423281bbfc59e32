"""What this machine can do at most, measured: multiplications of a core, and bytes between a core and its memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from ctypes import c_int64, c_void_p
from functools import cache

import numpy as np

from layerkit.engines.llvm.codegen import jit
from layerkit.engines.llvm.codegen.builder import INT, Module, Reg, literal, vector
from layerkit.engines.llvm.codegen.cache import ObjectCache, key_of
from layerkit.engines.llvm.codegen.target import host

SMALLEST, LARGEST = 1 << 20, 1 << 27  # bytes between which the speed of memory is measured
FEWEST, ENOUGH_S = 6, 0.02  # repeats of a measurement, of which the fastest counts; after so long there are no more
CLOCKS = (time.thread_time, time.perf_counter)
"""That of the processor, since what is measured once is kept, and others may be at work meanwhile; where it ticks too seldom
to see a call, that of the wall."""


@cache
def peak() -> float:
    """GFLOP/s of one core that does nothing but multiply and add in float32."""
    return _known("peak", _peak)


def _peak() -> float:
    target = host()
    lanes, chains, turns = target.lanes(4), 12, 100_000
    module = Module(target.attributes)
    f = module.function([Reg("%out", "ptr"), Reg("%n", INT)])
    kind = vector("float", lanes)
    factor = literal(0.999, kind)
    with f.loop(0, f.params[1], 1, [literal(float(i), kind) for i in range(chains)]) as loop:
        loop.next = [f.fma(x, factor, factor) for x in loop.carried]
    total = loop.results[0]
    for x in loop.results[1:]:
        total = f.binary("fadd", total, x)
    f.store(total, f.params[0])
    module.add(f, "peak", exported=True)
    run = jit.load([jit.compiled(str(module), target)], target).function("peak", c_void_p, c_int64)
    out = np.zeros(lanes, "float32")
    return 2.0 * lanes * chains * turns / _least(lambda: run(out.ctypes.data, turns)) / 1e9


def bandwidth(moved: int) -> float:
    """GB/s of one core that adds two arrays into a third, all three ``moved`` bytes together.

    Measured for some sizes, each 4 times the last, up to ``LARGEST``, and taken for the next: small arrays stay in a cache.
    """
    size = SMALLEST
    while size < min(moved, LARGEST):
        size = min(4 * size, LARGEST)
    return _bandwidth(size)


@cache
def _bandwidth(size: int) -> float:
    return _known(f"bandwidth {size}", lambda: _added(size))


def measure_again() -> None:
    """Forget what was measured: a machine may have been busy meanwhile."""
    for clear in (peak.cache_clear, _bandwidth.cache_clear):
        clear()
    _FORGOTTEN.append(True)


_FORGOTTEN: list[bool] = []
"""Not empty: what is on disk is no longer read."""


def _known(what: str, measure: Callable[[], float]) -> float:
    """A figure of this processor, measured once and kept beside compiled code."""
    target, objects = host(), ObjectCache.default()
    key = key_of("machine, measured by its processor's time", what, target.triple, target.cpu, target.features)
    data = None if _FORGOTTEN else objects.get(key)
    if data is not None:
        with suppress(ValueError):
            return float(data)
    found = measure()
    objects.put(key, repr(found).encode())
    return found


@cache
def _addition() -> tuple[Callable[..., int], int]:
    """Code that adds two arrays of float32 into a third, so many elements at a time."""
    target = host()
    lanes, vectors = target.lanes(4), 4
    module = Module(target.attributes)
    f = module.function([*(Reg(f"%{name}", "ptr") for name in "abc"), Reg("%n", INT)])
    kind = vector("float", lanes)
    with f.loop(0, f.params[3], lanes * vectors) as loop:
        for v in range(vectors):
            a, b, c = (f.at(f.at(p, loop.index, "float"), v * lanes, "float") for p in f.params[:3])
            f.store(f.binary("fadd", f.load(a, kind), f.load(b, kind)), c)
    module.add(f, "add", exported=True)
    code = jit.load([jit.compiled(str(module), target)], target)
    return code.function("add", *[c_void_p] * 3, c_int64), lanes * vectors


def _added(size: int) -> float:
    run, step = _addition()
    count = size // 12 // step * step
    arrays = [np.ones(count, "float32") for _ in range(3)]
    places = [x.ctypes.data for x in arrays]
    repeats = max(1, (1 << 22) // size)

    def several() -> None:
        for _ in range(repeats):
            run(*places, count)

    return 12.0 * count * repeats / _least(several) / 1e9


def _least(call: Callable[[], object]) -> float:
    """Seconds of the fastest of some calls."""
    least = 0.0
    for clock in CLOCKS:
        took: list[float] = []
        while len(took) < FEWEST or (len(took) < 2 * FEWEST and sum(took) < ENOUGH_S):
            start = clock()
            call()
            took.append(clock() - start)
        least = min(took)
        if least > 0:
            break
    return least
