"""What a step costs where the step itself is small: microseconds of `fit`, `train_on_batch`, `predict`, `evaluate`.

python tests/benchmarks/small_steps.py [--threads 1] [--cpu]

The model is a perceptron 32-64-64-2 with Adam, 32 rows in a batch. "native" is the compiled step alone, called in a loop;
everything above it is Python, NumPy and the way between them.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import layerkit
from layerkit.callbacks import Callback
from layerkit.layers import Dense, Input

CLOCKS = [time.perf_counter]
ROWS, BATCH = 16_000, 32


class Looking(Callback):
    """Looks at every batch, so that steps run one by one."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.last = batch


def best(run: Callable[[], Any], steps: int, rounds: int = 25) -> float:
    """Microseconds of a step, in the best of some rounds."""
    run()
    found = []
    for _ in range(rounds):
        began = CLOCKS[0]()
        run()
        found.append((CLOCKS[0]() - began) / steps)
    return min(found) * 1e6


def native(model: Any, kind: str, arrays: Any) -> float:
    """Microseconds of the compiled step alone."""
    function = model._function(kind)
    leaves, structure = layerkit.tree.flatten(arrays)
    traced = function.trace(leaves, structure)
    key = np.zeros(2, "uint32") if traced.takes_key else None

    def run() -> None:
        for _ in range(200):
            traced.program.run(leaves, traced.state(), key)

    return best(run, 200)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cpu", action="store_true", help="time of the processor, on a machine that others use too")
    given = parser.parse_args()
    layerkit.set_threads(given.threads)
    CLOCKS[:] = [time.thread_time] if given.cpu else CLOCKS
    layerkit.utils.set_random_seed(1)
    model = layerkit.Sequential([Input((32,)), Dense(64, "relu"), Dense(64, "relu"), Dense(2)])
    model.compile("adam", layerkit.losses.SparseCategoricalCrossentropy(from_logits=True))
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((ROWS, 32)).astype("float32"), rng.integers(0, 2, ROWS).astype("int32")
    few, steps = slice(0, BATCH), ROWS // BATCH

    def batches(step: Callable[[], Any]) -> Callable[[], None]:
        return lambda: [step() for _ in range(200)] and None

    def fit(**options: Any) -> Callable[[], Any]:
        return lambda: model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0, check_data=False, **options)

    rows: list[tuple[str, float]] = [
        ("fit", best(fit(), steps)),
        ("fit, no shuffling", best(fit(shuffle=False), steps)),
        ("fit, a callback looks at batches", best(fit(callbacks=[Looking()]), steps)),
        ("train_on_batch", best(batches(lambda: model.train_on_batch(x[few], y[few])), 200)),
        ("native training step", native(model, "train", ((x[few], y[few], None),))),
        ("evaluate", best(lambda: model.evaluate(x, y, batch_size=BATCH, verbose=0, check_data=False), steps)),
        ("predict, 16,000 rows", best(lambda: model.predict(x, batch_size=BATCH, verbose=0), steps)),
        ("predict, one batch", best(batches(lambda: model.predict(x[few], verbose=0)), 200)),
        ("predict_on_batch", best(batches(lambda: model.predict_on_batch(x[few])), 200)),
        ("native prediction", native(model, "predict", (x[few],))),
        ("predict_on_batch, one row", best(batches(lambda: model.predict_on_batch(x[:1])), 200)),
    ]
    for name, value in rows:
        print(f"{name:36}{value:8.2f} us")


if __name__ == "__main__":
    main()
