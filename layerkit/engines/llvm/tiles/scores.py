"""Tiles of scores, on which attention works: which queries meet which keys, what may be seen, what is dropped.

Scores lie turned, a row for each key and a lane for each query: softmax then needs no sums across lanes, and a tile of
weights is by itself the panel that the product with the values reads.
"""

from __future__ import annotations

from collections.abc import Callable

from layerkit.engines.llvm.codegen.builder import INT, Index, Module, Reg, literal, size_registers, vector, zero
from layerkit.engines.llvm.codegen.target import Target
from layerkit.engines.llvm.loops import random, vmath
from layerkit.engines.llvm.loops.affine import Affine
from layerkit.engines.llvm.loops.writer import Sizes
from layerkit.engines.llvm.tiles.gemm import Terms, Tile, tile, tiles
from layerkit.engines.llvm.tiles.packing import Matrix, panel_to_rows, rows_to_panel
from layerkit.ir import Size, product
from layerkit.ops.attend import MASKED, Attend
from layerkit.records import dataclass

KEYS = 64  # of a tile, at most
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


@dataclass(frozen=True)
class Block:
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
class Keys:
    """A tile of keys: the first, and how many there are."""

    first: Index
    count: Index


class ScoreTiles:
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

    def block_at(self, flat: Index, number: Index) -> Block:
        """A block of a head that is counted over all samples."""
        f, heads = self.f, self.what.heads
        top = f.mul(number, self.width)
        count = f.min(f.sub(self.rows, top), self.width)
        return Block(self.in_front(f.div(flat, heads)), f.rem(flat, heads), flat, top, count)

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

    def valid(self, block: Block, v: int) -> Reg:
        """Which lanes of a vector have a query."""
        return self.f.mask(self.f.reg(self.f.sub(block.count, v * self.lanes)), self.lanes)

    # Scores

    def span(self, block: Block) -> tuple[Index, Index]:
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

    def walk(self, low: Index, high: Index, write: Callable[[Keys], None]) -> None:
        """``write`` for all tiles of keys."""
        f, columns = self.f, self.what.columns
        is_even = isinstance(columns, int) and columns % self.keys == 0
        with f.loop(low, high, self.keys) as loop:
            write(Keys(loop.index, self.keys if is_even else f.min(f.sub(self.columns, loop.index), self.keys)))

    def multiply(self, left: Reg, stride: Index, keys: Keys, right: Reg, terms: int, out: Reg) -> None:
        """Products of all keys (or values) of a tile with turned queries (or cotangents)."""
        tiles(
            self.f, self.module, self.shape, self.element, "n", rows=keys.count, columns=self.width, a=left, b=right, c=out,
            lda=stride, ldb=self.width, ldc=self.width, panel=terms * self.width, terms=Terms(terms),
        )  # fmt: skip

    def add_turned(self, name: str, source: Reg, keys: Keys, rows: int, right: Reg, out: Reg) -> None:
        """Add, to turned results, a tile of values (or keys) times a tile of weights (or their cotangents)."""
        tiles(
            self.f, self.module, self.shape, self.element, "t", rows=rows, columns=self.width, a=source, b=right, c=out,
            lda=self.step(name), ldb=self.width, ldc=self.width, panel=self.keys * self.width, terms=Terms(keys.count),
            add=True,
        )  # fmt: skip

    def bend(self, block: Block, keys: Keys, slope: Reg | None = None) -> None:
        """Scores as softmax takes them: bent, with their bias, and those of what may not be seen."""
        f, cap = self.f, self.op.soft_cap
        if cap:
            if slope is not None:
                self.each(keys.count, lambda r, v, x: self._slope(x[1]), slope, self.scores)
            self.each(
                keys.count, lambda r, v, x: self._times(vmath.tanh(f, self._times(x[0], 1 / cap)), cap), self.scores
            )
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

    def _cell(self, name: str, block: Block, keys: Keys, row: Index, v: int) -> Reg:
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

    def forbid(self, block: Block, keys: Keys, memory: Reg, number: float) -> None:
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
                i = f.binary(
                    "add", f.binary("add", top, literal(v * self.lanes, ints)), f.lane_numbers("i32", self.lanes)
                )
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

    def _crosses(self, block: Block, keys: Keys) -> Reg:
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

    def keeping(self, block: Block, keys: Keys, row: Index, v: int) -> Reg:
        """Which weights of a row's vector are kept."""
        f = self.f
        place = f.mul(f.add(f.mul(block.flat, self.columns), f.add(keys.first, row)), self.rows)
        first = f.reg(f.add(place, f.add(block.top, v * self.lanes)))
        numbers = f.binary("add", f.splat(first, self.lanes), f.lane_numbers(INT, self.lanes))
        is_even = isinstance(self.rows, int) and self.rows % 4 == 0 == self.lanes % 8
        drawn = random.uniform(f, self.key, random.Place(numbers, first if is_even else None), "float")
        return f.compare("oge", drawn, literal(self.op.rate, drawn.type))

    def left(self, keep: Reg, x: Reg) -> Reg:
        """What is kept, made larger."""
        return self.f.select(keep, self._times(x, 1 / (1 - self.op.rate)), zero(self.kind))

    # Turning

    def turn(self, source: Reg, stride: Index, count: Index, depth: int, to: Reg, factor: float) -> None:
        """Rows as columns of a panel, times a factor; the last row stands for those that are missing."""
        rows_to_panel(self.f, self.shape, self.element, Matrix(source, stride, 1), count, depth, to, factor)

    def turn_back(self, source: Reg, depth: int, to: Reg, stride: Index, count: Index) -> None:
        """Columns of a panel as rows."""
        panel_to_rows(self.f, self.shape, self.element, source, depth, Matrix(to, stride, 1), count)
