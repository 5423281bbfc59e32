"""Named values and formulas: ``$width`` and ``$(width * 2)``.

In goes the text of a scalar with the values that have names, out comes a value. A formula is parsed with ``ast`` and walked
by hand: numbers, texts, names, lists, arithmetic, comparisons, ``and or not``, ``a if b else c`` and a few functions, all of
limited size. Nothing of Python can be reached from it: no attribute, no call of anything else, no name that was not given.
"""

from __future__ import annotations

import ast
import math
import operator
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from layerkit.errors import SpecError, did_you_mean, listed

MAX_LENGTH = 500
MAX_PARTS = 100
MAX_DEPTH = 25
MAX_SIZE = 2.0**53  # beyond it whole numbers are no longer exact as floats

NAME = re.compile(r"[^\W\d]\w*")
_VALUE = re.compile(r"\$([^\W\d]\w*)")
_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_COMPARISONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {"min": min, "max": max, "abs": abs, "int": int, "round": round, "len": len}
ALLOWED = f"numbers, names, + - * / // % **, comparisons, and or not, if else, {' '.join(FUNCTIONS)}"


class Unknown(Exception):
    """A hole is needed, which has no value yet."""


HOLE = object()
"""Stands for the value of a hole."""


class NamedList(Sequence[Any]):
    """A list that has a name: it may be long, so that its items are looked at only when asked for."""


def is_formula(text: str) -> bool:
    """Whether a scalar's text is a name or a formula; ``$$`` is an escaped ``$``."""
    return text.startswith("$") and not text.startswith("$$")


_Part = Callable[[Mapping[str, Any]], Any]
"""What computes one part of a formula from the values that have names."""


class Formula:
    """A formula that was parsed, and may be computed for many values of its names.

    Args:
        text: ``$name`` or ``$(formula)``.

    Attributes:
        parts: how many numbers, names and signs between them it has.

    Raises:
        SpecError: it is no formula; the caller knows the place.

    Example:
        >>> Formula("$(width * 2 if is_wide else min(width, 8))").value({"width": 32, "is_wide": True})
        64
        >>> Formula("$(9 ** 9 ** 9)").value({})
        Traceback (most recent call last):
            ...
        layerkit.errors.SpecError: [spec-invalid] a number is too large.
          expected at most 9007199254740992 in size
          got      $(9 ** 9 ** 9)
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self.parts, self._part = self._parsed()
        except SpecError as error:
            self._show(error)
            raise

    def value(self, names: Mapping[str, Any]) -> Any:
        """What it is worth.

        Args:
            names: the values that have names; ``HOLE`` for one that is not known yet.

        Raises:
            SpecError: it has no value; the caller knows the place.
            Unknown: it depends on a hole.
        """
        try:
            return self._part(names)
        except SpecError as error:
            self._show(error)
            raise

    def _show(self, error: SpecError) -> None:
        error.got = error.got or (self.text if len(self.text) <= 80 else self.text[:79] + "…")

    def _parsed(self) -> tuple[int, _Part]:
        text = self.text
        name = _VALUE.fullmatch(text)
        if name:
            return 1, lambda names: _named(name[1], names)
        if text.startswith("$(") and not text.endswith(")"):
            raise SpecError("this formula does not end with its ')'.", expected="$(formula)",
                            fix="close it; in braces or brackets quote a formula that has a comma: \"$(max(8, width))\"")  # fmt: skip
        if not text.startswith("$("):
            raise SpecError("this is neither a name nor a formula.", expected="$name, or $(formula)",
                            fix=f"write $({text[1:40].strip('()')}), or $$ for a text that begins with $")  # fmt: skip
        parser = _Parser()
        part = parser.part(_tree(text[2:-1]), 0)
        return parser.parts, part


def _tree(text: str) -> ast.expr:
    if len(text) > MAX_LENGTH:
        raise SpecError("a formula is too long.", expected=f"at most {MAX_LENGTH} characters", got=str(len(text)))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        message = str(error.msg).split("(")[0].strip().rstrip(".")
        raise SpecError(f"this is no formula: {message}.", expected=ALLOWED) from None
    except (ValueError, RecursionError, MemoryError):
        raise SpecError("this is no formula.", expected=ALLOWED) from None


def _named(name: str, names: Mapping[str, Any]) -> Any:
    if name not in names:
        fix = did_you_mean(name, names) if names else f"give it a value: let: {{{name}: ...}}"
        raise SpecError(f"there is no named value '{name}'.", expected=listed(names) or "a name from let:", fix=fix)
    value = names[name]
    if value is HOLE:
        raise Unknown
    return value


class _Parser:
    """Makes what computes a formula, and counts its parts."""

    def __init__(self) -> None:
        self.parts = 0

    def part(self, node: ast.expr, depth: int) -> _Part:
        """What computes a node of the tree."""
        self.parts += 1
        if self.parts > MAX_PARTS:
            raise SpecError("a formula is too long.", expected=f"at most {MAX_PARTS} numbers, names and signs")
        if depth > MAX_DEPTH:
            raise SpecError("a formula is nested too deeply.", expected=f"at most {MAX_DEPTH} levels")

        def inner(part: ast.expr) -> _Part:
            return self.part(part, depth + 1)

        match node:
            case ast.Constant(value=bool() | int() | float() | str() | None):
                constant = _limited(node.value)
                return lambda names: constant
            case ast.Name(id="true" | "false"):
                truth = node.id == "true"
                return lambda names: truth
            case ast.Name(id=name):
                return lambda names: _limited(_named(name, names))
            case ast.BinOp() if type(node.op) in _ARITHMETIC:
                left, right, kind = inner(node.left), inner(node.right), type(node.op)
                return lambda names: _arithmetic(kind, left(names), right(names))
            case ast.UnaryOp(op=ast.Not()):
                operand = inner(node.operand)
                return lambda names: not _truth(operand(names))
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign):
                operand, factor = inner(node.operand), -1 if isinstance(sign, ast.USub) else 1
                return lambda names: factor * _number(operand(names))
            case ast.BoolOp():
                values, until = [inner(v) for v in node.values], any if isinstance(node.op, ast.Or) else all
                return lambda names: until(_truth(value(names)) for value in values)
            case ast.IfExp():
                test, body, orelse = inner(node.test), inner(node.body), inner(node.orelse)
                return lambda names: (body if _truth(test(names)) else orelse)(names)
            case ast.Compare():
                return _comparison(node, [inner(v) for v in (node.left, *node.comparators)])
            case ast.List():
                values = [inner(v) for v in node.elts]
                return lambda names: [value(names) for value in values]
            case ast.Subscript():
                listed, index = inner(node.value), inner(node.slice)
                return lambda names: _item(listed(names), index(names))
            case ast.Call(func=ast.Name(id=name)) if name in FUNCTIONS and not node.keywords:
                given = [inner(v) for v in node.args]
                return lambda names: _call(name, [value(names) for value in given])
        raise SpecError(
            f"'{_written(node)}' is not allowed in a formula.", expected=ALLOWED,
            fix="use / and // to divide, ** for powers" if isinstance(node, ast.BinOp) else None,
        )  # fmt: skip


def _comparison(node: ast.Compare, parts: list[_Part]) -> _Part:
    kinds = [type(op) for op in node.ops]
    if not all(kind in _COMPARISONS for kind in kinds):
        raise SpecError("'in' and 'is' are not allowed in a formula.", expected=ALLOWED, fix="compare with == or !=")

    def value(names: Mapping[str, Any]) -> bool:
        values = [part(names) for part in parts]
        return all(_compare(kind, a, b) for kind, a, b in zip(kinds, values, values[1:], strict=False))

    return value


def _written(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 40 else text[:39] + "…"


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SpecError(f"{_short(value)} is no number.", expected="a number")
    return value


def _short(value: Any) -> str:
    return repr(value) if len(repr(value)) <= 40 else repr(value)[:39] + "…"


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise SpecError(f"{_short(value)} is neither true nor false.", expected="a comparison, or true or false")
    return value


def _limited(value: Any) -> Any:
    if value is HOLE:
        raise Unknown
    if isinstance(value, complex):
        raise SpecError("the result is no real number.", expected="a number")
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value != value or value in (math.inf, -math.inf):
            raise SpecError("the result is no finite number.", expected="a number")
        if isinstance(value, int) and abs(value) > MAX_SIZE:
            raise SpecError("a number is too large.", expected=f"at most {int(MAX_SIZE)} in size")
    return value


def _arithmetic(kind: type, a: Any, b: Any) -> Any:
    _number(a), _number(b)
    if kind is ast.Pow and a and b > 1 and abs(a) > 1 and b * math.log2(abs(a)) > 1100:
        raise SpecError("a number is too large.", expected=f"at most {int(MAX_SIZE)} in size")
    try:
        return _limited(_ARITHMETIC[kind](a, b))
    except ZeroDivisionError:
        raise SpecError("a division by zero.", expected="a divisor that is not 0") from None
    except OverflowError:
        raise SpecError("a number is too large.", expected="at most 1.8e308 in size") from None


def _compare(kind: type, a: Any, b: Any) -> bool:
    if kind not in (ast.Eq, ast.NotEq):
        _number(a), _number(b)
    elif not all(x is None or isinstance(x, str | int | float) for x in (a, b)):
        raise SpecError("only numbers and texts are compared.", expected="a number or a text")
    return bool(_COMPARISONS[kind](a, b))


def _item(values: Any, index: Any) -> Any:
    if not isinstance(values, NamedList | list) or isinstance(index, bool) or not isinstance(index, int):
        raise SpecError("only lists have numbered items.", expected="name[number]")
    if not -len(values) <= index < len(values):
        raise SpecError(
            f"the list has no item {index}.", expected=f"a number from 0 to {len(values) - 1}" if values else "a list with items"
        )  # fmt: skip
    return _limited(values[index])


def _call(name: str, given: list[Any]) -> Any:
    if name == "len":
        if len(given) != 1 or not isinstance(given[0], NamedList | list):
            raise SpecError("'len' takes one list.", expected="len(name)")
        return len(given[0])
    if name in ("min", "max"):
        given = list(given[0]) if len(given) == 1 and isinstance(given[0], NamedList | list) else given
        if not given:
            raise SpecError(f"'{name}' takes numbers.", expected=f"{name}(a, b)")
        return FUNCTIONS[name](*map(_number, given)) if len(given) > 1 else _number(given[0])
    if len(given) != 1:
        raise SpecError(f"'{name}' takes one number.", expected=f"{name}(a)")
    return _limited(FUNCTIONS[name](_number(given[0])))
