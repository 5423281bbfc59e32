"""Attention by tiles of scores, forward and backward: what is in memory at a time is one tile of a few queries and keys.

Scores lie turned, a row for each key and a lane for each query: softmax then needs no sums across lanes, and a tile of
weights is by itself the panel that the product with the values reads. Forward, a block of queries walks over the tiles of
keys with the largest score and the sum so far; backward, the weights of each tile are computed anew from the final ones.
Tiles that no query of a block can see, by its place, are left out, unless a query sees nothing at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from layerkit.engines.llvm.codegen.builder import INT, Function, Index, Module, Reg, literal, size_registers, vector, zero
from layerkit.engines.llvm.codegen.target import Target
from layerkit.engines.llvm.loops import random, vmath
from layerkit.engines.llvm.loops.affine import Affine
from layerkit.engines.llvm.loops.writer import Sizes
from layerkit.engines.llvm.tiles.gemm import Terms, Tile, tile, tiles
from layerkit.engines.llvm.tiles.packing import Matrix, slot, to_panels, to_tiles, transpose
from layerkit.ir import Size, product
from layerkit.ops.attend import MASKED, Attend

KEYS = 128  # of a tile, at most
LEAST = -3.4028234663852886e38  # what the largest score is before the first
BLIND = 0.99 * MASKED  # a largest score below this is that of a query that may see nothing


@dataclass(frozen=True)
class Heads:
    """One attention: what it is told, its sizes, and where its operands lie.

    Attributes:
        op: what it is told.
        front: axes in front.
        rows, columns: queries and keys.
        heads, groups: of queries, and of keys and values.
        size, values: elements of a key and of a value.
        places: by the letter of the operand, places over (front..., positions, heads or groups, elements); for
            "allowed" and "bias" over (front..., heads, columns, rows).
    """

    op: Attend
    front: tuple[Size, ...]
    rows: Size
    columns: Size
    heads: int
    groups: int
    size: int
    values: int
    places: tuple[tuple[str, Affine], ...]

    def units(self, target: Target, element: str) -> Size:
        """Units of work forward: blocks of queries of all heads, or heads if the number of queries is unknown."""
        blocks = -(-self.rows // self.tile(target, element).width) if isinstance(self.rows, int) else 1
        return product((*self.front, self.heads, blocks))

    def tile(self, target: Target, element: str) -> Tile:
        """The shape of register tiles, whose columns are queries."""
        return tile(target, element, self.rows if isinstance(self.rows, int) else 1 << 20)

    def is_open(self) -> bool:
        """Whether a query might see nothing among the keys that are near enough."""
        return bool(self.op.window or (self.op.causal and (self.op.masked or self.op.biased)))


def forward(module: Module, target: Target, element: str, what: Heads, names: tuple[str, ...], scale: int) -> str:
    """``(q, k, v, [allowed], [bias], [key], y, most, total, sizes..., begin, end)`` for units begin * scale to end * scale.

    Units are blocks of queries of all heads, or heads where the number of queries is unknown.
    """
    return module.once(
        ("attend", element, what, names, scale), lambda: _Forward(module, target, element, what, names).write(scale)
    )


def backward(module: Module, target: Target, element: str, what: Heads, names: tuple[str, ...], scale: int) -> str:
    """``(g, q, k, v, delta, most, total, [allowed], [bias], [key], dq, dk, dv, sizes..., begin, end)``; units are groups."""
    return module.once(
        ("attend_grad", element, what, names, scale),
        lambda: _Backward(module, target, element, what, names).write(scale),
    )


@dataclass(frozen=True)
class _Block:
    """Some neighbouring queries of one head.

    Attributes:
        front: where it is along the axes in front.
        head: its head.
        flat: the number of the head among those of all samples.
        top, count: the first query, and how many there are.
    """

    front: tuple[Index, ...]
    head: Index
    flat: Index
    top: Index
    count: Index


@dataclass(frozen=True)
class _Keys:
    """A tile of keys: the first, and how many there are."""

    first: Index
    count: Index


class _Kernel:
    """What both directions have in common."""

    pointers: tuple[str, ...]

    def __init__(self, module: Module, target: Target, element: str, what: Heads, names: tuple[str, ...]) -> None:
        self.module, self.target, self.element, self.what, self.op = module, target, element, what, what.op
        self.shape = what.tile(target, element)
        self.lanes, self.width, self.vectors = self.shape.lanes, self.shape.width, self.shape.vectors
        self.kind = vector(element, self.lanes)
        is_there = {"allowed": self.op.masked, "bias": self.op.biased, "key": self.op.rate > 0}
        self.at = {n: Reg(f"%{n}", "ptr") for n in self.pointers if is_there.get(n, True)}
        self.f = f = module.kernel(list(self.at.values()), names)
        self.sizes = Sizes(f, size_registers(names))
        self.rows, self.columns = self.sizes(what.rows), self.sizes(what.columns)
        self.front = [self.sizes(n) for n in what.front]
        self.strides = {n: [self.sizes(x) for x in (*p.factors, p.constant)] for n, p in what.places}
        self.key = [f.load(f.at(self.at["key"], i, "i32"), "i32") for i in range(4)] if "key" in self.at else []
        self.keys = KEYS
        if isinstance(what.columns, int):
            self.keys = -(-what.columns // -(-what.columns // KEYS))
        self.scores = self.memory(self.keys * self.width)
        self.queries = self.memory(what.size * self.width)
        self.most, self.total = self.memory(self.width), self.memory(self.width)

    def memory(self, elements: int) -> Reg:
        """Memory of the kernel's own."""
        return self.f.emit(f"alloca {self.element}, i64 {elements}, align 64", "ptr")

    def in_front(self, number: Index) -> tuple[Index, ...]:
        """Where a sample, counted over all axes in front, is along each of them."""
        f, found = self.f, []
        for axis in reversed(range(len(self.front))):
            found.append(f.rem(number, self.front[axis]) if axis else number)
            number = f.div(number, self.front[axis]) if axis else 0
        return tuple(reversed(found))

    def count_of_blocks(self) -> Index:
        """Blocks of queries of a head."""
        return self.f.div(self.f.add(self.rows, self.width - 1), self.width)

    def block_at(self, flat: Index, number: Index) -> _Block:
        """A block of a head that is counted over all samples."""
        f, heads = self.f, self.what.heads
        top = f.mul(number, self.width)
        count = f.min(f.sub(self.rows, top), self.width)
        return _Block(self.in_front(f.div(flat, heads)), f.rem(flat, heads), flat, top, count)

    def group_of(self, head: Index) -> Index:
        """The group to which a head belongs."""
        return self.f.div(head, self.what.heads // self.what.groups)

    def start(self, name: str, *at: Index) -> Reg:
        """The address of the first element at a place of an operand."""
        f, (*factors, constant) = self.f, self.strides[name]
        offset = constant
        for index, factor in zip(at, factors, strict=False):
            offset = f.add(offset, f.mul(index, factor))
        return f.at(self.at[name], offset, "i8" if name == "allowed" else self.element)

    def step(self, name: str) -> Index:
        """Elements from one position of an operand to the next."""
        return self.strides[name][-4]

    def moved(self, start: Reg, name: str, positions: Index) -> Reg:
        """So many positions further."""
        return self.f.at(start, self.f.mul(positions, self.step(name)), self.element)

    # Loops over a tile of scores

    def vector_at(self, memory: Reg, v: int) -> Reg:
        """One of the vectors of a row."""
        return self.f.load(self.f.at(memory, v * self.lanes, self.element), self.kind)

    def put(self, value: Reg, memory: Reg, v: int) -> None:
        """Write one of the vectors of a row."""
        self.f.store(value, self.f.at(memory, v * self.lanes, self.element))

    def each(self, count: Index, change: Callable[[Index, int, list[Reg]], Reg], *memory: Reg) -> None:
        """Replace each vector of the first of some tiles by what ``change(row, v, vectors)`` makes of those of all."""
        f = self.f
        with f.loop(0, count) as loop:
            own = [f.at(m, f.mul(loop.index, self.width), self.element) for m in memory]
            for v in range(self.vectors):
                self.put(change(loop.index, v, [self.vector_at(m, v) for m in own]), own[0], v)

    def valid(self, block: _Block, v: int) -> Reg:
        """Which lanes of a vector have a query."""
        return self.f.mask(self.f.reg(self.f.sub(block.count, v * self.lanes)), self.lanes)

    # Scores

    def span(self, block: _Block) -> tuple[Index, Index]:
        """The keys that the queries of a block can see by their places: from one, which begins a tile, to another."""
        f, low, high = self.f, 0, self.columns
        end = f.add(block.top, block.count)
        if self.op.window:
            first = f.max(f.sub(block.top, self.op.window - 1), 0)
            low = f.mul(f.div(first, self.keys), self.keys)  # type: ignore[assignment]
            high = f.min(high, f.add(end, self.op.window - 1))
        if self.op.causal:
            high = f.min(high, end)
        return low, high

    def walk(self, low: Index, high: Index, write: Callable[[_Keys], None]) -> None:
        """``write`` for all tiles of keys."""
        f, columns = self.f, self.what.columns
        is_even = isinstance(columns, int) and columns % self.keys == 0
        with f.loop(low, high, self.keys) as loop:
            write(_Keys(loop.index, self.keys if is_even else f.min(f.sub(self.columns, loop.index), self.keys)))

    def multiply(self, left: Reg, stride: Index, keys: _Keys, right: Reg, terms: int, out: Reg) -> None:
        """Products of all keys (or values) of a tile with turned queries (or cotangents)."""
        tiles(
            self.f, self.module, self.shape, self.element, "n", rows=keys.count, columns=self.width, a=left, b=right, c=out,
            lda=stride, ldb=self.width, ldc=self.width, panel=terms * self.width, terms=Terms(terms),
        )  # fmt: skip

    def add_turned(self, name: str, source: Reg, keys: _Keys, rows: int, right: Reg, copy: Reg, out: Reg) -> None:
        """Add, to turned results, a tile of values (or keys) times a tile of weights (or their cotangents)."""
        f, stride = self.f, self.step(name)
        is_copied = stride != rows  # rows apart would meet in few sets of the cache
        apart = slot(self.shape, self.keys)
        if is_copied:
            to_tiles(f, self.shape, self.element, Matrix(source, 1, stride), keys.count, rows, copy, apart)
        tiles(
            f, self.module, self.shape, self.element, "t", rows=rows, columns=self.width, a=copy if is_copied else source,
            b=right, c=out, lda=self.shape.rows_t if is_copied else stride, ldb=self.width, ldc=self.width,
            panel=self.keys * self.width, terms=Terms(keys.count), add=True, slot=apart if is_copied else None,
        )  # fmt: skip

    def copies(self, rows: int) -> Reg:
        """Memory for what ``add_turned`` copies."""
        return self.memory(-(-rows // self.shape.rows_t) * slot(self.shape, self.keys))

    def bend(self, block: _Block, keys: _Keys, slope: Reg | None = None) -> None:
        """Scores as softmax takes them: bent, with their bias, and those of what may not be seen."""
        f, cap = self.f, self.op.soft_cap
        if cap:
            if slope is not None:
                self.each(keys.count, lambda r, v, x: self._slope(x[1]), slope, self.scores)
            self.each(keys.count, lambda r, v, x: self._times(vmath.tanh(f, self._times(x[0], 1 / cap)), cap), self.scores)
        if self.op.biased:
            self.each(
                keys.count, lambda r, v, x: f.binary("fadd", x[0], self._cell("bias", block, keys, r, v)), self.scores
            )
        self.forbid(block, keys, self.scores, MASKED)

    def _slope(self, x: Reg) -> Reg:
        """1 - tanh(x / cap)^2."""
        bent = vmath.tanh(self.f, self._times(x, 1 / self.op.soft_cap))
        return self.f.fma(self.f.unary("fneg", bent), bent, literal(1.0, self.kind))

    def _times(self, x: Reg, factor: float) -> Reg:
        return self.f.binary("fmul", x, literal(factor, self.kind))

    def _cell(self, name: str, block: _Block, keys: _Keys, row: Index, v: int) -> Reg:
        """The bias of a row's vector, or whether its scores may be seen."""
        f, element = self.f, "i8" if name == "allowed" else self.element
        *_, along, _ = self.strides[name]
        first = f.add(block.top, v * self.lanes)
        at = self.start(name, *block.front, block.head, f.add(keys.first, row), first)
        if along == 0:
            found = f.splat(f.load(at, element), self.lanes)
        else:
            found = f.load(at, vector(element, self.lanes), self.valid(block, v))
        return f.compare("ne", found, zero(found.type)) if name == "allowed" else found

    def forbid(self, block: _Block, keys: _Keys, memory: Reg, number: float) -> None:
        """Write a number where something may not be seen."""
        f, other = self.f, literal(number, self.kind)
        if self.op.masked:
            self.each(
                keys.count,
                lambda r, v, x: f.select(self._cell("allowed", block, keys, r, v), x[0], other),
                memory,
            )
        if not self.op.causal and not self.op.window:
            return
        ints = vector("i32", self.lanes)

        def narrow(x: Index) -> Reg:
            return f.splat(f.convert("trunc", f.reg(f.add(x, 0)), "i32"), self.lanes)

        with f.when(self._crosses(block, keys)):
            top, first = narrow(block.top), narrow(keys.first)

            def change(row: Index, v: int, x: list[Reg]) -> Reg:
                i = f.binary("add", f.binary("add", top, literal(v * self.lanes, ints)), f.lane_numbers("i32", self.lanes))
                ahead = f.binary("sub", f.binary("add", first, narrow(row)), i)
                conditions = [f.compare("sle", ahead, zero(ints))] if self.op.causal else []
                if self.op.window:
                    conditions.append(f.compare("sgt", ahead, literal(-self.op.window, ints)))
                    conditions.append(f.compare("slt", ahead, literal(self.op.window, ints)))
                is_seen = conditions[0]
                for each in conditions[1:]:
                    is_seen = f.binary("and", is_seen, each)
                return f.select(is_seen, x[0], other)

            self.each(keys.count, change, memory)

    def _crosses(self, block: _Block, keys: _Keys) -> Reg:
        """Whether a query of the block may not see a key of the tile, by their places."""
        f = self.f
        ahead = f.reg(f.sub(f.add(keys.first, f.sub(keys.count, 1)), block.top))  # the last key, from the first query
        limit = 0 if self.op.causal else self.op.window - 1
        crosses = f.compare("sgt", ahead, literal(limit, INT))
        if self.op.window:
            behind = f.reg(f.sub(f.add(block.top, f.sub(block.count, 1)), keys.first))
            crosses = f.binary("or", crosses, f.compare("sge", behind, literal(self.op.window, INT)))
        return crosses

    def is_blind(self) -> Reg:
        """Whether a query of the block may see nothing."""
        found = None
        for v in range(self.vectors):
            low = self.f.compare("olt", self.vector_at(self.most, v), literal(BLIND, self.kind))
            found = low if found is None else self.f.binary("or", found, low)
        assert found is not None
        if self.lanes == 1:
            return found
        return self.f.call(f"llvm.vector.reduce.or.v{self.lanes}i1", [found], "i1")

    def keeping(self, block: _Block, keys: _Keys, row: Index, v: int) -> Reg:
        """Which weights of a row's vector are kept."""
        f = self.f
        place = f.mul(f.add(f.mul(block.flat, self.columns), f.add(keys.first, row)), self.rows)
        first = f.reg(f.add(place, f.add(block.top, v * self.lanes)))
        numbers = f.binary("add", f.splat(first, self.lanes), f.lane_numbers(INT, self.lanes))
        is_even = isinstance(self.rows, int) and self.rows % 4 == 0 == self.lanes % 4
        drawn = random.uniform(f, self.key, random.Place(numbers, first if is_even else None), "float")
        return f.compare("oge", drawn, literal(self.op.rate, drawn.type))

    def left(self, keep: Reg, x: Reg) -> Reg:
        """What is kept, made larger."""
        return self.f.select(keep, self._times(x, 1 / (1 - self.op.rate)), zero(self.kind))

    # Turning

    def turn(self, source: Reg, stride: Index, count: Index, depth: int, to: Reg, factor: float) -> None:
        """Rows as columns of a panel, times a factor; the last row stands for those that are missing."""
        f = self.f
        key = ("turn", self.element, self.lanes, self.width, depth, factor)
        name = self.module.once(key, lambda: _write_turn(self.module, self.element, self.lanes, self.width, depth, factor))
        for v in range(self.vectors):
            own = f.at(source, f.mul(stride, v * self.lanes), self.element)
            last = f.sub(count, v * self.lanes + 1)
            f.run(name, [own, f.at(to, v * self.lanes, self.element), f.reg(stride), f.reg(last)])

    def turn_back(self, source: Reg, depth: int, to: Reg, stride: Index, count: Index) -> None:
        """Columns of a panel as rows."""
        f = self.f
        key = ("turn_back", self.element, self.lanes, self.width, depth)
        name = self.module.once(key, lambda: _write_turn_back(self.module, self.element, self.lanes, self.width, depth))
        for v in range(self.vectors):
            own = f.at(to, f.mul(stride, v * self.lanes), self.element)
            valid = f.sub(count, v * self.lanes)
            f.run(name, [f.at(source, v * self.lanes, self.element), own, f.reg(stride), f.reg(valid)])


def _write_turn(module: Module, element: str, lanes: int, width: int, depth: int, factor: float) -> str:
    """``(rows, panel, stride, last)``: rows up to number ``last`` as columns of a panel."""
    source, to, stride, last = Reg("%a", "ptr"), Reg("%b", "ptr"), Reg("%stride", INT), Reg("%last", INT)
    f, kind = module.function([source, to, stride, last]), vector(element, lanes)
    rows = [f.at(source, f.mul(f.min(i, last), stride), element) for i in range(lanes)]

    def square(first: Index, count: int) -> None:
        mask = f.mask(count, lanes) if count < lanes else None
        values = [f.load(f.at(row, first, element), kind, mask) for row in rows]
        line = f.at(to, f.mul(first, width), element)
        for j, x in enumerate(transpose(f, values)[:count]):
            f.store(f.binary("fmul", x, literal(factor, kind)), f.at(line, j * width, element))

    _squares(f, depth, lanes, square)
    return module.add(f, "turn")


def _write_turn_back(module: Module, element: str, lanes: int, width: int, depth: int) -> str:
    """``(panel, rows, stride, valid)``: so many columns of a panel as rows."""
    source, to, stride, valid = Reg("%a", "ptr"), Reg("%b", "ptr"), Reg("%stride", INT), Reg("%valid", INT)
    f, kind = module.function([source, to, stride, valid]), vector(element, lanes)

    def square(first: Index, count: int) -> None:
        mask = f.mask(count, lanes) if count < lanes else None
        line = f.at(source, f.mul(first, width), element)
        values = [f.load(f.at(line, j * width, element), kind) if j < count else zero(kind) for j in range(lanes)]
        for i, x in enumerate(transpose(f, values)):
            with f.when(f.compare("sgt", valid, literal(i, INT))):
                f.store(x, f.at(f.at(to, f.mul(stride, i), element), first, element), mask)

    _squares(f, depth, lanes, square)
    return module.add(f, "turn_back")


def _squares(f: Function, depth: int, lanes: int, square: Callable[[Index, int], None]) -> None:
    whole = depth // lanes * lanes
    with f.loop(0, whole, lanes) as c:
        square(c.index, lanes)
    if depth > whole:
        square(whole, depth - whole)


class _Forward(_Kernel):
    """The result, and what softmax divided by."""

    pointers = ("q", "k", "v", "allowed", "bias", "key", "y", "most_out", "total_out")

    def write(self, scale: int) -> str:
        """The function's name."""
        f, what = self.f, self.what
        self.out, self.shrunk = self.memory(what.values * self.width), self.memory(self.width)
        self.copy = self.copies(what.values)
        self.again = f.emit("alloca i1", "ptr")
        blocks = self.count_of_blocks()
        with f.loop(f.mul(Reg("%begin", INT), scale), f.mul(Reg("%end", INT), scale)) as unit:
            if isinstance(what.rows, int):
                self.attend(self.block_at(f.div(unit.index, blocks), f.rem(unit.index, blocks)))
            else:
                with f.loop(0, blocks) as i:
                    self.attend(self.block_at(unit.index, i.index))
        return self.module.add(f, "attend")

    def attend(self, block: _Block) -> None:
        """One block of queries."""
        f, what = self.f, self.what
        q = self.start("q", *block.front, block.top, block.head)
        self.turn(q, self.step("q"), block.count, what.size, self.queries, self.op.scale)
        low, high = self.span(block)
        if not what.is_open():
            self.sum(block, low, high)
        else:  # a second time over all keys, if a query saw nothing
            with f.loop(0, 2) as turn:
                is_first = f.compare("eq", turn.index, literal(0, INT))
                with f.when(f.binary("or", is_first, f.load(self.again, "i1"))):
                    begin = f.select(is_first, f.reg(low), literal(0, INT))
                    self.sum(block, begin, f.select(is_first, f.reg(high), f.reg(self.columns)))
                    f.store(self.is_blind(), self.again)
        self.finish(block)

    def sum(self, block: _Block, low: Index, high: Index) -> None:
        """The weighted sum of values, not divided yet."""
        f = self.f
        for v in range(self.vectors):
            self.put(literal(LEAST, self.kind), self.most, v)
            self.put(zero(self.kind), self.total, v)
        self.each(self.what.values, lambda r, v, x: zero(self.kind), self.out)
        at = (*block.front, 0, self.group_of(block.head))

        def tile(keys: _Keys) -> None:
            k, v = (self.moved(self.start(n, *at), n, keys.first) for n in ("k", "v"))
            self.multiply(k, self.step("k"), keys, self.queries, self.what.size, self.scores)
            self.bend(block, keys)
            self.shift(keys)
            if self.op.rate:
                self.each(keys.count, lambda r, v, x: self.left(self.keeping(block, keys, r, v), x[0]), self.scores)
            self.each(self.what.values, lambda r, v, x: f.binary("fmul", x[0], self.vector_at(self.shrunk, v)), self.out)
            self.add_turned("v", v, keys, self.what.values, self.scores, self.copy, self.out)

        self.walk(low, high, tile)

    def shift(self, keys: _Keys) -> None:
        """Scores become exponentials of what they are below the largest so far; by how much earlier ones shrink."""
        f, vectors = self.f, range(self.vectors)
        before = [self.vector_at(self.most, v) for v in vectors]
        with f.loop(0, keys.count, 1, before) as loop:
            row = f.at(self.scores, f.mul(loop.index, self.width), self.element)
            for v in vectors:
                x, most = self.vector_at(row, v), loop.carried[v]
                loop.next.append(f.select(f.compare("ogt", x, most), x, most))
        most = loop.results
        with f.loop(0, keys.count, 1, [zero(self.kind) for _ in vectors]) as loop:
            row = f.at(self.scores, f.mul(loop.index, self.width), self.element)
            for v in vectors:
                x = vmath.exp_below(f, f.binary("fsub", self.vector_at(row, v), most[v]))
                self.put(x, row, v)
                loop.next.append(f.binary("fadd", loop.carried[v], x))
        for v in vectors:
            shrunk = vmath.exp_below(f, f.binary("fsub", before[v], most[v]))
            self.put(f.fma(self.vector_at(self.total, v), shrunk, loop.results[v]), self.total, v)
            self.put(most[v], self.most, v)
            self.put(shrunk, self.shrunk, v)

    def finish(self, block: _Block) -> None:
        """Divide, and write the rows."""
        f = self.f
        place = f.add(f.mul(block.flat, self.rows), block.top)
        for v in range(self.vectors):
            most, total = self.vector_at(self.most, v), self.vector_at(self.total, v)
            for value, name in ((most, "most_out"), (total, "total_out")):
                f.store(value, f.at(self.at[name], f.add(place, v * self.lanes), self.element), self.valid(block, v))
            self.put(f.binary("fdiv", literal(1.0, self.kind), total), self.shrunk, v)
        self.each(self.what.values, lambda r, v, x: f.binary("fmul", x[0], self.vector_at(self.shrunk, v)), self.out)
        y = self.start("y", *block.front, block.top, block.head)
        self.turn_back(self.out, self.what.values, y, self.step("y"), block.count)


class _Backward(_Kernel):
    """The cotangents of query, key and value."""

    pointers = ("g", "q", "k", "v", "delta", "most_in", "total_in", "allowed", "bias", "key", "dq", "dk", "dv")

    def write(self, scale: int) -> str:
        """The function's name."""
        f, what = self.f, self.what
        self.cotangents = self.memory(what.values * self.width)
        self.slopes, self.delta = self.memory(self.keys * self.width), self.memory(self.width)
        self.bent = self.memory(self.keys * self.width) if self.op.soft_cap else None
        self.dq, self.copy = self.memory(what.size * self.width), self.copies(what.size)
        self.by_size, self.by_values = (self.right(n) for n in (what.size, what.values))
        self.query_rows, self.cotangent_rows = (
            self.memory(s.panels(n) * self.width * s.width)
            for s, n in ((self.by_size, what.size), (self.by_values, what.values))
        )
        per = what.heads // what.groups
        blocks = self.count_of_blocks()
        with f.loop(f.mul(Reg("%begin", INT), scale), f.mul(Reg("%end", INT), scale)) as unit:
            front, group = self.in_front(f.div(unit.index, what.groups)), f.rem(unit.index, what.groups)
            for name, size in (("dk", what.size), ("dv", what.values)):
                self.clear(self.start(name, *front, 0, group), self.step(name), size)
            with f.loop(0, per) as h, f.loop(0, blocks) as i:
                self.block(self.block_at(f.add(f.mul(unit.index, per), h.index), i.index))
        return self.module.add(f, "attend_grad")

    def right(self, columns: int) -> Tile:
        """Register tiles for results with a key's or a value's elements as columns."""
        return tile(self.target, self.element, columns)

    def clear(self, rows: Reg, stride: Index, size: int) -> None:
        """Write zeros, to which blocks add."""
        f = self.f
        with f.loop(0, self.columns) as j:
            row = f.at(rows, f.mul(j.index, stride), self.element)
            for first in range(0, size, self.lanes):
                mask = f.mask(size - first, self.lanes) if size - first < self.lanes else None
                f.store(zero(self.kind), f.at(row, first, self.element), mask)

    def block(self, block: _Block) -> None:
        """What one block of queries adds."""
        f, what = self.f, self.what
        q, g = (self.start(n, *block.front, block.top, block.head) for n in ("q", "g"))
        self.turn(q, self.step("q"), block.count, what.size, self.queries, self.op.scale)
        self.turn(g, self.step("g"), block.count, what.values, self.cotangents, self.op.scale)
        self.pack(q, self.step("q"), block, self.by_size, what.size, self.query_rows)
        self.pack(g, self.step("g"), block, self.by_values, what.values, self.cotangent_rows)
        place = f.add(f.mul(block.flat, self.rows), block.top)
        for v in range(self.vectors):
            most, total, delta = (
                f.load(f.at(self.at[n], f.add(place, v * self.lanes), self.element), self.kind, self.valid(block, v))
                for n in ("most_in", "total_in", "delta")
            )
            self.put(most, self.most, v)
            self.put(f.binary("fdiv", literal(1.0, self.kind), total), self.total, v)
            self.put(self._times(delta, self.op.scale), self.delta, v)
        self.each(what.size, lambda r, v, x: zero(self.kind), self.dq)
        low, high = self.span(block)
        if what.is_open():
            is_blind = self.is_blind()
            low = f.select(is_blind, literal(0, INT), f.reg(low))
            high = f.select(is_blind, f.reg(self.columns), f.reg(high))
        self.walk(low, high, lambda keys: self.tile(block, keys))
        dq = self.start("dq", *block.front, block.top, block.head)
        self.turn_back(self.dq, what.size, dq, self.step("dq"), block.count)

    def pack(self, source: Reg, stride: Index, block: _Block, shape: Tile, size: int, to: Reg) -> None:
        """Rows as panels of a right operand."""
        to_panels(
            self.f, shape, self.element, Matrix(source, stride, 1), block.count, size, to, self.width * shape.width
        )

    def tile(self, block: _Block, keys: _Keys) -> None:
        """What one block of queries and one tile of keys add."""
        f, what = self.f, self.what
        at = (*block.front, 0, self.group_of(block.head))
        k, v, dk, dv = (self.moved(self.start(n, *at), n, keys.first) for n in ("k", "v", "dk", "dv"))
        self.multiply(k, self.step("k"), keys, self.queries, what.size, self.scores)
        self.bend(block, keys, self.bent)
        self.multiply(v, self.step("v"), keys, self.cotangents, what.values, self.slopes)
        self.weigh(block, keys)
        self.add("dv", dv, block, keys, self.scores, self.by_values, self.cotangent_rows, what.values)
        self.add("dk", dk, block, keys, self.slopes, self.by_size, self.query_rows, what.size)
        self.add_turned("k", k, keys, what.size, self.slopes, self.copy, self.dq)

    def weigh(self, block: _Block, keys: _Keys) -> None:
        """Scores become weights, cotangents of weights become those of scores (times the factor of queries)."""
        f, rate = self.f, self.op.rate
        most, inverse, delta = (
            [self.vector_at(m, v) for v in range(self.vectors)] for m in (self.most, self.total, self.delta)
        )
        with f.loop(0, keys.count) as loop:
            ahead = f.mul(loop.index, self.width)
            row, other = f.at(self.scores, ahead, self.element), f.at(self.slopes, ahead, self.element)
            for v in range(self.vectors):
                x = vmath.exp_below(f, f.binary("fsub", self.vector_at(row, v), most[v]))
                weight, slope = f.binary("fmul", x, inverse[v]), self.vector_at(other, v)
                keep = self.keeping(block, keys, loop.index, v) if rate else None
                self.put(weight if keep is None else self.left(keep, weight), row, v)
                slope = f.binary("fsub", slope if keep is None else self.left(keep, slope), delta[v])
                if self.bent is not None:
                    slope = f.binary("fmul", slope, self.vector_at(f.at(self.bent, ahead, self.element), v))
                self.put(f.binary("fmul", weight, slope), other, v)
        self.forbid(block, keys, self.slopes, 0.0)

    def add(
        self, name: str, result: Reg, block: _Block, keys: _Keys, left: Reg, shape: Tile, right: Reg, columns: int
    ) -> None:
        """Add to a tile of keys (or values) the products of weights with queries (or cotangents)."""
        tiles(
            self.f, self.module, shape, self.element, "n", rows=keys.count, columns=columns, a=left, b=right, c=result,
            lda=self.width, ldb=shape.width, ldc=self.step(name), panel=self.width * shape.width, terms=Terms(block.count),
            add=True,
        )  # fmt: skip
