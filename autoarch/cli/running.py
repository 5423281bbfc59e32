"""What verbs that train have in common."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autoarch import budget
from autoarch.folder import REPORT, delivered_model
from layerkit.errors import ArgumentError
from layerkit.training.progress import show_number

if TYPE_CHECKING:
    from autoarch.watching import Watcher

RUN = click.Path(exists=True, file_okay=False, path_type=Path)


class Budget(click.ParamType[float]):
    """A word such as ``10m``, as a number."""

    def __init__(self, name: str, read: Callable[[str], float]) -> None:
        self.name, self._read = name, read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return self._read(value)
        except ArgumentError as error:
            self.fail(f"{error.got} is no {self.name}; expected {error.expected}.", param, ctx)


TIME, SIZE = Budget("time", budget.seconds), Budget("size", budget.size)


def workers_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--workers``, ``--patience`` and ``--plain``."""
    for option in (
        click.option(
            "--patience", type=click.FloatRange(min=1), default=3600, show_default=True,
            help="Seconds without an epoch after which a task counts as hanging.",
        ),
        click.option("--plain", is_flag=True, help="Lines of text, no picture that changes."),
        click.option(
            "--workers", type=click.IntRange(min=1), help="Processes that train at a time, one for each processor unless given; the result does not depend on it.",
        ),
    ):  # fmt: skip
        function = option(function)
    return function


def run_search(
    folder: Path, *, workers: int | None, patience: float, plain: bool, as_json: bool, seconds: float | None = None
) -> None:
    """Do what is left of a search, and print what came out."""
    from autoarch.coordinator import work
    from layerkit.cli.shared import print_json

    began = click.get_current_context().find_root().obj
    try:
        result = work(
            folder, workers=workers, patience=patience, watcher=_watcher(folder, plain or as_json, as_json, seconds, began),
            seconds=seconds, began=began, command=shlex.join(["autoarch", *sys.argv[1:]]),
        )  # fmt: skip
    except KeyboardInterrupt:
        click.echo(f"\ninterrupted; go on with: autoarch resume {shlex.quote(str(folder))}", err=True)
        raise click.exceptions.Exit(1) from None
    if as_json:
        print_json(result)
        return
    measure = str(result["measure"]).replace("_", " ")
    click.echo(
        f"{result['trials']} trials, {result['failed']} of them failed; the best is trial {result['best_trial']}"
    )
    click.echo(f"{measure:22} validation    test ({result['rows'].get('test', 'no')} rows)")
    for name, scores in {"model": result["model"], **result["baselines"]}.items():
        click.echo(f"  {name:20} {_shown(scores.get('validation')):>10}    {_shown(scores.get('test'))}")
    for line in (*_judged(result), *result.get("notes", ())):
        click.echo(line)
    click.echo(f"model    {delivered_model(folder)}\nreport   {folder / REPORT}\nagain    {result['train']}")


def _judged(result: dict[str, Any]) -> Iterator[str]:
    """How sure the scores are, and what may be said of them."""
    if result.get("interval"):
        yield f"test     {_shown(result['model'].get('test'))}, 95 % interval {_range(result['interval'])}"
    seeds = result.get("seeds", {})
    if seeds.get("interval"):
        count = len(seeds["test"])
        yield f"seeds    {_shown(seeds['mean'])} on average over {count} trainings, 95 % interval {_range(seeds['interval'])}"
    if result.get("selection_bias"):
        kept = result["selection_bias"]
        yield f"choice   the best of {kept['candidates']} looks better by {_shown(kept['bias'])} on the rows that chose it"
    if result.get("claim"):
        yield f"claim    {result['claim']['sentence']}"
        if result["claim"].get("in_words"):
            yield f"meaning  {result['claim']['in_words']}"


def _range(interval: Sequence[float]) -> str:
    return " to ".join(map(_shown, interval))


def _watcher(folder: Path, plain: bool, to_stderr: bool, seconds: float | None, began: float) -> Watcher:
    """A picture that changes where the output is a terminal that can show it, or else lines."""
    from rich.console import Console

    from autoarch.clock import Clock
    from autoarch.live import Live
    from autoarch.watching import Plain

    console = Console(highlight=False)
    if plain or not console.is_terminal or console.is_dumb_terminal:
        return Plain(lambda line: click.echo(line, err=to_stderr))
    clock = Clock(folder, began)
    return Live(console, (lambda: seconds - (time.monotonic() - began)) if seconds is not None else lambda: clock.left)


def _shown(value: float | None) -> str:
    return "" if value is None else show_number(value)
