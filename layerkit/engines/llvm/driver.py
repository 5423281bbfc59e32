"""The one native function of a program: it takes chunks through their kernels, phase after phase.

``prepare(control)`` does what depends on kept inputs only; ``step(control)`` runs all other chunks in order on the calling
thread, ``parallel(control, counters)`` on all threads that call it. ``control`` is an array of i64:
``[table, sizes..., (units, grain, chunks) of each segment...]``, where ``table`` points to the addresses of all buffers.
It returns 0, or the number of the phase (from 1) whose guard was not 0: nothing after that phase has run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from layerkit.dtypes import numpy_dtype
from layerkit.engines.llvm import threads
from layerkit.engines.llvm.builder import INT, Function, Index, Module, Reg, literal
from layerkit.engines.llvm.kernel import Buffer, Kernel, Use
from layerkit.engines.llvm.loops import Sizes
from layerkit.engines.llvm.schedule import Schedule, Segment
from layerkit.engines.llvm.target import Target


def control_size(schedule: Schedule, names: Sequence[str]) -> int:
    """Number of i64 in the control block."""
    return 1 + len(names) + 3 * len(schedule.segments)


def write_step(
    module: Module, target: Target, schedule: Schedule, names: Sequence[str], slots: dict[Buffer, int],
    producer: dict[Buffer, Segment], clocks: dict[Kernel, int] | None = None,
) -> None:  # fmt: skip
    """Write the functions of all segments, and ``step``.

    With ``clocks``, the ticks that each kernel takes are added to numbers after the control block.
    """
    functions = {s: _segment(module, s, schedule, names, slots, producer, clocks) for s in schedule.segments}
    for name, phases in (
        ("prepare", schedule.phases[: schedule.prologue]),
        ("step", schedule.phases[schedule.prologue :]),
    ):
        f = module.function([Reg("%control", "ptr")], INT)
        restore = flush_subnormals(f, target)
        f.do("br label %start")
        f.label("start")
        for number, phase in enumerate(phases, start=1):
            for segment in phase:
                units, grain, chunks = (_control(f, names, segment.index, i) for i in range(3))
                with f.loop(0, chunks) as loop:
                    begin = f.mul(loop.index, grain)
                    end = f.min(f.add(begin, grain), units)
                    f.run(functions[segment], [Reg("%control", "ptr"), f.reg(begin), f.reg(end), loop.index])
            _stop_if_guarded(f, phase, slots, number, restore)
        restore(f)
        f.do("ret i64 0")
        module.add(f, name, exported=True)
    if clocks is None:
        write_parallel_step(module, target, schedule, names, slots, functions)


def write_parallel_step(
    module: Module,
    target: Target,
    schedule: Schedule,
    names: Sequence[str],
    slots: dict[Buffer, int],
    functions: dict[Segment, str],
) -> None:
    """``parallel(control, counters)``: what ``step`` does, for any number of threads that call it at once.

    ``counters`` are zeros: for each phase three lines of memory, chunks claimed, chunks done, threads asleep.
    """
    control, counters = Reg("%control", "ptr"), Reg("%counters", "ptr")
    f = module.function([control, counters], INT)
    restore = flush_subnormals(f, target)
    f.do("br label %start")
    f.label("start")
    for number, phase in enumerate(schedule.phases[schedule.prologue :]):
        base = f.at(counters, 3 * threads.LINE * number, "i8")
        claimed, done, asleep = (f.at(base, i * threads.LINE, "i8") for i in range(3))
        counts = [_control(f, names, s.index, 2) for s in phase]
        total: Index = 0
        for count in counts:
            total = f.add(total, count)
        wanted = f.convert("trunc", f.reg(total), "i32")
        k = f.number()
        f.do(f"br label %claim{k}")
        f.label(f"claim{k}")
        mine = threads.atomic_add(f, claimed, 1)
        is_some = f.compare("slt", mine, wanted)
        f.do(f"br i1 {is_some.name}, label %work{k}, label %rest{k}")
        f.label(f"work{k}")
        chunk: Index = f.convert("sext", mine, INT)
        for segment, count in zip(phase, counts, strict=True):
            inside = f.binary(
                "and", f.compare("sge", f.reg(chunk), literal(0, INT)), f.compare("slt", f.reg(chunk), count)
            )
            with f.when(inside):
                units, grain = (_control(f, names, segment.index, i) for i in range(2))
                begin = f.mul(chunk, grain)
                end = f.min(f.add(begin, grain), units)
                f.run(functions[segment], [control, f.reg(begin), f.reg(end), f.reg(chunk)])
            chunk = f.sub(chunk, count)
        before = threads.atomic_add(f, done, 1)
        is_last = f.compare("eq", f.binary("add", before, literal(1, "i32")), wanted)
        is_awaited = f.compare("ne", threads.atomic_load(f, asleep), literal(0, "i32"))
        with f.when(f.binary("and", is_last, is_awaited)):
            threads.wake_all(f, done)
        f.do(f"br label %claim{k}")
        f.label(f"rest{k}")
        threads.wait_until(f, target, done, wanted, threads.SPINS_PHASE, asleep, equal=True)
        _stop_if_guarded(f, phase, slots, number + 1, restore)
    restore(f)
    f.do("ret i64 0")
    module.add(f, "parallel", exported=True)


def _stop_if_guarded(
    f: Function, phase: Sequence[Segment], slots: dict[Buffer, int], number: int, restore: Callable[[Function], None]
) -> None:
    for k in (k for s in phase for k in s.kernels if k.guard):
        flag = f.load(_address(f, slots[k.writes[0].buffer]), INT)
        with f.when(f.compare("ne", flag, literal(0, INT))):
            restore(f)
            f.do(f"ret i64 {number}")
            f.label(f"never{f.number()}")


def _address(f: Function, slot: int) -> Reg:
    table = f.load(Reg("%control", "ptr"), "ptr")
    return f.load(f.at(table, slot, "ptr"), "ptr")


def _control(f: Function, names: Sequence[str], segment: int, which: int) -> Reg:
    return f.load(f.at(Reg("%control", "ptr"), 1 + len(names) + 3 * segment + which, INT), INT)


def _segment(
    module: Module, segment: Segment, schedule: Schedule, names: Sequence[str], slots: dict[Buffer, int],
    producer: dict[Buffer, Segment], clocks: dict[Kernel, int] | None,
) -> str:  # fmt: skip
    """A function that takes one chunk through the kernels of a segment."""
    control, begin, end, chunk = Reg("%control", "ptr"), Reg("%begin", INT), Reg("%end", INT), Reg("%chunk", INT)
    f = module.function([control, begin, end, chunk])
    table = f.load(control, "ptr")
    values = [f.load(f.at(control, 1 + i, INT), INT) for i in range(len(names))]
    sizes = Sizes(f, dict(zip(names, values, strict=True)))
    addresses: dict[Buffer, Reg] = {}

    def address(use: Use) -> Reg:
        if use.buffer not in addresses:
            addresses[use.buffer] = f.load(f.at(table, slots[use.buffer], "ptr"), "ptr")
        base = addresses[use.buffer]
        if not use.chunk:
            return base
        share = f.mul(chunk, f.mul(sizes(use.buffer.size), numpy_dtype(use.buffer.dtype).itemsize))
        return f.at(base, share, "i8")

    for k in segment.kernels:
        extra: list[Reg] = []
        first: Index = begin
        last: Index = end
        if k.counted is not None:
            count = f.load(f.at(control, 1 + len(names) + 3 * producer[k.counted].index + 2, INT), INT)
            extra = [count]
        if k.whole:
            first = 0
            last = sizes(k.units)
        pointers = [address(u) for u in (*k.reads, *k.writes)]
        before = f.call("llvm.readcyclecounter", [], INT) if clocks else None
        f.run(k.function, [*pointers, *values, *extra, f.reg(first), f.reg(last)])
        if clocks and before is not None:
            spent = f.sub(f.call("llvm.readcyclecounter", [], INT), before)
            place = f.at(control, control_size(schedule, names) + clocks[k], INT)
            f.store(f.reg(f.add(f.load(place, INT), spent)), place)
    return module.add(f, "segment")


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
