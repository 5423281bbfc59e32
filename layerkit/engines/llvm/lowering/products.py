"""Products of matrices by blocked kernels: the choice of kernel, and the packing of right operands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product as every
from math import prod
from typing import Any

from layerkit.engines.llvm.kernel import MOST_PARTIALS, Buffer, Kernel, Use
from layerkit.engines.llvm.loops import affine
from layerkit.engines.llvm.loops.affine import Affine, Place
from layerkit.engines.llvm.loops.elements import TYPES
from layerkit.engines.llvm.loops.fusion import Reader
from layerkit.engines.llvm.loops.nest import Expr, Nest, Store
from layerkit.engines.llvm.lowering import rules
from layerkit.engines.llvm.lowering.facts import place_is_local, units_along
from layerkit.engines.llvm.lowering.joining import Product
from layerkit.engines.llvm.lowering.lower import Lowering, rule
from layerkit.engines.llvm.tiles import conv, depthwise, gemm, matrices, packing, winograd
from layerkit.engines.llvm.tiles.epilogue import Epilogue
from layerkit.engines.llvm.tiles.strips import Axis
from layerkit.ir import BATCH, Node, Shape, Size, Value, apply, number, product, usual
from layerkit.ops.conv import Conv, ConvInputGrad, ConvKernelGrad
from layerkit.ops.matrices import MatMul
from layerkit.ops.shape import Reshape, Transpose
from layerkit.ops.windows import pad_widths

FEW = 256  # rows of a product, up to which packing a right operand beforehand would take too much of its time
ROWS = 32  # of a product in one chunk, at least, where the right operand is not small
MOVED_PS = 70  # of an element of a transformed tile, or of a product of tiles, along each axis
PARTIAL_ELEMENTS = 1 << 22  # of all partial results of one sum together
PARTIAL = 1 << 14  # results of at most so many elements are summed in parts, one for each range of rows


@rule(MatMul)
def matmul(lowering: Lowering, node: Node) -> None:
    """By register tiles where both inner sizes are known; else as loops."""
    a, b = node.inputs
    *front, m, k = a.shape
    n = b.shape[-1]
    is_stack = 0 not in (*front, m, n) and (isinstance(m, int) or isinstance(k, int))
    if TYPES[a.dtype] not in gemm.WIDTH or not isinstance(n, int):
        rules.matmul(lowering, node)
    elif is_stack and (front or _is_turned(a, m) or _packs_inside(lowering, b, m, k, n)):
        _stack(lowering, node, a, b, n)
    elif isinstance(k, int) and not front and 0 not in (k, n):
        _rows(lowering, node, a, b, m, k, n)
    else:
        rules.matmul(lowering, node)


def _is_turned(a: Value, m: Size) -> bool:
    """Whether it is a weight gradient: a transpose whose number of rows is known."""
    return isinstance(m, int) and isinstance(a.node.op, Transpose)


def _rows(lowering: Lowering, node: Node, a: Value, b: Value, m: Size, k: int, n: int) -> None:
    left = lowering.ensure(a)
    panels = packed(lowering, node, b, k, n)
    out = lowering.new(node.outputs[0])
    units, scale = units_along(m)
    module, target, element, names = lowering.module, lowering.target, TYPES[a.dtype], lowering.names
    price = 2.0 * k * n * scale / 100
    is_large = 4 * k * n > lowering.target.l1
    least = -(-ROWS // scale) if is_large else 1
    reads, writes = [Use(left, rows=True), Use(panels)], [Use(out, rows=True)]
    kernel = Kernel("", reads, writes, units, price, flops=2 * k * n * m, least=least)
    again = is_large and not lowering.is_program

    def write(epilogue: Epilogue | None) -> str:
        return matrices.matmul(module, target, element, k, n, names, scale, epilogue, is_repeated=again)

    made = Product(kernel, m, n, write)
    made.is_open = k <= gemm.most_terms(target, element, gemm.tile(target, element, n))
    lowering.add_kernel(kernel, node, made)


def _packs_inside(lowering: Lowering, b: Value, m: Size, k: Size, n: int) -> bool:
    """Whether a right operand is packed by the product itself: it is large, changes in every run, and serves few rows."""
    if not (lowering.is_program and isinstance(k, int)) or 4 * k * n < lowering.target.l2 // 4 or usual(m) > FEW:
        return False
    source = b.node.inputs[0] if isinstance(b.node.op, Transpose) else b
    return source.node.op.name == "input" and source not in lowering.lasting


def _stack(lowering: Lowering, node: Node, a: Value, b: Value, n: int) -> None:
    """Matrices that are read through strides: transposes, and any axes in front."""
    *front, m, k = a.shape
    element = TYPES[a.dtype]
    left, at_left = _strided(lowering, a)
    right, at_right = _strided(lowering, b)
    if at_left.factors[-1] != 1 and not isinstance(m, int):
        rules.matmul(lowering, node)
        return
    out = lowering.new(node.outputs[0])
    rows, columns = matrices.blocks(lowering.target, element, m, n, apart=not front)
    what = matrices.Stack(tuple(front), m, k, n, at_left, at_right, rows, columns)
    is_summed = not front and affine.is_symbolic(k) and what.blocks < matrices.FEW and m * n <= PARTIAL
    if is_summed:
        what = replace(what, in_parts=True)
    units, scale = units_along(what.units)
    function = matrices.stack(lowering.module, lowering.target, element, what, lowering.names, scale)
    flops = 2 * m * n * k * product(front)
    price = usual(flops) / max(usual(units), 1) / 100
    if is_summed:
        turned = Affine((at_left.factors[1], at_left.factors[0]), at_left.constant)
        reads = [Use(left, _is_own(turned, left, (k, m), units)), Use(right, _is_own(at_right, right, (k, n), units))]
        sum_in_parts(lowering, node, function, reads, out, number(m * n), units, price, flops)
        return
    reads = [Use(left, _is_own(at_left, left, a.shape, units)), Use(right, _is_own(at_right, right, b.shape, units))]
    writes = [Use(out, bool(front) and _is_own(affine.whole((*front, m, n)), out, (*front, m, n), units))]
    lowering.add_kernel(Kernel(function, reads, writes, units, price, flops=flops), node)


def _strided(lowering: Lowering, x: Value) -> tuple[Buffer, Affine]:
    """Where a stack of matrices lies: in its own memory, or in that of what it shows, rows or columns contiguous."""
    axes = list(x.shape)
    expr = lowering.reading(axes, lambda read: read(x, affine.identity(axes)))
    if expr.kind == "load":
        row, column = expr.place.factors[-2:]
        row, column = 1 if axes[-2] == 1 else row, 1 if axes[-1] == 1 else column
        if 1 in (row, column):
            return expr.buffer, Affine((*expr.place.factors[:-2], row, column), expr.place.constant)
    return lowering.ensure(x), affine.whole(axes)


def _is_own(place: Affine, buffer: Buffer, axes: Shape, units: Size) -> bool:
    """Whether each unit, a turn of the first axis or a part of one, touches its own share of a buffer only."""
    is_first = units == BATCH and affine._divide(axes[0], units) is not None
    return is_first and place_is_local(Nest(list(axes), [False] * len(axes)), place, buffer.size)


def sum_in_parts(
    lowering: Lowering,
    node: Node,
    function: str,
    reads: list[Use],
    out: Buffer,
    count: int,
    units: Size,
    price: float,
    flops: Size,
    memory: Buffer | None = None,
    least: int = 1,
) -> Kernel:
    """A kernel that writes one result for each range of units, and the loop that adds them up; the first is returned.

    ``memory`` is what each range, of ``least`` units or more, needs to work in.
    """
    from layerkit.engines.llvm.lowering.lower import combine

    partial = Buffer(out.dtype, count, label="partial")
    own = [memory, partial] if memory is not None else [partial]
    most = max(2, min(MOST_PARTIALS, PARTIAL_ELEMENTS // sum(number(b.size) for b in own)))
    writes = [Use(b, chunk=True) for b in own]
    kernel = Kernel(function, reads, writes, units, price, flops=flops, most=most, least=least)
    lowering.add_kernel(kernel, node)
    lowering.add_kernel(combine(lowering, "sum", partial, out, count), node)
    return kernel


def packed(lowering: Lowering, node: Node, b: Value, k: int, n: int) -> Buffer:
    """The right operand as panels [n / width][k][width]; packed once however many products use it."""
    key = (b, "panels")
    if key not in lowering.packs:
        if isinstance(b.node.op, Transpose) and lowering.find(b.node.inputs[0]) is not None:
            lowering.packs[key] = _pack_transposed(lowering, node, b.node.inputs[0], k, n)
        else:
            lowering.packs[key] = pack(
                lowering, node, b.dtype, (k,), n, lambda read, terms, column: read(b, (*terms, column))
            )
    return lowering.packs[key]


def _pack_transposed(lowering: Lowering, node: Node, source: Value, k: int, n: int) -> Buffer:
    """Panels of the transpose of a stored [n, k], turned square by square in registers."""
    shape = gemm.tile(lowering.target, TYPES[source.dtype], n)
    panels = shape.panels(n)
    out = lowering.scratch(source.dtype, panels * k * shape.width, "panels")
    function = packing.pack_transposed(lowering.module, lowering.target, TYPES[source.dtype], k, n, lowering.names)
    kernel = Kernel(
        function, [Use(lowering.ensure(source))], [Use(out, rows=True)], panels, 0.5 * k * shape.width, what="pack",
    )  # fmt: skip
    lowering.add_kernel(kernel, node)
    return out


def pack(lowering: Lowering, node: Node, dtype: str, terms: tuple[int, ...], n: int, build: Any) -> Buffer:
    """Panels of a right operand whose rows are counted by ``terms`` axes; ``build(read, terms, column)`` is an element."""
    shape = gemm.tile(lowering.target, TYPES[dtype], n)
    out = lowering.scratch(dtype, shape.panels(n) * prod(terms) * shape.width, "panels")
    fill_panels(lowering, node, out, 0, dtype, terms, n, build)
    return out


def fill_panels(
    lowering: Lowering, node: Node, out: Buffer, offset: int, dtype: str, terms: tuple[int, ...], n: int, build: Any
) -> None:
    """Write the panels of one right operand to ``out``."""
    width, depth = gemm.tile(lowering.target, TYPES[dtype], n).width, prod(terms)
    full, rest = divmod(n, width)
    steps = affine.strides(terms)
    for first, panels, columns in ((0, full, width), (full, 1, rest)):
        if not panels or not columns or not depth:
            continue
        axes: list[Size] = [panels, *terms, columns]
        place = affine.identity(axes)
        column = place[0].scaled(width).shifted(first * width) + place[-1]

        def value(read: Reader, place: Place = place, column: Affine = column) -> Any:
            return build(read, place[1:-1], column)

        expr = lowering.reading(axes, value)
        where = Affine((depth * width, *(s * width for s in steps), 1), offset + first * depth * width)
        lowering.add(Nest(axes, [False] * len(axes), [Store(expr, out, where)]), node, join=False)
        lowering.items[-1].part, lowering.items[-1].words = True, ["pack"]


# Convolutions --------------------------------------------------------------------------------------------------------


def geometry(op: Any, x: Shape, kernel: Shape, out: Shape) -> conv.Geometry:
    """The geometry of a convolution over its last two axes; a single one is the width of images of height 1."""
    window, sizes, before = _window(op, x, kernel)

    def pair(values: Any, fill: int) -> tuple[int, int]:
        two = (fill, *values)[-2:]
        return int(two[0]), int(two[1])

    return conv.Geometry(
        pair(sizes, 1), pair([number(n) for n in out[1:-1]], 1), pair(window, 1), pair(op.strides, 1), pair(op.dilation, 1),
        pair(before, 0), number(x[-1]), number(kernel[-1]), op.groups,
    )  # fmt: skip


def _window(op: Any, x: Shape, kernel: Shape) -> tuple[list[int], list[int], list[int]]:
    """Window, sizes of the images, and what is added before them."""
    window, sizes = [number(n) for n in kernel[:-2]], [number(n) for n in x[1:-1]]
    return window, sizes, [a for a, _ in pad_widths(sizes, window, op.strides, op.dilation, op.padding)]


def _volume(op: Any, x: Shape, kernel: Shape, out: Shape, is_backward: bool = False) -> conv.Volume:
    """How planes meet, if there are three axes."""
    if len(x) != 5:
        return conv.IMAGE
    window, sizes, before = _window(op, x, kernel)
    make = Axis.backward if is_backward else Axis.forward
    axis = make(sizes[0], number(out[1]), window[0], op.strides[0], op.dilation[0], before[0])
    meets = [(at, i, u) for i in range(axis.out) for u, at in axis.met(i)]
    return conv.Volume(axis.size, axis.out, axis.taps, tuple(meets))


def _is_blocked(x: Value, shape: conv.Geometry) -> bool:
    """Whether register tiles serve this convolution; else it is written as loops."""
    element = TYPES[x.dtype]
    if element not in gemm.WIDTH or 0 in (*shape.sizes, *shape.out, shape.channels, shape.filters):
        return False
    return len(x.shape) <= 5


def _framed(lowering: Lowering, node: Node, x: Value, frame: conv.Frame) -> tuple[Buffer, conv.Frame]:
    """Images in memory, and the frame that a kernel has to put around each: none for large ones, which are padded before."""
    if frame.is_bare or frame.size * gemm.WIDTH[TYPES[x.dtype]] <= conv.MOST_FRAME:
        return lowering.ensure(x), frame
    axes = min(len(x.shape) - 2, 2)
    front = x.shape[: -axes - 1]
    shape = (*front, *frame.framed[2 - axes :], frame.channels)
    out = lowering.scratch(x.dtype, product(shape), "framed")
    rules.put_padded(
        lowering, node, x, out, shape, (*[0] * len(front), *frame.before[2 - axes :], 0), (1,) * len(shape), 0
    )
    return out, conv.Frame(frame.framed, (0, 0), (0, 0), frame.channels)


def _dims(x: Value) -> bool:
    return len(x.shape) in (3, 4, 5) and all(isinstance(n, int) for n in x.shape[1:])


@rule(Conv)
def convolution(lowering: Lowering, node: Node) -> None:
    """Images times panels of the kernel."""
    x, kernel = node.inputs
    y = node.outputs[0]
    if (sweep := _sweep(lowering, node, x, y, kernel.shape)) is not None:
        _swept(
            lowering,
            node,
            sweep,
            _turned(lowering, node, kernel, sweep) if sweep.how == "dots" else lowering.ensure(kernel),
        )
        return
    if not (_dims(x) and all(isinstance(n, int) for n in kernel.shape)):
        rules.conv(lowering, node)
        return
    shape = geometry(node.op, x.shape, kernel.shape, y.shape)
    if not _is_blocked(x, shape):
        rules.conv(lowering, node)
        return
    tiling = None if len(x.shape) == 5 else winograd.tiling(lowering.target, TYPES[x.dtype], shape)
    if tiling is not None:
        _by_tiles(lowering, node, x, kernel, tiling, shape)
        return
    columns = shape.filters // shape.groups
    width = gemm.tile(lowering.target, TYPES[x.dtype], columns).width
    terms = (*shape.window, shape.per_group)
    key = (kernel, "conv", shape.groups)
    if key not in lowering.packs:
        parts = [((p, g), terms) for p in range(_planes(kernel)) for g in range(shape.groups)]

        def place(at: tuple[int, int], t: Place, column: Affine) -> Place:
            return (_still(t, at[0]), *t, column.shifted(at[1] * columns))

        lowering.packs[key] = _pack_groups(lowering, node, x.dtype, columns, [(*p, place) for p in parts], kernel)
    volume = _volume(node.op, x.shape, kernel.shape, y.shape)
    _convolve(lowering, node, x, lowering.packs[key], shape.forward(width, volume), _flops(shape))


def _planes(kernel: Value) -> int:
    """Planes of a window."""
    return number(kernel.shape[0]) if len(kernel.shape) == 5 else 1


def _still(place: Place, at: int) -> Affine:
    """A number among places."""
    return place[0].scaled(0).shifted(at)


def _by_tiles(
    lowering: Lowering, node: Node, x: Value, kernel: Value, tiling: winograd.Tiling, shape: conv.Geometry, *, turned: bool = False
) -> None:  # fmt: skip
    """A convolution, or with the kernel turned round a gradient by the input, in fewer multiplications."""
    module, target, element, names = lowering.module, lowering.target, TYPES[x.dtype], lowering.names
    key = (kernel, "winograd", turned, tiling)
    if key not in lowering.packs:
        weights = lowering.ensure(kernel)
        panels = lowering.packs[key] = lowering.scratch(
            x.dtype, winograd.packed_size(target, element, tiling), "panels"
        )
        function = winograd.pack(module, target, element, tiling, names, turned=turned)
        units = tiling.left // tiling.lanes if turned else tiling.channels
        price = winograd.packed_size(target, element, tiling) / units / 10
        lowering.add_kernel(Kernel(function, [Use(weights)], [Use(panels)], units, price, what="pack"), node)
    source, panels = lowering.ensure(x), lowering.packs[key]
    out = lowering.new(node.outputs[0])
    flops = _flops(shape)
    reads, writes, images = [Use(source, rows=True), Use(panels)], [Use(out, rows=True)], x.shape[0]
    made = Kernel("", reads, writes, images, flops / 200, flops=flops * images, least=tiling.block[0])
    _saves(made, tiling, images)
    rows = images * prod(tiling.out)
    open_ = Product(
        made, rows, tiling.filters, lambda e: winograd.convolution(module, target, element, tiling, names, e)
    )
    lowering.add_kernel(made, node, open_)


def _flops(shape: conv.Geometry) -> int:
    """Floating-point operations of the plain sum for one image."""
    return 2 * prod(shape.out) * shape.filters * prod(shape.window) * shape.per_group


def _convolve(lowering: Lowering, node: Node, x: Value, panels: Buffer, what: conv.Product, flops: int) -> None:
    source, frame = _framed(lowering, node, x, what.frame)
    out = lowering.new(node.outputs[0])
    what = replace(what, frame=frame)
    module, target, element, names = lowering.module, lowering.target, TYPES[x.dtype], lowering.names
    flops *= len(what.volume.meets)
    reads, writes, images = [Use(source, rows=True), Use(panels)], [Use(out, rows=True)], x.shape[0]
    kernel = Kernel("", reads, writes, images, flops / 80, flops=flops * images)
    *positions, filters = map(number, node.outputs[0].shape[1:])
    made = Product(
        kernel,
        images * prod(positions),
        filters,
        lambda e: conv.write(module, target, element, what, names, e),
        is_even=False,
    )
    made.is_open = what.groups == 1 and what.volume == conv.IMAGE
    lowering.add_kernel(kernel, node, made)


def _pack_groups(
    lowering: Lowering, node: Node, dtype: str, columns: int, groups: Sequence[Any], kernel: Value
) -> Buffer:
    """Panels of several parts of a kernel one after the other: (group, axes of terms, place of an element)."""
    width = gemm.tile(lowering.target, TYPES[dtype], columns).width
    panels = -(-columns // width)
    total = sum(prod(terms) for _, terms, _ in groups) * panels * width
    out = lowering.scratch(dtype, total, "panels")
    offset = 0
    for group, terms, place_of in groups:
        fill_panels(
            lowering, node, out, offset, dtype, terms, columns,
            lambda read, t, c, group=group, place_of=place_of: read(kernel, _kernel_place(kernel, place_of(group, t, c))),
        )  # fmt: skip
        offset += prod(terms) * panels * width
    return out


def _kernel_place(kernel: Value, place: Place) -> Place:
    """A place (plane, row, column, channel, filter) in a kernel that may have fewer axes."""
    return place[-len(kernel.shape) :]


@rule(ConvInputGrad)
def convolution_input_grad(lowering: Lowering, node: Node) -> None:
    """The cotangent times panels of the kernel turned round, one product for each phase of the strides."""
    g, kernel = node.inputs
    dx = node.outputs[0]
    if (sweep := _sweep(lowering, node, dx, g, kernel.shape, is_backward=True)) is not None:
        _swept(
            lowering,
            node,
            sweep,
            lowering.ensure(kernel) if sweep.how == "dots" else _turned(lowering, node, kernel, sweep),
        )
        return
    if not (_dims(g) and _dims(dx) and all(isinstance(n, int) for n in kernel.shape)):
        rules.conv_input_grad(lowering, node)
        return
    shape = geometry(node.op, dx.shape, kernel.shape, g.shape)
    if not _is_blocked(g, shape):
        rules.conv_input_grad(lowering, node)
        return
    tiling = None if len(g.shape) == 5 else winograd.tiling(lowering.target, TYPES[g.dtype], shape, backward=True)
    if tiling is not None:
        _by_tiles(lowering, node, g, kernel, tiling, shape, turned=True)
        return
    per_filter = shape.filters // shape.groups
    width = gemm.tile(lowering.target, TYPES[g.dtype], shape.per_group).width
    what, packs = shape.backward(width, _volume(node.op, dx.shape, kernel.shape, g.shape, is_backward=True))
    groups = []
    for plane, group, (rows, columns) in every(range(_planes(kernel)), range(shape.groups), packs):

        def place_of(
            at: tuple[int, int], t: Place, c: Affine, rows: list[int] = rows, columns: list[int] = columns
        ) -> Place:
            step_r, step_c = (u[1] - u[0] if len(u) > 1 else 0 for u in (rows, columns))
            row, column = t[0].scaled(step_r).shifted(rows[0]), t[1].scaled(step_c).shifted(columns[0])
            return (_still(t, at[0]), row, column, c, t[2].shifted(at[1] * per_filter))

        if rows and columns:
            groups.append(((plane, group), (len(rows), len(columns), per_filter), place_of))
    panels = _pack_groups(lowering, node, g.dtype, shape.per_group, groups, kernel)
    _convolve(lowering, node, g, panels, what, _flops(shape))


@rule(ConvKernelGrad)
def convolution_kernel_grad(lowering: Lowering, node: Node) -> None:
    """Framed images, turned, times the cotangent; partial sums for ranges of images."""
    x, g = node.inputs
    dw = node.outputs[0]
    if (sweep := _sweep(lowering, node, x, g, dw.shape)) is not None:
        _swept_kernel_grad(lowering, node, sweep)
        return
    if not (_dims(x) and _dims(g)):
        rules.conv_kernel_grad(lowering, node)
        return
    shape = geometry(node.op, x.shape, dw.shape, g.shape)
    if not _is_blocked(x, shape):
        rules.conv_kernel_grad(lowering, node)
        return
    if _is_pointwise(node.op, x, g) and shape.channels * shape.filters > PARTIAL:
        rows = product(x.shape[:-1])
        flat = (apply(Reshape((rows, shape.channels)), x), apply(Reshape((rows, shape.filters)), g))
        _stack(lowering, node, apply(Transpose((1, 0)), flat[0]), flat[1], shape.filters)
        return
    tiling = None if len(x.shape) == 5 else winograd.tiling(lowering.target, TYPES[x.dtype], shape)
    if tiling is not None and winograd.sums_size(tiling) <= winograd.MOST_SUMS:
        _kernel_grad_by_tiles(lowering, node, x, g, tiling, shape)
        return
    (left, frame), right = _framed(lowering, node, x, shape.frame()), lowering.ensure(g)
    out = lowering.new(dw)
    volume = _volume(node.op, x.shape, dw.shape, g.shape)
    function = conv.kernel_grad(lowering.module, lowering.target, TYPES[x.dtype], shape, frame, lowering.names, volume)
    count = prod(number(n) for n in dw.shape)
    flops = _flops(shape) * len(volume.meets)
    least = conv.together(lowering.target, TYPES[x.dtype], shape, frame, volume)
    sum_in_parts(
        lowering, node, function, [Use(left, rows=True), Use(right, rows=True)], out, count, x.shape[0], flops / 80,
        flops * x.shape[0], least=least,
    )  # fmt: skip


def _is_pointwise(op: Any, x: Value, g: Value) -> bool:
    """Whether each position of the images meets its own of the result, and no other."""
    return {*op.window, *op.strides, op.groups} == {1} and x.shape[:-1] == g.shape[:-1]


def _saves(kernel: Kernel, tiling: winograd.Tiling, images: Size) -> None:
    """Tell what is multiplied, in whole vectors, and what is moved instead."""
    kernel.saving = tiling.saving * tiling.filters / tiling.right
    elements = prod(tiling.tiles) * tiling.products * (tiling.left + tiling.right)
    kernel.beside = elements * sum(n > 1 for n in tiling.window) * MOVED_PS * images // 1000


def _kernel_grad_by_tiles(
    lowering: Lowering, node: Node, x: Value, g: Value, tiling: winograd.Tiling, shape: conv.Geometry
) -> None:
    """A gradient by the kernel in fewer multiplications; each range of images has memory of its own for its sums."""
    reads = [Use(lowering.ensure(x), rows=True), Use(lowering.ensure(g), rows=True)]
    out = lowering.new(node.outputs[0])
    function = winograd.kernel_grad(lowering.module, lowering.target, TYPES[x.dtype], tiling, lowering.names)
    sums = lowering.scratch(x.dtype, winograd.sums_size(tiling), "sums")
    count = prod(number(n) for n in node.outputs[0].shape)
    flops = _flops(shape)
    images = x.shape[0]
    made = sum_in_parts(
        lowering, node, function, reads, out, count, images, flops / 200, flops * images, sums, tiling.block[0]
    )
    _saves(made, tiling, images)


# Few channels to a filter --------------------------------------------------------------------------------------------


def _sweep(
    lowering: Lowering, node: Node, x: Value, y: Value, kernel: Shape, is_backward: bool = False
) -> depthwise.Sweep | None:
    """The convolution from x to y, or its gradient by x, where channels are few; None if products serve it better."""
    op: Any = node.op
    element = TYPES[x.dtype]
    known = all(isinstance(n, int) for n in (*x.shape[1:], *y.shape[1:], *kernel))
    if element not in gemm.WIDTH or not known or 0 in (*x.shape[1:], *y.shape[1:], *kernel):
        return None
    ins, outs = number(kernel[-2]), number(kernel[-1]) // op.groups
    if is_backward:
        ins, outs = outs, ins
    if depthwise.suits(lowering.target, element, op.groups, ins, outs):
        how = "products"
    elif depthwise.suits_dots(lowering.target, element, op.groups, ins, outs):
        how = "dots"
    else:
        return None
    window, sizes, before = _window(op, x.shape, kernel)
    make = Axis.backward if is_backward else Axis.forward
    axes = map(make, sizes, map(number, y.shape[1:-1]), window, op.strides, op.dilation, before)
    single = () if len(sizes) > 1 else (Axis(1, 1, 1),)
    return depthwise.Sweep((*single, *axes), op.groups, ins, outs, how)


def _swept(lowering: Lowering, node: Node, sweep: depthwise.Sweep, weights: Buffer) -> None:
    x, y = node.inputs[0], node.outputs[0]
    source, out = lowering.ensure(x), lowering.new(y)
    function = depthwise.write(lowering.module, lowering.target, TYPES[x.dtype], sweep, lowering.names)
    flops = 2 * min(sweep.operand * sweep.outs, sweep.result * sweep.ins) * prod(a.taps for a in sweep.axes)
    reads, writes, images = [Use(source, rows=True), Use(weights)], [Use(out, rows=True)], x.shape[0]
    lowering.add_kernel(Kernel(function, reads, writes, images, flops / 60, flops=flops * images), node)


def _swept_kernel_grad(lowering: Lowering, node: Node, sweep: depthwise.Sweep) -> None:
    x, g = node.inputs
    dw = node.outputs[0]
    function = depthwise.kernel_grad(lowering.module, lowering.target, TYPES[x.dtype], sweep, lowering.names)
    reads = [Use(lowering.ensure(x), rows=True), Use(lowering.ensure(g), rows=True)]
    flops, count = 2 * sweep.result * prod(a.taps for a in sweep.axes) * sweep.ins, prod(map(number, dw.shape))
    out = lowering.scratch(x.dtype, count, "turned") if sweep.how == "dots" else lowering.new(dw)
    sum_in_parts(lowering, node, function, reads, out, count, x.shape[0], flops / 60, flops * x.shape[0])
    if sweep.how == "dots":  # it is [window, filters, channels]
        axes = list(dw.shape)
        *at, channel, filter_ = affine.identity(axes)
        place = affine.linear((*at, filter_, channel), (*dw.shape[:-2], dw.shape[-1], dw.shape[-2]), len(axes))
        load = Expr("load", x.dtype, buffer=out, place=place)
        lowering.add(Nest(axes, [False] * len(axes), [Store(load, lowering.new(dw), affine.whole(axes))]), node)


def _turned(lowering: Lowering, node: Node, kernel: Value, sweep: depthwise.Sweep) -> Buffer:
    """A kernel [window, channels, filters] as [window, filters of a group, all channels]; kernels of one group, turned."""
    if sweep.ins == sweep.outs == 1:
        return lowering.ensure(kernel)
    window = kernel.shape[:-2]
    if sweep.how == "dots":
        sweep = replace(sweep, ins=sweep.outs, outs=sweep.ins)
    axes = [*window, sweep.ins, sweep.groups, sweep.outs]
    out = lowering.scratch(kernel.dtype, product(axes), "turned")

    def value(read: Reader) -> Any:
        *at, filter_, group, channel = affine.identity(axes)
        return read(kernel, (*at, channel, group.scaled(sweep.ins) + filter_))

    lowering.add(Nest(axes, [False] * len(axes), [Store(lowering.reading(axes, value), out, affine.whole(axes))]), node)
    return out
