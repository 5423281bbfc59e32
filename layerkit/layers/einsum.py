"""An affine map whose axes are named."""

from __future__ import annotations

from typing import Annotated, Any

from layerkit import ops
from layerkit.errors import ArgumentError, ShapeError
from layerkit.fields import Shape
from layerkit.ir import show_shape
from layerkit.layers.base import Layer
from layerkit.layers.common import Activation, Constraint, Initializer, Regularizer, declared_weight


class EinsumDense(Layer):
    """activation(einsum(equation, inputs, kernel) + bias).

    Shapes:
        inputs: as the equation names its axes, the batch first    returns: (batch, *output_shape)
        kernel: the sizes of its names    bias: those of ``bias_axes``, and 1 for other axes that follow the first of them
    Args:
        equation: the names of the axes: "abc,cd->abd" maps the last of three axes; "..." stands for any number of axes.
        output_shape: sizes of the result without the batch; None where they are those of the inputs.
        activation: a function of the result.
        bias_axes: names of the axes along which there is a bias; None: no bias.
        kernel_initializer: what the kernel is before training.
        bias_initializer: what the bias is before training.
        kernel_regularizer: penalty on the kernel.
        bias_regularizer: penalty on the bias.
        kernel_constraint: what the kernel is brought back to after each update.
        bias_constraint: what the bias is brought back to after each update.

    Example:
        >>> import numpy as np
        >>> EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de")(np.ones((1, 5, 4))).shape
        (1, 5, 2, 3)
    """

    equation: str
    output_shape: Annotated[Any, Shape(unknown=True)]
    activation: Activation = None
    bias_axes: str | None = None
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None

    def build(self, input_shape: Any) -> None:
        read, kernel, result = self._names()
        sizes = _sizes(result, (None, *self.output_shape))
        for name, size in _sizes(read, input_shape).items():
            if size is not None and sizes.get(name) is not None and size != sizes[name]:
                raise ShapeError(
                    f"axis '{name}' goes through, so its size stays.", expected=f"{name} of size {size} in output_shape",
                    got=str(sizes[name]), fix="give it None in output_shape",
                )  # fmt: skip
            sizes[name] = size if size is not None else sizes.get(name)
        unknown = [n for n in kernel if n not in sizes]
        if unknown:
            raise ArgumentError(
                f"axis '{unknown[0]}' of the kernel is neither one of the inputs nor of the result.",
                expected="names that stand elsewhere too", got=self.equation,
            )  # fmt: skip
        self.kernel = declared_weight(self, "kernel", [sizes[n] for n in kernel])  # type: ignore[misc]
        self.bias = None
        if self.bias_axes is not None:
            self.bias = declared_weight(self, "bias", self._bias_shape(result, sizes, len(input_shape) - len(read)))

    def _names(self) -> tuple[str, str, str]:
        """The names of the inputs, the kernel and the result; "." stands for "..."."""
        left, arrow, result = self.equation.replace(" ", "").replace("...", ".").partition("->")
        read, comma, kernel = left.partition(",")
        if not (arrow and comma and kernel.isalpha()) or ("." in read) != ("." in result):
            raise ArgumentError(
                "the equation does not name inputs, kernel and result.",
                expected='"ab,bc->ac", perhaps with "..." in inputs and result', got=self.equation,
            )  # fmt: skip
        return read, kernel, result

    def _bias_shape(self, result: str, sizes: dict[str, Any], passing: int) -> list[Any]:
        missing = [n for n in self.bias_axes or "" if n not in result]
        if missing:
            raise ArgumentError(
                f"the result has no axis '{missing[0]}' for a bias.", expected=f"names of {result}", got=self.bias_axes
            )
        shape: list[Any] = []
        for name in result:
            if shape or name in (self.bias_axes or ""):
                own = [sizes[name] if name in (self.bias_axes or "") else 1]
                shape += [1] * (passing + 1) if name == "." else own
        return shape

    def call(self, inputs: Any) -> Any:
        read, _, _ = self._names()
        if inputs.ndim != len(read) if "." not in read else inputs.ndim < len(read) - 1:
            raise ShapeError(
                "the equation names another number of axes.", expected=read.replace(".", "..."),
                got=show_shape(inputs.shape),
            )  # fmt: skip
        y = ops.einsum(self.equation, inputs, self.kernel)
        return self.activation(y if self.bias is None else y + self.bias)


def _sizes(names: str, shape: Any) -> dict[str, Any]:
    """The size of each name; those behind "." count from the end."""
    front, _, back = names.partition(".")
    pairs = list(zip(front, shape, strict=False))
    pairs += zip(reversed(back), reversed(tuple(shape)), strict=False)
    return dict(pairs)
