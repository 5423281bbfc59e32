"""What becomes of a search that is finished: files for use elsewhere, several runs beside each other."""

from __future__ import annotations

import json
import runpy

import numpy as np
import pytest
from click.testing import CliRunner

import autoarch
import layerkit
from autoarch.cli import cli
from layerkit.models import load_model


def invoke(*arguments, code=0):
    result = CliRunner().invoke(cli, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        autoarch.search(data="digits", spaces=["mlp"], trials=1, seed=seed, run=folder / str(seed))
    return folder


@pytest.mark.slow
def test_each_file_is_the_winner(runs, tmp_path):
    invoke("export", runs / "0", tmp_path / "out")
    model = autoarch.Result(runs / "0").best_model
    weights = [w.tobytes() for w in model.get_weights()]
    assert [w.tobytes() for w in load_model(tmp_path / "out" / "model.lk").get_weights()] == weights
    layerkit.utils.set_random_seed(5)
    again = runpy.run_path(str(tmp_path / "out" / "model.py"))["build"]()
    assert [w.tobytes() for w in again.get_weights()] != weights
    again.load_weights(tmp_path / "out" / "model.safetensors")
    x = np.ones((2, 8, 8, 1), "float32")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert (tmp_path / "out" / "model.yaml").read_text() == (runs / "0" / "best.yaml").read_text()
    assert (tmp_path / "out" / "result.json").exists()


@pytest.mark.slow
def test_two_runs_beside_each_other(runs):
    found = json.loads(invoke("compare", runs / "0", runs / "1", "--json"))
    assert found["comparable"] is True
    results = [json.loads((runs / n / "result.json").read_text()) for n in "01"]
    assert [r["test"] for r in found["runs"]] == [r["model"]["test"] for r in results]
    text = invoke("compare", runs / "0", runs / "1")
    assert f"{results[1]['model']['test']:.4f}" in text
    assert "warning" not in text
    assert "equal architectures" in invoke("compare", runs / "0", runs / "0")


@pytest.mark.slow
def test_wrong_use_is_told(runs, tmp_path):
    assert "none of .lk" in invoke("export", runs / "0", tmp_path / "model.onnx", code=2)
    assert "two runs or more" in invoke("compare", runs / "0", code=2)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert "is not empty" in invoke("export", runs / "0", tmp_path / "full", code=1)
    assert "no search that is finished" in invoke("export", tmp_path / "full", tmp_path / "m.lk", code=1)
