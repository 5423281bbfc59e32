"""The ``layerkit`` command: ``train`` and ``summary`` of YAML specs, ``cache`` of compiled code, ``tune`` for this machine.

Exit codes: 0 ok, 1 failed (a fault in the spec, the data or the training), 2 wrong use.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from layerkit.cli import commands
from layerkit.errors import LayerkitError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="layerkit")
def cli() -> None:
    """Specify models in YAML, train them, look at them."""


@cli.command()
@click.argument("spec", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Same seed, same result.")
@click.option("--epochs", type=click.IntRange(min=1), help="Instead of the number in the spec.")
@click.option(
    "--save", "save_to", type=click.Path(dir_okay=False, path_type=Path), help="Where to write the trained model (.lk)."
)
@click.option("--quiet", is_flag=True, help="No progress, only the final table.")
def train(spec: Path, seed: int, epochs: int | None, save_to: Path | None, quiet: bool) -> None:
    """Train the model that SPEC describes on the data that it names."""
    commands.train(spec, seed=seed, epochs=epochs, save_to=save_to, quiet=quiet)


@cli.command()
@click.argument("spec", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--batch-size", type=click.IntRange(min=1), default=32, show_default=True, help="For the predicted memory."
)
def summary(spec: Path, batch_size: int) -> None:
    """Show layers, shapes, parameters, multiply-adds and memory of the model that SPEC describes."""
    commands.summary(spec, batch_size=batch_size)


@cli.command()
@click.option("--clear", is_flag=True, help="Remove all entries.")
def cache(clear: bool) -> None:
    """Show the compiled code that is kept on disk, or remove it."""
    commands.cache(clear=clear)


@cli.command()
def tune() -> None:
    """Measure which register tiles suit this processor best, and use them from now on. Results do not change."""
    commands.tune()


def main(arguments: list[str] | None = None) -> Any:
    """Run the command; a fault becomes a message and exit code 1."""
    try:
        return cli(arguments)
    except LayerkitError as error:
        click.echo(commands.report(error), err=True)
        sys.exit(1)
