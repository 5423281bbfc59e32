"""The base of losses: a value for each sample, weighted and averaged.

``call`` gives a loss for each sample (and position); the base multiplies it with sample weights and masks and reduces it.
A target must have the shape of the prediction; (batch,) against (batch, 1) is taken to mean the same. Keras lets any
shapes broadcast against each other, which trains something else in silence: here it is an error.
"""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Annotated, Any, ClassVar

from layerkit import ops
from layerkit.dtypes import is_floating
from layerkit.errors import ShapeError
from layerkit.fields import Configurable, OneOf
from layerkit.ir import product, show_shape, unify
from layerkit.ops.core import dtype_of, operand, operands
from layerkit.registry import Registry, named, snake_case
from layerkit.trace import get_mask

LOSSES = Registry("loss")
REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)
Reduction = Annotated[Any, OneOf(REDUCTIONS)]


class Loss(Configurable):
    """Base class of losses.

    Args:
        reduction: "sum_over_batch_size" (mean over all losses), "sum", "mean_with_sample_weight" or "none".
        name: its name in logs.
        dtype: in which to compute; by default that of the predictions.
    """

    takes_like: ClassVar[bool] = True
    """Whether targets have the shape of the predictions."""

    reduction: Reduction = "sum_over_batch_size"
    name: str | None = None
    dtype: Any = None
    _: KW_ONLY

    def __init_subclass__(cls) -> None:
        if "name" not in cls.__dict__:
            cls.name = snake_case(cls.__name__)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """A loss for each sample: (batch, ..., n), (batch, ..., n) -> (batch, ...)."""
        raise NotImplementedError

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        mask = get_mask(y_pred)
        y_true, y_pred = operand(y_true), operand(y_pred)
        if self.dtype is not None:
            y_true, y_pred = (ops.cast(y, self.dtype) if is_floating(dtype_of(y)) else y for y in (y_true, y_pred))
        losses = self.call(y_true, y_pred)
        own = get_mask(losses)
        if own is not None:
            mask = own if mask is None else ops.logical_and(mask, own)
        found = reduce_weighted(losses, sample_weight, mask, self.reduction)
        return found if self.dtype is None else ops.cast(found, self.dtype)


def reduce_weighted(losses: Any, sample_weight: Any, mask: Any, reduction: str | None) -> Any:
    """Losses times weights, reduced; with a mask the mean is over the elements that count, as in Keras."""
    kind = dtype_of(losses)
    weight = None if sample_weight is None else ops.cast(sample_weight, kind)
    if mask is not None:
        counts = ops.cast(mask, kind)
        if reduction in ("sum_over_batch_size", "mean"):
            total = ops.cast(ops.size(product(counts.shape)), kind)
            counts = counts * (total / ops.maximum(ops.sum(counts), 1e-7))
        if weight is None:
            weight = counts
        else:
            weight, counts = _align(weight, counts)
            weight = weight * counts
    if weight is not None:
        losses, weight = _align(losses, weight)
        losses = losses * weight
    if reduction in (None, "none"):
        return losses
    total = ops.sum(losses)
    if reduction == "sum":
        return total
    if reduction == "mean_with_sample_weight" and weight is not None:
        return total / ops.maximum(ops.sum(ops.broadcast_to(weight, losses.shape)), 1e-7)
    return total / ops.cast(ops.size(product(losses.shape)), kind)


def _align(a: Any, b: Any) -> tuple[Any, Any]:
    """Both with the same number of axes, ones added at the end."""
    if a.ndim == b.ndim + 1 and a.shape[-1] == 1:
        return ops.squeeze(a, -1), b
    if b.ndim == a.ndim + 1 and b.shape[-1] == 1:
        return a, ops.squeeze(b, -1)
    rank = max(a.ndim, b.ndim)
    return tuple(ops.reshape(x, (*x.shape, *(1,) * (rank - x.ndim))) for x in (a, b))  # type: ignore[return-value]


def match(y_true: Any, y_pred: Any, name: str) -> tuple[Any, Any]:
    """Target and prediction as floats of one shape; ``name`` is the function's, for the error.

    Raises:
        ShapeError: they differ by more than an axis of size 1 at the end.
    """
    (y_pred,) = operands(y_pred, floating=True)
    y_true = ops.cast(y_true, dtype_of(y_pred))
    if y_true.ndim == y_pred.ndim - 1 and y_pred.shape[-1] == 1:
        y_true = ops.expand_dims(y_true, -1)
    elif y_true.ndim == y_pred.ndim + 1 and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, -1)
    if y_true.ndim != y_pred.ndim or any(unify(a, b) is None for a, b in zip(y_true.shape, y_pred.shape, strict=True)):
        raise ShapeError(
            f"the target does not have the shape of the prediction for '{name}'.",
            expected=show_shape(y_pred.shape),
            got=show_shape(y_true.shape),
            fix="reshape the targets, or change the units of the last layer",
        )
    return y_true, y_pred


class FunctionLoss(Loss):
    """A function of (y_true, y_pred) as a loss."""

    takes_like = False
    function: Any

    def __init__(self, function: Any, **kwargs: Any) -> None:
        kwargs.setdefault("name", getattr(function, "__name__", "loss"))
        super().__init__(function=function, **kwargs)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.function(y_true, y_pred)


def get(identifier: Any) -> Any:
    """The loss that a name, a mapping, an object or a function of (y_true, y_pred) stands for; None stays None.

    Example:
        >>> get("huber")
        Huber()
        >>> get({"BinaryCrossentropy": {"from_logits": True}})
        BinaryCrossentropy(from_logits=True)
    """
    identifier = named(identifier)
    if identifier is None or isinstance(identifier, Loss):
        return identifier
    if callable(identifier) and not isinstance(identifier, type):
        return FunctionLoss(identifier)
    return LOSSES.make(identifier)
