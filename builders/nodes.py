"""What a YAML text consists of: values that know where they were written.

A value is a ``Scalar``, a ``Sequence`` or a ``Mapping``; one with a ``tag`` is a hole, which has no value yet. ``source``
makes them, ``expand`` makes others of them: what ``$name`` stands for keeps the place where ``$name`` is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from layerkit.errors import Span, SpecError
from layerkit.records import dataclass


@dataclass(frozen=True)
class Scalar:
    """A number, a text, a truth value, or nothing; ``text`` is how it was written, without quotes."""

    value: str | int | float | bool | None
    span: Span
    text: str
    tag: str | None = None
    start: int = 0
    end: int = 0
    """Where it stands in the text, counted in characters."""
    written: Span | None = None
    """Where the value comes from, if ``text`` is a ``$name``."""

    def plain(self) -> Any:
        """The value alone."""
        _refuse_hole(self)
        return self.value


@dataclass(frozen=True)
class Sequence:
    """A list."""

    items: tuple[Node, ...]
    span: Span
    tag: str | None = None
    start: int = 0
    end: int = 0

    def plain(self) -> Any:
        """A plain list.

        Raises:
            SpecError: a hole (``!choice``) is in it: it has no value before a search draws one.
        """
        _refuse_hole(self)
        return [item.plain() for item in self.items]


@dataclass(frozen=True)
class Entry:
    """A key with its value."""

    key: Scalar
    value: Node

    @property
    def name(self) -> str:
        """The key as text."""
        return str(self.key.value)


@dataclass(frozen=True)
class Mapping:
    """Keys with values, in the order of the file."""

    entries: tuple[Entry, ...]
    span: Span
    tag: str | None = None
    start: int = 0
    end: int = 0

    def get(self, name: str) -> Node | None:
        """The value of a key, or None."""
        return next((e.value for e in self.entries if e.key.value == name), None)

    def plain(self) -> Any:
        """A plain dict.

        Raises:
            SpecError: a hole (``!choice``) is in it: it has no value before a search draws one.
        """
        _refuse_hole(self)
        return {e.key.value: e.value.plain() for e in self.entries}


Node = Scalar | Sequence | Mapping


def _refuse_hole(node: Node) -> None:
    # [3, 5] is a valid kernel size: a choice between 3 and 5 must not pass for one.
    if node.tag is not None:
        raise SpecError(
            "a hole has no value yet.",
            where=node.span,
            expected="a value",
            got=node.tag,
            fix="search, or write one value",
        )


def children(node: Node) -> Iterator[Node]:
    """The values directly in a list or a mapping."""
    if isinstance(node, Sequence):
        yield from node.items
    elif isinstance(node, Mapping):
        yield from (e.value for e in node.entries)


def count(node: Node) -> int:
    """How many values it holds, itself included."""
    return 1 + sum(map(count, children(node)))


def has_hole(node: Node) -> bool:
    """Whether a hole is in it, or it is one."""
    return node.tag is not None or any(has_hole(child) for child in children(node))


def label(item: Node) -> str | None:
    """The name that an entry of ``layers`` is given, if it is."""
    name = item.get("name") if isinstance(item, Mapping) else None
    return name.value if isinstance(name, Scalar) and isinstance(name.value, str) and name.tag is None else None


def moved(node: Node, span: Span) -> Node:
    """The same value, written elsewhere."""
    return replace(node, span=span)


def is_empty(node: Node | None) -> bool:
    """Whether nothing is written there: ``key:`` without a value."""
    return node is None or (isinstance(node, Scalar) and node.value is None and node.tag is None)


def kind(node: Node | None) -> str:
    """What a value is, in words."""
    if node is None:
        return "nothing"
    if node.tag is not None:
        return node.tag
    return "a mapping" if isinstance(node, Mapping) else "a list" if isinstance(node, Sequence) else shown(node)


def short(text: str) -> str:
    """A text, or its beginning if it is long."""
    return text if len(text) <= 60 else text[:59] + "…"


def shown(node: Node) -> str:
    """A value as errors show it; behind it how it was written, where that is a formula."""
    if not isinstance(node, Scalar):
        return kind(node)
    value = "nothing" if node.value is None else short(repr(node.value))
    return f"{value} (from {node.text})" if node.text.startswith("$") and node.text != node.value else value
