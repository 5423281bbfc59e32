"""Slips of the pen: what somebody meant who wrote ``3x3``, ``0,5``, ``50 %``, ``same`` in round quotes, or ``Adam()``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from layerkit.errors import LayerkitError
from layerkit.fields import Check

QUOTES = "\u201c\u201d\u201e\u201f\u2018\u2019\u201a\u201b\u00ab\u00bb`\u00b4"  # as word processors write them
LONGEST = 60  # characters of a value in which a slip is looked for
TIMES = "x*\u00d7"


def mended(value: Any, check: Check, owner: type) -> str | None:
    """The fix for a value that ``check`` refuses, if a slip explains it and what was meant is allowed.

    >>> from layerkit.fields import Number
    >>> mended("0,5", Number(float, 0, 1), object)
    'write 0.5: a point, not a comma, before the fraction'
    >>> mended(50, Number(float, 0, 1), object), mended("32", Number(int), object), mended("many", Number(int), object)
    ('write 0.5: a share of 1, not of a hundred', 'write 32 without quotes', None)
    """
    for meant, why in _guesses(value):
        try:
            check(meant, owner)
        except (LayerkitError, ValueError, TypeError):
            continue
        return f"write {_yaml(meant)}{why}"
    return None


def called(text: str, names: Iterable[str], before: str = "") -> str | None:
    """The fix for a name that is called as in Python.

    Args:
        text: what was written.
        names: those that there are.
        before: what stands in front of the name.

    >>> called("Adam(learning_rate=1e-3)", ["Adam"]), called("Flatten()", ["Flatten"], "- "), called("Adm(3)", ["Adam"])
    ("arguments stand behind a colon: 'Adam: {learning_rate: 1e-3}'", "write '- Flatten'", None)
    """
    found = re.fullmatch(r"(\w+)\((.*)\)", text, re.DOTALL)
    if found is None or found[1] not in names:
        return None
    arguments = re.sub(r"(\w+)\s*=\s*", r"\1: ", found[2])
    braces = f"{{{arguments}}}" if "=" in found[2] else arguments
    return (
        f"arguments stand behind a colon: '{before}{found[1]}: {braces}'"
        if arguments
        else f"write '{before}{found[1]}'"
    )


def _guesses(value: Any) -> Iterator[tuple[Any, str]]:
    """What may have been meant, and why it was not that."""
    if isinstance(value, float) and value.is_integer():
        yield int(value), ": a whole number without a point"
    if isinstance(value, int) and 5 <= value <= 100:
        yield value / 100, ": a share of 1, not of a hundred"
    if not isinstance(value, str) or len(value) > LONGEST:
        return
    text = value.strip()
    plain = text.strip(QUOTES)
    if plain != text:
        yield plain, ": without quotes, or with plain ones"
    if text.lower() in ("none", "nil", "nothing"):
        yield None, " for nothing"
    if text.lower() in ("true", "false"):
        yield text.lower() == "true", " without quotes"
    if text.lower() in ("yes", "on", "no", "off"):
        yield text.lower() in ("yes", "on"), ""
    if text != text.lower():
        yield text.lower(), " in small letters"
    bare = text.rstrip(",;")
    if re.fullmatch(r"\d+(_\d+)+", bare):
        yield int(bare), ": digits stand together"
    number = _number(bare)
    if number is not None:
        yield number, f": without '{text[-1]}' behind it" if bare != text else " without quotes"
    if re.fullmatch(r"\d+,\d+", text):
        yield float(text.replace(",", ".")), ": a point, not a comma, before the fraction"
    percent = _number(text.removesuffix("%").strip()) if text.endswith("%") else None
    if percent is not None:
        yield percent / 100, ": a share of 1, not of a hundred"
    if re.fullmatch(rf"\d+(\s*[{TIMES}]\s*\d+)+", text):
        yield [int(n) for n in re.findall(r"\d+", text)], ""
    if re.fullmatch(r"\d+(\s*,\s*\d+)+", text):
        yield [int(n) for n in text.split(",")], ": brackets around several values"
    commented = _number(text.partition("#")[0].strip()) if "#" in text else None
    if commented is not None:
        yield commented, ": a comment needs a space before its '#'"


def _number(text: str) -> int | float | None:
    try:
        return int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)
    except ValueError:
        return None


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)
