"""What ``model.explain()`` prints: a compiled step as a table, as graphs, or as code."""

from __future__ import annotations

from typing import Any

import numpy as np

from layerkit import engines, tree
from layerkit.dtypes import numpy_dtype
from layerkit.errors import ArgumentError, StateError
from layerkit.ir import Dim
from layerkit.training.data import as_arrays

CHOICES = ("steps", "graph", "passes", "code")


def explain(model: Any, analyze: bool, x: Any, y: Any, show: str, batch_size: int) -> str:
    """The text that ``show`` names, for a step of ``model``."""
    if show not in CHOICES:
        raise ArgumentError("there is nothing of that name to show.", expected=" or ".join(CHOICES), got=repr(show))
    is_trained = model.optimizer is not None and model._compiled is not None
    if analyze and (x is None or (is_trained and y is None)):
        raise ArgumentError("to analyze a step takes data.", expected="x=..., y=...", got="none", fix="pass a batch")
    x = _zeros(model, batch_size) if x is None else as_arrays(model._on_host(x), "x")
    y = as_arrays(y, "y") if y is not None else _targets(model, tree.leaves(x)[0].shape[0]) if is_trained else None
    model._ensure_ready(x)
    arguments = ((x, y, None),) if is_trained else (x,)
    leaves, structure = tree.flatten(arguments)
    traced = model._function("train" if is_trained else "predict").trace(leaves, structure)
    if show == "graph":
        return str(traced.program.graph)
    if show == "code":
        return str(traced.program.code())
    if show == "passes":
        parts, graph = [f"traced:\n{traced.graph}"], traced.graph
        for each in engines.get(model.engine).pipeline().passes:
            graph = each.run(graph)
            parts.append(f"after {each}:\n{graph}")
        return "\n\n".join(parts)
    key = () if not traced.takes_key else (np.zeros(2, "uint32"),)
    arrays = [*leaves, *(w.array for w in traced.read), *key] if analyze else None
    text: str = traced.program.explain({"b": leaves[0].shape[0]}, arrays)
    return text


def _zeros(model: Any, rows: int) -> Any:
    """Inputs of zeros, from the shapes that the model declares."""
    if model._graph is None:
        raise StateError("the shapes of the inputs are not known.", layer=model.name, fix="pass x, or add an Input")
    made = []
    for value in model._graph.entries:
        if any(isinstance(n, Dim) for n in value.shape[1:]):
            raise ArgumentError("an input has axes of unknown size.", expected="x=...", got=str(value.type))
        made.append(np.zeros((rows, *value.shape[1:]), numpy_dtype(value.dtype)))
    if model._graph.host is not None:
        return dict(zip(model._graph.host.entries, made, strict=True))
    return made[0] if len(made) == 1 else made


def _targets(model: Any, rows: int) -> Any:
    """Targets of zeros that the losses of the model take."""
    made = []
    for value, loss in zip(model._graph.outputs, model._loss.losses(model._target_names(model.output)), strict=True):
        is_sparse = type(loss).__name__.startswith("Sparse")
        shape = value.shape[1:-1] if is_sparse else value.shape[1:]
        made.append(np.zeros((rows, *shape), "int32" if is_sparse else "float32"))
    return made[0] if len(made) == 1 else made
