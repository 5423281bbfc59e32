"""Whether the trials of a search can be compared: all measure accuracy, or all have the same loss.

A loss of one kind says nothing beside one of another, nor beside an accuracy; so a search of specs that measure unlike
things, or of one that chooses among losses, is refused before anything is trained.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoarch.ranking import ACCURACY
from builders import Spec
from builders.holes import Hole
from builders.nodes import Scalar, children, has_hole
from layerkit import losses, metrics
from layerkit.errors import ArgumentError, LayerkitError, Span
from layerkit.models.compiled import is_config

METRICS = ("metrics", "weighted_metrics")


@dataclass(frozen=True)
class Measured:
    """What a spec is measured by.

    Attributes:
        accuracy: whether that is.
        loss: by its name, with its arguments.
        where: it says so.
    """

    accuracy: bool
    loss: str
    where: Span

    def __str__(self) -> str:
        return f"{Path(self.where.file).name}:{self.where.line}: {'accuracy and ' if self.accuracy else ''}{self.loss}"


def check(specs: Sequence[Spec], say: Callable[[str], None]) -> None:
    """See that all trials of these specs can be compared.

    Args:
        specs: with holes.
        say: is told where losses differ that decide only between equals.

    Raises:
        ArgumentError: they cannot.
    """
    found = list({(m.accuracy, m.loss, m.where.file): m for spec in specs for m in _all(spec)}.values())
    if len({m.accuracy for m in found}) == 1 == len({m.loss for m in found}) or not found:
        return
    named = "; ".join(map(str, found))
    if all(m.accuracy for m in found):
        say(f"note     losses differ ({named}): trials of equal accuracy are ordered by them, which means little")
        return
    if any(m.accuracy for m in found):
        missing = ", ".join(dict.fromkeys(f"{m.where.file}:{m.where.line}" for m in found if not m.accuracy))
        raise ArgumentError(
            "trials that measure accuracy cannot be compared with trials that do not.", where=found[0].where, got=named,
            expected="accuracy everywhere, or nowhere and one loss",
            fix=f"write metrics: [accuracy] in the section compile: at {missing}; or search the specs one by one",
        )  # fmt: skip
    raise ArgumentError(
        "trials of unlike losses cannot be compared.", where=found[0].where, got=named,
        expected="one loss for all, or accuracy in all",
        fix="write the same loss in the section compile: of each; of classes, metrics: [accuracy] in each does as well",
    )  # fmt: skip


def _all(spec: Spec) -> Iterator[Measured]:
    """All that a spec may be measured by, whatever goes into its holes."""
    section = spec.section("compile")
    parts = [] if section is None else [section.get(name) for name in ("loss", *METRICS)]
    is_open = any(part is not None and has_hole(part) for part in parts)
    for filled in _filled(spec, everything=is_open):
        found = _measured(filled)
        if found is not None:
            yield found


def _filled(spec: Spec, *, everything: bool) -> Iterator[Spec]:
    """The spec without holes, once; or so often that each option, and both ends of each range, stand somewhere."""
    if not spec.holes:
        yield spec
        return
    first = {hole.path: _options(hole)[0] for hole in spec.holes}
    yield from _filled(spec.fill(first), everything=everything)
    for hole in spec.holes if everything else ():
        for option in _options(hole)[1:]:
            yield from _filled(spec.fill({**first, hole.path: option}), everything=everything)


def _options(hole: Hole) -> tuple[Any, ...]:
    return hole.choices or (hole.low, hole.high)


def _measured(spec: Spec) -> Measured | None:
    """What a spec without holes is measured by; None where it does not say how to train."""
    section = spec.section("compile")
    loss = None if section is None else section.get("loss")
    if section is None or loss is None:
        return None
    outputs = spec.root.get("outputs")
    has_one = outputs is None or isinstance(outputs, Scalar) or len(list(children(outputs))) == 1
    given = [node.plain() for name in METRICS if (node := section.get(name)) is not None]
    return Measured(has_one and any(map(_has_accuracy, given)), _name(loss.plain()), loss.span)


def _name(loss: Any) -> str:
    """A loss by one name, however it was written."""
    loss = _alone(loss)
    with suppress(LayerkitError, TypeError, ValueError):  # one for each output, or wrong: of that the first trial tells
        return repr(losses.get(loss)).removesuffix("()")
    return loss if isinstance(loss, str) else json.dumps(loss, ensure_ascii=False, default=str)


def _has_accuracy(given: Any) -> bool:
    """Whether a score of that name comes of the metrics of a model with one output; of several, names have those of outputs before them."""
    given = _alone(given)
    for each in given if isinstance(given, list) else [given]:
        with suppress(LayerkitError, TypeError, ValueError):
            if metrics.get(each, (None,), (None, 2)).name == ACCURACY:
                return True
    return False


def _alone(given: Any) -> Any:
    """What a list or a mapping with a place for each output has for the only one, or in the end for each."""
    while isinstance(given, list | Mapping) and len(given) == 1 and not is_config(given):
        (given,) = given.values() if isinstance(given, Mapping) else given
    return given
