"""PyYAML's events to nodes that know their places.

The events are read one by one, with limits on depth, number of values, lengths and alias expansion, before anything is built
(PyYAML's composer recurses and crashes on deep nesting); scalars follow YAML 1.2 (``builders.scalars``). Faults are collected,
and reading goes on as long as it can; what PyYAML cannot read is its last word (``builders.advice`` says how to mend it).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import field
from typing import Any, NoReturn

import yaml

from builders.advice import how_to_mend, short_line
from builders.nodes import Entry, Mapping, Node, Scalar, Sequence
from builders.scalars import core_schema
from layerkit.errors import Span, SpecError, SpecErrors, did_you_mean
from layerkit.records import dataclass

MAX_SCALAR = 100_000
MAX_DEPTH = 50
MAX_NODES = 50_000
MAX_ERRORS = 100
TAGS = ("!choice", "!int", "!float", "!each")  # holes, and what a search fills in: kept on the node
BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # what PyYAML counts as the end of a line

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ITEM = r"\s*(?:[-+]?[\w.]+|\$\w+)\s*"
_TUPLE = re.compile(rf"\({_ITEM}(?:,{_ITEM})+\)|\({_ITEM},\s*\)")


@dataclass
class _Child:
    """A node with what the collection around it needs to know of its text."""

    node: Node
    start: int
    end: int
    is_plain: bool = False  # a scalar without quotes
    weight: int = 1  # values in it, long texts counted more than once
    depth: int = 0


@dataclass
class _Open:
    """A collection that has begun and not ended."""

    event: Any
    span: Span
    tag: str | None
    children: list[_Child] = field(default_factory=list)


class Reader:
    """One reading of one text: collects faults and goes on as long as it can."""

    def __init__(self, text: str, file: str) -> None:
        self.text, self.file = text, file
        self.errors: list[SpecError] = []
        self.anchors: dict[str, _Child] = {}
        self.open: list[_Open] = []
        self.weight = 0

    def document(self) -> Node:
        root: _Child | None = None
        for event in self._events():
            if isinstance(event, yaml.DocumentStartEvent) and root is not None:
                self._fault("the file holds several documents.", self._span(event), expected="one document", got="another '---'",
                            fix="remove '---', or write one file each")  # fmt: skip
                break
            if isinstance(event, yaml.CollectionStartEvent):
                self._begin(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                top = self.open.pop()
                root = self._add(self._end(top, event), top.event.anchor)
            elif isinstance(event, yaml.ScalarEvent):
                root = self._add(self._scalar(event), event.anchor)
            elif isinstance(event, yaml.AliasEvent):
                root = self._add(self._alias(event), None)
        if root is None:
            self._stop("the file is empty.", Span(self.file, 1, 1), expected="a spec", got="nothing")
        return root.node

    def _events(self) -> Iterator[Any]:
        """PyYAML's events; what it raises becomes a fault, and its last word."""
        try:
            yield from yaml.parse(self.text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            self._syntax(error)
        except (yaml.YAMLError, ValueError, OverflowError) as error:  # PyYAML in Python calls chr() on any number
            self._stop("this is no YAML.", Span(self.file, 1, 1), expected="YAML", got=short_line(str(error)))

    # Events to nodes

    def _begin(self, event: Any) -> None:
        span = self._span(event)
        if len(self.open) >= MAX_DEPTH:
            self._stop("the file is nested too deeply.", span, expected=f"at most {MAX_DEPTH} levels", got="more")
        self.open.append(_Open(event, span, self._tag(event)))

    def _end(self, top: _Open, event: Any) -> _Child:
        trapped = self._split_parentheses(top) if top.event.flow_style else frozenset()
        if isinstance(top.event, yaml.MappingStartEvent):
            node: Node = Mapping(tuple(self._entries(top, trapped)), top.span, top.tag, *self._extent(top, event))
        else:
            node = Sequence(tuple(c.node for c in top.children), top.span, top.tag, *self._extent(top, event))
        weight = 1 + sum(c.weight for c in top.children)
        depth = 1 + max((c.depth for c in top.children), default=0)
        return _Child(node, node.start, node.end, weight=weight, depth=depth)

    @staticmethod
    def _extent(top: _Open, event: Any) -> tuple[int, int]:
        """Where a collection begins and ends; without brackets it ends with the last thing in it."""
        is_flow = top.event.flow_style or not top.children
        return top.event.start_mark.index, event.end_mark.index if is_flow else top.children[-1].end

    def _add(self, child: _Child, anchor: str | None) -> _Child:
        self.weight += 1
        if self.weight > MAX_NODES:
            self._stop("the file has too many values.", child.node.span, expected=f"at most {MAX_NODES}", got="more")
        if anchor:
            self.anchors[anchor] = child
        if self.open:
            self.open[-1].children.append(child)
        return child

    def _scalar(self, event: Any) -> _Child:
        span, text, is_plain = self._span(event), event.value, not event.style
        if len(text) > MAX_SCALAR:
            self._stop("a text is too long.", span, expected=f"at most {MAX_SCALAR} characters", got=str(len(text)))
        tag, value = self._tag(event), text
        if is_plain and event.tag is None:
            try:
                value = core_schema(text)
            except SpecError as error:
                error.where = span
                self._keep(error)
            if text[:1] == "(" and len(text) < 200 and _TUPLE.fullmatch(text):
                self._parenthesised(text, span)
        elif re.search(r"[\ud800-\udfff]", text):
            self._fault(
                "half a character.", span, expected="text", got=ascii(text[:40]), fix="write the character itself"
            )
        return _Child(
            Scalar(value, span, text, tag, event.start_mark.index, event.end_mark.index),
            event.start_mark.index,
            event.end_mark.index,
            is_plain,
            weight=1 + len(text) // 1000,
        )

    def _alias(self, event: Any) -> _Child:
        span, name = self._span(event), event.anchor
        start, end = event.start_mark.index, event.end_mark.index
        found = self.anchors.get(name)
        if found is None:
            inside = any(name == top.event.anchor for top in self.open)
            self._fault(
                f"'*{name}' stands inside what it names." if inside else f"there is no anchor '&{name}' before this alias.",
                span,
                expected="an anchor that is complete" if inside else "&" + ", &".join(self.anchors) if self.anchors else "an anchor",
                got=f"*{name}",
                fix=None if inside or not self.anchors else did_you_mean(name, list(self.anchors)[:100]),
            )  # fmt: skip
            return _Child(Scalar(None, span, f"*{name}", None, start, end), start, end)
        self.weight += found.weight
        if self.weight > MAX_NODES:
            self._stop(
                "the aliases stand for too many values.", span, expected=f"at most {MAX_NODES} in the file", got="more"
            )
        if len(self.open) + found.depth > MAX_DEPTH:
            self._stop("the aliases nest too deeply.", span, expected=f"at most {MAX_DEPTH} levels", got="more")
        # The place of the value is that of what the alias names, but here it ends with the alias.
        return _Child(found.node, start, end, weight=found.weight, depth=found.depth)

    def _entries(self, top: _Open, trapped: frozenset[int]) -> Iterator[Entry]:
        seen: dict[Any, Scalar] = {}
        for i in range(0, len(top.children), 2):
            if i in trapped:
                continue
            key, value = top.children[i : i + 2]
            if not isinstance(key.node, Scalar):
                self._fault("a key is a single word.", key.node.span, expected="a word", got=short_line(self.text[key.start : key.end]),
                            fix="write $name for a named value" if self.text.startswith("{{", top.event.start_mark.index) else "use a list of mappings")  # fmt: skip
                continue
            if top.event.flow_style and not self._has_colon(key, value):
                if not self.text.startswith("{{", top.event.start_mark.index - 1):  # the outer braces are the fault
                    self._without_colon(key.node)
                continue
            if key.is_plain and key.node.text == "<<":
                self._fault("merge keys are not part of the language.", key.node.span, expected="a word", got="<<",
                            fix="write the arguments out, or use a block")  # fmt: skip
                continue
            # Keys that are equal in Python (1, 1.0 and true) would also overwrite each other, without a word.
            name = "nan" if key.node.value != key.node.value else key.node.value
            if name in seen:
                self._fault(f"the key '{short_line(key.node.text)}' is written twice.", key.node.span, expected="each key once",
                            got=f"also at {seen[name].span}", fix="remove one of them")  # fmt: skip
                continue
            seen[name] = key.node
            yield Entry(key.node, value.node)

    # Traps of braces and brackets

    def _split_parentheses(self, top: _Open) -> frozenset[int]:
        """Report each ``(a, b)`` that its comma split; the children that are its later pieces."""
        trapped: set[int] = set()
        for i, child in enumerate(top.children):
            if i in trapped or not child.is_plain:
                continue
            missing = _unclosed(child)
            for j in range(i + 1, min(i + 100, len(top.children))) if missing > 0 else ():
                if not top.children[j].is_plain:
                    break
                missing += _unclosed(top.children[j])
                if missing <= 0:
                    trapped.update(range(i + 1, j + 1))
                    self._parenthesised(self.text[child.start : top.children[j].end], child.node.span)
                    break
        return frozenset(trapped)

    def _parenthesised(self, text: str, span: Span) -> None:
        quote = "'" if '"' in text else '"'
        if _TUPLE.fullmatch(text[:200]):
            items = ", ".join(part.strip() for part in text[1:-1].split(",") if part.strip())
            fix, summary = f"write [{items}], or quote it if it is a text", "round brackets make no list."
        else:
            fix, summary = (
                f"quote it: {quote}{short_line(text)}{quote}",
                "inside braces or brackets a comma ends the value.",
            )
        self._fault(summary, span, expected="a list in square brackets, or quotes", got=short_line(text), fix=fix)

    def _has_colon(self, key: _Child, value: _Child) -> bool:
        is_empty = value.is_plain and value.start == value.end
        return not is_empty or self.text[key.end : value.start].lstrip().startswith(":")

    def _without_colon(self, key: Scalar) -> None:
        name, sign, value = next((found for sign in ":=" if (found := key.text.partition(sign))[1]), (key.text, "", ""))
        fix = "write its value after ': ', or use square brackets for a list"
        if sign:
            told = f"{short_line(name.strip())}: {short_line(value.strip())}"
            fix = f"write a space after the colon: {told}" if sign == ":" else f"write a colon instead of '=': {told}"
        self._fault(
            "a key in braces has no value.",
            key.span,
            expected=f"{short_line(name)}: value",
            got=short_line(key.text),
            fix=fix,
        )

    # Faults

    def _tag(self, event: Any) -> str | None:
        tag = event.tag
        if tag is None or tag == "!":  # a lone "!" says: this is text
            return None
        if tag in TAGS:
            return str(tag)
        shown = short_line(tag.replace("tag:yaml.org,2002:", "!!"))
        fix = "write the text in quotes, without the tag" if shown == "!!str" else "remove it"
        if not shown.startswith("!!") and (near := did_you_mean(shown, TAGS)) and near.startswith("did"):
            fix = near
        self._fault(f"the tag '{shown}' is not part of the language.", self._span(event), expected=", ".join(TAGS), got=shown, fix=fix)  # fmt: skip
        return None

    def _syntax(self, error: Any) -> NoReturn:
        problem, context = str(error.problem or ""), str(error.context or "")
        for top in reversed(self.open):  # the keys read so far are checked although their mappings never end
            if isinstance(top.event, yaml.MappingStartEvent) and not top.event.flow_style:
                del top.children[len(top.children) // 2 * 2 :]
                list(self._entries(top, frozenset()))
        # What is opened and never closed is found at the end of the file, and mended where it begins.
        is_unclosed = "quoted scalar" in context and error.context_mark and "escape" not in problem
        mark = (error.context_mark if is_unclosed else None) or error.problem_mark or error.context_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
        lines = [*BREAK.split(self.text), ""]
        written = lines[min(line, len(lines) - 1)]
        self._stop(
            f"this is no YAML: {short_line(problem or context)}.",
            Span(self.file, line + 1, column + 1),
            expected="YAML",
            got=short_line(written) or "the end of the text",
            fix=how_to_mend(problem, context, lines[: line + 1], column, error.context_mark),
        )

    def _span(self, event: Any) -> Span:
        return Span(self.file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _fault(self, summary: str, where: Span, **parts: Any) -> None:
        self._keep(SpecError(summary, where=where, **parts))

    def _keep(self, error: SpecError) -> None:
        self.errors.append(error)
        if len(self.errors) >= MAX_ERRORS:
            self._raise()

    def _stop(self, summary: str, where: Span, **parts: Any) -> NoReturn:
        self.errors.append(SpecError(summary, where=where, **parts))
        self._raise()

    def _raise(self) -> NoReturn:
        faults = sorted(self.errors, key=lambda error: error.where or Span(self.file, 1, 1))
        raise SpecErrors(faults) from sys.exception()  # PyYAML's own error, where there is one


def _unclosed(child: _Child) -> int:
    text = child.node.text if isinstance(child.node, Scalar) else ""
    return text.count("(") - text.count(")")
