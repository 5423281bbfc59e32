"""``autoarch report``: what a search found, as one HTML file."""

from __future__ import annotations

from pathlib import Path

import click

from autoarch.cli.running import RUN
from layerkit.cli.shared import OUTPUT, Verb, print_json


@click.command(cls=Verb)
@click.argument("run", type=RUN)
@click.option("--out", type=OUTPUT, help="The file, instead of report.html in the folder of the run.")
def report(run: Path, out: Path | None, as_json: bool) -> None:
    """Write what RUN found, as far as it is: one HTML file that needs nothing else, and no network."""
    from autoarch.report import write

    path = write(run, out)
    if as_json:
        print_json({"report": str(path)})
    else:
        click.echo(f"wrote {path}")
