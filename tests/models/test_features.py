"""What users of Keras expect of a model besides fit: added losses and metrics, copies, frozen layers, named outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import layerkit
from layerkit import Model, Sequential, losses, metrics, models, ops, optimizers, tree
from layerkit.errors import ArgumentError, DataError, FileFormatError, LayerkitError, ShapeError, StateError
from layerkit.layers import Dense, Dropout, Input, Layer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 4)).astype("float32")
Y = X[:, :1] * 2
C = RNG.integers(0, 3, 16)


def small(units: int = 1, **arguments: Any) -> Sequential:
    return Sequential([Input((4,)), Dense(5, activation="relu"), Dense(units, **arguments)])


def fit(
    model: Model, x: Any = X, y: Any = Y, loss: Any = "mse", optimizer: Any = "sgd", **compile: Any
) -> dict[str, Any]:
    model.compile(optimizer, loss, engine="reference", **compile)
    return model.fit(x, y, batch_size=8, epochs=2, verbose=0, shuffle=False).history


def test_layers_add_losses_and_metrics() -> None:
    class Watched(Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.mean = metrics.Mean(name="mean_input")

        def call(self, x):
            self.add_loss(0.5 * ops.mean(ops.square(x)))
            self.add_metric(ops.max(x), name="largest")
            self.mean.update_state(x)
            return x

    model = Sequential([Input((4,)), Watched(), Dense(1, kernel_initializer="zeros", kernel_regularizer="l2")])
    model.compile(optimizers.SGD(0.0), "mse", engine="reference")
    logs = model.evaluate(X, Y, batch_size=16, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(np.mean(Y**2) + 0.5 * np.mean(X**2), rel=1e-5)
    assert logs["largest"] == pytest.approx(X.max())
    assert logs["mean_input"] == pytest.approx(X.mean(), abs=1e-6)
    assert model.metrics_names == ["loss", "largest", "mean_input"]
    model.layers[1].kernel.array = np.ones((4, 1))
    assert float(model.losses[0]) == pytest.approx(0.04)


def test_own_steps_get_the_batch_as_it_was_given() -> None:
    """x alone, (x, y), or (x, y, sample_weight): as ``keras.utils.pack_x_y_sample_weight`` makes it."""
    seen = []

    class Own(Model):
        def train_step(self, data):
            seen.append(len(data) if isinstance(data, tuple) else data.shape[1:])
            return {"n": ops.sum(layerkit.utils.unpack_x_y_sample_weight(data)[0])}

        def test_step(self, data):
            return super().test_step(data)

        def predict_step(self, data):
            return super().predict_step(data) + ops.shape(data)[1]

    inputs = layerkit.Input((3,))
    model = Own(inputs, Dense(1, kernel_initializer="ones")(inputs))
    model.compile("sgd", "mse")
    x, y = np.ones((4, 3), "float32"), np.ones((4, 1), "float32")
    model.fit(x, verbose=0)
    model.fit(x, y, verbose=0)
    model.fit(x, y, sample_weight=np.ones(4), verbose=0)
    model.fit(iter([(x, y)]), verbose=0)
    assert seen == [(3,), 2, 3]  # a program is traced once for each form
    assert model.evaluate(x, y, verbose=0) == 4.0
    assert model.predict(x).tolist() == [[6.0]] * 4


def test_own_train_step_as_users_write_it() -> None:
    class Own(Model):
        def __init__(self):
            super().__init__()
            self.dense = Dense(1)
            self.tracker = metrics.Mean(name="loss")

        def call(self, x):
            return self.dense(x)

        @property
        def metrics(self):
            return [self.tracker]

        def train_step(self, data):
            x, y = data

            def loss(weights):
                return ops.mean(ops.square(self(x, training=True) - y)) + sum(self.losses)

            value, gradients = layerkit.value_and_grad(loss)(self.trainable_weights)
            self.optimizer.apply(gradients, self.trainable_weights)
            self.tracker.update_state(value)
            return {m.name: m.result() for m in self.metrics}

        def test_step(self, data):
            x, y = data
            return {"far": ops.max(ops.abs(self(x) - y))}

        def predict_step(self, data):
            return self(data) * 2.0

    model = Own()
    history = fit(model, optimizer=optimizers.SGD(0.1))
    assert history["loss"][1] < history["loss"][0]
    once = model.predict_on_batch(X)
    assert np.allclose(model.predict(X, verbose=0), once)
    logs = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert logs["far"] == pytest.approx(np.abs(once / 2 - Y).max(), rel=1e-5)


def test_frozen_layers_stay_and_thawed_ones_learn() -> None:
    base = small(3)
    x = Input((4,))
    model = Model(x, Dense(1)(base(x, training=False)))
    base.trainable = False
    before = base.get_weights()
    fit(model)
    assert all(np.array_equal(a, b) for a, b in zip(before, base.get_weights(), strict=True))
    assert (len(model.trainable_weights), len(model.non_trainable_weights)) == (2, 4)
    base.trainable = True
    fit(model)
    assert not np.array_equal(before[0], base.get_weights()[0])


def branching() -> Model:
    x = Input((4,), name="x")
    shared = Dense(4, name="shared")
    return Model(x, [Dense(1, name="a")(shared(x) + shared(shared(x))), Dense(2, name="b")(x[:, :3])], name="branching")


@pytest.mark.parametrize("make", [small, branching])
@pytest.mark.parametrize(
    "copy",
    [
        models.clone_model,
        lambda m: type(m).from_config(m.get_config()),
        lambda m: models.model_from_json(m.to_json()),
    ],
    ids=["clone", "config", "json"],
)
def test_copies_have_weights_of_their_own(make: Any, copy: Any) -> None:
    model = make()
    other = copy(model)
    assert [w.path for w in other.weights] == [w.path for w in model.weights]
    assert not set(model.weights) & set(other.weights)
    other.set_weights(model.get_weights())
    both = (tree.leaves(m.predict(X, verbose=0)) for m in (model, other))
    assert all(np.array_equal(a, b) for a, b in zip(*both, strict=True))


def test_clone_with_other_layers() -> None:
    def wider(layer: Layer) -> Layer:
        return Dense(9, activation="tanh") if layer.name == "dense" else layer.from_config(layer.get_config())

    model = small()
    assert models.clone_model(model, clone_function=wider).count_params() == 4 * 9 + 9 + 9 + 1
    shared = models.clone_model(model, clone_function=lambda layer: layer)
    assert shared.layers[0] is model.layers[0]

    def dropping(layer: Layer, *args: Any) -> Any:
        y = layer(*args)
        return Dropout(0.5)(y) if isinstance(layer, Dense) else y

    outer = Sequential([Input((4,)), small(), Dense(1)])
    copy = models.clone_model(outer, clone_function=lambda x: x, call_function=dropping, recursive=True)
    assert [type(x).__name__ for x in copy.flatten_layers()].count("Dropout") == 3
    np.testing.assert_array_equal(copy(X), outer(X))
    outer.compile("adam", "mse")
    assert models.clone_model(outer).compiled
    with pytest.raises(ShapeError, match="another structure"):
        models.clone_model(Model({"a": (a := Input((1,))), "b": (b := Input((1,)))}, a + b), [a, b])
    with pytest.raises(FileFormatError, match="no JSON"):
        models.model_from_json("nothing")


def test_outputs_by_the_names_of_a_dict() -> None:
    x = Input((4,))
    model = Model(x, {"number": Dense(1, name="n")(x), "class": Dense(3, activation="softmax", name="c")(x)})
    history = fit(
        model, X, {"class": C, "number": Y}, {"number": "mse", "class": "sparse_categorical_crossentropy"},
        loss_weights={"number": 0.5, "class": 2.0}, metrics={"class": "accuracy"}, weighted_metrics={"number": ["mae"]},
    )  # fmt: skip
    assert list(history) == ["loss", "number_loss", "class_loss", "number_mae", "class_accuracy"]
    expected = 0.5 * history["number_loss"][0] + 2 * history["class_loss"][0]
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5)
    assert {k: v.shape for k, v in model.predict(X, verbose=0).items()} == {"number": (16, 1), "class": (16, 3)}
    assert model.output_shape == {"number": (None, 1), "class": (None, 3)}


def test_generators_and_the_epochs_of_validation() -> None:
    def batches() -> Any:
        while True:
            yield X[:8], Y[:8]

    model = small()
    model.compile("sgd", "mse", engine="reference")
    history = model.fit(
        batches(), steps_per_epoch=2, epochs=4, validation_data=(X, Y), validation_freq=[1, 4], verbose=0
    )
    assert len(history.history["loss"]) == 4
    assert len(history.history["val_loss"]) == 2
    assert int(model.optimizer.iterations) == 8


def test_what_compile_was_given() -> None:
    model = small()
    assert not model.compiled
    model.compile(optimizers.Adam(0.1), losses.Huber(0.5), metrics=["mae"])
    assert model.compiled
    config = model.get_compile_config()
    assert config["loss"] == {"Huber": {"delta": 0.5}}
    other = small()
    other.compile_from_config(config)
    assert float(other.optimizer.learning_rate) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("kind", "thing"),
    [(losses, losses.Tversky(0.3)), (metrics, metrics.AUC(curve="PR")), (optimizers, optimizers.Lion(0.2))],
)
def test_objects_as_plain_data(kind: Any, thing: Any) -> None:
    plain = kind.serialize(thing)
    assert plain["class_name"] == type(thing).__name__
    assert repr(kind.deserialize(plain)) == repr(thing)


def test_on_batch() -> None:
    model = small()
    model.compile("sgd", "mse", metrics=["mae"], engine="reference")
    first = model.train_on_batch(X, Y, return_dict=True)
    assert list(first) == ["loss", "mae"]
    loss, mae = model.test_on_batch(X, Y)
    assert mae == pytest.approx(np.abs(model.predict_on_batch(X) - Y).mean(), rel=1e-5)
    assert loss < first["loss"]


def test_summary_shows_what_is_asked_for() -> None:
    inner = Sequential([Input((4,)), Dense(3, name="deep")], name="inner")
    inner.trainable = False
    model = Sequential([Input((4,)), inner, Dense(2, name="last")])
    shown: list[str] = []
    model.summary(print_fn=shown.append)
    model.summary(print_fn=shown.append, expand_nested=True, show_trainable=True)
    model.summary(print_fn=shown.append, layer_range=["last", "last"])
    assert "deep" not in shown[0]
    lines = shown[1].splitlines()
    assert any("  deep (Dense)" in line for line in lines)
    assert any("inner" in line and " no " in line for line in lines)
    assert any("last" in line and " yes " in line for line in lines)
    assert "inner (Sequential)" not in shown[2]
    with pytest.raises(ArgumentError, match="layer_range"):
        model.summary(layer_range=["first", "last"])


def test_two_optimizers_in_one_step() -> None:
    """A small GAN, as users write it: each optimizer keeps its own slots, made at the first step."""

    class Pair(Model):
        def __init__(self):
            super().__init__()
            self.maker, self.judge = small(2), Sequential([Input((2,)), Dense(1)])

        def compile(self, maker_optimizer, judge_optimizer):
            super().compile(engine="reference")
            self.optimizers = maker_optimizer, judge_optimizer

        def train_step(self, data):
            real, noise = data[:, :2], data

            def judged(_):
                return ops.mean(self.judge(self.maker(noise))) - ops.mean(self.judge(real))

            def made(_):
                return -ops.mean(self.judge(self.maker(noise)))

            found = {}
            for name, loss, part, optimizer in zip(
                ("judge_loss", "maker_loss"), (judged, made), (self.judge, self.maker), self.optimizers, strict=True
            ):
                value, gradients = layerkit.value_and_grad(loss)(part.trainable_weights)
                optimizer.apply_gradients(zip(gradients, part.trainable_weights, strict=True))
                found[name] = value
            return found

    model = Pair()
    model.compile(optimizers.Adam(0.01), optimizers.SGD(0.01, momentum=0.9))
    history = model.fit(X, epochs=2, verbose=0).history
    assert list(history) == ["judge_loss", "maker_loss"]
    assert [len(o.slots) for o in model.optimizers] == [2, 4]
    assert [int(o.iterations) for o in model.optimizers] == [2, 2]


# What users of Keras do every day ---------------------------------------------------------------------------------------


def test_features_of_layers_inside_a_model() -> None:
    model = Sequential([layerkit.Input((4,)), Dense(3, name="first", activation="relu"), Dense(2)])
    x = np.random.default_rng(0).standard_normal((5, 4)).astype("float32")
    features = Model(model.inputs, [layer.output for layer in model.layers])
    first, second = features.predict(x)
    np.testing.assert_array_equal(second, model.predict(x))
    kernel, bias = model.get_layer("first").get_weights()
    np.testing.assert_allclose(first, np.maximum(x @ kernel + bias, 0), rtol=1e-5, atol=1e-6)
    assert model.get_layer("first").input is model.inputs[0]
    model.add(Dense(1))
    assert Model(model.inputs, model.layers[1].output).output_shape == (None, 2)
    whole = Model(model.input, model.output)
    assert whole.layers[0].output is model.inputs[0]
    with pytest.raises(StateError, match="symbolic tensors"):
        _ = Dense(1).output


def test_a_learning_rate_may_be_the_optimizers_own() -> None:
    """Callbacks read the rate, and write it back."""
    optimizer = layerkit.optimizers.SGD(0.1)
    optimizer.learning_rate = optimizer.learning_rate
    optimizer.learning_rate = optimizer.learning_rate * 0.5
    assert float(optimizer.learning_rate) == pytest.approx(0.05)


def test_columns_fit_inputs_of_one_number() -> None:
    flat, column = layerkit.Input((), name="flat"), layerkit.Input((1,), name="column")
    model = Model([flat, column], ops.expand_dims(flat, -1) + column)
    model.compile("sgd", "mse")
    x = np.arange(4.0, dtype="float32")
    for given in ({"flat": x, "column": x}, {"flat": x[:, None], "column": x[:, None]}):
        assert model.predict(given).tolist() == [[0.0], [2.0], [4.0], [6.0]]
        assert model.evaluate(given, 2 * x, verbose=0) == 0
        assert model(given).shape == (4, 1)


class Rows(layerkit.utils.PyDataset):
    """Batches of one row, each its own number."""

    def __init__(self, count: int) -> None:
        super().__init__(workers=2)
        self.count, self.seen, self.ends = count, [], 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        self.seen.append(index)
        return np.full((1, 1), index, "float32"), np.full((1, 1), index, "float32")

    def on_epoch_end(self) -> None:
        self.ends += 1


def test_a_dataset_of_numbered_batches() -> None:
    layerkit.utils.set_random_seed(0)
    model = Sequential([layerkit.Input((1,)), Dense(1)])
    model.compile("sgd", "mse")
    rows, held_out = Rows(6), Rows(3)
    model.fit(rows, epochs=2, validation_data=held_out, verbose=0)
    first, second = rows.seen[:6], rows.seen[6:]
    assert sorted(first) == sorted(second) == list(range(6))
    assert first != second
    assert rows.ends == 2
    assert held_out.seen == [0, 1, 2] * 2
    rows.seen.clear()
    model.fit(rows, shuffle=False, verbose=0)
    model.fit(rows, steps_per_epoch=4, epochs=3, shuffle=False, verbose=0)
    assert rows.seen == [*range(6), *range(6), 0, 1, 2, 3]  # four, the other two, four
    assert rows.ends == 4
    rows.seen.clear()
    model.fit(rows, steps_per_epoch=4, epochs=4, verbose=0)
    assert sorted(rows.seen[:6]) == sorted(rows.seen[6:]) == list(range(6))
    assert model.predict(rows).shape == (6, 1)


class Counted(layerkit.utils.PyDataset):
    """Says by ``num_batches`` how many batches there are; None: without end."""

    def __init__(self, number: int | None) -> None:
        super().__init__()
        self.number = number
        self.seen: list[int] = []

    @property
    def num_batches(self) -> int | None:
        return self.number

    def __getitem__(self, index: int) -> Any:
        self.seen.append(index)
        return np.ones((2, 1), "float32"), np.ones((2, 1), "float32")


def test_a_dataset_without_a_length() -> None:
    model = Sequential([layerkit.Input((1,)), Dense(1)])
    model.compile("sgd", "mse")
    rows, endless = Counted(4), Counted(None)
    model.fit(rows, verbose=0)
    assert sorted(rows.seen) == [0, 1, 2, 3]
    model.fit(endless, steps_per_epoch=3, epochs=2, verbose=0)
    assert endless.seen == [0, 1, 2, 3, 4, 5]
    assert model.predict(endless, steps=2, verbose=0).shape == (4, 1)
    for call, fix in ((model.fit, "steps_per_epoch"), (model.predict, "steps"), (model.evaluate, "steps")):
        with pytest.raises(DataError) as caught:
            call(endless, verbose=0)
        assert f"{fix}=" in caught.value.fix


def test_losses_and_targets_of_some_outputs() -> None:
    """Targets of the outputs that have a loss are enough; 1 and 3 are predicted, so the loss is (3 - 1)^2."""
    x = layerkit.Input((2,))
    ones = {"kernel_initializer": "ones", "use_bias": False}
    outputs = [Dense(1, name="a", **ones)(x), Dense(1, name="b", **ones)(x), Dense(1, name="c", **ones)(x)]
    rows, y = np.full((4, 2), 0.5, "float32"), np.full((4, 1), 3.0, "float32")
    for loss, targets, counted in (
        ([None, "mse", None], y, None),
        ([None, "mse", None], [y], None),
        ({"b": "mse"}, [None, y, None], {"b": ["mae"]}),
        ({"b": "mse"}, {"b": y}, {"b": ["mae"]}),
        ([None, "mse", None], y, [[], ["mae"], []]),
    ):
        model = layerkit.Model(x, outputs)
        model.compile("sgd", loss, metrics=counted)
        found = model.evaluate(rows, targets, return_dict=True, verbose=0)
        assert found["loss"] == pytest.approx(4.0)
        assert counted is None or found["b_mae"] == pytest.approx(2.0)
    with pytest.raises(ArgumentError):
        model.evaluate(rows, [y, y], verbose=0)


def test_compute_loss_without_training() -> None:
    class Doubled(layerkit.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = Dense(1, kernel_initializer="zeros")

        def call(self, x: Any) -> Any:
            return self.dense(x)

        def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None) -> Any:
            return 2 * super().compute_loss(x, y, y_pred, sample_weight)

    model = Doubled()
    model.compile("sgd", "mse")
    x, y = np.ones((4, 1), "float32"), np.full((4, 1), 3.0, "float32")
    assert model.evaluate(x, y, verbose=0) == pytest.approx(18.0)
    assert model.fit(x, y, verbose=0).history["loss"] == pytest.approx([18.0])


def test_compute_metrics_of_ones_own() -> None:
    class Summed(layerkit.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = Dense(1, kernel_initializer="ones")
            self.total = metrics.Mean(name="total")

        def call(self, x: Any) -> Any:
            return self.dense(x)

        def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any) -> Any:
            self.total.update_state(ops.sum(y_pred))
            return super().compute_metrics(x, y, y_pred, sample_weight) | {"total": self.total.result()}

    model = Summed()
    model.compile("sgd", "mse", metrics=["mae"])
    x, y = np.full((4, 1), 2.0, "float32"), np.full((4, 1), 3.0, "float32")
    wanted = {"loss": 1.0, "mae": 1.0, "total": 8.0}
    assert model.evaluate(x, y, return_dict=True, verbose=0) == pytest.approx(wanted)
    assert {k: v[0] for k, v in model.fit(x, y, verbose=0).history.items()} == pytest.approx(wanted)


def test_logs_of_hooks() -> None:
    class Seen(layerkit.callbacks.Callback):
        def on_train_end(self, logs: Any = None) -> None:
            self.last = logs

        def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
            self.outputs = logs["outputs"]

    model = Sequential([layerkit.Input((1,)), Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    x, y, seen = np.ones((4, 1), "float32"), np.ones((4, 1), "float32"), Seen()
    history = model.fit(x, y, epochs=2, validation_data=(x, y), callbacks=[seen], verbose=0)
    assert seen.last == {name: values[-1] for name, values in history.history.items()}
    found = model.predict(x, batch_size=2, callbacks=[seen], verbose=0)
    assert np.array_equal(seen.outputs, found[2:])


def test_own_functions_come_back_by_their_names(tmp_path: Any) -> None:
    def twice(x: Any) -> Any:
        return ops.tanh(x) * 2

    def far(y: Any, p: Any) -> Any:
        return ops.mean(ops.abs(y - p), axis=-1)

    model = Sequential([layerkit.Input((3,)), Dense(2, activation=twice)])
    model.compile("sgd", far, metrics=[far])
    x, y = np.ones((4, 3), "float32"), np.ones((4, 2), "float32")
    model.save(tmp_path / "own.lk")
    with pytest.raises(LayerkitError, match="twice"):
        layerkit.load_model(tmp_path / "own.lk")
    loaded = layerkit.load_model(tmp_path / "own.lk", custom_objects={"twice": twice, "far": far})
    assert loaded.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
    model = Sequential([layerkit.Input((3,)), Dense(2, activation=lambda x: x * 2)])
    with pytest.raises(ArgumentError, match="cannot be written"):
        model.save(tmp_path / "own.lk")
    model.save_weights(tmp_path / "own.weights.h5")
    before, model.layers[0].kernel.array = model.get_weights()[0], np.zeros((3, 2))
    model.load_weights(tmp_path / "own.weights.h5")
    assert np.array_equal(before, model.get_weights()[0])
    with pytest.raises(LayerkitError, match="no model"):
        layerkit.load_model(tmp_path / "own.weights.h5")


def test_registered_classes_and_functions_need_no_list(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layerkit.registry._REGISTERED", {})

    @layerkit.saving.register_keras_serializable(package="mine")
    class Scaled(layerkit.Layer):
        def __init__(self, by: float = 2.0, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.by = by

        def call(self, x: Any) -> Any:
            return x * self.by

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "by": self.by}

    @layerkit.utils.register_keras_serializable()
    def half(x: Any) -> Any:
        return x / 2

    model = Sequential([layerkit.Input((1,)), Scaled(6.0), layerkit.layers.Activation(half)])
    layerkit.models.save_model(model, tmp_path / "own.keras")
    loaded = layerkit.saving.load_model(tmp_path / "own.keras")
    assert loaded.predict(np.ones((1, 1))).tolist() == [[3.0]]
    assert layerkit.activations.get("Custom>half") is half


def test_a_loaded_model_has_its_outputs_inputs_and_metrics_in_their_order(tmp_path):
    b, a = Input((3,), name="b"), Input((3,), name="a")
    model = Model({"b": b, "a": a}, {"z": Dense(1, name="late")(b), "c": Dense(1, name="early")(a)})
    model.compile("sgd", loss={"z": "mse", "c": "mse"}, metrics={"z": ["mae", "mse"], "c": "mae"})
    x = {"b": np.ones((4, 3), "float32"), "a": np.zeros((4, 3), "float32")}
    y = [np.full((4, 1), 2.0, "float32"), np.zeros((4, 1), "float32")]  # by place: z, then c
    told = model.evaluate(x, y, verbose=0, return_dict=True)
    assert list(told) == ["loss", "z_loss", "c_loss", "z_mae", "z_mse", "c_mae"]
    model.save(tmp_path / "model.lk")
    again = layerkit.load_model(tmp_path / "model.lk")
    assert list(again.predict(x, verbose=0)) == ["z", "c"]
    assert list(again.evaluate(x, y, verbose=0, return_dict=True).items()) == list(told.items())
    assert again.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)


def test_a_summary_of_a_model_of_ones_own_shows_the_shapes_that_its_layers_gave():
    class Two(Model):
        def __init__(self):
            super().__init__()
            self.first, self.second = Dense(4, name="first"), Dense(2, name="second")
            self.drop, self.unused = Dropout(0.5, name="drop"), Dense(3, name="unused")

        def call(self, x):
            hidden = self.drop(self.first(x))
            return self.second(ops.concatenate([hidden, hidden], -1))

    def shapes(model):
        shown = []
        model.summary(print_fn=shown.append)
        return [line.split("│")[2].strip() for text in shown for line in text.splitlines() if line.startswith("│")]

    built, called, trained = Two(), Two(), Two()
    assert shapes(built) == ["not built"] * 4
    built.build((None, 7, 3))
    assert shapes(built) == ["(None, 7, 4)", "(None, 7, 2)", "(None, 7, 4)", "not built"]
    called(np.ones((5, 3), "float32"))
    trained.compile("sgd", "mse")
    trained.fit(np.ones((6, 3), "float32"), np.ones((6, 2), "float32"), batch_size=4, verbose=0)
    assert shapes(called) == shapes(trained) == ["(None, 4)", "(None, 2)", "(None, 4)", "not built"]
