"""Parquet tables, by pyarrow (the extra ``data``): whole in memory, or a row group at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from layerkit.data.files import broken
from layerkit.data.records import Column, Records
from layerkit.errors import MissingExtraError
from layerkit.ir import Array


class ParquetRecords(Records):
    """The rows of a Parquet file; columns of numbers, truth values, texts, and lists of equal length.

    Raises:
        FileFormatError: no Parquet file, or a column of another kind.
        MissingExtraError: pyarrow is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = _open(self.path)
        about = self._file.metadata
        self.count = about.num_rows
        sizes = [about.row_group(i).num_rows for i in range(about.num_row_groups)]
        self._starts = np.cumsum([0, *sizes])
        self.block = max(sizes, default=1)
        if not self.count:
            raise broken(path, "the file has no rows.", expected="at least one row", got="none")
        self._kept: tuple[int, tuple[str, ...], Any] | None = None
        self.columns = {}
        for field in self._file.schema_arrow:
            self.columns[field.name] = self._look(field)
        self._index = {n: {t: i for i, t in enumerate(c.categories)} for n, c in self.columns.items()}

    def read(self, rows: Array, names: Sequence[str]) -> dict[str, Array]:
        rows = np.asarray(rows)
        order = np.argsort(rows, kind="stable")
        group = np.searchsorted(self._starts, rows[order], side="right") - 1
        pieces: dict[str, list[Array]] = {name: [] for name in names}
        for number in np.unique(group):
            table = self._group(int(number), tuple(names))
            chosen = rows[order][group == number] - self._starts[number]
            for name in names:
                pieces[name].append(self._values(name, table.column(name))[chosen])
        result = {}
        for name, parts in pieces.items():
            values = (
                np.concatenate(parts) if parts else self._values(name, self._group(0, tuple(names)).column(name))[:0]
            )
            result[name] = np.empty_like(values)
            result[name][order] = values
        return result

    def _group(self, number: int, names: tuple[str, ...]) -> Any:
        """A row group; the last one read is kept, because batches take their rows from it one after another."""
        if self._kept is None or self._kept[:2] != (number, names):
            self._kept = None  # never two of them in memory
            self._kept = (number, names, self._file.read_row_group(number, columns=list(names)))
        return self._kept[2]

    def _look(self, field: Any) -> Column:
        """What a column holds; texts are read through once, for their categories."""
        import pyarrow as pa

        kind, name = field.type, field.name
        groups = range(self._file.metadata.num_row_groups)
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
            missing = sum(self._group(i, (name,)).column(name).null_count for i in groups)
            is_whole = not pa.types.is_floating(kind) and not missing
            return Column("whole" if is_whole else "number", missing=missing)
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            known: set[str] = set()
            missing = 0
            for i in groups:
                values = self._group(i, (name,)).column(name)
                missing += values.null_count
                known.update(v for v in values.unique().to_pylist() if v is not None)
            return Column("category", categories=tuple(sorted(known)), missing=missing)
        if pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind):
            first = self._group(0, (name,)).column(name)[0].as_py()
            if first and all(isinstance(v, int | float) for v in first):
                return Column("array", shape=(len(first),))
        raise broken(self.path, f"column '{name}' is of a kind that is not read.", got=str(field.type),
                     expected="numbers, truth values, texts, or lists of numbers", fix="leave the column out of the file")  # fmt: skip

    def _values(self, name: str, values: Any) -> Array:
        column = self.columns[name]
        if column.kind == "category":
            index = self._index[name]
            return np.array([-1 if v is None else index[v] for v in values.to_pylist()], "int32")
        if column.kind == "array":
            found: Array = np.array(values.to_pylist(), "float32")
            if found.shape[1:] != column.shape:
                raise broken(self.path, f"the lists of column '{name}' have unequal lengths.", expected=f"{column.shape[0]} numbers in each", got="others")  # fmt: skip
            return found
        array = values.to_numpy()
        if column.kind == "number":
            return np.asarray(array, "float32")
        return np.asarray(array, "int32" if array.dtype.itemsize <= 4 and array.dtype != np.uint32 else "int64")


def read_head(path: Path) -> dict[str, bool]:
    """The names of the columns, and whether each holds lists, whose length only the rows tell; no row is read."""
    return {field.name: hasattr(field.type, "value_field") for field in _open(path).schema_arrow}


def _open(path: Path) -> Any:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError("Parquet files need pyarrow.", expected="the extra 'data'", got=str(error),
                                fix='pip install "layerkit[data]"') from error  # fmt: skip
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise broken(path, "this is no Parquet file.", expected="a Parquet file", got=str(error)[:200]) from error
