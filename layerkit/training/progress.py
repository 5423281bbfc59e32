"""The progress display of ``fit``: a live bar in a terminal, one line for each epoch elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from layerkit.training.callbacks import Callback, Logs


def show_logs(logs: Logs) -> str:
    """Names and values, four digits each."""
    return "  ".join(f"{name} {show_number(value)}" for name, value in logs.items())


def show_number(value: Any) -> str:
    """Four digits behind the point, or in all where that says nothing.

    Example:
        >>> show_number(0.12345), show_number(0.0000123), show_number(4.1e15)
        ('0.1235', '1.230e-05', '4.100e+15')
    """
    if getattr(value, "ndim", 0):  # a metric with a number for each class
        return f"[{', '.join(show_number(v) for v in value.reshape(-1).tolist())}]"
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.3e}"


def show_seconds(seconds: float) -> str:
    """A time in the unit in which it has digits.

    Example:
        >>> show_seconds(75.04), show_seconds(0.0123), show_seconds(0.00158), show_seconds(4.56e-5)
        ('75.0s', '12ms', '1.6ms', '46us')
    """
    if seconds >= 1:
        return f"{seconds:.1f}s"
    milliseconds = seconds * 1e3
    return f"{seconds * 1e6:.0f}us" if milliseconds < 1 else f"{milliseconds:.{int(milliseconds < 10)}f}ms"


class Progress(Callback):
    """Shows epochs as they go; ``verbose`` 0 is silent, 1 live if possible, 2 one line for each epoch."""

    def __init__(self, verbose: Any = "auto") -> None:
        super().__init__()
        self.verbose = 1 if verbose == "auto" else int(verbose)
        self._is_live = self.verbose == 1 and sys.stdout.isatty()

    def watches_batches(self, kind: str) -> bool:
        return False  # now and then is enough

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._bar: Any = None
        if self._is_live:
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[logs]}"),
            )
            self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._start, self._steps = time.perf_counter(), 0
        if self._bar:
            self._task = self._bar.add_task(self._title(epoch), total=self.params.get("steps"), logs="")

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._steps = batch + 1
        if self._bar:
            self._bar.update(self._task, completed=batch + 1, logs=show_logs(logs or {}))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        took = time.perf_counter() - self._start
        step = took / max(self._steps, 1)
        line = f"{self._title(epoch)}  {show_seconds(took)} {show_seconds(step)}/step  {show_logs(logs or {})}"
        if self._bar:
            self._bar.remove_task(self._task)
            self._bar.console.print(line, highlight=False)
        elif self.verbose:
            print(line, flush=True)

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self._bar:
            self._bar.stop()

    def _title(self, epoch: int) -> str:
        return f"Epoch {epoch + 1}/{self.params.get('epochs', '?')}"
