"""Whole searches through the command: the same result for any number of workers and after kills."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import autoarch
import layerkit
from autoarch.cli import cli
from autoarch.cli.search import _new_folder
from autoarch.coordinator import start, work
from autoarch.options import prepare
from autoarch.pool import Pool
from autoarch.study import Study
from autoarch.tasks import Limits, Task
from autoarch.watching import Watcher
from layerkit.errors import ArgumentError, StateError

ROOT = Path(__file__).parents[2]
SPEC = """\
layerkit: 1
name: small
inputs: {image: {shape: [8, 8, 1]}}
layers:
  - Flatten
  - !choice
    - Dense: {units: !int {low: 8, high: 64, step: 8}, activation: !choice [relu, tanh]}
    - Dropout: !float {low: 0.1, high: 0.5}
  - Dense: {units: 10, activation: softmax}
compile:
  optimizer: {Adam: {learning_rate: !float {low: 1e-3, high: 1e-1, log: true}}}
  loss: sparse_categorical_crossentropy
  metrics: [accuracy]
fit: {epochs: 9, batch_size: !choice [32, 64], validation_split: 0.25}
data: {dataset: digits}
"""
FILES = ("leaderboard.json", "best.yaml", "best/model.lk")


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "autoarch", *map(str, arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def invoke(*arguments: object) -> str:
    result = CliRunner().invoke(cli, list(map(str, arguments)), catch_exceptions=False, env={"PYTHONPATH": str(ROOT)})
    assert result.exit_code == 0, result.output
    return result.output


def contents(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in FILES]


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    path = tmp_path_factory.mktemp("spec") / "small.yaml"
    path.write_text(SPEC)
    return path


@pytest.fixture(scope="module")
def undisturbed(spec, tmp_path_factory):
    folder = tmp_path_factory.mktemp("search") / "run"
    output = invoke("search", spec, "--trials", 8, "--round", 5, "--run", folder)
    return folder, output


@pytest.mark.slow
def test_a_search_leaves_what_it_promises(undisturbed):
    folder, output = undisturbed
    board = json.loads((folder / "leaderboard.json").read_text())
    assert [row["epochs"] for row in sorted(board, key=lambda r: r["trial"])].count(9) == 2  # one of each round
    assert sorted(row["trial"] for row in board) == list(range(8))
    result = json.loads((folder / "result.json").read_text())
    assert result["rows"] == {"train": 1082, "validation": 360, "test": 355}
    assert result["baselines"]["majority"]["test"] == pytest.approx(
        36 / 355, abs=2 / 355
    )  # ten classes, nearly as many of each
    assert result["baselines"]["linear"]["test"] > 0.9
    assert result["model"]["test"] > 0.9
    assert "majority" in output
    assert "better than" in (folder / "report.html").read_text()
    assert json.loads((folder / "sessions.jsonl").read_text().splitlines()[0])["versions"]["layerkit"]
    assert [len(f["validation"]) for f in result["finalists"]] == [3, 3]
    best = max(result["finalists"], key=lambda f: f["mean"])
    assert best["trial"] == result["best_trial"]
    assert result["seeds"]["test"][0] == result["model"]["test"]  # the model is one of them
    assert len(result["seeds"]["test"]) == 3
    low, high = result["interval"]
    assert low < result["model"]["test"] < high
    assert result["claim"]["sentence"] in output
    assert np.sum(result["confusion"]) == 355
    assert np.trace(result["confusion"]) == round(355 * result["model"]["test"])
    assert result["selection_bias"]["candidates"] == 8
    assert result["checks"] == json.loads((folder / "checks.json").read_text())
    assert not list((folder / "trials").glob("*"))
    assert "trial" in invoke("show", folder)
    assert invoke("best", folder) == (folder / "best.yaml").read_text()
    before = contents(folder)
    invoke("resume", folder)  # nothing is left to do
    assert contents(folder) == before


@pytest.mark.slow
def test_a_search_that_goes_on_after_its_end_trains_nothing_again(undisturbed, tmp_path):
    folder = shutil.copytree(undisturbed[0], tmp_path / "run")
    found = json.loads((folder / "result.json").read_text())
    output = invoke("resume", folder, "--time", "1h")
    assert "0 of 8 trials are not done" in output
    assert not [line for line in output.splitlines() if line.startswith(("finalist ", "trial   "))]
    assert contents(folder) == contents(undisturbed[0])
    again = json.loads((folder / "result.json").read_text())
    assert (again["model"], again["seeds"], again["finalists"]) == (found["model"], found["seeds"], found["finalists"])


@pytest.mark.slow
def test_the_model_is_what_train_makes_of_the_best_spec(undisturbed, tmp_path):
    folder, _ = undisturbed
    arguments = [sys.executable, "-m", "layerkit", "train", folder / "best.yaml", "--run", tmp_path / "run", "--quiet"]
    subprocess.run(arguments, check=True, env=environment(), capture_output=True)
    for name in (
        "model.lk",
        "best.lk",
        "history.csv",
        "spec.yaml",
        "run.json",
    ):  # it was trained as a finalist, by a worker
        assert (folder / "best" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()
    ours, theirs = (layerkit.saving.load_model(f / "model.lk") for f in (folder / "best", tmp_path / "run"))
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()
    (_, _), (x, y) = layerkit.datasets.digits()
    accuracy = float(np.mean(theirs.predict(x, verbose=0).argmax(-1) == y))
    assert json.loads((folder / "result.json").read_text())["model"]["test"] == pytest.approx(accuracy)


@pytest.mark.slow
def test_two_workers_and_kills_change_nothing(undisturbed, spec, tmp_path):
    """Coordinators and workers are killed at random moments until the search is done."""
    folder, chance = tmp_path / "run", random.Random(0)
    arguments = command("search", spec, "--trials", 8, "--round", 5, "--workers", 2, "--run", folder)
    kills = 0
    for _ in range(60):
        process = subprocess.Popen(arguments, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        time.sleep(chance.uniform(0.3, 0.9) + kills)  # rising, so that it comes to its end on a slow machine too
        if chance.random() < 0.5:
            for worker in children(process.pid):
                with suppress(ProcessLookupError):  # it was ended just now
                    os.kill(worker, signal.SIGKILL)
            time.sleep(0.3)
        if process.poll() is None:
            process.kill()
            kills += 1
        output = process.communicate()[0].decode()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, output
        if (folder / "study.sqlite").exists():
            arguments = command("resume", folder, "--workers", 2)
    assert process.returncode == 0
    assert kills > 1
    assert contents(folder) == contents(undisturbed[0])


def children(pid: int) -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # a thread that is gone
            found += map(int, path.read_text().split())
    return found


BLOCKS = "layerkit: 1\nblocks: {wide: {parameters: {units: }, layers: [{Dense: {units: $units, activation: relu}}]}}\n"


@pytest.mark.slow
def test_files_that_the_best_spec_names_lie_beside_it(tmp_path):
    (tmp_path / "own.yaml").write_text(BLOCKS)
    text = SPEC.split("layers:")[0] + "include: [own.yaml]\nlayers: [Flatten, {wide: {units: !choice [8, 9]}}, {Dense: {units: 10, activation: softmax}}]\n"  # fmt: skip
    text += "compile: {loss: sparse_categorical_crossentropy, metrics: [accuracy]}\nfit: {epochs: 1}\ndata: {dataset: digits}\n"
    (tmp_path / "small.yaml").write_text(text)
    invoke("search", tmp_path / "small.yaml", "--trials", 1, "--run", tmp_path / "run")
    (tmp_path / "own.yaml").unlink()
    arguments = [
        sys.executable,
        "-m",
        "layerkit",
        "train",
        tmp_path / "run" / "best.yaml",
        "--run",
        tmp_path / "again",
        "--quiet",
    ]
    subprocess.run(list(map(str, arguments)), check=True, env=environment(), capture_output=True)
    assert (tmp_path / "again" / "model.lk").read_bytes() == (tmp_path / "run" / "best" / "model.lk").read_bytes()


@pytest.mark.parametrize("name", ["lock", "spec.yaml"])
def test_files_that_a_spec_names_are_called_otherwise_than_those_of_a_search(tmp_path, name):
    (tmp_path / name).write_text(BLOCKS)
    (tmp_path / "small.yaml").write_text(SPEC.replace("layers:\n", f"include: [{name}]\nlayers:\n", 1))
    with pytest.raises(ArgumentError, match="the name of a file"):
        prepare([tmp_path / "small.yaml"], None, trials=3)


@pytest.mark.slow
def test_failures_are_results_with_reasons(tmp_path):
    good = SPEC.split("layers:")[0] + "layers: [Flatten, {Dense: {units: 10, activation: softmax}}]\n"
    good += "compile: {optimizer: sgd, loss: sparse_categorical_crossentropy}\ndata: {dataset: digits, split: {validation: 0.2}}\n"
    texts = {
        "good": good,
        "spec": good.replace("units: 10", "unit: 10"),
        "diverged": good.replace("units: 10, activation: softmax", "units: 1")
        .replace("optimizer: sgd", "optimizer: {SGD: {learning_rate: 1e30}}")
        .replace("sparse_categorical_crossentropy", "mse"),
        "rejected": good.replace("units: 10", "units: 100"),
    }
    tasks = [
        Task(
            i,
            text,
            "small.yaml",
            None,
            0,
            0 if name == "rejected" else 3,
            str(tmp_path / str(i)),
            str(tmp_path / "prepared"),
            Limits(1000, 10**9),
        )
        for i, (name, text) in enumerate(texts.items())
    ]
    with Pool(1, tmp_path / "log", 60) as pool:
        results = {task.number: result for task, result in pool.run(tasks)}
    assert results[0].reason is None
    assert results[0].parameters == 650
    for number, name in enumerate(texts):
        assert number == 0 or str(results[number].reason).startswith(f"{name}: "), results[number]


@pytest.mark.slow
def test_a_fault_of_the_machine_ends_the_search_and_fails_no_trial(undisturbed, spec, tmp_path):
    folder = tmp_path / "run"
    start(folder, prepare([spec], None, trials=8, round_size=5))
    (folder / "trials").write_text("in the way of the checkpoints")
    result = CliRunner().invoke(cli, ["resume", str(folder)])
    assert result.exit_code == 1
    assert "a worker cannot go on" in result.output
    (folder / "trials").unlink()
    invoke("resume", folder)
    assert contents(folder) == contents(undisturbed[0])


@pytest.mark.slow
def test_a_regression_beside_the_mean_and_a_linear_model(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    y = x @ [1.0, -2.0, 0.5] + 3 + 0.1 * rng.normal(size=400)
    rows = "\n".join(",".join(f"{v:.6f}" for v in (*a, b)) for a, b in zip(x, y, strict=True))
    (tmp_path / "rows.csv").write_text(f"a,b,c,y\n{rows}\n")
    (tmp_path / "line.yaml").write_text("""\
layerkit: 1
inputs: {x: {shape: [3]}}
layers: [{Dense: {units: !choice [8, 16], activation: relu}}, {Dense: 1}]
compile: {optimizer: {Adam: {learning_rate: !float {low: 0.01, high: 0.1, log: true}}}, loss: mse}
fit: {epochs: 20}
data: {csv: other.csv, target: y}
""")
    output = invoke(
        "search", tmp_path / "line.yaml", "--data", tmp_path / "rows.csv", "--trials", 2, "--run", tmp_path / "run"
    )
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["rows"] == {"train": 240, "validation": 80, "test": 80}
    assert result["measure"] == "mean_squared_error"
    assert result["baselines"]["mean"]["test"] == pytest.approx(5.25, rel=0.4)  # 1 + 4 + 0.25: the variance of y
    assert result["baselines"]["linear"]["test"] == pytest.approx(0.01, rel=0.4)  # that of the noise
    assert result["beats_baselines"] is False  # nothing is better than a line on a line
    assert "no candidate beats the baselines" in output
    assert result["model"]["test"] < 1


@pytest.mark.slow
def test_a_model_of_several_outputs_is_told_by_its_loss(tmp_path):
    rng = np.random.default_rng(0)
    rows = [f"{a:.3f},{2 * a:.3f},{'up' if a > 0 else 'down'}" for a in rng.normal(size=100)]
    (tmp_path / "rows.csv").write_text("\n".join(["a,twice,way", *rows]) + "\n")
    (tmp_path / "two.yaml").write_text("""\
layerkit: 1
inputs: {x: {shape: [1]}}
layers:
  - {Dense: {units: !choice [4, 8], activation: relu}, name: body}
  - {Dense: {units: 2, activation: softmax}, name: way}
  - {Dense: 1, from: body, name: twice}
outputs: [way, twice]
compile: {loss: {way: sparse_categorical_crossentropy, twice: mse}, metrics: {way: [accuracy]}}
fit: {epochs: 1}
data: {csv: rows.csv, target: {way: way, twice: twice}}
""")
    output = invoke("search", tmp_path / "two.yaml", "--trials", 1, "--run", tmp_path / "run")
    found = json.loads((tmp_path / "run" / "result.json").read_text())
    trained = json.loads((tmp_path / "run" / "best" / "results.json").read_text())
    assert found["measure"] == "loss"
    assert found["model"] == {part: pytest.approx(trained[part]["loss"]) for part in ("validation", "test")}
    assert f"{trained['test']['loss']:.4f}" in output


def test_one_that_never_answers_is_given_up(tmp_path, monkeypatch):
    silent = tmp_path / "python"
    silent.write_text("#!/bin/sh\nexec sleep 600\n")
    silent.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(silent))
    with Pool(1, tmp_path / "log", 0.05) as pool:
        ((_, result),) = pool.run(
            [Task(0, SPEC, "small.yaml", None, 0, 1, str(tmp_path / "0"), str(tmp_path / "prepared"))]
        )
    assert result.reason == "died: " + "; ".join(["no answer in 0.05 s"] * 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("epochs: 9", "epochs: !int {low: 1, high: 9}"), "the epochs are not searched"),
        (("epochs: 9", "epochs: 0"), "trains one epoch at least"),
        (("data: {dataset: digits}", ""), "does not say how the data are read"),
        (("data: {dataset: digits}", "data: {csv: {path: a.csv, test: b.csv}, target: y}"), "another folder"),
    ],
)
def test_wrong_use_is_told(tmp_path, change, message):
    path = tmp_path / "small.yaml"
    path.write_text(SPEC.replace(*change))
    result = CliRunner().invoke(cli, ["search", str(path), "--run", str(tmp_path / "run")])
    assert result.exit_code == 1
    assert message in result.output
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_not_empty_is_refused_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("autoarch.options.prepare", lambda *_, **__: pytest.fail("the data are read"))
    monkeypatch.setattr("autoarch.python.prepare", lambda *_, **__: pytest.fail("the data are read"))
    (tmp_path / "mine.txt").write_text("kept")
    for place, says in ((tmp_path, "is not empty"), (tmp_path / "mine.txt", "is a file")):
        with pytest.raises(ArgumentError, match=says):
            autoarch.search(data="digits", run=place)
    result = CliRunner().invoke(cli, ["search", "--data", "digits", "--run", str(tmp_path)])
    assert result.exit_code == 1
    assert "is not empty" in result.output
    (tmp_path / "mine.txt").rename(tmp_path / "study.sqlite")
    with pytest.raises(ArgumentError) as caught:
        autoarch.search(data="digits", run=tmp_path)
    assert caught.value.fix == f"autoarch resume {tmp_path}"


def test_a_folder_without_a_search_is_told(tmp_path):
    result = CliRunner().invoke(cli, ["resume", str(tmp_path)])
    assert result.exit_code == 1
    assert "holds no search" in result.output
    with sqlite3.connect(tmp_path / "study.sqlite") as connection:
        connection.execute("CREATE TABLE x (y)")
    connection.close()
    result = CliRunner().invoke(cli, ["show", str(tmp_path)])
    assert result.exit_code == 1
    assert "no such table" in result.output


def without_an_end(folder: Path) -> None:
    """As a search with --time has its options."""
    with sqlite3.connect(folder / "study.sqlite") as connection:
        (text,) = connection.execute("SELECT text FROM options").fetchone()
        connection.execute("UPDATE options SET text = ?", [json.dumps({**json.loads(text), "trials": None})])
    connection.close()


def test_a_finished_search_is_not_gone_on_with(made_run):
    folder = made_run(9)
    without_an_end(folder)
    (folder / "clock.json").write_text('{"allowed": 1000, "spent": 1}')
    before = (folder / "result.json").read_bytes()
    work(folder, workers=1, watcher=Watcher())
    with Study.open(folder, alone=False) as study:
        assert len(study.trials()) == 9
    assert (folder / "result.json").read_bytes() == before


def test_a_search_that_nothing_ends_is_told(made_run):
    folder = made_run(9, finished=False)
    without_an_end(folder)
    with pytest.raises(StateError, match="how long the search may take"):
        work(folder, workers=1, watcher=Watcher())


def test_searches_that_begin_at_once_get_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [str(_new_folder("digits")) for _ in range(2)] == ["searches/digits-1", "searches/digits-2"]
