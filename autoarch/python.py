"""A search from Python: ``search(x, y)``, its ``Result``, of which ``estimators`` make use."""

from __future__ import annotations

import json
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

import builders
from autoarch import budget, rows
from autoarch.coordinator import start, work
from autoarch.folder import BEST, RESULT, delivered_model, require_new
from autoarch.options import DEFAULT_TRIALS, prepare
from autoarch.outcomes import classes_of, in_units
from autoarch.space import Sampler
from autoarch.study import Study, leaderboard
from autoarch.tasks import Limits
from autoarch.watching import Plain, Watcher
from layerkit import saving
from layerkit.errors import ArgumentError, StateError
from layerkit.ir import Array
from layerkit.training.progress import show_number

if TYPE_CHECKING:
    from layerkit.data.preparation import Preparation
    from layerkit.models import Model

LABELS = "labels.json"


def search(
    x: Any = None, y: Any = None, *, data: str | None = None, target: str | None = None, task: str = "auto",
    specs: Sequence[str | Path] = (), spaces: Sequence[str] = (), trials: int | None = None, time: str | None = None, seed: int = 0, workers: int | None = None,
    sampler: Sampler = "tpe", params: int | None = None, memory: str | None = None, flops: int | None = None, latency_ms: float | None = None, run: str | Path | None = None,
    verbose: int = 0,
) -> Result:  # fmt: skip
    """Search an architecture, as ``autoarch search`` does.

    Args:
        x: inputs: an array whose first axis is the rows, or a table of pandas.
        y: targets: numbers, or classes of any kind.
        data: instead of ``x`` and ``y``, a file, a folder, or the name of data that ship.
        target: the column to predict, where ``data`` has columns.
        task: "classification", "regression", "forecast", or "auto" by the target.
        specs: files with holes; without any, the spaces that ship and fit the data.
        spaces: names of those that ship, or families: cnn, lstm, cnn_lstm, mlp, transformer.
        trials: specs to propose; 27, or with ``time`` as many as there is time for.
        time: for everything, the end included, such as "90s", "10m" or "2h".
        seed: same seed, same result.
        workers: processes that train at a time, one for each processor unless given; the result does not depend on it.
        sampler: "tpe", "random" or "grid".
        params: models with more parameters are not trained.
        memory: nor those whose training takes more, such as "500MB" or "2GB".
        flops: nor those that need more multiplications and additions to predict one row.
        latency_ms: nor those that take longer for it.
        run: a new folder for the run; without it, one that is removed with the result.
        verbose: 1 prints a line for each thing that happens.

    Raises:
        ArgumentError: neither ``x`` and ``y`` nor ``data``, or both.
        DataError: data that do not fit.
        StateError: no trial came to its end.

    Example:
        >>> result = search(data="digits", spaces=["mlp"], trials=2)  # doctest: +SKIP
        >>> result.best_model.predict(x)  # doctest: +SKIP
    """
    began = monotonic()
    if (data is None) == (x is None) or (x is None) != (y is None):
        raise ArgumentError(
            "a search takes x and y, or data.",
            expected="search(x, y) or search(data=...)",
            got="neither, both or a half",
        )
    if trials is None and time is None:
        trials = DEFAULT_TRIALS
    seconds = None if time is None else budget.seconds(time)
    limits = Limits(params, None if memory is None else budget.size(memory), flops, latency_ms)
    folder = Path(run) if run is not None else Path(tempfile.mkdtemp(prefix="autoarch-"))
    require_new(folder)
    try:
        with budget.in_time(seconds, began):
            _start(
                folder, x, y, [Path(s) for s in specs], data, seconds, target=target, task=task, names=spaces, trials=trials,
                seed=seed, sampler=sampler, limits=limits,
            )  # fmt: skip
        work(folder, workers=workers, watcher=Plain() if verbose else Watcher(), began=began)
    except BaseException as error:
        if run is None:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, StateError) and str(folder) in (error.fix or ""):
                error.fix = "give run=, a new folder: a search in one that stays can be gone on with"
        raise
    return Result(folder, is_temporary=run is None)


def _start(
    folder: Path, x: Any, y: Any, specs: Sequence[Path], data: str | None, seconds: float | None, **options: Any
) -> None:
    """A new search in a folder; arrays become a file there."""
    if x is None:
        start(folder, prepare(specs, data, **options), seconds)
        return
    y, labels = np.asarray(y), None
    if y.dtype.kind not in "biuf" or options["task"] == "classification":
        labels, y = rows.labels_of(y)
        options["task"] = "classification"
    path = rows.write(x, y, folder)
    try:
        if path.suffix == ".csv":
            options["target"] = rows.TARGET
        start(folder, prepare(specs, str(path), **options), seconds, beside=(path.name,))
    except BaseException:
        path.unlink()
        raise
    if labels is not None:
        saving.write_whole(folder / LABELS, [json.dumps(labels.tolist()).encode()])


class Table(list[dict[str, Any]]):
    """Rows with equal keys, printed in columns; ``pandas.DataFrame(table)`` takes it too.

    >>> Table([{"rank": 1, "space": "mlp"}])
    rank  space
       1  mlp
    """

    def __repr__(self) -> str:
        if not self:
            return "no rows"
        names = list(self[0])
        shown = [names, *([_shown(row[n]) for n in names] for row in self)]
        widths = [max(len(line[i]) for line in shown) for i in range(len(names))]
        is_number = [all(isinstance(row[n], int | float | None) for row in self) for n in names]
        return "\n".join(
            "  ".join(
                text.rjust(w) if right else text.ljust(w)
                for text, w, right in zip(line, widths, is_number, strict=True)
            ).rstrip()
            for line in shown
        )


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return show_number(value)
    return "" if value is None else str(value)


class Result:
    """What came out of a search.

    Args:
        folder: of its run, as ``autoarch search`` left it.
        is_temporary: the folder is removed with the result.

    Raises:
        ArgumentError: there is no search, or it is not finished.
    """

    def __init__(self, folder: str | Path, *, is_temporary: bool = False) -> None:
        self.folder = Path(folder)
        if is_temporary:
            weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        path = self.folder / RESULT
        if not path.is_file():
            raise ArgumentError(
                f"'{folder}' holds no search that is finished.", expected=f"a file {RESULT}", got="none",
                fix=f"autoarch resume {folder}",
            )  # fmt: skip
        self.facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        """All that ``result.json`` says: the winner, baselines, intervals, verdict."""

    @cached_property
    def leaderboard(self) -> Table:
        """The trials, the best first."""
        with Study.open(self.folder, alone=False) as study:
            trials = {t.number: t for t in study.trials()}
        found = json.loads(leaderboard(list(trials.values())))
        names = dict.fromkeys(name for row in found for name in row["scores"])
        return Table(
            {
                "rank": row["rank"], "trial": row["trial"], "space": row["space"], "epochs": row["epochs"],
                **{name: row["scores"].get(name) for name in names},
                "parameters": next((r.parameters for r in trials[row["trial"]].results.values() if r.parameters), None),
                "reason": row["reason"],
            }
            for row in found
        )  # fmt: skip

    @cached_property
    def best_model(self) -> Model:
        """The winner, trained from scratch by its spec."""
        from layerkit.models import load_model

        model: Model = load_model(delivered_model(self.folder))
        return model

    @property
    def best_spec(self) -> builders.Spec:
        """The winner's spec, without holes."""
        return builders.load(self.folder / BEST)

    @property
    def beats_baselines(self) -> bool:
        """Whether the winner is better than every baseline, by a paired test on the sealed test part."""
        return bool(self.facts.get("beats_baselines"))

    @property
    def classes(self) -> Array | None:
        """The classes in the order of the model's outputs; None in a regression."""
        preparation = self.best_model.preparation
        if preparation is None or preparation.classes is None:
            return None
        path = self.folder / LABELS
        if not path.is_file():
            return np.array(preparation.classes)
        labels = np.array(json.loads(path.read_text(encoding="utf-8")))
        return np.asarray(labels[[int(c) for c in preparation.classes]])

    def predict(self, x: Any) -> Array:
        """What the model says for rows as they were searched on: classes, or numbers in the units of the data.

        Args:
            x: an array or a table with the columns of the training.
        """
        outputs, classes = self.outputs(x), self.classes
        if classes is None:
            outputs = in_units(self._preparation, outputs)
            return outputs.reshape(len(outputs)) if outputs.ndim == 2 and outputs.shape[1] == 1 else outputs
        return np.asarray(classes[classes_of(self.best_model, outputs)])

    def outputs(self, x: Any) -> Array:
        """The outputs of the model: of classes the probabilities."""
        with tempfile.TemporaryDirectory() as folder:
            inputs, _ = self._preparation.read(rows.records_of(x, Path(folder)), with_targets=False)
            return np.asarray(self.best_model.predict(inputs, verbose=0))

    @property
    def _preparation(self) -> Preparation:
        found = self.best_model.preparation
        if found is None:
            raise StateError("the model does not know how its data were prepared.", got="no preparation")
        return found

    def __repr__(self) -> str:
        facts = self.facts
        return f"Result(trials={facts['trials']}, best_trial={facts['best_trial']}, space={facts['space']!r}, folder={str(self.folder)!r})"
