"""Synchronous successive halving over epochs (Jamieson and Talwalkar, 2016): the better third trains on.

A round is a bracket of its own. All its trials train to the first rung; when all are there, the best of them go on from
their checkpoints to the next. What was measured decides, never who was faster: the best epoch so far, as it tells more of the
end than the last (``tests/benchmarks/search_rungs.py``).
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
    return _best(trials, rung, missing=0)


def unfinished(trials: Sequence[Trial]) -> list[Trial]:
    """The trials of a round that may have to train on, in their order; the checkpoints of all others are of no use.

    Where some have not come to a rung yet, for lack of time, it is not known who goes on from it: they, and those who do
    if none of them is better.
    """
    found: dict[int, Trial] = {}
    may = [t for t in trials if not t.is_rejected]
    for rung in range(RUNGS):
        missing = [t for t in may if rung not in t.results]
        found |= {t.number: t for t in missing}
        may = [*_best(trials, rung, missing=len(missing)), *missing]
    return sorted(found.values(), key=lambda t: t.number)


def _best(trials: Sequence[Trial], rung: int, *, missing: int) -> list[Trial]:
    """The best third at a rung, were there so many more that are worse."""
    there = [t for t in trials if rung in t.results]
    good = {standing(t.number, rung, promise): t for t in there if (promise := t.results[rung].promise) is not None}
    best = nlargest(max(1, (len(there) + missing) // FACTOR), good)
    return sorted((good[place] for place in best), key=lambda t: t.number)
