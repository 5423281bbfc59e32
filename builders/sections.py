"""The sections ``compile`` and ``fit``: what ``Model.compile`` and ``Model.fit`` take, checked at their places."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from builders import nodes
from builders.arguments import Arguments
from builders.faults import Faults
from builders.nodes import Node, Scalar, Sequence, short
from layerkit import engines, losses, metrics, optimizers
from layerkit.errors import UnknownNameError, did_you_mean
from layerkit.metrics.base import METRICS
from layerkit.models import Model
from layerkit.registry import Registry
from layerkit.training.callbacks import CALLBACKS

NOT_IN_FIT = ("x", "y", "sample_weight", "validation_data", "initial_epoch")


class Sections:
    """Checks the sections; keeps faults."""

    def __init__(self, faults: Faults, arguments: Arguments) -> None:
        self.faults, self.arguments = faults, arguments

    def compile(self, node: Node | None, outputs: Iterable[str] | None) -> dict[str, Any] | None:
        """The arguments of ``compile``; None without the section, or after a fault or a hole in it.

        Args:
            node: the section.
            outputs: the names by which losses and metrics of several outputs are given; None if not known.
        """
        if node is None:
            return None
        before = len(self.faults)
        found = self.arguments.of_function(Model.compile, node, "compile")
        if "optimizer" in found:
            self.arguments.of_registry(optimizers.OPTIMIZERS, found["optimizer"])
        names = None if outputs is None else list(outputs)
        if "loss" in found:
            self._each(found["loss"], losses.LOSSES, names, "loss", self._loss)
        for key in ("metrics", "weighted_metrics"):
            if key in found:
                self._each(found[key], METRICS, names, key, self._metric)
        if "loss_weights" in found:
            self._each(found["loss_weights"], None, names, "loss_weights", self._weight)
        if "engine" in found:
            with self.faults.caught(found["engine"].span):
                engines.get(found["engine"].plain())
        if len(self.faults) > before or nodes.has_hole(node):
            return None
        return {k: v.plain() for k, v in found.items()}

    def _each(self, node: Node, registry: Registry | None, outputs: list[str] | None, what: str, check: Any) -> None:
        """Check each entry of a value for one output, of a list, or of a mapping by output."""
        if isinstance(node, Sequence) and node.tag is None:
            if what in ("loss", "loss_weights") and outputs and len(node.items) != len(outputs):
                self.faults.report(f"'{what}' has another number of entries than there are outputs.", node.span,
                                   expected=f"{len(outputs)}: {', '.join(outputs)}", got=str(len(node.items)))  # fmt: skip
            for item in node.items:
                self._each(item, registry, [], what, check)
        elif isinstance(node, nodes.Mapping) and node.tag is None and not _is_call(node, registry, outputs):
            for entry in node.entries:
                if outputs and entry.name not in outputs:
                    self.faults.report(f"'{what}' names an output that the model does not have.", entry.key.span, expected=", ".join(outputs),
                                       got=entry.name, fix=did_you_mean(entry.name, outputs))  # fmt: skip
                self._each(entry.value, registry, [], what, check)
        elif not nodes.is_empty(node) and node.tag is None:
            check(node)

    def _loss(self, node: Node) -> None:
        self.arguments.of_registry(losses.LOSSES, node)

    def _metric(self, node: Node) -> None:
        if isinstance(node, Scalar) and isinstance(node.value, str):
            with self.faults.caught(node.span):
                try:
                    metrics.check_name(node.value)
                except UnknownNameError as error:
                    if "," in node.value:
                        error.fix = f"write brackets around several: [{short(node.value)}]"
                    raise
        else:
            self.arguments.of_registry(METRICS, node)

    def _weight(self, node: Node) -> None:
        if not isinstance(node, Scalar) or isinstance(node.value, bool) or not isinstance(node.value, int | float):
            self.faults.report("a loss weight is a number.", node.span, expected="a number", got=nodes.shown(node))

    def fit(self, node: Node | None) -> dict[str, Any]:
        """The arguments of ``fit``, but for the data."""
        found = self.arguments.of_function(Model.fit, node, "fit", NOT_IN_FIT)
        callbacks = found.get("callbacks")
        if isinstance(callbacks, Sequence) and callbacks.tag is None:
            for item in callbacks.items:
                self.arguments.of_registry(CALLBACKS, item)
        elif callbacks is not None and not nodes.is_empty(callbacks) and callbacks.tag is None:
            self.faults.report("'callbacks' is a list.", callbacks.span, expected="callbacks: [EarlyStopping]", got=nodes.kind(callbacks),
                               fix="begin each with '- '")  # fmt: skip
        return {k: v.plain() for k, v in found.items() if not nodes.has_hole(v)}


def _is_call(node: nodes.Mapping, registry: Registry | None, outputs: list[str] | None) -> bool:
    """Whether a mapping is ``{name: arguments}`` of one loss or metric, also of a misspelt one, and not one by output."""
    if registry is None or len(node.entries) != 1:
        return False
    name = node.entries[0].name
    is_known = name in registry.classes or name in registry.aliases
    return is_known or outputs == [] or (name[:1].isupper() and name not in (outputs or ()))
