"""What users may get wrong: every function either computes or raises an error of layerkit's, and none warns."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import layerkit
from layerkit import ops
from layerkit.errors import ArgumentError, DataError, LayerkitError, UnknownArgumentError
from layerkit.ir import placeholder

FUNCTIONS = [n for n in dir(ops) if not n.startswith("_") and inspect.isfunction(getattr(ops, n))]
X = np.ones((2, 3), "float32")
# what an argument that has to be given gets while another one is wrong
RIGHT: dict[str, Any] = {
    "shape": (2, 3), "num_classes": 3, "k": 1, "axis": 0, "newshape": (3, 2), "start_indices": (0, 0), "kth": 0, "num": 3,
    "N": 3, "n": 3, "sequence_length": 2, "sequence_stride": 1, "fft_length": 2, "block_size": 1, "source": 0,
    "destination": 1, "axis1": 0, "axis2": 1, "q": 0.5, "repeats": 2, "shift": 1, "subscripts": "ij->i",
    "pattern": "a b -> b a", "dtype": "float32", "max_val": 1.0, "threshold": 0.5, "indices_or_sections": 1, "pool_size": 2,
    "output_size": 2, "kernel_size": 1, "pad_width": 1, "fill_value": 1.0, "axes": (0,), "lower": 0, "upper": 2,
    "body_fun": lambda i, x: x, "f": lambda x: x, "function": lambda x: x, "pyfunc": lambda x: x, "pred": True,
}  # fmt: skip
WRONG = [
    placeholder("x", "float32", (2, 3)),
    np.ones((0, 3)),
    np.float32(1),
    np.ones((2, 3), bool),
    "text",
    None,
    [[1, 2], [3]],
    object(),
]
CALL_BACK = {
    "cond",
    "switch",
    "scan",
    "map",
    "vectorized_map",
    "vectorize",
    "associative_scan",
    "fori_loop",
    "while_loop",
}


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - CALL_BACK))
def test_wrong_arguments_are_explained(name: str) -> None:
    function = getattr(ops, name)
    parameters = [p for p in inspect.signature(function).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    needed = [p for p in parameters if p.default is p.empty]
    right = {p.name: RIGHT.get(p.name, X) for p in needed}
    for p in parameters:
        for wrong in WRONG if p in needed else ["bogus", -3, 2.5, (5, 1)]:
            try:
                function(**{**right, p.name: wrong})
            except LayerkitError:
                continue


def test_a_wrong_call_names_the_function_and_its_arguments() -> None:
    with pytest.raises(UnknownArgumentError) as caught:
        ops.top_k(X, 2, largest=True)
    assert caught.value.expected == "top_k(x, k, sorted=True)"
    with pytest.raises(ArgumentError) as caught:
        ops.top_k(X, 2.5)
    assert caught.value.expected == "a whole number >= 0"
    with pytest.raises(ZeroDivisionError):  # the user's own
        ops.map(lambda x: 1 / 0, X)


EXTREME = np.array([0, -0.0, 1e30, -1e30, np.inf, -np.inf, np.nan, 1e-38, 100.0], "float32")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_extreme_numbers_are_computed_without_warnings(name: str) -> None:
    function = getattr(ops, name)
    parameters = inspect.signature(function).parameters.values()
    if [p.name for p in parameters if p.default is p.empty] == ["x"]:
        try:
            function(EXTREME)
        except LayerkitError:
            return


def test_places_outside_their_axis_are_refused():
    x = np.arange(6.0).reshape(2, 3)
    with pytest.raises(DataError):
        layerkit.function(lambda x: x[[0], [4]])(x)
