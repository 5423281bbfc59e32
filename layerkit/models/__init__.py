"""Models."""

from layerkit.models.model import Model
from layerkit.models.sequential import Sequential

__all__ = ["Model", "Sequential"]
