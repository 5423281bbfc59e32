"""Blocks: lists of layers with a name and parameters, from the spec, from files beside it, and from the library."""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from functools import cache
from pathlib import Path

from builders import holes, nodes, source
from builders.faults import Faults
from builders.files import inside
from builders.items import check_name
from builders.nodes import Node, Scalar, Sequence
from builders.values import Values, is_name
from layerkit.errors import Span, UnknownArgumentError, did_you_mean
from layerkit.records import dataclass

KEYS = ("name", "parameters", "inputs", "layers", "outputs")
LIBRARY = Path(__file__).parent / "library"


@dataclass(frozen=True)
class Block:
    """A list of layers that is used by its name."""

    name: str
    span: Span
    parameters: Mapping[str, Node | None]
    """Their defaults; None for one that has to be given."""
    inputs: tuple[str, ...]
    layers: Node | None
    outputs: Node | None
    values: Values
    """The values that have names where it is defined."""
    blocks: Mapping[str, Block] = field(default_factory=dict, repr=False, compare=False)
    """The blocks that are known where it is defined."""
    entries: nodes.Mapping | None = None
    """Its inputs with their shapes, if it has them: then it is a model, which is a layer of the model that uses it."""
    title: str | None = None
    """The name of that model; else it has the block's."""

    def bind(self, arguments: Node, where: Span, faults: Faults) -> Values | None:
        """The values of the parameters for one use; None after a fault."""
        names, given, before = list(self.parameters), {}, len(faults)
        if isinstance(arguments, nodes.Mapping):
            for entry in arguments.entries:
                if entry.name in self.parameters:
                    given[entry.name] = entry.value
                else:
                    faults.unknown(f"the block '{self.name}'", entry.name, entry.key.span, names)
        elif not nodes.is_empty(arguments):
            if not names:
                faults.report(
                    f"the block '{self.name}' takes no arguments.",
                    arguments.span,
                    expected="nothing",
                    got=nodes.shown(arguments),
                )
                return None
            given[names[0]] = arguments  # a lone value is the first argument
        named = dict(self.values.named)
        for name, default in self.parameters.items():
            if name in given:
                named[name] = given[name]
            elif default is not None:
                named[name] = self.values.bound(named).resolve(default)
            elif len(faults) == before:
                error = UnknownArgumentError(
                    f"the block '{self.name}' needs '{name}'.", where=where, expected=", ".join(names),
                    got=", ".join(given) or "nothing", fix=f"write {self.name}: {{{name}: ...}}",
                )  # fmt: skip
                faults.add(error)
        return self.values.bound(named) if len(faults) == before else None


class Library:
    """The blocks that a spec knows: its own, those of files it includes, and those that come with layerkit."""

    def __init__(self, faults: Faults, file: str) -> None:
        self.faults, self.file = faults, file
        self.files: set[str] = set()
        """The files that were included."""
        self._left = source.MAX_BYTES
        """Characters that may still be included."""

    def known(self, root: nodes.Mapping, values: Values) -> Mapping[str, Block]:
        """All blocks by name; the spec's own win."""
        shipped = _Shipped(lambda part, known: self._blocks(part.get("blocks"), values.bound({}), known))
        included: dict[str, Block] = {}
        own: dict[str, Block] = {}
        found: ChainMap[str, Block] = ChainMap(own, included, shipped)  # type: ignore[arg-type]
        for part in self._included(root.get("include")):
            for name, block in self._blocks(part.get("blocks"), values.bound({}), found).items():
                if name in included:
                    self.faults.report(f"two included files have a block '{name}'.", block.span, expected="names that differ",
                                       got=f"also at {included[name].span}")  # fmt: skip
                included[name] = block
        own.update(self._blocks(root.get("blocks"), values, found))
        return found

    def _blocks(self, node: Node | None, values: Values, known: Mapping[str, Block]) -> dict[str, Block]:
        if nodes.is_empty(node):
            return {}
        if not isinstance(node, nodes.Mapping):
            assert node is not None
            self.faults.report(
                "'blocks' is a mapping.",
                node.span,
                expected="blocks: {name: {parameters, layers}}",
                got=nodes.kind(node),
            )
            return {}
        found = {}
        for entry in node.entries:
            if is_name(entry.key, self.faults):
                found[entry.name] = self._block(entry, values, known)
        return found

    def _block(self, entry: nodes.Entry, values: Values, known: Mapping[str, Block]) -> Block:
        body, where = entry.value, entry.key.span
        if not isinstance(body, nodes.Mapping) or body.tag:
            self.faults.report(
                f"the block '{entry.name}' needs layers.",
                where,
                expected="a mapping with layers:",
                got=nodes.kind(body),
            )
            return Block(entry.name, where, {}, ("input",), None, None, values, known)
        for part in body.entries:
            if part.name not in KEYS:
                self.faults.unknown(f"the block '{entry.name}'", part.name, part.key.span, KEYS)
        layers = body.get("layers")
        if not isinstance(layers, Sequence) or not layers.items:
            self.faults.report(
                f"the block '{entry.name}' needs layers.",
                where,
                expected="layers: followed by a list",
                got=nodes.kind(layers),
            )
            layers = None
        inputs = body.get("inputs")
        entries = inputs if isinstance(inputs, nodes.Mapping) and inputs.tag is None and inputs.entries else None
        names = tuple(self._inputs(inputs)) if entries is None else tuple(e.name for e in entries.entries)
        return Block(entry.name, where, dict(self._parameters(body.get("parameters"))), names, layers, body.get("outputs"), values, known,
                     entries, self._title(body.get("name"), entry.name, entries))  # fmt: skip

    def _title(self, node: Node | None, block: str, entries: nodes.Mapping | None) -> str | None:
        """The name of the model that a block is."""
        if node is None:
            return None
        if entries is None:
            self.faults.report(
                f"the block '{block}' is no model, which has a name.", node.span, expected="a name beside each use",
                got=nodes.shown(node), fix="remove it, or give its inputs shapes: inputs: {x: {shape: [8]}}",
            )  # fmt: skip
            return None
        return str(node.value) if isinstance(node, Scalar) and check_name(node, self.faults) else None

    def _parameters(self, node: Node | None) -> Iterator[tuple[str, Node | None]]:
        """Names with defaults: ``filters:`` has to be given, ``activation: relu`` and ``rate: null`` need not."""
        if nodes.is_empty(node):
            return
        if isinstance(node, Sequence):
            pairs: list[tuple[Node, Node | None]] = [(item, None) for item in node.items]
        elif isinstance(node, nodes.Mapping):
            pairs = [(e.key, e.value) for e in node.entries]
        else:
            assert node is not None
            self.faults.report(
                "'parameters' is a mapping of names with defaults.",
                node.span,
                expected="parameters: {filters: 32}",
                got=nodes.shown(node),
            )
            return
        for key, value in pairs:
            if not isinstance(key, Scalar):
                self.faults.report("a parameter is a name.", key.span, expected="a name", got=nodes.kind(key))
            elif is_name(key, self.faults):
                is_required = value is None or (isinstance(value, Scalar) and value.text == "" and value.value is None)
                yield str(key.value), None if is_required else value

    def _inputs(self, node: Node | None) -> Iterator[str]:
        """The names of the tensors that a block reads; at least one."""
        found: list[str] = []
        items = (
            () if nodes.is_empty(node) else node.items if isinstance(node, Sequence) and node.tag is None else (node,)
        )
        for item in items:
            if not isinstance(item, Scalar) or item.tag is not None:
                assert item is not None
                self.faults.report(
                    "'inputs' of a block is a list of names, or a mapping with shapes.",
                    item.span,
                    expected="inputs: [query, value], or inputs: {x: {shape: [8]}}",
                    got=nodes.kind(item),
                )
            elif item.value in found:
                self.faults.report(
                    f"two inputs are called '{item.value}'.",
                    item.span,
                    expected="names that differ",
                    got=nodes.shown(item),
                )
            elif is_name(item, self.faults):
                found.append(str(item.value))
        yield from found or ["input"]

    # Files

    def _included(self, node: Node | None) -> Iterator[nodes.Mapping]:
        if nodes.is_empty(node):
            return
        items = node.items if isinstance(node, Sequence) else (node,)
        for item in items:
            assert item is not None
            if not isinstance(item, Scalar) or not isinstance(item.value, str) or item.tag:
                self.faults.report(
                    "'include' is a list of files.",
                    item.span,
                    expected="include: [blocks/own.yaml]",
                    got=nodes.kind(item),
                )
                continue
            path = self._inside(item)
            if path is None:
                continue
            if str(item.value) in self.files:
                self.faults.report("a file is included twice.", item.span, expected="each file once", got=nodes.shown(item), fix="remove one of them")  # fmt: skip
                continue
            self.files.add(str(item.value))
            with self.faults.caught(item.span):
                yield from self._file(path, item.span)

    def _inside(self, node: Scalar) -> Path | None:
        """The file of that name in the spec's folder; None, and a fault, for anything outside it."""
        folder = Path(self.file).parent
        path = inside(folder, str(node.value))
        if path is None:
            self.faults.report("an included file is outside the spec's folder.", node.span, expected="a file in the folder of the spec, or below it",
                               got=nodes.short(str(node.value)), fix="copy it beside the spec")  # fmt: skip
            return None
        if not path.is_file():
            near = (
                [str(p.relative_to(folder)) for p in list(path.parent.glob("*.y*ml"))[:50]]
                if path.parent.is_dir()
                else []
            )
            self.faults.report("there is no such file.", node.span, expected="a file beside the spec", got=str(node.value)[:80],
                               fix=did_you_mean(str(node.value), near) if near else "check the name")  # fmt: skip
            return None
        return path

    def _file(self, path: Path, where: Span) -> Iterator[nodes.Mapping]:
        text = source.read_text(path)
        self._left -= len(text)
        if self._left < 0:
            self.faults.report("the included files are too large together.", where, expected=f"at most {source.MAX_BYTES} characters", got="more")  # fmt: skip
            return
        root, found = source.parse_leniently(text, str(path))
        for error in found:
            self.faults.add(error)
        if not isinstance(root, nodes.Mapping) or not isinstance(root.get("blocks"), nodes.Mapping):
            self.faults.report(
                "an included file holds blocks.", where, expected="blocks: {name: {layers: ...}}", got=nodes.kind(root)
            )
            return
        for entry in root.entries:
            if entry.name not in ("blocks", "layerkit"):
                self.faults.unknown("a file of blocks", entry.name, entry.key.span, ("blocks", "layerkit"))
        for _, hole in holes.find(root):
            self.faults.report("a hole stands in an included file.", hole.span, expected="holes in the spec itself", got=nodes.kind(hole),
                               fix="give the block a parameter, and write the hole where it is used")  # fmt: skip
        yield root


class _Shipped(Mapping[str, Block]):
    """The blocks that come with layerkit; a file of them is read when a spec first asks for one of its blocks."""

    def __init__(self, read: Callable[[nodes.Mapping, Mapping[str, Block]], dict[str, Block]]) -> None:
        self._read = read
        self._blocks: dict[str, Block] = {}

    def __getitem__(self, name: str) -> Block:
        if name not in self._blocks:
            self._blocks |= self._read(_shelf(_shelves()[name]), self)
        return self._blocks[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_shelves())

    def __len__(self) -> int:
        return len(_shelves())


@cache
def _shelves() -> dict[str, Path]:
    """The file of each block that comes with layerkit: the names are found in the text, as reading YAML takes longer."""
    files = {path: path.read_text(encoding="utf-8") for path in sorted(LIBRARY.glob("*.yaml"))}
    return {name: path for path, text in files.items() for name in re.findall(r"^  (\w+):", text, re.MULTILINE)}


@cache
def _shelf(path: Path) -> nodes.Mapping:
    root = source.parse(path.read_text(encoding="utf-8"), f"library/{path.name}")
    assert isinstance(root, nodes.Mapping)
    return root
