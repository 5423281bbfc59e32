"""Metrics of classes and regions from counts per class: F-scores and intersection over union."""

from __future__ import annotations

from typing import Annotated, Any

from layerkit import ops
from layerkit.errors import ArgumentError
from layerkit.fields import Number, OneOf, PositiveFloat, PositiveInt
from layerkit.losses.base import match
from layerkit.metrics.base import METRICS, Metric, divide, weights_of
from layerkit.ops.core import dtype_of, operand
from layerkit.trace import Weight

_EPSILON = 1e-7


@METRICS.add
class FBetaScore(Metric):
    """Weighted harmonic mean of precision and recall of each class.

    Args:
        average: how classes become one number: "micro" counts all together, "macro" takes the mean, "weighted" the mean by
            how often they occur; None gives a number for each.
        beta: how much recall counts against precision.
        threshold: predictions above it say yes; None: the largest of each row does.
        name: its name in logs.
        dtype: not used; there for Keras.

    Example:
        >>> y_true, y_pred = [[1, 1, 1], [1, 0, 0], [1, 1, 0]], [[0.2, 0.6, 0.7], [0.2, 0.6, 0.6], [0.6, 0.8, 0.0]]
        >>> FBetaScore(beta=2.0, threshold=0.5)(y_true, y_pred).round(3)
        array([0.385, 0.909, 0.833], dtype=float32)
    """

    _direction = "up"

    average: Annotated[Any, OneOf((None, "micro", "macro", "weighted"))] = None
    beta: PositiveFloat = 1.0
    threshold: Annotated[float, Number(float, 0, 1, open_low=True)] | None = None
    name: str | None = "fbeta_score"

    def make_state(self) -> None:
        self._counts: dict[str, Weight] = {}

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch: (batch, classes), (batch, classes)."""
        y_true, y_pred = match(operand(y_true), operand(y_pred), str(self.name))
        if not self._counts:
            shape = () if self.average == "micro" else (y_true.shape[-1],)
            names = ("true_positives", "false_positives", "false_negatives", "intermediate_weights")
            self._counts = {n: self.add_variable(shape, name=n) for n in names}
        if self.threshold is None:
            is_best = ops.equal(y_pred, ops.max(y_pred, -1, keepdims=True))
            said = ops.logical_and(is_best, ops.greater(ops.abs(y_pred), 1e-9))
        else:
            said = ops.greater(y_pred, self.threshold)
        said, weight = ops.cast(said, dtype_of(y_true)), weights_of(sample_weight, y_true)
        added = (said * y_true, said * (1.0 - y_true), (1.0 - said) * y_true, y_true)
        for total, values in zip(self._counts.values(), added, strict=True):
            values = values if weight is None else values * weight
            total.assign(total + ops.cast(ops.sum(values, None if self.average == "micro" else 0), "float32"))

    def result(self) -> Any:
        if not self._counts:
            return ops.zeros(())
        hits, wrong, missed, support = (c.value for c in self._counts.values())
        precision, recall = divide(hits, hits + wrong), divide(hits, hits + missed)
        square = self.beta * self.beta
        scores = (1.0 + square) * divide(precision * recall, square * precision + recall)
        if self.average == "weighted":
            return ops.sum(scores * divide(support, ops.sum(support)))
        return ops.mean(scores) if self.average is not None else scores


@METRICS.add
class F1Score(FBetaScore):
    """Harmonic mean of precision and recall of each class.

    Args:
        average: as in ``FBetaScore``.
        threshold: predictions above it say yes; None: the largest of each row does.
        name: its name in logs.
        dtype: not used; there for Keras.
    """

    average: Annotated[Any, OneOf((None, "micro", "macro", "weighted"))] = None
    threshold: Annotated[float, Number(float, 0, 1, open_low=True)] | None = None
    name: str | None = "f1_score"
    dtype: Any = None

    def __init__(
        self, average: Any = None, threshold: float | None = None, name: str | None = "f1_score", dtype: Any = None
    ) -> None:
        super().__init__(average=average, threshold=threshold, name=name, dtype=dtype)


def _is_class(numbers: Any, count: int) -> Any:
    return ops.logical_and(ops.greater_equal(numbers, 0), ops.less(numbers, count))


class _ConfusionMatrix(Metric):
    """Counts how often each class is taken for each other one."""

    _direction = "up"

    num_classes: PositiveInt
    ignore_class: int | None = None
    sparse_y_true: bool = True
    sparse_y_pred: bool = True
    axis: int = -1

    def make_state(self) -> None:
        size = self.num_classes
        self.total_cm = self.add_variable((size, size), name="total_confusion_matrix")

    def classes_said(self, y_pred: Any) -> Any:
        """The predicted classes."""
        return y_pred if self.sparse_y_pred else ops.argmax(y_pred, self.axis)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch of class numbers, or of what ``sparse_y_true`` and ``sparse_y_pred`` say."""
        y_true, y_pred = operand(y_true), operand(y_pred)
        true = ops.cast(y_true if self.sparse_y_true else ops.argmax(y_true, self.axis), "int32")
        said = ops.cast(self.classes_said(y_pred), "int32")
        weight = ops.broadcast_to(
            ops.cast(1.0, "float32") if sample_weight is None else weights_of(sample_weight, true), true.shape
        )
        true, said, weight = (ops.reshape(x, (-1,)) for x in (true, said, weight))
        if self.ignore_class is not None:
            counts = ops.not_equal(true, self.ignore_class)
            true, said = (ops.where(counts, x, 0) for x in (true, said))
            weight = ops.where(counts, weight, 0.0)
        size = self.num_classes
        is_class = ops.logical_and(_is_class(true, size), _is_class(said, size))
        true, said, weight = (
            ops.where(is_class, true, 0),
            ops.where(is_class, said, 0),
            ops.where(is_class, weight, 0.0),
        )
        counted = ops.reshape(ops.scatter_add(weight, true * size + said, size * size), (size, size))
        self.total_cm.assign(self.total_cm + counted)

    def scores(self) -> tuple[Any, Any]:
        """Intersection over union of each class, and whether the class occurs."""
        table = self.total_cm.value
        diagonal = ops.arange(self.num_classes, dtype="int32")
        is_hit = ops.equal(ops.expand_dims(diagonal, 1), ops.expand_dims(diagonal, 0))
        hits = ops.sum(ops.where(is_hit, table, 0.0), 0)
        union = ops.sum(table, 0) + ops.sum(table, 1) - hits
        return divide(hits, union), ops.cast(ops.not_equal(union, 0.0), "float32")


@METRICS.add
class IoU(_ConfusionMatrix):
    """Intersection over union of some classes, as a mean over those of them that occur.

    Args:
        num_classes: the number of classes.
        target_class_ids: the classes of the mean.
        name: its name in logs.
        dtype: not used; there for Keras.
        ignore_class: a target that does not count.
        sparse_y_true: whether targets are class numbers; else one-hot.
        sparse_y_pred: whether predictions are class numbers; else a number for each class.
        axis: the axis of the classes of those that are no class numbers.

    Example:
        >>> round(float(IoU(num_classes=2, target_class_ids=[0])([0, 0, 1, 1], [0, 1, 0, 1])), 4)
        0.3333
    """

    num_classes: PositiveInt
    target_class_ids: Any
    name: str | None = None
    dtype: Any = None
    ignore_class: int | None = None
    sparse_y_true: bool = True
    sparse_y_pred: bool = True
    axis: int = -1

    def make_state(self) -> None:
        super().make_state()
        if not all(0 <= int(n) < self.num_classes for n in self.target_class_ids):
            raise ArgumentError(
                "a target class is none of the classes.", layer=type(self).__name__, expected=f"0 to {self.num_classes - 1}",
                got=repr(self.target_class_ids),
            )  # fmt: skip

    def result(self) -> Any:
        scores, occur = self.scores()
        wanted = [int(n) for n in self.target_class_ids]
        chosen, counted = (ops.stack([x[n] for n in wanted]) for x in (scores, occur))
        return divide(ops.sum(chosen), ops.sum(counted))


@METRICS.add
class BinaryIoU(IoU):
    """Intersection over union of yes and no.

    Args:
        target_class_ids: the classes of the mean: 0 is no, 1 is yes.
        threshold: predictions at least as large say yes.
        name: its name in logs.
        dtype: not used; there for Keras.
    """

    def __init__(
        self, target_class_ids: Any = (0, 1), threshold: float = 0.5, name: str | None = None, dtype: Any = None
    ) -> None:
        self.threshold = threshold
        super().__init__(num_classes=2, target_class_ids=target_class_ids, name=name, dtype=dtype)

    def classes_said(self, y_pred: Any) -> Any:
        return ops.greater_equal(y_pred, self.threshold)


@METRICS.add
class MeanIoU(_ConfusionMatrix):
    """Intersection over union, as a mean over the classes that occur.

    Args:
        num_classes: the number of classes.
        name: its name in logs.
        dtype: not used; there for Keras.
        ignore_class: a target that does not count.
        sparse_y_true: whether targets are class numbers; else one-hot.
        sparse_y_pred: whether predictions are class numbers; else a number for each class.
        axis: the axis of the classes of those that are no class numbers.
    """

    num_classes: PositiveInt
    name: str | None = None
    dtype: Any = None
    ignore_class: int | None = None
    sparse_y_true: bool = True
    sparse_y_pred: bool = True
    axis: int = -1

    def result(self) -> Any:
        scores, occur = self.scores()
        return divide(ops.sum(scores), ops.sum(occur))


@METRICS.add
class OneHotIoU(IoU):
    """``IoU`` of one-hot targets.

    Args:
        num_classes: the number of classes.
        target_class_ids: the classes of the mean.
        name: its name in logs.
        dtype: not used; there for Keras.
        ignore_class: a target that does not count.
        sparse_y_pred: whether predictions are class numbers; else a number for each class.
        axis: the axis of the classes.
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Any,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(
            num_classes=num_classes, target_class_ids=target_class_ids, name=name, dtype=dtype,
            ignore_class=ignore_class, sparse_y_true=False, sparse_y_pred=sparse_y_pred, axis=axis,
        )  # fmt: skip


@METRICS.add
class OneHotMeanIoU(MeanIoU):
    """``MeanIoU`` of one-hot targets.

    Args:
        num_classes: the number of classes.
        name: its name in logs.
        dtype: not used; there for Keras.
        ignore_class: a target that does not count.
        sparse_y_pred: whether predictions are class numbers; else a number for each class.
        axis: the axis of the classes.
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(
            num_classes=num_classes, name=name, dtype=dtype, ignore_class=ignore_class, sparse_y_true=False,
            sparse_y_pred=sparse_y_pred, axis=axis,
        )  # fmt: skip
