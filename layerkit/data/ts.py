"""``.ts``: labelled time series, as the UEA and UCR archives ship them.

Lines that begin with ``#`` are comments, with ``@`` the header; below ``@data`` each line is a case: its channels separated
by ``:``, the numbers of a channel by ``,``, the label or target last. Source: aeon's and sktime's documentation of the format.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from layerkit.data.files import broken, read_text
from layerkit.ir import Array
from layerkit.records import dataclass


@dataclass(frozen=True)
class Series:
    """Cases of time series.

    ``x`` is (cases, time, channels) float32, cases that end earlier padded with 0; ``mask`` is (cases, time), true for the
    steps that are there. ``y`` are int32 numbers into ``classes``, or float32 targets, or None. A missing value is nan.
    """

    x: Array
    mask: Array
    y: Array | None
    classes: tuple[str, ...] | None
    lengths: Array


def read_ts(path: str | Path) -> Series:
    """The series in a ``.ts`` file.

    Raises:
        FileFormatError: a value that is no number, channels of unequal length, an unknown label; it says the line.
    """
    header: dict[str, str] = {}
    classes: tuple[str, ...] | None = None
    has_target = False
    cases: list[Array] = []
    labels: list[str] = []
    in_data = False
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if not in_data:
            if not line.startswith("@"):
                raise broken(
                    path, "data before '@data'.", number, expected="a header line that begins with @", got=line[:40]
                )
            key, _, value = line[1:].partition(" ")
            header[key.lower()] = value.strip()
            if key.lower() == "classlabel" and value.strip().lower().startswith("true"):
                classes = tuple(value.split()[1:])
                if not classes:
                    raise broken(
                        path, "'@classLabel true' names no classes.", number, expected="the labels after it", got=line
                    )
            has_target = has_target or (key.lower() == "targetlabel" and value.strip().lower().startswith("true"))
            in_data = key.lower() == "data"
            continue
        parts = line.split(":")
        if classes is not None or has_target:
            labels.append(parts.pop().strip())
            if classes is not None and labels[-1] not in classes:
                raise broken(
                    path, "the label is none of the classes.", number, expected=", ".join(classes), got=labels[-1]
                )
        if not parts:
            raise broken(
                path, "the case has no values.", number, expected="numbers, then ':' and the label", got=line[:40]
            )
        channels = [_channel(path, number, part) for part in parts]
        if len({len(c) for c in channels}) > 1:
            raise broken(
                path,
                "the channels of a case have unequal lengths.",
                number,
                expected=len(channels[0]),
                got=[len(c) for c in channels],
            )
        if cases and cases[0].shape[1] != len(channels):
            raise broken(
                path, "the case has another number of channels.", number, expected=cases[0].shape[1], got=len(channels)
            )
        cases.append(np.stack(channels, axis=1))
    if not cases:
        raise broken(path, "the file holds no cases.", expected="'@data' and cases below it", got="none")
    lengths = np.array([len(c) for c in cases], "int32")
    x = np.zeros((len(cases), lengths.max(), cases[0].shape[1]), "float32")
    for row, case in zip(x, cases, strict=True):
        row[: len(case)] = case
    mask = np.arange(lengths.max()) < lengths[:, None]
    return Series(
        x, mask, _targets(path, labels, classes, has_target), tuple(sorted(classes)) if classes else None, lengths
    )


def _channel(path: str | Path, line: int, text: str) -> Array:
    values = [v.strip() for v in text.strip().strip("()").split(",")]
    try:
        return np.array([np.nan if v.lower() in ("?", "nan", "") else float(v) for v in values], "float32")
    except ValueError as error:
        raise broken(
            path, "a value is no number.", line, expected="numbers separated by commas", got=str(error)
        ) from error


def _targets(path: str | Path, labels: list[str], classes: tuple[str, ...] | None, has_target: bool) -> Array | None:
    if classes is not None:
        index = {label: i for i, label in enumerate(sorted(classes))}
        return np.array([index[label] for label in labels], "int32")
    if not has_target:
        return None
    try:
        return np.array([float(v) for v in labels], "float32")
    except ValueError as error:
        raise broken(path, "a target is no number.", expected="numbers", got=str(error)) from error
