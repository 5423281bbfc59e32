"""The base of optimizers: what is done around every rule by which gradients change weights.

A rule is ``update(g, w, lr, slots) -> (new w, new slots)``, written in ops, so that it is part of the step's graph. The
base takes scale off the gradients, gathers them over several steps, clips them, decays weights, keeps the slots (tensors
that belong to a weight) and the scalars (iterations, learning rate), applies constraints, and averages the weights.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from layerkit import ops
from layerkit.errors import ArgumentError, StateError
from layerkit.fields import Configurable, Fraction, NonNegativeFloat, PositiveFloat, PositiveInt
from layerkit.ir import origin
from layerkit.ops.core import dtype_of
from layerkit.optimizers.schedules import LearningRateSchedule
from layerkit.optimizers.schedules import get as get_schedule
from layerkit.registry import Registry, snake_case
from layerkit.trace import Weight

OPTIMIZERS = Registry("optimizer")


class Optimizer(Configurable):
    """Base class of optimizers.

    Args:
        learning_rate: how far a step goes: a number, or a schedule.
        weight_decay: share of each weight that is taken away at each step, times the learning rate.
        clipnorm: largest norm of the gradient of one weight.
        clipvalue: largest absolute value of an element of a gradient.
        global_clipnorm: largest norm of all gradients together.
        use_ema: whether to keep running averages of the weights; ``fit`` ends with the averages as weights.
        ema_momentum: the share of the old average in the new one.
        ema_overwrite_frequency: after every so many steps weights become their averages; never unless given.
        loss_scale_factor: the loss is multiplied by it, and the gradients divided.
        gradient_accumulation_steps: weights change after every so many steps, by the mean of their gradients.
        name: its name.
    """

    slot_names: ClassVar[tuple[str, ...]] = ()
    """What it keeps for each weight, of the weight's shape and 0 at the start; ``make_slots`` may say more."""

    learning_rate: Any = 0.01
    weight_decay: NonNegativeFloat | None = None
    clipnorm: PositiveFloat | None = None
    clipvalue: PositiveFloat | None = None
    global_clipnorm: PositiveFloat | None = None
    use_ema: bool = False
    ema_momentum: Fraction = 0.99
    ema_overwrite_frequency: PositiveInt | None = None
    loss_scale_factor: PositiveFloat | None = None
    gradient_accumulation_steps: PositiveInt | None = None
    name: str | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls, *args, **kwargs)
        self._steps = Weight((), "int64", trainable=False, name="iterations")
        self._rate = None
        self.scalars = {"iterations": self._steps}
        self.slots = {}
        self._no_decay = (set(), ())
        return self

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.name = self.name or snake_case(type(self).__name__)
        if sum(v is not None for v in (self.clipnorm, self.clipvalue, self.global_clipnorm)) > 1:
            raise ArgumentError(
                "gradients are clipped in one way.", layer=type(self).__name__, expected="one of clipnorm, clipvalue, global_clipnorm",
                got=repr(self),
            )  # fmt: skip

    if TYPE_CHECKING:
        _steps: Weight
        _rate: Any
        scalars: dict[str, Weight]
        slots: dict[Weight, dict[str, Weight]]
        _no_decay: tuple[set[Weight], tuple[str, ...]]

    # What is kept -----------------------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "learning_rate":
            object.__setattr__(self, name, value)
            return
        if isinstance(value, dict):
            value = get_schedule(value)
        if isinstance(value, LearningRateSchedule):
            self._rate = value
            self.scalars.pop("learning_rate", None)
            return
        if not isinstance(self._rate, Weight):
            self._rate = self.scalars["learning_rate"] = Weight((), trainable=False, name="learning_rate")
        self._rate.array = _rate_of(self, value)

    def __getattribute__(self, name: str) -> Any:
        if name != "learning_rate":
            return object.__getattribute__(self, name)
        rate = self._rate
        return rate(self._steps.value) if isinstance(rate, LearningRateSchedule) else rate

    @property
    def iterations(self) -> Any:
        """The updates so far; several steps are one update with ``gradient_accumulation_steps``."""
        steps = self.gradient_accumulation_steps
        return self._steps if steps is None else ops.floor_divide(self._steps.value, steps)

    def build(self, variables: Sequence[Weight]) -> None:
        """Make the slots for these weights; those that exist are kept."""
        for w in variables:
            if w not in self.slots:
                self.slots[w] = self.make_slots(w)
                if self.use_ema:
                    self.slots[w]["average"] = slot(w, "average")
                if self.gradient_accumulation_steps is not None:
                    self.slots[w]["gradient"] = slot(w, "gradient")

    def make_slots(self, w: Weight) -> dict[str, Weight]:
        """What the rule keeps for a weight."""
        return {name: slot(w, name) for name in self.slot_names}

    def add_scalar(self, name: str, value: float, dtype: str = "float32") -> Weight:
        """A number of the rule's own that is kept between steps."""
        weight = Weight((), dtype, lambda shape, kind, seed: value, trainable=False, name=name)
        self.scalars[name] = weight
        return weight

    def state(self) -> dict[str, Weight]:
        """All that it keeps, by path."""
        return self.scalars | {f"{w.path}/{n}": s for w, slots in self.slots.items() for n, s in slots.items()}

    @property
    def variables(self) -> list[Weight]:
        """All that it keeps."""
        return list(self.state().values())

    def exclude_from_weight_decay(
        self, var_list: Sequence[Weight] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Weights that do not decay; call it before training.

        Args:
            var_list: these weights.
            var_names: weights with one of these in their path.
        """
        if self.slots:
            raise StateError(
                "weights are excluded from decay before training.", fix="call it before fit, or before build"
            )
        self._no_decay = (set(var_list or ()), tuple(var_names or ()))

    # One step ---------------------------------------------------------------------------------------------------------

    def scale_loss(self, loss: Any) -> Any:
        """The loss as it is to be differentiated; ``apply`` takes the factor off the gradients again."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Weight] | None = None) -> None:
        """One step: assign new values to the weights; slots for new weights are made.

        Args:
            grads: a gradient for each weight; None leaves the weight as it is.
            trainable_variables: the weights; those of ``build`` unless given.
        """
        weights = list(self.slots) if trainable_variables is None else list(trainable_variables)
        pairs = [(g, w) for g, w in zip(grads, weights, strict=True) if g is not None]
        gradients, weights = [g for g, _ in pairs], [w for _, w in pairs]
        self.build(weights)
        with origin("optimizer"):
            self._apply(gradients, weights)

    def _apply(self, gradients: list[Any], weights: Sequence[Weight]) -> None:
        if self.loss_scale_factor is not None:
            gradients = [g * (1.0 / self.loss_scale_factor) for g in gradients]
        if self.gradient_accumulation_steps is None:
            self._update_all(gradients, weights)
        else:
            self._gather(gradients, weights, self.gradient_accumulation_steps)
        if self.use_ema:
            self._average(weights)
        self._steps.assign(self._steps + 1)

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Weight]]) -> None:
        """``apply`` for pairs, as in Keras."""
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [w for _, w in pairs])

    def update(self, g: Any, w: Any, lr: Any, slots: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The new weight, and the slots that change."""
        raise NotImplementedError

    def begin_update(self) -> None:
        """Called once before the weights are updated: for what is kept once for all of them."""

    def decay_of(self, w: Weight) -> float | None:
        """The share of a weight that is taken away, times the learning rate."""
        weights, names = self._no_decay
        if w in weights or any(re.search(n, w.path) for n in names):
            return None
        return self.weight_decay

    def _update_all(self, gradients: list[Any], weights: Sequence[Weight]) -> None:
        rate = self._rate(self._steps.value) if isinstance(self._rate, LearningRateSchedule) else self._rate.value
        self.begin_update()
        for g, w in zip(self._clip(gradients), weights, strict=True):
            value, lr, decay = w.value, ops.cast(rate, w.dtype), self.decay_of(w)
            if decay:
                value = value - value * decay * lr
            new, slots = self.update(g, value, lr, {n: s.value for n, s in self.slots[w].items()})
            w.assign(new if w.constraint is None else w.constraint(new))
            for n, v in slots.items():
                self.slots[w][n].assign(v)

    def _gather(self, gradients: list[Any], weights: Sequence[Weight], steps: int) -> None:
        """Add the gradients up; after every so many steps update the weights by their mean."""
        is_last = ops.equal(ops.mod(self._steps + 1, steps), 0)
        sums = [self.slots[w]["gradient"] + g for g, w in zip(gradients, weights, strict=True)]
        own = {n: s for n, s in self.scalars.items() if n not in ("iterations", "learning_rate")}
        with only_if(is_last, [*weights, *own.values(), *(s for w in weights for s in self.slots[w].values())]):
            self._update_all([total * (1.0 / steps) for total in sums], weights)
        for w, total in zip(weights, sums, strict=True):
            self.slots[w]["gradient"].assign(ops.where(is_last, ops.zeros_like(total), total))

    def _average(self, weights: Sequence[Weight]) -> None:
        """Move the averages of the weights on; the first is the weights themselves."""
        steps = self.iterations
        for w in weights:
            average = self.slots[w]["average"]
            share = ops.cast(ops.where(ops.greater(steps, 0), np.float32(self.ema_momentum), np.float32(0)), w.dtype)
            new = share * average + (1.0 - share) * w
            average.assign(new)
            if self.ema_overwrite_frequency is not None:
                is_due = ops.equal(ops.mod(steps + 1, self.ema_overwrite_frequency), 0)
                w.assign(ops.where(is_due, new, w.value))

    def finalize_variable_values(self, var_list: Sequence[Weight]) -> None:
        """With ``use_ema`` and no ``ema_overwrite_frequency``: make the averages the weights."""
        if self.use_ema:
            for w in var_list:
                if w in self.slots:
                    w.array = self.slots[w]["average"].array

    def _clip(self, gradients: list[Any]) -> list[Any]:
        if self.clipvalue is not None:
            return [ops.clip(g, -self.clipvalue, self.clipvalue) for g in gradients]
        if self.clipnorm is not None:
            return [_to_norm(g, ops.sum(ops.square(g)), self.clipnorm) for g in gradients]
        if self.global_clipnorm is not None:
            total: Any = 0.0
            for g in gradients:
                total = total + ops.cast(ops.sum(ops.square(g)), "float32")
            return [_to_norm(g, ops.cast(total, dtype_of(g)), self.global_clipnorm) for g in gradients]
        return gradients


Optimizer.__init__._is_declared = True  # type: ignore[attr-defined]


def slot(w: Weight, name: str, shape: Sequence[int] | None = None, value: float = 0.0) -> Weight:
    """A tensor that belongs to the weight ``w``: of its shape unless given, filled with ``value``."""
    return Weight(
        w.shape if shape is None else shape,
        w.dtype,
        None if value == 0 else lambda shape, dtype, seed: value,
        trainable=False,
        path=lambda: f"{w.path}/{name}",
        name=name,
    )


@contextmanager
def only_if(condition: Any, weights: Iterable[Weight]) -> Iterator[None]:
    """What is assigned to ``weights`` inside counts only where ``condition``, a truth value of the program, holds."""
    before = [(w, w.value) for w in weights]
    with np.errstate(all="ignore"):  # on arrays: what does not count may be nan
        yield
    for w, old in before:
        if w.value is not old:
            w.assign(ops.where(condition, w.value, old))


def _rate_of(optimizer: Any, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number | np.ndarray) or not float(value) >= 0:
        raise ArgumentError(
            "a learning rate is a number.",
            layer=type(optimizer).__name__,
            expected="a number >= 0, or a schedule",
            got=repr(value),
        )
    return np.float32(value)


def _to_norm(g: Any, square: Any, norm: float) -> Any:
    """``g`` scaled down to ``norm`` where it is longer."""
    longer = ops.greater(square, norm * norm)
    length = ops.sqrt(ops.where(longer, square, ops.ones_like(square)))
    return ops.where(longer, g * (norm / length), g)


def get(identifier: Any) -> Optimizer:
    """The optimizer that a name, a mapping or an object stands for."""
    found: Optimizer = OPTIMIZERS.make(identifier)
    return found
