"""The coordinator: rounds of proposals, rungs of training, the leaderboard, the winner."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import builders
from autoarch import halving
from autoarch.budget import Deadline
from autoarch.checks import checked
from autoarch.clock import Clock
from autoarch.finish import finish
from autoarch.incumbent import incumbent, offer
from autoarch.options import Options, least, options_from
from autoarch.pool import Pool
from autoarch.sessions import note
from autoarch.space import Past, derive_seed, propose
from autoarch.study import Study, Trial, leaderboard
from autoarch.tasks import MODEL, Task
from autoarch.watching import Plain, Watcher
from layerkit import saving
from layerkit.data import DataSet
from layerkit.engines.llvm.codegen.target import available_cores
from layerkit.errors import LayerkitError, StateError

PATIENCE_S = 3600.0


def start(folder: Path, options: Options, seconds: float | None = None, *, beside: Sequence[str] = ()) -> None:
    """A new search in a folder; ``work`` does it.

    Args:
        folder: a new one.
        options: what the search is told.
        seconds: that it may take, the end included.
        beside: files that may be there already.

    Raises:
        ArgumentError: the folder holds something.
    """
    Study.create(folder, asdict(options), beside=beside)
    if seconds is not None:
        Clock(folder).allow(seconds)


def work(
    folder: Path,
    *,
    workers: int | None = None,
    patience: float = PATIENCE_S,
    watcher: Watcher | None = None,
    seconds: float | None = None,
    began: float | None = None,
    command: str = "",
) -> dict[str, Any]:
    """Do what is left of a search, and return its result: trials, winner, baselines, test.

    Args:
        folder: of the search.
        workers: processes that train at a time, one for each processor unless given; the result does not depend on it.
        patience: seconds without an epoch after which a task counts as hanging.
        watcher: is told each thing that happens; one that prints lines unless given.
        seconds: that it may take from now on, however many it was allowed before.
        began: when that was, by ``time.monotonic``; now unless given.
        command: that was typed, for the report.

    Raises:
        StateError: another process is at work there, or no trial came to an end.
    """
    watcher = watcher or Plain()
    workers = workers or available_cores()
    try:
        with Study.open(folder) as study:
            note(folder, command, workers)
            clock = Clock(folder, began)
            if seconds is not None:
                clock.allow(seconds)
                _open_again(folder)
            with clock.running():
                search = _Search(study, folder, options_from(study.options), watcher, clock, workers)
                with Pool(
                    workers, folder / "workers.log", patience, lambda t, *of: watcher.epoch(t.number, *of)
                ) as pool:
                    search.run(pool)
                    saving.write_whole(folder / "leaderboard.json", [leaderboard(study.trials()).encode()])
                    result = finish(folder, study, search.options, pool, watcher.phase, search.deadline)
                _report(folder, watcher)
                return result
    finally:
        watcher.ended()


def _open_again(folder: Path) -> None:
    """Remove the result of a search that goes on."""
    (folder / "result.json").unlink(missing_ok=True)
    shutil.rmtree(folder / "best", ignore_errors=True)


def _report(folder: Path, watcher: Watcher) -> None:
    """Write the report; a search whose report cannot be written is no failure."""
    from autoarch.report import write

    try:
        write(folder)
    except (LayerkitError, OSError) as error:
        watcher.phase(f"the report cannot be written: {error}")


class _Search:
    def __init__(
        self, study: Study, folder: Path, options: Options, watcher: Watcher, clock: Clock, workers: int
    ) -> None:
        self.study, self.folder, self.options, self.watcher = study, folder, options, watcher
        self.spaces = {s.name: builders.loads(s.spec, s.file) for s in options.spaces}
        self.deadline = Deadline(clock, study.trials(), incumbent(folder), workers)

    def run(self, pool: Pool) -> None:
        """All rounds; those that were done before take no time."""
        number = 0
        for finding in checked(self.folder, self._dataset):
            self.watcher.phase(f"{'warning' if finding.is_serious else 'note'}: {finding.text}")
        self.watcher.began(self.study.trials(), self.options.trials)
        while self._has(number) or self._propose(number):
            self._train(number, pool)
            if self.deadline.is_over or not self._has_trained(number):
                self.watcher.phase("the time for the search is used up")
                break
            number += 1

    def _dataset(self) -> DataSet:
        return least(next(iter(self.spaces.values()))).dataset(self.options.data)

    def _has_trained(self, number: int) -> bool:
        """Whether something came of a round; nothing does where all that it has takes longer than there is time."""
        return any(t.results for t in self._trials(number))

    def _has(self, number: int) -> bool:
        return number < self.study.rounds

    def _propose(self, number: int) -> bool:
        """Propose a round; False when there is nothing more to propose."""
        trials = self.study.trials()
        count = self.options.round_size
        if self.options.trials is not None:
            count = min(count, self.options.trials - len(trials))
        if count <= 0 or self.deadline.is_over:
            return False
        seed = derive_seed(self.options.seed, "round", number)
        past = [self._past(t) for t in trials]
        found = propose(self.spaces, past, count, seed=seed, sampler=self.options.sampler)
        if not found:
            self.watcher.phase("the space is used up: all its specs were tried")
            return False
        epochs = {s.name: s.epochs for s in self.options.spaces}
        new = [
            Trial(len(trials) + i, number, p.space, epochs[p.space], p.why, p.drawn, p.spec.text)
            for i, p in enumerate(found)
        ]
        self.study.add_round(number, new)
        self.watcher.proposed(new)
        return True

    def _past(self, trial: Trial) -> Past:
        score = trial.merit[0] if trial.merit is not None else None
        return Past(trial.drawn, trial.spec, trial.rung, score, trial.is_complete)

    def _train(self, number: int, pool: Pool) -> None:
        """The rungs of a round."""
        for rung in range(halving.RUNGS):
            everyone = self._trials(number)
            going = everyone if rung == 0 else halving.promoted(everyone, rung - 1)
            self._keep(everyone, going)
            self._to_rung([t for t in going if rung not in t.results], rung, pool)
        self._keep(self._trials(number), [])

    def _trials(self, number: int) -> list[Trial]:
        return [t for t in self.study.trials() if t.round == number]

    def _to_rung(self, trials: Sequence[Trial], rung: int, pool: Pool) -> None:
        by_number = {t.number: t for t in trials}
        self.deadline.told(trials)
        with closing(pool.run([self._task(t, rung) for t in trials], self.deadline)) as answers:
            for task, result in answers:
                if result.fault is not None:
                    raise StateError(
                        "a worker cannot go on.", got=result.fault, fix=f"mend it, then: autoarch resume {self.folder}"
                    )
                trial = by_number[task.number]
                if result.reason is None and offer(self.folder, trial, rung, result, self._folder(trial) / MODEL):
                    self.deadline.best = trial
                self.study.add_result(trial.number, rung, result)
                self.deadline.ended(task, rung, result)
                self.watcher.result(trial.number, task.epochs, result)

    def _task(self, trial: Trial, rung: int) -> Task:
        options = self.options
        return Task(
            trial.number, trial.spec, options.file_of(trial.space), options.data, derive_seed(options.seed, "trial", trial.number),
            halving.rungs(trial.epochs)[rung], str(self._folder(trial)), str(self.folder / "prepared"), options.limits,
        )  # fmt: skip

    def _folder(self, trial: Trial) -> Path:
        return self.folder / "trials" / str(trial.number)

    def _keep(self, trials: Sequence[Trial], going: Sequence[Trial]) -> None:
        """Only the checkpoints of those that go on; those that time ran out for may, when there is more."""
        if self.deadline.is_over:
            return
        kept = {t.number for t in going}
        for trial in trials:
            if trial.number not in kept:
                shutil.rmtree(self._folder(trial), ignore_errors=True)
