"""Connectionist temporal classification: sequences of labels against longer sequences of outputs, not aligned."""

from __future__ import annotations

from typing import Any

from layerkit import ops
from layerkit.errors import ShapeError
from layerkit.ir import show_shape
from layerkit.losses.base import LOSSES, Loss
from layerkit.ops.core import operand


def ctc(y_true: Any, y_pred: Any) -> Any:
    """-log of the probability that the outputs spell the labels; see ``ops.ctc_loss``.

    Class 0 is the blank; labels end at the first 0. All frames of the outputs count.

    Shapes:
        y_true: (batch, labels), whole numbers    y_pred: (batch, frames, classes), before the softmax
        returns: (batch,)
    Raises:
        ShapeError: the inputs have other numbers of axes.

    Example:
        >>> ctc([[1]], [[[0.0, 0.0]]]).round(4)
        array([0.6931], dtype=float32)
    """
    labels, y_pred = operand(y_true), operand(y_pred)
    if labels.ndim != 2 or y_pred.ndim != 3:
        raise ShapeError(
            "'ctc' needs a row of labels and a row of frames for each sample.",
            expected="(batch, labels) and (batch, frames, classes)",
            got=f"{show_shape(labels.shape)} and {show_shape(y_pred.shape)}",
        )
    length = ops.sum(ops.cast(ops.not_equal(labels, 0), "int32"), 1)
    return ops.ctc_loss(labels, y_pred, length, length * 0 + y_pred.shape[1])


class CTC(Loss):
    """Connectionist temporal classification; class 0 is the blank and ends the labels."""

    takes_like = False

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ctc(y_true, y_pred)


LOSSES.add(CTC)
