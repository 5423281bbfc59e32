"""The losses, with Keras's names, arguments and numerical conventions."""

from __future__ import annotations

from typing import Any

from layerkit import ops
from layerkit.fields import Fraction
from layerkit.losses.base import LOSSES, Loss, match
from layerkit.ops.core import dtype_of
from layerkit.trace import set_mask


class MeanSquaredError(Loss):
    """mean((y_true - y_pred)^2) over the last axis."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_true, y_pred = match(y_true, y_pred, self.label)
        return ops.mean(ops.square(y_true - y_pred), -1)


class MeanAbsoluteError(Loss):
    """mean(|y_true - y_pred|) over the last axis."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_true, y_pred = match(y_true, y_pred, self.label)
        return ops.mean(ops.abs(y_true - y_pred), -1)


class BinaryCrossentropy(Loss):
    """Crossentropy of yes-or-no targets, mean over ``axis``.

    Args:
        from_logits: whether the prediction is before the sigmoid.
        label_smoothing: moves targets this share of the way to 0.5.
        axis: the axis of the mean.
    """

    from_logits: bool = False
    label_smoothing: Fraction = 0.0
    axis: int = -1

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_true, y_pred = match(y_true, y_pred, self.label)
        if self.label_smoothing:
            y_true = y_true * (1.0 - self.label_smoothing) + 0.5 * self.label_smoothing
        return ops.mean(ops.binary_crossentropy(y_true, y_pred, self.from_logits), self.axis)


class CategoricalCrossentropy(Loss):
    """Crossentropy of one-hot targets along ``axis``.

    Args:
        from_logits: whether the prediction is before the softmax.
        label_smoothing: moves targets this share of the way to equal probabilities.
        axis: the axis of the classes.
    """

    from_logits: bool = False
    label_smoothing: Fraction = 0.0
    axis: int = -1

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_true, y_pred = match(y_true, y_pred, self.label)
        if self.label_smoothing:
            y_true = y_true * (1.0 - self.label_smoothing) + self.label_smoothing / y_pred.shape[self.axis]
        return ops.categorical_crossentropy(y_true, y_pred, self.from_logits, self.axis)


class SparseCategoricalCrossentropy(Loss):
    """Crossentropy of targets that are class numbers: (batch, ...), (batch, ..., classes).

    Args:
        from_logits: whether the prediction is before the softmax.
        ignore_class: a target that does not count.
        axis: the axis of the classes.
    """

    from_logits: bool = False
    ignore_class: int | None = None
    axis: int = -1

    def call(self, y_true: Any, y_pred: Any) -> Any:
        if self.ignore_class is None:
            return ops.sparse_categorical_crossentropy(y_true, y_pred, self.from_logits, self.axis)
        counts = ops.not_equal(y_true, ops.cast(self.ignore_class, dtype_of(y_true)))
        safe = ops.where(counts, y_true, ops.zeros_like(y_true))
        losses = ops.sparse_categorical_crossentropy(safe, y_pred, self.from_logits, self.axis)
        counts = ops.reshape(counts, losses.shape)
        losses = ops.where(counts, losses, 0.0)
        set_mask(losses, counts)
        return losses


for _cls, _aliases in (
    (MeanSquaredError, ("mse", "MSE")),
    (MeanAbsoluteError, ("mae", "MAE")),
    (BinaryCrossentropy, ("bce", "BCE")),
    (CategoricalCrossentropy, ()),
    (SparseCategoricalCrossentropy, ()),
):
    LOSSES.add(_cls, *_aliases)


class FunctionLoss(Loss):
    """A function of (y_true, y_pred) as a loss."""

    function: Any

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.function(y_true, y_pred)

    @property
    def label(self) -> str:
        return str(getattr(self.function, "__name__", "loss"))


def get(identifier: Any) -> Any:
    """The loss that a name, a mapping, an object or a function of (y_true, y_pred) stands for; None stays None."""
    if identifier is None or isinstance(identifier, Loss):
        return identifier
    if callable(identifier) and not isinstance(identifier, type):
        return FunctionLoss(function=identifier)
    return LOSSES.make(identifier)
