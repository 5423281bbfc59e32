"""Every optimizer and schedule against Keras 3.15: the same gradients, the same weights after each of six steps.

The rules run at once on arrays; ``tests/training/test_optimizers.py`` shows that compiled steps do what they do.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import inspect
import sys
from typing import Any

import keras
import numpy as np
import pytest

import layerkit
from layerkit.trace import Weight

SHAPES = {"dense/kernel": (4, 3), "dense/bias": (3,)}
MORE = {
    **SHAPES,
    "embedding/embeddings": (5, 2),
    "conv/kernel": (2, 2, 3, 3),
}  # for rules that depend on shapes and names
NAMES = ("SGD", "RMSprop", "Adam", "AdamW", "Adadelta", "Adagrad", "Adamax", "Nadam", "Adafactor", "Lamb", "Lion", "Ftrl", "Muon", "ScheduleFreeAdamW")  # fmt: skip
CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in NAMES),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.5, "centered": True}),
    ("Adam", {"beta_1": 0.8, "amsgrad": True}),
    ("AdamW", {"weight_decay": 0.5}),
    ("Adagrad", {"initial_accumulator_value": 0.3}),
    ("Adafactor", {"learning_rate": 1.0, "relative_step": False, "beta_2_decay": -0.6, "clip_threshold": 0.5}),
    ("Lamb", {"weight_decay": 0.2}),
    ("ScheduleFreeAdamW", {"weight_decay": 0.2, "warmup_steps": 3, "beta_1": 0.7}),
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


def schedule(library: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return getattr(library.optimizers.schedules, name)(*args, **kwargs)


def excluding(library: Any) -> Any:
    optimizer = library.optimizers.AdamW(0.05, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias", "embedding"])
    return optimizer


MAKE: dict[str, Any] = {
    **{
        "-".join([name, *arguments]): lambda k, name=name, arguments=arguments: getattr(k.optimizers, name)(
            **{"learning_rate": 0.05, **arguments}
        )
        for name, arguments in CASES
    },
    # with accumulation a schedule counts batches, not updates
    "schedule": lambda k: k.optimizers.SGD(
        schedule(k, "ExponentialDecay", (0.1, 2, 0.5), {}), gradient_accumulation_steps=2
    ),
    "excluding": excluding,
    "LossScale": lambda k: k.optimizers.LossScaleOptimizer(
        k.optimizers.Adam(0.05), initial_scale=16.0, dynamic_growth_steps=2
    ),
}


def variable(library: Any, path: str, numbers: np.ndarray) -> Any:
    """Keras's variable or our weight."""
    if library is layerkit:
        weight = Weight(numbers.shape, name=path)
        weight.array = numbers
        return weight
    with keras.name_scope(path.split("/")[0]):
        return keras.Variable(numbers, name=path.split("/")[1])


def steps(library: Any, name: str) -> dict[str, np.ndarray]:
    """The weights after each of six steps, and at the end of training."""
    rng = np.random.default_rng(1)
    optimizer = MAKE[name](library)
    shapes = MORE if name.startswith(("Muon", "Adafactor", "excluding")) else SHAPES
    variables = [variable(library, p, rng.normal(size=s).astype("float32")) for p, s in shapes.items()]
    optimizer.build(variables)
    found = {}
    for step in range(6):
        gradients = [rng.normal(size=s).astype("float32") for s in shapes.values()]
        if name == "LossScale" and step in (2, 3):
            gradients[0][0, 0] = np.inf
        optimizer.apply(gradients, variables)
        found |= {f"{name}/{step}/{p}": np.array(v.numpy()) for p, v in zip(shapes, variables, strict=True)}
    found[f"{name}/iterations"] = np.asarray(int(optimizer.iterations))
    if name == "LossScale":
        found[f"{name}/scaled"] = np.asarray(optimizer.scale_loss(np.float32(2)))
    optimizer.finalize_variable_values(variables)
    return found | {f"{name}/end/{p}": np.array(v.numpy()) for p, v in zip(shapes, variables, strict=True)}


@pytest.mark.parametrize("name", MAKE)
def test_optimizer(name: str, wanted: Any) -> None:
    for key, value in steps(layerkit, name).items():
        np.testing.assert_allclose(value, wanted[key], rtol=2e-5, atol=2e-6, err_msg=key)


@pytest.mark.parametrize("number", range(len(SCHEDULES)), ids=[f"{i}-{s[0]}" for i, s in enumerate(SCHEDULES)])
def test_schedule(number: int, wanted: Any) -> None:
    ours = [schedule(layerkit, *SCHEDULES[number])(step) for step in range(12)]
    np.testing.assert_allclose(ours, wanted[f"schedule/{number}"], rtol=2e-5, atol=1e-7)


def test_the_same_arguments_of_schedules() -> None:
    for name, cls in layerkit.optimizers.schedules.SCHEDULES.classes.items():
        theirs, ours = (inspect.signature(c).parameters for c in (getattr(keras.optimizers.schedules, name), cls))
        assert [(p.name, p.default) for p in ours.values()] == [(p.name, p.default) for p in theirs.values()], name


if __name__ == "__main__":
    found = {k: v for name in MAKE for k, v in steps(keras, name).items()}
    for i, case in enumerate(SCHEDULES):
        found[f"schedule/{i}"] = np.array([schedule(keras, *case)(step) for step in range(12)])
    np.savez(sys.argv[1], **found)
