"""Convolutions and pooling of the LLVM engine against the reference, where its kernels change their way: all directions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from layerkit.engines import get
from layerkit.engines.llvm.codegen.target import host
from layerkit.engines.llvm.codegen.tuner import Choice
from layerkit.engines.llvm.runtime.compilation import Compilation
from layerkit.engines.llvm.runtime.program import LLVMProgram
from layerkit.ir import BATCH, Graph, Op, apply, placeholder
from layerkit.ops.conv import Conv, ConvInputGrad, ConvKernelGrad
from layerkit.ops.matrices import MatMul
from layerkit.ops.pooling import MaxPool, MaxPoolGrad, SumPool, SumPoolGrad

RNG = np.random.default_rng(3)
MACHINES = pytest.mark.parametrize(
    ("dtype", "features"), [("float32", ""), ("float32", "-avx512f"), ("float64", "-avx512f")]
)
"""This processor, and this one less its wide vectors."""


def check(ops: list[tuple[Op, list[Any]]], dtype: str, features: str) -> None:
    """Ops give what the reference gives; arrays are (batch, ...) where the first axis of the op's input is."""
    for op, arrays in ops:
        given = [a.astype(dtype) for a in arrays]
        rows = given[0].shape[0]
        inputs = tuple(
            placeholder(
                f"x{i}",
                dtype,
                (BATCH, *a.shape[1:])
                if i == 0 or (a.shape[0] == rows and a.ndim == given[0].ndim and is_batched(op))
                else a.shape,
            )
            for i, a in enumerate(given)
        )
        graph = Graph(inputs, (apply(op, *inputs),))
        expected = get("reference").compile(graph)(*(a.astype("float64").astype(dtype) for a in given))[0]
        engine: Any = get("llvm")
        found = LLVMProgram(Compilation(graph, engine.pipeline(), host(features), {}))(*given)[0]
        limit = (1e-4 if dtype == "float32" else 1e-11) * max(1.0, float(np.abs(expected[np.isfinite(expected)]).max()))
        np.testing.assert_allclose(found, expected, rtol=0, atol=limit, err_msg=str(op))


def is_batched(op: Op) -> bool:
    """Whether all inputs of the op have a batch."""
    return isinstance(op, ConvKernelGrad) or "pool" in op.word


def directions(setting: tuple[Any, ...]) -> list[tuple[Op, list[Any]]]:
    """The three ops of a convolution."""
    batch, sizes, channels, filters, window, strides, padding, dilation, groups = setting
    same = (strides, padding, dilation, groups)
    x, w = RNG.normal(size=(batch, *sizes, channels)), RNG.normal(size=(*window, channels // groups, filters))
    shape = Conv(*same).infer(*(placeholder("x", "float32", a.shape).type for a in (x, w))).shape
    g = RNG.normal(size=shape)
    return [
        (Conv(*same), [x, w]),
        (ConvInputGrad(*same, sizes=sizes), [g, w]),
        (ConvKernelGrad(*same, window=window), [x, g]),
    ]


FEW_TO_A_FILTER = {
    "3x3": (3, (9, 20), 40, 40, (3, 3), (1, 1), "same", (1, 1), 40),
    "3x3 stride 2": (2, (9, 16), 16, 16, (3, 3), (2, 2), "same", (1, 1), 16),
    "3x3 stride 2, even": (2, (8, 33), 19, 19, (3, 3), (2, 2), "same", (1, 1), 19),
    "5x5 valid": (2, (11, 13), 16, 16, (5, 5), (1, 1), "valid", (1, 1), 16),
    "9x9, wider than what registers hold": (1, (7, 12), 9, 9, (9, 9), (1, 1), "same", (1, 1), 9),
    "dilated": (2, (12, 17), 32, 32, (3, 3), (1, 1), "same", (2, 3), 32),
    "dilated and strided": (2, (12, 17), 10, 10, (3, 2), (2, 3), ((2, 1), (3, 0)), (2, 2), 10),
    "two filters a channel": (2, (6, 9), 12, 24, (3, 3), (1, 1), "same", (1, 1), 12),
    "three filters a channel": (2, (6, 9), 11, 33, (3, 3), (2, 1), "same", (1, 1), 11),
    "groups of four": (2, (7, 7), 36, 36, (3, 3), (1, 1), "same", (1, 1), 9),
    "groups of three and two": (2, (7, 9), 24, 16, (3, 2), (1, 2), "valid", (1, 1), 8),
    "groups of one and seven": (2, (5, 6), 3, 21, (2, 2), (1, 1), "valid", (1, 1), 3),
    "series": (3, (50,), 20, 20, (5,), (1,), "same", (1,), 20),
    "series, causal": (3, (41,), 7, 7, (3,), (1,), ((8, 0),), (4,), 7),
    "volume": (2, (4, 5, 6), 18, 18, (3, 3, 3), (1, 1, 1), "same", (1, 1, 1), 18),
    "volume, strided": (1, (5, 6, 7), 4, 8, (2, 3, 3), (2, 1, 2), "same", (1, 1, 1), 4),
    "one position": (4, (1, 1), 24, 24, (3, 3), (1, 1), "same", (1, 1), 24),
}


@MACHINES
@pytest.mark.parametrize("name", FEW_TO_A_FILTER)
def test_few_channels_to_a_filter(name: str, dtype: str, features: str) -> None:
    check(directions(FEW_TO_A_FILTER[name]), dtype, features)


MANY = {
    "volume": (2, (4, 5, 6), 5, 18, (3, 3, 3), (1, 1, 1), "same", (1, 1, 1), 1),
    "volume, strided": (2, (5, 6, 7), 12, 20, (2, 3, 3), (2, 1, 2), "same", (1, 1, 1), 1),
    "volume, dilated": (1, (6, 7, 6), 18, 18, (3, 3, 2), (1, 1, 1), "valid", (2, 1, 2), 2),
    "nine groups": (2, (5, 7), 9 * 12, 9 * 10, (3, 3), (1, 2), "same", (1, 1), 9),
    "strides wider than windows": (2, (7, 8), 17, 19, (2, 2), (3, 4), "valid", (1, 1), 1),
    "one channel, one filter": (2, (6, 9), 1, 1, (3, 3), (1, 1), "same", (1, 1), 1),
    "several images at once": (11, (8, 7), 40, 70, (4, 3), (2, 2), "same", (1, 1), 1),
    "several images at once, no frame": (10, (6, 6), 60, 72, (2, 2), (2, 2), "valid", (1, 1), 1),
    "1x1, many": (3, (4, 5), 130, 140, (1, 1), (1, 1), "same", (1, 1), 1),
    "1x1, many, series": (2, (9,), 128, 144, (1,), (1,), "valid", (1,), 1),
    "two groups of one filter": (2, (6, 9), 40, 2, (3, 3), (1, 1), "same", (1, 1), 2),
}


@MACHINES
@pytest.mark.parametrize("name", MANY)
def test_products(name: str, dtype: str, features: str) -> None:
    check(directions(MANY[name]), dtype, features)


FEW_FILTERS = {
    "one filter": (2, (9, 13), 40, 1, (3, 3), (1, 1), "same", (1, 1), 1),
    "three filters, stride 2": (2, (9, 12), 16, 3, (4, 4), (2, 2), "same", (1, 1), 1),
    "three channels": (2, (12, 17), 3, 32, (3, 3), (1, 1), "same", (1, 1), 1),
    "two channels, strides": (2, (12, 17), 2, 21, (5, 3), (2, 3), "valid", (1, 1), 1),
    "one channel, dilated": (2, (11, 9), 1, 19, (3, 3), (1, 1), "same", (2, 1), 1),
    "1x1": (3, (5, 6), 70, 2, (1, 1), (1, 1), "valid", (1, 1), 1),
    "series": (3, (30,), 24, 4, (7,), (1,), "same", (1,), 1),
    "volume": (2, (4, 5, 6), 3, 16, (3, 3, 3), (1, 2, 1), "same", (1, 1, 1), 1),
}


@MACHINES
@pytest.mark.parametrize("name", FEW_FILTERS)
def test_few_filters_or_channels(name: str, dtype: str, features: str) -> None:
    check(directions(FEW_FILTERS[name]), dtype, features)


POOLS = {
    "2x2": (3, (8, 6, 20), (2, 2), (2, 2), "valid"),
    "2x2, not all covered": (2, (9, 7, 5), (2, 2), (2, 2), "valid"),
    "2x2 same": (2, (9, 7, 33), (2, 2), (2, 2), "same"),
    "3x3 stride 2": (2, (11, 14, 16), (3, 3), (2, 2), "same"),
    "3x3": (2, (6, 19, 18), (3, 3), (1, 1), "same"),
    "apart": (2, (9, 9, 16), (2, 1), (3, 2), "valid"),
    "large": (3, (9, 12, 3), (9, 9), (1, 1), "same"),
    "series": (2, (31, 12), (3,), (2,), "same"),
    "volume": (2, (4, 6, 5, 9), (2, 2, 2), (2, 2, 2), "same"),
}


@MACHINES
@pytest.mark.parametrize("name", POOLS)
def test_pooling(name: str, dtype: str, features: str) -> None:
    batch, shape, window, strides, padding = POOLS[name]
    own: Any = (window, strides, padding)
    x = RNG.integers(-3, 4, (batch, *shape)).astype("float64")  # with ties
    g = RNG.normal(size=MaxPool(*own).infer(placeholder("x", "float32", x.shape).type).shape)
    x[0, 0], x[-1, -1] = np.nan, np.inf
    check([(MaxPool(*own), [x]), (MaxPoolGrad(*own), [x, g])], dtype, features)
    check([(SumPool(*own), [np.nan_to_num(x, posinf=2)]), (SumPoolGrad(*own, sizes=shape[:-1]), [g])], dtype, features)


@pytest.mark.parametrize(
    "tiles", [[(1, 3, 5)], [(1, 1, 2), (2, 7, 3)], [(1, 5, 4), (2, 3, 8), (3, 2, 2), (4, 5, 1), (5, 2, 3)]]
)
def test_tiles_do_not_change_a_bit(tiles: list[tuple[int, int, int]]) -> None:
    """Whatever tile is chosen, every sum has its order: convolutions with strides, and a product of matrices."""
    odd = replace(host(), tiles=tuple(Choice(*t) for t in tiles))
    made = directions((2, (9, 10), 20, 90, (3, 3), (2, 1), "same", (1, 1), 1))
    for op, arrays in [*made, (MatMul(), [RNG.normal(size=(37, 50)), RNG.normal(size=(50, 90))])]:
        given = [a.astype("float32") for a in arrays]
        inputs = tuple(placeholder(f"x{i}", "float32", a.shape) for i, a in enumerate(given))
        graph, engine = Graph(inputs, (apply(op, *inputs),)), get("llvm")
        mine, usual = (LLVMProgram(Compilation(graph, engine.pipeline(), t, {}))(*given)[0] for t in (odd, host()))
        np.testing.assert_array_equal(mine, usual)
