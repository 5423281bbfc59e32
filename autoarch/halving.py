"""Synchronous successive halving over epochs (Jamieson and Talwalkar, 2016): the better third trains on.

A round is a bracket of its own. All its trials train to the first rung; when all are there, the best of them go on from
their checkpoints to the next. What was measured decides, never who was faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nlargest
from typing import TYPE_CHECKING

from autoarch.ranking import standing

if TYPE_CHECKING:
    from autoarch.study import Trial

FACTOR, RUNGS = 3, 3
LOOK = -1  # what comes before the rungs: a model is built, and its cost predicted


def rungs(epochs: int) -> list[int]:
    """The epochs of each rung, the last with all of them; the first ones may be equal.

    Example:
        >>> rungs(18), rungs(4), rungs(1)
        ([2, 6, 18], [1, 2, 4], [1, 1, 1])
    """
    return [-(-epochs // FACTOR ** (RUNGS - 1 - i)) for i in range(RUNGS)]


def promoted(trials: Sequence[Trial], rung: int) -> list[Trial]:
    """The trials that go on from a rung, in their order: the best third of those that got there, at least one."""
    there = [t for t in trials if rung in t.results]
    good = {standing(t.number, rung, merit): t for t in there if (merit := t.results[rung].merit) is not None}
    best = nlargest(max(1, len(there) // FACTOR), good)
    return sorted((good[place] for place in best), key=lambda t: t.number)
