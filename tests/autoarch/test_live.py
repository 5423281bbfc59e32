"""The picture of a search in a terminal: of any width, kept up to date from several threads, gone without a trace."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import threading
from io import StringIO
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from autoarch.boards import board
from autoarch.cli import cli
from autoarch.cli.running import _watcher
from autoarch.halving import LOOK, rungs
from autoarch.live import Live, _expected
from autoarch.study import Study, ranked
from autoarch.tasks import Result
from autoarch.watching import Plain

ROOT = Path(__file__).parents[2]
ESCAPE = "\x1b"


def terminal(width: int = 100, height: int = 40) -> Console:
    return Console(
        file=StringIO(),
        width=width,
        height=height,
        force_terminal=True,
        color_system=None,
        record=True,
        legacy_windows=False,
    )


def drawn(live: Live, width: int = 100, height: int = 40) -> str:
    console = Console(file=StringIO(), width=width, height=height, record=True)
    console.print(live.picture(width, height))
    return console.export_text()


@pytest.fixture
def trials(made_run):
    with Study.open(made_run(27, spaces=("images_cnn", "images_transformer")), alone=False) as study:
        return study.trials()


@pytest.fixture
def live():
    watcher = Live(terminal())
    yield watcher
    watcher.ended()


def test_what_happens_is_drawn(live, trials):
    live.began(trials[:9], 27)
    assert "9/27 trials, round 1" in drawn(live)
    fresh = [type(t)(**{**t.__dict__, "results": {}}) for t in trials[9:18]]
    live.proposed(fresh)
    live.epoch(9, 1, {"loss": 0.4, "val_loss": 0.5, "val_accuracy": 0.8765})
    text = drawn(live)
    assert "9/27 trials, round 2, rung 1 of 3" in text
    assert re.search(r" 9 +1/2 +0\.8765 +random", text)  # the first of three rungs of 18 epochs
    live.result(9, 2, Result({"loss": 0.1, "accuracy": 0.9999}, parameters=4321))
    live.result(10, 2, Result(reason=f"diverged: [red]{ESCAPE}[2Jloss"))
    text = drawn(live)
    assert "0.8765" not in text
    assert "training" not in text
    assert "trial 10  diverged: [red]?[2Jloss" in text
    assert "4,321" in drawn(live, width=140, height=60)
    assert not fresh[0].results  # what it was told is left as it is


def test_what_comes_in_place_of_rejected_trials_is_of_their_round(live, trials):
    fresh = [type(t)(**{**t.__dict__, "results": {}}) for t in trials[:9]]
    live.began([], 27)
    live.proposed(fresh[:8])
    live.result(0, 0, Result(reason="rejected: 9 parameters"))
    live.proposed(fresh[8:])
    assert "1/27 trials, round 1, rung 1 of 3" in drawn(live)  # those that were not rejected are still to be trained
    for number in range(1, 9):
        live.result(number, 2, Result({"loss": 1.0, "accuracy": number / 10}))
        assert ("1/27" if number < 8 else "7/27 trials, round 1, rung 2 of 3") in drawn(live)  # two of eight go on


def test_a_search_that_goes_on_is_at_the_rung_where_it_was(live, trials):
    """A study knows that trials were looked at before they were trained."""
    looked = [type(t)(**{**t.__dict__, "results": {LOOK: Result(parameters=9), 0: t.results[0]}}) for t in trials[:3]]
    live.began(looked, 27)
    assert "round 1, rung 2 of 3" in drawn(live)
    live.result(0, 6, Result({"loss": 0.1, "accuracy": 0.9}))
    assert live._trials[0].rung == 1


@pytest.mark.parametrize("width", [30, 60, 80, 120, 200])
@pytest.mark.parametrize("height", [5, 24, 60])
def test_it_fits_any_terminal(live, trials, width, height):
    live.began(trials, 100)
    for trial in trials[:4]:
        live.epoch(trial.number, 1, {"val_accuracy": 0.5})
    lines = drawn(live, width, height).splitlines()
    assert max(map(len, lines)) <= width
    assert ("accuracy against parameters" in "\n".join(lines)) == (width >= 72 and height == 60)
    if width >= 60:
        head = next(line for line in lines if "rank" in line)
        assert "accuracy" in head


def test_the_time_that_is_left(trials):
    watcher = Live(terminal(), left=lambda: 90.2)
    watcher.began(trials[:9], None)
    text = drawn(watcher)
    assert text.startswith("9 trials, round 1, rung 3 of 3, ")
    assert " spent, 1:30 left" in text
    watcher.ended()


def test_epochs_that_a_trial_trains_on_average():
    """Of 18: two by all, four more by a third, twelve more by a ninth."""
    assert rungs(18) == [2, 6, 18]
    assert _expected(18) == pytest.approx(2 + 4 / 3 + 12 / 9)


def test_the_time_that_is_left_is_estimated_by_the_pace(live, trials, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("autoarch.live.time.monotonic", lambda: now[0])
    fresh = [type(t)(**{**t.__dict__, "results": {}}) for t in trials[:9]]
    live.began([], 9)
    live.proposed(fresh)
    for trial in fresh[:7]:
        now[0] += 10
        live.epoch(trial.number, 1, {"val_accuracy": 0.5})
    # 9 trials of 4 2/3 epochs are 42; 7 took 70 s, 35 are left
    assert "1:10 spent, about 5:50 left" in drawn(live)


def test_told_from_many_threads_while_it_draws(live, trials):
    live.began(trials, 100)
    threads = [
        threading.Thread(target=lambda n=n: [live.epoch(n, e, {"val_accuracy": e / 200}) for e in range(200)])
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        drawn(live)
    assert "199/" in drawn(live)


def test_lines_that_stay_and_an_end_without_a_trace(trials):
    console = terminal()
    live = Live(console)
    live.phase("note: [b]10 rows are twice there")
    live.began(trials, 27)
    live.phase("trial 3 is the best; its spec is trained from scratch")
    live.ended()
    live.ended()
    text = console.file.getvalue()
    assert "note: [b]10 rows are twice there" in text
    assert "trial 3 is the best" in text
    assert text.rindex(f"{ESCAPE}[?25h") > text.rindex(f"{ESCAPE}[?25l")  # the cursor is there


def test_lines_where_the_output_is_no_terminal(tmp_path, monkeypatch):
    assert isinstance(_watcher(tmp_path, False, False, None, 0.0), Plain)
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes it for a terminal then
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(_watcher(tmp_path, False, False, None, 0.0), Live)
    assert isinstance(_watcher(tmp_path, True, False, None, 0.0), Plain)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(_watcher(tmp_path, False, False, None, 0.0), Plain)


SPEC = """\
layerkit: 1
name: small
inputs: {image: {shape: [8, 8, 1]}}
layers: [Flatten, {Dense: {units: !choice [8, 16], activation: relu}}, {Dense: {units: 10, activation: softmax}}]
compile: {optimizer: sgd, loss: sparse_categorical_crossentropy, metrics: [accuracy]}
fit: {epochs: 2000, batch_size: 32}
data: {dataset: digits}
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX's")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_search_leaves_the_terminal_as_it_was(how, tmp_path):
    (tmp_path / "small.yaml").write_text(SPEC)
    ours, theirs = pty.openpty()
    arguments = ["search", tmp_path / "small.yaml", "--trials", 2, "--workers", 1, "--run", tmp_path / "run"]
    process = subprocess.Popen(
        [sys.executable, "-m", "autoarch", *map(str, arguments)], stdin=theirs, stdout=theirs, stderr=theirs,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "60", "LINES": "20"}, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    while b"training" not in seen:  # the table of those that train
        seen += os.read(ours, 65536)
    process.send_signal(how)
    while True:
        try:
            more = os.read(ours, 65536)
        except OSError:  # nobody holds the other end any more
            break
        if not more:
            break
        seen += more
    os.close(ours)
    assert process.wait() in (1, -how)
    assert seen.rindex(b"\x1b[?25h") > seen.rindex(b"\x1b[?25l")
    assert b"Traceback" not in seen
    assert (b"autoarch resume" in seen) == (how == signal.SIGINT)


# show -----------------------------------------------------------------------------------------------------------------


def test_show_prints_every_trial_and_the_disk(made_run):
    folder = made_run(20)
    output = CliRunner().invoke(cli, ["show", str(folder)], catch_exceptions=False).output
    lines = output.splitlines()
    assert lines[0].split() == ["rank", "trial", "accuracy", "loss", "epochs", "parameters", "epoch", "values"]
    assert [line.split()[0] for line in lines if line[:4].strip().isdigit()] == [str(i) for i in range(1, 21)]
    assert "rejected: 123,456 parameters" in output
    assert lines[-1].startswith("disk ")


def test_show_as_json(made_run):
    import json

    folder = made_run(5)
    (folder / "trials" / "3").mkdir(parents=True)
    (folder / "trials" / "3" / "state.lk").write_bytes(b"0" * 1234)
    found = json.loads(CliRunner().invoke(cli, ["show", str(folder), "--json"], catch_exceptions=False).output)
    assert found["disk"]["trials"] == 1234
    assert found["disk_bytes"] == sum(found["disk"].values())
    assert [row["rank"] for row in found["trials"]] == [1, 2, 3, 4, 5]
    assert found["trials"][0]["parameters"] % 65 == 0
    assert found["trials"][0]["epoch_seconds"] == pytest.approx(0.05, abs=0.01)


def test_a_board_of_a_narrow_terminal_keeps_what_matters(trials):
    console = Console(file=StringIO(), width=40, record=True)
    console.print(board(ranked(trials), width=40))
    assert console.export_text().splitlines()[0].split()[:3] == ["rank", "trial", "accuracy"]
