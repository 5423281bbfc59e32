"""Which names of Keras 3.15 there are, with which arguments: ``python tests/oracle/test_surface.py`` prints the table.

Order, names and defaults of arguments are compared with Keras's; every difference stands here with its reason.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import inspect
from importlib import import_module
from typing import Any

import keras
import pytest

import layerkit
from layerkit.absent import INSTEAD
from layerkit.errors import ArgumentError
from layerkit.fields import signature

MODULES = (
    "layers", "initializers", "regularizers", "constraints", "activations", "losses", "metrics", "optimizers", "callbacks",
)  # fmt: skip

OTHERS = "wraps a model of another framework"
MIXED = "several changes of pictures drawn out of a list: a pipeline of the layers that there are does it"
COLOUR = "changes pictures by histograms or bends them; to come"
SOUND = "spectra of sound; to come"
MISSING = {
    "layers": {
        **dict.fromkeys(("FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper"), OTHERS),
        **dict.fromkeys(("AugMix", "RandAugment"), MIXED),
        **dict.fromkeys(
            (
                "ContrastLimitedAdaptiveHistogramEqualization", "Equalization", "RandomElasticTransform", "RandomPerspective",
            ),
            COLOUR,
        ),
        "STFTSpectrogram": SOUND,
        "InputSpec": "layers check their inputs themselves",
        "MaxNumBoundingBoxes": "there are no bounding boxes",
        "Pipeline": "a Sequential does it",
    },
    "optimizers": {
        "MultiOptimizer": "a train_step may use several optimizers",
        "OptimizerMap": "a train_step may use several optimizers",
    },
    "callbacks": {
        "OrbaxCheckpoint": "ModelCheckpoint and BackupAndRestore do it",
        "ProgbarLogger": "fit(verbose=)",
        "RemoteMonitor": "sends logs to a server",
        "TensorBoard": "to come",
    },
}  # fmt: skip

LORA = "adapters of low rank and quantisation are to come"
ARGUMENTS = {
    "layers.Dense": ({"lora_rank", "lora_alpha", "quantization_config"}, LORA),
    "layers.EinsumDense": ({"lora_rank", "lora_alpha", "gptq_unpacked_column_size", "quantization_config"}, LORA),
    "layers.Embedding": ({"lora_rank", "lora_alpha", "quantization_config"}, LORA),
    "layers.Layer": ({"activity_regularizer", "trainable", "autocast"}, "they are by keyword there too"),
    "layers.CategoryEncoding": ({"num_tokens"}, "Keras refuses its own default"),
    "layers.deserialize": ({"config", "custom_objects"}, "classes of one's own are registered by being subclasses"),
    "initializers.serialize": ({"initializer"}, "one function for all kinds"),
    "initializers.deserialize": ({"config", "custom_objects"}, "one function for all kinds"),
    "regularizers.serialize": ({"regularizer"}, "one function for all kinds"),
    "regularizers.deserialize": ({"config", "custom_objects"}, "one function for all kinds"),
    "constraints.serialize": ({"constraint"}, "one function for all kinds"),
    "constraints.deserialize": ({"config", "custom_objects"}, "one function for all kinds"),
    "layers.serialize": ({"layer"}, "one function for all kinds"),
    "activations.serialize": ({"activation"}, "one function for all kinds"),
    "activations.deserialize": ({"config", "custom_objects"}, "the same as get"),
    "losses.serialize": ({"loss"}, "one function for all kinds"),
    "losses.deserialize": ({"custom_objects"}, "one function for all kinds"),
    "metrics.serialize": ({"metric"}, "one function for all kinds"),
    "optimizers.serialize": ({"optimizer"}, "one function for all kinds"),
    "optimizers.Optimizer": ({"learning_rate"}, "it has a default, so that a rule of one's own need not name it"),
    "callbacks.CallbackList": ({"add_history", "add_progbar", "callbacks", "model"}, "made by fit alone"),
}
NUMBERS = {
    "optimizers": "have no stateless_apply: a function traced by layerkit.function has its state go in and out",
    "activations.sparsemax": "Keras takes sums over all rows together, so that rows do not add up to 1",
    "layers.Discretization.adapt": "quantiles are exact, Keras's are as near as epsilon",
    "layers.Discretization, CategoryEncoding": 'modes "multi_hot" and "count" take the last axis together, as Keras documents; it takes the second',
    "regularizers.OrthogonalRegularizer": 'mode "columns": Keras divides columns by the lengths of rows',
    "losses": "shapes that broadcast by more than an axis of size 1 at the end are an error, Keras trains something else",
    "losses.CTC": "labels that do not fit into the frames have no gradient",
    "losses.CategoricalGeneralizedCrossEntropy": "class numbers of shape (batch, 1) are class numbers; Keras broadcasts them",
    "metrics.IoU and its like": "weights may be fractions; Keras cuts them to whole numbers",
    "callbacks.EarlyStopping and its like": 'where no metric tells which way is better, mode "auto" goes by the name or warns; Keras refuses',
    "callbacks.ModelCheckpoint": "the best is not replaced in an epoch without the value that is watched; Keras saves then",
    "layers.RNN(stateful)": "states go on in fit and predict too (Keras on JAX loses them there); a smaller batch is allowed",
    "layers.ConvLSTM": "takes masks; Keras on JAX fails with one",
    "layers.TimeDistributed": "statistics of a batch (BatchNormalization) are over all steps; Keras takes each step alone",
    "layers.MultiHeadAttention": "rows that may attend to nothing have equal weights; Keras returns zeros if scores are asked for",
    "layers.SimpleRNN": "the penalty of activity_regularizer counts; Keras leaves it out",
    "layers.GroupedQueryAttention": "the penalty on the output counts once; Keras counts it twice",
    "layers.MultiHeadAttention, masks": "rows of the query that its mask leaves out are computed as others: what comes out carries the mask",
    "layers.SpectralNormalization": "training goes on from the divided kernel; Keras on JAX forgets the division at the update",
    "layers.RandomSaturation": "numbers stay within value_range",
    "layers.Solarization": "factors are drawn out of the range that is given; Keras draws below it",
    "layers.RandomPosterization": "bits are drawn up to the number given; Keras keeps one less at most",
    "layers.RandomCrop": "not in training: what Keras documents, the resized middle; it leaves images as they are",
}
"""Where other numbers come out."""
COMMON = {"name", "dtype"}  # of every layer, by keyword


def names(module: str) -> list[str]:
    theirs = getattr(keras, module)
    return sorted(n for n in dir(theirs) if not n.startswith("_") and callable(getattr(theirs, n)))


def differences(theirs: Any, ours: Any) -> set[str]:
    """The arguments of Keras's that are missing, stand elsewhere or have another default."""
    is_class = inspect.isclass(theirs)
    wanted = list(inspect.signature(theirs.__init__ if is_class else theirs).parameters.values())[is_class:]
    variable = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    wanted = [p for p in wanted if p.kind not in variable and p.name not in COMMON]
    found = (signature(ours) if inspect.isclass(ours) else inspect.signature(ours)).parameters
    order = [n for n, p in found.items() if p.kind is not p.KEYWORD_ONLY and n not in COMMON]
    odd = {p.name for i, p in enumerate(wanted) if order[i : i + 1] != [p.name]}
    return odd | {p.name for p in wanted if p.name in found and not same(p.default, found[p.name].default)}


def same(a: Any, b: Any) -> bool:
    """Whether two defaults mean the same: 2 and (2, 2) do, "Zeros" and "zeros" do."""
    if isinstance(a, tuple) and isinstance(b, int):
        return all(same(v, b) for v in a)
    return a is b or a == b or str(a).lower() == str(b).lower()


def table() -> str:
    lines = []
    for module in MODULES:
        missing = MISSING.get(module, {})
        all_names = names(module)
        lines.append(f"keras.{module}: {len(all_names) - len(missing)} of {len(all_names)}")
        lines += [f"    missing  {n:45} {reason}" for n, reason in missing.items()]
        for name in all_names:
            gone, reason = ARGUMENTS.get(f"{module}.{name}", ((), ""))
            lines += [f"    other    {name + '(' + ', '.join(sorted(gone)) + ')':45} {reason}"] if gone else []
    lines += ["other numbers", *(f"    {name:45} {reason}" for name, reason in NUMBERS.items())]
    return "\n".join(lines)


@pytest.mark.parametrize("module", MODULES)
def test_every_name_is_there_or_has_a_reason(module: str) -> None:
    absent = {n for n in names(module) if not hasattr(getattr(layerkit, module), n)}
    assert absent == set(MISSING.get(module, {}))
    print(table())


@pytest.mark.parametrize("name", [f"{m}.{n}" for m in MODULES for n in names(m) if n not in MISSING.get(m, {})])
def test_arguments_are_the_same(name: str) -> None:
    module, word = name.split(".")
    found = differences(getattr(getattr(keras, module), word), getattr(getattr(layerkit, module), word, None))
    assert found == ARGUMENTS.get(name, (set(), ""))[0]


NO_OPS = {
    "numpy": set(),
    "nn": {"polar"},
    "linalg": {"eig", "jvp"},
}  # complex numbers, and a derivative that grad is for


@pytest.mark.parametrize("place", NO_OPS)
def test_functions_are_where_keras_has_them_too(place: str) -> None:
    module = import_module(f"layerkit.ops.{place}")
    assert module is getattr(layerkit.ops, place)
    wanted = {n for n in dir(getattr(keras.ops, place)) if not n.startswith("_")}
    assert {n for n in wanted if not callable(getattr(module, n, None))} == NO_OPS[place]


def test_settings_are_those_that_keras_begins_with() -> None:
    for name in ("floatx", "epsilon", "image_data_format"):
        now = getattr(layerkit.config, name)()
        assert now == getattr(keras.config, name)() == getattr(layerkit.backend, name)()
        getattr(layerkit.config, f"set_{name}")(now)
        with pytest.raises(ArgumentError) as caught:
            getattr(layerkit.backend, f"set_{name}")("other")
        assert caught.value.expected == repr(now)


if __name__ == "__main__":
    print(table())


@pytest.mark.parametrize(("module", "names"), INSTEAD.items(), ids=list(INSTEAD))
def test_names_that_are_said_to_be_of_keras_are(module: str, names: dict[str, str]) -> None:
    theirs = import_module(module.replace("layerkit", "keras"))
    assert [name for name in names if not hasattr(theirs, name)] == []
