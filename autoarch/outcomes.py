"""How a model does on each row: what a claim, and the estimate of the luck in a choice, are made of.

A loss of a row is 1 for a wrong class and 0 for a right one, or the squared error; where a row has several, their mean.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from layerkit.data.preparation import Preparation
from layerkit.ir import Array

MOST_ROWS = 2_048  # of the validation part whose losses a study keeps


def predicted(model: Any, x: Any, *, is_class: bool) -> Array | None:
    """The class, or the values, for each row; None for a model of several outputs."""
    out = model.predict(x, verbose=0)
    if not isinstance(out, np.ndarray):
        return None
    return classes_of(model, out) if is_class else out


def classes_of(model: Any, outputs: Array) -> Array:
    """The number of the class that outputs tell: the highest of several, or on which side of a half a single one is."""
    if outputs.shape[-1] > 1:
        return np.asarray(outputs.argmax(-1))
    return (outputs[..., 0] > (0.0 if getattr(model.loss, "from_logits", False) else 0.5)).astype("int64")


def losses(predictions: Array, y: Array, *, is_class: bool) -> Array:
    """The loss of each row.

    Example:
        >>> losses(np.array([1, 2, 0]), np.array([1, 1, 0]), is_class=True)
        array([0., 1., 0.])
    """
    rows = len(y)
    if is_class:
        return (predictions.reshape(rows, -1) != y.reshape(rows, -1)).mean(1)
    return ((predictions.reshape(rows, -1).astype("float64") - y.reshape(rows, -1)) ** 2).mean(1)


def in_units(preparation: Preparation, values: Any) -> Any:
    """Targets, or predictions of them, in the units of the data, whatever a model is trained on."""
    if preparation.task != "regression" or not isinstance(values, np.ndarray):
        return values
    return preparation.restored(preparation.targets[0].name, values)


def row_losses(model: Any, x: Any, y: Any, preparation: Preparation) -> Array | None:
    """The model's loss on each row, in the units of the data; None where rows have no one loss."""
    is_class = preparation.task == "classification"
    found = predicted(model, x, is_class=is_class)
    if found is None or not isinstance(y, np.ndarray) or found.size != y.size:
        return None
    return losses(in_units(preparation, found), in_units(preparation, y), is_class=is_class)


def packed(losses: Array) -> str:
    """Losses as a short text, thinned out evenly where there are many: a bit for each row, or a float32.

    Example:
        >>> packed(np.array([1.0, 0.0, 1.0])), unpacked(packed(np.array([1.0, 0.0, 1.0])))
        ('3:oA==', array([1., 0., 1.]))
    """
    count = min(MOST_ROWS, len(losses))
    kept = losses[np.arange(count) * len(losses) // count]
    is_bits = bool(np.isin(kept, (0, 1)).all())
    data = np.packbits(kept.astype(bool)) if is_bits else kept.astype("<f4")
    return f"{count if is_bits else 'f4'}:{base64.b64encode(data.tobytes()).decode()}"


def unpacked(text: str) -> Array:
    """The losses that ``packed`` wrote."""
    kind, _, data = text.partition(":")
    raw = base64.b64decode(data)
    if kind == "f4":
        return np.frombuffer(raw, "<f4").astype("float64")
    return np.unpackbits(np.frombuffer(raw, "uint8"))[: int(kind)].astype("float64")
