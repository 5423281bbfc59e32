"""Callbacks: what happens around epochs and batches. Names, arguments and defaults are Keras's."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from layerkit.errors import ArgumentError, did_you_mean, warn
from layerkit.fields import Configurable, OfFile
from layerkit.registry import Registry

CALLBACKS = Registry("callback")
Logs = dict[str, float]


class Callback(Configurable):
    """Base class; override what you need. ``self.model`` is the model, ``self.params`` the arguments of ``fit``."""

    remembers: ClassVar[tuple[str, ...]] = ()
    """Attributes that change from epoch to epoch: a backup keeps them (``BackupAndRestore``)."""
    runs_last: ClassVar[bool] = False
    """Whether it is called after the callbacks that do not say so, since it looks at what they did."""

    if TYPE_CHECKING:
        model: Any
        params: dict[str, Any]
        others: Sequence[Callback]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls, *args, **kwargs)
        self.model, self.params, self.others = None, {}, ()
        return self

    def get_state(self) -> dict[str, Any]:
        """What it needs to know to go on later: numbers, texts, arrays, and lists and dicts of these."""
        found = {name: getattr(self, name, None) for name in self.remembers}
        return {name: value for name, value in found.items() if value is not None}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on with what ``get_state`` returned; called after ``on_train_begin``."""
        for name, value in state.items():
            setattr(self, name, value)

    def watches_batches(self, kind: str) -> bool:
        """Whether it must be called for each single batch of "train", "test" or "predict"."""
        hooks = (f"on_{kind}_batch_begin", f"on_{kind}_batch_end")
        return any(getattr(type(self), h) is not getattr(Callback, h) or h in vars(self) for h in hooks)

    def set_model(self, model: Any) -> None:
        """Called once, before everything else."""
        self.model = model

    def __init_subclass__(cls) -> None:
        """``on_batch_begin`` and ``on_batch_end``, as Keras also calls them, are those of training."""
        super().__init_subclass__()
        for moment in ("begin", "end"):
            own = cls.__dict__.get(f"on_batch_{moment}")
            if own is not None and f"on_train_batch_{moment}" not in cls.__dict__:
                setattr(cls, f"on_train_batch_{moment}", own)

    def set_params(self, params: dict[str, Any]) -> None:
        """Called once: epochs, steps, verbose."""
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch; epochs count from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch and its validation."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a step."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a step."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After an evaluation."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of an evaluation."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before a prediction."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After a prediction."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of a prediction."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of a prediction."""


class CallbackList:
    """Calls all callbacks in order."""

    def __init__(self, callbacks: Iterable[Any], model: Any, params: dict[str, Any]) -> None:
        self.model = model
        made = [CALLBACKS.make(c) if not isinstance(c, Callback) else c for c in callbacks]
        self.callbacks = sorted(made, key=lambda c: c.runs_last)
        for callback in self.callbacks:
            callback.set_model(model)
            callback.set_params(params)
            callback.others = [c for c in self.callbacks if c is not callback]

    def watch_batches(self, kind: str) -> bool:
        """Whether any of them must be called for each single batch."""
        return any(c.watches_batches(kind) for c in self.callbacks)

    def __getattr__(self, hook: str) -> Any:
        """What calls a hook of all callbacks that do something in it."""
        base = getattr(Callback, hook, None)
        hooks = [
            getattr(c, hook) for c in self.callbacks if getattr(type(c), hook, None) is not base or hook in vars(c)
        ]

        count = 2 if "epoch" in hook or "batch" in hook else 1

        def call(*args: Any) -> None:
            if hooks and len(args) < count:
                args = (*args, {})
            for each in hooks:
                each(*args)

        self.__dict__[hook] = call
        return call


class History(Callback):
    """What ``fit`` returns: ``history`` has a list for each name in the logs, ``epoch`` the numbers of the epochs."""

    remembers = ("epoch", "history")

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)


UPWARDS = ("acc", "accuracy", "auc", "precision", "recall", "f1_score", "r2_score")
"""What names end in of which a larger value is better."""


class Monitor(Callback):
    """Watches one name in the logs."""

    if TYPE_CHECKING:
        monitor: str
        mode: str
    _is_told = False

    def begin(self) -> None:
        """Refuse a mode that is none; which way is better is known when the metrics are, after the first step."""
        if self.mode not in ("auto", "min", "max"):
            raise ArgumentError(
                f"unknown mode of {type(self).__name__}.", expected="auto, min or max", got=repr(self.mode)
            )

    def beats(self, value: float, other: float | None, step: float = 0.0) -> bool:
        """Whether a value is better than another, if there is one, by more than ``step``."""
        if other is None:
            return True
        return value - step > other if self.maximize else value + step < other

    @property
    def maximize(self) -> bool:
        """Whether larger is better: as ``mode`` says, or the metric of that name, or else the name."""
        if self.mode != "auto":
            return self.mode == "max"
        name = self.monitor.removeprefix("val_")
        metric = next((m for m in self.model.metrics if m.name == name), None)
        direction = getattr(metric, "_direction", None)
        if direction is not None or name.endswith("loss"):
            return bool(direction == "up")
        if name.lower().endswith(UPWARDS):
            return True
        if not self._is_told:
            self._is_told = True
            warn(
                f"it is not known whether a larger '{self.monitor}' is better; a smaller one is taken for it. Say so: mode='max' or 'min'."
            )
        return False

    def read(self, monitor: str, logs: Logs | None) -> float | None:
        """The watched value; a missing one is warned of."""
        value = (logs or {}).get(monitor)
        if value is None:
            hint = did_you_mean(monitor, logs or {})
            warn(f"{type(self).__name__} watches '{monitor}', which is not in the logs; {hint}.")
        return value


class EarlyStopping(Monitor):
    """Stop when ``monitor`` has not become better for ``patience`` epochs.

    Args:
        monitor: a name in the logs.
        min_delta: less than this is not better.
        patience: epochs without anything better before it stops.
        verbose: 1 says so.
        mode: "min", "max", or "auto": as the metric of that name says, or else the name.
        baseline: the value to be better than.
        restore_best_weights: whether the model ends with the weights of its best epoch.
        start_from_epoch: epochs that are not watched.
    """

    monitor: str = "val_loss"
    min_delta: float = 0
    patience: int = 0
    verbose: int = 0
    mode: str = "auto"
    baseline: float | None = None
    restore_best_weights: bool = False
    start_from_epoch: int = 0
    remembers = ("wait", "stopped_epoch", "best_epoch", "best", "best_weights")

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.begin()
        self.wait, self.stopped_epoch, self.best_epoch = 0, 0, 0
        self.best: float | None = None
        self.best_weights: list[Any] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self.read(self.monitor, logs)
        if value is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.wait += 1
        step = abs(self.min_delta)
        if self.beats(value, self.best, step):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self.beats(value, self.baseline, step):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:  # an epoch that is the best so far is never the last one
            self.stopped_epoch = epoch
            self.model.stop_training = True

    @property
    def is_restored(self) -> bool:
        """Whether the model ends with the weights of ``best_epoch``."""
        return self.restore_best_weights and self.best_weights is not None

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch and self.verbose:
            print(f"epoch {self.stopped_epoch + 1}: stopped early, best was epoch {self.best_epoch + 1}")
        if self.is_restored:
            self.model.set_weights(self.best_weights)


class ModelCheckpoint(Monitor):
    """Save the model at the end of epochs.

    Args:
        filepath: where to; may hold ``{epoch:02d}`` and names from the logs, such as ``{val_loss:.2f}``.
        monitor: a name in the logs.
        verbose: 1 says so.
        save_best_only: save only when ``monitor`` has become better.
        save_weights_only: write what ``load_weights`` reads, not the whole model.
        mode: "min", "max", or "auto": as the metric of that name says, or else the name.
        save_freq: "epoch", or a number of batches.
        initial_value_threshold: the value to be better than.
    """

    filepath: Annotated[Any, OfFile()]
    monitor: str = "val_loss"
    verbose: int = 0
    save_best_only: bool = False
    save_weights_only: bool = False
    mode: str = "auto"
    save_freq: Any = "epoch"
    initial_value_threshold: float | None = None
    remembers = ("best", "_batches")

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.begin()
        self.best = self.initial_value_threshold
        self._batches = 0
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def watches_batches(self, kind: str) -> bool:
        return self.save_freq != "epoch" and super().watches_batches(kind)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        if self.save_freq != "epoch" and self._batches % int(self.save_freq) == 0:
            self._save(self._epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, logs)

    def _save(self, epoch: int, logs: Logs | None) -> None:
        if self.save_best_only:
            value = self.read(self.monitor, logs)
            if value is None or not self.beats(value, self.best):
                return
            self.best = value
        path = _fill_in(str(self.filepath), {"epoch": epoch + 1, **(logs or {})})
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        (self.model.save_weights if self.save_weights_only else self.model.save)(path)
        if self.verbose:
            print(f"epoch {epoch + 1}: saved {path}")


def _fill_in(path: str, values: dict[str, Any]) -> str:
    try:
        return path.format(**values)
    except (KeyError, ValueError, IndexError, AttributeError) as error:
        raise ArgumentError(
            f"'{path}' has a name that is not in the logs.", expected=", ".join(values), got=str(error)
        ) from error


class CSVLogger(Callback):
    """Write the logs of each epoch as a line of a CSV file.

    Args:
        filename: the file.
        separator: what stands between values.
        append: whether to go on with a file that exists.
    """

    filename: Annotated[Any, OfFile()]
    separator: str = ","
    append: bool = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        path = Path(self.filename)
        self._names: list[str] | None = None
        self._kept: int | None = 0
        """The bytes that stay of what the file has; the rest goes when the first line is written."""
        if self.append and path.exists() and path.stat().st_size:
            with path.open(newline="") as file:
                self._names = next(csv.reader(file, delimiter=self.separator))[1:]
            self._kept = path.stat().st_size
        self._file = path.open("a", newline="")

    def get_state(self) -> dict[str, Any]:
        return {"names": self._names, "bytes": self._cut()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        if state:  # a backup may be older than this callback
            self._names, self._kept = state["names"], state["bytes"]

    def _cut(self) -> int:
        """Leave what stays of the file, once; its size."""
        if self._kept is not None and self._kept < os.fstat(self._file.fileno()).st_size:
            self._file.truncate(self._kept)
        self._kept = None
        return os.fstat(self._file.fileno()).st_size

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._cut()
        writer = csv.writer(self._file, delimiter=self.separator)
        logs = logs or {}
        if self._names is None:
            comes_later = self.params.get("do_validation") and not any(n.startswith("val_") for n in logs)
            self._names = [*logs, *(f"val_{n}" for n in logs if comes_later)]
            writer.writerow(["epoch", *self._names])
        writer.writerow([epoch, *(logs.get(n, "NA") for n in self._names)])
        self._file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._cut()
        self._file.close()


class TerminateOnNaN(Callback):
    """Let ``fit`` end where the loss is nan or infinite, and print why; without it, that is an error.

    Args:
        raise_error: whether it is an error nevertheless.
    """

    raise_error: bool = False

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            print(f"batch {batch}: the loss is {loss}, training stops")
            self.model.stop_training = True


for _cls in (History, EarlyStopping, ModelCheckpoint, CSVLogger, TerminateOnNaN):
    CALLBACKS.add(_cls)
