"""Callbacks that change how training goes on: the learning rate, averaged weights, going on after an interruption."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from layerkit.errors import ArgumentError, FileFormatError, StateError
from layerkit.fields import OfFile
from layerkit.trace import Weight
from layerkit.training.callbacks import CALLBACKS, Callback, Logs, Monitor


@CALLBACKS.add
class LearningRateScheduler(Callback):
    """Set the learning rate at the start of each epoch.

    Args:
        schedule: a function of the epoch, or of the epoch and the present learning rate, that returns the new one.
        verbose: 1 says so.
    """

    schedule: Any
    verbose: int = 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = _with_rate(self)
        takes_rate = len(inspect.signature(self.schedule).parameters) > 1
        rate = self.schedule(epoch, float(optimizer.learning_rate)) if takes_rate else self.schedule(epoch)
        if isinstance(rate, bool) or (not isinstance(rate, float | int) and not hasattr(rate, "item")):
            raise ArgumentError(
                "a schedule returns the learning rate.", layer=type(self).__name__, expected="a number", got=repr(rate)
            )
        optimizer.learning_rate = float(rate)
        if self.verbose:
            print(f"epoch {epoch + 1}: learning rate {float(rate):.6g}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(_with_rate(self).learning_rate)


@CALLBACKS.add
class ReduceLROnPlateau(Monitor):
    """Lower the learning rate when ``monitor`` has not become better for ``patience`` epochs.

    Args:
        monitor: a name in the logs.
        factor: what the learning rate is multiplied by.
        patience: epochs without anything better before that.
        verbose: 1 says so.
        mode: "min", "max", or "auto": as the metric of that name says, or else the name.
        min_delta: less than this is not better.
        cooldown: epochs after it that do not count.
        min_lr: the lowest learning rate.
    """

    monitor: str = "val_loss"
    factor: float = 0.1
    patience: int = 10
    verbose: int = 0
    mode: str = "auto"
    min_delta: float = 0.0001
    cooldown: int = 0
    min_lr: float = 0.0
    remembers = ("best", "wait", "cooldown_counter")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not 0 <= self.factor < 1:
            raise ArgumentError(
                "'factor' of ReduceLROnPlateau lowers.", expected="0 <= factor < 1", got=repr(self.factor)
            )

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.begin()
        self.best: float | None = None
        self.wait = self.cooldown_counter = 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = _with_rate(self)
        old = float(optimizer.learning_rate)
        if logs is not None:
            logs["learning_rate"] = old
        value = self.read(self.monitor, logs)
        if value is None:
            return
        if self.cooldown_counter:
            self.cooldown_counter -= 1
            self.wait = 0
        if self.beats(value, self.best, self.min_delta):
            self.best, self.wait = value, 0
            return
        if self.cooldown_counter:
            return
        self.wait += 1
        if self.wait >= self.patience and old > self.min_lr:
            optimizer.learning_rate = max(old * self.factor, self.min_lr)
            self.cooldown_counter, self.wait = self.cooldown, 0
            if self.verbose:
                print(f"epoch {epoch + 1}: learning rate lowered to {float(optimizer.learning_rate):.6g}")


ReduceLROnPlateau.__init__._is_declared = True  # type: ignore[attr-defined]


def _with_rate(callback: Callback) -> Any:
    """The model's optimizer, whose learning rate is a number."""
    optimizer = callback.model.optimizer
    if optimizer is None or not isinstance(optimizer._rate, Weight):
        raise StateError(
            f"{type(callback).__name__} sets the learning rate, which a schedule computes.",
            expected="an optimizer with a number as learning_rate",
            got=repr(optimizer),
        )
    return optimizer


@CALLBACKS.add
class SwapEMAWeights(Callback):
    """Evaluate with the running averages of the weights that an optimizer with ``use_ema`` keeps.

    Args:
        swap_on_epoch: whether the averages are the weights between epochs too, for callbacks that save the model then.
    """

    swap_on_epoch: bool = False

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        self._kept: dict[Weight, Any] = {}
        """The weights' own numbers, while the averages are in their place."""
        if not getattr(self._inner(), "use_ema", False):
            raise StateError(
                "SwapEMAWeights needs running averages of the weights.", expected="an optimizer with use_ema=True",
                got=repr(model.optimizer),
            )  # fmt: skip

    def get_state(self) -> dict[str, Any]:
        return {"kept": [self._kept[w] for w in self._averaged()]} if self._kept else {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self._kept = dict(zip(self._averaged(), state["kept"], strict=True)) if "kept" in state else {}

    def _averaged(self) -> list[Weight]:
        slots = self._inner().slots
        return [w for w in self.model.trainable_weights if "average" in slots.get(w, {})]

    def _inner(self) -> Any:
        return getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)

    def _swap(self, to_averages: bool) -> None:
        if to_averages and not self._kept:
            for weight in self._averaged():
                self._kept[weight] = weight.array
                weight.array = self._inner().slots[weight]["average"].array
        elif not to_averages:
            for weight, array in self._kept.items():
                weight.store(array)
            self._kept = {}

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._swap(False)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.swap_on_epoch:
            self._swap(True)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._kept = {}  # the averages are what ``fit`` ends with

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._swap(True)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._swap(False)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._swap(True)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._swap(False)


@CALLBACKS.add
class BackupAndRestore(Callback):
    """Go on where an interrupted ``fit`` stopped, to the same bits.

    The weights, the state of the optimizer, the seed, the order of the rows and what other callbacks remember
    (``Callback.get_state``) are kept; metrics of an epoch that was interrupted count from where it goes on. A backup is
    written as a whole or not at all, whenever the process ends.

    Args:
        backup_dir: a folder for this training alone.
        save_freq: "epoch", or a number of batches.
        double_checkpoint: whether the backup before the last one is kept too, in case the last one is damaged.
        delete_checkpoint: whether the backup is removed when training is done.
    """

    backup_dir: Annotated[Any, OfFile()]
    save_freq: Any = "epoch"
    double_checkpoint: bool = False
    delete_checkpoint: bool = True
    runs_last = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.save_freq != "epoch" and (type(self.save_freq) is not int or self.save_freq < 1):
            raise ArgumentError(
                "'save_freq' of BackupAndRestore says when to save.", expected='"epoch", or a number of batches >= 1',
                got=repr(self.save_freq),
            )  # fmt: skip
        if not self.backup_dir:
            raise ArgumentError(
                "BackupAndRestore needs a folder.",
                expected="backup_dir=, for this training alone",
                got=repr(self.backup_dir),
            )
        self._path = Path(self.backup_dir) / "latest.lk"
        self._before = self._path.with_name("previous.lk")

    def watches_batches(self, kind: str) -> bool:
        return kind == "train" and self.save_freq != "epoch"

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._epoch, self._seen = 0, 0
        found = [p for p in (self._path, self._before) if p.exists()]
        for path in found:
            try:
                backup = self.model.restore_backup(path)
            except FileFormatError:
                if path is found[-1]:
                    raise
                continue
            for callback, name in _numbered(self.others):
                callback.set_state(backup.callbacks.get(name, {}))
            has_ended = backup.has_stopped and not backup.batch
            self.model.resume_at = (self.params["epochs"], 0) if has_ended else (backup.epoch, backup.batch)
            return

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._seen += 1
        if self.save_freq != "epoch" and self._seen % self.save_freq == 0:
            self._save(self._epoch, batch + 1)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch + 1, 0)

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.delete_checkpoint and self.model.has_finished:
            for path in (self._path, self._before):
                path.unlink(missing_ok=True)

    def _save(self, epoch: int, batch: int) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self.double_checkpoint and self._path.exists():
            self._path.replace(self._before)
        states = {name: state for callback, name in _numbered(self.others) if (state := callback.get_state())}
        self.model.save_backup(self._path, epoch, batch, states)


BackupAndRestore.__init__._is_declared = True  # type: ignore[attr-defined]


def _numbered(callbacks: Sequence[Callback]) -> Iterator[tuple[Callback, str]]:
    """Callbacks, each with a name of its own: that of its class, and which one of them it is."""
    counts: Counter[str] = Counter()
    for callback in callbacks:
        name = type(callback).__name__
        yield callback, f"{name} {counts[name]}"
        counts[name] += 1


@CALLBACKS.add
class LambdaCallback(Callback):
    """Functions as a callback: each is called where the method of its name would be.

    Args:
        on_epoch_begin: called with the epoch and logs.
        on_epoch_end: called with the epoch and logs.
        on_train_begin: called with logs.
        on_train_end: called with logs.
        on_train_batch_begin: called with the batch and logs.
        on_train_batch_end: called with the batch and logs.
        on_test_begin: called with logs.
        on_test_end: called with logs.
        on_test_batch_begin: called with the batch and logs.
        on_test_batch_end: called with the batch and logs.
        on_predict_begin: called with logs.
        on_predict_end: called with logs.
        on_predict_batch_begin: called with the batch and logs.
        on_predict_batch_end: called with the batch and logs.
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        on_test_begin: Callable[..., Any] | None = None,
        on_test_end: Callable[..., Any] | None = None,
        on_test_batch_begin: Callable[..., Any] | None = None,
        on_test_batch_end: Callable[..., Any] | None = None,
        on_predict_begin: Callable[..., Any] | None = None,
        on_predict_end: Callable[..., Any] | None = None,
        on_predict_batch_begin: Callable[..., Any] | None = None,
        on_predict_batch_end: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__()
        for name, function in self._config.items():
            if function is not None:
                setattr(self, name, function)
