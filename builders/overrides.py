"""Values given from outside, ``--set fit.epochs=3``: put into the nodes, with their own place, and into the text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from builders import nodes, source
from builders.holes import flow
from builders.items import KEYS
from builders.nodes import Entry, Node, Scalar, Sequence
from builders.scalars import write_scalar
from layerkit.errors import Span, SpecError, SpecErrors, did_you_mean


def read(path: str, text: str) -> Node:
    """The value that ``text`` says, placed at ``--set path``.

    Raises:
        SpecErrors: it is no YAML.
    """
    where = Span(f"--set {path}", 0, 0)

    def moved(node: Node) -> Node:
        if isinstance(node, Sequence):
            return replace(node, span=where, items=tuple(map(moved, node.items)))
        if isinstance(node, nodes.Mapping):
            entries = tuple(Entry(replace(e.key, span=where), moved(e.value)) for e in node.entries)
            return replace(node, span=where, entries=entries)
        return replace(node, span=where)

    if not text.strip():
        return Scalar(None, where, "")
    try:
        return moved(source.parse(text, where.file))
    except SpecErrors as errors:
        for error in errors.errors:
            error.where = where
        raise


class Override:
    """One value put into a tree of nodes; afterwards ``edit`` is what changes in the text."""

    def __init__(self, path: str, value: Node) -> None:
        self.path, self.value = path, value
        self.edit: tuple[int, int, str] = (0, 0, "")

    def put(self, root: nodes.Mapping) -> nodes.Mapping:
        """The tree with the value in it.

        Raises:
            SpecErrors: the path leads nowhere.
        """
        found = self._put(root, self.path.split("."))
        assert isinstance(found, nodes.Mapping)
        return found

    def _put(self, node: Node, path: list[str]) -> Node:
        if not path:
            self.edit = (node.start, node.end, flow(self.value))
            return replace(self.value, start=node.start, end=node.end)
        if nodes.is_empty(node):
            self.edit = (node.start, node.end, f" {flow(self._nested(path))}")
            return self._nested(path)
        if isinstance(node, nodes.Mapping):
            return self._into(node, path)
        if isinstance(node, Sequence):
            return self._item(node, path)
        raise self._nowhere(path[0], [])

    def _into(self, node: nodes.Mapping, path: list[str]) -> Node:
        path = _whole(path, [e.name for e in node.entries])
        name, rest = path[0], path[1:]
        if node.get(name) is None:
            return self._added(node, path)
        entries = tuple(Entry(e.key, self._put(e.value, rest)) if e.name == name else e for e in node.entries)
        return replace(node, entries=entries)

    def _added(self, node: nodes.Mapping, path: list[str]) -> Node:
        value = self._nested(path[1:])
        key = Scalar(path[0], self.value.span, path[0])
        last = node.entries[-1] if node.entries else None
        written = f"{write_scalar(path[0])}: {flow(value)}"
        if last is None or node.end > max(last.value.end, last.key.end):  # in braces
            self.edit = (node.end - 1, node.end - 1, f", {written}" if last else written)
        else:
            indent = " " * (node.entries[0].key.span.column - 1)
            self.edit = (node.end, node.end, f"\n{indent}{written}")
        return replace(node, entries=(*node.entries, Entry(key, value)))

    def _item(self, node: Sequence, path: list[str]) -> Node:
        """Into an entry of a list, by its name or number; arguments of a layer follow without the layer's class."""
        labels = [nodes.label(item) or str(i) for i, item in enumerate(node.items)]
        path = _whole(path, labels)
        if path[0] not in labels:
            raise self._nowhere(path[0], labels)
        at = labels.index(path[0])
        item = node.items[at]
        if isinstance(item, nodes.Mapping) and len(path) > 1 and path[1] not in KEYS and item.get(path[1]) is None:
            layer = next((e for e in item.entries if e.name not in KEYS), None)
            path = [path[0], *([layer.name] if layer is not None else []), *path[1:]]
        items = tuple(self._put(n, path[1:]) if i == at else n for i, n in enumerate(node.items))
        return replace(node, items=items)

    def _nested(self, path: list[str]) -> Node:
        """The value under the rest of the path."""
        value = self.value
        for name in reversed(path):
            key = Scalar(name, self.value.span, name)
            value = nodes.Mapping((Entry(key, value),), self.value.span)
        return value

    def _nowhere(self, name: str, known: list[str]) -> SpecErrors:
        error: Any = SpecError(
            f"there is no '{name}' in the spec.", where=self.value.span, expected=", ".join(known) or "a path to a value",
            got=self.path, fix=did_you_mean(name, known) if known else None,
        )  # fmt: skip
        return SpecErrors([error])


def _whole(path: list[str], names: list[str]) -> list[str]:
    """The path with the longest of these names, which may have dots, as its first part."""
    for n in range(len(path), 1, -1):
        if ".".join(path[:n]) in names:
            return [".".join(path[:n]), *path[n:]]
    return path
