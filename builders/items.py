"""One entry of a list ``layers``: which of its keys is the layer, and what the others say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from builders import nodes, slips, values
from builders.faults import Faults
from builders.nodes import Entry, Node, Scalar, Sequence
from layerkit.errors import Span, did_you_mean, nearest
from layerkit.fields import signature
from layerkit.records import dataclass

SECTIONS = ("layerkit", "name", "let", "include", "inputs", "blocks", "layers", "outputs", "compile", "fit", "data")
"""The keys of a spec."""
KEYS = ("name", "from", "repeat", "as", "layers", "share", "call", "trainable")
"""The keys of an entry of layers, beside the layer itself."""
MAX_NAME = 200
_NAME = re.compile(r"[\w-][\w .:-]*(/[\w-][\w .:-]*)*")


@dataclass
class Item:
    """An entry, taken apart; nothing in it is computed yet."""

    entry: Entry | None
    """The layer or block with its arguments."""
    span: Span
    name_node: Scalar | None = None
    reads: Node | None = None
    repeat: Node | None = None
    turn: str | None = None
    """The name of the turn's number."""
    layers: Node | None = None
    share: Node | None = None
    call: Node | None = None
    is_trainable: bool | None = None
    is_bad: bool = False

    @property
    def name(self) -> str | None:
        """The name it is given."""
        return str(self.name_node.value) if self.name_node is not None else None

    @property
    def read_keys(self) -> dict[str, Span]:
        """Where the names of ``from: {name: tensor}`` are written."""
        return {e.name: e.key.span for e in self.reads.entries} if isinstance(self.reads, nodes.Mapping) else {}


class Items:
    """Takes entries apart, and says what is wrong with them."""

    def __init__(self, faults: Faults, classes: Mapping[str, type]) -> None:
        self.faults, self.classes = faults, classes

    def names(self, node: Sequence) -> Iterator[str]:
        """The names given in a list."""
        for item in node.items:
            name = nodes.label(item)
            if name is not None:
                yield name

    def read(self, node: Node, blocks: Mapping[str, Any]) -> Item | None:
        """The entry; None if nothing can be made of it, not even its name."""
        if node.tag is not None:
            return None
        if isinstance(node, Scalar) and isinstance(node.value, str):
            node = nodes.Mapping((Entry(node, Scalar(None, node.span, "")),), node.span)
        if not isinstance(node, nodes.Mapping):
            self.faults.report("a layer is its name with its arguments.", node.span, expected="- Dense: {units: 10}", got=nodes.shown(node),
                               fix="remove the empty '- '" if nodes.is_empty(node) else None)  # fmt: skip
            return None
        item = Item(None, node.span)
        kinds = []
        for entry in node.entries:
            if entry.name in KEYS:
                self._option(item, entry)
            else:
                kinds.append(entry)
        self._kind(item, kinds, node, blocks)
        if item.repeat is None and item.turn is not None:
            where = next(e.key.span for e in node.entries if e.name == "as")
            self.faults.report(
                "'as' names the turn of a repeat.",
                where,
                expected="repeat: 2 beside it",
                got="no repeat",
                fix="remove it",
            )
        return item

    def _option(self, item: Item, entry: Entry) -> None:
        name, value = entry.name, entry.value
        if name == "name":
            if isinstance(value, Scalar) and check_name(value, self.faults):
                item.name_node = value
            elif not isinstance(value, Scalar):
                self.faults.report("a name is text.", value.span, expected="text", got=nodes.shown(value))
        elif name == "as":
            if isinstance(value, Scalar) and values.is_name(value, self.faults):
                item.turn = str(value.value)
            elif not isinstance(value, Scalar):
                self.faults.report(
                    "'as' names the number of the turn.", value.span, expected="as: i", got=nodes.shown(value)
                )
        elif name == "trainable":
            if isinstance(value, Scalar) and isinstance(value.value, bool):
                item.is_trainable = value.value
            elif value.tag is None:
                self.faults.report(
                    "'trainable' is true or false.", value.span, expected="true or false", got=nodes.shown(value)
                )
        elif nodes.is_empty(value):
            self.faults.report(
                f"'{name}' says nothing.", entry.key.span, expected=_EXPECTED[name], got="nothing", fix="remove it"
            )
            item.is_bad = item.is_bad or name in ("layers", "repeat", "share")
        else:
            setattr(item, {"from": "reads"}.get(name, name), value)
            if name == "from" and isinstance(value, Sequence | nodes.Mapping) and not any(nodes.children(value)):
                self.faults.report("'from' says nothing.", value.span, expected=_EXPECTED[name], got=nodes.kind(value))
                item.is_bad = True

    def _kind(self, item: Item, kinds: list[Entry], node: nodes.Mapping, blocks: Mapping[str, Any]) -> None:
        """Find out which key is the layer; the other ones are faults."""
        known = [e for e in kinds if e.name in self.classes or e.name in blocks]
        if item.layers is not None or item.share is not None:
            self._without_layer(item, kinds)
            return
        if not kinds:
            self.faults.report("an entry of layers holds one layer.", node.span, expected="one layer, and name: or from: beside it", got="none",
                               fix="begin the entry with a layer: - Dense: {units: 10}")  # fmt: skip
            item.is_bad = True
            return
        item.entry = (known or kinds)[0]
        item.span = item.entry.key.span
        if not known:
            names = [*self.classes, *blocks, *KEYS]
            name = item.entry.name
            self.faults.report(
                f"there is no layer '{nodes.short(name)}'.",
                item.span,
                expected="a layer or a block",
                got=name,
                fix=_nearest_layer(name, names),
            )
            item.is_bad = True
        for entry in kinds:
            if entry is item.entry:
                continue
            if entry in known:
                self.faults.report(
                    "an entry of layers holds one layer.", entry.key.span, expected="one layer, and name: or from: beside it",
                    got=", ".join(e.name for e in known), fix="begin each layer with its own '- '",
                )  # fmt: skip
                item.is_bad = True
            else:
                self._unknown_key(entry, item.entry, blocks)
                item.is_bad = item.is_bad or nodes.is_empty(item.entry.value)

    def _unknown_key(self, entry: Entry, layer: Entry, blocks: Mapping[str, Any]) -> None:
        cls, block = self.classes.get(layer.name), blocks.get(layer.name)
        known = signature(cls).parameters if cls else block.parameters if block else {}
        match = nearest(entry.name, KEYS)
        is_argument = entry.name in known or not match
        fix = f"if it is an argument of {layer.name}, indent it further" if is_argument else f"did you mean '{match}'?"
        if entry.name in known and isinstance(layer.value, Scalar) and layer.value.value is not None:
            fix = f"write all arguments by name: {layer.name}: {{{next(iter(known))}: ..., {entry.name}: ...}}"
        self.faults.report(f"an entry of layers has no key '{nodes.short(entry.name)}'.", entry.key.span, expected=", ".join([layer.name, *KEYS]),
                           got=nodes.short(entry.name), fix=fix)  # fmt: skip

    def _without_layer(self, item: Item, kinds: list[Entry]) -> None:
        what = "layers" if item.layers is not None else "share"
        for entry in kinds:
            self.faults.report(f"an entry with '{what}' holds no layer of its own.", entry.key.span, expected=", ".join(KEYS), got=nodes.short(entry.name),
                               fix="begin each layer with its own '- '")  # fmt: skip
            item.is_bad = True
        if item.layers is not None and item.share is not None:
            self.faults.report("an entry has 'layers' or 'share'.", item.span, expected="one of them", got="both")
            item.is_bad = True
        if item.layers is not None and item.repeat is None:
            self.faults.report("a list of layers in an entry is repeated.", item.layers.span, expected="repeat: 2 beside it", got="no repeat",
                               fix="write 'repeat: 1' to use it once")  # fmt: skip
            item.is_bad = True
        if item.layers is not None and not (isinstance(item.layers, Sequence) or item.layers.tag):
            self.faults.report(
                "'layers' is a list.", item.layers.span, expected="- Dense: {units: 10}", got=nodes.kind(item.layers)
            )
            item.is_bad = True
        if item.call is not None and item.layers is not None:
            self.faults.report(
                "'call' belongs to one layer.", item.call.span, expected="a layer", got="a list of layers"
            )


def is_name(text: Any) -> bool:
    """Whether a text can be the name of a tensor.

    >>> [is_name(text) for text in ("block1/conv", "block1.conv", "a, b", "__class__")]
    [True, True, False, False]
    """
    return (
        isinstance(text, str)
        and len(text) <= MAX_NAME
        and _NAME.fullmatch(text) is not None
        and "__" not in (text[:2], text[-2:])
    )


def check_name(node: Scalar, faults: Faults) -> bool:
    """Whether a text can be the name of a tensor; if not, that is reported."""
    if is_name(node.value):
        return True
    faults.report("this cannot be a name.", node.span, expected="letters, digits, _ and -", got=nodes.shown(node),
                  fix="choose another name")  # fmt: skip
    return False


_EXPECTED = {
    "from": "the name of a tensor", "repeat": "a whole number", "layers": "a list of layers", "share": "the name of a layer",
    "call": "call: {mask: name}",
}  # fmt: skip


def _nearest_layer(name: str, names: list[str]) -> str | None:
    first, _, rest = name.partition(" ")
    if first in names and rest:
        return f"write a colon after the layer: '- {first}: {rest}'"
    first, _, rest = name.partition(":")
    if first in names and rest:
        return f"write a blank after the colon: '- {first}: {rest}'"
    if first in ("Input", "InputLayer", "InputLayer:"):
        return "inputs have a section of their own: inputs: {image: {shape: [8, 8, 1]}}"
    if (fix := slips.called(name, names, "- ")) is not None:
        return fix
    if name[:1].isupper():
        names = [known for known in names if known[:1].isupper()]  # whoever means a layer does not mean a key
    match = nearest(name, names)
    if match:
        return f"did you mean '{match}'?"
    if name[:1].isupper():
        return f"see the layers in the documentation; one of your own is made known from outside: --plugin FILE, or load(layers=[{name}])"
    return did_you_mean(name, sorted(names)) if len(names) < 20 else "see the list of layers in the documentation"
