"""The base of metrics, and means: state that is part of the step's graph.

``update_state`` adds a batch, ``result`` is the value so far, ``reset_state`` starts again. In ``fit`` all three work on
weights inside the compiled step; outside they work on arrays at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from layerkit import initializers, ops
from layerkit.dtypes import numpy_dtype
from layerkit.fields import Configurable, signature
from layerkit.losses.base import match
from layerkit.ops.core import operand
from layerkit.registry import Registry, snake_case
from layerkit.trace import Weight, get_mask

METRICS = Registry("metric")


class Metric(Configurable):
    """Base class of metrics; one with declared arguments makes its state in ``make_state``, others in ``__init__``.

    Args:
        name: its name in logs.
        dtype: not used; there for Keras.
    """

    name: str | None = None
    dtype: Any = None
    _direction: ClassVar[str | None] = None
    """Whether a larger one is better ("up") or a smaller one ("down"), where that is known; Keras's name."""
    if TYPE_CHECKING:
        weights: list[Weight]

    def __init_subclass__(cls) -> None:
        if "name" not in cls.__dict__:
            cls.name = snake_case(cls.__name__)

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls, *args, **kwargs)
        self.weights = []
        return self

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.name = self.name or snake_case(type(self).__name__)
        self.make_state()

    def make_state(self) -> None:
        """Make the state whose shapes are known."""

    def add_variable(
        self,
        shape: tuple[int, ...] = (),
        initializer: Any = None,
        dtype: str | None = None,
        aggregation: str = "sum",
        name: str | None = None,
    ) -> Weight:
        """State of the metric.

        Args:
            shape: its shape.
            initializer: what it begins with; zeros unless given.
            dtype: its dtype; float32 unless given.
            aggregation: not used; there for Keras.
            name: its name.
        """
        start = None if initializer in (None, "zeros") else initializers.starting(initializer)
        name = name or "state"
        weight = Weight(
            shape, dtype or "float32", start, trainable=False, name=name, path=lambda: f"{type(self).__name__}/{name}"
        )
        self.weights.append(weight)
        return weight

    def add_weight(
        self, shape: tuple[int, ...] = (), initializer: Any = None, dtype: str | None = None, name: str | None = None
    ) -> Weight:
        """``add_variable``, in the order of arguments of layers."""
        return self.add_variable(shape, initializer, dtype, name=name)

    @property
    def variables(self) -> list[Weight]:
        """Its state."""
        return self.weights

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        raise NotImplementedError

    def result(self) -> Any:
        """The value so far."""
        raise NotImplementedError

    def reset_state(self) -> None:
        """Forget all batches."""
        for weight in self.weights:
            if weight._initial is None:
                weight.store(np.zeros(weight.shape, numpy_dtype(weight.dtype)))
            else:
                weight.array = weight._initial(weight.shape, weight.dtype, (0, 0))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.update_state(*args, **kwargs)
        return self.result()


Metric.__init__._is_declared = True  # type: ignore[attr-defined]


def divide(a: Any, b: Any) -> Any:
    """a / b, and 0 where b is 0."""
    some = ops.not_equal(b, 0.0)
    return ops.where(some, a / ops.where(some, b, 1.0), 0.0)


def weights_of(sample_weight: Any, like: Any) -> Any:
    """Sample weights as numbers that broadcast to ``like``, by adding axes at the end; None stays None."""
    if sample_weight is None:
        return None
    weight = ops.cast(operand(sample_weight), "float32")
    if weight.ndim == like.ndim + 1 and weight.shape[-1] == 1:
        weight = ops.squeeze(weight, -1)
    return ops.reshape(weight, (*weight.shape, *(1,) * (like.ndim - weight.ndim)))


class Reduction(Metric):
    """Adds up weighted values."""

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add values; ``sample_weight`` broadcasts to them."""
        values = ops.cast(operand(values), "float32")
        weight = weights_of(sample_weight, values)
        self.add(values, ops.ones_like(values) if weight is None else ops.broadcast_to(weight, values.shape))

    def add(self, values: Any, weight: Any) -> None:
        """Add values with weights of the same shape."""
        raise NotImplementedError


@METRICS.add
class Sum(Reduction):
    """Weighted sum of values.

    Example:
        >>> float(Sum()([1.0, 2.0, 3.0]))
        6.0
    """

    def make_state(self) -> None:
        self.total = self.add_variable(name="total")

    def add(self, values: Any, weight: Any) -> None:
        self.total.assign(self.total + ops.sum(values * weight))

    def result(self) -> Any:
        return self.total.value


@METRICS.add
class Mean(Reduction):
    """Weighted mean of values.

    Example:
        >>> float(Mean()([1.0, 2.0, 3.0], sample_weight=[1.0, 0.0, 1.0]))
        2.0
    """

    def make_state(self) -> None:
        self.total, self.count = self.add_variable(name="total"), self.add_variable(name="count")

    def add(self, values: Any, weight: Any) -> None:
        self.total.assign(self.total + ops.sum(values * weight))
        self.count.assign(self.count + ops.sum(weight))

    def result(self) -> Any:
        return divide(self.total.value, self.count.value)


class MeanOf(Mean):
    """Mean of a function of targets and predictions: the base of most metrics."""

    def values(self, y_true: Any, y_pred: Any) -> Any:
        """A value for each sample, or for each of its elements."""
        raise NotImplementedError

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        mask = get_mask(y_pred)
        values = operand(self.values(operand(y_true), operand(y_pred)))
        own, values = get_mask(values), ops.cast(values, "float32")
        weight = None if sample_weight is None else ops.cast(operand(sample_weight), "float32")
        mask = own if mask is None or mask.ndim > values.ndim else mask
        if mask is not None:
            counts = ops.cast(mask, "float32")
            weight = counts if weight is None else counts * weights_of(weight, counts)
        super().update_state(values, weight)


@METRICS.add
class MeanMetricWrapper(MeanOf):
    """Mean of a function of (y_true, y_pred).

    Args:
        fn: gives a value for each sample.
        name: its name in logs; the function's unless given.
        dtype: not used; there for Keras.

    Further arguments by name are given to ``fn``.

    Example:
        >>> metric = MeanMetricWrapper(lambda y_true, y_pred, scale: scale * (y_pred - y_true), scale=2.0)
        >>> float(metric(np.zeros(2), np.ones(2)))
        2.0
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        own = set(signature(cls).parameters)
        extra = {k: v for k, v in kwargs.items() if k not in own}
        self = super().__new__(cls, *args, **{k: v for k, v in kwargs.items() if k in own})
        self._config |= extra
        return self

    def __init__(self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(name=name or getattr(fn, "__name__", "metric"), dtype=dtype)
        self.fn, self.arguments = fn, kwargs

    def values(self, y_true: Any, y_pred: Any) -> Any:
        return self.fn(y_true, y_pred, **self.arguments)


@METRICS.add
class RootMeanSquaredError(Mean):
    """Square root of the mean squared error.

    Example:
        >>> float(RootMeanSquaredError()([[0.0, 0.0]], [[2.0, 2.0]]))
        2.0
    """

    _direction = "down"

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        y_true, y_pred = match(operand(y_true), operand(y_pred), str(self.name))
        super().update_state(ops.square(y_true - y_pred), sample_weight)

    def result(self) -> Any:
        return ops.sqrt(super().result())
