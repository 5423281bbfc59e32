"""``layerkit check``: all faults of specs, and what their models take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerkit.cli.shared import FILE, Verb, code_of, fault_data, load_spec, print_json, report, single, spec_options
from layerkit.cli.summary import totals
from layerkit.engines import Cost
from layerkit.errors import LayerkitError
from layerkit.models.cost import show_cost
from layerkit.models.summary import multiply_adds

if TYPE_CHECKING:
    from builders import Spec
    from layerkit.models import Model


@click.command(cls=Verb)
@click.argument("specs", type=FILE, nargs=-1, required=True)
@spec_options
def check(specs: tuple[Path, ...], changes: tuple[str, ...], plugins: tuple[Path, ...], as_json: bool) -> None:
    """Find all faults of all SPECS, before any data are read; of tables the names of the columns are looked at.

    For each spec without faults: parameters, multiply-adds of one sample, and, predicted without running the model, the
    memory of a training step and its time.
    """
    found = [_check(path, changes, plugins) for path in specs]
    bad = [each for each in found if each["errors"]]
    if as_json:
        shown = [{**each, **{key: [fault_data(e) for e in each[key]] for key in ("errors", "notes")}} for each in found]
        print_json({"ok": not bad, "specs": shown})
    else:
        for each in found:
            _print(each)
    if bad:
        raise click.exceptions.Exit(code_of(e for each in bad for e in each["errors"]))


def _check(path: Path, changes: tuple[str, ...], plugins: tuple[Path, ...]) -> dict[str, Any]:
    """What is told of one spec; one with holes is looked at with the least and the largest of what they allow."""
    found: dict[str, Any] = {"spec": str(path), "errors": [], "notes": []}
    spec = None
    try:
        spec = load_spec(path, changes, plugins)
        holes = spec.holes
        least = _filled(spec, 0)
        model = least.build()
        found["notes"], found["errors"] = least.data_faults(model)
        if not holes:
            return found | _totals(spec, model)
        found["holes"] = [hole.path for hole in holes]
        most = _filled(spec, -1)
        return found | {"least": _totals(least, model), "most": _totals(most, most.build())}
    except LayerkitError as error:
        errors = [*single(error), *(() if spec is None else _of_data(spec))]
        return found | {"errors": sorted(errors, key=lambda e: (e.where is None, e.where))}


def _of_data(spec: Spec) -> list[LayerkitError]:
    """What the heads of the data tell that is wrong where there is no model, as far as the section itself is right."""
    try:
        return spec.data_faults()[1]
    except LayerkitError:
        return []  # they are told already


def _filled(spec: Spec, end: int) -> Spec:
    """The spec with the first (or last) choice, or the least (or largest) number, in each hole."""
    while spec.holes:
        spec = spec.fill({h.path: h.choices[end] if h.choices else (h.low, h.high)[end] for h in spec.holes})
    return spec


def _totals(spec: Spec, model: Model) -> dict[str, Any]:
    adds = list(multiply_adds(model).values())
    known = [n for n in adds if isinstance(n, int)]
    return {
        "layers": len(model.layers),
        **totals(model, spec.batch_size),
        "multiply_adds": sum(known) if len(known) == len(adds) else None,
    }


def _print(found: dict[str, Any]) -> None:
    name, errors = found["spec"], found["errors"]
    if errors:
        click.echo("\n\n".join(map(report, errors)))
        click.echo(f"\n{name}: {len(errors)} fault{'s' * (len(errors) != 1)}")
    elif "holes" in found:
        click.echo(f"{name}: ok; {len(found['holes'])} holes for a search: {', '.join(found['holes'])}")
        for end in ("least", "most"):
            click.echo(f"  {end}: {_line(found[end])}")
    else:
        click.echo(f"{name}: ok; {_line(found)}")
    for note in found["notes"]:
        click.echo(f"\n{report(note)}")


def _line(found: dict[str, Any]) -> str:
    adds = "unknown" if found["multiply_adds"] is None else f"{found['multiply_adds']:,}"
    parts = [f"{found['layers']} layers", f"{found['parameters']:,} parameters", f"{adds} multiply-adds for one sample"]
    if found["peak_training_bytes"] is not None:
        cost = Cost(found["peak_training_bytes"], found["seconds_per_step"])
        parts.append(f"a step of {found['batch_size']} rows takes {show_cost(cost)} (predicted)")
    return ", ".join(parts)
