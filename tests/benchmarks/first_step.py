"""What the first training step costs after the imports: CPU seconds and memory, with nothing cached and from the cache.

The models of ``peers/workloads.py``, each in fresh processes on one thread; the aims are 3 s for resnet20 and 1.5 s for
the others with nothing cached, 0.5 s from the cache:

    python tests/benchmarks/first_step.py [--runs 3] [workload ...]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
WORKLOADS = ["mlp", "lenet", "resnet20", "lstm", "cnn_lstm_series", "sentiment", "transformer"]


def measure(name: str) -> None:
    """In this process: build, compile and train one batch; prints what it took."""
    from peers.adapters.layerkit import Adapter
    from peers.params import batch_data, workload_params
    from peers.workloads import WORKLOADS

    for module in (
        "layerkit.losses",
        "layerkit.models",
        "layerkit.optimizers",
        "layerkit.engines.llvm",
        "llvmlite.binding",
    ):
        import_module(module)
    workload = WORKLOADS[name]
    weights, (x, y), adapter = workload_params(workload), batch_data(workload), Adapter(1)
    start = time.process_time()
    adapter.build(workload, weights)
    adapter.prepare_train(x, y)
    adapter.train_step()
    spent = time.process_time() - start
    print(json.dumps([spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("workloads", nargs="*", default=WORKLOADS)
    given = parser.parse_args()
    if given.inside:
        measure(given.workloads[0])
        return
    print(f"{'workload':16s} {'nothing cached':>14s} {'from the cache':>14s} {'MB':>6s}   (best of {given.runs})")
    for name in given.workloads:
        found = []
        for _ in range(given.runs):
            with tempfile.TemporaryDirectory() as folder:
                command = [sys.executable, __file__, "--inside", name]
                environment = {**os.environ, "LAYERKIT_CACHE_DIR": folder, "PYTHONPATH": os.pathsep.join(sys.path)}
                for _ in range(2):
                    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
                    found.append(json.loads(done.stdout.splitlines()[-1]))
        cold, warm = (min(seconds for seconds, _ in found[i::2]) for i in range(2))
        print(f"{name:16s} {cold:14.2f} {warm:14.2f} {max(mb for _, mb in found):6.0f}", flush=True)


if __name__ == "__main__":
    main()
