"""Threads of other programs beside a step, Python threads that run steps, and signals while one runs."""

import gc
import signal
from threading import Thread
from typing import Any

import numpy as np
import pytest

import layerkit
from layerkit.engines.llvm.runtime.threads import Pace
from layerkit.layers import Dense, Input


def play(pace: Pace, together: float, alone: float, steps: int) -> float:
    """Take so many steps; the share of them with a thread spared."""
    spared = 0
    for _ in range(steps):
        spared += pace.spared
        pace.took(alone if pace.spared else together, 1)
    return spared / steps


def test_a_busy_core_is_left_alone_and_taken_back() -> None:
    pace = Pace()
    assert play(pace, together=1.0, alone=1.8, steps=3000) < 0.02
    assert play(pace, together=2.4, alone=1.8, steps=500) > 0.9
    assert play(pace, together=2.4, alone=1.8, steps=3000) > 0.98
    assert play(pace, together=1.0, alone=1.8, steps=6000) < 0.4
    assert play(pace, together=1.0, alone=1.8, steps=3000) < 0.02


def test_runs_of_many_steps_count_as_such() -> None:
    pace = Pace()
    spared = 0
    for _ in range(100):
        spared += pace.spared
        pace.took(64 * (1.8 if pace.spared else 1.0), 64)
    assert spared < 12


def small() -> layerkit.Sequential:
    layerkit.utils.set_random_seed(3)
    model = layerkit.Sequential([Input((5,)), Dense(8, "relu"), Dense(2)])
    model.compile("sgd", "mse")
    return model


def test_thousands_of_tiny_predictions_in_many_python_threads() -> None:
    """Small inputs and outputs pass through memory of the program, which is one caller's at a time."""
    model = small()
    x = np.random.default_rng(1).standard_normal((16, 3, 5)).astype("float32")
    expected = [model.predict_on_batch(part) for part in x]
    wrong: list[int] = []

    def predict(number: int) -> None:
        for _ in range(125):
            if not np.array_equal(model.predict_on_batch(x[number]), expected[number]):
                wrong.append(number)

    callers = [Thread(target=predict, args=(i,)) for i in range(16)]
    for each in callers:
        each.start()
    for each in callers:
        each.join()
    assert not wrong


def test_predictions_beside_training() -> None:
    """A step writes over the weights, so a prediction beside it may see a part of the step; earlier results stay."""
    model = small()
    x, y = np.ones((4, 5), "float32"), np.zeros((4, 2), "float32")
    first = model.predict_on_batch(x)
    kept = first.copy()
    trainer = Thread(target=lambda: [model.train_on_batch(x, y) for _ in range(100)])
    trainer.start()
    while trainer.is_alive():
        assert np.isfinite(model.predict_on_batch(x)).all()
    trainer.join()
    np.testing.assert_array_equal(first, kept)
    assert np.abs(model.predict_on_batch(x)).max() < np.abs(kept).max()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no timer signals")
def test_an_interrupt_in_a_long_run_is_heard_and_training_goes_on() -> None:
    """Many steps run in one native call: it ends soon enough, with the weights of the steps that were done."""
    model = small()
    x, y = np.ones((320_000, 5), "float32"), np.zeros((320_000, 2), "float32")
    model.fit(x[:64], y[:64], batch_size=16, verbose=0)
    model.predict_on_batch(x[:16])

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    gc.disable()  # Python drops an interrupt that comes while finalizers are called, and there are some of other tests
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(x, y, batch_size=16, epochs=1000, shuffle=False, verbose=0, check_data=False)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.enable()
    assert int(model.optimizer.iterations) < 1000 * 20_000 / 2
    assert np.isfinite(model.train_on_batch(x[:16], y[:16]))
    assert all(np.isfinite(w).all() for w in model.get_weights())
    assert np.isfinite(model.fit(x[:64], y[:64], batch_size=16, verbose=0).history["loss"]).all()
