"""Kills at random moments: coordinators, workers, or both, until each search is done; its files are those of one left alone.

python tests/benchmarks/search_kills.py --kills 60
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
SPEC = """\
layerkit: 1
name: small
inputs: {image: {shape: [8, 8, 1]}}
layers:
  - Flatten
  - !choice
    - Dense: {units: !int {low: 8, high: 64, step: 8}, activation: !choice [relu, tanh]}
    - Dropout: !float {low: 0.1, high: 0.5}
  - Dense: {units: 10, activation: softmax}
compile:
  optimizer: {Adam: {learning_rate: !float {low: 1e-3, high: 1e-1, log: true}}}
  loss: sparse_categorical_crossentropy
  metrics: [accuracy]
fit: {epochs: 18, batch_size: !choice [32, 64]}
data: {dataset: digits, split: {validation: 0.25}}
"""
FILES = ("leaderboard.json", "best.yaml", "best/model.lk")


def begin(*arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "autoarch", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def hashes(folder: Path) -> list[str]:
    return [hashlib.sha256((folder / name).read_bytes()).hexdigest()[:12] for name in FILES]


def children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").glob("*/children"))
        return [int(child) for path in tasks for child in path.read_text().split()]
    except OSError:
        return []


def strike(process: subprocess.Popen[bytes], chance: random.Random) -> str:
    """Kill something; what."""
    what = chance.choice(("coordinator", "coordinator", "worker", "both"))
    if what != "coordinator":
        found = children(process.pid)
        for pid in found if what == "both" else chance.sample(found, min(1, len(found))):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
    if what != "worker":
        process.kill()
    return what


def disturbed(folder: Path, search: list[object], workers: int, seconds: float, chance: random.Random) -> list[str]:
    """A whole search, with kills; which."""
    kills: list[str] = []
    process = begin("search", *search, "--workers", workers, "--run", folder)
    while True:
        wait = chance.uniform(0.05, 0.4) * seconds * (1 + 0.15 * len(kills))  # rising, so that it comes to its end
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            kills.append(strike(process, chance))
            if kills[-1] == "worker":
                continue
            process.communicate()
            verb = ["resume", folder] if (folder / "study.sqlite").exists() else ["search", *search, "--run", folder]
            process = begin(*verb, "--workers", workers)
            continue
        output = process.communicate()[0].decode()
        if process.returncode:
            print(output)
            raise SystemExit(f"the search ended with code {process.returncode}")
        return kills


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    chance = random.Random(wanted.seed)
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        (root / "small.yaml").write_text(SPEC)
        search: list[object] = [root / "small.yaml", "--trials", 8, "--round", 5, "--params", 4500]
        start = time.monotonic()
        process = begin("search", *search, "--run", root / "alone")
        output = process.communicate()[0].decode()
        if process.returncode:
            raise SystemExit(output)
        seconds, expected = time.monotonic() - start, hashes(root / "alone")
        print(f"left alone: {seconds:.0f} s, {' '.join(expected)}", flush=True)
        kills = runs = equal = 0
        while kills < wanted.kills:
            workers = (1, 2, 4)[runs % 3]
            folder = root / str(runs)
            found = disturbed(folder, search, workers, seconds, chance)
            is_equal = hashes(folder) == expected
            kills, runs, equal = kills + len(found), runs + 1, equal + is_equal
            print(
                f"{workers} workers, killed {len(found)} ({', '.join(found)}): {'equal' if is_equal else 'DIFFERENT'}",
                flush=True,
            )
        print(f"{kills} kills in {runs} runs, {equal} of them equal")


if __name__ == "__main__":
    main()
