"""The coordinator: rounds of proposals, rungs of training, the leaderboard, the winner."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import builders
from autoarch import halving
from autoarch.budget import Deadline
from autoarch.checks import checked
from autoarch.clock import Clock, TimeIsUp
from autoarch.finish import finish
from autoarch.folder import LEADERBOARD, MODEL, PREPARED, RESULT
from autoarch.halving import LOOK
from autoarch.incumbent import incumbent, offer
from autoarch.options import Options, least, options_from
from autoarch.pool import Pool
from autoarch.sessions import noted
from autoarch.space import Past, derive_seed, propose
from autoarch.study import Study, Trial, leaderboard, ranked
from autoarch.tasks import Task
from autoarch.watching import Plain, Watcher
from layerkit import saving
from layerkit.data import DataSet
from layerkit.engines.llvm.codegen.target import available_cores
from layerkit.errors import LayerkitError, StateError

PATIENCE_S = 3600.0
MOST_REJECTED = 20  # times the size of a round: where more are outside the limits, it stays smaller


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
        StateError: another process is at work there, no trial came to an end, or nothing says when it has to end.
    """
    watcher = watcher or Plain()
    workers = workers or available_cores()
    try:
        with Study.open(folder) as study, noted(folder, command, workers):
            clock = Clock(folder, began)
            if seconds is not None:
                clock.allow(seconds)
                _open_again(folder, study, watcher)
            options = options_from(study.options)
            if options.trials is None and clock.allowed is None:  # killed before it was written down
                raise StateError(
                    "it is not known how long the search may take.", got="neither trials nor a time",
                    fix=f"autoarch resume {folder} --time ...",
                )  # fmt: skip
            with clock.running():
                search = _Search(study, folder, options, watcher, clock, workers)
                with Pool(
                    workers, folder / "workers.log", patience, lambda t, *of: watcher.epoch(t.number, *of)
                ) as pool:
                    if not (folder / RESULT).exists():  # else what time is left is not for more trials
                        search.run(pool)
                    saving.write_whole(folder / LEADERBOARD, [leaderboard(study.trials()).encode()])
                    result = finish(folder, study, options, pool, watcher.phase, search.deadline)
                _report(folder, watcher, clock)
                return result
    finally:
        watcher.ended()


def _open_again(folder: Path, study: Study, watcher: Watcher) -> None:
    """Remove the result of a search that has ended and goes on, and say what it does."""
    if not (folder / RESULT).exists():
        return
    (folder / RESULT).unlink()
    trials = study.trials()
    watcher.phase(
        f"the search goes on after its end: {len(_unfinished(trials))} of {len(trials)} trials are not done, and go on where they "
        "are; what was trained is not trained again; at the end the model and the baselines are measured once more on the test part"
    )


def _unfinished(trials: Sequence[Trial]) -> list[Trial]:
    """The trials of all rounds that may have to train on."""
    rounds = groupby(trials, key=lambda t: t.round)
    return [t for _, own in rounds for t in halving.unfinished(list(own))]


def _report(folder: Path, watcher: Watcher, clock: Clock) -> None:
    """Write the report; a search whose report cannot be written is no failure."""
    from autoarch.report import write

    try:
        with clock.alarm():
            write(folder)
    except TimeIsUp:
        watcher.phase(f"time is up: the report is not written; autoarch report {folder} writes it")
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
        """All rounds, or as many as there is time for."""
        try:
            with self.deadline.clock.alarm():
                self._rounds(pool)
        except TimeIsUp:
            self.watcher.phase("time is up")

    def _rounds(self, pool: Pool) -> None:
        """All rounds; those that were done before take no time."""
        number = 0
        for finding in checked(self.folder, self._dataset):
            self.watcher.phase(f"{'warning' if finding.is_serious else 'note'}: {finding.text}")
        self.watcher.began(self.study.trials(), self.options.trials)
        while self._has(number) or self._propose(number):
            self._fill(number, pool)
            self._train(number, pool)
            if self.deadline.is_over:
                self.watcher.phase("the time for the search is used up")
                break
            if not self._has_trained(number):
                self.watcher.phase("nothing was found that is within the limits and can be trained in time")
                break
            number += 1
        self._clean()

    def _dataset(self) -> DataSet:
        return least(next(iter(self.spaces.values()))).dataset(self.options.data)

    def _has_trained(self, number: int) -> bool:
        """Whether something came of a round; where all was rejected or takes too long, nothing will come of the next."""
        return any(rung > LOOK for t in self._trials(number) for rung in t.results)

    def _has(self, number: int) -> bool:
        return number < self.study.rounds

    def _wanted(self, number: int) -> int:
        """How many trials a round is to have; those that were rejected do not count."""
        if self.options.trials is None:
            return self.options.round_size
        before = sum(t.round < number and not t.is_rejected for t in self.study.trials())
        return min(self.options.round_size, self.options.trials - before)

    def _propose(self, number: int) -> bool:
        """Propose a round; False when there is nothing more to propose."""
        count = self._wanted(number)
        if count <= 0 or self.deadline.is_over:
            return False
        new = self._proposals(number, count, derive_seed(self.options.seed, "round", number))
        if not new:
            self.watcher.phase("the space is used up: all its specs were tried")
            return False
        self.study.add_round(number, new)
        self.watcher.proposed(new)
        return True

    def _fill(self, number: int, pool: Pool) -> None:
        """Look at what is proposed, and propose others instead of those that are rejected, until the round is full."""
        while not self._has_trained(number):  # then it was as full as it gets
            self._to_rung([t for t in self._trials(number) if not t.results], LOOK, pool)
            trials = self._trials(number)
            rejected = sum(t.is_rejected for t in trials)
            missing = self._wanted(number) - (len(trials) - rejected)
            if missing <= 0 or rejected >= MOST_REJECTED * self.options.round_size or self.deadline.is_over:
                return
            seed = derive_seed(self.options.seed, "round", number, len(trials))
            new = self._proposals(number, missing, seed)
            if not new:
                return
            self.study.add_trials(new)
            self.watcher.proposed(new)

    def _proposals(self, number: int, count: int, seed: int) -> list[Trial]:
        """Up to ``count`` new trials for a round."""
        trials = self.study.trials()
        found = propose(
            self.spaces, [self._past(t) for t in trials], count, seed=seed, sampler=self.options.sampler
        )  # fmt: skip
        epochs = {s.name: s.epochs for s in self.options.spaces}
        return [
            Trial(len(trials) + i, number, p.space, epochs[p.space], p.why, p.drawn, p.spec.text)
            for i, p in enumerate(found)
        ]

    def _past(self, trial: Trial) -> Past:
        score = trial.merit[0] if trial.merit is not None else None
        return Past(trial.drawn, trial.spec, trial.rung, score, trial.is_complete)

    def _train(self, number: int, pool: Pool) -> None:
        """The rungs of a round."""
        for rung in range(halving.RUNGS):
            everyone = self._trials(number)
            going = halving.promoted(everyone, rung - 1) if rung else [t for t in everyone if not t.is_rejected]
            tasks = [t for t in going if rung not in t.results and self._can_go_on(t)]
            if tasks:
                self._to_rung(tasks, rung, pool)
                self._clean()

    def _can_go_on(self, trial: Trial) -> bool:
        """Whether a trial has its checkpoint, or needs none; that of the latest round are never missing but by a mishap."""
        return trial.rung == LOOK or self._is_latest(trial) or self._folder(trial).exists()

    def _is_latest(self, trial: Trial) -> bool:
        return trial.round == self.study.rounds - 1

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
                if rung == 0:
                    result = replace(result, predicted=self.deadline.expected(trial, result))
                if (
                    rung > LOOK
                    and result.reason is None
                    and offer(self.folder, trial, rung, result, self._folder(trial) / MODEL)
                ):
                    self.deadline.best = trial
                self.study.add_result(trial.number, rung, result)
                self.deadline.ended(task, rung, result)
                if rung > LOOK or result.reason is not None:
                    self.watcher.result(trial.number, task.epochs, result)

    def _task(self, trial: Trial, rung: int) -> Task:
        options = self.options
        return Task(
            trial.number, trial.spec, options.file_of(trial.space), options.data, derive_seed(options.seed, "trial", trial.number),
            halving.rungs(trial.epochs)[rung] if rung > LOOK else 0, str(self._folder(trial)), str(self.folder / PREPARED), options.limits,
        )  # fmt: skip

    def _folder(self, trial: Trial) -> Path:
        return self.folder / "trials" / str(trial.number)

    def _clean(self) -> None:
        """Only the checkpoints of those that may go on: of the latest round all, of those before as many as a round has."""
        may = _unfinished(self.study.trials())
        latest = [t for t in may if self._is_latest(t)]
        before = ranked([t for t in may if not self._is_latest(t)])[: self.options.round_size]
        kept = {str(t.number) for t in (*latest, *before)}
        for folder in (self.folder / "trials").glob("*"):
            if folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)
