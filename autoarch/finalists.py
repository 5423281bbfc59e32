"""The best few are trained again from scratch, over several seeds: who is best on average wins.

One training may be lucky, and the best of many is likely to be. A result is kept in the study once it is there, and its
model on disk, so that an end that was killed, or a search that goes on after its end, repeats none of it. The training with
the first seed is that of ``layerkit train best.yaml``: of the winner it makes the model that the search delivers.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import builders
from autoarch.budget import Deadline, FinalsGuard
from autoarch.folder import BEST, MODEL, PREPARED
from autoarch.intervals import student
from autoarch.modality import ships
from autoarch.options import Options
from autoarch.plain import plain
from autoarch.pool import Pool
from autoarch.ranking import ACCURACY, measure
from autoarch.space import derive_seed
from autoarch.study import Study, Trial, ranked
from autoarch.tasks import RUN, Result, Task, Train
from layerkit.errors import StateError
from layerkit.training.progress import show_number

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


def run_of(folder: Path, trial: Trial) -> Path:
    """The run of ``layerkit train`` that a finalist's training with the first seed is."""
    return model_of(folder, trial, 0).with_name(RUN)


def train_arguments(folder: Path, options: Options) -> list[str]:
    """What is given to ``layerkit`` for the winner's model."""
    data = ["--data", options.data] if options.data is not None else []
    return ["train", str(folder / BEST), "--seed", str(options.seed), *data]


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
            trials: of the search; where none of them trained to the end, the best is the only finalist.
            pool: trains.
            deadline: trials and seeds for which there is no time are left out, beginning with the last; not the first of all.
        """
        chosen = [t for t in ranked(trials) if t.is_complete and t.reason is None][:FINALISTS]
        chosen = [self._plain(t) for t in chosen or ranked(trials)[:1]]
        while len(chosen) > 1 and not deadline.allows_finals(self._left(chosen, 0)):
            self.say(f"there is no time to train trial {chosen.pop().number} from scratch")
        self._clean(chosen)
        for number in range(SEEDS):
            left = self._left(chosen, number)
            if left and number and not deadline.allows_finals(left):
                self.say(f"there is time for {number} of {SEEDS} seeds of the finalists")
                break
            self._train(left, number, pool, deadline)
        found = self.study.finals()
        finalists = [Finalist(t, {n: r for (who, n), r in found.items() if who == t.number}) for t in chosen]
        finalists = [f for f in finalists if f.scores]
        return sorted(finalists, key=lambda f: (*(-m for m in f.merit), f.trial.number))

    def _left(self, trials: Sequence[Trial], number: int) -> list[Trial]:
        """Those that were not trained yet with a seed."""
        found = self.study.finals()
        return [t for t in trials if (t.number, number) not in found]

    def _clean(self, chosen: Sequence[Trial]) -> None:
        """Remove what others left that were finalists before the search went on."""
        kept = {model_of(self.folder, t, number).parent.name for t in chosen for number in range(SEEDS)}
        for path in (self.folder / FOLDER).glob("*"):
            if path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)

    def _plain(self, trial: Trial) -> Trial:
        """With a spec that is short; one of somebody's own file keeps its text."""
        file = self.options.file_of(trial.space)
        return replace(trial, spec=plain(builders.loads(trial.spec, file)).text) if ships(file) else trial

    def _train(self, trials: Sequence[Trial], number: int, pool: Pool, deadline: Deadline) -> None:
        by_number = {t.number: t for t in trials}
        has_model = any(seed == 0 and r.reason is None for (_, seed), r in self.study.finals().items())
        guard = FinalsGuard(deadline, has_model=has_model)
        with closing(pool.run([self._task(t, number) for t in trials], guard)) as answers:
            for task, result in answers:
                if result.fault is not None:
                    raise StateError(
                        "a worker cannot go on.", got=result.fault, fix=f"mend it, then: autoarch resume {self.folder}"
                    )
                self.study.add_final(task.number, number, result)
                guard.has_model |= result.reason is None
                self._thin(by_number[task.number], number)
                found = result.reason or ", ".join(f"{n} {show_number(v)}" for n, v in sorted(result.scores.items()))
                self.say(f"finalist {task.number:3}, seed {number + 1} of {SEEDS}  {found}")

    def _task(self, trial: Trial, number: int) -> Task:
        options, place = self.options, model_of(self.folder, trial, number).parent
        command = shlex.join(["layerkit", *train_arguments(self.folder, options)])
        return Task(
            trial.number, trial.spec, options.file_of(trial.space), options.data, seed_of(options, number),
            trial.epochs, str(place), str(self.folder / PREPARED), options.limits,
            Train(str(self.folder / BEST), command) if number == 0 else None,
        )  # fmt: skip

    def _thin(self, trial: Trial, number: int) -> None:
        """Only the model of a training that has ended, and its run; one whose process died at once has left nothing."""
        for path in model_of(self.folder, trial, number).parent.glob("*"):
            if path.name not in (MODEL, RUN, "lock"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def models(folder: Path, trial: Trial, numbers: Sequence[int]) -> Iterator[Any]:
    """The models of a finalist."""
    from layerkit.models import load_model

    for number in numbers:
        if (path := model_of(folder, trial, number)).exists():
            yield load_model(path)
