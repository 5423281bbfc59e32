"""layerkit: specify, compile, execute.

A deep-learning library with Keras's names and a graph compiler beneath: models are written in Python or YAML, become a
graph of ops with their gradients, and run as one program for each training step.

The public names load when they are first used (PEP 562), so that ``import layerkit`` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from layerkit import (
        activations,
        backend,
        callbacks,
        config,
        constraints,
        data,
        datasets,
        initializers,
        layers,
        losses,
        metrics,
        models,
        ops,
        optimizers,
        random,
        regularizers,
        saving,
        utils,
    )
    from layerkit.engines.llvm.runtime.threads import set_threads
    from layerkit.functions import function, grad, value_and_grad
    from layerkit.initializers import Initializer
    from layerkit.layers import Input, Layer
    from layerkit.losses import Loss
    from layerkit.metrics import Metric
    from layerkit.models import Model, Sequential, load_model
    from layerkit.optimizers import Optimizer
    from layerkit.regularizers import Regularizer

_MODULES = (
    "activations", "backend", "callbacks", "config", "constraints", "data", "datasets", "initializers", "layers", "losses", "metrics", "models",
    "ops", "optimizers", "random", "regularizers", "saving", "utils",
)  # fmt: skip
_NAMES = {
    "Initializer": "initializers",
    "Input": "layers",
    "Layer": "layers",
    "Loss": "losses",
    "Metric": "metrics",
    "Model": "models",
    "Optimizer": "optimizers",
    "Regularizer": "regularizers",
    "Sequential": "models",
    "load_model": "models",
    "function": "functions",
    "grad": "functions",
    "value_and_grad": "functions",
    "set_threads": "engines.llvm.runtime.threads",
}

__all__ = [*_MODULES, *_NAMES]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        found = getattr(import_module(f"layerkit.{_NAMES[name]}"), name)
    elif name in _MODULES:
        found = import_module(f"layerkit.{name}")
    else:
        raise import_module("layerkit.absent").error(__name__, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
