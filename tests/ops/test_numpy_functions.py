"""NumPy's functions and operators that meet a symbolic tensor: operators are the tensor's, functions say what to use instead."""

from __future__ import annotations

import operator

import numpy as np
import pytest

import layerkit
from layerkit import ops
from layerkit.errors import ArgumentTypeError, LayerkitError
from layerkit.layers import Input
from layerkit.trace import Weight

UFUNCS = {f.__name__: f for f in vars(np).values() if isinstance(f, np.ufunc)}
OPERATORS = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow, operator.lt, operator.le,
    operator.gt, operator.ge, operator.eq, operator.ne,
]  # fmt: skip


@pytest.mark.parametrize("name", UFUNCS)
def test_a_function_names_the_one_to_use(name):
    ufunc = UFUNCS[name]
    with pytest.raises(ArgumentTypeError) as caught:
        ufunc(*[Input((3,))] * ufunc.nin)
    used = caught.value.fix.removeprefix("use layerkit.ops.")
    assert f"'{name}'" in caught.value.summary
    assert hasattr(ops, used) == (used != caught.value.fix)
    assert caught.value.fix.startswith("use layerkit.ops.") or not hasattr(ops, name)


def test_others_of_numpy_are_refused_too():
    x = Input((3,))
    with pytest.raises(ArgumentTypeError) as caught:
        np.tanh(x)
    assert caught.value.fix == "use layerkit.ops.tanh"
    for function, used in ((np.sum, "sum"), (np.add.reduce, "sum"), (np.max, "max"), (np.all, "all")):
        with pytest.raises(ArgumentTypeError) as caught:
            function(x)
        assert caught.value.fix == f"use layerkit.ops.{used}"
    with pytest.raises(LayerkitError, match=r"functions of layerkit\.ops"):
        np.mean(x)
    with pytest.raises(LayerkitError):
        np.add(np.ones(3), np.ones(3), out=x)  # type: ignore[call-overload]


@pytest.mark.parametrize("how", OPERATORS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("left", [np.array([1.0, 2.0, 5.0], "float32"), np.float32(2.0), np.array(2.0, "float32")], ids=["array", "scalar", "0d"])  # fmt: skip
def test_operators_with_an_array_on_the_left(how, left):
    numbers = np.array([[2.0, 2.0, 3.0], [1.0, 4.0, 5.0]], "float32")
    got = layerkit.function(lambda x: how(left, x))(numbers)
    np.testing.assert_allclose(np.asarray(got), how(left, numbers), rtol=1e-6)


def test_the_other_operators_with_an_array_on_the_left():
    numbers, left = np.eye(3, dtype="float32") + 1, np.arange(6, dtype="float32").reshape(2, 3)
    np.testing.assert_array_equal(layerkit.function(lambda x: left @ x)(numbers), left @ numbers)
    mask, bits = np.array([True, False, True]), np.array([True, True, False])
    for how in (operator.and_, operator.or_, operator.xor):
        np.testing.assert_array_equal(layerkit.function(lambda x, how=how: how(mask, x))(bits), how(mask, bits))

    def added(x):
        total = np.ones(3, "float32")
        total += x
        return total

    np.testing.assert_array_equal(layerkit.function(added)(numbers), 1 + numbers)


def test_options_of_numpy_are_not_dropped():
    weight = Weight((3,), "float32", lambda shape, dtype, seed: 1.0)
    left, mask = np.arange(3, dtype="float32"), np.array([True, False, True])
    for given in ({"where": mask}, {"dtype": "float64"}):
        with pytest.raises(ArgumentTypeError):
            np.add(left, Input((3,)), **given)
    assert np.add(left, weight, dtype="float64").dtype == "float64"
    np.testing.assert_array_equal(np.add(left, weight, out=left.copy(), where=mask), [1, 1, 3])
