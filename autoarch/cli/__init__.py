"""The ``autoarch`` command, one file for each verb; a verb is imported when it is used.

Exit codes: 0 ok, 1 failed (a fault in a spec, the data or the search), 2 wrong use of the command.
"""

from __future__ import annotations

import time
from typing import Any

import click

from autoarch.clock import began
from layerkit import __version__
from layerkit.cli.verbs import Verbs

VERBS = {
    "search": "Search an architecture for data.",
    "resume": "Go on with a search that was interrupted.",
    "show": "Show the trials of a search, the best first.",
    "report": "Write what a search found as one HTML file.",
    "best": "Print the best spec of a search so far.",
    "export": "Write the model, its spec, or its source, for use elsewhere.",
    "compare": "Compare what several searches found.",
}
"""What each verb does, in a line; the text of its own help is in its file."""


@click.command(cls=Verbs, package=__name__, verbs=VERBS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Search for an architecture: data go in, the best spec and its trained model come out."""
    ctx.obj = ctx.obj or time.monotonic()  # when the command began: ``--time`` counts from here


def main(arguments: list[str] | None = None) -> Any:
    """Run the command."""
    return cli(arguments, prog_name="autoarch", obj=began())
