"""Nodes to flat steps: ``layers`` with its blocks, repeats and names becomes a list of single calls of layers.

In goes the tree of nodes of a spec, out comes an ``Expansion``: each ``Step`` has its final name, its arguments without
``$``, the tensors that it reads, and the uses of blocks and repeats that led to it. Nothing is made of it yet, and how long
the list may get is limited before it grows.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from builders import nodes
from builders.blocks import Block
from builders.counting import MAX_NESTED, StepCounter, TooManySteps
from builders.faults import Faults
from builders.frames import Frame, Used, first, numbered, own_names, with_first
from builders.items import Item, Items, check_name
from builders.ledger import Common, Ledger
from builders.nodes import Node, Scalar, Sequence
from builders.sharing import Sharing
from builders.steps import Expansion, Ref, Step, Use
from builders.tensors import Tensors
from builders.values import Values
from layerkit.errors import Span
from layerkit.registry import snake_case


class Expander:
    """Makes the ``Expansion``; keeps faults and goes on.

    The steps are kept by its ``ledger``; ``tensors`` finds what they read, ``sharing`` calls layers again.
    """

    def __init__(self, faults: Faults, classes: Mapping[str, type], common: Common | None = None) -> None:
        self.faults, self.classes = faults, classes
        self.ledger = Ledger(faults, common)
        self.items = Items(faults, classes)
        self.tensors = Tensors(faults, classes, self.ledger)
        self.sharing = Sharing(faults, self.ledger, self.tensors)

    def expand(self, root: nodes.Mapping, values: Values, blocks: Mapping[str, Block]) -> Expansion:
        """All of a spec."""
        frame = Frame(values, ChainMap(), blocks, shares=ChainMap())
        try:
            StepCounter(self.classes).count(root.get("layers"), values, blocks)
            found = self._body(root.get("inputs"), root.get("layers"), root.get("outputs"), frame, "a spec")
            found.unused = self._unused(frame)
        except TooManySteps as error:
            found = Expansion({}, self.ledger.steps, self.ledger.too_many(error), self.ledger.broken, self)
        self.ledger.give_names()
        return found

    def _body(
        self, inputs: Node | None, layers: Node | None, outputs: Node | None, frame: Frame, what: str
    ) -> Expansion:
        """The steps of a spec, or of a model in it; their names are given by the ledger."""
        found = self._inputs(inputs, frame)
        self._list(layers, frame)
        ends: Any = frame.last
        if outputs is not None and not nodes.is_empty(outputs):
            ends = self.tensors.reads(frame.values.resolve(outputs), frame, what)
        return Expansion(found, self.ledger.steps, ends, self.ledger.broken, self, frame.uses)

    def inline(self, kind: Scalar, arguments: Node, like: Step, inputs: list[Ref]) -> Any:
        """The steps of one use of a block, as an argument of the layer ``like``; its outputs."""
        frame = Frame(
            Values.none(self.faults), ChainMap(), like.blocks, uses=like.uses, stack=like.stack, shares=ChainMap()
        )
        item = Item(nodes.Entry(kind, arguments), kind.span)
        reads: Any = inputs[0] if len(inputs) == 1 else inputs
        try:
            _, outputs = self._use(item, arguments, frame, reads, f"{like.name}/{kind.value}")
        except TooManySteps as error:
            outputs = {"": self.ledger.too_many(error)}
        self.ledger.give_names()
        return outputs

    def argument(self, kind: Scalar, arguments: Node, like: Step) -> Expansion | None:
        """The steps of a block that is a model, as an argument of the layer ``like``; None after a fault."""
        try:
            return self._model_of(kind, arguments, like)
        except TooManySteps as error:
            self.ledger.too_many(error)
            return None

    def _unused(self, frame: Frame) -> Expansion:
        """The steps of blocks that nothing uses, for their faults; nothing is known of what they read and are given."""
        inner = Expander(self.faults, self.classes, self.ledger.common)
        written = (
            frame.blocks.maps[:2] if isinstance(frame.blocks, ChainMap) else []
        )  # not those that come with layerkit
        for block in [b for some in written for b in some.values()]:
            if id(block) not in self.ledger.common.used:
                inner._unknown_use(block, frame)
        inner.ledger.give_names()
        return Expansion({}, inner.ledger.steps, [], inner.ledger.broken, inner)

    def _unknown_use(self, block: Block, frame: Frame) -> None:
        needed = [name for name, default in block.parameters.items() if default is None]
        hole = {name: Scalar(None, block.span, "", "!choice") for name in needed}
        given = tuple(nodes.Entry(Scalar(name, block.span, name), node) for name, node in hole.items())
        item = Item(nodes.Entry(Scalar(block.name, block.span, block.name), Scalar(None, block.span, "")), block.span)
        arguments = nodes.Mapping(given, block.span)
        bound = block.bind(arguments, block.span, Faults(""))
        if bound is not None:
            StepCounter(self.classes).count(block.layers, bound, block.blocks)
        reads: Any = [self.ledger.unknown() for _ in block.inputs]
        here = replace(frame, blocks=block.blocks, names=ChainMap(), shares=ChainMap(), last=None)
        self._use(item, arguments, here, reads[0] if len(reads) == 1 else reads, None)

    # The parts of a spec

    def _inputs(self, node: Node | None, frame: Frame) -> dict[int, nodes.Entry]:
        found = {}
        if not isinstance(node, nodes.Mapping) or not node.entries:
            frame.last = self.ledger.unknown()
            return {}
        for entry in node.entries:
            ref = Ref(self.ledger.new_id())
            frame.names[entry.name] = ref
            found[ref.id] = nodes.Entry(entry.key, frame.values.resolve(entry.value))
            check_name(entry.key, self.faults)
        frame.last = Ref(next(iter(found))) if len(found) == 1 else None
        return found

    def _list(self, node: Node | None, frame: Frame) -> None:
        if not isinstance(node, Sequence):
            frame.last = self.ledger.unknown()
            return
        frame.later = frozenset(self.items.names(node))
        for item in node.items:
            frame.last = self._item(item, frame)

    # One entry of a list

    def _item(self, node: Node, frame: Frame) -> Ref:
        """Make the steps of an entry; what the next one reads."""
        self.ledger.spend(node.span)
        item = self.items.read(frame.values.head(node), frame.blocks)
        if item is None:
            return self.ledger.unknown()
        name = item.name
        if item.is_bad:
            return frame.give(name, self.ledger.unknown())
        reads = self._given(item, frame)
        if item.repeat is None:
            return self._once(item, frame, reads, name)
        turns = self._turns(item, frame)
        if turns is None:
            return frame.give(name, self.ledger.unknown())
        return self._repeated(item, frame, reads, turns)

    def _given(self, item: Item, frame: Frame) -> Any:
        if item.reads is None:
            if frame.last is None:
                known = ", ".join(frame.names)
                self.faults.report("it is not said what this layer reads.", item.span, expected=f"from: one of {known}",
                                   got="nothing", fix=f"write 'from: {next(iter(frame.names), 'name')}' beside it")  # fmt: skip
                return self.ledger.unknown()
            return frame.last
        return self.tensors.reads(frame.values.resolve(item.reads), frame, "this layer")

    def _turns(self, item: Item, frame: Frame) -> int | None:
        assert item.repeat is not None
        node = frame.values.resolve(item.repeat)
        if node.tag is not None:
            return None
        if not isinstance(node, Scalar) or type(node.value) is not int or node.value < 0:
            self.faults.report(
                "'repeat' is a number of times.", node.span, expected="a whole number >= 0", got=nodes.shown(node)
            )
            return None
        if node.value > self.ledger.common.left:
            self.ledger.spend(node.span, node.value)
        return node.value

    def _repeated(self, item: Item, frame: Frame, reads: Any, turns: int) -> Ref:
        """The body ``turns`` times, each turn on what the one before it made."""
        body = item.layers
        if body is not None and not isinstance(reads, Ref):
            self.faults.report("a repeat begins with one tensor.", item.span, expected="from: one name", got="several")
            reads = self.ledger.unknown()
        if item.turn in frame.values:
            self.faults.report(
                f"'{item.turn}' is the name of a value already.",
                item.span,
                expected="as: another name",
                got=f"as: {item.turn}",
            )
        last = first(reads)
        for turn in range(turns):
            values = frame.values.turn(turn, turns, item.turn, item.span)
            use = Use(f"turn {turn + 1} of {turns}", item.span)
            inner = replace(frame, values=values, uses=(*frame.uses, use))
            if body is None:
                name = f"{item.name}_{turn + 1}" if item.name else None
                last = self._once(item, inner, reads, name)
            else:
                last = self._turn(item, body, inner, last, turn, frame)
            reads = with_first(reads, last)
        if item.name and body is None and turns:  # without a number: of the last turn
            ended = f"{item.name}_{turns}"
            frame.names.update({item.name + k[len(ended) :]: r for k, r in [*frame.names.items()] if k[len(ended) :][:1] in ("/", ".") and k.startswith(ended)})  # fmt: skip
        return frame.give(item.name, last)

    def _turn(self, item: Item, body: Node, inner: Frame, start: Ref, turn: int, frame: Frame) -> Ref:
        """One turn of a repeat that has a list of its own; its names are then known outside with the turn's number."""
        own: dict[str, Ref] = {"input": start}
        shares: dict[str, Used] = {}
        if item.name:
            inner.prefix, inner.suffix = f"{frame.prefix}{item.name}{frame.suffix}_{turn + 1}/", ""
        else:
            inner.suffix = f"{frame.suffix}_{turn + 1}"
        inner.names, inner.shares, inner.last = ChainMap(own, frame.names), ChainMap(shares, frame.shares), start
        if item.is_trainable is not None:
            inner.is_trainable = item.is_trainable
        self._list(body, inner)
        del own["input"]
        for name, ref in own.items():
            outside = f"{item.name}_{turn + 1}/{name}" if item.name else numbered(name, turn, own)
            frame.names[outside] = ref
            if not item.name:
                frame.names[name] = ref  # without a number: of the last turn
        assert inner.last is not None
        return inner.last

    def _once(self, item: Item, frame: Frame, reads: Any, name: str | None) -> Ref:
        """One call of a layer, or one use of a block."""
        if not self._is_free(name, item, frame):
            name = None  # what follows is about the first that has it
        if item.share is not None:
            return self.sharing.once_more(item, frame, reads, name)
        assert item.entry is not None
        arguments = frame.values.resolve(item.entry.value)
        kind = item.entry.key
        if arguments.tag is not None:
            return frame.give(name, self.ledger.unknown())
        if str(kind.value) not in self.classes:
            if frame.blocks[str(kind.value)].entries is not None:
                return frame.give(name, self._model(item, kind, arguments, frame, reads, name))
            frame_now = frame if item.is_trainable is None else replace(frame, is_trainable=item.is_trainable)
            used, outputs = self._use(item, arguments, frame_now, reads, name)
            return frame.export(name, used, outputs)
        ref = self._step(item, kind, arguments, frame, reads, name)
        return frame.give(name, ref)

    def _is_free(self, name: str | None, item: Item, frame: Frame) -> bool:
        if name is None or item.name_node is None or name not in own_names(frame.names):
            return True
        first = self.ledger.names.get(f"{frame.prefix}{name}{frame.suffix}")
        self.faults.report(f"two tensors are called '{name}'.", item.name_node.span, expected="names that differ",
                           got=f"'{name}' also at {first}" if first else name, fix="choose another name for one of them")  # fmt: skip
        return False

    def _step(self, item: Item, kind: Scalar, arguments: Node, frame: Frame, reads: Any, name: str | None) -> Ref:
        call, keys = self.tensors.call(item, frame)
        block = frame.blocks.get(str(kind.value)) if str(kind.value) not in self.classes else None
        base = block.title if block is not None and block.title else snake_case(str(kind.value))
        step = Step(
            self.ledger.new_id(), kind, arguments, reads, call, keys | item.read_keys,
            name=f"{frame.prefix}{name}{frame.suffix}" if name else "", is_named=name is not None,
            base="" if name else f"{frame.prefix}{base}", uses=frame.uses, blocks=frame.blocks, stack=frame.stack,
            is_trainable=item.is_trainable if item.is_trainable is not None else frame.is_trainable,
        )  # fmt: skip
        self.ledger.add(step)
        if name is not None:
            self.ledger.take(step.name, item)
        return Ref(step.id)

    # Blocks

    def _use(
        self, item: Item, arguments: Node, frame: Frame, reads: Any, name: str | None
    ) -> tuple[Used, dict[str, Ref]]:
        """The steps of a block; its outputs, the first one also under ""."""
        assert item.entry is not None
        word = str(item.entry.key.value)
        block = frame.blocks[word]
        start = len(self.ledger.steps)
        values = self._bound(block, word, arguments, item.span, frame.stack)
        given = self._inputs_of(block, reads, item)
        if values is None or given is None or block.layers is None:
            return Used(range(0), (), {}), {"": self.ledger.unknown()}
        full = frame.prefix + (f"{name}{frame.suffix}" if name else self._use_name(word, frame))
        names: ChainMap[str, Ref] = ChainMap(dict(given))
        inner = Frame(
            values, names, block.blocks, next(iter(given.values())), f"{full}/", "",
            (*frame.uses, Use(f"{full} ({word})", item.span, block)), (*frame.stack, word), frame.is_trainable,
            shares=ChainMap(),
        )  # fmt: skip
        with self.faults.within(inner.uses):
            self._list(block.layers, inner)
            outputs = self._outputs_of(block, inner)
        used = Used(range(start, len(self.ledger.steps)), tuple(given.values()), outputs)
        for key, ref in own_names(names).items():
            if key not in given:
                outputs.setdefault(f"/{key}", ref)
        return used, outputs

    def _bound(self, block: Block, word: str, arguments: Node, where: Span, stack: tuple[str, ...]) -> Values | None:
        """The values of the parameters for a use of a block in these blocks; None after a fault."""
        self.ledger.common.used.add(id(block))
        if word in stack:
            cycle = " -> ".join([*stack[stack.index(word) :], word])
            self.faults.report(f"the block '{word}' uses itself.", where, expected="blocks that do not lead back to themselves",
                               got=cycle, fix="write repeat: for a number of times")  # fmt: skip
            return None
        if len(stack) >= MAX_NESTED:
            self.faults.report(
                "blocks use blocks too deeply.", where, expected=f"at most {MAX_NESTED} levels", got="more"
            )
            return None
        return block.bind(arguments, where, self.faults)

    def _model(self, item: Item, kind: Scalar, arguments: Node, frame: Frame, reads: Any, name: str | None) -> Ref:
        """One use of a block that is a model: a single step."""
        given = self._inputs_of(frame.blocks[str(kind.value)], reads, item)
        tensors = [self.ledger.unknown()] if given is None else list(given.values())
        ref = self._step(item, kind, arguments, frame, tensors[0] if len(tensors) == 1 else tensors, name)
        step = self.ledger.by_id[ref.id]
        step.body = self._model_of(kind, arguments, step)
        return ref

    def _model_of(self, kind: Scalar, arguments: Node, like: Step) -> Expansion | None:
        """The steps of a block that is a model, in the place of ``like`` or as its argument; None after a fault."""
        word = str(kind.value)
        block = like.blocks[word]
        values = self._bound(block, word, arguments, kind.span, like.stack)
        if values is None or block.layers is None:
            return None
        uses = (*like.uses, Use(f"{like.name or like.base} ({word})", kind.span, block))
        frame = Frame(values, ChainMap(), block.blocks, uses=uses, stack=(*like.stack, word), shares=ChainMap())
        inner = Expander(self.faults, self.classes, self.ledger.common)
        with self.faults.within(uses):
            found = inner._body(block.entries, block.layers, block.outputs, frame, f"the end of '{block.name}'")
            inner.ledger.give_names()
        return found

    def _use_name(self, word: str, frame: Frame) -> str:
        base = snake_case(word)
        while True:
            number = frame.numbers.get(base, 0)
            frame.numbers[base] = number + 1
            label = f"{base}_{number}" if number else base
            if label not in frame.later:
                return label

    def _inputs_of(self, block: Block, reads: Any, item: Item) -> dict[str, Ref] | None:
        names = list(block.inputs)
        refs = [reads] if isinstance(reads, Ref) else reads
        where = item.reads.span if item.reads is not None else item.span
        if isinstance(refs, dict):
            for key in refs:
                if key not in names:
                    self.faults.unknown(f"the block '{block.name}'", key, item.read_keys.get(key, where), names)
                    return None
            missing = [n for n in names if n not in refs]
            if not missing:
                return {n: refs[n] for n in names}
        elif len(refs) == len(names) and all(isinstance(r, Ref) for r in refs):
            return dict(zip(names, refs, strict=True))
        self.faults.report(
            f"the block '{block.name}' takes {len(names)} tensor{'s' * (len(names) != 1)}.", where, expected=", ".join(names),
            got=", ".join(refs) if isinstance(refs, dict) else str(len(refs)),
        )  # fmt: skip
        return None

    def _outputs_of(self, block: Block, inner: Frame) -> dict[str, Ref]:
        """What a use of the block gives: under "" the first output, and each by its name or number."""
        if nodes.is_empty(block.outputs):
            assert inner.last is not None
            return {"": inner.last}
        assert block.outputs is not None
        found = self.tensors.reads(inner.values.resolve(block.outputs), inner, f"the end of '{block.name}'")
        if isinstance(found, Ref):
            return {"": found}
        named = found if isinstance(found, dict) else {str(i): ref for i, ref in enumerate(found)}
        if not named or not all(isinstance(ref, Ref) for ref in named.values()):
            self.faults.report("a block needs outputs.", block.outputs.span, expected="a name, a list or a mapping of names",
                               got=nodes.kind(block.outputs) if named else "none")  # fmt: skip
            return {"": self.ledger.unknown()}
        return {"": next(iter(named.values())), **{f".{k}": ref for k, ref in named.items()}}
