"""CSV with a header: columns of numbers, and of texts as categories."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from layerkit.data.files import broken, read_text
from layerkit.errors import DataError, did_you_mean
from layerkit.ir import Array

MISSING = ("", "na", "nan", "null", "none", "?")


@dataclass(frozen=True)
class Table:
    """Columns of equal length.

    ``columns`` are float32 or int32/int64 arrays; a column of texts holds numbers into ``categories[name]``. A missing
    number is nan, a missing text is -1; ``missing`` counts them.
    """

    columns: dict[str, Array]
    categories: dict[str, tuple[str, ...]]
    missing: dict[str, int]

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(next(iter(self.columns.values())))

    def features(self, exclude: Sequence[str] = ()) -> Array:
        """All columns but some, side by side: (rows, columns) float32.

        Raises:
            DataError: a name that is no column.
        """
        for name in exclude:
            if name not in self.columns:
                raise DataError(f"there is no column '{name}'.", got=name, fix=did_you_mean(name, self.columns))
        return np.stack([c.astype("float32") for n, c in self.columns.items() if n not in exclude], axis=1)


def read_csv(path: str | Path, delimiter: str = ",") -> Table:
    """The table in a CSV file whose first row names the columns.

    Raises:
        FileFormatError: a row with another number of fields, a name that stands twice, no rows; it says the line.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=delimiter, strict=True)
    rows: list[list[str]] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        twice = next((n for i, n in enumerate(header) if n in header[:i]), None)
        if not header or twice is not None:
            raise broken(
                path,
                "the header names a column twice." if header else "the file is empty.",
                1,
                expected="names that differ",
                got=twice,
            )
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise broken(
                    path,
                    "the row has another number of fields.",
                    reader.line_num,
                    expected=f"{len(header)} as in the header",
                    got=len(row),
                )
            rows.append([field.strip() for field in row])
    except csv.Error as error:
        raise broken(
            path, "the row cannot be read.", reader.line_num, got=str(error), fix="check the quotes"
        ) from error
    if not rows:
        raise broken(path, "the file has no rows.", 1, expected="rows below the header", got="none")
    columns: dict[str, Array] = {}
    categories: dict[str, tuple[str, ...]] = {}
    missing: dict[str, int] = {}
    for name, fields in zip(header, zip(*rows, strict=True), strict=True):
        missing[name] = sum(f.lower() in MISSING for f in fields)
        numbers = _numbers(fields)
        if numbers is None:
            known = tuple(sorted({f for f in fields if f.lower() not in MISSING}))
            index = {f: i for i, f in enumerate(known)}
            columns[name], categories[name] = np.array([index.get(f, -1) for f in fields], "int32"), known
        else:
            columns[name] = numbers
    return Table(columns, categories, missing)


def _numbers(fields: Sequence[str]) -> Array | None:
    """A column of numbers, or None where it holds texts."""
    present = [f for f in fields if f.lower() not in MISSING]
    try:
        whole = [int(f) for f in present]
        if len(present) == len(fields) and all(abs(n) < 2**63 for n in whole):
            return np.array(whole, "int32" if all(abs(n) < 2**31 for n in whole) else "int64")
    except ValueError:
        pass
    try:
        return (
            np.array([float("nan") if f.lower() in MISSING else float(f) for f in fields], "float32")
            if present
            else None
        )
    except ValueError:
        return None
