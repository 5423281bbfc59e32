"""Functions on tensors whose batch is known only when the program runs: the same as on arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from layerkit import ops
from layerkit.engines import get
from layerkit.errors import ShapeError
from layerkit.ir import BATCH, Graph, placeholder

RNG = np.random.default_rng(0)
ROWS = 4
ARRAYS = {
    "x": RNG.normal(size=(ROWS, 5)).astype("float32"),
    "q": RNG.normal(size=(ROWS, 3, 2, 5)).astype("float32"),
    "c": RNG.normal(size=(ROWS, 6, 6, 4)).astype("float32"),
    "n": RNG.integers(0, 5, (ROWS,)).astype("int32"),
}

CASES = """
sort(x) | sort(x, axis=0) | argsort(x, axis=0) | top_k(x, 2)[0] | in_top_k(n, x, 2) | unique(n, size=5) | searchsorted(x[0], x)
cumsum(x, axis=1) | cumsum(x, axis=0) | cumsum(c, axis=1) | cumprod(x, axis=-1) | diff(x, axis=0) | trapezoid(x, axis=0)
quantile(x, 0.3, axis=1) | quantile(x, 0.3, axis=0) | median(x) | std(x, axis=0) | prod(x, axis=0) | ptp(x, axis=0)
nanmean(x, axis=0) | average(x, axis=0, weights=ops.abs(x)) | count_nonzero(x) | histogram(ops.ravel(x))[0] | bincount(n, minlength=6)
einsum('btnh,bsnh->bnts', q, q) | einsum('bi,bj->ij', x, x) | dot_product_attention(q, q, q, is_causal=True) | kron(x, x[:1])
cross(x[:, :3], x[:, 1:4]) | cdist(x, x[:2]) | norm(x, axis=1) | logsumexp(x, axis=0) | sparsemax(x) | multi_hot(n[:, None], 5)
depth_to_space(c, 2) | space_to_depth(c, 2) | tile(x, (1, 2)) | repeat(x, 2, axis=0) | roll(x, 1, axis=1) | roll(x, 1, axis=0)
rearrange(c, 'b (h p) w c -> b h (p w c)', p=2) | extract_sequences(x, 2, 1) | unfold(c, 2) | pad(x, ((0, 0), (1, 1)), mode='edge')
take_along_axis(x, n[:, None], axis=1) | segment_sum(x, n, num_segments=5) | segment_max(x, n, num_segments=5)
scatter(n[:, None], x, (5, 5)) | scatter_update(ops.zeros((5, 5)), n[:, None], x) | slice_update(x, (0, 1), x[:, :2])
adaptive_average_pool(c, 4) | adaptive_max_pool(c, 4) | tril(c[..., 0]) | diagonal(c, 0, 1, 2) | trace(c, 0, 1, 2)
map(lambda r: r * 2.0, x) | associative_scan(lambda a, b: a + b, x, axis=1) | det(c[:, 0, :4]) | inv(c[:, 0, :4]) | svd(c[:, 0], compute_uv=False)
rfft(x)[0] | full_like(x, 2) | zeros((x.shape[0], 2)) | linspace(x, x + 1.0, 3) | size(x) | gcd(n, 6) | power(n, 3)
"""
EXPRESSIONS = [e.strip() for line in CASES.strip().splitlines() for e in line.split(" | ")]


def compute(expression: str, tensors: dict[str, Any]) -> Any:
    return eval(f"ops.{expression}", {"ops": ops, **tensors})


@pytest.mark.slow
def test_programs_for_any_batch_give_what_arrays_give() -> None:
    inputs = {k: placeholder(k, a.dtype.name, (BATCH, *a.shape[1:])) for k, a in ARRAYS.items()}
    program = get("llvm").compile(Graph(tuple(inputs.values()), tuple(compute(e, inputs) for e in EXPRESSIONS)))
    for expression, result in zip(EXPRESSIONS, program(*ARRAYS.values()), strict=True):
        expected = np.asarray(compute(expression, ARRAYS))
        assert result.shape == expected.shape, expression
        np.testing.assert_allclose(result, expected, 1e-4, 1e-5, err_msg=expression)


def test_multiples_of_the_batch_do_not_meet() -> None:
    """Compiled code would read beyond the smaller one: nothing but the batch decides, so that it is known at once."""
    x = placeholder("x", "float32", (BATCH, 6))
    with pytest.raises(ShapeError) as caught:
        ops.add(ops.reshape(x, (-1, 2)), ops.reshape(x, (-1, 3))[:, :2])
    assert caught.value.got == "(3*b, 2) and (2*b, 2)"
