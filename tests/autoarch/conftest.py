"""Runs that were never trained: studies written directly, for what only reads them."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

import builders
from autoarch.halving import promoted, rungs
from autoarch.options import Options, Space
from autoarch.space import propose
from autoarch.study import Study, Trial
from autoarch.tasks import Result

SPACE = """\
layerkit: 1
name: %s
inputs: {image: {shape: [8, 8, 1]}}
layers:
  - Flatten
  - Dense: {units: !int {low: 8, high: 64, step: 8}, activation: !choice [relu, tanh]}%s
  - Dense: {units: 10, activation: softmax}
compile:
  optimizer: {Adam: {learning_rate: !float {low: 1e-3, high: 1e-1, log: true}}}
  loss: sparse_categorical_crossentropy
  metrics: [accuracy]
fit: {epochs: 18, batch_size: !choice [32, 64]}
data: {dataset: digits, split: {validation: 0.2}}
"""
CHOICE = "\n  - !choice\n    - Dropout: !float {low: 0.1, high: 0.5}\n    - BatchNormalization"


def score(trial: Trial, epoch: int, rng: np.random.Generator) -> float:
    """An accuracy that the learning rate decides, and luck a little."""
    rate = next(v for n, v in trial.drawn.values.items() if n.endswith("learning_rate"))
    best = 0.98 - 0.25 * abs(math.log10(rate) + 2)
    return float(np.clip(best - 0.5 * math.exp(-epoch / 2) + rng.normal(0, 0.004), 0.01, 0.999))


def result(trial: Trial, epochs: int, rng: np.random.Generator, costs: bool) -> Result:
    if trial.number % 17 == 5:
        return Result(reason="diverged: loss is not finite, <b>nan</b>")
    if trial.number % 17 == 11:
        return Result(reason="rejected: 123,456 parameters", parameters=123456)
    history = []
    for epoch in range(1, epochs + 1):
        reached = score(trial, epoch, rng)
        history.append({
            "loss": 1.9 * (1 - reached), "accuracy": min(1.0, reached + 0.01), "val_loss": 2 * (1 - reached),
            "val_accuracy": reached, "seconds": 0.05 + 0.001 * (trial.number % 40),
        })  # fmt: skip
    parameters = 65 * int(next(v for n, v in trial.drawn.values.items() if n.endswith("units")))
    scores = {"loss": history[-1]["val_loss"], "accuracy": history[-1]["val_accuracy"]}
    found = {"bytes": 1e5 * parameters, "seconds": history[-1]["seconds"]}
    seen = {"bytes": 1.05e5 * parameters, "seconds": history[-1]["seconds"] * 1.1}
    return Result(scores, history, parameters, found if costs else {}, seen if costs else {})


@pytest.fixture
def made_run(tmp_path):
    """Makes the folder of a run: of some trials, with or without a result; it trains nothing."""

    def make(
        trials: int, name: str = "run", *, spaces: tuple[str, ...] = ("dense",), finished: bool = True, seed: int = 0,
        costs: bool = False, choice: str = CHOICE, findings: object = None, **found: object,
    ) -> Path:  # fmt: skip
        folder, rng = tmp_path / name, np.random.default_rng(seed)
        texts = {space: SPACE % (space, choice) for space in spaces}
        options = Options(tuple(Space(s, t, f"{s}.yaml", 18) for s, t in texts.items()), None, trials, seed)
        Study.create(folder, asdict(options))
        specs = {space: builders.loads(text) for space, text in texts.items()}
        with Study.open(folder) as study:
            study._connection.execute("PRAGMA synchronous = OFF")
            some = propose(specs, [], min(trials, 60), seed=seed, sampler="random")
            proposals = [some[i % len(some)] for i in range(trials)]  # drawing takes a while
            made = [Trial(i, i // 9, p.space, 18, p.why, p.drawn, p.spec.text) for i, p in enumerate(proposals)]
            for number in range(0, -(-trials // 9)):
                going = [t for t in made if t.round == number]
                study.add_round(number, going)
                for rung, epochs in enumerate(rungs(18)):
                    for trial in going:
                        trial.results[rung] = result(trial, epochs, rng, costs)
                        study.add_result(trial.number, rung, trial.results[rung])
                    going = promoted(going, rung) if rung < 2 else []
        if findings is not None:
            (folder / "checks.json").write_text(json.dumps(findings))
        if finished:
            best = max((t for t in made if t.is_complete and t.reason is None), key=lambda t: t.merit)
            text = json.dumps({"trials": trials, "best_trial": best.number, "space": best.space, **RESULT, **found})
            (folder / "result.json").write_text(text)
        return folder

    return make


RESULT = {
    "train": "layerkit train run/best.yaml --seed 0",
    "rows": {"train": 1154, "validation": 288, "test": 355},
    "measure": "accuracy",
    "model": {"validation": 0.99, "test": 0.9831},
    "interval": [0.9635, 0.9922],
    "baselines": {
        "majority": {"validation": 0.09, "test": 0.1014, "interval": [0.074, 0.137]},
        "linear": {"validation": 0.972, "test": 0.9577, "interval": [0.9314, 0.9742]},
    },
    "claim": {
        "is_better": True, "level": 0.02, "sentence": "better than every baseline (p < 0.02 against each)",
        "comparisons": [
            {"baseline": "majority", "gain": 0.88, "p": 1e-90, "better": 315, "worse": 2, "test": "exact McNemar"},
            {"baseline": "linear", "gain": 0.025, "p": 0.0037, "better": 11, "worse": 2, "test": "exact McNemar"},
        ],
    },
    "beats_baselines": True,
    "notes": [],
}  # fmt: skip
