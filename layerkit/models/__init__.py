"""Models."""

from layerkit.models.cloning import clone_model
from layerkit.models.files import load_model, model_from_json, save_model
from layerkit.models.model import Model
from layerkit.models.sequential import Sequential

__all__ = ["Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]
