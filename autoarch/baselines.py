"""What a model has to beat: plain models that take seconds, on the same rows.

The most frequent class or the mean; in forecasts the last value (persistence); a linear model; the nearest neighbours; a
small network. Each predicts row by row, so that a claim can compare pairs (``autoarch.claim``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from autoarch.features import Features, Inputs, last_values
from layerkit.data.preparation import Preparation
from layerkit.ir import Array

MOST_ROWS = 20_000  # to train on; more are thinned out evenly
NEIGHBOURS = 5
RIDGE = 1e-3
UNITS = 64
BATCH = 32
PIECE = 2**22  # distances that are held at a time
MOST_COMPARED = 2**22  # numbers of the rows among which neighbours are looked for

Model = Callable[[Array], Array]  # from a matrix of features to predictions


@dataclass(frozen=True)
class Baselines:
    """Plain models that were trained.

    Attributes:
        notes: what was left out of the rows or inputs, in words.
    """

    notes: tuple[str, ...]
    _features: Features
    _models: dict[str, Model]
    _persistence: tuple[Preparation | None, Array] | None

    def predict(self, x: Inputs) -> dict[str, Array]:
        """For each baseline the class, or the values, of each row."""
        matrix = self._features.matrix(x)
        found = {name: model(matrix) for name, model in self._models.items()}
        if self._persistence is not None:
            preparation, channels = self._persistence
            last = last_values(x, preparation)
            assert last is not None
            found["persistence"] = last[:, channels].astype("float32")
        return found


def fit(
    x: Inputs, y: Array, *, classes: int | None = None, preparation: Preparation | None = None, seed: int = 0
) -> Baselines:
    """Train all of them.

    Args:
        x: inputs of any rank, or several by their names.
        y: numbers of classes (rows,), or values of any shape.
        classes: how many there are; None in a regression.
        preparation: how inputs were made of columns (see ``Features``).
        seed: of the linear model's and the network's weights.

    Example:
        >>> x = np.array([[0.0], [0.1], [0.9], [1.0]] * 10, "float32")
        >>> {k: v.tolist() for k, v in fit(x, np.array([0, 0, 1, 1] * 10), classes=2).predict(x[:4]).items()}
        {'majority': [0, 0, 0, 0], 'linear': [0, 0, 1, 1], 'neighbours': [0, 0, 1, 1], 'network': [0, 0, 1, 1]}
    """
    notes: list[str] = []
    if len(y) > MOST_ROWS:
        notes.append(f"baselines were trained on {MOST_ROWS} of {len(y)} rows")
        kept = np.arange(MOST_ROWS) * len(y) // MOST_ROWS
        x, y = ({n: a[kept] for n, a in x.items()} if not isinstance(x, np.ndarray) else x[kept]), y[kept]
    features = Features.fit(x, preparation)
    matrix = features.matrix(x)
    if len(matrix) > (few := _compared(matrix)):
        notes.append(f"neighbours were looked for among {few} of {len(matrix)} rows")
    if classes is not None:
        models = _classes(matrix, y.ravel().astype("int64"), classes, seed)
        return Baselines((*notes, *features.notes), features, models, None)
    values = y.reshape(len(y), -1).astype("float64")
    last = last_values(x, preparation)
    persistence = None if last is None else _persistence(last, values)
    return Baselines(
        (*notes, *features.notes), features, _numbers(matrix, values, seed),
        None if persistence is None else (preparation, persistence),
    )  # fmt: skip


def _classes(x: Array, y: Array, classes: int, seed: int) -> dict[str, Model]:
    most = int(np.bincount(y, minlength=classes).argmax())
    linear, network = (_network(x, y, classes, units, seed) for units in (0, UNITS))
    kept = _thinned(x)
    near, known = _neighbours(x[kept]), y[kept]

    def vote(rows: Array) -> Array:
        found, counts = near(rows), np.zeros((len(rows), classes))
        weights = 1 - 1e-3 * np.arange(found.shape[1])  # the nearest decides between equals
        np.add.at(counts, (np.arange(len(rows))[:, None], known[found]), weights)
        return counts.argmax(1)

    return {
        "majority": lambda rows: np.full(len(rows), most),
        "linear": lambda rows: linear(rows).argmax(1),
        "neighbours": vote,
        "network": lambda rows: network(rows).argmax(1),
    }


def _numbers(x: Array, y: Array, seed: int) -> dict[str, Model]:
    mean, scale = y.mean(0), np.where(y.std(0) > 0, y.std(0), 1.0)
    network = _network(x, ((y - mean) / scale).astype("float32"), None, UNITS, seed)
    kept, weights = _thinned(x), _ridge(x, y - mean)
    near, known = _neighbours(x[kept]), y[kept]
    return {
        "mean": lambda rows: np.broadcast_to(mean, (len(rows), len(mean))).astype("float32"),
        "linear": lambda rows: (mean + rows.astype("float64") @ weights).astype("float32"),
        "neighbours": lambda rows: known[near(rows)].mean(1).astype("float32"),
        "network": lambda rows: (mean + scale * network(rows)).astype("float32"),
    }


def _compared(x: Array) -> int:
    return min(len(x), max(1_000, MOST_COMPARED // max(1, x.shape[1])))


def _thinned(x: Array) -> Array:
    """The numbers of the rows among which neighbours are looked for, spread evenly."""
    return np.arange(_compared(x)) * len(x) // _compared(x)


def _persistence(last: Array, y: Array) -> Array | None:
    """Which channel of the last step foretells each value best, on the rows to train on."""
    errors = np.stack([((y - channel[:, None]) ** 2).mean(0) for channel in last.T])
    return errors.argmin(0) if len(errors) else None


def _ridge(x: Array, y: Array) -> Array:
    """Least squares with a little ridge; inputs have a mean of about zero, ``y`` exactly. For many columns by rows instead."""
    x = x.astype("float64")
    rows, columns = x.shape
    if columns <= rows:
        found = np.linalg.solve(x.T @ x + RIDGE * rows * np.eye(columns), x.T @ y)
    else:
        found = x.T @ np.linalg.solve(x @ x.T + RIDGE * rows * np.eye(rows), y)
    return np.asarray(found)


def _network(x: Array, y: Array, classes: int | None, units: int, seed: int) -> Model:
    """A network with a hidden layer, or a linear model with none; about 3,000 steps, fewer where few rows are soon learnt by heart."""
    from layerkit import Input, Sequential, layers
    from layerkit.optimizers import Adam
    from layerkit.optimizers.schedules import CosineDecay
    from layerkit.utils import set_random_seed

    def dense(units: int, activation: str | None) -> layers.Layer:
        start = "glorot_uniform" if is_deep else "zeros"
        return layers.Dense(units, activation, kernel_initializer=start, kernel_regularizer={"L2": {"l2": RIDGE / 2}})

    is_deep = units > 0
    epochs = max(8, min(100 if is_deep else 1_000, 3_000 * BATCH // len(y)))
    set_random_seed(seed)
    out = dense(classes, "softmax") if classes is not None else dense(y.shape[1], None)
    model = Sequential([Input((x.shape[1],)), *([dense(units, "relu")] if is_deep else []), out])
    rate = CosineDecay(3e-3 if is_deep else 1e-2, epochs * -(-len(y) // BATCH))
    model.compile(Adam(rate), "sparse_categorical_crossentropy" if classes is not None else "mse")
    model.fit(x, y, epochs=epochs, batch_size=BATCH, verbose=0)
    return lambda rows: np.asarray(model.predict(rows, batch_size=256, verbose=0))


def _neighbours(x: Array, count: int = NEIGHBOURS) -> Model:
    """The numbers of the nearest rows of ``x``, the nearest first, by Euclid's distance; of equals the first.

    Products find a few more than are wanted, in pieces that bound the memory; differences order them, to the same bits
    whatever the library that multiplies.
    """
    count = min(count, len(x))
    squares = (x.astype("float64") ** 2).sum(1).astype("float32")
    more = min(len(x), 3 * count + 1)
    step = max(1, PIECE // len(x))

    def of_one(row: Array, distances: Array, cut: float) -> Array:
        rough = np.flatnonzero(distances <= cut)
        if len(rough) > 8 * more:  # equals
            rough = np.sort(rough[np.argsort(distances[rough], kind="stable")[: 8 * more]])
        exact = ((x[rough] - row).astype("float64") ** 2).sum(1)
        return np.asarray(rough[np.argsort(exact, kind="stable")[:count]])

    def near(rows: Array) -> Array:
        found = np.empty((len(rows), count), "int64")
        for first in range(0, len(rows), step):
            part = rows[first : first + step]
            distances = squares - 2 * (part @ x.T)
            cuts = np.partition(distances, more - 1, axis=1)[:, more - 1]
            for i, row in enumerate(part):
                found[first + i] = of_one(row, distances[i], cuts[i])
        return found

    return near
