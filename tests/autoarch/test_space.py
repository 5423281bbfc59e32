"""Proposals: what they may be, and what they depend on."""

from __future__ import annotations

import subprocess
import sys

import pytest

import builders
from autoarch import halving
from autoarch.space import Past, propose
from autoarch.study import Trial, ranked
from autoarch.tasks import Result

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
def spaces():
    return {"small": builders.loads(SPEC)}


def past_of(proposals, scores):
    return [Past(p.drawn, p.spec.text, 2, score, True) for p, score in zip(proposals, scores, strict=True)]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_proposals_have_no_holes_and_stay_in_bounds(spaces, sampler):
    found = propose(spaces, [], 30, seed=1, sampler=sampler)
    assert len({p.spec.text for p in found}) == 30
    kinds = set()
    for proposal in found:
        drawn, filled = proposal.drawn, proposal.spec
        assert not filled.holes
        assert not filled.check()
        assert drawn.values["let.units"] in (8, 16, 24)
        assert 1e-4 <= drawn.values["compile.optimizer.Adam.learning_rate"] <= 1e-1
        if "layers.0.Dropout" in drawn.values:
            assert drawn.values["layers.0.Dropout"] in (0.1, 0.3, 0.5)
        kinds.add("layers.0.Dropout" in drawn.values)
        assert ("layers.0.activation" in drawn.values) != ("layers.0.Dropout" in drawn.values)
    assert kinds == {True, False}


def test_a_round_depends_on_its_seed_and_the_past_alone(spaces):
    first = propose(spaces, [], 12, seed=1)
    past = past_of(first, range(12))
    texts = [[p.spec.text for p in propose(spaces, past, 4, seed=seed)] for seed in (7, 7, 8)]
    assert texts[0] == texts[1] != texts[2]
    assert texts[0] != [p.spec.text for p in propose(spaces, past_of(first, range(12, 0, -1)), 4, seed=7)]


def test_tpe_goes_where_scores_are_high(spaces):
    """With a score that falls with the distance of the rate from 1e-2, the later proposals are nearer to it."""
    import math

    def distance(drawn):
        return abs(math.log10(drawn.values["compile.optimizer.Adam.learning_rate"]) + 2)

    past = []
    means = []
    for number in range(6):
        found = propose(spaces, past, 10, seed=number)
        means.append(sum(distance(p.drawn) for p in found) / 10)
        past += past_of(found, [-distance(p.drawn) for p in found])
    assert sum(means[-3:]) / 3 < 0.6 * means[0]


def test_a_space_that_is_used_up_proposes_no_more():
    spaces = {"small": builders.loads(SPEC.replace("!float {low: 1e-4, high: 1e-1, log: true}", "1e-3"))}
    found = propose(spaces, [], 100, seed=0, sampler="random")
    assert len(found) == 3 * (2 + 3)
    past = past_of(found, [None] * len(found))
    assert propose(spaces, past, 5, seed=1, sampler="random") == []


def test_a_grid_goes_through_all_of_a_space():
    """The rate has five levels, evenly spaced in its logarithm."""
    text = SPEC.replace("low: 1e-4, high: 1e-1, log", "low: 1e-4, high: 1, log")
    spaces = {"small": builders.loads(text)}
    past, rates = [], set()
    while found := propose(spaces, past, 20, seed=len(past), sampler="grid"):
        rates |= {p.drawn.values["compile.optimizer.Adam.learning_rate"] for p in found}
        past += past_of(found, [0.0] * len(found))
    assert len({p.spec for p in past}) == len(past) == 5 * 3 * (2 + 3)
    assert sorted(rates) == [1e-4, 1e-3, 1e-2, 1e-1, 1]


def test_several_spaces_take_turns_and_then_the_better_one_is_drawn_more():
    spaces = {"a": builders.loads(SPEC), "b": builders.loads(SPEC.replace("relu, tanh", "relu, gelu"))}
    past = []
    for number in range(4):
        found = propose(spaces, past, 12, seed=number)
        names = [p.space for p in found]
        if number == 0:
            assert names == ["a", "b"] * 6
        past += past_of(found, [float(n == "b") for n in names])
    assert names.count("b") > 6


def trial(number, accuracy, rung=0, reason=None):
    result = Result(reason=reason) if reason else Result({"accuracy": accuracy, "loss": 1.0})
    return Trial(number, 0, "small", 18, "", None, "", {rung: result})


def test_the_better_third_goes_on():
    trials = [trial(i, a) for i, a in enumerate((0.1, 0.9, 0.5, 0.9, 0.2, 0.95))]
    assert [t.number for t in halving.promoted(trials, 0)] == [1, 5]  # of two that are equal the earlier
    assert [t.number for t in halving.promoted([trial(0, 0, reason="diverged"), trial(1, 0.1)], 0)] == [1]
    assert halving.promoted([trial(0, 0, reason="diverged")], 0) == []
    trials[5].results[1] = Result({"accuracy": 0.9, "loss": 1.0})
    assert [t.number for t in halving.promoted(trials, 1)] == [5]
    assert [t.trained for t in ranked(trials)] == [6, 2, 2, 2, 2, 2]


def test_importing_is_light():
    code = "import sys, autoarch.cli; print([m for m in ('optuna', 'llvmlite', 'yaml', 'sqlite3') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
