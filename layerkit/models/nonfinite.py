"""Where a loss that is nan or infinite came from.

A training step ends before it changes anything when its loss is not finite (``ops.require_finite``), so that the state is
still the one that it began with. Only then is it looked for: the step is run once more, op by op, on the reference
interpreter, and followed backwards from the loss to the op that made the first such number from finite ones. Where a
weight was not finite to begin with, the step before did that: ``Watch`` keeps the state at the start of an epoch, so that
the steps since then can be run again, to the same bits, up to that step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from layerkit import tree
from layerkit.engines import Batches
from layerkit.engines.base import bind_sizes
from layerkit.errors import NonFiniteError
from layerkit.functions import Function
from layerkit.ir import BATCH, Array, Const, Dim, Graph, Input, Node, Value, number, toposort
from layerkit.ir.types import bind
from layerkit.layers.base import Layer
from layerkit.ops.checks import RequireFinite
from layerkit.ops.scan import Scan
from layerkit.ops.shape import Reshape
from layerkit.records import dataclass
from layerkit.trace import Weight
from layerkit.training.data import Arrays

if TYPE_CHECKING:
    from layerkit.models.trainer import Trainer

LARGE = 1e3  # weights and inputs above it are named as a likely reason
SHARE = 50  # the state is kept if that takes less than a fiftieth of an epoch,
KEPT_BYTES = 1 << 26  # and no more memory than this


# Finding the op -------------------------------------------------------------------------------------------------------


@dataclass
class Culprit:
    """The first value that is not finite.

    Attributes:
        value: an output of the op that made it, or an input of the graph.
        array: its numbers.
        given: the numbers that the op read.
        turn: in a loop, the step of the loop.
    """

    value: Value
    array: Array
    given: Sequence[Array]
    turn: int | None = None

    @property
    def node(self) -> Node:
        """The op that made it."""
        return self.value.node

    @property
    def index(self) -> tuple[int, ...]:
        """The first place that is not finite."""
        return tuple(int(i) for i in np.argwhere(~np.isfinite(self.array))[0])

    @property
    def rows(self) -> tuple[int, ...]:
        """The rows of the batch that are not finite."""
        each = _parts_of_row(self.value) if self.array.ndim else None
        if each is None:
            return ()
        bad = ~np.isfinite(self.array).reshape(len(self.array), -1).all(1)
        return tuple(sorted({int(i) // each for i in np.flatnonzero(bad)}))


def _parts_of_row(value: Value) -> int | None:
    """How many places of the first axis belong to a row of the batch: 1, or more where rows were taken apart; None: unknown."""
    first = value.shape[0]
    if first == BATCH:
        return 1
    for node in reversed(toposort([value])):
        if isinstance(node.op, Reshape) and node.outputs[0].shape[:1] == (first,):
            each = first._divide(BATCH) if isinstance(first, Dim) and node.inputs[0].shape[:1] == (BATCH,) else None
            return each if isinstance(each, int) else None
    return None


def find(graph: Graph, arrays: Sequence[Array], roots: Sequence[Value]) -> Culprit | None:
    """What made the first number that is not finite among those on which ``roots`` depend; None if all are finite."""
    labels = [v.node.op.label for v in graph.inputs if isinstance(v.node.op, Input)]
    sizes = bind_sizes([v.type for v in graph.inputs], arrays, labels)
    values: dict[Value, Array] = dict(zip(graph.inputs, arrays, strict=True))
    nodes = toposort(roots)
    _run([n for n in nodes if not isinstance(n.op, Input)], values, sizes)
    order = {node: i for i, node in enumerate(nodes)}
    found = [_follow(v, values, order) for v in roots if _is_bad(values[v])]
    if not found:
        return None
    value = min(found, key=lambda v: order[v.node])
    given = [values[x] for x in value.node.inputs]
    op = value.node.op
    inside = _inside(op, given, sizes) if isinstance(op, Scan) and not any(map(_is_bad, given)) else None
    return inside or Culprit(value, values[value], given)


def _run(nodes: Sequence[Node], values: dict[Value, Array], sizes: Mapping[str, int]) -> None:
    with np.errstate(all="ignore"):
        for node in nodes:
            given = [values[x] for x in node.inputs]
            if isinstance(node.op, RequireFinite):
                result: Any = given[0]
            else:
                result = node.op.bind(sizes).reference(*given)
            for value, array in zip(node.outputs, result if node.several else (result,), strict=True):
                values[value] = np.asarray(array)


def _is_bad(array: Array) -> bool:
    return array.dtype.kind not in "iub" and not bool(np.isfinite(array.astype("float64")).all())


def _has_nan(array: Array) -> bool:
    return array.dtype.kind not in "iub" and bool(np.isnan(array.astype("float64")).any())


def _follow(value: Value, values: Mapping[Value, Array], order: Mapping[Node, int]) -> Value:
    """From a value that is not finite back to the first that was made from finite ones.

    Infinities that a program writes itself, to mask something, are no reason; a nan that came of them is one.
    """
    while True:
        sources = [x for x in value.node.inputs if not isinstance(x.node.op, Const) and _is_bad(values[x])]
        nans = [x for x in sources if _has_nan(values[x])]
        if not sources:
            return value
        if _has_nan(values[value]) and not nans:  # made here, of infinities
            first = _follow(min(sources, key=lambda x: order[x.node]), values, order)
            masks = any(isinstance(x.node.op, Const) and _is_bad(x.node.op.array) for x in first.node.inputs)
            return value if masks else first
        value = min(nans or sources, key=lambda x: order[x.node])


def _inside(op: Scan, given: Sequence[Array], sizes: Mapping[str, int]) -> Culprit | None:
    """The op in the body of a loop."""
    carried, sequences, captures = op.split(list(given))
    nodes = [n for n in toposort(op.body.outputs) if not isinstance(n.op, Input)]
    steps = range(number(bind(op.length, sizes)))
    for t in reversed(steps) if op.reverse else steps:
        arrays = [*carried, *(s[t] for s in sequences), *captures]
        values = dict(zip(op.body.inputs, arrays, strict=True))
        _run(nodes, values, sizes)
        bad = next((v for v in op.body.outputs if _is_bad(values[v])), None)
        if bad is not None:
            value = _follow(bad, values, {n: i for i, n in enumerate(toposort(op.body.outputs))})
            return Culprit(value, values[value], [values[x] for x in value.node.inputs], t)
        carried = [values[v] for v in op.body.outputs[: op.carries]]
    return None


# Going back -----------------------------------------------------------------------------------------------------------


@dataclass
class Watch:
    """The state at the start of an epoch, and the steps since then."""

    model: Trainer
    kept: dict[Weight, Array] = field(default_factory=dict)
    runs: int = 0
    batches: list[Batches] = field(default_factory=list)
    data: Arrays | None = None
    _before: list[Batches] = field(default_factory=list)
    _is_due: bool = False
    _began: float = 0.0
    _took: float = 0.0

    def begin_epoch(self) -> None:
        """The state is to be kept, unless that took long against the last epoch."""
        now = perf_counter()
        self._is_due = not self._began or self._took * SHARE < now - self._began
        self._began, self._before, self.batches = now, self.batches, []
        if not self._is_due:
            self.kept = {}

    def add(self, function: Function, data: Arrays, batches: Batches) -> None:
        """These steps are about to be run.

        Raises:
            NonFiniteError: weights are not finite since the last epoch, though its losses were.
        """
        if self._is_due:
            self._keep(function)
        self.data = data
        self.batches.append(batches)

    def _keep(self, function: Function) -> None:
        now, optimizer = perf_counter(), self.model.optimizer
        state = [*self.model.weights, *([] if optimizer is None else optimizer.variables)]
        if sum(w.array.nbytes for w in state) > KEPT_BYTES:
            self._is_due = False
            return
        if self.kept and _has_bad(self.model.trainable_weights):
            raise self._spoilt(function, self._before)
        for w in state:
            if w in self.kept:
                np.copyto(self.kept[w], w.array)
            else:
                self.kept[w] = w.array.copy()
        self.runs, self._is_due = self.model.random_state.runs, False
        self._took = perf_counter() - now

    def go_back(self, function: Function, done: int) -> Step | None:
        """Run the epoch again up to its last step but one, ``done`` steps of the last run being done; that step."""
        if not self.kept or self.data is None:
            return None
        *whole, last = self.batches
        runs = [b for b in (*whole, _first(last, done)) if b.steps]
        if not runs:
            return None
        self._restore()
        last = runs[-1]
        for batches in (*runs[:-1], *([_first(last, last.steps - 1)] if last.steps > 1 else [])):
            function.repeat(((self.data.x, self.data.y, self.data.sample_weight),), batches)
        return Step.of(self.data, last, last.steps - 1)

    def _restore(self) -> None:
        for weight, array in self.kept.items():
            weight.array = array
        self.model.random_state.runs = self.runs

    def end(self, function: Function) -> None:
        """Training is over.

        Raises:
            NonFiniteError: weights are not finite, though the losses were.
        """
        bad = [w for w in self.model.trainable_weights if _is_bad(w.array)]
        if not bad:
            return
        if self.kept and self.data is not None:
            raise self._spoilt(function, self.batches)
        error = NonFiniteError("weights are not finite after training, though the loss is.")
        _name(error, self.model, bad[-1].path.rpartition("/")[0])
        error.step, error.got = _steps_done(self.model, 0), ", ".join(w.path for w in bad)
        error.fix = "look for gradients that are nan where ops.where takes the other branch: log, sqrt or division at 0"
        raise error

    def _spoilt(self, function: Function, runs: Sequence[Batches]) -> NonFiniteError:
        """What an epoch did to the weights without a loss that told it: its steps are run again, one by one."""
        model, data = self.model, self.data
        assert data is not None
        steps = [Batches(b.rows, 1, b.start + i * b.rows, b.order) for b in runs for i in range(b.steps)]
        arguments = ((data.x, data.y, data.sample_weight),)
        self._restore()
        done = 0
        while done < len(steps) and not _has_bad(model.trainable_weights):
            function.repeat(arguments, steps[done])
            done += 1
        self._restore()
        for step in steps[: done - 1]:
            function.repeat(arguments, step)
        model.steps_done -= len(steps) - (done - 1)
        given = _Inputs(model, function, Step.of(data, steps[done - 1], 0))
        culprit = find(given.graph, given.arrays, given.graph.outputs)
        error, at = NonFiniteError("weights are not finite."), _steps_done(model, 0) + 1
        if culprit is None:
            return _of_weights(model, given, error, at + 1)
        return _report(model, given, culprit, error, at, "weights are not finite, though the loss is")


def _has_bad(weights: Sequence[Weight]) -> bool:
    return any(_is_bad(w.array) for w in weights)


def _first(batches: Batches, steps: int) -> Batches:
    return Batches(batches.rows, steps, batches.start, batches.order)


@dataclass
class Step:
    """The data of one step, and where its rows lie in all of the data."""

    batch: Any
    rows: Array | None = None

    @classmethod
    def of(cls, data: Arrays, batches: Batches, number: int) -> Step:
        """Step ``number`` of a run."""
        start = batches.start + number * batches.rows
        rows = np.arange(start, start + batches.rows)
        rows = rows if batches.order is None else batches.order[rows]
        part = data.take(rows)
        return cls((part.x, part.y, part.sample_weight), rows)


# The report -----------------------------------------------------------------------------------------------------------


class _Inputs:
    """A traced step with everything that it reads: data, state, key."""

    def __init__(self, model: Trainer, function: Function, step: Step) -> None:
        leaves, structure = tree.flatten((step.batch,))
        self.step, self.traced = step, function.trace(leaves, structure)
        self.graph, random = self.traced.graph, model.random_state
        state = [w.array for w in self.traced.read]
        key = (
            [np.array([random.seed & 0xFFFFFFFF, random.runs & 0xFFFFFFFF], "uint32")] if self.traced.takes_key else []
        )
        self.arrays = [*leaves, *state, *key]
        self.weights = dict(zip(self.graph.inputs[len(leaves) :], self.traced.read, strict=False))


def explained(
    model: Trainer, function: Function, step: Step, error: NonFiniteError, watch: Watch | None
) -> NonFiniteError:
    """``error`` with everything that can be found out about the step that raised it."""
    given = _Inputs(model, function, step)
    checked = [n.inputs[0] for n in given.graph.nodes() if isinstance(n.op, RequireFinite)]
    culprit, at = find(given.graph, given.arrays, checked), _steps_done(model, error.step) + 1
    if culprit is None:
        error.summary = "the loss is not finite, though the reference engine finds it finite."
        error.fix = (
            "its numbers are at the edge of what their dtype holds: scale the inputs, or lower the learning rate"
        )
        error.step = at
        return error
    weight = given.weights.get(culprit.value)
    if weight is not None:
        before = None if watch is None else watch.go_back(function, error.step)
        earlier = None
        if before is not None:
            model.random_state.runs += given.traced.takes_key
            then = _Inputs(model, function, before)
            earlier = find(then.graph, then.arrays, then.graph.outputs)
        if earlier is not None:
            given, culprit, at = then, earlier, at - 1
        else:
            return _of_weights(model, given, error, at)
    return _report(model, given, culprit, error, at)


def _steps_done(model: Trainer, here: int) -> int:
    """Updates before this step; a step of the model's own may have none, or many: then those that ``fit`` counted."""
    if model.optimizer is None or model.has_own_step:
        return model.steps_done + here
    return int(model.optimizer._iterations.array)


def _layer(model: Trainer, origin: str) -> Layer | None:
    """The innermost layer that an op belongs to."""
    paths = {layer.path: layer for layer in model.flatten_layers() if layer is not model}
    found = [p for p in paths if p and (origin == p or origin.startswith(p + "/"))]
    return paths[max(found, key=len)] if found else None


def _name(error: NonFiniteError, model: Trainer, origin: str) -> None:
    layer = _layer(model, origin)
    error.layer = layer.describe() if layer is not None else origin or "train_step"
    error.where = error.where or (None if layer is None else layer._span)


def _report(
    model: Trainer,
    given: _Inputs,
    culprit: Culprit,
    error: NonFiniteError,
    at: int,
    what: str = "the loss is not finite",
) -> NonFiniteError:
    node, index, rows = culprit.node, culprit.index, culprit.rows
    number_found = culprit.array[index]
    error.step, error.index, error.rows = at, index, rows
    place = f"{number_found} at {list(index)} of {culprit.value.type}"
    if culprit.turn is not None:
        place += f", in step {culprit.turn} of the loop"
    if rows:
        place += f"; {_listed(rows)} of the batch"
        if given.step.rows is not None:
            place += f" ({_listed(tuple(int(given.step.rows[r]) for r in rows))} of the data)"
    if isinstance(node.op, Input):
        error.summary = f"{what}: the data of step {at} holds such numbers."
        error.layer, error.got = _argument(node.op.label), place
        error.fix = "remove or fill these rows, for instance with np.nan_to_num"
        return error
    error.op = node.op.word
    is_late = node not in set(toposort([n.inputs[0] for n in given.graph.nodes() if isinstance(n.op, RequireFinite)]))
    where = " in the gradient" if is_late and not node.origin.startswith("optimizer") and culprit.turn is None else ""
    error.summary = f"{what}: in step {at} '{error.op}'{where} made the first such number."
    _name(error, model, node.origin)
    seen = [f"{a[index]}" for a in culprit.given if a.shape == culprit.array.shape]
    error.got = place + (f", from {' and '.join(seen)}" if seen else "")
    error.fix = _fix(model, given, culprit, at)
    return error


def _of_weights(model: Trainer, given: _Inputs, error: NonFiniteError, at: int) -> NonFiniteError:
    """A weight was not finite to begin with, and the step that made it so cannot be run again.

    Gradients flow from the loss down: the last layer with such weights is the one nearest to where they came from.
    """
    bad = [w for w in given.traced.read if w in set(model.weights) and _is_bad(w.array)] or [
        w for w in given.traced.read if _is_bad(w.array)
    ]
    order = {name: i for i, name in enumerate(dict.fromkeys(n.origin for n in given.graph.nodes()))}
    worst = max(bad, key=lambda w: order.get(w.path.rpartition("/")[0], -1))
    error.step = at
    before = f"after step {at - 1}" if at > 1 else "before it"
    error.summary = f"the loss is not finite in step {at}: weights were not {before}."
    _name(error, model, worst.path.rpartition("/")[0])
    error.got = ", ".join(w.path for w in bad)
    error.fix = (
        "look at the gradient of this layer and of what follows it, or lower the learning rate"
        if at > 1
        else "look at the initializer of this layer, or at the weights that were loaded"
    )
    return error


def _argument(label: str) -> str:
    """What an input of a step is called by who gave it: ``x``, ``y.name``, ``sample_weight``."""
    argument, _, path = label.removeprefix("arg0.").partition(".")
    name = ("x", "y", "sample_weight")[int(argument)]
    return f"{name}.{path}" if path else name


def _listed(rows: Sequence[int]) -> str:
    shown = ", ".join(map(str, rows[:5])) + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")
    return f"row{'s' * (len(rows) > 1)} {shown}"


_HINTS = {
    "log": "its argument was not above 0: add a small number, or use ops.clip or ops.maximum before it",
    "log1p": "its argument was not above -1: use ops.maximum before it",
    "sqrt": "its argument was negative: use ops.maximum before it",
    "rsqrt": "its argument was not above 0: add a small number before it",
    "divide": "its divisor was 0, or nearly: add a small number to it (the gradient of sqrt at 0 divides by 0)",
    "power": "a negative base, or 0 to a negative power: use ops.maximum before it",
    "exp": "its argument was too large: scale the inputs, or use softmax, logsumexp or softplus, which do not overflow",
    "expm1": "its argument was too large: scale the inputs",
}


def _fix(model: Trainer, given: _Inputs, culprit: Culprit, at: int) -> str:
    """What helps most likely: for the op itself, or for what is too large."""
    if culprit.node.origin == "optimizer/learning_rate":
        return "look at the schedule of the learning rate: what it gives for this step is not finite"
    hints = [_HINTS[culprit.node.op.word]] if culprit.node.op.word in _HINTS else []
    weight = max(model.weights, key=lambda w: _size(w.array), default=None)
    if weight is not None and _size(weight.array) > LARGE:
        hints.append(
            f"'{weight.path}' has grown to {_size(weight.array):.3g}: lower the learning rate, or use clipnorm"
            if at > 1
            else f"'{weight.path}' is as large as {_size(weight.array):.3g}: look at its initializer"
        )
    x = max((_size(a) for a in tree.leaves(given.step.batch[0])), default=0.0)
    if x > LARGE:
        hints.append(f"inputs are as large as {x:.3g}: scale them, for instance with Rescaling or Normalization")
    if not hints and culprit.turn is not None:
        hints.append(
            "what the loop hands on grows at every step: use a bounded activation, or smaller recurrent weights"
        )
    is_nan = bool(np.isnan(culprit.array[culprit.index]))
    if not hints and is_nan:
        hints.append("infinity stands against infinity: to mask something use a large negative number, such as -1e9")
    if not hints and at == 1:
        hints.append(f"{culprit.value.type.dtype} holds no number that large: make smaller what this is made of")
    return "; ".join(hints) or "lower the learning rate, or use clipnorm"


def _size(array: Array) -> float:
    """The largest absolute value that is finite."""
    if array.dtype.kind == "b" or not array.size:
        return 0.0
    numbers = np.abs(array.astype("float64"))
    return float(np.max(numbers, where=np.isfinite(numbers), initial=0.0))
