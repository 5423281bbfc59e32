"""Callbacks for ``fit``."""

from typing import TYPE_CHECKING

from layerkit import absent
from layerkit.training.callbacks import (
    Callback,
    CallbackList,
    CSVLogger,
    EarlyStopping,
    History,
    ModelCheckpoint,
    TerminateOnNaN,
)
from layerkit.training.control import (
    BackupAndRestore,
    LambdaCallback,
    LearningRateScheduler,
    ReduceLROnPlateau,
    SwapEMAWeights,
)

__all__ = [
    "BackupAndRestore", "CSVLogger", "Callback", "CallbackList", "EarlyStopping", "History", "LambdaCallback",
    "LearningRateScheduler", "ModelCheckpoint", "ReduceLROnPlateau", "SwapEMAWeights", "TerminateOnNaN",
]  # fmt: skip

if not TYPE_CHECKING:  # else any name would do for a type checker
    __getattr__ = absent.getter(__name__)
