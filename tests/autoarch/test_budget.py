"""Budgets of time: what fits, what is begun, and that a search ends when it has to."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from autoarch.budget import OVERHEAD_S, Deadline, size
from autoarch.clock import MARGIN_S, Clock, TimeIsUp, alarm
from autoarch.halving import LOOK
from autoarch.pool import Pool
from autoarch.space import Drawn
from autoarch.study import Trial
from autoarch.tasks import Result, Task
from layerkit.errors import ArgumentError
from tests.autoarch.test_search import SPEC, environment, invoke


def trial(number: int, seconds: float | None = None, space: str = "a", epochs: int = 9, rung: int = 0) -> Trial:
    """One that has come to a rung if it was measured."""
    found = Trial(number, 0, space, epochs, "random", Drawn(), "")
    if seconds is not None:
        found.results[rung] = Result({"loss": 1.0}, [{"seconds": 5.0}, *[{"seconds": seconds}] * 2])
    return found


def task(number: int, epochs: int) -> Task:
    return Task(number, "", "", None, 0, epochs, "", "")


@pytest.fixture
def still(monkeypatch):
    """The time stands still, at 1000 seconds, for clocks."""
    monkeypatch.setattr("autoarch.clock.time", SimpleNamespace(monotonic=lambda: 1000.0))


def test_a_clock_goes_on_where_it_stood(tmp_path, still):
    assert Clock(tmp_path).left == float("inf")
    Clock(tmp_path, 999.0).allow(10)
    first = Clock(tmp_path, 993.0)
    assert first.left == 2  # 1 and 7 seconds of 10
    first.write()
    second = Clock(tmp_path)
    assert second.spent == 8
    second.allow(5)
    assert second.left == 5


def test_the_alarm_interrupts_what_is_done(tmp_path):
    clock = Clock(tmp_path)
    clock.allow(MARGIN_S + 0.1)
    with pytest.raises(TimeIsUp), clock.alarm():
        time.sleep(600)
    assert clock.is_over
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_an_alarm_that_is_lost_rings_again(monkeypatch):
    """As where it rings in a finalizer, whose exceptions Python drops."""
    monkeypatch.setattr("autoarch.clock.AGAIN_S", 0.05)

    class Slow:
        def __del__(self):
            time.sleep(600)

    def lose():
        Slow()
        time.sleep(600)

    before = sys.unraisablehook, signal.getsignal(signal.SIGALRM)
    with pytest.raises(TimeIsUp), alarm(0.1):
        lose()
    assert (sys.unraisablehook, signal.getsignal(signal.SIGALRM)) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def ring():
    signal.raise_signal(signal.SIGALRM)
    time.sleep(0.001)


def test_an_alarm_does_not_break_off_what_cleans_up():
    ended = []

    @contextlib.contextmanager
    def resource():
        try:
            yield
        finally:
            ring()
            ended.append("context")

    def numbers():
        try:
            yield 1
        finally:
            ring()
            ended.append("generator")

    def clean_up():
        with resource(), contextlib.closing(numbers()) as some:
            next(some)
            try:
                ring()
            finally:
                ring()
                ended.append("frame")

    with pytest.raises(TimeIsUp), alarm(600):
        clean_up()
    assert ended == ["frame", "generator", "context"]
    with pytest.raises(TimeIsUp), alarm(600):
        ring()


def test_a_task_begins_if_it_is_likely_to_end(tmp_path):
    clock = Clock(tmp_path)
    clock.allow(100)
    trials = [trial(0, 2.0), trial(1, 4.0, space="b"), trial(2), trial(3, space="b"), trial(4, space="c")]
    deadline = Deadline(clock, trials, None, 1)
    assert [deadline.pace(t) for t in trials] == [2.0, 4.0, 2.0, 4.0, 3.0]  # its own; its space's; all
    assert deadline.predicted(task(0, 9)) == pytest.approx(1.5 + 8 * 2.0)  # one epoch is trained
    assert deadline.predicted(task(2, 9)) == pytest.approx(1.5 + 9 * 2.0)
    assert deadline.begins(task(0, 9))
    assert not deadline.begins(task(1, 40))
    nothing_known = Deadline(clock, [trial(0)], None, 1)
    assert nothing_known.predicted(task(0, 1)) is None
    assert nothing_known.begins(task(0, 1))


def test_time_is_kept_to_train_the_best_again(tmp_path):
    clock = Clock(tmp_path)
    clock.allow(100)
    deadline = Deadline(clock, [trial(0, 1.0), trial(1, 3.0), trial(2, 8.0)], None, 2)
    assert deadline.reserve() == 2 * MARGIN_S
    for number, kept in (
        (0, 25.0),
        (1, 28.5),
        (2, 0.0),
    ):  # a quarter; once; nothing, for it takes over half of the time
        deadline.best = trial(number, {0: 1.0, 1: 3.0, 2: 8.0}[number])
        assert deadline.reserve() == pytest.approx(15 + OVERHEAD_S + MARGIN_S + kept)


def test_what_is_kept_for_the_end_are_shares_of_the_time_that_was_given_last(tmp_path, still):
    (tmp_path / "clock.json").write_text('{"allowed": 1000, "spent": 990}')
    clock = Clock(tmp_path)
    clock.allow(100)
    clock.write()
    for again in (clock, Clock(tmp_path)):
        deadline = Deadline(again, [trial(0, 1.0)], None, 2)
        deadline.best = trial(0, 1.0)
        assert deadline.reserve() == pytest.approx(15 + OVERHEAD_S + MARGIN_S + 25)
        assert again.left == 100


def test_of_a_prediction_the_error_is_learned(tmp_path):
    clock = Clock(tmp_path)
    clock.allow(100)
    trials = [trial(0, 2.0, epochs=18), trial(1)]
    trials[0].results[LOOK] = Result(predicted={"engine_seconds": 4.0})
    trials[1].results[LOOK] = Result(predicted={"engine_seconds": 10.0})
    assert Deadline(clock, trials, None, 1).pace(trials[1]) == pytest.approx(5.0)  # half of what was predicted
    other = trial(2, 8.0, epochs=18)  # took twice as long
    other.results[LOOK] = Result(predicted={"engine_seconds": 4.0})
    assert Deadline(clock, [*trials, other], None, 1).pace(trials[1]) == pytest.approx(10.0)  # half, twice, and as told
    trials += [trial(n, 1e6, space="b", epochs=18) for n in (3, 4)]  # the machine was busy, in another space
    for t in trials[-2:]:
        t.results[LOOK] = Result(predicted={"engine_seconds": 4.0})
    assert Deadline(clock, [*trials, other], None, 1).pace(trials[1]) == pytest.approx(
        20.0
    )  # 0.5 0.5 1 [2] 2 and two of 250,000
    first = trial(5, 4.0)  # has trained one epoch, which warms up
    first.results[LOOK] = Result(predicted={"engine_seconds": 1.0})
    assert Deadline(clock, [first, trials[1]], None, 1).pace(trials[1]) == pytest.approx(10.0)


def test_what_does_not_begin_has_no_result(tmp_path):
    class Never:
        left = 10.0

        def begins(self, task: Task) -> bool:
            return False

    with Pool(2, tmp_path / "log", 60) as pool:
        assert list(pool.run([task(i, 1) for i in range(5)], Never())) == []


def test_time_that_is_up_while_tasks_are_handed_out_ends_those_that_began(tmp_path):
    spec = SPEC.split("layers:")[0] + "layers: [Flatten, {Dense: {units: 10, activation: softmax}}]\n"
    spec += "compile: {loss: sparse_categorical_crossentropy}\ndata: {dataset: digits, split: {validation: 0.2}}\n"
    begun = threading.Event()

    class Tells:
        left = 10.0

        def begins(self, task: Task) -> bool:
            begun.set()
            return True

    def some():
        yield Task(0, spec, "small.yaml", None, 0, 10**6, str(tmp_path / "0"), str(tmp_path / "prepared"))
        begun.wait()
        raise TimeIsUp

    with Pool(1, tmp_path / "log", 5) as pool, pytest.raises(TimeIsUp):
        list(pool.run(some(), Tells()))


def test_wrong_budgets_are_told():
    for text in ("", "0", "-3", "5 parsecs", "1e3"):
        with pytest.raises(ArgumentError, match="no budget"):
            size(text)


def test_a_search_that_cannot_begin_in_time_says_so(tmp_path):
    (tmp_path / "small.yaml").write_text(SPEC)
    command = [
        sys.executable,
        "-m",
        "autoarch",
        "search",
        tmp_path / "small.yaml",
        "--time",
        "0.1",
        "--run",
        tmp_path / "run",
    ]
    result = subprocess.run(list(map(str, command)), env=environment(), capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "time was up before the search began" in result.stderr


def test_the_time_counts_from_the_start_of_the_process():
    code = "import time; now = time.monotonic(); time.sleep(0.5); from autoarch.clock import began; print(now, began())"
    before = time.monotonic()
    found = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    now, began = map(float, found.stdout.split())
    assert before - 60 < began <= now + 0.02  # the system counts hundredths


@pytest.mark.slow
def test_a_search_ends_in_time_and_takes_more(tmp_path):
    (tmp_path / "small.yaml").write_text(SPEC)
    run = tmp_path / "run"
    command = [sys.executable, "-m", "autoarch", "search", tmp_path / "small.yaml", "--trials", "1", "--time", "6s"]
    ended = subprocess.run([*map(str, command), "--run", run], env=environment(), capture_output=True, text=True)
    if ended.returncode:  # very busy
        assert "time was up before" in ended.stderr
        assert not (run / "incumbent").exists()
    else:
        assert (run / "best" / "model.lk").exists()
        assert (run / "best.yaml").read_text() == invoke("best", run)
        before = (run / "result.json").read_bytes()
        invoke("resume", run)  # nothing is left to do
        assert (run / "result.json").read_bytes() == before
    if not (run / "study.sqlite").exists():
        return
    invoke("resume", run, "--time", "1h")  # it ends when its trial has come to its end
    assert [row["epochs"] for row in json.loads((run / "leaderboard.json").read_text())] == [9]
    assert json.loads((run / "clock.json").read_text())["allowed"] > 3600


def test_an_interpreter_that_crashes_is_a_reason(tmp_path, monkeypatch):
    crash = tmp_path / "python"
    crash.write_text("#!/bin/sh\nkill -ABRT $$\n")
    crash.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(crash))
    with Pool(1, tmp_path / "log", 60) as pool:
        ((_, result),) = pool.run([task(0, 1)])
    assert result.reason == "died: " + "; ".join(["the process ended with code -6"] * 3)


@pytest.mark.slow
def test_a_full_disk_ends_the_search_and_is_no_reason(tmp_path):
    """Files cannot grow over 100 kB, as on a disk without room: the data cannot be prepared."""
    pytest.importorskip("resource")
    (tmp_path / "small.yaml").write_text(SPEC)
    run = tmp_path / "run"
    command = [sys.executable, "-m", "autoarch", "search", tmp_path / "small.yaml", "--trials", "1", "--run", run]
    limited = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000,) * 2); os.execv(sys.argv[1], sys.argv[1:])"
    full = subprocess.run(
        [sys.executable, "-c", limited, *map(str, command)], env={**environment(), "LAYERKIT_CACHE_DIR": str(tmp_path)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert full.returncode == 1
    assert "a worker cannot go on" in full.stderr
    assert f"autoarch resume {run}" in full.stderr
    invoke("resume", run)
    (row,) = json.loads((run / "leaderboard.json").read_text())
    assert (row["reason"], row["epochs"]) == (None, 9)
