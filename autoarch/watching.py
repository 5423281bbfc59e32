"""Who looks on at a search: each thing that happens is told to a watcher."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from layerkit.training.progress import show_number

if TYPE_CHECKING:
    from autoarch.study import Trial
    from autoarch.tasks import Result


class Watcher:
    """Base class; override what you want to see."""

    def began(self, trials: Sequence[Trial], wanted: int | None) -> None:
        """The search begins, or goes on, with what is there; of so many trials that are wanted."""

    def phase(self, text: str) -> None:
        """Something else begins."""

    def proposed(self, trials: Sequence[Trial]) -> None:
        """A round."""

    def epoch(self, trial: int, epoch: int, logs: Mapping[str, float]) -> None:
        """A trial has trained an epoch; called from several threads."""

    def result(self, trial: int, epochs: int, result: Result) -> None:
        """A trial has come to a rung, or failed."""

    def ended(self) -> None:
        """Nothing more will happen, for good or bad."""


class Plain(Watcher):
    """A line for each thing that happens, but epochs."""

    def __init__(self, say: Callable[[str], None] = print) -> None:
        self.say = say

    def phase(self, text: str) -> None:
        self.say(text)

    def result(self, trial: int, epochs: int, result: Result) -> None:
        found = result.reason or ", ".join(f"{n} {show_number(v)}" for n, v in sorted(result.scores.items()))
        self.say(f"trial {trial:3}  {epochs:3} epochs  {found}")
