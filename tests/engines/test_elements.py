"""Elementary functions in machine code against NumPy in higher precision: error in units in the last place, and special values."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np
import pytest

from layerkit.engines.llvm.codegen import jit
from layerkit.engines.llvm.codegen.builder import INT, Module, Reg, vector
from layerkit.engines.llvm.codegen.target import host
from layerkit.engines.llvm.loops import elements, vmath

MOST_ULP = 4.0
EXACT: dict[str, Any] = {
    "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x),
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "tanh": np.tanh, "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "erf": lambda x: np.vectorize(math.erf, otypes=["float64"])(x.astype("float64")),
}  # fmt: skip
LANES = {"avx512f": 8, "": 16}


def library(switched_off: str, lanes: int) -> jit.Library:
    target = host(switched_off)
    module = Module(target.attributes)
    for element in ("float", "double"):
        for word in EXACT:
            f = module.function([Reg("%x", "ptr"), Reg("%y", "ptr"), Reg("%n", INT)])
            kind = vector(element, lanes)
            with f.loop(0, f.params[2], lanes) as loop:
                x = f.load(f.at(f.params[0], loop.index, element), kind)
                f.store(getattr(vmath, word)(f, x), f.at(f.params[1], loop.index, element))
            module.add(f, f"{word}.{element}", exported=True)
    return jit.load([jit.to_object(str(module), target)], target)


def numbers(dtype: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    special = [
        0.0,
        -0.0,
        np.inf,
        -np.inf,
        np.nan,
        1.0,
        -1.0,
        88.8,
        -88.0,
        0.5,
        1e-30,
        -1e-30,
        20.0,
        -20.0,
        700.0,
        -700.0,
    ]
    drawn = np.concatenate([rng.normal(0, s, 4000) for s in (1e-6, 0.1, 1, 10, 60)])
    return np.concatenate([drawn, special]).astype(dtype)


@pytest.mark.parametrize("switched_off", ["", "avx512f"])
def test_functions_are_right_to_4_ulp_for_any_number_of_lanes(switched_off: str) -> None:
    wide, scalar = library(switched_off, 16), library(switched_off, 1)
    for element, dtype in (("float", "float32"), ("double", "float64")):
        x = numbers(dtype)
        for word, exact in EXACT.items():
            results = []
            for code in (wide, scalar):
                y = np.zeros_like(x)
                run = code.function(f"{word}.{element}", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
                run(x.ctypes.data, y.ctypes.data, len(x))
                results.append(y)
            np.testing.assert_array_equal(results[0], results[1], err_msg=word)
            y = results[0]
            with np.errstate(all="ignore"):
                e = exact(x.astype("float64" if dtype == "float32" else np.longdouble))
                rounded = e.astype(dtype)
            np.testing.assert_array_equal(np.isnan(y), np.isnan(rounded), err_msg=word)
            np.testing.assert_array_equal(np.isinf(y), np.isinf(rounded), err_msg=word)
            normal = np.isfinite(rounded) & (np.abs(rounded) > np.finfo(dtype).tiny)
            ulp = np.abs(y[normal] - e[normal]) / np.spacing(np.abs(rounded[normal]))
            worst = int(np.argmax(ulp))
            assert ulp[worst] <= MOST_ULP, f"{word} {dtype}: {ulp[worst]:.2f} ulp at {x[normal][worst]!r}"


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "uint32"])
@pytest.mark.parametrize("word", ["floor_divide", "mod"])
def test_division_of_whole_numbers_never_traps(word: str, dtype: str) -> None:
    limits = np.iinfo(dtype)
    values = np.array([limits.min, limits.max, 0, 1, 7, 13, *([-1, -7] if limits.min else [])], dtype)
    x, y = (a.reshape(-1).copy() for a in np.meshgrid(values, values))
    target = host()
    module = Module(target.attributes)
    f = module.function([*(Reg(f"%{n}", "ptr") for n in "xyz"), Reg("%n", INT)])
    kind = elements.memory_type(dtype)
    with f.loop(0, f.params[3]) as loop:
        a, b = (elements.load(f, f.at(f.params[i], loop.index, kind), dtype, 1) for i in (0, 1))
        elements.store(f, elements.binary(f, word, a, b, dtype), f.at(f.params[2], loop.index, kind), dtype)
    module.add(f, "run", exported=True)
    code = jit.load([jit.to_object(str(module), target)], target)
    z = np.zeros_like(x)
    code.function("run", *[ctypes.c_void_p] * 3, ctypes.c_int64)(*(v.ctypes.data for v in (x, y, z)), len(x))
    with np.errstate(all="ignore"):
        expected = getattr(np, word)(x, y)
    np.testing.assert_array_equal(z, expected)
