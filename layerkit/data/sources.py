"""Where data come from: each source is a key of the section ``data`` in a spec, its fields are the arguments there.

data: {csv: {path: train.csv, delimiter: ";"}, target: label}
data: {csv: train.csv, target: label}
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import numpy as np

from layerkit import datasets
from layerkit.data.csv import CsvRecords, read_csv, read_header
from layerkit.data.files import broken
from layerkit.data.idx import read_idx, read_idx_head
from layerkit.data.images import SUFFIXES, ImageRecords
from layerkit.data.npz import read_npz, read_npz_heads
from layerkit.data.parquet import ParquetRecords, read_head
from layerkit.data.records import ArrayRecords, Heads, NamesOnly, Records
from layerkit.data.ts import Series, read_ts
from layerkit.errors import DataError, did_you_mean
from layerkit.fields import Check, Configurable, Resolved, Shape, fields
from layerkit.ir import Array
from layerkit.records import dataclass

LARGE = 256 << 20  # bytes of a file, or of its numbers: what is larger is read batch by batch


_CHUNK = 1 << 22  # bytes that are looked at at a time


class _Path(Check):
    expected = "the path of a file or folder"

    def __call__(self, value: Any, owner: Any) -> Any:
        return os.fspath(value)  # a TypeError for what is no path


FilePath = Annotated[str, _Path()]
OptionalPath = Annotated[Any, _Path()]

TRAIN = "_TRAIN.ts"  # how the UEA archive ends the names of files to train on

Find = Callable[[str], Path]  # a path as it is written to the file that it means


@dataclass(frozen=True)
class Opened:
    """The records of a source; what it does not say itself is cut from ``train`` by a split."""

    train: Records
    validation: Records | None = None
    test: Records | None = None
    target: str | None = None
    """The column to predict, and that to predict from, where the source knows."""
    features: str | None = None


class Source(Protocol):
    """Opens its files."""

    def open(self, find: Find, in_memory: bool | None) -> Opened:
        """The records; ``in_memory`` None decides by size."""


class _Source(Configurable):
    """What the sources of specs have in common."""

    def head(self, find: Find) -> Opened | None:
        """What ``open`` gives, as far as the names of the columns are known without reading the rows; mostly nothing."""
        return None


def paths(source: Any) -> dict[str, str]:
    """The arguments of a source that are paths, and are given."""
    is_path = {name: isinstance(f.check, _Path) for name, f in fields(type(source)).items()}
    return {name: value for name, path in is_path.items() if path and (value := getattr(source, name)) is not None}


class CSV(_Source):
    """A CSV file whose first row names the columns.

    Args:
        path: the file; ``.gz`` is decompressed in memory.
        test: another file to test on.
        delimiter: what separates the fields.
        decimal: what stands before the fraction of a number; with a comma, points may separate thousands.
    """

    path: FilePath
    test: OptionalPath = None
    delimiter: str = ","
    decimal: Literal[".", ","] = "."

    def open(self, find: Find, in_memory: bool | None) -> Opened:
        """The rows of the file, and of the one to test on."""
        return Opened(self._records(find(self.path), in_memory), test=self._records(find(self.test), in_memory) if self.test else None)  # fmt: skip

    def head(self, find: Find) -> Opened | None:
        """The names in the first rows."""
        train, *test = (
            NamesOnly(dict.fromkeys(read_header(find(path), self.delimiter), False))
            for path in (self.path, self.test)
            if path
        )
        return Opened(train, test=test[0] if test else None)

    def _records(self, path: Path, in_memory: bool | None) -> Records:
        if _fits(path, in_memory) or path.suffix == ".gz":
            table = read_csv(path, self.delimiter, self.decimal)
            return ArrayRecords(table.columns, table.categories, table.missing)
        return CsvRecords(path, self.delimiter, self.decimal)


class Parquet(_Source):
    """A Parquet file; needs the extra ``data``.

    Args:
        path: the file.
        test: another file to test on.
    """

    path: FilePath
    test: OptionalPath = None

    def open(self, find: Find, in_memory: bool | None) -> Opened:
        """The rows of the file, and of the one to test on."""
        return Opened(ParquetRecords(find(self.path)), test=ParquetRecords(find(self.test)) if self.test else None)

    def head(self, find: Find) -> Opened | None:
        """The names in the schemas."""
        train, *test = (NamesOnly(read_head(find(path))) for path in (self.path, self.test) if path)
        return Opened(train, test=test[0] if test else None)


class NPZ(_Source):
    """Arrays that ``numpy.savez`` wrote.

    Args:
        path: the file.
        x: the array of inputs; ``x`` or ``x_train`` unless given. All arrays of as many rows are columns, by their names.
        y: the array of targets; ``y`` or ``y_train`` unless given.
        x_test: the inputs to test on; ``x_test`` if there is one.
        y_test: the targets to test on; ``y_test`` if there is one.
    """

    path: FilePath
    x: str | None = None
    y: str | None = None
    x_test: str | None = None
    y_test: str | None = None

    def open(self, find: Find, in_memory: bool | None) -> Opened:
        """The arrays; ``x_train`` and ``y_train`` are the columns ``x`` and ``y``."""
        return self._opened(find, read_npz(find(self.path)), _arrays)

    def head(self, find: Find) -> Opened | None:
        """Shapes and dtypes of the arrays."""
        return self._opened(find, read_npz_heads(find(self.path)), Heads)

    def _opened(self, find: Find, arrays: dict[str, Array], made: Callable[[dict[str, Array]], Records]) -> Opened:
        x, y = self._name(arrays, "x", "x", "x_train"), self._name(arrays, "y", "y", "y_train")
        first = arrays[x] if x else next((a for a in arrays.values() if a.ndim), None)
        if first is None:
            raise broken(
                find(self.path), "the file holds no arrays.", expected="x and y", got=", ".join(arrays) or "none"
            )
        if not first.ndim:
            raise broken(find(self.path), f"the array '{x}' has no rows.", expected="an array with a row for each sample", got="one number")  # fmt: skip
        tests = self._name(arrays, "x_test", "x_test"), self._name(arrays, "y_test", "y_test")
        named = {n: n.removesuffix("_train") for n, a in arrays.items() if a.ndim and len(a) == len(first) and n not in tests}  # fmt: skip
        columns = {column: arrays[n] for n, column in named.items()}
        own = {named[n]: arrays[t] for n, t in zip((x, y), tests, strict=True) if n in named and t is not None}
        return Opened(made(columns), test=made(own) if len(own) == 2 else None, target=named.get(y or ""),
                      features=named.get(x or ""))  # fmt: skip

    def _name(self, arrays: dict[str, Array], argument: str, *usual: str) -> str | None:
        given: str | None = getattr(self, argument)
        if given is None:
            return next((name for name in usual if name in arrays), None)
        if given not in arrays:
            raise DataError(f"there is no array '{given}'.", expected=", ".join(arrays), got=given, fix=did_you_mean(given, arrays), argument=argument)  # fmt: skip
        return given


class IDX(_Source):
    """Images and labels in the format of MNIST.

    Args:
        path: a folder with files of MNIST's names (``train-images-idx3-ubyte``, plain or ``.gz``, and so on).
        x: the inputs, instead of a folder.
        y: the targets.
        x_test: the inputs to test on.
        y_test: the targets to test on.
    """

    path: OptionalPath = None
    x: OptionalPath = None
    y: OptionalPath = None
    x_test: OptionalPath = None
    y_test: OptionalPath = None

    def open(self, find: Find, in_memory: bool | None) -> Opened:
        """The arrays ``x`` and ``y``."""
        return self._opened(find, read_idx, _arrays)

    def head(self, find: Find) -> Opened | None:
        """Shapes and dtypes of the arrays."""
        return self._opened(find, read_idx_head, Heads)

    def _opened(self, find: Find, read: Callable[[Path], Array], made: Callable[[dict[str, Array]], Records]) -> Opened:
        files = {name: find(value) for name in ("x", "y", "x_test", "y_test") if (value := getattr(self, name))}
        if self.path is not None:
            folder = find(self.path)
            names = {"x": "train-images", "y": "train-labels", "x_test": "t10k-images", "y_test": "t10k-labels"}
            for name, start in names.items():
                found = sorted(folder.glob(f"{start}*"))
                if found:
                    files.setdefault(name, found[0])
        if not {"x", "y"} <= set(files):
            raise DataError("the IDX files of inputs and targets are not there.", expected="train-images-idx3-ubyte and train-labels-idx1-ubyte in the folder, or x: and y:",
                            got=self.path or ", ".join(files) or "nothing", fix="check the path")  # fmt: skip
        arrays = {name: read(path) for name, path in files.items()}
        tests = {"x": arrays["x_test"], "y": arrays["y_test"]} if {"x_test", "y_test"} <= set(arrays) else None
        return Opened(made({"x": arrays["x"], "y": arrays["y"]}), test=made(tests) if tests else None, target="y")


class TS(_Source):
    """Labelled time series (``.ts``): columns ``x`` (time, channels) and ``y``; shorter cases end in zeros.

    Args:
        path: the file, or a folder as the archives have them, with ``NAME_TRAIN.ts``; ``NAME_TEST.ts`` beside it is to test on.
        test: another file to test on.
    """

    path: FilePath
    test: OptionalPath = None

    def open(self, find: Find, in_memory: bool | None) -> Opened:
        """The cases of the file, and of the one to test on, padded to one length."""
        path, test = _archived(find(self.path))
        test = test if self.test is None else find(self.test)
        parts = [read_ts(file) for file in (path, test) if file is not None]
        steps = max(part.x.shape[1] for part in parts)
        found = [_series(part, steps) for part in parts]
        target = "y" if parts[0].y is not None else None
        return Opened(found[0], test=found[1] if len(found) > 1 else None, target=target)


class Images(_Source):
    """A folder of images with a sub-folder for each class; needs the extra ``data``.

    Where the folder holds ``train`` and ``test`` (and ``validation``), these hold the classes.

    Args:
        path: the folder.
        size: height and width to which images are resized, one number for both; those of the first image unless given.
        channels: 1 grey, 3 colour, 4 colour with transparency.
    """

    path: FilePath
    size: Annotated[Any, Shape(1)] = None
    channels: Literal[1, 3, 4] = 3

    def open(self, find: Find, in_memory: bool | None) -> Opened:
        """The images of the folder, or of its parts."""
        folder = find(self.path)
        if not (folder / "train").is_dir():
            return Opened(ImageRecords(folder, self.size, self.channels), target="label")
        train = ImageRecords(folder / "train", self.size, self.channels)
        parts = {n: ImageRecords(folder / n, train.size, self.channels) for n in ("validation", "test") if (folder / n).is_dir()}  # fmt: skip
        return Opened(train, parts.get("validation"), parts.get("test"), "label")

    def head(self, find: Find) -> Opened | None:
        """The images, of which none is read before it is asked for; the classes are the names of the folders."""
        return self.open(find, None)


class Shipped(_Source):
    """Data that ship with layerkit.

    Args:
        name: of the data set, as ``digits``.
    """

    name: Annotated[str, Resolved(datasets.check_name)]

    def open(self, find: Find, in_memory: bool | None) -> Opened:
        """The data set, with its rows to test on."""
        (x, y), (x_test, y_test) = datasets.load(self.name)
        return Opened(_arrays({"x": x, "y": y}), test=_arrays({"x": x_test, "y": y_test}), target="y")

    def head(self, find: Find) -> Opened | None:
        """All of it: it is small."""
        return self.open(find, None)


SOURCES: dict[str, type] = {
    "csv": CSV,
    "parquet": Parquet,
    "npz": NPZ,
    "idx": IDX,
    "ts": TS,
    "images": Images,
    "dataset": Shipped,
}
"""The sources by the keys that specs use."""


def guess(path: Path) -> str | None:
    """The key of the source that reads a file of this name, or a folder of this content."""
    suffixes = [s for s in path.suffixes if s not in (".gz", ".brotli", ".snappy", ".zstd")]
    known = {".csv": "csv", ".tsv": "csv", ".npz": "npz", ".ts": "ts", ".parquet": "parquet"}
    if path.is_dir():
        marks = {"train-images*": "idx", f"*{TRAIN}": "ts"}
        return next((key for mark, key in marks.items() if any(path.glob(mark))), "images")
    suffix = suffixes[-1].lower() if suffixes else ""
    return "images" if suffix in SUFFIXES else known.get(suffix)


def _fits(path: Path, in_memory: bool | None) -> bool:
    if in_memory is not None:
        return in_memory
    try:
        return path.stat().st_size <= LARGE
    except OSError:
        return True  # the reader says what is wrong


def _arrays(arrays: dict[str, Array]) -> ArrayRecords:
    categories: dict[str, tuple[str, ...]] = {}
    for name, array in arrays.items():
        if array.dtype.kind == "U" and array.ndim == 1:  # texts are categories
            known, numbers = np.unique(array, return_inverse=True)
            arrays = {**arrays, name: numbers.astype("int32")}
            categories[name] = tuple(map(str, known))
    return ArrayRecords(arrays, categories, {name: _missing(array) for name, array in arrays.items()})


def _missing(array: Array) -> int:
    """In how many rows a number is missing."""
    if array.dtype.kind != "f":
        return 0
    size = max(1, _CHUNK // max(1, array[:1].nbytes))
    with np.errstate(all="ignore"):  # a sum is a number if all its terms are; where it is not, look closer
        parts = (part for i in range(0, len(array), size) if np.isnan((part := array[i : i + size]).sum()))
        return sum(int(np.isnan(part).reshape(len(part), -1).any(axis=1).sum()) for part in parts)


def _archived(path: Path) -> tuple[Path, Path | None]:
    """The series to train on, and those to test on where they lie beside."""
    if path.is_dir():
        found = sorted(path.glob(f"*{TRAIN}"))
        path = next((f for f in found if f.name == path.name + TRAIN), found[0] if found else path)
    test = path.with_name(path.name.removesuffix(TRAIN) + "_TEST.ts")
    return path, test if path.name.endswith(TRAIN) and test.exists() else None


def _series(part: Series, steps: int) -> ArrayRecords:
    x = np.pad(part.x, ((0, 0), (0, steps - part.x.shape[1]), (0, 0)))
    columns = {"x": x} if part.y is None else {"x": x, "y": part.y}
    return ArrayRecords(columns, {"y": part.classes} if part.classes else None)
