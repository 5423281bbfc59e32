"""What a word of YAML means: the core schema of YAML 1.2.

In goes the text of a plain (unquoted) scalar, out comes a number, a truth value, None, or the text itself; ``source`` asks
for each. PyYAML's own rules are those of YAML 1.1, where ``1e-3`` is text, ``on`` is True, ``012`` is 10 and ``1:30`` is 90.
"""

from __future__ import annotations

import json
import math
import re

from layerkit.errors import SpecError

MAX_NUMBER = 400  # characters; a float64 in full needs at most 345 before the point
_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **{sign + word: math.inf for sign in ("", "+") for word in (".inf", ".Inf", ".INF")},
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


def core_schema(text: str) -> str | int | float | bool | None:
    """The value of a plain scalar.

    Raises:
        SpecError: a number of more than ``MAX_NUMBER`` characters, or too large for a float64.

    Source: YAML 1.2.2, section 10.3.2.

    Example:
        >>> core_schema("1e-3"), core_schema("012"), core_schema("on"), core_schema("~"), core_schema("0x1F")
        (0.001, 12, 'on', None, 31)
    """
    if text in _WORDS:
        return _WORDS[text]
    if not text[0].isascii() or text[0] not in "-+.0123456789":
        return text
    base = 10 if _INT.fullmatch(text) else 8 if _OCTAL.fullmatch(text) else 16 if _HEX.fullmatch(text) else None
    if base is None and not _FLOAT.fullmatch(text):
        return text
    if len(text) > MAX_NUMBER:
        raise SpecError(
            "a number is too long.",
            expected=f"at most {MAX_NUMBER} characters",
            got=str(len(text)),
            fix="quote it if it is a text",
        )
    if base is not None:
        return int(text, base)
    number = float(text)
    if math.isinf(number):
        raise SpecError(
            "a number is too large.",
            expected="at most 1.8e308 in size",
            got=text[:40],
            fix="write .inf for infinity, or quote it if it is a text",
        )
    return number


def write_scalar(value: str | int | float | bool | None) -> str:
    """The text of a scalar that is read as ``value``, in braces too.

    Example:
        >>> [write_scalar(v) for v in ("relu", "on", "1e-3", 1e-3, "a, b", None, True, math.inf)]
        ['relu', 'on', '"1e-3"', '0.001', '"a, b"', 'null', 'true', '.inf']
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
        text = repr(value)
        return text if core_schema(text) == value and isinstance(core_schema(text), float) else f"{text}.0"
    if isinstance(value, int):
        return str(value)
    if _PLAIN.fullmatch(value) and core_schema(value) == value:
        return value
    return _HIDDEN.sub(lambda m: f"\\u{ord(m[0]):04x}", json.dumps(value, ensure_ascii=False))


_HIDDEN = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")  # no part of YAML, or the end of a line
_PLAIN = re.compile(r"[\w$./\\][\w$./\\() *+-]*(?<! )")
