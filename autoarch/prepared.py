"""Data that are read, split and prepared once, and mapped into memory by every worker that trains on them.

The sealed test part is never written here. Data that are larger than memory stay where they are and are read in batches.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from layerkit.data import tensors
from layerkit.data.preparation import Preparation
from layerkit.saving.locks import alone

if TYPE_CHECKING:
    from builders import Spec
    from layerkit.data import DataSet

PARTS = ("train", "validation")
FACTS = "facts.json"


@dataclass(frozen=True)
class Prepared:
    """The parts that a search sees, as ``fit`` takes them: ``(x, y)``, or batches and None."""

    train: tuple[Any, Any]
    validation: tuple[Any, Any]
    preparation: Preparation


def prepared(spec: Spec, data: str | None, model: Any, folder: Path) -> Prepared:
    """The data of a spec for a model, from ``folder`` if they were prepared there before.

    Two specs share them when their sections ``data`` and the inputs and outputs of their models are equal.
    """
    section = spec.data_section()
    key = [None if section is None else repr(section.node.plain()), data, repr(tensors(model))]
    place = folder / hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
    if not (place / FACTS).exists():
        with alone(folder / "lock", waits=True):
            if not (place / FACTS).exists():
                dataset = spec.dataset(data, model=model)
                if not dataset.in_memory or not _write(dataset, place):
                    return read(dataset)
    return _mapped(place)


def read(dataset: DataSet) -> Prepared:
    """The parts of a data set that is open, without a copy in a folder."""
    parts = {name: getattr(dataset, name) for name in PARTS}
    x_y = {name: part if dataset.in_memory else (part, None) for name, part in parts.items()}
    return Prepared(x_y["train"], x_y["validation"], dataset.preparation)


def _write(dataset: DataSet, place: Path) -> bool:
    """Write the parts, all or nothing; False if they are texts, which cannot be mapped."""
    found = {f"{part}.{end}": getattr(dataset, part)[i] for part in PARTS for i, end in enumerate("xy")}
    named = {k: v if isinstance(v, Mapping) else {"": v} for k, v in found.items()}
    if any(a.dtype.kind not in "biuf" for arrays in named.values() for a in arrays.values()):
        return False
    new = place.with_suffix(".new")  # there is one at a time, behind the lock; what a killed one left is written over
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    files: dict[str, dict[str, str]] = {}
    for key, arrays in named.items():
        files[key] = {name: f"{key}.{i}.npy" for i, name in enumerate(arrays)}
        for name, array in arrays.items():
            np.save(new / files[key][name], array)
    facts = {"files": files, "preparation": dataset.preparation.to_config()}
    (new / FACTS).write_text(json.dumps(facts), encoding="utf-8")
    shutil.rmtree(place, ignore_errors=True)
    new.replace(place)
    return True


def _mapped(place: Path) -> Prepared:
    facts = json.loads((place / FACTS).read_text(encoding="utf-8"))

    def part(name: str) -> tuple[Any, Any]:
        x, y = (_arrays(place, facts["files"][f"{name}.{end}"]) for end in "xy")
        return x, y

    return Prepared(part("train"), part("validation"), Preparation.from_config(facts["preparation"]))


def _arrays(place: Path, files: Mapping[str, str]) -> Any:
    found = {name: np.load(place / file, mmap_mode="r", allow_pickle=False) for name, file in files.items()}
    return found[""] if list(found) == [""] else found
