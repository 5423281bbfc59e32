"""``layerkit new``: a spec to begin with."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import click

from layerkit import saving
from layerkit.cli.generated import FILES
from layerkit.cli.shared import Verb, print_json, show_table
from layerkit.errors import ArgumentError

TASKS = {
    "images": "images to classes: a convolutional network (handwritten digits)",
    "tabular": "a table with numbers and texts to classes (customers)",
    "regression": "a table to a number (prices of flats)",
    "series": "series of several channels to classes: convolution and LSTM (movements)",
    "forecast": "the next value of a series: LSTM",
    "text": "short texts to classes: embedding and bidirectional LSTM (opinions)",
    "video": "videos to classes: convolutions over time and LSTM (directions)",
    "translation": "sequences to sequences: encoder and decoder (numbers in words)",
}


@click.command(cls=Verb)
@click.argument("task", type=click.Choice(list(TASKS)), required=False)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="The spec; by default TASK.yaml.")
@click.option("--list", "lists", is_flag=True, help="Show the tasks.")
def new(task: str | None, output: Path | None, lists: bool, as_json: bool) -> None:
    """Write a spec to begin with for TASK, and the data that it trains on, made by rules, beside it.

    Each is short and full of comments, and trains in seconds. Files that exist are not written over.
    """
    if lists or task is None:
        if as_json:
            print_json(TASKS)
        else:
            show_table({"task": "left", "what it does": "left"}, TASKS.items())
            click.echo("layerkit new TASK writes TASK.yaml")
        return
    spec = output or Path(f"{task}.yaml")
    wanted = {spec: (files("layerkit.cli") / "starters" / f"{task}.yaml").read_bytes()}
    if task in FILES:
        name, make = FILES[task]
        wanted[spec.parent / name] = make()
    for path in wanted:
        if path.exists():
            raise ArgumentError(
                f"'{path}' exists.", expected="a new file", got=str(path), fix="give another name with -o"
            )
    for path, content in wanted.items():
        saving.write_whole(path, [content])
    if as_json:
        print_json({"task": task, "files": [str(p) for p in wanted]})
    else:
        click.echo(f"wrote {' and '.join(map(str, wanted))}; next: layerkit check {spec}, layerkit train {spec}")
