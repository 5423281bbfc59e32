"""The section ``data`` of a spec: one source with its arguments, and what is done with its columns.

The keys are the sources of ``layerkit.data`` and the fields of its ``DataOptions``; in goes the section, out comes a
``DataSet``. Paths are relative to the spec and stay in its folder: a spec is data, and names no other files of the machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Mapping as Map
from collections.abc import Sequence as Seq
from pathlib import Path
from typing import Any

from builders import slips
from builders.nodes import Entry, Mapping, Node, Scalar, Sequence
from layerkit import data, datasets
from layerkit.data import SOURCES, DataOptions, DataSet, Shipped, Split, Tensor, Window, Words
from layerkit.data.sources import paths
from layerkit.errors import (
    DataError,
    LayerkitError,
    Span,
    SpecError,
    SpecErrors,
    UnknownArgumentError,
    did_you_mean,
    nearest,
)
from layerkit.fields import fault_of, fields, unknown_argument
from layerkit.records import dataclass

_PARTS: dict[str, type] = {"split": Split, "window": Window, "words": Words}
"""The keys of the section whose values are arguments in turn."""
_KEYS = {cls.__name__: key for key, cls in {**SOURCES, "data": DataOptions, **_PARTS}.items()}
"""The keys of the section by the classes that they make."""


@dataclass(frozen=True)
class DataSection:
    """A section ``data`` without faults; ``node`` tells the places of its keys."""

    source: Any
    options: DataOptions
    node: Mapping

    def open(
        self, folder: Path, *, path: Path | None, inputs: Seq[Tensor] = (), outputs: Seq[str] = (), batch_size: int = 32
    ) -> DataSet:
        """The data.

        Args:
            folder: the folder of the spec.
            path: a file or folder, or the name of data that ship, instead of the section's.
            inputs: the model's inputs.
            outputs: names of its outputs.
            batch_size: rows of a batch, where the data are not read whole.

        Raises:
            DataError: the data do not fit, with the place in the spec that says so.
            FileFormatError: a file is broken.
        """
        source = self.source if path is None else replaced(self.source, path)
        find = inside(folder) if path is None else Path
        if path is None:
            raise_all(self.missing(folder) or self.faults(folder, inputs=inputs, outputs=outputs))
        try:
            return data.open_data(
                source, self.options, find=find, inputs=inputs, outputs=outputs, batch_size=batch_size
            )
        except LayerkitError as error:
            self._placed(error)
            raise

    def missing(self, folder: Path) -> list[LayerkitError]:
        """Files and folders that are named and are not there, or may not be read."""
        found: list[LayerkitError] = []
        for name, text in paths(self.source).items():
            try:
                path = inside(folder)(text)
            except DataError as error:
                found.append(self._placed(error))
                continue
            if not path.exists():
                beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
                match = nearest(path.name, beside)
                fix = (
                    f"did you mean '{Path(text).with_name(match)}'?"
                    if match
                    else "put it there, or train with --data PATH"
                )
                lost = DataError(f"there is no file or folder '{text}'.", expected=f"a path from the spec's folder, {folder.resolve()}", got=text, fix=fix, argument=name)  # fmt: skip
                found.append(self._placed(lost))
        return found

    def faults(self, folder: Path, *, inputs: Seq[Tensor] = (), outputs: Seq[str] = ()) -> list[LayerkitError]:
        """What ``open`` would refuse, as far as the heads of the files tell; no row is read."""
        try:
            found = data.faults(self.source, self.options, find=inside(folder), inputs=inputs, outputs=outputs)
        except LayerkitError as error:
            found = [error]
        return sorted(map(self._placed, found), key=lambda error: error.where or self.node.span)

    def targets(self, folder: Path, *, inputs: Seq[Tensor] = (), outputs: Seq[str] = ()) -> Any:
        """Arrays like the targets, as far as the heads of the files tell: only their shapes are right. None where they do not."""
        return data.targets_of_head(self.source, self.options, find=inside(folder), inputs=inputs, outputs=outputs)

    def _placed(self, error: LayerkitError) -> LayerkitError:
        """The error with the place of the word that is wrong, or of the key that it belongs to."""
        if error.where is None:
            error.where = _word(self.node, error.argument, error.got) or place(self.node, error.argument)
        return error


def read(node: Node) -> tuple[DataSection | None, list[LayerkitError]]:
    """The section, or its faults, each with its place."""
    options = fields(DataOptions)
    if not isinstance(node, Mapping):
        return None, [SpecError("'data' is a mapping.", where=node.span, expected="dataset: digits, or csv: and target:", got="a value")]  # fmt: skip
    errors: list[LayerkitError] = []
    for entry in node.entries:
        key = str(entry.key.value)
        if key not in SOURCES and key not in options:
            known = [*SOURCES, *options]
            errors.append(UnknownArgumentError(f"'data' has no key '{key}'.", where=entry.key.span, expected=", ".join(known), got=key, fix=did_you_mean(key, known), argument=key))  # fmt: skip
    found = [entry for entry in node.entries if str(entry.key.value) in SOURCES]
    if len(found) != 1 and not (errors and not found):
        where = found[1].key.span if found else node.span
        got = ", ".join(str(e.key.value) for e in found) or "none"
        errors.append(
            SpecError("'data' names one source.", where=where, expected="one of " + ", ".join(SOURCES), got=got)
        )
    source = _made(SOURCES[str(found[0].key.value)], found[0].value, errors) if found else None
    chosen = {str(e.key.value): e.value for e in node.entries if str(e.key.value) in options}
    made = _made(DataOptions, Mapping(tuple(e for e in node.entries if str(e.key.value) in chosen), node.span), errors)
    if errors:
        return None, errors
    return DataSection(source, made, node), []


def _made(cls: type, node: Node, errors: list[LayerkitError]) -> Any:
    """An object from its arguments; a lone value is the first of them. All that is wrong with them is told."""
    found = list(_wrong(cls, node)) if isinstance(node, Mapping) else []
    if not found:
        try:
            given: Any = node.plain()
            if isinstance(node, Mapping):
                return cls(**{str(k): v for k, v in given.items()})
            return cls() if given is None else cls(given)
        except LayerkitError as error:
            error.where = error.where or place(node, error.argument, _KEYS.get(error.layer or ""))
            found = [error]
    for fault in found:
        fault.fix = fault.fix or _slip(node, fault)
        errors.append(_in_words_of_the_spec(fault))
    return None


def _wrong(cls: type, node: Mapping) -> Iterator[LayerkitError]:
    """What is wrong with each of the arguments of ``cls`` by itself, and of those that are made of arguments in turn."""
    known = fields(cls)
    for entry in node.entries:
        name, own = str(entry.key.value), _PARTS.get(str(entry.key.value)) if cls is DataOptions else None
        if name not in known:
            faults: list[LayerkitError] = [unknown_argument(cls, name)]
        elif own is not None and isinstance(entry.value, Mapping) and (inner := list(_wrong(own, entry.value))):
            faults = inner
        else:
            field = known[name]
            fault = fault_of(cls, name, entry.value.plain(), field.check, field.default)
            faults = [] if fault is None else [fault]
        for error in faults:
            within = Mapping((entry,), node.span)
            error.where = error.where or place(within, error.argument, name)
            yield error


def _slip(node: Node, error: LayerkitError) -> str | None:
    """The fix for a value that is a slip of the pen."""
    owner = next(
        (cls for cls in (*SOURCES.values(), DataOptions, *_PARTS.values()) if cls.__name__ == error.layer), None
    )
    check = fields(owner)[error.argument].check if owner is not None and error.argument in fields(owner) else None
    given = [e.value for e in _entries(node) if e.key.value == error.argument]
    if owner is None or check is None or not given or not isinstance(given[0], Scalar):
        return None
    return slips.mended(given[0].value, check, owner)


def _in_words_of_the_spec(error: LayerkitError) -> LayerkitError:
    """The error with the key that the spec has where Python has a class: no layer is called ``Split``."""
    if error.layer is not None:
        key = _KEYS.get(error.layer, error.layer)
        for before, after in ((f"of {error.layer} ", f"of {key} "), (f"'{error.layer}'", f"'{key}'")):
            error.summary = error.summary.replace(before, after)
        needed = re.fullmatch(rf"{error.layer}\((.*), \.\.\.\)", str(error.expected or ""))
        if needed:
            error.expected = f"{key}: {{{', '.join(f'{name}: ...' for name in needed[1].split(', '))}}}"
            error.got = str(error.got or "").replace("=", ": ")
        error.layer = None
    return error


def place(node: Node, *names: str | None) -> Span:
    """Where the first of the keys ``names`` that is there stands in a section; the section itself where none does."""
    found = (key for name in names if name is not None and (key := _key(node, name)) is not None)
    return next((key.span for key in found), node.span)


def _word(node: Node, key: str | None, word: object) -> Span | None:
    """Where ``word`` stands, as a key or a value, in what the key says (in all of it, if there is no such key)."""
    inside_key = [e.value for e in _entries(node) if e.key.value == key]
    scalars = (s for part in inside_key or [node] for s in _scalars(part))
    return next((s.span for s in scalars if s.value == word), None)


def _entries(node: Node) -> Iterator[Entry]:
    """The keys of a mapping with their values, and those of the mappings in it."""
    for entry in node.entries if isinstance(node, Mapping) else ():
        yield entry
        yield from _entries(entry.value)


def _scalars(node: Node) -> Iterator[Scalar]:
    if isinstance(node, Scalar):
        yield node
    elif isinstance(node, Sequence):
        for item in node.items:
            yield from _scalars(item)
    else:
        for entry in node.entries:
            yield entry.key
            yield from _scalars(entry.value)


def raise_all(faults: Seq[LayerkitError]) -> None:
    """Raise one fault as it is, several together."""
    if faults:
        raise faults[0] if len(faults) == 1 else SpecErrors(faults)


def _key(node: Node, name: str) -> Scalar | None:
    here = (e.key for e in (node.entries if isinstance(node, Mapping) else ()) if e.key.value == name)
    return next(here, None) or next((e.key for e in _entries(node) if e.key.value == name), None)


def inside(folder: Path) -> Any:
    """Finds paths of a spec: relative ones, inside its folder."""
    top = folder.resolve()

    def find(text: str) -> Path:
        path = Path(text)
        found = (top / path).resolve()
        if path.is_absolute() or not found.is_relative_to(top):
            is_link = not path.is_absolute() and ".." not in path.parts
            raise DataError(
                "a spec reads files of its own folder only.",
                expected="a path relative to the spec, without '..', and no link that leads elsewhere",
                got=f"{text}, which leads to {found}" if is_link else text,
                fix=f"give the path on the command line: --data {text}",
            )
        return top / path

    return find


def replaced(source: Any, path: Path) -> Any:
    """The source that reads ``path``: of the same kind and arguments where the name fits, else of the kind that it tells.

    Raises:
        DataError: there is no such file, or its name does not tell how to read it.
    """
    if not path.exists():
        if str(path) in datasets.DATASETS:
            return Shipped(str(path))
        raise DataError("there is no such file or folder.", expected="a path, or the name of data that ship: " + ", ".join(datasets.DATASETS), got=str(path), fix="check the path")  # fmt: skip
    kind = data.guess(path)
    own = _KEYS.get(type(source).__name__)
    if kind is None:
        kind = own
    if kind is None or kind == "dataset":
        raise DataError("the name of the file does not tell how to read it.", expected=".csv, .npz, .parquet, .ts, or a folder of images", got=str(path))  # fmt: skip
    cls = SOURCES[kind]
    kept: Map[str, Any] = source.config if kind == own else {}
    return cls(**{**{k: v for k, v in kept.items() if k not in ("path", "test")}, "path": str(path)})
