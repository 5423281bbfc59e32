"""``layerkit evaluate``: loss and metrics of a trained model on data."""

from __future__ import annotations

from pathlib import Path

import click

from layerkit.cli.rows import open_rows, to_evaluate
from layerkit.cli.runs import Run
from layerkit.cli.shared import ANY_PATH, Verb, load_trained, plugin_layers, plugin_option, print_json, show_table
from layerkit.cli.train import evaluate_on
from layerkit.errors import DataError, StateError
from layerkit.training.progress import show_number


@click.command(cls=Verb)
@click.argument("model", type=ANY_PATH)
@click.option("--data", type=click.Path(), help="A file, a folder, or the name of data that ship.")
@click.option("--best", is_flag=True, help="The best weights of a run instead of the last.")
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True, help="Rows at a time.")
@plugin_option
def evaluate(
    model: Path, data: str | None, best: bool, batch_size: int, plugins: tuple[Path, ...], as_json: bool
) -> None:
    """Measure MODEL, the folder of a run or a model file (.lk), on data.

    The data are prepared as those of the training were (mean and deviation, numbers of categories and classes are kept
    with the model). Without --data a run is measured on the rows that its spec holds out for testing.
    """
    trained = load_trained(model, plugins, best=best)
    if not trained.compiled:
        raise StateError(
            f"'{model}' does not say how it is measured.", expected="a model that was compiled", got="weights alone",
            fix="give the folder of a run, or its model.lk",
        )  # fmt: skip
    run = model if model.is_dir() else None
    if data is not None:
        count, part = to_evaluate(trained, open_rows(data, run, trained), batch_size)
    else:
        if run is None:
            raise click.UsageError("a model file names no data: give --data.")
        found = Run.find(run)
        facts = found.facts
        dataset = found.spec(plugin_layers(plugins)).dataset(facts["data"], folder=facts["data_folder"], model=trained)
        if dataset.test is None:
            raise DataError(
                "the spec holds out no rows for testing.", expected="data: {split: {test: 0.2}}", got="none",
                fix="give --data",
            )  # fmt: skip
        count, part = dataset.rows["test"], dataset.test
    results = evaluate_on(trained, part, batch_size)
    if as_json:
        print_json({"model": str(model), "rows": count, "results": {k: _plain(v) for k, v in results.items()}})
    else:
        show_table({"": "left", f"{count} rows": "right"}, ([k, _text(v)] for k, v in results.items()))


def _plain(value: object) -> object:
    return value.tolist() if hasattr(value, "tolist") else value


def _text(value: object) -> str:
    return show_number(value) if isinstance(value, float) else str(value)
