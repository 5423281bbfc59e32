"""Arguments as they are written, checked against the signatures of what they are for.

In goes a class or a function with a node, out come the arguments in Python, or None after a fault. What an argument must be
is declared in Python (``layerkit.fields``); all wrong ones are reported, each at its place, before anything is made.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from builders import nodes, slips
from builders.faults import Faults
from builders.files import inside, is_relative
from builders.items import KEYS, SECTIONS
from builders.nodes import Node, Scalar, Sequence
from layerkit.errors import ArgumentError, LayerkitError, UnknownArgumentError, UnknownNameError, nearest
from layerkit.fields import REQUIRED, Check, Instance, OfFile, Resolved, checks, checks_of, fault_of, signature
from layerkit.layers.base import OfLayer
from layerkit.registry import Registry

CODE_FAILS = (
    AttributeError,
    TypeError,
    ValueError,
    LookupError,
    AssertionError,
    NotImplementedError,
    ArithmeticError,
    OSError,
)
"""What code raises that is given something else than it expects."""
MISSING = object()
"""There is no value: a fault is reported, or a hole decides."""


class Arguments:
    """Reads arguments; ``make_layer`` makes those that are layers themselves, ``is_layer`` knows their names."""

    def __init__(
        self, faults: Faults, is_layer: Callable[[str], bool], make_layer: Callable[[Scalar, Node], Any]
    ) -> None:
        self.faults, self.is_layer, self.make_layer = faults, is_layer, make_layer
        self.folder = Path(faults.file).parent
        self.files: set[str] = set()
        """The files that arguments name and that are read."""

    # Classes

    def of_class(self, cls: type, node: Node, key: Scalar, what: str | None) -> dict[str, Any] | None:
        """The arguments for ``cls``.

        Args:
            cls: what is to be made.
            node: a mapping of arguments, nothing, or the first argument alone.
            key: where its name is written.
            what: the layer that it belongs to, for errors.
        """
        parameters = signature(cls).parameters
        named = self._by_name(cls, node, list(parameters), what)
        if named is None:
            return None
        before, kinds = len(self.faults), checks(cls)
        skipped: frozenset[str] = getattr(cls, "accepted_no_ops", frozenset())
        takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
        found, is_complete = {}, True
        for entry in named:
            if entry.name not in parameters and entry.name not in skipped and not takes_any:
                self._unknown(f"'{cls.__name__}'", entry, parameters, what)
                continue
            default = parameters[entry.name].default if entry.name in parameters else REQUIRED
            value = self.value(entry.value, kinds.get(entry.name), cls, entry.name, default, what)
            is_complete = is_complete and value is not MISSING
            found[entry.name] = value
        if len(self.faults) == before:
            for p in parameters.values():
                is_needed = p.default is REQUIRED and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
                if is_needed and p.name not in found:
                    self._missing(p.name, cls, key, found, what)
        return found if len(self.faults) == before and is_complete else None

    def _by_name(self, cls: type, node: Node, parameters: list[str], what: str | None) -> list[nodes.Entry] | None:
        if nodes.is_empty(node):
            return []
        if node.tag is not None:
            return None
        if isinstance(node, nodes.Mapping) and not self._is_lone(node, parameters):
            return list(node.entries)
        if parameters:  # a lone value is the first argument
            return [nodes.Entry(Scalar(parameters[0], node.span, parameters[0]), node)]
        error = UnknownArgumentError(f"'{cls.__name__}' takes no arguments.", where=node.span, layer=what, expected="nothing",
                                     got=nodes.shown(node), fix="remove it")  # fmt: skip
        self.faults.add(error)
        return None

    def _is_lone(self, node: nodes.Mapping, parameters: list[str]) -> bool:
        """Whether a mapping is no list of arguments but a layer, as the first argument."""
        name = node.entries[0].name if len(node.entries) == 1 else ""
        return name not in parameters and self.is_layer(name)

    def _unknown(self, owner: str, entry: nodes.Entry, known: Iterable[str], layer: str | None) -> None:
        beside = f"write it beside {owner}, not among its arguments: indent it less" if entry.name in KEYS else None
        self.faults.unknown(owner, entry.name, entry.key.span, known, layer, beside)

    def _missing(self, name: str, cls: type, key: Scalar, found: Iterable[str], what: str | None) -> None:
        error = UnknownArgumentError(
            f"'{cls.__name__}' needs '{name}'.", where=key.span, layer=what, expected=f"{cls.__name__}: {{{name}: ...}}",
            got=", ".join(found) or "no arguments", fix=f"write {cls.__name__}: {{{name}: ...}}",
        )  # fmt: skip
        error.argument = name
        self.faults.add(error)

    # Functions

    def of_function(
        self, function: Callable[..., Any], node: Node | None, what: str, leave_out: Iterable[str] = ()
    ) -> dict[str, Node]:
        """The arguments of a function by name, still as nodes: unknown and wrong ones are reported and left out."""
        if node is None or nodes.is_empty(node) or node.tag is not None:
            return {}
        parameters = {k: p for k, p in inspect.signature(function).parameters.items() if k not in (*leave_out, "self")}
        if not isinstance(node, nodes.Mapping):
            self.faults.report(
                f"'{what}' is a mapping.", node.span, expected=", ".join(parameters), got=nodes.shown(node)
            )
            return {}
        found, kinds = {}, checks_of(function)
        for entry in node.entries:
            if entry.name not in parameters:
                told = f"'{what}'" if " " not in what else what
                self.faults.unknown(told, entry.name, entry.key.span, parameters, fix=_section(entry.name))
                continue
            check = kinds.get(entry.name)
            if nodes.has_hole(entry.value):
                continue
            if check is not None:
                before = len(self.faults)
                named = type(what, (), {})
                self.value(entry.value, check, named, entry.name, parameters[entry.name].default, None)
                if len(self.faults) > before:
                    continue
            found[entry.name] = entry.value
        return found

    # Values

    def value(self, node: Node, check: Check | None, owner: type, name: str, default: Any, what: str | None) -> Any:
        """One argument in Python, or ``MISSING``."""
        if node.tag is not None:
            return MISSING
        if isinstance(check, OfLayer):
            return self._layers(node, check, name, owner, what, default)
        if (
            check is None
            and isinstance(node, nodes.Mapping)
            and len(node.entries) == 1
            and self.is_layer(node.entries[0].name)
        ):
            return self._layer(node)
        if isinstance(check, Resolved) and check.registry is not None and isinstance(node, nodes.Mapping):
            return node.plain() if self.of_registry(check.registry, node, what) else MISSING
        if nodes.has_hole(node):
            return MISSING
        value = node.plain()
        if isinstance(check, OfFile) and isinstance(node, Scalar) and isinstance(value, str):
            return self._path(node, value, check, name, what)
        error = fault_of(owner, name, value, check, default)
        if error is None:
            return value
        self._place(error, node, what, check, owner)
        return MISSING

    def _path(self, node: Scalar, text: str, check: OfFile, name: str, what: str | None) -> Any:
        """A path: a file that is read lies in the spec's folder, one that is written below the working directory."""
        path = inside(self.folder, text) if check.is_read else Path(text) if is_relative(text) else None
        if path is not None and (path.is_file() or not check.is_read):
            if check.is_read:
                self.files.add(text)
            return str(path)
        where = "a file in the folder of the spec, or below it" if check.is_read else "a relative path without '..'"
        self.faults.add(ArgumentError(
            f"'{name}' names a file that a spec may not use." if path is None else f"the file of '{name}' does not exist.",
            where=node.span, layer=what, expected=where, got=nodes.shown(node), fix="check the path" if path is not None else "use a path below the spec's folder",
        ))  # fmt: skip
        return MISSING

    def _place(self, error: LayerkitError, node: Node, what: str | None, check: Check | None, owner: type) -> None:
        at = find(node, error.argument) if isinstance(node, nodes.Mapping) and error.argument else None
        error.where, error.layer = (at or node).span, what
        if isinstance(node, Scalar):
            if isinstance(error, ArgumentError):
                error.got = nodes.shown(node)
            if isinstance(error, ArgumentError | UnknownNameError):
                error.fix = _meant(node, check, owner) or error.fix
            if node.written is not None:
                error.notes.append(("written", str(node.written)))
        self.faults.add(error)

    def _layers(self, node: Node, check: OfLayer, name: str, owner: type, what: str | None, default: Any) -> Any:
        if nodes.is_empty(node) and default is None:
            return None
        if isinstance(node, Sequence) and check.several:
            made = [
                self._layer(n) if self._names_layer(n) else self._no_layer(n, check, name, owner, what)
                for n in node.items
            ]
            return MISSING if any(m is MISSING for m in made) else made
        return self._layer(node) if self._names_layer(node) else self._no_layer(node, check, name, owner, what)

    def _names_layer(self, node: Node) -> bool:
        return (isinstance(node, Scalar) and isinstance(node.value, str)) or (
            isinstance(node, nodes.Mapping) and len(node.entries) == 1
        )

    def _layer(self, node: Node) -> Any:
        if node.tag is not None:
            return MISSING
        if isinstance(node, Scalar):
            made = self.make_layer(node, Scalar(None, node.span, ""))
        else:
            assert isinstance(node, nodes.Mapping)
            made = self.make_layer(node.entries[0].key, node.entries[0].value)
        return MISSING if made is None else made

    def _no_layer(self, node: Node, check: OfLayer, name: str, owner: type, what: str | None) -> Any:
        if node.tag is None:
            self.faults.add(
                ArgumentError(
                    f"'{name}' of {owner.__name__} is a layer.",
                    where=node.span,
                    layer=what,
                    expected=check.expected,
                    got=nodes.shown(node),
                    fix=f"write {name}: {{LSTM: {{units: 32}}}}, or another layer",
                )
            )
        return MISSING

    # Things with names: optimizers, losses, initializers

    def of_registry(self, registry: Registry, node: Node, layer: str | None = None) -> bool:
        """Check ``name`` or ``{name: arguments}``; whether there is no fault and no hole in it."""
        if node.tag is not None:
            return False
        if isinstance(node, Scalar) and isinstance(node.value, str):
            key, inner = node, Scalar(None, node.span, "")
        elif isinstance(node, nodes.Mapping) and len(node.entries) == 1:
            key, inner = node.entries[0].key, node.entries[0].value  # type: ignore[assignment]
        else:
            got = ", ".join(e.name for e in node.entries) if isinstance(node, nodes.Mapping) else nodes.shown(node)
            fix = None
            if isinstance(node, Sequence) and len(node.items) == 1:
                fix = "remove the '- ' in front of it"
            if isinstance(node, nodes.Mapping) and len(node.entries) > 1:
                fix = f"one name alone: if '{node.entries[1].name}' belongs to it, write it in braces behind the name; if not, indent it less"
            self.faults.add(
                ArgumentError(
                    f"this is no {registry.kind}.",
                    where=node.span,
                    layer=layer,
                    expected=f"a name of {'an' if registry.kind[0] in 'aeiou' else 'a'} {registry.kind}, or {{name: arguments}}",
                    got=got or "nothing",
                    fix=fix,
                )
            )
            return False
        try:
            cls = registry.find(str(key.value))
        except UnknownNameError as error:
            error.where, error.layer = key.span, layer
            error.fix = slips.called(str(key.value), registry.names) or error.fix
            self.faults.add(error)
            return False
        return self.object_of(cls, inner, key, layer) is not None

    def object_of(self, cls: type, node: Node, key: Scalar, what: str | None) -> Any:
        """An object of ``cls`` with these arguments; None after a fault or where a hole is left."""
        arguments = self.of_class(cls, node, key, what)
        if arguments is None:
            return None
        try:
            return cls(**arguments)
        except LayerkitError as error:
            at = node.get(error.argument) if isinstance(node, nodes.Mapping) and error.argument else None
            error.where, error.layer = at.span if at is not None else key.span, what
            self.faults.add(error)
        except CODE_FAILS as error:  # an argument whose kind is not declared
            found = ArgumentError(f"'{cls.__name__}' cannot be made of these arguments: {nodes.short(str(error) or type(error).__name__)}.",
                                  where=key.span, layer=what, expected="arguments as in its documentation",
                                  got=nodes.short(", ".join(f"{k}={v!r}" for k, v in arguments.items())))  # fmt: skip
            found.__cause__ = error
            self.faults.add(found)
        return None


def _section(name: str) -> str | None:
    """How to mend a section that stands in another one."""
    return (
        f"'{name}' is a section of its own: begin its line in the first column"
        if name in SECTIONS and name != "name"
        else None
    )


def _meant(node: Scalar, check: Check | None, owner: type) -> str | None:
    """How a value that is not allowed was probably meant."""
    value = node.value
    if isinstance(check, Instance) and bool in check.kinds and str(value).lower() in ("yes", "no", "on", "off"):
        return f"write {'true' if str(value).lower() in ('yes', 'on') else 'false'}"
    found = None if check is None or node.text.startswith("$") else slips.mended(value, check, owner)
    if found is None and isinstance(check, Resolved) and check.registry is not None:
        found = slips.called(str(value), check.registry.names)
    if found is not None or not isinstance(value, str):
        return found
    words = [c for c in getattr(check, "choices", ()) if isinstance(c, str)]
    match = nearest(value, words)
    return f"did you mean '{match}'?" if match else None


def find(node: nodes.Mapping, name: str) -> Node | None:
    """The key called ``name`` in a mapping or the mappings in it."""
    for entry in node.entries:
        if entry.key.value == name:
            return entry.key
        if isinstance(entry.value, nodes.Mapping) and (found := find(entry.value, name)) is not None:
            return found
    return None
