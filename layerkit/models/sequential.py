"""``Sequential``: layers one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from layerkit.dtypes import STRING
from layerkit.errors import ArgumentError, ShapeError, StateError
from layerkit.ir import Value, show_shape
from layerkit.layers.base import LAYERS, Layer
from layerkit.layers.host import TEXT, as_data
from layerkit.layers.input import Input, InputLayer
from layerkit.models.functional import LayerGraph
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
        self._tensors: list[Any] = []
        """The input, then what comes out of each layer, as far as it was called."""
        self._seen_shape: tuple[Any, ...] | None = None
        """The sizes that the first data told; None where later data had others."""
        for layer in layers or []:
            self._append(layer)
        self._rebuild()

    def _append(self, layer: Any) -> None:
        if isinstance(layer, Value) or isinstance(layer, InputLayer):
            if self._stack or self._input is not None:
                raise ArgumentError(
                    "an Input comes first.", layer=self.name, expected="Input as the first entry", got=repr(layer)
                )
            self._input = layer.output if isinstance(layer, InputLayer) else layer
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
        if not self._stack and self._input is None:
            self._input = _first_input(layer)
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
        del self._tensors[1 + len(self._stack) :]
        self._graph = None
        if rebuild:
            self._rebuild()
        return layer

    def _rebuild(self) -> None:
        self._functions = {}
        self._ready = self._flat = None
        Layer.latest = object()
        self._hold(self._stack)
        if self._input is None or not self._stack:
            return
        if not self._tensors:
            self._tensors.append(self._input)
        for layer in self._stack[len(self._tensors) - 1 :]:
            self._tensors.append(layer(self._tensors[-1]))
        self._graph = LayerGraph(self._input, self._tensors[-1])
        self.built = True

    def build(self, input_shape: Any = None) -> None:
        """Take the shapes from ``input_shape``, the batch being its first entry.

        Raises:
            ShapeError: the first layer, or an ``Input``, said something else before.
        """
        if input_shape is None or isinstance(input_shape, dict) or isinstance(next(iter(input_shape), None), Sequence):
            return  # several tensors: they are seen when it is called
        wanted = [n if isinstance(n, int) else None for n in input_shape][1:]
        if self._input is None and self._stack:
            self._input = Input(wanted)
            self._rebuild()
        elif self._input is not None:
            known = self._input.shape[1:]
            fits = len(known) == len(wanted) and not any(
                isinstance(a, int) and b is not None and a != b for a, b in zip(known, wanted, strict=True)
            )
            if not fits:
                raise ShapeError("its shapes are known already.", layer=self.describe(), expected=show_shape(known),
                                 got=show_shape(wanted), fix="make another model")  # fmt: skip

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
        if not self._stack:
            raise StateError("a model without layers computes nothing.", layer=self.describe(), fix="add layers first")
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
            self._seen_shape = x.shape[1:]
            self._rebuild()
        elif self._seen_shape is not None and x.shape[1:] != self._seen_shape and len(x.shape) == self._input.ndim:  # type: ignore[union-attr]
            self._seen_shape = tuple(a if a == b else None for a, b in zip(self._seen_shape, x.shape[1:], strict=True))
            self._input, self._tensors = Input(self._seen_shape, dtype=x.dtype.name), []
            self._rebuild()
        super()._ensure_ready(x)

    def get_config(self) -> dict[str, Any]:
        """The layers as plain data; of a subclass the arguments it was made with."""
        if type(self) is not Sequential:
            return super().get_config()
        from layerkit.models.config import model_config

        return model_config(self)


def _first_input(layer: Layer) -> Value | None:
    """The Input that the first layer stands for, if it knows its shapes."""
    if isinstance(layer, Model):
        if layer._graph is not None:
            first = layer._graph.inputs[0]
            return Input([n if isinstance(n, int) else None for n in first.shape[1:]], dtype=first.dtype)
        return None if layer._first_shape is None else Input(layer._first_shape)
    return None if layer.input_shape is None else Input(layer.input_shape)
