"""``layerkit tune``: register tiles as this processor likes them."""

from __future__ import annotations

from typing import Any

import click

from layerkit.cli.shared import Verb, print_json
from layerkit.engines.llvm.codegen import target
from layerkit.engines.llvm.codegen.cache import ObjectCache
from layerkit.engines.llvm.tiles import tuning


@click.command(cls=Verb)
def tune(as_json: bool) -> None:
    """Measure which register tiles suit this processor best, and use them from now on. Results do not change."""
    found: list[Any] = []
    if not as_json:
        click.echo("vectors  rows  forward  backward  (GFLOP/s)")
    for m in tuning.measure(target.host()):
        found.append(m)
        if not as_json:
            click.echo(f"{m.vectors:7}  {m.rows:4}  {m.forward:7.0f}  {m.backward:8.0f}")
    choices = tuning.best(target.host(), found)
    target.tune(choices)
    reason = ObjectCache.default().reason
    if as_json:
        print_json({"measured": [vars(m) for m in found], "chosen": [vars(c) for c in choices], "not_kept": reason})
        return
    shown = ", ".join(f"{c.rows} and {c.rows_t} rows of {c.vectors}" for c in choices)
    click.echo(f"chosen: {shown}" + (f"; not kept: {reason}" if reason else ""))
