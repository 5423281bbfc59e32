"""Nested tuples, lists and dicts of leaves: taken apart and put together again.

>>> leaves, structure = flatten({"a": 1, "b": (2, None)})
>>> leaves, unflatten(structure, ["x", "y"])
([1, 2], {'a': 'x', 'b': ('y', None)})
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any


class _Leaf:
    """The one of its kind, also after it was copied or pickled."""

    def __reduce__(self) -> str:
        return "LEAF"


LEAF = _Leaf()


def _kind_of(cls: type) -> str:
    """What an object of that class is in a tree; None is nothing anywhere."""
    if issubclass(cls, list | tuple):
        return "sequence"
    return "mapping" if issubclass(cls, Mapping) else "leaf"


_kind: Callable[[type], str] = cache(_kind_of)


def _like(node: Any, values: list[Any]) -> Any:
    """A sequence of the kind of ``node``."""
    return type(node)(*values) if hasattr(node, "_fields") else type(node)(values)


def flatten(tree: Any) -> tuple[list[Any], Any]:
    """The leaves in order (dicts in the order of their keys), and the structure that they had; None is no leaf."""
    leaves: list[Any] = []

    def walk(node: Any) -> Any:
        if node is None:
            return None
        kind = _kind(type(node))
        if kind == "leaf":
            leaves.append(node)
            return LEAF
        if kind == "mapping":
            return {key: walk(value) for key, value in node.items()}
        return _like(node, [walk(value) for value in node])

    structure = walk(tree)
    return leaves, structure


def unflatten(structure: Any, leaves: Iterable[Any]) -> Any:
    """``leaves`` in the given structure."""
    rest = iter(leaves)

    def walk(node: Any) -> Any:
        if node is LEAF:
            return next(rest)
        kind = _kind(type(node))
        if kind == "mapping":
            return {key: walk(value) for key, value in node.items()}
        return _like(node, [walk(value) for value in node]) if kind == "sequence" else node

    return walk(structure)


def key(structure: Any) -> Any:
    """Something hashable that equal structures share.

    >>> key(flatten({"a": [1, None]})[1]) == key(flatten({"a": [2, None]})[1])
    True
    """
    if structure is None or structure is LEAF:
        return structure
    if isinstance(structure, list | tuple):
        return type(structure), *map(key, structure)
    if isinstance(structure, Mapping):
        return dict, *((k, key(v)) for k, v in structure.items())
    return repr(structure)


def leaves(tree: Any) -> list[Any]:
    """The leaves alone."""
    is_leaf = tree is not None and _kind(type(tree)) == "leaf"
    return [tree] if is_leaf else flatten(tree)[0]


def map_leaves(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """``function`` of each leaf, and of the leaves of ``others`` that stand in the same place."""
    first, structure = flatten(tree)
    return unflatten(structure, (function(*xs) for xs in zip(first, *map(leaves, others), strict=True)))


def describe(structure: Any) -> Iterator[str]:
    """The path of each leaf: ``a``, ``b.0``."""

    def walk(node: Any, path: str) -> Iterator[str]:
        if node is LEAF:
            yield path.lstrip(".")
        elif isinstance(node, Mapping):
            for key, value in node.items():
                yield from walk(value, f"{path}.{key}")
        elif isinstance(node, list | tuple):
            for i, value in enumerate(node):
                yield from walk(value, f"{path}.{i}")

    yield from walk(structure, "")
