"""``python -m autoarch.worker``: a process that trains. Tasks come in as lines of JSON, results go out likewise.

It knows nothing of the study. A trial goes on from the checkpoint in its folder, whoever left it there, to the same bits;
every way of failing is a result with a reason. When the coordinator is gone, the process ends at once.
"""

from __future__ import annotations

import json
import math
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from autoarch.tasks import MODEL, Result, Task, task_from
from layerkit.errors import LayerkitError, NonFiniteError, SpecError, SpecErrors
from layerkit.saving.locks import alone
from layerkit.training.callbacks import Callback, Logs

HISTORY = "history.jsonl"

Tell = Callable[[int, dict[str, float]], None]  # an epoch (from 1), and what it came to


class RejectedError(Exception):
    """The model is outside the limits of the search."""


def run(task: Task, tell: Tell) -> Result:
    """Train, and measure on the validation part; an error becomes a result."""
    try:
        with alone(Path(task.folder) / "lock", waits=True):  # a worker that lost its coordinator ends soon
            return _train(task, tell)
    except RejectedError as error:
        return Result(reason=f"rejected: {error}")
    except NonFiniteError as error:
        return Result(reason=f"diverged: {error.summary}")
    except (SpecError, SpecErrors) as error:
        return Result(reason=f"spec: {_line(error)}")
    except OSError as error:
        return Result(fault=str(error))
    except MemoryError:
        return Result(reason="memory: there was not enough")
    except LayerkitError as error:
        if isinstance(error.__cause__, OSError):  # a full disk while a checkpoint is written
            return Result(fault=_line(error))
        return Result(reason=f"{error.code}: {_line(error)}")


def _train(task: Task, tell: Tell) -> Result:
    import builders
    from autoarch.outcomes import packed, row_losses
    from autoarch.prepared import prepared
    from layerkit.training.control import BackupAndRestore
    from layerkit.utils import set_random_seed

    set_random_seed(task.seed)  # from here on as `layerkit train` does it
    spec = builders.loads(task.spec, task.file)
    model = spec.build()
    _check_limits(task, model, int(spec.fit.get("batch_size") or 32))
    data = prepared(spec, task.data, model, Path(task.prepared))
    model.preparation = data.preparation
    arguments = {k: v for k, v in spec.fit.items() if k not in ("verbose", "callbacks", "epochs", "validation_split")}
    backup = BackupAndRestore(backup_dir=task.folder, delete_checkpoint=False)
    epochs = _Epochs(path=Path(task.folder) / HISTORY, tell=tell)
    x, y = data.train
    validation = data.validation if data.validation[1] is not None else data.validation[0]
    model.fit(
        x, y, verbose=0, epochs=task.epochs, validation_data=validation,
        callbacks=[*(spec.fit.get("callbacks") or []), epochs, backup], **arguments,
    )  # fmt: skip
    x, y = data.validation
    found = model.evaluate(x, y, verbose=0, return_dict=True)
    scores = {name: float(value) for name, value in found.items()}
    odd = [name for name, value in scores.items() if not math.isfinite(value)]
    if odd:
        return Result(reason=f"diverged: {', '.join(odd)} on the validation part is no finite number")
    rows = None if y is None else row_losses(model, x, y, is_class=data.preparation.task == "classification")
    model.save(Path(task.folder) / MODEL)
    return Result(scores, epochs.history(), model.count_params(), outcomes=None if rows is None else packed(rows))


class _Epochs(Callback):
    """Tells of each epoch, and keeps what it came to in a file that outlives the process."""

    path: Any
    tell: Any

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        row = {name: float(value) for name, value in (logs or {}).items()}
        row["seconds"] = round(time.perf_counter() - self._start, 6)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([epoch + 1, row]) + "\n")
        self.tell(epoch + 1, row)

    def history(self) -> list[dict[str, float]]:
        """A row for each epoch; of one that was repeated the last."""
        if not self.path.exists():
            return []
        rows = [line for line in self.path.read_text(encoding="utf-8").splitlines() if line.endswith("]")]
        return list(dict(json.loads(row) for row in rows).values())


def _check_limits(task: Task, model: Any, batch_size: int) -> None:
    from layerkit.models.cost import show_bytes, training_cost

    parameters = model.count_params()
    if task.limits.parameters is not None and parameters > task.limits.parameters:
        message = f"{parameters:,} parameters"
        raise RejectedError(message)
    if task.limits.bytes is not None:
        cost = training_cost(model, batch_size)
        if cost is not None and cost.peak_bytes > task.limits.bytes:
            message = f"a training step takes {show_bytes(cost.peak_bytes)}, as predicted"
            raise RejectedError(message)


def _line(error: LayerkitError) -> str:
    first: LayerkitError = getattr(error, "errors", (error,))[0]
    return first.summary + (f" got {first.got}" if first.got else "")


def main() -> None:
    """Tasks from the standard input, results to the standard output; what else is printed goes to the log."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    tasks: queue.SimpleQueue[str] = queue.SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            tasks.put(line)
        os._exit(0)  # the coordinator has closed the pipe, or is dead; what was trained is in checkpoints

    def tell(epoch: int, logs: dict[str, float]) -> None:
        answers.write(json.dumps({"epoch": epoch, "logs": logs}) + "\n")

    threading.Thread(target=listen, daemon=True).start()
    while True:
        result = run(task_from(json.loads(tasks.get())), tell)
        answers.write(json.dumps({"result": asdict(result)}) + "\n")


if __name__ == "__main__":
    main()
