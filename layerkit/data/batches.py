"""Batches of records that stay on disk: read ahead by a thread, in an order that a seed decides.

Rows are shuffled in two steps, so that a file is read in long pieces: blocks of rows that follow one another, then the
rows of as many blocks as fit a window.
"""

from __future__ import annotations

from collections.abc import Iterator
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any

import numpy as np

from layerkit import tree
from layerkit.data.preparation import Preparation
from layerkit.data.records import Records
from layerkit.ir import Array

WINDOW_BYTES = 32 << 20
AHEAD = 2  # windows that wait


class RowBatches:
    """Batches ``(x, y)`` of some rows; each pass is another epoch, in another order if ``shuffle``.

    Memory holds a few windows of ``WINDOW_BYTES``, whatever the number of rows.
    """

    def __init__(
        self, records: Records, rows: Array, preparation: Preparation, batch_size: int, *, shuffle: bool, seed: int
    ) -> None:
        self.records, self.rows, self.preparation = records, rows, preparation
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        self.epoch = 0
        """The number of passes that began; set it to go on where another run was killed."""

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        windows = list(self._windows(self.epoch))
        self.epoch += 1
        held: tuple[Any, Any] | None = None
        for window in _ahead(lambda rows: self.preparation.read(self.records, rows), windows):
            held = window if held is None else tree.map_leaves(lambda a, b: np.concatenate([a, b]), held, window)
            count = _rows(held)
            whole = count - count % self.batch_size
            for at in range(0, whole, self.batch_size):
                yield _cut(held, at, at + self.batch_size)
            held = _cut(held, whole, count) if whole < count else None
        if held is not None:
            yield held

    def _windows(self, epoch: int) -> Iterator[Array]:
        """The rows of each window, in the order of this epoch."""
        rows = np.sort(self.rows)
        row_bytes = max(1, self.records.nbytes // max(1, self.records.count))
        if not self.shuffle:
            size = max(1, WINDOW_BYTES // row_bytes)
            yield from (self.rows[i : i + size] for i in range(0, len(self.rows), size))
            return
        rng = np.random.default_rng([self.seed, epoch])
        blocks = np.split(rows, np.flatnonzero(np.diff(rows // self.records.block)) + 1)
        held: list[Array] = []
        held_rows = 0
        for number in rng.permutation(len(blocks)):
            held.append(blocks[number])
            held_rows += len(blocks[number])
            if held_rows * row_bytes >= WINDOW_BYTES:
                yield rng.permutation(np.concatenate(held))
                held, held_rows = [], 0
        if held:
            yield rng.permutation(np.concatenate(held))


def _rows(batch: Any) -> int:
    return len(tree.leaves(batch)[0])


def _cut(batch: Any, begin: int, end: int) -> Any:
    return tree.map_leaves(lambda a: a[begin:end], batch)


def _ahead(read: Any, windows: list[Array]) -> Iterator[Any]:
    """What ``read`` returns for each window; the next ones are read while the caller works on one."""
    queue: Queue[Any] = Queue(AHEAD)
    stop = Event()

    def put(item: Any) -> None:
        while not stop.is_set():
            try:
                queue.put(item, timeout=0.1)
                return
            except Full:
                continue

    def work() -> None:
        try:
            for rows in windows:
                if stop.is_set():
                    return
                put((read(rows), None))
        except BaseException as error:
            put((None, error))

    thread = Thread(target=work, name="layerkit-read-ahead", daemon=True)
    thread.start()
    try:
        for _ in windows:
            value, error = queue.get()
            if error is not None:
                raise error
            yield value
    finally:
        stop.set()
        while not queue.empty():
            try:
                queue.get_nowait()
            except Empty:
                break
        thread.join()
