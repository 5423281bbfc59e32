"""Holes of a spec: what a search decides. Found, described, and filled in the text, so that comments survive.

    units: !choice [32, 64]
    filters: !int {low: 16, high: 128, step: 16}
    learning_rate: !float {low: 1e-4, high: 1e-1, log: true}

A hole inside another one, in one of the layers to choose from, appears when that layer has been chosen. Bounds and options may
be named values and formulas (``high: $depth``): a hole whose bounds depend on another one appears when that one is filled.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from builders import nodes
from builders.faults import Faults
from builders.items import KEYS
from builders.nodes import Node, Scalar, Sequence
from builders.scalars import write_scalar
from builders.values import Common, Values
from layerkit.errors import ArgumentError, Span, UnknownNameError, did_you_mean
from layerkit.records import dataclass

TAGS = ("!choice", "!int", "!float")
_BOUNDS = ("low", "high", "step", "log", "each")


@dataclass(frozen=True)
class Hole:
    """One decision; a ``choice`` has ``choices``, an ``int`` or ``float`` has bounds, which are included.

    Attributes:
        path: its place in the spec: ``let.width``, ``layers.conv1.filters``; it stays the same while others are filled.
        kind: "choice", "int" or "float".
        choices: the values to choose from, as plain data; a hole in one of them is a ``Hole`` there.
        low, high: the bounds.
        step: the distance of the values from each other, counted from ``low``.
        log: whether values are drawn evenly on a logarithmic scale.
        span: where it is written.
    """

    path: str
    kind: str
    choices: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    step: float | None = None
    log: bool = False
    span: Span | None = None


def find(node: Node, path: str = "", is_list_of_layers: bool = False) -> Iterator[tuple[str, Node]]:
    """The outermost holes in a tree, with their paths."""
    if node.tag in TAGS:
        yield path, node
    elif isinstance(node, nodes.Mapping):
        for entry in node.entries:
            yield from find(entry.value, _join(path, entry.name), entry.name == "layers")
    elif isinstance(node, Sequence):
        for i, item in enumerate(node.items):
            if is_list_of_layers and isinstance(item, nodes.Mapping) and item.tag is None:
                yield from _in_item(item, _join(path, nodes.label(item) or str(i)))
            else:
                yield from find(item, _join(path, str(i)))


def _in_item(item: nodes.Mapping, path: str) -> Iterator[tuple[str, Node]]:
    """The holes of an entry of ``layers``: arguments follow its name, without that of the layer's class."""
    for entry in item.entries:
        is_arguments = entry.name not in KEYS and isinstance(entry.value, nodes.Mapping) and entry.value.tag is None
        yield from find(entry.value, path if is_arguments else _join(path, entry.name), entry.name == "layers")


def _join(path: str, part: str) -> str:
    return f"{path}.{part}" if path else part


def is_each(node: Node) -> bool:
    """Whether a hole is drawn anew for each turn of a repeat."""
    flag = node.get("each") if isinstance(node, nodes.Mapping) else None
    return isinstance(flag, Scalar) and flag.value is True


class _Open(Exception):
    """A bound depends on another hole."""


def settled(node: Node, values: Values) -> Node | None:
    """A hole with values in the place of the names in it; None while one of them is a hole itself."""

    def bound(part: Node) -> Node:
        if not isinstance(part, Scalar) or part.tag is not None:
            return inside(part)
        found = values.resolve(part)
        if nodes.has_hole(found):
            raise _Open
        return found

    def inside(part: Node) -> Node:
        """Holes in options appear when these were chosen; names in them stay."""
        if part.tag in TAGS:
            return settled(part, values) or part
        return _each(part, inside)

    options = node.get("options") if isinstance(node, nodes.Mapping) else None
    try:
        if isinstance(node, nodes.Mapping) and isinstance(options, Sequence):
            return replace(
                node,
                entries=tuple(
                    replace(e, value=_each(options, bound)) if e.value is options else e for e in node.entries
                ),
            )
        return _each(node, bound)
    except _Open:
        return None


def _each(node: Node, change: Callable[[Node], Node]) -> Node:
    """A list or a mapping with its values changed."""
    if isinstance(node, Sequence):
        return replace(node, items=tuple(map(change, node.items)))
    if isinstance(node, nodes.Mapping):
        return replace(node, entries=tuple(replace(e, value=change(e.value)) for e in node.entries))
    return node


def scope(path: str, root: nodes.Mapping, values: Values) -> Values:
    """The values that a hole may use: those of ``let``; in ``let`` the ones before it, in a block none that it has as a parameter."""
    section, name, *_ = *path.split("."), ""
    if section not in ("let", "blocks"):
        return values.bound(values.named)
    values.common.budget.spend(len(values.named) // 10, root.span)  # they are copied
    named = dict(values.named)
    if section == "let":
        for later in [*named][[*named].index(name) :] if name in named else ():
            del named[later]
    block = root.get("blocks") if section == "blocks" else None
    body = block.get(name) if isinstance(block, nodes.Mapping) else None
    parameters = body.get("parameters") if isinstance(body, nodes.Mapping) else None
    if isinstance(parameters, nodes.Mapping):
        for entry in parameters.entries:
            named.pop(entry.name, None)
    return values.bound(named)


def describe(path: str, node: Node, faults: Faults) -> Hole | None:
    """What a hole says, once it is ``settled``; None after a fault."""
    kind = str(node.tag)[1:]
    return _choice(path, node, faults) if kind == "choice" else _range(path, node, kind, faults)


def _choice(path: str, node: Node, faults: Faults) -> Hole | None:
    options: Node | None = node
    if isinstance(node, nodes.Mapping):
        for entry in node.entries:
            if entry.name not in ("options", "each"):
                faults.unknown("'!choice'", entry.name, entry.key.span, ("options", "each"))
                return None
        options = node.get("options")
    if not isinstance(options, Sequence) or not options.items:
        faults.report(
            "a choice needs values.", node.span, expected="!choice [32, 64]", got=nodes.kind(replace(node, tag=None))
        )
        return None
    return Hole(path, "choice", tuple(_plain(o, path, faults) for o in options.items), span=node.span)


def _plain(node: Node, path: str, faults: Faults) -> Any:
    """An option as plain data, with the holes in it; of one whose bounds are not known yet only the tag."""
    if node.tag in TAGS:
        bounds = (part.value for part in nodes.children(node) if isinstance(part, Scalar))
        is_open = any(isinstance(bound, str) and bound.startswith("$") for bound in bounds)
        return describe(path, node, Faults("") if is_open else faults) or node.tag
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return [_plain(n, _join(path, str(i)), faults) for i, n in enumerate(node.items)]
    return {e.name: _plain(e.value, _join(path, e.name), faults) for e in node.entries}


def _range(path: str, node: Node, kind: str, faults: Faults) -> Hole | None:
    expected = "!int {low: 16, high: 128, step: 16}" if kind == "int" else "!float {low: 1e-4, high: 1e-1, log: true}"
    if isinstance(node, Sequence) and len(node.items) == 2:
        parts: dict[str, Node] = {"low": node.items[0], "high": node.items[1]}
    elif isinstance(node, nodes.Mapping):
        parts = {}
        for entry in node.entries:
            if entry.name not in _BOUNDS:
                faults.unknown(f"'!{kind}'", entry.name, entry.key.span, _BOUNDS)
                return None
            parts[entry.name] = entry.value
    else:
        parts = {}
    if "low" not in parts or "high" not in parts:
        faults.report(
            f"'!{kind}' needs low and high.",
            node.span,
            expected=expected,
            got=", ".join(parts) or nodes.kind(replace(node, tag=None)),
        )
        return None
    found: dict[str, Any] = {}
    for name, part in parts.items():
        value = part.value if isinstance(part, Scalar) and part.tag is None else None
        is_flag = name in ("log", "each")
        is_right = (
            isinstance(value, bool)
            if is_flag
            else type(value) is int or (type(value) is float and kind == "float" and math.isfinite(value))
        )
        if not is_right:
            wanted = "true or false" if is_flag else "a whole number" if kind == "int" else "a finite number"
            faults.report(f"'{name}' of '!{kind}' is {wanted}.", part.span, expected=wanted, got=nodes.shown(part))
            return None
        found[name] = value
    found.pop("each", None)
    if found["low"] > found["high"]:
        faults.report(
            f"'!{kind}' has no values.",
            node.span,
            expected="low <= high",
            got=f"low {found['low']}, high {found['high']}",
        )
    elif found.get("step", 1) <= 0:
        faults.report(
            "'step' is the distance of two values.", parts["step"].span, expected="a number > 0", got=str(found["step"])
        )
    elif found.get("log") and found["low"] <= 0:
        faults.report(
            "a logarithmic scale has no 0.", parts["low"].span, expected="a number > 0", got=str(found["low"])
        )
    else:
        return Hole(path, kind, span=node.span, **found)
    return None


def listed(root: nodes.Mapping, values: Values, faults: Faults) -> list[Hole]:
    """All outermost holes; one marked ``each`` counts once for each turn, as ``path[0]``, ``path[1]``.

    Args:
        root: the spec.
        values: those of ``let``, after all uses of holes were seen.
        faults: for what is wrong.
    """
    found, turns = [], values.common.turns
    for path, raw in find(root):
        node = settled(raw, Values(Common(faults, values.common.budget), scope(path, root, values).named))
        hole = None if node is None else describe(path, node, faults)
        if hole is None:
            continue
        if not is_each(raw):
            found.append(hole)
        elif raw.span in turns:  # otherwise the number of turns is a hole itself
            found += [replace(hole, path=f"{path}[{i}]") for i in range(turns[raw.span])]
    return found


# Filling


def fill(text: str, root: Node, known: list[Hole], values: Mapping[str, Any]) -> str:
    """``text`` with values in the place of holes.

    Raises:
        UnknownNameError: there is no such hole.
        ArgumentError: a value that the hole does not allow, or values for some turns of a repeat only.
    """
    by_path = {hole.path: hole for hole in known}
    for path in values:
        if path not in by_path:
            raise UnknownNameError(
                f"there is no hole '{path}'.",
                expected=", ".join(by_path),
                got=path,
                fix=did_you_mean(path, by_path) if by_path else None,
            )
    edits = []
    for path, node in find(root):
        if is_each(node):
            paths = [p for p in by_path if p.startswith(f"{path}[")]
            given = [p for p in paths if p in values]
            if not given:
                continue
            if len(given) < len(paths):
                missing = next(p for p in paths if p not in values)
                raise ArgumentError(
                    f"there is no value for '{missing}'.",
                    where=node.span,
                    expected=", ".join(paths),
                    got=", ".join(given),
                )
            written = f"!each [{', '.join(_written(by_path[p], node, values[p]) for p in paths)}]"
        elif path in values:
            written = _written(by_path[path], node, values[path])
        else:
            continue
        anchor = re.match(r"&\S+\s+", text[node.start : node.end])
        edits.append((node.start + (anchor.end() if anchor else 0), node.end, written))
    for start, end, written in sorted(edits, reverse=True):
        text = text[:start] + written + text[end:]
    return text


def _written(hole: Hole, node: Node, value: Any) -> str:
    """The text for a value; for a choice that of the option, with the holes in it."""
    if hole.kind == "choice":
        options = node.get("options") if isinstance(node, nodes.Mapping) else node
        assert isinstance(options, Sequence)
        for option, choice in zip(options.items, hole.choices, strict=True):
            if type(choice) is type(value) and choice == value:
                return flow(option)
        raise ArgumentError(
            f"'{hole.path}' cannot be {value!r}.",
            where=hole.span,
            expected=", ".join(map(repr, hole.choices)),
            got=repr(value),
        )
    value = value.item() if hasattr(value, "item") else value
    kinds = (int,) if hole.kind == "int" else (int, float)
    assert hole.low is not None
    assert hole.high is not None
    if isinstance(value, bool) or not isinstance(value, kinds) or not hole.low <= value <= hole.high:
        expected = f"{'a whole number' if hole.kind == 'int' else 'a number'} from {hole.low} to {hole.high}"
        raise ArgumentError(f"'{hole.path}' cannot be {value!r}.", where=hole.span, expected=expected, got=repr(value))
    return write_scalar(value)


def flow(node: Node) -> str:
    r"""A node as text that can stand anywhere: in one line, with braces and brackets.

    Example:
        >>> from builders.source import parse
        >>> flow(parse("LSTM:\n  units: !choice [8, 16]\n  name: 'on, off'"))
        '{LSTM: {units: !choice [8, 16], name: "on, off"}}'
    """
    if isinstance(node, Scalar):
        text = write_scalar(node.value)
    elif isinstance(node, Sequence):
        text = f"[{', '.join(map(flow, node.items))}]"
    else:
        text = f"{{{', '.join(f'{write_scalar(e.key.value)}: {flow(e.value)}' for e in node.entries)}}}"
    return f"{node.tag} {text}" if node.tag else text
