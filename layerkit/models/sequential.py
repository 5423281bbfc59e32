"""``Sequential``: layers one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from layerkit.dtypes import STRING
from layerkit.errors import ArgumentError, StateError
from layerkit.ir import Value
from layerkit.layers.base import LAYERS, Layer
from layerkit.layers.host import TEXT, as_data
from layerkit.layers.input import Input, InputLayer
from layerkit.models.functional import LayerGraph, name_layers
from layerkit.models.model import Model
from layerkit.training.data import Mapped


class Sequential(Model):
    """Layers one after the other; the first may be an ``Input``, else shapes are taken from the first data.

    Args:
        layers: the layers.

    Example:
        >>> import numpy as np
        >>> from layerkit.layers import Dense, Input
        >>> model = Sequential([Input((3,)), Dense(4, activation="relu"), Dense(2)])
        >>> model.count_params()
        26
    """

    def __init__(
        self, layers: Sequence[Any] | None = None, trainable: bool = True, name: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(name=name, trainable=trainable, **kwargs)
        self._input: Value | None = None
        self._stack: list[Layer] = []
        for layer in layers or []:
            self._append(layer)
        self._rebuild()

    def _append(self, layer: Any) -> None:
        if isinstance(layer, Value) or isinstance(layer, InputLayer):
            if self._stack or self._input is not None:
                raise ArgumentError(
                    "an Input comes first.", layer=self.name, expected="Input as the first entry", got=repr(layer)
                )
            self._input = (
                Input(layer.shape, layer.batch_size, layer.dtype, name=layer.name)
                if isinstance(layer, InputLayer)
                else layer
            )
            return
        if not isinstance(layer, Layer):
            layer = LAYERS.make(layer) if isinstance(layer, dict | str) else layer
        if not isinstance(layer, Layer):
            raise ArgumentError(
                "a Sequential holds layers.", layer=self.name, expected="a layer, such as Dense(10)", got=repr(layer),
                fix="for a function use Activation(function)",
            )  # fmt: skip
        if any(layer is other for other in self._stack):
            raise ArgumentError("a layer stands twice in a Sequential.", expected="each layer once", got=repr(layer),
                                fix="use the functional API to share layers")  # fmt: skip
        if not self._stack and self._input is None and layer.input_shape is not None:
            self._input = Input(layer.input_shape)
        if not self._stack and self._input is None and isinstance(layer, Model) and layer._graph is not None:
            first = layer._graph.inputs[0]
            self._input = Input([n if isinstance(n, int) else None for n in first.shape[1:]], dtype=first.dtype)
        self._stack.append(layer)

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Append a layer."""
        self._append(layer)
        if rebuild:
            self._rebuild()

    def pop(self, rebuild: bool = True) -> Layer:
        """Take away the last layer."""
        if not self._stack:
            raise StateError("there is no layer to take away.", layer=self.name, fix="add one first")
        layer = self._stack.pop()
        self._graph = None
        if rebuild:
            self._rebuild()
        return layer

    def _rebuild(self) -> None:
        self._functions = {}
        self._ready = self._flat = None
        self._names = name_layers(self._stack, self)
        if self._input is None or not self._stack:
            return
        x: Any = self._input
        for layer in self._stack:
            x = layer(x)
        self._graph = LayerGraph(self._input, x)
        self.built = True

    def build(self, input_shape: Any = None) -> None:
        """Take the shapes from ``input_shape``, the batch being its first entry."""
        if self._input is None and input_shape is not None and self._stack:
            self._input = Input(tuple(input_shape)[1:])
            self._rebuild()

    @property
    def layers(self) -> list[Layer]:
        """Its layers, without the Input."""
        return list(self._stack)

    def children(self) -> Any:
        """Its layers by name."""
        yield from self._names.items()

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        """The output of the last layer."""
        if self._graph is not None:
            return super().call(inputs, training, mask)
        for layer in self._stack:
            inputs = layer(inputs)
        return inputs

    def _on_host(self, x: Any) -> Any:
        if self._graph is None and self._stack and self._stack[0].is_host and not isinstance(x, Value):
            if not hasattr(x, "shape") and not isinstance(x, Sequence):
                return Mapped(self._on_host, x)
            first = as_data(x)
            kind = STRING if first.dtype == TEXT else first.dtype.name
            self._input = Input(first.shape[1:], dtype=kind)
            self._rebuild()
        return super()._on_host(x)

    def _ensure_ready(self, x: Any) -> None:
        if self._graph is None and hasattr(x, "shape"):
            self._input = Input(x.shape[1:], dtype=x.dtype.name)
            self._rebuild()
        super()._ensure_ready(x)

    def get_config(self) -> dict[str, Any]:
        """The layers, as plain data once their shapes are known."""
        if self._graph is not None and type(self) is Sequential:
            from layerkit.models.config import model_config

            return model_config(self)
        return {"layers": list(self._stack), "name": self.name}
