"""``autoarch resume``: what is left of a search."""

from __future__ import annotations

from pathlib import Path

import click

from autoarch.cli.running import RUN, TIME, run_search, workers_options
from layerkit.cli.shared import Verb


@click.command(cls=Verb)
@click.argument("run", type=RUN)
@click.option("--time", "seconds", type=TIME, help="Time from now on, however much was used before.")
@workers_options
def resume(run: Path, seconds: float | None, workers: int | None, patience: float, plain: bool, as_json: bool) -> None:
    """Go on with the search in RUN, however it ended."""
    run_search(run, workers=workers, patience=patience, plain=plain, as_json=as_json, seconds=seconds)
