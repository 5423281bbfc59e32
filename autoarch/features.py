"""What plain models see of the inputs: a matrix of numbers, whatever shape the inputs have.

Numbers are standardised as the rows to train on say, arrays (images, series) channel by channel; a category becomes a number
for each of the most frequent ones, a text or a row of tokens the counts of the most frequent words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from layerkit.data.preparation import Preparation
from layerkit.ir import Array

WIDTH = 4_096  # numbers of an array; larger ones are halved by means of neighbours
CATEGORIES, WORDS = 50, 1_000

Inputs = Array | Mapping[str, Array]
Part = Callable[[Array], Array]


@dataclass
class Features:
    """A matrix for any inputs, as learned from those to train on.

    Attributes:
        notes: what was left out or made smaller, in words.
    """

    notes: list[str] = field(default_factory=list)
    _parts: dict[str, Part] = field(default_factory=dict)

    @classmethod
    def fit(cls, x: Inputs, preparation: Preparation | None = None) -> Features:
        """Learn from the rows to train on.

        Args:
            x: inputs of any rank, or several by their names; the first axis counts the rows.
            preparation: says which columns of a table are categories, and which whole numbers are tokens.

        Example:
            >>> colours = np.array([[1.0, 2.0], [3.0, 4.0]])
            >>> Features.fit(colours).matrix(colours)
            array([[-1., -1.],
                   [ 1.,  1.]], dtype=float32)
        """
        made = cls()
        for name, values in _named(x).items():
            made._parts[name] = made._fitted(name, values, preparation)
        return made

    def matrix(self, x: Inputs) -> Array:
        """The rows of ``x`` as (rows, numbers), float32."""
        return np.concatenate([self._parts[name](values) for name, values in _named(x).items()], axis=1)

    def _fitted(self, name: str, values: Array, preparation: Preparation | None) -> Part:
        if values.dtype.kind in "UO":
            return self._words(
                [_split(row) for row in values.reshape(len(values), -1)], lambda x: [_split(r) for r in x]
            )
        kinds = _kinds(name, values, preparation)
        if kinds == ["tokens"]:
            return self._words(values.reshape(len(values), -1), lambda x: x.reshape(len(x), -1))
        if kinds is None or values.ndim > 2:
            return self._array(name, values)
        columns = [self._column(values.reshape(len(values), -1)[:, i], kind) for i, kind in enumerate(kinds)]
        return lambda x: np.concatenate([c(x.reshape(len(x), -1)[:, i]) for i, c in enumerate(columns)], axis=1)

    def _column(self, values: Array, kind: str) -> Part:
        if kind == "number":
            standard = _standard(values[:, None])
            return lambda x: standard(x[:, None])
        found, counts = np.unique(values, return_counts=True)
        kept = np.sort(found[np.argsort(-counts, kind="stable")[:CATEGORIES]])
        return lambda x: (x[:, None] == kept).astype("float32")

    def _array(self, name: str, values: Array) -> Part:
        smaller = _small(values)
        if smaller.shape != values.shape:
            self.notes.append(f"'{name}' was made smaller, from {list(values.shape[1:])} to {list(smaller.shape[1:])}")
        # Where there is a channel's axis, all places of a channel have one scale: an edge that is nearly always 0 stays small.
        channels = smaller.shape[-1] if smaller.ndim > 2 else smaller[0].size
        standard = _standard(smaller.reshape(-1, channels))
        return lambda x: standard(_small(x).reshape(-1, channels)).reshape(len(x), -1)

    def _words(self, rows: Array | list[list[str]], read: Callable[[Array], Array | list[list[str]]]) -> Part:
        found, counts = np.unique(np.concatenate([np.asarray(r) for r in rows]), return_counts=True)
        kept = np.sort(found[np.argsort(-counts, kind="stable")[:WORDS]])
        if len(found) > WORDS:
            self.notes.append(f"of {len(found)} words the {WORDS} most frequent are counted")
        place = {word: i for i, word in enumerate(kept.tolist())}

        def count(x: Array) -> Array:
            out = np.zeros((len(x), len(kept)), "float32")
            for row, words in zip(out, read(x), strict=True):
                np.add.at(row, [place[w] for w in np.asarray(words).tolist() if w in place], 1)
            return np.log1p(out)

        return count


def last_values(x: Inputs, preparation: Preparation | None = None) -> Array | None:
    """The channels of the last step of (rows, time, channels), in the units of the data; None for other inputs."""
    if not isinstance(x, np.ndarray) or x.ndim != 3 or x.dtype.kind != "f":
        return None
    last = x[:, -1].astype("float64")
    if preparation is None:
        return last
    encodings = [preparation.encodings[c] for c in preparation.inputs[0].columns]
    if all(e.mean for e in encodings) and sum(len(e.mean) for e in encodings) == last.shape[1]:
        last = last * np.concatenate([e.deviation for e in encodings]) + np.concatenate([e.mean for e in encodings])
    return last


def _named(x: Inputs) -> Mapping[str, Array]:
    return x if isinstance(x, Mapping) else {"x": x}


def _kinds(name: str, values: Array, preparation: Preparation | None) -> list[str] | None:
    """For each column of a table "number" or "category"; ["tokens"]; None for an array."""
    if preparation is None:
        return None
    inputs = preparation.inputs
    tensor = next((t for t in inputs if t.name == name), inputs[0] if len(inputs) == 1 else None)
    if tensor is None:
        return None
    found = [preparation.encodings[c] for c in tensor.columns]
    if all(e.kind == "words" for e in found):
        return ["tokens"]
    if [e.kind for e in found] == ["array"]:
        is_tokens = values.ndim == 2 and values.dtype.kind in "iu" and (tensor.dtype or "").startswith("int")
        return ["tokens"] if is_tokens else None
    return [kind for e in found for kind in ["category" if e.kind == "category" else "number"] * e.width]


def _standard(values: Array) -> Part:
    """Each column with mean 0 and deviation 1; one without deviation is 0, and so is what is missing."""
    known = np.isfinite(values)
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known, values, 0).sum(0, dtype="float64") / count
    deviation = np.sqrt((np.where(known, values - mean, 0) ** 2).sum(0) / count)
    scale = np.where(deviation > 1e-9 * np.maximum(np.abs(mean), 1e-9), 1 / np.maximum(deviation, 1e-300), 0.0)

    def standard(x: Array) -> Array:
        scaled = (x - mean) * scale
        return np.where(np.isfinite(scaled), scaled, 0).astype("float32")

    return standard


def _small(x: Array) -> Array:
    """Means of pairs of neighbours, along the longest axis but the last of several, until a row has few enough numbers."""
    while x[0].size > WIDTH:
        axes = range(1, max(2, x.ndim - 1))
        axis = max(axes, key=lambda a: x.shape[a])
        if x.shape[axis] == 1:
            break
        even = np.take(x, range(0, x.shape[axis] - 1, 2), axis).astype("float32")
        x = (even + np.take(x, range(1, x.shape[axis], 2), axis)) / 2
    return x


def _split(row: Array | str) -> list[str]:
    return re.findall(r"\w+", " ".join(map(str, np.atleast_1d(row))).lower())
