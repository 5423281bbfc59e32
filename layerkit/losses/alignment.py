"""Connectionist temporal classification: sequences of labels against longer sequences of outputs, not aligned."""

from __future__ import annotations

from typing import Any

from layerkit import ops
from layerkit.errors import ShapeError
from layerkit.ir import show_shape
from layerkit.losses.base import LOSSES, Loss
from layerkit.ops.core import operand, operands

_NEVER = -1e5  # the logarithm of a probability that counts as 0


def ctc(y_true: Any, y_pred: Any) -> Any:
    """-log of the probability that the outputs spell the labels. Source: Graves et al. 2006, ICML.

    Class 0 is the blank; labels end at the first 0. All frames of the outputs count. Where the labels cannot be spelt in
    so few frames, the loss is about 1e5 and has no gradient.

    Shapes:
        y_true: (batch, labels), whole numbers    y_pred: (batch, frames, classes), before the softmax
        returns: (batch,)
    Raises:
        ShapeError: the inputs have other numbers of axes.

    Example:
        >>> ctc([[1]], [[[0.0, 0.0]]]).round(4)
        array([0.6931], dtype=float32)
    """
    labels, (y_pred,) = operand(y_true), operands(y_pred, floating=True)
    if labels.ndim != 2 or y_pred.ndim != 3:
        raise ShapeError(
            "'ctc' needs a row of labels and a row of frames for each sample.",
            expected="(batch, labels) and (batch, frames, classes)",
            got=f"{show_shape(labels.shape)} and {show_shape(y_pred.shape)}",
        )
    labels = ops.cast(labels, "int32")
    log_p, kind = ops.log_softmax(y_pred), y_pred.dtype if isinstance(y_pred.dtype, str) else y_pred.dtype.name
    # the path through the labels: blank, first, blank, second, ..., blank
    blanks = ops.zeros_like(labels)
    size = 2 * labels.shape[1] + 1
    path = ops.reshape(ops.stack([blanks, labels], 2), (-1, size - 1))
    path = ops.pad(path, ((0, 0), (0, 1)))
    seen = ops.matmul(
        ops.one_hot(path, log_p.shape[2], dtype=kind), ops.transpose(log_p, (0, 2, 1))
    )  # (batch, size, frames)
    before = ops.pad(path[:, :-2], ((0, 0), (2, 0)))
    may_skip = ops.logical_and(ops.not_equal(path, 0), ops.not_equal(path, before))
    place = ops.expand_dims(ops.arange(size), 0)
    start = ops.where(ops.less(place, 2), seen[:, :, 0], _NEVER)

    def step(reached: Any, emitted: Any) -> tuple[Any, Any]:
        one, two = (ops.pad(reached[:, :-n], ((0, 0), (n, 0)), constant_values=_NEVER) for n in (1, 2))
        ways = ops.stack([reached, one, ops.where(may_skip, two, _NEVER)], 0)
        reached = ops.logsumexp(ways, 0) + emitted
        return reached, None

    reached, _ = ops.scan(step, start, ops.transpose(seen[:, :, 1:], (2, 0, 1)))
    length = ops.sum(ops.cast(ops.not_equal(labels, 0), "int32"), 1, keepdims=True)
    is_end = ops.logical_or(ops.equal(place, 2 * length), ops.equal(place, 2 * length - 1))
    return -ops.logsumexp(ops.where(is_end, reached, _NEVER), 1)


class CTC(Loss):
    """Connectionist temporal classification; class 0 is the blank and ends the labels."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ctc(y_true, y_pred)


LOSSES.add(CTC)
