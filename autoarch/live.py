"""What a search does, in a terminal, while it does it."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import nlargest
from itertools import groupby
from typing import TYPE_CHECKING

from autoarch.boards import MEDIUM, NARROW, board, described, grid, measures, shown_seconds, text
from autoarch.halving import FACTOR, LOOK, RUNGS, promoted, rungs
from autoarch.measures import parameters_of
from autoarch.ranking import Standing
from autoarch.study import Trial
from autoarch.tasks import Result
from autoarch.watching import Watcher
from layerkit.training.progress import show_number

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.text import Text

PER_SECOND = 2  # pictures; each takes a few milliseconds
TOP, FAILURES, RUNNING = 5, 3, 6
FEWEST = 3  # epochs before the time that is left is estimated
PLOT = 9  # lines


@dataclass(frozen=True)
class _Scored:
    """A trial with a score, and what is drawn of it."""

    standing: Standing
    rung: int
    trial: Trial
    scores: Mapping[str, float]
    parameters: int | None


@dataclass
class _Training:
    """A trial that trains now."""

    epoch: int
    logs: Mapping[str, float]


class Live(Watcher):
    """Draws progress, the best so far, the trials that train, cost against score, failures; over and over in one place.

    Lines that are to stay are printed above. Nothing of the terminal is left changed when the process is killed.

    Args:
        console: to draw on.
        left: seconds until the deadline, infinite where there is none.
    """

    def __init__(self, console: Console, left: Callable[[], float] = lambda: math.inf) -> None:
        self.console, self._left = console, left
        self._lock = threading.Lock()
        self._trials: dict[int, Trial] = {}
        self._scored: dict[int, _Scored] = {}
        self._round: list[Trial] = []  # the trials of the latest
        self._over = 0.0  # epochs of the rounds before, about
        self._training: dict[int, _Training] = {}
        self._failures: deque[tuple[int, str]] = deque(maxlen=FAILURES)
        self._wanted: int | None = None
        self._began = time.monotonic()
        self._trained = 0  # epochs, since it began
        self._live: _Picture | None = None

    # What happens --------------------------------------------------------------------------------------------------

    def began(self, trials: Sequence[Trial], wanted: int | None) -> None:
        with self._lock:
            for _, own in groupby(trials, key=lambda t: t.round):
                self._add(list(own))
            self._failures.extend((t.number, t.reason) for t in trials if t.reason is not None)
            self._wanted = wanted
            self._began, self._trained = time.monotonic(), 0
        self._live = _Picture(self)

    def _add(self, trials: Sequence[Trial]) -> None:
        """A round, or more of the latest, in place of those that were rejected."""
        new = [replace(t, results=dict(t.results)) for t in trials]
        if new[0].round != max((t.round for t in self._round), default=None):
            self._over += sum(_expected(t.epochs) for t in self._round)
            self._round = []
        self._round += new
        self._trials |= {t.number: t for t in new}
        for trial in new:
            self._score(trial)

    def _score(self, trial: Trial) -> None:
        """Keep what is drawn of a trial: a long search has thousands of them, and twice a second there is a picture."""
        if trial.merit is None:
            self._scored.pop(trial.number, None)
        else:
            self._scored[trial.number] = _Scored(trial.standing, trial.rung, trial, trial.scores, parameters_of(trial))

    def phase(self, text_: str) -> None:
        with self._lock:
            self._training.clear()
        self.console.print(text(text_), soft_wrap=True)

    def proposed(self, trials: Sequence[Trial]) -> None:
        with self._lock:
            self._add(trials)

    def epoch(self, trial: int, epoch: int, logs: Mapping[str, float]) -> None:
        with self._lock:
            self._training[trial] = _Training(epoch, logs)
            self._trained += 1

    def result(self, trial: int, epochs: int, result: Result) -> None:
        with self._lock:
            self._training.pop(trial, None)
            if result.reason is not None:
                self._failures.append((trial, result.reason))
            found = self._trials.get(trial)
            if found is not None:
                found.results[found.rung + 1 if epochs else LOOK] = result
                self._score(found)

    def ended(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    # What is drawn --------------------------------------------------------------------------------------------------

    def picture(self, width: int, height: int) -> RenderableType:
        """As much of it as there is room for."""
        from rich.console import Group

        with self._lock:
            best = [s.trial for s in nlargest(TOP, self._scored.values(), key=lambda s: s.standing)]
            parts: list[RenderableType] = [self._progress(width)]
            if best:
                parts += ["", _title("best so far"), board(best, width=width)]
            if self._training:
                parts += ["", _title("training"), self._running(width)]
            if self._failures:
                parts += ["", _title("latest failures"), *(_one_line(f"trial {n}  {why}") for n, why in self._failures)]
            needed = 1 + 3 + len(best) + 3 + len(self._training) + 2 + len(self._failures)
            if best and width >= NARROW and height >= needed + PLOT + 3:
                parts += self._costs(best[0], min(width, MEDIUM) - 12)
        return Group(*parts)

    def _progress(self, width: int) -> RenderableType:
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        spent, left = time.monotonic() - self._began, self._left()
        done, total = self._epochs()
        share = done / total if total else 0.0
        about = ""
        if math.isfinite(left):
            share = spent / (spent + max(left, 0.0) + 1e-9)
        elif self._wanted is not None and self._trained >= FEWEST and total > done:  # not while finalists train
            about, left = "about ", max(total - done, 0.0) * spent / self._trained
        number = max((t.round for t in self._round), default=0)
        rung, going = self._rung()
        ended = len(self._trials) - sum(_goes_on(t) for t in going)
        wanted = "" if self._wanted is None else f"/{self._wanted}"
        words = f"{ended}{wanted} trials, round {number + 1}, rung {rung + 1} of {RUNGS}, {shown_seconds(spent)} spent"
        if math.isfinite(left):
            words += f", {about}{shown_seconds(float(round(max(left, 0.0))))} left"
        grid = Table.grid(padding=(0, 1), expand=False)
        grid.add_column(no_wrap=True, overflow="ellipsis", max_width=max(10, width - 14))
        grid.add_column(width=12)
        grid.add_row(_one_line(words), ProgressBar(total=1.0, completed=min(share, 1.0), width=12))
        return grid

    def _rung(self) -> tuple[int, list[Trial]]:
        """The rung to which trials of the latest round train now, and which do."""
        for rung in range(RUNGS):
            going = promoted(self._round, rung - 1) if rung else [t for t in self._round if not t.is_rejected]
            if not self._round or any(rung not in t.results for t in going):
                return rung, going
        return RUNGS - 1, []

    def _epochs(self) -> tuple[float, float]:
        """How many were trained, and how many there will be, about; those of failures count as trained."""
        done = total = self._over
        going = {t.number for t in self._rung()[1] if _goes_on(t)}
        for trial in self._round:
            expected, at = _expected(trial.epochs), self._training.get(trial.number)
            trained = max(trial.trained, at.epoch if at is not None else 0)
            done += min(trained, expected) if trial.number in going else expected
            total += expected
        if self._wanted is not None and self._trials:
            total *= max(1.0, self._wanted / len(self._trials))
        return done, total

    def _costs(self, best: Trial, columns: int) -> list[RenderableType]:
        """Score against parameters, in letters; nothing where there is too little to see."""
        name = measures([best])[0]
        points = []
        for one in sorted(self._scored.values(), key=lambda s: -s.rung):  # those that came far on top
            if one.parameters and name in one.scores:
                mark = "*" if one.trial is best else "o" if one.rung == RUNGS - 1 else "."
                points.append((math.log10(one.parameters), one.scores[name], mark))
        if len({x for x, _, _ in points}) < 2 or len({y for _, y, _ in points}) < 2:
            return []
        points.sort(key=lambda p: p[2] != "*")
        low, high = (f"{10 ** f(x for x, _, _ in points):,.0f}" for f in (min, max))
        axis = f"{' ' * 9}{low}{'parameters':^{columns - len(low + high)}}{high}"
        head = _title(f"{name} against parameters (* the best, o trained to the end, . stopped)")
        return ["", head, *(_one_line(line) for line in (*plot(points, columns, PLOT), axis))]

    def _running(self, width: int) -> RenderableType:
        rows: list[list[str | Text]] = []
        for number, at in sorted(self._training.items())[:RUNNING]:
            trial = self._trials.get(number)
            if trial is None:
                continue
            score = next((at.logs[n] for n in ("val_accuracy", "val_loss", "accuracy", "loss") if n in at.logs), None)
            of = rungs(trial.epochs)[min(trial.rung + 1, RUNGS - 1)]
            rows.append([
                str(number), f"{at.epoch}/{of}", "" if score is None else show_number(score), text(trial.why), described(trial)
            ])  # fmt: skip
        return grid(["trial", "epoch", "score", "proposed by", "values"], rows, width=width)


class _Picture:
    """The place on the terminal."""

    def __init__(self, watcher: Live) -> None:
        from rich.live import Live as RichLive

        self._watcher = watcher
        self._live = RichLive(self, console=watcher.console, refresh_per_second=PER_SECOND)
        self._live.start()
        watcher.console.show_cursor(True)  # rich hides it; one that is killed could not bring it back

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._watcher.picture(options.max_width, options.size.height)

    def stop(self) -> None:
        self._live.stop()


def _goes_on(trial: Trial) -> bool:
    return trial.reason is None and not trial.is_complete


def _title(words: str) -> RenderableType:
    return text(words, "bold cyan")


def _one_line(words: str) -> RenderableType:
    found = text(words)
    found.no_wrap, found.overflow = True, "ellipsis"
    return found


def _expected(epochs: int) -> float:
    """The epochs that a trial trains on average: a third goes on at each rung."""
    steps = rungs(epochs)
    return sum((b - a) / FACTOR**i for i, (a, b) in enumerate(zip([0, *steps], steps, strict=False)))


def plot(points: Iterable[tuple[float, float, str]], columns: int, lines: int) -> list[str]:
    r"""Marks in a field of letters, the later ones on top of the earlier, the first point on top of all.

    Example:
        >>> print("\n".join(plot([(0, 0.5, "*"), (1, 1.0, "o")], 5, 3)))
         1.0000 |    o
                |
         0.5000 |*
    """
    points = list(points)
    field = [[" "] * columns for _ in range(lines)]
    xs, ys = [x for x, _, _ in points], [y for _, y, _ in points]
    left, low, high = min(xs), min(ys), max(ys)
    wide, tall = (max(xs) - left) or 1, (high - low) or 1
    for x, y, mark in reversed(points):
        field[round((high - y) / tall * (lines - 1))][round((x - left) / wide * (columns - 1))] = mark
    ends = show_number(high), show_number(low)
    room = max(7, *map(len, ends))
    labels = [ends[0], *[""] * (lines - 2), ends[1]]
    return [f"{label:>{room}} |{''.join(row)}".rstrip() for label, row in zip(labels, field, strict=True)]
