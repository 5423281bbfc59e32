"""What a model costs: predicted before it is trained, held against the limits of the search, and measured while it is trained.

| | predicted | measured |
|---|---|---|
| bytes | of a training step, from the engine's plan for it, and the copy of the weights with which ``nan`` is explained | of the arrays that there are while it trains its first epoch |
| seconds | of an epoch: the engine's time of a step for each batch, a third of it for those of the validation part | of an epoch, as the clock tells it |
| latency | of a prediction for one row, from the engine's time for it; checked by ``REPEATS`` predictions, of which the fastest counts | |
"""

from __future__ import annotations

import contextlib
import time
import tracemalloc
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from autoarch.tasks import Limits, RejectedError
from layerkit.training.callbacks import Callback, Logs

if TYPE_CHECKING:
    from autoarch.prepared import Prepared

FORWARD = 1 / 3  # of a training step: the way back takes twice as long as the way there
EPOCH_S = 0.0008  # what is done around the steps of an epoch
FRESH = 1.07  # a step takes longer by this with rows that are not in the cache
"""Both as measured by ``tests/benchmarks/epoch_time.py``."""
MISSED = 1.1  # what is measured may be so many times what was predicted (1.07 at most, of 299 trials)
TABLES_BYTES = 32 << 10  # of addresses and the like, beside the order of the rows
REPEATS = 20  # predictions for one row that are timed
HOPELESS = 3.0  # times the latency that is allowed: is not measured any more
OWN_BYTES = 32 << 20  # that Python itself may take while a model trains: logs, what is written to disk


def look(model: Any, data: Prepared, batch_size: int, limits: Limits, *, is_brief: bool = False) -> dict[str, float]:
    """What training a model will take, as far as it can be told.

    Args:
        model: built and compiled.
        data: to train on.
        batch_size: of a step.
        limits: of the search.
        is_brief: what takes longer to know is left out where no limit asks for it.

    Raises:
        RejectedError: it is outside the limits; what is cheap to know is looked at first.
    """
    from layerkit.models.cost import show_bytes, training_cost
    from layerkit.models.summary import multiply_adds

    parameters = model.count_params()
    if limits.parameters is not None and parameters > limits.parameters:
        message = f"{parameters:,} parameters"
        raise RejectedError(message, parameters)
    adds = multiply_adds(model).values()
    found: dict[str, float] = {}
    if adds and all(isinstance(n, int) for n in adds):
        flops = 2 * sum(n for n in adds if isinstance(n, int))
        found["flops"] = flops
        if limits.flops is not None and flops > limits.flops:
            message = f"{flops:,} multiplications and additions for one row"
            raise RejectedError(message, parameters)
    cost = None if is_brief and limits.bytes is None else training_cost(model, batch_size)
    if cost is not None:
        rows = _rows(data.train[0]), _rows(data.validation[0])
        found["bytes"] = cost.peak_bytes + _kept(model) + TABLES_BYTES + 8 * (rows[0] or 0)
        if limits.bytes is not None and MISSED * found["bytes"] > limits.bytes:
            message = f"training takes {show_bytes(found['bytes'])}, as predicted"
            raise RejectedError(message, parameters)
        if cost.seconds is not None and None not in rows:
            steps = ((rows[0] or 0) + FORWARD * (rows[1] or 0)) / batch_size
            found["engine_seconds"] = EPOCH_S + FRESH * cost.seconds * steps
    if limits.latency_ms is not None:
        found["latency_ms"] = _check_latency(model, limits.latency_ms)
    return found


def _check_latency(model: Any, limit: float) -> float:
    from layerkit import engines
    from layerkit.models.standins import inputs_like
    from layerkit.models.summary import forward_graph

    seconds = engines.get(model.engine).cost(forward_graph(model), {"b": 1}).seconds or 0.0
    if seconds * 1e3 > HOPELESS * limit:
        message = f"{seconds * 1e3:.3g} ms to predict one row, as predicted"
        raise RejectedError(message, model.count_params())
    row = inputs_like(model, 1, random=True)
    took = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        model.predict(row, verbose=0)
        took.append((time.perf_counter() - start) * 1e3)
    if min(took[1:]) > limit:
        message = f"{min(took[1:]):.3g} ms to predict one row, as measured"
        raise RejectedError(message, model.count_params())
    return seconds * 1e3


def _state(model: Any) -> int:
    """Bytes of weights and of what the optimizer keeps."""
    model.optimizer.build(model.trainable_weights)
    return sum(w.array.nbytes for w in (*model.weights, *model.optimizer.variables))


def _kept(model: Any) -> int:
    from layerkit.models.nonfinite import KEPT_BYTES

    size = _state(model)
    return size if size <= KEPT_BYTES else 0


def _rows(x: Any) -> int | None:
    arrays = list(x.values()) if isinstance(x, dict) else [x]
    return len(arrays[0]) if arrays and isinstance(arrays[0], np.ndarray) else None


class Memory(Callback):
    """Counts the arrays that there are when a model has trained its first epoch.

    Attributes:
        found: the ``bytes``, once they were counted.
        took: seconds that counting took.
    """

    def __init__(self) -> None:
        self.found: dict[str, float] = {}
        self.took = 0.0
        self._is_due = True

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self._is_due:
            self._is_due = False
            _state(self.model)  # weights are made when they are first looked at
            tracemalloc.start()

    def on_test_begin(self, logs: Logs | None = None) -> None:
        if tracemalloc.is_tracing():
            start = time.perf_counter()
            arrays = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
            traces = tracemalloc.take_snapshot().filter_traces([arrays]).traces
            tracemalloc.stop()
            self.found["bytes"] = sum(trace.size for trace in traces) + _state(self.model)
            self.took = time.perf_counter() - start

    def on_train_end(self, logs: Logs | None = None) -> None:
        tracemalloc.stop()


@contextlib.contextmanager
def guarded(model: Any, limit: int | None, *, copies: int = 0) -> Iterator[None]:
    """The process cannot take more memory meanwhile than training may, beside what it has: a wrong prediction is no overrun.

    It may keep so many ``copies`` of the weights besides.

    Where the system has no such limit (``RLIMIT_DATA`` of Linux), predictions alone count.

    Raises:
        MemoryError: it wanted more.
    """
    base = _data_bytes() if limit is not None else None
    if limit is None or base is None:
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = base + max(limit - _state(model), 0) + OWN_BYTES + copies * sum(w.array.nbytes for w in model.weights)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(
            resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data_bytes() -> int | None:
    """Bytes that the process may write to; None where the system does not tell."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            return next(1024 * int(line.split()[1]) for line in file if line.startswith("VmData:"))
    except (OSError, StopIteration):
        return None
