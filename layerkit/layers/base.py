"""The base of all layers.

A layer is its arguments (``layerkit.fields``); its weights are handles (``layerkit.trace``). It is written in one of two
ways, which mix freely: with declared fields, as all of layerkit's own are, or Keras's way, with an ``__init__`` that calls
``super().__init__(**kwargs)``. Either has ``build(input_shape)``, which adds weights, and ``call(inputs)``, which computes.

What ``layer(x)`` does depends on ``x`` and on where it is called:
- on arrays, it computes at once;
- inside a program (``fit``, ``function``), it adds its ops to it;
- on the symbolic tensors of ``Input``, outside a program, it records the call, for ``Model`` to replay.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY
from functools import partial, wraps
from math import prod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np

from layerkit import constraints, initializers, regularizers, tree
from layerkit.dtypes import canonical, is_floating
from layerkit.errors import ArgumentError, NotBuiltError, ShapeError, Span, placed, warn
from layerkit.fields import Check, Configurable
from layerkit.ir import Array, Node, Value, origin
from layerkit.layers.arguments import build_shapes, call_arguments
from layerkit.layers.recorded import record, recorded_inputs, recorded_outputs
from layerkit.layers.shapes import shapes_of, stand_in
from layerkit.ops import cast
from layerkit.ops.core import dtype_of, operand
from layerkit.random import SeedGenerator
from layerkit.records import dataclass
from layerkit.registry import Registry, snake_case
from layerkit.registry import serialize as registry_serialize
from layerkit.trace import Trace, Weight, current, draw_seed, get_mask, set_mask, tracing

LAYERS = Registry("layer")
MAX_WEIGHT = 1 << 38
"""More numbers than that, a terabyte of them, are a mistake, or meant to fill the memory."""
_CREATED = itertools.count()  # only to sort layers by age when a model names them


class Layer(Configurable):
    """Base class of layers; see the module's text.

    Args:
        activity_regularizer: penalty on the output, added to the loss.
        trainable: whether training changes its weights.
        dtype: dtype of its weights and of what it computes; float32 unless given.
        autocast: whether float inputs are cast to that dtype.
        name: its name in the model; by default its class's, numbered in the order of creation.
        input_shape: shape of one input without the batch, for the first layer of a ``Sequential``.
    """

    _: KW_ONLY
    activity_regularizer: Any = None
    trainable: bool = True
    dtype: str | None = None
    autocast: bool = True
    name: str | None = None
    input_shape: Any = None

    _created: int
    _weights: list[Weight]
    _owner: tuple[Layer, str | None] | None
    _seed: int | None
    _is_named: bool
    _mask_ends: bool
    """Whether the mask of its input ended here, which was said once."""
    _span: Span | None
    """Where it stands in a spec."""
    _node: Node | None
    """Its first call on symbolic tensors."""
    _own_losses: list[Any]
    """What it added to the loss when it was last called on arrays."""
    _last_call: Trace | None
    _output_shapes: tuple[Any, ...] | None
    """Of what it gave when it was last called, for ``summary``; None before."""
    """That call, the outermost one."""
    if TYPE_CHECKING:
        built: bool
        supports_masking: bool
        seed_generator: SeedGenerator

    trains_alone: ClassVar[bool] = False
    """Whether it acts as in training when it is called on arrays, outside a model and without ``training=``."""
    is_host: ClassVar[bool] = False
    """Whether it works on data before a program runs."""
    is_python_only: ClassVar[bool] = False
    """Whether it holds code, so that no file can have it."""
    is_container: ClassVar[bool] = False
    """Whether paths of its layers begin with their own names (models)."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls, *args, **kwargs)
        self._created = next(_CREATED)
        self._mask_ends = False
        self._weights = []
        self._owner = None
        self._seed = None
        self.built = cls.is_own and cls.build is Layer.build and not cls.is_container
        self.supports_masking = cls.compute_mask is not Layer.compute_mask
        self.name = kwargs.get("name") or snake_case(cls.__name__)
        self._is_named = kwargs.get("name") is not None
        self._span = self._node = self._last_call = self._output_shapes = None
        self._own_losses = []
        return self

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        given = kwargs.get("name", self._config.get("name"))
        self._is_named = given is not None
        self.name = given or snake_case(type(self).__name__)
        self.dtype = canonical(self.dtype) if self.dtype is not None else None
        self.activity_regularizer = regularizers.get(self.activity_regularizer)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "build" in cls.__dict__:
            cls.build = _marking_built(cls.__dict__["build"])  # type: ignore[method-assign]
        if not cls.__name__.startswith("_"):
            cls.is_own = cls.__module__.startswith("layerkit.")
            if cls.is_own:
                LAYERS.add(cls)

    is_own: ClassVar[bool] = False
    _is_called = False
    latest: ClassVar[object] = object()
    """Another object whenever any layer was frozen or thawed, or got another part."""

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        if name == "trainable" or isinstance(value, Configurable):
            Layer.latest = object()
        if name == "trainable" and "_weights" in self.__dict__:
            for _, layer in self.children():
                layer.trainable = value

    # What subclasses write --------------------------------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Add the weights; ``input_shape`` has None for unknown sizes."""

    def call(self, inputs: Any, **kwargs: Any) -> Any:
        """The output for ``inputs``."""
        raise NotImplementedError(f"'{type(self).__name__}' has no call(inputs).")

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Which elements of the output count."""
        return previous_mask

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """The shape of the output for inputs of these shapes, None for unknown sizes: ``call`` is traced on them.

        A layer that has no weights yet gets them for these shapes.

        Example:
            >>> from layerkit.layers import Conv1D
            >>> Conv1D(4, 3, strides=2).compute_output_shape((None, 9, 2))
            (None, 4, 4)
        """
        named = {k.removesuffix("_shape"): stand_in(v, self.compute_dtype) for k, v in kwargs.items()}
        if "input" in named:
            named["inputs"] = named.pop("input")
        with tracing(Trace()):
            outputs = self(*(stand_in(a, self.compute_dtype) for a in args), **named)
        return shapes_of(outputs)

    @property
    def output_names(self) -> Sequence[str]:
        """Names for its outputs, where it has several; a spec addresses them by these: ``lstm.h``."""
        return ()

    # State ------------------------------------------------------------------------------------------------------------

    def add_weight(
        self,
        shape: Sequence[int] | None = None,
        initializer: Any = None,
        dtype: str | None = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Weight:
        """A tensor that the layer keeps; its numbers are made when they are first needed.

        Raises:
            ArgumentError: ``shape`` is no shape (a name is given by ``name=``), or the layer is in the middle of a call.
        """
        if isinstance(shape, str) or self._is_called:
            raise ArgumentError(
                "a weight is made in 'build', or before, not in 'call'." if self._is_called else "a name is no shape.",
                layer=self.describe(), expected="add_weight(shape, ..., name=...) in build", got=repr(name or shape),
            )  # fmt: skip
        shape = tuple(shape) if shape is not None else ()
        kind = canonical(dtype or self.compute_dtype)
        for n in shape:
            if not isinstance(n, int | np.integer):
                raise ShapeError(
                    "a weight needs known sizes.",
                    layer=self.describe(),
                    expected="whole numbers",
                    got=str(shape),
                    fix="give that axis a size in Input(shape=...)",
                )
        if prod(map(int, shape)) > MAX_WEIGHT:
            raise ShapeError("a weight has too many numbers.", layer=self.describe(), expected=f"at most {MAX_WEIGHT}", got=str(tuple(shape)),
                             fix="check the sizes of the layer and of what it reads")  # fmt: skip
        if initializer is None:
            initializer = "glorot_uniform" if is_floating(kind) else "zeros"
        number = len(self._weights)

        def own_name() -> str:
            return name or next((k for k, v in vars(self).items() if v is weight), f"weight{number}")

        def path() -> str:
            return f"{self.path}/{own_name()}" if self.path else own_name()

        weight = Weight(
            shape,
            kind,
            initializers.starting(initializer),
            trainable=trainable,
            name=name or f"weight{number}",
            path=path,
            seed=self._root_seed,
            regularizer=regularizers.get(regularizer),
            constraint=constraints.get(constraint),
        )
        weight.own_name = own_name  # type: ignore[attr-defined]
        self._weights.append(weight)
        return weight

    def _root(self) -> Layer:
        """The outermost layer, or model, that it is part of."""
        root = self
        while root._owner is not None:
            root = root._owner[0]
        return root

    def _root_seed(self) -> int:
        root = self._root()
        if root._seed is None:
            root._seed = draw_seed()
        return root._seed

    def get_config(self) -> dict[str, Any]:
        """All arguments, as Keras's ``get_config`` returns them, with the name that it has in its model; subclasses may add to it."""
        config = super().get_config()
        if self._is_named or self._owner is not None:
            config["name"] = self.name
        if config.get("activity_regularizer") is None:
            config.pop("activity_regularizer", None)
        return config

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_last_call": None, "_output_shapes": None, "_own_losses": []}

    def get_state(self) -> Any:
        """What it learned from data before training, as plain values, besides its weights; None: nothing."""
        return None

    def set_state(self, state: Any) -> None:
        """Take over what ``get_state`` returned."""

    def children(self) -> Iterator[tuple[str, Layer]]:
        """The layers that it holds in attributes, lists, tuples and dicts, by the key under which it holds them."""
        seen: set[int] = set()

        def walk(key: str, value: Any) -> Iterator[tuple[str, Layer]]:
            if isinstance(value, Layer):
                if id(value) not in seen and value is not self:
                    seen.add(id(value))
                    yield key, value
            elif isinstance(value, list | tuple):
                for i, item in enumerate(value):
                    yield from walk(f"{key}/{i}", item)
            elif isinstance(value, dict):
                for k, item in value.items():
                    yield from walk(f"{key}/{k}", item)

        for key, value in vars(self).items():
            if type(value) not in _PLAIN and isinstance(value, _HOLDERS) and key not in _NO_CHILDREN:
                yield from walk(key, value)

    def adopt(self) -> None:
        """Become the owner of the layers it holds, unless they have one; their paths begin with its own."""
        for attribute, value in vars(self).items():
            if isinstance(value, SeedGenerator):
                value.path = partial(_path_in, self, attribute)
        for key, layer in self.children():
            if layer._owner is None:
                layer._owner = (self, layer.name if layer._is_named else key.lstrip("_"))

    @property
    def path(self) -> str:
        """Its place in the model that holds it: ``encoder/dense_1``."""
        if self._owner is None:
            return "" if self.is_container else self.name or ""
        owner, key = self._owner
        return "/".join(p for p in (owner.path, key or self.name) if p)

    def named_weights(self) -> dict[str, Weight]:
        """Its weights by their paths from here: ``dense/kernel``; a shared layer counts where it is met first."""
        found: dict[str, Weight] = {}
        seen: set[Weight] = set()

        def walk(layer: Layer, front: str) -> None:
            for weight in layer._weights:
                if weight not in seen:
                    seen.add(weight)
                    found[front + weight.own_name()] = weight  # type: ignore[attr-defined]
            for key, child in layer.children():
                walk(child, f"{front}{child.name if child._is_named else key.lstrip('_')}/")

        walk(self, "")
        return found

    def flatten_layers(self) -> Iterator[Layer]:
        """Itself and all layers below it."""
        yield self
        for _, layer in self.children():
            yield from layer.flatten_layers()

    @property
    def weights(self) -> list[Weight]:
        """Own weights, trainable ones first, then those of its layers."""
        own = [w for w in self._weights if w.trainable] + [w for w in self._weights if not w.trainable]
        found = {w: None for w in own}
        for _, layer in self.children():
            found |= {w: None for w in layer.weights}
        return list(found)

    variables = weights

    @property
    def trainable_weights(self) -> list[Weight]:
        """The weights that training changes."""
        if not self.trainable:
            return []
        found = {w: None for w in self._weights if w.trainable}
        for _, layer in self.children():
            found |= {w: None for w in layer.trainable_weights}
        return list(found)

    trainable_variables = trainable_weights

    @property
    def non_trainable_weights(self) -> list[Weight]:
        """The weights that training leaves to the layers themselves."""
        trainable = set(self.trainable_weights)
        return [w for w in self.weights if w not in trainable]

    non_trainable_variables = non_trainable_weights

    def get_weights(self) -> list[Array]:
        """Copies of the weights' numbers, in the order of ``weights``."""
        return [w.numpy() for w in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set the weights' numbers; nothing is set if anything does not fit."""
        own, given = self.weights, [np.asarray(w) for w in weights]
        expected, got = [w.shape for w in own], [w.shape for w in given]
        if expected != got:
            wrong = next(
                (f"'{w.path}' {w.shape} from {g}" for w, g in zip(own, got, strict=False) if w.shape != g),
                "their number",
            )
            raise ShapeError(
                f"the arrays do not fit the weights: {wrong}.",
                layer=self.describe(),
                expected=f"{len(expected)} arrays {expected}",
                got=f"{len(got)} arrays {got}",
                fix=None if own else "build the layer first: call it, or give the model an Input",
            )
        for w, array in zip(own, given, strict=True):
            w.array = array

    def count_params(self) -> int:
        """The number of elements of all weights."""
        return sum(w.size for w in self.weights)

    @property
    def compute_dtype(self) -> str:
        """The dtype in which it computes."""
        return self.dtype or "float32"

    @property
    def _float_inputs(self) -> str | None:
        """The dtype to which float inputs are cast; None: none."""
        return self.compute_dtype if self.autocast else None

    def add_loss(self, loss: Any) -> None:
        """Add a scalar, or several, to the loss of the step that is being traced; outside one ``losses`` has it."""
        trace = current()
        if trace is None or trace.is_eager:
            self._own_losses.extend(tree.leaves(loss))
        else:
            trace.losses.extend(tree.leaves(loss))

    def add_metric(self, value: Any, name: str | None = None) -> None:
        """Show a number in the logs of the step that is being traced: its mean over the batches so far."""
        trace = current()
        if trace is not None and not trace.is_eager:
            trace.metrics.append((name or str(self.name), value))

    @property
    def losses(self) -> list[Any]:
        """What is added to the loss: what layers added so far in the step, or in the last call, and regularizers."""
        trace = current()
        if trace is None or trace.is_eager:
            layers = [layer for layer in self.flatten_layers() if layer._last_call is self._last_call]
            found = [loss for layer in layers for loss in layer._own_losses]
        else:
            found = list(trace.losses)
        for weight in self.trainable_weights:
            if weight.regularizer is not None:
                with origin(weight.path.rpartition("/")[0]):
                    found.append(weight.regularizer(weight))
        return found

    @property
    def input(self) -> Any:
        """What it was first called on, symbolic tensors in their structure."""
        return recorded_inputs(self._first_call())

    @property
    def output(self) -> Any:
        """What came out of that call: ``Model(model.input, model.get_layer("dense").output)``."""
        return recorded_outputs(self._first_call())

    def _first_call(self) -> Node:
        if self._node is None:
            raise NotBuiltError(
                "the layer was not called on symbolic tensors.", layer=self.describe(),
                fix="call it on what Input(...) returned, or on the output of another layer",
            )  # fmt: skip
        return self._node

    def describe(self) -> str:
        """Its name and class, for errors."""
        return f"{self.path or self.name} ({type(self).__name__})"

    # Calling ----------------------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        trace = current()
        is_symbolic = any(isinstance(x, Value) for x in tree.leaves((args, kwargs)))
        if is_symbolic and (trace is None or trace.is_eager):
            return record(self, args, kwargs)
        if trace is None:
            with tracing(Trace(training=self.trains_alone, is_eager=True)):
                return self._run(args, kwargs)
        return self._run(args, kwargs)

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        trace, takes = current(), call_arguments(type(self))
        assert trace is not None
        if trace.is_eager and self._last_call is not trace:
            self._last_call, self._own_losses = trace, []
        with placed(self.describe()), origin(self.path or self.name or ""):
            args = tuple(tree.map_leaves(self._as_input, a) for a in args)
            self._ensure_built(args, kwargs)
            before = trace.training
            if kwargs.get("training") is not None:
                trace.training = bool(kwargs["training"])
            elif takes.training:
                kwargs = {**kwargs, "training": before}
            if not takes.training:
                kwargs.pop("training", None)
            given = dict(zip(takes.names, args, strict=False)) | kwargs
            first = next(iter(given.values()), None)
            has_mask = any(get_mask(x) is not None for x in tree.leaves(first))
            previous = tree.map_leaves(get_mask, first) if has_mask else kwargs.get("mask")
            for name, mask in (*takes.masks, *([(None, "mask")] if takes.mask else [])):
                inputs = first if name is None else given.get(name)
                if given.get(mask) is None and any(get_mask(x) is not None for x in tree.leaves(inputs)):
                    kwargs = {**kwargs, mask: tree.map_leaves(get_mask, inputs)}
            self._is_called = True
            try:
                outputs = self.call(*args, **kwargs)
            finally:
                trace.training, self._is_called = before, False
            if outputs is None:
                raise ArgumentError("a layer's call returns its output.", expected="a tensor, or several", got="nothing", fix="end 'call' with a return")  # fmt: skip
            self._output_shapes = tuple(x.shape for x in tree.leaves(outputs) if hasattr(x, "shape"))
            self._pass_mask(first, outputs, previous, has_mask)
            self._regularize(outputs)
        return outputs

    def _as_input(self, x: Any) -> Any:
        if (
            isinstance(x, str)
            or x is None
            or (not isinstance(x, Value) and not hasattr(x, "dtype") and not isinstance(x, list | float | int))
        ):
            return x
        if isinstance(x, bool):
            return x
        mask = get_mask(x)
        tensor = operand(x)
        kind = self._float_inputs
        if kind is not None and is_floating(dtype_of(tensor)) and dtype_of(tensor) != kind:
            tensor = cast(tensor, kind)
            set_mask(tensor, mask)
        return tensor

    def _ensure_built(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not self.built:
            with tracing(Trace(is_eager=True)):
                self.build(*build_shapes(self, args, kwargs))
            self.built = True
        self.adopt()

    def _pass_mask(self, inputs: Any, outputs: Any, previous: Any, has_mask: bool) -> None:
        flat = tree.leaves(outputs)
        if self.supports_masking:
            if all(get_mask(x) is not None for x in flat):
                return
            if previous is None and isinstance(inputs, list | tuple | dict):
                previous = tree.map_leaves(get_mask, inputs)
            mask = self.compute_mask(inputs, previous)
            if any(m is not None for m in tree.leaves(mask)):
                masks = list(mask) if isinstance(mask, list | tuple) else [mask]
                for x, m in zip(flat, masks, strict=False):
                    set_mask(x, m)
        elif has_mask and not self.is_container and not self._mask_ends and not call_arguments(type(self)).mask:
            self._mask_ends = True
            warn(
                f"layer '{self.path}' ({type(self).__name__}) does not support masks: the mask of its input ends here."
            )

    def _regularize(self, outputs: Any) -> None:
        if self.activity_regularizer is not None:
            from layerkit import ops

            for x in tree.leaves(outputs):
                rows = ops.maximum(ops.shape(x)[0], 1)
                self.add_loss(self.activity_regularizer(x) / ops.cast(rows, dtype_of(x)))


_PLAIN = frozenset((str, int, bool, float, type(None)))  # most attributes: found quickly
_HOLDERS = (Layer, list, tuple, dict)  # a tuple: a union would be made anew at each use
_NO_CHILDREN = frozenset(("_owner", "_config", "_graph", "_flat", "_weights", "_own_losses"))


Layer.__init__._is_declared = True  # type: ignore[attr-defined]


@dataclass(frozen=True)
class OfLayer(Check):
    """A layer, or its name with its arguments; ``several`` of them where it may be a list."""

    several: bool = False

    @property
    def expected(self) -> str:  # type: ignore[override]
        return "a layer, or {name: arguments}" + (", or a list of them" if self.several else "")

    def __call__(self, value: Any, owner: Any) -> Any:
        if self.several and isinstance(value, list | tuple):
            return [self(v, owner) for v in value]
        return value if isinstance(value, Layer) else LAYERS.make(value)


LayerArgument = Annotated[Any, OfLayer()]
"""An argument that is a layer itself."""
LayersArgument = Annotated[Any, OfLayer(several=True)]
"""One that is a layer, or a list of layers."""


def _path_in(layer: Layer, attribute: str) -> str:
    return f"{layer.path}/{attribute}"


def _marking_built(build: Callable[..., None]) -> Callable[..., None]:
    @wraps(build)
    def marked(self: Layer, *args: Any, **kwargs: Any) -> None:
        build(self, *args, **kwargs)
        self.built = True

    return marked


serialize, deserialize = registry_serialize, LAYERS.make
