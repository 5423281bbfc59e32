"""How much of the best validation score is luck, as the best of many is chosen by that score.

The choice is repeated on rows drawn anew (bootstrap): among the drawn rows the candidate with the lowest loss is chosen, and
measured on the rows that were not drawn. No model is trained again.

Source: Tsamardinos, Greasidou and Borboudakis 2018, "Bootstrapping the out-of-sample predictions for efficient and accurate
cross-validation", Machine Learning 107.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layerkit.ir import Array

DRAWS = 1_000


@dataclass(frozen=True)
class Luck:
    """What the choice among candidates added to the score of the chosen.

    Attributes:
        apparent: mean loss of the best candidate on the rows that chose it.
        corrected: mean loss to expect of a candidate that is chosen like that, on other rows.
        low, high: an interval for it (95 %).
        candidates, rows: that it is estimated from.
    """

    apparent: float
    corrected: float
    low: float
    high: float
    candidates: int
    rows: int

    @property
    def bias(self) -> float:
        """By how much the apparent loss is too low."""
        return self.corrected - self.apparent


def luck(losses: Sequence[Array], seed: int = 0) -> Luck | None:
    """Estimate it from the losses of each candidate on the same rows; None for fewer than two rows.

    Example:
        >>> luck([np.array([0.0, 1.0] * 50), np.ones(100)]).corrected  # no luck: one is always chosen
        0.5...
    """
    table = np.stack(losses)  # (candidates, rows)
    candidates, rows = table.shape
    if rows < 2:
        return None
    rng = np.random.default_rng(seed)
    drawn = np.stack([np.bincount(rng.integers(0, rows, rows), minlength=rows) for _ in range(DRAWS)])
    chosen = (drawn @ table.T).argmin(1)  # (draws, candidates), of equals the first
    left = drawn == 0
    found = [float(table[c, rest].mean()) for c, rest in zip(chosen, left, strict=True) if rest.any()]
    low, high = np.quantile(found, [0.025, 0.975])
    return Luck(float(table.mean(1).min()), float(np.mean(found)), float(low), float(high), candidates, rows)
