"""Single layers, training and inference, against PyTorch and JAX on one core: how many times as fast layerkit is.

Both sides run in one go, in turn, on the same core: the peers in a process of their own, in their own environment. Inference
is the layer alone; training is its output and the gradients by input and kernel. A time is the least of many. Memory is
reused on both sides (layerkit's results are written over donated arrays; the peers' allocator keeps what it has).

    python tests/benchmarks/layers.py --peer PYTHON [--with torch,jax] [WORD ...]     only layers that contain all the words
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

SECONDS, ROUNDS = 0.12, 3  # of each side in a turn; turns


def conv(batch: int, sizes: tuple[int, ...], channels: int, filters: int, window: int, **more: Any) -> dict[str, Any]:
    """A convolution, or a transposed one."""
    return dict(kind="conv", batch=batch, sizes=sizes, channels=channels, filters=filters, window=window, **more)


def depthwise(batch: int, size: int, channels: int, stride: int = 1) -> dict[str, Any]:
    """A 3x3 convolution with a filter for each channel."""
    return conv(batch, (size, size), channels, channels, 3, stride=stride, groups=channels)


def pool(kind: str, batch: int, size: int, channels: int, window: int, stride: int) -> dict[str, Any]:
    """Pooling without padding."""
    return {
        "kind": kind,
        "batch": batch,
        "sizes": (size, size),
        "channels": channels,
        "window": window,
        "stride": stride,
    }


LAYERS: dict[str, dict[str, Any]] = {
    "depthwise 112x112x32": depthwise(16, 112, 32), "depthwise 112x112x64 /2": depthwise(16, 112, 64, 2),
    "depthwise 56x56x64": depthwise(16, 56, 64), "depthwise 56x56x128 /2": depthwise(16, 56, 128, 2),
    "depthwise 28x28x128": depthwise(16, 28, 128), "depthwise 28x28x256 /2": depthwise(16, 28, 256, 2),
    "depthwise 14x14x256": depthwise(32, 14, 256), "depthwise 14x14x512 /2": depthwise(32, 14, 512, 2),
    "depthwise 7x7x512": depthwise(32, 7, 512),
    "depthwise 5x5 28x28x96": conv(16, (28, 28), 96, 96, 5, groups=96),
    "depthwise series 1000x64, 5": conv(16, (1000,), 64, 64, 5, groups=64),
    "grouped 28x28x128, 32 groups": conv(16, (28, 28), 128, 128, 3, groups=32),
    "grouped 14x14x512, 32 groups": conv(16, (14, 14), 512, 512, 3, groups=32),
    "conv 224x224x3, 7x7 /2, 64": conv(4, (224, 224), 3, 64, 7, stride=2),
    "conv 224x224x3, 3x3, 32": conv(4, (224, 224), 3, 32, 3),
    "conv 112x112x64, 3x3": conv(2, (112, 112), 64, 64, 3), "conv 56x56x64, 3x3": conv(8, (56, 56), 64, 64, 3),
    "conv 32x32x3, 3x3, 32": conv(32, (32, 32), 3, 32, 3), "conv 28x28x1, 5x5, 6": conv(32, (28, 28), 1, 6, 5),
    "conv 28x28x32, 3x3, 1": conv(32, (28, 28), 32, 1, 3), "conv 64x64x16, 3x3, 3": conv(16, (64, 64), 16, 3, 3),
    "conv 56x56x64, 1x1, 128": conv(8, (56, 56), 64, 128, 1), "conv 7x7x512, 1x1": conv(32, (7, 7), 512, 512, 1),
    "conv 28x28x64, 3x3 /2, 128": conv(16, (28, 28), 64, 128, 3, stride=2),
    "conv 28x28x64, 3x3 dilated": conv(8, (28, 28), 64, 64, 3, dilation=2),
    "series 1000x32, 7": conv(16, (1000,), 32, 64, 7), "tall 1000x4x8, 3x3": conv(16, (1000, 4), 8, 16, 3),
    "volume 16x16x16x16, 3x3x3, 32": conv(4, (16, 16, 16), 16, 32, 3), "volume 8x28x28x3, 3x3x3": conv(8, (8, 28, 28), 3, 32, 3),
    "transposed 14x14x64, 4x4 /2, 32": conv(16, (28, 28), 32, 64, 4, stride=2, transposed=True),
    "transposed 16x16x32, 4x4 /2, 3": conv(16, (32, 32), 3, 32, 4, stride=2, transposed=True),
    "max pool 2x2, 28x28x32": pool("max", 32, 28, 32, 2, 2), "max pool 3x3 /2, 56x56x64": pool("max", 8, 56, 64, 3, 2),
    "mean pool 2x2, 56x56x64": pool("mean", 8, 56, 64, 2, 2), "max pool 2x2, 24x24x6": pool("max", 128, 24, 6, 2, 2),
}  # fmt: skip


def arrays(layer: dict[str, Any]) -> tuple[Any, Any]:
    """(images, kernel), channels last; transposed convolutions are given what an ordinary one would return."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(layer["batch"], *layer["sizes"], layer["channels"])).astype("float32")
    if layer["kind"] != "conv":
        return x, None
    window = (layer["window"],) * len(layer["sizes"])
    return x, rng.normal(size=(*window, layer["channels"] // layer.get("groups", 1), layer["filters"])).astype(
        "float32"
    )


def aligned(array: Any) -> Any:
    """A copy that begins where a line of the cache does, as tensors inside a model do on either side."""
    memory = np.empty(array.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def least_time(call: Callable[[], object]) -> float:
    """The least time of a call: the processor's for this program, as others may run on the same core."""
    best, stop = float("inf"), time.perf_counter() + SECONDS
    while True:
        start = time.process_time()
        call()
        best = min(best, time.process_time() - start)
        if time.perf_counter() > stop:
            return best


# The two sides -------------------------------------------------------------------------------------------------------


def of_layerkit(layer: dict[str, Any]) -> dict[str, Callable[[], object]]:
    """Inference and training as graphs; gradients are ops of their own."""
    from layerkit import ops
    from layerkit.autodiff import gradient
    from layerkit.engines import get
    from layerkit.ir import BATCH, Graph, apply, placeholder
    from layerkit.ops.conv import ConvInputGrad
    from layerkit.ops.conv import conv as convolve

    first, w = arrays(layer)
    stride = layer.get("stride", 1)
    rank = len(layer["sizes"])

    def forward(x: Any, kernel: Any) -> Any:
        match layer["kind"]:
            case "max":
                return ops.max_pool(x, layer["window"], stride)
            case "mean":
                return ops.average_pool(x, layer["window"], stride)
        if layer.get("transposed"):
            return apply(
                ConvInputGrad((stride,) * rank, "same", (1,) * rank, 1, sizes=tuple(layer["sizes"])), x, kernel
            )
        return convolve(x, kernel, stride, "same", dilation_rate=layer.get("dilation", 1))

    if layer.get("transposed"):
        first = np.zeros((first.shape[0], *(n // stride for n in layer["sizes"]), layer["filters"]), "float32")
    given = [first] if w is None else [first, w]
    values = [
        placeholder(f"x{i}", "float32", (BATCH, *a.shape[1:]) if i == 0 else a.shape) for i, a in enumerate(given)
    ]
    y = forward(values[0], values[-1])
    out = placeholder("y", "float32", y.shape)
    g = placeholder("g", "float32", y.shape)
    slopes = gradient(ops.sum(y * g), values)
    own = [placeholder(f"d{i}", "float32", v.shape) for i, v in enumerate(values)]
    infer = get("llvm").compile(Graph((*values, out), (y,)), {0: len(values)})
    count = len(values)
    train = get("llvm").compile(
        Graph((*values, g, out, *own), (y, *slopes)), {0: count + 1, **{i + 1: count + 2 + i for i in range(count)}}
    )
    shape = (first.shape[0], *y.shape[1:])
    results = aligned(np.zeros(shape, "float32"))
    cotangent = aligned(np.random.default_rng(1).normal(size=shape).astype("float32"))
    given = [aligned(a) for a in given]
    grads = [aligned(np.zeros_like(a)) for a in given]
    return {
        "inference": lambda: infer(*given, results),
        "training": lambda: train(*given, cotangent, results, *grads),
    }


def of_torch(layer: dict[str, Any]) -> dict[str, Callable[[], object]]:
    """PyTorch, channels last where it knows that."""
    import torch
    import torch.nn.functional as nn

    torch.set_num_threads(1)
    first, w = arrays(layer)
    rank, stride = len(layer["sizes"]), layer.get("stride", 1)
    form = {1: torch.contiguous_format, 2: torch.channels_last, 3: torch.channels_last_3d}[rank]

    def last(a: Any) -> Any:
        return torch.from_numpy(np.ascontiguousarray(np.moveaxis(a, -1, 1))).contiguous(memory_format=form)

    x = last(first)
    kernel = (
        None
        if w is None
        else torch.from_numpy(np.ascontiguousarray(np.moveaxis(w, (-1, -2), (0, 1)))).contiguous(memory_format=form)
    )
    convolve = (nn.conv1d, nn.conv2d, nn.conv3d)[rank - 1]

    def forward(x: Any) -> Any:
        match layer["kind"]:
            case "max":
                return nn.max_pool2d(x, layer["window"], stride)
            case "mean":
                return nn.avg_pool2d(x, layer["window"], stride)
        if layer.get("transposed"):
            return (nn.conv_transpose1d, nn.conv_transpose2d)[rank - 1](
                x, kernel, None, stride, (layer["window"] - stride) // 2
            )
        d, k = layer.get("dilation", 1), layer["window"]
        before, after = [], []
        for n in layer["sizes"]:
            total = max((-(-n // stride) - 1) * stride + (k - 1) * d + 1 - n, 0)
            before.append(total // 2)
            after.append(total - total // 2)
        if before == after:
            return convolve(x, kernel, None, stride, before, d, layer.get("groups", 1))
        # one more at the end: a border on both sides and a result less would be no cheaper for PyTorch
        return convolve(x, kernel, None, stride, after, d, layer.get("groups", 1))

    if layer.get("transposed"):
        x = last(np.zeros((first.shape[0], *(n // stride for n in layer["sizes"]), layer["filters"]), "float32"))
        kernel = torch.from_numpy(np.ascontiguousarray(np.moveaxis(w, (-1, -2), (0, 1))))
    x.requires_grad_(True)
    if kernel is not None:
        kernel.requires_grad_(True)
    g = torch.randn_like(forward(x).detach())

    def infer() -> object:
        with torch.no_grad():
            return forward(x)

    def train() -> object:
        return torch.autograd.grad(forward(x), [x] if kernel is None else [x, kernel], g)

    return {"inference": infer, "training": train}


def of_jax(layer: dict[str, Any]) -> dict[str, Callable[[], object]]:
    """JAX, compiled."""
    import jax
    from jax import lax

    first, w = arrays(layer)
    rank, stride = len(layer["sizes"]), layer.get("stride", 1)
    axes = "DHW"[3 - rank :]
    form = (f"N{axes}C", f"{axes}IO", f"N{axes}C")

    def forward(x: Any, w: Any = None) -> Any:
        k = layer["window"]
        match layer["kind"]:
            case "max":
                return lax.reduce_window(x, -np.inf, lax.max, (1, k, k, 1), (1, stride, stride, 1), "VALID")
            case "mean":
                return lax.reduce_window(x, 0.0, lax.add, (1, k, k, 1), (1, stride, stride, 1), "VALID") / (k * k)
        if layer.get("transposed"):
            return lax.conv_transpose(x, w, (stride,) * rank, "SAME", dimension_numbers=form, transpose_kernel=True)
        d = (layer.get("dilation", 1),) * rank
        return lax.conv_general_dilated(
            x,
            w,
            (stride,) * rank,
            "SAME",
            rhs_dilation=d,
            dimension_numbers=form,
            feature_group_count=layer.get("groups", 1),
        )

    if layer.get("transposed"):
        first = np.zeros((first.shape[0], *(n // stride for n in layer["sizes"]), layer["filters"]), "float32")
    given = [jax.device_put(a) for a in ([first] if w is None else [first, w])]
    infer = jax.jit(forward)
    shape = jax.eval_shape(infer, *given).shape
    g = jax.device_put(np.random.default_rng(1).normal(size=shape).astype("float32"))

    @jax.jit
    def train(g: Any, *given: Any) -> Any:
        y, back = jax.vjp(forward, *given)
        return y, back(g)

    return {
        "inference": lambda: jax.block_until_ready(infer(*given)),
        "training": lambda: jax.block_until_ready(train(g, *given)),
    }


SIDES = {"layerkit": of_layerkit, "torch": of_torch, "jax": of_jax}


def serve(layers: dict[str, dict[str, Any]], makers: dict[str, Callable[..., Any]]) -> None:
    """Answer a line [side, layer, mode] with the seconds of a call, until there are no more lines."""
    made: dict[tuple[str, str], dict[str, Callable[[], object]]] = {}
    for line in sys.stdin:
        side, name, mode = json.loads(line)
        if (side, name) not in made:
            made = {k: v for k, v in made.items() if k[1] == name}
            made[side, name] = makers[side](layers[name])
            for call in made[side, name].values():
                call()
        print(json.dumps(least_time(made[side, name][mode])), flush=True)


def main(layers: dict[str, dict[str, Any]], makers: dict[str, Callable[..., Any]], description: str | None) -> None:
    """Print how fast each layer is; ``makers`` make what is timed, for each side."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", default=sys.executable, help="a Python that has the peers")
    parser.add_argument("--with", dest="sides", default="torch", help="torch, jax or both, with a comma")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("words", nargs="*")
    given = parser.parse_args()
    if given.serve:
        serve(layers, makers)
        return
    sides = given.sides.split(",")
    tuned = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 32)}
    tuned["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    peer = subprocess.Popen(
        [given.peer, sys.argv[0], "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=tuned
    )
    assert peer.stdin is not None
    assert peer.stdout is not None
    os.environ["LAYERKIT_NUM_THREADS"] = "1"
    print(f"{'':34} {'inference us':>12} {'':>{9 * len(sides)}} {'training us':>12}    x as fast as {', '.join(sides)}")
    logs: dict[str, list[float]] = {}
    for name, layer in layers.items():
        if not all(word in name for word in given.words):
            continue
        calls = makers["layerkit"](layer)
        line = f"{name:34}"
        for mode in ("inference", "training"):
            best = dict.fromkeys(["layerkit", *sides], float("inf"))
            for call in calls.values():
                call()
            for _ in range(ROUNDS):
                best["layerkit"] = min(best["layerkit"], least_time(calls[mode]))
                for side in sides:
                    peer.stdin.write(json.dumps([side, name, mode]) + "\n")
                    peer.stdin.flush()
                    answer = peer.stdout.readline()
                    best[side] = min(best[side], json.loads(answer)) if answer else best[side]
            line += f" {1e6 * best['layerkit']:12.0f}"
            for side in sides:
                ratio = best[side] / best["layerkit"]
                logs.setdefault(f"{side} {mode}", []).append(np.log(ratio))
                line += f" {ratio:8.2f}"
        print(line, flush=True)
    for key, values in logs.items():
        print(f"geometric mean against {key}: {np.exp(np.mean(values)):.2f}")
    peer.stdin.close()
    peer.wait()


if __name__ == "__main__":
    main(LAYERS, SIDES, __doc__)
