"""``layerkit explain``: what the compiler makes of a step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from layerkit.cli.shared import ANY_PATH, Verb, load_any, print_json, rows_of_step, spec_options
from layerkit.models.explain import CHOICES
from layerkit.models.explain import explain as explained
from layerkit.models.standins import inputs_like, targets_like


@click.command(cls=Verb)
@click.argument("model", type=ANY_PATH)
@spec_options
@click.option("--analyze", is_flag=True, help="Run the step, on random inputs, and tell how long its parts take.")
@click.option("--show", type=click.Choice(CHOICES), default=CHOICES[0], show_default=True, help="What to print.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Rows of the step; the spec's unless given.")
def explain(
    model: Path, changes: tuple[str, ...], plugins: tuple[Path, ...], analyze: bool, show: str, batch_size: int | None, as_json: bool
) -> None:  # fmt: skip
    """Show what the compiler makes of a training step of MODEL: a spec, a model (.lk), or the folder of a run."""
    found = load_any(model, plugins, changes)
    batch_size = batch_size or rows_of_step(model, plugins, changes)
    x: Any = inputs_like(found, batch_size, random=True) if analyze else None
    y: Any = targets_like(found, batch_size) if analyze and found.compiled else None
    text = explained(found, analyze, x, y, show, batch_size)
    if as_json:
        print_json({"model": found.name, "show": show, "batch_size": batch_size, "text": text})
    else:
        click.echo(text)
