"""Attention and its gradient as one kernel each (``tiles/attention.py``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from layerkit.engines.llvm.kernel import Buffer, Kernel, Use
from layerkit.engines.llvm.loops import affine
from layerkit.engines.llvm.loops.affine import Affine
from layerkit.engines.llvm.loops.elements import TYPES
from layerkit.engines.llvm.lowering.facts import units_along
from layerkit.engines.llvm.lowering.lower import Lowering, rule
from layerkit.engines.llvm.lowering.products import _is_own
from layerkit.engines.llvm.tiles import attention
from layerkit.engines.llvm.tiles.scores import Heads
from layerkit.ir import BATCH, Node, Shape, Size, Value, number, product, usual
from layerkit.ops.attend import Attend, AttendGrad

SMALL_NS = 400_000.0  # up to this price (some chunks), a sample goes as a whole with what comes before and after
FLOPS_NS = 80  # operations in a nanosecond
SCORE_PS = {False: 500, True: 650}  # of a score beside its products, in attention and in its gradient: softmax
DROP_PS = {False: 2100, True: 1000}
"""More where scores are dropped: random numbers, of which four are drawn at a time where queries come in fours."""


@rule(Attend)
def attend(lowering: Lowering, node: Node) -> None:
    """Blocks of queries are the units of work."""
    work = _Work(lowering, node, ("q", "k", "v"), (), ("y",))
    what = work.heads()
    work.add(what, attention.forward, what.units(lowering.target, work.element))


@rule(AttendGrad)
def attend_grad(lowering: Lowering, node: Node) -> None:
    """Groups are the units of work: all heads of a group add to the cotangents of one key and one value."""
    work = _Work(lowering, node, ("g", "q", "k", "v"), ("delta", "most", "total"), ("dq", "dk", "dv"))
    what = work.heads()
    work.add(what, attention.backward, product((*what.front, what.groups)))


class _Work:
    """The kernel of a node: which memory it uses, and how."""

    def __init__(
        self, lowering: Lowering, node: Node, strided: Sequence[str], plain: Sequence[str], results: Sequence[str]
    ) -> None:
        self.lowering, self.node = lowering, node
        op: Any = node.op
        self.element = TYPES[node.types[0].dtype]
        self.places: dict[str, Affine] = {}
        self.reads: list[tuple[Buffer, Affine, Shape]] = []
        self.given = dict(zip(strided, node.inputs, strict=False))
        first = len(strided) + len(plain)
        for name, x in self.given.items():
            self._read(x, self._strided(x), name)
        for x in node.inputs[len(strided) : first]:
            self._read(x, (lowering.ensure(x), affine.whole(x.shape)))
        allowed, bias, key = op.extras(node.inputs[first:])
        for name, x in (("allowed", allowed), ("bias", bias)):
            if x is not None:
                still = [0 if n == 1 else s for n, s in zip(x.shape, affine.strides(x.shape), strict=True)]
                self._read(x, (lowering.ensure(x), Affine(tuple(still))), name)
        if key is not None:
            self._read(key, (lowering.ensure(key), affine.whole(key.shape)))
        self.writes = [(lowering.new(v), affine.whole(v.shape), v.shape) for v in node.outputs]
        self.places |= {n: place for n, (_, place, _) in zip(results, self.writes, strict=False)}

    def _read(self, x: Value, found: tuple[Buffer, Affine], name: str | None = None) -> None:
        buffer, place = found
        self.reads.append((buffer, place, x.shape))
        if name is not None:
            self.places[name] = place

    def _strided(self, x: Value) -> tuple[Buffer, Affine]:
        """Where an operand lies: in its own memory, or in that of what it shows, elements of a head side by side."""
        axes = list(x.shape)
        expr = self.lowering.reading(axes, lambda read: read(x, affine.identity(axes)))
        if expr.kind == "load" and (expr.place.factors[-1] == 1 or axes[-1] == 1):
            return expr.buffer, Affine((*expr.place.factors[:-1], 1), expr.place.constant)
        return self.lowering.ensure(x), affine.whole(axes)

    def heads(self) -> Heads:
        """What the kernel computes."""
        *front, rows, heads, size = self.given["q"].shape
        *_, columns, groups, values = self.given["v"].shape
        op = Attend(**vars(self.node.op))
        return Heads(
            op, tuple(front), rows, columns, number(heads), number(groups), number(size), number(values), tuple(self.places.items())
        )  # fmt: skip

    def _beside(self, what: Heads) -> Size:
        """Nanoseconds beside products. Scores are computed for whole blocks of queries."""
        rows, width = what.rows, what.tile(self.lowering.target, self.element).width
        padded = -(-rows // width) * width if isinstance(rows, int) else rows
        each = SCORE_PS[isinstance(self.node.op, AttendGrad)] + (
            DROP_PS[isinstance(rows, int) and rows % 4 == 0] if what.op.rate else 0
        )
        return product((*what.front, what.heads, padded, what.columns)) * each // 1000

    def add(self, what: Heads, write: Callable[..., str], units: Size) -> None:
        """The kernel; its units are samples, if these are small."""
        lowering = self.lowering
        flops = 2 * self.node.op.multiply_adds(*(x.type for x in self.node.inputs))
        price = usual(flops) / FLOPS_NS
        samples, scale = units_along(units)
        if samples != BATCH or price / usual(BATCH) > SMALL_NS:
            samples, scale = units, 1
        function = write(lowering.module, lowering.target, self.element, what, lowering.names, scale)
        reads, writes = (
            [Use(b, _is_own(place, b, shape, samples)) for b, place, shape in uses]
            for uses in (self.reads, self.writes)
        )
        kernel = Kernel(
            function, reads, writes, samples, price / max(usual(samples), 1), flops=flops, beside=self._beside(what)
        )
        lowering.add_kernel(kernel, self.node)
