"""Data as batches: arrays in any nesting, data frames, and iterables of batches.

A batch is ``(x, y, sample_weight)``, each a nested structure of arrays or None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from time import perf_counter
from typing import Any

import numpy as np

from layerkit import tree
from layerkit.dtypes import numpy_dtype
from layerkit.engines import Batches
from layerkit.errors import ArgumentError, DataError, did_you_mean
from layerkit.ir import Array
from layerkit.records import dataclass
from layerkit.utils import PyDataset

Batch = tuple[Any, Any, Any]
RUN_SECONDS = 0.05  # between two looks at what callbacks and the user want

_PLAIN = {np.dtype(n) for n in ("float32", "float64", "int32", "int64", "uint8", "uint32", "bool")}  # taken as they are


def _is_plain(value: Any) -> bool:
    return type(value) is np.ndarray and value.dtype in _PLAIN and value.flags.c_contiguous


def as_arrays(data: Any, what: str) -> Any:
    """Nested lists, frames and arrays as arrays of dtypes that tensors have.

    Raises:
        DataError: objects that are no numbers.
    """
    if _is_plain(data):
        return data

    def convert(value: Any) -> Any:
        if _is_plain(value):
            return value
        if hasattr(value, "to_numpy"):
            value = value.to_numpy()
        try:
            array = np.asarray(value)
        except ValueError:  # parts of unequal length
            array = np.empty(len(value), object)
            array[:] = list(value)
        if array.dtype.kind in "OUSMmVc" and array.dtype.name != "bfloat16":
            raise _no_numbers(what, array)
        known = {
            "float16": "float32",
            "int8": "int32",
            "int16": "int32",
            "uint16": "int32",
            "uint64": "int64",
            "longdouble": "float64",
        }
        kind = known.get(array.dtype.name, array.dtype.name)
        return np.ascontiguousarray(array.astype(numpy_dtype(kind), copy=False))

    if data is None:
        return None
    if type(data) is np.ndarray or hasattr(data, "to_numpy"):
        return convert(data)
    if isinstance(data, dict):
        return {k: as_arrays(v, f"{what}[{k!r}]") for k, v in data.items()}
    if isinstance(data, tuple | list) and data and any(hasattr(v, "shape") or isinstance(v, dict) for v in data):
        return type(data)(as_arrays(v, f"{what}[{i}]") for i, v in enumerate(data))
    return convert(data)


def _no_numbers(what: str, array: Array) -> DataError:
    odd = [
        f"a {type(v).__name__} of length {len(v)}" if isinstance(v, list | tuple | np.ndarray) else repr(v)
        for v in array.reshape(-1)[:1000].tolist()
        if not isinstance(v, int | float)
    ]
    return DataError(
        f"'{what}' is no array of numbers.",
        expected="an array of floats, whole numbers or truth values",
        got=f"dtype {array.dtype}" + (f", for instance {odd[0]}" if odd else ""),
        fix="a list is read as several inputs; batches come from a PyDataset, or from an object that can be gone through again and again"
        if odd and odd[0].startswith("a tuple")
        else "convert texts to numbers; rows of unequal length must be padded to one length",
    )


@dataclass
class Arrays:
    """Arrays that share their first axis."""

    x: Any
    y: Any = None
    sample_weight: Any = None

    @property
    def rows(self) -> int:
        """The number of samples."""
        return len(tree.leaves(self.x)[0])

    def check_lengths(self) -> None:
        """Refuse no data at all, and unequal numbers of rows."""
        found = [leaf.shape for leaf in tree.leaves((self.x, self.y, self.sample_weight))]
        if found and all(found) and len({shape[0] for shape in found} | {0}) == 2:
            return
        lengths: dict[str, int] = {}
        for name in ("x", "y", "sample_weight"):
            leaves, structure = tree.flatten(getattr(self, name))
            for path, leaf in zip(tree.describe(structure), leaves, strict=True):
                label = f"{name}.{path}" if path else name
                if leaf.ndim == 0:
                    raise DataError(f"'{label}' has no axis of samples.", expected="an array", got=repr(leaf.tolist()))
                lengths[label] = len(leaf)
        if not lengths:
            raise DataError("there is no data.", expected="x=an array", got="none")
        if 0 in lengths.values():
            empty = next(k for k, v in lengths.items() if v == 0)
            raise DataError(f"'{empty}' is empty.", expected="at least one row", got="0 rows")
        if len(set(lengths.values())) > 1:
            raise DataError(
                "the arrays have unequal numbers of rows.",
                expected=f"{next(iter(lengths.values()))} rows in each",
                got=", ".join(f"{k}: {v}" for k, v in lengths.items()),
            )

    def take(self, rows: Any) -> Arrays:
        """Some of the rows."""
        return Arrays(*(_rows_of(part, rows) for part in (self.x, self.y, self.sample_weight)))

    def runs(
        self, batch_size: int, order: Array | None, steps: int | None, most: int | None, done: int = 0
    ) -> Iterator[Batches]:
        """All rows, or those of the first ``steps`` batches, but for ``done`` batches, as runs of equal batches.

        A run has ``most`` batches; with None as many as were done in a twentieth of a second.
        """
        whole, rest = divmod(self.rows, batch_size)
        if steps is not None and steps <= whole:
            whole, rest = steps, 0
        size = most or 1
        while done < whole:
            count = min(size, whole - done)
            began = perf_counter()
            yield Batches(batch_size, count, done * batch_size, order)
            done += count
            if most is None:
                size = max(1, int(RUN_SECONDS * count / max(perf_counter() - began, 1e-9)))
        if rest and done == whole:
            yield Batches(rest, 1, whole * batch_size, order)


def _rows_of(part: Any, rows: Any) -> Any:
    if part is None or isinstance(part, np.ndarray):
        return None if part is None else part[rows]
    return tree.map_leaves(lambda a: a[rows], part)


@dataclass
class Stream:
    """An iterable of batches; each is x, (x, y) or (x, y, sample_weight)."""

    source: Iterable[Any]

    @property
    def known_batches(self) -> int | None:
        """How many batches a pass has, if the source says it."""
        if isinstance(self.source, PyDataset):
            return self.source.num_batches
        return len(self.source) if isinstance(self.source, Sized) else None

    def check_end(self, argument: str) -> None:
        """Refuse batches without end where no number of steps says when to stop."""
        if isinstance(self.source, PyDataset) and self.source.num_batches is None:
            raise DataError(
                "the dataset has no end.",
                expected="num_batches that is a number",
                got="None",
                fix=f"{argument}=a number",
            )

    def begin_at(self, epoch: int) -> None:
        """Let the next pass be that of this epoch, where the source has an order for each."""
        source = self.source
        while isinstance(source, Mapped):
            source = source._source
        if hasattr(source, "epoch"):
            source.epoch = epoch

    def batches(self, order: Callable[[int], Any] | None = None) -> Iterator[Batch]:
        """The batches, as arrays; those that have numbers in the order that ``order`` gives for so many."""
        items: Iterable[Any] = self.source
        if order is not None and isinstance(self.source, PyDataset) and (number := self.known_batches) is not None:
            items = self.source.in_order(order(number))
        for item in items:
            parts = tuple(item) if isinstance(item, tuple) else (item,)
            if not 1 <= len(parts) <= 3:
                raise DataError(
                    "a batch has another number of parts.",
                    expected="x, (x, y) or (x, y, sample_weight)",
                    got=str(len(parts)),
                )
            x, y, weight = (*parts, None, None)[:3]
            batch = Arrays(as_arrays(x, "x"), as_arrays(y, "y"), as_arrays(weight, "sample_weight"))
            batch.check_lengths()
            yield batch.x, batch.y, batch.sample_weight


class Mapped:
    """An iterable of batches whose inputs go through a function."""

    def __init__(self, function: Callable[[Any], Any], source: Iterable[Any]) -> None:
        self._function, self._source = function, source

    def __iter__(self) -> Iterator[Any]:
        for item in self._source:
            x, *rest = item if isinstance(item, tuple) else (item,)
            yield (self._function(x), *rest)


def adapt(x: Any, y: Any = None, sample_weight: Any = None) -> Arrays | Stream:
    """The data given to ``fit``, ``evaluate`` or ``predict``."""
    is_arrays = hasattr(x, "shape") or isinstance(x, dict | list | np.ndarray) or hasattr(x, "to_numpy")
    if not is_arrays and isinstance(x, tuple) and all(hasattr(v, "shape") for v in x):
        is_arrays = True
    if x is None:
        raise DataError("there is no data.", expected="x=an array, or an iterable of batches", got="none")
    if not is_arrays and hasattr(x, "__iter__"):
        if y is not None or sample_weight is not None:
            raise DataError("an iterable of batches holds its own targets and weights.", expected="y=None", got="y")
        return Stream(x)
    data = Arrays(as_arrays(x, "x"), as_arrays(y, "y"), as_arrays(sample_weight, "sample_weight"))
    data.check_lengths()
    return data


def class_weights(given: Any, names: Sequence[str] | None = None) -> dict[int, float] | None:
    """How much each class counts, by its number; ``names`` are those of the classes, where the data have any.

    Raises:
        ArgumentError: no mapping, no class, or no weight.

    Example:
        >>> class_weights({"yes": 2, 0: 1}, ["no", "yes"])
        {1: 2.0, 0: 1.0}
    """
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise ArgumentError("'class_weight' says what each class weighs.", expected="a mapping, such as {0: 1.0, 1: 2.0}", got=repr(given))  # fmt: skip
    numbers = {name: number for number, name in enumerate(names or ())}
    found: dict[int, float] = {}
    for key, weight in given.items():
        number = numbers.get(str(key), key)
        if isinstance(number, str) and number.isdecimal():
            number = int(number)
        if not isinstance(number, int | np.integer):
            known = sorted(numbers) or ["0", "1"]
            raise ArgumentError(
                f"'class_weight' has no class '{key}'.", expected=", ".join(known[:20]) if names else "numbers of classes, from 0 on",
                got=repr(key), fix=did_you_mean(str(key), known[:20]) if names else None,
            )  # fmt: skip
        if (
            isinstance(weight, bool)
            or not isinstance(weight, int | float | np.number)
            or not 0 <= weight < float("inf")
        ):
            raise ArgumentError(
                f"the weight of class '{key}' is no weight.", expected="a number >= 0", got=repr(weight)
            )
        found[int(number)] = float(weight)
    return found


def with_class_weight(batch: Batch, class_weight: dict[int, float] | None) -> Batch:
    """The rows with sample weights made from the weights of the classes."""
    if class_weight is None:
        return batch
    x, y, weight = batch
    if not isinstance(y, np.ndarray):
        raise DataError("class_weight needs a single output.", expected="one array of targets", got=type(y).__name__)
    if y.ndim > 1 and y.shape[-1] > 1:
        classes = y.argmax(-1)
    else:
        classes = np.rint(y.reshape(len(y), -1)[:, 0] if y.ndim > 1 else y).astype("int64")
    weights = np.array([class_weight.get(int(c), 1.0) for c in classes.reshape(-1)], "float32").reshape(classes.shape)
    return x, y, weights if weight is None else weight * weights


def split_off(data: Arrays, share: float) -> tuple[Arrays, Arrays]:
    """The first rows, and the last ``share`` of them."""
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
        raise DataError("validation_split is a share.", expected="a number between 0 and 1", got=repr(share))
    at = int(data.rows * (1 - share))
    if at in (0, data.rows):
        raise DataError(
            "validation_split leaves nothing on one side.",
            expected="rows on both sides",
            got=f"{data.rows} rows, {share}",
        )
    return data.take(slice(0, at)), data.take(slice(at, None))
