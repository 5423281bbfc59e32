"""The example specs at small size, with data in the files that they name."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import builders

SPECS = Path(__file__).parents[2] / "examples/specs"
ROWS = 48


def _arrays(folder, name, **arrays):
    np.savez(folder / name, **arrays)


def _photos(folder, rng):
    image = pytest.importorskip("PIL.Image")
    for label in ("cat", "dog"):
        (folder / "photos" / label).mkdir(parents=True)
        for i in range(10):
            image.fromarray(rng.integers(0, 256, (40, 40, 3)).astype("uint8")).save(folder / f"photos/{label}/{i}.png")


def _motions(folder, rng):
    lines = ["@classLabel true a b c d", "@data"]
    lines += [
        ":".join([",".join(map(str, rng.normal(size=20).round(3))) for _ in range(6)] + ["abcd"[i % 4]])
        for i in range(ROWS)
    ]
    (folder / "motions.ts").write_text("\n".join(lines))


def _clicks(folder, rng):
    with (folder / "clicks.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["age", "hour", "site", "device", "clicked"])
        for i in range(400):
            age = rng.integers(18, 80) if i % 50 else ""
            writer.writerow([age, rng.integers(24), rng.choice(["news", "shop"]), rng.choice(["phone", "desk"]), i % 2])


def _tokens(rng, rows, length, top):
    return rng.integers(1, top, (rows, length)).astype("int32")


DATA = {
    "resnet20": ({"width": 4, "depth": 1, "size": 16}, lambda f, r: _arrays(f, "photos.npz", x=r.normal(size=(ROWS, 16, 16, 3)), y=np.arange(ROWS) % 10)),
    "mobilenet_v2": ({"size": 32, "classes": 2, "repeats": 0}, _photos),
    "unet": ({"width": 4, "size": 16}, lambda f, r: _arrays(f, "cells.npz", x=r.normal(size=(ROWS, 16, 16, 1)), y=r.integers(0, 2, (ROWS, 16, 16)))),
    "transformer_classifier": (
        {"vocabulary": 50, "length": 8, "width": 8, "heads": 2, "depth": 1},
        lambda f, r: _arrays(f, "tokens.npz", x=_tokens(r, ROWS, 8, 50), y=np.arange(ROWS) % 4),
    ),
    "cnn_lstm_series": ({"steps": 20, "filters": 4, "units": 4}, _motions),
    "cnn_lstm_video": (
        {"frames": 3, "size": 8, "filters": 4, "units": 4},
        lambda f, r: _arrays(f, "clips.npz", x=r.normal(size=(ROWS, 3, 8, 8, 1)) + (np.arange(ROWS) % 4)[:, None, None, None, None], y=np.arange(ROWS) % 4),
    ),
    "translation": (
        {"vocabulary": 40, "length": 5, "width": 8, "heads": 2, "depth": 1},
        lambda f, r: _arrays(f, "pairs.npz", source=_tokens(r, ROWS, 5, 40), written=_tokens(r, ROWS, 5, 40), target=_tokens(r, ROWS, 5, 40)),
    ),
    "captions": (
        {"size": 16, "length": 4, "vocabulary": 30, "width": 8},
        lambda f, r: _arrays(f, "scenes.npz", image=r.normal(size=(ROWS, 16, 16, 3)), written=_tokens(r, ROWS, 4, 30), caption=_tokens(r, ROWS, 4, 30)),
    ),
    "clicks": ({"sites": 3, "devices": 3, "width": 4}, _clicks),
    "sentiment": ({"vocabulary": 40, "length": 6, "width": 4}, lambda f, r: _arrays(f, "reviews.npz", x=_tokens(r, ROWS, 6, 40), y=np.arange(ROWS) % 2)),
}  # fmt: skip
"""What of ``let`` is made small, and what writes the file that the spec names."""


@pytest.fixture
def small_spec(tmp_path: Path) -> Callable[..., builders.Spec]:
    """Makes an example spec small, and writes its data beside it."""

    def make(name: str, epochs: int = 5) -> builders.Spec:
        values = {"fit.epochs": str(epochs), "fit.batch_size": "16"}
        if name in DATA:
            small, write = DATA[name]
            write(tmp_path, np.random.default_rng(0))
            values |= {f"let.{key}": str(value) for key, value in small.items()}
        shutil.copy(SPECS / f"{name}.yaml", tmp_path)
        return builders.load(tmp_path / f"{name}.yaml").override(values)

    return make
