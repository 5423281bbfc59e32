"""Losses of probabilities and counts: crossentropies, focal forms of them, divergence, Poisson."""

from __future__ import annotations

from typing import Any

from layerkit import ops
from layerkit.errors import ArgumentError
from layerkit.fields import Fraction, NonNegativeFloat
from layerkit.losses.base import LOSSES, Loss, Reduction, match
from layerkit.ops.core import dtype_of, operand, operands
from layerkit.ops.normalization import EPSILON
from layerkit.trace import set_mask


def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Any:
    """Crossentropy of yes-or-no targets, mean over ``axis``.

    Example:
        >>> binary_crossentropy([[1.0, 0.0]], [[0.5, 0.5]]).round(4)
        array([0.6931], dtype=float32)
    """
    y_true, y_pred = match(y_true, y_pred, "binary_crossentropy")
    return ops.mean(ops.binary_crossentropy(_smooth(y_true, label_smoothing, 2), y_pred, from_logits), axis)


def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Any:
    """Crossentropy of one-hot targets along ``axis``.

    Example:
        >>> categorical_crossentropy([[1.0, 0.0]], [[0.5, 0.5]]).round(4)
        array([0.6931], dtype=float32)
    """
    y_true, y_pred = match(y_true, y_pred, "categorical_crossentropy")
    y_true = _smooth(y_true, label_smoothing, y_pred.shape[axis])
    return ops.categorical_crossentropy(y_true, y_pred, from_logits, axis)


def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Any:
    """Crossentropy of targets that are class numbers: (batch, ...), (batch, ..., classes) -> (batch, ...).

    A target of ``ignore_class`` has loss 0 and does not count in means.

    Example:
        >>> sparse_categorical_crossentropy([0], [[0.5, 0.5]]).round(4)
        array([0.6931], dtype=float32)
    """
    if ignore_class is None:
        return ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits, axis)
    y_true = operand(y_true)
    counts = ops.not_equal(y_true, ops.cast(ignore_class, dtype_of(y_true)))
    safe = ops.where(counts, y_true, ops.zeros_like(y_true))
    losses = ops.sparse_categorical_crossentropy(safe, y_pred, from_logits, axis)
    counts = ops.reshape(counts, losses.shape)
    losses = ops.where(counts, losses, 0.0)
    set_mask(losses, counts)
    return losses


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """Binary crossentropy in which what is already predicted well counts less. Source: arXiv:1708.02002.

    Each element is weighted by (1 - p)^gamma, p being the probability given to its target; with
    ``apply_class_balancing`` also by ``alpha`` where the target is 1 and by 1 - alpha where it is 0.

    Example:
        >>> binary_focal_crossentropy([[1.0, 0.0]], [[0.5, 0.5]]).round(4)
        array([0.1733], dtype=float32)
    """
    y_true, y_pred = match(y_true, y_pred, "binary_focal_crossentropy")
    y_true = _smooth(y_true, label_smoothing, 2)
    p = ops.sigmoid(y_pred) if from_logits else y_pred
    losses = ops.binary_crossentropy(y_true, p)
    hit = y_true * p + (1.0 - y_true) * (1.0 - p)
    losses = ops.power(1.0 - hit, gamma) * losses
    if apply_class_balancing:
        losses = losses * (y_true * alpha + (1.0 - y_true) * (1.0 - alpha))
    return ops.mean(losses, axis)


def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: Any = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """Categorical crossentropy in which what is already predicted well counts less. Source: arXiv:1708.02002.

    ``alpha`` weights all classes, or is a list with a weight for each.

    Example:
        >>> categorical_focal_crossentropy([[1.0, 0.0]], [[0.5, 0.5]]).round(4)
        array([0.0433], dtype=float32)
    """
    y_true, y_pred = match(y_true, y_pred, "categorical_focal_crossentropy")
    y_true = _smooth(y_true, label_smoothing, y_pred.shape[axis])
    p = ops.softmax(y_pred, axis) if from_logits else y_pred / ops.sum(y_pred, axis, keepdims=True)
    p = ops.clip(p, EPSILON, 1.0 - EPSILON)
    weight = ops.cast(operand(alpha), dtype_of(p)) * ops.power(1.0 - p, gamma)
    return -ops.sum(weight * y_true * ops.log(p), axis)


def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float) -> Any:
    """(1 - p^q) / q, p being the probability of the class ``y_true``: robust to wrong labels. Source: arXiv:1805.07836.

    Near q = 0 it is crossentropy, at 1 the absolute error.

    Example:
        >>> categorical_generalized_cross_entropy([0], [[0.25, 0.75]], 0.5)
        array([1.], dtype=float32)
    """
    y_true, (y_pred,) = operand(y_true), operands(y_pred, floating=True)
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, -1)
    hot = ops.one_hot(ops.cast(y_true, "int32"), y_pred.shape[-1], dtype=dtype_of(y_pred))
    return (1.0 - ops.power(ops.sum(y_pred * hot, -1), q)) / q


def kl_divergence(y_true: Any, y_pred: Any) -> Any:
    """sum(y_true * log(y_true / y_pred)) over the last axis; both are kept within [1e-7, 1].

    Example:
        >>> kl_divergence([[0.5, 0.5]], [[0.5, 0.5]])
        array([0.], dtype=float32)
    """
    y_true, y_pred = match(y_true, y_pred, "kl_divergence")
    y_true, y_pred = ops.clip(y_true, EPSILON, 1.0), ops.clip(y_pred, EPSILON, 1.0)
    return ops.sum(y_true * ops.log(y_true / y_pred), -1)


def poisson(y_true: Any, y_pred: Any) -> Any:
    """mean(y_pred - y_true * log(y_pred + 1e-7)) over the last axis: the likelihood of counts.

    Example:
        >>> poisson([[2.0]], [[1.0]]).round(4)
        array([1.], dtype=float32)
    """
    y_true, y_pred = match(y_true, y_pred, "poisson")
    return ops.mean(y_pred - y_true * ops.log(y_pred + EPSILON), -1)


def _smooth(y_true: Any, share: float, classes: Any) -> Any:
    """Targets moved this share of the way to equal probabilities."""
    return y_true * (1.0 - share) + share / classes if share else y_true


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
        return binary_crossentropy(y_true, y_pred, self.from_logits, self.label_smoothing, self.axis)


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
        return categorical_crossentropy(y_true, y_pred, self.from_logits, self.label_smoothing, self.axis)


class SparseCategoricalCrossentropy(Loss):
    """Crossentropy of targets that are class numbers: (batch, ...), (batch, ..., classes).

    Args:
        from_logits: whether the prediction is before the softmax.
        ignore_class: a target that does not count.
        axis: the axis of the classes.
    """

    takes_like = False
    from_logits: bool = False
    ignore_class: int | None = None
    reduction: Reduction = "sum_over_batch_size"
    axis: int = -1

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return sparse_categorical_crossentropy(y_true, y_pred, self.from_logits, self.ignore_class, self.axis)


class BinaryFocalCrossentropy(Loss):
    """Binary crossentropy in which what is already predicted well counts less.

    Args:
        apply_class_balancing: whether ``alpha`` is used.
        alpha: weight of targets that are 1; the others have 1 - alpha.
        gamma: how much less: each element is weighted by (1 - p)^gamma.
        from_logits: whether the prediction is before the sigmoid.
        label_smoothing: moves targets this share of the way to 0.5.
        axis: the axis of the mean.
    """

    apply_class_balancing: bool = False
    alpha: float = 0.25
    gamma: NonNegativeFloat = 2.0
    from_logits: bool = False
    label_smoothing: Fraction = 0.0
    axis: int = -1

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return binary_focal_crossentropy(
            y_true, y_pred, self.apply_class_balancing, self.alpha, self.gamma, self.from_logits, self.label_smoothing,
            self.axis,
        )  # fmt: skip


class CategoricalFocalCrossentropy(Loss):
    """Categorical crossentropy in which what is already predicted well counts less.

    Args:
        alpha: weight of all classes, or a list with a weight for each.
        gamma: how much less: each element is weighted by (1 - p)^gamma.
        from_logits: whether the prediction is before the softmax.
        label_smoothing: moves targets this share of the way to equal probabilities.
        axis: the axis of the classes.
    """

    alpha: Any = 0.25
    gamma: NonNegativeFloat = 2.0
    from_logits: bool = False
    label_smoothing: Fraction = 0.0
    axis: int = -1

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return categorical_focal_crossentropy(
            y_true, y_pred, self.alpha, self.gamma, self.from_logits, self.label_smoothing, self.axis
        )


class CategoricalGeneralizedCrossEntropy(Loss):
    """(1 - p^q) / q, p being the probability of the target's class.

    Args:
        q: between 0 (near crossentropy) and 1 (near the absolute error).
    """

    takes_like = False
    q: float = 0.5

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not 0 < self.q < 1:
            raise ArgumentError(
                "'q' of CategoricalGeneralizedCrossEntropy is a share.", expected="0 < q < 1", got=repr(self.q)
            )

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return categorical_generalized_cross_entropy(y_true, y_pred, self.q)


CategoricalGeneralizedCrossEntropy.__init__._is_declared = True  # type: ignore[attr-defined]


class KLDivergence(Loss):
    """sum(y_true * log(y_true / y_pred)) over the last axis."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return kl_divergence(y_true, y_pred)


class Poisson(Loss):
    """mean(y_pred - y_true * log(y_pred)) over the last axis."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return poisson(y_true, y_pred)


LOSSES.add(BinaryCrossentropy, "bce", "BCE")
LOSSES.add(CategoricalCrossentropy)
LOSSES.add(SparseCategoricalCrossentropy)
LOSSES.add(BinaryFocalCrossentropy)
LOSSES.add(CategoricalFocalCrossentropy)
LOSSES.add(CategoricalGeneralizedCrossEntropy)
LOSSES.add(KLDivergence, "kld", "KLD")
LOSSES.add(Poisson)
