"""The spaces that ship: whatever is drawn from them builds, trains and gives finite numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import builders
from autoarch.modality import FAMILIES
from autoarch.space import propose
from layerkit.utils import set_random_seed

FILES = {path.stem: path for path in sorted((Path(__file__).parents[2] / "autoarch" / "spaces").glob("*.yaml"))}
NUMBERS = {"outputs": 2, "answer": {"Rescaling": {"scale": [2.0, 0.5], "offset": [10.0, 0.0]}}, "loss": "mse", "metrics": ["mae"]}  # fmt: skip
SHAPES = {
    "images": [[1, 1, 1], [5, 7, 3], [28, 28, 1], [64, 48, 3]],
    "video": [[1, 4, 4, 1], [5, 7, 9, 3], [8, 32, 32, 1]],
}


def changed(spec, **facts):
    return spec.override({f"let.{name}": json.dumps(value) for name, value in facts.items()})


def drawn(spec, count, seed=0):
    return [proposal.spec for proposal in propose({"space": spec}, [], count, seed=seed, sampler="random")]


def rows(model, count=48):
    """Made-up inputs, and targets of classes or numbers as the model's loss wants them."""
    rng = np.random.default_rng(0)
    x = {
        name: rng.integers(0, 2, (count, *value.shape[1:])) if "int" in value.dtype else abs(rng.normal(size=(count, *value.shape[1:]))).astype("float32")
        for name, value in zip(model.input_names, model.inputs, strict=True)
    }  # fmt: skip
    outputs = model.output.shape[-1]
    is_class = "sparse" in str(model.get_compile_config()["loss"])
    y = rng.integers(0, outputs, count).astype("int32") if is_class else rng.normal(size=(count, outputs)).astype("float32")  # fmt: skip
    return (x if len(x) > 1 else next(iter(x.values()))), y


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_whatever_is_drawn_has_no_faults(name):
    spec = builders.load(FILES[name])
    assert spec.name == name
    assert name.split("_", 1)[1] in FAMILIES
    for filled in (*drawn(spec, 20), *drawn(changed(spec, **NUMBERS), 5, 1)):
        assert filled.build().count_params() > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_what_is_drawn_trains(name):
    number = list(FILES).index(name)
    spec = changed(builders.load(FILES[name]), rows=48, **(NUMBERS if number % 2 else {}))
    set_random_seed(0)
    model = drawn(spec, 1, number)[0].build()
    x, y = rows(model)
    history = model.fit(x, y, epochs=1, batch_size=16, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert np.isfinite(model.predict(x, verbose=0)).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in FILES if n.split("_")[0] in SHAPES])
def test_small_and_large_images_fit(name):
    for seed, shape in enumerate(SHAPES[name.split("_")[0]]):
        for filled in drawn(changed(builders.load(FILES[name]), shape=shape, rows=100), 2, seed):
            assert filled.build().input_shape[1:] == tuple(shape)


SERIES = [
    {"length": 1, "channels": 1},
    {"length": 7, "channels": 3, "padded": 1},
    {"length": 24, "channels": 2, "forecast": 1, **NUMBERS},
    {"length": 150, "channels": 1, "outputs": 3},
]


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in FILES if n.startswith("series_")])
def test_short_padded_and_forecast_series_fit(name):
    for seed, facts in enumerate(SERIES):
        for filled in drawn(changed(builders.load(FILES[name]), rows=100, **facts), 2, seed):
            model = filled.build()
            x = np.zeros((2, facts["length"], facts["channels"]), "float32")
            x[0, : (facts["length"] + 1) // 2] = 1
            assert np.isfinite(model.predict(x, verbose=0)).all()


@pytest.mark.parametrize("name", [n for n in FILES if n.startswith("series_")])
def test_a_forecast_moves_with_the_level_of_its_series(name):
    """What is 5 deviations higher all the time is so in the next step: 5 deviations of 2, beside the noise of float32."""
    facts = {**NUMBERS, "outputs": 1, "answer": {"Rescaling": {"scale": 2.0, "offset": 10.0}}}
    model = drawn(changed(builders.load(FILES[name]), rows=100, length=8, channels=2, forecast=1, **facts), 1)[
        0
    ].build()
    x = np.random.default_rng(0).normal(size=(4, 8, 2)).astype("float32")
    low, high = (model.predict(x + level, verbose=0) for level in (np.float32(0), np.float32(5)))
    np.testing.assert_allclose(high - low, 10, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in FILES if n.startswith("tabular_")])
def test_tables_of_numbers_or_of_categories_alone_fit(name):
    for seed, (numbers, offsets, values) in enumerate([(1, [], 0), (3, [], 0), (0, [0, 4], 7), (1, [0], 3)]):
        facts = {"numbers": numbers, "offsets": offsets, "values": values}
        set_random_seed(seed)
        model = drawn(changed(builders.load(FILES[name]), rows=100, **facts), 1, seed)[0].build()
        x = np.ones((2, numbers + len(offsets)), "float32")
        x[1, -1] = 2  # another number, or another category
        found = model.predict(x, verbose=0)
        assert np.isfinite(found).all()
        assert (found[0] != found[1]).any()
