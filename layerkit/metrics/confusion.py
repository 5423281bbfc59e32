"""Metrics of yes-or-no predictions: what is right and wrong above and below thresholds, and curves over all of them.

True and false positives and negatives are counted for each threshold at once; predictions above a threshold say yes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np

from layerkit import ops
from layerkit.errors import ArgumentError
from layerkit.fields import Fraction, OneOf, PositiveInt
from layerkit.losses.base import match
from layerkit.metrics.base import METRICS, Metric, divide, weights_of
from layerkit.ops.core import operand
from layerkit.trace import Weight

_EPSILON = 1e-7
COUNTS = ("true_positives", "false_positives", "true_negatives", "false_negatives")


class _Confusion(Metric):
    """Counts at thresholds; ``counted`` names those that are kept."""

    counted: ClassVar[tuple[str, ...]] = COUNTS
    if TYPE_CHECKING:
        levels: list[float]
        top_k: int | None
        class_id: int | None
    else:  # arguments of those subclasses alone that declare them
        top_k = class_id = None

    def make_state(self) -> None:
        self.counts: dict[str, Weight] = {}
        self.make_counts((len(self.levels),))

    def make_counts(self, shape: tuple[int, ...]) -> None:
        """Make the state, (thresholds,) or (thresholds, labels)."""
        self.counts = {name: self.add_variable(shape, name=name) for name in self.counted}
        for name, total in self.counts.items():
            setattr(self, name, total)

    def count(self, y_true: Any, y_pred: Any, weight: Any, axis: int = 1) -> None:
        """Add up elements along ``axis``; all are (n,) or (n, labels)."""
        levels = np.asarray(self.levels, "float32").reshape(-1, *(1,) * y_pred.ndim)
        above = ops.greater(ops.expand_dims(y_pred, 0), levels)
        is_true = ops.expand_dims(ops.not_equal(y_true, 0.0), 0)
        for name, total in self.counts.items():
            said = above if name.endswith("positives") else ops.logical_not(above)
            fits = is_true if name in ("true_positives", "false_negatives") else ops.logical_not(is_true)
            found = ops.where(ops.logical_and(said, fits), ops.expand_dims(weight, 0), 0.0)
            total.assign(total + ops.sum(found, axis))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        y_true, y_pred = match(operand(y_true), operand(y_pred), str(self.name))
        weight = weights_of(sample_weight, y_pred)
        weight = ops.broadcast_to(ops.cast(1.0, "float32") if weight is None else weight, y_pred.shape)
        if self.top_k is not None:
            y_pred = ops.where(_is_among_best(y_pred, self.top_k), y_pred, -np.inf)
        if self.class_id is not None:
            y_true, y_pred, weight = (x[..., self.class_id] for x in (y_true, y_pred, weight))
        self.count(*(ops.reshape(ops.cast(x, "float32"), (-1,)) for x in (y_true, y_pred, weight)))

    def values(self) -> dict[str, Any]:
        """The counts so far, by name."""
        return {name: total.value for name, total in self.counts.items()}


def _is_among_best(x: Any, k: int) -> Any:
    """Whether an element is one of the ``k`` largest along the last axis; of equal ones the first are."""
    one, other = ops.expand_dims(x, -1), ops.expand_dims(x, -2)
    place = ops.arange(x.shape[-1])
    is_before = ops.greater(ops.expand_dims(place, 1), ops.expand_dims(place, 0))
    is_better = ops.logical_or(ops.greater(other, one), ops.logical_and(ops.equal(other, one), is_before))
    return ops.less(ops.sum(ops.cast(is_better, "int32"), -1), k)


def _levels(thresholds: Any, default: float) -> list[float]:
    """Thresholds as a list.

    Raises:
        ArgumentError: one is not between 0 and 1.
    """
    listed = [default] if thresholds is None else list(thresholds) if isinstance(thresholds, Sequence) else [thresholds]
    if thresholds is not None and not all(isinstance(t, int | float) and 0 <= t <= 1 for t in listed):
        raise ArgumentError("thresholds are probabilities.", expected="numbers from 0 to 1", got=repr(thresholds))
    return [float(t) for t in listed]


def _evenly(count: int) -> list[float]:
    """``count`` thresholds from 0 to 1."""
    return [0.5] if count == 1 else [i / (count - 1) for i in range(count)]


class _Count(_Confusion):
    """One of the counts.

    Args:
        thresholds: predictions above it say yes; 0.5 unless given; several give a number for each.
        name: its name in logs.
        dtype: not used; there for Keras.
    """

    thresholds: Any = None
    name: str | None = None

    def make_state(self) -> None:
        self.levels = _levels(self.thresholds, 0.5)
        super().make_state()

    def result(self) -> Any:
        (total,) = self.values().values()
        return total[0] if len(self.levels) == 1 else total


@METRICS.add
class TruePositives(_Count):
    """How many yes are predicted.

    Example:
        >>> float(TruePositives()([0, 1, 1, 1], [1, 0, 1, 1]))
        2.0
    """

    counted = ("true_positives",)
    name = None


@METRICS.add
class FalsePositives(_Count):
    """How many no are predicted as yes."""

    counted = ("false_positives",)
    name = None


@METRICS.add
class TrueNegatives(_Count):
    """How many no are predicted."""

    counted = ("true_negatives",)
    name = None


@METRICS.add
class FalseNegatives(_Count):
    """How many yes are predicted as no."""

    counted = ("false_negatives",)
    name = None


class _Share(_Confusion):
    """True positives as a share of them and of the other count.

    Args:
        thresholds: predictions above it say yes; 0.5 unless given; several give a number for each.
        top_k: only the so many best of each row can say yes.
        class_id: look at this class alone.
        name: its name in logs.
        dtype: not used; there for Keras.
    """

    _direction = "up"

    thresholds: Any = None
    top_k: PositiveInt | None = None
    class_id: int | None = None
    name: str | None = None

    def make_state(self) -> None:
        self.levels = _levels(self.thresholds, 0.5 if self.top_k is None else -1e10)
        super().make_state()

    def result(self) -> Any:
        hits, others = self.values().values()
        share = divide(hits, hits + others)
        return share[0] if len(self.levels) == 1 else share


@METRICS.add
class Precision(_Share):
    """The share of right ones among those predicted as yes.

    Example:
        >>> round(float(Precision()([0, 1, 1, 1], [1, 0, 1, 1])), 4)
        0.6667
    """

    counted = ("true_positives", "false_positives")
    name = None


@METRICS.add
class Recall(_Share):
    """The share of those predicted as yes among all that are.

    Example:
        >>> round(float(Recall()([0, 1, 1, 1], [1, 0, 1, 1])), 4)
        0.6667
    """

    counted = ("true_positives", "false_negatives")
    name = None


class _AtLeast(_Confusion):
    """The best of one share among thresholds at which another is large enough."""

    _direction = "up"

    if TYPE_CHECKING:
        num_thresholds: int

    def make_state(self) -> None:
        self.levels = _evenly(self.num_thresholds)
        super().make_state()

    def shares(self, counts: dict[str, Any]) -> tuple[Any, Any]:
        """What has to be large enough, and what is wanted, at each threshold."""
        raise NotImplementedError

    @property
    def least(self) -> float:
        """How large the first must be."""
        raise NotImplementedError

    def result(self) -> Any:
        bound, wanted = self.shares(self.values())
        return ops.max(ops.where(ops.greater_equal(bound, self.least), wanted, 0.0))


def _sensitivity(c: dict[str, Any]) -> Any:
    return divide(c["true_positives"], c["true_positives"] + c["false_negatives"])


def _specificity(c: dict[str, Any]) -> Any:
    return divide(c["true_negatives"], c["true_negatives"] + c["false_positives"])


def _false_alarms(c: dict[str, Any]) -> Any:
    return divide(c["false_positives"], c["false_positives"] + c["true_negatives"])


def _precision(c: dict[str, Any]) -> Any:
    return divide(c["true_positives"], c["true_positives"] + c["false_positives"])


@METRICS.add
class SensitivityAtSpecificity(_AtLeast):
    """The best sensitivity (recall) where specificity is at least ``specificity``.

    Args:
        specificity: the share of no that must be predicted.
        num_thresholds: how many thresholds are tried.
        class_id: look at this class alone.
        name: its name in logs.
        dtype: not used; there for Keras.

    Example:
        >>> float(SensitivityAtSpecificity(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8]))
        0.5
    """

    specificity: Fraction
    num_thresholds: PositiveInt = 200
    class_id: int | None = None
    name: str | None = None

    @property
    def least(self) -> float:
        return self.specificity

    def shares(self, counts: dict[str, Any]) -> tuple[Any, Any]:
        return _specificity(counts), _sensitivity(counts)


@METRICS.add
class SpecificityAtSensitivity(_AtLeast):
    """The best specificity where sensitivity (recall) is at least ``sensitivity``.

    Args:
        sensitivity: the share of yes that must be predicted.
        num_thresholds: how many thresholds are tried.
        class_id: look at this class alone.
        name: its name in logs.
        dtype: not used; there for Keras.
    """

    sensitivity: Fraction
    num_thresholds: PositiveInt = 200
    class_id: int | None = None
    name: str | None = None

    @property
    def least(self) -> float:
        return self.sensitivity

    def shares(self, counts: dict[str, Any]) -> tuple[Any, Any]:
        return _sensitivity(counts), _specificity(counts)


@METRICS.add
class PrecisionAtRecall(_AtLeast):
    """The best precision where recall is at least ``recall``.

    Args:
        recall: the share of yes that must be predicted.
        num_thresholds: how many thresholds are tried.
        class_id: look at this class alone.
        name: its name in logs.
        dtype: not used; there for Keras.
    """

    recall: Fraction
    num_thresholds: PositiveInt = 200
    class_id: int | None = None
    name: str | None = None

    @property
    def least(self) -> float:
        return self.recall

    def shares(self, counts: dict[str, Any]) -> tuple[Any, Any]:
        return _sensitivity(counts), _precision(counts)


@METRICS.add
class RecallAtPrecision(_AtLeast):
    """The best recall where precision is at least ``precision``.

    Args:
        precision: the share of right ones among those predicted as yes.
        num_thresholds: how many thresholds are tried.
        class_id: look at this class alone.
        name: its name in logs.
        dtype: not used; there for Keras.
    """

    precision: Fraction
    num_thresholds: PositiveInt = 200
    class_id: int | None = None
    name: str | None = None

    @property
    def least(self) -> float:
        return self.precision

    def shares(self, counts: dict[str, Any]) -> tuple[Any, Any]:
        return _precision(counts), _sensitivity(counts)


@METRICS.add
class AUC(_Confusion):
    """Area under the curve of rates over all thresholds, as a Riemann sum.

    Args:
        num_thresholds: how many thresholds, evenly from 0 to 1; the ends lie just outside.
        curve: "ROC" (recall over false positives) or "PR" (precision over recall).
        summation_method: "interpolation", "minoring" (a lower bound) or "majoring" (an upper bound). For "PR",
            interpolation is that of Davis and Goadrich 2006.
        name: its name in logs.
        dtype: not used; there for Keras.
        thresholds: thresholds of your own, between the two ends.
        multi_label: whether each label has a curve of its own, and the result is the mean of the areas.
        num_labels: the number of labels, if it is to be known at once.
        label_weights: how much each label counts.
        from_logits: whether predictions are before the sigmoid.

    Example:
        >>> float(AUC(num_thresholds=3)([0, 0, 1, 1], [0, 0.5, 0.3, 0.9]))
        0.75
    """

    _direction = "up"

    num_thresholds: PositiveInt = 200
    curve: Annotated[str, OneOf(("ROC", "PR"))] = "ROC"
    summation_method: Annotated[str, OneOf(("interpolation", "minoring", "majoring"))] = "interpolation"
    name: str | None = None
    dtype: Any = None
    thresholds: Any = None
    multi_label: bool = False
    num_labels: PositiveInt | None = None
    label_weights: Any = None
    from_logits: bool = False

    def make_state(self) -> None:
        if self.thresholds is None and self.num_thresholds < 2:
            raise ArgumentError("a curve has two ends.", layer="AUC", expected="num_thresholds > 1", got=repr(self))
        if self.num_labels is not None and not self.multi_label:
            raise ArgumentError(
                "'num_labels' is for several labels.", layer="AUC", expected="multi_label=True", got=repr(self)
            )
        inner = _evenly(self.num_thresholds)[1:-1] if self.thresholds is None else sorted(_levels(self.thresholds, 0.5))
        self.levels = [-_EPSILON, *inner, 1.0 + _EPSILON]
        self.num_thresholds, self.thresholds = len(self.levels), self.levels
        self.counts = {}
        if not self.multi_label or self.num_labels is not None:
            self.make_counts((len(self.levels), *([self.num_labels] if self.num_labels is not None else [])))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch; (batch, labels) with ``multi_label``."""
        y_true, y_pred = match(operand(y_true), operand(y_pred), str(self.name))
        y_pred = ops.sigmoid(y_pred) if self.from_logits else y_pred
        if not self.counts:
            self.make_counts((len(self.levels), y_pred.shape[-1]))
        weight = weights_of(sample_weight, y_pred)
        weight = ops.broadcast_to(ops.cast(1.0, "float32") if weight is None else weight, y_pred.shape)
        if self.label_weights is not None and not self.multi_label:
            weight = weight * np.asarray(self.label_weights, "float32")
        parts = [ops.cast(x, "float32") for x in (y_true, y_pred, weight)]
        self.count(*(parts if self.multi_label else [ops.reshape(x, (-1,)) for x in parts]))

    def result(self) -> Any:
        if not self.counts:
            return ops.zeros(())
        areas = self._areas(self.values())
        if not self.multi_label:
            return areas
        if self.label_weights is None:
            return ops.mean(areas)
        weight = np.asarray(self.label_weights, "float32")
        return divide(ops.sum(areas * weight), ops.sum(weight))

    def _areas(self, c: dict[str, Any]) -> Any:
        if self.curve == "PR" and self.summation_method == "interpolation":
            return _interpolated(c)
        recall = _sensitivity(c)
        x, y = (_false_alarms(c), recall) if self.curve == "ROC" else (recall, _precision(c))
        left, right = y[:-1], y[1:]
        method = {"minoring": ops.minimum, "majoring": ops.maximum}.get(self.summation_method)
        height = (left + right) / 2.0 if method is None else method(left, right)
        return ops.sum((x[:-1] - x[1:]) * height, 0)


def _interpolated(c: dict[str, Any]) -> Any:
    """Area under precision over recall: between two thresholds the counts change evenly, their ratio does not."""
    hits = c["true_positives"]
    said = hits + c["false_positives"]
    slope = divide(hits[:-1] - hits[1:], ops.maximum(said[:-1] - said[1:], 0.0))
    start = hits[1:] - slope * said[1:]
    some = ops.logical_and(ops.greater(said[:-1], 0.0), ops.greater(said[1:], 0.0))
    ratio = ops.where(some, divide(said[:-1], said[1:]), 1.0)
    gain = slope * (hits[:-1] - hits[1:] + start * ops.log(ratio))
    return ops.sum(divide(gain, hits[1:] + c["false_negatives"][1:]), 0)
