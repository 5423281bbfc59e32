"""Runs that are killed at any moment go on to the same files, byte for byte."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import layerkit
from layerkit.cli import cli

ROOT = Path(__file__).parents[2]
SAME = ("model.lk", "best.lk", "history.csv")
HANGS_S = 600  # ends what would never end; how long a run takes is not tested

# Everything with a state of its own: dropout, moving averages, a schedule of the rate, early stopping, two optimizer slots.
SPEC = """\
layerkit: 1
name: rows
inputs:
  x: {shape: [6]}
layers:
  - Dense: {units: 48, activation: relu}
  - BatchNormalization
  - Dropout: 0.3
  - Dense: {units: 3, activation: softmax}
compile: {optimizer: {Adam: {learning_rate: 0.02}}, loss: sparse_categorical_crossentropy, metrics: [accuracy]}
fit:
  epochs: 400
  batch_size: 16
  callbacks:
    - ReduceLROnPlateau: {monitor: val_loss, factor: 0.7, patience: 4}
    - EarlyStopping: {monitor: val_loss, patience: 150, restore_best_weights: true}
data:
  npz: rows.npz
  standardize: true
  split: {validation: 0.2, test: 0.2}
"""


def start(*arguments: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LAYERKIT_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "layerkit", "train", *map(str, arguments), "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def finish(process: subprocess.Popen[str]) -> dict[str, object]:
    out, error = process.communicate(timeout=HANGS_S)
    assert process.returncode == 0, error
    return json.loads(out)  # type: ignore[no-any-return]


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 6)).astype("float32")
    y = (x[:, :3] + 0.7 * rng.normal(size=(600, 3))).argmax(1).astype("int32")
    np.savez(tmp_path / "rows.npz", x=x, y=y)
    (tmp_path / "rows.yaml").write_text(SPEC)
    return tmp_path / "rows.yaml"


def epochs_seen(folder: Path) -> int:
    try:
        return len((folder / "history.csv").read_text().splitlines()) - 1
    except OSError:
        return 0


def is_writing(folder: Path) -> bool:
    try:
        return any(name.startswith(".layerkit-") for name in os.listdir(folder / "checkpoint"))
    except OSError:  # not there yet, or replaced by a newer one right now
        return False


def kill_after(process: subprocess.Popen[str], folder: Path, epochs: int, wait_s: float, writing: bool = False) -> bool:
    """kill -9 some time after it has done more epochs, or while a checkpoint is being written; False if it had ended."""
    goal = epochs_seen(folder) + epochs
    while process.poll() is None and epochs_seen(folder) < goal:
        time.sleep(0.002)
    deadline = time.monotonic() + 5
    while writing and process.poll() is None and time.monotonic() < deadline:
        if is_writing(folder):
            break
    else:
        time.sleep(wait_s)
    has_ended = process.poll() is not None
    process.kill()
    process.communicate()
    return not has_ended


def kills(spec: Path, wanted: int, seed: int) -> int:
    """Kill runs until there were so many kills, and compare each run's files with those of one that never was."""
    whole = spec.parent / "whole"
    finish(start(spec, "--run", whole))
    total = epochs_seen(whole)
    expected = {name: (whole / name).read_bytes() for name in SAME}
    rng = random.Random(seed)
    done = number = written = 0
    while done < wanted:
        folder = spec.parent / f"run{number}"
        number += 1
        for attempt in range(8):
            process = start("--resume", folder) if (folder / "run.json").exists() else start(spec, "--run", folder)
            if attempt == 7 or done == wanted:
                break
            if not kill_after(process, folder, rng.randrange(total // 3), rng.uniform(0, 0.01), writing=done % 3 == 2):
                break
            done += 1
            written += any(folder.rglob(".layerkit-*.tmp"))
        if process.returncode is None:  # it was left alone
            finish(process)
        if not (folder / "results.json").exists():
            finish(start("--resume", folder))
        assert {name: (folder / name).read_bytes() for name in SAME} == expected
        assert not list(folder.rglob(".layerkit-*.tmp"))
    print(f"{done} kills, {written} of them while a file was being written, in {number} runs")
    return done


@pytest.mark.slow
def test_a_few_kills(spec):
    assert kills(spec, 3, seed=0) == 3


@pytest.mark.heavy
def test_twenty_kills_at_random_moments(spec):
    assert kills(spec, 20, seed=1) == 20


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_says_how_to_go_on(spec, sent):
    for attempt in range(50):  # on a busy machine a run may be over before the signal is sent
        folder = spec.parent / f"run{attempt}"
        process = start(spec, "--run", folder)
        while process.poll() is None and epochs_seen(folder) < 3:
            time.sleep(0.005)
        process.send_signal(sent)
        _, error = process.communicate(timeout=HANGS_S)
        if not (folder / "results.json").exists():
            break
    assert process.returncode == 1
    assert "Traceback" not in error
    assert f"layerkit train --resume {folder}" in error
    results = finish(start("--resume", folder))
    assert results["epochs"] == epochs_seen(folder)


@pytest.mark.slow
def test_two_at_a_time_are_refused(spec):
    folder = spec.parent / "run"
    process = start(spec, "--run", folder)
    while process.poll() is None and epochs_seen(folder) < 1:
        time.sleep(0.005)
    other = start("--resume", folder)
    other.communicate(timeout=HANGS_S)
    finish(process)
    assert other.returncode in (0, 1)  # 0 where the first had ended meanwhile


@pytest.fixture
def interrupted(monkeypatch):
    """Trains a spec in ``run``, breaks off after the fourth epoch, then does what it is given, and goes on."""

    def train(*arguments: object) -> int:
        return CliRunner().invoke(cli, ["train", *map(str, arguments), "--quiet"]).exit_code

    def run(spec: Path, folder: Path, between=lambda: None) -> None:
        real = layerkit.Model.save_backup

        def save_then_fail(self, path, epoch, *rest):
            real(self, path, epoch, *rest)
            if epoch == 3:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("layerkit.cli.runs.OVERHEAD", 0)  # a checkpoint after every epoch
            patch.setattr(layerkit.Model, "save_backup", save_then_fail)
            assert train(spec, "--run", folder) == 1
        between()
        assert train("--resume", folder) == 0

    return run


BLOCKS = """\
blocks:
  trunk:
    layers: [{Dense: {units: 4, activation: tanh}}, {Dropout: 0.2}, {Dense: 3}]
"""
WORDS = """\
layerkit: 1
include: parts/trunk.yaml
inputs:
  x: {shape: [2]}
  word: {shape: [1], dtype: string}
layers:
  - trunk:
    from: x
    name: read
  - StringLookup: {vocabulary: words.txt, output_mode: one_hot}
    from: word
    name: known
  - Concatenate:
    from: [read, known]
  - Dense: 1
compile: {optimizer: adam, loss: mse}
fit: {epochs: 6, batch_size: 16}
data:
  csv: tables/t.csv
  target: c
  split: {test: 0.2}
"""


def test_a_run_stands_alone(tmp_path, monkeypatch, interrupted):
    """Where its spec came from may be moved, edited or gone: files of blocks and of words are in the run."""
    here = tmp_path / "here"
    (here / "parts").mkdir(parents=True)
    (here / "tables").mkdir()
    rng = np.random.default_rng(0)
    rows = [f"{a:.4f},{b:.4f},{'up' if a > b else 'down'},{a - b:.4f}" for a, b in rng.normal(size=(200, 2))]
    (here / "tables/t.csv").write_text("a,b,word,c\n" + "\n".join(rows) + "\n")
    (here / "parts/trunk.yaml").write_text(BLOCKS)
    (here / "words.txt").write_text("up\ndown\n")
    (here / "own name.yaml").write_text(
        WORDS.replace("target: c\n", "target: c\n  features: {x: [a, b], word: word}\n")
    )
    invoke = CliRunner().invoke
    assert (
        invoke(cli, ["train", str(here / "own name.yaml"), "--run", str(tmp_path / "whole"), "--quiet"]).exit_code == 0
    )

    def move() -> None:
        (here / "own name.yaml").unlink()
        (here / "parts/trunk.yaml").write_text("blocks: {trunk: {layers: [{Dense: 99}]}}")
        (here / "words.txt").unlink()
        monkeypatch.chdir(tmp_path)

    interrupted(here / "own name.yaml", tmp_path / "run", move)
    for name in SAME:
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    facts = json.loads((tmp_path / "run/run.json").read_text())
    assert facts["data_folder"] == str(here)
    assert facts["files"] == ["parts/trunk.yaml", "words.txt"]
    assert (tmp_path / "run/parts/trunk.yaml").read_text() == BLOCKS
    results = json.loads(invoke(cli, ["evaluate", "run", "--json"]).stdout)["results"]
    assert results == json.loads((tmp_path / "run/results.json").read_text())["test"]
    assert invoke(cli, ["predict", "run", str(here / "tables/t.csv"), "-o", "p.csv"]).exit_code == 0
    assert invoke(cli, ["check", "run/spec.yaml"]).exit_code == 0


def test_a_run_that_never_began_leaves_no_folder(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/trunk.yaml").write_text(BLOCKS)
    np.savez(tmp_path / "t.npz", x=np.ones((20, 2)), y=np.full(20, 7))
    (tmp_path / "t.yaml").write_text(
        "layerkit: 1\ninclude: parts/trunk.yaml\ninputs: {x: {shape: [2]}}\nlayers: [trunk]\n"
        "compile: {optimizer: adam, loss: sparse_categorical_crossentropy}\nfit: {class_weight: {a: 2}}\ndata: {npz: t.npz}\n"
    )
    result = CliRunner().invoke(cli, ["train", str(tmp_path / "t.yaml"), "--run", str(tmp_path / "run")])
    assert result.exit_code == 1
    assert not (tmp_path / "run").exists(), result.stderr


def test_a_file_of_blocks_with_the_name_of_a_file_of_runs(tmp_path):
    (tmp_path / "spec.yaml").write_text(BLOCKS)
    np.savez(tmp_path / "t.npz", x=np.ones((20, 2)), y=np.ones(20))
    (tmp_path / "t.yaml").write_text(
        "layerkit: 1\ninclude: spec.yaml\ninputs: {x: {shape: [2]}}\nlayers: [trunk, {Dense: 1}]\n"
        "compile: {optimizer: adam, loss: mse}\ndata: {npz: t.npz, task: regression}\n"
    )
    result = CliRunner().invoke(cli, ["train", str(tmp_path / "t.yaml"), "--run", str(tmp_path / "run")])
    assert result.exit_code == 1
    assert "has the name of a file of runs" in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_run_larger_than_memory_goes_on_in_its_order(tmp_path, interrupted):
    """Batches that are read from disk come in the order of their epoch, also after a restart."""
    rng = np.random.default_rng(0)
    rows = [f"{a:.4f},{b:.4f},{a - b:.4f}" for a, b in rng.normal(size=(200, 2))]
    (tmp_path / "t.csv").write_text("a,b,c\n" + "\n".join(rows) + "\n")
    text = (
        "layerkit: 1\nname: t\ninputs:\n  x: {shape: [2]}\nlayers:\n  - Dense: 1\ncompile: {optimizer: adam, loss: mse}\n"
        "fit: {epochs: 6, batch_size: 16}\ndata:\n  csv: t.csv\n  target: c\n  in_memory: false\n"
    )
    (tmp_path / "t.yaml").write_text(text)

    whole = CliRunner().invoke(cli, ["train", str(tmp_path / "t.yaml"), "--run", str(tmp_path / "whole"), "--quiet"])
    assert whole.exit_code == 0
    interrupted(tmp_path / "t.yaml", tmp_path / "run")
    for name in SAME:
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
