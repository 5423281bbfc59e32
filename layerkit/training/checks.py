"""Mistakes in the data that would train something else in silence, found before the first step.

Each check reads the data once; ``fit(..., check_data=False)`` turns them off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from layerkit import tree
from layerkit.errors import DataError, warn
from layerkit.ir import Array
from layerkit.losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    Loss,
    SparseCategoricalCrossentropy,
)

_CHUNK = 1 << 20  # numbers looked at at a time: the check stays in the cache and allocates nothing large
REDUCE = "reduce the prediction to one for each row before the last layer: Flatten, a global pooling, or return_sequences=False"


def check_finite(data: Any, name: str) -> None:
    """Refuse nan and infinity.

    Raises:
        DataError: it says where the first is, and how many there are.
    """
    leaves, structure = tree.flatten(data)
    for path, array in zip(tree.describe(structure), leaves, strict=True):
        if array.dtype.kind != "f" or _all_finite(array):
            continue
        bad = np.argwhere(~np.isfinite(array))
        where = tuple(int(i) for i in bad[0])
        raise DataError(
            f"'{name}{'.' + path if path else ''}' holds numbers that are not finite.",
            expected="finite numbers",
            got=f"{array[where]} at row {where[0]}, index {list(where)}; {len(bad)} of {array.size} in all",
            fix="remove or fill these rows, for instance with np.nan_to_num",
        )


def _all_finite(array: Array) -> bool:
    flat = array.reshape(-1)
    with np.errstate(all="ignore"):  # a sum is finite if all its terms are; where it is not, look closer
        return all(
            np.isfinite(part.sum()) or bool(np.isfinite(part).all())
            for part in (flat[i : i + _CHUNK] for i in range(0, flat.size, _CHUNK))
        )


def check_target(y: Array, shape: tuple[Any, ...], loss: Loss, output: str) -> None:
    """Refuse targets that do not fit the loss: wrong classes, one-hot against class numbers, shapes that would broadcast.

    Args:
        y: all targets of one output.
        shape: shape of the prediction; unknown sizes are None.
        loss: the loss of that output.
        output: its name, for the message.
    """
    classes = shape[-1] if shape else None
    if isinstance(loss, SparseCategoricalCrossentropy | CategoricalGeneralizedCrossEntropy):
        _check_classes(y, shape, classes, loss, output)
        return
    if (
        isinstance(loss, CategoricalCrossentropy)
        and (y.ndim < len(shape) or y.shape[-1] == 1)
        and classes not in (1, None)
    ):
        raise DataError(
            f"'{type(loss).__name__}' needs one-hot targets, these look like class numbers.",
            layer=output,
            expected=f"shape (rows, {classes})",
            got=f"shape {y.shape}, {y.dtype}",
            fix="use loss='sparse_categorical_crossentropy'",
        )
    if type(loss).__module__.startswith("layerkit.") and loss.takes_like:
        _check_shape(y, shape, output)
    if isinstance(loss, BinaryCrossentropy) and y.size and (y.min() < 0 or y.max() > 1):
        raise DataError(
            "'BinaryCrossentropy' needs targets between 0 and 1.",
            layer=output,
            expected="0 to 1",
            got=f"{y.min()} to {y.max()}",
        )


def _check_classes(y: Array, shape: tuple[Any, ...], classes: Any, loss: Any, output: str) -> None:
    if y.ndim == len(shape) and y.shape[-1] != 1 and y.shape[-1] == classes:
        raise DataError(
            f"'{type(loss).__name__}' needs class numbers, these look one-hot.",
            layer=output,
            expected=f"shape {_of_rows(shape[1:-1])} of whole numbers",
            got=f"shape {y.shape}",
            fix="use loss='categorical_crossentropy', or y.argmax(-1)",
        )
    wanted = shape[1:-1]
    inner = y.shape[1:-1] if y.ndim == len(shape) and y.shape[-1] == 1 else y.shape[1:]
    if len(inner) != len(wanted) or any(b is not None and a != b for a, b in zip(inner, wanted, strict=True)):
        raise DataError(
            "the targets do not fit the prediction.",
            layer=output,
            expected=f"shape {_of_rows(wanted)}",
            got=f"shape {y.shape}",
            fix=REDUCE if len(inner) < len(wanted) else None,
        )
    if classes is None or not y.size:
        return
    ignored = getattr(loss, "ignore_class", None)
    counted = y if ignored is None else y[y != ignored]
    if y.dtype.kind == "f" and counted.size and not (counted == np.rint(counted)).all():
        raise DataError(
            "class numbers are whole numbers.", layer=output, expected="whole numbers", got=f"{y.dtype} with fractions",
            fix="numbers are predicted with loss='mse', or another of regression",
        )  # fmt: skip
    if counted.size and (counted.min() < 0 or counted.max() >= classes):
        low, high = counted.min(), counted.max()
        bad = np.argwhere((y < 0) | (y >= classes))[0]
        raise DataError(
            "a label is none of the classes.",
            layer=output,
            expected=f"whole numbers in [0, {classes})",
            got=f"labels from {low} to {high}, for instance in row {int(bad[0])}",
            fix="use loss='binary_crossentropy', or give the last layer 2 units and a softmax"
            if classes == 1 and low >= 0 and high <= 1
            else f"give the last layer {int(high) + 1} units, or count the classes from 0",
        )


def _check_shape(y: Array, shape: tuple[Any, ...], output: str) -> None:
    found = y.shape
    if len(found) == len(shape) - 1 and shape[-1] == 1:
        found = (*found, 1)
    if len(found) == len(shape) + 1 and found[-1] == 1:
        found = found[:-1]
    if len(found) != len(shape) or any(b is not None and a != b for a, b in zip(found[1:], shape[1:], strict=True)):
        raise DataError(
            "the targets do not have the shape of the prediction; broadcasting would train something else.",
            layer=output,
            expected=f"shape {_of_rows(shape[1:])}",
            got=f"shape {y.shape}",
            fix="class numbers need loss='sparse_categorical_crossentropy'" if _counts_classes(y, shape)
            else REDUCE if len(found) < len(shape)
            else "reshape the targets, or change the units of the last layer",
        )  # fmt: skip


def _of_rows(sizes: Sequence[Any]) -> str:
    """A shape in words: of rows, and of axes of which one may be unknown."""
    return "(" + ", ".join(["rows", *("any" if n is None else str(n) for n in sizes)]) + ")"


def _counts_classes(y: Array, shape: tuple[Any, ...]) -> bool:
    """Whether targets of a shape that does not fit look like numbers of classes."""
    is_whole = y.dtype.kind in "iu" and y.ndim in (len(shape) - 1, len(shape))
    return is_whole and isinstance(shape[-1], int) and bool(y.min() >= 0 and y.max() < shape[-1])


def check_activation(loss: Loss, activation: str | None, output: str, units: Any = None) -> None:
    """Warn of a probability given to a loss that expects logits, of the reverse, and of a softmax over one number."""
    if activation == "softmax" and units == 1:
        warn(f"layer '{output}' is a softmax over one number, which is always 1: use activation='sigmoid'.")
    if (
        not isinstance(loss, BinaryCrossentropy | CategoricalCrossentropy | SparseCategoricalCrossentropy)
        or activation is None
    ):
        return
    gives_probabilities = activation in ("softmax", "sigmoid")
    name = type(loss).__name__
    if loss.from_logits and gives_probabilities:
        message = f"layer '{output}' ends in {activation}, but {name}(from_logits=True) expects numbers before it: drop one of the two."
    elif not loss.from_logits and not gives_probabilities and activation in ("linear", "relu", "tanh", "log_softmax"):
        message = (
            f"layer '{output}' ends in {activation}, but {name} expects probabilities: "
            f"use activation='{'sigmoid' if isinstance(loss, BinaryCrossentropy) else 'softmax'}', or from_logits=True."
        )
    else:
        return
    warn(message)
