"""Proposals: what they may be, and what they depend on."""

from __future__ import annotations

import subprocess
import sys

import pytest

import builders
from autoarch import halving
from autoarch.space import Past, propose
from autoarch.study import Trial
from autoarch.worker import Result

SPEC = """\
layerkit: 1
let: {units: !int {low: 8, high: 30, step: 8}}
inputs: {x: {shape: [4]}}
layers:
  - !choice
    - Dense: {units: $units, activation: !choice [relu, tanh]}
    - Dropout: !float {low: 0.1, high: 0.5, step: 0.2}
  - Dense: {units: 2}
compile:
  optimizer: {Adam: {learning_rate: !float {low: 1e-4, high: 1e-1, log: true}}}
  loss: mse
"""


@pytest.fixture
def spec():
    return builders.loads(SPEC)


def past_of(proposals, scores):
    return [Past(drawn, spec.text, 3, score, True) for (drawn, spec), score in zip(proposals, scores, strict=True)]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_proposals_have_no_holes_and_stay_in_bounds(spec, sampler):
    found = propose(spec, [], 30, seed=1, sampler=sampler)
    assert len({filled.text for _, filled in found}) == 30
    kinds = set()
    for drawn, filled in found:
        assert not filled.holes
        assert not filled.check()
        assert drawn.values["let.units"] in (8, 16, 24)
        assert 1e-4 <= drawn.values["compile.optimizer.Adam.learning_rate"] <= 1e-1
        if "layers.0.Dropout" in drawn.values:
            assert drawn.values["layers.0.Dropout"] in (0.1, 0.3, 0.5)
        kinds.add("layers.0.Dropout" in drawn.values)
        assert ("layers.0.activation" in drawn.values) != ("layers.0.Dropout" in drawn.values)
    assert kinds == {True, False}


def test_a_round_depends_on_its_seed_and_the_past_alone(spec):
    first = propose(spec, [], 12, seed=1)
    past = past_of(first, range(12))
    texts = [[f.text for _, f in propose(spec, past, 4, seed=seed)] for seed in (7, 7, 8)]
    assert texts[0] == texts[1] != texts[2]
    assert texts[0] != [f.text for _, f in propose(spec, past_of(first, range(12, 0, -1)), 4, seed=7)]


def test_tpe_goes_where_scores_are_high(spec):
    """With a score that falls with the distance of the rate from 1e-2, the later proposals are nearer to it."""
    import math

    def distance(drawn):
        return abs(math.log10(drawn.values["compile.optimizer.Adam.learning_rate"]) + 2)

    past = []
    means = []
    for number in range(6):
        found = propose(spec, past, 10, seed=number)
        means.append(sum(distance(d) for d, _ in found) / 10)
        past += past_of(found, [-distance(d) for d, _ in found])
    assert sum(means[-3:]) / 3 < 0.6 * means[0]


def test_a_space_that_is_used_up_proposes_no_more():
    spec = builders.loads(SPEC.replace("!float {low: 1e-4, high: 1e-1, log: true}", "1e-3"))
    found = propose(spec, [], 100, seed=0, sampler="random")
    assert len(found) == 3 * (2 + 3)
    past = past_of(found, [None] * len(found))
    assert propose(spec, past, 5, seed=1, sampler="random") == []


def trial(number, accuracy, epochs=2, reason=None):
    result = Result(reason=reason) if reason else Result({"accuracy": accuracy, "loss": 1.0})
    return Trial(number, 0, None, "", {epochs: result})


def test_the_better_third_goes_on():
    trials = [trial(i, a) for i, a in enumerate((0.1, 0.9, 0.5, 0.9, 0.2, 0.95))]
    assert [t.number for t in halving.promoted(trials, 2)] == [1, 5]  # of two that are equal the earlier
    assert [t.number for t in halving.promoted([trial(0, 0, reason="diverged"), trial(1, 0.1)], 2)] == [1]
    assert halving.promoted([trial(0, 0, reason="diverged")], 2) == []
    trials[5].results[6] = Result({"accuracy": 0.9, "loss": 1.0})
    assert [t.number for t in halving.promoted(trials, 6)] == [5]


def test_importing_is_light():
    code = "import sys, autoarch.cli; print([m for m in ('optuna', 'llvmlite', 'yaml', 'sqlite3') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
