"""Attention in heads, training and inference, against PyTorch and JAX on one core: how many times as fast layerkit is.

Inference is the attention alone; training is its output and the gradients by query, key and value.

    python tests/benchmarks/attention.py --peer PYTHON [--with torch,jax] [WORD ...]     only cases that contain all the words
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from layers import aligned, main


def case(batch: int, time: int, heads: int, size: int, causal: bool = False) -> tuple[str, dict[str, Any]]:
    """A case and its name."""
    name = f"{time} positions, {heads} heads of {size}{', causal' * causal}"
    return name, {"batch": batch, "time": time, "heads": heads, "size": size, "causal": causal}


CASES: dict[str, dict[str, Any]] = dict([
    case(32, 64, 4, 16), case(8, 128, 4, 32), case(2, 512, 8, 64), case(2, 512, 8, 64, causal=True), case(4, 512, 4, 32),
    case(1, 2048, 4, 64),
])  # fmt: skip


def arrays(case: dict[str, Any]) -> list[Any]:
    """Query, key, value and a cotangent, (batch, time, heads, size)."""
    rng = np.random.default_rng(0)
    shape = case["batch"], case["time"], case["heads"], case["size"]
    return [aligned(rng.normal(size=shape).astype("float32")) for _ in range(4)]


def of_layerkit(case: dict[str, Any]) -> dict[str, Callable[[], object]]:
    """Inference and training as graphs."""
    from layerkit import ops
    from layerkit.autodiff import gradient
    from layerkit.engines import get
    from layerkit.ir import BATCH, Graph, placeholder

    *given, g = arrays(case)
    values = [placeholder(n, "float32", (BATCH, *g.shape[1:])) for n in ("q", "k", "v", "g")]
    y = ops.dot_product_attention(*values[:3], is_causal=case["causal"])
    slopes = gradient(ops.sum(y * values[3]), values[:3])
    own = [placeholder(f"d{i}", "float32", y.shape) for i in range(4)]
    infer = get("llvm").compile(Graph((*values[:3], own[0]), (y,)), {0: 3})
    train = get("llvm").compile(Graph((*values, *own), (y, *slopes)), {i: 4 + i for i in range(4)})
    results = [aligned(np.zeros_like(g)) for _ in range(4)]
    return {"inference": lambda: infer(*given, results[0]), "training": lambda: train(*given, g, *results)}


def of_torch(case: dict[str, Any]) -> dict[str, Callable[[], object]]:
    """PyTorch's own attention; it wants heads first, and a transposed view is what models give it."""
    import torch

    torch.set_num_threads(1)
    *given, g = (torch.from_numpy(np.array(a)).transpose(1, 2) for a in arrays(case))
    attend = torch.nn.functional.scaled_dot_product_attention
    for x in given:
        x.requires_grad_(True)

    def infer() -> object:
        with torch.no_grad():
            return attend(*given, is_causal=case["causal"])

    def train() -> object:
        return torch.autograd.grad(attend(*given, is_causal=case["causal"]), given, g)

    return {"inference": infer, "training": train}


def of_jax(case: dict[str, Any]) -> dict[str, Callable[[], object]]:
    """JAX, compiled."""
    import jax

    *given, g = map(jax.device_put, arrays(case))

    def forward(q: Any, k: Any, v: Any) -> Any:
        return jax.nn.dot_product_attention(q, k, v, is_causal=case["causal"])

    infer = jax.jit(forward)

    @jax.jit
    def train(g: Any, *given: Any) -> Any:
        y, back = jax.vjp(forward, *given)
        return y, back(g)

    return {
        "inference": lambda: jax.block_until_ready(infer(*given)),
        "training": lambda: jax.block_until_ready(train(g, *given)),
    }


if __name__ == "__main__":
    main(CASES, {"layerkit": of_layerkit, "torch": of_torch, "jax": of_jax}, __doc__)
