"""Cheap ways to compare with Keras.

``agree``: one layer, made by Keras and by layerkit, called directly, without fitting a model of each. ``wanted``: numbers
that need no gradients, from Keras on NumPy in a process of its own, without a compiler.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import layerkit
from layerkit import ops, tree


def weights_like(layer: Any, seed: int = 3) -> list[np.ndarray]:
    """Numbers for its weights that are no defaults; variances and their like are positive."""
    rng = np.random.default_rng(seed)
    found = [rng.uniform(0.05, 0.6, w.shape) * rng.choice([1, 1, -1], w.shape) for w in layer.weights]
    return [
        np.asarray(np.abs(a) if "varia" in w.path or "stddev" in w.path else a, w.dtype)
        for a, w in zip(found, layer.weights, strict=True)
    ]


def _numbers(outputs: Any) -> list[np.ndarray]:
    return [np.asarray(x) for x in tree.leaves(outputs)]


@pytest.fixture(scope="session", autouse=True)
def _plain_start() -> Iterator[None]:
    """Keras draws first weights slowly, and they are not what is compared."""
    import keras

    with pytest.MonkeyPatch.context() as patch:
        for initializer in ("GlorotUniform", "OrthogonalInitializer", "RandomUniform"):
            patch.setattr(getattr(keras.initializers, initializer), "__call__", keras.initializers.Zeros.__call__)
        yield


@pytest.fixture
def agree() -> Callable[..., Any]:
    """Equal weights, equal outputs (at once and compiled), and if asked for equal gradients by weights and first argument.

    That gradients are those of what is computed, tests/layers checks for every layer by finite differences.
    """
    import jax
    import jax.numpy as jnp
    import keras

    def check(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        with jax.disable_jit():  # small tensors, few steps: compiling takes longest
            return _check(*args, **kwargs)

    def _check(
        make: Callable[[Any], Any],
        *args: Any,
        tolerance: float = 1e-5,
        gradients: bool = False,
        stateful: bool = False,
        **kwargs: Any,
    ) -> tuple[Any, Any]:
        theirs, ours = make(keras.layers), make(layerkit.layers)
        theirs(*args, **kwargs), ours(*args, **kwargs)
        numbers = weights_like(theirs)
        assert [w.shape for w in numbers] == [w.shape for w in ours.get_weights()]
        if stateful:
            theirs.reset_state(), ours.reset_state()
        theirs.set_weights(numbers)
        ours.set_weights(numbers)
        expected = _numbers(theirs(*args, **kwargs))
        kept = theirs.get_weights()  # a call in training moves some of them
        theirs.set_weights(numbers)
        at_once = _numbers(ours(*args, **kwargs))
        moved = ours.get_weights()
        ours.set_weights(numbers)
        compiled = _numbers(layerkit.function(lambda a: ours(*a, **kwargs))(args))
        again = _numbers(theirs(*args, **kwargs)) if stateful else expected  # goes on where the first call ended
        for got, wanted in ((at_once, expected), (compiled, again)):
            assert len(got) == len(wanted)
            for a, b in zip(got, wanted, strict=True):
                np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
        for a, b, c in zip(ours.get_weights(), moved, kept, strict=True):
            np.testing.assert_allclose(a, c, rtol=tolerance, atol=tolerance)
            np.testing.assert_allclose(b, c, rtol=tolerance, atol=tolerance)
        if gradients:
            ours.set_weights(numbers)
            _check_gradients(theirs, ours, args, kwargs, expected, jax, jnp)
        return theirs, ours

    def _check_gradients(
        theirs: Any, ours: Any, args: Any, kwargs: Any, outputs: list[np.ndarray], jax: Any, jnp: Any
    ) -> None:
        factors = [np.random.default_rng(i).uniform(0.5, 1.5, y.shape).astype(y.dtype) for i, y in enumerate(outputs)]
        first, structure = tree.flatten(args[0])
        is_smooth = first[0].dtype.kind == "f"

        def their_loss(weights: Any, x: Any) -> Any:
            given = tree.unflatten(structure, x) if is_smooth else args[0]
            kept = [v.value for v in theirs.non_trainable_variables]
            y, _ = theirs.stateless_call(weights, kept, given, *args[1:], **kwargs)
            return sum(jnp.sum(v * f) for v, f in zip(tree.leaves(y), factors, strict=True))

        weights = [v.value for v in theirs.trainable_variables]
        expected = jax.grad(their_loss, argnums=(0, 1) if is_smooth else 0)(weights, [jnp.asarray(v) for v in first])

        def our_loss(weights: Any, x: Any) -> Any:
            given = tree.unflatten(structure, x) if is_smooth else args[0]
            y = ours(given, *args[1:], **kwargs)
            return sum((ops.sum(v * f) for v, f in zip(tree.leaves(y), factors, strict=True)), start=0.0)

        run = layerkit.value_and_grad(our_loss, argnums=(0, 1) if is_smooth else 0)
        _, got = run(ours.trainable_weights, first)
        for a, b in zip(_numbers(got), [np.asarray(v) for v in jax.tree.leaves(expected)], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)

    return check


@pytest.fixture(scope="module")
def wanted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """What the test file writes, run as a script with ``keras`` on NumPy, to the file it is given: arrays by name."""
    path = tmp_path_factory.mktemp("keras") / "wanted.npz"
    done = subprocess.run(
        [sys.executable, str(request.path), str(path)], env={**os.environ, "KERAS_BACKEND": "numpy"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with np.load(path) as found:
        yield found
