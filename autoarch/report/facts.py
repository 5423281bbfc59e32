"""All that is known of a run, read from its folder: of one that is finished, still going, or stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import builders
from autoarch import checks, clock, ranking
from autoarch.folder import BEST, DELIVERED, RESULT
from autoarch.options import Options, options_from
from autoarch.sessions import sessions
from autoarch.study import Study, Trial, ranked
from layerkit.errors import LayerkitError, StateError
from layerkit.saving.locks import alone

State = Literal["finished", "going on", "stopped"]


@dataclass(frozen=True)
class Facts:
    """What a report tells.

    Attributes:
        folder: of the run.
        options: what the search was told.
        trials: in their order.
        result: what ``finish`` found; nothing before that.
        state: of the run.
        sessions: the commands that worked on it, and where.
        clock: the seconds that it was allowed and spent, where they were limited.
        training: what ``layerkit train`` noted of the winner's training: versions, processor, the data's hash.
        findings: of the checks of the data; None where there were none.
    """

    folder: Path
    options: Options
    trials: list[Trial]
    result: Mapping[str, Any]
    state: State
    sessions: list[dict[str, Any]]
    clock: Mapping[str, Any]
    training: Mapping[str, Any]
    findings: list[dict[str, Any]] | None = None

    @property
    def failure(self) -> str | None:
        """Why the last command that worked on a run which is stopped came to no end, as far as it could tell."""
        last = self.sessions[-1] if self.sessions else {}
        return last.get("failed") if self.state == "stopped" else None

    @property
    def scored(self) -> list[Trial]:
        """The trials that did not fail and were measured."""
        return [t for t in self.trials if t.merit is not None]

    @property
    def failed(self) -> list[Trial]:
        """Those that failed, or were rejected."""
        return [t for t in self.trials if t.reason is not None]

    @cached_property
    def ranked(self) -> list[Trial]:
        """The best first."""
        return ranked(self.trials)

    @cached_property
    def winner(self) -> Trial | None:
        """Who won, or leads."""
        if "best_trial" in self.result:
            return next((t for t in self.trials if t.number == self.result["best_trial"]), None)
        return next((t for t in self.ranked if t.merit is not None), None)

    @cached_property
    def best_spec(self) -> str:
        """The spec of who won, as ``best.yaml`` has it; or of who leads."""
        path = self.folder / BEST
        if self.result and path.exists():
            return path.read_text(encoding="utf-8")
        return "" if self.winner is None else self.winner.spec

    @cached_property
    def measure(self) -> str:
        """By what trials are compared: accuracy, or the loss."""
        return ranking.measure({name for t in self.scored for name in t.scores})

    @property
    def sign(self) -> int:
        """1 where more of the measure is better, -1 where less is."""
        return ranking.sign(self.measure)

    @cached_property
    def spaces(self) -> list[str]:
        """Their names."""
        return [space.name for space in self.options.spaces]

    @cached_property
    def data(self) -> str:
        """The data, by name."""
        if self.options.data is not None:
            return self.options.data
        space = self.options.spaces[0]
        section = builders.loads(space.spec, space.file).data_section()
        return "" if section is None else str(next(iter(section.node.plain().values())))

    @cached_property
    def is_several(self) -> bool:
        """Whether there are several spaces."""
        return len(self.spaces) > 1


def read(folder: Path) -> Facts:
    """What is there.

    Raises:
        ArgumentError: no search.
        FileFormatError: a broken file.
    """
    with Study.open(folder, alone=False) as study:
        options, trials = options_from(study.options), study.trials()
    result = _json(folder / RESULT)
    state: State = "finished" if result else "going on" if _is_held(folder / "lock") else "stopped"
    training = {**_json(folder / DELIVERED / "environment.json"), **_json(folder / DELIVERED / "run.json")}
    return Facts(
        folder,
        options,
        trials,
        result,
        state,
        sessions(folder),
        _json(folder / clock.FILE),
        training,
        _findings(folder),
    )


def _is_held(path: Path) -> bool:
    try:
        with alone(path, waits=False):
            return False
    except StateError:
        return True
    except OSError:  # a folder that is only read
        return False


def _json(path: Path) -> dict[str, Any]:
    """What a file holds; nothing where there is none, or a broken one."""
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    return {}


def _findings(folder: Path) -> list[dict[str, Any]] | None:
    with suppress(OSError, ValueError):
        return [one for one in json.loads((folder / checks.FILE).read_text(encoding="utf-8")) if isinstance(one, dict)]
    return None


def guarded(make: Any, *arguments: Any) -> tuple[Any, str | None]:
    """What a function makes, or why it cannot: one part of a report that fails leaves the others as they are."""
    try:
        return make(*arguments), None
    except (LayerkitError, OSError, MemoryError) as error:
        return None, getattr(error, "summary", str(error))
