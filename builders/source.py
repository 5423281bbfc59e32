"""YAML text to plain values that remember where they were written.

PyYAML's events are read one by one, with limits on depth, number of nodes, lengths and alias expansion, before anything is
built; scalars follow the core schema of YAML 1.2. All faults that can be found at this level are reported together.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerkit.errors import Span, SpecError, SpecErrors

MAX_BYTES = 1_000_000
MAX_SCALAR = 100_000
MAX_DEPTH = 40
MAX_NODES = 100_000
TAGS = ("!choice", "!int", "!float")  # holes: kept on the node, filled by a search


@dataclass(frozen=True)
class Scalar:
    """A number, a text, a truth value, or nothing."""

    value: str | int | float | bool | None
    span: Span
    text: str
    tag: str | None = None

    def plain(self) -> Any:
        """The value alone."""
        return self.value


@dataclass(frozen=True)
class Sequence:
    """A list."""

    items: tuple[Node, ...]
    span: Span
    tag: str | None = None

    def plain(self) -> Any:
        """A plain list."""
        return [item.plain() for item in self.items]


@dataclass(frozen=True)
class Entry:
    """A key with its value."""

    key: Scalar
    value: Node


@dataclass(frozen=True)
class Mapping:
    """Keys with values, in the order of the file."""

    entries: tuple[Entry, ...]
    span: Span
    tag: str | None = None

    def get(self, name: str) -> Node | None:
        """The value of a key, or None."""
        return next((e.value for e in self.entries if e.key.value == name), None)

    def plain(self) -> Any:
        """A plain dict."""
        return {e.key.value: e.value.plain() for e in self.entries}


Node = Scalar | Sequence | Mapping


def read(path: str | Path) -> Node:
    """The content of a YAML file.

    Raises:
        SpecErrors: with the place of each fault.
    """
    file = str(path)
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise _one(file, "the file cannot be read.", got=error.strerror or str(error), fix="check the path") from error
    if len(data) > MAX_BYTES:
        raise _one(file, "the file is too large.", expected=f"at most {MAX_BYTES} bytes", got="more")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _one(
            file, "the file is no UTF-8 text.", line=line, expected="UTF-8", got=f"byte 0x{data[error.start]:02x}"
        ) from error
    return parse(text, file)


def parse(text: str, file: str = "<text>") -> Node:
    """The content of YAML text.

    Raises:
        SpecErrors: with the place of each fault.
    """
    odd = re.search("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", text)
    if odd:
        line = text.count("\n", 0, odd.start()) + 1
        column = odd.start() - (text.rfind("\n", 0, odd.start()) + 1) + 1
        raise _one(file, "a character that YAML does not allow.", line=line, column=column, got=repr(odd.group()))
    return _Reader(text, file).document()


def _one(file: str, summary: str, line: int = 1, column: int = 1, **parts: Any) -> SpecErrors:
    return SpecErrors([SpecError(summary, where=Span(file, line, column), **parts)])


@dataclass
class _Open:
    """A collection that has begun and not ended."""

    span: Span
    tag: str | None
    is_mapping: bool
    anchor: str | None
    children: list[Node]
    is_flow: bool


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self.text, self.file = text, file
        self.errors: list[SpecError] = []
        self.anchors: dict[str, tuple[Node, int]] = {}
        self.count = 0

    def document(self) -> Node:
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        stack: list[_Open] = []
        root: Node | None = None
        documents = 0
        try:
            for event in yaml.parse(self.text, Loader=loader):
                if isinstance(event, yaml.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        self._stop(
                            "the file holds several documents.",
                            self._span(event),
                            expected="one document",
                            fix="remove '---'",
                        )
                elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
                    if len(stack) >= MAX_DEPTH:
                        self._stop(
                            "the file is nested too deeply.", self._span(event), expected=f"at most {MAX_DEPTH} levels"
                        )
                    is_mapping = isinstance(event, yaml.MappingStartEvent)
                    stack.append(
                        _Open(self._span(event), self._tag(event), is_mapping, event.anchor, [], bool(event.flow_style))
                    )
                elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
                    top = stack.pop()
                    root = self._place(self._close(top), stack, top.anchor)
                elif isinstance(event, yaml.ScalarEvent):
                    root = self._place(self._scalar(event), stack, event.anchor)
                elif isinstance(event, yaml.AliasEvent):
                    root = self._place(self._alias(event), stack, None)
        except yaml.MarkedYAMLError as error:
            self._syntax(error)
        except yaml.YAMLError as error:
            self._stop("this is no YAML.", Span(self.file, 1, 1), got=str(error)[:200])
        if root is None:
            self._stop("the file is empty.", Span(self.file, 1, 1), expected="a spec", got="nothing")
        if self.errors:
            raise SpecErrors(sorted(self.errors, key=lambda e: e.where or Span(self.file, 1, 1)))
        assert root is not None
        return root

    def _place(self, node: Node, stack: list[_Open], anchor: str | None) -> Node:
        self._tally(1, node.span)
        if anchor:
            self.anchors[anchor] = (node, _size(node))
        if stack:
            stack[-1].children.append(node)
        return node

    def _tally(self, count: int, span: Span) -> None:
        self.count += count
        if self.count > MAX_NODES:
            self._stop(
                "the file has too many values.", span, expected=f"at most {MAX_NODES}, aliases counted as often as used"
            )

    def _close(self, top: _Open) -> Node:
        if not top.is_mapping:
            return Sequence(tuple(top.children), top.span, top.tag)
        entries: list[Entry] = []
        seen: dict[Any, Scalar] = {}
        for key, value in zip(top.children[::2], top.children[1::2], strict=True):
            if not isinstance(key, Scalar):
                self._fault("a key is a single word.", key.span, expected="text", got="a list or mapping")
                continue
            flow_trap = (
                top.is_flow and isinstance(value, Scalar) and value.text == "" and ("(" in key.text or ")" in key.text)
            )
            if flow_trap:
                self._fault(
                    "a comma in braces begins a new key.",
                    key.span,
                    got=key.text,
                    fix='quote the value: "$(max(a, b))", or write a list [3, 3]',
                )
            if key.text == "<<" and key.value == "<<":
                self._fault(
                    "merge keys are not part of the language.",
                    key.span,
                    got="<<",
                    fix="write the arguments out, or use a block",
                )
            if key.value in seen and type(seen[key.value].value) is type(key.value):
                first = seen[key.value].span
                self._fault(f"the key '{key.text}' is written twice.", key.span, expected="each key once",
                            got=f"also in line {first.line}, column {first.column}", fix="remove one of them")  # fmt: skip
                continue
            seen[key.value] = key
            entries.append(Entry(key, value))
        return Mapping(tuple(entries), top.span, top.tag)

    def _scalar(self, event: Any) -> Scalar:
        span, text = self._span(event), event.value
        if len(text) > MAX_SCALAR:
            self._stop("a text is too long.", span, expected=f"at most {MAX_SCALAR} characters", got=str(len(text)))
        tag = self._tag(event)
        value = core_schema(text) if event.implicit[0] and not event.style else text
        if isinstance(value, str) and not event.style and re.fullmatch(r"\(\s*[\d.]+\s*(,\s*[\d.]+\s*)+\)", text):
            self._fault(
                "this is a text, not a list.",
                span,
                expected="a list in brackets",
                got=text,
                fix=f"write [{text[1:-1]}]",
            )
        return Scalar(value, span, text, tag)

    def _alias(self, event: Any) -> Node:
        span = self._span(event)
        if event.anchor not in self.anchors:
            self._stop(
                f"there is no anchor '{event.anchor}'.", span, expected="an anchor before it", got=f"*{event.anchor}"
            )
        node, size = self.anchors[event.anchor]
        self._tally(size, span)
        return node

    def _tag(self, event: Any) -> str | None:
        tag = event.tag
        if tag is None or tag == "!":
            return None
        if tag not in TAGS:
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            self._fault(
                f"the tag '{shown}' is not part of the language.",
                self._span(event),
                expected=", ".join(TAGS),
                got=shown,
                fix="remove it",
            )
            return None
        return str(tag)

    def _span(self, event: Any) -> Span:
        return Span(self.file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _fault(self, summary: str, where: Span, **parts: Any) -> None:
        self.errors.append(SpecError(summary, where=where, **parts))

    def _stop(self, summary: str, where: Span, **parts: Any) -> None:
        self._fault(summary, where, **parts)
        raise SpecErrors(sorted(self.errors, key=lambda e: e.where or where))

    def _syntax(self, error: Any) -> None:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        written = [*self.text.split("\n"), ""][min(line, self.text.count("\n") + 1) - 1]
        fix = None
        if "\t" in written[: max(column, 1)] or "\\t" in str(error.problem):
            fix = "indent with spaces: YAML does not allow tabs"
        elif "mapping values are not allowed" in str(error.problem):
            fix = "a second ':' in one line needs quotes, or the line above is not finished"
        elif "block end" in str(error.problem) or "block" in str(error.context or ""):
            fix = "check the indentation: entries of one level begin in one column"
        elif "',' or" in str(error.problem):
            fix = "close the bracket, or quote a text that holds brackets or commas"
        self._stop(
            f"this is no YAML: {error.problem}.",
            Span(self.file, line, column),
            got=written.strip()[:80] or "the end of the file",
            fix=fix,
        )


def _size(node: Node) -> int:
    total, stack = 0, [node]
    while stack:
        top = stack.pop()
        total += 1
        if total > MAX_NODES:
            break
        if isinstance(top, Sequence):
            stack.extend(top.items)
        elif isinstance(top, Mapping):
            stack.extend(e.value for e in top.entries)
    return total


_INT = re.compile(r"[-+]?[0-9]{1,4000}$")
_BASED = {re.compile(r"0o[0-7]{1,100}$"): 8, re.compile(r"0x[0-9a-fA-F]{1,100}$"): 16}
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")


def core_schema(text: str) -> str | int | float | bool | None:
    """A plain scalar by the core schema of YAML 1.2 (chapter 10.3).

    >>> core_schema("1e-3"), core_schema("012"), core_schema("on"), core_schema("~"), core_schema("0x1F")
    (0.001, 12, 'on', None, 31)
    """
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE"):
        return True
    if text in ("false", "False", "FALSE"):
        return False
    if _INT.match(text):
        return int(text)
    for pattern, base in _BASED.items():
        if pattern.match(text):
            return int(text, base)
    if len(text) < 400 and _FLOAT.match(text):
        return float(text)
    if text.lower() in (".inf", "+.inf", "-.inf") and text.lstrip("+-") in (".inf", ".Inf", ".INF"):
        return -math.inf if text[0] == "-" else math.inf
    if text in (".nan", ".NaN", ".NAN"):
        return math.nan
    return text
