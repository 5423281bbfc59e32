"""Who wins among finalists, seed by seed; what is left when time is up; what a search that goes on does again."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from autoarch.budget import REPORT_S, Deadline
from autoarch.clock import MARGIN_S, Clock
from autoarch.finalists import Finalist, Finals, model_of, seed_of
from autoarch.finish import _cut_short, finish
from autoarch.halving import RUNGS
from autoarch.incumbent import offer
from autoarch.options import Options, Space
from autoarch.space import Drawn
from autoarch.study import Study, Trial
from autoarch.tasks import Limits, Result

OPTIONS = Options((Space("small", "", "small.yaml", 9),), None, 5, seed=7)


def trial(number: int, accuracy: float, epochs: float = 1.0) -> Trial:
    history = [{"loss": 1.0, "seconds": epochs}] * 9
    results = {rung: Result({"loss": 1.0, "accuracy": accuracy}, history) for rung in range(RUNGS)}
    return Trial(number, 0, "small", 9, "random", Drawn(), f"name: spec-{number}\n", results)


class Trains:
    """A pool whose models have the accuracies of a table, by trial and seed; it remembers its tasks."""

    count = 1

    def __init__(self, folder, accuracies):
        self.folder, self.accuracies, self.asked = folder, accuracies, []

    def run(self, tasks, guard=None):
        for task in tasks:
            number = next(n for n in range(3) if seed_of(OPTIONS, n) == task.seed)
            self.asked.append((task.number, number))
            place = model_of(self.folder, trial(task.number, 0), number)
            score = self.accuracies[task.number][number]
            if score is not None:
                place.parent.mkdir(parents=True)
                place.write_text("model")
                (place.parent / "checkpoint").mkdir()
            yield task, Result(reason="diverged") if score is None else Result({"loss": 0.5, "accuracy": score})


@pytest.fixture
def study(tmp_path):
    Study.create(tmp_path, {})
    with Study.open(tmp_path) as opened:
        opened.add_round(0, [trial(n, 0.5) for n in range(5)])
        yield opened


def test_the_best_on_average_wins(tmp_path, study):
    trials = [
        trial(n, accuracy) for n, accuracy in enumerate((0.5, 0.9, 0.8, 0.7, 0.6))
    ]  # 1, 2 and 3 are the best three
    pool = Trains(tmp_path, {1: [0.95, 0.6, 0.7], 2: [0.8, 0.8, 0.8], 3: [0.9, None, 0.9]})
    deadline = Deadline(Clock(tmp_path), trials, None, 1)
    found = Finals(tmp_path, study, OPTIONS, lambda text: None).run(trials, pool, deadline)
    assert [f.trial.number for f in found] == [2, 1, 3]  # one that diverges is behind those that never do
    assert found[0].told()["validation"] == [0.8, 0.8, 0.8]
    assert found[1].told()["mean"] == pytest.approx(0.75)
    assert found[2].told()["failed"] == ["diverged"]
    assert len(pool.asked) == 9
    assert not list((tmp_path / "finalists").glob("*/checkpoint"))
    again = Finals(tmp_path, study, OPTIONS, lambda text: None).run(trials, pool, deadline)
    assert len(pool.asked) == 9  # all that was known is kept
    assert [f.trial.number for f in again] == [2, 1, 3]


def test_one_that_the_first_seed_fails_cannot_win(tmp_path, study):
    """The winner is trained again with that seed; a process that died at once leaves no folder."""
    pool = Trains(tmp_path, {0: [None, 0.95, 0.95], 1: [0.8, None, 0.7]})
    trials = [trial(0, 0.9), trial(1, 0.8)]
    found = Finals(tmp_path, study, OPTIONS, lambda text: None).run(
        trials, pool, Deadline(Clock(tmp_path), trials, None, 1)
    )
    assert [f.trial.number for f in found] == [1, 0]


def test_finalists_get_no_more_memory_than_trials(tmp_path, study):
    limited = replace(OPTIONS, limits=Limits(bytes=10**7))
    assert Finals(tmp_path, study, limited, print)._task(trial(0, 0.9), 1).limits == limited.limits


def test_seeds_are_left_out_where_time_is_short(tmp_path, study):
    trials, said = [trial(n, 0.9, epochs=2.0) for n in range(2)], []  # 18 seconds each, two of them for each seed
    clock = Clock(tmp_path)
    clock.allow(100)  # 15 for the end: one seed of two finalists fits
    deadline = Deadline(clock, trials, None, 1)
    deadline.best = trials[0]
    pool = Trains(tmp_path, {0: [0.9] * 3, 1: [0.8] * 3})
    assert deadline.allows_finals(trials)
    found = Finals(tmp_path, study, OPTIONS, said.append).run(trials, pool, deadline)
    assert len(found[0].results) == 3  # nothing took time here
    clock.allow(45)
    assert not deadline.allows_finals(trials)


def test_until_there_is_a_model_the_time_for_measuring_it_is_its_too(tmp_path, study):
    trials = [trial(n, 0.9) for n in range(2)]
    clock = Clock(tmp_path)
    clock.allow(100)
    deadline = Deadline(clock, trials, None, 1)
    deadline.best = trials[0]
    kept = []

    class Watched(Trains):
        def run(self, tasks, guard=None):
            for found in super().run(tasks, guard):
                kept.append(clock.left - guard.left)
                yield found
            kept.append(clock.left - guard.left)

    Finals(tmp_path, study, OPTIONS, print).run(
        trials, Watched(tmp_path, {0: [None, 0.9, 0.9], 1: [0.9] * 3}), deadline
    )
    end, report = deadline.last(), REPORT_S + MARGIN_S
    assert kept == pytest.approx([report, report, *[end] * 7], abs=0.5)  # the first fails with the first seed


def test_the_best_is_trained_where_there_is_no_time_for_more(tmp_path, study):
    trials, said = [trial(n, 0.9 - n / 10, epochs=2.0) for n in range(2)], []
    clock = Clock(tmp_path)
    clock.allow(45)  # 7 for the end, 19.5 for each
    deadline = Deadline(clock, trials, None, 1)
    deadline.best = trials[0]
    pool = Trains(tmp_path, {0: [0.9] * 3})
    (tmp_path / "finalists" / "1-0").mkdir(parents=True)  # a finalist, before the search went on
    found = Finals(tmp_path, study, OPTIONS, said.append).run(trials, pool, deadline)
    assert [f.trial.number for f in found] == [0]
    assert "no time to train trial 1 from scratch" in said[0]
    assert not (tmp_path / "finalists" / "1-0").exists()
    fewer = [
        replace(t, results={0: t.results[0]}) for t in trials
    ]  # none came to the end: the best is the only finalist
    assert [f.trial.number for f in Finals(tmp_path, study, OPTIONS, said.append).run(fewer, pool, deadline)] == [0]
    assert len(pool.asked) == 3


def test_one_seed_is_no_interval():
    one = Finalist(trial(0, 0.5), {0: Result({"loss": 0.3})})
    assert one.told() == {
        "trial": 0, "space": "small", "validation": [0.3], "mean": 0.3, "interval": None, "failed": [],
    }  # fmt: skip
    none = Finalist(trial(0, 0.5), {0: Result(reason="died")})
    assert none.merit == (-math.inf,)


def test_the_first_seed_is_the_searchs():
    assert seed_of(OPTIONS, 0) == 7
    assert len({seed_of(OPTIONS, n) for n in range(3)}) == 3


def test_when_time_is_up_a_finalists_model_is_the_result(tmp_path):
    winner = Finalist(trial(3, 0.9), {0: Result({"loss": 0.2, "accuracy": 0.93})})
    place = model_of(tmp_path, winner.trial, 0)
    place.parent.mkdir(parents=True)
    place.write_bytes(b"the model")
    found = _cut_short(tmp_path, OPTIONS, [winner.trial], winner, "time was up")
    assert (tmp_path / "best" / "model.lk").read_bytes() == b"the model"
    assert (tmp_path / "best.yaml").read_text() == "name: spec-3\n"
    assert found["is_retrained"]
    assert found["model"] == {"validation": 0.93}
    assert found["baselines"] == {}


def test_when_time_is_up_after_the_model_was_made_its_own_scores_are_told(tmp_path):
    """Those of the run on the validation part are of its last epoch; the model may have the weights of another."""
    winner = Finalist(trial(3, 0.9), {0: Result({"loss": 0.2, "accuracy": 0.93})})
    (tmp_path / "best.yaml").write_text(winner.trial.spec)
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "run.json").write_text("{}")
    results = {"validation": {"accuracy": 0.8, "loss": 0.5}, "test": {"accuracy": 0.91, "loss": 0.3}, "test_rows": 40}
    (tmp_path / "best" / "results.json").write_text(json.dumps(results))
    found = _cut_short(tmp_path, OPTIONS, [winner.trial], winner, "time was up")
    assert (found["model"], found["rows"]) == ({"validation": 0.93, "test": 0.91}, {"test": 40})


def test_time_that_is_up_before_the_study_is_told_of_the_best_so_far(tmp_path):
    told, untold = trial(0, 0.5), replace(trial(1, 0.0), results={})
    (tmp_path / "trained.lk").write_bytes(b"the model")
    assert offer(tmp_path, untold, 0, Result({"loss": 0.4, "accuracy": 0.8}), tmp_path / "trained.lk")
    found = _cut_short(tmp_path, OPTIONS, [told, untold], Finalist(told, {}), "time was up")
    assert (found["best_trial"], found["model"], found["is_retrained"]) == (1, {"validation": 0.8}, False)
    assert (tmp_path / "best" / "model.lk").read_bytes() == b"the model"


def test_where_no_finalist_can_be_trained_again_the_model_is_the_searchs(tmp_path, study):
    (tmp_path / "trained.lk").write_bytes(b"the model")
    for number in range(2):
        for rung, found in trial(number, 0.9 - number / 10).results.items():
            study.add_result(number, rung, found)
    best = study.trials()[0]
    assert offer(tmp_path, best, RUNGS - 1, best.results[RUNGS - 1], tmp_path / "trained.lk")
    pool = Trains(tmp_path, {0: [None, 0.9, 0.9], 1: [None, None, None]})
    deadline = Deadline(Clock(tmp_path), study.trials(), None, 1)
    found = finish(tmp_path, study, OPTIONS, pool, lambda text: None, deadline)
    assert (found["best_trial"], found["is_retrained"], found["model"]) == (0, False, {"validation": 0.9})
    assert "training from scratch failed: the model is that of the search, after 9 of 9 epochs" in found["notes"]
    assert (tmp_path / "best" / "model.lk").read_bytes() == b"the model"
