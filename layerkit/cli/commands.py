"""What the commands do: call the library, print."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

import builders
from builders import source
from layerkit import datasets
from layerkit.engines.llvm.codegen.cache import ObjectCache
from layerkit.errors import DataError, LayerkitError, SpecErrors, did_you_mean
from layerkit.models.summary import show_bytes
from layerkit.utils import set_random_seed


def summary(spec: Path, *, batch_size: int) -> None:
    """Print the summary of a spec's model."""
    builders.load(spec).build().summary(batch_size=batch_size, print_fn=click.echo)


def train(spec: Path, *, seed: int, epochs: int | None, save_to: Path | None, quiet: bool) -> None:
    """Train a spec's model, evaluate it on the rows held out, print a table."""
    from rich.console import Console
    from rich.table import Table

    set_random_seed(seed)
    loaded = builders.load(spec)
    model = loaded.build()
    if model.optimizer is None:
        raise DataError(
            "the spec does not say how to train.",
            expected="a section compile:",
            got="none",
            fix="add optimizer and loss",
        )
    (x, y), (x_test, y_test) = load_data(loaded)
    if not quiet:
        model.summary(print_fn=click.echo)
    arguments = dict(loaded.fit)
    if epochs is not None:
        arguments["epochs"] = epochs
    start = time.perf_counter()
    history = model.fit(x, y, verbose=0 if quiet else arguments.pop("verbose", "auto"), **arguments)
    seconds = time.perf_counter() - start
    results = model.evaluate(x_test, y_test, verbose=0, return_dict=True)
    table = Table(title=f"{loaded.name}: {len(history.epoch)} epochs in {seconds:.1f} s", title_justify="left")
    for column in ("", "training", "validation", f"test ({len(y_test)} rows)"):
        table.add_column(column, justify="right" if column else "left")
    for name, value in results.items():
        last = {key: history.history.get(key, [None])[-1] for key in (name, f"val_{name}")}
        table.add_row(name, *("" if v is None else f"{v:.4f}" for v in (last[name], last[f"val_{name}"], value)))
    Console().print(table)
    if save_to is not None:
        model.save(save_to)
        click.echo(f"saved {save_to}")


def cache(*, clear: bool) -> None:
    """Show the cache of compiled code, or empty it."""
    found = ObjectCache.default()
    if clear:
        click.echo(f"removed {show_bytes(found.clear())} from {found.folder}")
        return
    state = "on" if found.reason is None else f"off: {found.reason}"
    click.echo(f"folder   {found.folder}")
    click.echo(f"state    {state}")
    click.echo(f"entries  {len(found.entries())}")
    click.echo(f"size     {show_bytes(found.size)} of at most {show_bytes(found.most_bytes)}")


def tune() -> None:
    """Measure register tiles, show them, and keep the choice."""
    from layerkit.engines.llvm.codegen.target import host, tune
    from layerkit.engines.llvm.tiles import tuning

    found = []
    click.echo("vectors  rows  forward  backward  (GFLOP/s)")
    for m in tuning.measure(host()):
        found.append(m)
        click.echo(f"{m.vectors:7}  {m.rows:4}  {m.forward:7.0f}  {m.backward:8.0f}")
    choices = tuning.best(host(), found)
    tune(choices)
    shown = ", ".join(f"{c.rows} and {c.rows_t} rows of {c.vectors}" for c in choices)
    reason = ObjectCache.default().reason
    click.echo(f"chosen: {shown}" + (f"; not kept: {reason}" if reason else ""))


def load_data(spec: Any) -> Any:
    """The data that a spec's section ``data`` names."""
    data = dict(spec.data)
    node = spec.root.get("data")
    name = data.pop("dataset", None)
    if data:
        odd = next(iter(data))
        raise DataError(
            f"'data' has no key '{odd}'.",
            where=node.span,
            expected="dataset",
            got=odd,
            fix=did_you_mean(odd, ["dataset"]),
        )
    if name is None:
        raise DataError(
            "the spec names no data.", where=spec.root.span, expected="data: {dataset: digits}", got="nothing"
        )
    return datasets.load(str(name))


def report(error: LayerkitError) -> str:
    """An error as the command prints it: faults of a spec with the line that they are in."""
    faults = error.errors if isinstance(error, SpecErrors) else (error,)
    shown = [_with_line(fault) for fault in faults]
    if isinstance(error, SpecErrors):
        shown.append(f"{len(faults)} fault{'s' * (len(faults) != 1)}")
    return "\n\n".join(shown)


def _with_line(error: LayerkitError) -> str:
    if error.where is None:
        return str(error)
    try:
        text = Path(error.where.file).read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return str(error)
    return source.report(error, text)
