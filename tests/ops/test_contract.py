"""What every op and every composite must hold, generated from their own cases.

The type rule agrees with the reference; gradients, and gradients of gradients, agree with central differences in float64
along one random direction; the text form round-trips; calling on arrays gives what the compiled graph gives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from layerkit import ops
from layerkit.autodiff import gradient
from layerkit.engines import get
from layerkit.errors import LayerkitError
from layerkit.ir import Case, Graph, Op, Value, apply, parse, placeholder, verify
from layerkit.ops.core import COMPOSITES, type_of

OPS = list(dict.fromkeys(Op.registry.values()))
OP_CASES = [
    pytest.param(case, id=f"{getattr(case.op, 'word', cls.name)}-{case.label or i}")
    for cls in OPS
    for i, case in enumerate(cls.cases())
]
COMPOSITE_CASES = [
    pytest.param(case, id=f"{name}-{case.label or i}")
    for name, (_, cases) in COMPOSITES.items()
    for i, case in enumerate(cases)
]
CASES = OP_CASES + COMPOSITE_CASES
SMOOTH = [p for p in CASES if p.values[0].differentiable and p.values[0].shapes]


def run(case: Case, *inputs: Any) -> Any:
    return apply(case.op, *inputs) if isinstance(case.op, Op) else case.op(*inputs)


def listed(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple | list) else [result]


def traced(case: Case, dtype: str) -> Graph:
    arrays = case.arrays(dtype)
    inputs = [placeholder(f"x{i}", a.dtype.name, a.shape) for i, a in enumerate(arrays)]
    outputs = [v for v in listed(run(case, *inputs)) if isinstance(v, Value)]
    return Graph(tuple(inputs), tuple(outputs))


@pytest.mark.parametrize("engine", ["reference", "llvm"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_types_and_eager_agree_with_the_program(case: Case, dtype: str, engine: str) -> None:
    graph = verify(traced(case, dtype))
    arrays = case.arrays(dtype)
    results = get(engine).compile(graph)(*arrays)
    for value, result in zip(graph.outputs, results, strict=True):
        assert type_of(result) == value.type
    if not case.shapes:
        return
    for eager, result in zip(listed(run(case, *arrays)), results, strict=True):
        if engine == "reference":
            np.testing.assert_array_equal(np.asarray(eager), result)
        else:
            rtol, atol = (2e-5, 1e-6) if dtype == "float32" else (1e-12, 1e-13)
            wide = "float64" if result.dtype != "bool" else "bool"
            np.testing.assert_allclose(result.astype(wide), np.asarray(eager).astype(wide), rtol, atol)


@pytest.mark.parametrize("case", CASES)
def test_text_round_trips(case: Case) -> None:
    graph = traced(case, "float32")
    if graph.outputs:
        assert str(parse(str(graph))) == str(graph)


def directional(
    f: Callable[..., float], arrays: list[np.ndarray], direction: list[np.ndarray], step: float = 1e-5
) -> float:

    def move(sign: int) -> list[np.ndarray]:
        return [a + sign * step * d if a.dtype == "float64" else a for a, d in zip(arrays, direction, strict=True)]

    plus, minus = move(1), move(-1)
    return (f(*plus) - f(*minus)) / (2 * step)


@pytest.mark.parametrize("case", SMOOTH)
def test_gradient_and_its_gradient_equal_finite_differences(case: Case) -> None:
    arrays = list(case.arrays("float64"))
    rng = np.random.default_rng(1)
    floats = [i for i, a in enumerate(arrays) if a.dtype == "float64" and a.size]
    direction = [rng.standard_normal(a.shape) if i in floats else np.zeros_like(a) for i, a in enumerate(arrays)]
    inputs = [placeholder(f"x{i}", a.dtype.name, a.shape) for i, a in enumerate(arrays)]
    outputs = [o for o in listed(run(case, *inputs)) if o.dtype == "float64"]
    total: Any = 0.0
    for i, out in enumerate(outputs):
        weight = np.random.default_rng(i).uniform(0.5, 1.5, out.shape)
        total = total + ops.sum(out * weight) + ops.sum(out * out) * 0.25
    if not floats:
        return
    slopes = gradient(total, [inputs[i] for i in floats])
    along: Any = 0.0
    for i, slope in zip(floats, slopes, strict=True):
        along = along + ops.sum(slope * direction[i])
    curves = gradient(along, [inputs[i] for i in floats])
    along_twice: Any = 0.0
    for i, curve in zip(floats, curves, strict=True):
        along_twice = along_twice + ops.sum(curve * direction[i])
    program = get().compile(verify(Graph(tuple(inputs), (total, along, along_twice))))
    _, first, second = program(*arrays)
    expected = directional(lambda *a: float(program(*a)[0]), arrays, direction)
    np.testing.assert_allclose(first, expected, rtol=2e-6, atol=2e-7)
    expected = directional(lambda *a: float(program(*a)[1]), arrays, direction)
    np.testing.assert_allclose(second, expected, rtol=2e-5, atol=2e-6)


BAD = [pytest.param(case, id=f"{cls.name}-{i}") for cls in OPS for i, case in enumerate(cls.bad_cases())]


@pytest.mark.parametrize("case", BAD)
def test_bad_inputs_are_refused(case: Any) -> None:
    with pytest.raises(case.error) as caught:
        case.op.infer(*case.types)
    assert isinstance(caught.value, LayerkitError)
    assert caught.value.expected == case.expected


def test_every_op_has_cases() -> None:
    without = [cls.name for cls in OPS if not list(cls.cases())]
    assert set(without) <= {"input", "const", "layer_call"}
