"""Nodes to flat steps: ``layers`` with its blocks, repeats and names becomes a list of single calls of layers.

In goes the tree of nodes of a spec, out comes an ``Expansion``: each ``Step`` has its final name, its arguments without
``$``, the tensors that it reads, and the uses of blocks and repeats that led to it. Nothing is made of it yet, and how long
the list may get is limited before it grows.
"""

from __future__ import annotations

from collections import ChainMap, Counter
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

from builders import nodes
from builders.blocks import Block
from builders.counting import MAX_NESTED, MAX_STEPS, StepCounter, TooManySteps
from builders.faults import Faults
from builders.frames import Frame, Used, first, numbered, own_names, with_first
from builders.items import Item, Items, check_name
from builders.nodes import Node, Scalar, Sequence
from builders.steps import Expansion, Ref, Step, Use
from builders.values import Values
from layerkit.errors import MANY, Span, did_you_mean, listed, nearest
from layerkit.records import dataclass
from layerkit.registry import snake_case


@dataclass
class _Common:
    """What the steps of a spec, and those of models in it, have in common."""

    left: int = MAX_STEPS
    """Steps that there may still be."""
    used: set[int] = field(default_factory=set)
    """The blocks that are used somewhere."""


class Expander:
    """Makes the ``Expansion``; keeps faults and goes on."""

    def __init__(self, faults: Faults, classes: Mapping[str, type], common: _Common | None = None) -> None:
        self.faults, self.classes = faults, classes
        self.steps: list[Step] = []
        self._by_id: dict[int, Step] = {}
        self.broken: set[int] = set()
        self.items = Items(faults, classes)
        self._ids = 0
        self._common = common or _Common()
        self._names: dict[str, Span] = {}
        self._numbers: dict[str, int] = {}

    def expand(self, root: nodes.Mapping, values: Values, blocks: Mapping[str, Block]) -> Expansion:
        """All of a spec."""
        frame = Frame(values, ChainMap(), blocks, shares=ChainMap())
        try:
            StepCounter(self.classes).count(root.get("layers"), values, blocks)
            found = self._body(root.get("inputs"), root.get("layers"), root.get("outputs"), frame, "a spec")
            found.unused = self._unused(frame)
        except TooManySteps as error:
            found = Expansion({}, self.steps, self._too_many(error), self.broken, self)
        self._number()
        return found

    def _body(
        self, inputs: Node | None, layers: Node | None, outputs: Node | None, frame: Frame, what: str
    ) -> Expansion:
        """The steps of a spec, or of a model in it; their names are given by ``_number``."""
        found = self._inputs(inputs, frame)
        self._list(layers, frame)
        ends: Any = frame.last
        if outputs is not None and not nodes.is_empty(outputs):
            ends = self._reads(frame.values.resolve(outputs), frame, what)
        return Expansion(found, self.steps, ends, self.broken, self, frame.uses)

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
            outputs = {"": self._too_many(error)}
        self._number()
        return outputs

    def argument(self, kind: Scalar, arguments: Node, like: Step) -> Expansion | None:
        """The steps of a block that is a model, as an argument of the layer ``like``; None after a fault."""
        try:
            return self._model_of(kind, arguments, like)
        except TooManySteps as error:
            self._too_many(error)
            return None

    def _unused(self, frame: Frame) -> Expansion:
        """The steps of blocks that nothing uses, for their faults; nothing is known of what they read and are given."""
        inner = Expander(self.faults, self.classes, self._common)
        written = (
            frame.blocks.maps[:2] if isinstance(frame.blocks, ChainMap) else []
        )  # not those that come with layerkit
        for block in [b for some in written for b in some.values()]:
            if id(block) not in self._common.used:
                inner._unknown_use(block, frame)
        inner._number()
        return Expansion({}, inner.steps, [], inner.broken, inner)

    def _unknown_use(self, block: Block, frame: Frame) -> None:
        needed = [name for name, default in block.parameters.items() if default is None]
        hole = {name: Scalar(None, block.span, "", "!choice") for name in needed}
        given = tuple(nodes.Entry(Scalar(name, block.span, name), node) for name, node in hole.items())
        item = Item(nodes.Entry(Scalar(block.name, block.span, block.name), Scalar(None, block.span, "")), block.span)
        arguments = nodes.Mapping(given, block.span)
        bound = block.bind(arguments, block.span, Faults(""))
        if bound is not None:
            StepCounter(self.classes).count(block.layers, bound, block.blocks)
        reads: Any = [self._unknown() for _ in block.inputs]
        here = replace(frame, blocks=block.blocks, names=ChainMap(), shares=ChainMap(), last=None)
        self._use(item, arguments, here, reads[0] if len(reads) == 1 else reads, None)

    # The parts of a spec

    def _inputs(self, node: Node | None, frame: Frame) -> dict[int, nodes.Entry]:
        found = {}
        if not isinstance(node, nodes.Mapping) or not node.entries:
            frame.last = self._unknown()
            return {}
        for entry in node.entries:
            ref = Ref(self._id())
            frame.names[entry.name] = ref
            found[ref.id] = nodes.Entry(entry.key, frame.values.resolve(entry.value))
            check_name(entry.key, self.faults)
        frame.last = Ref(next(iter(found))) if len(found) == 1 else None
        return found

    def _list(self, node: Node | None, frame: Frame) -> None:
        if not isinstance(node, Sequence):
            frame.last = self._unknown()
            return
        frame.later = frozenset(self.items.names(node))
        for item in node.items:
            frame.last = self._item(item, frame)

    # One entry of a list

    def _item(self, node: Node, frame: Frame) -> Ref:
        """Make the steps of an entry; what the next one reads."""
        self._spend(node.span)
        item = self.items.read(frame.values.head(node), frame.blocks)
        if item is None:
            return self._unknown()
        name = item.name
        if item.is_bad:
            return self._named(frame, name, self._unknown())
        reads = self._given(item, frame)
        if item.repeat is None:
            return self._once(item, frame, reads, name)
        turns = self._turns(item, frame)
        if turns is None:
            return self._named(frame, name, self._unknown())
        return self._repeated(item, frame, reads, turns)

    def _given(self, item: Item, frame: Frame) -> Any:
        if item.reads is None:
            if frame.last is None:
                known = ", ".join(frame.names)
                self.faults.report("it is not said what this layer reads.", item.span, expected=f"from: one of {known}",
                                   got="nothing", fix=f"write 'from: {next(iter(frame.names), 'name')}' beside it")  # fmt: skip
                return self._unknown()
            return frame.last
        return self._reads(frame.values.resolve(item.reads), frame, "this layer")

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
        if node.value > self._common.left:
            self._spend(node.span, node.value)
        return node.value

    def _repeated(self, item: Item, frame: Frame, reads: Any, turns: int) -> Ref:
        """The body ``turns`` times, each turn on what the one before it made."""
        body = item.layers
        if body is not None and not isinstance(reads, Ref):
            self.faults.report("a repeat begins with one tensor.", item.span, expected="from: one name", got="several")
            reads = self._unknown()
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
        return self._named(frame, item.name, last)

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
            return self._shared(item, frame, reads, name)
        assert item.entry is not None
        arguments = frame.values.resolve(item.entry.value)
        kind = item.entry.key
        if arguments.tag is not None:
            return self._named(frame, name, self._unknown())
        if str(kind.value) not in self.classes:
            if frame.blocks[str(kind.value)].entries is not None:
                return self._named(frame, name, self._model(item, kind, arguments, frame, reads, name))
            frame_now = frame if item.is_trainable is None else replace(frame, is_trainable=item.is_trainable)
            used, outputs = self._use(item, arguments, frame_now, reads, name)
            return self._export(frame, name, used, outputs)
        ref = self._step(item, kind, arguments, frame, reads, name)
        return self._named(frame, name, ref)

    def _is_free(self, name: str | None, item: Item, frame: Frame) -> bool:
        if name is None or item.name_node is None or name not in own_names(frame.names):
            return True
        first = self._names.get(f"{frame.prefix}{name}{frame.suffix}")
        self.faults.report(f"two tensors are called '{name}'.", item.name_node.span, expected="names that differ",
                           got=f"'{name}' also at {first}" if first else name, fix="choose another name for one of them")  # fmt: skip
        return False

    def _step(self, item: Item, kind: Scalar, arguments: Node, frame: Frame, reads: Any, name: str | None) -> Ref:
        call, keys = self._call(item, frame)
        block = frame.blocks.get(str(kind.value)) if str(kind.value) not in self.classes else None
        base = block.title if block is not None and block.title else snake_case(str(kind.value))
        step = Step(
            self._id(), kind, arguments, reads, call, keys | item.read_keys,
            name=f"{frame.prefix}{name}{frame.suffix}" if name else "", is_named=name is not None,
            base="" if name else f"{frame.prefix}{base}", uses=frame.uses, blocks=frame.blocks, stack=frame.stack,
            is_trainable=item.is_trainable if item.is_trainable is not None else frame.is_trainable,
        )  # fmt: skip
        self._add(step)
        if name is not None:
            self._take(step.name, item)
        return Ref(step.id)

    def _add(self, step: Step) -> None:
        self.steps.append(step)
        self._by_id[step.id] = step

    def _take(self, name: str, item: Item) -> None:
        """Note the full name of a layer; two layers may not share one."""
        where = item.name_node.span if item.name_node is not None else item.span
        if name in self._names:
            self.faults.report(f"two layers are called '{name}'.", where, expected="names that differ",
                               got=f"'{name}' also at {self._names[name]}", fix="choose another name for one of them")  # fmt: skip
        self._names.setdefault(name, where)

    def _call(self, item: Item, frame: Frame) -> tuple[dict[str, Any], dict[str, Span]]:
        """The further arguments of the call: texts are names of tensors."""
        if item.call is None:
            return {}, {}
        node = frame.values.resolve(item.call)
        if not isinstance(node, nodes.Mapping):
            self.faults.report("'call' is a mapping.", node.span, expected="call: {mask: name}", got=nodes.kind(node))
            return {}, {}

        def value(node: Node) -> Any:
            if node.tag is not None:
                return self._unknown()
            if isinstance(node, Scalar):
                return self._tensor(node, frame, "this layer") if isinstance(node.value, str) else node.value
            if isinstance(node, Sequence):
                return [value(n) for n in node.items]
            return {e.name: value(e.value) for e in node.entries}

        return {e.name: value(e.value) for e in node.entries}, {e.name: e.key.span for e in node.entries}

    # Tensors by name

    def _reads(self, node: Node, frame: Frame, what: str) -> Any:
        if node.tag is not None:
            return self._unknown()
        if isinstance(node, Scalar):
            return self._tensor(node, frame, what)
        if isinstance(node, Sequence):
            return [self._reads(n, frame, what) for n in node.items]
        return {e.name: self._reads(e.value, frame, what) for e in node.entries}

    def _tensor(self, node: Scalar, frame: Frame, what: str) -> Ref:
        name = str(node.value) if node.value is not None else ""
        told = nodes.short(name)
        found, output = frame.names.get(name), None
        if found is None and "." in name:
            base, _, output = name.rpartition(".")
            found = frame.names.get(base)
        if found is not None:
            return Ref(found.id, output if output is not None else found.output, node.span)
        known = list(frame.names)
        parts = [part.strip() for part in name.split(",")]
        fix: str | None
        if len(parts) > 1 and all(part.partition(".")[0] in frame.names for part in parts):
            fix = f"write brackets around several tensors: [{name}]"
        elif name in frame.later:
            fix = f"'{name}' is made after it: change the order"
        else:
            fix = self._fix(name.partition(".")[0], known, frame)
        self.faults.report(f"there is no tensor '{told}' before {what}." if what != "a spec" else f"there is no tensor '{told}'.",
                           node.span, expected=listed(known), got=nodes.shown(node), fix=fix)  # fmt: skip
        return self._unknown()

    def _fix(self, name: str, known: list[str], frame: Frame) -> str | None:
        """How to mend a tensor's name that is not known: the nearest, or the layer that has to be given one."""
        unnamed: dict[str, Step] = {}
        numbers: Counter[str] = Counter()
        for step in self.steps[:MANY]:
            base = step.base.removeprefix(frame.prefix)
            if not step.name and step.share is None and step.base.startswith(frame.prefix) and "/" not in base:
                unnamed[f"{base}_{numbers[base]}" if numbers[base] else base] = step
                numbers[base] += 1
        match = name if name in unnamed else nearest(name, [*known, *unnamed])
        if match in unnamed:
            told = nodes.short(match)
            here = "" if match == name else f", and '{told}' here"
            return f"tensors have the names that they are given: write 'name: {told}' beside the layer at {unnamed[match].kind.span}{here}"
        if frame.blocks.get(name) or name in self.classes:
            return "give that layer a name of its own: write 'name: ...' beside it"
        if match is None and unnamed:
            return f"use one of {listed(known)}, or give the layer that is meant a name: write 'name: ...' beside it"
        return did_you_mean(name, known) if known else None

    def _named(self, frame: Frame, name: str | None, ref: Ref) -> Ref:
        if name is not None:
            frame.names[name] = ref
        return ref

    # Blocks

    def _use(
        self, item: Item, arguments: Node, frame: Frame, reads: Any, name: str | None
    ) -> tuple[Used, dict[str, Ref]]:
        """The steps of a block; its outputs, the first one also under ""."""
        assert item.entry is not None
        word = str(item.entry.key.value)
        block = frame.blocks[word]
        start = len(self.steps)
        values = self._bound(block, word, arguments, item.span, frame.stack)
        given = self._inputs_of(block, reads, item)
        if values is None or given is None or block.layers is None:
            return Used(range(0), (), {}), {"": self._unknown()}
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
        used = Used(range(start, len(self.steps)), tuple(given.values()), outputs)
        for key, ref in own_names(names).items():
            if key not in given:
                outputs.setdefault(f"/{key}", ref)
        return used, outputs

    def _bound(self, block: Block, word: str, arguments: Node, where: Span, stack: tuple[str, ...]) -> Values | None:
        """The values of the parameters for a use of a block in these blocks; None after a fault."""
        self._common.used.add(id(block))
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
        tensors = [self._unknown()] if given is None else list(given.values())
        ref = self._step(item, kind, arguments, frame, tensors[0] if len(tensors) == 1 else tensors, name)
        step = self._by_id[ref.id]
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
        inner = Expander(self.faults, self.classes, self._common)
        with self.faults.within(uses):
            found = inner._body(block.entries, block.layers, block.outputs, frame, f"the end of '{block.name}'")
            inner._number()
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
        found = self._reads(inner.values.resolve(block.outputs), inner, f"the end of '{block.name}'")
        if isinstance(found, Ref):
            return {"": found}
        named = found if isinstance(found, dict) else {str(i): ref for i, ref in enumerate(found)}
        if not named or not all(isinstance(ref, Ref) for ref in named.values()):
            self.faults.report("a block needs outputs.", block.outputs.span, expected="a name, a list or a mapping of names",
                               got=nodes.kind(block.outputs) if named else "none")  # fmt: skip
            return {"": self._unknown()}
        return {"": next(iter(named.values())), **{f".{k}": ref for k, ref in named.items()}}

    def _export(self, frame: Frame, name: str | None, used: Used, outputs: dict[str, Ref]) -> Ref:
        if name is not None:
            for end, ref in outputs.items():
                frame.names[name + end] = ref
            frame.shares[name] = used
        return outputs[""]

    # Shared layers

    def _shared(self, item: Item, frame: Frame, reads: Any, name: str | None) -> Ref:
        node = frame.values.resolve(item.share) if item.share is not None else None
        if node is None or node.tag is not None:
            return self._named(frame, name, self._unknown())
        word = str(node.value) if isinstance(node, Scalar) else nodes.kind(node)
        if word in frame.shares:
            return self._share_block(frame.shares[word], item, frame, reads, name)
        ref = frame.names.get(word)
        source = None if ref is None else self._by_id.get(ref.id)
        if source is None or ref is None or ref.id in self.broken:
            if ref is None or ref.id not in self.broken:
                known = [n for n, r in frame.names.items() if r.id in self._by_id]
                self.faults.report(f"there is no layer '{nodes.short(word)}' before this entry.", node.span, expected=listed(known) or "a named layer",
                                   got=nodes.shown(node), fix=did_you_mean(word, known) if known else None)  # fmt: skip
            return self._named(frame, name, self._unknown())
        call, keys = self._call(item, frame)
        origin = source.id if source.share is None else source.share
        step = replace(source, id=self._id(), reads=reads, call=call, keys=keys | item.read_keys, share=origin, body=None, uses=frame.uses,
                       kind=replace(source.kind, span=item.span))  # fmt: skip
        self._add(step)
        return self._named(frame, name, Ref(step.id))

    def _share_block(self, used: Used, item: Item, frame: Frame, reads: Any, name: str | None) -> Ref:
        """The steps of a use once more, with the layers of that use."""
        given = [reads] if isinstance(reads, Ref) else list(reads.values()) if isinstance(reads, dict) else reads
        if len(given) != len(used.inputs):
            self.faults.report("a shared block takes as many tensors as at its first use.", item.span, expected=str(len(used.inputs)),
                               got=str(len(given)))  # fmt: skip
            return self._named(frame, name, self._unknown())
        now = {(old.id, old.output): new for old, new in zip(used.inputs, given, strict=True)}

        def there(x: Any) -> Any:
            if isinstance(x, Ref):
                found = now.get((x.id, x.output)) or now.get((x.id, None))
                return x if found is None else Ref(found.id, found.output or x.output, x.span)
            if isinstance(x, list):
                return [there(v) for v in x]
            return {k: there(v) for k, v in x.items()} if isinstance(x, dict) else x

        start = len(self.steps)
        for number in used.steps:
            self._spend(item.span)
            source = self.steps[number]
            step = replace(source, id=self._id(), reads=there(source.reads), call=there(source.call), body=None, uses=(*frame.uses, Use("a shared block", item.span)),
                           share=source.id if source.share is None else source.share)  # fmt: skip
            now[source.id, None] = Ref(step.id)
            if source.id in self.broken:
                self.broken.add(step.id)
            self._add(step)
        outputs = {k: there(ref) for k, ref in used.outputs.items()}
        return self._export(frame, name, Used(range(start, len(self.steps)), tuple(given), outputs), outputs)

    # Counting

    def _id(self) -> int:
        self._ids += 1
        return self._ids

    def _unknown(self) -> Ref:
        """A tensor of which nothing is said: a fault is reported already, or a hole decides."""
        ref = Ref(self._id())
        self.broken.add(ref.id)
        return ref

    def _spend(self, where: Span, steps: int = 1) -> None:
        self._common.left -= steps
        if self._common.left < 0:
            raise TooManySteps(where)

    def _too_many(self, error: TooManySteps) -> Ref:
        """Report that the limit is reached, and drop what there is so far."""
        self.faults.report("the spec has too many layers.", error.where, expected=f"at most {MAX_STEPS} with all repeats and blocks",
                           got="more", fix="a smaller repeat")  # fmt: skip
        self.steps.clear()
        return self._unknown()

    def _number(self) -> None:
        """Give layers without a name the name of their class, numbered as Keras does."""
        for step in self.steps:
            if step.name or step.share is not None:
                continue
            step.name = step.base
            while step.name in self._names:
                self._numbers[step.base] = self._numbers.get(step.base, 0) + 1
                step.name = f"{step.base}_{self._numbers[step.base]}"
            self._names[step.name] = step.kind.span
            step.is_named = "/" in step.name
        for step in self.steps:
            if step.share is not None:
                step.name = self._by_id[step.share].name
