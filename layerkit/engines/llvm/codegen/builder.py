"""Writing LLVM IR as text: registers, instructions, loops, functions, modules.

A ``Reg`` is a name with a type; a ``Function`` appends instructions and hands out registers; a ``Module`` collects
functions, merges those whose text is equal, and declares the intrinsics that were used. Constants are registers too
(their name is the literal), and integer arithmetic on Python ints happens at once, so callers never ask which they have.
IR is written in finished SSA form: no optimisation pass is needed before code generation.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, ClassVar, NamedTuple

FLOATS = ("half", "float", "double")
INT = "i64"


@cache
def _parts(type_: str) -> tuple[int, str]:
    """Lanes and element of a type."""
    if not type_.startswith("<"):
        return 1, type_
    lanes, element = type_[1:-1].split(" x ")
    return int(lanes), element


class Reg(NamedTuple):
    """A value in LLVM IR: ``%t3`` or a literal, with its type (``<16 x float>``)."""

    name: str
    type: str

    def __str__(self) -> str:
        return f"{self.type} {self.name}"

    @property
    def lanes(self) -> int:
        """Elements of a vector; 1 for a scalar."""
        return _parts(self.type)[0]

    @property
    def element(self) -> str:
        """The type of one element."""
        return _parts(self.type)[1]

    @property
    def is_float(self) -> bool:
        """Whether the elements are floating."""
        return self.element in FLOATS


Index = int | Reg
"""A Python int, or an i64 register."""


def vector(element: str, lanes: int) -> str:
    """The type of ``lanes`` elements; one lane is a scalar.

    >>> vector("float", 16), vector("i1", 1)
    ('<16 x float>', 'i1')
    """
    return element if lanes == 1 else f"<{lanes} x {element}>"


@cache
def bits(type_: str) -> int:
    """Width of one element in bits.

    >>> bits("double"), bits("<4 x i8>")
    (64, 8)
    """
    element = Reg("", type_).element
    return {"half": 16, "float": 32, "double": 64, "ptr": 64}.get(element) or int(element[1:])


@cache
def suffix(type_: str) -> str:
    """The part of an intrinsic's name that stands for a type: ``v16f32``."""
    reg = Reg("", type_)
    kind = "p0" if reg.element == "ptr" else f"{'f' if reg.is_float else 'i'}{bits(type_)}"
    return kind if reg.lanes == 1 else f"v{reg.lanes}{kind}"


def literal(number: Any, type_: str) -> Reg:
    """A constant, the same in every lane."""
    if type_ == INT:
        return Reg(str(int(number)), type_)
    reg = Reg("", type_)
    if reg.element == "float":
        single = struct.unpack("<f", struct.pack("<f", _clamp32(float(number))))[0]
        text = f"0x{struct.unpack('<Q', struct.pack('<d', single))[0]:016X}"
    elif reg.element == "double":
        text = f"0x{struct.unpack('<Q', struct.pack('<d', float(number)))[0]:016X}"
    elif reg.element == "i1":
        text = "true" if number else "false"
    else:
        text = str(int(number))
    return Reg(text if reg.lanes == 1 else f"splat ({reg.element} {text})", type_)


def _clamp32(x: float) -> float:
    top = 3.4028235677973366e38  # from here on a double rounds to an infinite float
    return float("inf") if x >= top else float("-inf") if x <= -top else x


def zero(type_: str) -> Reg:
    """0 in every lane."""
    return Reg("zeroinitializer", type_) if type_.startswith("<") else literal(0, type_)


def size_registers(names: Sequence[str]) -> dict[str, Reg]:
    """The parameters of a kernel that hold unknown sizes, by the names of the axes."""
    return {name: Reg(f"%size.{name}", INT) for name in names}


class Loop:
    """A loop being written: its index, the values carried into this turn, and (set by the body) into the next."""

    def __init__(self, index: Reg, carried: list[Reg]) -> None:
        self.index, self.carried = index, carried
        self.next: list[Reg] = []
        self.results: list[Reg] = []
        """After the loop: the carried values at its end."""


class Function:
    """One function being written."""

    def __init__(self, module: Module, params: Sequence[Reg], result: str = "void") -> None:
        self.module, self.params, self.result = module, tuple(params), result
        self._first: list[str] = []  # allocated memory
        self._lines: list[str] = []
        self._count = 0
        self._block = "entry"

    @property
    def block(self) -> str:
        """The block that is being written."""
        return self._block

    def number(self) -> int:
        """A number that no label has yet."""
        self._count += 1
        return self._count

    # Instructions

    def emit(self, text: str, type_: str) -> Reg:
        """An instruction with a result."""
        self._count += 1
        reg = Reg(f"%t{self._count}", type_)
        self._lines.append(f"  {reg.name} = {text}")
        return reg

    def do(self, text: str) -> None:
        """An instruction without a result."""
        self._lines.append(f"  {text}")

    def binary(self, op: str, a: Reg, b: Reg) -> Reg:
        """``fadd``, ``mul``, ``and``, ``shl``, ...: both operands of one type."""
        return self.emit(f"{op} {a.type} {a.name}, {b.name}", a.type)

    def unary(self, op: str, a: Reg) -> Reg:
        """``fneg``."""
        return self.emit(f"{op} {a}", a.type)

    def compare(self, predicate: str, a: Reg, b: Reg) -> Reg:
        """``olt``, ``uno`` (floats) or ``slt``, ``eq`` (integers): i1 in each lane."""
        op = "fcmp" if a.is_float else "icmp"
        return self.emit(f"{op} {predicate} {a.type} {a.name}, {b.name}", vector("i1", a.lanes))

    def select(self, condition: Reg, a: Reg, b: Reg) -> Reg:
        """``a`` where the condition holds, else ``b``."""
        return self.emit(f"select {condition}, {a}, {b}", a.type)

    def convert(self, op: str, a: Reg, element: str) -> Reg:
        """``sext``, ``trunc``, ``sitofp``, ``fptosi``, ``bitcast``, ... to another element type."""
        to = vector(element, a.lanes)
        return self.emit(f"{op} {a} to {to}", to)

    def call(self, name: str, args: Sequence[Reg], result: str) -> Reg:
        """A call with a result; intrinsics and other externals are declared by themselves."""
        self._declare(name, args, result)
        return self.emit(f"call {result} @{name}({', '.join(map(str, args))})", result)

    def run(self, name: str, args: Sequence[Reg]) -> None:
        """A call without a result."""
        self._declare(name, args, "void")
        self.do(f"call void @{name}({', '.join(map(str, args))})")

    def run_kernel(self, name: str, args: Sequence[Reg], begin: Reg, end: Reg) -> None:
        """Call a kernel: its pointers and sizes are handed over in memory."""
        memory = Reg(f"%args{self.number()}", "ptr")
        self._first.append(f"  {memory.name} = alloca [{len(args)} x i64]")
        for i, each in enumerate(args):
            self.store(each, self.at(memory, i, INT))
        self.run(name, [memory, begin, end])

    def _declare(self, name: str, args: Sequence[Reg], result: str) -> None:
        if not self.module.has(name):
            types = ", ".join(a.type for a in args)
            self.module.declarations.add(f"declare {result} @{name}({types})")

    def intrinsic(self, name: str, *args: Reg) -> Reg:
        """``fma``, ``sqrt``, ``fabs``, ``floor``, ...: an LLVM intrinsic overloaded on its first argument's type."""
        return self.call(f"llvm.{name}.{suffix(args[0].type)}", args, args[0].type)

    def fma(self, a: Reg, b: Reg, c: Reg) -> Reg:
        """a * b + c, rounded once."""
        return self.intrinsic("fma", a, b, c)

    def splat(self, x: Reg, lanes: int) -> Reg:
        """A scalar in every lane."""
        if lanes == 1:
            return x
        if not x.name.startswith("%"):
            return Reg(f"splat ({x})", vector(x.type, lanes))
        type_ = vector(x.type, lanes)
        first = self.emit(f"insertelement {type_} poison, {x}, i64 0", type_)
        return self.emit(f"shufflevector {first}, {type_} poison, <{lanes} x i32> zeroinitializer", type_)

    def extract(self, x: Reg, lane: int) -> Reg:
        """One lane."""
        return x if x.lanes == 1 else self.emit(f"extractelement {x}, i64 {lane}", x.element)

    def shuffle(self, a: Reg, b: Reg | None, lanes: Sequence[int]) -> Reg:
        """Lanes of ``a`` followed by ``b``, by number."""
        mask = ", ".join(f"i32 {i}" for i in lanes)
        second = f"{a.type} poison" if b is None else str(b)
        return self.emit(f"shufflevector {a}, {second}, <{len(lanes)} x i32> <{mask}>", vector(a.element, len(lanes)))

    def lane_numbers(self, element: str, lanes: int) -> Reg:
        """0, 1, 2, ... in the lanes."""
        if lanes == 1:
            return literal(0, element)
        numbers = ", ".join(f"{element} {literal(i, element).name}" for i in range(lanes))
        return Reg(f"<{numbers}>", vector(element, lanes))

    def mask(self, count: Index, lanes: int) -> Reg:
        """True in the first ``count`` lanes."""
        if isinstance(count, int):
            if lanes == 1:
                return literal(count > 0, "i1")
            return Reg(
                "<" + ", ".join(f"i1 {'true' if i < count else 'false'}" for i in range(lanes)) + ">", f"<{lanes} x i1>"
            )
        return self.compare("slt", self.lane_numbers(INT, lanes), self.splat(count, lanes))

    # Memory

    def at(self, pointer: Reg, offset: Index, element: str) -> Reg:
        """The address ``offset`` elements further."""
        if isinstance(offset, int) and offset == 0:
            return pointer
        return self.emit(f"getelementptr {element}, {pointer}, i64 {self.name(offset)}", "ptr")

    def load(self, pointer: Reg, type_: str, mask: Reg | None = None) -> Reg:
        """One element or a vector; lanes outside ``mask`` are 0 and are not read."""
        align = max(1, bits(type_) // 8)
        if mask is None:
            return self.emit(f"load {type_}, {pointer}, align {align}", type_)
        if mask.lanes == 1:
            raise ValueError("a scalar load has no mask")
        name = f"llvm.masked.load.{suffix(type_)}.p0"
        self.module.declarations.add(f"declare {type_} @{name}(ptr, <{mask.lanes} x i1>, {type_})")
        return self.emit(f"call {type_} @{name}(ptr align {align} {pointer.name}, {mask}, {zero(type_)})", type_)

    def store(self, value: Reg, pointer: Reg, mask: Reg | None = None) -> None:
        """One element or a vector; lanes outside ``mask`` are not written."""
        align = max(1, bits(value.type) // 8)
        if mask is None:
            self.do(f"store {value}, {pointer}, align {align}")
            return
        name = f"llvm.masked.store.{suffix(value.type)}.p0"
        self.module.declarations.add(f"declare void @{name}({value.type}, ptr, <{mask.lanes} x i1>)")
        self.do(f"call void @{name}({value}, ptr align {align} {pointer.name}, {mask})")

    def prefetch(self, pointer: Reg, *, write: bool = False) -> None:
        """Fetch the line at an address, which may lie outside of all memory, into the second cache."""
        self.module.declarations.add("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        self.do(f"call void @llvm.prefetch.p0({pointer}, i32 {int(write)}, i32 2, i32 1)")

    def gather(self, pointer: Reg, offsets: Reg, element: str, mask: Reg | None = None) -> Reg:
        """Elements at ``offsets`` (an i64 in each lane)."""
        lanes = offsets.lanes
        if lanes == 1:
            return self.load(self.at(pointer, offsets, element), element)
        type_, places = vector(element, lanes), vector("ptr", lanes)
        where = self.emit(f"getelementptr {element}, {pointer}, {offsets}", places)
        mask = mask or Reg("splat (i1 true)", vector("i1", lanes))
        name = f"llvm.masked.gather.{suffix(type_)}.{suffix(places)}"
        self.module.declarations.add(f"declare {type_} @{name}({places}, {mask.type}, {type_})")
        return self.emit(
            f"call {type_} @{name}({places} align {max(1, bits(element) // 8)} {where.name}, {mask}, {zero(type_)})",
            type_,
        )

    def scatter(self, value: Reg, pointer: Reg, offsets: Reg, mask: Reg) -> None:
        """Lanes written to elements at ``offsets`` (an i64 in each lane), those outside ``mask`` are not."""
        if value.lanes == 1:
            with self.when(mask):
                self.store(value, self.at(pointer, offsets, value.element))
            return
        places = vector("ptr", value.lanes)
        where = self.emit(f"getelementptr {value.element}, {pointer}, {offsets}", places)
        name = f"llvm.masked.scatter.{suffix(value.type)}.{suffix(places)}"
        self.module.declarations.add(f"declare void @{name}({value.type}, {places}, {mask.type})")
        self.do(f"call void @{name}({value}, {places} align {bits(value.type) // 8} {where.name}, {mask})")

    # Integers

    @staticmethod
    def name(x: Index) -> str:
        """An index as text."""
        return str(x) if isinstance(x, int) else x.name

    def reg(self, x: Index) -> Reg:
        """An index as an i64 register."""
        return literal(x, INT) if isinstance(x, int) else x

    def _int(self, op: str, a: Index, b: Index) -> Reg:
        return self.emit(f"{op} i64 {self.name(a)}, {self.name(b)}", INT)

    def add(self, a: Index, b: Index) -> Index:
        """a + b."""
        if isinstance(a, int) and isinstance(b, int):
            return a + b
        if isinstance(a, int) and a == 0:
            return b
        if isinstance(b, int) and b == 0:
            return a
        return self._int("add nsw", a, b)

    def sub(self, a: Index, b: Index) -> Index:
        """a - b."""
        if isinstance(a, int) and isinstance(b, int):
            return a - b
        return a if isinstance(b, int) and b == 0 else self._int("sub nsw", a, b)

    def mul(self, a: Index, b: Index) -> Index:
        """a * b."""
        if isinstance(a, int) and isinstance(b, int):
            return a * b
        for x, y in ((a, b), (b, a)):
            if isinstance(x, int) and x in (0, 1):
                return 0 if x == 0 else y
        return self._int("mul nsw", a, b)

    def div(self, a: Index, b: Index) -> Index:
        """a // b for numbers that are not negative."""
        if isinstance(a, int) and isinstance(b, int):
            return a // b
        return a if isinstance(b, int) and b == 1 else self._int("udiv", a, b)

    def rem(self, a: Index, b: Index) -> Index:
        """a % b for numbers that are not negative."""
        if isinstance(a, int) and isinstance(b, int):
            return a % b
        return 0 if isinstance(b, int) and b == 1 else self._int("urem", a, b)

    def min(self, a: Index, b: Index) -> Index:
        """The smaller."""
        if isinstance(a, int) and isinstance(b, int):
            return min(a, b)
        return self.call("llvm.smin.i64", [self.reg(a), self.reg(b)], INT)

    def max(self, a: Index, b: Index) -> Index:
        """The larger."""
        if isinstance(a, int) and isinstance(b, int):
            return max(a, b)
        return self.call("llvm.smax.i64", [self.reg(a), self.reg(b)], INT)

    # Control flow

    def label(self, name: str) -> None:
        """Begin a block."""
        self._lines.append(f"{name}:")
        self._block = name

    @contextmanager
    def loop(self, start: Index, stop: Index, step: Index = 1, carried: Sequence[Reg] = ()) -> Iterator[Loop]:
        """``for i in range(start, stop, step)``; values in ``carried`` pass from turn to turn (set ``loop.next``)."""
        self._count += 1
        k, before = self._count, self._block
        loop = Loop(Reg(f"%i{k}", INT), [Reg(f"%c{k}.{j}", r.type) for j, r in enumerate(carried)])
        self.do(f"br label %head{k}")
        self.label(f"head{k}")
        where = len(self._lines)
        going = self.emit(f"icmp slt i64 {loop.index.name}, {self.name(stop)}", "i1")
        self.do(f"br i1 {going.name}, label %body{k}, label %exit{k}")
        self.label(f"body{k}")
        yield loop
        following = self.emit(f"add nsw i64 {loop.index.name}, {self.name(step)}", INT)
        latch = self._block
        self.do(f"br label %head{k}")
        phis = [f"  {loop.index.name} = phi i64 [ {self.name(start)}, %{before} ], [ {following.name}, %{latch} ]"]
        for value, first, after in zip(loop.carried, carried, loop.next, strict=True):
            phis.append(f"  {value.name} = phi {value.type} [ {first.name}, %{before} ], [ {after.name}, %{latch} ]")
        self._lines[where:where] = phis
        self.label(f"exit{k}")
        loop.results = loop.carried

    @contextmanager
    def when(self, condition: Reg) -> Iterator[None]:
        """Instructions that run only if the condition (i1) holds."""
        self._count += 1
        k = self._count
        self.do(f"br i1 {condition.name}, label %then{k}, label %after{k}")
        self.label(f"then{k}")
        yield
        self.do(f"br label %after{k}")
        self.label(f"after{k}")

    def choose(self, number: Reg, cases: Sequence[tuple[int, Callable[[], None]]]) -> None:
        """The instructions of the case whose number it is; none of them if there is no such case."""
        self._count += 1
        k = self._count
        labels = " ".join(f"{number.type} {n}, label %case{k}.{n}" for n, _ in cases)
        self.do(f"switch {number}, label %after{k} [ {labels} ]")
        for n, write in cases:
            self.label(f"case{k}.{n}")
            write()
            self.do(f"br label %after{k}")
        self.label(f"after{k}")

    def text(self) -> str:
        """The body, between braces."""
        lines = [*self._first, *self._lines]
        if self.result == "void":
            lines.append("  ret void")
        return "{\nentry:\n" + "\n".join(lines) + "\n}\n"


CELL = "@cell."
_NAME = re.compile(r"@([\w.$-]+)")


def _digest(text: str) -> str:
    """What names a text.

    >>> _digest("")
    'e3b0c44298fc1c149afb'
    """
    return hashlib.sha256(text.encode()).hexdigest()[:20]


class Module:
    """Functions that are compiled together.

    A function, a table and a cell are named by a hash of their text, in which the names of others stand, and of the
    attributes: so equal ones have equal names in all modules, and code that was compiled for one can be used by another.
    """

    is_sketch: ClassVar[bool] = False
    """Whether it knows no more of functions than their names."""

    def __init__(self, attributes: str) -> None:
        self.declarations: set[str] = set()
        self._functions: dict[str, str] = {}  # text -> name
        self._definitions: dict[str, str] = {}  # name -> what stands before it, "@", it and its text
        self._exported: list[str] = []
        self._known: dict[Hashable, str] = {}
        self._attributes = attributes

    def has(self, name: str) -> bool:
        """Whether there is a function of this name."""
        return name in self._definitions

    def table(self, numbers: Sequence[int]) -> Reg:
        """Constant i64 numbers in memory; equal tables are one."""
        text = f"[{len(numbers)} x i64] [{', '.join(f'i64 {n}' for n in numbers)}]"
        name = f"table.{_digest(text)}"
        self._definitions[name] = f"@{name} = internal constant {text}, align 64"
        return Reg(f"@{name}", "ptr")

    def cell(self) -> Reg:
        """An i64 in memory that begins as 0 and stays from call to call; no result may depend on it.

        A function has one, whoever calls it.
        """
        return Reg(CELL, "ptr")

    def once(self, key: Hashable, write: Callable[[], str]) -> str:
        """The name that ``write`` gave to the function it wrote for ``key``; it is called for new keys only.

        The key of a kernel begins with the word that its name begins with: a sketch knows no more of it.
        """
        if key not in self._known:
            self._known[key] = write()
        return self._known[key]

    def function(self, params: Sequence[Reg], result: str = "void") -> Function:
        """A function to write; hand it to ``add`` when it is finished."""
        return Function(self, params, result)

    def kernel(self, pointers: Sequence[Reg], names: Sequence[str]) -> Function:
        """A kernel to write: ``k(args, begin, end)`` does a range of units; ``args`` holds pointers and unknown sizes."""
        memory = Reg("%args", "ptr")
        f = Function(self, [memory, Reg("%begin", INT), Reg("%end", INT)])
        for i, reg in enumerate([*pointers, *size_registers(names).values()]):
            place = f.at(memory, i, INT)
            f.do(f"{reg.name} = load {reg.type}, {place}, align 8")
        return f

    def export(self, name: str, functions: Iterable[str]) -> None:
        """A table of the addresses of functions that others can find."""
        found = list(functions)
        self._exported.append(f"@{name} = constant [{len(found)} x ptr] [{', '.join(f'ptr @{x}' for x in found)}]")

    def add(self, function: Function, stem: str, *, exported: bool = False) -> str:
        """Keep a finished function; returns its name, which is an earlier one's if the text is the same."""
        params = ", ".join(map(str, function.params))
        text = f"({params}) #0 {function.text()}"
        key = text if not exported else f"{stem}{text}"
        if key not in self._functions:
            digest = _digest(f"{self._attributes}{function.result}{text}")
            if CELL in text:
                cell = f"cell.{digest}"
                self._definitions[cell] = f"@{cell} = internal global i64 0, align 64"
                text = text.replace(CELL, f"@{cell}")
            name = stem if exported else f"{stem}.{digest}"
            self._functions[key] = name
            self._definitions[name] = f"define {'' if exported else 'internal '}{function.result} @{name}{text}"
        return self._functions[key]

    def part(self, names: Sequence[str]) -> str:
        """A module of these functions, which others can find, and of all that they need.

        Several parts that are loaded together may have the same functions; which one is found does not matter. (Weak symbols
        would say so, but are not found at all in object files of Windows.)
        """
        chosen = dict.fromkeys(names)
        todo, used = list(chosen), set[str]()
        while todo:
            needed = set(_NAME.findall(self._definitions[todo.pop()]))
            used |= needed
            new = [name for name in sorted(needed) if name not in chosen and name in self._definitions]
            chosen |= dict.fromkeys(new)
            todo += new
        found = [self._definitions[name] for name in chosen]
        for i in range(len(names)):
            found[i] = found[i].replace("define internal", "define", 1)
        declared = [text for text in sorted(self.declarations) if used.intersection(_NAME.findall(text))]
        return "\n".join([*declared, *found, self._attributes])

    def size(self, name: str) -> int:
        """The length of a function's text."""
        return len(self._definitions[name])

    def __str__(self) -> str:
        return "\n".join([*sorted(self.declarations), *self._definitions.values(), *self._exported, self._attributes])


class Sketch(Module):
    """Functions that nobody will run: what calls what on which memory is found without writing their code."""

    is_sketch = True

    def once(self, key: Hashable, write: Callable[[], str]) -> str:
        """The first word of ``key``, which tells functions of a kind."""
        return str(key[0]) if isinstance(key, tuple) else ""

    def add(self, function: Function, stem: str, *, exported: bool = False) -> str:
        return stem
