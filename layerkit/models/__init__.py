"""Models."""

from layerkit.models.files import load_model
from layerkit.models.model import Model
from layerkit.models.sequential import Sequential

__all__ = ["Model", "Sequential", "load_model"]
