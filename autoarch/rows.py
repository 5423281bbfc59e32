"""Arrays and tables from Python as data that a search reads: a file in its folder, or records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from layerkit.data import CSV, Records
from layerkit.data.records import ArrayRecords
from layerkit.errors import DataError
from layerkit.ir import Array

NAME = "data"
TARGET = "y"


def is_table(x: Any) -> bool:
    """Whether it is a table of pandas: columns with names."""
    return hasattr(x, "columns") and hasattr(x, "to_csv")


def labels_of(y: Any) -> tuple[Array, Array]:
    """The classes in their order, and for each row the number of its class.

    >>> labels_of(["b", "a", "b"])
    (array(['a', 'b'], dtype='<U1'), array([1, 0, 1]))
    """
    classes, numbers = np.unique(np.asarray(y), return_inverse=True)
    return classes, numbers.reshape(-1)


def write(x: Any, y: Any, folder: Path) -> Path:
    """A file with inputs and target: CSV of a table, else NPZ; the target is called ``y``.

    Raises:
        DataError: unequal numbers of rows, objects, or a column that is called like the target.
    """
    y = np.asarray(y)
    if len(x) != len(y):
        raise DataError("'x' and 'y' have unequal numbers of rows.", expected=f"{len(x)}", got=f"{len(y)}")
    folder.mkdir(parents=True, exist_ok=True)
    if not is_table(x):
        path = folder / f"{NAME}.npz"
        np.savez(path, x=_array(x), **{TARGET: y})
        return path
    if TARGET in x.columns:
        raise DataError(f"a column is called '{TARGET}', like the target.", fix="call it otherwise")
    path = folder / f"{NAME}.csv"
    x.assign(**{TARGET: y}).to_csv(path, index=False)
    return path


def records_of(x: Any, folder: Path) -> Records:
    """The rows of ``x``; those of a table pass through a file in ``folder``, so that they are read as in training."""
    if not is_table(x):
        return ArrayRecords({"x": _array(x)})
    path = folder / "rows.csv"
    x.to_csv(path, index=False)
    records: Records = CSV(str(path)).open(Path, True).train
    return records


def _array(x: Any) -> Array:
    array = np.asarray(x)
    if array.dtype.kind == "O":
        raise DataError("'x' holds Python objects.", expected="an array of numbers, or a table of pandas", got="object")
    return array
