"""Seconds of an epoch of trials from all spaces that ship, and memory: predicted beside measured, and measured again.

python tests/benchmarks/epoch_time.py FILE --each 6 --part 0/8    # trains trials of the first eighth of the spaces; what they took goes to FILE
python tests/benchmarks/epoch_time.py FILE                        # predicts them, and prints how near that is

Each trial is trained three times, each time after all others were, by what a worker of a search does, on one thread.
Time is that of the processor, for a machine that others use too; ``--wall`` takes that of the clock. What was measured for one
and the same trial differs: that is noise, which no prediction can foresee.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

os.environ["LAYERKIT_NUM_THREADS"] = "1"
ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from autoarch import worker  # noqa: E402
from autoarch.modality import look  # noqa: E402
from autoarch.space import propose  # noqa: E402
from autoarch.tasks import Limits, Task, seconds_of  # noqa: E402

WITHIN = 0.25
REPEATS, EPOCHS = 3, 4  # the first epoch warms up


def write_data(folder: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """Data of each kind, made of random numbers, few and many rows; the digits ship."""
    rng = np.random.default_rng(0)

    def arrays(name: str, x: Any, classes: int) -> tuple[str, dict[str, Any]]:
        path = folder / f"{name}.npz"
        np.savez(path, x=x, y=rng.integers(0, classes, len(x)))
        return str(path), {}

    def normal(*shape: int) -> Any:
        return rng.normal(size=shape).astype("float32")

    table = folder / "table.csv"
    kinds = np.array(["one", "two", "three", "four", "five"])
    lines = [
        ",".join([*(f"{v:.3f}" for v in rng.normal(size=6)), *kinds[rng.integers(0, 5, 4)], str(rng.integers(0, 2))])
        for _ in range(5000)
    ]
    table.write_text("\n".join([",".join([*"abcdefghij", "y"]), *lines]) + "\n")
    return {
        "digits": ("digits", {}),
        "few series": arrays("few", normal(80, 100, 6), 4),
        "many series": arrays("many", normal(1500, 29, 12), 9),
        "table": (str(table), {"target": "y"}),
        "tokens": arrays("tokens", rng.integers(0, 5000, (2000, 60)), 2),
        "video": arrays("video", rng.integers(0, 256, (200, 8, 16, 16, 1)).astype("uint8"), 4),
    }


def trials(folder: Path, each: int, seed: int) -> list[dict[str, Any]]:
    """Some of each space, on each kind of data that fit it."""
    found = []
    for name, (data, options) in write_data(folder).items():
        for space, spec in look(data, **options).spaces():
            for number, proposal in enumerate(propose({space: spec}, [], each, seed=seed, sampler="random")):
                where = {"name": f"{space}, {name}, {number}", "space": space, "data": data}
                found.append({**where, "text": proposal.spec.text, "file": str(proposal.spec.file)})
    return found


def train(trial: dict[str, Any], folder: Path, turn: int) -> dict[str, Any]:
    """What the epochs of a trial took, and what was measured and predicted beside."""
    place = folder / f"{trial['name']}.{turn}"
    place.mkdir()
    result = worker.run(
        Task(0, trial["text"], trial["file"], trial["data"], 0, EPOCHS, str(place), str(folder / "prepared")),
        lambda epoch, logs: None,
    )
    if result.reason or result.fault:
        raise SystemExit(f"{trial['name']}: {result.reason or result.fault}")
    return {"took": [row["seconds"] for row in result.history], "measured": result.measured}


def predict(trial: dict[str, Any], folder: Path) -> dict[str, float]:
    """What the engine says of a trial."""
    import builders
    from autoarch.cost import look as look_at
    from autoarch.prepared import prepared

    spec = builders.loads(trial["text"], trial["file"])
    model = spec.build()
    data = prepared(spec, trial["data"], model, folder / "prepared")
    return look_at(model, data, int(spec.fit.get("batch_size") or 32), Limits())


def shares(ratios: list[float]) -> str:
    ratios = sorted(ratios)
    good = sum(abs(r - 1) <= WITHIN for r in ratios)
    return f"{good:4} of {len(ratios):4} within {WITHIN:.0%}; least {ratios[0]:.2f}, median {median(ratios):.2f}, most {ratios[-1]:.2f}"


def show(file: Path, folder: Path, seed: int, each: int) -> None:
    """The ratios of predicted to measured, by space."""
    known = {t["name"]: t for t in trials(folder, each, seed)}
    took: dict[str, list[float]] = defaultdict(list)
    held: dict[str, float] = {}
    for line in file.read_text().splitlines():
        row = json.loads(line)
        held[row["name"]] = row["measured"]["bytes"]
        took[row["name"]].append(seconds_of([{"seconds": s} for s in row["took"]])["seconds"])
    (folder / "prepared").mkdir()
    by: dict[str, list[float]] = defaultdict(list)
    noise, alone, memory = [], [], []
    for name, found in took.items():
        predicted = predict(known[name], folder)
        ratio = predicted["engine_seconds"] / min(found)
        memory.append(predicted["bytes"] / held[name])
        by[name.rpartition(",")[0]].append(ratio)
        alone.append(ratio)
        noise += [found[i] / found[i - 1] for i in range(1, len(found))]
    for name, ratios in by.items():
        print(f"{name:32}{shares(ratios)}")
    print(f"{'all, by the engine alone':32}{shares(alone)}")
    print(f"{'the same measured twice':32}{shares(noise)}")
    print(f"{'memory':32}{shares(memory)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--each", type=int, default=6, help="trials of each space and kind of data")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--wall", action="store_true")
    parser.add_argument("--part", help="which part of the trials to train: 0/8 to 7/8")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if wanted.part is None:
            show(wanted.file, folder, wanted.seed, wanted.each)
            return
        if not wanted.wall:
            worker.time = SimpleNamespace(perf_counter=time.thread_time)  # type: ignore[attr-defined]
        part, parts = map(int, wanted.part.split("/"))
        all_trials = trials(folder, wanted.each, wanted.seed)
        random.Random(0).shuffle(all_trials)
        (folder / "prepared").mkdir()
        for turn in range(REPEATS):
            for trial in all_trials[part::parts]:
                row = {"name": trial["name"], **train(trial, folder, turn)}
                with wanted.file.open("a") as out:
                    out.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
