"""Shapes of tensors in nested structures, and symbolic tensors that stand for them."""

from __future__ import annotations

from typing import Any

from layerkit import tree
from layerkit.ir import BATCH, Dim, axis, placeholder


def plain_shape(x: Any) -> Any:
    """The shape of a tensor, as a leaf of structures, None for unknown sizes; None for what is no tensor."""
    return _Shape(n if isinstance(n, int) else None for n in x.shape) if hasattr(x, "shape") else None


class _Shape(tuple):  # type: ignore[type-arg]
    """A shape, which is a leaf and no nested structure."""


def shapes_of(structure: Any) -> Any:
    """The shapes of the tensors in a structure, in that structure."""
    return as_tuples(tree.map_leaves(plain_shape, structure))


def as_tuples(shapes: Any) -> Any:
    """Shapes in a structure as plain tuples; other tuples become lists."""
    if isinstance(shapes, _Shape):
        return tuple(shapes)
    if isinstance(shapes, list | tuple):
        return [as_tuples(s) for s in shapes]
    if isinstance(shapes, dict):
        return {k: as_tuples(s) for k, s in shapes.items()}
    return shapes


def stand_in(shape: Any, dtype: str) -> Any:
    """Symbolic tensors for a shape or a structure of shapes, and None for None."""
    if shape is None:
        return None
    if isinstance(shape, dict):
        return {k: stand_in(v, dtype) for k, v in shape.items()}
    if all(n is None or isinstance(n, int | Dim) for n in shape):
        sizes = (n if n is not None else BATCH if i == 0 else axis(f"n{i}") for i, n in enumerate(shape))
        return placeholder("", dtype, tuple(sizes))
    return [stand_in(s, dtype) for s in shape]
