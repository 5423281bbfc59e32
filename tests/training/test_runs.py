"""Many steps in one native call do what the same steps do one by one, bit for bit."""

import numpy as np
import pytest

import layerkit
from layerkit import Sequential
from layerkit.callbacks import Callback
from layerkit.errors import ArgumentError, DataError
from layerkit.layers import Dense, Dropout, Embedding, GlobalAveragePooling1D, Input

ROWS = 103  # with a last batch of its own


def data(seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(ROWS, 6)).astype("float32"), rng.integers(0, 3, ROWS).astype("int32")


def model(engine: str | None = None, steps_per_execution: int = 1) -> Sequential:
    layerkit.utils.set_random_seed(5)
    made = Sequential([Input((6,)), Dense(16, activation="relu"), Dropout(0.3), Dense(3, activation="softmax")])
    made.compile(
        "adam", "sparse_categorical_crossentropy", metrics=["accuracy"], engine=engine,
        steps_per_execution=steps_per_execution,
    )  # fmt: skip
    return made


class Watcher(Callback):
    """Asks for every batch, so that steps run one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, int]] = []

    def on_train_batch_begin(self, batch, logs=None):
        self.seen.append(("begin", batch))

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(("end", batch))


def assert_equal(a: Sequential, b: Sequential) -> None:
    for x, y in zip(a.get_weights(), b.get_weights(), strict=True):
        assert np.array_equal(x, y)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("class_weight", [None, {0: 2.0, 1: 0.5, 2: 1.0}])
def test_runs_equal_single_steps(shuffle: bool, class_weight: dict[int, float] | None) -> None:
    x, y = data()
    found = []
    for callbacks in ([], [Watcher()]):
        made = model()
        history = made.fit(
            x, y, batch_size=8, epochs=3, shuffle=shuffle, class_weight=class_weight, validation_data=(x[:41], y[:41]),
            callbacks=callbacks, verbose=0,
        )  # fmt: skip
        found.append((made, history.history))
    assert_equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]
    assert found[0][0].random_state.runs == found[1][0].random_state.runs


@pytest.mark.parametrize("threads", [1, 3])
def test_runs_on_threads(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that is worth several threads gives the same bits in runs, on any number of them."""
    monkeypatch.setattr("layerkit.engines.llvm.runtime.program.PARALLEL_NS", 0.0)
    x, y = data()
    plain = model()
    plain.fit(x, y, batch_size=8, epochs=2, callbacks=[Watcher()], verbose=0)
    layerkit.set_threads(threads)
    try:
        made = model()
        made.fit(x, y, batch_size=8, epochs=2, verbose=0)
    finally:
        layerkit.set_threads(None)
    assert_equal(plain, made)


def test_predictions_in_runs() -> None:
    x, _ = data()
    made = model()
    whole = made.predict(x, batch_size=8, verbose=0)
    parts = [made.predict_on_batch(x[i : i + 8]) for i in range(0, ROWS, 8)]
    assert np.array_equal(whole, np.concatenate(parts))
    assert np.array_equal(whole, made.predict(x[:, ::-1][:, ::-1], batch_size=8, verbose=0))  # not contiguous


def test_the_reference_runs_one_by_one() -> None:
    x, y = data()
    fast, slow = model(), model("reference")
    a = fast.fit(x, y, batch_size=8, epochs=2, verbose=0).history
    b = slow.fit(x, y, batch_size=8, epochs=2, verbose=0).history
    assert np.allclose(a["loss"], b["loss"], rtol=1e-4)
    assert np.allclose(fast.predict(x, verbose=0), slow.predict(x, batch_size=8, verbose=0), atol=1e-4)


def test_steps_per_execution() -> None:
    """Callbacks are called between runs of so many batches."""
    x, y = data()
    watcher = Watcher()
    made = model(steps_per_execution=5)
    made.fit(x, y, batch_size=8, callbacks=[watcher], verbose=0)
    assert watcher.seen == [
        ("begin", 0), ("end", 4), ("begin", 5), ("end", 9), ("begin", 10), ("end", 12),
    ]  # fmt: skip
    watcher.seen.clear()
    made.fit(((x[i : i + 8], y[i : i + 8]) for i in range(0, 56, 8)), callbacks=[watcher], verbose=0)
    assert watcher.seen == [("begin", 0), ("end", 4), ("begin", 5), ("end", 6)]
    made = model(steps_per_execution=5)
    made.fit(x, y, batch_size=8, verbose=0)
    plain = model()
    plain.fit(x, y, batch_size=8, verbose=0)
    assert_equal(made, plain)
    with pytest.raises(ArgumentError, match="steps_per_execution"):
        model(steps_per_execution=0)


def test_steps_per_epoch_ends_a_run() -> None:
    x, y = data()
    found = []
    for callbacks in ([], [Watcher()]):
        made = model()
        made.fit(x, y, batch_size=8, epochs=2, steps_per_epoch=7, callbacks=callbacks, verbose=0)
        found.append(made)
    assert_equal(*found)
    assert int(found[0].optimizer.iterations) == 13  # 7 and the other 6


@pytest.mark.parametrize("shuffle", [False, True])
def test_an_epoch_goes_on_where_the_one_before_ended(shuffle: bool) -> None:
    """Five batches in epochs of two: two, two, one; what it predicts is 0, so the loss is the mean of y squared."""
    y = np.sqrt(np.arange(1.0, 11.0)).astype("float32")
    made = Sequential([Input((1,)), Dense(1, use_bias=False, kernel_initializer="zeros")])
    made.compile(layerkit.optimizers.SGD(0.0), "mse")
    arguments = {"batch_size": 2, "steps_per_epoch": 2, "shuffle": shuffle, "verbose": 0}
    found = made.fit(np.ones((10, 1), "float32"), y, epochs=6, **arguments).history["loss"]
    for a, b, c in (found[:3], found[3:]):
        assert (4 * a + 4 * b + 2 * c) == pytest.approx(55, rel=1e-5)  # every row once
    assert (found[:3] == found[3:]) is not shuffle
    if not shuffle:
        assert found[:3] == pytest.approx([2.5, 6.5, 9.5], rel=1e-5)
    interrupted = made.fit(np.ones((10, 1), "float32"), y, epochs=3, initial_epoch=1, **arguments).history["loss"]
    assert len(interrupted) == 2


class Numbered(layerkit.utils.PyDataset):
    def __len__(self) -> int:
        return 13

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        x, y = data()
        return x[index * 8 : index * 8 + 8], y[index * 8 : index * 8 + 8]


@pytest.mark.parametrize("is_dataset", [False, True])
def test_a_run_goes_on_within_a_pass_of_several_epochs(is_dataset: bool, tmp_path) -> None:
    """Stopped after 8 of 13 batches in epochs of five, it ends like one that was not stopped."""

    class Stop(Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == 8:
                raise KeyboardInterrupt

    arrays = (Numbered(),) if is_dataset else data()
    arguments = {"batch_size": 8, "epochs": 5, "steps_per_epoch": 5, "verbose": 0}
    whole, stopped, resumed = model(), model(), model()
    whole.fit(*arrays, **arguments)
    assert int(whole.optimizer.iterations) == 23  # 5, 5, 3, 5, 5
    backup = layerkit.callbacks.BackupAndRestore(tmp_path / "backup", save_freq=1)
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(*arrays, callbacks=[backup, Stop()], **arguments)
    resumed.fit(*arrays, callbacks=[layerkit.callbacks.BackupAndRestore(tmp_path / "backup", save_freq=1)], **arguments)
    assert int(resumed.optimizer.iterations) == 23
    assert_equal(whole, resumed)


def test_a_bad_row_number_ends_the_run_at_its_step() -> None:
    """The steps before it count, that one and those after it do not."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 10, (80, 4)).astype("int32"), rng.integers(0, 2, 80).astype("float32")
    x[45, 2] = 99

    def make() -> Sequential:
        layerkit.utils.set_random_seed(2)
        made = Sequential([Input((4,), dtype="int32"), Embedding(10, 3), GlobalAveragePooling1D(), Dense(1)])
        made.compile("sgd", "mse", steps_per_execution=10)
        return made

    made, plain = make(), make()
    made.fit(x[:8], y[:8], batch_size=8, shuffle=False, verbose=0)
    plain.fit(x[:8], y[:8], batch_size=8, shuffle=False, verbose=0)
    with pytest.raises(DataError, match="no row 99"):
        made.fit(x, y, batch_size=8, shuffle=False, verbose=0)
    plain.fit(x[:40], y[:40], batch_size=8, shuffle=False, verbose=0)
    assert_equal(made, plain)
