"""Optimizers and schedules of the learning rate."""

from layerkit.optimizers import schedules
from layerkit.optimizers.adam import Adam, Adamax, AdamW, Lamb, Nadam, ScheduleFreeAdamW
from layerkit.optimizers.adaptive import Adadelta, Adafactor, Adagrad, Ftrl, RMSprop
from layerkit.optimizers.base import OPTIMIZERS, Optimizer, get
from layerkit.optimizers.loss_scale import LossScaleOptimizer
from layerkit.optimizers.momentum import SGD, Lion, Muon

__all__ = [
    "OPTIMIZERS", "SGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lamb", "Lion",
    "LossScaleOptimizer", "Muon", "Nadam", "Optimizer", "RMSprop", "ScheduleFreeAdamW",
    "deserialize", "get", "schedules", "serialize",
]  # fmt: skip

serialize, deserialize = OPTIMIZERS.serialize, OPTIMIZERS.deserialize
