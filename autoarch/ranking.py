"""Which of two trials is better: the one rule, which halving, the leaderboard, the best so far and the live picture follow.

By accuracy where it is measured, where that is equal or not measured by the lower loss (``merit``); of trials, who came
further is ahead of that, and of equals the one that was proposed earlier (``standing``). Who trains on is decided by the best
epoch so far, all else by the scores that there are now.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping

ACCURACY, LOSS = "accuracy", "loss"

Merit = tuple[float, float]
Standing = tuple[float, ...]


def measure(scores: Container[str]) -> str:
    """The name of the score that decides first, of those that there are.

    Example:
        >>> measure({"loss": 0.5, "accuracy": 0.9}), measure({"loss": 0.5, "mae": 0.3})
        ('accuracy', 'loss')
    """
    return ACCURACY if ACCURACY in scores else LOSS


def sign(name: str) -> int:
    """1 where more of a measure is better, -1 where less is."""
    return 1 if name == ACCURACY else -1


def merit(scores: Mapping[str, float]) -> Merit:
    """How good scores are, higher is better: by accuracy if it is measured, then by loss.

    Example:
        >>> merit({"loss": 0.5, "accuracy": 0.9}) > merit({"loss": 0.1, "accuracy": 0.8}), merit({"loss": 0.5})
        (True, (-0.5, -0.5))
    """
    first = measure(scores)
    return sign(first) * scores[first], -scores[LOSS]


def standing(number: int, rung: int, merit: Merit | None) -> Standing:
    """What trials are ordered by, higher is better; no two have the same.

    Args:
        number: of the trial.
        rung: that it came to.
        merit: of its scores there; None where it failed: those are behind all others.

    Example:
        >>> late, early = standing(1, 2, (0.9, -0.1)), standing(0, 2, (0.9, -0.1))
        >>> standing(7, 2, None) < standing(2, 1, (0.99, 0.0)) < late < early
        True
    """
    return (merit is not None, rung, *(merit or (-math.inf, -math.inf)), -number)
