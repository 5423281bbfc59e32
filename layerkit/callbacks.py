"""Callbacks for ``fit``."""

from layerkit.training.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    History,
    ModelCheckpoint,
    TerminateOnNaN,
)

__all__ = ["CSVLogger", "Callback", "EarlyStopping", "History", "ModelCheckpoint", "TerminateOnNaN"]
