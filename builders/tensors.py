"""Tensors by name: what ``from``, ``call`` and ``outputs`` of a spec mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from builders import nodes
from builders.faults import Faults
from builders.frames import Frame
from builders.items import Item
from builders.ledger import Ledger
from builders.nodes import Node, Scalar, Sequence
from builders.steps import Ref, Step
from layerkit.errors import MANY, Span, did_you_mean, listed, nearest


class Tensors:
    """Finds tensors by the names that they have at one place, and says what is wrong with those that there are not."""

    def __init__(self, faults: Faults, classes: Mapping[str, type], ledger: Ledger) -> None:
        self.faults, self.classes, self.ledger = faults, classes, ledger

    def reads(self, node: Node, frame: Frame, what: str) -> Any:
        """The tensors that a name, a list or a mapping of names stands for; ``what`` reads them."""
        if node.tag is not None:
            return self.ledger.unknown()
        if isinstance(node, Scalar):
            return self._tensor(node, frame, what)
        if isinstance(node, Sequence):
            return [self.reads(n, frame, what) for n in node.items]
        return {e.name: self.reads(e.value, frame, what) for e in node.entries}

    def _tensor(self, node: Scalar, frame: Frame, what: str) -> Ref:
        name = str(node.value) if node.value is not None else ""
        told = nodes.short(name)
        found, output = frame.names.get(name), None
        if found is None and "." in name:
            base, _, output = name.rpartition(".")
            found = frame.names.get(base)
        if found is not None:
            return Ref(found.id, output if output is not None else found.output, node.span)
        known = list(frame.names)
        parts = [part.strip() for part in name.split(",")]
        fix: str | None
        if len(parts) > 1 and all(part.partition(".")[0] in frame.names for part in parts):
            fix = f"write brackets around several tensors: [{name}]"
        elif name in frame.later:
            fix = f"'{name}' is made after it: change the order"
        else:
            fix = self._fix(name.partition(".")[0], known, frame)
        self.faults.report(f"there is no tensor '{told}' before {what}." if what != "a spec" else f"there is no tensor '{told}'.",
                           node.span, expected=listed(known), got=nodes.shown(node), fix=fix)  # fmt: skip
        return self.ledger.unknown()

    def _fix(self, name: str, known: list[str], frame: Frame) -> str | None:
        """How to mend a tensor's name that is not known: the nearest, or the layer that has to be given one."""
        unnamed: dict[str, Step] = {}
        numbers: Counter[str] = Counter()
        for step in self.ledger.steps[:MANY]:
            base = step.base.removeprefix(frame.prefix)
            if not step.name and step.share is None and step.base.startswith(frame.prefix) and "/" not in base:
                unnamed[f"{base}_{numbers[base]}" if numbers[base] else base] = step
                numbers[base] += 1
        match = name if name in unnamed else nearest(name, [*known, *unnamed])
        if match in unnamed:
            told = nodes.short(match)
            here = "" if match == name else f", and '{told}' here"
            return f"tensors have the names that they are given: write 'name: {told}' beside the layer at {unnamed[match].kind.span}{here}"
        if frame.blocks.get(name) or name in self.classes:
            return "give that layer a name of its own: write 'name: ...' beside it"
        if match is None and unnamed:
            return f"use one of {listed(known)}, or give the layer that is meant a name: write 'name: ...' beside it"
        return did_you_mean(name, known) if known else None

    def call(self, item: Item, frame: Frame) -> tuple[dict[str, Any], dict[str, Span]]:
        """The further arguments of the call: texts are names of tensors."""
        if item.call is None:
            return {}, {}
        node = frame.values.resolve(item.call)
        if not isinstance(node, nodes.Mapping):
            self.faults.report("'call' is a mapping.", node.span, expected="call: {mask: name}", got=nodes.kind(node))
            return {}, {}

        def value(node: Node) -> Any:
            if node.tag is not None:
                return self.ledger.unknown()
            if isinstance(node, Scalar):
                return self._tensor(node, frame, "this layer") if isinstance(node.value, str) else node.value
            if isinstance(node, Sequence):
                return [value(n) for n in node.items]
            return {e.name: value(e.value) for e in node.entries}

        return {e.name: value(e.value) for e in node.entries}, {e.name: e.key.span for e in node.entries}
