"""Loops: ``scan`` runs a body once for each step of its sequences and carries values from step to step.

The body is a graph. Values that it uses from outside and that do not depend on the step are found by themselves and
become inputs of the op ("captures"), so a body may use weights freely. The gradient of a scan is a scan in the other
direction: it reads what the forward loop computed (its body is extended to hand that out; the pass ``share`` then makes
one loop of the two), carries the cotangents of the carried values, and sums the cotangents of the captures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from layerkit import dtypes, tree
from layerkit.errors import DataError, ShapeError
from layerkit.ir import (
    Array,
    Case,
    Graph,
    Input,
    Op,
    Shape,
    Size,
    TensorType,
    Value,
    inline,
    placeholder,
    product,
    toposort,
    unify,
)
from layerkit.ir.interpret import Schedule
from layerkit.ops.core import apply, operand, type_of
from layerkit.ops.indexing import fill
from layerkit.records import dataclass


@dataclass(frozen=True)
class Scan(Op):
    """A loop: (carries, sequences, captures) -> (last carries, stacked results).

    body: (carries, one step of each sequence, captures) -> (carries, results); sequences are (length, ...).
    """

    name = "scan"
    moves = True
    carries: int
    sequences: int
    length: Size
    reverse: bool
    body: Graph
    gradients: ClassVar[Callable[[Sequence[Value], Sequence[Value], Sequence[Value]], list[Value | None]]]
    """(outputs, their cotangents, inputs) -> cotangents of the inputs; set by ``layerkit.autodiff``."""

    def split(self, inputs: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any]]:
        """Inputs of the op or the body as (carries, sequences, captures)."""
        n = self.carries
        return inputs[:n], inputs[n : n + self.sequences], inputs[n + self.sequences :]

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        _, sequences, _ = self.split(inputs)
        for i, (given, wanted) in enumerate(zip(inputs, self.body.inputs, strict=True)):
            is_sequence = self.carries <= i < self.carries + self.sequences
            if (given.with_shape(given.shape[1:]) if is_sequence else given) != wanted.type:
                raise ShapeError(
                    "'scan' has an input of another type than its body.", expected=str(wanted.type), got=str(given)
                )
        for s in sequences:
            if unify(s.shape[0], self.length) is None:
                raise ShapeError("'scan' needs sequences of one length.", expected=str(self.length), got=str(s))
        carried, results = self.body.outputs[: self.carries], self.body.outputs[self.carries :]
        for before, after in zip(self.body.inputs, carried, strict=False):
            if before.type != after.type:
                raise ShapeError(
                    "'scan' carries a value that changes its type.",
                    expected=str(before.type),
                    got=str(after.type),
                    fix="give the initial state the shape and dtype that the body returns",
                )
        return (*(v.type for v in carried), *(v.type.with_shape((self.length, *v.shape)) for v in results))

    def reference(self, *arrays: Array) -> tuple[Array, ...]:
        carried, sequences, captures = self.split(arrays)
        results: list[Array] = [
            np.empty((self.length, *v.shape), dtypes.numpy_dtype(v.dtype))  # type: ignore[arg-type]
            for v in self.body.outputs[self.carries :]
        ]
        schedule, steps = Schedule(self.body), range(self.length)  # type: ignore[arg-type]
        for t in reversed(steps) if self.reverse else steps:
            out = schedule.run((*carried, *(s[t] for s in sequences), *captures))
            carried = out[: self.carries]
            for result, value in zip(results, out[self.carries :], strict=True):
                result[t] = value
        return (*carried, *results)

    def vjp(self, g: tuple[Value | None, ...], out: tuple[Value, ...], *inputs: Value) -> tuple[Value | None, ...]:
        body, n = self.body, self.carries
        carries, slices, captures = self.split(body.inputs)
        smooth = [v for v in body.inputs if dtypes.is_floating(v.dtype)]
        # cotangents that enter a step: of what it carries on, and of those results that have one
        d_carries = {v: placeholder(f"d{i}", v.dtype, v.shape) for i, v in enumerate(carries) if v in set(smooth)}
        seeds = [(body.outputs[i], d_carries[v]) for i, v in enumerate(carries) if v in d_carries]
        d_results = {
            i: placeholder(f"dy{i}", v.dtype, v.shape)
            for i, v in enumerate(body.outputs)
            if i >= n and g[i] is not None
        }
        seeds += [(body.outputs[i], d) for i, d in d_results.items()]
        found = dict(zip(smooth, Scan.gradients([v for v, _ in seeds], [d for _, d in seeds], smooth), strict=True))

        d_captures = [v for v in captures if found.get(v) is not None]
        d_slices = [v for v in slices if found.get(v) is not None]
        sums = {v: placeholder(f"sum{i}", v.dtype, v.shape) for i, v in enumerate(d_captures)}
        outputs: list[Any] = [
            found[v] if found[v] is not None else _as_value(fill(v.shape, 0.0, v.dtype)) for v in d_carries
        ]
        outputs += [sums[v] + found[v] for v in d_captures]
        outputs += [found[v] for v in d_slices]

        # what the backward step reads of the forward step: slices and captures it has, the rest is handed out
        read = _frontier(outputs, {v.node for v in body.inputs} | set(body.nodes()))
        slices_read = [v for v in slices if v in read]
        captures_read = [v for v in captures if v in read]
        residuals = [v for v in read if v not in {*slices, *captures}]
        forward = Graph(body.inputs, (*body.outputs, *residuals), body.name)
        saved = apply(Scan(n, self.sequences, self.length, self.reverse, forward), *inputs)[len(body.outputs) :]

        step = {
            v: placeholder(f"{k}{i}", v.dtype, v.shape)
            for k, vs in (("r", residuals), ("x", slices_read), ("c", captures_read))
            for i, v in enumerate(vs)
        }
        backward = Graph(
            (
                *d_carries.values(),
                *sums.values(),
                *d_results.values(),
                *(step[v] for v in (*residuals, *slices_read, *captures_read)),
            ),
            inline(outputs, step),
            f"{body.name}_grad",
        )
        given = dict(zip(body.inputs, inputs, strict=True))
        op = Scan(
            len(d_carries) + len(sums),
            len(d_results) + len(residuals) + len(slices_read),
            self.length,
            not self.reverse,
            backward,
        )
        start = [
            g[i] if g[i] is not None else fill(v.shape, 0.0, v.dtype) for i, v in enumerate(carries) if v in d_carries
        ]
        result = apply(
            op,
            *start,
            *(fill(v.shape, 0.0, v.dtype) for v in d_captures),
            *(g[i] for i in d_results),
            *saved,
            *(given[v] for v in (*slices_read, *captures_read)),
        )
        cotangent = dict(zip([*d_carries, *d_captures, *d_slices], result, strict=True))
        return tuple(cotangent.get(v) for v in body.inputs)

    def multiply_adds(self, *inputs: TensorType) -> Size:
        each = [node.op.multiply_adds(*(x.type for x in node.inputs)) for node in self.body.nodes()]
        return self.length * sum(each, start=0)  # type: ignore[arg-type]

    @classmethod
    def cases(cls) -> Iterator[Case]:
        yield Case(_decay, ((2, 3), (4, 2, 3), (3, 3)), label="forward")
        yield Case(lambda h, x, w: _decay(h, x, w, reverse=True), ((2, 3), (4, 2, 3), (3, 3)), label="reverse")
        yield Case(lambda h: scan(lambda c, _: (c * 0.5, None), h, None, length=3)[0], ((2,),), label="no sequence")


def _decay(h: Any, x: Any, w: Any, reverse: bool = False) -> Any:
    from layerkit.ops.elementwise import tanh
    from layerkit.ops.matrices import matmul

    def body(c: Any, x: Any) -> tuple[Any, Any]:
        c = tanh(matmul(c, w) + x)
        return c, c * x

    last, ys = scan(body, h, x, reverse=reverse)
    return last + ys[0] * 0.5


def _frontier(outputs: Sequence[Value], forward: set[Any]) -> dict[Value, None]:
    """The values of the nodes in ``forward`` that ``outputs`` read directly; constants are not counted."""
    depends = {n for n in forward if isinstance(n.op, Input)}
    for node in toposort([v for n in forward for v in n.outputs]):
        if any(x.node in depends for x in node.inputs):
            depends.add(node)
    read: dict[Value, None] = {v: None for v in outputs if v.node in depends}
    seen, stack = set(), [v.node for v in outputs if v.node not in depends]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        for x in node.inputs:
            if x.node in depends:
                read[x] = None
            else:
                stack.append(x.node)
    return read


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: Size | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> tuple[Any, Any]:
    """Run ``f(carry, x) -> (carry, y)`` for each step of ``xs`` and stack the ``y``.

    Shapes:
        init, xs, y: nested tuples, lists, dicts of tensors; those of xs are (length, ...)
        returns: the last carry, and the stacked y, (length, ...)
    Args:
        f: one step.
        init: the first carry.
        xs: sequences.
        length: how many steps, where there are no sequences.
        reverse: from the last step to the first.
        unroll: accepted, does nothing.

    Raises:
        ShapeError: the carry changes its type, or the sequences differ in length.

    Example:
        >>> last, all_ = scan(lambda c, x: (c + x, c + x), np.float32(0), np.arange(4, dtype="float32"))
        >>> all_
        array([0., 1., 3., 6.], dtype=float32)
    """
    init, xs = tree.map_leaves(operand, init), tree.map_leaves(operand, xs)
    carries, sequences = tree.leaves(init), tree.leaves(xs)
    if length is None:
        if not sequences:
            raise DataError("'scan' needs sequences or a length.", expected="xs or length=")
        length = sequences[0].shape[0]
    if not any(isinstance(v, Value) for v in (*carries, *sequences)):
        return _run_now(f, init, xs, int(length), reverse)  # type: ignore[arg-type]
    slots = [placeholder(f"c{i}", *_parts(v)) for i, v in enumerate(carries)]
    slices = [placeholder(f"x{i}", _parts(v)[0], v.shape[1:]) for i, v in enumerate(sequences)]
    carry, y = f(tree.unflatten(tree.flatten(init)[1], slots), tree.unflatten(tree.flatten(xs)[1], slices))
    after, results = (
        [_as_value(operand(v)) for v in tree.leaves(carry)],
        [_as_value(operand(v)) for v in tree.leaves(y)],
    )
    if len(after) != len(carries):
        raise ShapeError(
            "'scan' must carry on what it was given.", expected=f"{len(carries)} tensors", got=str(len(after))
        )
    body, captured = close([*slots, *slices], [*after, *results], "body")
    op = Scan(len(carries), len(sequences), length, reverse, body)
    out = apply(op, *carries, *sequences, *captured)
    return (
        tree.unflatten(tree.flatten(carry)[1], out[: len(carries)]),
        tree.unflatten(tree.flatten(y)[1], out[len(carries) :]),
    )


def _parts(v: Any) -> tuple[str, Shape]:
    return type_of(v).dtype, type_of(v).shape


def _as_value(v: Any) -> Value:
    from layerkit.ir import constant

    return v if isinstance(v, Value) else constant(v)


def _run_now(
    f: Callable[[Any, Any], tuple[Any, Any]], carry: Any, xs: Any, length: int, reverse: bool
) -> tuple[Any, Any]:
    ys: list[Any] = [None] * length
    for t in reversed(range(length)) if reverse else range(length):
        carry, ys[t] = f(carry, tree.map_leaves(lambda s, t=t: s[t], xs))
    from layerkit.ops.shape import stack

    return carry, tree.map_leaves(lambda *steps: stack(steps), *ys) if length else None


def close(inputs: Sequence[Value], outputs: Sequence[Value], name: str) -> tuple[Graph, list[Value]]:
    """A graph of ``inputs`` and of whatever else ``outputs`` use, with the values to give for the latter."""
    depends = {v.node for v in inputs}
    for node in toposort(outputs):
        if any(x.node in depends for x in node.inputs):
            depends.add(node)
    captured: dict[Value, Value] = {}

    def capture(v: Value) -> None:
        is_small = not v.node.inputs and not isinstance(v.node.op, Input) and product(v.shape) == 1
        if v.node not in depends and not is_small and v not in captured:
            captured[v] = placeholder(f"k{len(captured)}", v.dtype, v.shape)

    for node in toposort(outputs):
        if node in depends:
            for x in node.inputs:
                capture(x)
    for v in outputs:
        capture(v)
    return Graph((*inputs, *captured.values()), inline(outputs, captured), name), list(captured)
