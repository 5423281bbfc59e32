"""Synchronous successive halving over epochs (Jamieson and Talwalkar, 2016): the better third trains on.

A round is a bracket of its own. All its trials train to the first rung; when all are there, the best of them go on from
their checkpoints to the next. What was measured decides, never who was faster.
"""

from __future__ import annotations

from collections.abc import Sequence

from autoarch.study import Trial, merit

FACTOR = 3


def rungs(epochs: int, count: int = 3) -> list[int]:
    """The epochs of each rung, the last with all of them.

    Example:
        >>> rungs(18), rungs(4), rungs(1)
        ([2, 6, 18], [1, 2, 4], [1])
    """
    return sorted({-(-epochs // FACTOR**i) for i in range(count)})


def promoted(trials: Sequence[Trial], epochs: int) -> list[Trial]:
    """The trials that go on from a rung of ``epochs``, in their order: the best third of those that got there, at least one."""
    there = [t for t in trials if epochs in t.results]
    good = [t for t in there if t.results[epochs].reason is None]
    best = sorted(good, key=lambda t: (*(-m for m in merit(t.results[epochs].scores)), t.number))
    return sorted(best[: max(1, len(there) // FACTOR)], key=lambda t: t.number)
