"""The coordinator: rounds of proposals, rungs of training, the leaderboard, the winner."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import builders
from autoarch import halving
from autoarch.finish import finish
from autoarch.options import Options
from autoarch.pool import Pool
from autoarch.space import Past, derive_seed, propose
from autoarch.study import Study, Trial, leaderboard
from autoarch.worker import Task
from layerkit import saving
from layerkit.errors import StateError

PATIENCE_S = 3600.0

Say = Callable[[str], None]


def start(folder: Path, options: Options) -> None:
    """A new search in a folder; ``work`` does it.

    Raises:
        ArgumentError: the folder holds something.
    """
    Study.create(folder, asdict(options))


def work(folder: Path, *, workers: int = 1, patience: float = PATIENCE_S, say: Say = print) -> dict[str, Any]:
    """Do what is left of a search, and return its result: trials, winner, baselines, test.

    Args:
        folder: of the search.
        workers: processes that train at a time; the result does not depend on it.
        patience: seconds after which a task counts as hanging.
        say: gets a line for each thing that happens.

    Raises:
        StateError: another process is at work there, or no trial came to an end.
    """
    with Study.open(folder) as study:
        search = _Search(study, folder, Options(**study.options), say)
        with Pool(workers, folder / "workers.log", patience) as pool:
            search.run(pool)
        trials = study.trials()
        saving.write_whole(folder / "leaderboard.json", [leaderboard(trials).encode()])
        return finish(folder, search.options, trials, say)


class _Search:
    def __init__(self, study: Study, folder: Path, options: Options, say: Say) -> None:
        self.study, self.folder, self.options, self.say = study, folder, options, say
        self.spec = builders.loads(options.spec, options.file)
        self.rungs = halving.rungs(options.epochs)

    def run(self, pool: Pool) -> None:
        """All rounds; those that were done before take no time."""
        number = 0
        while self._has(number) or self._propose(number):
            self._train(number, pool)
            number += 1

    def _has(self, number: int) -> bool:
        return number < self.study.rounds

    def _propose(self, number: int) -> bool:
        """Propose a round; False when there is nothing more to propose."""
        trials = self.study.trials()
        count = min(self.options.round_size, self.options.trials - len(trials))
        if count <= 0:
            return False
        seed = derive_seed(self.options.seed, "round", number)
        found = propose(self.spec, [self._past(t) for t in trials], count, seed=seed, sampler=self.options.sampler)
        if not found:
            self.say("the space is used up: all its specs were tried")
            return False
        self.study.add_round(number, len(trials), [(drawn, spec.text) for drawn, spec in found])
        return True

    def _past(self, trial: Trial) -> Past:
        score = trial.merit[0] if trial.merit is not None else None
        return Past(trial.drawn, trial.spec, trial.epochs, score, trial.epochs == self.options.epochs)

    def _train(self, number: int, pool: Pool) -> None:
        """The rungs of a round."""
        for at, epochs in enumerate(self.rungs):
            everyone = self._trials(number)
            going = everyone if at == 0 else halving.promoted(everyone, self.rungs[at - 1])
            self._keep(everyone, going)
            self._to_rung([t for t in going if epochs not in t.results], epochs, pool)
        self._keep(self._trials(number), [])

    def _trials(self, number: int) -> list[Trial]:
        return [t for t in self.study.trials() if t.round == number]

    def _to_rung(self, trials: Sequence[Trial], epochs: int, pool: Pool) -> None:
        with closing(pool.run([self._task(t, epochs) for t in trials])) as answers:
            for task, result in answers:
                if result.fault is not None:
                    raise StateError(
                        "a worker cannot go on.", got=result.fault, fix=f"mend it, then: autoarch resume {self.folder}"
                    )
                self.study.add_result(task.number, epochs, result)
                found = result.reason or ", ".join(f"{n} {v:.4f}" for n, v in sorted(result.scores.items()))
                self.say(f"trial {task.number:3}  {epochs:3} epochs  {found}")

    def _task(self, trial: Trial, epochs: int) -> Task:
        o = self.options
        seed = derive_seed(o.seed, "trial", trial.number)
        return Task(
            trial.number, trial.spec, o.file, o.data, seed, epochs, str(self._folder(trial)), o.most_parameters, o.most_bytes
        )  # fmt: skip

    def _folder(self, trial: Trial) -> Path:
        return self.folder / "trials" / str(trial.number)

    def _keep(self, trials: Sequence[Trial], going: Sequence[Trial]) -> None:
        """Only the checkpoints of those that go on."""
        kept = {t.number for t in going}
        for trial in trials:
            if trial.number not in kept:
                shutil.rmtree(self._folder(trial), ignore_errors=True)
