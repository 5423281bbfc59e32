"""Every function of ``keras.ops`` against Keras 3.15 on JAX: the same arrays, the same numbers, the same dtypes.

A case is an expression in ``k`` (the library) and the arrays below. It is computed by Keras, by layerkit on arrays, and
by a program of the engine llvm that holds all cases of a family; "~" before an expression also compares the gradient by
``x``. What has no case stands in ``ABSENT`` with its reason. ``python tests/oracle/test_ops_keras.py`` prints the table.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import re
from functools import cache
from typing import Any

import keras
import numpy as np
import pytest

from layerkit import ops, tree
from layerkit.autodiff import gradient
from layerkit.engines import get
from layerkit.ir import Graph, Value, placeholder

RNG = np.random.default_rng(3)


def f32(*shape: int, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    return RNG.uniform(low, high, shape).astype("float32")


ARRAYS: dict[str, np.ndarray] = {
    "x": f32(3, 5),
    "y": f32(3, 5),
    "v": f32(5),
    "w": f32(7),
    "c": f32(2, 3, 4),
    "one": f32(3, 1),
    "p": f32(3, 5, low=0.2, high=3.0),
    "u": f32(3, 5, low=-0.9, high=0.9),
    "sq": f32(4, 4),
    "cube": f32(2, 3, 3),
    "i": RNG.integers(-9, 10, (3, 5)).astype("int32"),
    "j": RNG.integers(1, 6, (3, 5)).astype("int32"),
    "n": RNG.integers(0, 5, (7,)).astype("int32"),
    "b": RNG.integers(0, 2, (3, 5)).astype("bool"),
    "bytes": RNG.integers(0, 200, (3, 5)).astype("uint8"),
    "seg": np.array([0, 2, 2], "int32"),
    "ties": np.array([[1, 3, 3, 0, 1], [2, 2, 2, 2, 2], [5, 4, 3, 2, 1]], "float32"),
    "img": f32(2, 5, 6, 4),
    "first": f32(2, 4, 5, 6),
    "series": f32(2, 9, 4),
    "dw": f32(3, 2, 4, 2),
    "pw": f32(1, 1, 8, 3),
    "k2": f32(3, 2, 4, 6),
    "kt": f32(3, 2, 3, 4),
    "k1": f32(3, 4, 2),
    "q": f32(2, 3, 4, 5),
    "kv": f32(2, 6, 2, 5),
    "am": RNG.integers(0, 2, (2, 1, 3, 6)).astype("bool"),
    "spd": (lambda a: (a @ a.transpose(0, 2, 1) + 3 * np.eye(3)).astype("float32"))(f32(2, 3, 3)),
    "tall": f32(2, 5, 3),
    "odd": np.array([[np.nan, 1, np.inf, -np.inf, -0.0], [0.0, -1.5, 2.5, np.nan, 3.5], [1, 2, 3, 4, 5]], "float32"),
    "nans": np.array([[np.nan, 1, 4, np.nan, 2], [np.nan] * 5, [3, 1, 2, 5, 4]], "float32"),
}  # fmt: skip

FAMILIES: dict[str, list[str]] = {
    "elementwise": [
        *(f"~k.{f}(x)" for f in ["abs", "absolute", "arcsinh", "arctan", "ceil", "cos", "cosh", "deg2rad", "erf", "exp", "exp2", "expm1", "fabs", "floor", "negative", "rad2deg", "round", "sign", "sin", "sinc", "sinh", "square", "tan", "tanh", "trunc", "stop_gradient", "i0", "erfc", "cbrt"]),
        *(f"~k.{f}(p)" for f in ["log", "log10", "log1p", "log2", "reciprocal", "sqrt", "rsqrt"]),
        *(f"k.{f}(u)" for f in ["arccos", "arcsin", "arctanh", "erfinv"]),
        "k.arccosh(p + 1.0)", "k.round(x, 1)", "k.round(i, -1)", "k.conj(x)", "k.conjugate(x)", "k.real(x)", "k.imag(x)", "k.angle(x)",
        *(f"k.{f}(odd)" for f in ["isfinite", "isinf", "isnan", "isneginf", "isposinf", "signbit", "nan_to_num"]),
        "k.nan_to_num(odd, 1.0, 2.0, 3.0)", "k.isreal(x)",
        *(f"~k.{f}(x, y)" for f in ["add", "subtract", "multiply", "divide", "true_divide", "maximum", "minimum", "fmax", "fmin", "hypot", "logaddexp", "logaddexp2", "arctan2"]),
        *(f"k.{f}(x, one)" for f in ["mod", "floor_divide", "fmod", "heaviside", "nextafter"]),
        "~k.power(p, x)", "k.divide_no_nan(x, k.cast(b, 'float32'))", "k.hypot(odd, x)", "k.hypot(odd, odd[::-1])", "k.fmax(odd, x)", "k.fmin(odd, x)", "k.ldexp(x, i)",
        *(f"k.{f}(x, y)" for f in ["equal", "greater", "greater_equal", "less", "less_equal", "not_equal", "isclose", "allclose"]),
        "k.isclose(odd, odd)", "k.isclose(odd, odd, equal_nan=True)",
        *(f"k.{f}(b, i > 0)" for f in ["logical_and", "logical_or", "logical_xor"]), "k.logical_not(b)", "k.logical_not(x)",
        *(f"k.{f}(i, j)" for f in ["bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift", "left_shift", "right_shift"]),
        "k.bitwise_not(i)", "k.bitwise_invert(b)", "k.bitwise_and(b, b)", "k.gcd(i, j)", "k.lcm(i, j)", "k.gcd(bytes, bytes)",
        "~k.clip(x, -1.0, 0.5)", "k.clip(i, -2, 3)", "k.cast(x, 'int32')", "k.cast(i, 'float32')", "k.cast(b, 'int32')",
        "k.saturate_cast(x * 1000.0, 'uint8')", "k.saturate_cast(i, 'uint8')", "k.view(x, 'int32')", "k.view(x)",
        "~k.where(b, x, y)", "k.where(b, i, 0)", "~k.select([x > 1.0, x > 0.0], [x, y], 7.0)",
    ],
    "dtypes": [
        *(f"k.{f}(k.cast(x, '{d}'))" for d in ("bfloat16", "float16") for f in ["exp", "softplus", "mean", "sum", "cumsum", "softmax", "gelu", "erfc", "max", "sort", "square", "sigmoid", "elu", "logsumexp"]),
        *(f"k.{f}(k.cast(j, '{d}'))" for d in ("int8", "int16", "uint16") for f in ["sum", "prod", "cumsum", "exp", "mean", "negative", "square", "argmax", "abs", "max"]),
        *(f"k.add(k.cast(j, '{a}'), k.cast(j, '{b}'))" for a, b in (("int8", "uint8"), ("int16", "uint16"), ("uint16", "uint8"), ("int8", "float16"), ("bfloat16", "float16"), ("bool", "int8"))),
        *(f"k.{f}({a})" for a in ("i", "bytes", "b") for f in ["sum", "mean", "prod", "max", "cumsum", "square", "abs", "exp", "floor", "argmax", "std", "count_nonzero", "sqrt"]),
        *(f"k.{f}({a}, {d})" for f in ["add", "multiply", "maximum"] for a, d in (("i", "x"), ("b", "i"), ("bytes", "i"), ("i", "1"), ("i", "1.5"), ("b", "2"), ("x", "1"), ("bytes", "b"))),
        *(f"k.{f}({a}, {d})" for f in ["divide", "power", "mod"] for a, d in (("j", "j"), ("j", "x"), ("bytes", "2"))),
        "k.subtract(i, bytes)", "k.floor_divide(i, j)", "k.mod(i, j)", "k.negative(i)", "k.sign(i)", "k.matmul(i, k.transpose(i))", "k.where(b, i, x)",
        "k.concatenate([i, x])", "k.stack([b, i])", "k.relu(i)", "k.elu(i)", "k.round(bytes)", "k.trunc(i)", "k.softplus(i)",
    ],
    "reductions": [
        *(f"~k.{f}(x{a})" for f in ["sum", "mean", "max", "min", "prod", "std", "var", "amax", "amin", "ptp"] for a in ("", ", axis=-1", ", axis=0, keepdims=True")),
        *(f"k.{f}(c, axis=(0, -1))" for f in ["sum", "mean", "max", "min", "prod", "std", "var", "logsumexp"]), "~k.logsumexp(x)", "k.logsumexp(x, axis=1, keepdims=True)",
        *(f"k.{f}(b, axis=0)" for f in ["all", "any"]), "k.all(x)", "k.any(b, axis=(0, 1), keepdims=True)", "k.max(x, axis=1, initial=1.0)", "k.max(b, axis=1, initial=True)", "k.min(b, initial=False)", "k.min(x, initial=0.0)",
        *(f"k.{f}(ties{a})" for f in ["argmax", "argmin"] for a in ("", ", axis=-1", ", axis=0, keepdims=True")),
        "k.count_nonzero(i, axis=1)", "k.average(x)", "~k.average(x, axis=1, weights=p)", "k.average(x, axis=1, weights=p[0])", "k.average(x, axis=(1,), weights=p[0])", "k.average(x, axis=[0], weights=p[:, 0])",
        *(f"k.{f}(nans{a})" for f in ["nansum", "nanmean", "nanmax", "nanmin", "nanprod", "nanstd", "nanvar", "nanmedian"] for a in ("", ", axis=1", ", axis=0, keepdims=True")),
        *(f"k.{f}(nans[::2], axis=1)" for f in ["nanargmax", "nanargmin"]), "k.nanpercentile(nans, 30, axis=1)", "k.nanquantile(nans, [0.2, 0.9], axis=0)",
        "k.nansum(i)", "k.nanmax(i, axis=0)", "k.nancumsum(nans, axis=1)", "k.nancumprod(nans, axis=0)",
        *(f"~k.median(x{a})" for a in ("", ", axis=-1", ", axis=(0, 1), keepdims=True")), "k.median(c, axis=(0, 2))", "k.median(nans, axis=1)",
        *(f"k.quantile(x, [0.1, 0.5, 0.77], axis=1, method='{m}')" for m in ("linear", "lower", "higher", "midpoint", "nearest")),
        "k.percentile(x, 35.0)", "k.percentile(c, [10.0, 90.0], axis=(0, 1), keepdims=True)", "k.quantile(x, 1.0)",
        "~k.cumsum(x)", "~k.cumsum(x, axis=0)", "k.cumsum(c, axis=-2)", "~k.cumprod(x, axis=1)", "k.cumprod(x)", "k.cumsum(b, axis=0)", "k.cumsum(i, dtype='float32')",
        "~k.diff(x)", "k.diff(x, n=2, axis=0)", "k.diff(b)", "~k.trapezoid(x)", "k.trapezoid(x, dx=0.5, axis=0)", "k.trapezoid(x, p)", "k.trapezoid(x, v)",
        "~k.corrcoef(x)", "k.correlate(w, v)", "k.correlate(w, v, 'same')", "k.correlate(w, v, 'full')", "k.correlate(v, w, 'full')", "k.correlate(v, w)",
        "k.bincount(n, minlength=9)", "k.bincount(n, weights=w, minlength=9)", "k.bincount(j, minlength=7)", "k.histogram(w)", "k.histogram(w, bins=4, range=(-1, 1))",
        "~k.moments(x, [0])[1]", "k.moments(c, (0, 2), keepdims=True)",
        *(f"k.segment_{f}(x, seg, num_segments=4)" for f in ["sum", "max", "min", "prod"]),
        "~k.norm(x)", "k.norm(x, axis=1)", "k.norm(x, ord=1, axis=0, keepdims=True)", "k.norm(x, ord=np.inf)", "k.norm(x, ord='fro')", "k.norm(v, ord=3)", "k.norm(x, ord=-1)",
        "k.norm(c, axis=(0, 2))", "k.norm(v, ord=0)", "k.norm(v, ord=-np.inf)", "k.norm(x, ord='nuc')", "k.norm(x, ord=2)", "k.norm(x, ord=-2)",
    ],
    "arrangement": [
        "~k.reshape(x, (5, -1))", "k.ravel(x)", "~k.transpose(c)", "k.transpose(c, (1, 2, 0))", "k.swapaxes(c, 0, -1)", "k.moveaxis(c, 0, -1)", "k.moveaxis(c, (0, 1), (-1, 0))",
        "k.expand_dims(x, (0, 2))", "k.squeeze(one)", "k.squeeze(one, -1)", "k.flip(c)", "k.flip(c, (0, 2))", "k.fliplr(c)", "k.flipud(c)",
        "~k.concatenate([x, y], axis=-1)", "~k.stack([x, y], axis=1)", "k.hstack([x, y])", "k.vstack([v, x])", "k.dstack([x, y])", "k.hstack([v, w])", "k.append(x, y)", "k.append(x, y, axis=1)",
        "k.split(c, 2, axis=-1)", "k.split(x, [1, 3], axis=1)", "k.array_split(w, 3)", "k.hsplit(c, 3)", "k.vsplit(c, 2)", "k.dsplit(c, [1])", "k.unstack(c, axis=1)",
        "~k.tile(x, (2, 3))", "k.tile(v, (2, 1, 2))", "k.tile(c, 2)", "~k.repeat(x, 2, axis=1)", "k.repeat(x, 3)", "k.repeat(x, np.array([2, 0, 1]), axis=0)",
        "~k.roll(x, 2)", "k.roll(x, -1, axis=1)", "k.roll(c, (1, -2), axis=(0, 2))", "k.roll(x, 1, axis=(0, 1))", "k.roll(x, (1, 2), axis=(1,))", "k.roll(c, np.array([1, 2]), axis=np.array([0, 2]))", "k.rot90(x)", "k.rot90(c, 3, (1, 2))", "k.rot90(c, 2)",
        "~k.pad(x, 1)", "k.pad(x, ((1, 2), (0, 3)), constant_values=7.0)", *(f"k.pad(x, ((1, 2), (0, 3)), mode='{m}')" for m in ("edge", "reflect", "symmetric", "wrap")),
        "~k.diagonal(sq)", "k.diagonal(c, 1, 2, 0)", "k.diagonal(x, -2)", "k.diag(v)", "k.diag(x, 1)", "k.diag(v, -2)", "k.diagflat(x, 1)", "~k.trace(sq)", "k.trace(c, 1, 0, 2)", "k.trace(b)",
        "~k.tril(x)", "k.triu(c, 1)", "k.tril(i, -1)", "k.argpartition(w, 2, axis=None)[2]", "k.matmul(v, v)", "k.linspace(0, 1, np.array(4))", "~k.take(x, [2, 0], axis=0)", "k.take(x, [[1], [3]], axis=1)", "k.take(x, [7, 2])", "k.take(x, [-1, 0], axis=1)",
        "~k.take_along_axis(x, k.argsort(y, axis=1), axis=1)", "k.take_along_axis(x, n)", "k.take_along_axis(x, i % 3, axis=0)", "k.take_along_axis(x, k.cast(one, 'int32'), axis=1)",
        "k.get_item(x, (slice(1, None), 2))", "k.broadcast_to(one, (2, 3, 4))", "~k.slice(x, (1, 2), (2, 3))", "~k.slice_update(x, (1, 0), y[:2, :3])", "k.slice(x, n[:2], (2, 2))", "k.slice_update(x, n[:2], y[:2, :2])",
        "k.scatter(seg[:, None], x, (4, 5))", "k.scatter(np.array([[0, 1], [2, 2]]), w[:2], (3, 3))", "~k.scatter_update(x, [[0], [2]], y[:2])", "k.scatter_update(x, [[0, 1], [2, -1]], w[:2])",
        *(f"k.scatter_update(x, seg[:, None], y, reduction='{r}')" for r in ("add", "max", "min", "mul")), "k.unravel_index(n, (2, 3))",
        "k.depth_to_space(img, 2)", "k.space_to_depth(img[:, :4], 2)", "k.depth_to_space(first, 2, data_format='channels_first')",
        "~k.unfold(first[:1], 2)", "k.unfold(first, (3, 2), dilation=1, padding=1, stride=2)", "k.fold(k.unfold(first, 2), (5, 6), 2)", "k.fold(k.unfold(first, 3, padding=1, stride=2), (5, 6), 3, padding=1, stride=2)",
        "k.extract_sequences(x, 3, 2)", "k.rearrange(c, 'a b (c d) -> b (a c) d', d=2)", "k.rearrange(x, 'a b -> b a')", "k.size(x)", "k.copy(x)", "k.meshgrid(v, w)", "k.meshgrid(v, w, indexing='ij')", "k.vander(v)", "k.vander(v, 3, increasing=True)",
    ],
    "creation": [
        "k.zeros((2, 3))", "k.ones((2,), 'int32')", "k.full((2, 2), 7)", "k.full((2,), 1.5, dtype='int32')", "k.eye(3)", "k.eye(2, 4, k=1)", "k.identity(3, 'int32')", "k.tri(3)", "k.tri(2, 4, -1)",
        "k.zeros_like(i)", "k.ones_like(x, dtype='bool')", "k.full_like(x, 3)", "k.empty((2,)) * 0", "k.empty_like(x) * 0", "k.arange(5)", "k.arange(1.0, 3.0, 0.5)", "k.arange(5, 0, -2)", "k.arange(3, dtype='float32')",
        "k.linspace(0, 1, 5)", "k.linspace(0.0, 1.0, 4, endpoint=False)", "k.linspace(1, 2, 3, retstep=True)", "k.linspace(v, v + 1.0, 4, axis=-1)", "k.linspace(0, 9, 4, dtype='int32')", "k.linspace(2.0, 3.0, 1)",
        "k.logspace(0, 2, 5)", "k.logspace(0.0, 3.0, 4, base=2)", "k.geomspace(1.0, 64.0, 4)", "k.geomspace(-1.0, -8.0, 4)",
        *(f"k.{f}(6)" for f in ["bartlett", "hanning", "hamming", "blackman"]), "k.hanning(1)", "k.kaiser(7, 4.0)", "k.array([1, 2])", "k.array([1.5], dtype='int32')", "k.convert_to_tensor([True])", "k.convert_to_tensor(x, 'int32')",
        "k.is_tensor('x')", "k.ndim(c)", "k.shape(c)", "k.dtype(x)",
    ],
    "sorting": [
        "~k.sort(x)", "k.sort(x, axis=0)", "k.sort(odd)", "k.sort(i, axis=0)", "k.sort(b)", "k.sort(bytes)", "k.argsort(ties)", "k.argsort(x, axis=0)", "k.argsort(ties, axis=None)",
        "~k.top_k(x, 2)[0]", "k.top_k(ties, 3)[1]", "k.top_k(i, 5)[0]", "k.take_along_axis(x, k.argpartition(x, 2), axis=1)[:, 2]",
        "k.searchsorted(k.sort(v), w)", "k.searchsorted(n[:0], n)", "k.searchsorted(k.sort(n), n, side='right')", "k.digitize(x, k.sort(v))", "k.isin(i, n)", "k.isin(i, n, invert=True)",
        "k.in_top_k(n[:3], x, 2)", "k.unique(n, size=4)", "k.unique(i, size=20, fill_value=77)", "k.unique(ties, return_inverse=True, return_counts=True, size=6)",
    ],
    "products": [
        "~k.matmul(x, k.transpose(y))", "k.matmul(c, sq)", "k.matmul(v, k.transpose(x))", "~k.dot(x, v)", "k.dot(c, cube[:, :, :2] if 0 else sq)", "k.dot(v, 2.0)", "k.dot(x, k.ones((2, 5, 4)))",
        "~k.tensordot(x, y, 2)", "k.tensordot(c, sq, 1)", "k.tensordot(c, x, ((1,), (0,)))", "k.tensordot(x, y, (1, 1))", "k.inner(x, y)", "k.inner(c, sq)", "~k.outer(x, v)", "k.vdot(x, y)", "~k.kron(x, y)", "k.kron(v, x)",
        "~k.cross(x[:, :3], y[:, :3])", "k.cross(x[:, :2], y[:, :2])", "k.cross(x[:, :2], y[:, :3])", "k.cross(x, y, axis=0)", "k.cdist(x, y)",
        *(f"~k.einsum('{s}')" .replace("')", "', x, y)") for s in ("ij,ij->i", "ij,kj->ki", "ij,kl->jl", "ij,ij")),
        "k.einsum('ii', sq)", "k.einsum('ii->i', sq)", "k.einsum('ij->ji', x)", "k.einsum('...ij,jk->...ik', c, sq)", "k.einsum('abc,bd,ae->dec', c, one, c[:, 0])", "k.einsum('ij', x)", "k.einsum('b...,b...->...', x, y)", "k.einsum('ij,ij->ij', i, i)",
        "~k.dot_product_attention(q, q, q)", "k.dot_product_attention(q, kv, kv, mask=am)", "k.dot_product_attention(q, kv, kv, is_causal=True, scale=0.3)", "k.dot_product_attention(q, q, q, bias=sq[:3, :3])", "k.dot_product_attention(q, kv, kv, mask=am, is_causal=True)",
    ],
    "neural": [
        *(f"~k.{f}(x)" for f in ["celu", "elu", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "leaky_relu", "log_sigmoid", "log_softmax", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "squareplus", "swish", "tanh_shrink"]),
        "k.celu(x, 0.5)", "k.elu(x, 0.3)", "k.gelu(x, approximate=False)", "~k.glu(c)", "k.glu(c, axis=0)", "k.hard_shrink(x, 1.0)", "k.soft_shrink(x, 1.0)", "k.leaky_relu(x, 0.01)", "k.squareplus(x, 1)",
        "k.softmax(x, axis=0)", "k.softmax(c, axis=(1, 2))", "k.log_softmax(c, axis=1)", "k.log_softmax(x, axis=(0, 1))", "~k.threshold(x, 0.5, 3.0)",
        "k.one_hot(n, 4)", "k.one_hot(n, 6, axis=0, dtype='int32')", "k.multi_hot(j, 7)", "k.multi_hot(n, 6)", "k.multi_hot(j, 7, axis=0)",
        "~k.batch_normalization(x, v, v * v, -1)", "k.batch_normalization(c, x[:, 0], p[:, 0], 1, offset=p[:, 1], scale=p[:, 2], epsilon=0.1)", "~k.layer_normalization(x)", "k.layer_normalization(c, gamma=sq[0], beta=sq[1], epsilon=0.01)", "k.layer_normalization(c, axis=(1, 2))",
        "~k.rms_normalization(x)", "k.rms_normalization(c, scale=sq[0], axis=-1, epsilon=0.1)", "~k.normalize(x)", "k.normalize(x, axis=0, order=1)", "k.normalize(c, axis=(1, 2))", "k.normalize(x, order=3)", "k.normalize(x, axis=0, order=2, epsilon=1.0)",
        "~k.conv(img, k2)[:, 0]", "k.conv(img, k2, 2, 'same', dilation_rate=1)", "k.conv(img, k2, padding='same', dilation_rate=2)", "k.conv(first, k2, data_format='channels_first')", "k.conv(series, k1, 2)",
        "~k.depthwise_conv(img, dw)", "k.depthwise_conv(img, dw, strides=2, padding='same')", "k.depthwise_conv(img, dw, dilation_rate=2, padding='same')", "k.depthwise_conv(first, dw, data_format='channels_first')", "~k.separable_conv(img, dw, pw)", "k.separable_conv(img, dw, pw, strides=2, padding='same')",
        *(f"k.conv_transpose(img, kt, {s}, '{p}')" for s in (1, 2, 3) for p in ("valid", "same")), "k.conv_transpose(img, kt, 2, 'same', output_padding=1)", "k.conv_transpose(img, kt, 2, 'valid', output_padding=1)", "k.conv_transpose(first, kt, 2, data_format='channels_first')", "k.conv_transpose(series, k.transpose(k1, (0, 2, 1)), 2)", "k.conv_transpose(img, kt, 1, 'same', dilation_rate=2)",
        "~k.max_pool(img, (2, 2), (2, 2))", "k.max_pool(img, (3, 2), (1, 2), 'same')", "k.conv(series, k1, padding='SAME')", "k.max_pool(first, 2, 2, data_format='channels_first')", "~k.average_pool(img, 2, 2)", "k.average_pool(img, 3, 2, 'same')", "k.average_pool(series, 2, 2)", "k.average_pool(first, 2, 2, data_format='channels_first')",
        "~k.adaptive_average_pool(img, (2, 4))", "k.adaptive_max_pool(img, 3)", "k.adaptive_max_pool(series, 4)", "k.adaptive_average_pool(first, 2, data_format='channels_first')",
        "~k.binary_crossentropy(k.cast(b, 'float32'), k.sigmoid(x))", "k.binary_crossentropy(k.cast(b, 'float32'), x, from_logits=True)", "~k.categorical_crossentropy(k.softmax(y), k.softmax(x))", "k.categorical_crossentropy(k.softmax(y, axis=0), x, from_logits=True, axis=0)", "~k.sparse_categorical_crossentropy(n[:3], k.softmax(x))", "k.sparse_categorical_crossentropy(n[:3], x, from_logits=True)", "~k.psnr(x, y, 2.0)", "~k.ctc_loss(k.reshape(n[:6], (2, 3)) % 3 + 1, series, np.array([2, 3]), np.array([9, 7]))", "k.ctc_loss(k.reshape(n[:4], (2, 2)) % 3, series, np.array([2, 1]), np.array([9, 9]), mask_index=3)",
        "k.ctc_decode(series, np.array([9, 6]))", "k.ctc_decode(series, np.array([9, 6]), merge_repeated=False, mask_index=2)",
    ],
    "loops": [
        "~k.cond(k.sum(x) > 0.0, lambda: x * 2.0, lambda: x + 1.0)", "k.switch(k.sum(n) % 3, [lambda z: z, lambda z: z * 2.0, lambda z: z - 1.0], x)", "~k.fori_loop(1, 4, lambda t, z: z * 1.5 + k.cast(t, 'float32'), x)",
        "~k.map(lambda r: k.sum(r) * r, x)", "~k.vectorized_map(lambda r: k.tanh(r) * 2.0, x)", "k.vectorized_map(lambda ab: ab[0] * ab[1], (x, y))", "k.vectorize(lambda r: k.sum(r), signature='(n)->()')(x)", "k.vectorize(lambda a, b: a * b)(x, one)",
        "k.scan(lambda s, r: (s + r, s * r), v, x)", "k.scan(lambda s, r: (s + r, s), v, x, reverse=True)", "~k.associative_scan(lambda a, b: a + b, x)", "k.associative_scan(lambda a, b: k.maximum(a, b), c, reverse=True, axis=1)",
        "k.while_loop(lambda z, t: t < 3, lambda z, t: (z * 2.0, t + 1), (x, 0), maximum_iterations=5)[0]",
    ],
    "linalg": [
        "~k.cholesky(spd)[0]", "k.cholesky(spd, upper=True)", "k.cholesky_inverse(k.cholesky(spd[0]))", "k.cholesky_inverse(k.cholesky(spd[1], upper=True), upper=True)", "~k.det(sq)", "k.det(cube)", "k.inv(cube)", "~k.inv(sq)", "k.slogdet(cube)", "k.logdet(spd)", "~k.solve(sq, sq[:, :2])", "k.solve(cube, tall[:, :3])", "k.solve(sq, sq[0])",
        "k.solve_triangular(cube, tall[:, :3], lower=True)", "k.solve_triangular(cube, tall[:, :3])", "k.lu_factor(sq)", "k.lu_factor(cube)", "k.qr(tall)", "k.qr(tall, mode='complete')[1]", "k.qr(x)", "k.abs(k.eigh(spd)[0])", "k.svd(tall, compute_uv=False)", "k.pinv(tall)", "k.pinv(x)", "k.matrix_rank(tall)", "k.lstsq(tall[0], tall[0, :, 0])", "k.lstsq(tall[0], tall[0, :, :2])",
        "k.matmul(k.svd(tall, full_matrices=False)[0] * k.svd(tall, full_matrices=False)[1][:, None], k.svd(tall, full_matrices=False)[2])",
    ],
    "fourier": [
        "k.fft((x, y))", "k.fft2((c, c))", "k.ifft2((c, c))", "~k.rfft(x)[0]", "k.rfft(w, 12)", "k.rfft(w, 4)", "k.irfft((x, y))", "k.irfft((x, y), 7)", "k.stft(series[:, :, 0], 4, 2, 6)", "k.stft(series[:, :, 0], 4, 2, 4, window=None, center=False)", "k.stft(series[:, :, 0], 3, 2, 5, window=None)",
        "k.istft(k.stft(series[:, :8, 0], 4, 2, 4), 4, 2, 4)", "k.istft(k.stft(series[:, :8, 0], 4, 2, 4, window=None), 4, 2, 4, window=None)",
    ],
}  # fmt: skip

ABSENT: dict[str, str] = {
    "sparsemax": "that of Keras does not add up to 1; compared with its definition in tests/ops/test_known_answers.py",
    "convert_to_numpy": "for arrays only; compared in test_arrays_only",
    "custom_gradient": "gradients are rules of ops; a function's own gradient has no op yet",
    "eig": "its results are complex numbers, which there are none of",
    "jvp": "derivatives forwards are not built; layerkit.grad goes backwards",
    "polar": "its result is a complex number", "view_as_complex": "its result is a complex number", "view_as_real": "takes complex numbers",
    "nonzero": "how many there are is known for arrays only; compared in test_arrays_only",
}  # fmt: skip


DEVIATIONS: dict[str, str] = {
    "bincount": "dense only; in a program minlength is the number of counts",
    "cond": "in a program both sides are computed and one is chosen", "switch": "as cond",
    "ctc_decode": "greedy; a search with beams is not built",
    "dot_product_attention": "attn_logits_soft_cap works (Keras on JAX refuses it without a TPU)",
    "eigh": "the signs of vectors are not determined", "svd": "the signs of vectors are not determined",
    "fori_loop": "the number of turns is known", "while_loop": "in a program it needs maximum_iterations",
    "max_pool": "strides may be left out (Keras 3.15 on JAX fails)", "average_pool": "as max_pool",
    "one_hot": "dense only", "multi_hot": "dense only", "pad": "modes constant, edge, reflect, symmetric, wrap",
    "power": "a whole number to a negative whole number is 0",
    "take": "numbers that are computed are checked when the program runs: negative ones are errors, not counted from the end",
    "take_along_axis": "places outside are errors, not nan", "unique": "in a program size is needed and axis is None; always sorted",
    "where": "a condition alone (nonzero) for arrays only",
}  # fmt: skip
"""Where a function that is compared differs all the same."""


def compute(expression: str, library: Any, arrays: dict[str, Any]) -> list[Any]:
    result = eval(expression.lstrip("~"), {"k": library, "np": np, **arrays})
    return tree.leaves(result)


EVERY = [pytest.param(family, e, id=e) for family, cases in FAMILIES.items() for e in cases]


@cache
def of_keras(family: str) -> dict[str, list[Any]]:
    """What Keras gives for all cases of a family: one program of XLA, besides what cannot be traced."""
    import jax

    def traced(expression: str) -> bool:
        try:
            jax.eval_shape(lambda arrays: compute(expression, keras.ops, arrays), ARRAYS)
        except Exception:  # it needs numbers, or gives none: then it is computed at once
            return False
        return True

    together = [e for e in FAMILIES[family] if traced(e)]
    found = jax.jit(lambda arrays: [compute(e, keras.ops, arrays) for e in together])(ARRAYS)
    alone = {e: compute(e, keras.ops, ARRAYS) for e in FAMILIES[family] if e not in together}
    return {**alone, **dict(zip(together, found, strict=True))}


def plain(x: Any) -> np.ndarray:
    return np.asarray(x)


def same(ours: Any, theirs: Any, what: str, tolerance: float = 2e-5) -> None:
    ours, theirs = plain(ours), plain(theirs)
    if isinstance(ours, str) or ours.dtype.kind == "U":
        assert str(ours) == str(theirs)
        return
    assert ours.shape == theirs.shape, what
    assert ours.dtype == theirs.dtype or ours.ndim == 0, f"{what}: {ours.dtype}, Keras has {theirs.dtype}"
    if ours.dtype.itemsize == 2 and ours.dtype.kind in "fV":  # libraries round such numbers at other places
        tolerance = {"bfloat16": 2.0**-6, "float16": 2.0**-9}[ours.dtype.name]
    np.testing.assert_allclose(
        ours.astype("float64"), theirs.astype("float64"), tolerance, tolerance, equal_nan=True, err_msg=what
    )


@pytest.mark.parametrize(("family", "expression"), EVERY)
def test_arrays_give_what_keras_gives(family: str, expression: str) -> None:
    ours, theirs = compute(expression, ops, ARRAYS), of_keras(family)[expression]
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        same(a, b, expression)


@pytest.mark.parametrize("family", FAMILIES)
def test_programs_give_what_arrays_give(family: str) -> None:
    inputs = {name: placeholder(name, a.dtype.name, a.shape) for name, a in ARRAYS.items()}
    results = [(e, v) for e in FAMILIES[family] for v in compute(e, ops, inputs) if isinstance(v, Value)]
    program = get("llvm").compile(Graph(tuple(inputs.values()), tuple(v for _, v in results)))
    expected = {
        e: [a for a, v in zip(compute(e, ops, ARRAYS), compute(e, ops, inputs), strict=True) if isinstance(v, Value)]
        for e, _ in results
    }
    for (expression, _), result in zip(results, program(*ARRAYS.values()), strict=True):
        array = expected[expression].pop(0)
        same(result, array, expression)


SMOOTH = {family: [e for e in cases if e.startswith("~")] for family, cases in FAMILIES.items()}


def weighted(expression: str, library: Any, arrays: dict[str, Any]) -> Any:
    """A number that depends on all of a result."""
    (result,) = compute(expression, library, arrays)
    flat = library.reshape(result, (-1,))
    return library.sum(flat * np.linspace(0.5, 1.5, flat.shape[0]).astype("float32"))


def leaf(expression: str) -> str:
    """The array by which a case is differentiated: the first that it names."""
    return next(
        name
        for name in re.findall(r"\w+", expression.split("(", 1)[1])
        if name in ARRAYS and ARRAYS[name].dtype == "float32"
    )


@pytest.mark.slow
@pytest.mark.parametrize("family", [f for f, cases in SMOOTH.items() if cases])
def test_gradients_are_those_of_keras(family: str) -> None:
    import jax

    inputs = {name: placeholder(name, a.dtype.name, a.shape) for name, a in ARRAYS.items()}
    slopes = []
    for expression in SMOOTH[family]:
        (slope,) = gradient(weighted(expression, ops, inputs), [inputs[leaf(expression)]])
        slopes.append(inputs[leaf(expression)] * 0.0 + (0.0 if slope is None else slope))
    program = get("llvm").compile(Graph(tuple(inputs.values()), tuple(slopes)))

    def of_jax(arrays: dict[str, Any]) -> list[Any]:
        return [
            jax.grad(lambda a, e=e: weighted(e, keras.ops, {**arrays, leaf(e): a}))(arrays[leaf(e)])
            for e in SMOOTH[family]
        ]

    for expression, ours, theirs in zip(
        SMOOTH[family], program(*ARRAYS.values()), jax.jit(of_jax)(ARRAYS), strict=True
    ):
        same(ours, theirs, expression, 2e-4)


def test_arrays_only() -> None:
    a = ARRAYS["i"]
    for ours, theirs in zip(ops.nonzero(a), keras.ops.nonzero(a), strict=True):
        same(ours, theirs, "nonzero")
    same(ops.unique(a), np.unique(a), "unique")
    same(ops.bincount(ARRAYS["n"]), keras.ops.bincount(ARRAYS["n"]), "bincount")
    same(ops.convert_to_numpy(a), keras.ops.convert_to_numpy(a), "convert_to_numpy")


def covered() -> dict[str, int]:
    """How many cases name each function of Keras."""
    names = [n for n in dir(keras.ops) if not n.startswith("_") and callable(getattr(keras.ops, n))]
    words = [w for family in FAMILIES.values() for e in family for w in set(re.findall(r"k\.(\w+)", e))]
    return {n: words.count(n) for n in names}


def test_every_function_is_covered_or_absent_for_a_reason() -> None:
    counts = covered()
    assert [n for n, count in counts.items() if not count and n not in ABSENT] == []
    assert [n for n in counts if not hasattr(ops, n) and n not in ABSENT] == []
    assert [n for n in DEVIATIONS if not counts[n]] == []


def main() -> None:
    counts = covered()
    print(
        f"{sum(c > 0 for c in counts.values())} of {len(counts)} functions of keras.ops {keras.__version__}, {sum(map(len, FAMILIES.values()))} cases"
    )
    for name, count in counts.items():
        shown = f"{count:2} cases" if count else "absent"
        print(f"  {name:26}{shown:10}{DEVIATIONS.get(name, '') or ABSENT.get(name, '')}".rstrip())


if __name__ == "__main__":
    main()
