"""``layerkit plot``: the graph of a model as a picture."""

from __future__ import annotations

from pathlib import Path

import click

from layerkit import saving
from layerkit.cli.shared import ANY_PATH, OUTPUT, Verb, load_any, print_json, spec_options
from layerkit.models.drawing import draw


@click.command(cls=Verb)
@click.argument("model", type=ANY_PATH)
@spec_options
@click.option("-o", "--output", type=OUTPUT, help="The picture; by default the model's name with .svg.")
def plot(model: Path, changes: tuple[str, ...], plugins: tuple[Path, ...], output: Path | None, as_json: bool) -> None:
    """Draw the graph of MODEL, a spec, a model (.lk) or the folder of a run, as SVG.

    Each box has the layer's name and parameters, its class and the shape of its output; frames are the blocks of the
    spec. Any browser shows the file. Needs the extra "plot" (igraph).
    """
    found = load_any(model, plugins, changes)
    output = output or Path(f"{found.name}.svg")
    if output.suffix != ".svg":
        raise click.BadParameter(f"'{output}' does not end in .svg.", param_hint="--output")
    saving.write_whole(output, [draw(found).encode()])
    if as_json:
        print_json({"model": found.name, "output": str(output)})
    else:
        click.echo(f"wrote {output}")
