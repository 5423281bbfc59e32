"""``autoarch show``: the leaderboard of a search."""

from __future__ import annotations

import json
from pathlib import Path

import click

from autoarch.cli.running import RUN
from layerkit.cli.shared import Verb, print_json


@click.command(cls=Verb)
@click.argument("run", type=RUN)
def show(run: Path, as_json: bool) -> None:
    """Print the leaderboard of RUN, as far as it is."""
    from autoarch.budget import disk_bytes
    from autoarch.study import Study, leaderboard, ranked
    from layerkit.models.cost import show_bytes

    with Study.open(run, alone=False) as study:
        trials = study.trials()
    size = disk_bytes(run)
    if as_json:
        print_json({"trials": json.loads(leaderboard(trials)), "disk_bytes": size})
        return
    for rank, trial in enumerate(ranked(trials), 1):
        scores = ", ".join(f"{n} {v:.4f}" for n, v in sorted(trial.scores.items()))
        values = json.dumps(trial.drawn.values, ensure_ascii=False)
        found = trial.reason or scores
        click.echo(f"{rank:3}  trial {trial.number:3}  {trial.space}  {trial.trained:3} epochs  {found}  {values}")
    click.echo(f"{show_bytes(size)} on disk")
