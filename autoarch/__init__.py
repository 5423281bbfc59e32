"""Architecture search: a spec with holes goes in, the best spec without holes and its trained model come out.

``modality`` looks at data and chooses ``spaces/``; ``space`` asks Optuna what goes into the holes; ``ranking`` says
which trial is better, and ``halving`` who trains on; ``study`` keeps what is known, in a file of SQLite that the ``coordinator`` alone writes; ``pool`` hands ``tasks``
to processes that train (``worker``) on data that are ``prepared`` once; ``watching`` is told what happens, and ``live``
draws it; ``checks`` tells what is odd about the data; ``finalists`` are trained over several seeds, ``finish`` trains the
winner once more by its spec, and opens the test part for the ``verdict``: ``baselines`` are what it has to beat, ``claim``
says whether it does, ``selection`` how much of its score was luck;
``report`` makes a page of all that. ``cli`` and ``python`` are how people use all this.

Names load when they are first used (PEP 562).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autoarch.estimators import AutoClassifier, AutoRegressor
    from autoarch.python import Result, search

_NAMES = {
    "AutoClassifier": "estimators",
    "AutoRegressor": "estimators",
    "Result": "python",
    "search": "python",
}

__all__ = ["AutoClassifier", "AutoRegressor", "Result", "search"]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'autoarch' has no attribute '{name}'")
    return getattr(import_module(f"autoarch.{_NAMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_NAMES)
