"""What a search is told, and the spec that it searches: with the data in it, and with parts held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import builders
from autoarch.space import Sampler
from autoarch.tasks import Limits
from builders import Spec
from layerkit import datasets
from layerkit.data import Shipped
from layerkit.errors import ArgumentError, DataError

HELD_OUT = 0.2  # share of the rows for validation, and for the sealed test, where neither spec nor data say it


@dataclass(frozen=True)
class Space:
    """A spec with holes.

    Attributes:
        name: of the space.
        spec: its text, with holes, data and split.
        file: where it comes from; what it names lies beside.
        epochs: of a trial that goes to the end.
    """

    name: str
    spec: str
    file: str
    epochs: int


@dataclass(frozen=True)
class Options:
    """What a search is told.

    Attributes:
        spaces: that are searched together.
        data: a file or folder, instead of the specs'.
        trials: to propose.
        seed: of everything.
        round_size: trials that are proposed at a time.
        sampler: "tpe", "random" or "grid".
        limits: trials outside are rejected untrained.
    """

    spaces: tuple[Space, ...]
    data: str | None
    trials: int
    seed: int = 0
    round_size: int = 9
    sampler: Sampler = "tpe"
    limits: Limits = field(default_factory=Limits)

    def file_of(self, space: str) -> str:
        """The file of a space."""
        return next(s.file for s in self.spaces if s.name == space)


def options_from(config: Mapping[str, Any]) -> Options:
    """The options that were written as JSON."""
    made = {"spaces": tuple(Space(**s) for s in config["spaces"]), "limits": Limits(**config["limits"])}
    return Options(**{**config, **made})


def shipped(name: str) -> Path:
    """The file of a space that ships: ``spaces/<name>.yaml``."""
    return Path(str(files("autoarch") / "spaces" / f"{name}.yaml"))


def prepare(paths: Sequence[Path], data: str | None, **others: Any) -> Options:
    """Look at the specs and at the data once, before anything is proposed.

    Args:
        paths: the specs; without any the space of images that ships, with the data's shape and classes.
        data: a file, a folder or the name of data that ship, instead of the specs'.
        others: the other fields of ``Options``.

    Raises:
        SpecErrors: faults of a spec.
        DataError: data that do not fit, or that nobody named.
        ArgumentError: there is nothing to search.
    """
    names = [_name(path) for path in paths]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ArgumentError(
            "two spaces have the same name.", expected="a name of its own for each", got=twice,
            fix="change the key name: of one of the specs",
        )  # fmt: skip
    specs = [builders.load(path) for path in paths] or [builders.load(shipped("images_cnn"))]
    if data in datasets.DATASETS and all(_ships(spec) for spec in specs):
        specs, data = [spec.override({"data.dataset": str(data)}) for spec in specs], None
    elif data is None:
        data = _path_of(specs)
    elif data not in datasets.DATASETS:
        data = str(Path(data).resolve())
    if not paths:
        specs = [_fitted(spec) for spec in specs]
    spaces = [_space(spec, path, data) for spec, path in zip(specs, paths or [shipped("images_cnn")], strict=True)]
    return Options(tuple(spaces), data, **others)


def _name(path: Path) -> str:
    return builders.load(path).name or path.stem


def _ships(spec: Spec) -> bool:
    section = spec.data_section()
    return section is None or isinstance(section.source, Shipped)


def _path_of(specs: Sequence[Spec]) -> str | None:
    """The file or folder that the specs read, from the root: ``best.yaml`` lies in another folder than they."""
    found: set[str | None] = set()
    for spec in specs:
        section = spec.data_section()
        if section is None or isinstance(section.source, Shipped):
            found.add(None)
            continue
        paths = [v for name in ("path", "test", "x", "y") if isinstance(v := getattr(section.source, name, None), str)]
        if not isinstance(getattr(section.source, "path", None), str) or len(paths) > 1:
            raise DataError(
                "the spec that is found has to be trained from another folder.", where=section.node.span,
                expected="--data with the file or folder", got="several paths in the spec", fix="give --data",
            )  # fmt: skip
        found.add(str((Path(spec.file).parent / section.source.path).resolve()))
    if len(found) > 1:
        raise DataError(
            "the specs read different data.", expected="the same data for all", got=", ".join(sorted(map(str, found)))
        )
    return next(iter(found), None)


def _space(spec: Spec, path: Path, data: str | None) -> Space:
    if spec.data_section() is None:
        raise DataError(
            "the spec does not say how the data are read.", expected="a section data:, such as {csv: rows.csv, target: label}",
            got="none", fix="write it; --data then names other data of the same kind",
        )  # fmt: skip
    if not spec.holes:
        raise ArgumentError(
            "there is nothing to search.", expected="a spec with holes, such as units: !choice [32, 64]", got="none",
            fix=f"layerkit train {path}",
        )  # fmt: skip
    spec = _parted(spec, data)
    return Space(spec.name or path.stem, spec.text, str(path.resolve()), _epochs(spec))


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
