"""The rows of a file as a trained model takes them: prepared as its training data were."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np

import builders.data
from layerkit.cli.runs import Run
from layerkit.data import ImageRecords, Images, Preparation, Records, RowBatches, Tensor, Windows
from layerkit.data.preparation import Encoding
from layerkit.data.sources import LARGE
from layerkit.errors import DataError
from layerkit.models import Model

CHUNK_BYTES = 64 << 20


def open_rows(path: str, run: Path | None, model: Model) -> Records:
    """The rows of a file, a folder, or data that ship; those to test on, where the data have them.

    Args:
        path: what to read; "-" is CSV from the standard input.
        run: the folder of the run, whose spec says how files of its kind are read (what separates the fields, ...).
        model: images are read in the size of its input.

    Raises:
        DataError: there is no such file, its name does not tell how to read it, or it has no rows.
        FileFormatError: the file is broken.
    """
    source = builders.data.replaced(_source(run), _from_stdin() if path == "-" else Path(path))
    if isinstance(source, Images):
        source = _in_size(source, model)
    opened = source.open(Path, None)
    found: Records = opened.test or opened.train
    if not found.count:
        raise DataError(
            "the data have no rows.", expected="at least one row", got=f"none in {path}", fix="check the file"
        )
    return found


def _from_stdin() -> Path:
    """A file with what comes through the standard input, which is there as long as the command runs: rows are read from their places."""
    folder = click.get_current_context().with_resource(tempfile.TemporaryDirectory())
    path = Path(folder) / "stdin.csv"
    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return path


def _in_size(source: Images, model: Model) -> Images:
    """The source of images as the first input of the model takes them, where it says so."""
    match tuple(model.inputs[0].shape[1:]):
        case (int(height), int(width), (1 | 3 | 4) as channels):
            return Images(source.path, size=(height, width), channels=channels)
    return source


def _source(run: Path | None) -> Any:
    if run is None:
        return None
    node = Run.find(run).spec().root.get("data")
    section = builders.data.read(node)[0] if node is not None else None
    return None if section is None else section.source


def preparation_of(model: Model, records: Records, *, with_targets: bool) -> Preparation:
    """How the rows become what the model takes: as its file says, or as they are where it says nothing.

    Raises:
        DataError: the file does not say, and the columns are not plain numbers named like the model's inputs.
    """
    if model.preparation is not None:
        return model.preparation
    targets = (
        tuple(Tensor(n, (n if n in records.columns else "y",)) for n in model.output_names) if with_targets else ()
    )
    taken = {c for t in targets for c in t.columns} | {"y"}
    inputs = []
    for name, value in zip(model.input_names, model.inputs, strict=True):
        shape = tuple(n if isinstance(n, int) else None for n in value.shape[1:])
        columns: tuple[str, ...] = (name,)
        if len(model.inputs) == 1 and name not in records.columns:
            columns = ("x",) if "x" in records.columns else tuple(c for c in records.columns if c not in taken)
        inputs.append(Tensor(name, columns, shape, value.dtype))
    encodings: tuple[dict[str, Encoding], dict[str, Encoding]] = {}, {}
    named = [(c, place) for place, tensors in enumerate((inputs, targets)) for t in tensors for c in t.columns]
    for name, place in named:
        kind = records.column(name).kind
        if kind == "category":
            raise DataError(
                f"column '{name}' holds texts, and the model does not say which number each is.", expected="numbers",
                got=", ".join(records.columns[name].categories[:3]),
                fix="train with a spec: its section data is kept with the model",
            )  # fmt: skip
        encodings[place][name] = Encoding("array" if kind == "array" or place == 1 else "number")
    return Preparation(tuple(inputs), targets, *encodings)


def to_evaluate(model: Model, records: Records, batch_size: int) -> tuple[int, Any]:
    """How many rows (windows) there are, and these as ``evaluate`` takes them.

    That is ``(x, y)``, or batches where they are larger than memory.
    """
    preparation = preparation_of(model, records, with_targets=True)
    for tensor in (*preparation.inputs, *preparation.targets):
        for name in tensor.columns:
            records.column(name)
    say_unseen(preparation, records)
    records = preparation.samples(records)
    rows = np.flatnonzero(say_missing(preparation, records, "are left out", with_targets=True))
    if records.in_memory or records.nbytes <= LARGE:
        return len(rows), preparation.read(records, rows)
    return len(rows), RowBatches(records, rows, preparation, batch_size, shuffle=False, seed=0)


def inputs(preparation: Preparation, records: Records, rows: Any) -> Iterator[Any]:
    """The inputs of these rows, some at a time; targets are not needed."""
    size = max(1, CHUNK_BYTES // max(1, records.nbytes // max(1, records.count)))
    for at in range(0, len(rows), size):
        yield preparation.read(records, rows[at : at + size], with_targets=False)[0]


def places(records: Records) -> dict[str, Any]:
    """What tells samples apart that are not the rows of a table: the file of an image; the last row of a window, from 1."""
    if isinstance(records, ImageRecords):
        return {"file": np.array(records.names)}
    return {"last_row": row_numbers(records)} if isinstance(records, Windows) else {}


def say_unseen(preparation: Preparation, records: Records) -> dict[str, dict[str, int]]:
    """Say on stderr what categories the rows hold that training did not know, and how often; return them."""
    found = preparation.unseen(records)
    for name, counts in found.items():
        shown = ", ".join(f"{text} ({count})" for text, count in list(counts.items())[:5])
        more = f", and {len(counts) - 5} others" if len(counts) > 5 else ""
        click.echo(f"column '{name}': {sum(counts.values())} of {records.count} rows have a category that training did not know, and count as missing: {shown}{more}", err=True)  # fmt: skip
    return found


def say_missing(preparation: Preparation, records: Records, what: str, *, with_targets: bool = False) -> Any:
    """Whether each row (window) has all values that are needed; say on stderr which do not, and what becomes of them.

    Raises:
        DataError: none has.
    """
    known = preparation.complete(records, with_targets)
    lost = row_numbers(records)[~known]
    if len(lost) == records.count:
        raise DataError("a value is missing in every row.", expected="rows without missing values", got=f"{records.count} rows with some")  # fmt: skip
    if len(lost):
        kind = "windows after row" if isinstance(records, Windows) else "rows"
        shown = ", ".join(map(str, lost[:10])) + (f", and {len(lost) - 10} others" if len(lost) > 10 else "")
        click.echo(f"{len(lost)} of {records.count} {kind.split()[0]} have missing values, and {what}: {kind} {shown}", err=True)  # fmt: skip
    return known


def row_numbers(records: Records) -> Any:
    """What rows are called: their numbers in the file, from 1; of a window that of its last row."""
    rows = np.arange(records.count)
    return (records.last(rows) if isinstance(records, Windows) else rows) + 1
