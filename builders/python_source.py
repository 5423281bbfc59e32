"""A spec to Python: ``to_python(spec)`` is the text of a program that builds, trains and evaluates the same model."""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from builders.calls import Call, Formula, Repeat, Word
from builders.outline import Outline, compiled, outline
from builders.spec import Spec
from layerkit import tree
from layerkit.constraints import CONSTRAINTS
from layerkit.fields import Configurable, signature
from layerkit.initializers import INITIALIZERS
from layerkit.layers import LAYERS
from layerkit.losses import LOSSES
from layerkit.metrics import METRICS
from layerkit.optimizers import OPTIMIZERS
from layerkit.optimizers.schedules import SCHEDULES
from layerkit.regularizers import REGULARIZERS
from layerkit.training.callbacks import CALLBACKS

WIDTH = 110
_MODULES = {
    "layers": LAYERS, "layerkit.optimizers": OPTIMIZERS, "layerkit.optimizers.schedules": SCHEDULES, "layerkit.losses": LOSSES,
    "layerkit.metrics": METRICS, "layerkit.callbacks": CALLBACKS, "layerkit.initializers": INITIALIZERS,
    "layerkit.regularizers": REGULARIZERS, "layerkit.constraints": CONSTRAINTS,
}  # fmt: skip


def to_python(spec: Spec, seed: int = 0) -> str:
    r"""The Python text of a spec: with the same seed it trains to the same weights as ``layerkit train``.

    Args:
        spec: a spec without holes.
        seed: what the program sets before it builds the model.

    Raises:
        SpecErrors: the faults of the spec.
        ArgumentError: the spec uses layers of your own: their text is not in it.

    Example:
        >>> from builders import loads
        >>> text = to_python(loads("layerkit: 1\nname: small\ninputs: {x: {shape: [4]}}\nlayers: [{Dense: 8}, {Dense: 1}]"))
        >>> print(text.split("\n\n\n")[1])
        def build():
            x = layerkit.Input((4,), name="x")
            y = layers.Dense(8)(x)
            y = layers.Dense(1)(y)
            return layerkit.Model(x, y, name="small")
    """
    return "\n".join(_Writer(spec, seed).lines()) + "\n"


class _Writer:
    def __init__(self, spec: Spec, seed: int) -> None:
        self.spec, self.seed = spec, seed
        self.model = spec.build()
        self.outline = outline(self.model)

    def lines(self) -> Iterator[str]:
        section = self.spec.data_section()
        about = re.sub(
            r'["\\\s]+', " ", f"{self.outline.name}, written from {Path(self.spec.file).name}."
        )  # no way out of the text
        yield f'"""{about}"""'
        yield ""
        yield "import layerkit"
        yield f"from layerkit import {'data, ' if section is not None else ''}layers"
        for name, block in self.outline.blocks.items():
            yield from ["", "", f"def make_{identifier(name)}(name={value(block.title or name)}):"]
            yield from _Function(block, self.outline, is_block=True).lines()
        yield from ["", "", "def build():"]
        yield from _Function(self.outline, self.outline).lines(self._compile())
        yield from ["", "", 'if __name__ == "__main__":']
        yield from (f"    {line}" for line in self._main(section))

    def _compile(self) -> list[str]:
        given = compiled(self.model)
        return list(call("model.compile", [], given)) if given else []

    def _main(self, section: Any) -> Iterator[str]:
        yield f"layerkit.utils.set_random_seed({self.seed})"
        yield "model = build()"
        if section is None or self.model.optimizer is None:
            yield "model.summary()"
            return
        options = f", {made(section.options)}" if section.options.config else ""
        yield f"dataset = data.open_data({made(section.source)}{options}, **data.tensors(model))"
        yield "x, y = dataset.train"
        fit = dict(self.spec.fit)
        if section.options.split.validation:
            fit["validation_data"] = Text("dataset.validation")
        if fit.get("class_weight"):  # whose keys may be names, which the preparation knows
            yield "model.preparation = dataset.preparation"
        yield from call("model.fit", [Text("x"), Text("y")], fit)
        yield "if dataset.test is not None:"
        yield "    print(model.evaluate(*dataset.test, return_dict=True))"


class Text(str):
    """Python text that stands for itself, not a string of the program."""

    def __repr__(self) -> str:
        return str(self)


class _Function:
    """The body of a function that makes a model."""

    def __init__(self, found: Outline, whole: Outline, is_block: bool = False) -> None:
        self.outline, self.whole, self.is_block = found, whole, is_block
        self.variables: dict[str, str] = {}
        self.taken: set[str] = {"layers", "layerkit", "data", "model", "name", *_turns(found.calls)}
        self.shared = {c.share for c in _flat(found.calls) if c.share is not None}
        self.layers: dict[str, str] = {}

    def lines(self, compiling: Sequence[str] = ()) -> Iterator[str]:
        for name, arguments in self.outline.inputs.items():
            variable = self._variable(name)
            shape = Text(repr(tuple(arguments["shape"])))
            rest = {k: v for k, v in arguments.items() if k != "shape"} | {"name": name}
            yield from self._indented(call("layerkit.Input", [shape], rest), f"{variable} = ")
        self.chain = "x" if "x" not in self.taken else "y" if "y" not in self.taken else "hidden"
        self.taken.add(self.chain)
        self.last = next(iter(self.variables.values()))
        yield from self._calls(self.outline.calls, "    ")
        inputs = [self.variables[n] for n in self.outline.inputs]
        given = Text(inputs[0] if len(inputs) == 1 else "{" + ", ".join(f"{value(n)}: {self.variables[n]}" for n in self.outline.inputs) + "}")  # fmt: skip
        outputs = Text(self.last if self.outline.outputs is None else self._tensors(self.outline.outputs))
        made_model = list(
            call("layerkit.Model", [given, outputs], {"name": Text("name") if self.is_block else self.outline.name})
        )
        if not compiling:
            yield from self._indented(made_model, "return ")
            return
        yield from self._indented(made_model, "model = ")
        yield from self._indented(compiling)
        yield "    return model"

    def _indented(self, lines: Sequence[str] | Iterator[str], front: str = "", indent: str = "    ") -> Iterator[str]:
        for i, line in enumerate(lines):
            yield f"{indent}{front if i == 0 else ''}{line}"

    def _calls(self, calls: Sequence[Call | Repeat], indent: str) -> Iterator[str]:
        for each in calls:
            if isinstance(each, Repeat):
                if self.last != self.chain:
                    yield f"{indent}{self.chain} = {self.last}"
                    self.last = self.chain
                yield f"{indent}for {each.turn or '_'} in range({each.times}):"
                yield from self._calls(each.body, indent + "    ")
            else:
                yield from self._call(each, indent)

    def _call(self, each: Call, indent: str) -> Iterator[str]:
        reads = self.last if each.reads is None else self._tensors(each.reads)
        if each.reads_apart:
            reads = reads[1:-1]
        named = "".join(f", {k}={self._tensors(v)}" for k, v in each.named.items())
        if each.share is not None:
            made_layer = [self.layers[each.share]]
        else:
            made_layer = list(self._layer(each))
            if each.out in self.shared:
                variable = self._variable(f"{each.out}_layer")
                self.layers[each.out] = variable
                yield from self._indented(made_layer, f"{variable} = ", indent)
                made_layer = [variable]
        made_layer[-1] += f"({reads}{named})"
        if isinstance(each.structure, Mapping):
            made_layer[-1] += ".values()"
        if len(each.outs) > 1:
            target = ", ".join(self._variable(n) for n in each.outs)
            self.last = self.variables[each.out]
        else:
            target = self.last = self._variable(each.out) if each.name is not None else self.chain
            target = target if each.structure is tree.LEAF else f"({target},)"
        yield from self._indented(made_layer, f"{target} = ", indent)

    def _layer(self, each: Call) -> Iterator[str]:
        if each.kind in self.whole.blocks:
            yield f"make_{identifier(each.kind)}({'' if each.out == each.kind else value(each.out)})"
            return
        arguments = dict(each.arguments) | ({"trainable": False} if each.is_frozen else {})
        if each.name is not None:
            arguments["name"] = each.name
        yield from construct(f"layers.{each.kind}", type(each.layer), arguments)

    def _tensors(self, names: Any) -> str:
        """The variables of tensors, nested as their names are; other values as they are written."""
        shown = tree.map_leaves(lambda n: Text(self.variables[n]) if isinstance(n, str) else n, names)
        return repr(shown)

    def _variable(self, tensor: str) -> str:
        found = identifier(tensor)
        while found in self.taken:
            found += "_"
        self.taken.add(found)
        self.variables[tensor] = found
        return found


def _turns(calls: Sequence[Call | Repeat]) -> Iterator[str]:
    """The names of the numbers of turns."""
    for each in calls:
        if isinstance(each, Repeat):
            yield from (each.turn,) if each.turn is not None else ()
            yield from _turns(each.body)


def _flat(calls: Sequence[Call | Repeat]) -> Iterator[Call]:
    for each in calls:
        if isinstance(each, Repeat):
            yield from _flat(each.body)
        else:
            yield each


# Text of values --------------------------------------------------------------------------------------------------------


def identifier(name: str) -> str:
    """A name as a variable: ``stage1/last.h`` is ``stage1_last_h``."""
    found = re.sub(r"\W", "_", name)
    return f"_{found}" if not found or found[0].isdigit() or keyword.iskeyword(found) else found


def construct(function: str, cls: type, arguments: Mapping[str, Any], one_line: bool = False) -> Iterator[str]:
    """An object of a class: what it needs by place, the rest by name."""
    places = []
    rest = dict(arguments)
    for parameter in signature(cls).parameters.values():
        if parameter.default is not parameter.empty or parameter.kind is not parameter.POSITIONAL_OR_KEYWORD or parameter.name not in rest:  # fmt: skip
            break
        places.append(rest.pop(parameter.name))
    return call(function, places, rest, one_line)


def call(function: str, places: Sequence[Any], named: Mapping[str, Any], one_line: bool = False) -> Iterator[str]:
    """A call in one line, or one line for each argument."""
    parts = [value(v) for v in places] + [f"{k}={value(v)}" for k, v in named.items()]
    line = f"{function}({', '.join(parts)})"
    if one_line or len(line) <= WIDTH - 20:
        yield line
        return
    yield f"{function}("
    yield from (f"    {part}," for part in parts)
    yield ")"


def value(given: Any) -> str:
    """Plain data as Python; ``{name: arguments}`` of a class of the library as its constructor."""
    if isinstance(given, Word):
        return f"make_{identifier(given)}()"
    if isinstance(given, Mapping):
        if len(given) == 1:
            ((name, arguments),) = given.items()
            for module, registry in _MODULES.items():
                cls = registry.classes.get(name)
                if cls is not None and isinstance(arguments, Mapping):
                    return "".join(construct(f"{module}.{name}", cls, arguments, one_line=True))
        return "{" + ", ".join(f"{value(k)}: {value(v)}" for k, v in given.items()) + "}"
    if isinstance(given, list | tuple):
        return "[" + ", ".join(value(v) for v in given) + "]"
    if isinstance(given, Formula):
        return str(given)
    if isinstance(given, float) and not math.isfinite(given):
        return f'float("{given}")'
    if isinstance(given, str) and not isinstance(given, Text):
        return '"' + given.replace("\\", "\\\\").replace('"', '\\"') + '"' if given.isprintable() else repr(given)
    return repr(given)


def made(thing: Any) -> str:
    """A source or options of data as Python."""
    parts = [f"{k}={made(v) if isinstance(v, Configurable) else value(v)}" for k, v in thing.config.items()]
    return f"data.{type(thing).__name__}({', '.join(parts)})"
