"""Numbers worked out by others, or by hand: edges, ties, nan, empty axes, indexing, random words."""

from __future__ import annotations

import math

import numpy as np
import pytest

from layerkit import dtypes, engines, ops, random
from layerkit.errors import ArgumentTypeError, DataError, LayerkitError, ShapeError
from layerkit.functions import function, grad
from layerkit.ir import BATCH, Graph, axis, placeholder
from layerkit.ops.random import words


def test_erf_equals_the_c_library() -> None:
    x = np.concatenate([np.linspace(-7, 7, 2001), [0.0, -0.0, 0.46875, 1e-300, np.inf, -np.inf]])
    np.testing.assert_allclose(ops.erf(x), [math.erf(v) for v in x], rtol=4e-15, atol=1e-300)
    assert np.isnan(ops.erf(np.array(np.nan)))


# Random123 (Salmon et al. 2011), file kat_vectors, philox4x32-10: counter and key of zeros
def test_philox_known_answer() -> None:
    assert [int(w) for w in words(np.zeros(4, "uint32"), 4)] == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]


def test_distributions() -> None:
    u, n = random.uniform((100_000,), seed=1), random.normal((100_000,), seed=2)
    assert 0 <= u.min() < 1e-4 < 0.9999 < u.max() < 1
    assert abs(u.mean() - 0.5) < 3e-3
    assert abs(u.var() - 1 / 12) < 1e-3
    assert abs(n.mean()) < 1e-2
    assert abs(n.var() - 1) < 2e-2
    assert abs((n**4).mean() - 3) < 0.1
    assert np.abs(random.truncated_normal((10_000,), seed=3)).max() < 2
    np.testing.assert_array_equal(random.normal((5,), seed=4), random.normal((5,), seed=4))


def test_edges_of_activations() -> None:
    x = np.array([-np.inf, -1e30, 0.0, 1e30, np.inf], "float32")
    np.testing.assert_array_equal(ops.sigmoid(x), [0, 0, 0.5, 1, 1])
    np.testing.assert_array_equal(ops.softplus(x), [0, 0, np.float32(math.log(2)), np.float32(1e30), np.inf])
    big = np.array([1e30, 0.0, -1e30], "float32")
    np.testing.assert_array_equal(ops.softmax(big), [1, 0, 0])
    np.testing.assert_array_equal(ops.log_softmax(big), [0, np.float32(-1e30), np.float32(-2e30)])


def test_ties_and_kinks() -> None:
    tied = np.array([1.0, 3.0, 3.0])
    np.testing.assert_array_equal(grad(lambda x: ops.max(x))(tied), [0, 0.5, 0.5])
    assert ops.argmax(tied) == 1
    np.testing.assert_array_equal(grad(lambda x: ops.sum(ops.relu(x)))(np.array([-1.0, 0.0, 2.0])), [0, 0, 1])
    np.testing.assert_array_equal(grad(lambda x: ops.sum(ops.maximum(x, 0.0)))(np.array([0.0])), [0.5])
    assert grad(lambda x: ops.sum(x**3.0))(np.array([0.0])) == 0
    picked = grad(lambda x: ops.sum(ops.max_pool(x, 2)))(np.ones((1, 4, 1)))
    np.testing.assert_array_equal(picked.reshape(-1), [1, 0, 1, 0])


def test_where_keeps_nan_out_of_the_gradient() -> None:
    g = grad(lambda x: ops.sum(ops.where(x > 0, ops.sqrt(ops.where(x > 0, x, 1.0)), 0.0)))(np.array([-1.0, 4.0]))
    np.testing.assert_array_equal(g, [0, 0.25])


def test_empty() -> None:
    assert ops.sum(np.zeros((0, 3)), 0).tolist() == [0, 0, 0]
    with pytest.raises(ShapeError):
        ops.max(np.zeros((0, 3)), 0)


@pytest.mark.parametrize(
    "key",
    [0, -1, slice(1, 3), slice(None, None, 2), slice(None, None, -1), slice(4, 0, -2), slice(3, 1), (slice(None), 1), (..., -2),
     (None, 2), (0, ..., slice(1, None)), (slice(-3, -1), slice(None, None, -3)), (1, None, 2), ()],
)  # fmt: skip
def test_indexing_is_numpys(key: object) -> None:
    x = np.arange(5 * 4 * 3).reshape(5, 4, 3).astype("float32")
    from layerkit.functions import function

    np.testing.assert_array_equal(function(lambda v: v[key])(x), x[key])  # type: ignore[index]


def test_take_and_scatter() -> None:
    table = np.arange(12.0).reshape(4, 3)
    np.testing.assert_array_equal(ops.take(table, [[3, 0], [1, 1]], axis=0), table[[[3, 0], [1, 1]]])
    np.testing.assert_array_equal(ops.take(table, [2, 0], axis=1), table[:, [2, 0]])
    np.testing.assert_array_equal(ops.take(table, [[2, 0]], axis=1), table[:, [[2, 0]]])
    with pytest.raises(DataError) as caught:
        ops.take(table, [4], axis=0)
    assert caught.value.got == "4"


def test_promotion() -> None:
    import jax.numpy as jnp

    known = [d for d in dtypes.SHORT if "64" not in d]  # JAX has 64 bits only when asked for them
    for a in known:
        for b in known:
            if {a, b} & {"uint32"} and {a, b} & {"int8", "int16", "int32"}:
                continue  # int64, which JAX leaves out
            assert dtypes.promote(a, b) == jnp.promote_types(a, b).name, (a, b)
    assert (dtypes.promote("uint32", "int8"), dtypes.promote("uint64", "int64")) == ("int64", "float32")
    x = placeholder("x", "int32", (2,))
    assert [(x * 2).dtype, (x * 0.5).dtype, (x / 2).dtype, (x > 1).dtype] == ["int32", "float32", "float32", "bool"]
    assert (placeholder("x", "float64", ()) * 0.5).dtype == "float64"


@pytest.mark.parametrize("dtype", dtypes.STORAGE)
@pytest.mark.parametrize("engine", ["reference", "llvm"])
def test_short_floats_are_computed_with_as_float32_and_rounded(dtype: str, engine: str) -> None:
    x = np.linspace(-2, 2, 12, dtype="float32").reshape(3, 4).astype(dtypes.numpy_dtype(dtype))
    wide = x.astype("float32")
    for f, g in (
        (ops.exp, np.exp),
        (lambda v: ops.sum(v, 0), lambda v: v.sum(0)),
        (lambda v: ops.matmul(v, ops.transpose(v)), lambda v: v @ v.T),
        (lambda v: ops.max(v, 1), lambda v: v.max(1)),
        (lambda v: ops.cumsum(v, 1), lambda v: np.cumsum(v, 1)),
        (ops.sort, np.sort),
    ):
        found = function(f, engine=engine)(x)
        assert found.dtype == x.dtype
        step = 2.0**-7 if dtype == "bfloat16" else 2.0**-10
        np.testing.assert_allclose(found.astype("float32"), g(wide), rtol=step, atol=1e-6)
    slope = grad(lambda v: ops.sum(ops.square(v)))(x)
    assert slope.dtype == x.dtype
    np.testing.assert_allclose(slope.astype("float32"), 2 * wide, rtol=2.0**-7)


def test_unknown_sizes_are_sizes_not_numbers() -> None:
    x = placeholder("x", "float32", (BATCH, axis("t"), 3))
    assert str(ops.reshape(x, (-1, 3)).type) == "f32[b*t,3]"
    assert str(ops.max_pool(x, 2).shape[1].bind({"t": 7})) == "3"
    with pytest.raises(ShapeError):
        range(x.shape[0])
    with pytest.raises(ShapeError):
        bool(x.shape[0] > 2)
    with pytest.raises(LayerkitError):
        bool(x[0, 0, 0] > 0)
    with pytest.raises(ArgumentTypeError):
        np.exp(x)


def test_unknown_sizes_bind_like_arithmetic() -> None:
    b, t = axis("b"), axis("t")
    for nb, nt in ((1, 1), (3, 7), (32, 10)):
        sizes = {"b": nb, "t": nt}
        for dim, number in (
            ((b + 2) * (t - 1), (nb + 2) * (nt - 1)),
            ((10 * b * t) // (5 * t), 2 * nb),
            ((t + 1) // 2 * b, (nt + 1) // 2 * nb),
            (b - b + 4, 4),
        ):
            assert (dim if isinstance(dim, int) else dim.bind(sizes)) == number


def test_sparsemax_is_the_projection_onto_probabilities() -> None:
    # of (1.2, 1, -3) both large ones lose t = (2.2 - 1) / 2 = 0.6; of (2, 0, 0) the first alone is left
    x = np.array([[1.2, 1.0, -3.0], [2.0, 0.0, 0.0]])
    np.testing.assert_allclose(ops.sparsemax(x), [[0.6, 0.4, 0.0], [1.0, 0.0, 0.0]], rtol=1e-12)
    many = np.random.default_rng(0).normal(size=(4, 7))
    np.testing.assert_allclose(ops.sparsemax(many, axis=0).sum(0), np.ones(7), rtol=1e-12)


def test_sorting_keeps_the_order_of_equals_and_puts_nan_at_the_end() -> None:
    x = np.array([2.0, np.nan, 1.0, 2.0, -np.inf, 1.0])
    assert ops.argsort(x).tolist() == [4, 2, 5, 0, 3, 1]
    assert ops.top_k(x, 4)[1].tolist() == [1, 0, 3, 2]
    assert ops.argsort(np.array([0.0, -0.0, 0.0])).tolist() == [0, 1, 2]


def test_products_of_zeros_have_exact_gradients() -> None:
    np.testing.assert_array_equal(grad(lambda x: ops.prod(x))(np.array([2.0, 0.0, 5.0])), [0, 10, 0])
    np.testing.assert_array_equal(grad(lambda x: ops.prod(x))(np.array([0.0, 0.0, 5.0])), [0, 0, 0])
    np.testing.assert_array_equal(grad(lambda x: ops.sum(ops.cumprod(x)))(np.array([2.0, 0.0, 5.0])), [1, 12, 0])


def test_erfinv_undoes_erf() -> None:
    x = np.concatenate([np.linspace(-0.999, 0.999, 201), [1e-300, 1 - 1e-15]])
    np.testing.assert_allclose([math.erf(v) for v in ops.erfinv(x)], x, rtol=1e-14)
    np.testing.assert_array_equal(ops.erfinv(np.array([1.0, -1.0, np.nan, 2.0])), [np.inf, -np.inf, np.nan, np.nan])


def test_several_tensors_index_as_in_numpy() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 4, 5)).astype("float32")
    i, j = rng.integers(-3, 3, (2, 1)).astype("int32"), rng.integers(0, 4, (3,)).astype("int32")
    cases = [
        lambda x, i, j: x[i, j],
        lambda x, i, j: x[i[:, 0], :, i[:, 0]],
        lambda x, i, j: x[:, j, i],
        lambda x, i, j: x[1:, j, ..., 1:],
    ]
    traced = function(lambda x, i, j: [case(x, i, j) for case in cases])
    for case, result in zip(cases, traced(x, i, j), strict=True):
        np.testing.assert_array_equal(result, case(x, i, j))
    with pytest.raises(DataError):
        function(lambda x: x[x > 0])(x)


@pytest.mark.parametrize(("length", "stride"), [(1, 1), (3, 5), (40, 1), (33, 2), (64, 16), (100, 30), (300, 1)])
def test_sequences_of_any_length_take_few_ops(length: int, stride: int) -> None:
    """Against NumPy's view of all windows; the graph grows with the logarithm of a window's length."""
    x = np.random.default_rng(0).normal(size=(2, 301)).astype("float32")
    expected = np.lib.stride_tricks.sliding_window_view(x, length, axis=-1)[:, ::stride]
    place = placeholder("x", "float32", x.shape)
    windows = ops.extract_sequences(place, length, stride)
    graph = Graph((place,), (windows,), "windows")
    assert len(graph.nodes()) < 120
    for engine in ("reference", "llvm"):
        np.testing.assert_array_equal(engines.get(engine).compile(graph)(x)[0], expected)


def test_windows_are_added_up_by_as_many_ops_for_any_number_of_them() -> None:
    """``istft`` gives back what ``stft`` was given, also for an unknown number of rows."""
    counts = []
    for n in (80, 800):
        x = np.random.default_rng(0).normal(size=(2, n)).astype("float32")
        pair = ops.stft(x, 24, 10, 32)
        places = [placeholder("x", "float32", (BATCH, *part.shape[1:])) for part in pair]
        graph = Graph(tuple(places), (ops.istft(tuple(places), 24, 10, 32, length=n),), "windows")
        counts.append(len(graph.nodes()))
        np.testing.assert_allclose(engines.get("llvm").compile(graph)(*pair)[0], x, atol=2e-6)
    assert counts[0] == counts[1]
