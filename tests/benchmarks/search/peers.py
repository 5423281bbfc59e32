"""A search beside its peers: the same data, space, epochs and wall time; how many trials they finish, and how good the best is.

    python tests/benchmarks/search/peers.py FASHION_FOLDER --seconds 600 --with autoarch,optuna_torch --python optuna_torch=PYTHON

Each framework gets one core of its own (the n-th named the n-th core) and one process that trains, all at the same time. The
rows are the first 10,000 of Fashion-MNIST, 8,000 to train on. Optuna drives PyTorch (channels_last, fused Adam) with the same
sampler and successive halving; AutoKeras has its own way to stop and draws convolutional blocks of its own kind.
A trial is finished when it came to its last epoch, or was stopped since others were better; the best is that after any epoch.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
ROWS, EPOCHS = 10_000, 9


def write_rows(fashion: Path, path: Path) -> None:
    """The data of the comparison: x scaled to 0..1, (rows, 28, 28, 1)."""

    def read(name: str, offset: int, shape: tuple[int, ...], count: int) -> Any:
        raw = gzip.decompress((fashion / name).read_bytes())
        return np.frombuffer(raw, "uint8", offset=offset).reshape(-1, *shape)[:count]

    x, y = read("train-images-idx3-ubyte.gz", 16, (28, 28, 1), ROWS), read("train-labels-idx1-ubyte.gz", 8, (), ROWS)
    x_test, y_test = (
        read("t10k-images-idx3-ubyte.gz", 16, (28, 28, 1), 1000), read("t10k-labels-idx1-ubyte.gz", 8, (), 1000)
    )  # fmt: skip
    np.savez(
        path,
        x=(x / 255).astype("float32"),
        y=y.astype("int32"),
        x_test=(x_test / 255).astype("float32"),
        y_test=y_test.astype("int32"),
    )


def of_autoarch(rows: Path, folder: Path) -> None:
    """Runs until it is killed."""
    from autoarch.cli import main

    main(["search", str(HERE / "space.yaml"), "--data", str(rows), "--trials", "100000", "--run", str(folder / "run")])


def count_autoarch(folder: Path) -> dict[str, Any]:
    """Trials of finished rounds, and those of the last round that came to the end."""
    from autoarch.study import Study, ranked

    with Study.open(folder / "run", alone=False) as study:
        trials, last = study.trials(), study.rounds - 1
    best = ranked(trials)[0]
    epochs = (
        [row["val_accuracy"] for t in trials if t.results for row in t.results[max(t.results)].history]
        if trials
        else []
    )
    return {
        "trials": sum(t.round < last or t.is_complete for t in trials), "epochs": len(epochs),
        "best": max(epochs, default=0.0), "values": best.drawn.values,
    }  # fmt: skip


def of_optuna_torch(rows: Path, folder: Path) -> None:
    """Runs until it is killed; a line for each trial that is finished."""
    import optuna
    import torch
    from torch import nn

    torch.set_num_threads(1)
    data = np.load(rows)
    order = np.random.default_rng(0).permutation(ROWS)
    x = torch.from_numpy(data["x"][order]).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    y = torch.from_numpy(data["y"][order]).long()
    train = int(ROWS * 0.8)
    activations = {"relu": nn.ReLU, "gelu": nn.GELU}

    def objective(trial: optuna.Trial) -> float:
        width = trial.suggest_categorical("width", [8, 16, 32])
        depth = trial.suggest_int("depth", 1, 2)
        activation = activations[trial.suggest_categorical("activation", ["relu", "gelu"])]
        units = trial.suggest_categorical("units", [64, 128])
        dropout = trial.suggest_float("dropout", 0.0, 0.5, step=0.1)
        rate = trial.suggest_float("rate", 1e-4, 1e-2, log=True)
        batch = trial.suggest_categorical("batch", [32, 64, 128])
        torch.manual_seed(trial.number)
        parts: list[nn.Module] = []
        channels = 1
        for filters in (width, 2 * width):
            for _ in range(depth):
                parts += [nn.Conv2d(channels, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters), activation()]
                channels = filters
            parts.append(nn.MaxPool2d(2))
        parts += [
            nn.Flatten(), nn.Linear(channels * 49, units), activation(), nn.Dropout(dropout), nn.Linear(units, 10)
        ]  # fmt: skip
        model = nn.Sequential(*parts).to(memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(model.parameters(), lr=rate, fused=True)
        loss_of = nn.CrossEntropyLoss()
        accuracy = 0.0
        for epoch in range(EPOCHS):
            model.train()
            places = torch.randperm(train)
            for at in range(0, train, batch):
                chosen = places[at : at + batch]
                optimizer.zero_grad(set_to_none=True)
                loss_of(model(x[chosen]), y[chosen]).backward()
                optimizer.step()
            model.eval()
            with torch.inference_mode():
                right = [
                    (model(x[i : i + 500]).argmax(1) == y[i : i + 500]).sum().item() for i in range(train, ROWS, 500)
                ]
            accuracy = sum(right) / (ROWS - train)
            trial.report(accuracy, epoch + 1)
            with (folder / "epochs").open("a") as file:
                file.write(f"{accuracy}\n")
            if trial.should_prune():
                break
        with (folder / "trials").open("a") as file:
            file.write(json.dumps({"accuracy": accuracy, "values": trial.params}) + "\n")
        if epoch + 1 < EPOCHS:
            raise optuna.TrialPruned
        return accuracy

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=0, multivariate=True),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
    )  # fmt: skip
    study.optimize(objective, n_trials=100_000)


def count_optuna_torch(folder: Path) -> dict[str, Any]:
    """What was written."""
    epochs, trials = (
        path.read_text().splitlines() if (path := folder / n).exists() else [] for n in ("epochs", "trials")
    )
    best = max(map(json.loads, trials), key=lambda r: r["accuracy"], default={"values": {}})
    best_epoch = max(map(float, epochs), default=0.0)
    return {"trials": len(trials), "epochs": len(epochs), "best": best_epoch, "values": best["values"]}


def of_autokeras(rows: Path, folder: Path) -> None:
    """Runs until it is killed."""
    import autokeras
    import keras
    import tensorflow

    made = keras.layers.Dense.__init__  # AutoKeras 3.0 gives it NumPy's integers, which Keras 3.15 refuses
    keras.layers.Dense.__init__ = lambda self, units, *args, **kwargs: made(self, int(units), *args, **kwargs)

    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    data = np.load(rows)
    order, train = np.random.default_rng(0).permutation(ROWS), int(ROWS * 0.8)
    x, y = data["x"][order], data["y"][order]
    image = autokeras.ImageInput()
    found = autokeras.ConvBlock(separable=False, max_pooling=True)(image)
    found = autokeras.DenseBlock()(autokeras.Flatten()(found))
    found = autokeras.ClassificationHead()(found)
    search = autokeras.AutoModel(
        image, found, max_trials=100_000, objective="val_accuracy", directory=folder, project_name="run", seed=0
    )
    search.fit(x[:train], y[:train], validation_data=(x[train:], y[train:]), epochs=EPOCHS, verbose=0)


def count_autokeras(folder: Path) -> dict[str, Any]:
    """What its oracle wrote."""
    trials = [json.loads(path.read_text()) for path in folder.glob("run/trial_*/trial.json")]
    done = [t for t in trials if t["status"] == "COMPLETED"]
    best = max((t["score"] for t in done), default=0.0)
    return {"trials": len(done), "epochs": EPOCHS * len(done), "best": best, "values": {}}


def main() -> None:
    """Run all side by side, and print what each came to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("fashion", type=Path, help="the folder with Fashion-MNIST's files")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--with", dest="frameworks", default="autoarch,optuna_torch")
    parser.add_argument("--python", action="append", default=[], help="FRAMEWORK=PYTHON")
    parser.add_argument("--child", nargs=3, metavar=("FRAMEWORK", "ROWS", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        framework, rows, folder = options.child
        globals()[f"of_{framework}"](Path(rows), Path(folder))
        return
    pythons = dict(p.split("=", 1) for p in options.python)
    top = Path(tempfile.mkdtemp())
    write_rows(options.fashion, top / "rows.npz")
    running = {}
    for core, framework in enumerate(options.frameworks.split(",")):
        folder = top / framework
        folder.mkdir()
        command = [
            pythons.get(framework, sys.executable),
            __file__,
            ".",
            "--child",
            framework,
            top / "rows.npz",
            folder,
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "LAYERKIT_NUM_THREADS": "1", "LAYERKIT_CACHE_DIR": str(top / "cache"), "KERAS_BACKEND": "tensorflow"}  # fmt: skip
        log = (folder / "log").open("w")
        running[framework] = subprocess.Popen(
            ["taskset", "-c", str(core), *map(str, command)], stdout=log, stderr=log, env=environment, start_new_session=True
        )  # fmt: skip
    time.sleep(options.seconds)
    for framework, process in running.items():
        ended = process.poll()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        time.sleep(0.5)
        found = globals()[f"count_{framework}"](top / framework)
        found |= {
            "framework": framework,
            "per_minute": round(found["trials"] / options.seconds * 60, 2),
            "ended": ended,
        }
        print(json.dumps(found), flush=True)
        if ended is not None:
            print((top / framework / "log").read_text()[-2000:])
    shutil.rmtree(top)


if __name__ == "__main__":
    main()
