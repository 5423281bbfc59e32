"""Small helpers that users of Keras know."""

from __future__ import annotations

from typing import Any

import numpy as np

from layerkit.errors import DataError
from layerkit.ir import Array
from layerkit.trace import set_seed


def set_random_seed(seed: int) -> None:
    """Make initial weights, dropout and shuffling repeatable.

    Args:
        seed: a whole number, 0 included.
    """
    set_seed(seed)


def to_categorical(x: Any, num_classes: int | None = None) -> Array:
    """Class numbers as one-hot rows: (...) -> (..., num_classes), float32.

    Args:
        x: whole numbers from 0.
        num_classes: by default one more than the largest.

    Raises:
        DataError: a number that is no class.

    Example:
        >>> to_categorical([1, 0])
        array([[0., 1.],
               [1., 0.]], dtype=float32)
    """
    numbers = np.asarray(x).astype("int64")
    if numbers.ndim > 1 and numbers.shape[-1] == 1:
        numbers = numbers[..., 0]
    count = int(numbers.max()) + 1 if num_classes is None else num_classes
    if numbers.size and (numbers.min() < 0 or numbers.max() >= count):
        raise DataError(
            "a number is no class.",
            expected=f"whole numbers in [0, {count})",
            got=f"{numbers.min()} to {numbers.max()}",
        )
    return np.eye(count, dtype="float32")[numbers]


__all__ = ["set_random_seed", "to_categorical"]
