"""How well predicted numbers follow the targets: R2 and correlations."""

from __future__ import annotations

from typing import Annotated, Any

from layerkit import ops
from layerkit.fields import NonNegativeInt, OneOf
from layerkit.ir import product
from layerkit.losses.base import match
from layerkit.metrics.base import METRICS, MeanOf, Metric, divide, weights_of
from layerkit.ops.core import operand
from layerkit.trace import Weight

_EPSILON = 1e-7


def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """Pearson's correlation along ``axis``: 1 where one is a rising straight line of the other.

    Example:
        >>> pearson_correlation([[1.0, 2.0, 3.0]], [[2.0, 4.0, 6.0]]).round(4)
        array([1.], dtype=float32)
    """
    y_true, y_pred = match(operand(y_true), operand(y_pred), "pearson_correlation")
    covariance, true, predicted, _ = _moments(y_true, y_pred, axis)
    return ops.divide(covariance, ops.sqrt(true) * ops.sqrt(predicted))  # nan where one of them is constant


def concordance_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """Lin's concordance along ``axis``: 1 where both are equal, less for another mean or scale. Source: Lin 1989.

    Example:
        >>> concordance_correlation([[1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0]]).round(4)
        array([1.], dtype=float32)
    """
    y_true, y_pred = match(operand(y_true), operand(y_pred), "concordance_correlation")
    covariance, true, predicted, shift = _moments(y_true, y_pred, axis)
    return 2.0 * covariance / (true + predicted + ops.square(shift) + _EPSILON)


def _moments(a: Any, b: Any, axis: int) -> tuple[Any, Any, Any, Any]:
    """Covariance, both variances, and the difference of the means."""
    mean_a, mean_b = (ops.mean(x, axis, keepdims=True) for x in (a, b))
    off_a, off_b = a - mean_a, b - mean_b
    products = (ops.mean(x, axis) for x in (off_a * off_b, ops.square(off_a), ops.square(off_b)))
    return (*products, ops.squeeze(mean_a - mean_b, axis))


@METRICS.add
class PearsonCorrelation(MeanOf):
    """Mean of Pearson's correlation.

    Args:
        name: its name in logs.
        dtype: not used; there for Keras.
        axis: the axis along which values are correlated.
    """

    _direction = "up"

    name: str | None = "pearson_correlation"
    dtype: Any = None
    axis: int = -1

    def values(self, y_true: Any, y_pred: Any) -> Any:
        return pearson_correlation(y_true, y_pred, self.axis)


@METRICS.add
class ConcordanceCorrelation(MeanOf):
    """Mean of Lin's concordance.

    Args:
        name: its name in logs.
        dtype: not used; there for Keras.
        axis: the axis along which values are compared.
    """

    _direction = "up"

    name: str | None = "concordance_correlation"
    dtype: Any = None
    axis: int = -1

    def values(self, y_true: Any, y_pred: Any) -> Any:
        return concordance_correlation(y_true, y_pred, self.axis)


@METRICS.add
class R2Score(Metric):
    """The share of the targets' variance that is explained, for each output: 1 - residual / variance.

    Args:
        class_aggregation: how several outputs become one number: "uniform_average", "variance_weighted_average", or None
            for a number each.
        num_regressors: the number of inputs, for the adjusted score; 0 is not adjusted. As in Keras the numbers in all
            outputs count as samples.
        name: its name in logs.
        dtype: not used; there for Keras.

    Example:
        >>> float(R2Score()([[1.0], [2.0], [3.0]], [[1.0], [2.0], [3.0]]))
        1.0
    """

    _direction = "up"

    class_aggregation: Annotated[Any, OneOf(("uniform_average", "variance_weighted_average", None))] = "uniform_average"
    num_regressors: NonNegativeInt = 0
    name: str | None = "r2_score"

    def make_state(self) -> None:
        self._samples = self.add_variable(name="num_samples")
        self._sums: dict[str, Weight] = {}

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        y_true, y_pred = match(operand(y_true), operand(y_pred), str(self.name))
        if not self._sums:
            names = ("squared_sum", "sum", "residual", "count")
            self._sums = {n: self.add_variable(tuple(y_pred.shape[1:]), name=n) for n in names}
        weight = weights_of(sample_weight, y_true)
        weight = ops.broadcast_to(1.0 if weight is None else weight, y_true.shape)
        added = (
            y_true * y_true * weight, y_true * weight, ops.square(y_true - y_pred) * weight, weight,
        )  # fmt: skip
        for total, values in zip(self._sums.values(), added, strict=True):
            total.assign(total + ops.sum(ops.cast(values, "float32"), 0))
        self._samples.assign(self._samples + ops.cast(ops.size(product(y_true.shape)), "float32"))

    def result(self) -> Any:
        if not self._sums:
            return self._samples.value * 0.0
        squares, total, residual, count = (s.value for s in self._sums.values())
        variance = squares - divide(total * total, count)
        scores = 1.0 - divide(residual, variance)
        if self.class_aggregation == "uniform_average":
            scores = ops.mean(scores)
        elif self.class_aggregation == "variance_weighted_average":
            scores = divide(ops.sum(scores * variance), ops.sum(variance))
        if self.num_regressors:
            n, p = self._samples.value, float(self.num_regressors)
            scores = 1.0 - (1.0 - scores) * (n - 1.0) / (n - p - 1.0)
        return scores
