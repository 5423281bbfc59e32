"""``autoarch search``: data, and specs with holes, become a run with the best spec and its model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from autoarch.cli.running import run_search, workers_options
from layerkit.cli.shared import Verb


@click.command(cls=Verb)
@click.argument("specs", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data", help="A file, a folder, or the name of data that ship, instead of the spec's.")
@click.option("--trials", type=click.IntRange(min=1), default=27, show_default=True, help="Specs to propose.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Same seed, same result.")
@click.option("--round", "round_size", type=click.IntRange(min=1), default=9, show_default=True,
              help="Specs proposed at a time.")  # fmt: skip
@click.option("--sampler", type=click.Choice(["tpe", "random", "grid"]), default="tpe", show_default=True)
@click.option("--params", type=click.IntRange(min=1), help="Reject models with more parameters.")
@click.option("--memory", type=click.FloatRange(min=0, min_open=True),
              help="Reject models whose training step takes more megabytes, as predicted.")  # fmt: skip
@click.option("--run", "folder", required=True, type=click.Path(file_okay=False, path_type=Path), help="A new folder.")
@workers_options
def search(
    specs: tuple[Path, ...], data: str | None, trials: int, seed: int, round_size: int, sampler: Any, params: int | None,
    memory: float | None, folder: Path, workers: int, patience: float, as_json: bool,
) -> None:  # fmt: skip
    """Search the holes of SPECS, all together; without any, convolutional networks for images that ship."""
    from autoarch.options import prepare
    from autoarch.search import start
    from autoarch.tasks import Limits

    if not specs and data is None:
        raise click.UsageError("give a spec, or --data.")
    start(folder, prepare(
        specs, data, trials=trials, seed=seed, round_size=round_size, sampler=sampler,
        limits=Limits(params, None if memory is None else int(memory * 1e6)),
    ))  # fmt: skip
    run_search(folder, workers=workers, patience=patience, as_json=as_json)
