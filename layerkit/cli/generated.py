"""Data for the starter specs, made by rules, the same each time: small enough to train on in seconds, and learnable."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue().encode()


def _npz(**arrays: Array) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def tabular(rows: int = 800) -> bytes:
    """Customers: those with a short contract, many calls and a high price leave."""
    rng = _rng()
    contracts = ("daily", "monthly", "yearly", "two years")
    age, months = rng.integers(18, 80, rows), rng.integers(1, 60, rows)
    calls, price = rng.poisson(2, rows), rng.normal(40, 12, rows).round(2)
    contract = rng.integers(0, 4, rows)
    score = 0.6 * calls + 0.06 * (price - 40) - 0.05 * months - 0.9 * contract + 1.6 + rng.normal(0, 0.5, rows)
    leaves = np.where(score > 0, "yes", "no")
    table = zip(age, months, calls, price, (contracts[c] for c in contract), leaves, strict=True)
    return _csv(("age", "months", "calls", "price", "contract", "leaves"), table)


def regression(rows: int = 600) -> bytes:
    """Flats: the price by size, rooms, floor and year, with noise; in thousands."""
    rng = _rng()
    size, rooms = rng.normal(70, 20, rows).clip(20).round(1), rng.integers(1, 6, rows)
    floor, year = rng.integers(0, 12, rows), rng.integers(1950, 2025, rows)
    price = (
        0.05 * size + 0.2 * rooms + 0.05 * floor + 0.00008 * (year - 1980) ** 2 * (size / 70) + rng.normal(0, 0.2, rows)
    )
    return _csv(("size", "rooms", "floor", "year", "price"), zip(size, rooms, floor, year, price.round(3), strict=True))


def series(rows: int = 480, steps: int = 64) -> bytes:
    """Three kinds of swinging, in three channels, with noise."""
    rng = _rng()
    y = np.arange(rows) % 3
    speed = np.array([0.2, 0.35, 0.5])[y] * rng.normal(1, 0.05, rows)
    angle = speed[:, None] * np.arange(steps) + rng.uniform(0, 2 * np.pi, rows)[:, None]
    x = np.stack([np.sin(angle), np.cos(angle), np.sin(2 * angle)], -1) + rng.normal(0, 0.25, (rows, steps, 3))
    return _npz(x=x.astype("float32"), y=y.astype("int32"))


def forecast(hours: int = 1000) -> bytes:
    """Hours of sun, and how much warmer than usual it was: a day that repeats, slow clouds, warmth that lags, noise."""
    rng = _rng()
    t = np.arange(hours)
    clouds = 1 + 0.5 * np.sin(2 * np.pi * t / 170)
    sun = np.maximum(np.sin(2 * np.pi * (t - 6) / 24), 0) * clouds
    warmth = np.empty(hours)
    now = 0.0
    for hour in range(hours):
        now += 0.6 * (sun[hour] - 0.32) - 0.15 * now + rng.normal(0, 0.06)
        warmth[hour] = now
    return _csv(("hour", "sun", "warmth"), zip(t, sun.round(3), warmth.round(3), strict=True))


def text(rows: int = 500) -> bytes:
    """Sentences of praise and complaint; "not" turns one into the other."""
    rng = _rng()
    things = ("phone", "screen", "battery", "camera", "sound", "price")
    words = {"praise": ("good", "great"), "complaint": ("bad", "awful", "slow", "noisy", "useless", "broken")}
    table = []
    for i in range(rows):
        opinion = ("praise", "complaint")[i % 2]
        turned = rng.random() < 0.25
        said = words["complaint" if (opinion == "praise") == turned else "praise"]
        sentence = (
            f"the {rng.choice(things)} is {'not ' if turned else ''}{'very ' * int(rng.integers(2))}{rng.choice(said)}"
        )
        if rng.random() < 0.4:
            sentence = (
                f"{sentence} and {'I would buy it again' if opinion == 'praise' else 'I would never buy it again'}"
            )
        table.append((sentence, opinion))
    return _csv(("text", "opinion"), table)


def video(rows: int = 240, frames: int = 6, size: int = 16) -> bytes:
    """A square that goes up, down, left or right."""
    rng = _rng()
    y = np.arange(rows) % 4
    x = rng.normal(0, 0.1, (rows, frames, size, size, 1)).astype("float32")
    for row, way in enumerate(np.array([[-1, 0], [1, 0], [0, -1], [0, 1]])[y]):
        place = rng.integers(5, size - 7, 2)
        for frame in range(frames):
            top, left = np.clip(place + way * frame, 0, size - 3)
            x[row, frame, top : top + 3, left : left + 3] += 1
    return _npz(x=x, y=y.astype("int32"))


WORDS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
    "thirty",
    "forty",
    "fifty",
    "sixty",
    "seventy",
    "eighty",
    "ninety",
    "hundred",
    "and",
]


def in_words(number: int) -> list[str]:
    """A number below 1000 in words.

    >>> " ".join(in_words(402)), " ".join(in_words(90))
    ('four hundred and two', 'ninety')
    """
    hundreds, rest = divmod(number, 100)
    said = [WORDS[hundreds], "hundred"] if hundreds else []
    if hundreds and rest:
        said.append("and")
    if rest >= 20:
        said += [WORDS[18 + rest // 10]] + ([WORDS[rest % 10]] if rest % 10 else [])
    elif rest or not hundreds:
        said.append(WORDS[rest])
    return said


def translation() -> bytes:
    """The numbers below 1000 in words, as numbers of words from 1 on, and their three digits."""
    order = _rng().permutation(1000)
    x = np.zeros((1000, 6), "int32")
    for row, number in enumerate(order):
        said = [1 + WORDS.index(word) for word in in_words(int(number))]
        x[row, : len(said)] = said
    return _npz(x=x, y=np.stack([order // 100, order // 10 % 10, order % 10], 1).astype("int32"))


FILES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "tabular": ("tabular.csv", tabular),
    "regression": ("regression.csv", regression),
    "series": ("series.npz", series),
    "forecast": ("forecast.csv", forecast),
    "text": ("text.csv", text),
    "video": ("video.npz", video),
    "translation": ("translation.npz", translation),
}
"""The file that the starter spec of a task reads, and what makes it."""
