"""``autoarch best``: the best spec of a search, and its model."""

from __future__ import annotations

from pathlib import Path

import click

from autoarch.cli.running import RUN
from layerkit.cli.shared import Verb, print_json


@click.command(cls=Verb)
@click.argument("run", type=RUN)
@click.option("--model", "file", type=click.Path(dir_okay=False, path_type=Path), help="Copy its model to this file.")
def best(run: Path, file: Path | None, as_json: bool) -> None:
    """Print the best spec of RUN: the winner's; or, as long as there is none, that of the best trial so far."""
    from autoarch.incumbent import best_so_far
    from autoarch.study import Study
    from layerkit import saving

    with Study.open(run, alone=False):  # a folder without a search is told
        found = best_so_far(run)
    if file is not None:
        saving.write_whole(file, saving.chunks(found.model))
    if as_json:
        print_json({"trial": found.trial, "scores": found.scores, "spec": found.spec})
    else:
        click.echo(found.spec, nl=False)
