"""Records: rows with named columns, read by their numbers, whether they lie in memory or in a file larger than it.

A source (``layerkit.data.sources``) opens a file as ``Records``; splits, preparation and batches ask nothing else of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from layerkit.errors import DataError, did_you_mean
from layerkit.ir import Array
from layerkit.records import dataclass

_LIKE_NUMBER = re.compile(r"[-+\s$€£%]*\d[\d.,' ]*+[\s$€£%]*")  # never goes back: texts of files may be long
_WITH_COMMA = re.compile(r"[-+]?[\d.]*,\d+")
Kind = Literal["whole", "number", "category", "array"]


@dataclass(frozen=True)
class Column:
    """What a column holds.

    ``whole`` are int32 or int64, ``number`` float32 with nan where one is missing, ``category`` int32 numbers into
    ``categories`` with -1 where one is missing, ``array`` an array of ``shape`` in each row (an image, a series).
    ``odd`` is the dtype of arrays that are no numbers: dates, complex numbers, bytes, several texts in a row.
    """

    kind: Kind
    shape: tuple[int, ...] = ()
    categories: tuple[str, ...] = ()
    missing: int = 0
    odd: str | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of a row in memory, as float32."""
        return 4 * int(np.prod(self.shape, dtype="int64"))

    @property
    def slip(self) -> str | None:
        """What is odd about a column of texts of which most look like numbers, and how to mend it; None if nothing is."""
        like = [text for text in self.categories if _LIKE_NUMBER.fullmatch(text)]
        if len(self.categories) < 10 or len(like) < 0.8 * len(self.categories):
            return None
        odd = next((text for text in self.categories if not _is_number(text)), self.categories[0])
        fix = "correct that in the file, or leave it empty if it is missing"
        if 2 * sum(_WITH_COMMA.fullmatch(text) is not None for text in like) > len(like):
            fix = "say that a comma stands before the fraction: csv: {path: ..., decimal: ','}"
        return f"{len(self.categories)} categories, though most look like numbers: '{odd}' is none; {fix}"

    def __str__(self) -> str:
        shown = {"whole": "whole numbers", "number": "numbers", "array": f"arrays {self.shape}"}.get(self.kind)
        if shown is None:
            few = ", ".join(self.categories[:6]) + (", ..." if len(self.categories) > 6 else "")
            shown = f"{len(self.categories)} categories: {few[:100]}"
        return shown + (f"; {self.missing} missing" if self.missing else "")


class Records:
    """Rows of named columns.

    Attributes:
        count: how many rows.
        columns: what each column holds.
        block: how many rows that follow one another are read as cheaply as one.
        in_memory: whether all rows are in memory already.
    """

    count: int
    columns: dict[str, Column]
    block: int = 1
    in_memory: bool = False

    def read(self, rows: Array, names: Sequence[str]) -> dict[str, Array]:
        """Columns of some rows, in the order of ``rows``."""
        raise NotImplementedError

    @property
    def nbytes(self) -> int:
        """About how many bytes all rows take in memory."""
        return self.count * sum(column.nbytes for column in self.columns.values())

    def column(self, name: str) -> Column:
        """What the column of that name holds.

        Raises:
            DataError: there is none.
        """
        if name not in self.columns:
            shown = ", ".join(list(self.columns)[:20])
            fix = did_you_mean(name, self.columns)
            if 2 * sum(map(_is_number, self.columns)) > len(self.columns) and not (fix or "").startswith("did"):
                fix = "the first row has to name the columns: write a line of names above it"
            raise DataError(f"there is no column '{name}'.", expected=shown, got=name, fix=fix)
        return self.columns[name]


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).replace("-", "", 1).isdecimal()


class Heads(Records):
    """The columns of a file of which the head was read, and no row; what is read of it are zeros.

    Args:
        arrays: a column each, of which only shape and dtype are looked at.
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self.count = _rows(arrays)
        self._dtypes = {name: array.dtype for name, array in arrays.items()}
        self.columns = {
            name: _column(array, array.ndim == 1 and array.dtype.kind == "U") for name, array in arrays.items()
        }

    def read(self, rows: Array, names: Sequence[str]) -> dict[str, Array]:
        return {name: np.zeros((len(rows), *self.columns[name].shape), self._dtype(name)) for name in names}

    def _dtype(self, name: str) -> np.dtype:
        return np.dtype("int32") if self.columns[name].kind == "category" else self._dtypes[name]


class NamesOnly(Heads):
    """The columns of a table of which only the names were read: neither kinds nor the number of rows are known.

    Args:
        names: each with whether it holds arrays; of these the shape stays empty, for it is not known.
    """

    def __init__(self, names: Mapping[str, bool]) -> None:
        super().__init__(dict.fromkeys(names, np.zeros(0, "float32")))
        self.columns = {name: Column("array" if is_array else "number") for name, is_array in names.items()}


class ArrayRecords(Records):
    """Records that lie in memory.

    Args:
        arrays: a column each, with equal numbers of rows.
        categories: the texts that a column of whole numbers counts.
        missing: how many rows of a column have no value.

    Example:
        >>> records = ArrayRecords({"size": np.array([0.5, 2.0], "float32"), "name": np.array([1, 0], "int32")}, {"name": ("a", "b")})
        >>> records.read(np.array([1]), ["name"])
        {'name': array([0], dtype=int32)}
    """

    in_memory = True

    def __init__(
        self,
        arrays: Mapping[str, Array],
        categories: Mapping[str, tuple[str, ...]] | None = None,
        missing: Mapping[str, int] | None = None,
    ) -> None:
        self.arrays = dict(arrays)
        self.count = _rows(arrays)
        self.columns = {
            name: replace(_column(array, name in (categories or {})), categories=(categories or {}).get(name, ()), missing=(missing or {}).get(name, 0))
            for name, array in self.arrays.items()
        }  # fmt: skip

    def read(self, rows: Array, names: Sequence[str]) -> dict[str, Array]:
        return {name: self.arrays[name][rows] for name in names}


def _rows(arrays: Mapping[str, Array]) -> int:
    """How many rows all the arrays have."""
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        shown = ", ".join(f"{name}: {n}" for name, n in lengths.items())
        raise DataError("the arrays have unequal numbers of rows.", expected="as many rows in each", got=shown or "no arrays")  # fmt: skip
    return next(iter(lengths.values()))


def _column(array: Array, counts_texts: bool) -> Column:
    kind: Kind = "number" if array.dtype.kind == "f" else "whole"
    if array.ndim > 1 or counts_texts:
        kind = "array" if array.ndim > 1 else "category"
    is_plain = array.dtype.kind in "biuf" or kind == "category"
    return Column(kind, array.shape[1:], odd=None if is_plain else str(array.dtype))


def is_label(values: Array) -> bool:
    """Whether all numbers that are there are whole: a column of whole numbers that has gaps is read as floats.

    Example:
        >>> is_label(np.array([1.0, np.nan, 0.0])), is_label(np.array([0.5]))
        (True, False)
    """
    present = values[~np.isnan(values)]
    return bool(len(present) and (present % 1 == 0).all())
