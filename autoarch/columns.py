"""Which columns of data are the target and the features, and what is done with them before a model sees them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from builders.data import replaced
from layerkit.data import CSV, Images, Records, Tensor
from layerkit.data.preparation import fit, present
from layerkit.data.sources import Opened, guess
from layerkit.data.words import split
from layerkit.errors import DataError, LayerkitError

WINDOW = {"length": 24, "horizon": 1, "stride": 1}  # of a forecast
LARGEST = 64  # pixels of height and width of images in folders; larger ones are made smaller
FEW = 2000  # texts of a column that are looked at
SENTENCE = 3  # words that texts have on average, if they are sentences
LONGEST, VOCABULARY = 200, 5000  # at most: words of a text that are read, numbers of words
MANY = 5000  # texts of a column, each of which becomes a vector
USUAL_TARGETS = ("target", "label", "labels", "class", "y", "outcome")
DATE = re.compile(r"\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?([ T]\d{1,2}:.*)?$")


@dataclass(frozen=True)
class Chosen:
    """A source and what is done with its columns.

    Attributes:
        key: of the source in a section ``data``.
        arguments: of the source there, with the file's name for its path.
        opened: the source, opened.
        options: the other keys of the section, but the split.
        split_by: how rows are held out.
        array: the column of arrays that a model reads; None where a row is made of columns of numbers and texts.
        notes: what was left out or made smaller, and why.
    """

    key: str
    arguments: Any
    opened: Opened
    options: dict[str, Any]
    split_by: str
    array: str | None
    notes: list[str] = field(default_factory=list)


def choose(data: str, target: str | None, task: str) -> Chosen:
    """Open data; find target and features.

    Raises:
        DataError: no such file or column, or a target that nobody named.
        FileFormatError: a file is broken.
    """
    key, source, notes = _source(data)
    opened = source.open(Path, None)
    arguments: Any = {k: v for k, v in source.config.items() if k != "test"}
    arguments = data if key == "dataset" else {**arguments, "path": Path(data).name}
    records = opened.train
    column = _target(opened, target, data)
    options: dict[str, Any] = {} if target is None else {"target": column}
    if task in ("classification", "regression"):
        options["task"] = task
    is_class = _is_class(records, column, task)
    texts = len(records.columns[column].categories)
    if is_class and texts > max(records.count // 2, 2):
        raise DataError(f"'{column}' holds no classes: hardly a text of it comes back.", expected="a column of numbers, or of texts that return",
                        got=f"{texts} texts in {records.count} rows", fix="take another column (--target, in Python target=)")  # fmt: skip
    if task == "auto" and not is_class and records.columns[column].kind == "whole":
        notes.append(
            f"the whole numbers of '{column}' are predicted as numbers; --task classification takes them as classes"
        )
    if lost := records.columns[column].missing:
        options["missing"] = "mean"  # which also leaves out rows without their target
        notes.append(f"{lost} of {records.count} rows are left out: they have no value of '{column}'")
    by = "stratified" if is_class else "random"
    names = [name for name in records.columns if name != column]
    arrays = [opened.features] if opened.features in names else [n for n in names if records.columns[n].kind == "array"]
    if arrays:
        if len(names) > 1:
            options["features"] = arrays[:1]
            notes += [f"'{name}' is left out: one array is looked at" for name in names if name != arrays[0]]
        if lost := records.columns[arrays[0]].missing:
            raise DataError(
                f"'{arrays[0]}' has missing numbers.", expected="a number everywhere", got=f"nan in {lost} of {records.count} rows",
                fix="fill them in; of a table with a name for each column, such as a CSV file or one of pandas, the search fills them",
            )  # fmt: skip
        return Chosen(key, arguments, opened, options, by, arrays[0], notes)
    time = next((name for name in names if _is_date(records, name) and _tells_apart(records, name)), None)
    if task == "forecast" or (task == "auto" and time is not None and not is_class):
        if is_class:
            raise DataError(f"a forecast is of numbers; '{column}' holds classes.", expected="a column of numbers",
                            got=str(records.columns[column]), fix="--task classification")  # fmt: skip
        features = [n for n in (column, *names) if records.columns[n].kind in ("number", "whole")]
        options["window"] = {**WINDOW, **({"order": time} if time is not None else {})}
        by = "time"
    else:
        useful = _useful(records, names, notes)
        features = sorted(useful, key=lambda name: records.columns[name].kind == "category")  # numbers first
        if features == (prose := [n for n in features if _is_prose(records, n)]):
            options["words"] = _words(records, prose)
        else:
            notes += [f"'{name}' is left out: sentences are read where there is nothing else" for name in prose]
            features = [name for name in features if name not in prose]
    options |= {"target": column, "features": features}
    if "words" not in options:
        options["standardize"] = True
    if any(records.columns[name].missing for name in features):
        options["missing"] = "mean"
    return Chosen(key, arguments, opened, options, by, None, notes)


def _is_date(records: Records, name: str) -> bool:
    """Whether a column holds dates, such as 2010/01/31 or 2010-01-31T12:00."""
    column = records.columns[name]
    few = column.categories[:: max(1, len(column.categories) // 20)]
    return column.kind == "category" and bool(few) and all(DATE.match(text) for text in few)


def _tells_apart(records: Records, name: str) -> bool:
    """Whether nearly every row has another text."""
    return len(records.columns[name].categories) > 0.9 * records.count


def _source(data: str) -> tuple[str, Any, list[str]]:
    """The key of the source, the source, and what is to be told of it."""
    path = Path(data)
    source = replaced(None, path)
    if not path.exists():
        return "dataset", source, []
    key, notes = str(guess(path)), list[str]()
    if isinstance(source, CSV):
        source = CSV(data, delimiter=_delimiter(path))
    if isinstance(source, Images):
        source, notes = _images(data)
    return key, source, notes


def _delimiter(path: Path) -> str:
    """What separates the names in the first row."""
    if path.suffix == ".gz":
        return ","
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        first = file.readline()
    return max(",;\t|", key=lambda c: (first.count(c), c == ","))


def _images(data: str) -> tuple[Images, list[str]]:
    """The images of a folder, small enough to be searched, and grey where they are."""
    source: Any = Images(data)
    records = source.open(Path, None).train
    height, width, _ = records.columns["image"].shape
    few = records.read(np.arange(records.count)[:: max(1, records.count // 8)], ["image"])["image"]
    is_grey = bool((few == few[..., :1]).all())
    scale = min(1.0, LARGEST / max(height, width))
    size = [max(1, round(height * scale)), max(1, round(width * scale))]
    notes = [] if scale == 1 else [f"images of {height} x {width} pixels are made smaller: {size[0]} x {size[1]}"]
    return Images(data, size=size, channels=1 if is_grey else 3), notes


def _target(opened: Opened, target: str | None, data: str) -> str:
    records = opened.train
    name = target or opened.target
    if name is None:
        few = [n for n, c in records.columns.items() if c.kind != "array" and not _is_date(records, n)]
        likely = [n for n in few if n.lower() in USUAL_TARGETS] or [few[-1]] if few else []
        listed = [f"{n} ({c})" for n, c in list(records.columns.items())[:40]]
        raise DataError(
            f"it is not said which column of '{data}' is to be predicted.", expected="one of its columns as the target (--target, in Python target=)",
            got="columns " + "; ".join(listed), fix=" or ".join(f"--target {n}" for n in likely) or None,
        )  # fmt: skip
    try:
        records.column(name)
    except LayerkitError as error:
        error.argument = "target"
        raise
    return name


def _is_class(records: Records, name: str, task: str) -> bool:
    if records.columns[name].kind == "array":
        return False
    asked: Any = "auto" if task == "forecast" else task
    rows = present(records, [name])
    if not len(rows):
        raise DataError(
            f"'{name}' has no value in any row.", expected="a column to learn from", got=f"{records.count} missing"
        )
    return fit(records, rows, [], [Tensor("y", (name,))], task=asked, missing="drop").task == "classification"


def _useful(records: Records, names: Sequence[str], notes: list[str]) -> list[str]:
    """The columns that say something of many rows."""
    kept = []
    for name in names:
        column = records.columns[name]
        if _is_date(records, name):
            notes.append(f"'{name}' is left out: it tells the time of a row")
        elif _is_prose(records, name):
            kept.append(name)
        elif column.kind == "category" and len(column.categories) > min(MANY, records.count // 2):
            notes.append(f"'{name}' is left out: {len(column.categories)} texts are too many to learn")
        elif column.kind == "whole" and _counts(records, name):
            notes.append(f"'{name}' is left out: it counts the rows")
        else:
            kept.append(name)
    if not kept:
        raise DataError("there is nothing but the target to predict from.", expected="columns of numbers, or of texts that return",
                        got="; ".join(notes) or "the target alone")  # fmt: skip
    return kept


def _is_prose(records: Records, name: str) -> bool:
    """Whether a column holds sentences, hardly any of them twice."""
    column = records.columns[name]
    if column.kind != "category" or len(column.categories) <= min(MANY, records.count // 2):
        return False
    few = column.categories[:: max(1, len(column.categories) // FEW)]
    return sum(len(split(text)) for text in few) >= SENTENCE * len(few)


def _words(records: Records, names: Sequence[str]) -> dict[str, int]:
    """How sentences are read: so long that nine of ten are read whole."""
    texts = [text for name in names for text in records.columns[name].categories]
    few = texts[:: max(1, len(texts) // FEW)]
    length = int(np.quantile([len(split(text)) for text in few], 0.9))
    return {"length": min(length, LONGEST), "count": min(VOCABULARY, len({w for t in texts for w in split(t)}) + 2)}


def _counts(records: Records, name: str) -> bool:
    values = records.read(np.arange(records.count), [name])[name]
    return len(values) > 2 and bool((np.diff(values) == 1).all())
