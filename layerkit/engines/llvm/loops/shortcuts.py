"""Loops that may leave what they are written over as it is.

Where a step counts only on a condition (gradients that are gathered over several steps, gradients that have to be finite),
new state is ``where(condition, new, old)``. The condition is known before the loop. If it does not hold, and the new state is
written over the old, all that is left to do are the other results of the loop, or nothing.
"""

from __future__ import annotations

from typing import Any

from layerkit.engines.llvm.kernel import Buffer
from layerkit.engines.llvm.loops.nest import Expr, Nest, Store
from layerkit.ir import product
from layerkit.records import dataclass

LEAST = 1024  # elements of a loop for which it is worth more code
MOST = 2  # conditions


@dataclass(frozen=True)
class Shortcut:
    """What a loop comes to where a condition does not hold.

    Attributes:
        condition: a part of the loop's expressions.
        kept: what is read and results that then are the same, element by element.
        rest: the other results; None: there are none.
    """

    condition: Expr
    kept: tuple[tuple[Buffer, Store], ...]
    rest: Nest | None


def shortcuts(nest: Nest) -> list[Shortcut]:
    """All that a loop has."""
    size = product(nest.axes)
    plain = [r for r in nest.results if isinstance(r, Store) and not r.add and r.row is None]
    if len(plain) < len(nest.results) or (isinstance(size, int) and size < LEAST):
        return []
    choices = [e.args[0] for e in nest.loads() if e.kind == "where"]
    conditions = {id(e): e for e in choices if e.depth == 0 and e.kind != "literal"}
    found = [_shortcut(nest, plain, condition) for condition in list(conditions.values())[:MOST]]
    return [s for s in found if s.kept]


def _shortcut(nest: Nest, results: list[Store], condition: Expr) -> Shortcut:
    without = _Without(condition)
    kept: list[tuple[Buffer, Store]] = []
    rest: list[Any] = []
    for r in results:
        e = without(r.expr)
        if e.kind == "load" and e.place == r.place and e.dtype == r.expr.dtype and e.buffer is not None:
            kept.append((e.buffer, r))
        else:
            rest.append(Store(e, r.buffer, r.place))
    return Shortcut(condition, tuple(kept), Nest(nest.axes, nest.reduced, rest) if rest else None)


class _Without:
    """Expressions where a condition does not hold; equal ones become one."""

    def __init__(self, condition: Expr) -> None:
        self._condition = condition
        self._memo: dict[int, Expr] = {}
        self._known: dict[Any, Expr] = {}

    def __call__(self, e: Expr) -> Expr:
        if id(e) not in self._memo:
            self._memo[id(e)] = self._made(e)
        return self._memo[id(e)]

    def _made(self, e: Expr) -> Expr:
        if e.kind == "where":
            if e.args[0] is self._condition:
                return self(e.args[2])
            _, a, b = args = tuple(map(self, e.args))
            if a is b:
                return a
        else:
            args = tuple(map(self, e.args))
        made = Expr(e.kind, e.dtype, args, e.word, e.number, e.buffer, e.place, e.size)
        return self._known.setdefault(made.key(), made)
