"""The text form of graphs: ``show`` prints it, ``parse`` reads it back, and both agree to the bit.

    f(x: f32[b,3], w: f32[3,2]) {
      %0 = matmul(x, w) : f32[b,2]
      %1 = const{array=f32[] 0.5} : f32[]
      %2 = mul(%0, %1) : f32[b,2]
      return %2
    }

A line holds one node: its outputs, the op's word, its static arguments in braces, its inputs, the types of its outputs.
Golden tests, ``explain`` and saved programs use this form. The op classes are found by their words in ``Op.registry``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from layerkit.dtypes import LONG, SHORT, canonical, numpy_dtype
from layerkit.errors import GraphError, Span, did_you_mean
from layerkit.ir.graph import Graph, Input, Value, make, placeholder
from layerkit.ir.op import Op
from layerkit.ir.types import Dim, Size, TensorType, axis

# Printing ------------------------------------------------------------------------------------------------------------


def show(graph: Graph) -> str:
    """The text of ``graph``."""
    names: dict[Value, str] = {}
    taken: set[str] = set()
    for value in graph.inputs:
        assert isinstance(value.node.op, Input)
        label = re.sub(r"[^\w./-]", "_", value.node.op.label) or "x"
        names[value] = _unique(label, taken)
    lines = [f"{graph.name}({', '.join(f'{names[v]}: {v.type}' for v in graph.inputs)}) {{"]
    count = 0
    for node in graph.nodes():
        for output in node.outputs:
            names[output] = f"%{count}"
            count += 1
        left = ", ".join(names[v] for v in node.outputs)
        arguments = ", ".join(names[x] if x in names else f"?{x.node.op.word}" for x in node.inputs)
        types = ", ".join(map(str, node.types))
        lines.append(f"  {left} = {show_op(node.op)}({arguments}) : {types}")
    lines.append(f"  return {', '.join(names.get(v, '?') for v in graph.outputs)}")
    return "\n".join([*lines, "}"])


def _unique(label: str, taken: set[str]) -> str:
    name, n = label, 1
    while name in taken:
        name, n = f"{label}.{n}", n + 1
    taken.add(name)
    return name


def show_op(op: Op) -> str:
    """The text of one op: its word and static arguments."""
    shown = ", ".join(f"{k}={_show(v)}" for k, v in op.attributes().items())
    return op.word + (f"{{{shown}}}" if shown else "")


def _show(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, tuple):
        return f"({', '.join(map(_show, value))})"
    if isinstance(value, np.ndarray):
        return _show_array(value)
    if isinstance(value, Graph):
        return show(value).replace("\n", "\n    ")
    assert isinstance(value, int | float | Dim | TensorType), f"no text form for {value!r}"
    return repr(value)


def _show_array(array: np.ndarray[Any, Any]) -> str:
    type_ = TensorType(canonical(array.dtype), array.shape)
    flat = array.reshape(-1)
    if flat.size and flat.tobytes() == flat[:1].tobytes() * flat.size and not _is_odd_nan(flat[0]):
        return f"{type_} {str(flat[0].item()).lower()}"
    return f"{type_} 0x{flat.tobytes().hex()}"


def _is_odd_nan(number: Any) -> bool:
    """A nan whose bits ``float("nan")`` would not give back."""
    return bool(number != number) and number.tobytes() != np.array("nan", number.dtype).tobytes()


# Parsing -------------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r'\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<hex>0x[0-9a-f]*)|(?P<type>(?:%s)\[)'
    r"|(?P<number>-?(?:inf\b|nan\b|\d+(?:\.\d*)?(?:e[+-]?\d+)?))|(?P<value>%%\d+)"
    r"|(?P<name>[A-Za-z_][\w./-]*)|(?P<mark>//|[(){}\[\],:=+*-])|(?P<end>$))" % "|".join(SHORT.values())
)


def parse(text: str, file: str = "<graph>") -> Graph:
    """The graph that ``text`` describes.

    Raises:
        GraphError: the text is not a graph; ``where`` tells the line and column.
    """
    parser = _Parser(text, file)
    graph = parser.graph()
    parser.expect("end", "")
    return graph


def parse_op(text: str) -> Op:
    """The op that ``text`` describes, as ``show_op`` prints it.

    >>> parse_op("reduce_sum{axes=(0), keepdims=false}")
    Reduce(function='sum', axes=(0,), keepdims=False)

    Raises:
        GraphError: the text is no op.
    """
    parser = _Parser(text, "<op>")
    op = parser.op()
    parser.expect("end", "")
    return op


def parse_size(text: str) -> Size:
    """The size that ``text`` describes.

    >>> parse_size("2*b+(t+1)//2")
    2*b+(t+1)//2

    Raises:
        GraphError: the text is no size.
    """
    parser = _Parser(text, "<size>")
    size = parser.size()
    parser.expect("end", "")
    return size


class _Parser:
    def __init__(self, text: str, file: str) -> None:
        self.text, self.file, self.at = text, file, 0

    # tokens

    def peek(self) -> tuple[str, str, int]:
        match = _TOKEN.match(self.text, self.at)
        if match is None or match.lastgroup is None:
            raise self.error("unreadable text.", at=self.at)
        return match.lastgroup, match.group(match.lastgroup), match.end()

    def take(self, kind: str, text: str | None = None) -> str | None:
        found, token, end = self.peek()
        if found != kind or text not in (None, token):
            return None
        self.at = end
        return token

    def expect(self, kind: str, text: str | None = None) -> str:
        token = self.take(kind, text)
        if token is None:
            raise self.error("the text of the graph ends here or has something else.", expected=repr(text or kind))
        return token

    def error(
        self, summary: str, *, expected: str | None = None, fix: str | None = None, at: int | None = None
    ) -> GraphError:
        at = re.compile(r"\s*").match(self.text, self.at if at is None else at).end()  # type: ignore[union-attr]
        line, column = self.text.count("\n", 0, at) + 1, at - (self.text.rfind("\n", 0, at) + 1) + 1
        got = self.text[at : at + 20].split("\n")[0] or "the end"
        return GraphError(summary, where=Span(self.file, line, column), expected=expected, got=got, fix=fix)

    def listed(self, item: Callable[[], Any], end: str) -> list[Any]:
        items: list[Any] = []
        while not self.take("mark", end):
            if items:
                self.expect("mark", ",")
            items.append(item())
        return items

    # grammar

    def graph(self) -> Graph:
        name = self.expect("name")
        names: dict[str, Value] = {}
        self.expect("mark", "(")

        def argument() -> Value:
            label = self.expect("name")
            self.expect("mark", ":")
            type_ = self.type()
            names[label] = placeholder(label, type_.dtype, type_.shape)
            return names[label]

        inputs = self.listed(argument, ")")
        self.expect("mark", "{")
        while not self.take("name", "return"):
            self.line(names)
        outputs = [self.value(names)]
        while self.take("mark", ","):
            outputs.append(self.value(names))
        self.expect("mark", "}")
        return Graph(tuple(inputs), tuple(outputs), name)

    def line(self, names: dict[str, Value]) -> None:
        left = [self.expect("value")]
        while self.take("mark", ","):
            left.append(self.expect("value"))
        self.expect("mark", "=")
        start = self.at
        op = self.op()
        self.expect("mark", "(")
        inputs = self.listed(lambda: self.value(names), ")")
        node = make(op, tuple(inputs))
        self.expect("mark", ":")
        at = self.at
        types = [self.type()]
        while self.take("mark", ","):
            types.append(self.type())
        if tuple(types) != node.types:
            raise self.error(f"'{op.word}' gives another type.", expected=", ".join(map(str, node.types)), at=at)
        if len(left) != len(node.outputs):
            raise self.error(f"'{op.word}' has another number of outputs.", expected=str(len(node.outputs)), at=start)
        names.update(zip(left, node.outputs, strict=True))

    def op(self) -> Op:
        start = self.at
        word = self.expect("name")
        if word not in Op.registry:
            self.at = start
            raise self.error(f"there is no op '{word}'.", fix=did_you_mean(word, Op.registry))
        given: dict[str, Any] = {}
        if self.take("mark", "{"):

            def attribute() -> None:
                key = self.expect("name")
                self.expect("mark", "=")
                given[key] = self.attribute()

            self.listed(attribute, "}")
        cls = Op.registry[word]
        try:
            return cls(**{**cls.presets.get(word, {}), **given})
        except TypeError as error:
            raise self.error(f"'{word}' has other arguments: {error}.", at=start) from error

    def value(self, names: dict[str, Value]) -> Value:
        at = self.at
        name = self.take("value") or self.expect("name")
        if name not in names:
            raise self.error(f"'{name}' is not computed before this line.", at=at)
        return names[name]

    def type(self) -> TensorType:
        dtype = LONG[self.expect("type")[:-1]]
        return TensorType(dtype, tuple(self.listed(self.size, "]")))

    def size(self) -> Size:
        total = self.term()
        while self.take("mark", "+"):
            total = total + self.term()
        return total

    def term(self) -> Size:
        product = self.factor()
        while self.take("mark", "*"):
            product = product * self.factor()
        return product

    def factor(self) -> Size:
        if number := self.take("number"):
            return int(number)
        if self.take("mark", "("):
            inner = self.size()
            self.expect("mark", ")")
            self.expect("mark", "//")
            return inner // int(self.expect("number"))
        return axis(self.expect("name"))

    def attribute(self) -> Any:
        kind, token, _ = self.peek()
        if kind == "string":
            return json.loads(self.expect("string"))
        if kind == "type":
            type_ = self.type()
            kind, token, _ = self.peek()
            return self.array(type_) if kind in ("hex", "number") or token in ("true", "false") else type_
        if kind == "name" and token in ("none", "true", "false"):
            self.expect("name")
            return {"none": None, "true": True, "false": False}[token]
        if kind == "name" and re.match(r"\s*\w+\(", self.text[self.at :]):
            return self.graph()
        if kind == "number" and not token.lstrip("-").isdigit():
            return float(self.expect("number"))
        if self.text[self.at :].lstrip().startswith("("):
            before = self.at
            try:
                return self.size()  # (t+1)//2, if it is one
            except GraphError:
                self.at = before
            self.expect("mark", "(")
            return tuple(self.listed(self.attribute, ")"))
        return self.size()

    def array(self, type_: TensorType) -> np.ndarray[Any, Any]:
        kind, dtype = numpy_dtype(type_.dtype), type_.shape
        if hexed := self.take("hex"):
            return np.frombuffer(bytes.fromhex(hexed[2:]), kind).reshape(dtype)  # type: ignore[arg-type]
        token = self.take("number") or self.expect("name")
        number = {"true": True, "false": False}.get(token)
        if number is None:
            number = int(token) if token.lstrip("-").isdigit() else float(token)  # type: ignore[assignment]
        assert number is not None
        assert not isinstance(number, float) or not math.isnan(number) or kind.kind == "f" or "float" in kind.name
        return np.full(dtype, number, kind)  # type: ignore[arg-type]


__all__ = ["parse", "parse_op", "parse_size", "show", "show_op"]
