"""What ``model.explain()`` prints: a compiled step as a table, as graphs, or as code."""

from __future__ import annotations

from typing import Any

import numpy as np

from layerkit import engines, tree
from layerkit.errors import ArgumentError
from layerkit.models.standins import inputs_like, targets_like
from layerkit.training.data import as_arrays

CHOICES = ("steps", "graph", "passes", "code")


def explain(model: Any, analyze: bool, x: Any, y: Any, show: str, batch_size: int) -> str:
    """The text that ``show`` names, for a step of ``model``."""
    if show not in CHOICES:
        raise ArgumentError("there is nothing of that name to show.", expected=" or ".join(CHOICES), got=repr(show))
    is_trained = model.optimizer is not None and model._compiled is not None
    if analyze and (x is None or (is_trained and y is None)):
        raise ArgumentError("to analyze a step takes data.", expected="x=..., y=...", got="none", fix="pass a batch")
    x = inputs_like(model, batch_size) if x is None else as_arrays(model._on_host(x), "x")
    y = as_arrays(y, "y") if y is not None else targets_like(model, tree.leaves(x)[0].shape[0]) if is_trained else None
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
