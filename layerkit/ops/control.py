"""Choices and loops in the manner of ``keras.ops``, made of ``where`` and ``scan``.

A choice on a symbolic truth value computes both sides and keeps one, also of the gradient. A loop runs a number of turns
that is known beforehand; a ``while_loop`` in a program needs ``maximum_iterations`` and idles once its condition is false.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from layerkit import tree
from layerkit.errors import ArgumentError, DataError, ShapeError
from layerkit.ir import Value, broadcast_shapes, product
from layerkit.ops.core import Tensor, axis_of, operand
from layerkit.ops.elementwise import equal, maximum, minimum, where
from layerkit.ops.reduction import broadcast_to
from layerkit.ops.scan import scan
from layerkit.ops.shape import concatenate, flip, reshape, slice_axis

# Choices -------------------------------------------------------------------------------------------------------------


def cond(pred: Tensor, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """What ``true_fn()`` returns if ``pred`` is true, else what ``false_fn()`` returns.

    Example:
        >>> cond(np.array(2) > 1, lambda: np.array([1.0]), lambda: np.array([0.0]))
        array([1.])
    """
    pred = operand(pred)
    if not isinstance(pred, Value):
        return true_fn() if bool(pred) else false_fn()
    return _choose(pred, true_fn(), false_fn())


def switch(index: Tensor, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """What ``branches[index](*operands)`` returns; an index outside is taken to be the nearest inside.

    Example:
        >>> float(switch(1, [lambda x: x + 1, lambda x: x * 10], np.array(3.0)))
        30.0
    """
    index = operand(index)
    if not isinstance(index, Value):
        return branches[min(max(int(index), 0), len(branches) - 1)](*operands)
    index = minimum(maximum(index, 0), len(branches) - 1)
    result = branches[0](*operands)
    for i, branch in enumerate(branches[1:], start=1):
        result = _choose(equal(index, i), branch(*operands), result)
    return result


def _choose(condition: Any, a: Any, b: Any) -> Any:
    """Two results of one structure, leaf by leaf."""
    (left, structure), (right, other) = tree.flatten(a), tree.flatten(b)
    if tree.key(structure) != tree.key(other):
        raise ShapeError("both sides return the same structure.", expected=repr(structure), got=repr(other))
    return tree.unflatten(structure, [where(condition, x, y) for x, y in zip(left, right, strict=True)])


# Loops ---------------------------------------------------------------------------------------------------------------


def fori_loop(lower: int, upper: int, body_fun: Callable[[Any, Any], Any], init_val: Any) -> Any:
    """``val = body_fun(i, val)`` for i from ``lower`` up to, not including, ``upper``; both are numbers.

    Example:
        >>> int(fori_loop(0, 4, lambda i, total: total + i, np.array(0)))
        6
    """
    first, last = (_known("fori_loop", v) for v in (lower, upper))
    if last <= first:
        return init_val
    turns = np.arange(first, last, dtype="int32")
    return scan(lambda val, i: (body_fun(i, val), None), init_val, turns)[0]


def _known(op: str, number: Any) -> int:
    number = operand(number)
    if isinstance(number, Value):
        raise DataError(f"'{op}' runs a known number of turns.", expected="a number", got=str(number.type))
    return int(number)


def while_loop(
    cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Any, maximum_iterations: int | None = None
) -> Any:
    """``loop_vars = body(*loop_vars)`` as long as ``cond(*loop_vars)``; in a program at most ``maximum_iterations`` times.

    Example:
        >>> while_loop(lambda x: x < 50, lambda x: x * 2, np.array(3))
        array(96)
    """
    is_several = isinstance(loop_vars, list | tuple)
    state = tree.map_leaves(operand, tuple(loop_vars) if is_several else (loop_vars,))

    def step(state: Any) -> Any:
        after = body(*state)
        return tuple(after) if isinstance(after, list | tuple) else (after,)

    going = operand(cond(*state))
    if isinstance(going, Value):
        if maximum_iterations is None:
            raise ArgumentError(
                "'while_loop' in a program ends after a known number of turns.",
                expected="maximum_iterations=", got="None", fix="give the largest number of turns that can be needed",
            )  # fmt: skip
        state, _ = scan(lambda s, _: (_choose(cond(*s), step(s), s), None), state, None, length=maximum_iterations)
    else:
        turn = 0
        while bool(operand(cond(*state))) and (maximum_iterations is None or turn < maximum_iterations):
            state, turn = tree.map_leaves(operand, step(state)), turn + 1
    return type(loop_vars)(state) if is_several else state[0]


def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """``f`` of each slice of ``xs`` along the first axis, the results stacked.

    Example:
        >>> map(lambda x: x * x, np.array([1.0, 2.0, 3.0]))
        array([1., 4., 9.])
    """
    return scan(lambda _, x: ((), f(x)), (), xs)[1]


def vectorized_map(function: Callable[[Any], Any], elements: Any) -> Any:
    """``function`` of each element along the first axis, the results stacked: ``map`` by its other name."""
    return map(function, elements)


def vectorize(
    pyfunc: Callable[..., Any], *, excluded: set[int | str] | None = None, signature: str | None = None
) -> Callable[..., Any]:
    """A function of small tensors made a function of large ones: it is run for each element of the axes in front.

    Args:
        pyfunc: the function.
        excluded: positions and names of arguments that are handed on as they are.
        signature: the axes that belong to one element, ``"(n),(n,m)->(m)"``; by default elements are numbers.

    Example:
        >>> vectorize(lambda v: v[0] - v[1], signature="(n)->()")(np.array([[3.0, 1.0], [5.0, 9.0]]))
        array([ 2., -4.])
    """
    left_out = excluded or set()

    def run(*args: Any, **named: Any) -> Any:
        given = {i: operand(a) for i, a in enumerate(args) if i not in left_out}
        ranks = _core_ranks(signature, len(given))
        fronts = [x.shape[: x.ndim - rank] for x, rank in zip(given.values(), ranks, strict=True)]
        front = broadcast_shapes("vectorize", fronts)
        count = product(front)
        rows = []
        for x, rank in zip(given.values(), ranks, strict=True):
            core = x.shape[x.ndim - rank :]
            rows.append(reshape(broadcast_to(x, (*front, *core)), (count, *core)))

        def one(slices: Any) -> Any:
            inner = dict(zip(given, slices, strict=True))
            return pyfunc(*(inner.get(i, a) for i, a in enumerate(args)), **named)

        return tree.map_leaves(lambda y: reshape(y, (*front, *y.shape[1:])), map(one, tuple(rows)))

    return run


def _core_ranks(signature: str | None, count: int) -> list[int]:
    if signature is None:
        return [0] * count
    groups = re.findall(r"\(([^()]*)\)", signature.split("->")[0])
    if len(groups) != count:
        raise ArgumentError("a signature has a bracket for each argument.", expected=f"{count} brackets", got=signature)
    return [len([name for name in group.split(",") if name.strip()]) for group in groups]


def associative_scan(f: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """Running results of an associative ``f``: x0, f(x0, x1), f(f(x0, x1), x2), ... in log2(n) steps.

    Source: Hillis and Steele 1986, "Data parallel algorithms".

    Example:
        >>> associative_scan(lambda a, b: a + b, np.array([1, 2, 3, 4]))
        array([ 1,  3,  6, 10])
    """
    leaves, structure = tree.flatten(elems)
    xs = [operand(x) for x in leaves]
    axes = [axis_of(axis, x.ndim, "associative_scan") for x in xs]
    if reverse:
        xs = [flip(x, a) for x, a in zip(xs, axes, strict=True)]
    size = xs[0].shape[axes[0]]
    gap = 1
    while gap < size:
        before = [slice_axis(x, a, 0, size - gap) for x, a in zip(xs, axes, strict=True)]
        after = [slice_axis(x, a, gap, size) for x, a in zip(xs, axes, strict=True)]
        joined = tree.leaves(f(tree.unflatten(structure, before), tree.unflatten(structure, after)))
        xs = [concatenate([slice_axis(x, a, 0, gap), y], a) for x, y, a in zip(xs, joined, axes, strict=True)]
        gap *= 2
    if reverse:
        xs = [flip(x, a) for x, a in zip(xs, axes, strict=True)]
    return tree.unflatten(structure, xs)
