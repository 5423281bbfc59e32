"""``layerkit diff``: what differs between two models, by the names of their layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from layerkit.cli.shared import ANY_PATH, Verb, load_any, plugin_option, print_json
from layerkit.models import Model
from layerkit.models.summary import rows
from layerkit.registry import serialize


@dataclass(frozen=True)
class Part:
    """A layer, or what ``compile`` was given, as far as it is compared."""

    kind: str
    arguments: Mapping[str, Any]
    shape: str = ""
    parameters: int = 0
    inputs: str = ""


@click.command(cls=Verb)
@click.argument("a", type=ANY_PATH)
@click.argument("b", type=ANY_PATH)
@plugin_option
def diff(a: Path, b: Path, plugins: tuple[Path, ...], as_json: bool) -> None:
    """Compare A with B, each a spec, a model (.lk) or the folder of a run.

    Layers are compared by name: which are added (+) and removed (-), and of the others (~) which arguments, shapes,
    inputs and numbers of parameters are others. Weights are not compared.
    """
    before, after = load_any(a, plugins), load_any(b, plugins)
    found = list(differences(parts(before), parts(after)))
    counts = before.count_params(), after.count_params()
    if as_json:
        print_json({"equal": not found, "parameters": counts, "differences": found})
        return
    for each in found:
        click.echo(line(each))
    shown = f"{counts[0]:,} parameters" if counts[0] == counts[1] else f"{counts[0]:,} -> {counts[1]:,} parameters"
    click.echo(f"{len(found) or 'no'} difference{'s' * (len(found) != 1)}; {shown}")


def parts(model: Model) -> dict[str, Part]:
    """What is compared of a model, by name."""
    layers = dict(model.children())
    found: dict[str, Part] = {}
    for name, kind, shape, parameters, _, inputs in rows(model):
        number = 2
        own = name
        while own in found:  # called again
            own, number = f"{name} (call {number})", number + 1
        layer = layers.get(name)
        config = {} if layer is None or kind == "op" else serialize_config(layer)
        found[own] = Part(kind, config, shape, parameters, inputs)
    for name, value in (model._compiled or {}).items():
        if value is not None:
            found[f"compile: {name}"] = Part("compile", {"": serialize(value)})
    return found


def serialize_config(layer: Any) -> dict[str, Any]:
    """The arguments of a layer as plain data, but for its name."""
    return {k: serialize(v) for k, v in layer.get_config().items() if k != "name"}


def differences(before: Mapping[str, Part], after: Mapping[str, Part]) -> Iterator[dict[str, Any]]:
    """What was added, removed and changed, in the order of the models."""
    for name, part in before.items():
        if name not in after:
            yield {"change": "removed", "name": name, **_told(part)}
        elif changed := _changed(part, after[name]):
            yield {"change": "changed", "name": name, "class": part.kind, "from_to": changed}
    for name, part in after.items():
        if name not in before:
            yield {"change": "added", "name": name, **_told(part)}


def _told(part: Part) -> dict[str, Any]:
    return {"class": part.kind, "shape": part.shape, "parameters": part.parameters, "arguments": dict(part.arguments)}


def _changed(a: Part, b: Part) -> dict[str, list[Any]]:
    """What is another, as [before, after]."""
    pairs = {
        "class": (a.kind, b.kind),
        **{k: (a.arguments.get(k), b.arguments.get(k)) for k in (*a.arguments, *b.arguments)},
        "output shape": (a.shape, b.shape),
        "parameters": (a.parameters, b.parameters),
        "inputs": (a.inputs, b.inputs),
    }
    return {name: list(pair) for name, pair in pairs.items() if pair[0] != pair[1]}


def line(found: Mapping[str, Any]) -> str:
    """A difference for people."""
    name = found["name"]
    if found["change"] == "changed":
        if name.startswith("compile: "):
            return f"~ {name}: {_short(found['from_to'][''][0])} -> {_short(found['from_to'][''][1])}"
        changes = ", ".join(f"{k}: {_short(a)} -> {_short(b)}" for k, (a, b) in found["from_to"].items())
        return f"~ {name} ({found['class']})  {changes}"
    sign = "+" if found["change"] == "added" else "-"
    if name.startswith("compile: "):
        return f"{sign} {name}: {_short(found['arguments'][''])}"
    return f"{sign} {name} ({found['class']})  {found['shape']}, {found['parameters']:,} parameters"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
