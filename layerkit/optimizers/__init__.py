"""Optimizers and schedules of the learning rate."""

from layerkit.optimizers import schedules
from layerkit.optimizers.optimizers import OPTIMIZERS, SGD, Adam, AdamW, Optimizer, RMSprop, get

__all__ = ["OPTIMIZERS", "SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "get", "schedules"]
