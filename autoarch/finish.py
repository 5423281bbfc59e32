"""The end of a search: the finalists, the winner's spec, its model trained from scratch by exactly that, the verdict.

The model is that of the winner's training as a finalist with the first seed. The command that everybody has, ``layerkit
train``, ends that run as one of its own; so whoever runs ``layerkit train best.yaml`` gets the same weights. Nothing before
this looks at the test part.
"""

from __future__ import annotations

import itertools
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import builders
from autoarch import checks, finalists
from autoarch.budget import REPORT_S, Deadline
from autoarch.clock import TimeIsUp
from autoarch.finalists import Finalist, Finals, Say, train_arguments
from autoarch.folder import BEST, DELIVERED, MODEL, RESULT, delivered_model
from autoarch.incumbent import incumbent
from autoarch.modality import ships
from autoarch.options import Options
from autoarch.outcomes import unpacked
from autoarch.pool import ATTEMPTS, Pool, environment
from autoarch.ranking import measure
from autoarch.selection import luck
from autoarch.study import Study, Trial, ranked
from autoarch.verdict import verdict
from layerkit import saving
from layerkit.errors import StateError
from layerkit.saving.locks import alone


def finish(folder: Path, study: Study, options: Options, pool: Pool, say: Say, deadline: Deadline) -> dict[str, Any]:
    """Do what is left of it; the result, which is written last.

    When time runs out, it is what is known until then: fewer seeds of the finalists; the winner's model as it was trained in
    the search, if there was no time to train it again; no measurement on the test part. So it is where all finalists fail
    with the seed that the winner is trained again with.

    Args:
        folder: of the search.
        study: with all trials.
        options: of the search.
        pool: trains the finalists.
        say: gets a line for each thing that happens.
        deadline: says what there is time for.

    Raises:
        StateError: no trial came to its end, or the winner cannot be trained again.
    """
    path = folder / RESULT
    if not path.exists():
        trials, clock = study.trials(), deadline.clock
        if incumbent(folder) is None and not (trials and all(t.reason for t in trials)):
            raise StateError(
                "time was up before a trial came to its first rung.", got="no model",
                fix=f"give it more: autoarch resume {shlex.quote(str(folder))} --time ...",
            )  # fmt: skip
        best = Finalist(best_of(trials), {})
        final = Finals(folder, study, options, say).run(trials, pool, deadline)
        first = final[0] if final else best
        trained = study.finals().get((first.trial.number, 0))
        found: dict[str, Any] = {
            "trials": len(trials),
            "failed": sum(t.reason is not None for t in trials),
            "rejected": sum(t.is_rejected for t in trials),
            "is_retrained": True,
            "finalists": [f.told() for f in final],
            "checks": [asdict(finding) for finding in checks.kept(folder)],
        }
        try:
            with clock.alarm(REPORT_S):
                if clock.is_over or trained is None:
                    raise TimeIsUp
                found["selection_bias"] = _selection(trials, options)
                if trained.reason is None:
                    say(
                        f"trial {first.trial.number} is the best; its model and the baselines are measured on the test part"
                    )
                    found |= _measured(folder, first, options)
                else:
                    say(f"no finalist can be trained from scratch with the seed of the search: {trained.reason}")
                    found |= _cut_short(folder, options, trials, first, "training from scratch failed")
        except TimeIsUp:
            say("time is up")
            found |= _cut_short(folder, options, trials, first, "time was up")
        saving.write_whole(path, [(json.dumps(found, indent=2, ensure_ascii=False) + "\n").encode()])
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def _named(winner: Trial, folder: Path, options: Options) -> dict[str, Any]:
    return {
        "best_trial": winner.number, "space": winner.space, "values": winner.drawn.values,
        "search_scores": winner.scores, "train": shlex.join(["layerkit", *train_arguments(folder, options)]),
    }  # fmt: skip


def _cut_short(folder: Path, options: Options, trials: Sequence[Trial], winner: Finalist, why: str) -> dict[str, Any]:
    """What there is in place of the end: a model that was trained again, by a finalist too, or that of the search so far."""
    best, first = folder / DELIVERED, finalists.model_of(folder, winner.trial, 0)
    trial, name = winner.trial, measure(winner.trial.scores)
    notes, rows = [f"{why}: there are no baselines"], {}
    is_retrained = True
    if 0 in winner.results and _is_of(folder, winner.trial) and (best / "results.json").exists():
        run = json.loads((best / "results.json").read_text(encoding="utf-8"))
        rows = {"test": run["test_rows"]} if "test_rows" in run else {}
        model = {part: scores.get(name) for part, scores in _scores(winner, run).items()}
    elif 0 in winner.results and first.exists():  # the same weights as `layerkit train` makes
        _copy_model(first, best)
        model = {"validation": winner.results[0].scores[name]}
    else:
        kept, is_retrained = incumbent(folder), False
        assert kept is not None, "a trial that came to a rung was offered before the study was told"
        trial = next(t for t in trials if t.number == kept.trial)
        notes.insert(0, f"{why}: the model is that of the search, after {kept.epochs} of {trial.epochs} epochs")
        _copy_model(kept.model, best)
        name = measure(kept.scores)  # the study may not have been told any more
        model = {"validation": kept.scores[name]}
    _write_best(folder, trial, options)
    return {
        **_named(trial, folder, options), "is_retrained": is_retrained, "rows": rows, "measure": name,
        "model": model, "baselines": {}, "notes": notes,
    }  # fmt: skip


def _copy_model(model: Path, best: Path) -> None:
    shutil.rmtree(best, ignore_errors=True)
    best.mkdir()
    saving.write_whole(best / MODEL, saving.chunks(model))


def best_of(trials: Sequence[Trial]) -> Trial:
    """The best trial.

    Raises:
        StateError: all failed.
    """
    first = next(iter(ranked(trials)), None)
    if first is None or first.merit is None:
        reasons = sorted({str(t.reason) for t in trials})
        raise StateError("no trial came to its end.", expected="at least one", got="; ".join(reasons[:5]) or "none yet")
    return first


def _write_best(folder: Path, winner: Trial, options: Options) -> None:
    """The winner's spec, and beside it the files of blocks and of words that it names."""
    file = options.file_of(winner.space)
    for name in [] if ships(file) else builders.loads(winner.spec, file).files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        saving.write_whole(folder / name, [(Path(file).parent / name).read_bytes()])
    saving.write_whole(folder / BEST, [winner.spec.encode()])


def _is_of(folder: Path, winner: Trial) -> bool:
    """Whether the run in ``best/`` is of this spec; a search that went on may have found another."""
    path, run = folder / BEST, folder / DELIVERED / "run.json"
    return path.exists() and run.exists() and path.read_bytes() == winner.spec.encode()


def _delivered(folder: Path, winner: Trial, options: Options) -> dict[str, Any]:
    """The results of the run in ``best/``: the winner's as a finalist, which ``layerkit train`` ends.

    One that is killed is gone on with, as often as a task of a worker.
    """
    best = folder / DELIVERED
    # The command holds the lock too: one that outlived its coordinator comes to its end before anybody looks at its folder.
    with alone(folder / "best.lock", waits=True) as lock:
        if not _is_of(folder, winner):
            shutil.rmtree(best, ignore_errors=True)
            _write_best(folder, winner, options)
            _copy(finalists.run_of(folder, winner), best)
        attempts = itertools.count(1)
        while not (best / "results.json").exists():
            ended = _train(best, train_arguments(folder, options), lock.fileno())
            if ended.returncode and (ended.returncode > 0 or next(attempts) == ATTEMPTS):
                got = ended.stderr.strip() or f"the process ended with code {ended.returncode}"
                raise StateError("the best spec cannot be trained.", got=got, fix=f"autoarch resume {folder}")
    results: dict[str, Any] = json.loads((best / "results.json").read_text(encoding="utf-8"))
    return results


def _copy(run: Path, best: Path) -> None:
    """A run as another folder, whole or not at all; nothing where it was removed: then it is trained again."""
    new = best.with_name(f"{best.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    if (run / "run.json").exists():
        shutil.copytree(run, new)
        new.replace(best)


def _train(best: Path, arguments: list[str], lock: int) -> subprocess.CompletedProcess[str]:
    """Go on with the run in ``best/``, or begin it."""
    if (best / "run.json").exists():
        arguments = ["train", "--resume", str(best)]
    else:
        shutil.rmtree(best, ignore_errors=True)
        arguments = [*arguments, "--run", str(best)]
    command = [sys.executable, "-m", "layerkit", *arguments, "--quiet"]
    held = (lock,) if os.name == "posix" else ()
    return subprocess.run(command, capture_output=True, text=True, check=False, pass_fds=held, env=environment())


def _selection(trials: Sequence[Trial], options: Options) -> dict[str, Any] | None:
    """What choosing the best of all trials added to its score, from their losses on the rows of the validation part."""
    texts = [t.results[t.rung].outcomes for t in trials if t.reason is None and t.rung >= 0]
    losses = [unpacked(text) for text in texts if text is not None]
    if len({len(rows) for rows in losses}) != 1 or (found := luck(losses, options.seed)) is None:
        return None
    return asdict(found) | {"bias": found.bias}


def _measured(folder: Path, winner: Finalist, options: Options) -> dict[str, Any]:
    """The winner's model, delivered, and the baselines on the same rows, in the same measure."""
    from layerkit.models import load_model

    trial, run = winner.trial, _delivered(folder, winner.trial, options)
    model = load_model(delivered_model(folder))
    loaded = builders.loads(trial.spec, options.file_of(trial.space))
    section = loaded.data_section()
    by_time = section is not None and section.options.split.by == "time"
    found = verdict(
        model, loaded.dataset(options.data, model=model), seed=options.seed, by_time=by_time,
        others=list(finalists.models(folder, trial, [n for n in winner.results if n > 0])),
    )  # fmt: skip
    if not found["model"]:  # rows have no one loss
        name = found["measure"] = measure(trial.scores)
        found["model"] = {part: scores[name] for part, scores in _scores(winner, run).items()}
    return _named(trial, folder, options) | found


def _scores(winner: Finalist, run: dict[str, Any]) -> dict[str, dict[str, float]]:
    """What training measured of the model, by part; the run's own on the validation part may be those of a later epoch."""
    return {"validation": winner.results[0].scores, **({"test": run["test"]} if "test" in run else {})}
