"""``autoarch show``: the leaderboard of a search, and what it takes on the disk."""

from __future__ import annotations

import json
from pathlib import Path

import click

from autoarch.cli.running import RUN
from layerkit.cli.shared import Verb, print_json

PIPED = 160  # letters of a line where the output is no terminal


@click.command(cls=Verb)
@click.argument("run", type=RUN)
def show(run: Path, as_json: bool) -> None:
    """Print the leaderboard of RUN, as far as it is, and what the folder takes on the disk."""
    from rich.console import Console

    from autoarch.boards import board
    from autoarch.folder import disk_use
    from autoarch.measures import epoch_seconds, parameters_of
    from autoarch.study import Study, leaderboard, ranked

    with Study.open(run, alone=False) as study:
        trials = study.trials()
    best, disk = ranked(trials), disk_use(run)
    if as_json:
        rows = json.loads(leaderboard(trials))
        for row, trial in zip(rows, best, strict=True):
            row |= {"why": trial.why, "parameters": parameters_of(trial), "epoch_seconds": epoch_seconds(trial)}
        print_json({"trials": rows, "disk_bytes": sum(disk.values()), "disk": disk})
        return
    console = Console(highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PIPED)
    if best:
        console.print(board(best, width=console.width, whole=True))
    console.print(_disk(disk), style="dim")


def _disk(disk: dict[str, int]) -> str:
    from layerkit.models.cost import show_bytes

    parts = ", ".join(f"{name} {show_bytes(size)}" for name, size in disk.items())
    return f"disk {show_bytes(sum(disk.values()))}: {parts}"
