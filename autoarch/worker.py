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
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from autoarch.locks import alone
from layerkit.errors import LayerkitError, NonFiniteError, SpecError, SpecErrors


@dataclass(frozen=True)
class Task:
    """What to train.

    Attributes:
        number: of the trial.
        spec: its text, without holes.
        file: what the text says it is a file of; what it names lies beside.
        data: a file, a folder or the name of data that ship, instead of the spec's.
        seed: of the initial weights, of dropout and of the order of the rows.
        epochs: to reach, those included that a checkpoint knows of.
        folder: where the trial has its checkpoint.
        most_parameters: a model with more is not trained.
        most_bytes: nor one whose training step takes more memory, as it is predicted.
    """

    number: int
    spec: str
    file: str
    data: str | None
    seed: int
    epochs: int
    folder: str
    most_parameters: int | None = None
    most_bytes: int | None = None


@dataclass(frozen=True)
class Result:
    """How a task ended: with ``scores`` on the validation part, or with the ``reason`` why there are none.

    A ``fault`` of the machine, such as a full disk, says nothing of the trial: it is to be mended, and the task repeated.
    """

    scores: dict[str, float] = field(default_factory=dict)
    parameters: int | None = None
    reason: str | None = None
    fault: str | None = None


class RejectedError(Exception):
    """The model is outside the limits of the search."""


def run(task: Task) -> Result:
    """Train, and measure on the validation part; an error becomes a result."""
    try:
        with alone(Path(task.folder) / "lock", waits=True):  # a worker that lost its coordinator ends soon
            return _train(task)
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


def _train(task: Task) -> Result:
    import builders
    from layerkit.training.control import BackupAndRestore
    from layerkit.utils import set_random_seed

    set_random_seed(task.seed)  # from here on as `layerkit train` does it
    spec = builders.loads(task.spec, task.file)
    model = spec.build()
    _check_limits(task, model, int(spec.fit.get("batch_size") or 32))
    dataset = spec.dataset(task.data, model=model)
    model.preparation = dataset.preparation
    arguments = {k: v for k, v in spec.fit.items() if k not in ("verbose", "callbacks", "epochs", "validation_split")}
    backup = BackupAndRestore(backup_dir=task.folder, delete_checkpoint=False)
    x, y = dataset.train if dataset.in_memory else (dataset.train, None)
    model.fit(
        x, y, verbose=0, epochs=task.epochs, validation_data=dataset.validation,
        callbacks=[*(spec.fit.get("callbacks") or []), backup], **arguments,
    )  # fmt: skip
    x, y = dataset.validation if dataset.in_memory else (dataset.validation, None)
    found = model.evaluate(x, y, verbose=0, return_dict=True)
    scores = {name: float(value) for name, value in found.items()}
    odd = [name for name, value in scores.items() if not math.isfinite(value)]
    if odd:
        return Result(reason=f"diverged: {', '.join(odd)} on the validation part is no finite number")
    return Result(scores, model.count_params())


def _check_limits(task: Task, model: Any, batch_size: int) -> None:
    from layerkit.models.cost import show_bytes, training_cost

    parameters = model.count_params()
    if task.most_parameters is not None and parameters > task.most_parameters:
        message = f"{parameters:,} parameters"
        raise RejectedError(message)
    if task.most_bytes is not None:
        cost = training_cost(model, batch_size)
        if cost is not None and cost.peak_bytes > task.most_bytes:
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

    threading.Thread(target=listen, daemon=True).start()
    while True:
        result = run(Task(**json.loads(tasks.get())))
        answers.write(json.dumps(asdict(result)) + "\n")


if __name__ == "__main__":
    main()
