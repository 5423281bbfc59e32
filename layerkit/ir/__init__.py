"""The graph core: types, ops, values, graphs, their text form and their verifier."""

from layerkit.ir.graph import (
    Arithmetic,
    Const,
    Graph,
    Input,
    Node,
    Value,
    apply,
    constant,
    inline,
    make,
    origin,
    placeholder,
    substitute,
    toposort,
)
from layerkit.ir.op import Array, BadCase, Case, Op, broadcast_shapes, nondifferentiable, show_shape
from layerkit.ir.text import parse
from layerkit.ir.types import BATCH, Dim, Shape, Size, TensorType, axis, bind, number, product, unify, usual
from layerkit.ir.verify import verify

__all__ = [
    "BATCH",
    "Arithmetic",
    "Array",
    "BadCase",
    "Case",
    "Const",
    "Dim",
    "Graph",
    "Input",
    "Node",
    "Op",
    "Shape",
    "Size",
    "TensorType",
    "Value",
    "apply",
    "axis",
    "bind",
    "broadcast_shapes",
    "constant",
    "inline",
    "make",
    "nondifferentiable",
    "number",
    "origin",
    "parse",
    "placeholder",
    "product",
    "show_shape",
    "substitute",
    "toposort",
    "unify",
    "usual",
    "verify",
]
