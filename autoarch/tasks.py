"""What the coordinator hands to a worker, and what comes back; both travel as lines of JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from autoarch.ranking import LOSS, Merit, merit

RUN = "run"  # in the folder of a finalist: what ``layerkit train`` keeps of its training


@dataclass(frozen=True)
class Limits:
    """What a model may cost, as it is predicted; one that costs more is not trained.

    Attributes:
        parameters: numbers that it learns or keeps.
        bytes: that a training step holds at a time.
        flops: multiplications and additions to predict for one row.
        latency_ms: to predict for one row.
    """

    parameters: int | None = None
    bytes: int | None = None
    flops: int | None = None
    latency_ms: float | None = None


@dataclass(frozen=True)
class Train:
    """A command ``layerkit train`` whose training a task is, to the same bits.

    Attributes:
        spec: the file that it is given, which may not be there yet.
        command: all of it.
    """

    spec: str
    command: str


@dataclass(frozen=True)
class Task:
    """What to train.

    Attributes:
        number: of the trial.
        spec: its text, without holes.
        file: what the text says it is a file of; what it names lies beside.
        data: a file, a folder or the name of data that ship, instead of the spec's.
        seed: of the initial weights, of dropout and of the order of the rows.
        epochs: to reach, those included that a checkpoint knows of; 0: the model is only looked at.
        folder: where the trial has its checkpoint, its history, and in the end its model.
        prepared: where data that are prepared once for all lie.
        limits: outside them it is not trained, and more memory it does not get.
        train: then ``RUN`` in the folder is a run of that command, with which ``layerkit train --resume`` goes on.
    """

    number: int
    spec: str
    file: str
    data: str | None
    seed: int
    epochs: int
    folder: str
    prepared: str
    limits: Limits = field(default_factory=Limits)
    train: Train | None = None


@dataclass(frozen=True)
class Result:
    """How a task ended: with ``scores`` on the validation part, or with the ``reason`` why there are none.

    Attributes:
        scores: loss and metrics on the validation part.
        history: what each epoch since the first came to, with its ``seconds``.
        parameters: of the model.
        predicted, measured: what it costs, ``bytes`` of a training step and ``seconds`` of an epoch.
        outcomes: the loss on each row of the validation part, as ``outcomes.packed`` writes it.
        reason: why there are no scores.
        fault: of the machine, such as a full disk; it says nothing of the trial, and is to be mended, and the task repeated.
    """

    scores: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    parameters: int | None = None
    predicted: dict[str, float] = field(default_factory=dict)
    measured: dict[str, float] = field(default_factory=dict)
    outcomes: str | None = None
    reason: str | None = None
    fault: str | None = None

    @property
    def merit(self) -> Merit | None:
        """How good it is, higher is better; None where it failed."""
        return merit(self.scores) if self.reason is None else None

    @property
    def promise(self) -> Merit | None:
        """The merit of its best epoch so far; None where it failed.

        While learning rates are high, scores go up and down from epoch to epoch: the best tells more of the end than the last.
        """
        if self.reason is not None:
            return None
        rows = [{n.removeprefix("val_"): v for n, v in row.items() if n.startswith("val_")} for row in self.history]
        return max([merit(self.scores), *(merit(row) for row in rows if math.isfinite(row.get(LOSS, math.nan)))])


class RejectedError(Exception):
    """A model is outside the limits of the search."""

    def __init__(self, reason: str, parameters: int) -> None:
        super().__init__(reason)
        self.parameters = parameters


def seconds_of(history: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The ``seconds`` of an epoch: half of them took less. The first, which warms up, counts only where it is alone."""
    took = [row["seconds"] for row in history if "seconds" in row]
    return {"seconds": median(took[1:] or took)} if took else {}


def task_from(config: Mapping[str, Any]) -> Task:
    """The task that was written as JSON."""
    train = None if config["train"] is None else Train(**config["train"])
    return Task(**{**config, "limits": Limits(**config["limits"]), "train": train})
