"""Threads that run the chunks of a step together.

A step has, for each phase, a counter of chunks that were claimed and one of chunks that are done. Every thread claims
chunks until none is left, then waits until all are done: briefly by looking, then asleep in the kernel (futex). Nobody
waits for a thread that claimed nothing, so a core that is busy elsewhere costs little. Workers are Python threads that
stay inside one native call, without the interpreter's lock, and take part in any step that is opened to them.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from functools import cache
from threading import Lock, Thread, stack_size

import numpy as np

from layerkit.engines.llvm.codegen import jit
from layerkit.engines.llvm.codegen.builder import INT, Function, Index, Module, Reg, literal
from layerkit.engines.llvm.codegen.target import Target, available_cores, host
from layerkit.engines.llvm.runtime.repeat import Feed, repeat
from layerkit.errors import ArgumentError
from layerkit.ir import Array

VARIABLE = "LAYERKIT_NUM_THREADS"
LINE = 64  # bytes between counters, so that they lie in lines of their own
SPINS_PHASE, SPINS_JOB = 4_000, 8_000  # looks before going to sleep: some 20 and 40 microseconds
STACK = 16 << 20  # bytes for each worker: kernels hold tiles of images there, whatever the system's default is
_FUTEX = {"x86_64": 202, "AMD64": 202, "aarch64": 98, "arm64": 98}
WAIT, WAKE = 128, 129  # private to the process

# Offsets in the pool's memory, each in a line of its own
SEQUENCE, OPEN, ACTIVE, LIMIT, ASLEEP, JOB = (i * LINE for i in range(6))

I32 = "i32"


def pause(f: Function, target: Target) -> None:
    """Tell the processor that this is a loop that waits."""
    if target.triple.startswith(("x86_64", "i686", "amd64")):
        f.run("llvm.x86.sse2.pause", [])
    elif target.triple.startswith(("aarch64", "arm64")):
        f.module.declarations.add("declare void @llvm.aarch64.hint(i32 immarg)")
        f.do("call void @llvm.aarch64.hint(i32 1)")


def atomic_load(f: Function, pointer: Reg) -> Reg:
    """An i32 that other threads write."""
    return f.emit(f"load atomic i32, {pointer} seq_cst, align 4", I32)


def atomic_store(f: Function, value: Reg, pointer: Reg) -> None:
    """An i32 that other threads read."""
    f.do(f"store atomic {value}, {pointer} seq_cst, align 4")


def atomic_add(f: Function, pointer: Reg, number: int) -> Reg:
    """Add to an i32; what was there before."""
    return f.emit(f"atomicrmw add {pointer}, i32 {number} seq_cst", I32)


def sleep_while(f: Function, pointer: Reg, value: Reg) -> None:
    """Sleep until somebody wakes this place, unless it no longer holds ``value``."""
    _system(f, pointer, WAIT, value)


def wake_all(f: Function, pointer: Reg) -> None:
    """Wake everybody who sleeps at a place."""
    _system(f, pointer, WAKE, literal(2**31 - 1, I32))


def _system(f: Function, pointer: Reg, what: int, value: Reg) -> None:
    number = _FUTEX.get(platform.machine()) if sys.platform == "linux" else None
    if number is None:
        f.module.declarations.add("declare i32 @sched_yield()")
        f.emit("call i32 @sched_yield()", I32)
        return
    f.module.declarations.add("declare i64 @syscall(i64, ...)")
    f.emit(
        f"call i64 (i64, ...) @syscall(i64 {number}, {pointer}, i64 {what}, {value}, ptr null, ptr null, i32 0)", INT
    )


def wait_until(f: Function, target: Target, pointer: Reg, value: Reg, spins: int, asleep: Reg, *, equal: bool) -> None:
    """Wait until a place holds ``value`` (or, not ``equal``, something else): look ``spins`` times, then sleep."""
    k = f.number()
    before = f.block
    f.do(f"br label %look{k}")
    f.label(f"look{k}")
    f.do(f"%tries{k} = phi i64 [ 0, %{before} ], [ %more{k}, %again{k} ], [ 0, %slept{k} ]")
    now = atomic_load(f, pointer)
    done = f.compare("eq" if equal else "ne", now, value)
    f.do(f"br i1 {done.name}, label %met{k}, label %wait{k}")
    f.label(f"wait{k}")
    tired = f.compare("sge", Reg(f"%tries{k}", INT), literal(spins, INT))
    f.do(f"br i1 {tired.name}, label %sleep{k}, label %again{k}")
    f.label(f"again{k}")
    pause(f, target)
    f.do(f"%more{k} = add i64 %tries{k}, 1")
    f.do(f"br label %look{k}")
    f.label(f"sleep{k}")
    atomic_add(f, asleep, 1)
    sleep_while(f, pointer, now)
    atomic_add(f, asleep, -1)
    f.do(f"br label %slept{k}")
    f.label(f"slept{k}")
    f.do(f"br label %look{k}")
    f.label(f"met{k}")


# The pool ------------------------------------------------------------------------------------------------------------


def _at(f: Function, base: Reg, offset: Index) -> Reg:
    return f.at(base, offset, "i8")


def _write_pool(target: Target) -> str:
    """``worker(pool, index)`` and ``run(pool, step, control, counters)``."""
    module = Module(target.attributes)
    pool = Reg("%pool", "ptr")

    f = module.function([pool, Reg("%index", I32)])
    sequence, active = _at(f, pool, SEQUENCE), _at(f, pool, ACTIVE)
    f.do("br label %next")
    f.label("next")
    f.do("%last = phi i32 [ 0, %entry ], [ %seen, %left ]")
    wait_until(f, target, sequence, Reg("%last", I32), SPINS_JOB, _at(f, pool, ASLEEP), equal=False)
    f.do(f"%seen = load atomic i32, {sequence} seq_cst, align 4")
    limit = atomic_load(f, _at(f, pool, LIMIT))
    with f.when(f.compare("slt", Reg("%index", I32), limit)):
        atomic_add(f, active, 1)  # before looking whether the job is open: its owner looks the other way round
        is_open = f.compare("ne", atomic_load(f, _at(f, pool, OPEN)), literal(0, I32))
        with f.when(is_open):
            job = _at(f, pool, JOB)
            step, control, counters = (f.load(f.at(job, i, "ptr"), "ptr") for i in range(3))
            f.emit(f"call i64 {step.name}({control}, {counters})", INT)
        atomic_add(f, active, -1)
    f.do("br label %left")
    f.label("left")
    f.do("br label %next")
    f.label("unreached")
    module.add(f, "worker", exported=True)

    step, control, counters = (Reg(f"%{n}", "ptr") for n in ("step", "control", "counters"))
    f = module.function([pool, step, control, counters], INT)
    job = _at(f, pool, JOB)
    for i, value in enumerate((step, control, counters)):
        f.store(value, f.at(job, i, "ptr"))
    atomic_store(f, literal(1, I32), _at(f, pool, OPEN))
    sequence = _at(f, pool, SEQUENCE)
    atomic_add(f, sequence, 1)
    with f.when(f.compare("ne", atomic_load(f, _at(f, pool, ASLEEP)), literal(0, I32))):
        wake_all(f, sequence)
    result = f.emit(f"call i64 %step({control}, {counters})", INT)
    atomic_store(f, literal(0, I32), _at(f, pool, OPEN))
    f.do("br label %leaving")
    f.label("leaving")
    still = atomic_load(f, _at(f, pool, ACTIVE))
    pause(f, target)
    empty = f.compare("eq", still, literal(0, I32))
    f.do(f"br i1 {empty.name}, label %closed, label %leaving")
    f.label("closed")
    f.do(f"ret i64 {result.name}")
    module.add(f, "run", exported=True)
    return str(module)


class Pool:
    """Worker threads, and the native code that hands them steps."""

    def __init__(self) -> None:
        target = host()
        library = jit.load([jit.compiled(_write_pool(target), target)], target)
        self._library = library
        self._run = library.function("run", *[ctypes.c_void_p] * 4, result=ctypes.c_int64)
        self._worker = library.function("worker", ctypes.c_void_p, ctypes.c_int32)
        self._memory = np.zeros(LINE * 8, np.uint8)
        start = -(-self._memory.ctypes.data // LINE) * LINE
        self._address = start
        self.lock = Lock()
        self._started = 0

    def ensure(self, workers: int) -> None:
        """Have so many workers take part."""
        ctypes.c_int32.from_address(self._address + LIMIT).value = workers
        if self._started >= workers:
            return
        before = stack_size(STACK)
        try:
            while self._started < workers:
                Thread(
                    target=self._worker, args=(self._address, self._started), name="layerkit worker", daemon=True
                ).start()
                self._started += 1
        finally:
            stack_size(before)

    def run(self, step: int, control: Array, counters: Array, count: int, feed: Feed | None = None) -> int:
        """Run a step, or several, on ``count`` threads; the caller holds ``lock``."""
        self.ensure(count - 1)
        if feed is not None:
            return repeat(step, control, feed, (self._library.address("run"), self._address, counters))
        counters.fill(0)
        result: int = self._run(self._address, step, control.ctypes.data, counters.ctypes.data)
        return result


class Pace:
    """Whether a step goes faster on all threads, or with one core left to whoever else is busy there.

    A thread that lost its core holds up all others at the end of a phase. So now and then a few steps run the other way,
    and what was faster stays: soon after a change, ever more seldom while nothing changes.
    """

    TRIAL, SOON, SELDOM = 4, 16, 1024  # steps
    SLOWER = 1.3  # than at the last trial: time for another

    def __init__(self) -> None:
        self.spared = 0
        self._times = [0.0, 0.0]
        """Seconds of a step on all threads and on one less, lately."""
        self._is_trial = False
        self._done, self._until = 0, self.SOON
        self._wait = self.SOON
        self._usual = 0.0

    def took(self, seconds: float, steps: int) -> None:
        """So long did these steps take, with ``spared`` threads left out."""
        self._done += steps
        if self._done == 1:
            return  # the first step after a change wakes threads, or touches memory for the first time
        share = min(1.0, max(steps / 8, steps / (self._done - 1)))
        self._times[self.spared] += share * (seconds / steps - self._times[self.spared])
        if not self._is_trial:
            slower = self._usual and self._times[self.spared] > self.SLOWER * self._usual and self._done >= self.SOON
            if self._done >= self._until or slower:
                self._wait = self.SOON if slower else self._wait
                self._is_trial, self.spared, self._done = True, 1 - self.spared, 0
        elif self._done >= self.TRIAL:
            other = 1 - self.spared
            is_faster = self._times[self.spared] < self._times[other]
            self._wait = self.SOON if is_faster else min(2 * self._wait, self.SELDOM)
            self.spared = self.spared if is_faster else other
            self._is_trial, self._done, self._until = False, 1, self._wait
            self._usual = self._times[self.spared]


_THREADS: list[int] = []


@cache
def pool() -> Pool:
    """The pool of this process."""
    return Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=pool.cache_clear)  # the threads did not come along


def threads() -> int:
    """Threads that run a step: those set, else ``LAYERKIT_NUM_THREADS``, else the cores this process may use."""
    if _THREADS:
        return _THREADS[0]
    given = os.environ.get(VARIABLE, "")
    return max(1, int(given)) if given.isdigit() else available_cores()


def set_threads(count: int | None) -> None:
    """Run steps on ``count`` threads from now on; None: on the cores that this process may use.

    Results do not depend on it.

    Raises:
        ArgumentError: a number below 1.
    """
    if count is not None and (type(count) is not int or count < 1):
        raise ArgumentError("a step runs on at least one thread.", expected="a whole number >= 1", got=repr(count))
    _THREADS[:] = [] if count is None else [count]
