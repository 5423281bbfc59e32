"""What ``import layerkit`` costs on top of ``import numpy``: the aim is 50 ms of wall time at most.

Runs both in fresh processes, turn by turn, and prints the difference of the medians:

    python tests/benchmarks/import_time.py [--runs 15]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time


def seconds(statement: str) -> float:
    """Wall time of one statement in a fresh process, without the start of the interpreter."""
    code = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    started = time.perf_counter()
    seconds("import layerkit")  # the first run writes bytecode and warms the file cache
    pairs = [(seconds("import numpy"), seconds("import layerkit")) for _ in range(runs)]
    numpy_ms, layerkit_ms = (1000 * statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"import numpy     {numpy_ms:7.1f} ms   (median of {runs})")
    print(f"import layerkit  {layerkit_ms:7.1f} ms")
    print(f"difference       {layerkit_ms - numpy_ms:7.1f} ms   in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
