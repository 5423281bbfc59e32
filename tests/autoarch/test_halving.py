"""Who goes on, whose checkpoint is kept, and what a search that gets more time does with them."""

from __future__ import annotations

import sqlite3

import pytest

from autoarch.clock import Clock
from autoarch.coordinator import _Search
from autoarch.halving import LOOK, promoted, unfinished
from autoarch.options import options_from
from autoarch.space import Drawn
from autoarch.study import Study, Trial
from autoarch.tasks import Result
from autoarch.watching import Watcher


def round_of(*accuracies: tuple[float | None, ...]) -> list[Trial]:
    """Trials with an accuracy for each rung that they came to; None where they failed."""
    found = []
    for number, own in enumerate(accuracies):
        results = {rung: Result(reason="died") if a is None else Result({"loss": 1 - a, "accuracy": a}) for rung, a in enumerate(own)}  # fmt: skip
        found.append(Trial(number, 0, "small", 9, "random", Drawn(), "", {LOOK: Result(), **results}))
    return found


@pytest.mark.parametrize(
    ("accuracies", "wanted"),
    [
        ([(), (), ()], [0, 1, 2]),
        ([(0.5,), (0.7,), (0.6,), (0.1,), (0.2,), (0.3,)], [1, 2]),  # all are there: those who go on
        (
            [(0.5,), (0.7,), (0.6,), (0.1,), (0.2,), ()],
            [1, 2, 5],
        ),  # two go on of six: they may be these, if the last is worse
        ([(0.5,), (0.7,), (0.6,), (), (), ()], [1, 2, 3, 4, 5]),
        (
            [(0.5,), (0.7, 0.8), (0.6,), (0.1,), (0.2,), (0.3,)],
            [1, 2],
        ),  # one of two has come further: either may be the best
        ([(0.5,), (0.7, 0.8), (0.6, 0.9), (0.1,), (0.2,), (0.3,)], [2]),
        ([(0.5,), (0.7, 0.8), (0.6, None), (0.1,), (0.2,), (0.3,)], [1]),
        ([(0.5,), (0.7, 0.8), (0.6, 0.9, 0.95), (0.1,), (0.2,), (0.3,)], []),
    ],
)
def test_whose_checkpoint_can_still_matter(accuracies, wanted):
    assert [t.number for t in unfinished(round_of(*accuracies))] == wanted


def test_of_a_whole_rung_they_are_those_that_are_promoted():
    trials = round_of(*[(0.1 * n,) for n in range(9)])
    assert unfinished(trials) == promoted(trials, 0)


class Trains:
    """A pool whose models all have the same accuracy; it remembers its tasks."""

    def __init__(self):
        self.asked = []

    def run(self, tasks, guard=None):
        for task in tasks:
            self.asked.append((task.number, task.epochs))
            yield task, Result(reason="diverged")


@pytest.fixture
def for_lack_of_time(made_run):
    """A run of two rounds, in whose first the last rung was left out."""
    folder = made_run(18, finished=False)
    with Study.open(folder, alone=False) as study:
        (number,) = [t.number for t in study.trials() if t.round == 0 and t.is_complete]
    with sqlite3.connect(folder / "study.sqlite") as connection:
        connection.execute("DELETE FROM results WHERE trial = ? AND rung = 2", [number])
    connection.close()
    return folder, number


@pytest.mark.parametrize("has_checkpoint", [True, False])
def test_with_more_time_those_that_have_a_checkpoint_go_on(for_lack_of_time, has_checkpoint):
    folder, number = for_lack_of_time
    if has_checkpoint:
        (folder / "trials" / str(number)).mkdir(parents=True)
    (folder / "trials" / "17").mkdir(parents=True)  # left by one that was killed
    (folder / "checks.json").write_text("[]")
    pool = Trains()
    with Study.open(folder) as study:
        _Search(study, folder, options_from(study.options), Watcher(), Clock(folder), 1).run(pool)
    assert pool.asked == ([(number, 18)] if has_checkpoint else [])
    assert not list((folder / "trials").iterdir())


def test_checkpoints_of_rounds_before_are_no_more_than_a_round_has(made_run):
    folder = made_run(36, finished=False)
    with sqlite3.connect(folder / "study.sqlite") as connection:
        connection.execute("DELETE FROM results WHERE rung > 0")
    connection.close()
    with Study.open(folder) as study:
        for trial in study.trials():
            (folder / "trials" / str(trial.number)).mkdir(parents=True)
        _Search(study, folder, options_from(study.options), Watcher(), Clock(folder), 1)._clean()
        left = {int(p.name) for p in (folder / "trials").iterdir()}
        rounds = [t.round for t in study.trials() if t.number in left]
    assert rounds.count(3) == 3  # the latest
    assert len(rounds) == 3 + 9


def test_the_best_epoch_so_far_decides():
    trials = round_of(*[(0.5 + n / 100,) for n in range(6)])
    down = [
        {"val_loss": 0.1, "val_accuracy": 0.9},
        {"val_loss": float("nan"), "val_accuracy": 1.0},
        {"loss": 0.1, "seconds": 1},
    ]
    trials[0].results[0].history.extend(down)
    assert trials[0].results[0].promise == (0.9, -0.1)
    assert trials[1].results[0].promise == trials[1].results[0].merit
    assert [t.number for t in promoted(trials, 0)] == [0, 5]
    assert Result(reason="died", history=down).promise is None
