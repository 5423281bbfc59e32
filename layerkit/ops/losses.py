"""Losses for each element or row: composites with the names and conventions of ``keras.ops``."""

from __future__ import annotations

import math
from typing import Any

from layerkit.errors import ShapeError
from layerkit.ir import show_shape, unify
from layerkit.ops.activations import log_sigmoid, log_softmax
from layerkit.ops.core import Tensor, composite, dtype_of, example, operand, operands
from layerkit.ops.elementwise import cast, log
from layerkit.ops.indexing import one_hot
from layerkit.ops.normalization import EPSILON
from layerkit.ops.reduction import mean, sum
from layerkit.ops.scientific import clip
from layerkit.ops.shape import squeeze


@composite(
    example((2, 3), (2, 3), domain=(0.1, 0.9)),
    example((2, 3), (2, 3), domain=(0.1, 0.9), from_logits=True),
)
def categorical_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False, axis: int = -1) -> Any:
    """-sum(target * log(output)) along ``axis``: (..., classes), (..., classes) -> (...)."""
    target, output = operands(target, output, floating=True)
    _same_shape("categorical_crossentropy", target, output)
    return -sum(target * _log_probabilities(output, from_logits, axis), axis)


@composite(
    example((2,), (2, 3), domain=(0.1, 0.9), integers={0: (0, 3)}),
    example((2,), (2, 3), domain=(0.1, 0.9), integers={0: (0, 3)}, from_logits=True),
)
def sparse_categorical_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False, axis: int = -1) -> Any:
    """-log(output) at the class ``target``: (...) or (..., 1), (..., classes) -> (...)."""
    target, (output,) = operand(target), operands(output, floating=True)
    if target.ndim == output.ndim and target.shape[-1] == 1:
        target = squeeze(target, -1)
    target = cast(target, "int32")
    log_p = _log_probabilities(output, from_logits, axis)
    hot = one_hot(target, output.shape[axis], axis=axis, dtype=dtype_of(log_p))
    _same_shape("sparse_categorical_crossentropy", hot, output)
    return -sum(hot * log_p, axis)


@composite(
    example((2, 3), (2, 3), domain=(0.1, 0.9)),
    example((2, 3), (2, 3), domain=(0.1, 0.9), from_logits=True),
)
def binary_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False) -> Any:
    """-target * log(output) - (1 - target) * log(1 - output), for each element."""
    target, output = operands(target, output, floating=True)
    _same_shape("binary_crossentropy", target, output)
    if from_logits:
        return -(target * log_sigmoid(output) + (1.0 - target) * log_sigmoid(-output))
    output = clip(output, EPSILON, 1.0 - EPSILON)
    return -(target * log(output) + (1.0 - target) * log(1.0 - output))


@composite(example((2, 3), (2, 3), max_val=2.0))
def psnr(x1: Tensor, x2: Tensor, max_val: float) -> Any:
    """Peak signal-to-noise ratio of two tensors, in decibels: 10 * log10(max_val^2 / mean squared difference)."""
    x1, x2 = operands(x1, x2, floating=True)
    _same_shape("psnr", x1, x2)
    gap = x1 - x2
    return 20.0 * math.log10(max_val) - 10.0 / math.log(10) * log(mean(gap * gap))


def _log_probabilities(output: Any, from_logits: bool, axis: int) -> Any:
    if from_logits:
        return log_softmax(output, axis)
    return log(clip(output / sum(output, axis, keepdims=True), EPSILON, 1.0 - EPSILON))


def _same_shape(op: str, target: Any, output: Any) -> None:
    if target.ndim != output.ndim or any(unify(a, b) is None for a, b in zip(target.shape, output.shape, strict=True)):
        raise ShapeError(
            f"'{op}' needs a target for each output.", expected=show_shape(output.shape), got=show_shape(target.shape)
        )
