"""Runs of calls to repeats: equal ones, and those whose numbers follow a rule, such as 8, 16, 32.

In goes the flat list of calls of a model, out comes the same with a ``Repeat`` in the place of each run, where that is shorter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from builders import expressions
from builders.calls import Call, Formula, Repeat
from layerkit.errors import SpecError

_LONGEST = 24
"""So many calls a repeat may have in its body, and so many numbers a list that counts turns."""
_TURNS = "ijklmn"
"""The names of the numbers of the turns, of repeats in repeats."""


def folded(calls: Sequence[Call], depth: int = 0) -> list[Call | Repeat]:
    """The calls with repeats in the place of runs; the longest run that begins at a call is taken."""
    equal = _Runs([_key(call, call.arguments) for call in calls])
    alike = _Runs([_key(call, _without_numbers(call.arguments)) for call in calls])
    found: list[Call | Repeat] = []
    at = 0
    while at < len(calls):
        best, size, body, turn = 1, 1, list(calls[at : at + 1]), None
        for length in range(1, min(_LONGEST, (len(calls) - at) // 2) + 1):
            times = equal.turns(at, length)
            if times > 1 and times * length > best * size:
                best, size, body, turn = times, length, list(calls[at : at + length]), None
            most = alike.turns(at, length)
            if depth == len(_TURNS) or most == 1 or most * length <= best * size:
                continue
            times, merged = _ruled_turns(calls[at : at + most * length], length, _TURNS[depth])
            if times > 1 and times * length > best * size:
                best, size, body, turn = times, length, merged, _TURNS[depth]
        inner = depth if turn is None else depth + 1
        found += [Repeat(best, folded(body, inner), turn)] if best > 1 else body
        at += best * size
    return found


def _key(call: Call, arguments: Any) -> str | None:
    """What calls have in common that may be turns of one repeat; None for one that may not. Values are equal to the bit."""
    return repr((call.kind, call.is_frozen, arguments)) if call.may_repeat else None


def _without_numbers(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_numbers(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_numbers(v) for v in value]
    return ... if _is_number(value) else value


class _Runs:
    """How often what begins somewhere in a list comes again, one after another; None is equal to nothing."""

    def __init__(self, keys: Sequence[str | None]) -> None:
        self._runs: dict[int, list[int]] = {}
        for length in range(1, min(_LONGEST, len(keys) // 2) + 1):
            run = self._runs[length] = [0] * (len(keys) + 1)  # of keys that are equal to those ``length`` after them
            for at in reversed(range(len(keys) - length)):
                if keys[at] is not None and keys[at] == keys[at + length]:
                    run[at] = run[at + 1] + 1

    def turns(self, at: int, length: int) -> int:
        """How often the ``length`` keys from ``at`` on stand there."""
        return 1 + self._runs[length][at] // length


def _ruled_turns(calls: Sequence[Call], length: int, turn: str) -> tuple[int, list[Call]]:
    """How many turns, from the first on, a repeat may have whose numbers depend on the turn, and its body; 1 for no repeat.

    Args:
        calls: turns that are alike but for numbers.
        length: of a turn.
        turn: the name of its number.
    """
    most = times = len(calls) // length
    if times > 3:
        times = 3  # what follows no rule mostly shows at once
    while times > 2 or (times == 2 and length > 2 and _is_doubled(calls[:length], calls[length : 2 * length])):
        columns = [calls[i : times * length : length] for i in range(length)]
        is_list_allowed = any(len({repr(call.arguments) for call in same}) == 1 for same in columns)
        try:
            body = [replace(same[0], arguments=_rule([call.arguments for call in same], turn, is_list_allowed)) for same in columns]  # fmt: skip
        except _NoRule as rule:
            most = times = min(rule.turns, times - 1)
            continue
        if times == most:
            return times, body
        times = most
    return 1, []


def _is_doubled(first: Sequence[Call], second: Sequence[Call]) -> bool:
    """Whether, of two turns, all numbers that differ are twice or half what they were: any two follow some rule."""
    pairs = [pair for a, b in zip(first, second, strict=True) for pair in _numbers(a.arguments, b.arguments)]
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
    """A formula of the turn says what numbers are in the first ``turns`` only."""

    def __init__(self, turns: int) -> None:
        super().__init__()
        self.turns = turns


def _rule(values: Sequence[Any], turn: str, is_list_allowed: bool) -> Any:
    """What stands for a value in each turn: itself if it is always the same, a formula if numbers differ."""
    first = values[0]
    if isinstance(first, Mapping):
        return {key: _rule([v[key] for v in values], turn, is_list_allowed) for key in first}
    if isinstance(first, list | tuple):
        return [_rule(part, turn, is_list_allowed) for part in zip(*values, strict=True)]
    if all(repr(v) == repr(first) for v in values):
        return first
    right = {text: _turns_of(text, turn, values) for text in _formulas(values, turn, is_list_allowed)}
    best = max(right, key=lambda text: right[text])
    if right[best] < len(values):
        raise _NoRule(right[best])
    return Formula(best)


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
        yield f"[{', '.join(map(repr, values[:_LONGEST]))}][{turn}]"


def _turns_of(text: str, turn: str, values: Sequence[Any]) -> int:
    """In how many turns, from the first on, a formula is the value, to the bit."""
    right = 0
    try:
        formula = _parsed(text)
        while right < len(values) and repr(formula.value({turn: right})) == repr(values[right]):
            right += 1
    except SpecError:  # it is too long, or a number too large
        pass
    return right


@lru_cache(4096)
def _parsed(text: str) -> expressions.Formula:
    return expressions.Formula(f"$({text})")
