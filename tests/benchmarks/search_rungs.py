"""By what the trials of a round are best compared before they are trained to the end.

python tests/benchmarks/search_rungs.py --data digits --count 90 --out curves.jsonl

Random specs of the spaces that ship are trained to the end, without halving, and their learning curves kept in a file (those
that are in it are not trained again). Then rounds of nine are drawn from them over and over, and halved by different rules:
printed are the rank correlation of each rule with the accuracy after all epochs, and the accuracy, after all epochs, of the
trial that a round ends with. What is after the ± is the standard deviation over pools of trials drawn with repetition.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("LAYERKIT_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

import builders
from autoarch import worker
from autoarch.halving import FACTOR, rungs
from autoarch.options import prepare
from autoarch.space import derive_seed, propose
from autoarch.tasks import Task

ROUND, POOLS, DRAWS = 9, 200, 100
TIE = 1e-6  # of the loss, where accuracies are equal


def train(data: str, count: int, seed: int, out: Path) -> None:
    """Append the learning curves of random specs to a file."""
    options = prepare([], data, trials=count, seed=seed)
    spaces = {s.name: builders.loads(s.spec, s.file) for s in options.spaces}
    epochs = {s.name: s.epochs for s in options.spaces}
    known = len(out.read_text().splitlines()) if out.exists() else 0
    with tempfile.TemporaryDirectory() as folder:
        for number, found in enumerate(propose(spaces, [], count, seed=seed, sampler="random")):
            if number < known:
                continue
            task = Task(
                number, found.spec.text, options.file_of(found.space), options.data, derive_seed(seed, "trial", number),
                epochs[found.space], f"{folder}/{number}", f"{folder}/prepared",
            )  # fmt: skip
            result = worker.run(task, lambda epoch, logs: None)
            with out.open("a") as file:
                file.write(
                    json.dumps({"space": found.space, "reason": result.reason, "history": result.history}) + "\n"
                )


def ranks(values: Any) -> Any:
    """The rank of each value; there are no ties."""
    return values.argsort(kind="stable").argsort(kind="stable")


def main() -> None:
    """Train, and print what each rule is worth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--count", type=int, default=90)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    train(arguments.data, arguments.count, arguments.seed, arguments.out)
    found = [row for row in map(json.loads, arguments.out.read_text().splitlines()) if not row["reason"]]
    curves = {
        name: np.array([[e[f"val_{name}"] for e in row["history"]] for row in found]) for name in ("accuracy", "loss")
    }
    accuracy, loss = curves["accuracy"], curves["loss"]
    merit = accuracy - TIE * loss
    rules: dict[str, Callable[[Any, int], Any]] = {
        "last epoch": lambda of, e: merit[of, e - 1],
        "best epoch so far": lambda of, e: merit[of, :e].max(1),
        "mean of three": lambda of, e: merit[of, max(0, e - 3) : e].mean(1),
        "last loss": lambda of, e: -loss[of, e - 1],
        "lowest loss so far": lambda of, e: -loss[of, :e].min(1),
        "the end (not known)": lambda of, e: merit[of, -1],
    }
    steps, gained = rungs(accuracy.shape[1]), {name: [] for name in rules}
    for pool in range(POOLS):
        rng = np.random.default_rng(pool)
        own = np.unique(rng.integers(0, len(merit), len(merit)))
        drawn = [rng.permutation(own)[:ROUND] for _ in range(DRAWS)]
        survivors = {
            name: np.mean([accuracy[halved(d, rule, steps), -1] for d in drawn]) for name, rule in rules.items()
        }
        for name in rules:
            likeness = [np.corrcoef(ranks(rules[name](own, e)), ranks(merit[own, -1]))[0, 1] for e in steps[:-1]]
            gained[name].append([*likeness, 100 * (survivors[name] - survivors["last epoch"])])
    print(
        f"{len(found)} trials of {steps[-1]} epochs; rank correlation after {steps[0]} and {steps[1]}; accuracy at the end"
    )
    for name, of in gained.items():
        mean, off = np.mean(of, 0), np.std(of, 0)
        print(f"{name:20} {mean[0]:6.3f}   {mean[1]:6.3f}   {mean[2]:+.3f} ± {off[2]:.3f} points beside the last epoch")


def halved(going: Any, rule: Callable[[Any, int], Any], steps: list[int]) -> int:
    """The trial that a round ends with."""
    for epochs in steps[:-1]:
        going = going[np.argsort(-rule(going, epochs), kind="stable")[: max(1, len(going) // FACTOR)]]
    return int(going[0])


if __name__ == "__main__":
    main()
