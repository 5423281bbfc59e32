"""Losses and metrics matched to the outputs of a model, as ``compile`` was given them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from layerkit import losses, metrics, ops, tree
from layerkit.errors import ArgumentError, did_you_mean
from layerkit.ir import origin
from layerkit.ops.core import dtype_of
from layerkit.trace import get_mask


def by_output(given: Any, names: Sequence[str], what: str) -> list[Any]:
    """One entry for each output: from a dict by name, from a list by place, one alone for all.

    Raises:
        ArgumentError: a name that no output has, or another number of entries.
    """
    if isinstance(given, Mapping):
        for key in given:
            if key not in names:
                raise ArgumentError(f"{what} names an output that the model does not have.", expected=", ".join(names), got=str(key),
                                    fix=did_you_mean(str(key), names))  # fmt: skip
        return [given.get(n) for n in names]
    if isinstance(given, list | tuple):
        if len(given) != len(names):
            raise ArgumentError(f"{what} has another number of entries than the model has outputs.", expected=f"{len(names)}: {list(names)}",
                                got=str(len(given)))  # fmt: skip
        return list(given)
    return [given] * len(names)


class CompiledLoss:
    """The weighted sum of the losses of all outputs, and their running means."""

    def __init__(self, loss: Any, loss_weights: Any) -> None:
        self._weights = loss_weights
        self._loss = loss
        self._made: list[losses.Loss | None] | None = None
        for each in _each(loss):
            losses.get(each)  # a misspelt name is an error now
        for factor in tree.leaves(loss_weights):
            if isinstance(factor, bool) or not isinstance(factor, int | float):
                raise ArgumentError(
                    "a loss weight is a number.",
                    expected="numbers",
                    got=repr(factor),
                    fix="metrics are given as metrics=[...]",
                )
        self.trackers: list[metrics.Mean] = [metrics.Mean(name="loss")]
        self._parts: list[tuple[Any, metrics.Mean]] = []

    def losses(self, names: Sequence[str]) -> list[losses.Loss | None]:
        """The loss of each output, or None."""
        if self._made is None:
            given = self._loss
            if is_config(given):
                given = losses.get(given)  # {name: arguments}
            self._made = [losses.get(_only(x)) for x in by_output(given, names, "loss")]
            parts = [f"{n}_loss" for n, x in zip(names, self._made, strict=True) if x is not None]
            if len(parts) > 1:
                self.trackers += [metrics.Mean(name=n) for n in parts]
        return self._made

    def targets(self, y: Any, names: Sequence[str]) -> list[Any]:
        """The target of each output, or None; those of some outputs alone are of those that have a loss."""
        if y is None:
            return [None] * len(names)
        if len(names) == 1:
            found = tree.leaves(y)
            if len(found) != 1:
                raise ArgumentError("the model has one output.", expected="one array of targets", got=str(len(found)))
            return found
        given = y if isinstance(y, Mapping | list | tuple) else [y]
        with_loss = [n for n, loss in enumerate(self.losses(names)) if loss is not None]
        if not isinstance(given, Mapping) and len(given) == len(with_loss) < len(names):
            places = dict(zip(with_loss, given, strict=True))
            return [places.get(n) for n in range(len(names))]
        return by_output(given, names, "y")

    def __call__(self, y: Any, y_pred: Any, sample_weight: Any, names: Sequence[str], added: Sequence[Any]) -> Any:
        found = self.losses(names)
        outputs = tree.leaves(y_pred)
        total: Any = None
        self._parts = []
        if any(x is not None for x in found):
            if y is None:
                raise ArgumentError("the loss needs targets.", expected="y=...", got="none")
            targets = self.targets(y, names)
            weights = _sample_weights(sample_weight, names)
            factors = (
                by_output(self._weights, names, "loss_weights") if self._weights is not None else [None] * len(names)
            )
            trackers = iter(self.trackers[1:])  # none where there is one loss
            for loss, target, output, weight, factor in zip(found, targets, outputs, weights, factors, strict=True):
                if loss is None:
                    continue
                with origin(f"the loss '{loss.name}'"):
                    value = loss(target, output, weight)
                tracker = next(trackers, None)
                if tracker is not None:
                    self._parts.append((value, tracker))
                value = value if factor is None else value * float(factor)
                total = value if total is None else total + ops.cast(value, dtype_of(total))
        for value in added:
            total = value if total is None else total + ops.cast(value, dtype_of(total))
        if total is None:
            raise ArgumentError(
                "there is nothing to make small.", expected="compile(loss=...), or a layer with add_loss", got="no loss"
            )
        return total

    def track(self, loss: Any, rows: Any) -> dict[str, Any]:
        """Add a batch of ``rows`` rows to the running means."""
        weight = ops.cast(ops.size(rows), "float32")
        self.trackers[0].update_state(loss, weight)
        for value, tracker in self._parts:
            tracker.update_state(value, weight)
        return {str(t.name): t.result() for t in self.trackers}


def _only(given: Any) -> Any:
    """The loss of one output, which may stand in a list of its own."""
    return given[0] if isinstance(given, list | tuple) and len(given) == 1 else given


def _sample_weights(sample_weight: Any, names: Sequence[str]) -> list[Any]:
    if sample_weight is None or not isinstance(sample_weight, Mapping | list | tuple):
        return [sample_weight] * len(names)
    return by_output(sample_weight, names, "sample_weight")


class CompiledMetrics:
    """The metrics of all outputs."""

    def __init__(self, given: Any, weighted: Any) -> None:
        self._given, self._weighted = given, weighted
        for each in (*_each(given), *_each(weighted)):
            metrics.check_name(each)
        self._made: list[list[tuple[metrics.Metric, bool]]] | None = None

    @property
    def all(self) -> list[metrics.Metric]:
        """The metrics that have been made."""
        return [m for one in self._made or [] for m, _ in one]

    def _make(
        self, targets: Sequence[Any], outputs: Sequence[Any], names: Sequence[str]
    ) -> list[list[tuple[metrics.Metric, bool]]]:
        if self._made is None:
            self._made = [[] for _ in names]
            taken: list[set[Any]] = [set() for _ in names]
            for given, is_weighted in ((self._given, False), (self._weighted, True)):
                for i, wanted in enumerate(_lists(given, names)):
                    for each in wanted:
                        target = targets[i].shape if targets[i] is not None else ()
                        metric = metrics.get(each, target, outputs[i].shape)
                        name = _free(metric.name, taken[i], is_weighted)
                        taken[i].add(name)
                        metric.name = f"{names[i]}_{name}" if len(names) > 1 else name
                        self._made[i].append((metric, is_weighted))
        return self._made

    def __call__(self, targets: Sequence[Any], y_pred: Any, sample_weight: Any, names: Sequence[str]) -> dict[str, Any]:
        """Add a batch, ``targets`` one for each output; the values so far."""
        if not self._given and not self._weighted:
            return {}
        outputs = tree.leaves(y_pred)
        weights = _sample_weights(sample_weight, names)
        for made, target, output, weight in zip(
            self._make(targets, outputs, names), targets, outputs, weights, strict=True
        ):
            for metric, is_weighted in made:
                metric.update_state(target, output, weight if is_weighted else None)
        return {str(m.name): m.result() for m in self.all}


def _free(name: Any, taken: set[Any], is_weighted: bool) -> str:
    """``name``, or one like it that no other metric has."""
    if name in taken and is_weighted and f"weighted_{name}" not in taken:
        return f"weighted_{name}"
    tries = (name if i == 0 else f"{name}_{i}" for i in range(len(taken) + 1))
    return next(str(n) for n in tries if n not in taken)


def is_config(given: Any) -> bool:
    """Whether this is one loss or metric, written ``{name: arguments}``."""
    return (
        isinstance(given, Mapping)
        and len(given) == 1
        and next(iter(given)) in {**losses.LOSSES.classes, **metrics.METRICS.classes}
    )


def _each(given: Any) -> list[Any]:
    """Every single loss or metric in what ``compile`` was given."""
    if given is None:
        return []
    if isinstance(given, list | tuple):
        return [x for each in given for x in _each(each)]
    if isinstance(given, Mapping):
        if is_config(given):
            return [given]
        return [x for each in given.values() for x in _each(each)]
    return [given]


def _lists(given: Any, names: Sequence[str]) -> list[list[Any]]:
    """A list of metrics for each output."""
    if given is None:
        return [[] for _ in names]
    if isinstance(given, Mapping) and not is_config(given):
        return [_listed(x) for x in by_output(given, names, "metrics")]
    if len(names) == 1:
        flat = [x for each in _listed(given) for x in (each if isinstance(each, list | tuple) else [each])]
        return [flat]
    listed = _listed(given)
    if any(isinstance(x, list | tuple) or x is None for x in listed):
        return [_listed(x) for x in by_output(listed, names, "metrics")]
    if len(listed) == len(names):
        return [[x] for x in listed]
    return [list(listed) for _ in names]


def _listed(x: Any) -> list[Any]:
    return [] if x is None else list(x) if isinstance(x, list | tuple) else [x]


__all__ = ["CompiledLoss", "CompiledMetrics", "by_output", "get_mask"]
