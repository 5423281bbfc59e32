"""Rows to parts: training, validation, test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from layerkit.data.records import Records, is_label
from layerkit.errors import DataError
from layerkit.fields import Configurable, NonNegativeInt, Rate
from layerkit.ir import Array


class Split(Configurable):
    """Which rows go into which part. The same seed gives the same parts.

    Args:
        validation: share of the rows to validate on.
        test: share of the rows to test on.
        by: ``random``, the default but for windows; ``stratified``, each class of the target in its share; ``time``, the last rows, as ``column`` orders
            them, are for testing, those before for validation, the default for windows; ``group``, rows with one value of
            ``column`` stay together.
        column: the column that ``time`` and ``group`` look at; without one ``time`` takes the order of the rows.
        seed: of the random numbers.

    Raises:
        DataError: nothing is left to train on.
    """

    validation: Rate = 0.0
    test: Rate = 0.0
    by: Literal["random", "stratified", "time", "group"] | None = None
    column: str | None = None
    seed: NonNegativeInt = 0

    def check_together(self) -> None:
        if self.validation + self.test >= 1:
            raise DataError("the split leaves nothing to train on.", expected="shares that add up to less than 1", got=f"{self.validation} and {self.test}", argument="validation")  # fmt: skip

    def rows(
        self, records: Records, target: str | None, series: Sequence[Array] | None = None
    ) -> tuple[Array, Array, Array]:
        """The numbers of the rows to train, validate and test on, in rising order but for ``by: time``.

        Args:
            records: the rows.
            target: the column to predict.
            series: the rows of each of several series in the order of time; all rows are one unless given.

        Raises:
            DataError: a part is empty, or the column does not tell where rows belong.
        """
        if self.by == "time":
            parts = self._time(records, series)
        else:
            parts = getattr(self, f"_{self.by or 'random'}")(records, target)
        for name, share, part in zip(("validation", "test"), (self.validation, self.test), parts[1:], strict=True):
            if share and not len(part):
                raise DataError(
                    f"the {name} part is empty: there are too few rows for a share of {share}.",
                    expected=self._least(share, series is not None), got=f"{records.count} rows", argument=name,
                    fix="more rows, or a larger share",
                )  # fmt: skip
        if not len(parts[0]):
            raise DataError("the split leaves nothing to train on.", expected="at least one row", got=f"{records.count} rows", argument="validation")  # fmt: skip
        return parts if self.by == "time" else tuple(map(np.sort, parts))  # type: ignore[return-value]

    def _least(self, share: float, is_series: bool) -> str:
        """What would do for one row in a part; shares are rounded."""
        if self.by == "group":
            return "more groups"
        what = "of a class" if self.by == "stratified" else "in one of the series" if is_series else ""
        return f"at least {math.floor(0.5 / share) + 1} rows {what}".rstrip()

    def _random(self, records: Records, target: str | None) -> list[Array]:
        return self._cut(np.random.default_rng(self.seed).permutation(records.count))

    def _stratified(self, records: Records, target: str | None) -> list[Array]:
        kind = None if target is None else records.columns[target].kind
        values = np.zeros(0) if target is None else records.read(np.arange(records.count), [target])[target]
        if kind not in ("category", "whole") and not (kind == "number" and is_label(values)):
            raise DataError(
                "'stratified' needs a target with classes.",
                expected="categories or whole numbers",
                got=f"'{target}'",
                argument="by",
            )
        rng = np.random.default_rng(self.seed)
        classes = [rng.permutation(np.flatnonzero(values == value)) for value in np.unique(values)]
        parts = [np.concatenate(pieces) for pieces in zip(*map(self._cut, classes), strict=True)]
        return parts

    def _time(self, records: Records, series: Sequence[Array] | None) -> list[Array]:
        if self.column is None:
            pieces = [self._cut(rows[::-1], reverse=True) for rows in series or [np.arange(records.count)]]
            return [np.concatenate(part) for part in zip(*pieces, strict=True)]
        if records.column(self.column).kind == "array":
            raise DataError(
                "time is a number or a text that sorts.",
                expected="a column of numbers or texts",
                got=self.column,
                argument="column",
            )
        times = records.read(np.arange(records.count), [self.column])[
            self.column
        ]  # categories are numbered as they sort
        return self._cut(np.argsort(times, kind="stable")[::-1], reverse=True)

    def _group(self, records: Records, target: str | None) -> list[Array]:
        if self.column is None:
            raise DataError(
                "'group' needs a column.",
                expected="column: the one that names the group",
                got="none",
                argument="column",
            )
        if records.column(self.column).kind not in ("category", "whole"):
            raise DataError(
                "a group is named by a text or a whole number.",
                expected="such a column",
                got=self.column,
                argument="column",
            )
        values = records.read(np.arange(records.count), [self.column])[self.column]
        names, counts = np.unique(values, return_counts=True)
        order = np.random.default_rng(self.seed).permutation(len(names))
        # The groups go, in their random order, into the test part until it has its share, then into the validation part.
        before = np.cumsum(counts[order]) - counts[order]
        test, validation = self.test * records.count, self.validation * records.count
        part_of = np.empty(len(names), "int64")
        part_of[order] = np.where(before < test, 2, np.where(before < test + validation, 1, 0))
        part = part_of[np.searchsorted(names, values)]
        return [np.flatnonzero(part == i) for i in range(3)]

    def _cut(self, rows: Array, reverse: bool = False) -> list[Array]:
        """Training, validation and test rows: of ``rows`` the first are for testing."""
        test, validation = (round(share * len(rows)) for share in (self.test, self.validation))
        parts = rows[test + validation :], rows[test : test + validation], rows[:test]
        return [part[::-1] for part in parts] if reverse else list(parts)
