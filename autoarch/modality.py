"""What data are, and which spaces that ship fit them: the way from ``--data`` to specs with holes.

A space is ``spaces/<modality>_<family>.yaml``. What the data decide stands in its ``let`` and is set here, as far as the
space names it:

- all: ``rows`` to train on; ``outputs``, units of the last layer with weights; ``answer``, the layer after it, which is
  ``{Activation: softmax}`` for classes, and ``Rescaling`` by the target's deviation and mean for numbers; ``loss``, ``metrics``
- images, video: ``shape`` of one; ``scale`` and ``offset`` that give the pixels mean 0 and deviation 1
- series: ``length``, ``channels``; ``padded``, 1 where shorter ones end in zeros, which are then not standardized; ``forecast``,
  1 where the target is the first channel some steps later
- tokens: ``length``, ``vocabulary``
- tabular: ``numbers``, how many columns of them a row has; after them come its categories, as numbers from 0 on: ``offsets``
  says where those of each column begin when they are counted together, ``values`` how many there are

The section ``data`` names target, features, split and preparation; its path is the file's name alone, since ``--data`` leads there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np

import builders
from autoarch.columns import Chosen, choose
from builders import Spec
from layerkit.data import DataOptions, DataSet, Records, open_data
from layerkit.data.preparation import Preparation
from layerkit.data.sources import Opened
from layerkit.errors import ArgumentError, DataError, did_you_mean
from layerkit.ir import Array

Modality = Literal["images", "video", "series", "tokens", "tabular"]
Task = Literal["auto", "classification", "regression", "forecast"]

FAMILIES = ("cnn", "lstm", "cnn_lstm", "mlp", "transformer")
HELD_OUT = 0.2  # share of the rows for the sealed test, and for validation where rows are few
FEW = 1000  # rows that are looked at of data that are not in memory
ENOUGH = 1500  # rows to validate on: of many rows the share is smaller, down to a tenth


@dataclass(frozen=True)
class Found:
    """What data are.

    Attributes:
        modality: which spaces fit.
        task: classification, regression or forecast.
        dataset: the data, split and prepared.
        section: ``data`` of the spec.
        facts: what the data decide in ``let``.
        notes: what was left out or made smaller, and why.
    """

    modality: Modality
    task: str
    dataset: DataSet
    section: dict[str, Any]
    facts: dict[str, Any]
    notes: tuple[str, ...] = field(default=())

    def describe(self) -> str:
        """What was found: kinds, classes, rows and parts, the columns."""
        shown = f"{self.modality}, {self.task}"
        if self.dataset.classes:
            shown += f" of {len(self.dataset.classes)} classes"
        return "\n".join([f"data     {shown}", self.dataset.describe(), *(f"note     {note}" for note in self.notes)])

    def spaces(self, names: Sequence[str] = ()) -> list[tuple[str, Spec]]:
        """The spaces for these data, with ``let`` and ``data`` filled in; all of them, or those of these names or families.

        Raises:
            ArgumentError: a name that no fitting space has.
        """
        known = shipped(self.modality)
        for name in names:
            if name not in known and f"{self.modality}_{name}" not in known:
                families = [space.removeprefix(f"{self.modality}_") for space in known]
                raise ArgumentError(
                    f"there is no space '{name}' for {self.modality}.", expected=", ".join(families), got=name,
                    fix=did_you_mean(name, [*families, *known]),
                )  # fmt: skip
        return [
            (name, self._filled(builders.load(path)))
            for name, path in known.items()
            if not names or name in names or name.removeprefix(f"{self.modality}_") in names
        ]

    def _filled(self, spec: Spec) -> Spec:
        lets = spec.root.get("let")
        named = {entry.name for entry in getattr(lets, "entries", ())}
        values = {f"let.{name}": value for name, value in self.facts.items() if name in named}
        return spec.override(
            {path: json.dumps(v, ensure_ascii=False) for path, v in {**values, "data": self.section}.items()}
        )


def spaces_for(
    data: str, target: str | None = None, task: Task = "auto", names: Sequence[str] = ()
) -> list[tuple[str, Spec]]:
    """The spaces that fit the data: ``look(data, target, task).spaces(names)``."""
    return look(data, target, task).spaces(names)


def _folder() -> Path:
    return Path(str(files("autoarch") / "spaces"))


def ships(file: str) -> bool:
    """Whether it is the file of a space that ships."""
    return Path(file).parent == _folder().resolve()


def shipped(modality: Modality) -> dict[str, Path]:
    """The files of the spaces for a modality, by their names."""
    folder = _folder()
    paths = {family: folder / f"{modality}_{family}.yaml" for family in FAMILIES}
    return {path.stem: path for path in paths.values() if path.exists()}


def look(data: str, target: str | None = None, task: Task = "auto") -> Found:
    """Look at data, once.

    Args:
        data: a file, a folder, or the name of data that ship.
        target: the column to predict, where the source does not know.
        task: what is asked for, where the target leaves it open.

    Raises:
        DataError: there is no such file, target or column, or the data suit no space.
        FileFormatError: a file is broken.
    """
    chosen = choose(data, target, task)
    opened, options = chosen.opened, dict(chosen.options)
    if chosen.array is None:
        modality: Modality = "series" if "window" in options else "tokens" if "words" in options else "tabular"
    else:
        some = _some(opened.train, chosen.array)
        modality = _by_shape(some, chosen.key)
        if modality == "tabular" or (modality == "series" and not _padded(some)):
            options["standardize"] = True
        if modality == "tokens":
            chosen.notes.append("rows of whole numbers are read as tokens; rows of floats would be read as a table")
    options["split"] = _split(opened, chosen)
    dataset = open_data(_Again(opened), DataOptions(**options))
    asked = "forecast" if "window" in options else str(dataset.task)
    facts = {"rows": dataset.rows["train"], **_answer(dataset), **_facts(modality, dataset, chosen)}
    return Found(modality, asked, dataset, {chosen.key: chosen.arguments, **options}, facts, tuple(chosen.notes))


@dataclass(frozen=True)
class _Again:
    """A source that is open already."""

    opened: Opened

    def open(self, find: Any, in_memory: bool | None) -> Opened:
        return self.opened


def _split(opened: Opened, chosen: Chosen) -> dict[str, Any]:
    """What is held out: of classes the same shares, of series in time the end."""
    count = opened.train.count
    test = HELD_OUT if opened.test is None else 0.0
    rows = count * (1 - test)
    validation = round(min(max(ENOUGH / max(rows, 1), HELD_OUT / 2), HELD_OUT) * (1 - test), 4)
    split: dict[str, Any] = {}
    if opened.validation is None:
        split["validation"] = validation
    if test:
        split["test"] = test
    if split:
        split["by"] = chosen.split_by
    return split


def _sample(dataset: DataSet) -> Array:
    """Rows of the training part as a model takes them: all, or the first batch of what is not in memory."""
    x = dataset.train[0] if dataset.in_memory else next(iter(dataset.train))[0]
    return np.asarray(x) if np.ndim(x) > 1 else np.asarray(x)[:, None]


def _answer(dataset: DataSet) -> dict[str, Any]:
    """The last layer, the loss and the metrics."""
    if dataset.classes is not None:
        if len(dataset.classes) < 2:
            raise DataError("all rows are of one class: there is nothing to learn.", expected="two classes or more",
                            got=", ".join(dataset.classes), fix="take a target of two classes or more: another column (--target, in Python target=)")  # fmt: skip
        return {"outputs": len(dataset.classes), "answer": {"Activation": "softmax"},
                "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}  # fmt: skip
    y = np.asarray(dataset.train[1] if dataset.in_memory else next(iter(dataset.train))[1], "float64")
    if y.ndim > 2:
        raise DataError("no space predicts such arrays.", expected="a class, a number, or a row of numbers",
                        got=f"targets of shape {list(y.shape[1:])}", fix="autoarch search SPEC.yaml with a space of your own")  # fmt: skip
    y = y.reshape(len(y), -1)
    mean, deviation = _short(y.mean(0)), _short(np.where(y.std(0) > 0, y.std(0), 1.0))
    answer = {"scale": deviation, "offset": mean} if len(mean) > 1 else {"scale": deviation[0], "offset": mean[0]}
    return {"outputs": y.shape[1], "answer": {"Rescaling": answer}, "loss": "mse", "metrics": ["mae"]}


def _some(records: Records, array: str) -> Array:
    """The arrays of all rows that are in memory, or of the first."""
    rows = np.arange(records.count if records.in_memory else min(records.count, FEW))
    return records.read(rows, [array])[array]


def _by_shape(x: Array, key: str) -> Modality:
    """What arrays are, by the axes of a row."""
    is_whole, axes = x.dtype.kind in "iu", x.ndim - 1
    if axes == 4 or (axes == 3 and x.shape[-1] > 4):
        return "video"
    if axes == 3 or (axes == 2 and is_whole and key != "ts"):
        return "images"
    if axes == 2:
        return "series"
    if axes == 1:
        return "tokens" if is_whole and x.min() >= 0 else "tabular"
    raise DataError(
        "no space fits these arrays.",
        expected="rows of images (height, width, channels), videos (frames, height, width, channels), series (time, channels) or numbers",
        got=f"rows of shape {list(x.shape[1:])}", fix="autoarch search SPEC.yaml with a space of your own",
    )  # fmt: skip


def _padded(x: Array) -> bool:
    """Whether series end in zeros, all channels at a time."""
    return bool((x[:, -1] == 0).all(-1).any())


def _facts(modality: Modality, dataset: DataSet, chosen: Chosen) -> dict[str, Any]:
    """What the data decide in the spaces of a modality."""
    x = _sample(dataset)
    if modality in ("images", "video"):
        x = x.astype("float32") if x.ndim == {"images": 4, "video": 5}[modality] else x[..., None].astype("float32")
        deviation = float(x.std()) or 1.0
        return {"shape": list(x.shape[1:]), "scale": _short(1 / deviation), "offset": _short(-float(x.mean()) / deviation)}  # fmt: skip
    if modality == "series":
        padded = chosen.array is not None and _padded(_some(chosen.opened.train, chosen.array))
        return {"length": x.shape[1], "channels": x.shape[2], "padded": int(padded), "forecast": int("window" in chosen.options)}  # fmt: skip
    if "words" in chosen.options:
        return {"length": x.shape[1], "vocabulary": chosen.options["words"]["count"]}
    if modality == "tokens":
        assert chosen.array is not None
        parts = [p for p in (chosen.opened.train, chosen.opened.test) if p is not None]
        return {"length": x.shape[1], "vocabulary": max(int(_some(p, chosen.array).max()) for p in parts) + 1}
    return _columns(dataset.preparation, x.shape[1])


def _columns(preparation: Preparation, width: int) -> dict[str, Any]:
    """How many numbers a row of a table has, and how many categories each of its other columns."""
    found = [preparation.encodings[name] for name in preparation.inputs[0].columns]
    sizes = [len(e.categories) + 1 for e in found if e.kind == "category"]  # 0 is missing or new
    return {"numbers": width - len(sizes), "offsets": [sum(sizes[:i]) for i in range(len(sizes))], "values": sum(sizes)}


def _short(value: Any) -> Any:
    """Numbers with four digits, as they are written in a spec."""
    if isinstance(value, np.ndarray):
        return [_short(v) for v in value]
    return float(f"{value:.4g}")
