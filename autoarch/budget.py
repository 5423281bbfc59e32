"""What still fits before the deadline, predicted from what was measured; and words such as ``10m`` and ``500MB``.

The search ends so early that the best can be trained from scratch (``Deadline.reserve``). A task is begun only if it
is likely to end before; one that does not, is stopped: what it trained is in its checkpoint.
"""

from __future__ import annotations

import contextlib
import math
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

from autoarch.clock import MARGIN_S, Clock, TimeIsUp, alarm
from autoarch.halving import LOOK
from autoarch.tasks import seconds_of
from layerkit.errors import ArgumentError, StateError

if TYPE_CHECKING:
    from autoarch.incumbent import Incumbent
    from autoarch.study import Trial
    from autoarch.tasks import Result, Task

OVERHEAD_S = 1.5
"""Of a task, until one was measured, and of the command at the end: a process starts, reads data, compiles."""
TRAININGS = 9  # from scratch, for which the finals would like to have time: three seeds of the three best
FINALS, MOST = 0.25, 0.5
"""Shares of the time: that those may have, and that a single one may have; where it takes longer, there is none."""
TAIL = 0.15, 30.0  # baselines, test, report: this share of the time, so many seconds at most
REPORT_S = 1.0  # of that for the report alone
RECENT = 9

TIMES = {"s": 1, "m": 60, "min": 60, "h": 3600}
SIZES = {"kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def seconds(text: str) -> float:
    """A time; a number alone counts seconds.

    Raises:
        ArgumentError: it is none.

    Example:
        >>> seconds("90s"), seconds("1.5h"), seconds("20")
        (90.0, 5400.0, 20.0)
    """
    return _number(text, TIMES, 1, "a time such as 90s, 10m or 2h")


def size(text: str) -> int:
    """Bytes; a number alone counts megabytes.

    Raises:
        ArgumentError: it is none.

    Example:
        >>> size("500MB"), size("1.5 GiB"), size("64")
        (500000000, 1610612736, 64000000)
    """
    return int(_number(text, SIZES, 1e6, "a size such as 500MB or 2GB"))


def _number(text: str, units: dict[str, int] | dict[str, float], default: float, expected: str) -> float:
    found = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*([a-z]*)\s*", text.lower())
    unit = found and (units.get(found[2]) if found[2] else default)
    value = float(found[1]) * unit if found and unit else 0.0
    if value <= 0:
        raise ArgumentError("this is no budget.", expected=expected, got=repr(text))
    return value


@contextlib.contextmanager
def in_time(seconds: float | None, began: float) -> Iterator[None]:
    """What comes before a search, which is interrupted when its time is up.

    Raises:
        StateError: it is.
    """
    try:
        with alarm(math.inf if seconds is None else began + seconds - MARGIN_S - time.monotonic()):
            yield
    except TimeIsUp:
        raise StateError("time was up before the search began.", got=f"{seconds:g} s", fix="give it more") from None


class Deadline:
    """What a search may still begin.

    Args:
        clock: of the command.
        trials: as they are known now.
        best: the best of them, as it is on disk.
        workers: that train at a time.
    """

    def __init__(self, clock: Clock, trials: Sequence[Trial], best: Incumbent | None, workers: int) -> None:
        self.clock, self._workers = clock, workers
        self._trials = {t.number: t for t in trials}
        self.best: Trial | None = None if best is None else self._trials.get(best.trial)
        """The trial that would be trained again, if the search ended now."""
        self._begun: dict[int, float] = {}
        self._wrong: dict[int, float] = {}
        self._overheads: list[float] = []

    @property
    def left(self) -> float:
        """Seconds until the search has to end."""
        return self.clock.left - self.reserve()

    @property
    def is_over(self) -> bool:
        """Whether the search has to end."""
        return self.left <= 0

    def told(self, trials: Sequence[Trial]) -> None:
        """The trials as they are known now."""
        self._trials.update({t.number: t for t in trials})

    def begins(self, task: Task) -> bool:
        """Whether a task is likely to end in time; then it begins now."""
        trial = self._trials[task.number]
        self._wrong[task.number] = self.wrong(trial)
        if (self.predicted(task) or 0.0) > self.left:
            return False
        self._begun[task.number] = time.monotonic()
        return True

    def expected(self, trial: Trial, result: Result) -> dict[str, float]:
        """What was predicted of a trial before it was trained: of the ``seconds``, what the engine said times its error then."""
        found = (trial.results[LOOK].predicted if LOOK in trial.results else {}) | result.predicted
        engine, wrong = found.get("engine_seconds"), self._wrong.get(trial.number, 1.0)
        return found if engine is None else {**found, "seconds": engine * wrong}

    def ended(self, task: Task, rung: int, result: Result) -> None:
        """Learn from a task that ended."""
        trial, began = self._trials[task.number], self._begun.pop(task.number, None)
        before = trial.trained
        # a new one: other threads may be reading the old
        trial = self._trials[trial.number] = replace(trial, results={**trial.results, rung: result})
        if self.best is not None and self.best.number == trial.number:
            self.best = trial
        if began is not None and result.reason is None and rung > LOOK:
            new = result.history[before:]
            self._overheads.append(max(time.monotonic() - began - sum(row["seconds"] for row in new), 0.0))

    def predicted(self, task: Task) -> float | None:
        """Seconds of a task; None while nothing like it was measured."""
        if not task.epochs:
            return None
        trial = self._trials[task.number]
        pace = self.pace(trial)
        return None if pace is None else self._overhead() + pace * max(task.epochs - trial.trained, 0)

    def pace(self, trial: Trial) -> float | None:
        """Seconds of an epoch of a trial.

        As it was measured; else as the engine predicted it, times what it was wrong by; without that, what half of its
        space take, or of all.
        """
        own, predicted = _measured(trial), _predicted(trial)
        if own is not None:
            return own
        if predicted is not None:
            return predicted * self.wrong(trial)
        took = [took for _, took in self._alike(trial)]
        return median(took) if took else None

    def wrong(self, trial: Trial) -> float:
        """What the engine's prediction is to be multiplied by: the median of its errors for others.

        Those for trials of the same space count twice. That it is not wrong at all counts as one of them: so a search begins.
        The median does not mind a trial during which the machine was busy.
        """
        found = [
            (t.space, took / predicted)
            for t in list(self._trials.values())
            if t.trained > 1  # a first epoch warms up
            if (took := _measured(t)) is not None and (predicted := _predicted(t)) is not None
        ]
        return median([1.0, *(error for space, error in found for _ in range(1 + (space == trial.space)))])

    def _alike(self, trial: Trial) -> list[tuple[Trial, float]]:
        """Trials of its space that were measured, or else all, and the seconds of their epochs."""
        done = [(t, took) for t in list(self._trials.values()) if (took := _measured(t)) is not None]
        return [(t, took) for t, took in done if t.space == trial.space] or done

    def reserve(self) -> float:
        """Seconds that are kept for the end: the best trained from scratch, with several seeds; test, baselines, report."""
        total, best = self.clock.granted, self.best
        if total is None or best is None or (once := self.training(best)) > MOST * total:
            return self.last()
        return self.last() + max(once, min(TRAININGS * once / self._workers, FINALS * total))

    def last(self) -> float:
        """Seconds that are kept for what follows the finals."""
        total = self.clock.granted
        if total is None:
            return 0.0
        if self.best is None:  # nothing will be measured
            return 2 * MARGIN_S
        return MARGIN_S + OVERHEAD_S + min(TAIL[0] * total, TAIL[1])

    def allows_finals(self, trials: Sequence[Trial]) -> bool:
        """Whether there is time to train these from scratch, each by the first worker that is free."""
        busy = [0.0] * self._workers
        for trial in trials:
            busy[busy.index(min(busy))] += self.training(trial)
        return max(busy) <= FinalsGuard(self).left

    def training(self, trial: Trial) -> float:
        """Seconds to train a trial from scratch, to the end."""
        return self._overhead() + (self.pace(trial) or 0.0) * trial.epochs

    def _overhead(self) -> float:
        return median(self._overheads[-RECENT:]) if self._overheads else OVERHEAD_S


class FinalsGuard:
    """Ends the finals in time for what follows them.

    Args:
        deadline: of the search.
        has_model: whether one was trained; until then one that has begun may take the time of baselines and test, which need it.
    """

    def __init__(self, deadline: Deadline, *, has_model: bool = True) -> None:
        self._deadline, self.has_model = deadline, has_model

    @property
    def left(self) -> float:
        """Seconds until the finals have to end."""
        return self._before(self._deadline.last() if self.has_model else MARGIN_S + REPORT_S)

    def begins(self, task: Task) -> bool:
        """Whether there is time left at all: that there is enough was seen for all that are trained with one seed."""
        return self._before(self._deadline.last()) > 0

    def _before(self, kept: float) -> float:
        return self._deadline.clock.left - kept


def _measured(trial: Trial) -> float | None:
    """The seconds of an epoch."""
    return seconds_of(trial.results[trial.rung].history).get("seconds") if trial.rung >= 0 else None


def _predicted(trial: Trial) -> float | None:
    """The seconds of an epoch, as the engine told them."""
    known = (r.predicted["engine_seconds"] for r in trial.results.values() if "engine_seconds" in r.predicted)
    return next(known, None)
