"""What a search is told, and the spec that it searches: with the data in it, and with parts held out."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import builders
from autoarch.space import Sampler
from builders import Spec
from layerkit import datasets
from layerkit.data import Shipped
from layerkit.errors import ArgumentError, DataError

HELD_OUT = 0.2  # share of the rows for validation, and for the sealed test, where neither spec nor data say it


@dataclass(frozen=True)
class Options:
    """What a search is told.

    Attributes:
        spec: its text, with holes, data and split.
        file: where it comes from; what it names lies beside.
        data: a file or folder, instead of the spec's.
        epochs: of a trial that goes to the end.
        trials: to propose.
        seed: of everything.
        round_size: trials that are proposed at a time.
        sampler: "tpe" or "random".
        most_parameters, most_bytes: trials outside are rejected untrained.
    """

    spec: str
    file: str
    data: str | None
    epochs: int
    trials: int
    seed: int = 0
    round_size: int = 9
    sampler: Sampler = "tpe"
    most_parameters: int | None = None
    most_bytes: int | None = None


def shipped(name: str) -> Path:
    """The file of a space that ships: ``spaces/<name>.yaml``."""
    return Path(str(files("autoarch") / "spaces" / f"{name}.yaml"))


def prepare(path: Path | None, data: str | None, **others: Any) -> Options:
    """Look at the spec and at the data once, before anything is proposed.

    Args:
        path: the spec; without it the space of images that ships, with the data's shape and classes.
        data: a file, a folder or the name of data that ship, instead of the spec's.
        others: the other fields of ``Options``.

    Raises:
        SpecErrors: faults of the spec.
        DataError: data that do not fit, or that nobody named.
        ArgumentError: there is nothing to search.
    """
    spec = builders.load(path or shipped("images_cnn"))
    section = spec.data_section()
    if data in datasets.DATASETS and (section is None or isinstance(section.source, Shipped)):
        spec, data = spec.override({"data.dataset": str(data)}), None
        section = spec.data_section()
    elif data is not None and data not in datasets.DATASETS:
        data = str(Path(data).resolve())
    if section is None:
        raise DataError(
            "the spec does not say how the data are read.", expected="a section data:, such as {csv: rows.csv, target: label}",
            got="none", fix="write it; --data then names other data of the same kind",
        )  # fmt: skip
    if data is None and not isinstance(section.source, Shipped):
        raise DataError(
            "the spec that is found has to be trained from another folder.", where=section.node.span,
            expected="--data with the file or folder", got="a path in the spec", fix="give --data",
        )  # fmt: skip
    if path is None:
        spec = _fitted(spec)
    if not spec.holes:
        raise ArgumentError(
            "there is nothing to search.", expected="a spec with holes, such as units: !choice [32, 64]", got="none",
            fix=f"layerkit train {path}",
        )  # fmt: skip
    spec = _parted(spec, data)
    return Options(spec.text, str((path or shipped("images_cnn")).resolve()), data, _epochs(spec), **others)


def least(spec: Spec) -> Spec:
    """The spec with the first choice and the lowest number in each hole."""
    while spec.holes:
        spec = spec.fill({h.path: h.choices[0] if h.choices else h.low for h in spec.holes})
    return spec


def _fitted(spec: Spec) -> Spec:
    """The space that ships, with what the data say about images and classes."""
    section = spec.data_section()
    assert section is not None
    (x, y), _ = datasets.load(section.source.name)
    return spec.override({"let.shape": str(list(x.shape[1:])), "let.classes": str(int(y.max()) + 1)})


def _parted(spec: Spec, data: str | None) -> Spec:
    """The spec with a validation part and a test part, as `layerkit train` will hold them out too."""
    filled = least(spec)
    parts = filled.dataset(data).rows
    wanted: dict[str, str] = {}
    share = filled.fit.get("validation_split")
    if share:
        wanted["fit.validation_split"] = "0"
    if "validation" not in parts:
        wanted["data.split.validation"] = str(share or HELD_OUT)
    if "test" not in parts:
        wanted["data.split.test"] = str(HELD_OUT)
    return spec.override(wanted) if wanted else spec


def _epochs(spec: Spec) -> int:
    """What `fit: {epochs: ...}` says."""
    if any(h.path == "fit.epochs" for h in spec.holes):
        raise ArgumentError(
            "the epochs are not searched: halving decides who trains how long.", expected="fit: {epochs: 27}", got="a hole",
            fix="write the most that a trial may train",
        )  # fmt: skip
    return int(least(spec).fit.get("epochs", 1))
