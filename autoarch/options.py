"""What a search is told, and the spec that it searches: with the data in it, and with parts held out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import builders
from autoarch import comparable
from autoarch.folder import TAKEN
from autoarch.modality import HELD_OUT, Task, look, ships
from autoarch.space import Sampler
from autoarch.tasks import Limits
from builders import Spec
from layerkit import datasets
from layerkit.cli.runs import FILES
from layerkit.data import Shipped
from layerkit.errors import ArgumentError, DataError

DEFAULT_TRIALS = 27


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
        trials: to propose; None: as many as there is time for.
        seed: of everything.
        round_size: trials that are proposed at a time.
        sampler: "tpe", "random" or "grid".
        limits: trials outside are rejected untrained.
    """

    spaces: tuple[Space, ...]
    data: str | None
    trials: int | None
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


def prepare(
    paths: Sequence[Path], data: str | None, *, target: str | None = None, task: Task = "auto", names: Sequence[str] = (),
    say: Callable[[str], None] = lambda text: None, **others: Any,
) -> Options:  # fmt: skip
    """Look at the specs and at the data once, before anything is proposed.

    Args:
        paths: the specs; without any those that ship and fit the data.
        data: a file, a folder or the name of data that ship, instead of the specs'.
        target: the column to predict.
        task: what is asked for, where the target leaves it open and no spec is given.
        names: of spaces that ship, or their families; all that fit unless given.
        say: gets what was found in the data.
        others: the other fields of ``Options``.

    Raises:
        SpecErrors: faults of a spec.
        DataError: data that do not fit, or that nobody named.
        ArgumentError: there is nothing to search.
    """
    specs = [(_name(path), builders.load(path)) for path in paths]
    if not specs:
        if data is None:
            raise ArgumentError("there is nothing to search.", expected="a spec, or data", got="neither", fix="--data")
        found = look(data, target, task)
        specs = found.spaces(names)
        say(found.describe())
    elif names:
        raise ArgumentError(
            "specs are given, and spaces that ship.", expected="one of them", got=", ".join(names), fix="leave one out"
        )
    elif target is not None:
        specs = [(name, spec.override({"data.target": json.dumps(target)})) for name, spec in specs]
    if data in datasets.DATASETS and all(_ships(spec) for _, spec in specs):
        specs, data = [(name, spec.override({"data.dataset": str(data)})) for name, spec in specs], None
    elif data is None:
        data = _path_of([spec for _, spec in specs])
    elif data not in datasets.DATASETS:
        data = str(Path(data).resolve())
    twice = next((name for i, (name, _) in enumerate(specs) if name in dict(specs[:i])), None)
    if twice is not None:
        raise ArgumentError(
            "two spaces have the same name.", expected="a name of its own for each", got=twice,
            fix="change the key name: of one of the specs",
        )  # fmt: skip
    if paths:
        comparable.check([spec for _, spec in specs], say)
    return Options(tuple(_space(name, spec, data) for name, spec in specs), data, **others)


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


def _space(name: str, spec: Spec, data: str | None) -> Space:
    if spec.data_section() is None:
        raise DataError(
            "the spec does not say how the data are read.", expected="a section data:, such as {csv: rows.csv, target: label}",
            got="none", fix="write it; --data then names other data of the same kind",
        )  # fmt: skip
    if not spec.holes:
        raise ArgumentError(
            "there is nothing to search.", expected="a spec with holes, such as units: !choice [32, 64]", got="none",
            fix=f"layerkit train {spec.file}",
        )  # fmt: skip
    _check_files(spec)
    spec = _parted(spec, data)
    return Space(name, spec.text, str(Path(spec.file).resolve()), _epochs(spec))


def _check_files(spec: Spec) -> None:
    """See that the files which a spec names can lie beside ``best.yaml``, and in its run."""
    taken = {*TAKEN, *FILES}
    for file in [] if ships(spec.file) else least(spec).files:
        if Path(file).parts[0].lower() in taken:
            raise ArgumentError(
                "a file that the spec names has the name of a file of searches or runs.", expected="another name", got=file,
                fix="rename it",
            )  # fmt: skip


def least(spec: Spec) -> Spec:
    """The spec with the first choice and the lowest number in each hole."""
    while spec.holes:
        spec = spec.fill({h.path: h.choices[0] if h.choices else h.low for h in spec.holes})
    return spec


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
    epochs = int(least(spec).fit.get("epochs", 1))
    if epochs < 1:
        raise ArgumentError("a trial trains one epoch at least.", expected="fit: {epochs: 1}, or more", got=str(epochs))
    return epochs
