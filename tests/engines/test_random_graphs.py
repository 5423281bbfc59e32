"""Random graphs with their gradients: the LLVM engine gives the reference's numbers, for several sizes of the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerkit import engines, ops
from layerkit.autodiff import gradient
from layerkit.ir import BATCH, Graph, Value, placeholder

T, C = 5, 6  # every value is (batch, T, C)


def _image(x: Any) -> Any:
    return ops.reshape(x, (x.shape[0], T, C, 1))


def _recurrent(x: Any, w: Any) -> Any:
    steps = ops.transpose(x, (1, 0, 2))
    _, ys = ops.scan(lambda c, v: ((h := ops.tanh(ops.matmul(c, w) + ops.matmul(v, w))), h), steps[0] * 0.5, steps)
    return ops.transpose(ys, (1, 0, 2))


def _pooled_steps(x: Any) -> Any:
    """A loop whose steps fill a buffer and add to it."""
    steps = ops.transpose(x, (1, 0, 2))
    _, ys = ops.scan(
        lambda c, v: ((h := ops.tanh(ops.average_pool(c[..., None], 3, 1, "same")[..., 0] + v)), h), steps[0], steps
    )
    return ops.transpose(ys, (1, 0, 2))


def _gram(x: Any, w: Any) -> Any:
    """Rows for each pair of samples: batch * batch of them."""
    rows = ops.matmul(x[:, 0], ops.transpose(x[:, 1]))
    pairs = ops.reshape(rows, (x.shape[0] * x.shape[0], 1)) * np.ones((1, C), x.dtype)
    y = ops.reshape(ops.matmul(pairs, w), (x.shape[0], x.shape[0], C))
    return x + ops.expand_dims(ops.mean(y, axis=1), 1) * 0.1


UNARY: list[Callable[[Any], Any]] = [
    ops.tanh, ops.relu, ops.sigmoid, ops.square, lambda x: -x, ops.abs, ops.softmax, ops.gelu, ops.erf,
    lambda x: ops.log(ops.exp(x) + 1.0), lambda x: ops.sqrt(ops.square(x) + 0.1),
    lambda x: x - ops.mean(x, axis=-1, keepdims=True), lambda x: x / (1.0 + ops.sum(ops.square(x), axis=(0, 1))),
    lambda x: x * ops.mean(x, axis=0, keepdims=True), lambda x: ops.max(x, axis=1, keepdims=True) - x,
    lambda x: ops.reshape(ops.transpose(x, (0, 2, 1)), (x.shape[0], T, C)), lambda x: ops.flip(x, 1), _pooled_steps,
    lambda x: ops.concatenate([x[:, 2:], x[:, :2]], axis=1), lambda x: ops.pad(x[:, 1:-1, ::2], [(0, 0), (1, 1), (2, 1)]),
    lambda x: ops.where(x > 0.1, x, x * 0.5), lambda x: ops.take(x, np.array([1, 1, 0, 4, 2]), axis=1),
    lambda x: ops.cast(ops.argmax(x, axis=-1, keepdims=True), x.dtype) * 0.1 + x,
    lambda x: ops.max_pool(_image(x), (2, 1), (1, 1), "same")[..., 0], lambda x: ops.average_pool(x, 3, 1, "same"),
    lambda x: ops.broadcast_to(ops.expand_dims(ops.sum(x, axis=1), 1), x.shape) * 0.2,
]  # fmt: skip
BINARY: list[Callable[[Any, Any], Any]] = [
    ops.add, ops.subtract, ops.multiply, ops.maximum, ops.minimum, lambda a, b: a / (ops.abs(b) + 1.0),
    lambda a, b: ops.where(a > b, a, b), lambda a, b: ops.matmul(a, ops.transpose(b, (0, 2, 1))) @ a * 0.1,
]  # fmt: skip
WEIGHTED: list[Callable[[Any, Any, Any], Any]] = [
    lambda x, w, k: ops.matmul(x, w), lambda x, w, k: ops.conv(x, k, padding="same"), lambda x, w, k: _recurrent(x, w),
    lambda x, w, k: ops.conv(x, k[:, :2], padding="same", dilation_rate=2), lambda x, w, k: x + w[0], lambda x, w, k: _gram(x, w),
]  # fmt: skip


Recipe = tuple[str, list[tuple[int, int, int]]]
RECIPES = st.tuples(
    st.sampled_from(["float32", "float64"]),
    st.lists(st.tuples(st.integers(0, 999), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=8),
)


def built(recipe: Recipe) -> Graph:
    """The graph of a recipe: for each op its number, and which of the values so far it reads."""
    dtype, steps = recipe
    x, y = (placeholder(n, dtype, (BATCH, T, C)) for n in "xy")
    w, k = placeholder("w", dtype, (C, C)), placeholder("k", dtype, (3, C, C))
    values: list[Any] = [x, y]
    every: list[tuple[Any, int]] = [
        *((f, 1) for f in UNARY),
        *((f, 2) for f in BINARY * 2),
        *((f, 3) for f in WEIGHTED * 2),
    ]
    for number, first, second in steps:
        f, kind = every[number % len(every)]
        a, b = values[first % len(values)], values[second % len(values)]
        values.append(f(a) if kind == 1 else f(a, b) if kind == 2 else f(a, w, k))
    loss = ops.sum(ops.mean(ops.tanh(values[-1]), axis=0))
    slopes = [g for g in gradient(loss, [x, w, k]) if isinstance(g, Value)]
    return Graph((x, y, w, k), (values[-1], loss, *slopes))


@pytest.mark.slow
@settings(max_examples=100)
@given(RECIPES)
def test_random_graphs_agree_with_the_reference(recipe: Recipe) -> None:
    graph, dtype = built(recipe), recipe[0]
    rng = np.random.default_rng(0)
    programs = [engines.get(name).compile(graph) for name in ("reference", "llvm")]
    for rows in (33, 1, 5):
        arrays = [
            rng.standard_normal((rows, T, C)),
            rng.standard_normal((rows, T, C)),
            *(rng.standard_normal(s) * 0.3 for s in ((C, C), (3, C, C))),
        ]
        expected, found = (p(*(a.astype(dtype) for a in arrays)) for p in programs)
        for e, f in zip(expected, found, strict=True):
            scale = float(np.max(np.abs(e), initial=1.0))
            np.testing.assert_allclose(f, e, rtol=0, atol=scale * (2e-4 if dtype == "float32" else 1e-11))


STATE: list[Callable[[Any], Any]] = [
    ops.tanh, ops.transpose, lambda x: ops.flip(x, 0), lambda x: ops.pad(x[1:4, 2:], [(1, 2), (2, 0)]), ops.softmax,
    lambda x: ops.concatenate([x[3:], x[:3]], 0), lambda x: x - ops.mean(x, axis=0, keepdims=True),
    lambda x: ops.scan(lambda c, v: (c * 0.5 + v, c), x[0], x)[1], lambda x: ops.broadcast_to(ops.sum(x), (6, 6)) * 0.1,
    lambda x: ops.scatter_add(x, np.array([0, 2, 2, 1, 5, 4]), 6), lambda x: ops.take(x, np.array([0, 0, 5, 3, 1, 2]), axis=0),
]  # fmt: skip


@pytest.mark.slow
@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 99), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=9),
    st.lists(st.integers(0, 12), min_size=2, max_size=4),
)
def test_state_written_over_itself_agrees_with_the_reference(
    steps: list[tuple[int, int, int]], chosen: list[int]
) -> None:
    """Every input is state whose new numbers may be written over the old ones, however those are read."""
    inputs = [placeholder(f"s{i}", "float64", (6, 6)) for i in range(len(chosen))]
    values: list[Any] = list(inputs)
    binary = [*BINARY[:5], ops.matmul]
    for number, first, second in steps:
        a, b = values[first % len(values)], values[second % len(values)]
        values.append(STATE[number % len(STATE)](a) if number % 2 else binary[number % len(binary)](a, b))
    graph = Graph(tuple(inputs), tuple(values[i % len(values)] for i in chosen))
    program = engines.get("llvm").compile(graph, {i: i for i in range(len(chosen))})
    expected = [np.random.default_rng(i).standard_normal((6, 6)) for i in range(len(chosen))]
    found = [a.copy() for a in expected]
    for _ in range(2):
        after = engines.get("reference").compile(graph)(*expected)
        found = list(program(*found))
        for e, f in zip(after, found, strict=True):
            np.testing.assert_allclose(f, e, rtol=0, atol=1e-11 * float(np.max(np.abs(e), initial=1.0)))
        expected = [np.array(a) for a in after]
        found = [a.copy() for a in expected]


CHANGES: list[Callable[[Any, Any], Any]] = [
    lambda a, b: ops.tanh(a), lambda a, b: a + b * 0.5, lambda a, b: a * b, lambda a, b: ops.sqrt(ops.square(a) + 0.1),
    lambda a, b: a - ops.mean(b, axis=0, keepdims=True), lambda a, b: a / (1.0 + ops.sum(ops.square(b))),
    lambda a, b: ops.flip(a, 0) - b,
]  # fmt: skip


@pytest.mark.slow
@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 999), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=9),
    st.lists(st.integers(0, 12), min_size=2, max_size=4),
)
def test_state_that_changes_on_conditions_agrees_with_the_reference(
    steps: list[tuple[int, int, int]], chosen: list[int]
) -> None:
    """Loops that leave early may leave nothing undone: old state is read and returned elsewhere, conditions are of any depth."""
    inputs = [placeholder(f"s{i}", "float32", (40, 32)) for i in range(len(chosen))]
    count = placeholder("count", "int32", ())
    values: list[Any] = list(inputs)
    conditions: list[Any] = [ops.equal(ops.mod(count, 2), 0), ops.all(ops.isfinite(inputs[-1]))]
    for number, first, second in steps:
        a, b = values[first % len(values)], values[second % len(values)]
        condition = conditions[number % len(conditions)]
        values.append(ops.where(condition, a, b) if number % 3 == 0 else CHANGES[number // 3 % len(CHANGES)](a, b))
        if number % 4 == 1:
            conditions.append(ops.logical_and(condition, ops.all(ops.isfinite(values[-1]))))
    after = [
        ops.where(conditions[n % len(conditions)], values[n % len(values)], s)
        for n, s in zip(chosen, inputs, strict=True)
    ]
    graph = Graph((*inputs, count), (*after, count + 1, values[-1], ops.sum(inputs[0] * after[-1])))
    donated = {i: i for i in range(len(chosen) + 1)}
    programs = engines.get("reference").compile(graph), engines.get("llvm").compile(graph, donated)
    for turn, is_finite in ((0, True), (1, True), (2, False), (3, False)):
        arrays = [np.random.default_rng(i).standard_normal((40, 32)).astype("float32") for i in range(len(chosen))]
        arrays[-1][3, 5] = 1.0 if is_finite else np.inf
        expected, found = (p(*(a.copy() for a in arrays), np.array(turn, "int32")) for p in programs)
        for e, f in zip(expected, found, strict=True):
            scale = float(np.max(np.abs(e), where=np.isfinite(e), initial=1.0))
            np.testing.assert_allclose(f, e, rtol=1e-4, atol=scale * 2e-4)
