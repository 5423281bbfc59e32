"""Runs of calls to repeats: equal ones, and those whose numbers follow a rule, such as 8, 16, 32.

In goes the flat list of calls of a model, out comes the same with a ``Repeat`` in the place of each run, where that is shorter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from builders.calls import Call, Formula, Repeat
from builders.expressions import evaluate
from layerkit.errors import SpecError

_LONGEST = 24
"""So many calls a repeat may have in its body."""
_TURNS = "ijklmn"
"""The names of the numbers of the turns, of repeats in repeats."""


def folded(calls: Sequence[Call], depth: int = 0) -> list[Call | Repeat]:
    """The calls with repeats in the place of runs; the longest run that begins at a call is taken."""
    found: list[Call | Repeat] = []
    at = 0
    while at < len(calls):
        best, size, body, turn = 1, 1, list(calls[at : at + 1]), None
        for length in range(1, min(_LONGEST, (len(calls) - at) // 2) + 1):
            times = _equal_turns(calls, at, length)
            if times > 1 and times * length > best * size:
                best, size, body, turn = times, length, list(calls[at : at + length]), None
            if depth < len(_TURNS) and (ruled := _ruled_turns(calls, at, length, _TURNS[depth])) is not None:
                times, merged = ruled
                if times * length > best * size:
                    best, size, body, turn = times, length, merged, _TURNS[depth]
        inner = depth if turn is None else depth + 1
        found += [Repeat(best, folded(body, inner), turn)] if best > 1 else body
        at += best * size
    return found


def _equal_turns(calls: Sequence[Call], at: int, length: int) -> int:
    times = 1
    while at + (times + 1) * length <= len(calls) and all(
        calls[at + i].same(calls[at + times * length + i]) for i in range(length)
    ):
        times += 1
    return times


def _ruled_turns(calls: Sequence[Call], at: int, length: int, turn: str) -> tuple[int, list[Call]] | None:
    """How many turns there are if numbers may depend on the turn, and the body; None if a repeat is no shorter than its turns."""
    found = None
    times = 2
    while at + times * length <= len(calls):
        turns = [calls[at + n * length : at + (n + 1) * length] for n in range(times)]
        if not all(first.is_like(last) for first, last in zip(turns[0], turns[-1], strict=True)):
            break
        try:
            body = [_merged(same, turn, is_list_allowed=length > 1) for same in zip(*turns, strict=True)]
        except _NoRule:
            break
        if times > 2 or (length > 2 and _is_doubled(turns)):  # any two numbers follow some rule
            found = times, body
        times += 1
    return found


def _is_doubled(turns: Sequence[Sequence[Call]]) -> bool:
    """Whether, of two turns, all numbers that differ are twice or half what they were."""
    pairs = [pair for a, b in zip(*turns, strict=True) for pair in _numbers(a.arguments, b.arguments)]
    return all(a in (b, 2 * b) or b == 2 * a for a, b in pairs)


def _numbers(a: Any, b: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(a, Mapping):
        for key, value in a.items():
            yield from _numbers(value, b[key])
    elif isinstance(a, list | tuple):
        for x, y in zip(a, b, strict=True):
            yield from _numbers(x, y)
    elif _is_number(a):
        yield a, b


class _NoRule(Exception):
    """Values differ, and a formula of the turn does not say how."""


def _merged(same: Sequence[Call], turn: str, is_list_allowed: bool) -> Call:
    """The call whose arguments are those of each turn."""
    return replace(same[0], arguments=_rule([call.arguments for call in same], turn, is_list_allowed))


def _rule(values: Sequence[Any], turn: str, is_list_allowed: bool) -> Any:
    """What stands for a value in each turn: itself if it is always the same, a formula if numbers differ."""
    first = values[0]
    if all(type(v) is type(first) and v == first for v in values):
        return first
    if all(isinstance(v, Mapping) and v.keys() == first.keys() for v in values):
        return {key: _rule([v[key] for v in values], turn, is_list_allowed) for key in first}
    if all(isinstance(v, list | tuple) and len(v) == len(first) for v in values):
        return [_rule(part, turn, is_list_allowed) for part in zip(*values, strict=True)]
    if all(_is_number(v) for v in values):
        for text in _formulas(values, turn, is_list_allowed):
            if _means(text, turn, values):
                return Formula(text)
    raise _NoRule


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _formulas(values: Sequence[Any], turn: str, is_list_allowed: bool) -> Iterator[str]:
    """Rules that may be right: so many times as much, or so much more, each turn; at last a list of all."""
    first, second = values[0], values[1]
    if first and second % first == 0:
        power = f"{second // first!r} ** {turn}"
        yield power if first == 1 else f"{first!r} * {power}"
    if second and first % second == 0:
        yield f"{first!r} // {first // second!r} ** {turn}"
    step = second - first
    product = turn if abs(step) == 1 else f"{abs(step)!r} * {turn}"
    yield product if first == 0 and step > 0 else f"{first!r} {'+' if step > 0 else '-'} {product}"
    if is_list_allowed:
        yield f"[{', '.join(map(repr, values))}][{turn}]"


def _means(text: str, turn: str, values: Sequence[Any]) -> bool:
    """Whether a formula is each of the values in its turn, to the bit."""
    try:
        found = [evaluate(f"$({text})", {turn: number}) for number in range(len(values))]
    except SpecError:  # it is too long, or a number too large
        return False
    return all(type(a) is type(b) and repr(a) == repr(b) for a, b in zip(found, values, strict=True))
