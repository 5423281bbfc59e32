"""YAML text to plain values that remember where they were written.

In goes a file or its text, out comes a tree of ``Scalar``, ``Sequence`` and ``Mapping``; ``build`` makes a model of it.
PyYAML's events are read one by one, with limits on depth, number of values, lengths and alias expansion, before anything is
built (its composer recurses and crashes on deep nesting); scalars follow YAML 1.2 (``builders.scalars``). All faults that
can be found at this level are reported together, in file order; ``report`` shows each beside its line.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from builders.nodes import Entry, Mapping, Node, Scalar, Sequence
from builders.scalars import core_schema
from layerkit.errors import LayerkitError, Span, SpecError, SpecErrors, did_you_mean
from layerkit.records import dataclass

MAX_BYTES = 1_000_000
MAX_LINES = 10_000
MAX_SCALAR = 100_000
MAX_DEPTH = 50
MAX_NODES = 50_000
MAX_ERRORS = 100
TAGS = ("!choice", "!int", "!float", "!each")  # holes, and what a search fills in: kept on the node

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NOT_YAML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # what PyYAML counts as the end of a line
_ITEM = r"\s*(?:[-+]?[\w.]+|\$\w+)\s*"
_TUPLE = re.compile(rf"\({_ITEM}(?:,{_ITEM})+\)|\({_ITEM},\s*\)")


def read(path: str | Path) -> Node:
    """The content of a YAML file.

    Raises:
        SpecErrors: the file cannot be read, or all faults of its text, each with its place.
    """
    return parse(read_text(path), str(path))


def read_text(path: str | Path) -> str:
    """The text of a YAML file.

    Raises:
        SpecErrors: the file cannot be read, is too large, or is no UTF-8.
    """
    file = str(path)
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        got = getattr(error, "strerror", None) or str(error)
        raise _one("the file cannot be read.", Span(file, 1, 1), got=got, fix="check the path") from error
    if len(data) > MAX_BYTES:
        raise _one("the file is too large.", Span(file, 1, 1), expected=f"at most {MAX_BYTES} bytes", got="more")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        is_utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
        before = error.object[: error.start].decode("utf-8", "replace")
        raise _one(
            "the file is no UTF-8 text.",
            _place(file, before, len(before)),
            expected="UTF-8",
            got="UTF-16" if is_utf16 else f"byte 0x{error.object[error.start]:02x}",
            fix="save the file as UTF-8",
        ) from error


def parse(text: str, file: str = "<text>") -> Node:
    """The content of YAML text.

    Args:
        text: one YAML document.
        file: what the places of values and faults name as the file.

    Raises:
        SpecErrors: all faults of the text, in file order, each with its place.

    Example:
        >>> dense = parse("Dense: {units: 10, use_bias: no}")
        >>> dense.plain()
        {'Dense': {'units': 10, 'use_bias': 'no'}}
        >>> print(dense.get("Dense").get("units").span)
        <text>:1:16
    """
    node, faults = parse_leniently(text, file)
    if faults:
        raise SpecErrors(sorted(faults, key=lambda e: e.where or Span(file, 1, 1)))
    return node


def parse_leniently(text: str, file: str = "<text>") -> tuple[Node, list[SpecError]]:
    """The content of YAML text, and those faults of it that leave something to go on with.

    Raises:
        SpecErrors: faults that leave nothing, such as brackets that do not close.
    """
    text = text.removeprefix("\ufeff")
    if len(text) > MAX_BYTES:
        raise _one("the text is too large.", Span(file, 1, 1), expected=f"at most {MAX_BYTES} characters", got="more")
    if text.count("\n") > MAX_LINES or text.count(",") > MAX_NODES:  # counted before anything is read: that takes time
        raise _one("the file has too many lines.", Span(file, 1, 1), expected=f"at most {MAX_LINES}", got="more")
    odd = _NOT_YAML.search(text)
    if odd:
        raise _one(
            "a character that YAML does not allow.",
            _place(file, text, odd.start()),
            expected="printable text",
            got=ascii(odd.group()),
            fix="remove it, or write it as an escape in double quotes",
        )
    reader = _Reader(text, file)
    return reader.document(), reader.errors


def report(errors: LayerkitError | Iterable[LayerkitError], text: str) -> str:
    r"""Each fault, followed by its line of ``text`` and a caret under its column.

    Args:
        errors: one error, the ``SpecErrors`` of a spec, or several errors.
        text: the YAML text they are about.

    Example:
        >>> try:
        ...     parse("units: 3\nunits: 4", "a.yaml")
        ... except SpecErrors as error:
        ...     print(report(error, "units: 3\nunits: 4"))
        [spec-invalid] the key 'units' is written twice.
          at       a.yaml:2:1
          expected each key once
          got      also at a.yaml:1:1
          fix      remove one of them
        <BLANKLINE>
          2 | units: 4
            | ^
    """
    if isinstance(errors, LayerkitError):
        errors = errors.errors if isinstance(errors, SpecErrors) else (errors,)
    lines = _BREAK.split(text.removeprefix("\ufeff"))
    return "\n\n".join(f"{error}{_excerpt(error.where, lines)}" for error in errors)


def _excerpt(where: Span | None, lines: list[str]) -> str:
    if where is None or not 1 <= where.line <= len(lines):
        return ""
    line, column = lines[where.line - 1], where.column - 1
    start = max(0, column - 70)  # a line of a hostile file may be as long as the file
    shown = "".join(c if c.isprintable() else " " if c == "\t" else "\ufffd" for c in line[start : start + 110])
    under = " " * sum(_columns(c) for c in shown[: column - start])
    number = str(where.line)
    return f"\n\n  {number} | {shown}\n  {' ' * len(number)} | {under}^"


def _columns(character: str) -> int:
    """How many columns of a terminal a character takes."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _one(summary: str, where: Span, **parts: Any) -> SpecErrors:
    return SpecErrors([SpecError(summary, where=where, **parts)])


def _place(file: str, text: str, index: int) -> Span:
    ends = [m.end() for m in _BREAK.finditer(text, 0, index)]
    return Span(file, len(ends) + 1, index - (ends[-1] if ends else 0) + 1)


def _short(text: str) -> str:
    line = " ".join(text[:200].split())
    return line if len(line) <= 60 else line[:59] + "…"


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


class _Reader:
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
            self._stop("this is no YAML.", Span(self.file, 1, 1), expected="YAML", got=_short(str(error)))

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
                self._fault("a key is a single word.", key.node.span, expected="a word", got=_short(self.text[key.start : key.end]),
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
                self._fault(f"the key '{_short(key.node.text)}' is written twice.", key.node.span, expected="each key once",
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
                f"quote it: {quote}{_short(text)}{quote}",
                "inside braces or brackets a comma ends the value.",
            )
        self._fault(summary, span, expected="a list in square brackets, or quotes", got=_short(text), fix=fix)

    def _has_colon(self, key: _Child, value: _Child) -> bool:
        is_empty = value.is_plain and value.start == value.end
        return not is_empty or self.text[key.end : value.start].lstrip().startswith(":")

    def _without_colon(self, key: Scalar) -> None:
        name, sign, value = next((found for sign in ":=" if (found := key.text.partition(sign))[1]), (key.text, "", ""))
        fix = "write its value after ': ', or use square brackets for a list"
        if sign:
            told = f"{_short(name.strip())}: {_short(value.strip())}"
            fix = f"write a space after the colon: {told}" if sign == ":" else f"write a colon instead of '=': {told}"
        self._fault(
            "a key in braces has no value.", key.span, expected=f"{_short(name)}: value", got=_short(key.text), fix=fix
        )

    # Faults

    def _tag(self, event: Any) -> str | None:
        tag = event.tag
        if tag is None or tag == "!":  # a lone "!" says: this is text
            return None
        if tag in TAGS:
            return str(tag)
        shown = _short(tag.replace("tag:yaml.org,2002:", "!!"))
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
        lines = [*_BREAK.split(self.text), ""]
        written = lines[min(line, len(lines) - 1)]
        self._stop(
            f"this is no YAML: {_short(problem or context)}.",
            Span(self.file, line + 1, column + 1),
            expected="YAML",
            got=_short(written) or "the end of the text",
            fix=_advice(problem, context, lines[: line + 1], column, error.context_mark),
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


def _holds_a_value(line: str) -> bool:
    return re.match(r"[\s-]*\w+: +[^\s#]", line) is not None


_INDENT = re.compile(r"( *)(- +)?(.*)")


def _layout(problem: str, context: str, lines: list[str], column: int) -> str | None:
    """How to mend a line that stands in the wrong column, or that has no colon or dash; the last of ``lines`` is at fault."""
    if lines[-1][column : column + 1] == ",":
        return "remove the ',': outside of brackets nothing is separated by commas"
    written = [
        (number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")
    ]
    if len(written) < 2 or written[-1][0] != len(lines):
        return None
    (above, line), (_, own) = written[-2:]
    (indent, dash, text), (own_indent, own_dash, _) = (_INDENT.fullmatch(part).groups("") for part in (line, own))  # type: ignore[union-attr]
    if own_dash and not dash and indent == own_indent:
        return f"begin line {above} with '- ' too: '- {_short(text)}'"
    bare = re.fullmatch(r"([A-Za-z_]\w*)( +[^:#]+)?", text.partition(" #")[0].rstrip())
    if bare and not dash and ("':'" in problem or "mapping values" in problem):
        meant = f"{bare[1]}: {(bare[2] or '').strip()}".rstrip()
        return f"write a colon behind '{_short(bare[1])}' in line {above}: '{_short(meant)}'"
    if "block collection" in context:
        starts = [
            (n, len(m[1]), len(m[1]) + len(m[2])) for n, part in written[:-1] if (m := _INDENT.fullmatch(part)) and m[2]
        ]
        number, at, inside = (
            next((s for s in reversed(starts) if s[1] < len(own_indent)), starts[-1]) if starts else (0, 0, 0)
        )
        if number and own_dash:
            return f"begin the '- ' in column {at + 1}, as in line {number}"
        if number:
            return f"begin it in column {inside + 1} if it belongs to the entry in line {number}"
    return None


def _advice(problem: str, context: str, lines: list[str], column: int, opened: Any) -> str | None:
    """How to mend what PyYAML could not read; ``lines`` are those before the fault and its own."""
    layout = _layout(problem, context, lines, column) if "flow" not in context and "quoted" not in context else None
    lines = lines[-2:]
    if any(re.match(r" *\t", line) for line in lines) or lines[-1][column : column + 1] == "\t":
        return "indent with spaces: YAML does not allow tabs"
    if lines[-1][column - 1 : column] in ("'", '"') and "block" in context:
        return "a quoted text ends at the next quote: write '' for one inside single quotes, or use double quotes"
    glued = next((m for line in lines if (m := re.match(r"[\s-]*(\w+):[^\s:/]", line))), None)
    if glued and ("mapping values" in problem or "':'" in problem):
        return f"write a space after the colon of '{_short(glued[1])}:'"
    if layout:
        return layout
    if "quoted scalar" in context:
        is_escape = "escape" in problem or "hexdecimal" in problem
        return "double the backslash, or use single quotes" if is_escape else "close the quote"
    nested = re.match(r"[\s-]*(\w+): +(\w+):(?: |$)", lines[-1])
    if nested and "mapping values" in problem:
        outer, inner = _short(nested[1]), _short(nested[2])
        return f"write braces around what '{outer}' holds: {outer}: {{{inner}: ...}}; or quote a text that holds ': '"
    if "mapping values are not allowed" in problem and len(lines) == 2 and _holds_a_value(lines[0]):
        return "begin the keys of one mapping in one column: this line is indented further than the one above"
    if "mapping values are not allowed" in problem:
        return "end the line above with ':' if this belongs to it, or quote a text that holds ': '"
    if "flow" in context:
        where = f" opened in line {opened.line + 1}" if opened else ""
        return f"close the bracket{where}, or quote a text that holds brackets, braces or commas"
    if "cannot start any token" in problem or "alias" in context or "anchor" in context or "directive" in context:
        return "quote a text that begins with one of @ ` % * &"
    if "block" in context or "simple key" in context:
        return "check the indentation: keys of one mapping begin in one column, and each has a ':'"
    return None
