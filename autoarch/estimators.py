"""Estimators in scikit-learn's manner: ``fit`` searches, ``predict`` uses what was found.

They follow its conventions (parameters as they were given, ``get_params``, what was learned ends in an underscore) without
needing it: scikit-learn's own tools, such as ``cross_val_score`` and pipelines, take them.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import numpy as np

from autoarch.python import Result, search
from layerkit.errors import ArgumentError, StateError
from layerkit.ir import Array


class _Estimator:
    task = ""

    def __init__(
        self, *, trials: int | None = None, time: str | None = None, spaces: Any = (), workers: int | None = None, seed: int = 0, sampler: str = "tpe",
        params: int | None = None, memory: str | None = None, flops: int | None = None, latency_ms: float | None = None, run: Any = None, verbose: int = 0,
    ) -> None:  # fmt: skip
        self.trials, self.time, self.spaces, self.workers, self.seed = trials, time, spaces, workers, seed
        self.sampler, self.params, self.memory, self.run, self.verbose = sampler, params, memory, run, verbose
        self.flops, self.latency_ms = flops, latency_ms

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> Any:
        """Set parameters by name; returns itself.

        Raises:
            ArgumentError: there is no such parameter.
        """
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise ArgumentError(
                    f"{type(self).__name__} has no parameter '{name}'.", expected=", ".join(known), got=name
                )
            setattr(self, name, value)
        return self

    def fit(self, X: Any, y: Any) -> Any:
        """Search for a model; returns itself.

        Args:
            X: an array whose first axis is the rows, or a table of pandas.
            y: a target for each row.
        """
        result = search(X, y, task=self.task, **self.get_params())
        self.result_: Result = result
        self.best_model_, self.best_spec_, self.leaderboard_ = result.best_model, result.best_spec, result.leaderboard
        self.n_features_in_ = int(np.shape(X)[1]) if np.ndim(X) > 1 else 1
        if result.classes is not None:
            self.classes_ = result.classes
        return self

    def predict(self, X: Any) -> Array:
        """A class, or number, for each row."""
        return self._fitted().predict(X)

    def _fitted(self) -> Result:
        if not hasattr(self, "result_"):
            raise StateError(f"this {type(self).__name__} is not fitted.", expected="fit(X, y) before", got="no result")
        return self.result_

    def __repr__(self) -> str:
        usual = {name: p.default for name, p in inspect.signature(type(self)).parameters.items()}
        given = ", ".join(f"{n}={v!r}" for n, v in self.get_params().items() if v != usual[n])
        return f"{type(self).__name__}({given})"

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks (from version 1.6)."""
        sklearn, is_classifier = import_module("sklearn.utils"), self.task == "classification"
        return sklearn.Tags(
            estimator_type="classifier" if is_classifier else "regressor", target_tags=sklearn.TargetTags(required=True),
            classifier_tags=sklearn.ClassifierTags() if is_classifier else None,
            regressor_tags=None if is_classifier else sklearn.RegressorTags(),
            input_tags=sklearn.InputTags(three_d_array=True, allow_nan=True),
        )  # fmt: skip


class AutoClassifier(_Estimator):
    """Searches a model that tells classes apart.

    Args:
        trials: specs to propose; 27, or with ``time`` as many as there is time for.
        time: for everything, such as "90s" or "10m".
        spaces: names or families (cnn, lstm, cnn_lstm, mlp, transformer) of those that ship; all that fit unless given.
        workers: processes that train at a time, one for each processor unless given.
        seed: same seed, same model.
        sampler: "tpe", "random" or "grid".
        params, memory, flops, latency_ms: models that are larger, or take more, are not trained; see ``autoarch.search``.
        run: a new folder for the run; without it, one that is removed with the estimator.
        verbose: 1 prints what happens.

    Attributes:
        classes_: the classes, in the order of ``predict_proba``.
        best_model_, best_spec_, leaderboard_: what was found.
        result_: all of it.

    Example:
        >>> AutoClassifier(trials=9, spaces=["mlp"])
        AutoClassifier(trials=9, spaces=['mlp'])
    """

    task = "classification"

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class for each row."""
        return self._fitted().outputs(X)

    def score(self, X: Any, y: Any) -> float:
        """The share of rows whose class is predicted."""
        return float(np.mean(self.predict(X) == np.asarray(y)))


class AutoRegressor(_Estimator):
    """Searches a model that predicts numbers; the arguments and attributes are those of ``AutoClassifier``.

    Example:
        >>> AutoRegressor(seed=3)
        AutoRegressor(seed=3)
    """

    task = "regression"

    def score(self, X: Any, y: Any) -> float:
        """The coefficient of determination: 1 is perfect, 0 as good as the mean."""
        y = np.asarray(y, "float64")
        rest = ((y - self.predict(X).reshape(y.shape)) ** 2).sum()
        return float(1 - rest / ((y - y.mean(0)) ** 2).sum())
