"""Sorting: several rows at once, one in each lane of vectors, by Batcher's networks; long rows by merging sorted pieces.

Parts of rows are read and written as they lie in memory, and turned in registers.

What is ordered are *entries*: whole numbers in whose order the elements stand, with their places. Where both fit into an
i64 an entry is that one number, the place in its low half; for dtypes of 64 bits it is two numbers. No two entries are
equal, so every way of sorting gives the same order, the stable one. Where elements are wanted and no places, an entry is the
element alone, as a whole number of 32 or 64 bits.

Source of the networks: K. E. Batcher 1968, Sorting networks and their applications, AFIPS 32: the odd-even merge in
registers, the bitonic one in memory, as it goes on inside of aligned blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from layerkit import dtypes
from layerkit.engines.llvm.codegen.builder import INT, Function, Index, Reg, bits, literal, size_registers, vector
from layerkit.engines.llvm.kernel import Kernel, Use
from layerkit.engines.llvm.loops import elements
from layerkit.engines.llvm.loops.writer import Sizes
from layerkit.engines.llvm.lowering.facts import units_along
from layerkit.engines.llvm.lowering.lower import Lowering, rule
from layerkit.engines.llvm.tiles.packing import transpose
from layerkit.ir import Node, Size, make, number, product
from layerkit.ops.gathering import take_along_axis
from layerkit.ops.sorting import ArgSort, Sort
from layerkit.records import dataclass

WRITTEN = 4  # comparisons that are written out one after the other
PIECE = 1024  # the longest row that a network sorts: with 8 lanes 64 KiB on the stack
SHORT_PIECE = 64  # the same where the length of a row is known when the program runs only
FEW = 16  # as many places as are found by keeping the first ones at hand

Entry = list[Reg]
"""One number, or a key and a place: scalars or vectors."""


@rule(ArgSort)
def order(lowering: Lowering, node: Node) -> None:
    """The first ``count`` places of each row, in the way that suits their number and the row's."""
    (x,) = node.inputs
    op: Any = node.op
    source, order = lowering.ensure(x), lowering.new(node.outputs[0])
    n, count = x.shape[-1], node.outputs[0].type.shape[-1]
    units, scale = units_along(product(x.shape[:-1]))
    lanes = lowering.target.lanes(8)
    entries = Entries(x.dtype, op.descending)
    block = max(4, lowering.target.registers // entries.width)
    is_few = isinstance(count, int) and count <= FEW and (not isinstance(n, int) or 4 * count < n.bit_length() ** 2)
    is_long = not is_few and not (isinstance(n, int) and n <= PIECE)
    room = product(x.shape[:-1]) * (n + 1)
    scratch = [lowering.scratch("int64", room, "entries") for _ in range(2 * entries.width * is_long)]

    def write() -> str:
        f = lowering.module.kernel([Reg(f"%p{i}", "ptr") for i in range(2 + len(scratch))], lowering.names)
        size = Sizes(f, size_registers(lowering.names))
        first, last = (f.mul(Reg(name, INT), size(scale)) for name in ("%begin", "%end"))
        if is_long:
            piece = PIECE if isinstance(n, int) else SHORT_PIECE
            _long_rows(f, entries, (first, last), (size(n), size(count)), (piece, block), lanes)
        elif is_few:
            _first_few(f, entries, (first, last), size(n), number(count), lanes)
        else:
            _short_rows(f, entries, (first, last), number(n), number(count), block, lanes)
        return lowering.module.add(f, "argsort")

    key = ("argsort", x.dtype, op.descending, n, count, scale, lowering.names)
    function = lowering.module.once(key, write)
    writes = [Use(buffer, rows=True) for buffer in (order, *scratch)]
    price = _price(n, is_few) * (scale if isinstance(scale, int) else 1)
    lowering.add_kernel(Kernel(function, [Use(source, rows=True)], writes, units, price, least=lanes), node)


@rule(Sort)
def sort(lowering: Lowering, node: Node) -> None:
    """The elements of each row: by a network on themselves; by their places where rows are long, or elements of few bits."""
    (x,) = node.inputs
    n = x.shape[-1]
    if not (isinstance(n, int) and n <= PIECE and bits(elements.memory_type(x.dtype)) >= 32):
        (places,) = make(ArgSort(False), (x,), node.origin).outputs
        lowering.ensure(x), lowering.ensure(places)
        lowering.buffers[node.outputs[0]] = lowering.ensure(take_along_axis(x, places, -1))
        return
    source, out = lowering.ensure(x), lowering.new(node.outputs[0])
    units, scale = units_along(product(x.shape[:-1]))
    entries = Numbers(x.dtype, descending=False)
    lanes = lowering.target.lanes(bits(entries.part) // 8)
    block = max(4, lowering.target.registers)

    def write() -> str:
        f = lowering.module.kernel([Reg("%p0", "ptr"), Reg("%p1", "ptr")], lowering.names)
        size = Sizes(f, size_registers(lowering.names))
        first, last = (f.mul(Reg(name, INT), size(scale)) for name in ("%begin", "%end"))
        _short_rows(f, entries, (first, last), n, n, block, lanes)
        return lowering.module.add(f, "sort")

    function = lowering.module.once(("sort", x.dtype, n, scale, lowering.names), write)
    price = 0.5 * _price(n, is_few=False) * (scale if isinstance(scale, int) else 1)
    lowering.add_kernel(
        Kernel(function, [Use(source, rows=True)], [Use(out, rows=True)], units, price, least=lanes), node
    )


def _price(n: Size, is_few: bool) -> float:
    """Rough nanoseconds of a row."""
    if not isinstance(n, int):
        return 10_000.0
    return float(n * (1.0 if is_few else 0.1 * n.bit_length() ** 2 if n <= PIECE else 3.0 * n.bit_length()))


@dataclass(frozen=True)
class Entries:
    """How elements of a dtype become entries, and how these compare."""

    dtype: str
    descending: bool

    has_places: ClassVar[bool] = True

    @property
    def part(self) -> str:
        """The type of a number of an entry."""
        return INT

    @property
    def width(self) -> int:
        """Numbers of an entry."""
        return 2 if bits(elements.memory_type(self.dtype)) == 64 else 1

    def make(self, f: Function, x: Reg, place: Reg) -> Entry:
        """The entry of an element; ``place`` is i64."""
        key = self._key(f, x)
        if self.width == 2:
            return [key, place]
        return [f.binary("or", f.binary("shl", f.convert("sext", key, INT), literal(32, place.type)), place)]

    def _key(self, f: Function, x: Reg) -> Reg:
        """A number of 32 or 64 bits in whose order ``x`` stands: equal for 0.0 and -0.0, the largest for nan."""
        width = 64 if bits(elements.memory_type(self.dtype)) == 64 else 32
        kind = vector(f"i{width}", x.lanes)
        if x.is_float:
            if self.has_places:
                x = f.binary("fadd", x, literal(0.0, x.type))  # -0.0 + 0.0 is 0.0
            raw = f.convert("bitcast", x, f"i{width}")
            key = f.select(f.compare("uno", x, x), literal(2 ** (width - 1) - 1, kind), _turned(f, raw))
        elif bits(x.type) == width:
            key = f.binary("xor", x, literal(-(2 ** (width - 1)), kind)) if self.dtype in dtypes.UNSIGNED else x
        else:
            key = f.convert("zext" if self.dtype in dtypes.UNSIGNED else "sext", x, f"i{width}")
        return f.binary("xor", key, literal(-1, kind)) if self.descending else key

    def last(self, lanes: int) -> Entry:
        """An entry after all others."""
        return [literal(2 ** (bits(self.part) - 1) - 1, vector(self.part, lanes))] * self.width

    def found(self, f: Function, entry: Entry) -> Reg:
        """What is asked for, as it lies in memory: the place in it, i32."""
        return f.convert("trunc", entry[-1], "i32")

    def is_before(self, f: Function, a: Entry, b: Entry) -> Reg:
        """Whether ``a`` comes before ``b``."""
        if self.width == 1:
            return f.compare("slt", a[0], b[0])
        tie = f.binary("and", f.compare("eq", a[0], b[0]), f.compare("slt", a[1], b[1]))
        return f.binary("or", f.compare("slt", a[0], b[0]), tie)

    def ordered(self, f: Function, a: Entry, b: Entry) -> tuple[Entry, Entry]:
        """Both, the one that comes before first."""
        if self.width == 1:
            return [f.intrinsic("smin", a[0], b[0])], [f.intrinsic("smax", a[0], b[0])]
        turn = self.is_before(f, b, a)
        return (
            [f.select(turn, y, x) for x, y in zip(a, b, strict=True)],
            [f.select(turn, x, y) for x, y in zip(a, b, strict=True)],
        )


@dataclass(frozen=True)
class Numbers(Entries):
    """Elements alone, of 32 or 64 bits, as whole numbers in their order."""

    has_places: ClassVar[bool] = False

    @property
    def part(self) -> str:
        return INT if bits(elements.memory_type(self.dtype)) == 64 else "i32"

    @property
    def width(self) -> int:
        return 1

    def make(self, f: Function, x: Reg, place: Reg) -> Entry:
        return [self._key(f, x)]

    def found(self, f: Function, entry: Entry) -> Reg:
        """The element, as it lies in memory."""
        (key,) = entry
        kind = elements.memory_type(self.dtype)
        if self.dtype in dtypes.FLOATS:
            return f.convert("bitcast", _turned(f, key), elements.TYPES[self.dtype])
        if self.dtype in dtypes.UNSIGNED:
            return f.binary("xor", key, literal(-(2 ** (bits(kind) - 1)), key.type))
        return key


def _turned(f: Function, raw: Reg) -> Reg:
    """The bits of a float as a number in its order, and back."""
    width = bits(raw.type)
    sign = f.binary("ashr", raw, literal(width - 1, raw.type))
    return f.binary("xor", raw, f.binary("and", sign, literal(2 ** (width - 1) - 1, raw.type)))


class Table:
    """Entries in memory, a vector of ``lanes`` each."""

    def __init__(self, f: Function, entries: Entries, count: Index, lanes: int) -> None:
        self.f, self.entries, self.kind = f, entries, vector(entries.part, lanes)
        total = f.mul(count, lanes * entries.width)
        self.memory = f.emit(f"alloca {entries.part}, i64 {f.name(total)}, align 64", "ptr")
        self.step = lanes * entries.width
        self.lanes = lanes

    def load(self, index: Index) -> Entry:
        f = self.f
        return [
            f.load(f.at(self.memory, f.add(f.mul(index, self.step), i * self.lanes), self.entries.part), self.kind)
            for i in range(self.entries.width)
        ]

    def store(self, index: Index, entry: Entry) -> None:
        f = self.f
        for i, part in enumerate(entry):
            f.store(part, f.at(self.memory, f.add(f.mul(index, self.step), i * self.lanes), self.entries.part))

    def put(self, first: Index, found: Sequence[Entry]) -> None:
        """Store entries one after the other."""
        for i, entry in enumerate(found):
            self.store(self.f.add(first, i), entry)

    def exchange(self, low: Index, high: Index) -> None:
        """Put two entries in order."""
        a, b = self.entries.ordered(self.f, self.load(low), self.load(high))
        self.store(low, a)
        self.store(high, b)


# Networks ------------------------------------------------------------------------------------------------------------


def _pairs(n: int) -> list[tuple[int, int]]:
    """What Batcher's network compares and exchanges, to sort ``n`` entries."""
    found, p = [], 1
    while p < n:
        k = p
        while k:
            for j in range(k % p, n - k, 2 * k):
                found += [
                    (i + j, i + j + k) for i in range(min(k, n - j - k)) if (i + j) // (2 * p) == (i + j + k) // (2 * p)
                ]
            k //= 2
        p *= 2
    return found


def _sort_in_registers(f: Function, entries: Entries, found: list[Entry]) -> list[Entry]:
    found = list(found)
    for i, j in _pairs(len(found)):
        found[i], found[j] = entries.ordered(f, found[i], found[j])
    return found


def _merge_in_registers(f: Function, entries: Entries, found: list[Entry]) -> list[Entry]:
    """Sort what a comparison with the other half has left: everything half apart, a quarter apart, down to neighbours."""
    found, k = list(found), len(found) // 2
    while k:
        for i in range(len(found)):
            if not i & k:
                found[i], found[i + k] = entries.ordered(f, found[i], found[i + k])
        k //= 2
    return found


def _fill_sorted(f: Function, table: Table, n: int, block: int, load: Callable[[Index, int], list[Entry]]) -> None:
    """The ``n`` entries that ``load`` gives, some from a number on, sorted: blocks first, then runs of twice the length at each turn."""
    entries, tail = table.entries, n % block
    with f.loop(0, n - tail, block) as at:
        table.put(at.index, _sort_in_registers(f, entries, load(at.index, block)))
    if tail:
        found = _sort_in_registers(f, entries, load(n - tail, tail))
        table.put(n - tail, [*found, *[entries.last(table.lanes)] * (block - tail)])
    total, run = n + -n % block, block
    while run < total:
        _mirror(f, table, total, run)
        k = run // 2
        while k >= block:
            _halve(f, table, total, k)
            k //= 2
        with f.loop(0, total, block) as at:
            table.put(at.index, _merge_in_registers(f, entries, [table.load(f.add(at.index, i)) for i in range(block)]))
        run *= 2


def _mirror(f: Function, table: Table, n: int, run: int) -> None:
    """Compare the first entry of each run with the last of the next one, the second with the one before, and so on."""
    with f.loop(0, n - run, 2 * run) as at:
        top = f.add(at.index, 2 * run - 1)
        beyond = f.max(0, f.sub(f.add(at.index, 2 * run), n))  # what the last run lacks
        with f.loop(beyond, run, WRITTEN) as i:
            for j in range(WRITTEN):
                low = f.add(f.add(at.index, i.index), j)
                table.exchange(low, f.sub(f.add(top, at.index), low))


def _halve(f: Function, table: Table, n: int, k: int) -> None:
    """Compare the entries of each ``k`` with those of the next ``k``."""
    with f.loop(0, n - k, 2 * k) as at, f.loop(0, f.min(k, f.sub(n - k, at.index)), WRITTEN) as i:
        for j in range(WRITTEN):
            low = f.add(f.add(at.index, i.index), j)
            table.exchange(low, f.add(low, k))


# Rows ----------------------------------------------------------------------------------------------------------------

Rows = tuple[Index, Index]


@dataclass(frozen=True)
class Lanes:
    """Rows from ``first`` on, one in each lane, as far as there are."""

    f: Function
    entries: Entries
    first: Reg
    stop: Index
    lanes: int

    @property
    def mask(self) -> Reg:
        return self.f.mask(self.f.sub(self.stop, self.first), self.lanes)

    def _places(self, n: Index, index: Index) -> Reg:
        """Where element ``index`` of each row is."""
        f = self.f
        start = f.splat(f.reg(f.add(f.mul(self.first, n), index)), self.lanes)
        steps = f.binary("mul", f.lane_numbers(INT, self.lanes), f.splat(f.reg(n), self.lanes))
        return f.binary("add", start, steps)

    def load(self, n: Index, index: Index) -> Entry:
        """Element ``index`` of each row of ``n``."""
        f = self.f
        x = elements.take(f, Reg("%p0", "ptr"), self._places(n, index), self.entries.dtype, self.mask)
        return self.entries.make(f, x, f.splat(f.reg(index), self.lanes))

    def load_some(self, n: Index, index: Index, some: int) -> list[Entry]:
        """Elements from ``index`` on of each row of ``n``: parts of rows, turned in registers."""
        f, dtype = self.f, self.entries.dtype
        kind = elements.memory_type(dtype)
        if self.lanes == 1 or bits(kind) < 32:
            return [self.load(n, f.add(index, i)) for i in range(some)]
        columns: list[Reg] = []
        for start in range(0, some, self.lanes):
            width = min(self.lanes, some - start)
            mask = f.mask(width, self.lanes) if width < self.lanes else None
            places = [f.at(Reg("%p0", "ptr"), f.add(at, f.add(index, start)), kind) for at in self._starts(n)]
            columns += transpose(f, [elements.load(f, p, dtype, self.lanes, mask) for p in places])[:width]
        return [self.entries.make(f, x, f.splat(f.reg(f.add(index, i)), self.lanes)) for i, x in enumerate(columns)]

    def _starts(self, n: Index) -> list[Index]:
        """Where each row of ``n`` begins; the last row is taken for those that do not exist."""
        f, last = self.f, self.f.sub(self.stop, 1)
        return [f.mul(f.min(f.add(self.first, i), last), n) for i in range(self.lanes)]

    def store_some(self, count: Index, index: Index, found: list[Entry]) -> None:
        """What is found in entries is written one after the other from number ``index`` of ``count`` on."""
        f = self.f
        whole = len(found) - len(found) % self.lanes if self.lanes > 1 else 0
        for start in range(0, whole, self.lanes):
            rows = transpose(f, [self.entries.found(f, entry) for entry in found[start : start + self.lanes]])
            starts = self._starts(count)
            for row, at in reversed(list(zip(rows, starts, strict=True))):  # the last row after what stands for it
                f.store(row, f.at(Reg("%p1", "ptr"), f.add(at, f.add(index, start)), row.element))
        for i, entry in enumerate(found[whole:], start=whole):
            self.store(count, f.add(index, i), entry)

    def store(self, count: Index, index: Index, entry: Entry) -> None:
        """What is found in ``entry`` is number ``index`` of ``count``."""
        found = self.entries.found(self.f, entry)
        self.f.scatter(found, Reg("%p1", "ptr"), self._places(count, index), self.mask)


def _short_rows(f: Function, entries: Entries, rows: Rows, n: int, count: int, block: int, lanes: int) -> None:
    """All places in order, by a network: in registers, or in memory where they would not hold the row."""
    table = Table(f, entries, n + -n % block, lanes) if n > block else None
    with f.loop(*rows, lanes) as group:
        at = Lanes(f, entries, group.index, rows[1], lanes)
        if table is None:
            found = _sort_in_registers(f, entries, at.load_some(n, 0, n))
            at.store_some(count, 0, found[:count])
        else:
            _fill_sorted(f, table, n, block, lambda index, some: at.load_some(n, index, some))
            whole = count - count % block
            with f.loop(0, whole, block) as k:
                at.store_some(count, k.index, [table.load(f.add(k.index, i)) for i in range(block)])
            at.store_some(count, whole, [table.load(whole + i) for i in range(count - whole)])


def _first_few(f: Function, entries: Entries, rows: Rows, n: Index, count: int, lanes: int) -> None:
    """The first places: of all elements so far the first ones are kept in order; most later ones are none of them."""
    table = Table(f, entries, count, lanes)
    with f.loop(*rows, lanes) as group:
        at = Lanes(f, entries, group.index, rows[1], lanes)
        for i in range(count):
            table.store(i, entries.last(lanes))
        with f.loop(0, n if count else 0) as k:
            entry = at.load(n, k.index)
            is_among = entries.is_before(f, entry, table.load(count - 1))
            some = is_among if lanes == 1 else f.call(f"llvm.vector.reduce.or.v{lanes}i1", [is_among], "i1")
            with f.when(some):
                for i in range(count):
                    kept, entry = entries.ordered(f, table.load(i), entry)
                    table.store(i, kept)
        for i in range(count):
            at.store(count, i, table.load(i))


# Long rows -----------------------------------------------------------------------------------------------------------


def _long_rows(
    f: Function, entries: Entries, rows: Rows, sizes: tuple[Index, Index], pieces: tuple[int, int], lanes: int
) -> None:
    """Sorted pieces, then runs of twice the length at each turn, to and fro between two copies of the row."""
    (n, count), piece, width = sizes, pieces[0], entries.width
    table = Table(f, entries, piece, lanes)
    longer = f.div(f.reg(f.sub(f.max(n, 1), 1)), piece)  # 0 if a piece is enough
    passes = f.sub(64, f.call("llvm.ctlz.i64", [f.reg(longer), literal(0, "i1")], INT))
    with f.loop(*rows) as row:
        # a merge reads one entry behind its runs before it knows that there is none: each row has room for it
        start = f.mul(row.index, f.add(n, 1))
        copies = [f.at(Reg(f"%p{2 + i}", "ptr"), start, INT) for i in range(2 * width)]
        numbers = f.at(Reg("%p0", "ptr"), f.mul(row.index, n), elements.memory_type(entries.dtype))
        with f.loop(0, n, piece * lanes) as base:
            _sort_pieces(f, table, numbers, copies[:width], base.index, n, pieces)
        with f.loop(0, passes, 1, copies) as turn:
            source, target = turn.carried[:width], turn.carried[width:]
            run = f.mul(f.binary("shl", literal(1, INT), turn.index), piece)
            with f.loop(0, n, f.mul(run, 2)) as left:
                middle = f.min(f.add(left.index, run), n)
                _merge(f, entries, source, target, left.index, middle, f.min(f.add(middle, run), n))
            turn.next = [*target, *source]
        order = f.at(Reg("%p1", "ptr"), f.mul(row.index, count), "i32")
        with f.loop(0, count) as k:
            place = f.load(f.at(turn.results[width - 1], k.index, INT), INT)
            f.store(f.convert("trunc", place, "i32"), f.at(order, k.index, "i32"))


def _sort_pieces(
    f: Function, table: Table, numbers: Reg, target: Sequence[Reg], base: Index, n: Index, pieces: tuple[int, int]
) -> None:
    """Sort as many pieces as there are lanes, from element ``base`` on."""
    entries, lanes, (piece, block) = table.entries, table.lanes, pieces
    steps = f.binary("mul", f.lane_numbers(INT, lanes), literal(piece, vector(INT, lanes)))

    def places(index: Index) -> tuple[Reg, Reg]:
        where = f.binary("add", f.splat(f.reg(f.add(base, index)), lanes), steps)
        return where, f.compare("slt", where, f.splat(f.reg(n), lanes))

    def load_one(index: Index) -> Entry:
        where, is_there = places(index)
        if lanes == 1:
            where = f.select(is_there, where, literal(0, INT))
        x = elements.take(f, numbers, where, entries.dtype, is_there)
        found = entries.make(f, x, where)
        return [f.select(is_there, a, b) for a, b in zip(found, entries.last(lanes), strict=True)]

    def load(index: Index, some: int) -> list[Entry]:
        return [load_one(f.add(index, i)) for i in range(some)]

    _fill_sorted(f, table, piece, block, load)
    with f.loop(0, piece) as k:
        where, is_there = places(k.index)
        for part, memory in zip(table.load(k.index), target, strict=True):
            f.scatter(part, memory, where, is_there)


def _merge(
    f: Function, entries: Entries, source: Sequence[Reg], target: Sequence[Reg], left: Index, middle: Index, end: Index
) -> None:
    """Two sorted runs, of which the second begins where the first ends, as one."""
    with f.loop(left, end, 1, [f.reg(left)]) as k:
        (i,) = k.carried
        j = f.reg(f.add(f.sub(k.index, i), middle))
        a, b = ([f.load(f.at(memory, at, INT), INT) for memory in source] for at in (i, j))
        is_right = entries.is_before(f, b, a)
        is_right = f.binary("or", is_right, f.compare("sge", i, f.reg(middle)))
        is_right = f.binary("and", is_right, f.compare("slt", j, f.reg(end)))
        for x, y, memory in zip(a, b, target, strict=True):
            f.store(f.select(is_right, y, x), f.at(memory, k.index, INT))
        k.next = [f.select(is_right, i, f.reg(f.add(i, 1)))]
