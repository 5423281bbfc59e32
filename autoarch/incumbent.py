"""The best trial so far, complete on disk at every moment: its spec, its model, its scores.

    incumbent/<number>/spec.yaml    the spec, without holes
                       model.lk     the model as it was trained so far
                       score.json   which trial it is, and its scores on the validation part

A folder appears whole, by a rename, before the study is told of the result; those that it replaces are removed after.
The one with the highest number counts.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoarch.folder import BEST, MODEL, RESULT, delivered_model
from autoarch.halving import rungs
from autoarch.ranking import Standing, merit, standing
from autoarch.study import Trial
from autoarch.tasks import Result
from layerkit import saving
from layerkit.errors import StateError

FOLDER = "incumbent"
SPEC, SCORE = "spec.yaml", "score.json"


@dataclass(frozen=True)
class Incumbent:
    """The best trial so far, at the rung that it came to.

    Attributes:
        folder: its files.
        spec: that was trained.
        trial: its number.
        rung, epochs: how far it was trained.
        space, values: where it comes from.
        scores: on the validation part.
    """

    folder: Path
    spec: str
    trial: int
    rung: int
    epochs: int
    space: str
    values: dict[str, Any]
    scores: dict[str, float]

    @property
    def model(self) -> Path:
        """The file with the model."""
        return self.folder / MODEL

    @property
    def standing(self) -> Standing:
        """What trials are ordered by, higher is better."""
        return standing(self.trial, self.rung, merit(self.scores))


@dataclass(frozen=True)
class Best:
    """What a search has found so far: the winner, or the best trial."""

    trial: int
    scores: dict[str, float]
    spec: str
    model: Path


def best_so_far(run: Path) -> Best:
    """The winner of a search that is over, else the best trial so far.

    Raises:
        StateError: none has come to a rung.
    """
    if (run / RESULT).exists():
        facts = json.loads((run / RESULT).read_text(encoding="utf-8"))
        spec = (run / BEST).read_text(encoding="utf-8")
        return Best(facts["best_trial"], facts["search_scores"], spec, delivered_model(run))
    now = incumbent(run)
    if now is None:
        raise StateError("no trial has come to its first rung.", expected="at least one", got="none yet")
    return Best(now.trial, now.scores, now.spec, now.model)


def incumbent(run: Path) -> Incumbent | None:
    """The best so far; None while no trial has come to a rung."""
    for _ in range(10):  # a search that is at work may replace it while we look
        numbers = _numbers(run)
        if not numbers:
            return None
        folder = run / FOLDER / str(max(numbers))
        try:
            spec = (folder / SPEC).read_text(encoding="utf-8")
            return Incumbent(folder, spec, **json.loads((folder / SCORE).read_text(encoding="utf-8")))
        except FileNotFoundError:
            continue
    return None


def offer(run: Path, trial: Trial, rung: int, result: Result, model: Path) -> bool:
    """Let a trial that came to a rung be the best so far, if it is.

    Args:
        run: the folder of the search.
        trial: which one.
        rung: that it came to.
        result: with scores.
        model: the file with its model.

    Raises:
        LayerkitError: the files cannot be written.
    """
    now = incumbent(run)
    if now is not None and now.standing >= standing(trial.number, rung, result.merit):
        return False
    numbers = _numbers(run)
    place = run / FOLDER / str(max(numbers, default=0) + 1)
    new = place.with_name(".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    saving.write_whole(new / SPEC, [trial.spec.encode()])
    saving.write_whole(new / MODEL, saving.chunks(model))
    score = {
        "trial": trial.number, "rung": rung, "epochs": rungs(trial.epochs)[rung], "space": trial.space,
        "values": trial.drawn.values, "scores": result.scores,
    }  # fmt: skip
    saving.write_whole(new / SCORE, [(json.dumps(score, indent=1, ensure_ascii=False) + "\n").encode()])
    new.replace(place)
    for number in numbers:
        shutil.rmtree(run / FOLDER / str(number), ignore_errors=True)
    return True


def _numbers(run: Path) -> list[int]:
    return [int(path.name) for path in (run / FOLDER).glob("*") if path.name.isdigit()]
