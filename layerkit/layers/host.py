"""Layers that work on data before a program runs: texts are no tensors of programs.

In a functional model they come first, behind the ``Input``s; ``fit``, ``evaluate`` and ``predict`` let them work on all the
data at once, and the programs begin with what they make of it (``layerkit.models.functional``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from layerkit import tree
from layerkit.dtypes import STRING
from layerkit.errors import DTypeError, StateError, placed
from layerkit.ir import Array, Node, Size, TensorType, Value
from layerkit.layers.base import Layer
from layerkit.layers.recorded import LayerCall, Slot
from layerkit.trace import current

TEXT = np.dtypes.StringDType()


class _Host(Layer):
    """``compute`` works on arrays, ``infer`` says what comes out."""

    is_host: ClassVar[bool] = True

    @property
    def reads_texts(self) -> bool:
        """Whether numbers are nothing that it could look up."""
        return False

    def compute(self, inputs: Any) -> Array:
        """The output for an array of texts or numbers, or for a list of them."""
        raise NotImplementedError

    def infer(self, shape: tuple[Size, ...]) -> TensorType:
        """The type of the output for inputs of that shape."""
        raise NotImplementedError

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        inputs = args[0] if args else kwargs.get("inputs")
        leaves = tree.leaves(inputs)
        with placed(self.describe()):
            if not any(isinstance(x, Value) for x in leaves):
                self.built = True
                if isinstance(inputs, list | tuple) and any(hasattr(x, "shape") for x in inputs):
                    return self.compute([as_data(x) for x in inputs])
                data = as_data(inputs)
                self._refuse_numbers(str(data.dtype) if data.size and data.dtype.kind in "biuf" else STRING)
                return self.compute(data)
            trace = current()
            if trace is not None and not trace.is_eager:
                raise StateError(
                    "this layer works on data before a program runs.", expected="data as they are given to the model",
                    got="a tensor of a program", fix="put it directly behind an Input of the outermost model",
                )  # fmt: skip
            self._refuse_numbers(leaves[0].dtype)
            self.built = True
            slots = [Slot(i) for i in range(len(leaves))]
            given = slots[0] if isinstance(inputs, Value) else slots
            structure = tree.flatten(leaves[0])[1]
            call = LayerCall(self, ((given,), {}), structure)
            node = Node(call, tuple(leaves), (self.infer(leaves[0].shape),), True, self.name or "")
            self._node = self._node or node
            return node.outputs[0]

    def _refuse_numbers(self, dtype: str) -> None:
        if self.reads_texts and dtype != STRING:
            raise DTypeError(
                f"'{type(self).__name__}' looks up texts.", expected="texts, such as Input(shape=(), dtype='string')", got=dtype,
                fix="give the input dtype 'string'; for numbers there are IntegerLookup and Discretization",
            )  # fmt: skip

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """The shape of the output for inputs of this shape."""
        shape = args[0] if args else next(iter(kwargs.values()))
        if shape and isinstance(shape[0], list | tuple):
            shape = shape[0]
        return tuple(n if isinstance(n, int) else None for n in self.infer(tuple(shape)).shape)


def as_data(x: Any) -> Array:
    """Numbers as they are, texts as an array in which each takes the room that it needs (one longest text would cost all others its length)."""
    x = x.to_numpy() if hasattr(x, "to_numpy") else np.asarray(x)
    return as_texts(x) if x.dtype.kind in "SUO" else x


def as_texts(x: Array) -> Array:
    """Texts, bytes (UTF-8) or objects as an array of texts."""
    if x.dtype.kind in "SO":
        flat = [v.decode("utf-8") if isinstance(v, bytes) else str(v) for v in x.reshape(-1).tolist()]
        return np.array(flat, TEXT).reshape(x.shape)
    return x.astype(TEXT)


class Numbers(dict[Any, int]):
    """What ``ask`` says of values: asked once for each that differs, and not for those that are known."""

    def __init__(self, ask: Callable[[Any], int], known: Mapping[Any, int] | None = None) -> None:
        super().__init__(known or {})
        self.ask = ask

    def __missing__(self, value: Any) -> int:
        found = self[value] = self.ask(value)
        return found

    def of(self, values: Array) -> Array:
        """The number of each value: i64 of the same shape."""
        found = map(self.__getitem__, values.reshape(-1).tolist())
        return np.fromiter(found, "int64", values.size).reshape(values.shape)
