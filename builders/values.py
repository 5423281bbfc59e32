"""Named values put in the place of ``$name`` and ``$(...)``: nodes in, nodes without ``$`` out.

A hole stays what it is; whatever depends on one becomes a hole too. ``!each [a, b]`` becomes the value of the turn of the
repeat that it stands in.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from typing import Any

from builders import nodes
from builders.budget import FAULT, FORMULA, Budget
from builders.expressions import HOLE, NAME, Formula, NamedList, Unknown, is_formula
from builders.faults import Faults
from builders.nodes import Entry, Node, Scalar, Sequence
from layerkit.errors import Span, SpecError
from layerkit.records import dataclass


@dataclass
class Common:
    """What all the values of a spec have in common."""

    faults: Faults
    budget: Budget
    formulas: dict[str, Formula] = field(default_factory=dict)
    """Those that were parsed."""
    weights: dict[int, int] = field(default_factory=dict)
    fixed: dict[int, bool] = field(default_factory=dict)
    """Of the nodes seen, by identity, whether nothing in them has to be replaced."""
    kept: list[Node] = field(default_factory=list)
    """The nodes of ``fixed`` and ``weights``, whose identities must not be given to others."""
    turns: dict[Span, int] = field(default_factory=dict)
    """How many turns of repeats each hole marked ``each`` sees."""


class Values(Mapping[str, Any]):
    """The values that have names at one place, as formulas see them."""

    def __init__(self, common: Common, named: Mapping[str, Node], turns: tuple[tuple[int, int], ...] = ()) -> None:
        self.common, self.named, self.turns = common, named, turns

    @staticmethod
    def none(faults: Faults) -> Values:
        """No named values."""
        return Values(Common(faults, Budget(faults)), {})

    def let(self, node: Node | None, what: str = "let") -> Values:
        """These values, and those of a mapping, each of which may use the ones before it."""
        if nodes.is_empty(node):
            return self
        faults = self.common.faults
        if not isinstance(node, nodes.Mapping):
            faults.report(
                f"'{what}' is a mapping.",
                node.span if node else None,
                expected=f"{what}: {{width: 32}}",
                got=nodes.kind(node),
            )
            return self
        named = dict(self.named)
        later = {e.name for e in node.entries} - set(named)
        for entry in node.entries:
            if is_name(entry.key, faults):
                named[entry.name] = Values(self.common, named, self.turns).resolve(entry.value, later)
                later.discard(entry.name)
        return Values(self.common, named, self.turns)

    def bound(self, named: Mapping[str, Node]) -> Values:
        """Other names, outside all repeats."""
        return Values(self.common, named)

    def turn(self, number: int, of: int, name: str | None = None, where: Span | None = None) -> Values:
        """The same, inside one turn of a repeat, which may have a name for its number."""
        named = self.named
        if name is not None and where is not None:  # over the other names, which may be many
            maps = named.maps if isinstance(named, ChainMap) else [named]
            named = ChainMap({name: Scalar(number, where, str(number))}, *maps)  # type: ignore[arg-type]
        return Values(self.common, named, (*self.turns, (number, of)))

    # What formulas see

    def __getitem__(self, name: str) -> Any:
        node = self.named[name]
        if isinstance(node, nodes.Mapping) and node.tag is None:
            raise SpecError(
                f"'{name}' is a mapping, with which nothing can be computed.",
                expected="a number, a text or a list",
                got=f"${name}",
            )
        return _seen(node, self.common.budget)

    def __iter__(self) -> Iterator[str]:
        return iter(self.named)

    def __len__(self) -> int:
        return len(self.named)

    def __contains__(self, name: object) -> bool:
        return name in self.named

    # Replacing

    def head(self, node: Node) -> Node:
        """What a ``$name``, or ``!each``, stands for; what is inside is left as it is."""
        if node.tag == "!each":
            return self.head(self._of_turn(node))
        if isinstance(node, Scalar):
            return self._scalar(node, frozenset())
        return node

    def resolve(self, node: Node, later: frozenset[str] | set[str] = frozenset()) -> Node:
        """``node`` with values in the place of all names; ``later`` are names that are known only after it."""
        if self._is_fixed(node):
            return node
        if node.tag == "!each":
            return self.resolve(self._of_turn(node), later)
        if node.tag is not None:
            self._see(node)
            return node
        if isinstance(node, Scalar):
            return self._scalar(node, later)
        self.common.budget.spend(sum(1 for _ in nodes.children(node)), node.span)
        if isinstance(node, Sequence):
            return replace(node, items=tuple(self.resolve(n, later) for n in node.items))
        return replace(node, entries=tuple(Entry(e.key, self.resolve(e.value, later)) for e in node.entries))

    def _is_fixed(self, node: Node) -> bool:
        found = self.common.fixed.get(id(node))
        if found is None:
            if isinstance(node, Scalar):
                found = node.tag is None and not (isinstance(node.value, str) and node.value.startswith("$"))
            else:
                found = node.tag is None and all(self._is_fixed(n) for n in nodes.children(node))
            self.common.fixed[id(node)] = found
            self.common.kept.append(node)
        return found

    def _scalar(self, node: Scalar, later: frozenset[str] | set[str]) -> Node:
        text = node.value
        if node.tag is not None:
            self._see(node)
            return node
        if not isinstance(text, str) or not text.startswith("$"):
            return node
        if not is_formula(text):
            return replace(node, value=text[1:])
        if text[1:] in self.named:
            return self._put(self.named[text[1:]], node)
        try:
            formula = self._formula(text, node.span)
            self.common.budget.spend(FORMULA + formula.parts, node.span)
            return self._paid(_node(formula.value(self), node), node)
        except Unknown:
            return replace(node, value=None, tag="!choice")
        except SpecError as error:
            error.where = node.span
            if text[1:] in later:
                error.fix = f"'{text[1:]}' is named after it: change the order"
            self.common.faults.add(error)
            self.common.budget.spend(FAULT, node.span)
            return replace(node, value=None, tag="!choice")  # nothing is known of it, as of a hole

    def _formula(self, text: str, where: Span) -> Formula:
        found = self.common.formulas.get(text)
        if found is None:
            self.common.budget.spend(2 * len(text), where)
            found = self.common.formulas[text] = Formula(text)
        return found

    def _put(self, value: Node, where: Scalar) -> Node:
        self.common.budget.spend(FORMULA, where.span)
        if isinstance(value, Scalar):
            return replace(value, span=where.span, text=str(where.value), written=value.written or value.span)
        return self._paid(nodes.moved(value, where.span), where)

    def _paid(self, value: Node, where: Scalar) -> Node:
        """The value, each part of which is looked at again where it is put."""
        if not isinstance(value, Scalar):
            self.common.budget.spend(self._weight(value), where.span)
        return value

    def _weight(self, node: Node) -> int:
        found = self.common.weights.get(id(node))
        if found is None:
            found = self.common.weights[id(node)] = 1 + sum(self._weight(n) for n in nodes.children(node))
            self.common.kept.append(node)
        return found

    # Turns of repeats

    def _see(self, node: Node) -> None:
        """Note that a hole is met in a turn, so that one marked ``each`` is known to need as many values."""
        total = 1
        for _, of in self.turns:
            total *= of
        self.common.turns[node.span] = max(total if self.turns else 0, self.common.turns.get(node.span, 0))

    def _of_turn(self, node: Node) -> Node:
        total, index = 1, 0
        for number, of in self.turns:
            total, index = total * of, index * of + number
        faults = self.common.faults
        self.common.budget.spend(FORMULA, node.span)
        if not self.turns:
            faults.report("'!each' stands in no repeat.", node.span, expected="a place inside repeat:", got="!each")
        elif not isinstance(node, Sequence) or len(node.items) != total:
            got = str(len(node.items)) if isinstance(node, Sequence) else nodes.kind(replace(node, tag=None))
            faults.report(
                "'!each' has one value for each turn of the repeat.", node.span, expected=f"{total} values", got=got
            )
        else:
            return node.items[index]
        self.common.budget.spend(FAULT, node.span)
        return Scalar(None, node.span, "", "!choice")


def is_name(key: Scalar, faults: Faults) -> bool:
    """Whether a key can name a value; if not, that is reported."""
    name = key.value
    if (
        isinstance(name, str)
        and NAME.fullmatch(name)
        and not name.startswith("__")
        and name not in ("true", "false", "if", "else", "and", "or", "not")
    ):
        return True
    faults.report("this cannot be the name of a value.", key.span, expected="letters, digits and _, such as width", got=nodes.shown(key),
                  fix="choose another name")  # fmt: skip
    return False


def _seen(node: Node, budget: Budget) -> Any:
    """A value as formulas see it."""
    if node.tag is not None:
        return HOLE
    if isinstance(node, Scalar):
        return node.value
    return _Items(node, budget) if isinstance(node, Sequence) else node


class _Items(NamedList):
    def __init__(self, node: Sequence, budget: Budget) -> None:
        self.node, self._budget = node, budget

    def __len__(self) -> int:
        return len(self.node.items)

    def __getitem__(self, index: Any) -> Any:
        return _seen(self.node.items[index], self._budget)

    def __iter__(self) -> Iterator[Any]:
        self._budget.spend(len(self), self.node.span)
        return (_seen(item, self._budget) for item in self.node.items)

    def __repr__(self) -> str:
        return f"a list of {len(self)} values"


def _node(value: Any, where: Scalar) -> Node:
    if isinstance(value, _Items):
        return nodes.moved(value.node, where.span)
    if isinstance(value, nodes.Mapping):
        return nodes.moved(value, where.span)
    if isinstance(value, list):
        return Sequence(tuple(_node(v, where) for v in value), where.span)
    return replace(where, value=value)
