"""Connectionist temporal classification: sequences of labels against longer sequences of outputs, not aligned.

Source: Graves, Fernandez, Gomez and Schmidhuber 2006, ICML.
"""

from __future__ import annotations

from typing import Any

from layerkit.errors import ArgumentError, ShapeError
from layerkit.ir import show_shape
from layerkit.ops.activations import log_softmax, logsumexp
from layerkit.ops.arrangement import pad
from layerkit.ops.core import Tensor, check_choice, composite, dtype_of, example, operand, operands
from layerkit.ops.creation import arange, full_like
from layerkit.ops.elementwise import cast, equal, less, logical_and, logical_or, not_equal, where
from layerkit.ops.gathering import take_along_axis
from layerkit.ops.indexing import one_hot
from layerkit.ops.matrices import matmul
from layerkit.ops.reduction import argmax, max, sum
from layerkit.ops.scan import scan
from layerkit.ops.shape import concatenate, expand_dims, reshape, stack, transpose
from layerkit.ops.sorting import argsort

NEVER = -1e5  # the logarithm of a probability that counts as 0


@composite(
    example((2, 2), (2, 5, 4), (2,), (2,), integers={0: (1, 4), 2: (1, 3), 3: (4, 6)}),
)
def ctc_loss(target: Tensor, output: Tensor, target_length: Tensor, output_length: Tensor, mask_index: int = 0) -> Any:
    """-log of the probability that the outputs spell the labels: (batch,).

    Where the labels cannot be spelt in so few frames, the loss is about 1e5 and has no gradient.

    Args:
        target: labels, (batch, labels), whole numbers.
        output: before the softmax, (batch, frames, classes).
        target_length: how many of the labels count, (batch,).
        output_length: how many of the frames count, (batch,).
        mask_index: the class that is the blank.

    Raises:
        ShapeError: the inputs have other numbers of axes.

    Example:
        >>> ctc_loss([[1]], [[[0.0, 0.0]]], [1], [1]).round(4)
        array([0.6931], dtype=float32)
    """
    labels, (output,) = operand(target), operands(output, floating=True)
    if labels.ndim != 2 or output.ndim != 3:
        raise ShapeError(
            "'ctc_loss' needs a row of labels and a row of frames for each sample.",
            expected="(batch, labels) and (batch, frames, classes)",
            got=f"{show_shape(labels.shape)} and {show_shape(output.shape)}",
        )
    labels = cast(labels, "int32")
    count, frames = (expand_dims(cast(n, "int32"), 1) for n in (target_length, output_length))
    log_p = log_softmax(output)
    # the path through the labels: blank, first, blank, second, ..., blank
    size = 2 * labels.shape[1] + 1
    path = reshape(stack([full_like(labels, mask_index), labels], 2), (-1, size - 1))
    path = pad(path, ((0, 0), (0, 1)), constant_values=mask_index)
    hot = one_hot(path, log_p.shape[2], dtype=dtype_of(log_p))
    seen = matmul(hot, transpose(log_p, (0, 2, 1)))  # (batch, size, frames)
    before = pad(path[:, :-2], ((0, 0), (2, 0)), constant_values=mask_index)
    may_skip = logical_and(not_equal(path, mask_index), not_equal(path, before))
    place = expand_dims(arange(size), 0)
    start = where(less(place, 2), seen[:, :, 0], NEVER)

    def step(reached: Any, each: tuple[Any, Any]) -> tuple[Any, None]:
        emitted, time = each
        one, two = (pad(reached[:, :-n], ((0, 0), (n, 0)), constant_values=NEVER) for n in (1, 2))
        ways = stack([reached, one, where(may_skip, two, NEVER)], 0)
        return where(less(time, frames), logsumexp(ways, 0) + emitted, reached), None

    reached, _ = scan(step, start, (transpose(seen[:, :, 1:], (2, 0, 1)), arange(1, seen.shape[2])))
    is_end = logical_or(equal(place, 2 * count), equal(place, 2 * count - 1))
    return -logsumexp(where(is_end, reached, NEVER), 1)


def ctc_decode(
    inputs: Tensor,
    sequence_lengths: Tensor,
    strategy: str = "greedy",
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
    mask_index: int = 0,
) -> tuple[Any, Any]:
    """The labels that the best class of each frame spells, filled up with -1, and minus the sum of those classes' outputs.

    Shapes:
        inputs: (batch, frames, classes), before the softmax    returns: i32[1, batch, frames], (batch, 1)
    Args:
        inputs: the outputs.
        sequence_lengths: how many of the frames count, (batch,).
        strategy: "greedy"; a search with beams is not built.
        beam_width: of such a search.
        top_paths: 1.
        merge_repeated: whether one class in neighbouring frames is one label.
        mask_index: the class that is the blank.

    Example:
        >>> ctc_decode([[[0.0, 2.0], [0.0, 1.0], [3.0, 0.0]]], [3])[0]
        array([[[ 1, -1, -1]]], dtype=int32)
    """
    check_choice("ctc_decode", "strategy", strategy, ["greedy"])
    if top_paths != 1:
        raise ArgumentError("the best path is one.", expected="top_paths=1", got=repr(top_paths))
    (inputs,) = operands(inputs, floating=True)
    best = argmax(inputs, -1)
    frames = inputs.shape[1]
    counts = less(expand_dims(arange(frames), 0), expand_dims(cast(sequence_lengths, "int32"), 1))
    score = sum(where(counts, max(inputs, -1), 0.0), 1, keepdims=True)
    kept = logical_and(counts, not_equal(best, mask_index))
    if merge_repeated:
        is_new = concatenate([full_like(best[:, :1], 1, "bool"), not_equal(best[:, 1:], best[:, :-1])], 1)
        kept = logical_and(kept, is_new)
    order = argsort(cast(kept, "int32") * -1)  # those that are kept first, in their order
    labels = take_along_axis(where(kept, best, -1), order, 1)
    return expand_dims(labels, 0), -score
