"""What training takes, before it begins: the most memory of a step, and its time, by the engine that will run it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from layerkit import engines, ops, tree
from layerkit.autodiff import gradient
from layerkit.engines import Cost
from layerkit.engines.base import Change
from layerkit.engines.llvm.codegen.cache import ObjectCache, key_of
from layerkit.errors import LayerkitError
from layerkit.fields import Configurable
from layerkit.functions import uncollected
from layerkit.ir import BATCH, Array, Graph, Value, make, placeholder
from layerkit.models.config import model_config
from layerkit.models.standins import stand_ins, targets_like
from layerkit.ops.core import operand
from layerkit.optimizers import Adafactor, Lamb, LossScaleOptimizer, Muon
from layerkit.optimizers.base import AROUND
from layerkit.registry import serialize
from layerkit.trace import Trace, Weight, tracing


def show_bytes(count: float) -> str:
    """A number of bytes in a fitting unit.

    >>> show_bytes(2_500_000)
    '2.5 MB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def show_cost(cost: Cost) -> str:
    """Memory and time, as far as they are known.

    >>> show_cost(Cost(2_500_000, 0.0042)), show_cost(Cost(800)), show_cost(Cost(800, 0.0999))
    ('2.5 MB, 4.2 ms', '800 B', '800 B, 100 ms')
    """
    if cost.seconds is None:
        return show_bytes(cost.peak_bytes)
    number, unit = (cost.seconds * 1e3, "ms") if cost.seconds < 1 else (cost.seconds, "s")
    return f"{show_bytes(cost.peak_bytes)}, {number:{'.0f' if number >= 10 else '.2g'}} {unit}"


LARGE = 40
"""Layers from which on a model's cost is found from an outline of its step: all of it would take seconds."""


def training_graph(model: Any, *, is_outline: bool = False) -> tuple[Graph, dict[int, int]]:
    """The graph of one training step, and which outputs may be written over inputs.

    A model that is not compiled is trained by plain steps down a mean of squares. In an outline the optimizer's rule is one
    op for each weight.
    """
    inputs, weights = stand_ins(model), model.trainable_weights
    trace = Trace(training=True)
    given = tree.leaves(inputs)
    if model.compiled:
        model.optimizer.build(weights)
        y = tree.map_leaves(_symbolic, targets_like(model, 1))
        given += tree.leaves(y)
        with tracing(trace), _outlined(model.optimizer) if is_outline else nullcontext():
            results = [operand(x) for x in tree.leaves(model.train_step((inputs, y, None)))]
    else:
        with tracing(trace):
            loss = sum(
                (ops.mean(ops.square(x)) for x in tree.leaves(model(inputs, training=True))), start=ops.zeros(())
            )
            for weight, slope in zip(weights, gradient(loss, [w.value for w in weights]), strict=True):
                weight.assign(weight.value - slope)
            results = [loss]
    key = () if trace.key is None else (trace.key,)
    place = {id(w): len(given) + i for i, w in enumerate(trace.inputs)}
    donated = {len(results) + i: place[id(w)] for i, w in enumerate(trace.updates) if id(w) in place}
    return Graph((*given, *trace.inputs.values(), *key), (*results, *trace.updates.values())), donated


@contextmanager
def _outlined(optimizer: Any) -> Iterator[None]:
    """Inside, one op stands for all that the optimizer's rule does to a weight and to what it keeps for it."""
    optimizer = _rule_of(optimizer)

    def step(gradient: Any, variable: Weight, learning_rate: Any) -> None:
        slots = optimizer.slots[variable]
        state = [variable, *(slots[n] for n in slots if n not in AROUND)]
        changed = make(Change(), (gradient, *(w.value for w in state))).outputs
        for w, value in zip(state, changed, strict=True):
            w.assign(value)

    optimizer.update_step = step
    try:
        yield
    finally:
        del optimizer.update_step


def _is_plain(optimizer: Any) -> bool:
    """Whether the rule changes each weight element by element: nothing else is known from an outline.

    Adafactor and Lamb sum over a weight first, Muon multiplies matrices.
    """
    return not isinstance(_rule_of(optimizer), Adafactor | Lamb | Muon)


def _rule_of(optimizer: Any) -> Any:
    """The optimizer whose rule changes the weights."""
    return optimizer.inner_optimizer if isinstance(optimizer, LossScaleOptimizer) else optimizer


def _symbolic(array: Array) -> Value:
    return placeholder("y", array.dtype.name, (BATCH, *array.shape[1:]))


def training_cost(model: Any, batch_size: int) -> Cost | None:
    """The most bytes that a training step holds at a time (weights, slots, batch, and what the engine puts between), and its time.

    None where a size is not known, or nothing is trained. What was found once for a model is kept beside compiled code. For
    models of more than ``LARGE`` layers it is found from an outline of the step, and may be off by some percent, unless the
    optimizer does more than change each weight by its gradient.
    """
    if not model.trainable_weights or model._graph is None:
        return None
    is_outline = len(list(model.flatten_layers())) > LARGE and _is_plain(model.optimizer)
    objects, key = ObjectCache.default(), None if is_outline else _key(model, batch_size)
    if key is not None and (found := objects.get(key)) is not None:
        with suppress(ValueError, TypeError):
            return Cost(**json.loads(found))
    with uncollected():
        graph, donated = training_graph(model, is_outline=is_outline)
        if any(v.type.axes - {"b"} for v in graph.inputs):
            return None
        cost = engines.get(model.engine).cost(graph, {"b": batch_size}, donated, is_outline=is_outline)
    if key is not None:
        objects.put(key, json.dumps(vars(cost)).encode())
    return cost


def _key(model: Any, batch_size: int) -> str | None:
    """A name that tells all that the cost depends on; None where some of it is not part of this package."""
    engine = engines.get(model.engine)
    state = engine.state()
    compiled = model._compiled or {}
    if state is None or not _is_named((model, *model.flatten_layers(), compiled)):
        return None
    try:
        frozen = [layer.trainable for layer in model.flatten_layers()]
        text = json.dumps([model_config(model), serialize(compiled), frozen], sort_keys=True, default=str)
    except (LayerkitError, TypeError, ValueError):
        return None
    return key_of("training cost", text, engine.name, state, str(batch_size))


def _is_named(thing: Any) -> bool:
    """Whether names and numbers tell all of it: functions and classes in it are of this package."""
    if isinstance(thing, Configurable):
        return type(thing).__module__.startswith("layerkit.") and _is_named(thing.config)
    if isinstance(thing, list | tuple | Mapping):
        return all(map(_is_named, thing.values() if isinstance(thing, Mapping) else thing))
    return not callable(thing) or str(getattr(thing, "__module__", "")).startswith("layerkit.")
