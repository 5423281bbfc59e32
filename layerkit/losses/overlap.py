"""Losses of segmentation: how much predicted and true regions overlap."""

from __future__ import annotations

from typing import Any

from layerkit import ops
from layerkit.losses.base import LOSSES, Loss, Reduction, match
from layerkit.ops.core import Axis
from layerkit.ops.normalization import EPSILON


def dice(y_true: Any, y_pred: Any, axis: Axis = None) -> Any:
    """1 - 2 * overlap / (true + predicted), sums over ``axis`` (all axes unless given).

    Example:
        >>> dice([[1.0, 0.0]], [[1.0, 0.0]])
        np.float32(0.0)
    """
    y_true, y_pred = match(y_true, y_pred, "dice")
    overlap = ops.sum(y_true * y_pred, axis)
    return 1.0 - (2.0 * overlap + EPSILON) / (ops.sum(y_true, axis) + ops.sum(y_pred, axis) + EPSILON)


def tversky(y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Axis = None) -> Any:
    """1 - overlap / (overlap + alpha * missing + beta * too much). Source: arXiv:1706.05721.

    ``alpha`` weights what is predicted too low, ``beta`` what is predicted too high: so Keras 3.15 computes it, though its
    text says the reverse.

    Example:
        >>> tversky([[1.0, 0.0]], [[1.0, 0.0]])
        np.float32(0.0)
    """
    y_true, y_pred = match(y_true, y_pred, "tversky")
    overlap = ops.sum(y_true * y_pred, axis)
    missing, surplus = ops.sum(y_true * (1.0 - y_pred), axis), ops.sum((1.0 - y_true) * y_pred, axis)
    return 1.0 - (overlap + EPSILON) / (overlap + alpha * missing + beta * surplus + EPSILON)


class Dice(Loss):
    """1 - 2 * overlap / (true + predicted).

    Args:
        axis: the axes of the sums; all unless given.
    """

    reduction: Reduction = "sum_over_batch_size"
    name: str | None = "dice"
    axis: Any = None

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return dice(y_true, y_pred, self.axis)


class Tversky(Loss):
    """1 - overlap / (overlap + alpha * missing + beta * too much).

    Args:
        alpha: weight of what is predicted too low.
        beta: weight of what is predicted too high.
        axis: the axes of the sums; all unless given.
    """

    alpha: float = 0.5
    beta: float = 0.5
    reduction: Reduction = "sum_over_batch_size"
    name: str | None = "tversky"
    axis: Any = None

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return tversky(y_true, y_pred, self.alpha, self.beta, self.axis)


LOSSES.add(Dice)
LOSSES.add(Tversky)
