"""Flat steps to a model: each step's layer is made and called on the tensors that it reads.

A step that is broken is reported once: what reads its tensor is not reported again, all the rest is. Shapes that do not fit
are shown with the layers that led there, and with the uses of blocks and repeats.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

from builders import nodes
from builders.arguments import CODE_FAILS, MISSING, Arguments
from builders.faults import Faults
from builders.nodes import Node, Scalar, Sequence, short
from builders.steps import Expansion, Ref, Step, Use
from layerkit import tree
from layerkit.errors import LayerkitError, ShapeError, Span, UnknownArgumentError, did_you_mean
from layerkit.fields import per_class
from layerkit.ir import show_shape
from layerkit.layers import Input, Layer
from layerkit.models import Model

SHOWN = 6
"""So many of the layers that led to a fault are shown."""


class Graph:
    """The layers and tensors of a spec, as far as they could be made."""

    def __init__(self, faults: Faults, classes: Mapping[str, type[Layer]]) -> None:
        self.faults, self.classes = faults, classes
        self.arguments = Arguments(faults, self._is_layer, self._make)
        self.values: dict[int, Any] = {}
        self.layers: dict[int, Layer] = {}
        self.steps: dict[int, Step] = {}
        self.inputs: dict[int, nodes.Entry] = {}
        self.broken: set[int] = set()
        self.step: Step | None = None
        self.made: dict[Scalar, Model] = {}
        """Blocks that are arguments of the present layer, as models."""

    def build(self, expansion: Expansion) -> tuple[dict[str, Any], Any]:
        """The inputs by name, and the outputs; None after faults."""
        self.expander = expansion.expander
        self.broken = expansion.broken
        self.inputs = expansion.inputs
        for number, entry in expansion.inputs.items():
            self._input(number, entry)
        for step in expansion.steps[:]:
            with self.faults.within(step.uses if step.body is None else step.body.uses):
                self._run(step)
        outputs = self._tensors(expansion.outputs)
        if expansion.unused is not None:
            Graph(self.faults, self.classes).build(expansion.unused)
        inputs = {e.name: self.values[n] for n, e in expansion.inputs.items() if n in self.values}
        return inputs, None if self._unread(expansion) or outputs is MISSING else outputs

    # Inputs

    def _input(self, number: int, entry: nodes.Entry) -> None:
        self.broken.add(number)
        name, what = entry.name, f"{entry.name} (Input)"
        if not isinstance(entry.value, nodes.Mapping):
            if entry.value.tag is None:
                self.faults.report(f"input '{name}' needs a shape.", entry.value.span, layer=what, expected="{shape: [8, 8, 1]}",
                                   got=nodes.shown(entry.value))  # fmt: skip
            return
        before = len(self.faults)
        found = self.arguments.of_function(Input, entry.value, f"input '{name}'", ("name", "tensor"))
        if len(self.faults) > before or nodes.has_hole(entry.value):
            return
        arguments = {k: v.plain() for k, v in found.items()}
        at = entry.value.get("shape")
        with self.faults.caught(at.span if at is not None else entry.key.span, what):
            self.values[number] = Input(**{**arguments, "name": name})
            self.broken.discard(number)

    # Steps

    def _run(self, step: Step) -> None:
        """Make the step's layer and call it."""
        self.step = step
        self.steps[step.id] = step
        is_broken = step.id in self.broken
        self.broken.add(step.id)
        layer = self._layer(step)
        given = self._tensors((step.reads, step.call))
        if layer is None or given is MISSING or is_broken:
            return
        form = self._form(layer, step, *given)
        if form is None:
            return
        args, kwargs = form
        try:
            self.values[step.id] = layer(*args, **kwargs)
            self.broken.discard(step.id)
        except LayerkitError as error:
            self._blame(error, step)
        except CODE_FAILS as error:
            self._blame(_unreadable(layer, args, error), step)

    def _layer(self, step: Step) -> Layer | None:
        if step.share is not None:
            return self.layers.get(step.share)
        layer = self._object(step) if str(step.kind.value) in self.classes else self._model(step.body, step.name)
        if layer is None:
            return None
        layer._span = step.kind.span
        layer.name = step.name
        layer._is_named = step.is_named
        if step.is_named:
            layer._config["name"] = step.name
        if step.is_trainable is not None:
            layer.trainable = step.is_trainable
        self.layers[step.id] = layer
        return layer

    def _model(self, body: Expansion | None, name: str) -> Model | None:
        """A model that is a layer; None after faults."""
        if body is None:
            return None
        graph = Graph(self.faults, self.classes)
        graph.arguments.files = self.arguments.files
        inputs, outputs = graph.build(body)
        if outputs is None or graph.broken:
            return None
        return Model(inputs if len(inputs) > 1 else next(iter(inputs.values())), outputs, name=name)

    def _object(self, step: Step) -> Layer | None:
        """A layer of a class."""
        self.made = {}
        cls = self.classes[str(step.kind.value)]
        what = f"{step.name} ({step.kind.value})"
        layer: Layer | None = self.arguments.object_of(cls, step.arguments, step.kind, what)
        own = (
            next((e.key for e in step.arguments.entries if e.name == "name"), None)
            if isinstance(step.arguments, nodes.Mapping)
            else None
        )
        if own is not None:
            self.faults.report("the name of a layer stands beside it.", own.span, layer=what, expected="name: beside the layer",
                               got="name among its arguments", fix=f"indent it less than the arguments of {step.kind.value}")  # fmt: skip
            return None
        if layer is not None and any(isinstance(x, BlockArgument) for x in layer.flatten_layers()):
            return self._with_blocks(step, cls, what, layer)
        return layer

    def _make(self, key: Scalar, node: Node) -> Layer | None:
        """A layer that is an argument of another."""
        word = str(key.value)
        assert self.step is not None
        if word in self.classes:
            return self.arguments.object_of(self.classes[word], node, key, f"{self.step.name} ({self.step.kind.value})")
        if word in self.step.blocks:
            block = self.step.blocks[word]
            if key not in self.made and block.entries is not None:
                model = self._model(self.expander.argument(key, node, self.step), block.title or word)
                if model is None:
                    return None
                self.made[key] = model
            return self.made.get(key) or BlockArgument(key, node)
        known = [*self.classes, *self.step.blocks]
        self.faults.report(f"there is no layer '{word}'.", key.span, layer=f"{self.step.name} ({self.step.kind.value})",
                           expected="a layer or a block", got=word, fix=did_you_mean(word, known))  # fmt: skip
        return None

    def _is_layer(self, name: str) -> bool:
        return name in self.classes or (self.step is not None and name in self.step.blocks)

    def _form(
        self, layer: Layer, step: Step, reads: Any, call: dict[str, Any]
    ) -> tuple[list[Any], dict[str, Any]] | None:
        """The arguments of the call: by place as far as possible, the others by name."""
        names, needed, takes_any = call_parameters(type(layer))
        what = f"{step.name} ({type(layer).__name__})"
        allowed = [*names, "training"] if "training" not in names else names
        named = dict(call)
        first: list[Any]
        if isinstance(reads, dict) and (len(needed) > 1 or set(reads) <= set(names)):
            first, named = [], {**reads, **named}
        elif isinstance(reads, list) and len(needed) > 1:
            first = reads
        else:
            first = [reads]
        for key in named:
            if key not in allowed and not takes_any:
                self.faults.unknown(
                    f"the call of '{type(layer).__name__}'", key, step.keys.get(key, step.kind.span), allowed, what
                )
                return None
        places = list(first)
        for name in needed[len(places) :]:
            if name not in named:
                break
            places.append(named.pop(name))
        missing = [n for n in needed[len(places) :] if n not in named]
        if missing or len(first) > len(names):
            error = UnknownArgumentError(
                f"'{type(layer).__name__}' reads {len(needed)} tensors.", where=self._where_read(step), layer=what,
                expected=f"from: [{', '.join(needed)}]", got=f"{len(places)} tensor{'s' * (len(places) != 1)}",
                fix=f"write from: {{{', '.join(f'{n}: ...' for n in needed)}}}",
            )  # fmt: skip
            self.faults.add(error)
            return None
        return places, named

    def _where_read(self, step: Step) -> Span:
        refs = tree.leaves(step.reads)
        return next((r.span for r in refs if r.span is not None), step.kind.span)

    # Tensors

    def _tensors(self, refs: Any) -> Any:
        """Refs replaced by tensors; ``MISSING`` if one of them is broken."""
        leaves, structure = tree.flatten(refs)
        if any(isinstance(x, Ref) and x.id in self.broken for x in leaves):
            return MISSING
        found = [self._select(x) if isinstance(x, Ref) else x for x in leaves]
        return MISSING if any(x is MISSING for x in found) else tree.unflatten(structure, found)

    def _select(self, ref: Ref) -> Any:
        """The tensor that a name stands for: the first output, or the one after the dot."""
        value = self.values[ref.id]
        if ref.output is None:
            while isinstance(value, list | tuple | dict):
                value = next(iter(value.values() if isinstance(value, dict) else value))
            return value
        layer = self.layers.get(self.steps[ref.id].share or ref.id) if ref.id in self.steps else None
        names = (
            [*value]
            if isinstance(value, dict)
            else []
            if isinstance(layer, Model)
            else list(getattr(layer, "output_names", ()))
        )
        listed = (
            list(value.values())
            if isinstance(value, dict)
            else list(value)
            if isinstance(value, list | tuple)
            else [value]
        )
        if len(names) < len(listed):
            names = []
        if ref.output in names[: len(listed)]:
            return listed[names.index(ref.output)]
        if ref.output.isdigit() and int(ref.output) < len(listed):
            return listed[int(ref.output)]
        known = [*names[: len(listed)], *map(str, range(len(listed)))]
        what = layer.describe() if layer is not None else "an input"
        self.faults.report(
            f"there is no output '{ref.output}'.", ref.span, layer=what, got=ref.output,
            expected=", ".join(known) if len(listed) > 1 else "one output, without a dot",
            fix="ask for it with return_state: true" if len(listed) == 1 and hasattr(layer, "return_state") else did_you_mean(ref.output, known),
        )  # fmt: skip
        return MISSING

    def _unread(self, expansion: Expansion) -> bool:
        """Whether inputs or layers lead nowhere: something is missing in the file, which is no reason to drop them."""
        read = {r.id for s in expansion.steps for r in tree.leaves((s.reads, s.call)) if isinstance(r, Ref)}
        read |= {r.id for r in tree.leaves(expansion.outputs)}
        inputs = [entry for number, entry in expansion.inputs.items() if number not in read]
        steps, unread = _unread_steps(expansion, read)
        if len(self.faults) or self.broken:
            return bool(inputs or steps or unread)
        for entry in inputs:
            self.faults.report(f"nothing reads the input '{entry.name}'.", entry.key.span, layer=f"{entry.name} (Input)",
                               expected="a layer that reads it", got="none", fix=f"write from: {entry.name} beside a layer, or remove it")  # fmt: skip
        for step in steps:
            fix = "name it in outputs:, let another layer read it, or remove it"
            self.faults.report(f"nothing reads the layer '{step.name}'.", step.kind.span, layer=f"{step.name} ({step.kind.value})",
                               expected="a layer that reads it, or outputs: with its name", got="none", fix=fix)  # fmt: skip
        for use in unread:
            self.faults.report(f"nothing reads what {use.name} makes.", use.where, layer=use.name,
                               expected="a layer that reads it, or outputs: with its name", got="none",
                               fix="name it in outputs:, let another layer read it, or remove it")  # fmt: skip
        return bool(inputs or steps or unread)

    # Blocks as arguments

    def _with_blocks(self, step: Step, cls: type, what: str, layer: Layer) -> Layer | None:
        """The layer once more, with models in the place of blocks: the layer itself says what these read."""
        for _ in range(SHOWN):
            given = self._tensors((step.reads, step.call))
            form = None if given is MISSING else self._form(layer, step, *given)
            if form is None:
                return None
            try:
                layer(*form[0], **form[1])
                return layer
            except _Asked as error:
                asked = error
            except LayerkitError as error:
                self._blame(error, step)
                return None
            except CODE_FAILS as error:
                self._blame(_unreadable(layer, form[0], error), step)
                return None
            made, self.made = self.made, {}
            model = self._block_model(asked, step)
            self.made = made
            if model is None:
                return None
            self.made[asked.block.key] = model
            layer = self.arguments.object_of(cls, step.arguments, step.kind, what)
            if layer is None:
                return None
        return layer

    def _block_model(self, asked: _Asked, step: Step) -> Model | None:
        key, node = asked.block.key, asked.block.node
        first = len(self.expander.ledger.steps)
        entries: list[Ref] = []
        for value in asked.values:
            sizes = [n if isinstance(n, int) else None for n in value.shape]
            ref = Ref(self.expander.ledger.new_id())
            self.values[ref.id] = Input(sizes[1:], dtype=value.dtype)
            entries.append(ref)
        before = len(self.faults)
        outputs = self.expander.inline(key, node, step, entries)
        for inner in self.expander.ledger.steps[first:]:
            inner.name = inner.name.removeprefix(f"{step.name}/{key.value}/")  # the model has names of its own
            inner.is_named = not inner.base or "/" in inner.name
            self._run(inner)
        del self.expander.ledger.steps[first:]
        self.step = step
        out = self._tensors(outputs[""])
        if out is MISSING or len(self.faults) > before:
            return None
        return Model(self.values[entries[0].id], out, name=str(key.value))

    # Faults

    def _blame(self, error: LayerkitError, step: Step) -> None:
        """Say where and why the call of a step failed."""
        error.where = step.kind.span
        error.layer = f"{step.name} ({step.kind.value})"
        if isinstance(step.arguments, nodes.Mapping) and error.argument:
            at = step.arguments.get(error.argument)
            error.where = at.span if at is not None else error.where
        error.fix = self._fix_of_input(step, error) or error.fix
        lines = self._chain(step)
        error.notes += [("before" if i == 0 else "", line) for i, line in enumerate(lines)]
        self.faults.add(error)

    def _fix_of_input(self, step: Step, error: LayerkitError) -> str | None:
        """What to write for the shape of an input that is read with an axis too many or too few."""
        entry = self.inputs.get(step.reads.id) if isinstance(step.reads, Ref) else None
        axes = re.match(r"'\w+' needs (\d+) axes", error.summary)
        if entry is None or axes is None or not isinstance(entry.value, nodes.Mapping):
            return None
        shape = entry.value.get("shape")
        sizes = shape.plain() if isinstance(shape, Sequence) and not nodes.has_hole(shape) else []
        if len(sizes) == int(axes[1]) and sizes[0] is None:
            told, why = sizes[1:], "a shape is that of one sample, without the batch"
        elif len(sizes) == int(axes[1]) - 2:
            told, why = [*sizes, 1], "the last axis counts channels, or features"
        else:
            return None
        return f"inputs: {{{entry.name}: {{shape: {told}}}}}: {why}".replace("None", "null")

    def _chain(self, step: Step) -> list[str]:
        """The nearest steps that led to this one, with what they give, in the order of the file."""
        seen: dict[int, None] = {}
        queue = [r.id for r in tree.leaves((step.reads, step.call)) if isinstance(r, Ref)]
        while queue and len(seen) < SHOWN:
            number = queue.pop(0)
            if number in seen or number not in self.values:
                continue
            seen[number] = None
            if number in self.steps:
                queue += [
                    r.id for r in tree.leaves((self.steps[number].reads, self.steps[number].call)) if isinstance(r, Ref)
                ]
        rows = [self._shown(number) for number in sorted(seen)]
        widths = [max((len(row[i]) for row in rows), default=0) for i in range(2)]
        return [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c}" for a, b, c in rows]

    def _shown(self, number: int) -> tuple[str, str, str]:
        shapes = ", ".join(show_shape(v.shape) for v in tree.leaves(self.values[number]))
        if number in self.steps:
            step = self.steps[number]
            return f"{step.name} ({step.kind.value})", shapes, str(step.kind.span)
        entry = self.inputs.get(number)
        return (f"{entry.name} (Input)", shapes, str(entry.key.span)) if entry else ("input", shapes, "")


def _unreadable(layer: Layer, args: list[Any], error: Exception) -> LayerkitError:
    """The fault of a layer whose code fails: mostly it is given a list, and reads one tensor."""
    kind = type(layer).__name__
    got = ", ".join(
        show_shape(x.shape) if hasattr(x, "shape") else "a mapping" if isinstance(x, dict) else "a list" for x in args
    )
    if all(hasattr(x, "shape") for x in args):
        told = short(str(error) or type(error).__name__)
        found = ShapeError(f"'{kind}' cannot read this: {told}.", expected="what its call takes", got=got)
    else:
        found = ShapeError(
            f"'{kind}' reads one tensor.",
            expected="from: name",
            got=got,
            fix="merge the tensors first: Concatenate, or Add",
        )
    found.__cause__ = error
    return found


class BlockArgument(Layer):
    """Stands for a block as an argument of a layer, until it is known what it reads."""

    def __init__(self, key: Scalar, node: Node) -> None:
        super().__init__()
        self.key, self.node = key, node

    def call(self, *values: Any, **kwargs: Any) -> Any:
        raise _Asked(self, values)


class _Asked(Exception):
    """The layer around a block calls it on these tensors."""

    def __init__(self, block: BlockArgument, values: tuple[Any, ...]) -> None:
        super().__init__()
        self.block, self.values = block, values


@per_class
def call_parameters(cls: type) -> tuple[list[str], list[str], bool]:
    """The names of what ``call`` takes, of those the ones without a default, and whether it takes any name."""
    parameters = list(inspect.signature(cls.call).parameters.values())[1:]  # type: ignore[attr-defined]
    kinds = inspect.Parameter
    named = [p for p in parameters if p.kind not in (kinds.VAR_KEYWORD, kinds.VAR_POSITIONAL)]
    needed = [p.name for p in named if p.default is kinds.empty]
    return [p.name for p in named], needed, any(p.kind is kinds.VAR_KEYWORD for p in parameters)


def _unread_steps(expansion: Expansion, read: set[int]) -> tuple[list[Step], list[Use]]:
    """Layers outside blocks that nothing reads, and uses of blocks of which nothing outside reads anything."""
    steps: list[Step] = []
    uses: dict[int, Use] = {}
    within: dict[int, int] = {}  # step -> its use
    for step in expansion.steps:
        use = next((use for use in step.uses[len(expansion.uses) :] if use.block), None)
        if use is not None:
            uses[id(use)], within[step.id] = use, id(use)
        elif step.id not in read:
            steps.append(step)
    found = {within.get(r.id) for r in tree.leaves(expansion.outputs)}
    for step in expansion.steps:
        refs = (r for r in tree.leaves((step.reads, step.call)) if isinstance(r, Ref))
        found |= {within.get(r.id) for r in refs if within.get(r.id) != within.get(step.id)}
    return steps, [use for key, use in uses.items() if key not in found]
