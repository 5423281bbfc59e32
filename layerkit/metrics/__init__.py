"""Metrics: running means whose state is part of the step's graph.

``update_state`` adds a batch, ``result`` is the value so far, ``reset_state`` starts again. In ``fit`` all three work on
weights inside the compiled step; outside they work on arrays at once.
"""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any

import numpy as np

from layerkit import losses, ops
from layerkit.errors import UnknownNameError, did_you_mean
from layerkit.fields import Configurable
from layerkit.losses.base import match, reduce_weighted
from layerkit.ops.core import dtype_of, operand
from layerkit.registry import Registry, snake_case
from layerkit.trace import Weight, get_mask

METRICS = Registry("metric")


class Metric(Configurable):
    """Base class of metrics.

    Args:
        name: its name in logs.
        dtype: not used; there for Keras.
    """

    name: str | None = None
    dtype: Any = None
    _: KW_ONLY
    if TYPE_CHECKING:
        weights: list[Weight]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls, *args, **kwargs)
        self.weights = []
        return self

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.name = self.name or snake_case(type(self).__name__)

    def add_variable(
        self, shape: tuple[int, ...] = (), initializer: Any = None, dtype: str = "float32", name: str = "state"
    ) -> Weight:
        """State of the metric, 0 at the start."""
        weight = Weight(shape, dtype, trainable=False, name=f"{type(self).__name__}/{name}")
        self.weights.append(weight)
        return weight

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        raise NotImplementedError

    def result(self) -> Any:
        """The value so far."""
        raise NotImplementedError

    def reset_state(self) -> None:
        """Forget all batches."""
        for weight in self.weights:
            weight.array = np.zeros(weight.shape)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.update_state(*args, **kwargs)
        return self.result()


Metric.__init__._is_declared = True  # type: ignore[attr-defined]


@METRICS.add
class Mean(Metric):
    """Weighted mean of values."""

    def __init__(self, name: str = "mean", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total, self.count = self.add_variable(name="total"), self.add_variable(name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add values; ``sample_weight`` broadcasts to them."""
        values = ops.cast(operand(values), "float32")
        weight = ops.ones_like(values) if sample_weight is None else ops.cast(operand(sample_weight), "float32")
        if weight.ndim < values.ndim:
            weight = ops.reshape(weight, (*weight.shape, *(1,) * (values.ndim - weight.ndim)))
        weight = ops.broadcast_to(weight, values.shape)
        self.total.assign(self.total + ops.sum(values * weight))
        self.count.assign(self.count + ops.sum(weight))

    def result(self) -> Any:
        count = self.count.value
        return ops.where(ops.greater(count, 0.0), self.total / ops.where(ops.greater(count, 0.0), count, 1.0), 0.0)


class _MeanOf(Mean):
    """Mean of a function of targets and predictions."""

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name=name or snake_case(type(self).__name__), dtype=dtype)

    def values(self, y_true: Any, y_pred: Any) -> Any:
        """A value for each sample."""
        raise NotImplementedError

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add a batch."""
        mask = get_mask(y_pred)
        y_true, y_pred = operand(y_true), operand(y_pred)
        values = ops.cast(self.values(y_true, y_pred), "float32")
        weight = None if sample_weight is None else ops.cast(operand(sample_weight), "float32")
        if mask is not None and mask.ndim <= values.ndim:
            counts = ops.cast(mask, "float32")
            weight = (
                counts
                if weight is None
                else counts * ops.reshape(weight, (*weight.shape, *(1,) * (counts.ndim - weight.ndim)))
            )
        super().update_state(values, weight)


@METRICS.add
class SparseCategoricalAccuracy(_MeanOf):
    """Share of class numbers that are predicted best."""

    def values(self, y_true: Any, y_pred: Any) -> Any:
        if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
            y_true = ops.squeeze(y_true, -1)
        return ops.equal(ops.cast(y_true, "int32"), ops.argmax(y_pred, -1))


@METRICS.add
class CategoricalAccuracy(_MeanOf):
    """Share of one-hot targets whose class is predicted best."""

    def values(self, y_true: Any, y_pred: Any) -> Any:
        return ops.equal(ops.argmax(y_true, -1), ops.argmax(y_pred, -1))


@METRICS.add
class BinaryAccuracy(_MeanOf):
    """Share of yes-or-no targets that are predicted on the right side of ``threshold``."""

    def __init__(self, name: str = "binary_accuracy", dtype: Any = None, threshold: float = 0.5) -> None:
        super().__init__(name=name, dtype=dtype)
        self.threshold = threshold

    def values(self, y_true: Any, y_pred: Any) -> Any:
        y_true, y_pred = match(y_true, y_pred, str(self.name))
        said = ops.cast(ops.greater(y_pred, self.threshold), dtype_of(y_true))
        return ops.mean(ops.cast(ops.equal(y_true, said), "float32"), -1)


@METRICS.add
class Accuracy(_MeanOf):
    """Share of predictions that equal their target."""

    def values(self, y_true: Any, y_pred: Any) -> Any:
        y_true, y_pred = match(y_true, y_pred, str(self.name))
        return ops.equal(y_true, y_pred)


class _MeanLoss(_MeanOf):
    loss: type[losses.Loss]

    def values(self, y_true: Any, y_pred: Any) -> Any:
        return self.loss().call(y_true, y_pred)


def _of_loss(loss: type[losses.Loss], *aliases: str) -> type[Metric]:
    cls = type(
        loss.__name__,
        (_MeanLoss,),
        {"loss": loss, "__doc__": f"Mean of the loss {loss.__name__}.", "__module__": __name__},
    )
    METRICS.add(cls, *aliases)
    return cls


MeanSquaredError = _of_loss(losses.MeanSquaredError, "mse", "MSE")
MeanAbsoluteError = _of_loss(losses.MeanAbsoluteError, "mae", "MAE")
BinaryCrossentropy = _of_loss(losses.BinaryCrossentropy, "bce")
CategoricalCrossentropy = _of_loss(losses.CategoricalCrossentropy)
SparseCategoricalCrossentropy = _of_loss(losses.SparseCategoricalCrossentropy)


@METRICS.add
class RootMeanSquaredError(Mean):
    """Square root of the mean squared error."""

    def __init__(self, name: str = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        y_true, y_pred = match(operand(y_true), operand(y_pred), str(self.name))
        super().update_state(ops.square(y_true - y_pred), sample_weight)

    def result(self) -> Any:
        return ops.sqrt(super().result())


class FunctionMetric(_MeanOf):
    """Mean of a function of (y_true, y_pred)."""

    def __init__(self, function: Any, name: str | None = None) -> None:
        super().__init__(name=name or getattr(function, "__name__", "metric"))
        self.function = function

    def values(self, y_true: Any, y_pred: Any) -> Any:
        return self.function(y_true, y_pred)


_BY_SHAPE = {
    "accuracy": (BinaryAccuracy, SparseCategoricalAccuracy, CategoricalAccuracy),
    "acc": (BinaryAccuracy, SparseCategoricalAccuracy, CategoricalAccuracy),
    "crossentropy": (BinaryCrossentropy, SparseCategoricalCrossentropy, CategoricalCrossentropy),
    "ce": (BinaryCrossentropy, SparseCategoricalCrossentropy, CategoricalCrossentropy),
}


def check_name(identifier: Any) -> None:
    """Refuse a misspelt metric at once; the shapes that "accuracy" needs are known later.

    Raises:
        UnknownNameError: there is no metric of that name.
    """
    if isinstance(identifier, str) and identifier not in _BY_SHAPE:
        try:
            METRICS.find(identifier)
        except UnknownNameError as error:
            error.fix = did_you_mean(identifier, [*METRICS.classes, *METRICS.aliases, *_BY_SHAPE])
            raise


def get(identifier: Any, target: Any = None, output: Any = None) -> Metric:
    """The metric that a name, a mapping, an object or a function stands for.

    "accuracy" and "crossentropy" depend on the shapes of target and output, as in Keras.
    """
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, str) and identifier in _BY_SHAPE and output is not None:
        binary, sparse, categorical = _BY_SHAPE[identifier]
        is_sparse = len(target) < len(output) or (target[-1] == 1 and output[-1] != 1)
        return (binary if output[-1] == 1 else sparse if is_sparse else categorical)(name=identifier)
    if callable(identifier) and not isinstance(identifier, type):
        return FunctionMetric(identifier)
    found = METRICS.make(identifier)
    if isinstance(identifier, str):
        found.name = identifier
    return found  # type: ignore[no-any-return]


__all__ = ["METRICS", "Mean", "Metric", "check_name", "get", "reduce_weighted"]
