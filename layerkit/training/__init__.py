"""Training: data, checks, callbacks and the loops."""

from layerkit.training import control  # so that its callbacks are known by their names
