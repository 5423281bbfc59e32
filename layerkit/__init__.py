"""layerkit: specify, compile, execute.

A deep-learning library with Keras's names and a graph compiler beneath: models are written in Python or YAML, become a
graph of ops with their gradients, and run as one program for each training step.
"""

__version__ = "0.1.0"

from layerkit import (
    activations,
    callbacks,
    constraints,
    datasets,
    initializers,
    layers,
    losses,
    metrics,
    ops,
    optimizers,
    random,
    regularizers,
    utils,
)
from layerkit.function import function, grad, value_and_grad
from layerkit.initializers import Initializer
from layerkit.layers import Input, Layer
from layerkit.losses import Loss
from layerkit.metrics import Metric
from layerkit.models import Model, Sequential, load_model
from layerkit.optimizers import Optimizer
from layerkit.regularizers import Regularizer

__all__ = [
    "Initializer",
    "Input",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "Optimizer",
    "Regularizer",
    "Sequential",
    "activations",
    "callbacks",
    "constraints",
    "datasets",
    "function",
    "grad",
    "initializers",
    "layers",
    "load_model",
    "losses",
    "metrics",
    "ops",
    "optimizers",
    "random",
    "regularizers",
    "utils",
    "value_and_grad",
]
