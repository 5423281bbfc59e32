"""``Spec``: a YAML file that was read; its holes, its faults, its model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from builders import holes, nodes, source
from builders.blocks import Block, Library
from builders.build import Graph
from builders.expand import Expander, Expansion
from builders.faults import Faults
from builders.holes import Hole
from builders.nodes import Entry, Node, Scalar
from builders.sections import Sections
from builders.values import Values, _Common
from layerkit import layers as all_layers
from layerkit.errors import LayerkitError, Span, SpecError, SpecErrors, placed
from layerkit.layers import LAYERS, InputLayer, Layer
from layerkit.models import Model

VERSION = 1
SECTIONS = ("layerkit", "name", "let", "include", "inputs", "blocks", "layers", "outputs", "compile", "fit", "data")


@dataclass(frozen=True)
class Spec:
    """A YAML file that was read; ``build`` makes its model."""

    text: str
    """The file with everything that was filled in, and ``override`` too."""
    file: str
    layers: tuple[type[Layer], ...] = ()
    overrides: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def _read(self) -> tuple[nodes.Mapping, list[SpecError]]:
        root, found = source.parse_leniently(self.text, self.file)
        if not isinstance(root, nodes.Mapping):
            error = SpecError(
                "a spec is a mapping.", where=root.span, expected="keys such as layers:", got=nodes.kind(root)
            )
            raise SpecErrors([*found, error])
        return root, found

    @property
    def root(self) -> nodes.Mapping:
        """The text as nodes."""
        root = self._read[0]
        for path in self.overrides:
            root = _at(root, path.split("."), lambda node, path=path: _marked(node, path))  # type: ignore[misc]
        return root

    @cached_property
    def name(self) -> str:
        """The name in the spec, or the file's."""
        node = self.root.get("name")
        return str(node.value) if isinstance(node, Scalar) and node.value is not None else Path(self.file).stem

    # Model

    def build(self) -> Model:
        """The model, compiled if the spec says how.

        Raises:
            SpecErrors: all faults of the spec, in the order of the file.
        """
        found = _Reading(self)
        model = found.model()
        found.faults.raise_all()
        assert model is not None
        return model

    def check(self) -> list[LayerkitError]:
        """All faults of the spec, in the order of the file."""
        found = _Reading(self)
        found.model()
        return found.faults.sorted()

    @cached_property
    def fit(self) -> dict[str, Any]:
        """The arguments for ``model.fit``.

        Raises:
            SpecErrors: the faults of the section.
        """
        found = _Reading(self)
        arguments = found.sections.fit(found.section("fit"))
        found.faults.raise_all()
        return arguments

    @cached_property
    def data(self) -> dict[str, Any]:
        """The section that says which data to train on."""
        node = self.root.get("data")
        return node.plain() if isinstance(node, nodes.Mapping) else {}  # type: ignore[no-any-return]

    # Holes

    @cached_property
    def holes(self) -> list[Hole]:
        """What a search has to decide, in the order of the file; inside a choice only after that is filled.

        Raises:
            SpecErrors: a hole that is not well formed.
        """
        found = _Reading(self)
        found.expand()
        faults = Faults(self.file)
        listed = holes.listed(self.root, found.common.turns, faults)
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
        return replace(self, text=holes.fill(self.text, self._read[0], self.holes, values))


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


class _Reading:
    """One reading of a spec: collects faults and goes on as long as it can."""

    def __init__(self, spec: Spec) -> None:
        self.spec, self.root = spec, spec.root
        self.faults = Faults(spec.file, spec._read[1])
        self.common = _Common(self.faults)
        self.classes = _classes(spec.layers)
        self.may_be_misspelt = False
        """A section has an unknown name: it may be the one that is missing."""
        self._whole()
        self.values = Values(self.common, {}).let(self.root.get("let"))
        self.expander = Expander(self.faults, self.classes.__contains__, list(self.classes))
        self.graph = Graph(self.faults, self.classes, self.expander)
        self.sections = Sections(self.faults, self.graph.arguments)

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
        self._needs("inputs", nodes.Mapping, "inputs: {image: {shape: [8, 8, 1]}}")
        self._needs("layers", nodes.Sequence, "layers: followed by a list")

    def _needs(self, key: str, kind: type, expected: str) -> None:
        node = self.root.get(key)
        if node is None and self.may_be_misspelt:
            return
        if not isinstance(node, kind) or not any(nodes.children(node)):  # type: ignore[arg-type]
            where = self.root.span if node is None else next(e.key.span for e in self.root.entries if e.name == key)
            got = "nothing" if node is not None and nodes.is_empty(node) else nodes.kind(node)
            self.faults.report(f"a spec needs {key}.", where, expected=expected, got=got)

    def section(self, name: str) -> Node | None:
        """A section with values in the place of names."""
        node = self.root.get(name)
        return None if node is None else self.values.resolve(node)

    def blocks(self) -> Mapping[str, Block]:
        """The blocks that the spec may use."""
        return Library(self.faults, self.spec.file).known(self.root, self.values)

    def expand(self) -> Expansion:
        """The flat list of steps."""
        return self.expander.expand(self.root, self.values, self.blocks())

    def model(self) -> Model | None:
        """The model; None after faults."""
        expansion = self.expand()
        inputs, outputs = self.graph.build(expansion)
        names = self._outputs(expansion)
        arguments = self.sections.compile(self.section("compile"), names)
        self.sections.fit(self.section("fit"))
        self._holes()
        if len(self.faults) or outputs is None:
            return None
        try:
            with placed(where=self.root.span):
                model = Model(inputs if len(inputs) > 1 else next(iter(inputs.values())), outputs, name=self.spec.name)
            if arguments is not None:
                with placed(where=self._key("compile").span):
                    model.compile(**arguments)
        except LayerkitError as error:
            self.faults.add(error)
            return None
        return model

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
            if holes.describe(path, node, self.faults) is not None:
                self.faults.report("a hole has no value yet.", node.span, layer=None, expected="a value", got=node.tag,
                                   fix="search, or write one value")  # fmt: skip

    def _key(self, name: str) -> Scalar:
        return next(e.key for e in self.root.entries if e.name == name)


def _classes(own: tuple[type[Layer], ...]) -> dict[str, type[Layer]]:
    """The layers that a spec may use, by all their names."""
    found: dict[str, Any] = {name: getattr(all_layers, name) for name in all_layers.__all__}
    found |= LAYERS.classes
    hidden = (Layer, InputLayer)
    usable = {k: c for k, c in found.items() if isinstance(c, type) and issubclass(c, Layer) and c not in hidden}
    return usable | {cls.__name__: cls for cls in own}


def _at(node: Node, path: list[str], change: Any) -> Any:
    """``node`` with the value at ``path`` changed."""
    if not path:
        return change(node)
    if isinstance(node, nodes.Mapping):
        entries = tuple(Entry(e.key, _at(e.value, path[1:], change)) if e.name == path[0] else e for e in node.entries)
        return replace(node, entries=entries)
    return node


def _marked(node: Node, path: str) -> Node:
    return nodes.moved(node, Span(f"--set {path}", 0, 0))
