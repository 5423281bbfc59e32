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
from autoarch.outcomes import in_units, losses, predicted
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
        x, y = getattr(dataset, name) if dataset.in_memory else dataset.some(name, MOST_ROWS)
        return cls(x, in_units(dataset.preparation, y))


def _predicted(model: Any, dataset: DataSet, part: Part) -> Array | None:
    """The class, or the values, of each row; None where they are not those of the target."""
    found = in_units(dataset.preparation, predicted(model, part.x, is_class=dataset.task == "classification"))
    return found if found is not None and isinstance(part.y, np.ndarray) and found.size == part.y.size else None


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
    made = {name: _predicted(model, dataset, part) for name, part in parts.items()}
    own = {name: losses(p, parts[name].y, is_class=is_class) for name, p in made.items() if p is not None}
    if len(own) < len(parts):
        return found | {
            "model": {},
            "baselines": {},
            "notes": ["the model has several outputs: no baseline predicts them"],
        }
    plain, notes = _baselines(dataset, parts, seed)
    block = _block(dataset, len(parts["test"].y), by_time)
    score = _accuracy if is_class else _error
    found["model"] = {name: score(rows) for name, rows in own.items()}
    found["interval"] = interval(own["test"], is_class=is_class, block=block)
    again = [p for other in others if (p := _predicted(other, dataset, parts["test"])) is not None]
    scores = [found["model"]["test"], *(score(losses(p, parts["test"].y, is_class=is_class)) for p in again)]
    found["seeds"] = {
        "test": scores,
        "mean": float(np.mean(scores)),
        "interval": student(scores, least=0, most=1 if is_class else math.inf),
    }
    found["baselines"] = {
        name: {part: score(values) for part, values in rows.items()}
        | {"interval": interval(rows["test"], is_class=is_class, block=block)}
        for name, rows in plain.items()
    }
    said = claim(own["test"], {name: rows["test"] for name, rows in plain.items()}, block=block)
    tests = {name: row["test"] for name, row in found["baselines"].items()}
    words = in_words(said, found["model"]["test"], tests, rows=len(parts["test"].y), is_class=is_class)
    found["claim"] = asdict(said) | {"sentence": said.sentence, "in_words": words}
    found["beats_baselines"] = said.is_better if plain else None
    found["notes"] = notes
    return found | _picture(made["test"], parts["test"].y, dataset.classes if is_class else None)


def _block(dataset: DataSet, rows: int, by_time: bool) -> int:
    """How many rows of the test part that follow one another may depend on each other."""
    window = dataset.preparation.window
    steps = 0 if window is None else window.length + window.horizon
    return max(steps, math.ceil(rows / BLOCKS)) if steps or by_time else 1


def in_words(said: Claim, model: float, baselines: Mapping[str, float], *, rows: int, is_class: bool) -> str | None:
    """What a claim, or that there is none, means: the model beside the baseline that is the hardest to beat.

    Args:
        said: the claim.
        model: its score on the test part: the share of the rows that are right, or the mean squared error.
        baselines: theirs, by name.
        rows: of the test part.
        is_class: which of the two it is.
    """
    if not said.comparisons:
        return None
    hardest = max(said.comparisons, key=lambda c: (c.p, -c.gain))

    def has(score: float) -> str:
        return f"{100 * score:.1f} %" if is_class else f"{score:.4g}"

    name = hardest.baseline
    if is_class:
        text = f"of {rows:,} test rows the model gets {has(model)} right, {name} {has(baselines[name])}"
    else:
        text = f"on {rows:,} test rows the mean squared error of the model is {has(model)}, that of {name} {has(baselines[name])}"
    if hardest.gain <= 0:
        return f"{text}: the model is not better on these rows"
    if hardest.is_beaten:
        return f"{text}: chance alone makes so large a difference in fewer than {100 * said.level:g} of 100 searches"
    more = (
        f"; if it is as large as it looks, about {hardest.needed:,} test rows are needed to show it"
        if hardest.needed and hardest.needed > rows
        else ""
    )
    return f"{text}: the difference could be chance (p = {hardest.p:.2g}){more}"


def interval(losses: Array, *, is_class: bool, block: int = 1) -> tuple[float, float] | None:
    """A 95 % interval for the measure over all rows that there might be: Wilson's for a share, else Student's."""
    if is_class and block == 1 and np.isin(losses, (0, 1)).all():
        return wilson(int((losses == 0).sum()), len(losses))
    means = [float(part.mean()) for part in np.array_split(losses, max(1, len(losses) // block))]
    found = student(means, least=0)
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


def _picture(made: Any, y: Array, classes: Sequence[str] | None) -> dict[str, Any]:
    """The confusion matrix (a row for each true class), or how far off the predictions are."""
    if classes is not None:
        if not 1 < len(classes) <= MOST_CLASSES:
            return {}
        matrix = np.zeros((len(classes), len(classes)), "int64")
        np.add.at(matrix, (y.ravel().astype("int64"), made.ravel()), 1)
        return {"classes": list(classes), "confusion": matrix.tolist()}
    true, said = (np.asarray(v, "float64").reshape(len(y), -1) for v in (y, made))
    off = said - true
    kept = np.arange(min(SAMPLE, len(true))) * len(true) // min(SAMPLE, len(true))
    variance = true.var(0).mean()
    return {"residuals": {
        "mean": float(off.mean()),
        "mean_absolute": float(np.abs(off).mean()),
        "quantiles": {str(q): float(np.quantile(off, q)) for q in (0.05, 0.25, 0.5, 0.75, 0.95)},
        "explained": float(1 - (off**2).mean() / variance) if variance else None,
        "sample": {"true": true[kept].tolist(), "predicted": said[kept].tolist()},
    }}  # fmt: skip
