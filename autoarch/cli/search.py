"""``autoarch search``: data, and specs with holes, become a run with the best spec and its model."""

from __future__ import annotations

import itertools
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from autoarch.cli.running import SIZE, TIME, run_search, workers_options
from autoarch.folder import require_new
from layerkit.cli.shared import Verb


@click.command(cls=Verb)
@click.argument("specs", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data", help="A file, a folder, or the name of data that ship, instead of the spec's.")
@click.option("--target", help="The column to predict.")
@click.option("--task", type=click.Choice(["auto", "classification", "regression", "forecast"]), default="auto",
              show_default=True, help="What is asked for, where the target leaves it open.")  # fmt: skip
@click.option("--space", "names", multiple=True,
              help="A space that ships, or a family of them (cnn, lstm, cnn_lstm, mlp, transformer), instead of all that fit.")  # fmt: skip
@click.option("--trials", type=click.IntRange(min=1),
              help="Specs to propose; 27, or with --time as many as there is time for.")  # fmt: skip
@click.option("--time", "seconds", type=TIME, help="Time for everything, the end included, such as 90s, 10m or 2h.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Same seed, same result.")
@click.option("--round", "round_size", type=click.IntRange(min=1), default=9, show_default=True,
              help="Specs proposed at a time.")  # fmt: skip
@click.option("--sampler", type=click.Choice(["tpe", "random", "grid"]), default="tpe", show_default=True)
@click.option("--params", type=click.IntRange(min=1), help="Reject models with more parameters.")
@click.option(
    "--memory", type=SIZE, help="Reject models whose training takes more, as predicted, such as 500MB or 2GB."
)
@click.option("--flops", type=click.IntRange(min=1),
              help="Reject models with more multiplications and additions for one row.")  # fmt: skip
@click.option("--latency-ms", type=click.FloatRange(min=0, min_open=True),
              help="Reject models that take longer to predict one row.")  # fmt: skip
@click.option("--run", "folder", type=click.Path(file_okay=False, path_type=Path),
              help="A new folder, instead of searches/<name>-<n>.")  # fmt: skip
@workers_options
def search(
    specs: tuple[Path, ...], data: str | None, target: str | None, task: Any, names: tuple[str, ...], trials: int | None,
    seconds: float | None, seed: int, round_size: int, sampler: Any, params: int | None, memory: int | None, flops: int | None,
    latency_ms: float | None, folder: Path | None, workers: int | None, patience: float, plain: bool, as_json: bool,
) -> None:  # fmt: skip
    """Search the holes of SPECS, all together; without any, the spaces that ship and fit the data."""
    from autoarch import budget

    if not specs and data is None:
        raise click.UsageError("give a spec, or --data.")
    if folder is not None:
        require_new(folder)  # before anything is read
    with budget.in_time(seconds, click.get_current_context().find_root().obj):  # which imports may take much of
        from autoarch.coordinator import start
        from autoarch.options import DEFAULT_TRIALS, prepare
        from autoarch.tasks import Limits

        if trials is None and seconds is None:
            trials = DEFAULT_TRIALS
        limits = Limits(params, memory, flops, latency_ms)
        options = prepare(
            specs, data, target=target, task=task, names=names, say=lambda text: click.echo(text, err=as_json), trials=trials,
            seed=seed, round_size=round_size, sampler=sampler, limits=limits,
        )  # fmt: skip
        folder = folder or _new_folder(Path(data).stem if data is not None else options.spaces[0].name)
        start(folder, options, seconds)
    click.echo(f"run      {folder}", err=as_json)
    run_search(folder, workers=workers, patience=patience, plain=plain, as_json=as_json)


def _new_folder(name: str) -> Path:
    """``searches/<name>-<n>``, the first that is not there; made at once, as another search may begin now."""
    for n in itertools.count(1):
        with suppress(FileExistsError):
            (folder := Path("searches") / f"{name}-{n}").mkdir(parents=True)
            return folder
    raise AssertionError("numbers never end")
