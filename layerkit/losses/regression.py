"""Losses of numbers: how far predictions are from targets. (batch, ..., n), (batch, ..., n) -> (batch, ...)."""

from __future__ import annotations

import math
from typing import Any

from layerkit import ops
from layerkit.fields import PositiveFloat
from layerkit.losses.base import LOSSES, Loss, match
from layerkit.ops.normalization import EPSILON


def mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    """mean((y_true - y_pred)^2) over the last axis.

    Example:
        >>> mean_squared_error([[0.0, 1.0]], [[1.0, 3.0]])
        array([2.5], dtype=float32)
    """
    y_true, y_pred = match(y_true, y_pred, "mean_squared_error")
    return ops.mean(ops.square(y_true - y_pred), -1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Any:
    """mean(|y_true - y_pred|) over the last axis.

    Example:
        >>> mean_absolute_error([[0.0, 1.0]], [[1.0, 3.0]])
        array([1.5], dtype=float32)
    """
    y_true, y_pred = match(y_true, y_pred, "mean_absolute_error")
    return ops.mean(ops.abs(y_true - y_pred), -1)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Any:
    """100 * mean(|y_true - y_pred| / |y_true|) over the last axis; |y_true| counts as at least 1e-7.

    Example:
        >>> mean_absolute_percentage_error([[2.0, 4.0]], [[1.0, 3.0]])
        array([37.5], dtype=float32)
    """
    y_true, y_pred = match(y_true, y_pred, "mean_absolute_percentage_error")
    return 100.0 * ops.mean(ops.abs((y_true - y_pred) / ops.maximum(ops.abs(y_true), EPSILON)), -1)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Any:
    """mean((log(1 + y_true) - log(1 + y_pred))^2) over the last axis; numbers below 1e-7 count as 1e-7.

    Example:
        >>> mean_squared_logarithmic_error([[3.0]], [[3.0]])
        array([0.], dtype=float32)
    """
    y_true, y_pred = match(y_true, y_pred, "mean_squared_logarithmic_error")
    first, second = (ops.log(ops.maximum(y, EPSILON) + 1.0) for y in (y_pred, y_true))
    return ops.mean(ops.square(first - second), -1)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Any:
    """Half the squared error up to ``delta``, a straight line beyond; mean over the last axis. Source: Huber 1964.

    Example:
        >>> huber([[0.0, 0.0]], [[1.0, 3.0]])
        array([1.5], dtype=float32)
    """
    y_true, y_pred = match(y_true, y_pred, "huber")
    error = ops.abs(y_true - y_pred)
    near = 0.5 * ops.square(error)
    return ops.mean(ops.where(error <= delta, near, delta * error - 0.5 * delta * delta), -1)


def log_cosh(y_true: Any, y_pred: Any) -> Any:
    """mean(log(cosh(y_pred - y_true))) over the last axis, in a form that does not overflow.

    Example:
        >>> log_cosh([[0.0]], [[0.0]])
        array([0.], dtype=float32)
    """
    y_true, y_pred = match(y_true, y_pred, "log_cosh")
    error = y_pred - y_true
    return ops.mean(error + ops.softplus(-2.0 * error) - math.log(2.0), -1)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """The cosine of the angle between target and prediction, with a minus sign: -1 is alike, 1 is opposite.

    Example:
        >>> cosine_similarity([[1.0, 0.0]], [[2.0, 0.0]])
        array([-1.], dtype=float32)
    """
    y_true, y_pred = match(y_true, y_pred, "cosine_similarity")
    return -ops.sum(unit(y_true, axis) * unit(y_pred, axis), axis)


def unit(x: Any, axis: int) -> Any:
    """``x`` scaled to length 1 along ``axis``; shorter than 1e-7 stays short."""
    square = ops.sum(ops.square(x), axis, keepdims=True)
    return x * ops.rsqrt(ops.maximum(square, EPSILON * EPSILON))


class MeanSquaredError(Loss):
    """mean((y_true - y_pred)^2) over the last axis."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return mean_squared_error(y_true, y_pred)


class MeanAbsoluteError(Loss):
    """mean(|y_true - y_pred|) over the last axis."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return mean_absolute_error(y_true, y_pred)


class MeanAbsolutePercentageError(Loss):
    """100 * mean(|y_true - y_pred| / |y_true|) over the last axis."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return mean_absolute_percentage_error(y_true, y_pred)


class MeanSquaredLogarithmicError(Loss):
    """mean((log(1 + y_true) - log(1 + y_pred))^2) over the last axis."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return mean_squared_logarithmic_error(y_true, y_pred)


class Huber(Loss):
    """Half the squared error up to ``delta``, a straight line beyond.

    Args:
        delta: the error at which the line begins.
    """

    delta: PositiveFloat = 1.0
    name = "huber_loss"

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return huber(y_true, y_pred, self.delta)


class LogCosh(Loss):
    """mean(log(cosh(y_pred - y_true))) over the last axis."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return log_cosh(y_true, y_pred)


class CosineSimilarity(Loss):
    """The cosine of the angle between target and prediction, with a minus sign.

    Args:
        axis: the axis of the vectors.
    """

    axis: int = -1

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return cosine_similarity(y_true, y_pred, self.axis)


LOSSES.add(MeanSquaredError, "mse", "MSE")
LOSSES.add(MeanAbsoluteError, "mae", "MAE")
LOSSES.add(MeanAbsolutePercentageError, "mape", "MAPE")
LOSSES.add(MeanSquaredLogarithmicError, "msle", "MSLE")
LOSSES.add(Huber, "huber_loss")
LOSSES.add(LogCosh, "logcosh")
LOSSES.add(CosineSimilarity)
