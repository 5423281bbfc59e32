"""Other processors and systems: a training step becomes machine code for 64-bit ARM too, which this machine can make but not run."""

from __future__ import annotations

import struct
from ctypes import c_int64
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import layerkit
from layerkit.engines.llvm.codegen import jit
from layerkit.engines.llvm.codegen.builder import INT, Module, Reg
from layerkit.engines.llvm.codegen.target import Target, host
from layerkit.engines.llvm.codegen.tuner import model
from layerkit.engines.llvm.runtime import driver, threads
from layerkit.engines.llvm.runtime.compilation import Compilation
from layerkit.layers import LSTM, BatchNormalization, Conv2D, Dense, Dropout, Flatten, MaxPooling2D

ARM = Target("aarch64-unknown-linux-gnu", "generic", "+neon,+fp-armv8", 16, 32, 64 << 10, 1 << 20, 16 << 20, model(32))
AARCH64 = 183  # of ELF's e_machine


@pytest.fixture(scope="module", autouse=True)
def _all_targets() -> None:
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


def step(model: Any, x: np.ndarray, y: np.ndarray) -> Compilation:
    """The training step of a model, as it was traced."""
    model.compile("adam", "mse")
    model.train_on_batch(x, y)
    (traced,) = model._function("train")._traced.values()
    return traced.program.compilation


MODELS: dict[str, Any] = {
    "convolutions": lambda: (
        [Conv2D(16, 3, activation="relu"), BatchNormalization(), Conv2D(16, 3), MaxPooling2D(), Dropout(0.5), Flatten(), Dense(3)],
        (12, 12, 2),
    ),
    "series": lambda: ([LSTM(5, return_sequences=True), LSTM(4), Dense(3, activation="softmax")], (7, 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_step_compiles_for_arm(name):
    layers, shape = MODELS[name]()
    model = layerkit.Sequential([layerkit.Input(shape), *layers])
    found = step(model, np.zeros((2, *shape), "float32"), np.zeros((2, 3), "float32"))
    text = str(replace(found, target=ARM).lowered().module)
    assert "llvm.x86" not in text
    assert f"<{ARM.lanes(4)} x float>" in text
    code = jit.to_object(text, ARM)
    assert struct.unpack_from("<H", code, 18) == (AARCH64,)


@pytest.mark.parametrize("write", [driver._write, threads._write_pool])
def test_what_runs_steps_compiles_for_arm(write):
    assert struct.unpack_from("<H", jit.to_object(write(ARM), ARM), 18) == (AARCH64,)


def test_features_can_be_switched_off():
    assert host("avx512f,avx2").vector_bytes == 16
    if host("").vector_bytes == 64:
        assert host("-avx512f").vector_bytes == 32


@pytest.mark.parametrize("system", ["unknown-linux-gnu", "pc-windows-msvc", "apple-macosx13.0.0"])
def test_functions_are_found_in_parts_that_have_them_twice(system):
    target = replace(host(), triple=f"{host().triple.split('-')[0]}-{system}")
    module = Module(target.attributes)
    inner = module.function([Reg("%x", INT)], INT)
    inner.do(f"ret {inner.reg(inner.add(inner.params[0], 1))}")
    outer = module.function([Reg("%x", INT)], INT)
    within = module.add(inner, "inner")
    outer.do(f"ret {outer.call(within, outer.params, INT)}")
    names = [within, module.add(outer, "outer")]
    parts = [module.part(part) for part in (names, names[:1], names[1:], names)]
    library = jit.load([jit.to_object(text, target) for text in parts], target)
    assert all(library.address(name) for name in names)
    if target.triple == host().triple:
        run = [library.function(name, c_int64, result=c_int64) for name in names]
        assert [f(41) for f in run] == [42, 42]


def test_functions_have_the_names_of_their_attributes():
    names = set()
    for width in (16, 32):
        module = Module(replace(host(), vector_bytes=width).attributes)
        names.add(module.add(module.function([Reg("%x", INT)]), "nothing"))
    assert len(names) == 2
