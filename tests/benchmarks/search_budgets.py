"""Searches with random budgets of time and memory: by how much they are overrun; and predicted cost beside measured.

python tests/benchmarks/search_budgets.py --runs 30
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))


def searched(folder: Path, seconds: float, memory: int, seed: int) -> tuple[float, int]:
    """How long it took, and its exit code."""
    command = [
        sys.executable, "-m", "autoarch", "search", "--data", "digits", "--time", f"{seconds:.1f}s", "--memory", f"{memory}MB",
        "--seed", str(seed), "--workers", "2", "--run", str(folder),
    ]  # fmt: skip
    start = time.monotonic()
    ended = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    took = time.monotonic() - start
    if ended.returncode and "time was up" not in ended.stderr:
        print(ended.stderr)
    return took, ended.returncode


def costs(folder: Path, name: str) -> list[tuple[float, float]]:
    """Predicted and measured cost of all trials that were trained."""
    from autoarch.measures import cost_of
    from autoarch.study import Study

    with Study.open(folder, alone=False) as study:
        found = [cost_of(trial, name) for trial in study.trials()]
    return [(predicted, measured) for predicted, measured in found if predicted is not None and measured is not None]


def shares(pairs: list[tuple[float, float]], within: float) -> str:
    ratios = sorted(p / m for p, m in pairs)
    good = sum(abs(r - 1) <= within for r in ratios)
    return f"{good} of {len(ratios)} within {within:.0%}; least {ratios[0]:.2f}, median {median(ratios):.2f}, most {ratios[-1]:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--first", type=int, default=0, help="which of the runs comes first: they can be made in parts")
    parser.add_argument("--least", type=float, default=5)
    parser.add_argument("--most", type=float, default=30)
    wanted = parser.parse_args()
    overruns, late, above, models = [], 0, 0, 0
    pairs: dict[str, list[tuple[float, float]]] = {"bytes": [], "seconds": []}
    with tempfile.TemporaryDirectory() as place:
        for run in range(wanted.first, wanted.first + wanted.runs):
            chance = random.Random(f"budget {run}")
            seconds, memory = chance.uniform(wanted.least, wanted.most), chance.choice((1, 2, 4, 8, 16, 32))
            folder = Path(place) / str(run)
            took, _ = searched(folder, seconds, memory, run)
            over = took - seconds
            overruns.append(over)
            late += over > max(0.02 * seconds, 2)
            has_model = (folder / "best" / "model.lk").exists()
            models += has_model
            found = {name: costs(folder, name) if (folder / "study.sqlite").exists() else [] for name in pairs}
            worst = max((measured for _, measured in found["bytes"]), default=0)
            above += worst > memory * 1e6
            for name, more in found.items():
                pairs[name] += more
            trained = json.loads((folder / "result.json").read_text())["is_retrained"] if has_model else None
            print(
                f"{seconds:5.1f} s {memory:3} MB: {over:+5.2f} s, {len(found['bytes']):3} trained, at most {worst / 1e6:5.2f} MB, "
                f"{'no model' if not has_model else 'trained again' if trained else 'model of the search'}",
                flush=True,
            )
    print(
        f"time: {late} of {wanted.runs} late; overrun at most {max(overruns):+.2f} s, median {median(overruns):+.2f} s"
    )
    print(f"memory: {above} of {wanted.runs} above; models in {models}")
    for name, within in (("bytes", 0.15), ("seconds", 0.25)):
        if pairs[name]:
            print(f"{name}, predicted by measured: {shares(pairs[name], within)}")


if __name__ == "__main__":
    main()
