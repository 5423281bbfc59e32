"""Mistakes found before the first step, kinds of data, callbacks, the progress display."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest

import layerkit
from layerkit import callbacks, losses
from layerkit import layers as L
from layerkit.errors import (
    ArgumentError,
    DataError,
    LayerkitError,
    LayerkitWarning,
    NonFiniteError,
    ShapeError,
    UnknownArgumentError,
    UnknownNameError,
)
from layerkit.training.data import class_weights

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 5)).astype("float32")
Y = RNG.integers(0, 3, 40)
ONE_HOT = np.eye(3, dtype="float32")[Y]


def classifier(loss="sparse_categorical_crossentropy", activation="softmax", **arguments):
    model = layerkit.Sequential([L.Input((5,)), L.Dense(3, activation=activation, name="out")])
    model.compile("sgd", loss, **arguments)
    return model


def regressor(units=1):
    model = layerkit.Sequential([L.Input((5,)), L.Dense(units)])
    model.compile("sgd", "mse")
    return model


def spoilt(value, dtype="float32"):
    x = X.astype(dtype).copy()
    x[3, 2] = value
    return x


FAULTS = {
    "nan-in-x": (lambda: classifier().fit(spoilt(np.nan), Y), DataError, "row 3"),
    "inf-in-x": (lambda: classifier().fit(spoilt(np.inf), Y), DataError, "row 3"),
    "nan-in-y": (lambda: regressor().fit(X, np.where(np.arange(40) == 7, np.nan, 1.0)), DataError, "row 7"),
    "label-too-large": (lambda: classifier().fit(X, np.where(np.arange(40) == 5, 9, Y)), DataError, "row 5"),
    "label-negative": (lambda: classifier().fit(X, Y - 1), DataError, "from -1"),
    "one-hot-with-sparse": (lambda: classifier().fit(X, ONE_HOT), DataError, "categorical_crossentropy"),
    "classes-with-categorical": (lambda: classifier("categorical_crossentropy").fit(X, Y), DataError, "sparse"),
    "target-that-would-broadcast": (lambda: regressor(3).fit(X, Y[:, None]), DataError, "broadcast"),
    "unequal-lengths": (lambda: classifier().fit(X, Y[:-1]), DataError, "39"),
    "empty": (lambda: classifier().fit(X[:0], Y[:0]), DataError, "empty"),
    "unequal-rows": (lambda: classifier().fit([[1, 2], [3]], Y[:2]), DataError, "a list of length 2"),
    "objects": (lambda: classifier().fit(np.array([["a"] * 5] * 40, object), Y), DataError, "no array of numbers"),
    "wrong-shape": (lambda: classifier().fit(X[:, :4], Y), ShapeError, "(None, 5)"),
    "batch-size": (lambda: classifier().fit(X, Y, batch_size=0), ArgumentError, "batch_size"),
    "validation-split": (lambda: classifier().fit(X, Y, validation_split=1.5), DataError, "between 0 and 1"),
    "misspelt-loss": (
        lambda: classifier("sparse_categorical_crossentrpy"),
        UnknownNameError,
        "sparse_categorical_crossentropy",
    ),
    "misspelt-metric": (lambda: classifier(metrics=["acuracy"]), UnknownNameError, "accuracy"),
    "misspelt-optimizer": (lambda: regressor().compile("adamm"), UnknownNameError, "adam"),
    "misspelt-activation": (lambda: L.Dense(3, "rellu"), UnknownNameError, "relu"),
    "misspelt-argument": (lambda: L.Dense(3, activtion="relu"), UnknownArgumentError, "activation"),
    "missing-argument": (lambda: L.Dense(), UnknownArgumentError, "units"),
    "output-name": (lambda: classifier({"aut": "mse"}).fit(X, Y), LayerkitError, "out"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_found_before_the_first_step(name):
    make, error, said = FAULTS[name]
    with pytest.raises(error) as caught:
        make()
    assert said in str(caught.value)
    assert caught.value.fix is not None or caught.value.expected is not None


def test_shape_errors_name_the_layer_and_the_one_before_it():
    with pytest.raises(ShapeError) as caught:
        layerkit.Sequential([L.Input((5,)), L.Dense(4, name="first"), L.Conv2D(3, 3, name="second")])
    assert caught.value.layer == "second (Conv2D)"
    assert "first (Dense)" in caught.value.fix


def test_checks_can_be_turned_off():
    with pytest.raises(NonFiniteError, match="data of step 1"):  # found later, by the loss
        classifier().fit(spoilt(np.nan), Y, check_data=False, batch_size=64, verbose=0)


@pytest.mark.parametrize(("activation", "from_logits"), [("softmax", True), ("linear", False)])
def test_logits_and_probabilities_mixed_up_are_warned_of(activation, from_logits):
    with pytest.warns(LayerkitWarning, match="out"):
        classifier(losses.SparseCategoricalCrossentropy(from_logits=from_logits), activation).fit(X, Y, verbose=0)


def test_targets_of_n_and_n_by_1_are_the_same():
    a, b = regressor(), regressor()
    b.set_weights(a.get_weights())
    for model, y in ((a, X[:, 0]), (b, X[:, :1])):
        model.fit(X, y, shuffle=False, verbose=0)
    assert all(map(np.array_equal, a.get_weights(), b.get_weights()))


def test_kinds_of_data_train_alike():
    found = []
    frame = pd.DataFrame(X, columns=list("abcde"))
    batches = [(X[i : i + 8], Y[i : i + 8]) for i in range(0, 40, 8)]
    kinds = (
        {"x": X, "y": Y},
        {"x": frame, "y": pd.Series(Y)},
        {"x": X.tolist(), "y": Y.tolist()},
        {"x": (batch for batch in batches)},
        {"x": (b for _ in range(9) for b in batches), "steps_per_epoch": 5},
    )
    for data in kinds:
        layerkit.utils.set_random_seed(0)
        model = classifier(metrics=["accuracy"])
        found.append(model.fit(**data, batch_size=8, shuffle=False, verbose=0).history)
    for history in found[1:]:
        assert history == found[0]


def test_early_stopping_restores_the_best_weights():
    model = classifier()
    seen = []

    class Watch(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_loss"] = [3.0, 1.0, 2.0, 2.5, 2.6][epoch]
            seen.append(model.get_weights())

    stop = callbacks.EarlyStopping(patience=2, restore_best_weights=True)
    history = model.fit(X, Y, epochs=5, validation_data=(X, Y), callbacks=[Watch(), stop], verbose=0)
    assert len(history.epoch) == 4
    assert all(map(np.array_equal, model.get_weights(), seen[1]))


def test_the_best_epoch_is_restored_though_none_beats_the_baseline():
    model, seen = regressor(), []

    class Watch(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_loss"] = [3.0, 1.0, 2.0, 2.5, 2.6][epoch]
            seen.append(model.get_weights())

    stop = callbacks.EarlyStopping(patience=3, baseline=0.5, restore_best_weights=True)
    history = model.fit(X, Y, epochs=5, validation_data=(X, Y), callbacks=[Watch(), stop], verbose=0)
    assert len(history.epoch) == 3  # as Keras counts: from the first epoch on
    assert all(map(np.array_equal, model.get_weights(), seen[1]))


def test_csv_has_a_column_for_what_is_validated_later(tmp_path):
    log = callbacks.CSVLogger(tmp_path / "log.csv")
    regressor().fit(X, Y, epochs=2, validation_data=(X, Y), validation_freq=2, callbacks=[log], verbose=0)
    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert [rows[0]["val_loss"], float(rows[1]["val_loss"]) > 0] == ["NA", True]


def test_csv_has_no_column_for_what_is_never_validated(tmp_path):
    given = [callbacks.LearningRateScheduler(lambda epoch: 0.5), callbacks.CSVLogger(tmp_path / "log.csv")]
    regressor().fit(X, Y, epochs=1, validation_data=(X, Y), callbacks=given, verbose=0)
    assert (tmp_path / "log.csv").read_text().splitlines()[0] == "epoch,loss,val_loss,learning_rate"


def test_a_batch_is_one_of_training():
    class Count(callbacks.Callback):
        began, ended = 0, 0

        def on_batch_begin(self, batch, logs=None):
            self.began += 1

        def on_batch_end(self, batch, logs=None):
            self.ended += 1

    count = Count()
    regressor().fit(X, Y, batch_size=8, epochs=2, callbacks=[count], verbose=0)
    assert (count.began, count.ended) == (10, 10)


def test_callbacks_end_evaluation_and_prediction():
    class Stop(callbacks.Callback):
        seen = 0

        def on_test_batch_end(self, batch, logs=None):
            self.seen += 1
            self.model.stop_evaluating = self.seen == 3

        def on_predict_batch_end(self, batch, logs=None):
            self.seen += 1
            self.model.stop_predicting = self.seen == 5

    def endless():
        while True:
            yield X[:4], Y[:4]

    model, stop = regressor(), Stop()
    model.evaluate(endless(), callbacks=[stop], verbose=0)
    assert stop.seen == 3
    assert model.predict((x for x, _ in endless()), callbacks=[stop], verbose=0).shape == (8, 1)


def test_checkpoints_and_csv(tmp_path):
    saved = callbacks.ModelCheckpoint(tmp_path / "{epoch:02d}.lk", monitor="loss", save_best_only=True)
    log = callbacks.CSVLogger(tmp_path / "log.csv")
    history = classifier(metrics=["accuracy"]).fit(X, Y, epochs=3, callbacks=[saved, log], verbose=0).history
    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert [float(r["loss"]) for r in rows] == history["loss"]
    assert list(rows[0]) == ["epoch", "loss", "accuracy"]
    assert layerkit.load_model(tmp_path / "01.lk").predict(X).shape == (40, 3)


def test_terminate_on_nan(capsys):
    model = regressor()
    model.compile({"SGD": {"learning_rate": 1e30}}, "mse")
    model.fit(X, X[:, 0], epochs=50, callbacks=[callbacks.TerminateOnNaN()], verbose=0)
    assert model.stop_training
    assert len(model.history.epoch) < 50


def test_progress_is_one_line_for_each_epoch_or_silence(capsys):
    classifier(metrics=["accuracy"]).fit(X, Y, epochs=2, validation_split=0.25)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("Epoch 2/2")
    assert "val_accuracy" in lines[1]
    classifier().fit(X, Y, epochs=2, verbose=0)
    assert capsys.readouterr().out == ""


def test_a_smaller_last_batch_needs_no_other_program():
    model = classifier()
    model.fit(X, Y, batch_size=16, verbose=0)
    model.predict(X, batch_size=7, verbose=0)
    assert len(model._function("train")._traced) == 1
    assert len(model._function("predict")._traced) == 1


def test_learning_rate_can_be_set_and_float64_trained():
    model = layerkit.Sequential([L.Input((5,), dtype="float64"), L.Dense(1, dtype="float64")])
    model.compile({"SGD": {"learning_rate": 0.1, "momentum": 0.9}}, "mse")
    model.fit(X.astype("float64"), X[:, 0].astype("float64"), verbose=0)
    model.optimizer.learning_rate = 0.0
    before = model.get_weights()
    for slots in model.optimizer.slots.values():
        for slot in slots.values():
            slot.array = np.zeros(slot.shape)
    model.fit(X.astype("float64"), X[:, 0].astype("float64"), verbose=0)
    assert before[0].dtype == "float64"
    assert all(map(np.array_equal, before, model.get_weights()))


def test_a_loss_of_your_own_may_take_any_targets():
    def distance(y_true, y_pred):
        return layerkit.ops.mean(layerkit.ops.square(y_pred - layerkit.ops.one_hot(y_true, 3)), -1)

    model = classifier(distance)
    losses_ = model.fit(X, Y, epochs=3, verbose=0).history["loss"]
    assert losses_[-1] < losses_[0]
    with pytest.raises(ArgumentError, match="cannot be written"):
        classifier(lambda y_true, y_pred: distance(y_true, y_pred)).save("never.lk")


@pytest.mark.parametrize(
    ("given", "names", "says"),
    [
        ({"maybe": 1}, ("no", "yes"), "use one of no, yes"), ({"yess": 1}, ("no", "yes"), "did you mean 'yes'"),
        ({"a": 1}, None, "has no class 'a'"), ({0: "b"}, None, "is no weight"), ({0: -1}, None, "is no weight"),
        ([1, 2], None, "a mapping"),
    ],
)  # fmt: skip
def test_weights_of_no_class_are_refused(given, names, says):
    with pytest.raises(ArgumentError, match=says):
        class_weights(given, names)


def test_weights_of_classes_by_name_and_by_number():
    assert class_weights({"7": 3, 5: 2}, ("5", "6", "7")) == {2: 3, 0: 2}
    assert class_weights({"1": 3, 0: 2}) == {1: 3, 0: 2}


@pytest.mark.parametrize(
    ("units", "activation", "loss", "y", "says"),
    [
        (1, "sigmoid", "sparse_categorical_crossentropy", [0, 1, 1], "binary_crossentropy"),
        (1, None, "sparse_categorical_crossentropy", [0.5, 1.5, 8], "loss='mse'"),
        (3, "softmax", "sparse_categorical_crossentropy", [0, 1, 3], "4 units"),
    ],
)  # fmt: skip
def test_targets_of_another_loss_are_told_which(units, activation, loss, y, says):
    model = layerkit.Sequential([L.Dense(units, activation)])
    model.compile("sgd", loss)
    with pytest.raises(DataError, match=says):
        model.fit(np.ones((3, 2)), np.array(y), verbose=0)


def test_a_prediction_for_each_step_is_told_to_be_reduced():
    model = layerkit.Sequential([L.LSTM(2, return_sequences=True), L.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(DataError, match="return_sequences=False"):
        model.fit(np.ones((3, 4, 2)), np.ones(3), verbose=0)


def test_a_softmax_over_one_number_is_warned_of():
    model = layerkit.Sequential([L.Dense(1, "softmax")])
    model.compile("sgd", "mse")
    with pytest.warns(LayerkitWarning, match="always 1"):
        model.fit(np.ones((3, 2)), np.ones(3), verbose=0)
