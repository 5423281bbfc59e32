"""Inputs that a model takes, where there are no data: their shapes and dtypes count, not their numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from layerkit import tree
from layerkit.dtypes import is_floating, numpy_dtype
from layerkit.errors import ArgumentError, StateError
from layerkit.ir import BATCH, Array, Dim, Size, Value, placeholder


def inputs_like(model: Any, rows: int, *, random: bool = False) -> Any:
    """Inputs of zeros, or of random numbers where they are floats, from the shapes that the model declares.

    Raises:
        StateError: it declares none.
        ArgumentError: a size is not known.
    """
    if model._graph is None:
        raise StateError("the shapes of the inputs are not known.", layer=model.name, fix="pass x, or add an Input")
    made = [_array(value, rows, random) for value in model._graph.entries]
    if model._graph.host is not None:
        return dict(zip(model._graph.host.entries, made, strict=True))
    return made[0] if len(made) == 1 else made


def _array(value: Value, rows: int, random: bool) -> Array:
    if any(isinstance(n, Dim) for n in value.shape[1:]):
        raise ArgumentError("an input has axes of unknown size.", expected="x=...", got=str(value.type))
    shape, dtype = (rows, *value.shape[1:]), numpy_dtype(value.dtype)
    if random and is_floating(value.dtype):
        return np.random.default_rng(0).standard_normal(shape).astype(dtype)
    return np.zeros(shape, dtype)


def targets_like(model: Any, rows: int) -> Any:
    """Targets of zeros that the losses of the model take."""
    made = []
    for value, loss in zip(model._graph.outputs, model._loss.losses(model._target_names(model.output)), strict=True):
        is_sparse = type(loss).__name__.startswith("Sparse")
        shape = value.shape[1:-1] if is_sparse else value.shape[1:]
        made.append(np.zeros((rows, *shape), "int32" if is_sparse else "float32"))
    return made[0] if len(made) == 1 else made


def stand_ins(model: Any, batch: Size = BATCH) -> Any:
    """Symbolic inputs like those of the model, in its structure."""
    host = model._graph.host
    if host is not None:
        return {n: placeholder(n, v.dtype, (batch, *v.shape[1:])) for n, v in host.entries.items()}
    made = []
    for value, name in zip(model.inputs, model.input_names, strict=True):
        rows = value.shape[0] if value.shape and isinstance(value.shape[0], int) else batch
        made.append(placeholder(name, value.dtype, (rows, *value.shape[1:])))
    return tree.unflatten(model._graph.input_structure, made)
