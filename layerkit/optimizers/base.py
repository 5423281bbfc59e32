"""The base of optimizers: what is done around every rule by which gradients change weights.

A rule is ``update(g, w, lr, slots) -> (new w, new slots)``, written in ops, so that it is part of the step's graph. The
base takes scale off the gradients, gathers them over several steps, clips them, decays weights, keeps the slots (tensors
that belong to a weight) and the scalars (iterations, learning rate), averages the weights, and applies constraints.

A rule may be written in Keras's way too: ``build(variables)`` makes what it keeps by ``add_variable_from_reference``, and
``update_step(gradient, variable, learning_rate)`` assigns.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from layerkit import initializers, ops
from layerkit.errors import ArgumentError, ShapeError, StateError, warn
from layerkit.fields import Configurable, Fraction, NonNegativeFloat, PositiveFloat, PositiveInt
from layerkit.ir import origin
from layerkit.ops.core import dtype_of
from layerkit.optimizers.schedules import LearningRate, LearningRateSchedule
from layerkit.optimizers.schedules import get as get_schedule
from layerkit.registry import Registry, snake_case
from layerkit.trace import Weight

OPTIMIZERS = Registry("optimizer")
AROUND = AVERAGE, GRADIENT = "average", "gradient"
"""What is kept for a weight around its rule: the average with ``use_ema``, the sum with ``gradient_accumulation_steps``."""


class Optimizer(Configurable):
    """Base class of optimizers.

    Args:
        learning_rate: how far a step goes: a number, a schedule, or a function without arguments that returns a number (which
            a compiled step asks once).
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

    Example:
        >>> class Signs(Optimizer):
        ...     def build(self, variables):
        ...         if not self.built:
        ...             super().build(variables)
        ...             self.momentums = self.add_optimizer_variables(variables, "momentum")
        ...
        ...     def update_step(self, gradient, variable, learning_rate):
        ...         m = self.momentums[self._get_variable_index(variable)]
        ...         m.assign(0.9 * m + gradient)
        ...         variable.assign_sub(learning_rate * ops.sign(m))
        >>> w = Weight((2,), name="w")
        >>> Signs(0.5, clipnorm=1.0).apply([np.array([3.0, -4.0], "float32")], [w])
        >>> w.numpy()
        array([-0.5,  0.5], dtype=float32)
    """

    slot_names: ClassVar[tuple[str, ...]] = ()
    """What it keeps for each weight, of the weight's shape and 0 at the start; ``make_slots`` may say more."""

    learning_rate: LearningRate = 0.01
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
        self.built = False
        self._iterations = Weight((), "int64", trainable=False, name="iterations")
        self._rate = None
        self.scalars = {"iterations": self._iterations}
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
        built: bool
        _iterations: Weight
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
        if callable(value) and not isinstance(value, Weight):
            self._rate = value
            self.scalars.pop("learning_rate", None)
            return
        if not isinstance(self._rate, Weight):
            self._rate = self.scalars["learning_rate"] = Weight((), trainable=False, name="learning_rate")
        self._rate.array = _rate_of(self, value)

    def __getattribute__(self, name: str) -> Any:
        if name != "learning_rate":
            return object.__getattribute__(self, name)
        return self._rate if isinstance(self._rate, Weight) else self._rate_now()

    def _rate_now(self) -> Any:
        """The learning rate at this step, a float32 scalar."""
        rate = self._rate
        if isinstance(rate, Weight):
            return rate.value
        if isinstance(rate, LearningRateSchedule):
            with origin("optimizer/learning_rate"):
                return rate(self._iterations.value)
        return _rate_of(self, rate())

    @property
    def iterations(self) -> Any:
        """The updates so far; several steps are one update with ``gradient_accumulation_steps``."""
        steps = self.gradient_accumulation_steps
        return self._iterations if steps is None else ops.floor_divide(self._iterations.value, steps)

    def build(self, variables: Sequence[Weight]) -> None:
        """Make the slots for these weights; those that exist are kept."""
        for w in variables:
            if w not in self.slots:
                self.slots[w] = self.make_slots(w)
                if self.use_ema:
                    self.slots[w][AVERAGE] = slot(w, AVERAGE)
                if self.gradient_accumulation_steps is not None:
                    self.slots[w][GRADIENT] = slot(w, GRADIENT)
        self.built = True

    def make_slots(self, w: Weight) -> dict[str, Weight]:
        """What the rule keeps for a weight."""
        return {name: slot(w, name) for name in self.slot_names}

    def add_scalar(self, name: str, value: float, dtype: str = "float32") -> Weight:
        """A number of the rule's own that is kept between steps."""
        return self.add_variable((), value, dtype, name=name)

    def add_variable(
        self, shape: Sequence[int], initializer: Any = "zeros", dtype: str | None = None, aggregation: str = "none",
        layout: Any = None, name: str | None = None,
    ) -> Weight:  # fmt: skip
        """A tensor of the rule's own that is kept between steps and belongs to no weight."""
        initial, own = initializers.starting(initializer), _free(name or "variable", self.scalars)
        weight = self.scalars[own] = Weight(shape, dtype or "float32", initial, trainable=False, name=own)
        return weight

    def add_variable_from_reference(
        self, reference_variable: Weight, name: str | None = None, initializer: Any = "zeros"
    ) -> Weight:
        """A tensor of the shape of a weight of ``build`` that is kept between steps and belongs to it."""
        if reference_variable not in self.slots:
            raise StateError(
                "a tensor is kept for a weight that the optimizer does not know.", expected="a weight of build(variables)",
                got=reference_variable.path, fix="call super().build(variables) first",
            )  # fmt: skip
        slots = self.slots[reference_variable]
        own = _free(name or "variable", slots)
        slots[own] = slot(reference_variable, own, initial=initializers.starting(initializer))
        return slots[own]

    def add_optimizer_variables(
        self, trainable_variables: Sequence[Weight], name: Any, initializer: Any = "zeros"
    ) -> Any:
        """``add_variable_from_reference`` for each weight: a list, or one list for each of several names."""
        if isinstance(name, str):
            return [self.add_variable_from_reference(w, name, initializer) for w in trainable_variables]
        each = initializer if isinstance(initializer, list | tuple) else [initializer] * len(name)
        pairs = zip(name, each, strict=True)
        return tuple(self.add_optimizer_variables(trainable_variables, n, i) for n, i in pairs)

    def _get_variable_index(self, variable: Weight) -> int:
        """The place of a weight among those of ``build``; the name is Keras's, whose users' rules call it."""
        return {w: i for i, w in enumerate(self.slots)}[variable]

    def state(self) -> dict[str, Weight]:
        """All that it keeps, by path."""
        return self.scalars | {f"{w.path}/{n}": s for w, slots in self.slots.items() for n, s in slots.items()}

    @property
    def variables(self) -> list[Weight]:
        """All that it keeps."""
        return list(self.state().values())

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set the numbers of ``variables``, once there are slots."""
        own, given = self.variables, [np.asarray(w) for w in weights]
        if not self.built or [w.shape for w in own] != [a.shape for a in given]:
            raise ShapeError(
                "the arrays do not fit what the optimizer keeps.", layer=type(self).__name__,
                expected=str([w.shape for w in own]), got=str([a.shape for a in given]),
                fix="call build(variables) first" if not self.built else None,
            )  # fmt: skip
        for w, array in zip(own, given, strict=True):
            w.array = array

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
        if self.loss_scale_factor is not None:
            with origin("optimizer"):
                grads = [None if g is None else g * (1.0 / self.loss_scale_factor) for g in grads]
        self.apply_unscaled(grads, trainable_variables)

    def apply_unscaled(self, grads: Sequence[Any], trainable_variables: Sequence[Weight] | None = None) -> None:
        """``apply`` for gradients of the loss as it is."""
        weights = list(self.slots) if trainable_variables is None else list(trainable_variables)
        if not all(w in self.slots for w in weights):
            self.build(weights)
        unknown = [w.path for w in weights if w not in self.slots]
        if unknown:
            raise StateError(
                "the optimizer was built for other weights.", expected="weights of build(variables)", got=", ".join(unknown),
                fix="make another optimizer for them",
            )  # fmt: skip
        pairs = [(g, w) for g, w in zip(grads, weights, strict=True) if g is not None]
        self._check_gradients(weights, {w for _, w in pairs})
        with origin("optimizer"):
            self._apply([g for g, _ in pairs], [w for _, w in pairs])

    def _check_gradients(self, weights: Sequence[Weight], have: set[Weight]) -> None:
        without = [w.path for w in weights if w not in have]
        if weights and not have:
            raise ArgumentError("no weight has a gradient.", expected="a gradient for some weight", got="None for all")
        if without:
            warn(f"these weights have no gradient and stay as they are: {', '.join(without)}.")

    def _apply(self, gradients: list[Any], weights: Sequence[Weight]) -> None:
        if self.gradient_accumulation_steps is None:
            self._update_all(gradients, weights)
        else:
            self._gather(gradients, weights, self.gradient_accumulation_steps)
        if self.use_ema:
            self._average(weights)
        for w in weights:
            if w.constraint is not None:
                w.assign(w.constraint(w.value))
        self._iterations.assign(self._iterations + 1)

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Weight]]) -> None:
        """``apply`` for pairs, as in Keras."""
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [w for _, w in pairs])

    def update(self, g: Any, w: Any, lr: Any, slots: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The new weight, and the slots that change."""
        raise NotImplementedError(f"'{type(self).__name__}' has no update_step(gradient, variable, learning_rate).")

    def update_step(self, gradient: Any, variable: Weight, learning_rate: Any) -> None:
        """Assign its new value to a weight, and to what is kept for it: by ``update``, unless a rule does it here."""
        slots = self.slots[variable]
        new, moved = self.update(gradient, variable.value, learning_rate, {n: s.value for n, s in slots.items()})
        variable.assign(new)
        for n, v in moved.items():
            slots[n].assign(v)

    @staticmethod
    def assign(variable: Weight, value: Any) -> None:
        """``variable.assign(value)``, as rules written for Keras may call it."""
        variable.assign(value)

    @staticmethod
    def assign_add(variable: Weight, value: Any) -> None:
        """``variable.assign_add(value)``."""
        variable.assign_add(value)

    @staticmethod
    def assign_sub(variable: Weight, value: Any) -> None:
        """``variable.assign_sub(value)``."""
        variable.assign_sub(value)

    def begin_update(self) -> None:
        """Called once before the weights are updated: for what is kept once for all of them."""

    def decay_of(self, w: Weight) -> float | None:
        """The share of a weight that is taken away, times the learning rate."""
        weights, names = self._no_decay
        if w in weights or any(re.search(n, w.path) for n in names):
            return None
        return self.weight_decay

    def _update_all(self, gradients: list[Any], weights: Sequence[Weight]) -> None:
        rate = self._rate_now()
        self.begin_update()
        for g, w in zip(self._clip_gradients(gradients), weights, strict=True):
            lr, decay = ops.cast(rate, w.dtype), self.decay_of(w)
            if decay:
                w.assign(w.value - w.value * decay * lr)
            self.update_step(g, w, lr)

    def _gather(self, gradients: list[Any], weights: Sequence[Weight], steps: int) -> None:
        """Add the gradients up; after every so many steps update the weights by their mean."""
        is_last = ops.equal(ops.mod(self._iterations + 1, steps), 0)
        sums = [self.slots[w][GRADIENT] + g for g, w in zip(gradients, weights, strict=True)]
        own = {n: s for n, s in self.scalars.items() if n not in ("iterations", "learning_rate")}
        with only_if(is_last, [*weights, *own.values(), *(s for w in weights for s in self.slots[w].values())]):
            self._update_all([total * (1.0 / steps) for total in sums], weights)
        for w, total in zip(weights, sums, strict=True):
            self.slots[w][GRADIENT].assign(ops.where(is_last, ops.zeros_like(total), total))

    def _average(self, weights: Sequence[Weight]) -> None:
        """Move the averages of the weights on; the first is the weights themselves."""
        steps = self.iterations
        for w in weights:
            average = self.slots[w][AVERAGE]
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
                    w.array = self.slots[w][AVERAGE].array

    def _clip_gradients(self, gradients: list[Any]) -> list[Any]:
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


def slot(w: Weight, name: str, shape: Sequence[int] | None = None, value: float = 0.0, initial: Any = None) -> Weight:
    """A tensor that belongs to the weight ``w``: of its shape unless given, filled with ``value`` or as ``initial`` says."""
    if initial is None and value != 0:
        initial = lambda shape, dtype, seed: value  # noqa: E731
    return Weight(
        w.shape if shape is None else shape, w.dtype, initial, trainable=False, path=lambda: f"{w.path}/{name}", name=name
    )  # fmt: skip


def _free(name: str, taken: Iterable[str]) -> str:
    """``name``, or with a number if something else is called so."""
    numbered = (f"{name}_{i}" for i in itertools.count(1))
    return next(n for n in itertools.chain([name], numbered) if n not in taken)


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
    value = value.array if isinstance(value, Weight) else value
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | np.number | np.ndarray)
        or not 0 <= float(value) < float("inf")
    ):
        raise ArgumentError(
            "a learning rate is a finite number.",
            layer=type(optimizer).__name__,
            expected="a finite number >= 0, or a schedule",
            got=repr(value),
        )
    return np.float32(value)


def _to_norm(g: Any, square: Any, norm: float) -> Any:
    """``g`` scaled down to ``norm`` where it is longer."""
    longer = ops.greater(square, norm * norm)
    length = ops.sqrt(ops.where(longer, square, ops.ones_like(square)))
    return ops.where(longer, g * (norm / length), g)


def get(identifier: Any) -> Any:
    """The optimizer that a name, a mapping or an object stands for; None stays None."""
    return None if identifier is None else OPTIMIZERS.make(identifier)
