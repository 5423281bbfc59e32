"""Passes keep what graphs compute, to the bit: random graphs, and what each pass does to a small one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerkit import ops
from layerkit.autodiff import gradient
from layerkit.engines.reference import ReferenceProgram
from layerkit.ir import Graph, apply, constant, parse, placeholder, verify
from layerkit.ops.indexing import ScatterAdd
from layerkit.passes import PASSES, Pipeline

CONSTANTS = [0.0, -0.0, 1.0, -1.0, 2.0, float("nan"), float("inf")]
UNARY = [ops.negative, ops.tanh, ops.relu, ops.abs, ops.sign, lambda x: ops.transpose(x), lambda x: ops.reshape(ops.reshape(x, (9,)), (3, 3)),
         lambda x: ops.broadcast_to(ops.sum(x, 0, keepdims=True), (3, 3)), lambda x: ops.cast(ops.cast(x, "float64"), "float32"),
         lambda x: ops.scan(lambda c, v: (c * 0.5 + v, c), x[0], x)[1]]  # fmt: skip
BINARY = [
    ops.add,
    ops.subtract,
    ops.multiply,
    ops.maximum,
    ops.matmul,
    lambda a, b: ops.where(a > b, a, b),
    lambda a, b: a / b,
]


@st.composite
def graphs(draw: Any) -> Graph:
    inputs = [placeholder(n, "float32", (3, 3)) for n in ("x", "y")]
    values: list[Any] = list(inputs)
    for number in draw(st.lists(st.sampled_from(CONSTANTS), min_size=1, max_size=3)):
        values.append(ops.broadcast_to(constant(np.float32(number)), (3, 3)))
        values.append(constant(np.float32(number)))
    for _ in range(draw(st.integers(1, 10))):
        whole = [v for v in values if v.shape == (3, 3)]
        if draw(st.booleans()):
            values.append(draw(st.sampled_from(UNARY))(draw(st.sampled_from(whole))))
        else:
            f, a, b = draw(st.sampled_from(BINARY)), draw(st.sampled_from(whole)), draw(st.sampled_from(values))
            values.append(f(a, b if f is not ops.matmul else draw(st.sampled_from(whole))))
    return Graph(tuple(inputs), tuple(values[-2:]))


@settings(max_examples=80)
@given(graphs())
def test_every_pass_keeps_every_bit(graph: Graph) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((3, 3)).astype("float32") for _ in range(2)]
    arrays[0][0, 0], arrays[0][1, 1] = 0.0, -0.0
    expected = ReferenceProgram(graph)(*arrays)
    exact = [name for name in PASSES if name != "factor"]
    for name in (*exact, ",".join(exact)):
        pipeline = Pipeline.parse(name, check=True)
        once = pipeline.run(graph)
        for a, b in zip(ReferenceProgram(once)(*arrays), expected, strict=True):
            np.testing.assert_array_equal(a, b)
            np.testing.assert_array_equal(np.signbit(a[~np.isnan(a)]), np.signbit(b[~np.isnan(b)]))
        if "," not in name:
            assert str(pipeline.run(once)) == str(once), f"{name} twice is not {name} once"
    assert str(parse(str(graph))) == str(graph)


@pytest.mark.parametrize("count", [1, 40])
def test_rows_that_are_touched_sum_up_alike(count: int) -> None:
    """``rows`` keeps every bit of the gradient of a large table, repeated numbers included."""
    rng = np.random.default_rng(1)
    numbers = np.concatenate([rng.integers(0, 140_000, count), [0, 139_999, 7, 7, 7]]).astype("int32")
    updates = rng.standard_normal((len(numbers), 8)).astype("float32")
    given = [placeholder("updates", "float32", updates.shape), placeholder("numbers", "int32", numbers.shape)]
    graph = Graph(tuple(given), (apply(ScatterAdd(140_000), *given),))
    kept = Pipeline.parse("rows", check=True).run(graph)
    assert "last_place" in str(kept)
    (wanted,), (found,) = ReferenceProgram(graph)(updates, numbers), ReferenceProgram(kept)(updates, numbers)
    np.testing.assert_array_equal(found, wanted)


@settings(max_examples=40)
@given(st.data())
def test_factors_come_out_of_sums(data: Any) -> None:
    """What is constant along the summed axes is multiplied after the sum; agreement to rounding, on the same terms."""
    axes = data.draw(st.sampled_from([(0,), (1,), (2,), (0, 1), (0, 2), (0, 1, 2)]))
    shape = data.draw(st.sampled_from([(3,), (4, 3), (4, 1), (2, 4, 1), (2, 1, 1), (1, 1, 3), (2, 4, 3), (1, 1, 1)]))
    keepdims = data.draw(st.booleans())
    x, c = placeholder("x", "float64", (2, 4, 3)), placeholder("c", "float64", shape)
    terms = [x * c, -(c * x), x / c, ops.broadcast_to(c, x.shape), -(-(x * c) * ops.broadcast_to(c, x.shape))]
    graph = Graph((x, c), tuple(ops.sum(t, axes, keepdims=keepdims) for t in terms), "f")
    taken = verify(Pipeline.parse("factor", check=True).run(graph))
    assert str(Pipeline.parse("factor").run(taken)) == str(taken)
    if shape == (1, 1, 1) and len(axes) == 3:
        assert {n.inputs[0].node.op.word for n in taken.nodes() if n.op.word == "reduce_sum"} == {"input"}
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(0.5, 2, v.shape) for v in (x, c)]
    for a, b in zip(ReferenceProgram(taken)(*arrays), ReferenceProgram(graph)(*arrays), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


GOLDEN = {
    "fold": (
        "f(x: f32[2]) { %0 = const{array=f32[] 4.0}() : f32[] %1 = sqrt(%0) : f32[] %2 = multiply(x, %1) : f32[2] return %2 }",
        "f(x: f32[2]) { %0 = const{array=f32[] 2.0}() : f32[] %1 = multiply(x, %0) : f32[2] return %1 }",
    ),
    "simplify": (
        "f(x: f32[2,3]) { %0 = const{array=f32[] 1.0}() : f32[] %1 = multiply(x, %0) : f32[2,3] "
        "%2 = reshape{shape=(6)}(%1) : f32[6] %3 = reshape{shape=(3, 2)}(%2) : f32[3,2] "
        "%4 = transpose{order=(1, 0)}(%3) : f32[2,3] %5 = transpose{order=(1, 0)}(%4) : f32[3,2] return %5 }",
        "f(x: f32[2,3]) { %0 = reshape{shape=(3, 2)}(x) : f32[3,2] return %0 }",
    ),
    "share": (
        "f(x: f32[2]) { %0 = exp(x) : f32[2] %1 = exp(x) : f32[2] %2 = add(%0, %1) : f32[2] return %2 }",
        "f(x: f32[2]) { %0 = exp(x) : f32[2] %1 = add(%0, %0) : f32[2] return %1 }",
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str) -> None:
    before, after = GOLDEN[name]
    assert " ".join(str(Pipeline.parse(name).run(parse(before))).split()) == after


def test_a_scan_and_its_gradient_share_the_forward_loop() -> None:
    h, xs, w = (placeholder(n, "float32", s) for n, s in (("h", (2, 3)), ("xs", (4, 2, 3)), ("w", (3, 3))))

    def step(c: Any, x: Any) -> Any:
        c = ops.tanh(ops.matmul(c, w) + x)
        return c, c

    last, ys = ops.scan(step, h, xs)
    loss = ops.sum(last) + ops.sum(ys * ys)
    graph = Graph((h, xs, w), (loss, *gradient(loss, [h, xs, w])))
    scans = lambda g: [n for n in g.nodes() if n.op.word == "scan"]  # noqa: E731
    assert len(scans(graph)) == 3
    merged = verify(Pipeline.parse().run(graph))
    assert len(scans(merged)) == 2
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(v.shape).astype("float32") for v in (h, xs, w)]
    for a, b in zip(ReferenceProgram(merged)(*arrays), ReferenceProgram(graph)(*arrays), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)  # sums over all steps are made in another order


@pytest.mark.parametrize(("units", "reverse", "left"), [(3, False, [1, 1]), (3, True, [1, 1]), (20, False, [2, 1])])
def test_products_are_hoisted_out_of_loops(units: int, reverse: bool, left: list[int]) -> None:
    """Only the recurrent products stay inside, one in the loop, one in its gradient, and one that is far larger than ``xs``."""
    shapes = {"h": (2, units), "xs": (4, 2, 5), "u": (units, units), "w": (5, units), "b": (units,), "v": (units, 2)}
    values = [placeholder(n, "float64", s) for n, s in shapes.items()]
    h, xs, u, w, b, v = values

    def step(c: Any, x: Any) -> Any:
        c = ops.tanh(ops.matmul(c, u) + ops.matmul(x * 2.0, w) + b)
        return c, ops.matmul(c, v)

    last, ys = ops.scan(step, h, xs, reverse=reverse)
    loss = ops.sum(last) + ops.sum(ys * ys)
    graph = Graph(tuple(values), (loss, *gradient(loss, values)))
    hoisted = verify(Pipeline.parse().run(graph))
    inside = [
        sum(n.op.word == "matmul" for n in node.op.body.nodes()) for node in hoisted.nodes() if node.op.word == "scan"
    ]
    assert inside == left
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(x.shape) for x in values]
    for a, e in zip(ReferenceProgram(hoisted)(*arrays), ReferenceProgram(graph)(*arrays), strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-11, atol=1e-12)


def test_prune_drops_results_that_nobody_reads() -> None:
    xs = placeholder("xs", "float32", (4, 3))
    _, (a, _) = ops.scan(lambda c, x: (c + x, (c * 2.0, x * 3.0)), xs[0], xs)
    pruned = Pipeline.parse("prune").run(Graph((xs,), (a,)))
    (scan,) = (n for n in pruned.nodes() if n.op.word == "scan")
    assert len(scan.outputs) == 2


def test_the_gradient_of_slices_is_one_concatenation() -> None:
    x, y = (placeholder(n, "float32", (3, 8)) for n in ("x", "y"))
    parts = [x[:, 2:5], x[:, :2], x[:, 5:]]
    loss = ops.sum(ops.exp(parts[0]) * y[:, :3]) + ops.sum(ops.sin(parts[1])) + ops.sum(parts[2] * parts[2])
    graph = Graph((x, y), tuple(gradient(loss, [x])), "f")
    joined = verify(Pipeline.parse().run(graph))
    words = [n.op.word for n in joined.nodes()]
    assert words.count("concatenate") == 1
    assert "pad" not in words
    a, b = (np.random.default_rng(0).standard_normal((3, 8)).astype("float32") for _ in range(2))
    expected = np.concatenate([np.cos(a[:, :2]), np.exp(a[:, 2:5]) * b[:, :3], 2 * a[:, 5:]], axis=1)
    np.testing.assert_allclose(ReferenceProgram(joined)(a, b)[0], expected, rtol=1e-6)


def test_padded_parts_that_overlap_or_leave_gaps_stay_sums() -> None:
    x = placeholder("x", "float32", (2,))
    for first, second in (((0, 2), (1, 1)), ((0, 3), (3, 0))):
        graph = Graph((x,), (ops.pad(x, (first,)) + ops.pad(x, (second,)),), "f")
        assert "concatenate" not in [n.op.word for n in Pipeline.parse().run(graph).nodes()]


@pytest.mark.parametrize("around", [(1, 1), (0, 1), (2, 0)])
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_convolutions_take_over_the_zeros_around_their_images(
    around: tuple[int, int], strides: int, padding: str
) -> None:
    """The padding, and the cut of its gradient, are gone, and every bit is as before."""
    x, w = placeholder("x", "float64", (2, 7, 6, 2)), placeholder("w", "float64", (3, 3, 2, 3))
    y = ops.conv(ops.pad(x, ((0, 0), around, around[::-1], (0, 0))), w, strides, padding)
    graph = Graph((x, w), (y, *gradient(ops.sum(y * y), [x, w])), "f")
    taken = verify(Pipeline.parse().run(graph))
    assert not {"pad", "slice"} & {n.op.word for n in taken.nodes()}
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(v.shape) for v in (x, w)]
    for a, b in zip(ReferenceProgram(taken)(*arrays), ReferenceProgram(graph)(*arrays), strict=True):
        np.testing.assert_array_equal(a, b)


def test_padding_that_is_no_zeros_around_images_stays() -> None:
    x, w = placeholder("x", "float32", (2, 7, 2)), placeholder("w", "float32", (3, 3, 3))
    channels = ops.conv(ops.pad(x, ((0, 0), (1, 1), (0, 1))), w)
    ones = ops.conv(ops.pad(channels, ((0, 0), (1, 1), (0, 0)), constant_values=1), w)
    kept = verify(Pipeline.parse().run(Graph((x, w), (ones,), "f")))
    assert [n.op.word for n in kept.nodes()].count("pad") == 2
