"""``autoarch best``: the best spec of a search."""

from __future__ import annotations

from pathlib import Path

import click

from autoarch.cli.running import RUN
from layerkit.cli.shared import Verb, print_json


@click.command(cls=Verb)
@click.argument("run", type=RUN)
def best(run: Path, as_json: bool) -> None:
    """Print the best spec of RUN so far."""
    from autoarch.finish import found_in
    from autoarch.study import Study

    with Study.open(run, alone=False) as study:
        found = found_in(run, study.trials())
    if as_json:
        print_json({"trial": found.number, "scores": found.scores, "spec": found.spec})
    else:
        click.echo(found.spec, nl=False)
