"""Products of matrices by blocked kernels: the choice of kernel, and the packing of right operands."""

from __future__ import annotations

from typing import Any

from layerkit.engines.llvm import affine, gemm
from layerkit.engines.llvm.affine import Affine, Place
from layerkit.engines.llvm.builder import Function, Index, Reg
from layerkit.engines.llvm.elements import TYPES
from layerkit.engines.llvm.fusion import Reader
from layerkit.engines.llvm.kernel import Buffer, Kernel, Use
from layerkit.engines.llvm.loops import Nest, Sizes, Store
from layerkit.engines.llvm.lower import Lowering, _units, rule
from layerkit.engines.llvm.rules import matmul as matmul_loops
from layerkit.ir import Node, Size, Value, product
from layerkit.ops.linalg import MatMul
from layerkit.ops.shape import Transpose

PARTIAL = 1 << 14  # results of at most so many elements are summed in parts, one for each range of rows


@rule(MatMul)
def matmul(lowering: Lowering, node: Node) -> None:
    """By register tiles where both inner sizes are known; else, and for stacks of matrices, as loops."""
    a, b = node.inputs
    element = TYPES[a.dtype]
    if len(a.shape) != 2 or element not in gemm.WIDTH or not isinstance(b.shape[1], int):
        matmul_loops(lowering, node)
        return
    (m, k), n = a.shape, b.shape[1]
    if isinstance(m, int) and isinstance(a.node.op, Transpose) and 0 not in (m, n):
        _transposed(lowering, node, a.node.inputs[0], b, m, n, k)
    elif isinstance(k, int) and 0 not in (k, n):
        _rows(lowering, node, a, b, m, k, n)
    else:
        matmul_loops(lowering, node)


def _rows(lowering: Lowering, node: Node, a: Value, b: Value, m: Size, k: int, n: int) -> None:
    left = lowering.ensure(a)
    panels = packed(lowering, node, b, k, n)
    out = lowering.new(node.outputs[0])
    units, scale = _units(m)
    function = gemm.matmul(lowering.module, lowering.target, TYPES[a.dtype], k, n, lowering.names, scale)
    flops = 2.0 * k * n * (scale if isinstance(scale, int) else 1)
    lowering.add_kernel(
        Kernel(function, [Use(left, rows=True), Use(panels)], [Use(out, rows=True)], units, flops / 100, flops=flops), node
    )


def _transposed(lowering: Lowering, node: Node, x: Value, g: Value, m: int, n: int, rows: Size) -> None:
    """A weight gradient: x.T @ g, summed over the rows of both."""
    left, right = lowering.ensure(x), lowering.ensure(g)
    out = lowering.new(node.outputs[0])
    element = TYPES[x.dtype]
    units, scale = _units(rows)
    if m * n <= PARTIAL and scale == 1 and affine.is_symbolic(units):
        function = gemm.matmul_t(lowering.module, lowering.target, element, m, n, lowering.names, None)
        price = 2.0 * m * n / 100
        sum_in_parts(lowering, node, function, [Use(left, rows=True), Use(right, rows=True)], out, m * n, units, price)
        return

    def count(f: Function) -> Index:
        return Sizes(f, lowering.names)(rows)

    function = gemm.matmul_t(lowering.module, lowering.target, element, m, n, lowering.names, count)
    shape = gemm.tile(lowering.target, element, n)
    flops = 2.0 * shape.rows_t * n * (rows if isinstance(rows, int) else 128)
    tiles = -(-m // shape.rows_t)
    lowering.add_kernel(
        Kernel(function, [Use(left), Use(right)], [Use(out, rows=False)], tiles, flops / 100, flops=flops), node
    )


def sum_in_parts(
    lowering: Lowering, node: Node, function: str, reads: list[Use], out: Buffer, count: int, units: Size, price: float
) -> None:
    """A kernel that writes one result for each range of units, and the loop that adds them up."""
    from layerkit.engines.llvm.lower import combine

    partial = Buffer(out.dtype, count, label="partial")
    lowering.add_kernel(Kernel(function, reads, [Use(partial, chunk=True)], units, price, flops=price * 100), node)
    lowering.add_kernel(combine(lowering, "sum", partial, out, count), node)


def packed(lowering: Lowering, node: Node, b: Value, k: int, n: int) -> Buffer:
    """The right operand as panels [n / width][k][width]; packed once however many products use it."""
    key = (b, "panels")
    if key not in lowering.packs:
        lowering.packs[key] = pack(
            lowering, node, b.dtype, (k,), n, lambda read, terms, column: read(b, (*terms, column))
        )
    return lowering.packs[key]


def pack(lowering: Lowering, node: Node, dtype: str, terms: tuple[int, ...], n: int, build: Any) -> Buffer:
    """Panels of a right operand whose rows are counted by ``terms`` axes; ``build(read, terms, column)`` is an element."""
    shape = gemm.tile(lowering.target, TYPES[dtype], n)
    width, depth = shape.width, product(terms)
    assert isinstance(depth, int)
    out = lowering.scratch(dtype, shape.panels(n) * depth * width, "panels")
    full, rest = divmod(n, width)
    steps = affine.strides(terms)
    for first, panels, columns in ((0, full, width), (full, 1, rest)):
        if not panels or not columns:
            continue
        axes: list[Size] = [panels, *terms, columns]
        place = affine.identity(axes)
        column = place[0].scaled(width).shifted(first * width) + place[-1]

        def value(read: Reader, place: Place = place, column: Affine = column) -> Any:
            return build(read, place[1:-1], column)

        expr = lowering.reading(axes, value)
        where = Affine((depth * width, *(s * width for s in steps), 1), first * depth * width)
        lowering.add(Nest(axes, [False] * len(axes), [Store(expr, out, where)]), node, join=False)
    return out


__all__ = ["Reg", "matmul", "pack", "packed", "sum_in_parts"]
