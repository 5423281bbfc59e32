"""Names that users of Keras will type and that are not here, each with what does the same.

Only names for which there is a substitute stand here; Python's own words do for the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_DTYPE = "a layer computes in the dtype that it is given: layerkit.layers.Dense(64, dtype='bfloat16')"
_OWN = "layerkit.utils.custom_object_scope, or layerkit.utils.register_keras_serializable"
_PLOT = "save the model, then in a shell: layerkit plot model.lk -o model.svg"
_IMAGES = "layerkit.data.open_data(layerkit.data.Images(folder)); in a spec, data: {images: folder}"
_CONFIG = "layerkit.layers.serialize and layerkit.layers.deserialize; layerkit.optimizers, layerkit.losses and layerkit.metrics have them too"
_MNIST = "layerkit.data.open_data(layerkit.data.IDX(folder)) reads its files; layerkit.datasets.digits() ships"

INSTEAD: dict[str, dict[str, str]] = {
    "layerkit": {
        "DTypePolicy": _DTYPE,
        "Function": "layerkit.Model(inputs, outputs)",
        "KerasTensor": "layerkit.Input makes one, layerkit.utils.is_keras_tensor knows one",
        "Variable": "self.add_weight(...) of a layerkit.Layer",
        "dtype_policies": _DTYPE,
        "mixed_precision": _DTYPE,
        "preprocessing": "layerkit.utils.pad_sequences, layerkit.utils.timeseries_dataset_from_array, layerkit.data.Images",
    },
    "layerkit.callbacks": {
        "OrbaxCheckpoint": "layerkit.callbacks.ModelCheckpoint",
        "ProgbarLogger": "fit(..., verbose=1)",
        "RemoteMonitor": "layerkit.callbacks.LambdaCallback(on_epoch_end=...), which sends the logs",
        "TensorBoard": "layerkit.callbacks.CSVLogger writes the logs of each epoch to a file",
    },
    "layerkit.config": {"dtype_policy": _DTYPE, "set_backend": "compile(..., engine=...)", "set_dtype_policy": _DTYPE},
    "layerkit.datasets": {"fashion_mnist": _MNIST, "mnist": _MNIST},
    "layerkit.saving": {
        "CustomObjectScope": _OWN,
        "deserialize_keras_object": _CONFIG,
        "get_custom_objects": _OWN,
        "load_weights": "model.load_weights(path)",
        "save_weights": "model.save_weights(path)",
        "serialize_keras_object": _CONFIG,
    },
    "layerkit.utils": {
        "CustomObjectScope": _OWN,
        "FeatureSpace": "layerkit.data.open_data(layerkit.data.CSV(path), layerkit.data.DataOptions(target=...))",
        "deserialize_keras_object": _CONFIG,
        "get_custom_objects": _OWN,
        "image_dataset_from_directory": _IMAGES,
        "img_to_array": _IMAGES,
        "load_img": _IMAGES,
        "model_to_dot": _PLOT,
        "plot_model": _PLOT,
        "serialize_keras_object": _CONFIG,
    },
}


def error(module: str, name: str) -> AttributeError:
    """What Python says of a name that a module does not have, and what to use instead.

    Example:
        >>> print(error("layerkit.callbacks", "TensorBoard"))
        module 'layerkit.callbacks' has no attribute 'TensorBoard'; instead: layerkit.callbacks.CSVLogger writes the logs of each epoch to a file
    """
    instead = INSTEAD.get(module, {}).get(name)
    text = f"module '{module}' has no attribute '{name}'" + (f"; instead: {instead}" if instead else "")
    return AttributeError(text, name=name)


def getter(module: str) -> Callable[[str], Any]:
    """The ``__getattr__`` of a module that has no other."""

    def __getattr__(name: str) -> Any:
        raise error(module, name)

    return __getattr__
