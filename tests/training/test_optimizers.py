"""Optimizers in compiled steps: as on arrays, on each engine; in files; and what surrounds the rules."""

import numpy as np
import pytest

import layerkit
from layerkit import Sequential, load_model, optimizers
from layerkit.errors import ArgumentError, ShapeError, StateError
from layerkit.layers import Dense, Input
from layerkit.trace import Weight

NAMES = sorted(optimizers.OPTIMIZERS.classes)
EXTRA = {
    "gathered": lambda: optimizers.Nadam(0.05, gradient_accumulation_steps=2),
    "averaged": lambda: optimizers.Adam(0.05, use_ema=True, ema_overwrite_frequency=2),
    "scaled": lambda: optimizers.LossScaleOptimizer("adam", dynamic_growth_steps=2),
    **{f"schedule-{n}": lambda n=n: optimizers.SGD(_schedule(n)) for n in optimizers.schedules.SCHEDULES.classes},
}


def _schedule(name: str):
    arguments = {
        "ExponentialDecay": (0.1, 2, 0.5),
        "InverseTimeDecay": (0.1, 2, 0.5),
        "PiecewiseConstantDecay": ([1], [0.1, 0.2]),
    }
    return getattr(optimizers.schedules, name)(*arguments.get(name, (0.1, 2)))


def made(name: str):
    if name in EXTRA:
        return EXTRA[name]()
    return optimizers.LossScaleOptimizer("sgd") if name == "LossScaleOptimizer" else getattr(optimizers, name)(0.05)


def steps(optimizer, run) -> list[np.ndarray]:
    """The weights after four steps; ``run(function)`` makes a function of arrays from one of tensors."""
    rng = np.random.default_rng(0)
    weights = [Weight(s, name=n) for n, s in {"kernel": (5, 3), "bias": (3,)}.items()]
    for w in weights:
        w.array = rng.normal(size=w.shape)
    optimizer.build(weights)

    def step(*gradients):
        optimizer.apply(gradients, weights)
        return np.float32(0)

    call = run(step)
    for _ in range(4):
        call(*(rng.normal(size=w.shape).astype("float32") for w in weights))
    return [w.array for w in (*weights, *optimizer.variables)]


@pytest.mark.parametrize("name", [*NAMES, *EXTRA])
def test_compiled_steps_equal_the_rule_on_arrays(name: str) -> None:
    plain = steps(made(name), lambda f: f)
    for engine in ("reference", "llvm"):
        found = steps(made(name), lambda f, engine=engine: layerkit.function(f, engine=engine))
        for a, b in zip(found, plain, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


def model(optimizer, **compile) -> Sequential:
    layerkit.utils.set_random_seed(1)
    made = Sequential([Input((4,)), Dense(3, activation="tanh"), Dense(1)])
    made.compile(optimizer, "mse", **compile)
    return made


X = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
Y = X[:, :1] * 2


@pytest.mark.parametrize(
    "name", ["Nadam", "Adafactor", "LossScaleOptimizer", "gathered", "averaged", "schedule-CosineDecay"]
)
def test_training_goes_on_from_a_file(name: str, tmp_path) -> None:
    whole, first = model(made(name)), model(made(name))
    whole.fit(X, Y, batch_size=4, epochs=3, verbose=0)
    first.fit(X, Y, batch_size=4, epochs=1, verbose=0)
    first.save(tmp_path / "m.lk")
    again = load_model(tmp_path / "m.lk")
    again.fit(X, Y, batch_size=4, epochs=2, verbose=0)
    if name == "averaged":  # the averages become the weights at the end of each fit
        return
    for a, b in zip(whole.get_weights(), again.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_gathered_gradients_are_those_of_a_larger_batch() -> None:
    large, small = (
        model(optimizers.SGD(0.1), engine="reference"),
        model(optimizers.SGD(0.1, gradient_accumulation_steps=3), engine="reference"),
    )
    large.fit(X, Y, batch_size=12, epochs=2, shuffle=False, verbose=0)
    small.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    assert int(small.optimizer.iterations) == 2
    for a, b in zip(large.get_weights(), small.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_fit_ends_with_the_averages_as_weights() -> None:
    averaged, plain = (
        model(optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), engine="reference"),
        model(optimizers.SGD(0.1), engine="reference"),
    )
    means = None
    for _ in range(3):
        plain.train_on_batch(X, Y)
        now = plain.get_weights()
        means = now if means is None else [0.5 * m + 0.5 * w for m, w in zip(means, now, strict=True)]
    averaged.fit(X, Y, batch_size=12, epochs=3, verbose=0)
    for a, b in zip(averaged.get_weights(), means, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_the_learning_rate_reads_as_a_number() -> None:
    optimizer = optimizers.SGD(optimizers.schedules.ExponentialDecay(1.0, 1, 0.5))
    assert float(optimizer.learning_rate) == 1.0
    optimizer.iterations.array = 2
    assert float(optimizer.learning_rate) == 0.25
    optimizer.learning_rate = 0.3
    assert float(optimizer.learning_rate) == pytest.approx(0.3)
    wrapped = optimizers.LossScaleOptimizer(optimizer)
    wrapped.learning_rate = 0.1
    assert float(optimizer.learning_rate) == pytest.approx(0.1)


def test_mistakes() -> None:
    with pytest.raises(ArgumentError, match="clipped in one way"):
        optimizers.SGD(clipnorm=1.0, clipvalue=1.0)
    with pytest.raises(ArgumentError, match="belongs to the optimizer inside"):
        optimizers.LossScaleOptimizer("sgd", clipnorm=1.0)
    with pytest.raises(ArgumentError, match="one value more"):
        optimizers.schedules.PiecewiseConstantDecay([1, 2], [0.1])
    trained = model("adamw")
    trained.train_on_batch(X, Y)
    with pytest.raises(StateError, match="before training"):
        trained.optimizer.exclude_from_weight_decay(var_names=["bias"])


class Momentum(optimizers.Optimizer):
    """SGD with momentum, as a user of Keras writes a rule of their own."""

    def __init__(self, learning_rate=0.01, momentum=0.9, name="momentum", **kwargs):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.momentum = momentum

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._moved = self.add_variable((), name="moved")
        self._momentums = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient, variable, learning_rate):
        lr = layerkit.ops.cast(learning_rate, variable.dtype)
        gradient = layerkit.ops.cast(gradient, variable.dtype)
        m = self._momentums[self._get_variable_index(variable)]
        self.assign(m, m * self.momentum - lr * gradient)
        self.assign_add(variable, m)
        self._moved.assign_add(1.0)

    def get_config(self):
        config = super().get_config()
        config.update({"momentum": self.momentum})
        return config


AROUND = {
    "plain": {},
    "clipped": {"clipnorm": 0.3},
    "decayed": {"weight_decay": 0.1, "global_clipnorm": 1.0},
    "gathered": {"gradient_accumulation_steps": 2, "clipvalue": 0.05},
    "averaged": {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2},
    "scheduled": {"learning_rate": optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)},
}


@pytest.mark.parametrize("around", [*AROUND, "scaled"])
def test_a_rule_written_for_keras(around: str) -> None:
    def fitted(rule) -> Sequential:
        arguments = {"learning_rate": 0.05, "momentum": 0.8, **AROUND.get(around, {})}
        optimizer = rule(**arguments)
        trained = model(optimizers.LossScaleOptimizer(optimizer) if around == "scaled" else optimizer)
        trained.fit(X, Y, batch_size=4, epochs=2, verbose=0)
        return trained

    own, known = fitted(Momentum), fitted(optimizers.SGD)
    for a, b in zip(own.get_weights(), known.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
    inner = own.optimizer.inner_optimizer if around == "scaled" else own.optimizer
    assert float(inner._moved) == 4 * (3 if around == "gathered" else 6)
    assert not np.array_equal(own.get_weights()[0], model("sgd").get_weights()[0])


def test_a_rule_written_for_keras_goes_on_from_a_file(tmp_path) -> None:
    whole, first = model(Momentum(0.05)), model(Momentum(0.05))
    whole.fit(X, Y, batch_size=4, epochs=2, verbose=0)
    first.fit(X, Y, batch_size=4, epochs=1, verbose=0)
    first.save(tmp_path / "m.lk")
    again = load_model(tmp_path / "m.lk", custom_objects={"Momentum": Momentum})
    again.fit(X, Y, batch_size=4, epochs=1, verbose=0)
    for a, b in zip(whole.get_weights(), again.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_what_keras_users_do_with_optimizers() -> None:
    assert optimizers.get(None) is None
    w, other = Weight((2,), name="w"), Weight((2,), name="other")
    one = np.ones(2, "float32")
    asked = optimizers.SGD(lambda: 0.5)
    asked.apply([one], [w])
    assert w.numpy().tolist() == [-0.5, -0.5]
    assert float(asked.learning_rate) == 0.5
    with pytest.warns(layerkit.errors.LayerkitWarning, match="other"):
        asked.apply([one, None], [w, other])
    with pytest.raises(ArgumentError, match="no weight has a gradient"):
        asked.apply([None], [w])
    first, second = optimizers.Adam(), optimizers.Adam()
    first.apply([one], [w])
    with pytest.raises(ShapeError, match="do not fit"):
        second.set_weights(first.variables)
    second.build([w])
    second.set_weights(first.variables)
    assert [v.numpy().tolist() for v in first.variables] == [v.numpy().tolist() for v in second.variables]
    first.learning_rate = optimizers.schedules.PolynomialDecay(first.learning_rate, 4)
    assert len(first.variables) == len(second.variables) - 1
    rule = Momentum()
    rule.build([w])
    with pytest.raises(StateError, match="built for other weights"):
        rule.apply([one], [other])
    with pytest.raises(StateError, match="does not know"):
        rule.add_variable_from_reference(other)
    assert set(optimizers.LossScaleOptimizer("sgd").get_config()) == {
        "inner_optimizer", "initial_scale", "dynamic_growth_steps", "name",
    }  # fmt: skip


def test_the_scale_of_an_optimizer_inside_does_not_count() -> None:
    scaled = optimizers.LossScaleOptimizer(optimizers.SGD(0.5, loss_scale_factor=100.0), initial_scale=4.0)
    w = Weight((2,), name="w")
    assert float(scaled.scale_loss(2.0)) == 8.0
    scaled.apply([np.array([4.0, 8.0], "float32")], [w])
    assert w.numpy().tolist() == [-0.5, -1.0]


def test_constraints_come_last() -> None:
    averaged = optimizers.SGD(1.0, use_ema=True, ema_overwrite_frequency=1)
    w = Weight((2,), name="w", constraint=layerkit.constraints.NonNeg())
    averaged.apply([np.array([1.0, -1.0], "float32")], [w])
    assert w.numpy().tolist() == [0.0, 1.0]
    assert averaged.slots[w]["average"].numpy().tolist() == [-1.0, 1.0]
