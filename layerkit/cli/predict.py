"""``layerkit predict``: what a trained model says about the rows of a file."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import click
import numpy as np

from layerkit import saving, tree
from layerkit.cli.rows import inputs, open_rows, places, preparation_of, row_numbers, say_missing, say_unseen
from layerkit.cli.shared import ANY_PATH, OUTPUT, Verb, load_trained, plugin_option, print_json
from layerkit.data import Preparation
from layerkit.errors import DataError
from layerkit.models import Model
from layerkit.models.functional import activation_of

Columns = dict[str, Any]
Labels = dict[str, tuple[str, ...]]


@click.command(cls=Verb)
@click.argument("model", type=ANY_PATH)
@click.argument("data", type=click.Path())
@click.option("-o", "--output", type=OUTPUT, help="A .csv or .npz file; without it, CSV is printed.")
@click.option("--best", is_flag=True, help="The best weights of a run instead of the last.")
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True, help="Rows at a time.")
@plugin_option
def predict(
    model: Path, data: str, output: Path | None, best: bool, batch_size: int, plugins: tuple[Path, ...], as_json: bool
) -> None:
    """Let MODEL, the folder of a run or a model file (.lk), predict for the rows of DATA.

    DATA is a CSV, NPZ, .ts or Parquet file with the columns of the training, a folder of images, one image, or "-" for CSV
    from the standard input; the target may be missing. A row that lacks a number gets no prediction: its cells are empty (nan
    in an NPZ file), and it is named on the error stream. Where the data had classes, their names are given, and a number for
    each class. Of images the first
    column is the file, of a forecast the row after which it is made.
    """
    if output is not None and output.suffix not in (".csv", ".npz"):
        raise click.BadParameter(f"'{output}' is neither .csv nor .npz.", param_hint="--output")
    trained = load_trained(model, plugins, best=best)
    records = open_rows(data, model if model.is_dir() else None, trained)
    preparation = preparation_of(trained, records, with_targets=False)
    unseen = say_unseen(preparation, records)
    records = preparation.samples(records, is_ahead=False)
    known = say_missing(preparation, records, "get no prediction")
    rows = np.flatnonzero(known)
    parts = [trained.predict(x, batch_size=batch_size, verbose=0) for x in inputs(preparation, records, rows)]
    found = parts[0] if len(parts) == 1 else tree.map_leaves(lambda *a: np.concatenate(a), *parts)
    made, labels = named(trained, preparation, tree.leaves(found))
    columns = {**places(records), **{name: _at(known, values) for name, values in made.items()}}
    lost = {name: ~known for name in made}
    if output is not None and output.suffix == ".npz":
        saving.write_whole(output, [_npz(columns)])
    elif output is not None:
        saving.write_whole(output, [_csv(columns, labels, lost).encode()])
    if as_json:
        shown = {"rows": records.count, "output": output and str(output), "unseen": unseen, "missing": row_numbers(records)[~known].tolist()}  # fmt: skip
        if output is None:
            listed = {name: _listed(values, lost.get(name), None) for name, values in columns.items()}
            shown |= {"labels": labels, "predictions": listed}
        print_json(shown)
    elif output is not None:
        click.echo(f"{records.count} rows to {output}")
    else:
        click.echo(_csv(columns, labels, lost), nl=False)


def named(model: Model, preparation: Preparation, outputs: list[Any]) -> tuple[Columns, Labels]:
    """The outputs by name, and what each number of one is; before an output the predicted class, where it has classes."""
    found: Columns = {}
    labels: Labels = {}
    for name, value, values in zip(model.output_names, model.outputs, outputs, strict=True):
        classes = preparation.classes if len(outputs) == 1 else preparation.classes_of(name)
        wide = int(np.prod(values.shape[1:], dtype=int))
        if classes is None or values.ndim > 2 or wide not in (1, len(classes)):
            columns = _columns(preparation, name)
            shown = columns[0] if len(columns) == 1 else name
            found[shown] = preparation.restored(name, values)
            if len(columns) == wide > 1:
                labels[shown] = columns
            continue
        found["class" if len(outputs) == 1 else f"{name}_class"] = np.array(classes)[_chosen(value, values, wide)]
        found[name] = values
        if wide > 1:
            labels[name] = tuple(f"{name}_{c}" for c in classes)
    return found, labels


def _chosen(value: Any, values: Any, wide: int) -> Any:
    """The number of the class that each row is said to be of."""
    if wide > 1:
        return values.argmax(-1)
    return (values.reshape(len(values)) >= (0.5 if activation_of(value) == "sigmoid" else 0.0)).astype(int)


def _columns(preparation: Preparation, output: str) -> tuple[str, ...]:
    """The columns that an output predicts, unless another output predicts them too, or they have no names of their own."""
    columns = next((t.columns for t in preparation.targets if t.name == output), ())
    is_only = sum(t.columns == columns for t in preparation.targets) == 1
    return columns if is_only and columns != ("y",) else ()


def _npz(columns: Columns) -> bytes:
    out = io.BytesIO()
    np.savez(out, **columns)
    return out.getvalue()


def _at(known: Any, values: Any) -> Any:
    """Predictions in the rows that have one; elsewhere nan, or no text."""
    if known.all():
        return values
    is_text = values.dtype.kind == "U"
    found = np.full((len(known), *values.shape[1:]), "" if is_text else np.nan, values.dtype if is_text else np.result_type(values, np.float32))  # fmt: skip
    found[known] = values
    return found


def _listed(values: Any, lost: Any, nothing: Any) -> list[Any]:
    """Values as a list, with ``nothing`` in the rows without a prediction."""
    found: list[Any] = _written(values).tolist()
    for row in np.flatnonzero(lost) if lost is not None else ():
        found[row] = nothing
    return found


def _csv(columns: Columns, labels: Labels, lost: Columns) -> str:
    """The columns as a table; an output of several numbers has a column for each, with its label.

    ``lost`` says of each output in which rows its cells stay empty.

    Raises:
        DataError: an output is an array in each row.
    """
    header: list[str] = []
    fields: list[Any] = []
    for name, values in columns.items():
        if values.ndim > 2:
            raise DataError(
                f"the output '{name}' has an array for each row.", expected="numbers", got=f"shape {values.shape[1:]}",
                fix="write an .npz file: -o predictions.npz",
            )  # fmt: skip
        if values.ndim == 1 or values.shape[1] == 1:
            header.append(name)
            fields.append(_listed(values.reshape(-1), lost.get(name), ""))
        else:
            header += labels.get(name) or [f"{name}_{i}" for i in range(values.shape[1])]
            fields += [_listed(column, lost.get(name), "") for column in values.T]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(zip(*fields, strict=True))
    return out.getvalue()


def _written(values: Any) -> Any:
    """Floats with the digits that tell them apart: 0.1, and not 0.10000000149011612."""
    return values.astype(str).astype("float64") if values.dtype.kind == "f" and values.dtype.itemsize < 8 else values
