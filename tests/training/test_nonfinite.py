"""Forty planted faults: a loss that is nan or infinite ends training, and the layer, or the op, that made it is named.

Each fault says what must be named: the start of the layer's line, and the op. Small models on the reference engine, which
compiles nothing; ``test_native`` shows that compiled steps end the same way, with the state that they began with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import builders
import layerkit
from layerkit import Model, Sequential, ops
from layerkit.callbacks import Callback, TerminateOnNaN
from layerkit.errors import ArgumentError, NonFiniteError
from layerkit.layers import (
    LSTM,
    Activation,
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    Input,
    Layer,
    Reshape,
    SimpleRNN,
    TimeDistributed,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 4)).astype("float32")
Y = X[:, :1].copy()
ONE_ZERO_ROW = X.copy()
ONE_ZERO_ROW[21] = 0
CLASSES = np.eye(3, dtype="float32")[np.arange(32) % 3]
WEIGHTS_1E20 = {"kernel_initializer": layerkit.initializers.Constant(1e20)}


def custom(name: str, call: Callable[[Any], Any]) -> Layer:
    """A layer of the user's own that computes ``call``."""

    class Own(Layer):
        def call(self, x):
            return call(x)

    return Own(name=name)


def scaled(x: Any) -> Any:
    return x / ops.sqrt(ops.sum(x * x, -1, keepdims=True))


class Reciprocal(Layer):
    """Divides by a weight that begins as 0."""

    def build(self, input_shape):
        self.scale = self.add_weight((), "zeros", name="scale")

    def call(self, x):
        return x / self.scale


def after_dense(name: str, call: Callable[[Any], Any], **arguments: Any) -> list[Layer]:
    return [Dense(3, name="before", **arguments), custom(name, call), Dense(1, name="after")]


# name: layers, what the layer's line begins with, the op, and what differs from a plain regression
FAULTS: dict[str, tuple[Callable[[], list[Layer]], str, str, dict[str, Any]]] = {
    "log of zero": (lambda: after_dense("own", lambda x: ops.log(ops.relu(x))), "own", "log", {}),
    "log of a negative": (lambda: after_dense("own", ops.log), "own", "log", {}),
    "log1p below -1": (lambda: after_dense("own", lambda x: ops.log1p(x * 5.0)), "own", "log1p", {}),
    "sqrt of a negative": (lambda: after_dense("own", ops.sqrt), "own", "sqrt", {}),
    "rsqrt of zero": (lambda: after_dense("own", lambda x: ops.rsqrt(ops.relu(x))), "own", "rsqrt", {}),
    "power of a negative": (lambda: after_dense("own", lambda x: ops.power(x, 0.5)), "own", "power", {}),
    "0 / 0": (lambda: after_dense("own", lambda x: ops.relu(x) / ops.relu(x)), "own", "divide", {}),
    "1 / 0": (lambda: after_dense("own", lambda x: 1.0 / ops.relu(x)), "own", "divide", {}),
    "division by a weight of 0": (lambda: [Dense(3), Reciprocal(name="own"), Dense(1)], "own", "divide", {}),
    "exp overflows": (lambda: after_dense("own", lambda x: ops.exp(x * 1e3)), "own", "exp", {}),
    "exp of unscaled inputs": (lambda: [Dense(3, activation="exponential", name="hot"), Dense(1)], "hot", "exp", {"x": X * 1e3}),
    "cubes of unscaled inputs": (lambda: [custom("own", lambda x: x * x * x), Dense(1)], "own", "multiply", {"x": X * 1e20}),
    "unscaled inputs in a product": (lambda: [Dense(3, name="wide", **WEIGHTS_1E20), Dense(1)], "wide", "matmul", {"x": X * 1e20}),
    "unscaled targets": (lambda: [Dense(1)], "the loss", "", {"y": Y * 1e30}),
    "inputs that are nan": (lambda: [Dense(1)], "x", "", {"x": np.where(ONE_ZERO_ROW == 0, np.nan, X)}),
    "targets that are infinite": (lambda: [Dense(1)], "y", "", {"y": np.where(np.arange(32)[:, None] == 9, np.inf, Y)}),
    "tan near a pole": (lambda: after_dense("own", lambda x: 1.0 / ops.sin(x * 0.0)), "own", "divide", {}),
    "own softmax overflows": (
        lambda: after_dense("own", lambda x: ops.exp(200 * x) / ops.sum(ops.exp(200 * x), -1, keepdims=True)), "own", "exp", {"x": 10 * X},
    ),
    "all masked": (
        lambda: after_dense("own", lambda x: ops.softmax(ops.where(x > 99.0, x, -np.inf))), "own", "", {},
    ),
    "inf - inf": (lambda: after_dense("own", lambda x: (x * 1e38) * 1e38 - (x * 1e38) * 1e38), "own", "multiply", {}),
    "variance of one number": (
        lambda: after_dense("own", lambda x: (x - ops.mean(x)) / ops.sqrt(ops.mean(ops.square(x - x)))), "own", "divide", {},
    ),
    "dead relu, then scaled": (
        lambda: [Dense(3, activation="relu", bias_initializer=layerkit.initializers.Constant(-99.0)), custom("own", scaled), Dense(1)], "own", "divide", {},
    ),
    "unit length of a zero row": (lambda: [Dense(3, use_bias=False), custom("own", scaled), Dense(1)], "own", "divide", {"x": ONE_ZERO_ROW}),
    "gradient of a root at 0": (
        lambda: [Dense(3, use_bias=False), custom("own", lambda x: ops.sqrt(ops.abs(x))), Dense(1)], "own", "divide", {"x": ONE_ZERO_ROW},
    ),
    "gradient of a norm at 0": (
        lambda: [Dense(3, use_bias=False), custom("own", lambda x: ops.sqrt(ops.sum(x * x, -1, keepdims=True))), Dense(1)], "own", "divide", {"x": ONE_ZERO_ROW},
    ),
    "gradient of a power at 0": (
        lambda: [Dense(3, use_bias=False), custom("own", lambda x: ops.power(ops.abs(x), 0.3)), Dense(1)], "own", "power", {"x": ONE_ZERO_ROW},
    ),
    "gradient behind a where": (
        lambda: after_dense("own", lambda x: ops.where(x > 0.0, ops.sqrt(x), x)), "own", "", {},
    ),
    "gradient of a root in the loss": (
        lambda: [Dense(1, use_bias=False)], "the loss", "divide", {"x": ONE_ZERO_ROW, "loss": lambda y, p: ops.sqrt(ops.sum(ops.square(p), -1))},
    ),
    "exploding RNN": (
        lambda: [Reshape((4, 1)), SimpleRNN(5, activation="linear", recurrent_initializer=layerkit.initializers.Constant(1e15), name="rnn"), Dense(1)], "rnn", "", {},
    ),
    "exploding LSTM": (
        lambda: [Reshape((4, 1)), LSTM(5, activation="exponential", kernel_initializer=layerkit.initializers.Constant(60.0), name="rnn"), Dense(1)], "rnn", "", {"x": X + 2},
    ),
    "too large a learning rate": (lambda: [Dense(8, name="one"), Dense(8, name="two"), Dense(1, name="three")], ("one", "two", "three"), "matmul", {"optimizer": layerkit.optimizers.SGD(1e5)}),
    "too large a learning rate, by itself": (lambda: [Dense(1, name="only")], ("only", "the loss"), "", {"optimizer": layerkit.optimizers.SGD(1e9)}),
    "the update overflows": (lambda: [Dense(1, name="only")], ("optimizer", "only", "the loss"), "", {"optimizer": layerkit.optimizers.SGD(1e38), "y": Y * 1e3}),
    "wrong loss: own crossentropy of logits": (
        lambda: [Dense(3)], "the loss", "log", {"y": CLASSES, "loss": lambda y, p: -ops.sum(y * ops.log(p), -1)},
    ),
    "wrong loss: counts below 0": (lambda: [Dense(1)], "the loss 'poisson'", "log", {"loss": "poisson", "y": np.abs(Y), "x": X}),
    "own loss divides by 0": (lambda: [Dense(1)], "the loss", "divide", {"loss": lambda y, p: ops.square(p) / (y - y)}),
    "own loss: exp of the error": (lambda: [Dense(1)], "the loss", "exp", {"loss": lambda y, p: ops.exp(1e4 * ops.square(p - y))}),
    "batch statistics overflow": (lambda: [BatchNormalization(name="norm"), Dense(1)], "norm", "", {"x": np.clip(X, -1, 1) * 3e38}),
    "convolution overflows": (lambda: [Reshape((2, 2, 1)), Conv2D(2, 2, name="conv", **WEIGHTS_1E20), Flatten(), Dense(1)], "conv", "", {"x": X * 1e20}),
    "regularizer overflows": (lambda: [Dense(3, kernel_regularizer="l2", name="heavy", **WEIGHTS_1E20), Dense(1)], "heavy", "", {"x": X * 1e-22}),
}  # fmt: skip


class EachBatch(Callback):
    def on_train_batch_end(self, batch, logs=None):
        pass


def caught(name: str, engine: str = "reference", **fit: Any) -> NonFiniteError:
    layers, _, _, extra = FAULTS[name]
    layerkit.utils.set_random_seed(4)
    x, y = extra.get("x", X).astype("float32"), extra.get("y", Y).astype("float32")
    model = Sequential([Input(x.shape[1:]), *layers()])
    model.compile(extra.get("optimizer", "sgd"), extra.get("loss", "mse"), engine=engine)
    with pytest.raises(NonFiniteError) as found:
        model.fit(x, y, batch_size=8, epochs=4, verbose=0, check_data=False, **fit)
    return found.value


def is_right(name: str, error: NonFiniteError) -> bool:
    _, layer, op, _ = FAULTS[name]
    return str(error.layer).startswith(layer) and op in (error.op or "")


@pytest.mark.parametrize("name", FAULTS)
def test_fault(name: str) -> None:
    error = caught(name)
    assert is_right(name, error), str(error)
    assert error.step >= 1
    assert error.fix
    assert str(error.got)


def test_forty() -> None:
    assert len(FAULTS) == 40


@pytest.mark.parametrize(
    "name", ["log of zero", "gradient of a norm at 0", "exploding RNN", "wrong loss: counts below 0"]
)
def test_native(name: str) -> None:
    """Compiled steps, many in one call or one by one, end with the same report."""
    slow, fast = caught(name), caught(name, "llvm")
    assert is_right(name, fast), str(fast)
    assert (fast.step, fast.op, fast.rows) == (slow.step, slow.op, slow.rows)
    one_by_one = caught(name, "llvm", callbacks=[EachBatch()])
    assert (fast.step, fast.op, fast.rows, fast.index) == (
        one_by_one.step,
        one_by_one.op,
        one_by_one.rows,
        one_by_one.index,
    )


def zero_row_model(engine: str) -> Model:
    layerkit.utils.set_random_seed(1)
    made = Sequential([Input((4,)), Dense(3), custom("own", lambda x: ops.log(ops.abs(x) + 1.0)), Dense(1)])
    made.compile("adam", lambda y, p: ops.log(ops.abs(y)) * p, engine=engine)
    return made


@pytest.mark.parametrize("engine", ["reference", "llvm"])
def test_the_state_is_that_before_the_step(engine: str) -> None:
    y = Y.copy()
    y[19] = 0
    model, plain = zero_row_model(engine), zero_row_model(engine)
    with pytest.raises(NonFiniteError) as found:
        model.fit(X, y, batch_size=4, shuffle=False, verbose=0)
    plain.fit(X[:16], y[:16], batch_size=4, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), plain.get_weights(), strict=True):
        assert np.array_equal(a, b)
    assert found.value.step == 5
    assert found.value.rows == (3,)
    assert "row 19 of the data" in str(found.value)
    assert model.random_state.runs == plain.random_state.runs


def test_on_batch_names_the_weights() -> None:
    """Steps that are called one by one cannot be run again: the last layer with such weights is named."""
    own = custom("own", scaled)
    model = Sequential([Input((4,)), Dense(3, name="first"), Dense(3, name="second"), own, Dense(1)])
    model.compile("sgd", "mse", engine="reference")
    model.train_on_batch(X, Y)
    for name in ("first", "second"):
        model.get_layer(name).kernel.array = np.full(model.get_layer(name).kernel.shape, np.nan)
    with pytest.raises(NonFiniteError) as found:
        model.train_on_batch(X, Y)
    assert found.value.layer == "second (Dense)"
    assert "second/kernel" in str(found.value.got)


def test_a_large_state_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the weights are named that the step before has spoilt."""
    monkeypatch.setattr("layerkit.models.nonfinite.KEPT_BYTES", 1)
    error = caught("gradient of a norm at 0")
    assert error.op is None
    assert error.layer == "dense (Dense)"
    assert "dense/kernel" in str(error.got)


def test_terminate_on_nan_ends_fit_without_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    model = Sequential([Input((4,)), *after_dense("own", ops.log)])
    model.compile("sgd", "mse")
    history = model.fit(X, Y, callbacks=[TerminateOnNaN()], verbose=0)
    assert history.history == {}
    assert "'log' made the first such number" in capsys.readouterr().out


def test_the_line_of_a_spec(tmp_path: Any) -> None:
    path = tmp_path / "hot.yaml"
    path.write_text("""layerkit: 1
inputs:
  x:
    shape: [4]
layers:
  - Dense: 3
  - Dense: {units: 2, activation: exponential}
    name: hot
  - Dense: 1
compile: {optimizer: sgd, loss: mse}
""")
    model = builders.load(path).build()
    with pytest.raises(NonFiniteError) as found:
        model.fit(X * 1e4, Y, verbose=0)
    assert found.value.layer == "hot (Dense)"
    assert (found.value.where.line, found.value.where.column) == (7, 5)


def test_own_train_step() -> None:
    class Own(Model):
        def __init__(self):
            super().__init__()
            self.inner = Dense(1, name="inner")

        def call(self, x):
            return ops.log(self.inner(x))

    model = Own()
    model.compile("sgd", "mse", engine="reference")
    with pytest.raises(NonFiniteError) as found:
        model.fit(X, Y, verbose=0)
    assert found.value.op == "log"


def test_an_own_step_of_several_updates_is_one_step() -> None:
    class Own(Model):
        def train_step(self, data):
            x, y = data
            for power in (1, 90):
                loss, gradients = layerkit.value_and_grad(
                    lambda _, n=power: ops.mean((self(x) - y) ** 2) * x[0, 0] ** n
                )(self.trainable_weights)
                self.optimizer.apply(gradients, self.trainable_weights)
            return {"loss": loss}

    inputs = Input((4,))
    model = Own(inputs, Dense(1)(inputs))
    model.compile("sgd")
    x = np.clip(X, -0.5, 0.5)
    x[20] = 50
    with pytest.raises(NonFiniteError) as found:
        model.fit(x, Y, batch_size=4, shuffle=False, verbose=0)
    assert found.value.step == 6
    assert found.value.op == "power"


def test_rows_that_were_taken_apart_are_still_found() -> None:
    """A loop over time makes (5 * batch, 4) of (batch, 5, 4)."""
    x = np.abs(RNG.normal(size=(16, 5, 4))).astype("float32") + 1
    x[11, 3, 2] = 0
    x[13] = 0
    model = Sequential([Input((5, 4)), TimeDistributed(custom("own", ops.log), name="each"), Flatten(), Dense(1)])
    model.compile("sgd", "mse", engine="reference")
    with pytest.raises(NonFiniteError) as found:
        model.fit(x, x[:, 0, :1], batch_size=8, shuffle=False, verbose=0)
    assert found.value.rows == (3, 5)
    assert "rows 11, 13 of the data" in str(found.value)


def test_a_schedule_that_ends_in_infinity_is_named_an_epoch_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layerkit.models.nonfinite.SHARE", 0)  # keep the state, however short the epochs are

    class Pole(layerkit.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 1e-3 / (3 - ops.cast(step, "float32"))

        def get_config(self):
            return {}

    model = Sequential([Input((4,)), Dense(1)])
    model.compile(layerkit.optimizers.SGD(Pole()), "mse", engine="reference")
    with pytest.raises(NonFiniteError) as found:  # its fourth step, the last of the epoch, spoils the weights
        model.fit(X, Y, batch_size=8, epochs=2, verbose=0)
    assert (found.value.step, found.value.layer, found.value.op) == (4, "optimizer/learning_rate", "divide")
    with pytest.raises(ArgumentError, match="learning_rate"):
        layerkit.optimizers.SGD(float("inf"))


@pytest.mark.parametrize("epochs", [1, 2])
def test_weights_that_are_nan_in_silence(epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not chosen has gradient 0 / 0: the loss stays finite, for nan is not above 0 either."""
    monkeypatch.setattr("layerkit.models.nonfinite.SHARE", 0)
    gate = custom("gate", lambda x: ops.where(x > 0, ops.log(x), 0.0))
    model = Sequential([Input((4,)), Dense(3, use_bias=False, name="first"), gate, Dense(1)])
    model.compile("adam", "mse")
    with pytest.raises(NonFiniteError) as found:
        model.fit(ONE_ZERO_ROW, Y, batch_size=8, epochs=epochs, shuffle=False, verbose=0)
    assert (found.value.step, found.value.layer, found.value.op) == (3, "gate (Own)", "divide")
    assert found.value.rows == (5,)
    assert "row 21 of the data" in str(found.value)
    assert np.isfinite(model.layers[0].kernel.numpy()).all()
    with pytest.raises(NonFiniteError, match="first/kernel") as found:  # batches that are not kept cannot be run again
        model.fit(iter([(ONE_ZERO_ROW, Y)]), verbose=0)
    assert found.value.layer == "first (Dense)"


@pytest.mark.parametrize(
    ("fault", "fix"),
    [
        (lambda: [Dense(1, kernel_initializer=layerkit.initializers.Constant(np.inf))], "initializer"),
        (lambda: [Dense(1, name="wild", **WEIGHTS_1E20), Dense(1, **WEIGHTS_1E20)], "initializer"),
        (lambda: [Dense(8), Reshape((8, 1)), SimpleRNN(4, activation=lambda x: x * x * x, bias_initializer="ones")], "bounded"),
        (lambda: [Dense(1), custom("own", lambda x: (x * 1e30) * 1e30)], "holds no number that large"),
        (lambda: [Dense(3), custom("own", lambda x: ops.softmax(x - np.inf))], "large negative number"),
    ],
)  # fmt: skip
def test_the_first_step_is_not_blamed_on_the_learning_rate(fault: Any, fix: str) -> None:
    model = Sequential([Input((4,)), *fault(), Dense(1)])
    model.compile("sgd", "mse", engine="reference")
    with pytest.raises(NonFiniteError) as found:
        model.fit(X, Y, verbose=0)
    assert found.value.step == 1
    assert fix in str(found.value.fix)
    assert "learning rate" not in str(found.value.fix)


def test_steps_still_run_many_at_a_time() -> None:
    """State that is kept in the forward pass, and metrics, are written after the loss has been looked at."""
    model = Sequential([Input((4,)), Dense(8), BatchNormalization(), Dropout(0.2), Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], engine="llvm")
    model.fit(X, np.arange(32) % 3, verbose=0)
    (traced,) = model._function("train")._traced.values()
    assert traced.program.can_repeat
    assert any("require_finite" in kernel.what for kernel in traced.program.compilation.lowered().guards)


def test_embedding_and_pooling_stay_quiet() -> None:
    """What is finite is left alone, also beside infinities that are masks."""
    model = Sequential(
        [Input((5,), dtype="int32"), Embedding(9, 3, mask_zero=True), GlobalAveragePooling1D(), Activation("softmax")]
    )
    model.compile("sgd", "sparse_categorical_crossentropy", engine="reference")
    model.fit(RNG.integers(1, 9, (8, 5)), RNG.integers(0, 3, 8), verbose=0)
