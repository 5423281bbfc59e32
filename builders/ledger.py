"""The list of steps as it grows: numbers of tensors, names of layers, and how long it may get."""

from __future__ import annotations

from dataclasses import field

from builders.counting import MAX_STEPS, TooManySteps
from builders.faults import Faults
from builders.items import Item
from builders.steps import Ref, Step
from layerkit.errors import Span
from layerkit.records import dataclass


@dataclass
class Common:
    """What the steps of a spec, and those of models in it, have in common."""

    left: int = MAX_STEPS
    """Steps that there may still be."""
    used: set[int] = field(default_factory=set)
    """The blocks that are used somewhere."""


class Ledger:
    """The steps of a spec, or of one model in it; ``common`` is what all the models in it have in common."""

    def __init__(self, faults: Faults, common: Common | None = None) -> None:
        self.faults = faults
        self.steps: list[Step] = []
        self.by_id: dict[int, Step] = {}
        self.broken: set[int] = set()
        """Tensors that a fault, or a hole, kept from being described."""
        self.common = common or Common()
        self.names: dict[str, Span] = {}
        """The names of layers, and where they are given."""
        self._ids = 0
        self._numbers: dict[str, int] = {}

    def new_id(self) -> int:
        """A number for a tensor."""
        self._ids += 1
        return self._ids

    def unknown(self) -> Ref:
        """A tensor of which nothing is said: a fault is reported already, or a hole decides."""
        ref = Ref(self.new_id())
        self.broken.add(ref.id)
        return ref

    def add(self, step: Step) -> None:
        """Write a step at the end."""
        self.steps.append(step)
        self.by_id[step.id] = step

    def take(self, name: str, item: Item) -> None:
        """Note the full name of a layer; two layers may not share one."""
        where = item.name_node.span if item.name_node is not None else item.span
        if name in self.names:
            self.faults.report(f"two layers are called '{name}'.", where, expected="names that differ",
                               got=f"'{name}' also at {self.names[name]}", fix="choose another name for one of them")  # fmt: skip
        self.names.setdefault(name, where)

    def spend(self, where: Span, steps: int = 1) -> None:
        """Count steps before they are made.

        Raises:
            TooManySteps: there would be more than ``MAX_STEPS`` in the whole spec.
        """
        self.common.left -= steps
        if self.common.left < 0:
            raise TooManySteps(where)

    def too_many(self, error: TooManySteps) -> Ref:
        """Report that the limit is reached, and drop what there is so far."""
        self.faults.report("the spec has too many layers.", error.where, expected=f"at most {MAX_STEPS} with all repeats and blocks",
                           got="more", fix="a smaller repeat")  # fmt: skip
        self.steps.clear()
        return self.unknown()

    def give_names(self) -> None:
        """Give layers without a name the name of their class, numbered as Keras does."""
        for step in self.steps:
            if step.name or step.share is not None:
                continue
            step.name = step.base
            while step.name in self.names:
                self._numbers[step.base] = self._numbers.get(step.base, 0) + 1
                step.name = f"{step.base}_{self._numbers[step.base]}"
            self.names[step.name] = step.kind.span
            step.is_named = "/" in step.name
        for step in self.steps:
            if step.share is not None:
                step.name = self.by_id[step.share].name
