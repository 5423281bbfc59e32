"""What goes into the holes of specs: proposals in rounds, each by a fresh sampler with a seed of its own.

A round knows the trials of the rounds before, in their order, and nothing else: neither the number of workers nor an
interruption changes what it proposes. Optuna's study lives in memory, for one round.
"""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from builders import Hole

if TYPE_CHECKING:
    import optuna

    from builders import Spec

MOST_REPEATS = 50  # so many proposals in a row that were there before: the space is used up
DIGITS = 4  # of a number that is drawn from a range without steps
LEVELS = 5  # so many numbers of a range without steps make a grid
SPACE = "space"  # the parameter that says which
STARTS = 10  # trials before TPE begins to learn

Sampler = Literal["tpe", "random", "grid"]


@dataclass
class Drawn:
    """What was drawn for one spec.

    Attributes:
        parameters: for each hole, by its path and what it allows, what was drawn: of a choice or a step the number.
        distributions: what they were drawn from, as Optuna writes it.
        values: for each path what the spec got there.
    """

    parameters: dict[str, Any] = field(default_factory=dict)
    distributions: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Past:
    """A trial as the next rounds see it; ``score`` is better when it is higher, and None where the trial failed."""

    drawn: Drawn
    spec: str
    rung: int
    score: float | None
    is_complete: bool


@dataclass(frozen=True)
class Proposal:
    """A spec without holes, which space it is of, and why it was proposed."""

    space: str
    drawn: Drawn
    spec: Spec
    why: str


def derive_seed(*parts: Any) -> int:
    """A seed made of numbers and words, the same on every machine: the first four bytes of their SHA-256.

    Example:
        >>> derive_seed(0, "round", 1) == derive_seed(0, "round", 1), derive_seed(0, "round", 1) == derive_seed(0, "round", 2)
        (True, False)
    """
    return int.from_bytes(hashlib.sha256(json.dumps(parts).encode()).digest()[:4], "big")


def propose(
    spaces: Mapping[str, Spec], past: Sequence[Past], count: int, *, seed: int, sampler: Sampler = "tpe"
) -> list[Proposal]:
    """Up to ``count`` specs without holes that were not proposed before; fewer when the spaces are used up.

    The first round goes round the spaces; later ones draw the space like everything else.

    Args:
        spaces: specs with holes, by name.
        past: the trials of the rounds before, in their order.
        count: how many are wanted.
        seed: of this round.
        sampler: Bergstra et al.'s tree-structured Parzen estimator (NIPS 2011); random; or grid, which goes through all
            specs in an order of its own (of a range without steps, five numbers).
    """
    import optuna

    study = _study(past, seed, sampler)
    learns = sampler == "tpe" and len(past) >= STARTS
    why = {"grid": "grid", "random": "random"}.get(sampler, "TPE" if learns else "random start")
    seen = {trial.spec for trial in past}
    found: list[Proposal] = []
    repeats = 0
    while len(found) < count and repeats < MOST_REPEATS:
        if not past and sampler != "grid" and len(spaces) > 1:
            study.enqueue_trial({SPACE: (len(found) + repeats) % len(spaces)})
        trial = study.ask()
        name, drawn, filled = _fill(spaces, trial, LEVELS if sampler == "grid" else None)
        if filled.text in seen:
            with suppress(RuntimeError):  # a grid that is used up wants to stop a loop of Optuna's, which there is not
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            repeats += 1
            continue
        seen.add(filled.text)
        found.append(Proposal(name, drawn, filled, why))
        repeats = 0
    return found


def _study(past: Sequence[Past], seed: int, sampler: Sampler) -> optuna.Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(
            direction="maximize",
            sampler=_sampler(seed, sampler),
        )
    states = optuna.trial.TrialState
    for trial in past:  # one that did not go to the end counts as pruned, and by how far it came
        is_complete = trial.is_complete and trial.score is not None
        study.add_trial(
            optuna.trial.create_trial(
                state=states.COMPLETE if is_complete else states.PRUNED,
                value=trial.score if is_complete else None,
                params=trial.drawn.parameters,
                distributions={
                    name: optuna.distributions.json_to_distribution(text)
                    for name, text in trial.drawn.distributions.items()
                },
                intermediate_values={} if trial.score is None else {trial.rung: trial.score},
            )
        )
    return study


def _sampler(seed: int, sampler: Sampler) -> optuna.samplers.BaseSampler:
    import optuna

    if sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if sampler == "grid":
        return optuna.samplers.BruteForceSampler(seed=seed)
    return optuna.samplers.TPESampler(
        n_startup_trials=STARTS, seed=seed, multivariate=True, group=True, constant_liar=True
    )


def _fill(spaces: Mapping[str, Spec], trial: optuna.Trial, levels: int | None) -> tuple[str, Drawn, Spec]:
    """A space, and values in all its holes; those inside a choice appear after it is filled."""
    import optuna

    drawn, names = Drawn(), list(spaces)
    number = trial.suggest_categorical(SPACE, range(len(names))) if len(names) > 1 else 0
    if len(names) > 1:
        drawn.parameters[SPACE] = number
    space = names[number]
    spec = spaces[space]
    while spec.holes:
        values = {}
        for hole in spec.holes:
            name = f"{space}/{_name(hole)}"
            drawn.parameters[name], values[hole.path] = _suggest(trial, name, hole, levels)
        spec = spec.fill(values)
        drawn.values |= {path: _plain(value) for path, value in values.items()}
    drawn.distributions = {n: optuna.distributions.distribution_to_json(d) for n, d in trial.distributions.items()}
    return space, drawn, spec


def _name(hole: Hole) -> str:
    """The path, and what is allowed there: holes in two options of one choice may have the same path."""
    return f"{hole.path} {json.dumps(_plain(hole))}"


def _suggest(trial: optuna.Trial, name: str, hole: Hole, levels: int | None) -> tuple[Any, Any]:
    """What Optuna draws, and the value that it means; ``levels`` of a range without steps, or any number of it."""
    if hole.kind == "choice":
        number = trial.suggest_categorical(name, range(len(hole.choices)))
        return number, hole.choices[number]
    assert hole.low is not None
    assert hole.high is not None
    step = hole.step or (1 if hole.kind == "int" else None)
    if levels is not None and (step is None or hole.log):
        number = trial.suggest_int(name, 0, levels - 1)
        return number, _level(hole, number / (levels - 1))
    if step is None or hole.log:
        drawn: Any = (
            trial.suggest_int(name, int(hole.low), int(hole.high), log=hole.log)
            if hole.kind == "int"
            else trial.suggest_float(name, hole.low, hole.high, log=hole.log)
        )
        if step is None:
            return drawn, min(max(float(f"{drawn:.{DIGITS}g}"), hole.low), hole.high)
        number = round((drawn - hole.low) / step)
    else:
        drawn = number = trial.suggest_int(name, 0, _steps(hole, step))
    return drawn, _at(hole, step, min(number, _steps(hole, step)))


def _steps(hole: Hole, step: float) -> int:
    assert hole.low is not None
    assert hole.high is not None
    return math.floor((hole.high - hole.low) / step + 1e-9)


def _at(hole: Hole, step: float, number: int) -> Any:
    value = (hole.low or 0) + number * step
    return int(value) if hole.kind == "int" else round(float(value), 12)


def _level(hole: Hole, share: float) -> Any:
    """The number at a share of the way through a range."""
    assert hole.low is not None
    assert hole.high is not None
    value = hole.low * (hole.high / hole.low) ** share if hole.log else hole.low + (hole.high - hole.low) * share
    return round(value) if hole.kind == "int" else min(max(float(f"{value:.{DIGITS}g}"), hole.low), hole.high)


def _plain(value: Any) -> Any:
    """A value as JSON has it; holes in an option as what they allow."""
    if isinstance(value, Hole):
        bounds = {n: v for n in ("low", "high", "step") if (v := getattr(value, n)) is not None}
        return {f"!{value.kind}": _plain(list(value.choices)) if value.choices else {**bounds, "log": value.log}}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    return value
