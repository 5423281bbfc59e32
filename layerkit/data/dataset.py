"""A data set as training uses it: parts for training, validation and testing, prepared alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from layerkit.data.batches import RowBatches
from layerkit.data.options import DataOptions
from layerkit.data.preparation import Encoding, Preparation, Task, Tensor, fit, join, one_or_all, present
from layerkit.data.records import Column, NamesOnly, Records
from layerkit.data.roles import Roles, assign, misfit
from layerkit.data.sources import LARGE, Find, Opened, Source
from layerkit.data.windows import Window, Windows
from layerkit.errors import DataError, LayerkitError
from layerkit.ir import Array

_LOOKED_AT = 1 << 20  # bytes of targets, all zeros, that are held against the losses


class DataSet:
    """Parts of the data, as ``fit``, ``evaluate`` and ``predict`` take them.

    Attributes:
        records: the rows that the split divides.
        preparation: how columns become inputs and targets; fitted on the rows to train on.
        batch_size: of the batches of data that are not read whole.
    """

    def __init__(
        self,
        parts: Mapping[str, tuple[Records, Array]],
        preparation: Preparation,
        *,
        batch_size: int,
        seed: int,
        in_memory: bool,
    ) -> None:
        self._parts, self.preparation = dict(parts), preparation
        self.batch_size, self.seed, self.in_memory = batch_size, seed, in_memory

    @cached_property
    def train(self) -> Any:
        """The part to train on: ``(x, y)``, or batches of them read from disk."""
        return self._part("train")

    @cached_property
    def validation(self) -> Any:
        """The part to validate on, or None."""
        return self._part("validation")

    @cached_property
    def test(self) -> Any:
        """The part to test on, or None."""
        return self._part("test")

    def _part(self, name: str) -> Any:
        if name not in self._parts:
            return None
        records, rows = self._parts[name]
        if self.in_memory:
            return self.preparation.read(records, rows)
        return RowBatches(records, rows, self.preparation, self.batch_size, shuffle=name == "train", seed=self.seed)

    def records(self, name: str) -> tuple[Records, Array]:
        """The records that a part is of, and the numbers of its rows."""
        return self._parts[name]

    def some(self, name: str, most: int) -> tuple[Any, Any]:
        """``(x, y)`` of at most so many rows of a part, read into memory: its rows at even distances."""
        records, rows = self._parts[name]
        kept = np.arange(min(most, len(rows))) * len(rows) // min(most, len(rows))
        return self.preparation.read(records, rows[kept])

    @property
    def rows(self) -> dict[str, int]:
        """The number of rows of each part."""
        return {name: len(rows) for name, (_, rows) in self._parts.items()}

    @property
    def task(self) -> Task | None:
        """Classification or regression, by the target."""
        return self.preparation.task

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the classes, in the order of their numbers."""
        return self.preparation.classes

    def describe(self) -> str:
        """The parts, the inputs and the targets, with what was found in each column."""
        records = self._parts["train"][0]
        window = self.preparation.window
        what = "rows" if window is None else "windows"
        lines = [f"{what:8} " + ", ".join(f"{name} {count}" for name, count in self.rows.items())]
        if window is not None:
            lines.append(f"window   {window.text}")
        if not self.in_memory:
            lines.append(f"memory   read from disk in batches of {self.batch_size}")
        made = self.preparation
        for what, tensors, encodings in (
            ("input", made.inputs, made.encodings), ("target", made.targets, made.target_encodings)
        ):  # fmt: skip
            for tensor in tensors:
                if tensor.input is not None:
                    lines.append(f"{what:8} {tensor.name}: the input {tensor.input}")
                    continue
                lines.append(f"{what:8} {tensor.name}")
                lines += [f"  {name}: {_shown(records.columns[name], encodings[name])}" for name in tensor.columns]
        return "\n".join(lines)


def _shown(column: Column, encoding: Encoding) -> str:
    shown = str(column)
    if encoding.kind == "category":
        shown += f" (1 to {len(encoding.categories)}; 0 is missing or new)"
    if encoding.kind == "words":
        shown += f"; {len(encoding.categories)} words have a number of their own"
    if encoding.kind == "class":
        shown = f"{len(encoding.categories)} classes: " + ", ".join(encoding.categories[:10])
    if len(encoding.mean) == 1:
        shown += f"; mean {encoding.mean[0]:.4g}, deviation {encoding.deviation[0]:.4g}"
    return shown


def open_data(
    source: Source,
    options: DataOptions | None = None,
    *,
    find: Find = Path,
    inputs: Sequence[Tensor] = (),
    outputs: Sequence[str] = (),
    batch_size: int = 32,
) -> DataSet:
    """The data of a source, split and prepared.

    Args:
        source: one of ``SOURCES``.
        options: what is done with its columns.
        find: a path as it is written to the file that it means; one relative to the current folder unless given.
        inputs: names, shapes of one row and dtypes of the model's inputs; its ``columns`` are empty.
        outputs: names of the model's outputs.
        batch_size: rows of a batch, where the data are not read whole.

    Raises:
        DataError: a column is not there, values are missing, or a part is empty.
        FileFormatError: a file is broken.
    """
    options = options or DataOptions()
    opened = source.open(find, options.in_memory)
    records = opened.train
    roles = assign(opened, options, inputs, outputs)
    if roles.faults:
        raise roles.faults[0]
    window, split = roles.window, roles.split
    first_target = next((t.columns[0] for t in roles.targets if t.input is None), None)
    train, validation, test = split.rows(records, first_target, window.series(records) if window else None)
    needed = _needed(options, roles)
    if needed:
        kept, parts = present(records, needed), {"train": train, "validation": validation, "test": test}
        train, validation, test = (_kept(name, part, kept) for name, part in parts.items())
    preparation = fit(
        records, train, roles.inputs, roles.targets, standardize=options.standardize,
        standardize_target=options.standardize_target, one_hot=options.categories == "one_hot", words=options.words,
        missing=options.missing, task=options.task, window=window,
    )  # fmt: skip
    for tensor in roles.inputs:
        widths = {c: preparation.encodings[c].width for c in tensor.columns}
        fault = misfit(tensor, widths, records, window)
        if fault is not None:
            raise fault
    held = {"train": (records, train)}
    for name, rows in (("validation", validation), ("test", test)):
        own = getattr(opened, name)
        if own is not None:
            every = np.arange(own.count)
            held[name] = (own, _kept(name, every, present(own, needed)) if needed else every)
        elif len(rows):
            held[name] = (records, rows)
    if window is not None:
        held = {name: _windows(name, of, window, rows) for name, (of, rows) in held.items()}
    whole = held["train"][0]
    in_memory = options.in_memory if options.in_memory is not None else whole.in_memory or whole.nbytes <= LARGE
    return DataSet(held, preparation, batch_size=batch_size, seed=split.seed, in_memory=in_memory)


def _needed(options: DataOptions, roles: Roles) -> list[str]:
    """The columns without whose values a row is left out: nothing is learnt from a row without its target."""
    if options.missing == "error":
        return []
    own = [tensor for tensor in roles.targets if tensor.input is None]
    return roles.columns if options.missing == "drop" else [c for tensor in own for c in tensor.columns]


def _kept(part: str, rows: Array, kept: Array) -> Array:
    """The rows of a part that are kept; a part does not vanish unnoticed."""
    found = rows[np.isin(rows, kept)]
    if len(rows) and not len(found):
        raise DataError(f"a value is missing in all rows of the {part} part.", expected="a row without missing values", got=f"{len(rows)} rows", argument="missing")  # fmt: skip
    return found


def _windows(part: str, records: Records, window: Window, rows: Array) -> tuple[Records, Array]:
    """The windows over the rows of a part, and their numbers."""
    found = Windows(records, window, rows)
    if not found.count:
        least = window.length + window.horizon
        raise DataError(f"the {part} part has too few rows for a window.", expected=f"at least {least} rows, one after another", got=f"{len(rows)} rows", argument="length")  # fmt: skip
    return found, np.arange(found.count)


def tensors(model: Any) -> dict[str, Any]:
    """What ``open_data`` has to know of a model: ``open_data(source, options, find=Path, **tensors(model))``."""
    inputs = [
        Tensor(name, (), tuple(n if isinstance(n, int) else None for n in value.shape[1:]), value.dtype)
        for name, value in zip(model.input_names, model.inputs, strict=True)
    ]
    return {"inputs": inputs, "outputs": model._target_names(model.output)}


def faults(
    source: Any,
    options: DataOptions,
    *,
    find: Find = Path,
    inputs: Sequence[Tensor] = (),
    outputs: Sequence[str] = (),
) -> list[LayerkitError]:
    """What ``open_data`` would refuse, as far as the head of a file tells: no row is read.

    Raises:
        FileFormatError: the head of a file is broken.
    """
    head: Opened | None = source.head(find)
    if head is None:
        return []
    roles = assign(head, options, inputs, outputs)
    if roles.faults or options.words is not None:
        return roles.faults
    is_known = not isinstance(head.train, NamesOnly)
    if options.window is not None and options.features is None and not is_known:  # which columns are of numbers?
        rows = options.window.length
        return [
            DataError(f"the window does not fit input '{t.name}'.", expected=f"{t.shape[0]} rows, or shape: [{rows}, ...]", got=f"{rows} rows", argument="length")
            for t in roles.inputs if t.shape and t.shape[0] not in (None, rows)
        ]  # fmt: skip
    sure = (
        t for t in roles.inputs if options.categories == "index" or head.train.columns[t.columns[0]].kind == "array"
    )
    found = (misfit(t, dict.fromkeys(t.columns, 1), head.train, roles.window) for t in sure)
    faults: list[LayerkitError] = [fault for fault in found if fault is not None]
    if is_known and roles.window is None and (roles.split.by or "random") == "random":
        try:
            roles.split.rows(head.train, None)
        except DataError as fault:
            faults.append(fault)
    return faults


def targets_of_head(
    source: Any,
    options: DataOptions,
    *,
    find: Find = Path,
    inputs: Sequence[Tensor] = (),
    outputs: Sequence[str] = (),
) -> Any:
    """Arrays like the targets that ``open_data`` would give, as far as the head of a file tells, for ``Model.check_targets``.

    Their shapes are right, but of very many rows, or where the number is not known, some are enough; their numbers are
    zeros, but for classes of images. None where the head does not tell.

    Raises:
        DataError, FileFormatError: what ``faults`` finds.
    """
    head: Opened | None = source.head(find)
    if head is None:
        return None
    records, found, known = head.train, {}, {t.name: t for t in inputs}
    for tensor in assign(head, options, inputs, outputs).targets:
        if tensor.input is not None:
            shape = known[tensor.input].shape or (None,)
            if None in shape:
                return None
            found[tensor.name] = np.zeros((1, *(n for n in shape if n is not None)), known[tensor.input].dtype)
            continue
        columns = [records.columns[name] for name in tensor.columns]
        if any(column.kind == "array" and not column.shape for column in columns):
            return None
        most = max(1, _LOOKED_AT // max(1, sum(column.nbytes for column in columns)))
        parts = records.read(np.arange(min(max(1, records.count), most)), tensor.columns)
        found[tensor.name] = join(tensor, [parts[name] for name in tensor.columns])
    return one_or_all(found) if found else None
