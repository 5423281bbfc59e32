"""What is said of a model at the end: it and the baselines on the same rows of the sealed test, row by row.

In goes a model and its data, out comes plain data for ``result.json``: the measure with intervals, whether a claim may be
made, the confusion matrix or the residuals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from autoarch import baselines
from autoarch.claim import Claim, claim
from autoarch.intervals import student, wilson
from autoarch.outcomes import losses, predicted, row_losses
from layerkit.data import DataSet
from layerkit.ir import Array

MOST_ROWS = 50_000  # of a part that is not read whole
SAMPLE = 500  # rows of a regression that are kept for a picture
MOST_CLASSES = 100  # of a confusion matrix
BLOCKS = 20  # of a test part whose rows depend on each other


@dataclass(frozen=True)
class Part:
    """Rows of a data set, read whole."""

    x: Any
    y: Any

    @classmethod
    def of(cls, dataset: DataSet, name: str) -> Part:
        """A part of a data set; of one that is not read whole, rows that are evenly spread over it."""
        part = getattr(dataset, name) if dataset.in_memory else dataset.some(name, MOST_ROWS)
        return cls(*part)


def verdict(
    model: Any, dataset: DataSet, *, seed: int = 0, others: Sequence[Any] = (), by_time: bool = False
) -> dict[str, Any]:
    """Everything that is measured on the sealed test, and on the validation part beside it.

    Args:
        model: the winner's.
        dataset: its data; this opens the test part.
        seed: of the baselines.
        others: models of the same spec, from other seeds.
        by_time: whether the test part is a stretch of time: its rows depend on those before, and so do windows that overlap.
    """
    is_class = dataset.task == "classification"
    names = [n for n in ("validation", "test") if dataset.rows.get(n)]
    parts = {name: Part.of(dataset, name) for name in names}
    found: dict[str, Any] = {"rows": dataset.rows, "measure": "accuracy" if is_class else "mean_squared_error"}
    known = {name: row_losses(model, part.x, part.y, is_class=is_class) for name, part in parts.items()}
    own = {name: rows for name, rows in known.items() if rows is not None}
    if len(own) < len(known):
        return found | {
            "model": {},
            "baselines": {},
            "notes": ["the model has several outputs: no baseline predicts them"],
        }
    plain, notes = _baselines(dataset, parts, seed)
    window = dataset.preparation.window
    steps = 0 if window is None else window.length + window.horizon
    block = max(steps, math.ceil(len(parts["test"].y) / BLOCKS)) if steps or by_time else 1
    score = _accuracy if is_class else _error
    found["model"] = {name: score(rows) for name, rows in own.items()}
    found["interval"] = interval(own["test"], is_class=is_class, block=block)
    found["seeds"] = _seeds([model, *others], parts["test"], score, is_class=is_class)
    found["baselines"] = {
        name: {part: score(values) for part, values in rows.items()}
        | {"interval": interval(rows["test"], is_class=is_class, block=block)}
        for name, rows in plain.items()
    }
    made = claim(own["test"], {name: rows["test"] for name, rows in plain.items()}, block=block)
    found["claim"] = told(made)
    found["beats_baselines"] = made.is_better if plain else None
    found["notes"] = notes
    return found | _picture(model, dataset, parts["test"], is_class=is_class)


def told(made: Claim) -> dict[str, Any]:
    """A claim as plain data."""
    return asdict(made) | {"sentence": made.sentence}


def interval(losses: Array, *, is_class: bool, block: int = 1) -> tuple[float, float] | None:
    """A 95 % interval for the measure over all rows that there might be: Wilson's for a share, else Student's."""
    if is_class and block == 1 and np.isin(losses, (0, 1)).all():
        return wilson(int((losses == 0).sum()), len(losses))
    means = [float(part.mean()) for part in np.array_split(losses, max(1, len(losses) // block))]
    found = student(means)
    if found is None or not is_class:
        return found
    return max(0.0, 1 - found[1]), min(1.0, 1 - found[0])


def _accuracy(losses: Array) -> float:
    return float(1 - losses.mean())


def _error(losses: Array) -> float:
    return float(losses.mean())


def _baselines(dataset: DataSet, parts: Mapping[str, Part], seed: int) -> tuple[dict[str, dict[str, Array]], list[str]]:
    """For each baseline its losses on the rows of each part."""
    train = Part.of(dataset, "train")
    if not isinstance(train.y, np.ndarray) or (dataset.task == "classification" and train.y.size != len(train.y)):
        return {}, ["the target has several parts: no baseline predicts them"]
    is_class = dataset.task == "classification"
    plain = baselines.fit(
        train.x, train.y, classes=len(dataset.classes or ()) if is_class else None,
        preparation=dataset.preparation, seed=seed,
    )  # fmt: skip
    found: dict[str, dict[str, Array]] = {}
    for part, rows in parts.items():
        for name, values in plain.predict(rows.x).items():
            found.setdefault(name, {})[part] = losses(values, rows.y, is_class=is_class)
    return found, list(plain.notes)


def _seeds(models: Sequence[Any], test: Part, score: Any, *, is_class: bool) -> dict[str, Any]:
    """The measure of each model on the test part, with their mean and its interval."""
    rows = [row_losses(model, test.x, test.y, is_class=is_class) for model in models]
    scores = [score(found) for found in rows if found is not None]
    return {"test": scores, "mean": float(np.mean(scores)), "interval": student(scores)}


def _picture(model: Any, dataset: DataSet, test: Part, *, is_class: bool) -> dict[str, Any]:
    """The confusion matrix (a row for each true class), or how far off the predictions are."""
    found = predicted(model, test.x, is_class=is_class)
    assert found is not None
    if is_class:
        names = list(dataset.classes or ())
        if len(names) > MOST_CLASSES:
            return {}
        matrix = np.zeros((len(names), len(names)), "int64")
        np.add.at(matrix, (test.y.ravel().astype("int64"), found.ravel()), 1)
        return {"classes": names, "confusion": matrix.tolist()}
    true, made = (np.asarray(v, "float64").reshape(len(test.y), -1) for v in (test.y, found))
    off = made - true
    kept = np.arange(min(SAMPLE, len(true))) * len(true) // min(SAMPLE, len(true))
    variance = true.var(0).mean()
    return {"residuals": {
        "mean": float(off.mean()),
        "mean_absolute": float(np.abs(off).mean()),
        "quantiles": {str(q): float(np.quantile(off, q)) for q in (0.05, 0.25, 0.5, 0.75, 0.95)},
        "explained": float(1 - (off**2).mean() / variance) if variance else None,
        "sample": {"true": true[kept].tolist(), "predicted": made[kept].tolist()},
    }}  # fmt: skip
