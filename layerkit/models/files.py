"""Models to files and back. What a file holds is said in ``layerkit.saving``; here is what a model puts into it.

``config.json`` has the architecture and what ``compile`` was given, ``weights`` every weight by its path, ``state`` the
optimizer's slots, its step, the learning rate, the seed and the count of runs and epochs: training that goes on from a
file gives the same weights as training that was never interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from layerkit import saving
from layerkit.data import Preparation
from layerkit.errors import ArgumentError, FileFormatError, StateError
from layerkit.ir import Array
from layerkit.models.config import known_sizes, model_config, model_from_config
from layerkit.models.model import Model
from layerkit.records import dataclass
from layerkit.registry import knowing, serialize, with_own
from layerkit.saving import plain

PREPARATION = "/data"  # in ``preprocessing``, beside the paths of layers


def save_model(model: Model, filepath: Any, *, overwrite: bool = True, include_optimizer: bool = True) -> None:
    """Write ``model`` to ``filepath``; the file appears whole or not at all.

    Without ``include_optimizer`` the state of the training is left out; how the model is compiled stays, as in Keras.

    Raises:
        ArgumentError: something that has no form in a file, such as a function of your own.
        StateError: the model has no weights yet.
    """
    path = _place(model, filepath, overwrite)
    config: dict[str, Any] = {"model": model_config(model)}
    state = training_state(model) if include_optimizer else None
    if model._compiled is not None:
        config["compile"] = {k: serialize(v) for k, v in model._compiled.items() if v is not None}
    signature = {}
    if model._graph is not None:
        signature = {
            "inputs": {n: _type(v) for n, v in zip(model.input_names, model.inputs, strict=True)},
            "outputs": [_type(v) for v in model.outputs],
        }
    weights = {name: w.array for name, w in model.named_weights().items()}
    learned = {layer.path: layer.get_state() for layer in model.flatten_layers()}
    preprocessing = {name: known for name, known in learned.items() if known is not None}
    if model.preparation is not None:
        preprocessing[PREPARATION] = model.preparation.to_config()
    saving.write(
        path, config=config, weights=weights, state=state, preprocessing=preprocessing or None, signature=signature
    )


def save_weights(model: Model, filepath: Any, overwrite: bool = True) -> None:
    """Write what ``load_weights`` reads: the weights by name, nothing that says how they are used."""
    path = _place(model, filepath, overwrite)
    saving.write(path, config={}, weights={name: w.array for name, w in model.named_weights().items()})


def _place(model: Model, filepath: Any, overwrite: bool) -> Path:
    path = Path(filepath)
    if path.exists() and not overwrite:
        raise ArgumentError(f"'{path}' exists.", expected="a new file", got=str(path), fix="pass overwrite=True")
    if not model.built:
        raise StateError(
            "a model without shapes has no weights to save.",
            layer=model.name,
            fix="call it on data, or begin with an Input",
        )
    return path


def _type(value: Any) -> dict[str, Any]:
    return {"dtype": value.dtype, "shape": known_sizes(value.shape)}


def training_state(model: Model) -> dict[str, Array]:
    """All that training needs besides the weights, by name."""
    state = {
        "random/seed": np.asarray(model.random_state.seed, "int64"),
        "random/runs": np.asarray(model.random_state.runs, "int64"),
        "epochs": np.asarray(model._epochs_done, "int64"),
    }
    if model.optimizer is not None:
        names = {w: n for n, w in model.named_weights().items()}
        state |= {f"optimizer/{n}": scalar.array for n, scalar in model.optimizer.scalars.items()}
        for weight, slots in model.optimizer.slots.items():
            for name, slot in slots.items():
                state[f"optimizer/slots/{names.get(weight, weight.path)}/{name}"] = slot.array
    return state


def load_model(filepath: Any, custom_objects: Mapping[str, Any] | None = None, compile: bool = True) -> Model:
    """The model in a file, with the state of its training.

    Args:
        filepath: a file that ``model.save`` wrote.
        custom_objects: layers, models, optimizers, losses and metrics of your own by name.
        compile: whether the model is compiled as it was, and can go on training.

    Raises:
        FileFormatError: a file that is damaged or does not fit; ``problems`` lists all that is wrong.
    """
    contents = saving.read(filepath)
    config = contents.config
    if not isinstance(config.get("model"), dict):
        raise FileFormatError(
            "the file holds no model.",
            expected="a file that model.save wrote",
            got=", ".join(config) or "weights alone",
            fix="make the model, then model.load_weights(file)",
        )
    learned = dict(contents.preprocessing or {})
    preparation = learned.pop(PREPARATION, None)
    model = model_from_config(config["model"], custom_objects, learned)
    if preparation is not None:
        model.preparation = Preparation.from_config(preparation)
    example = getattr(model, "_example", None)
    if not model.built and example:
        model(_zeros(example))
    _set_weights(model, contents.weights)
    if compile and isinstance(config.get("compile"), dict):
        with knowing(custom_objects):
            model.compile(**with_own(config["compile"]))  # metrics are made later, when shapes are known
    if contents.state is not None:
        _set_state(model, contents.state, compile)
    return model


def to_bytes(model: Model) -> bytes:
    """What a file of the model holds."""
    with TemporaryDirectory() as folder:
        save_model(model, Path(folder) / "model.lk")
        return (Path(folder) / "model.lk").read_bytes()


def from_bytes(data: bytes, custom_objects: Mapping[str, Any] | None = None) -> Model:
    """The model that ``to_bytes`` was given."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.lk"
        path.write_bytes(data)
        return load_model(path, custom_objects)


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Model:
    """The model whose ``to_json`` this is, with new weights.

    Raises:
        FileFormatError: the text describes no model.
    """
    try:
        config = json.loads(json_string)
    except ValueError as error:
        raise FileFormatError(
            "the text is no JSON.", expected="what model.to_json() returns", got=str(error)
        ) from error
    return model_from_config(config, custom_objects)


@dataclass(frozen=True)
class Backup:
    """Where training goes on, and what its callbacks remember.

    Attributes:
        epoch: the epoch to go on with,
        batch: and the batch in it.
        has_stopped: whether training had been stopped.
        callbacks: states by name.
    """

    epoch: int
    batch: int
    has_stopped: bool
    callbacks: Mapping[str, Any]


def save_backup(model: Model, filepath: Any, epoch: int, batch: int, callbacks: Mapping[str, Any]) -> None:
    """Write weights and the state of training, without the architecture, and where training goes on."""
    arrays: dict[str, Array] = {}
    place = {
        "epoch": epoch,
        "batch": batch,
        "stopped": bool(model.stop_training),
        "example": getattr(model, "_example", None),
        "callbacks": plain.pack(callbacks, arrays, "callbacks"),
    }
    weights = {name: w.array for name, w in model.named_weights().items()}
    state = training_state(model) | arrays
    saving.write(Path(filepath), config={"backup": place}, weights=weights, state=state)


def restore_backup(model: Model, filepath: Any) -> Backup:
    """Take over a backup of this model.

    Raises:
        FileFormatError: a file that is no backup, or that of another model.
    """
    contents = saving.read(filepath)
    place = contents.config.get("backup")
    if not isinstance(place, dict) or contents.state is None:
        raise FileFormatError(
            "the file is no backup.", expected="a file that BackupAndRestore wrote", got=str(filepath)
        )
    if not model.built and place.get("example"):
        model(_zeros(place["example"]))
        model._example = place["example"]  # type: ignore[attr-defined]
    callbacks = plain.unpack(place["callbacks"], contents.state) if "callbacks" in place else {}
    _set_weights(model, contents.weights)
    _set_state(model, {n: a for n, a in contents.state.items() if not n.startswith("callbacks/")}, with_optimizer=True)
    return Backup(int(place["epoch"]), int(place["batch"]), bool(place.get("stopped")), callbacks)


def load_weights(model: Model, filepath: Any) -> None:
    """Take over the weights of a file."""
    _set_weights(model, saving.read(filepath).weights)


def _set_weights(model: Model, weights: Mapping[str, Array]) -> None:
    own = model.named_weights()
    saving.check({n: (w.dtype, w.shape) for n, w in own.items()}, weights)
    for name, weight in own.items():
        weight.array = weights[name]


def _set_state(model: Model, state: Mapping[str, Array], with_optimizer: bool) -> None:
    expected = training_state(model)
    if with_optimizer and model.optimizer is not None:
        model.optimizer.build(model.trainable_weights)
        expected = training_state(model)
        if not any(n.startswith("optimizer/slots/") for n in state):  # saved before the first step
            expected = {n: a for n, a in expected.items() if not n.startswith("optimizer/slots/")}
        saving.check({n: (a.dtype.name, a.shape) for n, a in expected.items()}, state)
        for name, scalar in model.optimizer.scalars.items():
            scalar.array = state[f"optimizer/{name}"]
        names = {w: n for n, w in model.named_weights().items()}
        for weight, slots in model.optimizer.slots.items():
            for name, slot in slots.items():
                key = f"optimizer/slots/{names[weight]}/{name}"
                if key in expected:
                    slot.array = state[key]
    missing = [n for n in ("random/seed", "random/runs", "epochs") if n not in state]
    if missing:
        raise FileFormatError(
            "the state of training is incomplete.", expected="random/seed, random/runs, epochs", got=", ".join(state)
        )
    model.random_state.seed, model.random_state.runs = int(state["random/seed"]), int(state["random/runs"])
    model._epochs_done = int(state["epochs"])


def _zeros(example: Any) -> Any:
    if isinstance(example, Mapping) and set(example) == {"dtype", "shape"}:
        return np.zeros((1, *example["shape"]), example["dtype"])
    if isinstance(example, Mapping):
        return {k: _zeros(v) for k, v in example.items()}
    return [_zeros(v) for v in example]
