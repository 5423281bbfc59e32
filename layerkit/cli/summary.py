"""``layerkit summary``: the layers of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from layerkit.cli.shared import ANY_PATH, Verb, load_any, print_json, rows_of_step, spec_options
from layerkit.models import Model
from layerkit.models.cost import training_cost
from layerkit.models.summary import multiply_adds, rows


@click.command(cls=Verb)
@click.argument("model", type=ANY_PATH)
@spec_options
@click.option("--batch-size", type=click.IntRange(min=1), help="For memory and time; the spec's unless given.")
@click.option("--expand", is_flag=True, help="Also show the layers of models inside.")
def summary(
    model: Path,
    changes: tuple[str, ...],
    plugins: tuple[Path, ...],
    batch_size: int | None,
    expand: bool,
    as_json: bool,
) -> None:
    """Show layers, shapes, parameters and multiply-adds of MODEL: a spec, a model (.lk), or the folder of a run."""
    found = load_any(model, plugins, changes)
    batch_size = batch_size or rows_of_step(model, plugins, changes)
    if as_json:
        print_json(describe(found, batch_size))
    else:
        found.summary(batch_size=batch_size, expand_nested=expand, print_fn=click.echo)


def describe(model: Model, batch_size: int) -> dict[str, Any]:
    """What the table shows, for machines."""
    adds = multiply_adds(model)
    known = [n for n in adds.values() if isinstance(n, int)]
    return {
        "name": model.name,
        "layers": [
            {
                "name": name, "class": kind, "shape": shape, "parameters": parameters, "inputs": before,
                "multiply_adds": adds[key] if isinstance(adds.get(key), int) else None,
            }
            for name, kind, shape, parameters, key, before in rows(model)
        ],
        **totals(model, batch_size),
        "multiply_adds": sum(known) if len(known) == len(adds) else None,
    }  # fmt: skip


def totals(model: Model, batch_size: int) -> dict[str, Any]:
    """Parameters, and what a step is predicted to take."""
    cost = training_cost(model, batch_size)
    return {
        "parameters": model.count_params(),
        "trainable_parameters": sum(w.size for w in model.trainable_weights),
        "batch_size": batch_size,
        "peak_training_bytes": None if cost is None else cost.peak_bytes,
        "seconds_per_step": None if cost is None else cost.seconds,
    }
