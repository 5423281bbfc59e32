"""Callbacks that change training: the learning rate, averaged weights, going on after an interruption to the same bits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import layerkit
from layerkit import Sequential, callbacks, metrics, optimizers
from layerkit.errors import ArgumentError, LayerkitWarning, StateError
from layerkit.layers import Dense, Dropout, Input

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 4)).astype("float32")
Y = X[:, :1] * 2


def model(optimizer: Any = "adam", seed: int = 1, engine: str | None = "reference") -> Sequential:
    layerkit.utils.set_random_seed(seed)
    made = Sequential([Input((4,)), Dense(6, activation="relu"), Dropout(0.3), Dense(1)])
    made.compile(optimizer, "mse", metrics=["mae"], engine=engine)
    return made


class Killed(Exception):
    pass


class Kill(callbacks.Callback):
    """Ends everything after so many batches."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise Killed


def fit(made: Sequential, *given: Any, **arguments: Any) -> Any:
    return made.fit(X, Y, batch_size=8, epochs=4, verbose=0, callbacks=list(given), **arguments)


@pytest.mark.parametrize(("save_freq", "killed_at"), [("epoch", 17), (3, 5), (3, 21), (7, 14), (1, 13)])
def test_a_killed_run_goes_on_to_the_same_bits(save_freq: Any, killed_at: int, tmp_path: Any) -> None:
    whole = model(engine="llvm")
    expected = fit(whole, Kill(1000)).history
    first = model(engine="llvm")
    with pytest.raises(Killed):
        fit(first, callbacks.BackupAndRestore(tmp_path, save_freq), Kill(killed_at))
    again = model(seed=99, engine="llvm")  # as a new process would make it
    history = fit(again, callbacks.BackupAndRestore(tmp_path, save_freq)).history
    for a, b in zip(whole.get_weights(), again.get_weights(), strict=True):
        assert np.array_equal(a, b)
    assert history["loss"][-1] == pytest.approx(expected["loss"][-1], abs=0 if save_freq == "epoch" else 1)
    assert int(again.optimizer.iterations) == 28
    assert not list(tmp_path.iterdir())  # removed when done


def test_a_damaged_backup_falls_back_to_the_one_before(tmp_path: Any) -> None:
    whole = model()
    fit(whole, Kill(1000))
    with pytest.raises(Killed):
        fit(model(), callbacks.BackupAndRestore(tmp_path, double_checkpoint=True), Kill(20))
    (tmp_path / "latest.lk").write_bytes(b"damaged")
    again = model(seed=5)
    fit(again, callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False))
    for a, b in zip(whole.get_weights(), again.get_weights(), strict=True):
        assert np.array_equal(a, b)
    assert (tmp_path / "latest.lk").exists()


def many(folder: Any) -> list[Any]:
    """Callbacks of every kind that remembers something."""
    return [
        callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=0.4, cooldown=1),
        callbacks.EarlyStopping("loss", patience=3, min_delta=0.5, restore_best_weights=True),
        callbacks.ModelCheckpoint(folder / "best.lk", "loss", save_best_only=True),
        callbacks.CSVLogger(folder / "log.csv"),
        callbacks.SwapEMAWeights(swap_on_epoch=True),
    ]


@pytest.mark.parametrize("killed_at", [8, 15, 22, 29, 33])
def test_callbacks_go_on_where_they_were(killed_at: int, tmp_path: Any) -> None:
    def run(name: str, *more: Any) -> Any:
        made = model(optimizers.Adam(0.01, use_ema=True, ema_momentum=0.8))
        (tmp_path / name).mkdir(exist_ok=True)
        backup = callbacks.BackupAndRestore(tmp_path / name / "backup")
        given = [backup, *many(tmp_path / name), *more]  # the backup comes first, and is made last nevertheless
        history = made.fit(X, Y, batch_size=8, epochs=20, verbose=0, callbacks=given)
        return made, history

    whole, expected = run("whole")
    with pytest.raises(Killed):
        run("killed", Kill(killed_at))
    again, history = run("killed")
    assert 5 <= len(expected.epoch) < 20  # stopped early
    assert history.history == expected.history
    assert history.epoch == expected.epoch
    assert len(set(expected.history["learning_rate"])) > 2
    for a, b in zip(whole.get_weights(), again.get_weights(), strict=True):
        assert np.array_equal(a, b)
    for name in ("best.lk", "log.csv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_run_killed_after_it_stopped_early_does_not_go_on(tmp_path: Any) -> None:
    def run(*more: Any) -> Any:
        made = model()
        stop = callbacks.EarlyStopping("loss", patience=1, min_delta=9.0, restore_best_weights=True)
        return made, fit(made, callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False), stop, *more)

    whole, history = run()
    again, later = run()  # the backup that says "stopped" is still there
    assert len(history.epoch) == 2
    assert later.epoch == history.epoch
    for a, b in zip(whole.get_weights(), again.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_a_callback_of_ones_own_is_remembered(tmp_path: Any) -> None:
    class Count(callbacks.Callback):
        remembers = ("count", "seen")

        def on_train_begin(self, logs=None):
            self.count, self.seen = 0, {"losses": []}

        def on_epoch_end(self, epoch, logs=None):
            self.count += 1
            self.seen["losses"].append(logs["loss"])

    first, again = Count(), Count()
    with pytest.raises(Killed):
        fit(model(), callbacks.BackupAndRestore(tmp_path), first, Kill(20))
    fit(model(), callbacks.BackupAndRestore(tmp_path), again)
    assert again.count == 4
    assert again.seen["losses"][: first.count] == first.seen["losses"]


def test_what_cannot_be_kept_is_an_error(tmp_path: Any) -> None:
    class Odd(callbacks.Callback):
        remembers = ("what",)
        what = object()

    with pytest.raises(ArgumentError, match="a state is made of plain values"):
        fit(model(), callbacks.BackupAndRestore(tmp_path), Odd())


def test_learning_rate_scheduler(capsys: pytest.CaptureFixture[str]) -> None:
    made = model("sgd")
    history = fit(made, callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5, verbose=1)).history
    np.testing.assert_allclose(history["learning_rate"], [0.005, 0.0025, 0.00125, 0.000625], rtol=1e-6)
    assert "epoch 4: learning rate 0.000625" in capsys.readouterr().out
    history = fit(made, callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))).history
    np.testing.assert_allclose(history["learning_rate"], [0.1, 0.05, 0.1 / 3, 0.025], rtol=1e-6)
    with pytest.raises(ArgumentError, match="returns the learning rate"):
        fit(made, callbacks.LearningRateScheduler(lambda epoch: "fast"))
    with pytest.raises(StateError, match="a schedule computes"):
        fit(model(optimizers.SGD(optimizers.schedules.PolynomialDecay(0.1, 5))), callbacks.ReduceLROnPlateau("loss"))


def test_lambda_callback() -> None:
    seen: list[Any] = []
    given = callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append((epoch, sorted(logs))),
        on_train_end=lambda logs: seen.append("end"),
    )
    assert not given.watches_batches("train")
    fit(model(), given)
    assert seen == [*((i, ["loss", "mae"]) for i in range(4)), "end"]
    count: list[int] = []
    fit(model(), callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: count.append(batch)))
    assert count == [*range(7)] * 4


def test_swap_ema_weights() -> None:
    """Validation uses the averages, training goes on with the weights."""
    watched: list[Any] = []

    def watch(when: str) -> Any:
        return lambda *_: watched.append((when, made.get_weights()[0].copy()))

    made = model(optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))
    plain = model(optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))
    swap = callbacks.SwapEMAWeights()
    look = callbacks.LambdaCallback(on_test_begin=watch("test"), on_epoch_end=watch("epoch"))
    fit(made, swap, look, validation_data=(X, Y))
    fit(plain, validation_data=(X, Y))
    for a, b in zip(made.get_weights(), plain.get_weights(), strict=True):
        assert np.array_equal(a, b)
    assert not np.array_equal(watched[0][1], watched[1][1])
    between = callbacks.LambdaCallback(on_epoch_end=watch("average"))
    watched.clear()
    made = model(optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))
    fit(made, callbacks.SwapEMAWeights(swap_on_epoch=True), between)
    assert np.array_equal(watched[-1][1], made.get_weights()[0])  # the last averages are what fit ends with
    with pytest.raises(StateError, match="use_ema=True"):
        fit(model(), swap)


def test_by_name_as_files_write_them() -> None:
    history = fit(model("sgd"), {"ReduceLROnPlateau": {"monitor": "loss", "patience": 1}}).history
    assert len(history["learning_rate"]) == 4


@pytest.mark.parametrize(
    ("metric", "name", "is_up"),
    [
        (metrics.AUC(name="AUC"), "val_AUC", True), (metrics.CosineSimilarity(), "cosine_similarity", True),
        (metrics.MeanIoU(num_classes=2), "val_mean_io_u", True), (metrics.Hinge(name="accuracy"), "accuracy", False),
        (metrics.Mean(name="b_loss"), "val_b_loss", False), (metrics.Mean(name="my_acc"), "val_my_acc", True),
    ],
)  # fmt: skip
def test_which_way_is_better_follows_from_the_metric(metric, name, is_up):
    watched = callbacks.EarlyStopping(name, patience=1)
    watched.model = SimpleNamespace(metrics=[metric], stop_training=False)
    watched.on_train_begin()
    for epoch, value in enumerate((0.5, 0.6)):
        watched.on_epoch_end(epoch, {name: value})
    assert (watched.best, watched.model.stop_training) == ((0.6, False) if is_up else (0.5, True))


def test_a_metric_of_ones_own_has_to_be_told_which_way_is_better():
    watched = callbacks.ReduceLROnPlateau("mine")
    watched.model = SimpleNamespace(metrics=[metrics.Mean(name="mine")])
    watched.on_train_begin()
    with pytest.warns(LayerkitWarning, match="mode='max' or 'min'"):
        assert not watched.beats(2.0, 1.0)
    assert callbacks.ModelCheckpoint("x", "mine", mode="max").beats(2.0, 1.0)
