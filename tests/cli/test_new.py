"""Specs to begin with: each is whole, and learns something from its data in a few epochs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from layerkit.cli import cli
from layerkit.cli.generated import FILES
from layerkit.cli.new import TASKS


def call(*arguments: Any, code: int = 0) -> str:
    result = CliRunner().invoke(cli, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "epochs", "metric", "least"),
    [
        ("images", 5, "accuracy", 0.9), ("tabular", 15, "accuracy", 0.8), ("series", 10, "accuracy", 0.8), ("text", 10, "accuracy", 0.8),
        ("video", 8, "accuracy", 0.9), ("translation", 15, "accuracy", 0.7), ("regression", 30, "mae", 0.4), ("forecast", 6, "mae", 0.25),
    ],
)  # fmt: skip
def test_each_learns(task: str, epochs: int, metric: str, least: float, tmp_path: Path) -> None:
    spec = tmp_path / f"{task}.yaml"
    call("new", task, "-o", spec)
    if task in FILES:
        assert (tmp_path / FILES[task][0]).exists()
    call("check", spec)
    out = call("train", spec, "--run", tmp_path / "run", "--set", f"fit.epochs={epochs}", "--json")
    reached = json.loads(out)["test"][metric]
    assert reached >= least if metric == "accuracy" else reached <= least
    if task != "images":
        printed = call("predict", tmp_path / "run", tmp_path / FILES[task][0], "-o", tmp_path / "out.npz")
        assert "rows to" in printed


def test_the_list_has_every_task() -> None:
    shown = call("new", "--list")
    assert all(task in shown for task in TASKS)
    assert json.loads(call("new", "--json")) == TASKS


def test_files_that_exist_are_left_alone(tmp_path: Path) -> None:
    spec = tmp_path / "tabular.yaml"
    (tmp_path / "tabular.csv").write_text("mine")
    assert "exists" in call("new", "tabular", "-o", spec, code=1)
    assert not spec.exists()
    assert (tmp_path / "tabular.csv").read_text() == "mine"


def test_data_are_the_same_each_time() -> None:
    for name, make in FILES.values():
        if name.endswith(".csv"):
            assert make() == make()
