"""``Model``: layers that can be compiled, trained, evaluated, saved.

A model is made of symbolic tensors (``Model(inputs, outputs)``), by subclassing with a ``call``, or as ``Sequential``. Here
are its structure and its files; ``trainer.py`` has its training.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from layerkit import ops, tree
from layerkit.dtypes import STRING
from layerkit.errors import (
    ArgumentError,
    DataError,
    NotBuiltError,
    ShapeError,
    StateError,
    UnknownNameError,
    did_you_mean,
)
from layerkit.ir import Value
from layerkit.layers.base import Layer
from layerkit.layers.host import as_data
from layerkit.models.functional import LayerGraph, name_layers
from layerkit.models.trainer import Trainer
from layerkit.ops.core import dtype_of
from layerkit.registry import serialize
from layerkit.trace import current, draw_seed, get_mask, set_mask
from layerkit.training.data import Mapped

if TYPE_CHECKING:
    from layerkit.data import Preparation
    from layerkit.models.files import Backup


class Model(Trainer, Layer):
    """Layers with training; ``Model(inputs=, outputs=)``, or a subclass with ``call``.

    Args:
        inputs: symbolic tensors from ``Input``, in any nesting.
        outputs: tensors computed from them, in any nesting.

    Example:
        >>> import numpy as np
        >>> from layerkit.layers import Dense, Input
        >>> x = Input((3,))
        >>> model = Model(x, Dense(2)(x))
        >>> model.predict(np.ones((4, 3)), verbose=0).shape
        (4, 2)
    """

    is_container: ClassVar[bool] = True
    _graph: LayerGraph | None = None
    _drawn: tuple[int, int]
    """Its seed, after the age of the model that it was drawn for."""
    _has_lent_seed: bool

    def __init__(self, inputs: Any = None, outputs: Any = None, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self._prepare()
        if inputs is not None or outputs is not None:
            self._set_graph(LayerGraph(inputs, outputs))

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls, *args, **kwargs)
        self.supports_masking = False  # its layers pass masks on themselves
        self._seed = draw_seed()
        self._drawn = self._created, self._seed
        self._has_lent_seed = False
        self._prepare()
        return self

    def _prepare(self) -> None:
        """What there is before anything is known."""
        self._names: dict[str, Layer] = {}
        self.preparation: Preparation | None = None
        """How columns of data became its inputs and targets, where a spec's section ``data`` said so; files keep it."""
        self._prepare_training()

    def build(self, input_shape: Any) -> None:
        """Make the weights of a model of one's own: ``call`` is traced on inputs of these shapes, None for unknown sizes."""
        if self._graph is None and current() is None:  # else it is on its way to be called
            self.compute_output_shape(input_shape)

    def _builds_itself(self) -> bool:
        """Whether all its layers have their weights and its own training step says what to call: a GAN has no ``call``."""
        has_no_build = self.has_own_step and type(self).build is Model.build
        return has_no_build and bool(self.layers) and all(layer.built for layer in self.layers)

    # Structure --------------------------------------------------------------------------------------------------------

    def _set_graph(self, graph: LayerGraph) -> None:
        self._graph = graph
        self._hold(graph.layers())
        self.built = True

    def _hold(self, layers: Sequence[Layer]) -> None:
        """Name its layers, and have the seed that was drawn first of its own and those of models among them.

        So its weights do not depend on how many models it is made of, nor on which of them was made first. A model whose
        layers are taken without it lends its seed to one other: of two, new layers of equal names would be equal.
        """
        for layer in layers:
            root = layer._root()
            if layer._owner is None:
                self._drawn = min([self._drawn, *(x._drawn for x in layer.flatten_layers() if isinstance(x, Model))])
            elif layer._owner[0] is not self and isinstance(root, Model) and not root._has_lent_seed:
                self._drawn, root._has_lent_seed = min(self._drawn, root._drawn), True
        self._seed = self._drawn[1]
        self._names = name_layers(layers, self)

    def children(self) -> Any:
        """Its layers by name, then those in attributes."""
        seen = set()
        for name, layer in self._names.items():
            seen.add(layer)
            yield name, layer
        for key, layer in super().children():
            if layer not in seen and key not in ("_names", "history") and not key.startswith(("_names/", "_functions")):
                yield key, layer

    @property
    def layers(self) -> list[Layer]:
        """Its layers, in Keras's order."""
        return [layer for _, layer in self.children()]

    @property
    def inputs(self) -> list[Value]:
        """The symbolic inputs."""
        return list(self._require_graph().inputs)

    @property
    def outputs(self) -> list[Value]:
        """The symbolic outputs."""
        return list(self._require_graph().outputs)

    @property
    def input(self) -> Any:
        """The inputs in their structure."""
        return tree.unflatten(self._require_graph().input_structure, self.inputs)

    @property
    def output(self) -> Any:
        """The outputs in their structure."""
        return tree.unflatten(self._require_graph().output_structure, self.outputs)

    @property
    def input_shape(self) -> Any:  # type: ignore[override]
        """The shapes of the inputs in their structure; None for unknown sizes."""
        return tree.map_leaves(_known_shape, self.input)

    @input_shape.setter
    def input_shape(self, shape: Any) -> None:
        self._first_shape = shape  # as an argument: of what enters a Sequential that begins with this model

    @property
    def output_shape(self) -> Any:
        """The shapes of the outputs in their structure; None for unknown sizes."""
        return tree.map_leaves(_known_shape, self.output)

    def _require_graph(self) -> LayerGraph:
        if self._graph is None:
            raise NotBuiltError(
                f"'{self.name}' has no symbolic inputs.", fix="begin with an Input, or call it on data first"
            )
        return self._graph

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs."""
        return [str(layer.name) for layer in self._require_graph().input_layers]

    @property
    def output_names(self) -> list[str]:
        """The names of the layers, or ops, that make the outputs."""
        return [_output_name(v, self._names) for v in self._require_graph().outputs]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of that name, or at that place in ``layers``.

        Raises:
            UnknownNameError: there is none.
        """
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ArgumentError(
                    "there is no such layer.", expected=f"an index below {len(self.layers)}", got=str(index)
                )
            return self.layers[index]
        by_name = {n if n in self._names else str(x.name): x for n, x in self.children()}
        if name not in by_name:
            raise UnknownNameError(f"there is no layer '{name}'.", got=str(name), fix=did_you_mean(str(name), by_name))
        return by_name[name]

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        """The outputs for ``inputs``; subclasses write their own."""
        graph = self._require_graph()
        given = zip(graph.entries, self._match_inputs(inputs, graph), strict=True)
        return graph.run([_in_dtype_of(v, x) for v, x in given])

    @property
    def _float_inputs(self) -> str | None:
        return None if self._graph is not None else super()._float_inputs  # each gets that of its symbolic tensor

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if args:
            args = (self._on_host(args[0]), *args[1:])
        return super().__call__(*args, **kwargs)

    def _on_host(self, x: Any) -> Any:
        """What programs begin with: what layers on the host make of the data; without such layers the data themselves."""
        host = self._graph.host if self._graph is not None else None
        if host is None or host.is_done(x):
            return x
        if isinstance(x, Value):
            raise StateError(
                "a model that reads texts is no layer of another: its programs begin with what it makes of them.",
                layer=self.describe(), fix="put the layers that read texts into the outer model",
            )  # fmt: skip
        if not isinstance(x, Mapping | Sequence) and not hasattr(x, "shape") and not hasattr(x, "to_numpy"):
            return Mapped(lambda batch: self._on_host(batch), x)
        if isinstance(x, Mapping):
            arrays: Any = {k: as_data(v) for k, v in x.items()}
        else:
            arrays = [as_data(v) for v in (x if len(host.inputs) > 1 else [x])]
        return host.run(self._match_inputs(arrays, self._require_graph()))

    def _match_inputs(self, inputs: Any, graph: LayerGraph) -> list[Any]:
        """The inputs in the order of the graph: by name from a dict, else by place."""
        if graph.host is not None and graph.host.is_done(inputs):
            return [inputs[name] for name in graph.host.entries]
        if isinstance(inputs, Mapping):
            names = self.input_names
            if isinstance(graph.input_structure, Mapping) and set(graph.input_structure) <= set(inputs):
                inputs = _in_order(graph.input_structure, inputs)
        if isinstance(inputs, Mapping):
            missing = [n for n in names if inputs.get(n) is None]
            if missing:
                raise DataError(
                    f"there is no data for input '{missing[0]}'.", expected=", ".join(names), got=", ".join(inputs),
                    fix=did_you_mean(missing[0], inputs),
                )  # fmt: skip
            found = [inputs[n] for n in names]
        else:
            found = tree.leaves(inputs)
        if len(found) != len(graph.inputs):
            raise DataError(
                "the model takes another number of inputs.", layer=self.name, expected=f"{len(graph.inputs)}: {self.input_names}",
                got=str(len(found)),
            )  # fmt: skip
        return [self._fitting(*each) for each in zip(graph.inputs, found, self.input_names, strict=True)]

    def _fitting(self, value: Value, given: Any, name: str) -> Any:
        """What is given for an input, with an axis of size 1 at the end added or taken away if that is all it lacks."""
        rank = len(given.shape)
        known: Any = np if isinstance(given, np.ndarray) else ops  # arrays of texts are no tensors
        if rank == value.ndim + 1 and given.shape[-1] == 1:
            given = known.squeeze(given, -1)
        elif rank == value.ndim - 1 and value.shape[-1] == 1 and rank > 0:
            given = known.expand_dims(given, -1)
        fits = len(given.shape) == value.ndim and all(
            not isinstance(a, int) or not isinstance(b, int) or a == b
            for a, b in zip(given.shape[1:], value.shape[1:], strict=True)
        )
        if not fits:
            shown = tuple(n if isinstance(n, int) else None for n in value.shape)
            raise ShapeError(
                f"the data does not fit input '{name}'.", layer=f"{name} (Input)", expected=str(shown),
                got=str(tuple(n if isinstance(n, int) else None for n in given.shape)),
                fix="reshape the data, or change the shape of Input",
            )  # fmt: skip
        return given

    # The rest ---------------------------------------------------------------------------------------------------------

    def summary(
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
        batch_size: int = 32,
    ) -> None:
        """Print layers, shapes, parameters, multiply-adds, and the memory that training takes at ``batch_size``.

        Args:
            line_length: characters in a line.
            positions: accepted, does nothing.
            print_fn: ``print`` unless given.
            expand_nested: whether the layers of models inside are shown too.
            show_trainable: whether a column says which layers are trained.
            layer_range: names, or patterns of names, of the first and the last layer to show.
            batch_size: rows of the step whose memory is told.
        """
        from layerkit.models.summary import summarize

        text = summarize(self, line_length, batch_size, expand_nested, show_trainable, layer_range)
        (print_fn or print)(text)

    def explain(
        self, analyze: bool = False, x: Any = None, y: Any = None, show: str = "steps", batch_size: int = 32,
        print_fn: Callable[[str], Any] | None = None,
    ) -> None:  # fmt: skip
        """Print what the compiler made of a training step (of a prediction, if the model is not compiled).

        Args:
            analyze: also run the step on ``x`` and ``y``, and print how long its parts take; no weight changes.
            x: inputs of one batch; zeros unless given.
            y: their targets.
            show: "steps", the compiled steps as a table; "graph", the graph that was compiled; "passes", the graph before
                and after each pass; "code", the program in the engine's own language.
            batch_size: rows of the batch where ``x`` is not given.
            print_fn: ``print`` unless given.

        Raises:
            ArgumentError: ``show`` is something else, or there is nothing to analyze.
        """
        from layerkit.models.explain import explain

        (print_fn or print)(explain(self, analyze, x, y, show, batch_size))

    def save(self, filepath: Any, overwrite: bool = True, include_optimizer: bool = True) -> None:
        """Write the model to a file: architecture, weights, how it is compiled, and the state of training.

        ``include_optimizer=False`` leaves the last out, which with Adam is two thirds of the file.
        """
        from layerkit.models.files import save_model

        save_model(self, filepath, overwrite=overwrite, include_optimizer=include_optimizer)

    def __reduce__(self) -> Any:
        """For ``pickle`` and ``copy``: a model of symbolic tensors goes the way of files, for its graph may be deep."""
        if self._graph is None or type(self).__name__ not in ("Model", "Sequential"):
            return super().__reduce__()
        from layerkit.models.files import from_bytes, to_bytes

        own = {type(x).__name__: type(x) for x in self.flatten_layers() if not type(x).is_own}
        return from_bytes, (to_bytes(self), own)

    def get_config(self) -> dict[str, Any]:
        """The architecture as plain data, for a model of symbolic tensors; else the arguments it was made with."""
        if self._graph is None or type(self) is not Model:
            return super().get_config()
        from layerkit.models.config import model_config

        return model_config(self)

    def as_item(self) -> dict[str, Any]:
        """Itself as an entry of a list of layers, or as an argument of one, in files."""
        from layerkit.models.config import model_config

        is_graph = self._graph is not None and type(self) is Model
        return model_config(self) if is_graph else {type(self).__name__: serialize(self.config)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
        """A model like the one whose ``get_config`` this is, with layers and weights of its own.

        Args:
            config: what ``get_config`` returned.
            custom_objects: layers of your own by name.
        """
        if not {"Model", "Sequential"} & set(config):
            return super().from_config(config)
        from layerkit.models.config import model_from_config

        return model_from_config(config, custom_objects)

    def to_json(self, **kwargs: Any) -> str:
        """``get_config`` as JSON; arguments are those of ``json.dumps``."""
        return json.dumps(self.get_config(), **kwargs)

    def save_weights(self, filepath: Any, overwrite: bool = True) -> None:
        """Write the weights alone, for ``load_weights`` of a model of the same architecture."""
        from layerkit.models.files import save_weights

        save_weights(self, filepath, overwrite)

    def save_backup(self, filepath: Any, epoch: int, batch: int, callbacks: Mapping[str, Any] | None = None) -> None:
        """Write weights, the state of training and that of ``callbacks``, to go on with ``batch`` of ``epoch``."""
        from layerkit.models.files import save_backup

        save_backup(self, filepath, epoch, batch, callbacks or {})

    def restore_backup(self, filepath: Any) -> Backup:
        """Take over weights and state from a backup of this model; what it says about where to go on."""
        from layerkit.models.files import restore_backup

        return restore_backup(self, filepath)

    def load_weights(self, filepath: Any) -> None:
        """Take over the weights of a file; all of them must fit.

        Raises:
            FileFormatError: with the list of what does not.
        """
        from layerkit.models.files import load_weights

        load_weights(self, filepath)


def _in_dtype_of(value: Value, given: Any) -> Any:
    """What is given for an input, in the dtype of its symbolic tensor."""
    if value.dtype == STRING or dtype_of(given) == value.dtype:
        return given
    found = ops.cast(given, value.dtype)
    set_mask(found, get_mask(given))
    return found


def _in_order(structure: Any, given: Any) -> list[Any]:
    """The leaves of ``given`` in the order of ``structure``; dicts of data may have another."""
    if isinstance(structure, Mapping) and isinstance(given, Mapping):
        return [x for key in structure for x in _in_order(structure[key], given.get(key))]
    return tree.leaves(given)


def _known_shape(value: Value) -> tuple[int | None, ...]:
    return tuple(n if isinstance(n, int) else None for n in value.shape)


def _output_name(value: Value, names: dict[str, Layer]) -> str:
    from layerkit.layers.recorded import LayerCall

    if isinstance(value.node.op, LayerCall):
        return next((n for n, layer in names.items() if layer is value.node.op.layer), str(value.node.op.layer.name))  # type: ignore[attr-defined]
    return value.node.op.word


__all__ = ["Model"]
