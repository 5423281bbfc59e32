"""How often predictions are right."""

from __future__ import annotations

from typing import Any

from layerkit import ops
from layerkit.losses.base import match
from layerkit.metrics.base import METRICS, MeanOf
from layerkit.ops.core import dtype_of, operand


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
    """1 where a prediction is on the side of ``threshold`` that its yes-or-no target says, else 0.

    Example:
        >>> binary_accuracy([[1.0, 0.0]], [[0.7, 0.6]])
        array([[1., 0.]], dtype=float32)
    """
    y_true, y_pred = match(operand(y_true), operand(y_pred), "binary_accuracy")
    return ops.cast(ops.equal(y_true, ops.cast(ops.greater(y_pred, threshold), dtype_of(y_true))), "float32")


def categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where the class of a one-hot target is predicted best, else 0.

    Example:
        >>> categorical_accuracy([[0.0, 1.0]], [[0.3, 0.7]])
        array([1.], dtype=float32)
    """
    return ops.cast(ops.equal(ops.argmax(y_true, -1), ops.argmax(y_pred, -1)), "float32")


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where the class number ``y_true`` is predicted best, else 0.

    Example:
        >>> sparse_categorical_accuracy([1], [[0.3, 0.7]])
        array([1.], dtype=float32)
    """
    y_true, y_pred = operand(y_true), operand(y_pred)
    return ops.cast(ops.equal(_numbers(y_true, y_pred), ops.argmax(y_pred, -1)), "float32")


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    """1 where the class of a one-hot target is among the ``k`` predicted best, else 0.

    Example:
        >>> top_k_categorical_accuracy([[0.0, 0.0, 1.0]], [[0.5, 0.2, 0.3]], k=2)
        array([1.], dtype=float32)
    """
    return sparse_top_k_categorical_accuracy(ops.argmax(y_true, -1), y_pred, k)


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False) -> Any:
    """1 where the class number ``y_true`` is among the ``k`` predicted best, else 0.

    With ``from_sorted_ids`` the predictions are class numbers, the best first. Classes that are predicted as well as the
    target's do not count against it.

    Example:
        >>> sparse_top_k_categorical_accuracy([2], [[0.5, 0.2, 0.3]], k=2)
        array([1.], dtype=float32)
    """
    y_true, y_pred = operand(y_true), operand(y_pred)
    y_true = ops.expand_dims(_numbers(y_true, y_pred), -1)
    if from_sorted_ids:
        return ops.cast(ops.any(ops.equal(y_true, ops.cast(y_pred[..., :k], "int32")), -1), "float32")
    hot = ops.equal(y_true, ops.arange(y_pred.shape[-1], dtype="int32"))
    own = ops.sum(ops.where(hot, y_pred, 0.0), -1, keepdims=True)
    return ops.cast(ops.less(ops.sum(ops.cast(ops.greater(y_pred, own), "int32"), -1), k), "float32")


def _numbers(y_true: Any, y_pred: Any) -> Any:
    """Class numbers without an axis of size 1 at the end."""
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, -1)
    return ops.cast(y_true, "int32")


@METRICS.add
class Accuracy(MeanOf):
    """Share of predictions that equal their target.

    Example:
        >>> float(Accuracy()([[1.0], [2.0]], [[1.0], [3.0]]))
        0.5
    """

    _direction = "up"

    def values(self, y_true: Any, y_pred: Any) -> Any:
        y_true, y_pred = match(y_true, y_pred, str(self.name))
        return ops.equal(y_true, y_pred)


@METRICS.add
class BinaryAccuracy(MeanOf):
    """Share of yes-or-no targets that are predicted on the right side of ``threshold``.

    Args:
        name: its name in logs.
        dtype: not used; there for Keras.
        threshold: predictions above it say yes.
    """

    _direction = "up"

    name: str | None = "binary_accuracy"
    dtype: Any = None
    threshold: float = 0.5

    def values(self, y_true: Any, y_pred: Any) -> Any:
        return binary_accuracy(y_true, y_pred, self.threshold)


@METRICS.add
class CategoricalAccuracy(MeanOf):
    """Share of one-hot targets whose class is predicted best."""

    _direction = "up"

    def values(self, y_true: Any, y_pred: Any) -> Any:
        return categorical_accuracy(y_true, y_pred)


@METRICS.add
class SparseCategoricalAccuracy(MeanOf):
    """Share of class numbers that are predicted best."""

    _direction = "up"

    def values(self, y_true: Any, y_pred: Any) -> Any:
        return sparse_categorical_accuracy(y_true, y_pred)


@METRICS.add
class TopKCategoricalAccuracy(MeanOf):
    """Share of one-hot targets whose class is among the ``k`` predicted best.

    Args:
        k: how many.
        name: its name in logs.
        dtype: not used; there for Keras.
    """

    _direction = "up"

    k: int = 5
    name: str | None = "top_k_categorical_accuracy"

    def values(self, y_true: Any, y_pred: Any) -> Any:
        return top_k_categorical_accuracy(y_true, y_pred, self.k)


@METRICS.add
class SparseTopKCategoricalAccuracy(MeanOf):
    """Share of class numbers that are among the ``k`` predicted best.

    Args:
        k: how many.
        name: its name in logs.
        dtype: not used; there for Keras.
        from_sorted_ids: whether predictions are class numbers, the best first.
    """

    _direction = "up"

    k: int = 5
    name: str | None = "sparse_top_k_categorical_accuracy"
    dtype: Any = None
    from_sorted_ids: bool = False

    def values(self, y_true: Any, y_pred: Any) -> Any:
        return sparse_top_k_categorical_accuracy(y_true, y_pred, self.k, self.from_sorted_ids)
