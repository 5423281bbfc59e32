"""Several steps in one native call: the rows of each are brought together, then the step runs.

``repeat(run, pool, step, control, counters, counter_bytes, feed)`` calls ``run(pool, step, control, counters)``, or
``step(control)`` where ``run`` is null. ``feed`` is an array of i64, see ``Feed``. It returns 0, or the number (from 1)
of the step that did not return 0, after which none has run.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np

from layerkit.engines.llvm.codegen import jit
from layerkit.engines.llvm.codegen.builder import INT, Function, Module, Reg, literal
from layerkit.engines.llvm.codegen.target import Target, host
from layerkit.ir import Array

HEAD = 5  # i64 numbers of a feed before its lists


class Feed:
    """What changes from step to step.

    As numbers: steps, rows in a step, the address of the key, how many moves, how many gathers; then for each move the
    address of a pointer and the bytes it goes on by after each step; then for each gather the address the rows are
    brought to, that of the array, the bytes of a row, the address of the row numbers.
    """

    def __init__(self, steps: int, rows: int) -> None:
        self.steps, self.rows = steps, rows
        self.key = 0
        self.moves: list[tuple[int, int]] = []
        self.gathers: list[tuple[int, int, int, int]] = []

    def numbers(self) -> Array:
        """The feed in the form that native code reads."""
        head = [self.steps, self.rows, self.key, len(self.moves), len(self.gathers)]
        rest = [n for entry in (*self.moves, *self.gathers) for n in entry]
        return np.array([*head, *rest], np.int64)


def _pointer(f: Function, numbers: Reg, index: Any) -> Reg:
    return f.load(f.at(numbers, index, INT), "ptr")


def _write_repeat(target: Target) -> str:
    module = Module(target.attributes)
    module.declarations |= {
        "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1 immarg)",
        "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1 immarg)",
    }
    run, pool, step, control, counters, feed = (
        Reg(f"%{n}", "ptr") for n in ("run", "pool", "step", "control", "counters", "feed")
    )
    counter_bytes = Reg("%counter_bytes", INT)
    f = module.function([run, pool, step, control, counters, counter_bytes, feed], INT)
    steps, rows, key, moves, gathers = (f.load(f.at(feed, i, INT), INT) for i in range(HEAD))
    is_alone = f.compare("eq", f.emit("ptrtoint ptr %run to i64", INT), literal(0, INT))
    first_gather = f.add(f.mul(moves, 2), HEAD)
    f.do("br label %start")
    f.label("start")
    with f.loop(0, steps) as turn:
        _gather(f, feed, first_gather, gathers, rows, turn.index)
        k = f.number()
        f.do(f"br i1 {is_alone.name}, label %alone{k}, label %together{k}")
        f.label(f"alone{k}")
        alone = f.emit(f"call i64 %step({control})", INT)
        f.do(f"br label %done{k}")
        f.label(f"together{k}")
        f.do(f"call void @llvm.memset.p0.i64({counters}, i8 0, {counter_bytes}, i1 false)")
        together = f.emit(f"call i64 %run({pool}, {step}, {control}, {counters})", INT)
        f.do(f"br label %done{k}")
        f.label(f"done{k}")
        result = f.emit(f"phi i64 [ {alone.name}, %alone{k} ], [ {together.name}, %together{k} ]", INT)
        with f.when(f.compare("ne", result, literal(0, INT))):
            f.do(f"ret i64 {f.reg(f.add(turn.index, 1)).name}")
            f.label(f"never{k}")
        with f.loop(0, moves) as move:
            at = f.add(f.mul(move.index, 2), HEAD)
            slot = _pointer(f, feed, at)
            f.store(f.reg(f.add(f.load(slot, INT), f.load(f.at(feed, f.add(at, 1), INT), INT))), slot)
        with f.when(f.compare("ne", key, literal(0, INT))):
            count = f.at(f.emit(f"inttoptr {key} to ptr", "ptr"), 1, "i32")
            f.store(f.binary("add", f.load(count, "i32"), literal(1, "i32")), count)
    f.do("ret i64 0")
    module.add(f, "repeat", exported=True)
    return str(module)


def _gather(f: Function, feed: Reg, first: Any, gathers: Reg, rows: Reg, turn: Reg) -> None:
    """Bring the rows of this turn together."""
    with f.loop(0, gathers) as gather:
        at = f.add(first, f.mul(gather.index, 4))
        target, source = (_pointer(f, feed, f.add(at, i)) for i in range(2))
        size = f.load(f.at(feed, f.add(at, 2), INT), INT)
        order = f.at(_pointer(f, feed, f.add(at, 3)), f.mul(turn, rows), INT)
        with f.loop(0, rows) as row:
            number = f.load(f.at(order, row.index, INT), INT)
            to, found = f.at(target, f.mul(row.index, size), "i8"), f.at(source, f.mul(number, size), "i8")
            f.do(f"call void @llvm.memcpy.p0.p0.i64({to}, {found}, {size}, i1 false)")


@cache
def _native() -> Any:
    target = host()
    library = jit.load([jit.compiled(_write_repeat(target), target)], target)
    return library.function("repeat", *[ctypes.c_void_p] * 5, ctypes.c_int64, ctypes.c_void_p, result=ctypes.c_int64)


def repeat(step: int, control: Array, feed: Feed, team: tuple[int, int, Array] | None = None) -> int:
    """Run the steps of a feed: alone, or through ``team``, which is (function, pool, counters)."""
    run, pool, counters = (None, None, None) if team is None else team
    numbers = feed.numbers()
    result: int = _native()(
        run, pool, step, control.ctypes.data, None if counters is None else counters.ctypes.data,
        0 if counters is None else counters.nbytes, numbers.ctypes.data,
    )  # fmt: skip
    return result
