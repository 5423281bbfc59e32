"""The folder of a run: what was trained, how, and how to go on.

    spec.yaml          the spec as it was run, with everything filled in; the files of blocks and of words that it names
                       lie beside it, so that the run needs nothing of where it came from but the data
    run.json           what the command was told: where the spec came from, where the data are, seed
    environment.json   versions, processor, threads, command
    history.csv        losses and metrics of each epoch
    checkpoint/        the state after the last epoch, while the run is not finished
    best.lk            the model as it was best (by val_loss, or by loss where nothing is held out)
    model.lk           the model as it ended, with the state of its optimizer
    results.json       what was reached; a run that has it is finished

Every file but ``history.csv`` is written whole or not at all; lines of that one that a checkpoint does not know of are
removed when the run goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import builders
from builders.scalars import write_scalar
from layerkit import __version__, saving, tree
from layerkit.data import DataSet
from layerkit.errors import ArgumentError, FileFormatError, StateError
from layerkit.layers import Layer
from layerkit.saving import locks
from layerkit.training.callbacks import Callback, CSVLogger, Logs, Monitor
from layerkit.training.control import BackupAndRestore

if TYPE_CHECKING:
    from builders import Spec

DEFAULT_FOLDER = Path("runs")
FILES = (
    "spec.yaml", "run.json", "environment.json", "history.csv", "checkpoint", "best.lk", "model.lk", "results.json",
)  # fmt: skip
OVERHEAD = 9  # times as long as a checkpoint took, none is written after it


@dataclass(frozen=True)
class Run:
    """A folder with a run in it."""

    folder: Path

    @classmethod
    def start(cls, folder: Path | None, spec: Spec, facts: Mapping[str, Any], *, command: str | None = None) -> Run:
        """A new run in ``folder``, or in ``runs/<name>-<n>`` with the next free number.

        Args:
            folder: a new one.
            spec: what is trained.
            facts: what the command was ``told``, and ``data_sha256``.
            command: that trains it, where it is not that of this process.

        Raises:
            ArgumentError: the folder holds something, or the spec names a file that is called like one of a run.
        """
        copied = {name: (Path(spec.file).parent / name).read_bytes() for name in spec.files}
        for file in copied:
            if Path(file).parts[0].lower() in FILES:
                raise ArgumentError(
                    "a file that the spec names has the name of a file of runs.", expected="a name but " + ", ".join(FILES),
                    got=file, fix="rename it",
                )  # fmt: skip
        if folder is None:
            folder = _next_free(DEFAULT_FOLDER, spec.name)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                is_run = (folder / "run.json").exists()
                fix = f"layerkit train --resume {folder}" if is_run else "give a new folder"
                raise ArgumentError(f"'{folder}' is not empty.", expected="a new folder", got=str(folder), fix=fix)
        run = cls(folder)
        run.write("environment.json", {**environment(facts.get("seed")), **({"command": command} if command else {})})
        for file, content in copied.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            saving.write_whole(folder / file, [content])
        saving.write_whole(folder / "spec.yaml", [_named(spec).text.encode()])
        run.write("run.json", {**facts, "files": list(copied)})  # the last: a folder that has it can be resumed
        return run

    @classmethod
    def find(cls, folder: Path) -> Run:
        """The run in a folder.

        Raises:
            ArgumentError: there is none.
        """
        if not (folder / "run.json").is_file():
            raise ArgumentError(
                f"'{folder}' holds no run.", expected="a folder that 'layerkit train' wrote", got="no file run.json",
                fix="see what is in runs/",
            )  # fmt: skip
        return cls(folder)

    @property
    def best(self) -> Path:
        """The file with the weights of its best epoch."""
        return self.folder / "best.lk"

    @property
    def is_finished(self) -> bool:
        """Whether it has its results."""
        return (self.folder / "results.json").is_file()

    @property
    def facts(self) -> dict[str, Any]:
        """What the command was told."""
        return self.read("run.json")

    def spec(self, layers: Iterable[type[Layer]] = ()) -> Spec:
        """The spec as it was run; ``layers`` are those of one's own that it was started with."""
        return builders.load(self.folder / "spec.yaml", layers=layers)

    def trained(self, *, best: bool = False) -> Path:
        """The file with the trained model.

        Raises:
            StateError: the run has none yet.
        """
        path = self.best if best else self.folder / "model.lk"
        if not path.exists():
            raise StateError(
                f"the run '{self.folder}' has no {path.name} yet.", expected="a finished run", got="one that was interrupted",
                fix=f"layerkit train --resume {self.folder}",
            )  # fmt: skip
        return path

    def read(self, name: str) -> dict[str, Any]:
        """One of its JSON files."""
        path = self.folder / name
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise FileFormatError(f"'{path}' is no JSON.", got=str(error), fix="start a new run") from error
        if not isinstance(found, dict):
            raise FileFormatError(f"'{path}' holds something else.", expected="a JSON object", got=type(found).__name__)
        return found

    def write(self, name: str, data: Mapping[str, Any]) -> None:
        """Write one of its JSON files."""
        text = json.dumps(data, indent=2, ensure_ascii=False, default=_plain) + "\n"
        saving.write_whole(self.folder / name, [text.encode()])

    def callbacks(self, own: list[Any], *, validates: bool) -> list[Any]:
        """The callbacks of a training in this folder: the spec's ``own``, and those that write it."""
        best = Best(self.best, "val_loss" if validates else "loss")
        log = CSVLogger(self.folder / "history.csv")
        return [*own, best, log, Checkpoint(best=best, backup_dir=self.folder / "checkpoint", delete_checkpoint=False)]

    def finish(self, results: Mapping[str, Any]) -> None:
        """Write the results; the checkpoint is no longer needed."""
        self.write("results.json", results)
        with suppress(OSError):
            for path in (self.folder / "checkpoint").iterdir():
                path.unlink()
            (self.folder / "checkpoint").rmdir()

    def discard(self) -> None:
        """Remove a run in which no epoch ended; a folder with anything else in it stays."""
        if (self.folder / "checkpoint").exists():
            return
        copied = [self.folder / name for name in self.facts["files"]]
        for path in [
            self.folder / name for name in ("run.json", "spec.yaml", "environment.json", "history.csv")
        ] + copied:
            path.unlink(missing_ok=True)
        with suppress(OSError):
            for path in sorted({p for file in copied for p in file.parents if self.folder in p.parents}, reverse=True):
                path.rmdir()
            self.folder.rmdir()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else trains in this folder meanwhile; what a killed process left half-written is removed.

        Raises:
            StateError: somebody does.
        """
        with locks.alone(self.folder / "run.json", waits=False):
            for folder in (self.folder, self.folder / "checkpoint"):
                for path in folder.glob(saving.TEMPORARY):
                    path.unlink(missing_ok=True)
            yield


class Best(Monitor):
    """Keeps the weights with which the watched value was best, and writes them when it is told to.

    Args:
        path: the file.
        monitor: a name in the logs; epochs without it do not count.
    """

    path: Any
    monitor: str
    remembers = ("best", "best_epoch", "best_logs")

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.best_logs: Logs = {}
        self._unwritten: list[Any] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = (logs or {}).get(self.monitor)
        if value is not None and (self.best is None or value < self.best):
            self.best, self.best_epoch, self.best_logs = float(value), epoch, dict(logs or {})
            self._unwritten = self.model.get_weights()

    def write(self) -> None:
        """Write the best weights, if they are not in the file yet."""
        if self._unwritten is None:
            return
        now = self.model.get_weights()
        self.model.set_weights(self._unwritten)
        self.model.save(self.path, include_optimizer=False)
        self.model.set_weights(now)
        self._unwritten = None

    def on_train_end(self, logs: Logs | None = None) -> None:
        self.write()


class Checkpoint(BackupAndRestore):
    """A backup at the end of epochs: of each, or where they are short of as many as take a tenth of the time at most.

    Args:
        best: is written before, so that the two go together.
    """

    best: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._due = 0.0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        start = time.perf_counter()
        is_last = epoch + 1 == self.params["epochs"] or self.model.stop_training
        if start < self._due and not is_last:
            return
        self.best.write()
        super().on_epoch_end(epoch, logs)
        end = time.perf_counter()
        self._due = end + OVERHEAD * (end - start)


Checkpoint.__init__._is_declared = True  # type: ignore[attr-defined]


class Epochs(Callback):
    """Counts the epochs that ended."""

    done = 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.done = epoch + 1


def told(spec: Path, data: str | None, seed: int, plugins: Iterable[Path] = ()) -> dict[str, Any]:
    """What ``layerkit train SPEC --data DATA --seed SEED`` is told, for ``run.json``."""
    place = spec.resolve()
    return {
        "spec": str(place), "data": str(Path(data).resolve()) if data is not None and Path(data).exists() else data,
        "data_folder": str(place.parent), "seed": seed, "plugins": [str(p) for p in plugins],
    }  # fmt: skip


def _named(spec: Spec) -> Spec:
    """The spec with the name of its file in it, if it says no other: in the folder of its run the file has another name."""
    return spec if spec.root.get("name") is not None else spec.override({"name": write_scalar(spec.name)})


def _next_free(parent: Path, name: str) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        folder = parent / f"{name}-{number}"
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1


def environment(seed: int | None = None) -> dict[str, Any]:
    """What a result may depend on: versions, processor, threads, seed, command."""
    from layerkit.engines.llvm.codegen.target import host
    from layerkit.engines.llvm.runtime.threads import threads

    versions = {"layerkit": __version__}
    for name in ("numpy", "llvmlite", "ml_dtypes", "safetensors", "pyyaml"):
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    target = host()
    features = [f[1:] for f in target.features.split(",") if f.startswith("+")]
    return {
        "command": shlex.join(["layerkit", *sys.argv[1:]]),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": versions,
        "cpu": target.cpu,
        "cpu_features": features,
        "vector_bytes": target.vector_bytes,
        "threads": threads(),
        "seed": seed,
        "variables": {k: v for k, v in sorted(os.environ.items()) if k.startswith("LAYERKIT_")},
    }


def fingerprint(data: DataSet) -> str:
    """A hash of the data to train on: a run goes on with the same data only. Of what is not read whole, its description."""
    digest = hashlib.sha256(json.dumps([data.rows, data.preparation.to_config()], default=_plain).encode())
    for part in (data.train, data.validation) if data.in_memory else ():
        for array in tree.leaves(part) if part is not None else ():
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).reshape(-1).view("uint8").data)
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return str(value)
