"""One reading of a spec, from its sections to its model; all faults are collected on the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from builders import holes, nodes
from builders.blocks import Block, Library
from builders.budget import Budget
from builders.build import Graph
from builders.data import DataSection
from builders.data import read as read_data
from builders.expand import Expander
from builders.faults import Faults, TooManyFaults
from builders.items import SECTIONS
from builders.nodes import Node, Scalar
from builders.sections import Sections
from builders.steps import Expansion
from builders.values import Common, Values
from layerkit import layers as all_layers
from layerkit.errors import LayerkitError, placed
from layerkit.layers import LAYERS, InputLayer, Layer, Wrapper
from layerkit.models import Model

VERSION = 1
MANY_STEPS = 1000
"""Of so many layers none are made to look for more faults, once there are some: each takes half a millisecond."""


class Reading:
    """One reading of a spec: collects faults and goes on as long as it can."""

    def __init__(
        self, root: nodes.Mapping, file: str, found: Iterable[LayerkitError], layers: tuple[type[Layer], ...]
    ) -> None:
        self.root, self.file = root, file
        self.faults = Faults(file, found)
        self.common = Common(self.faults, Budget(self.faults, nodes.count(root)))
        self.classes = _classes(layers)
        self.may_be_misspelt = False
        """A section has an unknown name: it may be the one that is missing."""
        self.expander = Expander(self.faults, self.classes)
        self.graph = Graph(self.faults, self.classes)
        self.sections = Sections(self.faults, self.graph.arguments)
        self.library = Library(self.faults, file)

    @cached_property
    def values(self) -> Values:
        """The values that have names."""
        return Values(self.common, {}).let(self.root.get("let"))

    def _whole(self) -> None:
        """Check the keys, the version, and that nothing is missing."""
        faults, root = self.faults, self.root
        for entry in root.entries:
            if entry.name not in SECTIONS:
                faults.unknown("a spec", entry.name, entry.key.span, SECTIONS)
                self.may_be_misspelt = True
        node = root.get("layerkit")
        if node is None:
            faults.report("the spec does not say its version.", root.span, expected=f"layerkit: {VERSION}", got="nothing",
                          fix=f"begin the file with 'layerkit: {VERSION}'")  # fmt: skip
        elif not isinstance(node, Scalar) or type(node.value) is not int or node.value != VERSION:
            faults.report("the version of the language is another.", node.span, expected=str(VERSION), got=nodes.shown(node),
                          fix="upgrade layerkit, or correct the number")  # fmt: skip
        name = root.get("name")
        if name is not None and not (isinstance(name, Scalar) and isinstance(name.value, str | int)):
            faults.report("the name of a spec is text.", name.span, expected="text", got=nodes.shown(name))
        if "blocks" in (e.name for e in root.entries) and not any(
            e.name in ("inputs", "layers", "outputs") for e in root.entries
        ):
            faults.report("this is a file of blocks, no spec.", root.span, expected="inputs: and layers:", got="blocks: alone",
                          fix="name it in another spec: include: [this file]")  # fmt: skip
            return
        self._needs("inputs", nodes.Mapping, "inputs: {image: {shape: [8, 8, 1]}}")
        self._needs("layers", nodes.Sequence, "layers: followed by a list")

    def _needs(self, key: str, kind: type, expected: str) -> None:
        node = self.root.get(key)
        if node is None and self.may_be_misspelt:
            return
        if not isinstance(node, kind) or not any(nodes.children(node)):  # type: ignore[arg-type]
            where = self.root.span if node is None else next(e.key.span for e in self.root.entries if e.name == key)
            got = "nothing" if node is not None and nodes.is_empty(node) else nodes.kind(node)
            fix = None
            if isinstance(node, nodes.Mapping) and key == "layers":
                fix = "begin each layer with '- '"
            elif isinstance(node, nodes.Sequence) and key == "inputs":
                fix = "remove the '- ' in front of each input"
            self.faults.report(f"a spec needs {key}.", where, expected=expected, got=got, fix=fix)

    def section(self, name: str) -> Node | None:
        """A section with values in the place of names."""
        node = self.root.get(name)
        return None if node is None else self.values.resolve(node)

    def blocks(self) -> Mapping[str, Block]:
        """The blocks that the spec may use."""
        return self.library.known(self.root, self.values)

    @property
    def files(self) -> set[str]:
        """The files, but for data, that were read to make the model."""
        return self.library.files | self.graph.arguments.files

    def data(self) -> DataSection | None:
        """What the section ``data`` says; None without it, or after a fault or a hole in it."""
        node = self.section("data")
        if node is None or nodes.has_hole(node):
            return None
        section, found = read_data(node)
        for error in found:
            self.faults.add(error)
        return section

    def expand(self) -> Expansion:
        """The flat list of steps."""
        return self.expander.expand(self.root, self.values, self.blocks())

    def model(self, is_compiled: bool = True) -> Model | None:
        """The model; None after faults. What ``compile`` is given is checked either way."""
        with suppress(TooManyFaults):
            return self._model(is_compiled)
        return None

    def _model(self, is_compiled: bool) -> Model | None:
        self._whole()
        expansion = self.expand()
        steps = len(expansion.steps) + (len(expansion.unused.steps) if expansion.unused is not None else 0)
        is_too_long = len(self.faults) > 0 and steps > MANY_STEPS
        inputs, outputs = ({}, None) if is_too_long else self.graph.build(expansion)
        names = self._outputs(expansion)
        arguments = self.sections.compile(self.section("compile"), names)
        fit = self.section("fit")
        self.sections.fit(fit)
        self._held_out(fit, self.data())
        self._holes()
        if len(self.faults) or outputs is None:
            return None
        try:
            with placed(where=self.root.span):
                model = Model(
                    inputs if len(inputs) > 1 else next(iter(inputs.values())),
                    outputs,
                    name=name_of(self.root, self.file),
                )
            if arguments is not None and is_compiled:
                with placed(where=self._key("compile").span):
                    model.compile(**arguments)
        except LayerkitError as error:
            self.faults.add(error)
            return None
        return model

    def _held_out(self, fit: Node | None, data: DataSection | None) -> None:
        """Rows to validate on are held out by ``fit`` or by ``data``."""
        share = fit.get("validation_split") if isinstance(fit, nodes.Mapping) else None
        if data is not None and data.options.split.validation and isinstance(share, Scalar) and share.value:
            self.faults.report("rows are held out twice.", share.span, expected="data: {split: {validation: ...}}, or fit: {validation_split: ...}",
                               got="both", fix="remove one of them")  # fmt: skip
        elif data is not None and data.options.in_memory is False and isinstance(share, Scalar) and share.value:
            self.faults.report("'validation_split' needs data that are read whole.", share.span, expected="data: {split: {validation: ...}}",
                               got="in_memory: false", fix="hold rows out in data:, or remove 'in_memory'")  # fmt: skip

    def _outputs(self, expansion: Expansion) -> list[str] | None:
        """The names by which losses and metrics of several outputs are given."""
        found = expansion.outputs
        if isinstance(found, dict):
            return list(found)
        steps = {s.id: s.name for s in expansion.steps}
        refs = found if isinstance(found, list) else [found]
        names = [steps.get(getattr(r, "id", 0)) for r in refs]
        return [n for n in names if n is not None] if all(n is not None for n in names) else None

    def _holes(self) -> None:
        for path, node in holes.find(self.root):
            if holes.is_each(node) and self.common.turns.get(node.span) == 0:
                self.faults.report("a hole for each turn stands in no repeat.", node.span, expected="a place inside repeat:",
                                   got="each: true", fix="remove 'each'")  # fmt: skip
                continue
            found = holes.settled(node, holes.scope(path, self.root, self.values))
            if found is None or holes.describe(path, found, self.faults) is not None:
                self.faults.report("a hole has no value yet.", node.span, layer=None, expected="a value", got=node.tag,
                                   fix="search, or write one value")  # fmt: skip

    def _key(self, name: str) -> Scalar:
        return next(e.key for e in self.root.entries if e.name == name)


def name_of(root: nodes.Mapping, file: str) -> str:
    """The name in the spec, or the file's."""
    node = root.get("name")
    return str(node.value) if isinstance(node, Scalar) and node.value is not None else Path(file).stem


def _classes(own: tuple[type[Layer], ...]) -> dict[str, type[Layer]]:
    """The layers that a spec may use, by all their names."""
    found: dict[str, Any] = {name: getattr(all_layers, name) for name in all_layers.__all__}
    found |= LAYERS.classes
    hidden = (Layer, InputLayer, Wrapper)
    usable = {k: c for k, c in found.items() if isinstance(c, type) and issubclass(c, Layer) and c not in hidden}
    return usable | {cls.__name__: cls for cls in own}
