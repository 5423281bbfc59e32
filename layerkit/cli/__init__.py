"""The ``layerkit`` command, one file for each verb; a verb is imported when it is used, so that the rest stays quick.

Exit codes: 0 ok, 1 failed (a fault in a spec, a file, the data or the training), 2 wrong use of the command.
"""

from __future__ import annotations

import atexit
import gc
from typing import Any

import click

from layerkit import __version__
from layerkit.cli.verbs import Verbs

VERBS = {
    "new": "Write a spec to begin with, by task.",
    "check": "Find all faults of specs; tell parameters, memory and time.",
    "summary": "Show layers, shapes and parameters of a model.",
    "plot": "Draw the graph of a model as a picture (SVG).",
    "explain": "Show what the compiler makes of a training step.",
    "train": "Train the model of a spec; go on with a run that was interrupted.",
    "evaluate": "Measure a trained model on data.",
    "predict": "Let a trained model predict for the rows of a file.",
    "diff": "Compare two specs, models or runs, layer by layer.",
    "schema": "Print the JSON Schema of specs, for editors.",
    "doctor": "Look at this installation: engine, processor, extras, caches.",
    "cache": "Show or remove the compiled code that is kept on disk.",
    "tune": "Measure which register tiles suit this processor best.",
}
"""What each verb does, in a line; the text of its own help is in its file."""


@click.command(cls=Verbs, package=__name__, verbs=VERBS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Specify models in YAML, train them, look at them.

    A first model, in three steps: layerkit new images; layerkit check images.yaml; layerkit train images.yaml
    """


def main(arguments: list[str] | None = None) -> Any:
    """Run the command."""
    # models and graphs live until the end: looking for garbage among them is slow, and in vain
    gc.set_threshold(200_000, 20)
    atexit.register(gc.freeze)  # at the end too
    return cli(arguments, prog_name="layerkit")
