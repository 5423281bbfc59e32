"""What the ``call`` and the ``build`` of a layer take, read from their signatures."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from layerkit import tree
from layerkit.errors import ArgumentError
from layerkit.fields import per_class
from layerkit.ir import Value
from layerkit.layers.shapes import shapes_of
from layerkit.records import dataclass

_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True)
class CallArguments:
    """The arguments of ``call`` by name, and whether ``training`` and ``mask`` are among them."""

    names: tuple[str, ...]
    training: bool
    mask: bool
    masks: tuple[tuple[str, str], ...]
    """Arguments with an argument for their mask: ("query", "query_mask")."""


@per_class
def call_arguments(cls: type) -> CallArguments:
    """What the ``call`` of a class of layers takes."""
    names = tuple(inspect.signature(cls.call).parameters)[1:]  # type: ignore[attr-defined]
    masks = tuple((n, f"{n}_mask") for n in names if f"{n}_mask" in names)
    return CallArguments(names, "training" in names, "mask" in names, masks)


@per_class
def _build_parameters(cls: Any) -> list[str]:
    """The shapes that the ``build`` of a class of layers takes."""
    found = list(inspect.signature(cls.build).parameters.values())[1:]
    return [p.name for p in found if p.kind not in _VARIABLE and (p.default is p.empty or p.name.endswith("_shape"))]


def build_shapes(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """What ``build`` is given: the shape of the first argument, or one for each ``<argument>_shape`` that it takes."""
    names = _build_parameters(type(layer))
    called = call_arguments(type(layer)).names
    if len(names) < 2:
        first = args[0] if args else next(iter(kwargs.values()), None)
        return [shapes_of(first)][: len(names)]
    given = dict(zip(called, args, strict=False)) | {
        k: v for k, v in kwargs.items() if any(isinstance(x, Value | np.ndarray) for x in tree.leaves(v))
    }
    for name in names:
        if not name.endswith("_shape") or (name != "input_shape" and name.removesuffix("_shape") not in called):
            raise ArgumentError(
                f"'build' takes '{name}', which is the shape of no argument of 'call'.", layer=layer.describe(),
                expected=" or ".join(f"{n}_shape" for n in called), got=name,
            )  # fmt: skip
    by_name = {f"{k}_shape": v for k, v in given.items()}
    return [shapes_of(by_name.get(n, args[0] if n == "input_shape" and args else None)) for n in names]
