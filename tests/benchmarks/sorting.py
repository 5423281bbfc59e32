"""Sorting rows on one core, against NumPy and PyTorch: how many times as fast layerkit is.

All sides run in turn, on the same core: PyTorch in a process of its own, in its own environment. A time is the least of many.

    python tests/benchmarks/sorting.py --peer PYTHON
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from layers import least_time

LENGTHS = (16, 64, 100, 128, 256, 512, 1024)
NUMBERS = 1 << 16
WORDS = ("sort", "argsort", "median")


def rows(n: int) -> Any:
    """About 65,536 numbers in rows of ``n``."""
    return np.random.default_rng(0).normal(size=(NUMBERS // n, n)).astype("float32")


def of_layerkit(word: str, n: int) -> Callable[[], object]:
    """A compiled function of the rows."""
    import layerkit
    from layerkit import ops

    each = {"sort": ops.sort, "argsort": ops.argsort, "median": lambda x: ops.median(x, axis=-1)}[word]
    function, x = layerkit.function(lambda x: each(x)), rows(n)
    return lambda: function(x)


def of_numpy(word: str, n: int) -> Callable[[], object]:
    """NumPy's own; ``argsort`` is the stable one, as layerkit's."""
    x = rows(n)
    each = {
        "sort": lambda: np.sort(x, -1), "argsort": lambda: np.argsort(x, -1, kind="stable"), "median": lambda: np.median(x, -1),
    }  # fmt: skip
    return each[word]


def of_torch(word: str, n: int) -> Callable[[], object]:
    """PyTorch's own, stable; its median is the lower one of two."""
    import torch

    torch.set_num_threads(1)
    x = torch.from_numpy(rows(n))
    each = {
        "sort": lambda: torch.sort(x, stable=True), "argsort": lambda: torch.argsort(x, stable=True), "median": lambda: torch.median(x, -1),
    }  # fmt: skip
    return each[word]


def main() -> None:
    """Print a line for each op and length."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", default=sys.executable, help="a Python that has PyTorch")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        for line in sys.stdin:
            print(json.dumps(least_time(of_torch(*json.loads(line)))), flush=True)
        return
    os.environ["LAYERKIT_NUM_THREADS"] = "1"
    peer = subprocess.Popen(
        [given.peer, sys.argv[0], "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert peer.stdin is not None
    assert peer.stdout is not None
    print(f"{'':16} {'ns a number':>12}   x as fast as numpy, torch")
    for word in WORDS:
        for n in LENGTHS:
            own, numpy = of_layerkit(word, n), of_numpy(word, n)
            best = [min(least_time(call) for _ in range(2)) for call in (own, numpy)]
            peer.stdin.write(json.dumps([word, n]) + "\n")
            peer.stdin.flush()
            best.append(json.loads(peer.stdout.readline()))
            print(
                f"{word:8} {n:7} {1e9 * best[0] / NUMBERS:12.2f} {best[1] / best[0]:8.2f} {best[2] / best[0]:8.2f}",
                flush=True,
            )
    peer.stdin.close()
    peer.wait()


if __name__ == "__main__":
    main()
