"""A scale of the loss that finds itself, so that small gradients do not vanish in dtypes of little range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np

from layerkit import ops
from layerkit.errors import ArgumentError
from layerkit.fields import PositiveFloat, PositiveInt, Resolved
from layerkit.ops.core import dtype_of, operand
from layerkit.optimizers.base import OPTIMIZERS, Optimizer, get, only_if
from layerkit.optimizers.schedules import LearningRate
from layerkit.trace import Weight

_OWN = ("inner_optimizer", "initial_scale", "dynamic_growth_steps", "name", "learning_rate")


@OPTIMIZERS.add
class LossScaleOptimizer(Optimizer):
    """Another optimizer whose loss is scaled up, and its gradients down again.

    The other's own ``loss_scale_factor`` does not count. A step with a gradient that is not finite is left out, and the scale halved; after ``dynamic_growth_steps`` steps
    without one it is doubled.

    Args:
        inner_optimizer: the other optimizer.
        initial_scale: the scale at the start.
        dynamic_growth_steps: steps before the scale is doubled.
    """

    inner_optimizer: Annotated[Any, Resolved(get, "an optimizer")]
    initial_scale: PositiveFloat = 32768.0
    dynamic_growth_steps: PositiveInt = 2000
    name: str | None = None
    learning_rate: LearningRate = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        others = [k for k in self.config if k not in _OWN]
        if others:
            raise ArgumentError(
                f"'{others[0]}' belongs to the optimizer inside.", layer=type(self).__name__, expected=", ".join(_OWN),
                got=others[0], fix="give it to inner_optimizer",
            )  # fmt: skip
        self._iterations, self.slots = self.inner_optimizer._iterations, self.inner_optimizer.slots
        self._scale = self.add_scalar("dynamic_scale", self.initial_scale)
        self._count = self.add_scalar("step_counter", 0, "int32")
        self._follow()

    def get_config(self) -> dict[str, Any]:
        return {k: v for k, v in super().get_config().items() if k in _OWN and k != "learning_rate"}

    def _follow(self) -> None:
        """What the optimizer inside keeps is kept here."""
        self._rate = self.inner_optimizer._rate
        own = {n: s for n, s in self.scalars.items() if n in ("dynamic_scale", "step_counter")}
        self.scalars = self.inner_optimizer.scalars | own

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "learning_rate":
            super().__setattr__(name, value)
        elif value is not None:
            self.inner_optimizer.learning_rate = value
            self._follow()

    @property
    def dynamic_scale(self) -> Any:
        """The present scale."""
        return self._scale

    @property
    def iterations(self) -> Any:
        """The updates so far."""
        return self.inner_optimizer.iterations

    def build(self, variables: Sequence[Weight]) -> None:
        self.inner_optimizer.build(variables)
        self.built = True

    def scale_loss(self, loss: Any) -> Any:
        return loss * ops.cast(self._scale.value, dtype_of(operand(loss)))

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Weight] | None = None) -> None:
        inner, weights = self.inner_optimizer, trainable_variables
        weights = list(self.slots) if weights is None else list(weights)
        self.build(weights)
        scale, count = self._scale.value, self._count.value
        gradients = [None if g is None else g / ops.cast(scale, dtype_of(g)) for g in grads]
        is_finite: Any = np.asarray(True)
        for g in gradients:
            if g is not None:
                is_finite = ops.logical_and(is_finite, ops.all(ops.isfinite(g)))
        with only_if(is_finite, [*weights, *inner.state().values()]):
            inner.apply_unscaled(gradients, weights)
        is_due = ops.logical_and(is_finite, ops.equal(count, self.dynamic_growth_steps - 1))
        self._scale.assign(ops.where(is_due, scale * 2.0, ops.where(is_finite, scale, scale * 0.5)))
        goes_on = ops.logical_and(is_finite, ops.logical_not(is_due))
        self._count.assign(ops.where(goes_on, count + 1, ops.zeros_like(count)))

    def finalize_variable_values(self, var_list: Sequence[Weight]) -> None:
        self.inner_optimizer.finalize_variable_values(var_list)


LossScaleOptimizer.__init__._is_declared = True  # type: ignore[attr-defined]
