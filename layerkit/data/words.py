"""Texts as rows of whole numbers, one for each word: which words have a number is learned from the rows to train on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from layerkit.fields import Configurable, PositiveInt
from layerkit.ir import Array

FILL, UNKNOWN = 0, 1  # what stands after the end of a text, and for a word without a number of its own
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


class Words(Configurable):
    """Texts to predict from become the numbers of their words.

    Args:
        length: words of a text; what comes later is left out, and after the end of a shorter one stand zeros.
        count: all numbers are below it: 0, 1 for a word that has no number of its own, then the most frequent words.

    Example:
        >>> Words(60)
        Words(length=60)
    """

    length: PositiveInt
    count: PositiveInt = 5000


def split(text: str) -> list[str]:
    """The words of a text, in small letters.

    Example:
        >>> split("It's a TEST, again.")
        ["it's", 'a', 'test', 'again']
    """
    return _WORD.findall(text.lower())


def most_frequent(texts: Iterable[tuple[str, int]], count: int) -> tuple[str, ...]:
    """The words with numbers of their own, the most frequent first; of equally frequent ones as they sort.

    Args:
        texts: each with how often it occurs.
        count: as of ``Words``.
    """
    found: Counter[str] = Counter()
    for text, times in texts:
        for word in split(text):
            found[word] += times
    return tuple(sorted(found, key=lambda word: (-found[word], word))[: max(0, count - UNKNOWN - 1)])


def numbers(texts: Sequence[str | None], places: Mapping[str, int], length: int) -> Array:
    """The numbers of the words of each text, int32 (texts, length); None is a text without words.

    Args:
        texts: the texts.
        places: which place each word has among those with numbers of their own.
        length: as of ``Words``.
    """
    found = np.full((len(texts), length), FILL, "int32")
    for row, text in zip(found, texts, strict=True):
        known = [places.get(word, -1) for word in split(text or "")[:length]]
        row[: len(known)] = [UNKNOWN + 1 + place if place >= 0 else UNKNOWN for place in known]
    return found
