"""``Spec``: a YAML file that was read; its holes, its faults, its model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from builders import holes, nodes, overrides, source
from builders.budget import TooMuchWork
from builders.data import DataSection
from builders.faults import Faults, TooManyFaults
from builders.holes import Hole
from builders.overrides import Override
from builders.reading import Reading, name_of
from layerkit.data import DataOptions, DataSet, Shipped, Tensor, tensors
from layerkit.errors import DataError, LayerkitError, SpecError, SpecErrors
from layerkit.layers import Layer
from layerkit.models import Model
from layerkit.records import dataclass


@dataclass(frozen=True)
class Spec:
    """A YAML file that was read; ``build`` makes its model."""

    written: str
    """The file's text, with what ``fill`` put into it."""
    file: str
    layers: tuple[type[Layer], ...] = ()
    overrides: Mapping[str, str] = field(default_factory=dict)
    """What ``override`` was given."""

    @cached_property
    def _parsed(self) -> tuple[nodes.Mapping, list[SpecError]]:
        root, found = source.parse_leniently(self.written, self.file)
        if isinstance(root, nodes.Mapping) and root.tag is None:
            return root, found
        error = SpecError(
            "a spec is a mapping.", where=root.span, expected="keys such as layers:", got=nodes.kind(root)
        )
        raise SpecErrors([*found, error])

    @cached_property
    def root(self) -> nodes.Mapping:
        """The spec as nodes, what ``override`` was given included."""
        root = self._parsed[0]
        for path, text in self.overrides.items():
            root = Override(path, overrides.read(path, text)).put(root)
        return root

    @cached_property
    def text(self) -> str:
        """The file's text with everything that ``fill`` and ``override`` put into it."""
        text = self.written
        for path, value in self.overrides.items():
            root = source.parse_leniently(text, self.file)[0]
            assert isinstance(root, nodes.Mapping)
            override = Override(path, overrides.read(path, value))
            override.put(root)
            start, end, written = override.edit
            if written.startswith("\n"):  # a new line: after the comment of the line before
                start = end = text.find("\n", end) if "\n" in text[end:] else len(text)
            text = text[:start] + written + text[end:]
        return text

    def _read(self) -> Reading:
        return Reading(self.root, self.file, self._parsed[1], self.layers)

    @property
    def name(self) -> str:
        """The name in the spec, or the file's."""
        return name_of(self.root, self.file)

    # Model

    def build(self) -> Model:
        """The model, compiled if the spec says how.

        Raises:
            SpecErrors: all faults of the spec, in the order of the file.
        """
        found = self._read()
        model = found.model()
        found.faults.raise_all()
        assert model is not None
        self.__dict__["files"] = sorted(found.files)  # known now, without another reading
        return model

    def check(self) -> list[LayerkitError]:
        """All faults of the spec, in the order of the file."""
        found = self._read()
        found.model(is_compiled=False)
        return found.faults.sorted()

    @cached_property
    def fit(self) -> dict[str, Any]:
        """The arguments for ``model.fit``.

        Raises:
            SpecErrors: the faults of the section.
        """
        found = self._read()
        arguments: dict[str, Any] = {}
        with suppress(TooManyFaults):
            arguments = found.sections.fit(found.section("fit"))
        found.faults.raise_all()
        return arguments

    @property
    def batch_size(self) -> int:
        """Rows of a training step."""
        return int(self.fit.get("batch_size") or 32)

    @cached_property
    def files(self) -> list[str]:
        """The other files that its model is made of, relative to its folder: files of blocks, and those that arguments name.

        Data are not among them.
        """
        found = self._read()
        found.model(is_compiled=False)
        return sorted(found.files)

    def section(self, name: str) -> nodes.Mapping | None:
        """A section as nodes, with values in the place of names; None without it, or where it is no mapping."""
        node = self._read().section(name)
        return node if isinstance(node, nodes.Mapping) else None

    # Data

    def data_section(self) -> DataSection | None:
        """What the section ``data`` says; None without one.

        Raises:
            SpecErrors: the faults of the section.
        """
        found = self._read()
        section = None
        with suppress(TooManyFaults):
            section = found.data()
        found.faults.raise_all()
        return section

    def data_faults(self, model: Model | None = None) -> tuple[list[LayerkitError], list[LayerkitError]]:
        """What is wrong with the section ``data``, as far as its files tell without reading a row of them.

        Args:
            model: the model that ``build`` made; without it, as where ``build`` finds faults, of inputs the names alone are known.

        Returns:
            What training lacks that may also come from elsewhere: files that are not there, a section ``compile``; and the
            faults. Data that ship are small: they are looked at as ``fit`` does before the first step.
        """
        section, folder = self.data_section(), Path(self.file).parent
        if section is None:
            return [], []
        known = tensors(model) if model is not None else {"inputs": [Tensor(name, ()) for name in self._input_names()]}
        missing = section.missing(folder)
        faults = [] if missing else section.faults(folder, **known)
        if model is None:
            return missing, faults
        try:
            self.check_trainable(model)
        except DataError as error:
            return [error, *missing], faults
        if missing or faults or not isinstance(section.source, Shipped):
            model.check_losses()
        try:
            if not missing and not faults and isinstance(section.source, Shipped):
                model.check_data(*section.open(folder, path=None, **known).train)
            elif not missing and not faults:
                targets = section.targets(folder, **known)
                if targets is not None:
                    model.check_targets(targets)
        except LayerkitError as error:
            faults = list(error.errors) if isinstance(error, SpecErrors) else [error]
        return missing, faults

    def _input_names(self) -> list[str]:
        """The inputs as they are written, right or wrong."""
        node = None if self.root is None else self.root.get("inputs")
        return [entry.name for entry in node.entries] if isinstance(node, nodes.Mapping) else []

    def check_trainable(self, model: Model) -> None:
        """Refuse to train a model for which nobody said how.

        Raises:
            DataError: the spec has no section ``compile``.
        """
        if model.optimizer is None:
            raise DataError("the spec does not say how to train.", where=self.root.span, expected="a section compile:", got="none",
                            fix="add compile: {optimizer: adam, loss: ...}")  # fmt: skip

    def dataset(
        self, path: str | Path | None = None, *, folder: str | Path | None = None, model: Model | None = None, batch_size: int | None = None
    ) -> DataSet:  # fmt: skip
        """The data that the section ``data`` names.

        Args:
            path: a file or folder, or the name of data that ship, instead of the section's.
            folder: where the paths of the section begin; at the spec's folder unless given.
            model: the model that ``build`` made; made anew unless given.
            batch_size: rows of a batch, where the data are not read whole; that of ``fit`` unless given.

        Raises:
            SpecErrors: the faults of the section, or of the spec.
            DataError: the data do not fit the model, or none are named.
        """
        section = self.data_section()
        if section is None:
            if path is None:
                raise DataError("the spec names no data.", where=self.root.span, expected="data: {dataset: digits}", got="nothing",
                                fix="write a section data:, or name the data from outside")  # fmt: skip
            section = DataSection(None, DataOptions(), self.root)
        model = self.build() if model is None else model
        return section.open(
            Path(self.file).parent if folder is None else Path(folder), path=None if path is None else Path(path),
            batch_size=batch_size or self.batch_size, **tensors(model),
        )  # fmt: skip

    # What is filled in

    @cached_property
    def holes(self) -> list[Hole]:
        """What a search has to decide, in the order of the file; inside a choice only after that is filled.

        Raises:
            SpecErrors: a hole that is not well formed.
        """
        found = self._read()
        faults, listed = Faults(self.file), []
        with suppress(TooManyFaults):
            found.expand()
        try:
            listed = holes.listed(self.root, found.values, faults)
        except TooMuchWork:
            found.faults.raise_all()
        faults.raise_all()
        return listed

    def fill(self, values: Mapping[str, Any]) -> Spec:
        """The spec with values in the place of holes; comments and all other text stay.

        Args:
            values: for each path of a hole its value; holes that are left out stay holes.

        Raises:
            UnknownNameError: there is no such hole.
            ArgumentError: a value that the hole does not allow.

        Example:
            >>> spec = loads("let: {width: !choice [8, 16]}  # units")
            >>> [(hole.path, hole.choices) for hole in spec.holes]
            [('let.width', (8, 16))]
            >>> spec.fill({"let.width": 16}).text
            'let: {width: 16}  # units'
        """
        return replace(self, written=holes.fill(self.written, self._parsed[0], self.holes, values))

    def override(self, values: Mapping[str, str]) -> Spec:
        """The spec with other values, from outside the file; what is wrong with them is reported at ``--set path``.

        Args:
            values: for each dotted path, ``fit.epochs`` or ``layers.conv1.filters``, the value as YAML text.

        Raises:
            SpecErrors: a text that is no YAML, or a path that leads nowhere.

        Example:
            >>> loads("fit: {epochs: 20}  # long").override({"fit.epochs": "3", "fit.batch_size": "8"}).text
            'fit: {epochs: 3, batch_size: 8}  # long'
        """
        found = replace(self, overrides={**self.overrides, **values})
        assert found.root is not None  # read now, so that a wrong path is an error now
        return found


def load(path: str | Path, *, layers: Iterable[type[Layer]] = ()) -> Spec:
    """The spec in a YAML file.

    Args:
        path: the file.
        layers: layer classes of your own, which the spec may then use.

    Raises:
        SpecErrors: the file cannot be read, or is no YAML. All other faults are found by ``build`` and ``check``.
    """
    return loads(source.read_text(path), str(path), layers=layers)


def loads(text: str, file: str = "<text>", *, layers: Iterable[type[Layer]] = ()) -> Spec:
    """The spec in a text; ``file`` is what places of faults name as the file, and included files lie beside."""
    spec = Spec(text, file, tuple(layers))
    assert spec.root is not None
    return spec
