"""Every optimizer and schedule against Keras 3.15: the same gradients, the same weights after each of six steps.

The rules run at once on arrays; ``tests/training/test_optimizers.py`` shows that compiled steps do what they do.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import inspect
from collections.abc import Iterator
from typing import Any

import jax
import keras
import numpy as np
import pytest

import layerkit
from layerkit.optimizers import schedules
from layerkit.trace import Weight

SHAPES = {"dense/kernel": (4, 3), "dense/bias": (3,)}
MORE = {
    **SHAPES,
    "embedding/embeddings": (5, 2),
    "conv/kernel": (2, 2, 3, 3),
}  # for rules that depend on shapes and names
NAMES = ("SGD", "RMSprop", "Adam", "AdamW", "Adadelta", "Adagrad", "Adamax", "Nadam", "Adafactor", "Lamb", "Lion", "Ftrl", "Muon")  # fmt: skip
CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in NAMES),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.5, "centered": True}),
    ("Adam", {"beta_1": 0.8, "amsgrad": True}),
    ("AdamW", {"weight_decay": 0.5}),
    ("Adagrad", {"initial_accumulator_value": 0.3}),
    ("Adafactor", {"relative_step": False, "beta_2_decay": -0.6, "clip_threshold": 0.5}),
    ("Lamb", {"weight_decay": 0.2}),
    (
        "Ftrl",
        {
            "l1_regularization_strength": 0.02,
            "l2_regularization_strength": 0.3,
            "l2_shrinkage_regularization_strength": 0.1,
            "beta": 0.2,
        },
    ),
    ("Muon", {"exclude_layers": ["dense"]}),
    ("Muon", {"rms_rate": None, "nesterov": False, "exclude_embeddings": False, "adam_lr_ratio": 0.5}),
    ("SGD", {"clipnorm": 0.3}),
    ("SGD", {"clipvalue": 0.05}),
    ("SGD", {"global_clipnorm": 0.3}),
    ("Adam", {"use_ema": True, "ema_momentum": 0.8}),
    ("Adam", {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 3}),
    ("Adam", {"gradient_accumulation_steps": 2, "clipnorm": 0.4}),
    ("Nadam", {"gradient_accumulation_steps": 3, "use_ema": True, "ema_overwrite_frequency": 2}),
    ("SGD", {"loss_scale_factor": 8.0}),
]


def pair(shapes: dict[str, tuple[int, ...]]) -> tuple[list[Any], list[Weight]]:
    """Keras's variables and our weights, with the same numbers."""
    rng = np.random.default_rng(1)
    theirs, ours = [], []
    for path, shape in shapes.items():
        numbers = rng.normal(size=shape).astype("float32")
        with keras.name_scope(path.split("/")[0]):
            theirs.append(keras.Variable(numbers, name=path.split("/")[1]))
        ours.append(Weight(shape, name=path))
        ours[-1].array = numbers
    return theirs, ours


@pytest.fixture(autouse=True)
def _at_once() -> Iterator[None]:
    """Keras's conditions run at once too: less to compile."""
    with jax.disable_jit():
        yield


def follow(theirs: Any, ours: Any, steps: int = 6, scale: float = 1.0) -> None:
    """Both optimizers take the same steps."""
    shapes = MORE if isinstance(ours, layerkit.optimizers.Muon | layerkit.optimizers.Adafactor) else SHAPES
    variables, weights = pair(shapes)
    theirs.build(variables)
    ours.build(weights)
    rng = np.random.default_rng(2)
    for step in range(steps):
        gradients = [scale * rng.normal(size=s).astype("float32") for s in shapes.values()]
        theirs.apply(gradients, variables)
        ours.apply(gradients, weights)
        for v, w in zip(variables, weights, strict=True):
            np.testing.assert_allclose(w.array, np.asarray(v), rtol=2e-5, atol=2e-6, err_msg=f"{w.name}, step {step}")
    assert int(ours.iterations) == int(theirs.iterations)
    theirs.finalize_variable_values(variables)
    ours.finalize_variable_values(weights)
    for v, w in zip(variables, weights, strict=True):
        np.testing.assert_allclose(w.array, np.asarray(v), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join([c[0], *c[1]]))
def test_optimizer(case: tuple[str, dict[str, Any]]) -> None:
    name, arguments = case
    follow(*(getattr(k.optimizers, name)(0.05, **arguments) for k in (keras, layerkit)))


def test_schedule_inside_an_optimizer_counts_steps() -> None:
    """With accumulation a schedule counts batches, not updates."""
    follow(
        *(
            k.optimizers.SGD(k.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5), gradient_accumulation_steps=2)
            for k in (keras, layerkit)
        )
    )


def test_exclude_from_weight_decay() -> None:
    both = [k.optimizers.AdamW(0.05, weight_decay=0.5) for k in (keras, layerkit)]
    for optimizer in both:
        optimizer.exclude_from_weight_decay(var_names=["bias", "embedding"])
    follow(*both)


def test_loss_scale() -> None:
    theirs, ours = (
        k.optimizers.LossScaleOptimizer(k.optimizers.Adam(0.05), initial_scale=16.0, dynamic_growth_steps=2)
        for k in (keras, layerkit)
    )
    variables, weights = pair({"dense/bias": (3,)})
    theirs.build(variables)
    ours.build(weights)
    for bad in (False, False, True, True, False, False, False):
        gradient = [np.array([1, -2, np.inf if bad else 3], "float32")]
        theirs.apply(gradient, variables)
        ours.apply(gradient, weights)
        np.testing.assert_allclose(weights[0].array, np.asarray(variables[0]), rtol=1e-5)
        assert float(ours.dynamic_scale) == float(theirs.dynamic_scale)
    assert float(ours.scale_loss(np.float32(2))) == float(theirs.scale_loss(2.0))


SCHEDULES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("ExponentialDecay", (0.1, 4, 0.5), {}),
    ("ExponentialDecay", (0.1, 4, 0.5), {"staircase": True}),
    ("PiecewiseConstantDecay", ([3, 7], [1.0, 0.5, 0.1]), {}),
    ("PolynomialDecay", (0.1, 6), {}),
    ("PolynomialDecay", (0.1, 4, 0.01), {"power": 2.0, "cycle": True}),
    ("InverseTimeDecay", (0.1, 4, 0.5), {}),
    ("InverseTimeDecay", (0.1, 4, 0.5), {"staircase": True}),
    ("CosineDecay", (0.1, 8, 0.2), {}),
    ("CosineDecay", (0.01, 6, 0.1), {"warmup_target": 0.1, "warmup_steps": 3}),
    ("CosineDecayRestarts", (0.1, 3), {}),
    ("CosineDecayRestarts", (0.1, 3), {"t_mul": 1.5, "m_mul": 0.7, "alpha": 0.1}),
    ("CosineDecayRestarts", (0.1, 3), {"t_mul": 1.0}),
]


@pytest.mark.parametrize("case", SCHEDULES, ids=lambda c: "-".join([c[0], *c[2]]))
def test_schedule(case: Any) -> None:
    name, args, kwargs = case
    theirs, ours = (getattr(s, name)(*args, **kwargs) for s in (keras.optimizers.schedules, schedules))
    for step in range(12):
        np.testing.assert_allclose(ours(step), np.asarray(theirs(step)), rtol=2e-5, atol=1e-7, err_msg=str(step))


def test_the_same_arguments() -> None:
    for name in (*NAMES, "LossScaleOptimizer"):
        theirs, ours = (inspect.signature(getattr(k.optimizers, name)).parameters for k in (keras, layerkit))
        wanted = [(p.name, p.default) for p in theirs.values() if p.kind is not p.VAR_KEYWORD]
        assert [(p.name, p.default) for p in ours.values()][: len(wanted)] == wanted, name
    for name, cls in schedules.SCHEDULES.classes.items():
        theirs, ours = (inspect.signature(c).parameters for c in (getattr(keras.optimizers.schedules, name), cls))
        assert [(p.name, p.default) for p in ours.values()] == [(p.name, p.default) for p in theirs.values()], name
