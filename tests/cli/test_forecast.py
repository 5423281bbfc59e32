"""A forecast of hourly temperatures (vega_datasets) by the command alone, against what a naive forecaster would say."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from layerkit.cli import cli

LENGTH, HORIZON, TEST = 24, 6, 0.2
SPEC = f"""\
layerkit: 1
name: warmth
let: {{length: {LENGTH}}}
inputs:
  past: {{shape: [$length, 1]}}
layers:
  - Flatten
  - Dense: {{units: 16, activation: relu}}
  - Dense: 1
    name: temp
compile:
  optimizer: {{Adam: {{learning_rate: 3e-3}}}}
  loss: mse
fit: {{epochs: 4, batch_size: 32}}
data:
  csv: hours.csv
  target: temp
  window: {{length: $length, horizon: {HORIZON}}}
  split: {{validation: 0.1, test: {TEST}, column: date}}
  standardize: true
  standardize_target: true
"""


def call(*arguments: Any, code: int = 0) -> str:
    result = CliRunner().invoke(cli, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.slow
def test_a_forecast_beats_persistence(tmp_path: Path) -> None:
    hours = pytest.importorskip("vega_datasets").local_data.seattle_temps()
    temp = hours["temp"].to_numpy()
    order = np.random.default_rng(0).permutation(len(hours))  # the column date says how they follow one another
    hours.iloc[order].to_csv(tmp_path / "hours.csv", index=False)
    (tmp_path / "warmth.yaml").write_text(SPEC)
    found = json.loads(call("train", tmp_path / "warmth.yaml", "--run", tmp_path / "run", "--json"))
    held_out = temp[len(temp) - round(TEST * len(temp)) :]
    now, then = held_out[LENGTH - 1 : -HORIZON], held_out[LENGTH - 1 + HORIZON :]
    assert found["test_rows"] == len(now)

    hours.to_csv(tmp_path / "new.csv", index=False)
    call("predict", tmp_path / "run", tmp_path / "new.csv", "-o", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [int(rows[0]["last_row"]), int(rows[-1]["last_row"])] == [LENGTH, len(temp)]
    said = np.array([float(row["temp"]) for row in rows])
    error, persistence = np.mean((said[-len(now) - HORIZON : -HORIZON] - then) ** 2), np.mean((then - now) ** 2)
    assert error < 0.1 * persistence
    known = temp[: len(temp) - round(TEST * len(temp)) - round(0.1 * len(temp))]
    np.testing.assert_allclose(error, found["test"]["loss"] * known.var(), rtol=1e-3)
    shown = json.loads(call("evaluate", tmp_path / "run", "--json"))
    assert (shown["rows"], shown["results"]["loss"]) == (len(now), pytest.approx(found["test"]["loss"]))
    assert (
        json.loads(call("evaluate", tmp_path / "run", "--data", tmp_path / "new.csv", "--json"))["rows"]
        == len(temp) - 29
    )
    (tmp_path / "short.csv").write_text("date,temp\n2010-01-01,3.0\n")
    assert "at least 24, one after another" in call("predict", tmp_path / "run", tmp_path / "short.csv", code=1)
