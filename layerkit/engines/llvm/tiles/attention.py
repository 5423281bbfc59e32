"""Attention by tiles of scores, forward and backward: what is in memory at a time is a tile of some queries and keys.

Forward, a block of queries walks over the tiles of keys with the largest score and the sum so far; backward, the weights of
each tile are computed anew from the final ones. Tiles that no query of a block can see, by its place, are left out, unless
a query sees nothing at all.
"""

from __future__ import annotations

from layerkit.engines.llvm.codegen.builder import INT, Index, Module, Reg, literal, zero
from layerkit.engines.llvm.codegen.target import Target
from layerkit.engines.llvm.loops import vmath
from layerkit.engines.llvm.tiles.gemm import Terms, Tile, tile, tiles
from layerkit.engines.llvm.tiles.packing import Matrix, to_panels
from layerkit.engines.llvm.tiles.scores import Block, Heads, Keys, ScoreTiles

LEAST = -3.4028234663852886e38  # what the largest score is before the first


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


class _Forward(ScoreTiles):
    """The result, and what softmax divided by."""

    pointers = ("q", "k", "v", "allowed", "bias", "key", "y", "most_out", "total_out")

    def write(self, scale: int) -> str:
        """The function's name."""
        f, what = self.f, self.what
        self.out, self.shrunk = self.memory(what.values * self.width), self.memory(self.width)
        self.again = f.emit("alloca i1", "ptr")
        blocks = self.count_of_blocks()
        with f.loop(f.mul(Reg("%begin", INT), scale), f.mul(Reg("%end", INT), scale)) as unit:
            if isinstance(what.rows, int):
                self.attend(self.block_at(f.div(unit.index, blocks), f.rem(unit.index, blocks)))
            else:
                with f.loop(0, blocks) as i:
                    self.attend(self.block_at(unit.index, i.index))
        return self.module.add(f, "attend")

    def attend(self, block: Block) -> None:
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

    def sum(self, block: Block, low: Index, high: Index) -> None:
        """The weighted sum of values, not divided yet."""
        f = self.f
        for v in range(self.vectors):
            self.put(literal(LEAST, self.kind), self.most, v)
            self.put(zero(self.kind), self.total, v)
        self.each(self.what.values, lambda r, v, x: zero(self.kind), self.out)
        at = (*block.front, 0, self.group_of(block.head))

        def tile(keys: Keys) -> None:
            k, v = (self.moved(self.start(n, *at), n, keys.first) for n in ("k", "v"))
            self.multiply(k, self.step("k"), keys, self.queries, self.what.size, self.scores)
            self.bend(block, keys)
            self.shift(keys)
            if self.op.rate:
                self.each(keys.count, lambda r, v, x: self.left(self.keeping(block, keys, r, v), x[0]), self.scores)
            self.each(
                self.what.values, lambda r, v, x: f.binary("fmul", x[0], self.vector_at(self.shrunk, v)), self.out
            )
            self.add_turned("v", v, keys, self.what.values, self.scores, self.out)

        self.walk(low, high, tile)

    def shift(self, keys: Keys) -> None:
        """Scores become exponentials of what they are below the largest so far; by how much earlier ones shrink."""
        f, vectors = self.f, range(self.vectors)
        before = [self.vector_at(self.most, v) for v in vectors]
        with f.loop(0, keys.count, 1, before) as loop:
            row = f.at(self.scores, f.mul(loop.index, self.width), self.element)
            for v in vectors:
                x, most = self.vector_at(row, v), loop.carried[v]
                loop.next.append(f.select(f.compare("ogt", x, most), x, most))
        most_now = loop.results
        with f.loop(0, keys.count, 1, [zero(self.kind) for _ in vectors]) as loop:
            row = f.at(self.scores, f.mul(loop.index, self.width), self.element)
            for v in vectors:
                x = vmath.exp_below(f, f.binary("fsub", self.vector_at(row, v), most_now[v]))
                self.put(x, row, v)
                loop.next.append(f.binary("fadd", loop.carried[v], x))
        for v in vectors:
            shrunk = vmath.exp_below(f, f.binary("fsub", before[v], most_now[v]))
            self.put(f.fma(self.vector_at(self.total, v), shrunk, loop.results[v]), self.total, v)
            self.put(most_now[v], self.most, v)
            self.put(shrunk, self.shrunk, v)

    def finish(self, block: Block) -> None:
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


class _Backward(ScoreTiles):
    """The cotangents of query, key and value."""

    pointers = ("g", "q", "k", "v", "delta", "most_in", "total_in", "allowed", "bias", "key", "dq", "dk", "dv")

    def write(self, scale: int) -> str:
        """The function's name."""
        f, what = self.f, self.what
        self.cotangents = self.memory(what.values * self.width)
        self.slopes, self.delta = self.memory(self.keys * self.width), self.memory(self.width)
        self.bent = self.memory(self.keys * self.width) if self.op.soft_cap else None
        self.dq = self.memory(what.size * self.width)
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

    def block(self, block: Block) -> None:
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

    def pack(self, source: Reg, stride: Index, block: Block, shape: Tile, size: int, to: Reg) -> None:
        """Rows as panels of a right operand."""
        to_panels(
            self.f, shape, self.element, Matrix(source, stride, 1), block.count, size, to, self.width * shape.width
        )

    def tile(self, block: Block, keys: Keys) -> None:
        """What one block of queries and one tile of keys add."""
        what = self.what
        at = (*block.front, 0, self.group_of(block.head))
        k, v, dk, dv = (self.moved(self.start(n, *at), n, keys.first) for n in ("k", "v", "dk", "dv"))
        self.multiply(k, self.step("k"), keys, self.queries, what.size, self.scores)
        self.bend(block, keys, self.bent)
        self.multiply(v, self.step("v"), keys, self.cotangents, what.values, self.slopes)
        self.weigh(block, keys)
        self.add("dv", dv, block, keys, self.scores, self.by_values, self.cotangent_rows, what.values)
        self.add("dk", dk, block, keys, self.slopes, self.by_size, self.query_rows, what.size)
        self.add_turned("k", k, keys, what.size, self.slopes, self.dq)

    def weigh(self, block: Block, keys: Keys) -> None:
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
        self, name: str, result: Reg, block: Block, keys: Keys, left: Reg, shape: Tile, right: Reg, columns: int
    ) -> None:
        """Add to a tile of keys (or values) the products of weights with queries (or cotangents)."""
        tiles(
            self.f, self.module, shape, self.element, "n", rows=keys.count, columns=columns, a=left, b=right, c=result,
            lda=self.width, ldb=shape.width, ldc=self.step(name), panel=self.width * shape.width, terms=Terms(block.count),
            add=True,
        )  # fmt: skip
