"""The loops around compiled steps: training, evaluation, prediction.

They know batches, callbacks and what runs steps, but no models or graphs. Where no callback asks for single batches, many
steps run at once: small ones take less time than the Python around them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any, Protocol

import numpy as np

from layerkit import tree
from layerkit.engines import Batches
from layerkit.errors import ArgumentError, DataError
from layerkit.training.callbacks import CallbackList, Logs
from layerkit.training.data import Arrays, Batch, Stream, with_class_weight


class Step(Protocol):
    """Runs compiled steps, and returns the logs so far or the predictions."""

    def __call__(self, batch: Batch) -> Any:
        """One step."""

    def repeat(self, data: Arrays, batches: Batches) -> Any:
        """One step for each batch of the data."""


def steps_of(data: Arrays | Stream, batch_size: int, steps: int | None) -> int | None:
    """The number of steps in an epoch, if it is known."""
    whole = _whole(data, batch_size)
    return whole if steps is None else min(whole or steps, steps)


def _whole(data: Arrays | Stream, batch_size: int) -> int | None:
    """The number of batches in all data, if it is known."""
    return -(-data.rows // batch_size) if isinstance(data, Arrays) else data.known_batches


def epochs_in_pass(data: Arrays | Stream, batch_size: int, steps: int | None) -> int:
    """How many epochs of ``steps`` steps go once through data of a known size; 1 where nothing else is known."""
    whole = _whole(data, batch_size)
    return 1 if steps is None or whole is None else max(1, -(-whole // steps))


def fit_epochs(
    step: Step,
    data: Arrays | Stream,
    *,
    batch_size: int,
    epochs: range,
    first: int,
    skip: int,
    order: Callable[[int, int], Any] | None,
    class_weight: dict[int, float] | None,
    steps: int | None,
    steps_per_execution: int,
    callbacks: CallbackList,
    begin_epoch: Callable[[], None],
    validate: Callable[[int], Logs] | None,
    is_stopped: Callable[[], bool],
) -> Logs:
    """Run the epochs, and return the logs of the last; ``validate(epoch)`` gives logs named ``val_...``.

    The first of them goes on after ``skip`` batches. ``order(ago, rows)`` shuffles for a pass over the data that began ``ago``
    epochs earlier: epochs of fewer ``steps`` than the data have batches go on where the one before ended, counted from epoch
    ``first``, and one that comes to the end of the data ends there. Where the end is not known, data begin anew.
    """
    if isinstance(data, Arrays):
        data = Arrays(*with_class_weight((data.x, data.y, data.sample_weight), class_weight))
    elif steps is None:
        data.check_end("steps_per_epoch")
    length = epochs_in_pass(data, batch_size, steps)
    whole = _whole(data, batch_size)
    is_endless = whole is None and steps is not None
    batches: Iterator[Batch] = iter(())
    if isinstance(data, Stream) and is_endless:
        batches = _forever(data, order)
    most = _most(callbacks, "train", steps_per_execution)
    logs: Logs = {}
    for epoch in epochs:
        begin_epoch()
        callbacks.on_epoch_begin(epoch)
        logs = {}
        count, skip = skip, 0
        ago = (epoch - first) % length
        began, end = (0, None) if steps is None else (ago * steps, (ago + 1) * steps)
        if end is not None and whole is not None and end >= whole:
            end = None  # to the end of the data
        if isinstance(data, Arrays):
            runs = _runs(step, data, batch_size, order(ago, data.rows) if order else None, end, most, began + count)
        else:
            at = began
            if ago == 0 or epoch == epochs[0]:
                at = 0
                batches = batches if is_endless else data.batches(None if order is None else partial(order, ago))
            taken = islice(batches, began + count - at, None if end is None else end - at)
            runs = ((1, partial(step, with_class_weight(b, class_weight))) for b in taken)
        for number, run in _executions(runs, most):
            callbacks.on_train_batch_begin(count)
            logs = run()[-1]
            count += number
            callbacks.on_train_batch_end(count - 1, logs)
            if is_stopped():
                break
        if not count:
            raise DataError(
                "the data gave no batch.", expected="at least one batch in each epoch", got=f"none in epoch {epoch + 1}",
                fix="a generator can be read once: give steps_per_epoch, or an object that can be gone through again and again, such as a PyDataset",
            )  # fmt: skip
        if validate is not None and not is_stopped():
            logs = {**logs, **validate(epoch)}
        callbacks.on_epoch_end(epoch, logs)
        if is_stopped():
            break
    return logs


Runs = Iterable[tuple[int, Callable[[], Any]]]  # how many batches, and what runs them


def _most(callbacks: CallbackList, kind: str, steps_per_execution: int) -> int | None:
    """How many steps may pass between two calls of the callbacks; None: they do not ask for any."""
    return steps_per_execution if steps_per_execution > 1 or callbacks.watch_batches(kind) else None


def _runs(
    step: Step, data: Arrays, batch_size: int, order: Any, steps: int | None, most: int | None, done: int = 0
) -> Runs:
    for batches in data.runs(batch_size, order, steps, most, done):
        yield batches.steps, partial(step.repeat, data, batches)


def _executions(runs: Runs, most: int | None) -> Iterator[tuple[int, Callable[[], list[Any]]]]:
    """Runs joined until they have ``most`` batches, which callbacks see as one; their results are a list."""
    group: list[Callable[[], Any]] = []
    total = 0
    for number, run in runs:
        group.append(run)
        total += number
        if total >= (most or 1):
            yield total, partial(_each, group)
            group, total = [], 0
    if group:
        yield total, partial(_each, group)


def _each(runs: Iterable[Callable[[], Any]]) -> list[Any]:
    return [run() for run in runs]


def _forever(data: Stream, order: Callable[[int, int], Any] | None) -> Iterator[Batch]:
    """The batches again and again, for epochs of a given number of steps; one that can be read once ends."""
    while True:
        empty = True
        for batch in data.batches(None if order is None else partial(order, 0)):
            empty = False
            yield batch
        if empty:
            return


def _in_order(
    step: Step, data: Arrays | Stream, batch_size: int, steps: int | None, most: int | None
) -> Iterator[tuple[int, Callable[[], list[Any]]]]:
    """Runs over all batches, for evaluation and prediction."""
    if isinstance(data, Arrays):
        return _executions(_runs(step, data, batch_size, None, steps, most), most)
    if steps is None:
        data.check_end("steps")
    return _executions(((1, partial(step, b)) for b in islice(data.batches(), steps)), most)


def run_test(
    step: Step,
    data: Arrays | Stream,
    batch_size: int,
    steps: int | None,
    steps_per_execution: int,
    callbacks: CallbackList,
) -> Logs:
    """The logs after all batches, or after those before ``model.stop_evaluating`` was set."""
    callbacks.model.stop_evaluating = False
    callbacks.on_test_begin()
    logs: Logs = {}
    count = 0
    for number, run in _in_order(step, data, batch_size, steps, _most(callbacks, "test", steps_per_execution)):
        callbacks.on_test_batch_begin(count)
        logs = run()[-1]
        count += number
        callbacks.on_test_batch_end(count - 1, logs)
        if callbacks.model.stop_evaluating:
            break
    callbacks.on_test_end(logs)
    return logs


def run_predict(
    step: Step,
    data: Arrays | Stream,
    batch_size: int,
    steps: int | None,
    steps_per_execution: int,
    callbacks: CallbackList,
) -> Any:
    """The predictions for all rows, or for those before ``model.stop_predicting`` was set."""
    callbacks.model.stop_predicting = False
    callbacks.on_predict_begin()
    parts: list[Any] = []
    count = 0
    for number, run in _in_order(step, data, batch_size, steps, _most(callbacks, "predict", steps_per_execution)):
        callbacks.on_predict_batch_begin(count)
        found = run()
        parts += found
        count += number
        callbacks.on_predict_batch_end(count - 1, {"outputs": _joined(found)})
        if callbacks.model.stop_predicting:
            break
    callbacks.on_predict_end()
    if not parts:
        raise DataError("the data gave no batch.", expected="at least one batch", got="none")
    return _joined(parts)


def _joined(parts: list[Any]) -> Any:
    """Predictions one after the other."""
    return parts[0] if len(parts) == 1 else tree.map_leaves(lambda *pieces: np.concatenate(pieces), *parts)


def check_batch_size(batch_size: Any) -> int:
    """32 unless given."""
    if batch_size is None:
        return 32
    if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise ArgumentError("a batch has at least one row.", expected="batch_size >= 1", got=repr(batch_size))
    return int(batch_size)


def check_validation_freq(every: Any) -> Any:
    """A number of epochs, or a collection of those after which is evaluated."""
    numbers = every if isinstance(every, Collection) and not isinstance(every, str) else [every]
    if not all(isinstance(n, int | np.integer) and not isinstance(n, bool) and n >= 1 for n in numbers):
        raise ArgumentError("'validation_freq' counts epochs, from 1.", expected="a whole number >= 1, or several", got=repr(every))  # fmt: skip
    return every
