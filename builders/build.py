"""A YAML spec to a model: ``load(path).build()``.

In goes a tree of nodes that remember their places (``builders.source``), out comes a compiled ``Model``. The layers, their
arguments and the checks of those are the library's own (``layerkit.fields``): what is written once in Python is known
here. All faults of a spec are reported together, each with its place.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from builders import source
from builders.source import Mapping, Node, Scalar, Sequence
from layerkit import losses, metrics, optimizers
from layerkit.errors import (
    ArgumentError,
    LayerkitError,
    Span,
    SpecError,
    SpecErrors,
    UnknownArgumentError,
    did_you_mean,
    placed,
)
from layerkit.fields import signature
from layerkit.layers import LAYERS, Input, Layer
from layerkit.models import Model, Sequential
from layerkit.training.callbacks import CALLBACKS

VERSION = 1
SECTIONS = ("layerkit", "name", "inputs", "layers", "outputs", "compile", "fit", "data")
ITEM_KEYS = ("name", "from")
_NOT_IN_FIT = ("self", "x", "y", "sample_weight", "validation_data", "initial_epoch")


@dataclass(frozen=True)
class Spec:
    """A YAML file that was read; ``build`` makes its model."""

    root: Mapping
    file: str
    layers: tuple[type[Layer], ...] = ()

    @cached_property
    def name(self) -> str:
        """The name in the spec, or the file's."""
        node = self.root.get("name")
        return str(node.value) if isinstance(node, Scalar) and node.value is not None else Path(self.file).stem

    def build(self) -> Model:
        """The model, compiled if the spec says how.

        Raises:
            SpecErrors: all faults of the spec, in the order of the file.
        """
        return _Builder(self).build()

    @cached_property
    def fit(self) -> dict[str, Any]:
        """The arguments for ``model.fit``."""
        node = self.root.get("fit")
        return node.plain() if isinstance(node, Mapping) else {}  # type: ignore[no-any-return]

    @cached_property
    def data(self) -> dict[str, Any]:
        """The section that says which data to train on."""
        node = self.root.get("data")
        return node.plain() if isinstance(node, Mapping) else {}  # type: ignore[no-any-return]


def load(path: str | Path, *, layers: Iterable[type[Layer]] = ()) -> Spec:
    """The spec in a YAML file.

    Args:
        path: the file.
        layers: layer classes of your own, which the spec may then use.

    Raises:
        SpecErrors: the file is no well-formed spec.
    """
    root = source.read(path)
    if not isinstance(root, Mapping):
        raise SpecErrors(
            [SpecError("a spec is a mapping.", where=root.span, expected="keys such as layers:", got=_kind(root))]
        )
    return Spec(root, str(path), tuple(layers))


@dataclass
class _Builder:
    """One build: collects faults and goes on as long as it can."""

    spec: Spec
    errors: list[LayerkitError] = field(default_factory=list)
    tensors: dict[str, Any] = field(default_factory=dict)
    may_be_misspelt: bool = False
    """A section has an unknown name: it may be the one that is missing."""
    broken: set[str] = field(default_factory=set)
    """Tensors that a fault kept from being made: what reads them is not reported again."""

    def build(self) -> Model:
        root = self.spec.root
        self._known_keys(root, SECTIONS, "a spec")
        self.may_be_misspelt = bool(self.errors)
        self._version(root)
        self.classes = {**LAYERS.classes, **{cls.__name__: cls for cls in self.spec.layers}}
        inputs = self._inputs(root.get("inputs"))
        last, stack, is_chain = self._layers(root.get("layers"), inputs)
        outputs = self._outputs(root.get("outputs"), last)
        compile_arguments = self._compile(root.get("compile"))
        self._check_section(
            root.get("fit"), [p for p in inspect.signature(Model.fit).parameters if p not in _NOT_IN_FIT], "fit"
        )
        self._callbacks(root.get("fit"))
        self._finish()
        model = self._model(inputs, outputs, stack, is_chain)
        if compile_arguments is not None:
            with placed(where=self._span(root.get("compile"))):
                model.compile(**compile_arguments)
        return model

    def _model(self, inputs: dict[str, Any], outputs: Any, stack: list[Layer], is_chain: bool) -> Model:
        try:
            with placed(where=self.spec.root.span):
                if is_chain and len(inputs) == 1:
                    return Model(next(iter(inputs.values())), outputs, name=self.spec.name)
                return Model(inputs if len(inputs) > 1 else next(iter(inputs.values())), outputs, name=self.spec.name)
        except LayerkitError as error:
            raise SpecErrors([error]) from error

    def _finish(self) -> None:
        if self.errors:
            found = {str(error): error for error in self.errors}  # a hole is met by each who reads it
            raise SpecErrors(
                sorted(found.values(), key=lambda e: (e.where.line, e.where.column) if e.where else (0, 0))
            )

    # Sections

    def _known_keys(self, node: Mapping, names: Iterable[str], what: str) -> list[source.Entry]:
        """The entries whose keys are known; the others are faults."""
        names, found = list(names), []
        for entry in node.entries:
            key = str(entry.key.value)
            if key in names:
                found.append(entry)
                continue
            error = UnknownArgumentError(
                f"{what} has no argument '{key}'.", where=entry.key.span, layer=what.strip("'"), expected=", ".join(names), got=key,
                fix=did_you_mean(key, names),
            )  # fmt: skip
            error.argument = key
            self.errors.append(error)
        return found

    def _version(self, root: Mapping) -> None:
        node = root.get("layerkit")
        if node is None:
            self._fault("the spec does not say its version.", root.span, expected=f"layerkit: {VERSION}", got="nothing",
                        fix=f"begin the file with 'layerkit: {VERSION}'")  # fmt: skip
        elif not isinstance(node, Scalar) or node.value != VERSION:
            self._fault("the version of the language is another.", node.span, expected=str(VERSION), got=_shown(node),
                        fix="upgrade layerkit, or correct the number")  # fmt: skip

    def _inputs(self, node: Node | None) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if node is None and self.may_be_misspelt:
            self.broken.add("")
            return found
        if not isinstance(node, Mapping) or not node.entries:
            self.broken.add("")
            self._fault(
                "a spec needs inputs.",
                self._span(node),
                expected="inputs: {image: {shape: [8, 8, 1]}}",
                got=_kind(node),
            )
            return found
        names = list(inspect.signature(Input).parameters)
        for entry in node.entries:
            name = str(entry.key.value)
            if not isinstance(entry.value, Mapping):
                self._fault(
                    f"input '{name}' needs a shape.",
                    entry.value.span,
                    expected="{shape: [8, 8, 1]}",
                    got=_shown(entry.value),
                )
                self.broken.add(name)
                continue
            arguments = self._arguments(entry.value, names, f"input '{name}'")
            made = self._try(partial(Input, **{**arguments, "name": name}), entry.key.span, f"{name} (Input)")
            if made is None:
                self.broken.add(name)
            else:
                found[name] = self.tensors[name] = made
        return found

    def _layers(self, node: Node | None, inputs: dict[str, Any]) -> tuple[str | None, list[Layer], bool]:
        last = next(iter(inputs)) if len(inputs) == 1 else "" if "" in self.broken else None
        stack: list[Layer] = []
        is_chain = True
        if not isinstance(node, Sequence) or not node.items:
            self._fault(
                "a spec needs layers.", self._span(node), expected="layers: followed by a list", got=_kind(node)
            )
            return last, stack, is_chain
        for number, item in enumerate(node.items):
            before = last
            last, layer, reads_before = self._item(item, number, last)
            is_chain &= reads_before and before is not None
            if layer is not None:
                stack.append(layer)
        return last, stack, is_chain

    def _item(self, item: Node, number: int, last: str | None) -> tuple[str, Layer | None, bool]:
        """One entry of ``layers``: the name of its tensor, its layer, and whether it takes the tensor before it."""
        own = f"{number}"
        if isinstance(item, Scalar):
            item = Mapping((source.Entry(item, Scalar(None, item.span, "", None)),), item.span)
        if not isinstance(item, Mapping):
            self._fault(
                "a layer is its name with its arguments.", item.span, expected="- Dense: {units: 10}", got=_shown(item)
            )
            return self._broken(own), None, True
        kinds = [e for e in item.entries if str(e.key.value) not in ITEM_KEYS]
        name_node, from_node = item.get("name"), item.get("from")
        if isinstance(name_node, Scalar) and isinstance(name_node.value, str):
            own = name_node.value
            if own in self.tensors or own in self.broken:
                self._fault(f"two tensors are called '{own}'.", name_node.span, expected="names that differ", got=own)
        elif name_node is not None:
            self._fault("a name is text.", name_node.span, expected="text", got=_shown(name_node))
        if len(kinds) != 1:
            got = ", ".join(str(e.key.value) for e in kinds) or "none"
            where = kinds[1].key.span if len(kinds) > 1 else item.span
            self._fault("an entry of layers holds one layer.", where, expected="one layer, and name: and from:", got=got,
                        fix="begin each layer with its own '- '" if len(kinds) > 1 else None)  # fmt: skip
            return self._broken(own), None, True
        entry = kinds[0]
        layer = self._layer(entry.key, entry.value, name=own if name_node is not None else None)
        reads = [last] if from_node is None else self._names(from_node)
        if layer is None or any(r in self.broken for r in reads if r is not None):
            return self._broken(own), layer, from_node is None
        if None in reads:
            self._fault(
                "it is not said what this layer reads.",
                entry.key.span,
                expected="from: one of " + ", ".join(self.tensors),
                got="nothing",
            )
            return self._broken(own), layer, False
        missing = [r for r in reads if r not in self.tensors]
        if missing:
            return self._broken(own), layer, from_node is None
        given = [self.tensors[r] for r in reads if r]
        takes_list = isinstance(from_node, Sequence)
        where = entry.key.span
        out = self._try(
            lambda: layer(given if takes_list else given[0]),
            where,
            f"{own if name_node is not None else layer.name} ({entry.key.value})",
        )
        if out is None:
            return self._broken(own), layer, from_node is None
        outputs = list(out) if isinstance(out, list | tuple) else [out]
        for i, value in enumerate(outputs):
            self.tensors[own if i == 0 else f"{own}.{i}"] = value
        return own, layer, from_node is None

    def _broken(self, name: str) -> str:
        self.broken.add(name)
        return name

    def _names(self, node: Node) -> list[str]:
        nodes = node.items if isinstance(node, Sequence) else (node,)
        names = []
        for each in nodes:
            name = str(each.value) if isinstance(each, Scalar) else ""
            if name not in self.tensors and name not in self.broken:
                known = [t for t in self.tensors if not t.isdigit()]
                self._fault(f"there is no tensor '{name}' before this layer.", each.span, expected=", ".join(known), got=_shown(each),
                            fix=did_you_mean(name, known) if known else None)  # fmt: skip
            names.append(name)
        return names

    def _outputs(self, node: Node | None, last: str | None) -> Any:
        if node is None:
            return self.tensors.get(last or "")
        names = self._names(node)
        found = [self.tensors.get(n) for n in names]
        return found if isinstance(node, Sequence) else found[0]

    def _compile(self, node: Node | None) -> dict[str, Any] | None:
        if node is None:
            return None
        arguments = self._check_section(
            node, [p for p in inspect.signature(Model.compile).parameters if p != "self"], "compile"
        )
        if not isinstance(node, Mapping):
            return None
        for key, make in (("optimizer", optimizers.get), ("loss", losses.get)):
            part = node.get(key)
            if part is not None and not (
                key == "loss" and isinstance(part, Sequence | Mapping) and not _is_call(part, losses.LOSSES.classes)
            ):
                self._try_argument(part, make)
        listed = node.get("metrics")
        for each in listed.items if isinstance(listed, Sequence) else ():
            self._try_argument(each, metrics.check_name)
        return arguments

    def _callbacks(self, node: Node | None) -> None:
        listed = node.get("callbacks") if isinstance(node, Mapping) else None
        for each in listed.items if isinstance(listed, Sequence) else ():
            self._try_argument(each, CALLBACKS.make)

    def _check_section(self, node: Node | None, names: list[str], what: str) -> dict[str, Any]:
        if node is None:
            return {}
        if not isinstance(node, Mapping):
            self._fault(f"'{what}' is a mapping.", node.span, expected=", ".join(names), got=_shown(node))
            return {}
        return self._arguments(node, names, f"'{what}'")

    # Layers and arguments

    def _layer(self, key: Scalar, value: Node, name: str | None) -> Layer | None:
        kind = str(key.value)
        if kind not in self.classes:
            known = [*self.classes, *ITEM_KEYS]
            self._fault(f"there is no layer '{kind}'.", key.span, got=kind, fix=did_you_mean(kind, known))
            return None
        cls = self.classes[kind]
        parameters = list(signature(cls).parameters)
        faults = len(self.errors)
        if isinstance(value, Mapping) and not _is_call(value, self.classes):
            arguments = self._arguments(value, parameters, f"'{kind}'")
        elif isinstance(value, Scalar) and value.value is None:
            arguments = {}
        elif parameters:
            arguments = {parameters[0]: self._value(value)}  # a lone value is the first argument
        else:
            self._fault(f"'{kind}' takes no arguments.", value.span, expected="nothing", got=_shown(value))
            arguments = {}
        if len(self.errors) > faults:
            return None
        if name is not None:
            arguments["name"] = name
        try:
            made: Layer = cls(**arguments)
        except LayerkitError as error:
            at = value.get(error.argument) if isinstance(value, Mapping) and error.argument else None
            error.where = error.where or (at.span if at is not None else key.span)
            error.layer = f"{name} ({kind})" if name else kind
            if error.expected and isinstance(error, UnknownArgumentError) and error.got:
                error.got = ", ".join(arguments) or "none"
            self.errors.append(error)
            return None
        made._span = key.span
        return made

    def _arguments(self, node: Mapping, names: Iterable[str], what: str) -> dict[str, Any]:
        return {str(e.key.value): self._value(e.value) for e in self._known_keys(node, names, what)}

    def _value(self, node: Node) -> Any:
        """An argument: plain data, or a layer where it is written as one."""
        if isinstance(node, Mapping) and _is_call(node, self.classes):
            entry = node.entries[0]
            return self._layer(entry.key, entry.value, None)
        try:
            return node.plain()
        except SpecError as error:
            self.errors.append(error)
            return None

    # Faults

    def _fault(self, summary: str, where: Span | None, **parts: Any) -> None:
        self.errors.append(SpecError(summary, where=where, **parts))

    def _try(self, make: Callable[[], Any], where: Span, layer: str) -> Any:
        try:
            with placed(layer, where):
                return make()
        except LayerkitError as error:
            error.layer = layer
            self.errors.append(error)
            return None

    def _try_argument(self, node: Node, make: Callable[[Any], Any]) -> None:
        try:
            make(node.plain())
        except LayerkitError as error:
            at = _find(node, error.argument or str(error.got)) if isinstance(node, Mapping) else None
            error.where = error.where or (at or node).span
            self.errors.append(error)
        except TypeError as error:
            self.errors.append(ArgumentError("the arguments do not fit.", where=node.span, got=str(error)))

    def _span(self, node: Node | None) -> Span:
        return node.span if node is not None else self.spec.root.span


def _find(node: Mapping, name: str) -> Node | None:
    """The value, or the key, called ``name`` in a mapping or the mappings in it."""
    for entry in node.entries:
        if entry.key.value == name:
            return entry.key
        if isinstance(entry.value, Mapping) and (found := _find(entry.value, name)) is not None:
            return found
    return None


def _is_call(node: Node, classes: Any) -> bool:
    return isinstance(node, Mapping) and len(node.entries) == 1 and node.entries[0].key.value in classes


def _kind(node: Node | None) -> str:
    if node is None:
        return "nothing"
    return {Mapping: "a mapping", Sequence: "a list"}.get(type(node), _shown(node))


def _shown(node: Node) -> str:
    return repr(node.value) if isinstance(node, Scalar) else _kind(node)


__all__ = ["Sequential", "Spec", "load"]
