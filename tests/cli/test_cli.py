"""The command as its user runs it: output, exit codes, no tracebacks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import layerkit

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "layerkit", *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )


def test_train_reaches_98_percent_on_held_out_rows(tmp_path):
    done = run("train", "examples/specs/digits_cnn.yaml", "--save", str(tmp_path / "m.lk"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Epoch ") == 25
    row = next(line for line in done.stdout.splitlines() if "accuracy" in line and "│" in line)
    assert float(row.split("│")[-2]) >= 0.98
    _, (x, y) = layerkit.datasets.digits()
    accuracy = (layerkit.load_model(tmp_path / "m.lk").predict(x, verbose=0).argmax(-1) == y).mean()
    assert accuracy >= 0.98


def test_summary():
    done = run("summary", "examples/specs/digits_residual.yaml")
    assert done.returncode == 0, done.stderr
    assert "2,650" in done.stdout


@pytest.mark.parametrize(("arguments", "code"), [(("train", "none.yaml"), 2), (("trian",), 2), (("--help",), 0)])
def test_exit_codes(arguments, code):
    assert run(*arguments).returncode == code


def test_faults_show_the_line_and_no_traceback(tmp_path):
    spec = tmp_path / "bad.yaml"
    spec.write_text("layerkit: 1\ninputs:\n  x: {shape: [8]}\nlayers:\n  - Dens: 3\n")
    done = run("summary", str(spec))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"{spec}:5:5" in done.stderr
    assert "  - Dens: 3" in done.stderr
    assert "did you mean 'Dense'?" in done.stderr


def test_cache_is_shown_and_cleared(tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERKIT_CACHE_DIR", str(tmp_path / "cache"))
    shown = run("cache")
    assert shown.returncode == 0
    assert str(tmp_path / "cache") in shown.stdout
    assert "entries  0" in shown.stdout
    (tmp_path / "cache" / ("0" * 64 + ".object")).write_bytes(b"x" * 2_000_000)
    assert "entries  1" in run("cache").stdout
    assert "removed 2.0 MB" in run("cache", "--clear").stdout
    assert "entries  0" in run("cache").stdout
