"""A fused loop becomes a kernel.

Writing goes through the loop axes from the outside in; every expression is computed in the outermost loop in which all
that it depends on is known, so a number per row costs nothing in the inner loop. The innermost axis is cut into vectors,
its tail is masked.

Reductions: over the innermost axes they run in vector registers, which are added up lane by lane in a fixed tree; over
rows, with columns kept, they run in registers for a few vectors of columns at a time; over other outer axes they are added
into memory. If the first axis is reduced, each range of units writes a result of its own, and another kernel adds those
up in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from layerkit.dtypes import numpy_dtype
from layerkit.engines.llvm.codegen.builder import INT, Function, Index, Module, Reg, literal, size_registers, vector
from layerkit.engines.llvm.codegen.target import Target
from layerkit.engines.llvm.kernel import Buffer
from layerkit.engines.llvm.loops import elements, random
from layerkit.engines.llvm.loops.affine import Affine
from layerkit.engines.llvm.loops.nest import Expr, Fold, Nest, Store, parts
from layerkit.engines.llvm.loops.shortcuts import Shortcut
from layerkit.ir import Dim, Size
from layerkit.ir.types import Quotient

STRAIGHT = 4  # vectors in a row up to which no loop is written for it
SUMS = 8  # registers of results that rows are added up in: the next sum of one need not wait for the last


class Sizes:
    """Sizes as registers: the unknown ones are computed from the arguments of the function, once."""

    def __init__(self, function: Function, axes: Mapping[str, Reg]) -> None:
        self._f, self._axes = function, axes
        self._memo: dict[Size, Index] = {}

    def __call__(self, size: Size) -> Index:
        if isinstance(size, int):
            return size
        if size not in self._memo:
            self._memo[size] = self._compute(size)
        return self._memo[size]

    def _compute(self, size: Dim) -> Index:
        total: Index = 0
        for factors, coefficient in size.terms:
            term: Index = coefficient
            for factor in factors:
                if isinstance(factor, Quotient):
                    term = self._f.mul(term, self._f.div(self(factor.numerator), factor.divisor))
                else:
                    term = self._f.mul(term, self._axes[factor])
            total = self._f.add(total, term)
        return total


class Writer:
    """Writes one nest as a function; ``shortcuts`` come with the names of the functions that do what is left."""

    def __init__(
        self, module: Module, target: Target, nest: Nest, sizes: Sequence[str], scale: Size,
        shortcuts: Sequence[tuple[Shortcut, str | None]] = (),
    ) -> None:  # fmt: skip
        self.nest, self.target, self.scale = nest, target, scale
        self.names, self.shortcuts = sizes, shortcuts
        self.reads = nest.reads()
        self.writes = [r.buffer for r in nest.results]
        self.pointers: dict[Buffer, Reg] = {}
        params = []
        for i, buffer in enumerate([*self.reads, *self.writes]):
            reg = Reg(f"%p{i}", "ptr")
            params.append(reg)
            self.pointers.setdefault(buffer, reg)
        self.out = {id(r): params[len(self.reads) + i] for i, r in enumerate(nest.results)}
        self.f = module.kernel(params, sizes)
        self.sizes = Sizes(self.f, size_registers(sizes))
        self._multiples()
        widths = [numpy_dtype(e.dtype).itemsize for e in nest.loads()] or [4]
        self.lanes = target.lanes(4 if min(widths) < 8 else 8)
        self.memo: list[dict[int, Reg]] = []
        self.offsets: list[dict[tuple[Size, ...], Index]] = []

    def _multiples(self) -> None:
        """Compute every unknown size that the nest uses before the first loop."""
        places = [e.place for e in self.nest.loads()] + [r.place for r in self.nest.results]
        self.places = list(dict.fromkeys(p for p in places if p is not None))
        for place in self.places:
            for size in (*place.factors, place.constant):
                self.sizes(size)
        for size in self.nest.axes:
            self.sizes(size)
        for r in self.nest.results:
            if isinstance(r, Store):
                self.sizes(r.width), self.sizes(r.rows)
        for e in self.nest.loads():
            self.sizes(e.size)
            if e.kind == "take":
                self.sizes(e.number)

    # Places

    def _offset(self, place: Affine, depth: int) -> Index:
        """The part of a place that is known inside ``depth`` loops."""
        key = (*place.factors[:depth], place.constant)
        memo = self.offsets[depth]
        if key not in memo:
            if depth == 0:
                memo[key] = self.sizes(place.constant)
            else:
                below = self._offset(place, depth - 1)
                memo[key] = self.f.add(
                    below, self.f.mul(self.counters[depth - 1], self.sizes(place.factors[depth - 1]))
                )
        return memo[key]

    # Expressions

    def scalar(self, e: Expr, depth: int) -> Reg:
        """An expression that is known inside ``depth`` loops, as one number."""
        level = e.depth
        assert level <= depth
        found = self.memo[level].get(id(e))
        if found is None:
            found = self._make(e, 1, [self.scalar(a, level) for a in e.args], level, None)
            self.memo[level][id(e)] = found
        return found

    def _prepare_all(self, depth: int) -> None:
        seen: set[int] = set()  # parts of an expression may be used many times over
        for result in self.nest.results:
            for e in parts(result):
                self._prepare(e, depth, seen)

    def _prepare(self, e: Expr, depth: int, seen: set[int]) -> None:
        """Compute the parts of an expression that become known inside exactly ``depth`` loops."""
        if id(e) in seen:
            return
        seen.add(id(e))
        if e.depth > depth:
            for a in e.args:
                self._prepare(a, depth, seen)
        elif e.depth == depth:
            self.scalar(e, depth)

    def vector(self, e: Expr, mask: Reg | None) -> Reg:
        """An expression at ``lanes`` turns of the innermost loop."""
        if e.depth < len(self.nest.axes):
            return self.f.splat(self.scalar(e, e.depth), self.lanes)
        found = self.vectors.get(id(e))
        if found is None:
            found = self._make(e, self.lanes, [self.vector(a, mask) for a in e.args], len(self.nest.axes), mask)
            self.vectors[id(e)] = found
        return found

    def _make(self, e: Expr, lanes: int, args: list[Reg], depth: int, mask: Reg | None) -> Reg:
        f = self.f
        match e.kind:
            case "literal":
                return literal(e.number, elements_type(e.dtype, lanes))
            case "load":
                assert e.place is not None
                assert e.buffer is not None
                return self._load(e.buffer, e.dtype, e.place, lanes, depth, mask)
            case "index":
                assert e.place is not None
                return elements.cast(f, self._counter(e.place, lanes, depth), "int64", e.dtype)
            case "size":
                return elements.cast(f, f.splat(f.reg(self.sizes(e.size)), lanes), "int64", e.dtype)
            case "random":
                assert e.place is not None
                first = f.reg(self._offset(e.place, depth)) if self._is_fourth(e.place, lanes) else None
                counter = random.Place(self._counter(e.place, lanes, depth), first)
                draw = {"bits": random.words, "uniform": random.uniform, "normal": random.normal}[e.word]
                extra = () if e.word == "bits" else (elements.TYPES[e.dtype],)
                return draw(f, args, counter, *extra)  # type: ignore[operator,no-any-return]
            case "take":
                return self._take(e, args[0], lanes, depth, mask)
            case "unary":
                return elements.unary(f, e.word, args[0], e.args[0].dtype)
            case "binary":
                return elements.binary(f, e.word, args[0], args[1], e.args[0].dtype)
            case "where":
                return elements.where(f, *args)
            case "view":
                return elements.view(f, args[0], e.dtype)
            case "cast":
                return elements.cast(f, args[0], e.args[0].dtype, e.dtype)
        raise AssertionError(e.kind)

    def _counter(self, place: Affine, lanes: int, depth: int) -> Reg:
        """A place as a number, in each lane."""
        f = self.f
        first = f.splat(f.reg(self._offset(place, depth)), lanes)
        if lanes == 1 or place.factors[-1] == 0:
            return first
        step = f.splat(f.reg(self.sizes(place.factors[-1])), lanes)
        return f.binary("add", first, f.binary("mul", f.lane_numbers(INT, lanes), step))

    def _is_fourth(self, place: Affine, lanes: int) -> bool:
        """Whether at least 8 lanes have neighbouring places, the first of which is a multiple of 4 at every turn."""
        *outer, step = place.factors
        start = self.scale if len(self.nest.axes) == 1 else 4  # of the innermost loop
        known = (*outer, place.constant, start)
        return lanes % 8 == 0 and step == 1 and all(isinstance(n, int) and n % 4 == 0 for n in known)

    def _load(self, buffer: Buffer, dtype: str, place: Affine, lanes: int, depth: int, mask: Reg | None) -> Reg:
        f, kind = self.f, elements.memory_type(dtype)
        pointer = f.at(self.pointers[buffer], self._offset(place, depth), kind)
        if lanes == 1:
            return elements.load(f, pointer, dtype, 1)
        step = place.factors[-1]
        if step == 1:
            return elements.load(f, pointer, dtype, lanes, mask)
        offsets = f.binary("mul", f.lane_numbers(INT, lanes), f.splat(f.reg(self.sizes(step)), lanes))
        return elements.take(f, pointer, offsets, dtype, mask)

    def _take(self, e: Expr, row: Reg, lanes: int, depth: int, mask: Reg | None) -> Reg:
        """Elements of rows whose numbers were computed; rows that do not exist are read as row 0."""
        f, kind = self.f, elements.memory_type(e.dtype)
        assert e.place is not None
        assert e.buffer is not None
        row = elements.cast(f, row, e.args[0].dtype, "int64")
        fits = f.compare("ult", row, f.splat(f.reg(self.sizes(e.size)), lanes))
        row = f.select(fits, row, literal(0, row.type))
        width = self.sizes(e.number)
        pointer = self.pointers[e.buffer]
        if lanes > 1 and e.args[0].depth < len(self.nest.axes) and e.place.factors[-1] == 1:
            start = f.add(f.mul(f.extract(row, 0), width), self._offset(e.place, depth))
            return elements.load(f, f.at(pointer, start, kind), e.dtype, lanes, mask)
        start = f.binary("mul", row, f.splat(f.reg(width), lanes))
        pointer = f.at(pointer, self._offset(e.place, depth), kind)
        if lanes == 1:
            return elements.load(f, f.at(pointer, start, kind), e.dtype, 1)
        step = f.splat(f.reg(self.sizes(e.place.factors[-1])), lanes)
        return elements.take(
            f, pointer, f.binary("add", start, f.binary("mul", f.lane_numbers(INT, lanes), step)), e.dtype, mask
        )

    # Loops

    def write(self) -> Function:
        """The finished function."""
        f, nest = self.f, self.nest
        rank = len(nest.axes)
        self.memo = [{} for _ in range(rank + 1)]
        self.offsets = [{} for _ in range(rank + 1)]
        self.counters: list[Index] = []
        self._place(0)
        scale = self.sizes(self.scale)
        self.first = f.mul(Reg("%begin", INT), scale)
        self.last = f.mul(Reg("%end", INT), scale)
        inner_folds = nest.reduced[-1]
        self.split = rank
        if inner_folds:
            while self.split > 0 and nest.reduced[self.split - 1]:
                self.split -= 1
        folds = [r for r in nest.results if isinstance(r, Fold)]
        self._begin_results(folds)
        for shortcut, rest in self.shortcuts:
            self._leave_early(shortcut, rest)
        self._enter(0)
        return f

    def _leave_early(self, shortcut: Shortcut, rest: str | None) -> None:
        """Do only what is left, where a condition does not hold and results lie where they are read."""
        f = self.f
        is_left_out = f.binary("xor", self.scalar(shortcut.condition, 0), literal(True, "i1"))
        for buffer, result in shortcut.kept:
            is_same = f.compare("eq", self.pointers[buffer], self.out[id(result)])
            is_left_out = f.binary("and", is_left_out, is_same)
        with f.when(is_left_out):
            if shortcut.rest is not None and rest is not None:
                out = {r.buffer: self.out[id(r)] for r in self.nest.results}
                given = [
                    *(self.pointers[b] for b in shortcut.rest.reads()),
                    *(out[r.buffer] for r in shortcut.rest.results),
                ]
                sizes = size_registers(self.names).values()
                f.run_kernel(rest, [*given, *sizes], Reg("%begin", INT), Reg("%end", INT))
            f.do("ret void")
            f.label(f"never{f.number()}")

    def _begin_results(self, folds: list[Fold]) -> None:
        """Set results that are added up in memory to their neutral elements."""
        f, nest = self.f, self.nest
        outer = any(nest.reduced[: self.split])
        for fold in folds:
            if not outer:
                continue
            kind, lanes = elements.memory_type(fold.expr.dtype), self.lanes
            neutral = literal(
                elements.reduce_identity(fold.function, fold.expr.dtype), elements_type(fold.expr.dtype, lanes)
            )
            per_row = self._row_elements(fold)
            start: Index = 0 if per_row is None else f.mul(self.first, per_row)
            stop: Index = self.sizes(fold.count) if per_row is None else f.mul(self.last, per_row)
            pointer = self.out[id(fold)]
            with f.loop(start, stop, lanes) as loop:
                mask = f.mask(f.sub(stop, loop.index), lanes)
                elements.store(
                    f, neutral, f.at(pointer, loop.index, kind), fold.expr.dtype, mask if lanes > 1 else None
                )

    def _row_elements(self, fold: Fold) -> Index | None:
        """Elements of the result for one turn of the first axis, or None if that axis is reduced."""
        factor = fold.place.factors[0]
        return None if factor == 0 or self.nest.axes[0] == 1 else self.sizes(factor)

    def _bounds(self, level: int) -> tuple[Index, Index]:
        return (self.first, self.last) if level == 0 else (0, self.sizes(self.nest.axes[level]))

    def _enter(self, level: int) -> None:
        """Write the loops from ``level`` inwards."""
        f, nest = self.f, self.nest
        rank = len(nest.axes)
        self._prepare_all(level)
        self.memo[level + 1 :] = [{} for _ in range(rank - level)]
        if level == self.split and level < rank:
            self._reduce_inner(level)
            return
        start, stop = self._bounds(level)
        if level == rank - 1:
            self._innermost(start, stop)
            return
        if level == rank - 2 and self._keeps_columns():
            self._reduce_rows(start, stop)
            return
        with f.loop(start, stop) as loop:
            self._at(level, loop.index)
            self._enter(level + 1)

    def _at(self, level: int, counter: Index) -> None:
        """Go inside loop ``level`` at one of its turns."""
        self.counters[level:] = [counter]
        for deeper in range(level + 1, len(self.nest.axes) + 1):
            self.offsets[deeper] = {}
            self.memo[deeper] = {}
        self._place(level + 1)

    def _place(self, depth: int) -> None:
        """Compute here what is known of all places, so that inner blocks find it in a block that comes before them."""
        for place in self.places:
            self._offset(place, depth)

    def _innermost(self, start: Index, stop: Index) -> None:
        """The vectorised loop over an axis that is kept."""
        f, lanes = self.f, self.lanes
        level = len(self.nest.axes) - 1
        if lanes == 1 or self.nest.axes[level] == 1:
            with f.loop(start, stop) as loop:
                self._at(level, loop.index)
                self._prepare_all(level + 1)
                for result in self.nest.results:
                    self._put(result, self.scalar(result.expr, level + 1), None)
            return
        width = f.sub(stop, start)
        if isinstance(stop, int) and isinstance(start, int) and stop - start <= STRAIGHT * lanes:
            for column in range(start, stop, lanes):
                self._at(level, column)
                self._vectors(f.mask(stop - column, lanes) if stop - column < lanes else None)
            return
        whole = f.add(start, f.mul(f.div(width, lanes), lanes))
        if not (isinstance(width, int) and width < lanes):
            with f.loop(start, whole, lanes) as loop:
                self._at(level, loop.index)
                self._vectors(None)
        if isinstance(width, int) and width % lanes == 0:
            return
        rest = f.sub(stop, whole)
        with f.when(f.compare("sgt", f.reg(rest), literal(0, INT))):
            self._at(level, whole)
            self._vectors(f.mask(rest, lanes))

    def _vectors(self, mask: Reg | None) -> None:
        self.vectors: dict[int, Reg] = {}
        computed = [self.vector(r.expr, mask) for r in self.nest.results]
        for r in self.nest.results:
            if isinstance(r, Store) and r.row is not None and r.row.depth == len(self.nest.axes):
                self.vector(r.row, mask)
        for result, value in zip(self.nest.results, computed, strict=True):
            self._put(result, value, mask)

    def _keeps_columns(self) -> bool:
        """Whether rows are added up, column by column: the last axis is kept, the one before it is not."""
        nest = self.nest
        is_plain = all(
            r.place.factors[-1] == 1 if isinstance(r, Fold) else r.row is None and not r.add for r in nest.results
        )
        known = isinstance(nest.axes[-1], int) and nest.axes[-1] > 1
        return self.lanes > 1 and known and is_plain and nest.reduced[-2:] == [True, False] and not nest.is_mixed

    def _reduce_rows(self, start: Index, stop: Index) -> None:
        """Add up rows in registers, a few vectors of columns at a time; few columns take several rows at once."""
        f, nest, lanes = self.f, self.nest, self.lanes
        level, columns = len(nest.axes) - 2, nest.axes[-1]
        assert isinstance(columns, int)
        folds = [r for r in nest.results if isinstance(r, Fold)]
        most = max(1, SUMS // len(folds))
        neutral = [
            literal(elements.reduce_identity(r.function, r.expr.dtype), elements_type(r.expr.dtype, lanes))
            for r in folds
        ]

        def at_columns(first: Index, width: int) -> Iterator[Reg | None]:
            """Go to each vector of a row from ``first`` on; yields the mask of those that are not whole."""
            for column in range(0, width, lanes):
                self._at(level + 1, f.add(first, column))
                yield f.mask(width - column, lanes) if width - column < lanes else None

        def row(counter: Index, first: Index, width: int, sums: list[Reg]) -> list[Reg]:
            """The sums after another row; they come vector by vector, result by result."""
            self._at(level, counter)
            self._prepare_all(level + 1)
            after: list[Reg] = []
            for mask in at_columns(first, width):
                after += self._accumulate(folds, sums[len(after) : len(after) + len(folds)], mask)
            return after

        def block(first: Index, width: int) -> None:
            vectors = -(-width // lanes)
            together = max(1, most // vectors)
            sums = neutral * vectors * together
            whole = f.add(start, f.mul(f.div(f.sub(stop, start), together), together))
            with f.loop(start, whole, together, sums) as loop:
                size = len(folds) * vectors
                for i in range(together):
                    loop.next += row(f.add(loop.index, i), first, width, loop.carried[i * size : (i + 1) * size])
            parts = [loop.results[i * size : (i + 1) * size] for i in range(together)]
            if together > 1:
                with f.loop(whole, stop, 1, parts[0]) as loop:
                    loop.next = row(loop.index, first, width, loop.carried)
                parts[0] = loop.results
            total = parts[0]
            for part in parts[1:]:
                total = [
                    elements.combine(f, folds[j % len(folds)].function, a, b, folds[j % len(folds)].expr.dtype)
                    for j, (a, b) in enumerate(zip(total, part, strict=True))
                ]
            self._at(level, start)
            for v, mask in enumerate(at_columns(first, width)):
                for fold, value in zip(folds, total[v * len(folds) :], strict=False):
                    self._put(fold, value, mask)

        step = most * lanes
        looped = columns // step * step if columns > STRAIGHT * step else 0
        if looped:
            with f.loop(0, looped, step) as turn:
                block(turn.index, step)
        for first in range(looped, columns, step):
            block(first, min(step, columns - first))

    def _put(self, result: Store | Fold, value: Reg, mask: Reg | None) -> None:
        """Store a result, or add it to what is there."""
        f, dtype = self.f, result.expr.dtype
        kind = elements.memory_type(dtype)
        place = result.place
        base = self.out[id(result)]
        pointer = f.at(base, self._offset(place, len(self.nest.axes)), kind)
        step = place.factors[-1]
        if isinstance(result, Store) and result.row is not None:
            self._scatter(result, value, pointer, mask)
            return
        if value.lanes == 1 or step == 1:
            if isinstance(result, Fold) or result.add:
                before = elements.load(f, pointer, dtype, value.lanes, mask)
                value = elements.combine(f, result.function, before, value, dtype)
            elements.store(f, value, pointer, dtype, mask)
            return
        for lane in range(value.lanes):  # lanes go to places apart
            at = f.at(pointer, f.mul(lane, self.sizes(step)), kind)
            if mask is None:
                self._put_lane(result, f.extract(value, lane), at)
            else:
                with f.when(f.extract(mask, lane)):
                    self._put_lane(result, f.extract(value, lane), at)

    def _scatter(self, result: Store, value: Reg, pointer: Reg, mask: Reg | None) -> None:
        """Store to rows whose numbers were computed."""
        f, row = self.f, result.row
        assert row is not None
        kind = elements.memory_type(result.expr.dtype)
        width, count = self.sizes(result.width), f.reg(self.sizes(result.rows))
        is_same = row.depth < len(self.nest.axes) and (value.lanes == 1 or result.place.factors[-1] == 1)
        for lane in range(1 if is_same else value.lanes):
            own = (
                self.scalar(row, row.depth) if is_same or value.lanes == 1 else f.extract(self.vector(row, mask), lane)
            )
            at = elements.cast(f, own, row.dtype, "int64")
            fits = f.compare("ult", at, count)
            if mask is not None and not is_same:
                fits = f.binary("and", fits, f.extract(mask, lane))
            with f.when(fits):
                start = f.at(pointer, f.mul(at, width), kind)
                if is_same:
                    if result.add:
                        before = elements.load(f, start, result.expr.dtype, value.lanes, mask)
                        value = elements.combine(f, result.function, before, value, result.expr.dtype)
                    elements.store(f, value, start, result.expr.dtype, mask)
                else:
                    step = f.mul(lane, self.sizes(result.place.factors[-1]))
                    self._put_lane(result, f.extract(value, lane), f.at(start, step, kind))

    def _put_lane(self, result: Store | Fold, value: Reg, pointer: Reg) -> None:
        dtype = result.expr.dtype
        if isinstance(result, Fold) or result.add:
            before = elements.load(self.f, pointer, dtype, 1)
            value = elements.combine(self.f, result.function, before, value, dtype)
        elements.store(self.f, value, pointer, dtype)

    def _reduce_inner(self, level: int) -> None:
        """The loops over reduced axes from ``level`` to the innermost, results in registers."""
        f, nest, lanes = self.f, self.nest, self.lanes
        folds = [r for r in nest.results if isinstance(r, Fold)]
        neutral = [
            literal(elements.reduce_identity(r.function, r.expr.dtype), elements_type(r.expr.dtype, lanes))
            for r in folds
        ]
        totals = self._turns(level, neutral, folds)
        for fold, total in zip(folds, totals, strict=True):
            value = elements.horizontal(f, fold.function, total, fold.expr.dtype)
            kind = elements.memory_type(fold.expr.dtype)
            pointer = f.at(self.out[id(fold)], self._offset(fold.place, level), kind)
            if any(nest.reduced[:level]):
                before = elements.load(f, pointer, fold.expr.dtype, 1)
                value = elements.combine(f, fold.function, before, value, fold.expr.dtype)
            elements.store(f, value, pointer, fold.expr.dtype)

    def _turns(self, level: int, carried: list[Reg], folds: list[Fold]) -> list[Reg]:
        f, nest, lanes = self.f, self.nest, self.lanes
        start, stop = self._bounds(level)
        if level < len(nest.axes) - 1:
            with f.loop(start, stop, 1, carried) as loop:
                self._at(level, loop.index)
                self._prepare_all(level + 1)
                loop.next = self._turns(level + 1, loop.carried, folds)
            return loop.results
        width = f.sub(stop, start)
        whole = f.add(start, f.mul(f.div(width, lanes), lanes))
        if not (isinstance(width, int) and width < lanes):
            with f.loop(start, whole, lanes, carried) as loop:
                self._at(level, loop.index)
                loop.next = self._accumulate(folds, loop.carried, None)
            carried = loop.results
        if lanes == 1 or (isinstance(width, int) and width % lanes == 0):
            return carried
        self._at(level, whole)
        return self._accumulate(folds, carried, f.mask(f.sub(stop, whole), lanes))

    def _accumulate(self, folds: list[Fold], carried: list[Reg], mask: Reg | None) -> list[Reg]:
        f = self.f
        self.vectors = {}
        values = [self.vector(r.expr, mask) for r in self.nest.results]
        after: list[Reg] = []
        for result, value in zip(self.nest.results, values, strict=True):
            if isinstance(result, Store):
                self._put(result, value, mask)
                continue
            before = carried[len(after)]
            total = elements.combine(f, result.function, before, value, result.expr.dtype)
            after.append(total if mask is None else f.select(mask, total, before))
        return after


def elements_type(dtype: str, lanes: int) -> str:
    """The type of a register that holds ``lanes`` numbers of ``dtype``."""
    return vector(elements.TYPES[dtype], lanes)
