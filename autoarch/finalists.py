"""The best few are trained again from scratch, over several seeds: who is best on average wins.

One training may be lucky, and the best of many is likely to be. A result is kept in the study once it is there, so that an
end that was killed goes on where it was.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import builders
from autoarch.budget import Deadline, FinalsGuard
from autoarch.intervals import student
from autoarch.modality import ships
from autoarch.options import Options
from autoarch.plain import plain
from autoarch.pool import Pool
from autoarch.ranking import ACCURACY, measure
from autoarch.space import derive_seed
from autoarch.study import Study, Trial, ranked
from autoarch.tasks import MODEL, Result, Task
from layerkit.errors import StateError

FINALISTS, SEEDS = 3, 3
FOLDER = "finalists"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Finalist:
    """A trial, and its results by the numbers of the seeds that it was trained with."""

    trial: Trial
    results: dict[int, Result]

    @property
    def scores(self) -> list[float]:
        """What is compared, of each seed: accuracy if it is measured, or else the loss."""
        return [r.scores[measure(r.scores)] for r in self.results.values() if r.reason is None]

    @property
    def merit(self) -> tuple[float, ...]:
        """Higher is better: trained with the first seed, as the winner will be; fewer failures; the mean of its scores' merits."""
        merits = {number: merit for number, r in self.results.items() if (merit := r.merit) is not None}
        if not merits:
            return (-np.inf,)
        return (0 in merits, len(merits) - len(self.results), *np.mean(list(merits.values()), axis=0))

    @property
    def _most(self) -> float:
        """The most that a score can be."""
        return 1 if any(ACCURACY in r.scores for r in self.results.values()) else np.inf

    def told(self) -> dict[str, Any]:
        """As plain data."""
        scores = self.scores
        failed = sorted({str(r.reason) for r in self.results.values() if r.reason is not None})
        return {
            "trial": self.trial.number, "space": self.trial.space, "validation": scores,
            "mean": float(np.mean(scores)) if scores else None, "interval": student(scores, most=self._most), "failed": failed,
        }  # fmt: skip


def seed_of(options: Options, number: int) -> int:
    """The seed of a finalist's training; the first is that of ``layerkit train best.yaml --seed``."""
    return options.seed if number == 0 else derive_seed(options.seed, "final", number)


def model_of(folder: Path, trial: Trial, number: int) -> Path:
    """The file of a finalist's model."""
    return folder / FOLDER / f"{trial.number}-{number}" / MODEL


class Finals:
    """Trains the finalists.

    Args:
        folder: of the search.
        study: keeps the results.
        options: of the search.
        say: is told each result.
    """

    def __init__(self, folder: Path, study: Study, options: Options, say: Say) -> None:
        self.folder, self.study, self.options, self.say = folder, study, options, say

    def run(self, trials: Sequence[Trial], pool: Pool, deadline: Deadline) -> list[Finalist]:
        """The finalists with their results, the best first.

        Args:
            trials: of the search.
            pool: trains.
            deadline: seeds for which there is no time are left out, beginning with the last.
        """
        chosen = [t for t in ranked(trials) if t.is_complete and t.reason is None][:FINALISTS]
        chosen = [self._plain(t) for t in chosen]
        for number in range(SEEDS):
            left = [t for t in chosen if (t.number, number) not in self.study.finals()]
            if left and not deadline.allows_finals(left):
                self.say(f"there is time for {number} of {SEEDS} seeds of the finalists")
                break
            self._train(left, number, pool, deadline)
        found = self.study.finals()
        finalists = [Finalist(t, {n: r for (who, n), r in found.items() if who == t.number}) for t in chosen]
        finalists = [f for f in finalists if f.scores]
        return sorted(finalists, key=lambda f: (*(-m for m in f.merit), f.trial.number))

    def _plain(self, trial: Trial) -> Trial:
        """With a spec that is short; one of somebody's own file keeps its text."""
        file = self.options.file_of(trial.space)
        return replace(trial, spec=plain(builders.loads(trial.spec, file)).text) if ships(file) else trial

    def _train(self, trials: Sequence[Trial], number: int, pool: Pool, deadline: Deadline) -> None:
        by_number = {t.number: t for t in trials}
        with closing(pool.run([self._task(t, number) for t in trials], FinalsGuard(deadline))) as answers:
            for task, result in answers:
                if result.fault is not None:
                    raise StateError(
                        "a worker cannot go on.", got=result.fault, fix=f"mend it, then: autoarch resume {self.folder}"
                    )
                self.study.add_final(task.number, number, result)
                self._thin(by_number[task.number], number)
                found = result.reason or ", ".join(f"{n} {v:.4f}" for n, v in sorted(result.scores.items()))
                self.say(f"finalist {task.number:3}, seed {number + 1} of {SEEDS}  {found}")

    def _task(self, trial: Trial, number: int) -> Task:
        options, place = self.options, model_of(self.folder, trial, number).parent
        return Task(
            trial.number, trial.spec, options.file_of(trial.space), options.data, seed_of(options, number),
            trial.epochs, str(place), str(self.folder / "prepared"), options.limits,
        )  # fmt: skip

    def _thin(self, trial: Trial, number: int) -> None:
        """Only the model of a training that has ended; one whose process died at once has left nothing."""
        for path in model_of(self.folder, trial, number).parent.glob("*"):
            if path.name not in (MODEL, "lock"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def models(folder: Path, trial: Trial, numbers: Sequence[int]) -> Iterator[Any]:
    """The models of a finalist."""
    from layerkit.models import load_model

    for number in numbers:
        if (path := model_of(folder, trial, number)).exists():
            yield load_model(path)
