"""What runs a step: native code, the same for all programs, that takes chunks through their kernels as a list says.

``prepare(control)`` does what depends on kept inputs only; ``step(control)`` runs all other chunks in order on the calling
thread, ``parallel(control, counters)`` on all threads that call it. They return 0, or the number of the phase (from 1)
whose guard was not 0: nothing after that phase has run. ``Control`` writes the list that they read.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from layerkit.engines.llvm.codegen import jit
from layerkit.engines.llvm.codegen.builder import INT, Function, Module, Reg, literal
from layerkit.engines.llvm.codegen.target import Target, host
from layerkit.engines.llvm.runtime import threads
from layerkit.engines.llvm.runtime.plan import Plan
from layerkit.ir.types import bind

# The list, all i64: the head, then the records of phases, works, calls, arguments, guards. A phase has a range of works and
# one of guards, a work one of calls, a call one of arguments. An argument is an entry of the table and the bytes by which
# each chunk goes on from there.
HEAD = PHASES, WORKS, CALLS, ARGUMENTS, GUARDS, TABLE, TICKS, PROLOGUE, END, MOST = tuple(range(10))
PHASE = FIRST_WORK, LAST_WORK, FIRST_GUARD, LAST_GUARD, ALL_CHUNKS = tuple(range(5))
WORK = UNITS, GRAIN, CHUNKS, FIRST_CALL, LAST_CALL = tuple(range(5))
CALL = FUNCTION, FIRST_ARGUMENT, LAST_ARGUMENT, WHOLE = tuple(range(4))
ARGUMENT = ENTRY, SHARE = tuple(range(2))


class Control:
    """The list for a plan and the sizes of a call.

    Attributes:
        table: the addresses of the plan's buffers, to be filled in; behind them numbers that kernels are given.
        numbers: the list.
        counters: memory for ``parallel``, zeros.
        ticks: what each kernel has taken, if it is ``timed``.
    """

    def __init__(self, plan: Plan, sizes: Mapping[str, int], functions: Sequence[int], timed: bool) -> None:
        chunks = [work.chunks(sizes) for work in plan.works]
        values = [*(sizes[n] for n in plan.names), *(count for _, _, count in chunks)]
        first_size = len(plan.slots)
        first_count = first_size + len(plan.names)
        self.table = np.array([0] * first_size + values, np.uint64)
        given = [(first_size + i, 0) for i in range(len(plan.names))]
        shares = [bind(slot.size, sizes) if slot.copies >= 0 else 0 for slot in plan.slots]

        phases: list[tuple[int, ...]] = []
        works: list[tuple[int, ...]] = []
        calls: list[tuple[int, ...]] = []
        arguments: list[tuple[Any, ...]] = []
        for count, guards in zip(plan.phases, plan.guards, strict=True):
            start, before = len(works), phases[-1][LAST_GUARD] if phases else 0
            for work in plan.works[start : start + count]:
                works.append((*chunks[len(works)], len(calls), len(calls) + len(work.calls)))
                for call in work.calls:
                    begin = len(arguments)
                    arguments += [(i, 0) if i >= 0 else (~i, shares[~i]) for i in call.slots]
                    arguments += given
                    if call.counted >= 0:
                        arguments.append((first_count + call.counted, 0))
                    units = bind(call.units, sizes)
                    calls.append((functions[call.function], begin, len(arguments), units))  # type: ignore[arg-type]
            total = sum(n for _, _, n in chunks[start : start + count])
            phases.append((start, start + count, before, before + len(guards), total))
        self.ticks = np.zeros(len(calls), np.int64)
        parts = [phases, works, calls, arguments, [(slot,) for guards in plan.guards for slot in guards]]
        at = len(HEAD)
        starts: list[int] = []
        flat: list[int] = []
        for part in parts:
            starts.append(at + len(flat))
            flat += [n for record in part for n in record]
        self.numbers = np.array([0] * at + flat, np.int64)
        self.address = self.numbers.ctypes.data
        most = max((c[LAST_ARGUMENT] - c[FIRST_ARGUMENT] for c in calls), default=0)
        self.numbers[:at] = [
            *(self.address + 8 * start for start in starts), self.table.ctypes.data,
            self.ticks.ctypes.data if timed else 0, plan.prologue, len(phases), most,
        ]  # fmt: skip
        self.counters = np.zeros(3 * threads.LINE * (len(phases) + 1), np.uint8)


class Driver:
    """The native code."""

    def __init__(self, target: Target) -> None:
        self._library = jit.load([jit.compiled(_write(target), target)], target)
        self.prepare = self._library.function("prepare", ctypes.c_void_p, result=ctypes.c_int64)
        self.step = self._library.function("step", ctypes.c_void_p, result=ctypes.c_int64)
        self.step_address, self.parallel_address = map(self._library.address, ("step", "parallel"))


@cache
def driver() -> Driver:
    """The driver of this process."""
    return Driver(host())


def _write(target: Target) -> str:
    module = Module(target.attributes)
    chunk = _write_chunk(module)
    _write_step(module, target, chunk, "prepare", lambda f: (f.reg(0), _head(f, PROLOGUE, INT)))
    _write_step(module, target, chunk, "step", lambda f: (_head(f, PROLOGUE, INT), _head(f, END, INT)))
    _write_parallel(module, target, chunk)
    return str(module)


_CONTROL = Reg("%control", "ptr")


def _head(f: Function, which: int, type_: str = "ptr") -> Reg:
    return f.load(f.at(_CONTROL, which, INT), type_)


def _record(f: Function, base: Reg, index: Reg, kind: tuple[int, ...]) -> Reg:
    return f.at(base, f.mul(index, len(kind)), INT)


def _field(f: Function, record: Reg, which: int, type_: str = INT) -> Reg:
    return f.load(f.at(record, which, INT), type_)


def _write_chunk(module: Module) -> str:
    """``chunk(control, work, number)`` takes one chunk through the kernels of a work."""
    work, number = Reg("%work", "ptr"), Reg("%number", INT)
    f = module.function([_CONTROL, work, number])
    memory, before = f.emit(f"alloca i64, {_head(f, MOST, INT)}", "ptr"), f.emit("alloca i64", "ptr")
    table, calls, arguments, ticks = (_head(f, i) for i in (TABLE, CALLS, ARGUMENTS, TICKS))
    is_timed = f.compare("ne", f.emit(f"ptrtoint {ticks} to i64", INT), literal(0, INT))
    units, grain = _field(f, work, UNITS), _field(f, work, GRAIN)
    begin = f.mul(number, grain)
    end = f.min(f.add(begin, grain), units)
    f.do("br label %start")
    f.label("start")
    with f.loop(_field(f, work, FIRST_CALL), _field(f, work, LAST_CALL)) as turn:
        call = _record(f, calls, turn.index, CALL)
        first = _field(f, call, FIRST_ARGUMENT)
        with f.loop(0, f.sub(_field(f, call, LAST_ARGUMENT), first)) as each:
            argument = _record(f, arguments, f.reg(f.add(first, each.index)), ARGUMENT)
            value = f.load(f.at(table, _field(f, argument, ENTRY), INT), INT)
            value = f.reg(f.add(value, f.mul(number, _field(f, argument, SHARE))))
            f.store(value, f.at(memory, each.index, INT))
        whole = _field(f, call, WHOLE)
        is_whole = f.compare("sge", whole, literal(0, INT))
        low, high = f.select(is_whole, f.reg(0), f.reg(begin)), f.select(is_whole, whole, f.reg(end))
        function = _field(f, call, FUNCTION, "ptr")
        with f.when(is_timed):
            f.store(f.call("llvm.readcyclecounter", [], INT), before)
        f.do(f"call void {function.name}({memory}, {low}, {high})")
        with f.when(is_timed):
            spent = f.sub(f.call("llvm.readcyclecounter", [], INT), f.load(before, INT))
            place = f.at(ticks, turn.index, INT)
            f.store(f.reg(f.add(f.load(place, INT), spent)), place)
    return module.add(f, "chunk")


def _write_step(
    module: Module, target: Target, chunk: str, name: str, bounds: Callable[[Function], tuple[Reg, Reg]]
) -> None:
    """A function that runs a range of phases on the calling thread."""
    f = module.function([_CONTROL], INT)
    restore = flush_subnormals(f, target)
    phases, works = _head(f, PHASES), _head(f, WORKS)
    first, last = bounds(f)
    f.do("br label %start")
    f.label("start")
    with f.loop(first, last) as turn:
        phase = _record(f, phases, turn.index, PHASE)
        with f.loop(_field(f, phase, FIRST_WORK), _field(f, phase, LAST_WORK)) as each:
            work = _record(f, works, each.index, WORK)
            with f.loop(0, _field(f, work, CHUNKS)) as part:
                f.run(chunk, [_CONTROL, work, part.index])
        _stop_if_guarded(f, phase, turn.index, restore)
    restore(f)
    f.do("ret i64 0")
    module.add(f, name, exported=True)


def _write_parallel(module: Module, target: Target, chunk: str) -> None:
    """``parallel(control, counters)``: what ``step`` does, for any number of threads that call it at once.

    ``counters`` are zeros: for each phase three lines of memory, chunks claimed, chunks done, threads asleep.
    """
    counters = Reg("%counters", "ptr")
    f = module.function([_CONTROL, counters], INT)
    restore = flush_subnormals(f, target)
    phases, works, first = _head(f, PHASES), _head(f, WORKS), _head(f, PROLOGUE, INT)
    last = _head(f, END, INT)
    f.do("br label %start")
    f.label("start")
    with f.loop(first, last) as turn:
        phase = _record(f, phases, turn.index, PHASE)
        base = f.at(counters, f.mul(f.sub(turn.index, first), 3 * threads.LINE), "i8")
        claimed, done, asleep = (f.at(base, i * threads.LINE, "i8") for i in range(3))
        wanted = f.convert("trunc", _field(f, phase, ALL_CHUNKS), "i32")
        first_work = _field(f, phase, FIRST_WORK)
        f.do("br label %claim")
        f.label("claim")
        mine = threads.atomic_add(f, claimed, 1)
        is_some = f.compare("slt", mine, wanted)
        f.do(f"br i1 {is_some.name}, label %some, label %rest")
        f.label("some")
        number = f.convert("sext", mine, INT)
        f.do("br label %find")
        f.label("find")  # the work that the chunk belongs to
        at, left = Reg("%at", INT), Reg("%left", INT)
        f.do(f"%at = phi i64 [ {first_work.name}, %some ], [ %at.next, %skip ]")
        f.do(f"%left = phi i64 [ {number.name}, %some ], [ %left.next, %skip ]")
        work = _record(f, works, at, WORK)
        count = _field(f, work, CHUNKS)
        f.do(f"br i1 {f.compare('slt', left, count).name}, label %found, label %skip")
        f.label("skip")
        f.do("%at.next = add i64 %at, 1")
        f.do(f"%left.next = sub i64 %left, {count.name}")
        f.do("br label %find")
        f.label("found")
        f.run(chunk, [_CONTROL, work, left])
        before = threads.atomic_add(f, done, 1)
        is_last = f.compare("eq", f.binary("add", before, literal(1, "i32")), wanted)
        is_awaited = f.compare("ne", threads.atomic_load(f, asleep), literal(0, "i32"))
        with f.when(f.binary("and", is_last, is_awaited)):
            threads.wake_all(f, done)
        f.do("br label %claim")
        f.label("rest")
        threads.wait_until(f, target, done, wanted, threads.SPINS_PHASE, asleep, equal=True)
        _stop_if_guarded(f, phase, turn.index, restore)
    restore(f)
    f.do("ret i64 0")
    module.add(f, "parallel", exported=True)


def _stop_if_guarded(f: Function, phase: Reg, number: Reg, restore: Callable[[Function], None]) -> None:
    guards, table = _head(f, GUARDS), _head(f, TABLE)
    with f.loop(_field(f, phase, FIRST_GUARD), _field(f, phase, LAST_GUARD)) as turn:
        slot = f.load(f.at(guards, turn.index, INT), INT)
        flag = f.load(f.load(f.at(table, slot, "ptr"), "ptr"), INT)
        with f.when(f.compare("ne", flag, literal(0, INT))):
            restore(f)
            f.do(f"ret i64 {f.reg(f.add(number, 1)).name}")
            f.label(f"never{f.number()}")


def flush_subnormals(f: Function, target: Target) -> Callable[[Function], None]:
    """Treat subnormal numbers as 0 from here on; returns what writes the instructions that undo it.

    They would cost a hundred times a normal number's time, and an optimizer's moments decay into them.
    """
    if target.triple.startswith(("x86_64", "i686", "amd64")):
        f.module.declarations |= {"declare void @llvm.x86.sse.stmxcsr(ptr)", "declare void @llvm.x86.sse.ldmxcsr(ptr)"}
        before, during = f.emit("alloca i32", "ptr"), f.emit("alloca i32", "ptr")
        f.do(f"call void @llvm.x86.sse.stmxcsr(ptr {before.name})")
        mode = f.binary("or", f.load(before, "i32"), literal(0x8040, "i32"))
        f.store(mode, during)
        f.do(f"call void @llvm.x86.sse.ldmxcsr(ptr {during.name})")
        return lambda g: g.do(f"call void @llvm.x86.sse.ldmxcsr(ptr {before.name})")
    if target.triple.startswith(("aarch64", "arm64")):
        before = f.call("llvm.aarch64.get.fpcr", [], "i64")
        f.run("llvm.aarch64.set.fpcr", [f.binary("or", before, literal(1 << 24, "i64"))])
        return lambda g: g.run("llvm.aarch64.set.fpcr", [before])
    return lambda g: None
