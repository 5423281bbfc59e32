"""Columns to what a model takes: numbers standardised, texts counted, missing values filled.

What was learnt from the rows to train on (means, deviations, categories) is a ``Preparation``; it is applied alike to all
parts, to new data, and is plain data itself, so that a trained model can carry it (``to_config``, ``from_config``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, field, replace
from typing import Any, Literal, get_args

import numpy as np

from layerkit.data.records import Column, Records, is_label
from layerkit.data.windows import Window, Windows
from layerkit.data.words import Words, most_frequent, numbers
from layerkit.errors import DataError, FileFormatError, nearest, warn
from layerkit.ir import Array
from layerkit.records import dataclass

Task = Literal["classification", "regression"]
CHUNK_BYTES = 32 << 20  # of rows that are read together
EncodingKind = Literal["number", "array", "category", "one_hot", "text", "words", "class"]
Missing = Literal["error", "mean", "drop"]


@dataclass(frozen=True)
class Tensor:
    """An input or a target of a model, and the columns that it is made of.

    ``shape`` is that of one row, None where the columns decide; ``dtype`` likewise. A target may be an ``input`` over again,
    as it comes into the model: of an autoencoder.
    """

    name: str
    columns: tuple[str, ...]
    shape: tuple[int | None, ...] | None = None
    dtype: str | None = None
    input: str | None = None


def row_of(tensor: Tensor) -> Tensor:
    """What each row of a window gives to an input; its columns side by side unless the input says otherwise."""
    return replace(tensor, shape=(None,) if tensor.shape is None else tensor.shape[1:])


@dataclass(frozen=True)
class Encoding:
    """How a column is turned into numbers.

    A category of a feature becomes its place in ``categories`` counted from 1, and 0 where it is missing or was not seen in
    training; one of a target its place counted from 0. Numbers become ``(value - mean) / deviation``, after ``fill``
    took the place of a missing one. A text of words becomes ``length`` numbers, those of the words in ``categories``.
    """

    kind: EncodingKind
    categories: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    fill: float | None = None
    length: int = 1

    @property
    def width(self) -> int:
        """How many numbers of a row it gives."""
        return len(self.categories) if self.kind == "one_hot" else self.length


@dataclass(frozen=True)
class Preparation:
    """From columns to the inputs and targets of a model.

    ``encodings`` are those of the inputs' columns, ``target_encodings`` those of the targets': one column may be both.
    """

    inputs: tuple[Tensor, ...]
    targets: tuple[Tensor, ...]
    encodings: Mapping[str, Encoding] = field(default_factory=dict)
    target_encodings: Mapping[str, Encoding] = field(default_factory=dict)
    window: Window | None = None

    def encodings_of(self, target: Tensor) -> Mapping[str, Encoding]:
        """How the columns of a target are encoded."""
        return self.target_encodings if target.input is None else self.encodings

    @property
    def task(self) -> Task | None:
        """What the (first) target asks for."""
        if not self.targets:
            return None
        kinds = {self.encodings_of(self.targets[0])[c].kind for c in self.targets[0].columns}
        return "classification" if kinds == {"class"} else "regression"

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the (first) target's classes, in the order of their numbers."""
        return self._classes(self.targets[0]) if self.targets else None

    def classes_of(self, output: str) -> tuple[str, ...] | None:
        """The names of the classes of the target that is called like this output of the model."""
        target = next((t for t in self.targets if t.name == output), None)
        return None if target is None else self._classes(target)

    def _classes(self, target: Tensor) -> tuple[str, ...] | None:
        encodings = [self.encodings_of(target)[name] for name in target.columns]
        return encodings[0].categories if len(encodings) == 1 and encodings[0].kind == "class" else None

    def samples(self, records: Records, *, is_ahead: bool = True) -> Records:
        """The records as ``read`` takes them: the windows over them, where there is a window.

        Without ``is_ahead`` one ends at every row, also at the last ones, whose targets are not known yet.

        Raises:
            DataError: a column that orders the rows is not there, or there are too few rows.
        """
        if self.window is None:
            return records
        self._require(sorted(self.window.columns), records)
        window = self.window if is_ahead else Window(**{**self.window.config, "stride": 1})
        found = Windows(records, window, is_ahead=is_ahead)
        if not found.count:
            least = self.window.length + (self.window.horizon if is_ahead else 0)
            raise DataError("there are too few rows for a window.", expected=f"at least {least}, one after another", got=f"{records.count}")  # fmt: skip
        return found

    def read(self, records: Records, rows: Array | None = None, with_targets: bool = True) -> tuple[Any, Any]:
        """Inputs and targets of some rows (windows): an array each, or a mapping where there are several."""
        rows = np.arange(records.count) if rows is None else rows
        targets = [t for t in self.targets if t.input is None] if with_targets else []
        if isinstance(records, Windows):
            within = [row_of(tensor) for tensor in self.inputs]
            x, _ = self._made(records.records, records.inside(rows), within, ())
            _, y = self._made(records.records, records.ahead(rows), (), targets) if targets else ({}, {})
        else:
            x, y = self._made(records, rows, self.inputs, targets)
        if not with_targets or not self.targets:
            return one_or_all(x), None
        return one_or_all(x), one_or_all({t.name: y[t.name] if t.input is None else x[t.input] for t in self.targets})

    def complete(self, records: Records, with_targets: bool = False) -> Array:
        """Whether each row (window) has all numbers that are needed: those of the inputs, but for what is filled in.

        With targets, these are needed too.
        """
        read = sorted({c for t in self.inputs for c in t.columns if self._is_needed(c, self.encodings[c], records)})
        own = [t for t in self.targets if t.input is None and with_targets]
        told = sorted({c for t in own for c in t.columns if records.column(c).missing})
        found = np.ones(records.count, bool)
        for rows in _chunks(records, np.arange(records.count)) if read or told else ():
            if isinstance(records, Windows):
                lost = self._lost(records.records, records.inside(rows), read).any(axis=1)
                if told:
                    lost |= self._lost(records.records, records.ahead(rows), told)
            else:
                lost = self._lost(records, rows, sorted({*read, *told}))
            found[rows] = ~lost
        return found

    @staticmethod
    def _is_needed(name: str, encoding: Encoding, records: Records) -> bool:
        column = records.column(name)
        is_number = column.kind == "number" or (column.kind == "array" and column.missing > 0)
        return encoding.kind in ("number", "array") and encoding.fill is None and is_number

    @staticmethod
    def _lost(records: Records, places: Array, names: Sequence[str]) -> Array:
        """Whether a value is missing in each of the rows, which are given in an array of any shape."""
        rows, back = np.unique(places, return_inverse=True)
        lost = np.zeros(len(rows), bool)
        for name, values in (records.read(rows, names) if names else {}).items():
            lost |= (values < 0) if records.columns[name].kind == "category" else _has_nan(values)
        return lost[back.reshape(places.shape)]

    def unseen(self, records: Records) -> dict[str, dict[str, int]]:
        """How often each category occurs in the rows that training did not know, by column; they count as missing."""
        found: dict[str, Counter[str]] = {}
        names = list(dict.fromkeys(c for tensor in self.inputs for c in tensor.columns))
        self._require(names, records)
        for name in names:
            known, column = set(map(str, self.encodings[name].categories)), records.column(name)
            new = column.kind != "category" or set(column.categories) - known
            if self.encodings[name].kind not in ("category", "one_hot") or not new:
                continue
            for rows in _chunks(records, np.arange(records.count)):
                values, counts = np.unique(records.read(rows, [name])[name], return_counts=True)
                for text, count in zip(_texts(values, column), counts.tolist(), strict=True):
                    if text is not None and text not in known:
                        found.setdefault(name, Counter())[text] += count
        return {name: dict(counter.most_common()) for name, counter in found.items()}

    def _made(
        self, records: Records, places: Array, inputs: Sequence[Tensor], targets: Sequence[Tensor]
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Inputs and targets by name, of rows that are given in an array of any shape; each row is read once."""
        rows, back = (places, None) if places.ndim == 1 else np.unique(places, return_inverse=True)
        names = list(dict.fromkeys(c for tensor in (*inputs, *targets) for c in tensor.columns))
        self._require(names, records)
        values = records.read(rows, names)

        def made(tensor: Tensor, encodings: Mapping[str, Encoding]) -> Array:
            parts = [_encode(values[c], records.columns[c], c, encodings[c]) for c in tensor.columns]
            joined = join(tensor, parts)
            return joined if back is None else joined[back.reshape(places.shape)]

        return {t.name: made(t, self.encodings) for t in inputs}, {
            t.name: made(t, self.target_encodings) for t in targets
        }

    def _require(self, names: Sequence[str], records: Records) -> None:
        for name in names:
            try:
                records.column(name)
            except DataError as error:
                error.expected, error.got = f"the columns of the training: {', '.join(names[:20])}", error.expected
                match = nearest(name, [c for c in records.columns if c not in names])
                error.fix = f"did you mean '{match}'?" if match else f"call the column '{name}' in these data too"
                raise

    def restored(self, output: str, values: Array) -> Array:
        """What a model says at an output, in the units of the columns that it predicts."""
        target = next((t for t in self.targets if t.name == output), None)
        found = [self.encodings_of(target)[c] for c in target.columns] if target else []
        if not any(encoding.mean for encoding in found):
            return values
        known = (
            (e.mean, e.deviation) if e.mean else ((0.0,) * e.width, (1.0,) * e.width) for e in found
        )  # a class among numbers is as it is
        mean, deviation = (np.concatenate(parts) for parts in zip(*known, strict=True))
        return (values * deviation + mean).astype(values.dtype)

    def to_config(self) -> dict[str, Any]:
        """Plain data, from which ``from_config`` makes an equal preparation."""
        return {
            "inputs": [asdict(t) for t in self.inputs],
            "targets": [asdict(t) for t in self.targets],
            "columns": {name: asdict(e) for name, e in self.encodings.items()},
            "target_columns": {name: asdict(e) for name, e in self.target_encodings.items()},
            **({} if self.window is None else {"window": self.window.get_config()}),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Preparation:
        """The preparation that ``to_config`` wrote.

        Raises:
            FileFormatError: the data describe none.
        """
        try:
            tensors = [
                tuple(Tensor(str(t["name"]), tuple(t["columns"]), None if t["shape"] is None else tuple(t["shape"]), t["dtype"], t.get("input")) for t in config[key])
                for key in ("inputs", "targets")
            ]  # fmt: skip
            encodings = [
                {str(name): _encoding(e) for name, e in config[key].items()} for key in ("columns", "target_columns")
            ]
            window = Window(**config["window"]) if "window" in config else None
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise FileFormatError("this describes no preparation of data.", expected="inputs, targets, columns", got=repr(error)[:200]) from error  # fmt: skip
        return cls(tensors[0], tensors[1], encodings[0], encodings[1], window)


def _encoding(config: Mapping[str, Any]) -> Encoding:
    """An encoding from plain data of a file, which may hold anything."""
    kind, fill, length = config["kind"], config["fill"], config.get("length", 1)
    if kind not in get_args(EncodingKind) or type(length) is not int or length < 1:
        raise ValueError(f"kind {kind!r}, length {length!r}")
    mean, deviation = (tuple(map(float, config[key])) for key in ("mean", "deviation"))
    if len(mean) != len(deviation):
        raise ValueError(f"{len(mean)} means, {len(deviation)} deviations")
    return Encoding(kind, tuple(config["categories"]), mean, deviation, None if fill is None else float(fill), length)


def fit(
    records: Records,
    rows: Array,
    inputs: Sequence[Tensor],
    targets: Sequence[Tensor],
    *,
    standardize: bool = False,
    standardize_target: bool = False,
    one_hot: bool = False,
    words: Words | None = None,
    missing: Missing = "error",
    task: Literal["auto", "classification", "regression"] = "auto",
    window: Window | None = None,
) -> Preparation:
    """The preparation that these rows of the records ask for.

    Args:
        records: the data.
        rows: the rows to train on; nothing else is looked at.
        inputs: the inputs of the model, and their columns.
        targets: its targets, likewise.
        standardize: whether numbers get mean 0 and deviation 1; arrays do so for each place of their last axis.
        standardize_target: whether numbers of a regression's targets do too.
        one_hot: whether a category of a feature becomes a number for each category.
        words: what texts of a feature become, if they are no categories.
        missing: what a missing number is: an error, the mean of its column, or (``drop``) gone before; rows without a
            target are gone before unless they are an error.
        task: whether whole numbers in a target are classes; ``auto`` takes texts, and whole numbers from 0 on.
        window: what a sample is, if it is not a row.

    Raises:
        DataError: a column that is not there, or values are missing.
    """
    own = [t for t in targets if t.input is None]
    answers = {c: _target(records, rows, c, task, missing, len(t.columns)) for t in own for c in t.columns}
    if standardize_target:
        numbers = {c: records.columns[c].shape for c, encoding in answers.items() if encoding.kind == "array"}
        answers |= {c: Encoding("array", **_standard(*found)) for c, found in _means(records, rows, numbers).items()}
    encodings: dict[str, Encoding] = {}
    read = None if words is None else _words(records, rows, inputs, words)
    statistics: dict[str, tuple[tuple[int, ...], bool, str]] = {}
    for tensor in inputs:
        for name in tensor.columns:
            column = records.column(name)
            if tensor.dtype == "string" and column.kind == "category":
                encodings[name] = Encoding("text")
            elif column.kind == "category" and read is not None:
                encodings[name] = read
            elif column.kind == "category":
                known = tuple(column.categories)
                _warn_of_numbers(name, column)
                encodings[name] = Encoding("one_hot" if one_hot else "category", known)
            else:
                wants_mean = standardize and not (tensor.dtype or "float32").startswith(("int", "uint", "bool"))
                fills = missing == "mean" and column.kind != "array"  # also where only later data lack a number
                if column.missing and missing == "error":
                    raise DataError(f"column '{name}' has missing values.", expected="a number in each row", got=f"{column.missing} of {records.count} missing", fix="missing: mean, or missing: drop")  # fmt: skip
                encodings[name] = Encoding("array" if column.kind == "array" else "number")
                if wants_mean or fills:
                    shape = _shape(tensor if window is None else row_of(tensor), column)
                    statistics[name] = (shape, wants_mean, encodings[name].kind)
    means = _means(records, rows, {name: shape for name, (shape, _, _) in statistics.items()})
    for name, (mean, deviation) in means.items():
        _, wants_mean, kind = statistics[name]
        encodings[name] = Encoding(
            kind,  # type: ignore[arg-type]
            **(_standard(mean, deviation) if wants_mean else {}),
            fill=float(mean[0]) if missing == "mean" and kind == "number" else None,
        )
    return Preparation(tuple(inputs), tuple(targets), encodings, answers, window)


def present(records: Records, names: Sequence[str]) -> Array:
    """The rows in which none of these columns has a missing value."""
    kept = [np.zeros(0, "int64")]
    watched = [name for name in names if records.column(name).missing]
    if not watched:
        return np.arange(records.count)
    for rows in _chunks(records, np.arange(records.count)):
        values = records.read(rows, watched)
        lost = np.zeros(len(rows), bool)
        for name, found in values.items():
            lost |= (found < 0) if records.columns[name].kind == "category" else _has_nan(found)
        kept.append(rows[~lost])
    return np.concatenate(kept)


def _has_nan(values: Array) -> Array:
    """Whether a number is missing in each row."""
    return np.asarray(np.isnan(values).reshape(len(values), -1).any(axis=1))


def _chunks(records: Records, rows: Array) -> Iterator[Array]:
    size = max(1, CHUNK_BYTES // max(1, records.nbytes // max(1, records.count)))
    return (rows[i : i + size] for i in range(0, len(rows), size))


def _target(records: Records, rows: Array, name: str, task: str, missing: Missing, of: int) -> Encoding:
    column = records.column(name)
    if column.missing and missing == "error":
        raise DataError(f"the target '{name}' has missing values.", expected="a value in each row", got=f"{column.missing} of {records.count} missing", fix="missing: drop", argument="target")  # fmt: skip
    if column.kind == "category":
        _warn_of_numbers(name, column)
        if task == "regression":
            raise DataError(f"the target '{name}' holds texts.", expected="numbers for a regression", got=", ".join(column.categories[:3]), argument="target")  # fmt: skip
        return Encoding("class", tuple(column.categories))
    if column.kind == "array" or of > 1:
        return Encoding("array")
    is_whole = column.kind == "whole"
    can_be = is_whole or column.missing > 0  # gaps make floats of whole numbers
    if task == "classification" or (task == "auto" and can_be):
        found = np.unique(np.concatenate([records.read(part, [name])[name] for part in _chunks(records, rows)]))
        is_whole = is_whole or is_label(found)
        counted = len(found) <= 1000 and found[0] == 0 and found[-1] == len(found) - 1
        if is_whole and (counted or task == "classification"):
            return Encoding("class", tuple(str(int(v)) for v in found))
    if task == "classification":
        raise DataError(f"the target '{name}' holds numbers with fractions.", expected="texts or whole numbers for classes", got=str(column), argument="target")  # fmt: skip
    return Encoding("array")


def _words(records: Records, rows: Array, inputs: Sequence[Tensor], words: Words) -> Encoding:
    """The words of all texts to predict from, in the rows to train on."""
    names = dict.fromkeys(
        c for t in inputs for c in t.columns if t.dtype != "string" and records.column(c).kind == "category"
    )
    counts: dict[str, Array] = {n: np.zeros(len(records.columns[n].categories) + 1, "int64") for n in names}
    for part in _chunks(records, rows) if names else ():
        for name, values in records.read(part, list(names)).items():
            counts[name] += np.bincount(values + 1, minlength=len(counts[name]))
    texts = ((t, int(n)) for name in names for t, n in zip(records.columns[name].categories, counts[name][1:], strict=True) if n)  # fmt: skip
    return Encoding("words", most_frequent(texts, words.count), length=words.length)


def _warn_of_numbers(name: str, column: Column) -> None:
    if column.slip is not None:
        warn(f"column '{name}' is taken for {column.slip}.")


def _shape(tensor: Tensor, column: Column) -> tuple[int, ...]:
    """The shape in which the column's arrays go into the model: pictures may get an axis of channels."""
    if column.kind != "array":
        return ()
    if tensor.shape is not None and len(tensor.shape) == len(column.shape) + 1 and tensor.shape[-1] == 1:
        return (*column.shape, 1)
    return column.shape


def _standard(mean: Array, deviation: Array) -> dict[str, Any]:
    return {"mean": tuple(mean.tolist()), "deviation": tuple(np.where(deviation > 0, deviation, 1.0).tolist())}


def _means(records: Records, rows: Array, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[Array, Array]]:
    """Mean and deviation of columns, for each place of the last axis; chunk by chunk, in float64."""
    counts: dict[str, Array] = {}
    means: dict[str, Array] = {}
    squares: dict[str, Array] = {}
    for part in _chunks(records, rows) if shapes else ():
        for name, values in records.read(part, list(shapes)).items():
            flat = values.reshape(-1, shapes[name][-1] if shapes[name] else 1).astype("float64")
            known = ~np.isnan(flat)
            count = known.sum(axis=0)
            safe = np.maximum(count, 1)
            mean = np.where(known, flat, 0).sum(axis=0) / safe
            square = (np.where(known, flat - mean, 0) ** 2).sum(axis=0)
            if name in counts:  # Chan, Golub and LeVeque (1979): two parts joined without losing digits
                total = np.maximum(counts[name] + count, 1)
                step = mean - means[name]
                square = squares[name] + square + step**2 * counts[name] * count / total
                mean = means[name] + step * count / total
                count = counts[name] + count
            counts[name], means[name], squares[name] = count, mean, square
    return {name: (means[name], np.sqrt(squares[name] / np.maximum(counts[name], 1))) for name in counts}


def _encode(values: Array, column: Column, name: str, encoding: Encoding) -> Array:
    if encoding.kind == "words":
        known, back = np.unique(values, return_inverse=True)
        place = {word: i for i, word in enumerate(encoding.categories)}
        return numbers(_texts(known, column), place, encoding.length)[back]
    if encoding.kind in ("category", "one_hot", "class", "text"):
        return _encode_texts(values, column, name, encoding)
    if column.kind == "category":
        raise DataError(f"column '{name}' holds texts.", expected="numbers, as in training", got=", ".join(column.categories[:3]))  # fmt: skip
    if encoding.fill is not None and values.dtype.kind == "f":
        values = np.where(np.isnan(values), np.float32(encoding.fill), values)
    if encoding.kind == "number" and values.dtype.kind == "f" and np.isnan(values).any():
        raise DataError(f"column '{name}' has missing values.", expected="a number in each row", got=f"{int(np.isnan(values).sum())} missing", fix="fill them in, or train with missing: mean")  # fmt: skip
    if encoding.mean:
        if len(encoding.mean) > 1 and values.shape[-1:] != (len(encoding.mean),):
            raise DataError(
                f"column '{name}' has arrays of another shape.",
                expected=f"{len(encoding.mean)} numbers along the last axis, as in training",
                got=f"shape {values.shape[1:]}",
            )
        mean, deviation = (np.array(v, "float64") for v in (encoding.mean, encoding.deviation))
        values = ((values - mean) / deviation).astype("float32")
    return values


def _encode_texts(values: Array, column: Column, name: str, encoding: Encoding) -> Array:
    """Categories of a column, or whole numbers that are classes, in the numbers of the training."""
    if encoding.kind == "text":
        known = np.array([*column.categories, ""], dtype=np.str_)
        return known[values]
    place = {
        category: i for i, category in enumerate(map(str, encoding.categories))
    }  # a file of few rows may have 1, not "1"
    if column.kind == "category":
        own = np.array([place.get(text, -1) for text in column.categories] + [-1], "int32")
        found = own[values]  # -1, which is missing, reads the last
    else:
        known, inverse = np.unique(values, return_inverse=True)
        own = np.array([-1 if text is None else place.get(text, -1) for text in _texts(known, column)], "int32")
        found = own[inverse.reshape(values.shape)]
    if encoding.kind == "class":
        if (found < 0).any():
            row = int(np.argmax(found < 0))
            value = column.categories[values[row]] if column.kind == "category" else values[row]
            raise DataError(f"the target '{name}' has a class that training does not know.", expected=", ".join(encoding.categories[:20]), got=f"{value!s}")  # fmt: skip
        return found
    if encoding.kind == "one_hot":
        return (found[:, None] == np.arange(len(encoding.categories))).astype("float32")
    return found + np.int32(1)


def _texts(values: Array, column: Column) -> list[str | None]:
    """Values of a column as the texts of categories; None where one is missing."""
    if column.kind == "category":
        return [None if v < 0 else column.categories[v] for v in values.tolist()]
    return [None if np.isnan(v) else f"{v:g}" if v % 1 else str(int(v)) for v in values.tolist()]


def join(tensor: Tensor, parts: list[Array]) -> Array:
    """The columns of an input side by side, in its shape and dtype."""
    value = parts[0]
    if len(parts) > 1 or (tensor.shape is not None and len(tensor.shape) == 1 and value.ndim == 1):
        value = np.concatenate([p[:, None] if p.ndim == 1 else p for p in parts], axis=1, dtype=_common(parts))
    if tensor.shape is not None and value.ndim == len(tensor.shape) and tensor.shape[-1:] == (1,):
        value = value[..., None]  # pictures without an axis of channels
    if tensor.dtype is not None and tensor.dtype != "string":
        value = value.astype(tensor.dtype, copy=False)
    return value


def _common(parts: list[Array]) -> Any:
    if parts[0].dtype.kind == "U":
        return None
    return "int32" if all(p.dtype.kind in "iu" for p in parts) else "float32"


def one_or_all(tensors: dict[str, Array]) -> Any:
    """A lone array, or several by name: as ``fit`` takes them."""
    return next(iter(tensors.values())) if len(tensors) == 1 else tensors
