"""How to mend what PyYAML could not read: advice for the slips of layout, quotes, brackets and colons that lead to its messages."""

from __future__ import annotations

import re
from typing import Any


def short_line(text: str) -> str:
    """The beginning of a text, in one line."""
    line = " ".join(text[:200].split())
    return line if len(line) <= 60 else line[:59] + "…"


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
        return f"begin line {above} with '- ' too: '- {short_line(text)}'"
    bare = re.fullmatch(r"([A-Za-z_]\w*)( +[^:#]+)?", text.partition(" #")[0].rstrip())
    if bare and not dash and ("':'" in problem or "mapping values" in problem):
        meant = f"{bare[1]}: {(bare[2] or '').strip()}".rstrip()
        return f"write a colon behind '{short_line(bare[1])}' in line {above}: '{short_line(meant)}'"
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


def how_to_mend(problem: str, context: str, lines: list[str], column: int, opened: Any) -> str | None:
    """How to mend what PyYAML could not read; ``lines`` are those before the fault and its own."""
    layout = _layout(problem, context, lines, column) if "flow" not in context and "quoted" not in context else None
    lines = lines[-2:]
    if any(re.match(r" *\t", line) for line in lines) or lines[-1][column : column + 1] == "\t":
        return "indent with spaces: YAML does not allow tabs"
    if lines[-1][column - 1 : column] in ("'", '"') and "block" in context:
        return "a quoted text ends at the next quote: write '' for one inside single quotes, or use double quotes"
    glued = next((m for line in lines if (m := re.match(r"[\s-]*(\w+):[^\s:/]", line))), None)
    if glued and ("mapping values" in problem or "':'" in problem):
        return f"write a space after the colon of '{short_line(glued[1])}:'"
    if layout:
        return layout
    if "quoted scalar" in context:
        is_escape = "escape" in problem or "hexdecimal" in problem
        return "double the backslash, or use single quotes" if is_escape else "close the quote"
    nested = re.match(r"[\s-]*(\w+): +(\w+):(?: |$)", lines[-1])
    if nested and "mapping values" in problem:
        outer, inner = short_line(nested[1]), short_line(nested[2])
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
