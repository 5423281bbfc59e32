"""Helpers that users of Keras know: seeds, classes, sequences of unequal length, windows of series, splits.

They work on arrays before training; where Keras returns a dataset of TensorFlow they return arrays, or an iterable of
batches that ``fit`` takes.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from itertools import count as count_up
from typing import TYPE_CHECKING, Any

import numpy as np

from layerkit import absent, tree
from layerkit.dtypes import canonical
from layerkit.errors import ArgumentError, DataError, StateError
from layerkit.ir import Array, Value
from layerkit.records import dataclass
from layerkit.registry import knowing as custom_object_scope
from layerkit.registry import register_keras_serializable
from layerkit.trace import draw_seed, set_seed


def set_random_seed(seed: int) -> None:
    """Make initial weights, dropout and shuffling repeatable.

    Args:
        seed: a whole number, 0 included.
    """
    set_seed(seed)


def clear_session(free_memory: bool = True) -> None:
    """Give back the memory of models that nothing refers to any more.

    There is nothing else to clear: names and seeds of a model do not depend on the models made before.

    Args:
        free_memory: with False it does nothing.
    """
    if free_memory:
        gc.collect()


def to_categorical(x: Any, num_classes: int | None = None) -> Array:
    """Class numbers as one-hot rows: (...) -> (..., num_classes), float32.

    Args:
        x: whole numbers from 0.
        num_classes: by default one more than the largest.

    Raises:
        DataError: a number that is no class.

    Example:
        >>> to_categorical([1, 0])
        array([[0., 1.],
               [1., 0.]], dtype=float32)
    """
    numbers = np.asarray(x).astype("int64")
    if numbers.ndim > 1 and numbers.shape[-1] == 1:
        numbers = numbers[..., 0]
    count = int(numbers.max()) + 1 if num_classes is None else num_classes
    if numbers.size and (numbers.min() < 0 or numbers.max() >= count):
        raise DataError(
            "a number is no class.",
            expected=f"whole numbers in [0, {count})",
            got=f"{numbers.min()} to {numbers.max()}",
        )
    return np.eye(count, dtype="float32")[numbers]


def normalize(x: Any, axis: int = -1, order: int = 2) -> Array:
    """Each vector along ``axis`` divided by its norm of that ``order``; a vector of zeros stays.

    Example:
        >>> normalize([[3.0, 4.0], [0.0, 0.0]])
        array([[0.6, 0.8],
               [0. , 0. ]])
    """
    numbers = np.atleast_1d(np.asarray(x))
    numbers = numbers if numbers.dtype.kind == "f" else numbers.astype("float64")
    length = np.linalg.norm(numbers, order, axis, keepdims=True)
    return numbers / np.where(length == 0, 1, length)


# Sequences -----------------------------------------------------------------------------------------------------------


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: str = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> Array:
    """Sequences of unequal length as one array: (samples, maxlen, ...).

    Args:
        sequences: lists or arrays.
        maxlen: length of all; by default that of the longest.
        dtype: of the result.
        padding: where ``value`` is put, "pre" (before) or "post" (after).
        truncating: where what is too long is cut, "pre" or "post".
        value: what fills up.

    Example:
        >>> pad_sequences([[1], [2, 3, 4]], maxlen=2)
        array([[0, 1],
               [3, 4]], dtype=int32)
    """
    for name, given in (("padding", padding), ("truncating", truncating)):
        if given not in ("pre", "post"):
            raise ArgumentError(f"'{name}' has no {given!r}.", expected="'pre' or 'post'", got=repr(given))
    try:
        parts = [np.asarray(s) for s in sequences]
        lengths = [len(p) for p in parts]
    except TypeError as e:
        raise DataError(
            "'pad_sequences' takes sequences.", expected="lists or arrays", got=type(sequences).__name__
        ) from e
    rests = {p.shape[1:] for p in parts if len(p)}
    if len(rests) > 1:
        raise DataError("the steps of all sequences have one shape.", expected=str(min(rests)), got=str(max(rests)))
    longest = max(lengths, default=0) if maxlen is None else maxlen
    result = np.full((len(parts), longest, *(next(iter(rests), ()))), value, dtype=dtype)
    for row, part in zip(result, parts, strict=True):
        kept = part[len(part) - longest :] if truncating == "pre" and len(part) > longest else part[:longest]
        if len(kept):
            row[longest - len(kept) if padding == "pre" else 0 :][: len(kept)] = kept
    return result


@dataclass(frozen=True)
class Windows:
    """Batches of windows of a series, each with the target at its start; they can be gone through again and again."""

    data: Array
    targets: Array | None
    starts: Array
    places: Array
    batch_size: int | None

    def __len__(self) -> int:
        return len(self.starts) if self.batch_size is None else -(-len(self.starts) // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        size = 1 if self.batch_size is None else self.batch_size
        for first in range(0, len(self.starts), size):
            starts = self.starts[first] if self.batch_size is None else self.starts[first : first + size]
            x = self.data[np.expand_dims(starts, -1) + self.places]
            yield x if self.targets is None else (x, self.targets[starts])


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> Windows:
    """Windows of a series as batches for ``fit``: (batch, sequence_length, ...), each with the target at its first step.

    Args:
        data: the series, time along the first axis.
        targets: one for each window, by the place where it begins; None for windows alone.
        sequence_length: steps of a window.
        sequence_stride: from the beginning of one window to that of the next.
        sampling_rate: from one step of a window to the next.
        batch_size: windows in a batch; None gives single windows.
        shuffle: whether the windows are in random order, the same each time.
        seed: of that order.
        start_index: where to begin.
        end_index: before which step to end.
        format: of Keras's result; changes nothing here.

    Raises:
        ArgumentError: numbers that leave no window.

    Example:
        >>> x, y = next(iter(timeseries_dataset_from_array([1, 2, 3, 4], [3, 4], sequence_length=2)))
        >>> x, y
        (array([[1, 2],
               [2, 3]]), array([3, 4]))
    """
    series = np.asarray(data)
    start = 0 if start_index is None else start_index
    end = len(series) if end_index is None else end_index
    numbers = {"sequence_length": sequence_length, "sequence_stride": sequence_stride, "sampling_rate": sampling_rate}
    for name, number in numbers.items():
        if number < 1 or number > len(series):
            raise ArgumentError(f"'{name}' leaves no window.", expected=f"1 to {len(series)}", got=str(number))
    if not 0 <= start < end <= len(series):
        raise ArgumentError(
            "a series has no such part.", expected=f"0 <= start < end <= {len(series)}", got=f"{start}:{end}"
        )
    last = end - start - (sequence_length - 1) * sampling_rate
    count = last if targets is None else min(last, len(targets))
    starts = np.arange(0, max(count, 0), sequence_stride)
    if shuffle:
        starts = np.random.default_rng(draw_seed() if seed is None else seed).permutation(starts)
    places = np.arange(sequence_length) * sampling_rate
    wanted = None if targets is None else np.asarray(targets)[start:]
    return Windows(series[start:end], wanted, starts, places, batch_size)


def split_dataset(
    dataset: Any,
    left_size: float | int | None = None,
    right_size: float | int | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Any, Any]:
    """The rows of arrays in two parts, in the structure in which they are given.

    Args:
        dataset: an array, or tuples, lists or dicts of arrays with one number of rows.
        left_size: rows of the first part, a number or a share.
        right_size: rows of the second, a number or a share; one of both may be left out.
        shuffle: whether rows are drawn at random.
        seed: of the drawing.
        preferred_backend: of Keras's result; changes nothing here.

    Example:
        >>> split_dataset(np.arange(5), left_size=0.6)
        (array([0, 1, 2]), array([3, 4]))
    """
    arrays = tree.map_leaves(np.asarray, dataset)
    leaves = tree.leaves(arrays)
    rows = len(leaves[0]) if leaves else 0
    if len({len(leaf) for leaf in leaves}) != 1:
        raise DataError(
            "the arrays have one number of rows.", expected=str(rows), got=str([len(leaf) for leaf in leaves])
        )
    left, right = _sizes(left_size, right_size, rows)
    order = np.arange(rows)
    if shuffle:
        order = np.random.default_rng(draw_seed() if seed is None else seed).permutation(order)
    return (
        tree.map_leaves(lambda a: a[order[:left]], arrays),
        tree.map_leaves(lambda a: a[order[left : left + right]], arrays),
    )


def _sizes(left: float | None, right: float | None, rows: int) -> tuple[int, int]:
    if left is None and right is None:
        raise ArgumentError("a split has a size.", expected="left_size or right_size", got="None")
    for name, size in (("left_size", left), ("right_size", right)):
        if size is not None and not (0 < size < 1 if isinstance(size, float) else 0 < size < rows):
            raise ArgumentError(
                f"'{name}' is rows or a share.", expected=f"1 to {rows - 1}, or a share", got=repr(size)
            )
    counts = [None if s is None else round(s * rows) if isinstance(s, float) else s for s in (left, right)]
    first = rows - counts[1] if counts[0] is None else counts[0]  # type: ignore[operator]
    second = rows - first if counts[1] is None else counts[1]
    if first + second > rows:
        raise ArgumentError("both parts have more rows than there are.", expected=str(rows), got=f"{first} + {second}")
    return first, second


# Small questions -----------------------------------------------------------------------------------------------------


def standardize_dtype(dtype: Any) -> str:
    """The name of a dtype given as a name, a NumPy dtype or a Python type; None is float32.

    Example:
        >>> standardize_dtype(np.float64), standardize_dtype(None)
        ('float64', 'float32')
    """
    return "float32" if dtype is None else canonical(dtype)


def is_keras_tensor(x: Any) -> bool:
    """Whether ``x`` is a symbolic tensor."""
    return isinstance(x, Value)


class PyDataset:
    """Batches by their numbers, for ``fit``: a subclass says how many there are and what each holds.

    ``fit`` takes them in another order in each epoch, unless ``shuffle=False``.

    Args:
        workers: accepted, does nothing: batches are made as they are needed.
        use_multiprocessing: accepted, does nothing.
        max_queue_size: accepted, does nothing.

    Example:
        >>> class Squares(PyDataset):
        ...     def __len__(self):
        ...         return 2
        ...
        ...     def __getitem__(self, index):
        ...         return np.full((1, 1), index), np.full((1, 1), index**2)
        >>> [int(y[0, 0]) for x, y in Squares()]
        [0, 1]
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers, self.use_multiprocessing, self.max_queue_size = workers, use_multiprocessing, max_queue_size

    def __len__(self) -> int:
        raise StateError(
            "the dataset does not say how many batches it has.",
            layer=type(self).__name__,
            fix="write __len__ or num_batches",
        )

    def __getitem__(self, index: int) -> Any:
        raise StateError("the dataset has no batches.", layer=type(self).__name__, fix="write __getitem__")

    @property
    def num_batches(self) -> int | None:
        """How many batches an epoch has: ``len`` unless overridden; None: without end."""
        return len(self)

    def on_epoch_begin(self) -> None:
        """Called before the first batch of an epoch."""

    def on_epoch_end(self) -> None:
        """Called after the last batch of an epoch."""

    def in_order(self, order: Iterable[int] | None = None) -> Iterator[Any]:
        """An epoch's batches."""
        self.on_epoch_begin()
        if order is None:
            number = self.num_batches
            order = count_up() if number is None else range(number)
        for index in order:
            yield self[int(index)]
        self.on_epoch_end()

    def __iter__(self) -> Iterator[Any]:
        return self.in_order()


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """What a dataset yields: x alone, (x, y), or (x, y, sample_weight)."""
    if sample_weight is not None:
        return x, y, sample_weight
    if y is not None:
        return x, y
    return (x,) if isinstance(x, list | tuple) else x


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """(x, y, sample_weight) of what a dataset yields, None for what is not there.

    Example:
        >>> unpack_x_y_sample_weight((1, 2))
        (1, 2, None)
    """
    parts = tuple(data) if isinstance(data, list | tuple) else (data,)
    if not 1 <= len(parts) <= 3:
        raise DataError(
            "data has another number of parts.", expected="x, (x, y) or (x, y, sample_weight)", got=str(len(parts))
        )
    x, y, weight = (*parts, None, None)[:3]
    return x, y, weight


__all__ = [
    "PyDataset", "clear_session", "custom_object_scope", "is_keras_tensor", "normalize", "pack_x_y_sample_weight", "pad_sequences", "register_keras_serializable", "set_random_seed", "split_dataset",
    "standardize_dtype", "timeseries_dataset_from_array", "to_categorical", "unpack_x_y_sample_weight",
]  # fmt: skip

if not TYPE_CHECKING:  # else any name would do for a type checker
    __getattr__ = absent.getter(__name__)
