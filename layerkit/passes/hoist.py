"""Products moved out of loops: what a step does not owe to the step before it is done for all steps at once.

In the loop of a recurrent network, ``x_t @ W`` needs no carried value, so it becomes one product of the whole sequence
before the loop. Its gradient adds ``x_t.T @ dz_t`` to a sum in each step; the sum is one product of the stacked ``x`` and
``dz`` after the loop. A result ``dz_t @ W.T`` likewise. What stays inside is the recurrent product and elementwise work.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from layerkit.ir import Const, Graph, Node, Value, apply, inline, make, placeholder, usual
from layerkit.ops.elementwise import Binary, Cast, StopGradient, Unary, Where
from layerkit.ops.matrices import MatMul
from layerkit.ops.reduction import Reduce
from layerkit.ops.scan import Scan
from layerkit.ops.shape import Reshape, Transpose, reshape, transpose
from layerkit.passes.base import Pass, rewrite
from layerkit.records import dataclass

GROWTH = 4  # so many times larger than its operand, a product of the whole sequence costs more to write and read than to repeat


@dataclass(frozen=True)
class Hoist(Pass):
    """Move products, and sums of products, out of scans."""

    name = "hoist"
    exact = False

    def run(self, graph: Graph) -> Graph:
        return rewrite(graph, lambda node: _hoist(node) if isinstance(node.op, Scan) else None, self.run)


def _hoist(node: Node) -> tuple[Value, ...] | None:
    loop = _Loop(node)
    loop.before()
    loop.after()
    return loop.rebuilt() if loop.changed else None


class _Loop:
    """One scan, taken apart."""

    def __init__(self, node: Node) -> None:
        assert isinstance(node.op, Scan)
        self.node, self.op, self.body = node, node.op, node.op.body
        self.carries, self.slices, self.captures = self.op.split(self.body.inputs)
        self.given = dict(zip(self.body.inputs, node.inputs, strict=True))
        self.carried = set(self.carries)
        self.moving = {*self.carries, *self.slices}
        for n in self.body.nodes():
            if any(x in self.carried for x in n.inputs):
                self.carried |= set(n.outputs)
            if any(x in self.moving for x in n.inputs):
                self.moving |= set(n.outputs)
        self.new_slices: dict[Value, tuple[Value, Value]] = {}
        """A value of the body -> its place as a slice, and the sequence that it is a slice of."""
        self.stacks: dict[Value, Value] = {}
        """A value of the body that the loop hands out besides its results -> its stand-in outside."""
        self.moved: dict[int, Value] = {}
        """Outputs that are computed after the loop, from stand-ins."""
        self._lifted: dict[Value, Value | None] = {}
        needed = Graph(self.body.inputs, self.body.outputs[: self.op.carries])
        self.inside = set(needed.nodes())
        """Nodes on which a later step depends."""

    @property
    def changed(self) -> bool:
        """Whether anything can be moved."""
        return bool(self.new_slices or self.moved)

    # Before the loop

    def before(self) -> None:
        """Products that depend on slices, but on no carry."""
        for n in self.body.nodes():
            is_steady = n.outputs[0] in self.moving and n.outputs[0] not in self.carried
            if isinstance(n.op, MatMul) and is_steady and not self._grows(n):
                whole = self.lift(n.outputs[0])
                if whole is not None:
                    v = n.outputs[0]
                    self.new_slices[v] = placeholder(f"h{len(self.new_slices)}", v.dtype, v.shape), whole

    def _grows(self, product: Node) -> bool:
        """Whether a product is better made in each step: for all steps it would be much more memory than what it is made of.

        That holds where steps are kept for a gradient, that is in training. Predictions for one row at a time are faster
        with one product for all steps, in which the matrix is read once.
        """
        (*_, inner), (*_, columns) = product.inputs[0].shape, product.types[0].shape
        is_kept = len(self.body.outputs) - self.op.carries > 1
        return is_kept and GROWTH * usual(inner) <= usual(columns)

    def lift(self, value: Value) -> Value | None:
        """A value of the body for all steps, (length, ...); None where that is not known to be possible."""
        if value not in self._lifted:
            is_steady = value in self.moving and value not in self.carried
            known = self.given.get(value)
            self._lifted[value] = (
                None if not is_steady else known if known is not None else self._rebuild(value, self.lift)
            )
        return self._lifted[value]

    def _rebuild(self, value: Value, lift: Callable[[Value], Value | None]) -> Value | None:
        """The op of a value for all steps at once, its operands lifted."""
        op, xs, length = value.node.op, value.node.inputs, self.op.length
        if isinstance(op, MatMul):
            left = lift(xs[0])
            right = self.outside(xs[1])
            if left is None or right is None or len(xs[0].shape) != 2:
                return None
            rows = reshape(left, (length * xs[0].shape[0], xs[0].shape[1]))
            return reshape(apply(op, rows, right), (length, *value.shape))  # type: ignore[no-any-return]
        if isinstance(op, Unary | Binary | Where | Cast | StopGradient):
            found = [self._operand(x, value.ndim, lift) for x in xs]
            return None if any(x is None for x in found) else apply(op, *found)  # type: ignore[no-any-return]
        inner = lift(xs[0]) if isinstance(op, Transpose | Reshape) else None
        if inner is None:
            return None
        if isinstance(op, Transpose):
            return transpose(inner, (0, *(i + 1 for i in op.order)))  # type: ignore[no-any-return]
        return reshape(inner, (length, *value.shape))  # type: ignore[no-any-return]

    def _operand(self, x: Value, rank: int, lift: Callable[[Value], Value | None]) -> Value | None:
        """An operand for all steps, with as many axes as the others have."""
        if x not in self.moving:
            return self.outside(x)
        whole = lift(x)
        if whole is None or x.ndim == rank:
            return whole
        return reshape(whole, (self.op.length, *(1,) * (rank - x.ndim), *x.shape))  # type: ignore[no-any-return]

    def outside(self, value: Value) -> Value | None:
        """A value that depends on captures only, computed outside."""
        return None if value in self.moving else inline((value,), self.given)[0]

    # After the loop

    def after(self) -> None:
        """Sums of products, and results that are made of products."""
        n = self.op.carries
        for i, (before, after) in enumerate(zip(self.carries, self.body.outputs[:n], strict=True)):
            added = self._added(before, after)
            total = None if added is None else self._sum(added.node)
            if total is not None:
                self.moved[i] = self._plus(self.given[before], total)
        for i, value in enumerate(self.body.outputs[n:], start=n):
            if value in self.carried and self._has_product(value):
                self.moved[i] = self.later(value)

    def _has_product(self, value: Value) -> bool:
        """Whether a product that no later step needs goes into a value."""
        stack = [value.node]
        while stack:
            node = stack.pop()
            if node in self.inside or node.outputs[0] not in self.moving:
                continue
            if isinstance(node.op, MatMul) and len(node.inputs[0].shape) == 2 and node.inputs[1] not in self.moving:
                return True
            stack.extend(x.node for x in node.inputs)
        return False

    def later(self, value: Value) -> Value:
        """A value for all steps: computed before or after the loop, or handed out by it."""
        whole = self.lift(value)
        if whole is None and value.node not in self.inside and value not in self.given and self._has_product(value):
            whole = self._rebuild(value, self.later)
        if whole is not None:
            return whole
        if value not in self.stacks:
            self.stacks[value] = placeholder(f"s{len(self.stacks)}", value.dtype, (self.op.length, *value.shape))
        return self.stacks[value]

    def _added(self, before: Value, after: Value) -> Value | None:
        """What a carry grows by, if growing is all that happens to it."""
        op = after.node.op
        if not isinstance(op, Binary) or op.function != "add" or all(x is not before for x in after.node.inputs):
            return None
        users = [m for m in self.body.nodes() if any(x is before for x in m.inputs)]
        if (
            users != [after.node]
            or sum(v is before for v in self.body.outputs)
            or sum(v is after for v in self.body.outputs) != 1
        ):
            return None
        if any(x is after for m in self.body.nodes() for x in m.inputs):
            return None
        x, y = after.node.inputs
        other = y if x is before else x
        return other if other is not before and other.type == before.type else None

    def _sum(self, node: Node) -> Value | None:
        """The sum over all steps of what one step adds; None if it is better left in the loop."""
        op, xs, length = node.op, node.inputs, self.op.length
        if isinstance(op, Reduce) and op.function == "sum" and not op.keepdims:
            return apply(Reduce("sum", (0, *(a + 1 for a in op.axes)), False), self.later(xs[0]))  # type: ignore[no-any-return]
        if not (isinstance(op, MatMul) and len(xs[0].shape) == 2 and isinstance(xs[0].node.op, Transpose)):
            return None
        factors = [reshape(self.later(x), (length * x.shape[0], x.shape[1])) for x in (xs[0].node.inputs[0], xs[1])]
        return apply(op, transpose(factors[0], (1, 0)), factors[1])  # type: ignore[no-any-return]

    # The new loop

    def rebuilt(self) -> tuple[Value, ...]:
        """The outputs of the scan, from a smaller one."""
        n, op = self.op.carries, self.op
        kept = [i for i in range(n) if i not in self.moved]
        results = [i for i in range(n, len(self.body.outputs)) if i not in self.moved]
        slots = {v: place for v, (place, _) in self.new_slices.items()}
        outputs = (*(self.body.outputs[i] for i in (*kept, *results)), *self.stacks)
        body = Graph(
            (*(self.carries[i] for i in kept), *self.slices, *slots.values(), *self.captures),
            inline(outputs, slots),
            self.body.name,
        )
        sequences = [whole for _, whole in self.new_slices.values()]
        inputs = (
            *(self.given[self.carries[i]] for i in kept), *(self.given[s] for s in self.slices), *sequences,
            *(self.given[c] for c in self.captures),
        )  # fmt: skip
        made = make(
            Scan(len(kept), len(self.slices) + len(sequences), op.length, op.reverse, body), inputs, self.node.origin
        ).outputs
        found = dict(zip((*kept, *results), made, strict=False))
        handed_out = dict(zip(self.stacks.values(), made[len(kept) + len(results) :], strict=True))
        found |= dict(zip(self.moved, inline(list(self.moved.values()), handed_out), strict=True))
        return tuple(found[i] for i in range(len(self.body.outputs)))

    @staticmethod
    def _plus(first: Value, total: Value) -> Value:
        op = first.node.op
        if isinstance(op, Const) and not np.any(op.array):
            return total
        return apply(Binary("add"), first, total)  # type: ignore[no-any-return]
