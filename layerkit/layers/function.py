"""A Python function as a layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, ClassVar

from layerkit.fields import Check
from layerkit.layers.base import Layer
from layerkit.records import dataclass


@dataclass(frozen=True)
class _Callable(Check):
    expected: str = "a Python function; files cannot hold one: use Activation, or a layer class of your own"

    def __call__(self, value: Any, owner: Any) -> Any:
        if not callable(value):
            raise ValueError
        return value


class Lambda(Layer):
    """``function`` of the inputs, for use from Python: a model with one cannot be saved, nor written in YAML.

    Args:
        function: takes the inputs, and ``mask`` and ``training`` if it has such arguments.
        output_shape: accepted; shapes are found by tracing.
        mask: the mask of the output, or a function of the inputs and their mask that gives it.
        arguments: more arguments of the function, by name.

    Example:
        >>> import numpy as np
        >>> Lambda(lambda x, power: x**power, arguments={"power": 2.0})(np.array([3.0]))
        array([9.], dtype=float32)
    """

    function: Annotated[Callable[..., Any], _Callable()]
    output_shape: Any = None
    mask: Any = None
    arguments: Any = None

    is_python_only: ClassVar[bool] = True

    def call(self, inputs: Any, mask: Any = None, training: bool = False) -> Any:
        takes = inspect.signature(self.function).parameters
        named = {k: v for k, v in (("mask", mask), ("training", training)) if k in takes}
        return self.function(inputs, **{**(self.arguments or {}), **named})

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return self.mask(inputs, previous_mask) if callable(self.mask) else self.mask
