"""YAML text to plain values that remember where they were written.

In goes a file or its text, out comes a tree of ``Scalar``, ``Sequence`` and ``Mapping`` (``builders.nodes``), which
``builders.events`` makes of PyYAML's events; ``build`` makes a model of it. All faults that can be found at this level are
reported together, in file order; ``report`` shows each beside its line.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from builders.events import BREAK, MAX_NODES, Reader
from builders.nodes import Node
from layerkit.errors import LayerkitError, Span, SpecError, SpecErrors

MAX_BYTES = 1_000_000
MAX_LINES = 10_000
_NOT_YAML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")


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
    reader = Reader(text, file)
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
    lines = BREAK.split(text.removeprefix("\ufeff"))
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
    ends = [m.end() for m in BREAK.finditer(text, 0, index)]
    return Span(file, len(ends) + 1, index - (ends[-1] if ends else 0) + 1)
