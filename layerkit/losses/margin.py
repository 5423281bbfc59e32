"""Losses that ask for a margin between right and wrong: hinges, and Circle for embeddings."""

from __future__ import annotations

from typing import Any

from layerkit import ops
from layerkit.errors import ShapeError
from layerkit.losses.base import LOSSES, Loss, match
from layerkit.ops.core import dtype_of, operand, operands
from layerkit.trace import set_mask

_NEVER = -1e9  # what exp turns into 0, without the nan that infinities make of gradients


def hinge(y_true: Any, y_pred: Any) -> Any:
    """mean(max(1 - y_true * y_pred, 0)) over the last axis; targets are -1 and 1, those all 0 or 1 are turned to them.

    Example:
        >>> hinge([[-1.0, 1.0]], [[0.5, 0.5]])
        array([1.], dtype=float32)
    """
    y_true, y_pred = match(y_true, y_pred, "hinge")
    return ops.mean(_shortfall(y_true, y_pred), -1)


def squared_hinge(y_true: Any, y_pred: Any) -> Any:
    """mean(max(1 - y_true * y_pred, 0)^2) over the last axis; targets as for ``hinge``.

    Example:
        >>> squared_hinge([[-1.0, 1.0]], [[0.5, 0.5]])
        array([1.25], dtype=float32)
    """
    y_true, y_pred = match(y_true, y_pred, "squared_hinge")
    return ops.mean(ops.square(_shortfall(y_true, y_pred)), -1)


def categorical_hinge(y_true: Any, y_pred: Any) -> Any:
    """max(1 + largest wrong output - right output, 0) over the last axis, for one-hot targets.

    Example:
        >>> categorical_hinge([[0.0, 1.0]], [[0.5, 2.0]])
        array([0.], dtype=float32)
    """
    y_true, y_pred = match(y_true, y_pred, "categorical_hinge")
    right, wrong = ops.sum(y_true * y_pred, -1), ops.max((1.0 - y_true) * y_pred, -1)
    return ops.maximum(wrong - right + 1.0, 0.0)


def _shortfall(y_true: Any, y_pred: Any) -> Any:
    is_binary = ops.all(ops.logical_or(ops.equal(y_true, 0.0), ops.equal(y_true, 1.0)))
    return ops.maximum(1.0 - ops.where(is_binary, 2.0 * y_true - 1.0, y_true) * y_pred, 0.0)


def circle(
    y_true: Any,
    y_pred: Any,
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> Any:
    """Circle loss: embeddings of one label shall be near each other, others far. Source: arXiv:2002.10857.

    Rows without a partner of their own label, or without one of another, do not count. As in Keras the gradient also
    flows through the weights of the pairs.

    Shapes:
        y_true: (batch,) or (batch, 1), labels    y_pred: (batch, n), embeddings of length 1
        ref_labels: (rows,)    ref_embeddings: (rows, n)
        returns: (batch,)
    Args:
        y_true: the labels.
        y_pred: the embeddings.
        ref_labels: labels of the embeddings to compare with; ``y_true`` unless given.
        ref_embeddings: those embeddings; ``y_pred`` unless given.
        remove_diagonal: whether a row is not compared with itself.
        gamma: scale of the similarities.
        margin: between near and far.

    Raises:
        ShapeError: several numbers are the label of a row.

    Example:
        >>> circle([0, 0, 1], [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])[:2].round(4)
        array([0., 0.], dtype=float32)
    """
    for labels in (y_true, ref_labels):
        shape = () if labels is None else operand(labels).shape
        if shape[1:] not in ((), (1,)):
            raise ShapeError("'circle' needs one label for each row.", expected="shape (batch,) or (batch, 1)", got=f"shape {shape}", fix="give the number of each row's class")  # fmt: skip
    (y_pred,) = operands(y_pred, floating=True)
    others = y_pred if ref_embeddings is None else ops.cast(operand(ref_embeddings), dtype_of(y_pred))
    labels = ops.reshape(operand(y_true), (-1, 1))
    other_labels = labels if ref_labels is None else ops.reshape(operand(ref_labels), (-1, 1))
    other_labels = ops.cast(other_labels, dtype_of(labels))
    distance = 1.0 - ops.matmul(y_pred, ops.transpose(others))
    same = ops.equal(labels, ops.transpose(other_labels))
    different = ops.logical_not(same)
    if remove_diagonal:
        rows, columns = ops.arange(same.shape[0]), ops.arange(same.shape[1])
        same = ops.logical_and(same, ops.not_equal(ops.expand_dims(rows, 1), ops.expand_dims(columns, 0)))
    pull = gamma * ops.relu(distance + margin) * (distance - margin)
    push = gamma * ops.relu(1.0 + margin - distance) * (1.0 - margin - distance)
    near = ops.logsumexp(ops.where(same, pull, _NEVER), 1)
    far = ops.logsumexp(ops.where(different, push, _NEVER), 1)
    losses = ops.softplus(near + far)
    set_mask(losses, ops.logical_and(ops.any(same, 1), ops.any(different, 1)))
    return losses


class Hinge(Loss):
    """mean(max(1 - y_true * y_pred, 0)) over the last axis."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return hinge(y_true, y_pred)


class SquaredHinge(Loss):
    """mean(max(1 - y_true * y_pred, 0)^2) over the last axis."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return squared_hinge(y_true, y_pred)


class CategoricalHinge(Loss):
    """max(1 + largest wrong output - right output, 0), for one-hot targets."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return categorical_hinge(y_true, y_pred)


class Circle(Loss):
    """Circle loss of embeddings of length 1, with their labels as targets.

    Args:
        gamma: scale of the similarities.
        margin: between near and far.
        remove_diagonal: whether a row is not compared with itself.
    """

    takes_like = False
    gamma: float = 80.0
    margin: float = 0.4
    remove_diagonal: bool = True

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return circle(y_true, y_pred, remove_diagonal=self.remove_diagonal, gamma=self.gamma, margin=self.margin)


for _cls in (Hinge, SquaredHinge, CategoricalHinge, Circle):
    LOSSES.add(_cls)
