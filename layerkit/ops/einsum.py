"""Sums of products by names of axes, made of transposes, broadcasts and products of matrices."""

from __future__ import annotations

from typing import Any

from layerkit.errors import ArgumentError, ShapeError
from layerkit.ir import Size, product, unify
from layerkit.ops.arrangement import diagonal
from layerkit.ops.core import Tensor
from layerkit.ops.core import operands as promoted
from layerkit.ops.matrices import matmul
from layerkit.ops.reduction import broadcast_to, sum
from layerkit.ops.shape import reshape, transpose

Labels = list[str]


def einsum(subscripts: str, *operands: Tensor, **kwargs: Any) -> Any:
    """Sum of products of tensors whose axes have names: ``einsum("ij,jk->ik", a, b)`` is the product of two matrices.

    Axes with one name have one size and are walked through together; those that are not named after ``->`` are summed over.
    Without ``->`` the result has the names that occur once, in alphabetical order. ``...`` stands for any number of axes in
    front, which broadcast. Products are taken from left to right.

    Args:
        subscripts: the names.
        operands: the tensors.
        kwargs: ``optimize`` of NumPy, which changes nothing here.

    Raises:
        ShapeError: sizes of one name differ.

    Example:
        >>> einsum("ij->j", [[1, 2], [3, 4]])
        array([4, 6], dtype=int32)
    """
    if set(kwargs) - {"optimize"}:
        raise ArgumentError("'einsum' has no such argument.", expected="optimize", got=", ".join(kwargs))
    xs = promoted(*operands)
    names, wanted = _parse(subscripts, [x.ndim for x in xs])
    total, labels = _single(xs[0], names[0], _kept(names[1:], wanted))
    for i, x in enumerate(xs[1:], start=1):
        later = _kept(names[i + 1 :], wanted)
        right, right_labels = _single(x, names[i], {*labels, *later})
        total, labels = _product(total, labels, right, right_labels, later)
    total, labels = _single(total, labels, set(wanted))
    return transpose(total, [labels.index(name) for name in wanted])


def _kept(rest: list[Labels], wanted: Labels) -> set[str]:
    return {*wanted, *(name for labels in rest for name in labels)}


def _parse(subscripts: str, ranks: list[int]) -> tuple[list[Labels], Labels]:
    """The names of the axes of each operand and of the result; axes of ``...`` are called 0, 1, ... from the right."""
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    parts = left.split(",")
    if len(parts) != len(ranks):
        raise ArgumentError("'einsum' names the axes of each tensor.", expected=f"{len(ranks)} parts", got=subscripts)
    names: list[Labels] = []
    most = 0
    for part, rank in zip(parts, ranks, strict=True):
        before, dots, after = part.partition("...")
        more = rank - len(before) - len(after)
        if more < 0 or (more and not dots):
            raise ShapeError(
                "'einsum' names each axis.", expected=f"{len(before + after)} axes for {part!r}", got=str(rank)
            )
        names.append([*before, *(str(k) for k in reversed(range(more))), *after])
        most = max(most, more)
    front = [str(k) for k in reversed(range(most))]
    if arrow:
        before, dots, after = right.partition("...")
        return names, [*before, *(front if dots else []), *after]
    every = [name for labels in names for name in labels]
    return names, front + sorted(n for n in set(every) if every.count(n) == 1 and n not in front)


def _single(x: Any, labels: Labels, kept: set[str]) -> tuple[Any, Labels]:
    """``x`` with one axis for each name, those that nobody else has summed over."""
    for name in dict.fromkeys(labels):
        while labels.count(name) > 1:
            a = labels.index(name)
            b = labels.index(name, a + 1)
            x = diagonal(x, 0, a, b)
            labels = [n for i, n in enumerate(labels) if i not in (a, b)] + [name]
    gone = [i for i, name in enumerate(labels) if name not in kept]
    return (sum(x, gone) if gone else x), [name for name in labels if name in kept]


def _product(x: Any, a: Labels, y: Any, b: Labels, later: set[str]) -> tuple[Any, Labels]:
    """The product of two tensors as one of matrices, with the axes that both have and nobody needs later summed over."""
    both = [name for name in a if name in b]
    front = [name for name in both if name in later]
    summed = [name for name in both if name not in later]
    rows, columns = [n for n in a if n not in b], [n for n in b if n not in a]
    sizes: dict[str, Size] = dict(zip(b, y.shape, strict=True))
    for name, size in zip(a, x.shape, strict=True):
        other = sizes.get(name, size)
        common = size if other == 1 else other if size == 1 else unify(size, other)
        if common is None:
            raise ShapeError(f"'einsum' has two sizes for '{name}'.", expected=str(other), got=str(size))
        sizes[name] = common

    def arranged(t: Any, labels: Labels, order: Labels, groups: list[Labels]) -> Any:
        t = broadcast_to(t, tuple(sizes[n] for n in labels))
        t = transpose(t, [labels.index(n) for n in order])
        return reshape(t, (*(sizes[n] for n in front), *(product(sizes[n] for n in g) for g in groups)))

    left = arranged(x, a, front + rows + summed, [rows, summed])
    right = arranged(y, b, front + summed + columns, [summed, columns])
    result = matmul(left, right)
    order = front + rows + columns
    return reshape(result, tuple(sizes[n] for n in order)), order
