"""Lowerings of the ops that are loops with something more: reductions, padding, joining, pooling, scattering, products.

Products and convolutions here are plain loops, right for every shape and dtype; ``products`` replaces them by blocked
kernels where those apply.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import product as every
from typing import Any

from layerkit.dtypes import is_floating
from layerkit.engines.llvm.kernel import Buffer
from layerkit.engines.llvm.loops import affine
from layerkit.engines.llvm.loops.affine import Affine, Place
from layerkit.engines.llvm.loops.elements import reduce_identity
from layerkit.engines.llvm.loops.fusion import Reader
from layerkit.engines.llvm.loops.nest import Expr, Fold, Nest, Store
from layerkit.engines.llvm.lowering.lower import GUARDS, Lowering, rule
from layerkit.ir import Node, Shape, Size, TensorType, Value, number, product
from layerkit.ops.checks import RequireFinite
from layerkit.ops.conv import Conv, ConvInputGrad, ConvKernelGrad
from layerkit.ops.gathering import ScatterReduce
from layerkit.ops.indexing import Gather, LastPlace, ScatterAdd
from layerkit.ops.matrices import MatMul
from layerkit.ops.pooling import MaxPool, MaxPoolGather, MaxPoolGrad, SumPool, SumPoolGrad
from layerkit.ops.reduction import ArgReduce, Reduce
from layerkit.ops.shape import Concatenate, Pad
from layerkit.ops.windows import pad_widths

Axes = list[Size]
PARTS = 16  # of a joined tensor in one loop: the time to compile a loop grows faster than what is in it


def still(rank: int) -> Affine:
    """The place that never moves."""
    return Affine((0,) * rank)


def lit(value: Any, dtype: str) -> Expr:
    """A constant expression."""
    return Expr("literal", dtype, number=value)


def op2(word: str, a: Expr, b: Expr, gives: str | None = None) -> Expr:
    """A binary expression."""
    return Expr("binary", gives or a.dtype, (a, b), word)


def choose(condition: Expr, a: Expr, b: Expr) -> Expr:
    """``a`` where the condition holds, else ``b``."""
    return Expr("where", a.dtype, (condition, a, b))


# Reductions ----------------------------------------------------------------------------------------------------------


def fold(
    lowering: Lowering, node: Node, function: str, axes: Axes, reduced: list[bool], expr: Expr, out: Buffer
) -> None:
    """A reduction of ``expr`` over some of the loop axes."""
    kept = [n for n, gone in zip(axes, reduced, strict=True) if not gone]
    place = affine.linear(
        tuple(p for p, gone in zip(affine.identity(axes), reduced, strict=True) if not gone), tuple(kept), len(axes)
    )
    lowering.add(Nest(list(axes), list(reduced), [Fold(function, expr, out, place, product(kept))]), node)


@rule(Reduce)
def reduce(lowering: Lowering, node: Node) -> None:
    """Sums and extremes along axes."""
    (x,) = node.inputs
    op: Any = node.op
    out = lowering.new(node.outputs[0])
    axes = list(x.shape) or [1]
    reduced = [i in op.axes for i in range(len(axes))]
    expr = lowering.reading(axes, lambda read: read(x, affine.identity(axes)[: len(x.shape)]))
    if not any(reduced):
        lowering.add(Nest(axes, reduced, [Store(expr, out, affine.whole(axes))]), node)
    else:
        fold(lowering, node, op.function, axes, reduced, expr, out)


@rule(ArgReduce)
def arg_reduce(lowering: Lowering, node: Node) -> None:
    """The first place where the extreme is reached: the extreme, then the least of the places that hold it."""
    (x,) = node.inputs
    op: Any = node.op
    function = "max" if op.function == "argmax" else "min"
    lowering.ensure(x)
    axes = list(x.shape)
    reduced = [i == op.axis for i in range(len(axes))]
    best = lowering.scratch(x.dtype, node.outputs[0].type.size, "extreme")
    read = Reader(axes, lowering.find)
    value = read(x, affine.identity(axes))
    fold(lowering, node, function, axes, reduced, value, best)
    kept = tuple(n for n, gone in zip(axes, reduced, strict=True) if not gone)
    place = affine.linear(
        tuple(p for p, gone in zip(affine.identity(axes), reduced, strict=True) if not gone), kept, len(axes)
    )
    top = Expr("load", x.dtype, buffer=best, place=place)
    found = op2("equal", value, top, "bool")
    if is_floating(x.dtype):
        found = op2("logical_or", found, Expr("unary", "bool", (value,), "isnan"))
    index = Expr("index", "int32", place=affine.identity(axes)[op.axis])
    expr = choose(found, index, lit(2**31 - 1, "int32"))
    fold(lowering, node, "min", axes, reduced, expr, lowering.new(node.outputs[0]))


# Moving --------------------------------------------------------------------------------------------------------------


@rule(Pad)
def pad(lowering: Lowering, node: Node) -> None:
    """The number everywhere, then the input between."""
    (x,) = node.inputs
    op: Any = node.op
    out = lowering.new(node.outputs[0])
    put_padded(lowering, node, x, out, node.outputs[0].shape, op.low, tuple(m + 1 for m in op.between), op.value)


def put_padded(
    lowering: Lowering, node: Node, x: Value, out: Buffer, shape: Shape, low: Shape, step: Sequence[int], value: Any
) -> None:
    """Fill ``out`` with ``value``, then write ``x`` at ``low + step * index``."""
    lowering.fill(out, shape, value, node)
    axes = list(x.shape) or [1]
    expr = lowering.reading(axes, lambda read: read(x, affine.identity(axes)[: len(x.shape)]))
    moved = tuple(p.scaled(s).shifted(a) for p, s, a in zip(affine.identity(axes), step, low, strict=False))
    place = affine.linear(moved[: len(shape)], shape, len(axes))
    lowering.add(Nest(axes, [False] * len(axes), [Store(expr, out, place)]), node, join=False)


@rule(Concatenate)
def concatenate(lowering: Lowering, node: Node) -> None:
    """Each part written at its place; parts of one shape in few loops, with whatever computes them."""
    op: Any = node.op
    shape = node.outputs[0].shape
    out = lowering.new(node.outputs[0])
    starts = [sum((x.shape[op.axis] for x in node.inputs[:i]), 0) for i in range(len(node.inputs))]
    together = PARTS if len({x.shape for x in node.inputs}) == 1 else 1
    parts = list(zip(node.inputs, starts, strict=True))
    is_one = len(parts) <= together
    for group in (parts[i : i + together] for i in range(0, len(parts), together)):
        axes = list(group[0][0].shape)
        stores: list[Store | Fold] = []
        for x, start in group:
            moved = tuple(p.shifted(start) if i == op.axis else p for i, p in enumerate(affine.identity(axes)))
            expr = lowering.reading(axes, partial(_at_identity, x))
            stores.append(Store(expr, out, affine.linear(moved, shape, len(axes))))
        lowering.add(Nest(axes, [False] * len(axes), stores), node, join=is_one)
        lowering.items[-1].part |= not is_one


def _at_identity(x: Value, read: Reader) -> Expr:
    return read(x, affine.identity(read.axes))


@rule(ScatterAdd, ScatterReduce)
def scatter(lowering: Lowering, node: Node) -> None:
    """Neutral elements, then each row added where its number says, one after the other.

    Where rows are wide a unit of work is a part of their columns, so that several threads add in one order.
    """
    updates, indices = node.inputs
    op: Any = node.op
    out = lowering.new(node.outputs[0])
    shape = node.outputs[0].shape
    function = op.function if isinstance(op, ScatterReduce) else "sum"
    lowering.fill(out, shape, reduce_identity(function, updates.dtype), node)
    rank = len(indices.shape)
    part = _columns_together(updates.shape[rank:])
    axes = [updates.shape[-1] // part, *updates.shape[:-1], part] if part else list(updates.shape) or [1]

    def build(read: Reader) -> Store:
        place = affine.identity(axes)
        if part:
            first, *others, last = place
            place = (*others, first.scaled(part) + last)
        row = read(indices, place[:rank])
        value = read(updates, place[: len(updates.shape)])
        within = affine.linear(place[rank : len(updates.shape)], shape[1:], len(axes))
        return Store(value, out, within, add=True, row=row, width=product(shape[1:]), rows=op.rows, function=function)

    lowering.ensure(indices)
    lowering.add(Nest(axes, [False] * len(axes), [lowering.reading(axes, build)]), node, join=False)
    lowering.items[-1].whole = not part


def _columns_together(columns: Shape) -> int:
    """Columns of a unit of work: at most eight units of four lines of the cache (less costs many times as much); else 0."""
    last = columns[-1] if columns else 0
    return next((last // n for n in (8, 4, 2) if isinstance(last, int) and last % (64 * n) == 0), 0)


@rule(LastPlace)
def last_place(lowering: Lowering, node: Node) -> None:
    """-1 everywhere, then each place written where its number says, one after the other."""
    (numbers,), out = node.inputs, lowering.new(node.outputs[0])
    op: Any = node.op
    lowering.fill(out, node.outputs[0].shape, -1, node)
    axes = list(numbers.shape)

    def build(read: Reader) -> Store:
        place = affine.identity(axes)
        here = Expr("index", "int32", place=place[0])
        return Store(here, out, still(1), row=read(numbers, place), width=1, rows=op.rows)

    lowering.ensure(numbers)
    lowering.add(Nest(axes, [False], [lowering.reading(axes, build)]), node, join=False)
    lowering.items[-1].whole = True


def guard(lowering: Lowering, node: Node, indices: Value, rows: Size) -> None:
    """Look for row numbers outside [0, rows): 0 if there are none, else twice the number of one, +1 for the sign."""
    key = (indices, "guard", rows)
    if key in lowering.packs:
        return
    axes = list(indices.shape) or [1]
    flag = lowering.packs[key] = lowering.scratch("uint64", 1, "guard")
    place = affine.identity(axes)[: len(indices.shape)]
    index = lowering.reading(axes, lambda read: Expr("cast", "int64", (read(indices, place),)))
    limit = Expr("size", "int64", size=rows)
    two = lit(2, "int64")
    above = op2("multiply", op2("add", index, lit(1, "int64")), two)
    below = op2("add", op2("multiply", Expr("unary", "int64", (index,), "negative"), two), lit(1, "int64"))
    expr = choose(
        op2("greater_equal", index, limit, "bool"),
        above,
        choose(op2("less", index, lit(0, "int64"), "bool"), below, lit(0, "int64")),
    )
    _add_guard(lowering, node, axes, expr, flag)


def _add_guard(lowering: Lowering, node: Node, axes: Axes, expr: Expr, flag: Buffer) -> None:
    """The program ends where the largest ``expr`` is not 0; unsigned, so that the largest of none is 0."""
    unsigned = Expr("cast", "uint64", (expr,))
    nest = Nest(axes, [True] * len(axes), [Fold("max", unsigned, flag, still(len(axes)), 1)])
    lowering.add(nest, node, join=False, guard=True)
    lowering.items[-1].whole = True


def _guard_finite(lowering: Lowering, node: Node) -> None:
    x = node.inputs[0]
    axes = list(x.shape) or [1]
    flag = lowering.scratch("uint64", 1, "guard")
    place = affine.identity(axes)[: len(x.shape)]
    is_fine = lowering.reading(axes, lambda read: Expr("unary", "bool", (read(x, place),), "isfinite"))
    _add_guard(lowering, node, axes, choose(is_fine, lit(0, "int64"), lit(1, "int64")), flag)


# Windows -------------------------------------------------------------------------------------------------------------


def padded(
    lowering: Lowering, node: Node, x: Value, widths: Sequence[tuple[int, int]], value: Any
) -> tuple[Buffer, Shape]:
    """``x`` with its spatial axes padded, in memory."""
    if not any(map(any, widths)):
        return lowering.ensure(x), x.shape
    spatial = tuple(n + a + b for n, (a, b) in zip(x.shape[1:-1], widths, strict=True))
    shape = (x.shape[0], *spatial, x.shape[-1])
    out = lowering.scratch(x.dtype, product(shape), "padded")
    put_padded(lowering, node, x, out, shape, (0, *(a for a, _ in widths), 0), (1,) * len(shape), value)
    return out, shape


def sizes_of(x: Value | TensorType) -> list[int]:
    """The spatial sizes of images."""
    return [number(n) for n in x.shape[1:-1]]


def met(place: Place, at: Sequence[int], strides: Sequence[int], dilation: Sequence[int]) -> Place:
    """Where the window at ``place`` (batch, *out, channel) meets its input with the element ``at``."""
    inner = (p.scaled(s).shifted(u * d) for p, s, u, d in zip(place[1:-1], strides, at, dilation, strict=True))
    return (place[0], *inner, place[-1])


def _taps(lowering: Lowering, node: Node, x: Value, out: Shape, fill: Any) -> tuple[list[Expr], Any]:
    """What each element of the window reads, at each turn of loops over ``out``."""
    op: Any = node.op
    ones = (1,) * len(op.window)
    memory, shape = padded(lowering, node, x, pad_widths(sizes_of(x), op.window, op.strides, ones, op.padding), fill)
    place = affine.identity(out)
    loads = []
    for at in every(*map(range, op.window)):
        where = affine.linear(met(place, at, op.strides, ones), shape, len(out))
        loads.append(Expr("load", x.dtype, buffer=memory, place=where))
    return loads, shape


def _chosen(taps: list[Expr]) -> list[Expr]:
    """For each element of the window, whether it is the first of the largest."""
    best = taps[0]
    place = lit(0, "int32")
    for i, tap in enumerate(taps[1:], start=1):
        is_better = op2("greater", tap, best, "bool")
        if is_floating(tap.dtype):
            is_nan, was_nan = (Expr("unary", "bool", (e,), "isnan") for e in (tap, best))
            is_better = op2(
                "logical_or",
                is_better,
                op2("logical_and", is_nan, Expr("unary", "bool", (was_nan,), "logical_not"), "bool"),
                "bool",
            )
        best, place = choose(is_better, tap, best), choose(is_better, lit(i, "int32"), place)
    return [op2("equal", place, lit(i, "int32"), "bool") for i in range(len(taps))]


@rule(MaxPool, SumPool)
def pool(lowering: Lowering, node: Node) -> None:
    """Windows written out: as many reads as the window has elements."""
    (x,) = node.inputs
    axes = list(node.outputs[0].shape)
    is_max = isinstance(node.op, MaxPool)
    taps, _ = _taps(lowering, node, x, tuple(axes), reduce_identity("max", x.dtype) if is_max else 0)
    total = taps[0]
    for tap in taps[1:]:
        total = op2("maximum" if is_max else "add", total, tap)
    lowering.add(
        Nest(axes, [False] * len(axes), [Store(total, lowering.new(node.outputs[0]), affine.whole(axes))]), node
    )


@rule(MaxPoolGather)
def max_pool_gather(lowering: Lowering, node: Node) -> None:
    """The elements of another tensor where the largest are."""
    x, values = node.inputs
    axes = list(node.outputs[0].shape)
    taps, _ = _taps(lowering, node, x, tuple(axes), reduce_identity("max", x.dtype))
    others, _ = _taps(lowering, node, values, tuple(axes), 0)
    result = others[0]
    for is_it, other in list(zip(_chosen(taps), others, strict=True))[1:]:
        result = choose(is_it, other, result)
    lowering.add(
        Nest(axes, [False] * len(axes), [Store(result, lowering.new(node.outputs[0]), affine.whole(axes))]), node
    )


@rule(MaxPoolGrad, SumPoolGrad)
def pool_grad(lowering: Lowering, node: Node) -> None:
    """Each cotangent added to the elements of its window that it belongs to."""
    op: Any = node.op
    g = node.inputs[-1]
    shape = node.outputs[0].shape
    axes = list(g.shape)
    spatial = sizes_of(node.outputs[0])
    ones = (1,) * len(op.window)
    widths = pad_widths(spatial, op.window, op.strides, ones, op.padding)
    has_padding = any(map(any, widths))
    inner = tuple(n + a + b for n, (a, b) in zip(spatial, widths, strict=True))
    big = (shape[0], *inner, shape[-1])
    final = lowering.new(node.outputs[0])
    out = lowering.scratch(g.dtype, product(big), "padded") if has_padding else final
    if isinstance(op, MaxPoolGrad):
        taps, _ = _taps(lowering, node, node.inputs[0], tuple(axes), reduce_identity("max", g.dtype))
        chosen: list[Expr] | None = _chosen(taps)
    else:
        chosen = None
    cotangent = lowering.reading(axes, lambda read: read(g, affine.identity(axes)))
    is_apart = all(w <= s for w, s in zip(op.window, op.strides, strict=True))
    out_sizes = [number(n) for n in g.shape[1:-1]]
    covers = all(w == s and n * s == m for w, s, n, m in zip(op.window, op.strides, out_sizes, inner, strict=True))
    if not covers:
        lowering.fill(out, big, 0, node)
    results: list[Store | Fold] = []
    for i, at in enumerate(every(*map(range, op.window))):
        place = affine.linear(met(affine.identity(axes), at, op.strides, ones), big, len(axes))
        value = cotangent if chosen is None else choose(chosen[i], cotangent, lit(0, g.dtype))
        results.append(Store(value, out, place, add=not is_apart))
    lowering.add(Nest(axes, [False] * len(axes), results), node, join=False)
    if has_padding:
        crop(lowering, node, out, big, final, shape, [a for a, _ in widths])


def crop(
    lowering: Lowering, node: Node, source: Buffer, big: Shape, out: Buffer, shape: Shape, low: Sequence[int]
) -> None:
    """The part of a padded tensor that is no padding."""
    axes = list(shape)
    place = affine.identity(axes)
    inner = (place[0], *(p.shifted(a) for p, a in zip(place[1:-1], low, strict=True)), place[-1])
    load = Expr("load", source.dtype, buffer=source, place=affine.linear(inner, big, len(axes)))
    lowering.add(Nest(axes, [False] * len(axes), [Store(load, out, affine.whole(axes))]), node)


# Products as loops ---------------------------------------------------------------------------------------------------


@rule(MatMul)
def matmul(lowering: Lowering, node: Node) -> None:
    """(..., m, k), (..., k, n): loops over m, k, n, the innermost over columns."""
    a, b = node.inputs
    *front, m, k = a.shape
    n = b.shape[-1]
    axes = [*front, m, k, n]
    place = affine.identity(axes)
    before = place[: len(front)]
    lowering.ensure(a), lowering.ensure(b)

    def build(read: Reader) -> Expr:
        return op2("multiply", read(a, (*before, place[-3], place[-2])), read(b, (*before, place[-2], place[-1])))

    reduced = [False] * len(front) + [False, True, False]
    fold(lowering, node, "sum", axes, reduced, lowering.reading(axes, build), lowering.new(node.outputs[0]))


def contraction(
    lowering: Lowering, node: Node, x: tuple[Buffer, Shape], y: tuple[Buffer, Shape], axes: Axes, reduced: list[bool],
    x_place: Place, y_place: Place, out: Buffer,
) -> None:  # fmt: skip
    """The sum of products of two tensors in memory over some loop axes."""
    left, right = (
        Expr("load", out.dtype, buffer=memory, place=affine.linear(place, shape, len(axes)))
        for (memory, shape), place in ((x, x_place), (y, y_place))
    )
    fold(lowering, node, "sum", axes, reduced, op2("multiply", left, right), out)


@rule(Conv)
def conv(lowering: Lowering, node: Node) -> None:
    """Loops over batch, out, window, channels, groups and filters: vectors run over groups where filters are few."""
    x, kernel = node.inputs
    op: Any = node.op
    window = [number(n) for n in kernel.shape[:-2]]
    rank = len(window)
    big = padded(lowering, node, x, pad_widths(sizes_of(x), window, op.strides, op.dilation, op.padding), 0)
    weights = (lowering.ensure(kernel), kernel.shape)
    per_group, filters = number(kernel.shape[-2]), number(kernel.shape[-1]) // op.groups
    out = node.outputs[0].shape
    axes: Axes = [out[0], *out[1:-1], *window, per_group, op.groups, filters]
    p = affine.identity(axes)
    position, taps, channel, group, unit = p[1 : 1 + rank], p[1 + rank : 1 + 2 * rank], p[-3], p[-2], p[-1]
    inner = tuple(o.scaled(s) + u.scaled(d) for o, s, u, d in zip(position, op.strides, taps, op.dilation, strict=True))
    reduced = [False] * (1 + rank) + [True] * (rank + 1) + [False] * 2
    x_place = (p[0], *inner, group.scaled(per_group) + channel)
    contraction(
        lowering, node, big, weights, axes, reduced, x_place, (*taps, channel, group.scaled(filters) + unit),
        lowering.new(node.outputs[0]),
    )  # fmt: skip


@rule(ConvKernelGrad)
def conv_kernel_grad(lowering: Lowering, node: Node) -> None:
    """Loops over window, channels, batch, out, groups and filters."""
    x, g = node.inputs
    op: Any = node.op
    window = list(op.window)
    rank = len(window)
    big = padded(lowering, node, x, pad_widths(sizes_of(x), window, op.strides, op.dilation, op.padding), 0)
    cotangent = (lowering.ensure(g), g.shape)
    per_group, filters = number(node.outputs[0].shape[-2]), number(g.shape[-1]) // op.groups
    axes: Axes = [*window, per_group, g.shape[0], *g.shape[1:-1], op.groups, filters]
    p = affine.identity(axes)
    taps, channel, row, position, group, unit = p[:rank], p[rank], p[rank + 1], p[rank + 2 : -2], p[-2], p[-1]
    inner = tuple(o.scaled(s) + u.scaled(d) for o, s, u, d in zip(position, op.strides, taps, op.dilation, strict=True))
    reduced = [False] * (rank + 1) + [True] * (rank + 1) + [False] * 2
    contraction(
        lowering, node, big, cotangent, axes, reduced, (row, *inner, group.scaled(per_group) + channel),
        (row, *position, group.scaled(filters) + unit), lowering.new(node.outputs[0]),
    )  # fmt: skip


@rule(ConvInputGrad)
def conv_input_grad(lowering: Lowering, node: Node) -> None:
    """A convolution of the cotangent, spread by the strides and padded, with the kernel turned round."""
    g, kernel = node.inputs
    op: Any = node.op
    window = [number(n) for n in kernel.shape[:-2]]
    rank = len(window)
    sizes = [number(n) for n in op.sizes]
    widths = pad_widths(sizes, window, op.strides, op.dilation, op.padding)
    reach = [(k - 1) * d for k, d in zip(window, op.dilation, strict=True)]
    # spread[i] holds g[(i - reach) / stride]; dx[i] = sum over u of spread[i + before + reach - u * dilation] * kernel[u]
    spread = tuple(n + sum(w) + r for n, w, r in zip(sizes, widths, reach, strict=True))
    shape = (g.shape[0], *spread, g.shape[-1])
    big = lowering.scratch(g.dtype, product(shape), "spread")
    put_padded(lowering, node, g, big, shape, (0, *reach, 0), (1, *op.strides, 1), 0)
    weights = (lowering.ensure(kernel), kernel.shape)
    per_group, filters = number(kernel.shape[-2]), number(kernel.shape[-1]) // op.groups
    axes: Axes = [g.shape[0], *sizes, *window, filters, op.groups, per_group]
    p = affine.identity(axes)
    position, taps, unit, group, channel = p[1 : 1 + rank], p[1 + rank : 1 + 2 * rank], p[-3], p[-2], p[-1]
    inner = tuple(
        i.shifted(before + r) + u.scaled(-d)
        for i, u, d, r, (before, _) in zip(position, taps, op.dilation, reach, widths, strict=True)
    )
    reduced = [False] * (1 + rank) + [True] * (rank + 1) + [False] * 2
    contraction(
        lowering, node, (big, shape), weights, axes, reduced, (p[0], *inner, group.scaled(filters) + unit),
        (*taps, channel, group.scaled(filters) + unit), lowering.new(node.outputs[0]),
    )  # fmt: skip


def row_numbers(node: Node) -> tuple[Value, Size] | None:
    """The row numbers that an op must check, and how many rows there are."""
    match node.op:
        case Gather(checked=True):
            return node.inputs[1], node.inputs[0].shape[0]
        case ScatterAdd(checked=True):
            return node.inputs[1], node.op.rows
        case LastPlace():
            return node.inputs[0], node.op.rows
    return None


def _guard_node(lowering: Lowering, node: Node) -> None:
    found = row_numbers(node)
    if found is not None:
        guard(lowering, node, *found)


GUARDS[RequireFinite] = _guard_finite
GUARDS[Gather] = GUARDS[ScatterAdd] = GUARDS[LastPlace] = _guard_node
