"""The loops around compiled steps: training, evaluation, prediction.

They know batches, callbacks and functions that run one step, but no models, graphs or engines. A step takes
``(x, y, sample_weight)`` and returns the logs so far, or the predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from itertools import islice
from typing import Any

import numpy as np

from layerkit import tree
from layerkit.errors import ArgumentError, DataError
from layerkit.training.callbacks import CallbackList, Logs
from layerkit.training.data import Arrays, Batch, Stream, with_class_weight

Step = Callable[[Batch], Logs]


def steps_of(data: Arrays | Stream, batch_size: int, steps: int | None) -> int | None:
    """The number of steps in an epoch, if it is known."""
    if isinstance(data, Arrays):
        whole = -(-data.rows // batch_size)
        return whole if steps is None else min(whole, steps)
    return steps if steps is not None else (len(data.source) if isinstance(data.source, Sized) else None)


def fit_epochs(
    step: Step,
    data: Arrays | Stream,
    *,
    batch_size: int,
    epochs: range,
    order: Callable[[int, int], Any] | None,
    class_weight: dict[int, float] | None,
    steps: int | None,
    callbacks: CallbackList,
    begin_epoch: Callable[[], None],
    validate: Callable[[int], Logs] | None,
    is_stopped: Callable[[], bool],
) -> None:
    """Run the epochs; ``order(epoch, rows)`` shuffles, ``validate(epoch)`` gives logs named ``val_...``."""
    endless = _forever(data) if isinstance(data, Stream) and steps is not None else None
    for epoch in epochs:
        begin_epoch()
        callbacks.on_epoch_begin(epoch)
        logs: Logs = {}
        count = 0
        for batch in _epoch(data, endless, batch_size, order, epoch, steps):
            callbacks.on_train_batch_begin(count)
            logs = step(with_class_weight(batch, class_weight))
            callbacks.on_train_batch_end(count, logs)
            count += 1
            if is_stopped():
                break
        if not count:
            raise DataError(
                "the data gave no batch.", expected="at least one batch in each epoch", got=f"none in epoch {epoch + 1}",
                fix="a generator can be read once: pass a list, or steps_per_epoch",
            )  # fmt: skip
        if validate is not None and not is_stopped():
            logs = {**logs, **validate(epoch)}
        callbacks.on_epoch_end(epoch, logs)
        if is_stopped():
            break


def _epoch(
    data: Arrays | Stream, endless: Iterator[Batch] | None, batch_size: int, order: Any, epoch: int, steps: int | None
) -> Iterable[Batch]:
    if isinstance(data, Arrays):
        found: Iterable[Batch] = data.batches(batch_size, order(epoch, data.rows) if order else None)
    else:
        found = endless if endless is not None else data.batches()
    return found if steps is None else islice(found, steps)


def _forever(data: Stream) -> Iterator[Batch]:
    """The batches again and again, for epochs of a given number of steps; one that can be read once ends."""
    while True:
        empty = True
        for batch in data.batches():
            empty = False
            yield batch
        if empty:
            return


def run_test(step: Step, data: Arrays | Stream, batch_size: int, steps: int | None, callbacks: CallbackList) -> Logs:
    """The logs after all batches."""
    callbacks.on_test_begin()
    logs: Logs = {}
    batches: Iterable[Batch] = data.batches(batch_size) if isinstance(data, Arrays) else data.batches()
    for i, batch in enumerate(batches if steps is None else islice(batches, steps)):
        callbacks.on_test_batch_begin(i)
        logs = step(batch)
        callbacks.on_test_batch_end(i, logs)
    callbacks.on_test_end(logs)
    return logs


def run_predict(
    step: Callable[[Any], Any], data: Arrays | Stream, batch_size: int, steps: int | None, callbacks: CallbackList
) -> Any:
    """The predictions for all rows."""
    callbacks.on_predict_begin()
    parts: list[Any] = []
    batches: Iterable[Batch] = data.batches(batch_size) if isinstance(data, Arrays) else data.batches()
    for i, (x, _, _) in enumerate(batches if steps is None else islice(batches, steps)):
        callbacks.on_predict_batch_begin(i)
        parts.append(step(x))
        callbacks.on_predict_batch_end(i)
    callbacks.on_predict_end()
    if not parts:
        raise DataError("the data gave no batch.", expected="at least one batch", got="none")
    return tree.map_leaves(lambda *pieces: np.concatenate(pieces), *parts)


def check_batch_size(batch_size: Any) -> int:
    """32 unless given."""
    if batch_size is None:
        return 32
    if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise ArgumentError("a batch has at least one row.", expected="batch_size >= 1", got=repr(batch_size))
    return int(batch_size)
