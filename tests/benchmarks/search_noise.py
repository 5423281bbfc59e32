"""How often a search calls its winner better than the baselines: on noise never, but for luck; on a signal always.

python tests/benchmarks/search_noise.py [--count 200] [--first 0] [--out noise.jsonl]
python tests/benchmarks/search_noise.py --signal --count 10

Each data set goes through a whole search: rounds, halving, finalists over seeds, the sealed test, five baselines. Labels of
noise do not depend on the features; they are even or uneven, of two or five classes, or numbers with a tail; rows are 60 to
400, of a table, of short series, or windows of one series. A signal is a motif somewhere in a series: whether it is
reversed (two classes), or how high it is (a number). All is done in this process, one search after the other, so that it is cheap;
what is left out, processes that work, changes no result.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("LAYERKIT_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from autoarch import coordinator, finish, worker
from autoarch.options import prepare
from autoarch.watching import Watcher

TABLE = """\
layerkit: 1
name: table
inputs: {x: {shape: [COLUMNS]}}
layers:
  - Dense: {units: !choice [16, 32], activation: !choice [relu, tanh]}
  - Dropout: !choice [0.0, 0.3]
  - Dense: OUTPUT
compile: {optimizer: {Adam: {learning_rate: !float {low: 1e-3, high: 3e-2, log: true}}}, COMPILE}
fit: {epochs: 9, batch_size: 16}
data: {DATA, split: {validation: 0.2, test: 0.2 BY}}
"""
SERIES = """\
layerkit: 1
name: series
inputs: {x: {shape: [STEPS, CHANNELS]}}
layers:
  - !choice
    - Conv1D: {filters: !choice [8, 16], kernel_size: 5, activation: relu, padding: same}
    - LSTM: {units: 16, return_sequences: true}
  - GlobalMaxPooling1D
  - Dense: OUTPUT
compile: {optimizer: {Adam: {learning_rate: !float {low: 3e-3, high: 3e-2, log: true}}}, COMPILE}
fit: {epochs: EPOCHS, batch_size: 16}
data: {DATA, split: {validation: 0.2, test: 0.2 BY}}
"""
CLASS = "{units: %d, activation: softmax}", "loss: sparse_categorical_crossentropy, metrics: [accuracy]"
NUMBER = "{units: 1}", "loss: mse"
NOISES = ("two classes", "five classes", "uneven classes", "numbers", "numbers with a tail", "series", "windows")
SIGNALS = ("motif", "height")
TRIALS, ROUND = 6, 6


def noise(kind: str, rng: np.random.Generator, folder: Path) -> tuple[str, Path]:
    """A spec with holes, and the file of a data set whose target depends on nothing."""
    rows = int(rng.integers(60, 401))
    x = rng.normal(size=(rows, 6)).astype("float32")
    if kind == "series":
        return _series(rng.normal(size=(rows, 16, 2)), rng.integers(0, 2, rows), folder)
    if kind in ("windows", "walk"):
        path, values = folder / "rows.csv", rng.normal(size=rows)
        values = np.cumsum(values) if kind == "walk" else values
        path.write_text("\n".join(["y", *(f"{v:.5f}" for v in values)]) + "\n")
        spec = _spec(
            SERIES,
            NUMBER,
            "csv: rows.csv, target: y, features: [y], window: {length: 8}",
            STEPS="8",
            CHANNELS="1",
            EPOCHS="9",
        )
        return spec, path
    y = {
        "two classes": lambda: rng.integers(0, 2, rows),
        "five classes": lambda: rng.integers(0, 5, rows),
        "uneven classes": lambda: (rng.random(rows) < 0.3).astype("int64"),
        "numbers": lambda: rng.normal(size=rows),
        "numbers with a tail": lambda: np.exp(rng.normal(size=rows)),
    }[kind]()
    return _saved(TABLE, x, y, folder, COLUMNS="6")


def signal(kind: str, rng: np.random.Generator, folder: Path) -> tuple[str, Path]:
    """Likewise, where the target depends on a motif that may begin anywhere in the series."""
    rows, steps, motif = 600, 64, np.array([1, 2, -2, -1, 1.5])
    x = 0.4 * rng.normal(size=(rows, steps, 1))
    y = rng.integers(0, 2, rows) if kind == "motif" else 2 * rng.random(rows)
    for row, at, target in zip(x, rng.integers(0, steps - 4, rows), y, strict=True):
        row[at : at + 5, 0] += target * motif if kind == "height" else motif[:: 1 if target else -1]
    return _series(x, y, folder, epochs=27)


def _series(x: Any, y: Any, folder: Path, epochs: int = 9) -> tuple[str, Path]:
    shape = {"STEPS": str(x.shape[1]), "CHANNELS": str(x.shape[2]), "EPOCHS": str(epochs)}
    return _saved(SERIES, x.astype("float32"), y, folder, **shape)


def _saved(text: str, x: Any, y: Any, folder: Path, **names: str) -> tuple[str, Path]:
    np.savez(folder / "rows.npz", x=x, y=y.astype("float32" if y.dtype.kind == "f" else "int64"))
    kind = NUMBER if y.dtype.kind == "f" else (CLASS[0] % (y.max() + 1), CLASS[1])
    by = "" if y.dtype.kind == "f" else ", by: stratified"
    return _spec(text, kind, "npz: rows.npz", BY=by, **names), folder / "rows.npz"


def _spec(text: str, kind: tuple[str, str], data: str, **names: str) -> str:
    for name, value in {"OUTPUT": kind[0], "COMPILE": kind[1], "DATA": data, "BY": "", **names}.items():
        text = text.replace(name, value)
    return text


class Here:
    """A pool that works in this process."""

    count = 1

    def __init__(self, *arguments: Any) -> None:
        pass

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def run(self, tasks: Any, guard: Any = None) -> Iterator[tuple[Any, Any]]:
        """The results, one after the other."""
        for task in tasks:
            yield task, worker.run(task, lambda epoch, logs: None)


def train_here(best: Path, arguments: list[str], lock: int) -> Any:
    """``layerkit train`` in this process."""
    from layerkit.cli.train import train

    told = ["--resume", str(best)] if (best / "run.json").exists() else [*arguments[1:], "--run", str(best)]
    with contextlib.redirect_stdout(io.StringIO()):
        train([*told, "--quiet"], standalone_mode=False)
    return subprocess.CompletedProcess(arguments, 0, "", "")


def search(spec: str, data: Path, folder: Path, seed: int) -> dict[str, Any]:
    """The result of a whole search."""
    (folder / "space.yaml").write_text(spec)
    options = prepare([folder / "space.yaml"], str(data), trials=TRIALS, round_size=ROUND, seed=seed)
    coordinator.start(folder / "run", options)
    return coordinator.work(folder / "run", watcher=Watcher())


def main() -> None:
    """Search, print and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--signal", action="store_true")
    parser.add_argument("--kind", help="only data of this kind; also walk, of which nothing is better than persistence")
    parser.add_argument(
        "--out", type=Path, help="a file that gets a line for each search; those in it are not repeated"
    )
    arguments = parser.parse_args()
    coordinator.Pool = Here  # type: ignore[misc,assignment]
    coordinator._report = lambda *of: None  # type: ignore[assignment]
    finish._train = train_here  # type: ignore[assignment]
    kinds, make = (SIGNALS, signal) if arguments.signal else (NOISES, noise)
    kinds = (arguments.kind,) if arguments.kind else kinds
    known = {}
    if arguments.out is not None and arguments.out.exists():
        known = {row["seed"]: row for row in map(json.loads, arguments.out.read_text().splitlines())}
    rows = []
    for seed in range(arguments.first, arguments.first + arguments.count):
        if seed not in known:
            known[seed] = one(kinds[seed % len(kinds)], make, seed)
            if arguments.out is not None:
                with arguments.out.open("a") as file:
                    file.write(json.dumps(known[seed]) + "\n")
        rows.append(known[seed])
        if not arguments.out:
            print(json.dumps(rows[-1]), flush=True)
    for kind, total in Counter(row["kind"] for row in rows).items():
        mine = [row for row in rows if row["kind"] == kind]
        above = sum(row["looks_better"] for row in mine)
        print(
            f"{kind:22} {total:4} searches  {sum(r['claimed'] for r in mine):3} claimed  {above:3} above every baseline on the test  {np.mean([r['seconds'] for r in mine]):5.1f} s each"
        )
    print(f"{'all':22} {len(rows):4} searches  {sum(r['claimed'] for r in rows):3} claimed")


def one(kind: str, make: Any, seed: int) -> dict[str, Any]:
    """What came of one data set."""
    folder = Path(tempfile.mkdtemp())
    began = time.perf_counter()
    try:
        result = search(*make(kind, np.random.default_rng(seed), folder), folder, seed)
    finally:
        shutil.rmtree(folder)
    sign = 1 if result["measure"] == "accuracy" else -1
    others = [sign * scores["test"] for scores in result["baselines"].values()]
    return {
        "kind": kind, "seed": seed, "rows": result["rows"], "claimed": result["beats_baselines"],
        "looks_better": bool(sign * result["model"]["test"] > max(others)), "model": result["model"]["test"],
        "baselines": {name: scores["test"] for name, scores in result["baselines"].items()},
        "p": {c["baseline"]: c["p"] for c in result["claim"]["comparisons"]},
        "seconds": round(time.perf_counter() - began, 2),
    }  # fmt: skip


if __name__ == "__main__":
    main()
