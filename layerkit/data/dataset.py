"""A data set as training uses it: parts for training, validation and testing, prepared alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from layerkit.data.batches import RowBatches
from layerkit.data.preparation import Encoding, Preparation, Task, Tensor, fit, present
from layerkit.data.records import Column, Records
from layerkit.data.sources import LARGE, Find, Source
from layerkit.data.splits import Split
from layerkit.data.windows import Window, Windows
from layerkit.errors import DataError, did_you_mean
from layerkit.fields import Check, Configurable, Resolved
from layerkit.ir import Array


def _split(value: Any) -> Split:
    if isinstance(value, Split):
        return value
    if not isinstance(value, Mapping):
        raise DataError(
            "'split' says which shares are held out.", expected="{validation: 0.1, test: 0.2}", got=repr(value)
        )
    return Split(**value)


def _window(value: Any) -> Window | None:
    if value is None or isinstance(value, Window):
        return value
    if not isinstance(value, Mapping | int):
        raise DataError(
            "'window' says which rows are one sample.", expected="{length: 24, horizon: 1}", got=repr(value)
        )
    return Window(**value) if isinstance(value, Mapping) else Window(value)


class _Columns(Check):
    """A column, several, or a mapping from inputs (outputs) to columns; None takes what the source says."""

    expected = "a column, a list of columns, or a mapping from names of inputs to columns"

    def __call__(self, value: Any, owner: Any) -> Any:
        if value is None or isinstance(value, str):
            return value
        parts = list(value.values()) if isinstance(value, Mapping) else [value]
        for part in parts:
            for name in [part] if isinstance(part, str) else part if isinstance(part, list | tuple) else [None]:
                if not isinstance(name, str):
                    raise ValueError
        return value


class DataOptions(Configurable):
    """What is done with the columns of a source; the keys of a spec's section ``data`` beside the source itself.

    Args:
        target: the column to predict; a list; or a mapping from outputs of the model to columns.
        features: the columns to predict from, all others unless given (in windows those of numbers, the target's past too);
            or a mapping from inputs of the model to columns.
        window: how many rows that follow one another in time are one sample, as ``Window`` takes it.
        split: which shares of the rows are held out, as ``Split`` takes it.
        standardize: numbers get mean 0 and deviation 1, as the rows to train on have them.
        standardize_target: numbers to predict do too; loss and metrics then count in deviations, and ``layerkit predict`` gives
            back numbers as the column has them.
        categories: a category becomes its number (from 1; 0 for one that is missing or new), or a number for each category.
        missing: whether a missing number is an error, becomes the mean of the rows to train on, or drops its row.
        task: whether whole numbers in the target are classes.
        in_memory: whether the data are read whole; by size unless given.
    """

    target: Annotated[Any, _Columns()] = None
    features: Annotated[Any, _Columns()] = None
    window: Annotated[Any, Resolved(_window, "{length: 24, horizon: 1}")] = None
    split: Annotated[Any, Resolved(_split, "shares: {validation: 0.1, test: 0.2}")] = Split()
    standardize: bool = False
    standardize_target: bool = False
    categories: Literal["index", "one_hot"] = "index"
    missing: Literal["error", "mean", "drop"] = "error"
    task: Literal["auto", "classification", "regression"] = "auto"
    in_memory: bool | None = None


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
                lines.append(f"{what:8} {tensor.name}")
                lines += [f"  {name}: {_shown(records.columns[name], encodings[name])}" for name in tensor.columns]
        return "\n".join(lines)


def _shown(column: Column, encoding: Encoding) -> str:
    shown = str(column)
    if encoding.kind == "category":
        shown += f" (1 to {len(encoding.categories)}; 0 is missing or new)"
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
    targets = _targets(options.target if options.target is not None else opened.target, records, outputs)
    used = {c for t in targets for c in t.columns}
    features = options.features if options.features is not None or len(inputs) > 1 else opened.features
    window, split = _in_time(options, records)
    tensors = _inputs(features, records, inputs, used, window, split)
    names = sorted({c for t in tensors for c in t.columns} | used)
    for part in ("validation", "test"):
        if getattr(opened, part) is not None and getattr(split, part):
            raise _wrong("split", f"the data have a {part} part of their own.", f"no share for {part}", f"{part}: {getattr(split, part)}")  # fmt: skip
    first_target = targets[0].columns[0] if targets else None
    train, validation, test = split.rows(records, first_target, window.series(records) if window else None)
    if options.missing == "drop":
        kept = present(records, names)
        train, validation, test = (part[np.isin(part, kept)] for part in (train, validation, test))
    preparation = fit(
        records, train, tensors, targets,
        standardize=options.standardize, standardize_target=options.standardize_target, one_hot=options.categories == "one_hot", missing=options.missing, task=options.task,
        window=window,
    )  # fmt: skip
    for tensor in tensors:
        _check_shape(tensor, preparation, records)
    parts = {"train": (records, train)}
    for name, rows in (("validation", validation), ("test", test)):
        own = getattr(opened, name)
        if own is not None:
            parts[name] = (own, present(own, names) if options.missing == "drop" else np.arange(own.count))
        elif len(rows):
            parts[name] = (records, rows)
    if window is not None:
        parts = {name: _windows(name, held, window, rows) for name, (held, rows) in parts.items()}
    whole = parts["train"][0]
    in_memory = options.in_memory if options.in_memory is not None else whole.in_memory or whole.nbytes <= LARGE
    return DataSet(parts, preparation, batch_size=batch_size, seed=split.seed, in_memory=in_memory)


def _in_time(options: DataOptions, records: Records) -> tuple[Window | None, Split]:
    """The window and the split; either says for both which column orders the rows in time."""
    window, split = options.window, options.split
    if window is not None:
        if split.by in ("random", "stratified"):
            error = _wrong("by", "windows overlap: at random, rows to train on would also be rows to test on.", "by: time, or by: group", f"by: {split.by}")  # fmt: skip
            error.fix = "remove 'by': the latest rows are held out"
            raise error
        if split.by != "group":
            split = Split(**{**split.config, "by": "time", "column": split.column or window.order})
            window = Window(**{**window.config, "order": window.order or split.column})
    for argument, name in (("column", options.split.column), ("order", window and window.order), ("group", window and window.group)):  # fmt: skip
        if name is not None:
            _listed(name, records, argument)
    return window, split


def _windows(part: str, records: Records, window: Window, rows: Array) -> tuple[Records, Array]:
    """The windows over the rows of a part, and their numbers."""
    found = Windows(records, window, rows)
    if not found.count:
        least = window.length + window.horizon
        raise _wrong("length", f"the {part} part has too few rows for a window.", f"at least {least} rows, one after another", f"{len(rows)} rows")  # fmt: skip
    return found, np.arange(found.count)


def tensors(model: Any) -> dict[str, Any]:
    """What ``open_data`` has to know of a model: ``open_data(source, options, find=Path, **tensors(model))``."""
    inputs = [
        Tensor(name, (), tuple(n if isinstance(n, int) else None for n in value.shape[1:]), value.dtype)
        for name, value in zip(model.input_names, model.inputs, strict=True)
    ]
    return {"inputs": inputs, "outputs": model._target_names(model.output)}


def _targets(target: Any, records: Records, outputs: Sequence[str]) -> list[Tensor]:
    if target is None:
        shown = ", ".join(list(records.columns)[:20])
        raise _wrong("target", "it is not said which column is the target.", f"target: one of {shown}", "nothing")
    if isinstance(target, Mapping):
        for name in target:
            if outputs and name not in outputs:
                error = _wrong("target", f"the model has no output '{name}'.", ", ".join(outputs), str(name))
                error.fix = did_you_mean(str(name), outputs)
                raise error
        return [Tensor(str(name), _listed(columns, records, "target")) for name, columns in target.items()]
    return [Tensor(outputs[0] if len(outputs) == 1 else "y", _listed(target, records, "target"))]


def _inputs(
    features: Any, records: Records, inputs: Sequence[Tensor], targets: set[str], window: Window | None, split: Split
) -> list[Tensor]:
    if isinstance(features, Mapping):
        given = {str(name): _listed(columns, records, "features") for name, columns in features.items()}
    elif features is not None or len(inputs) <= 1:
        chosen = _usual(records, targets, window, split) if features is None else features
        given = {inputs[0].name if inputs else "x": _listed(chosen, records, "features")}
    else:  # several inputs take the columns of their names
        given = {t.name: (t.name,) for t in inputs if t.name in records.columns}
    known = {t.name: t for t in inputs}
    odd = next((name for name in given if known and name not in known), None)
    if odd is not None:
        error = _wrong("features", f"the model has no input '{odd}'.", ", ".join(known), odd)
        error.fix = did_you_mean(odd, known)
        raise error
    left = [name for name in known if name not in given]
    if left:
        raise _wrong("features", f"it is not said which columns make the input '{left[0]}'.", f"features: {{{left[0]}: [columns]}}", ", ".join(given) or "nothing")  # fmt: skip
    tensors = []
    for name, columns in given.items():
        seen = [c for c in columns if c in targets and window is not None and not window.horizon]
        if seen:
            raise _wrong("horizon", f"the window holds the target '{seen[0]}' itself.", "horizon: 1 or more, or features without the target", "horizon: 0")  # fmt: skip
        arrays = [c for c in columns if records.columns[c].kind == "array"]
        if arrays and len(columns) > 1:
            raise _wrong("features", f"the input '{name}' mixes arrays with other columns.", "one array, or columns of numbers and texts", ", ".join(columns))  # fmt: skip
        wanted = known.get(name)
        tensors.append(Tensor(name, columns, wanted.shape if wanted else None, wanted.dtype if wanted else None))
    return tensors


def _usual(records: Records, targets: set[str], window: Window | None, split: Split) -> list[str]:
    """The columns to predict from where nothing else is said."""
    if window is None:
        return [name for name in records.columns if name not in {*targets, split.column}]
    taken = {*window.columns, split.column} | (targets if not window.horizon else set())
    left = [name for name in records.columns if name not in taken]
    return [name for name in left if records.columns[name].kind in ("whole", "number")] or left


def _check_shape(tensor: Tensor, preparation: Preparation, records: Records) -> None:
    """The columns have to give what the model's input takes, but for an axis of size 1 at the end."""
    if tensor.shape is None or tensor.dtype == "string":
        return
    widths = {c: preparation.encodings[c].width for c in tensor.columns}
    one = records.columns[tensor.columns[0]]
    row = tuple(one.shape) if one.kind == "array" else (sum(widths.values()),)
    window = preparation.window
    found = row if window is None else (window.length, *row)
    if _fits(found, tensor.shape):
        return
    shown = "shape " + str(list(found))
    if one.kind != "array":
        of = "" if window is None else f"{window.length} rows of "
        shown = f"{of}{row[0]}: " + ", ".join(f"{name} {width}" for name, width in list(widths.items())[:20])
    error = _wrong("features", f"the data does not fit input '{tensor.name}'.", f"shape {list(tensor.shape)} for each {'row' if window is None else 'window'}".replace("None", "null"), shown)  # fmt: skip
    error.fix = f"inputs: {{{tensor.name}: {{shape: {list(found)}}}}}, or other columns (features)"
    raise error


def _fits(found: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    """Whether rows of the shape ``found`` fit ``wanted``, where a last axis of size 1 may be missing."""
    if len(found) == len(wanted) + 1 and found[-1] == 1:
        found = found[:-1]
    elif len(found) == len(wanted) - 1 and wanted[-1] == 1:
        found = (*found, 1)
    return len(found) == len(wanted) and all(w is None or n == w for n, w in zip(found, wanted, strict=True))


def _listed(columns: Any, records: Records, argument: str) -> tuple[str, ...]:
    names = (columns,) if isinstance(columns, str) else tuple(columns)
    if not names:
        raise _wrong(argument, f"'{argument}' names no column.", "at least one column", "none")
    for name in names:
        try:
            records.column(name)
        except DataError as error:
            error.argument = argument
            raise
    return names


def _wrong(argument: str, summary: str, expected: str, got: str) -> DataError:
    error = DataError(summary, expected=expected, got=got)
    error.argument = argument
    return error
