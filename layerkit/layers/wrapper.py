"""``Wrapper``: a layer around a layer."""

from __future__ import annotations

from typing import Any

from layerkit.layers.base import LAYERS, Layer


class Wrapper(Layer):
    """The base of layers around one other layer, ``self.layer``.

    Args:
        layer: the layer, or its name and arguments.
    """

    layer: Any

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(layer=layer, **kwargs)
        self.layer = layer if isinstance(layer, Layer) else LAYERS.make(layer)

    def build(self, input_shape: Any) -> None:
        if not self.layer.built and not self.layer.is_container:
            self.layer.build(input_shape)
