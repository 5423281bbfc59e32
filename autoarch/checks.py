"""What is odd about data, told before a search spends time on them.

Rows that are in two parts, columns that say nothing or too much, classes with few rows: each a ``Finding``, one sentence with
counts and names. Nothing is changed; whoever reads decides.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from layerkit import saving
from layerkit.data import DataSet
from layerkit.ir import Array

FILE = "checks.json"
MOST_ROWS = 50_000  # of each part that are looked at
MOST_COLUMNS = 2_000
FEW_OF_CLASS, FEW_TO_TEST = 10, 50
IMBALANCE = 0.8  # share of the most frequent class
LEAST_REPEATED = 20  # rows that share their column's value with another, for it to determine anything

Kind = Literal["duplicates", "constant", "leakage", "imbalance", "missing", "few_rows", "unknown_class"]


@dataclass(frozen=True)
class Finding:
    """Something odd.

    Attributes:
        kind: of oddity.
        is_serious: whether scores may mean nothing because of it.
        text: one sentence.
        columns: that it is about.
        count: of rows, or columns, that it is about.
    """

    kind: Kind
    is_serious: bool
    text: str
    columns: tuple[str, ...] = ()
    count: int = 0


@dataclass(frozen=True)
class _Part:
    x: Mapping[str, Array]
    y: Array | None


def checked(folder: Path, open_data: Callable[[], DataSet]) -> list[Finding]:
    """The findings of a search, looked for once and kept in its folder."""
    path = folder / FILE
    if not path.exists():
        found = [asdict(finding) for finding in check(open_data())]
        saving.write_whole(path, [(json.dumps(found, indent=1, ensure_ascii=False) + "\n").encode()])
    return kept(folder)


def kept(folder: Path) -> list[Finding]:
    """The findings that are kept in the folder of a search."""
    path = folder / FILE
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return [Finding(**{**finding, "columns": tuple(finding["columns"])}) for finding in found]


def check(dataset: DataSet) -> list[Finding]:
    """Look at all parts; the serious findings first."""
    parts = {name: _read(dataset, name) for name in ("train", "validation", "test") if dataset.rows.get(name)}
    found = [*_duplicates(parts), *_columns(dataset, parts["train"]), *_missing(dataset, parts["train"])]
    if dataset.task == "classification" and dataset.classes is not None:
        found += _classes(dataset.classes, parts)
    elif parts["train"].y is not None and (parts["train"].y == parts["train"].y[0]).all():
        found.append(Finding("constant", True, "the target is the same in every row to train on"))
    rows = dataset.rows.get("test", 0)
    if 0 < rows < FEW_TO_TEST:
        text = f"only {rows} rows are held out to test on: the result will be known roughly"
        found.append(Finding("few_rows", False, text, count=rows))
    return sorted(found, key=lambda f: not f.is_serious)


def _read(dataset: DataSet, name: str) -> _Part:
    """A part as models see it, at most so many rows."""
    x, y = dataset.some(name, MOST_ROWS)
    named = x if isinstance(x, Mapping) else {dataset.preparation.inputs[0].name: x}
    return _Part(named, y if isinstance(y, np.ndarray) else None)


def _duplicates(parts: Mapping[str, _Part]) -> Iterator[Finding]:
    keys = {name: [_key(part.x, i) for i in range(_count(part))] for name, part in parts.items()}
    train = set(keys["train"])
    twice = len(keys["train"]) - len(train)
    if twice:
        text = f"{twice} of {len(keys['train'])} rows to train on repeat the inputs of another"
        yield Finding("duplicates", False, text, count=twice)
    for name in ("validation", "test"):
        shared = sum(key in train for key in keys.get(name, ()))
        if shared:
            share = shared / len(keys[name])
            text = f"{shared} of {len(keys[name])} rows of the {name} part have the inputs of a row to train on"
            yield Finding("duplicates", share > 0.01, text, count=shared)


def _key(x: Mapping[str, Array], row: int) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for values in x.values():
        one = values[row]
        digest.update(repr(one.tolist()).encode() if values.dtype.kind in "UO" else np.ascontiguousarray(one).tobytes())
    return digest.digest()


def _columns(dataset: DataSet, train: _Part) -> Iterator[Finding]:
    """Columns that say nothing, and those that say the target."""
    columns = dict(_named(dataset, train))
    constant = [name for name, values in columns.items() if (values == values[0]).all()]
    if constant:
        text = f"{_list(constant)} {'is' if len(constant) == 1 else 'are'} the same in every row to train on"
        yield Finding("constant", False, text, tuple(constant), len(constant))
    y = train.y
    if y is None or y.size != len(y):
        return
    is_class = dataset.task == "classification"
    for name, values in columns.items():
        if name not in constant and (how := _tells(values, y.ravel(), is_class=is_class)):
            yield Finding("leakage", True, f"{_list([name])} {how}: would it be known when predicting?", (name,))


def _named(dataset: DataSet, part: _Part) -> Iterator[tuple[str, Array]]:
    """The columns of a table; of a window those of its last row; the places of an array of one axis, or its channels."""
    for tensor in dataset.preparation.inputs:
        x = part.x[tensor.name]
        if x.dtype.kind in "UO":
            continue
        encodings = [dataset.preparation.encodings[c] for c in tensor.columns]
        if [e.kind for e in encodings] == ["array"]:
            if x.ndim > 2 and x.shape[-1] > 1:
                x = x.reshape(len(x), -1, x.shape[-1])
                flat = {
                    f"channel {i} of {tensor.columns[0]}": x[:, :, i] for i in range(min(x.shape[-1], MOST_COLUMNS))
                }
                yield from (
                    (n, v[:, 0]) for n, v in flat.items() if (v == v[:1, :1]).all()
                )  # only a constant one tells
            elif x.ndim == 2 and x.shape[1] <= MOST_COLUMNS:
                yield from ((f"{tensor.columns[0]}[{i}]", x[:, i]) for i in range(x.shape[1]))
            continue
        last = x.reshape(len(x), -1, sum(e.width for e in encodings))[:, -1]
        start = 0
        for name, encoding in zip(tensor.columns, encodings, strict=True):
            block = last[:, start : start + encoding.width]
            start += encoding.width
            yield name, block.argmax(1) + block.any(1) if encoding.kind == "one_hot" else block[:, 0]


def _tells(values: Array, y: Array, *, is_class: bool) -> str:
    """How a column gives the target away; empty where it does not."""
    known = np.isfinite(values)
    values, y = values[known].astype("float64"), y[known].astype("float64")
    if len(y) < LEAST_REPEATED or (values == values[0]).all() or (y == y[0]).all():
        return ""
    if abs(np.corrcoef(values, y)[0, 1]) > 1 - 1e-9:
        return "equals the target" + ("" if np.array_equal(values, y) else ", but for its scale")
    order = np.lexsort((y, values))
    values, y = values[order], y[order]
    starts = np.flatnonzero(np.r_[True, np.diff(values) != 0])
    sizes = np.diff(np.r_[starts, len(values)])
    one = np.maximum.reduceat(y, starts) == np.minimum.reduceat(y, starts)
    repeated = int(sizes[sizes > 1].sum())
    if one.all() and repeated >= max(LEAST_REPEATED, len(y) / 2) and len(starts) <= len(y) / 2:
        return "determines the target: rows of one value have one target"
    if is_class and one.all() and (np.diff(y) != 0).sum() == len(np.unique(y)) - 1:
        return "determines the target: its ranges are the classes"
    return ""


def _missing(dataset: DataSet, train: _Part) -> Iterator[Finding]:
    records, _ = dataset.records("train")
    for tensor in dataset.preparation.inputs:
        for name in tensor.columns:
            column = records.columns[name]
            lost = column.missing
            if lost:
                text = f"{_list([name])} has no value in {lost} of the rows"
                yield Finding("missing", False, text, (name,), lost)
        x = train.x[tensor.name]
        lost = int(np.isnan(x.reshape(len(x), -1)).any(1).sum()) if x.dtype.kind == "f" else 0
        if lost:
            text = f"{lost} of {len(x)} rows to train on have missing numbers in '{tensor.name}'"
            yield Finding("missing", True, text, (tensor.name,), lost)


def _classes(names: tuple[str, ...], parts: Mapping[str, _Part]) -> Iterator[Finding]:
    counts = {
        part: np.bincount(held.y.ravel().astype("int64"), minlength=len(names)) for part, held in parts.items() if held.y is not None
    }  # fmt: skip
    train = counts.get("train")
    if train is None or not len(train):
        return
    most = int(train.argmax())
    if (train > 0).sum() == 1:
        yield Finding(
            "constant", True, f"all rows to train on are of the class '{names[most]}'", count=int(train[most])
        )
    elif train[most] > IMBALANCE * train.sum():
        share = train[most] / train.sum()
        text = f"'{names[most]}' has {share:.0%} of the rows to train on: an accuracy of {share:.2f} takes no model"
        yield Finding("imbalance", False, text, count=int(train[most]))
    few = [i for i in range(len(names)) if 0 < train[i] < FEW_OF_CLASS]
    if few:
        shown = ", ".join(f"'{names[i]}' {train[i]}" for i in few[:5]) + (", ..." if len(few) > 5 else "")
        text = f"{len(few)} classes have fewer than {FEW_OF_CLASS} rows to train on: {shown}"
        yield Finding("few_rows", True, text.replace("1 classes have", "one class has") if len(few) == 1 else text, count=len(few))  # fmt: skip
    for part in ("validation", "test"):
        unknown = [i for i in range(len(names)) if part in counts and counts[part][i] and not train[i]]
        if unknown:
            rows = int(counts[part][unknown].sum())
            are = "row of the {} part is" if rows == 1 else "rows of the {} part are"
            text = f"{rows} {are.format(part)} of classes that no row to train on has: {_list([names[i] for i in unknown])}"
            yield Finding("unknown_class", True, text, count=rows)


def _count(part: _Part) -> int:
    return len(next(iter(part.x.values())))


def _list(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
