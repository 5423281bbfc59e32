"""The luck of a choice: candidates of known quality, and what is kept of their rows."""

from __future__ import annotations

import numpy as np
import pytest

from autoarch.outcomes import MOST_ROWS, packed, predicted, unpacked
from autoarch.selection import luck


def test_the_best_of_many_equals_is_lucky():
    """Fifty that guess alike: the best of them looks better than 0.5, and is corrected to what it is."""
    found = []
    for seed in range(10):
        table = np.random.default_rng(seed).integers(0, 2, (50, 200)).astype("float64")
        found.append(luck(list(table)))
    assert np.mean([f.apparent for f in found]) < 0.44
    assert np.mean([f.corrected for f in found]) == pytest.approx(0.5, abs=0.02)
    assert all(f.low < f.corrected < f.high for f in found)
    assert (found[0].candidates, found[0].rows) == (50, 200)
    assert luck(list(table)) == luck(list(table))


def test_one_that_is_best_by_far_needs_no_luck():
    rng = np.random.default_rng(0)
    table = [rng.random(400) < share for share in (0.1, 0.6, 0.7)]
    found = luck([row.astype("float64") for row in table])
    assert found.apparent == table[0].mean()
    assert found.bias == pytest.approx(0, abs=0.005)


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, MOST_ROWS, 3 * MOST_ROWS])
def test_rows_are_kept(rows):
    rng = np.random.default_rng(rows)
    bits, numbers = rng.integers(0, 2, rows).astype("float64"), rng.normal(size=rows) ** 2 * 1e12
    kept = np.arange(min(rows, MOST_ROWS)) * (3 if rows > MOST_ROWS else 1)
    assert np.array_equal(unpacked(packed(bits)), bits[kept])
    assert unpacked(packed(numbers)) == pytest.approx(numbers[kept], rel=1e-6)
    assert len(packed(bits)) < 400


def test_one_probability_is_a_class_of_two():
    class Model:
        loss = "binary_crossentropy"

        def predict(self, x, verbose):
            return x

    assert predicted(Model(), np.array([[0.2], [0.7]]), is_class=True).tolist() == [0, 1]
    assert predicted(Model(), np.array([[0.2, 0.3, 0.1]]), is_class=True).tolist() == [1]
    assert predicted(Model(), {"several": 0}, is_class=True) is None
