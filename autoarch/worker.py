"""``python -m autoarch.worker``: a process that trains. Tasks come in as lines of JSON, results go out likewise.

It knows nothing of the study. A trial goes on from the checkpoint in its folder, whoever left it there, to the same bits;
every way of failing is a result with a reason. When the coordinator is gone, the process ends at once.
"""

from __future__ import annotations

import json
import math
import os
import queue
import shutil
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoarch.folder import MODEL
from autoarch.tasks import RUN, Limits, RejectedError, Result, Task, Train, seconds_of, task_from
from layerkit.errors import LayerkitError, NonFiniteError, SpecError, SpecErrors
from layerkit.saving.locks import alone
from layerkit.training.callbacks import Callback, Logs

if TYPE_CHECKING:
    from builders import Spec
    from layerkit.models import Model

HISTORY = "history.jsonl"
COPIES = 2  # of the weights, while ``layerkit train`` writes the best

Tell = Callable[[int, dict[str, float]], None]  # an epoch (from 1), and what it came to


def run(task: Task, tell: Tell) -> Result:
    """Train, and measure on the validation part; an error becomes a result."""
    try:
        with alone(Path(task.folder) / "lock", waits=True):  # a worker that lost its coordinator ends soon
            return _train(task, tell)
    except RejectedError as error:
        return Result(reason=f"rejected: {error}", parameters=error.parameters)
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
    from autoarch.cost import Memory, guarded, look
    from autoarch.outcomes import packed, row_losses
    from autoarch.prepared import prepared
    from layerkit.training.control import BackupAndRestore
    from layerkit.utils import set_random_seed

    set_random_seed(task.seed)  # from here on as `layerkit train` does it
    spec = builders.loads(task.spec, task.file)
    model = spec.build()
    run = None if task.train is None else _Run(task, task.train, spec, model)
    data = prepared(spec, task.data, model, Path(task.prepared)) if run is None else run.data
    batch_size = int(spec.fit.get("batch_size") or 32)
    if not task.epochs:
        return Result(
            parameters=model.count_params(), predicted=look(model, data, batch_size, task.limits, is_brief=True)
        )
    model.preparation = data.preparation
    arguments = {k: v for k, v in spec.fit.items() if k not in ("verbose", "callbacks", "epochs", "validation_split")}
    own = spec.fit.get("callbacks") or []
    keeping = (
        [*own, BackupAndRestore(backup_dir=task.folder, delete_checkpoint=False)] if run is None else run.callbacks(own)
    )
    memory = Memory()
    epochs = _Epochs(path=Path(task.folder) / HISTORY, tell=tell, memory=memory)
    x, y = data.train
    validation = data.validation if data.validation[1] is not None else data.validation[0]
    is_new = not (Path(task.folder) / HISTORY).exists()
    predicted = look(model, data, batch_size, Limits()) if is_new else {}
    start = time.perf_counter()
    model.compile_steps(x, y, batch_size)
    compiled = time.perf_counter() - start
    with guarded(model, task.limits.bytes, copies=0 if run is None else COPIES):
        model.fit(
            x, y, verbose=0, epochs=task.epochs, validation_data=validation, callbacks=[*keeping, memory, epochs], **arguments
        )  # fmt: skip
        x, y = data.validation
        found = model.evaluate(x, y, verbose=0, return_dict=True)
        scores = {name: float(value) for name, value in found.items()}
        odd = [name for name, value in scores.items() if not math.isfinite(value)]
        if odd:
            return Result(reason=f"diverged: {', '.join(odd)} on the validation part is no finite number")
        rows = None if y is None else row_losses(model, x, y, data.preparation)
        model.save(Path(task.folder) / MODEL)
    history = epochs.history()
    measured = {"compile": compiled, **memory.found, **seconds_of(history)}
    outcomes = None if rows is None else packed(rows)
    return Result(scores, history, model.count_params(), predicted, measured, outcomes=outcomes)


class _Run:
    """A training that is that of ``layerkit train``: it reads the data as the command does, and keeps what the command keeps."""

    def __init__(self, task: Task, train: Train, spec: Spec, model: Model) -> None:
        from autoarch.prepared import read
        from layerkit.cli.runs import Run, fingerprint, told

        dataset, folder = spec.dataset(task.data, model=model), Path(task.folder) / RUN
        self.data = read(dataset)
        if not (folder / "run.json").exists():  # it is written last
            shutil.rmtree(folder, ignore_errors=True)
            facts = {**told(Path(train.spec), task.data, task.seed), "data_sha256": fingerprint(dataset)}
            Run.start(folder, spec, facts, command=train.command)
        self.run = Run.find(folder)

    def callbacks(self, own: Sequence[Any]) -> list[Any]:
        return self.run.callbacks(list(own), validates=True)


class _Epochs(Callback):
    """Tells of each epoch, and keeps what it came to in a file that outlives the process."""

    path: Any
    tell: Any
    memory: Any

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        row = {name: float(value) for name, value in (logs or {}).items()}
        row["seconds"] = round(time.perf_counter() - self._start - self.memory.took, 6)
        self.memory.took = 0.0
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps([epoch + 1, row]))  # on a line of its own, whatever a full disk left before
        self.tell(epoch + 1, row)

    def history(self) -> list[dict[str, float]]:
        """A row for each epoch; of one that was repeated the last."""
        if not self.path.exists():
            return []
        rows = [line for line in self.path.read_text(encoding="utf-8").splitlines() if line.endswith("]")]
        return list(dict(json.loads(row) for row in rows).values())


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
