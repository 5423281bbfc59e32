"""How many layers a spec would have with all repeats and blocks: counted before the list of them is made.

The count walks each body once, however often it is repeated, and a block once for each set of arguments, so that a short
text that stands for very many layers is refused in little time.
"""

from __future__ import annotations

from collections.abc import Mapping

from builders import nodes
from builders.blocks import Block
from builders.budget import ENTRY, TooMuchWork
from builders.faults import Faults, TooManyFaults
from builders.items import KEYS
from builders.nodes import Node, Scalar, Sequence
from builders.values import Common, Values
from layerkit.errors import Span

MAX_STEPS = 10_000
MAX_NESTED = 20
"""So deep may blocks use blocks."""


class TooManySteps(Exception):
    """There are more than ``MAX_STEPS``."""

    def __init__(self, where: Span) -> None:
        super().__init__()
        self.where = where


class StepCounter:
    """Counts calls of layers; faults are left to those who make the calls."""

    def __init__(self, classes: Mapping[str, type]) -> None:
        self.classes = classes
        self.silent = Faults("")
        self._seen: dict[object, int] = {}

    def count(self, node: Node | None, values: Values, blocks: Mapping[str, Block]) -> int:
        """The number of calls that a list of layers makes.

        Raises:
            TooManySteps: it is more than ``MAX_STEPS``.
            TooMuchWork: finding out takes too much of the budget.
        """
        try:
            common = Common(self.silent, values.common.budget)
            return self._list(node, Values(common, values.named), blocks, ())
        except TooMuchWork:
            raise
        except TooManyFaults:  # those who make the calls will say so
            return 0

    def _list(self, node: Node | None, values: Values, blocks: Mapping[str, Block], stack: tuple[str, ...]) -> int:
        total = 0
        named: dict[str, int] = {}
        for item in node.items if isinstance(node, Sequence) else ():
            values.common.budget.spend(ENTRY, item.span)
            count = self._item(values.head(item), values, blocks, stack, named)
            total += max(1, count)  # an entry is looked at even if it is repeated no times
            if total > MAX_STEPS:
                raise TooManySteps(item.span)
            name = nodes.label(item)
            if name is not None:
                named[name] = count
        return total

    def _item(
        self, item: Node, values: Values, blocks: Mapping[str, Block], stack: tuple[str, ...], named: dict[str, int]
    ) -> int:
        if isinstance(item, Scalar) and isinstance(item.value, str):
            return 1 + self._block(item.value, Scalar(None, item.span, ""), values, blocks, stack)
        if not isinstance(item, nodes.Mapping) or item.tag is not None:
            return 1
        turns, name = 1, None
        for entry in item.entries:
            if entry.name == "repeat":
                times = values.resolve(entry.value)
                turns = max(0, times.value) if isinstance(times, Scalar) and type(times.value) is int else 1
            elif entry.name == "as" and isinstance(entry.value, Scalar):
                name = str(entry.value.value)
        if name is None:
            return turns * self._turn(item, values.turn(0, 1), blocks, stack, named)
        if turns > MAX_STEPS:
            raise TooManySteps(item.span)
        total = 0
        for turn in range(turns):  # each may be of another size
            values.common.budget.spend(ENTRY, item.span)
            total += self._turn(item, values.turn(turn, turns, name, item.span), blocks, stack, named)
            if total > MAX_STEPS:
                raise TooManySteps(item.span)
        return total

    def _turn(
        self,
        item: nodes.Mapping,
        values: Values,
        blocks: Mapping[str, Block],
        stack: tuple[str, ...],
        named: dict[str, int],
    ) -> int:
        """One turn of an entry, or all of one that is not repeated."""
        count = 1
        for entry in item.entries:
            if entry.name == "layers":
                count += self._list(entry.value, values, blocks, stack)
            elif entry.name == "share":
                count += named.get(str(getattr(entry.value, "value", "")), 1)
            elif entry.name in self.classes:
                count += self._argument(entry.value, values, blocks, stack)
            elif entry.name not in KEYS:
                count += self._block(entry.name, entry.value, values, blocks, stack)
        return count

    def _argument(self, node: Node, values: Values, blocks: Mapping[str, Block], stack: tuple[str, ...]) -> int:
        """The calls in blocks that stand for layers as arguments."""
        values.common.budget.spend(3, node.span)
        if isinstance(node, Scalar):
            text = node.value
            if isinstance(text, str) and text.startswith("$") and text[1:] in values.named:
                text = getattr(values.named[text[1:]], "value", None)
            return self._block(text, Scalar(None, node.span, ""), values, blocks, stack) if isinstance(text, str) else 0
        if isinstance(node, Sequence):
            return sum(self._argument(n, values, blocks, stack) for n in node.items)
        return sum(
            self._block(e.name, e.value, values, blocks, stack) + self._argument(e.value, values, blocks, stack)
            for e in node.entries
        )

    def _block(
        self, name: str, arguments: Node, values: Values, blocks: Mapping[str, Block], stack: tuple[str, ...]
    ) -> int:
        if name in self.classes or name in stack or name not in blocks or len(stack) >= MAX_NESTED:
            return 0
        block = blocks[name]
        values.common.budget.spend(3 * len(block.parameters), block.span)
        bound = block.bind(values.resolve(arguments), block.span, self.silent)
        if bound is None:
            return 1
        given = tuple(n.value if isinstance(n, Scalar) else id(n) for n in bound.named.values())
        key = id(block), given
        if key not in self._seen:
            inside = Values(values.common, bound.named)
            self._seen[key] = self._list(block.layers, inside, block.blocks, (*stack, name))
        return self._seen[key]
