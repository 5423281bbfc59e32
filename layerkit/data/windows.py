"""Windows over rows that follow one another in time: what a forecast looks at, and the row that it is about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layerkit.data.records import Records
from layerkit.errors import DataError
from layerkit.fields import Configurable, NonNegativeInt, PositiveInt
from layerkit.ir import Array


class Window(Configurable):
    """Rows that follow one another become one sample, whose target stands in a later row.

    Args:
        length: rows of a window.
        horizon: how many rows after the window's last row the target is taken from; 0 is that row itself.
        stride: rows from the beginning of a window to that of the next.
        order: the column that orders the rows in time; the order of the file unless given.
        group: the column that tells several series apart; no window holds rows of two.

    Example:
        >>> Window(3, horizon=2)
        Window(length=3, horizon=2)
    """

    length: PositiveInt
    horizon: NonNegativeInt = 1
    stride: PositiveInt = 1
    order: str | None = None
    group: str | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Window) and self.get_config() == other.get_config()

    def __hash__(self) -> int:
        return hash(tuple(self.get_config().items()))

    @property
    def text(self) -> str:
        """What it is, in words."""
        where = (
            "the last row's own"
            if not self.horizon
            else "1 row later"
            if self.horizon == 1
            else f"{self.horizon} rows later"
        )
        parts = [
            f"{self.length} rows",
            f"target {where}",
            f"every {self.stride} rows" if self.stride > 1 else "at every row",
        ]
        parts += [f"ordered by {self.order}"] if self.order else []
        return ", ".join(parts + ([f"for each {self.group}"] if self.group else []))

    @property
    def columns(self) -> set[str]:
        """The columns that say where a row belongs."""
        return {self.order, self.group} - {None}  # type: ignore[return-value]

    def series(self, records: Records) -> list[Array]:
        """The numbers of the rows of each series, in the order of time.

        Raises:
            DataError: a column is not there, or does not order (tell apart).
        """
        rows = np.arange(records.count)
        if self.order is not None:
            times = _wanted(
                records, "order", self.order, ("number", "whole", "category"), "numbers, or texts that sort"
            )
            rows = np.argsort(times, kind="stable")
        if self.group is None:
            return [rows]
        label = _wanted(records, "group", self.group, ("whole", "category"), "texts or whole numbers")
        rows = rows[np.argsort(label[rows], kind="stable")]
        return np.split(rows, np.flatnonzero(np.diff(label[rows])) + 1)


def _wanted(records: Records, argument: str, name: str, kinds: Sequence[str], expected: str) -> Array:
    """A column whose values are of certain kinds, and all there."""
    column = records.column(name)
    if column.kind not in kinds or column.missing:
        raise DataError(f"the column '{name}' does not {argument} the rows.", expected=f"{expected} in each row", got=str(column), argument=argument)  # fmt: skip
    return records.read(np.arange(records.count), [name])[name]


class Windows(Records):
    """The windows over some rows of other records, in the order of time; read as the last row of each.

    Args:
        records: the rows.
        window: what a window is.
        rows: the numbers of the rows that windows may hold, all unless given: none crosses one that is left out.
        is_ahead: whether the row of the target has to be among them.

    Example:
        >>> from layerkit.data import ArrayRecords
        >>> windows = Windows(ArrayRecords({"x": np.arange(6)}), Window(3, stride=2))
        >>> windows.inside(np.arange(2)).tolist(), windows.ahead(np.arange(2)).tolist()
        ([[0, 1, 2], [2, 3, 4]], [3, 5])
    """

    def __init__(self, records: Records, window: Window, rows: Array | None = None, *, is_ahead: bool = True) -> None:
        self.records, self.window = records, window
        series = window.series(records)
        self._line = np.concatenate(series)
        is_used = np.ones(len(self._line), bool) if rows is None else np.isin(self._line, rows)
        span = window.length + (window.horizon if is_ahead else 0)
        starts = [np.zeros(0, "int64")]
        stride = min(window.stride, len(self._line) + 1)  # NumPy's numbers end, those of a file need not
        for begin, end in _runs(is_used, np.cumsum([len(part) for part in series])).tolist():
            starts.append(np.arange(begin, max(begin, end - span + 1), stride))
        self._starts = np.concatenate(starts)
        self.count = len(self._starts)
        self.columns = records.columns
        self.block = max(1, records.block // window.stride)

    @property
    def nbytes(self) -> int:
        return self.count * self.window.length * (self.records.nbytes // max(1, self.records.count))

    def read(self, rows: Array, names: Sequence[str]) -> dict[str, Array]:
        return self.records.read(self.last(rows), names)

    def last(self, rows: Array) -> Array:
        """The number of the last row of some windows."""
        return self._line[self._starts[rows] + self.window.length - 1]

    def inside(self, rows: Array) -> Array:
        """The numbers of the rows that some windows hold: (windows, length)."""
        return self._line[self._starts[rows][:, None] + np.arange(self.window.length)]

    def ahead(self, rows: Array) -> Array:
        """The numbers of the rows that hold the targets of some windows."""
        return self._line[self._starts[rows] + self.window.length - 1 + self.window.horizon]


def _runs(is_used: Array, ends: Array) -> Array:
    """Begin and end (behind) of the longest pieces that are used throughout and cross none of ``ends``."""
    edges = np.flatnonzero(np.diff(is_used, prepend=False, append=False))
    cuts = ends[:-1][is_used[ends[:-1] - 1] & is_used[ends[:-1]]]  # a series ends inside a piece: it is two
    found: Array = np.sort(np.concatenate([edges, cuts, cuts])).reshape(-1, 2)
    return found
