"""``Wrapper``: a layer around a layer."""

from __future__ import annotations

from typing import Any

from layerkit.layers.base import Layer, LayerArgument


class Wrapper(Layer):
    """The base of layers around one other layer, ``self.layer``.

    Args:
        layer: the layer, or its name and arguments.
    """

    layer: LayerArgument

    def __init__(self, layer: LayerArgument, **kwargs: Any) -> None:
        super().__init__(layer=layer, **kwargs)

    def build(self, input_shape: Any) -> None:
        if not self.layer.built and not self.layer.is_container:
            self.layer.build(input_shape)
