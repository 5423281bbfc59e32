"""What is predicted of a model beside what training it takes; limits; rejected trials and those that come instead."""

from __future__ import annotations

import json

import numpy as np
import pytest

import builders
import layerkit
from autoarch.cost import Memory, guarded, look
from autoarch.halving import LOOK
from autoarch.options import least
from autoarch.prepared import prepared
from autoarch.study import Study
from autoarch.tasks import Limits, RejectedError
from tests.autoarch.test_search import SPEC, invoke


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model with 64 * 64 + 64 + 64 * 10 + 10 = 4,810 parameters, and its data."""
    spec = least(builders.loads(SPEC.replace("!int {low: 8, high: 64, step: 8}", "64"), "small.yaml"))
    spec = spec.override({"fit.validation_split": "0", "data.split.validation": "0.2"})
    model = spec.build()
    return model, prepared(spec, None, model, tmp_path_factory.mktemp("prepared"))


def test_what_a_killed_worker_left_of_prepared_data_is_written_over(trained, tmp_path):
    model, _ = trained
    spec = least(builders.loads(SPEC, "small.yaml")).override(
        {"fit.validation_split": "0", "data.split.validation": "0.2"}
    )
    prepared(spec, None, model, tmp_path)
    (place,) = (p for p in tmp_path.iterdir() if p.is_dir())
    place.rename(place.with_suffix(".new"))
    prepared(spec, None, model, tmp_path)
    assert [p for p in tmp_path.iterdir() if p.is_dir()] == [place]


def test_parameters_and_multiplications_are_those_of_the_layers(trained):
    found = look(*trained, 32, Limits())
    assert found["flops"] == 2 * (64 * 64 + 64 * 10)
    look(*trained, 32, Limits(parameters=4810, flops=9472))
    for limits, reason in (
        (Limits(parameters=4809), "4,810 parameters"),
        (Limits(flops=9471), "9,472 multiplications and additions for one row"),
        (Limits(bytes=int(found["bytes"]) - 1), "training takes .*, as predicted"),
        (Limits(latency_ms=1e-9), "ms to predict one row, as predicted"),
    ):
        with pytest.raises(RejectedError, match=reason):
            look(*trained, 32, limits)


def test_latency_is_measured_where_it_is_not_hopeless(trained, monkeypatch):
    assert look(*trained, 32, Limits(latency_ms=1000))["latency_ms"] < 1000
    monkeypatch.setattr("autoarch.cost.HOPELESS", float("inf"))
    with pytest.raises(RejectedError, match="as measured"):
        look(*trained, 32, Limits(latency_ms=1e-9))


def test_memory_is_as_predicted(trained):
    model, data = trained
    layer = layerkit.layers.Dense
    model = layerkit.Sequential([layerkit.Input((64,)), layer(512, "relu"), layer(512, "relu"), layer(10)])
    model.compile("adam", "mse")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(512, 64)).astype("float32"), np.zeros((512, 10), "float32")
    found = look(model, data, 256, Limits())
    model.compile_steps(x, y, 256)
    memory = Memory()
    model.fit(x, y, batch_size=256, verbose=0, validation_data=(x[:9], y[:9]), callbacks=[memory])
    assert memory.found["bytes"] == pytest.approx(found["bytes"], rel=0.15)
    numbers = 64 * 512 + 512 + 512 * 512 + 512 + 512 * 10 + 10
    assert memory.found["bytes"] > 4 * 3 * numbers * 2  # weights and two moments, and the copy of them


def test_more_memory_is_not_to_be_had(trained):
    model, _ = trained
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with guarded(model, 1_000_000):
        np.zeros(1 << 20)
        with pytest.raises(MemoryError):
            np.zeros(1 << 28)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    with guarded(model, None):
        np.zeros(1 << 26)


@pytest.mark.slow
def test_others_come_instead_of_those_that_are_rejected(tmp_path):
    (tmp_path / "small.yaml").write_text(SPEC.replace("- Dense: {units: 10", "- Dense: {units: !choice [10, ten]"))
    boards = []
    for workers in (1, 2):
        run = tmp_path / str(workers)
        invoke("search", tmp_path / "small.yaml", "--trials", 3, "--round", 3, "--params", 2500, "--workers", workers,
               "--run", run)  # fmt: skip
        boards.append((run / "leaderboard.json").read_bytes())
    assert boards[0] == boards[1]
    with Study.open(run, alone=False) as study:
        trials = study.trials()
    kept = [t for t in trials if not t.is_rejected]
    assert len(kept) == 3
    assert {t.reason for t in kept} == {None}
    assert all(t.results[LOOK].parameters <= 2500 for t in kept)
    reasons = {str(t.reason).split(":")[0] for t in trials if t.is_rejected}
    assert reasons == {"rejected", "spec"}
    assert all(set(t.results) == {LOOK} for t in trials if t.is_rejected)  # not trained
    for trial in kept:
        assert set(trial.results[0].predicted) >= {"bytes", "seconds", "flops"}
        assert set(trial.results[0].measured) >= {"bytes", "seconds"}
    result = json.loads((run / "result.json").read_text())
    assert result["trials"] == len(trials)
