"""``layerkit check``: all faults of specs, and what their models take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from layerkit.cli.shared import FILE, Verb, code_of, fault_data, load_spec, print_json, report, single, spec_options
from layerkit.cli.summary import totals
from layerkit.engines import Cost
from layerkit.errors import LayerkitError
from layerkit.models.summary import multiply_adds, show_cost


@click.command(cls=Verb)
@click.argument("specs", type=FILE, nargs=-1, required=True)
@spec_options
def check(specs: tuple[Path, ...], changes: tuple[str, ...], plugins: tuple[Path, ...], as_json: bool) -> None:
    """Find all faults of all SPECS, before any data are read.

    For each spec without faults: parameters, multiply-adds of one sample, and, predicted without running the model, the
    memory of a training step and its time.
    """
    found = [_check(path, changes, plugins) for path in specs]
    bad = [each for each in found if each["errors"]]
    if as_json:
        shown = [{**each, "errors": [fault_data(e) for e in each["errors"]]} for each in found]
        print_json({"ok": not bad, "specs": shown})
    else:
        for each in found:
            _print(each)
    if bad:
        raise click.exceptions.Exit(code_of(e for each in bad for e in each["errors"]))


def _check(path: Path, changes: tuple[str, ...], plugins: tuple[Path, ...]) -> dict[str, Any]:
    try:
        spec = load_spec(path, changes, plugins)
        model = spec.build()
    except LayerkitError as error:
        return {"spec": str(path), "errors": list(single(error))}
    adds = list(multiply_adds(model).values())
    known = [n for n in adds if isinstance(n, int)]
    return {
        "spec": str(path),
        "errors": [],
        "layers": len(model.layers),
        **totals(model, int(spec.fit.get("batch_size", 32))),
        "multiply_adds": sum(known) if len(known) == len(adds) else None,
    }


def _print(found: dict[str, Any]) -> None:
    if found["errors"]:
        click.echo("\n\n".join(map(report, found["errors"])))
        count = len(found["errors"])
        click.echo(f"\n{found['spec']}: {count} fault{'s' * (count != 1)}")
        return
    adds = "unknown" if found["multiply_adds"] is None else f"{found['multiply_adds']:,}"
    parts = [f"{found['layers']} layers", f"{found['parameters']:,} parameters", f"{adds} multiply-adds for one sample"]
    if found["peak_training_bytes"] is not None:
        cost = Cost(found["peak_training_bytes"], found["seconds_per_step"])
        parts.append(f"a step of {found['batch_size']} rows takes {show_cost(cost)} (predicted)")
    click.echo(f"{found['spec']}: ok; {', '.join(parts)}")
