"""Losses."""

from layerkit.losses.base import LOSSES, Loss, reduce_weighted
from layerkit.losses.losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    FunctionLoss,
    MeanAbsoluteError,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
    get,
)

__all__ = [
    "LOSSES",
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "FunctionLoss",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
    "get",
    "reduce_weighted",
]
