"""The ``autoarch`` command.

Exit codes: 0 ok, 1 failed (a fault in the spec, the data or the search), 2 wrong use of the command.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerkit import __version__

if TYPE_CHECKING:
    from autoarch.study import Trial

RUN = click.Path(exists=True, file_okay=False, path_type=Path)


class Verb(click.Command):
    """A verb: a fault becomes a message and exit code 1; no traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        from layerkit.errors import LayerkitError

        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: click.echo(f"warning: {message}", err=True)  # type: ignore[assignment]
            try:
                return super().invoke(ctx)
            except BrokenPipeError:  # whoever reads has seen enough: click ends quietly
                raise
            except (LayerkitError, OSError) as error:
                click.echo(str(error), err=True)
                raise click.exceptions.Exit(1) from None


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Search for an architecture: a spec with holes goes in, the best spec and its trained model come out."""


def _workers(function: Any) -> Any:
    function = click.option("--patience", type=click.FloatRange(min=1), default=3600, show_default=True,
                            help="Seconds after which a task counts as hanging.")(function)  # fmt: skip
    return click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True,
                        help="Processes that train at a time; the result does not depend on it.")(function)  # fmt: skip


@cli.command(cls=Verb)
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
@_workers
def search(
    specs: tuple[Path, ...], data: str | None, trials: int, seed: int, round_size: int, sampler: Any, params: int | None,
    memory: float | None, folder: Path, workers: int, patience: float,
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
    _work(folder, workers, patience)


@cli.command(cls=Verb)
@click.argument("run", type=RUN)
@_workers
def resume(run: Path, workers: int, patience: float) -> None:
    """Go on with the search in RUN, however it ended."""
    _work(run, workers, patience)


@cli.command(cls=Verb)
@click.argument("run", type=RUN)
def show(run: Path) -> None:
    """Print the leaderboard of RUN, as far as it is."""
    from autoarch.study import Study

    with Study.open(run, alone=False) as study:
        _table(study.trials())


@cli.command(cls=Verb)
@click.argument("run", type=RUN)
def best(run: Path) -> None:
    """Print the best spec of RUN so far."""
    from autoarch.finish import best_of
    from autoarch.study import Study

    with Study.open(run, alone=False) as study:
        click.echo(best_of(study.trials()).spec, nl=False)


def _work(folder: Path, workers: int, patience: float) -> None:
    import shlex

    from autoarch.search import work
    from autoarch.watching import Plain

    try:
        result = work(folder, workers=workers, patience=patience, watcher=Plain(click.echo))
    except KeyboardInterrupt:
        click.echo(f"\ninterrupted; go on with: autoarch resume {shlex.quote(str(folder))}", err=True)
        raise click.exceptions.Exit(1) from None
    measure = str(result["measure"]).replace("_", " ")
    click.echo(
        f"{result['trials']} trials, {result['failed']} of them failed; the best is trial {result['best_trial']}"
    )
    click.echo(f"{measure:22} validation    test ({result['rows']['test']} rows)")
    for name, scores in {"model": result["model"], **result["baselines"]}.items():
        click.echo(f"  {name:20} {_shown(scores.get('validation')):>10}    {_shown(scores.get('test'))}")
    if result.get("beats_baselines") is False:
        click.echo("no candidate beats the baselines")
    click.echo(f"model    {folder / 'best' / 'model.lk'}\nagain    {result['train']}")


def _table(trials: list[Trial]) -> None:
    from autoarch.study import ranked

    for rank, trial in enumerate(ranked(trials), 1):
        scores = ", ".join(f"{n} {v:.4f}" for n, v in sorted(trial.scores.items()))
        values = json.dumps(trial.drawn.values, ensure_ascii=False)
        click.echo(
            f"{rank:3}  trial {trial.number:3}  {trial.space}  {trial.trained:3} epochs  {trial.reason or scores}  {values}"
        )


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def main(arguments: list[str] | None = None) -> Any:
    """Run the command."""
    return cli(arguments, prog_name="autoarch")
