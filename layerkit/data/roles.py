"""Which columns are inputs and targets of a model: by what a spec says, by what a source knows, by their names.

Only names are asked for, so that it is also told from the head of a file, before any row is read.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from layerkit.data.options import DataOptions
from layerkit.data.preparation import Tensor
from layerkit.data.records import Records
from layerkit.data.sources import Opened
from layerkit.data.splits import Split
from layerkit.data.windows import Window
from layerkit.errors import DataError, LayerkitError, did_you_mean, nearest
from layerkit.records import dataclass


@dataclass
class Roles:
    """Inputs and targets with their columns; the window and the split, either of which may say what orders the rows.

    ``faults`` are all that are found; what is named wrongly is left out.
    """

    inputs: list[Tensor]
    targets: list[Tensor]
    window: Window | None
    split: Split
    faults: list[LayerkitError] = field(default_factory=list)

    @property
    def columns(self) -> list[str]:
        """All columns of inputs and targets."""
        return sorted({c for tensor in (*self.inputs, *self.targets) for c in tensor.columns})


def assign(opened: Opened, options: DataOptions, inputs: Sequence[Tensor], outputs: Sequence[str]) -> Roles:
    """The roles of the columns that were opened.

    Args:
        opened: the records, of which only the columns are looked at.
        options: what is said of them.
        inputs: the model's inputs; several take the columns of their names unless told otherwise.
        outputs: the names of its outputs.
    """
    found = Roles([], [], options.window, options.split)
    for part in ("validation", "test"):
        share = getattr(options.split, part)
        if getattr(opened, part) is not None and share:
            found.faults.append(DataError(f"the data have a {part} part of their own.", expected=f"no share for {part}", got=f"{part}: {share}", argument="split"))  # fmt: skip
    _order(found, opened.train)
    target = options.target if options.target is not None else opened.target
    repeated = {t.name for t in inputs if options.target is not None and _is_input(t.name, options, opened, inputs)}
    _targets(found, target, opened.train, outputs, repeated)
    for fault in found.faults if options.target is not None else ():
        meant = nearest(str(fault.got), [t.name for t in inputs]) if fault.argument == "target" else None
        if meant is not None and not (fault.fix or "").startswith("did you mean"):
            fault.fix = f"did you mean '{meant}', the input?"
    features = options.features if options.features is not None or len(inputs) > 1 else opened.features
    if features is not None or found.targets:  # all others but a misspelt target are not those that are meant
        _inputs(found, features, opened, inputs)
    made = {t.name: t for t in found.inputs}
    found.targets = [replace(t, columns=made[t.input].columns) if t.input in made else t for t in found.targets]
    found.faults += _odd(found, opened.train)
    return found


def _is_input(name: str, options: DataOptions, opened: Opened, inputs: Sequence[Tensor]) -> bool:
    """Whether a target called like an input of the model is that input, as it comes in, and no other column of that name."""
    columns, features = opened.train.columns, options.features
    if isinstance(features, Mapping):
        features = features.get(name, ())
    elif len(inputs) > 1:
        return True  # it is made of the column of its name
    if name not in columns:
        return True
    if features is None:
        return columns[name].kind == "array"  # of which an input takes one alone: all others cannot be meant
    return name in ([features] if isinstance(features, str) else features)


def _odd(found: Roles, records: Records) -> Iterator[DataError]:
    """What is wrong with columns that hold neither numbers nor texts; an input of strings takes several texts in a row."""
    for argument, tensors in (("features", found.inputs), ("target", found.targets)):
        for tensor in tensors:
            takes_texts = argument == "features" and tensor.dtype == "string"
            for name in tensor.columns:
                dtype = records.columns[name].odd
                if dtype is not None and not (takes_texts and "U" in dtype):
                    yield DataError(f"the array '{name}' does not hold numbers.", expected="an array of floats, whole numbers or truth values", got=f"dtype {dtype}", fix="convert it to numbers", argument=argument)  # fmt: skip


def _order(found: Roles, records: Records) -> None:
    """Windows are split by time unless by group; the window and the split look at one column for time, and for groups."""
    window, split = found.window, found.split
    if window is not None and split.by == "group" and split.column is None:
        split = found.split = Split(**{**split.config, "column": window.group})
    named = {"column": split.column, "order": window and window.order, "group": window and window.group}
    for argument, name in named.items():
        _known([] if name is None else [name], records, argument, found.faults)
    if window is None or split.by == "group":
        return
    found.split = Split(**{**split.config, "by": "time", "column": split.column or window.order})
    found.window = Window(**{**window.config, "order": window.order or split.column})


def _targets(found: Roles, target: Any, records: Records, outputs: Sequence[str], repeated: Container[str]) -> None:
    if target is None:
        shown = ", ".join(list(records.columns)[:20])
        found.faults.append(DataError("it is not said which column is the target.", expected=f"target: one of {shown}", got="nothing", argument="target"))  # fmt: skip
        return
    given = target if isinstance(target, Mapping) else {outputs[0] if len(outputs) == 1 else "y": target}
    for name, columns in given.items():
        if isinstance(target, Mapping) and outputs and name not in outputs:
            found.faults.append(_no_such("target", "output", str(name), outputs))
            continue
        if isinstance(columns, str) and columns in repeated:
            found.targets.append(Tensor(str(name), (), input=columns))
            continue
        listed = _known(columns, records, "target", found.faults)
        if listed:
            found.targets.append(Tensor(str(name), listed))


def _inputs(found: Roles, features: Any, opened: Opened, inputs: Sequence[Tensor]) -> None:
    records = opened.train
    known = {t.name: t for t in inputs}
    if isinstance(features, Mapping):
        given = {str(name): columns for name, columns in features.items()}
    elif features is not None or len(inputs) <= 1:
        given = {inputs[0].name if inputs else "x": _usual(found, opened) if features is None else features}
    else:
        given = {name: name for name in known if name in records.columns}
    left = [name for name in known if name not in given]
    odd = [name for name in given if known and name not in known]
    found.faults += [_no_such("features", "input", name, known) for name in odd]
    if left and not odd:
        found.faults.append(DataError(f"it is not said which columns make the input '{left[0]}'.", expected=f"features: {{{left[0]}: [columns]}}", got=", ".join(given) or "nothing", argument="features"))  # fmt: skip
    for name, columns in given.items():
        listed = _known(columns, records, "features", found.faults)
        fault = _mixed(name, listed, found, records)
        if fault is not None:
            found.faults.append(fault)
        elif listed:
            wanted = known.get(name)
            found.inputs.append(Tensor(name, listed) if wanted is None else replace(wanted, columns=listed))


def _usual(found: Roles, opened: Opened) -> list[str]:
    """The columns to predict from where nothing else is said; one without a name, as pandas writes it, only counts rows."""
    records, window, targets = opened.train, found.window, {c for t in found.targets for c in t.columns}
    if any(t.input for t in found.targets) and opened.target in records.columns:
        targets.add(str(opened.target))  # what the source has for a target is nothing to predict from
    if window is None:
        return [name for name in records.columns if name not in {*targets, found.split.column, ""}]
    taken = {*window.columns, found.split.column, ""} | (targets if not window.horizon else set())
    left = [name for name in records.columns if name not in taken]
    return [name for name in left if records.columns[name].kind in ("whole", "number")] or left


def _mixed(name: str, columns: Sequence[str], found: Roles, records: Records) -> DataError | None:
    """What is wrong with columns that are right by themselves, but not together."""
    targets = {c for t in found.targets for c in t.columns}
    seen = [c for c in columns if c in targets and found.window is not None and not found.window.horizon]
    if seen:
        return DataError(f"the window holds the target '{seen[0]}' itself.", expected="horizon: 1 or more, or features without the target", got="horizon: 0", argument="horizon")  # fmt: skip
    if len(columns) > 1 and any(records.columns[c].kind == "array" for c in columns):
        return DataError(f"the input '{name}' mixes arrays with other columns.", expected="one array, or columns of numbers and texts", got=", ".join(columns), argument="features")  # fmt: skip
    return None


def misfit(tensor: Tensor, widths: Mapping[str, int], records: Records, window: Window | None) -> DataError | None:
    """What is wrong if the columns do not give what the model's input takes, but for an axis of size 1 at the end.

    Args:
        tensor: the input.
        widths: how many numbers each of its columns is, if it is no array.
        records: the columns.
        window: what a sample is, if it is not a row.
    """
    one = records.columns[tensor.columns[0]]
    is_open = one.kind == "array" and not one.shape  # only the head of the file was read
    if tensor.shape is None or tensor.dtype == "string" or is_open:
        return None
    row = tuple(one.shape) if one.kind == "array" else (sum(widths.values()),)
    found = row if window is None else (window.length, *row)
    if _fits(found, tensor.shape):
        return None
    shown = "shape " + str(list(found))
    if one.kind != "array":
        of = "" if window is None else f"{window.length} rows of "
        shown = f"{of}{row[0]}: " + ", ".join(f"{name} {width}" for name, width in list(widths.items())[:20])
    is_length = window is not None and _fits(row, tensor.shape[1:])  # then the columns are right
    fault = DataError(f"the data does not fit input '{tensor.name}'.", expected=f"shape {list(tensor.shape)} for each {'row' if window is None else 'window'}".replace("None", "null"), got=shown, argument="length" if is_length else "features")  # fmt: skip
    fault.fix = f"inputs: {{{tensor.name}: {{shape: {list(found)}}}}}, or other columns (features)"
    slips = ((name, records.columns[name].slip) for name in tensor.columns)
    fault.fix = next((f"column '{name}' is taken for {slip}" for name, slip in slips if slip), fault.fix)
    return fault


def _fits(found: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    """Whether rows of the shape ``found`` fit ``wanted``, where a last axis of size 1 may be missing."""
    if len(found) == len(wanted) + 1 and found[-1] == 1:
        found = found[:-1]
    elif len(found) == len(wanted) - 1 and wanted[-1] == 1:
        found = (*found, 1)
    return len(found) == len(wanted) and all(w is None or n == w for n, w in zip(found, wanted, strict=True))


def _known(columns: Any, records: Records, argument: str, faults: list[LayerkitError]) -> tuple[str, ...]:
    """The columns that are there; the others become faults."""
    names = (columns,) if isinstance(columns, str) else tuple(columns)
    if not names and argument in ("target", "features"):
        faults.append(
            DataError(f"'{argument}' names no column.", expected="at least one column", got="none", argument=argument)
        )
    there = []
    for name in names:
        try:
            records.column(name)
            there.append(name)
        except DataError as fault:
            fault.argument = argument
            parts = [part.strip() for part in name.split(",")]
            if len(parts) > 1 and all(part in records.columns for part in parts):
                fault.fix = f"write brackets around several columns: [{', '.join(parts)}]"
            faults.append(fault)
    return tuple(there)


def _no_such(argument: str, what: str, name: str, known: Iterable[str]) -> DataError:
    return DataError(f"the model has no {what} '{name}'.", expected=", ".join(known), got=name, fix=did_you_mean(name, known), argument=argument)  # fmt: skip
