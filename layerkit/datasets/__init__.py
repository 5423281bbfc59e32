"""Data that ships with the package, so that the first example needs no network.

``digits``: 1,797 handwritten digits of 8 x 8 pixels, from "Optical Recognition of Handwritten Digits" by E. Alpaydin and
C. Kaynak (1998), UCI Machine Learning Repository, https://doi.org/10.24432/C50P49, CC BY 4.0; see ``DIGITS.md``.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from layerkit import absent
from layerkit.errors import UnknownNameError, did_you_mean

Split = tuple[tuple[Any, Any], tuple[Any, Any]]


def digits() -> Split:
    """Handwritten digits: ``(x_train, y_train), (x_test, y_test)``.

    The pixels are shares of 0 to 1. Every fifth row of each class, in the order of the original, is for testing: 1,442
    rows to train and 355 to test.

    Shapes:
        x: (rows, 8, 8, 1) float32    y: (rows,) int32, 0 to 9

    Example:
        >>> (x_train, y_train), (x_test, y_test) = digits()
        >>> x_train.shape, x_test.shape
        ((1442, 8, 8, 1), (355, 8, 8, 1))
    """
    raw = gzip.decompress((files(__package__) / "digits.bin.gz").read_bytes())
    table = np.frombuffer(raw, "uint8").reshape(1797, 65)  # 64 pixels of 0 to 16, then the digit
    x = (table[:, :64].astype("float32") / 16).reshape(-1, 8, 8, 1)
    y = table[:, 64].astype("int32")
    nth = np.zeros(len(y), "int64")
    for digit in range(10):
        nth[y == digit] = np.arange((y == digit).sum())
    is_test = nth % 5 == 4
    return (x[~is_test], y[~is_test]), (x[is_test], y[is_test])


DATASETS: dict[str, Callable[[], Split]] = {"digits": digits}


def check_name(name: Any) -> str:
    """The name, if there is a data set of it.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in DATASETS:
        raise UnknownNameError(f"there is no data set '{name}'.", got=str(name), fix=did_you_mean(str(name), DATASETS))
    return str(name)


def load(name: str) -> Split:
    """The data set of that name.

    Raises:
        UnknownNameError: there is none.
    """
    return DATASETS[check_name(name)]()


if not TYPE_CHECKING:  # else any name would do for a type checker
    __getattr__ = absent.getter(__name__)
