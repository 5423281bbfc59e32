"""What is known of a trial: its scores, how it learned, what it cost."""

from __future__ import annotations

from autoarch.study import Trial
from autoarch.tasks import seconds_of


def score_of(trial: Trial, measure: str) -> float | None:
    """What it came to at its highest rung."""
    return trial.scores.get(measure)


def history_of(trial: Trial) -> list[dict[str, float]]:
    """A row for each epoch since the first."""
    return max((r.history for r in trial.results.values()), key=len, default=[])


def parameters_of(trial: Trial) -> int | None:
    """The numbers that it learns or keeps."""
    return next((r.parameters for r in trial.results.values() if r.parameters is not None), None)


def epoch_seconds(trial: Trial) -> float | None:
    """Of an epoch, as measured."""
    return seconds_of(history_of(trial)).get("seconds")


def cost_of(trial: Trial, name: str) -> tuple[float | None, float | None]:
    """A cost as predicted and as measured, each at the highest rung that tells it."""
    results = [trial.results[rung] for rung in sorted(trial.results, reverse=True)]
    predicted = next((r.predicted[name] for r in results if name in r.predicted), None)
    measured = next((r.measured[name] for r in results if name in r.measured), None)
    return predicted, measured
