"""What went wrong, where, and how to mend it.

Every error raised on purpose is a ``LayerkitError`` that also is a standard type, so ``except ValueError`` works:

    LayerkitError
    ├── ShapeError             ValueError            sizes do not fit
    ├── DTypeError             TypeError             dtypes do not fit
    ├── ArgumentError          ValueError            an argument has a value that is not allowed
    │   └── ArgumentTypeError  TypeError             an argument is something else altogether
    ├── UnknownArgumentError   TypeError             an argument that nobody takes, or one that is missing
    ├── UnknownNameError       ValueError            a misspelt layer, loss, optimizer, metric, dataset
    ├── GraphError             ValueError            a graph that is not well formed, or its text
    ├── StateError             RuntimeError          a call in the wrong order (``fit`` before ``compile``)
    │   └── NotBuiltError      AttributeError        an attribute that there will be once shapes are known
    ├── DataError              ValueError            training data that cannot be meant
    ├── NonFiniteError         ArithmeticError       a loss that is nan or infinite
    ├── SpecError              ValueError            one fault of a YAML file
    ├── SpecErrors             ValueError            all faults of a YAML file, in file order
    ├── FileFormatError        ValueError            a file that is broken, or not what it says
    ├── UnsupportedOpError     NotImplementedError   an engine lacks an op
    └── MissingExtraError      ImportError           an optional package is not installed

The parts of the message are attributes; whoever catches the error on its way up may fill in what it knows (``placed``).
"""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import ClassVar

from layerkit.records import dataclass


@dataclass(frozen=True)
class Span:
    """A place in a text file; lines and columns count from 1."""

    file: str
    line: int
    column: int
    path: str = ""

    def __lt__(self, other: Span) -> bool:
        return (self.file, self.line, self.column, self.path) < (other.file, other.line, other.column, other.path)

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file  # line 0: not in a file
        return place + (f" ({self.path})" if self.path else "")


class LayerkitError(Exception):
    """Base of all errors; ``summary`` in one sentence, the rest in parts."""

    code: ClassVar[str] = "layerkit"

    def __init__(
        self,
        summary: str,
        *,
        where: Span | None = None,
        layer: str | None = None,
        expected: object = None,
        got: object = None,
        fix: str | None = None,
        argument: str | None = None,
    ) -> None:
        super().__init__(summary)
        self.summary, self.where, self.layer = summary, where, layer
        self.expected, self.got, self.fix = expected, got, fix
        self.argument = argument
        """The argument that is wrong, where it is one."""
        self.notes: list[tuple[str, str]] = []
        """What else helps, such as the layers that led there: a word and a text each."""

    def __str__(self) -> str:
        parts = {"at": self.where, "layer": self.layer, "expected": self.expected, "got": self.got, "fix": self.fix}
        lines = [*((k, v) for k, v in parts.items() if v is not None), *self.notes]
        return "\n".join([f"[{self.code}] {self.summary}", *(f"  {k:<9}{v}" for k, v in lines)])


class ShapeError(LayerkitError, ValueError):
    code = "shape-mismatch"


class DTypeError(LayerkitError, TypeError):
    code = "dtype-mismatch"


class ArgumentError(LayerkitError, ValueError):
    code = "argument-invalid"


class ArgumentTypeError(ArgumentError, TypeError):
    """Whoever catches either type gets it: Keras raises now one, now the other."""


class UnknownArgumentError(LayerkitError, TypeError):
    code = "unknown-argument"


class UnknownNameError(LayerkitError, ValueError):
    code = "unknown-name"


class GraphError(LayerkitError, ValueError):
    code = "graph-invalid"


class StateError(LayerkitError, RuntimeError, ValueError):
    """Keras raises a ValueError for some of them, a RuntimeError for others."""

    code = "wrong-order"


class NotBuiltError(StateError, AttributeError):
    """So that ``hasattr`` is False, and not an error."""


class DataError(LayerkitError, ValueError):
    code = "data-invalid"


class NonFiniteError(LayerkitError, ArithmeticError):
    """A number that must be finite is not; the attributes say where it came from, as far as that was found.

    Attributes:
        op: the op that made the first one from finite numbers.
        index: its place in the output of the op.
        rows: rows of the batch in whose numbers it stands.
        step: steps done before this one by the call that raised it; after ``fit``, steps of the optimizer.
    """

    code = "not-finite"
    op: str | None = None
    index: tuple[int, ...] | None = None
    rows: tuple[int, ...] = ()
    step: int = 0


class SpecError(LayerkitError, ValueError):
    code = "spec-invalid"


class SpecErrors(LayerkitError, ValueError):
    """All faults of one spec; ``errors`` holds them in file order."""

    code = "spec-invalid"

    def __init__(self, errors: Sequence[LayerkitError]) -> None:
        self.errors = tuple(errors)
        super().__init__(
            f"{len(self.errors)} fault{'s' * (len(self.errors) != 1)} in the spec.", where=self.errors[0].where
        )

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


class FileFormatError(LayerkitError, ValueError):
    """A file is broken; ``problems`` lists everything found wrong with it."""

    code = "file-invalid"

    def __init__(
        self,
        summary: str,
        *,
        problems: Sequence[str] = (),
        where: Span | None = None,
        layer: str | None = None,
        expected: object = None,
        got: object = None,
        fix: str | None = None,
    ) -> None:
        super().__init__(summary, where=where, layer=layer, expected=expected, got=got, fix=fix)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(f"  problem  {problem}" for problem in self.problems)])


class UnsupportedOpError(LayerkitError, NotImplementedError):
    code = "op-not-lowered"


class MissingExtraError(LayerkitError, ImportError):
    code = "extra-missing"


class LayerkitWarning(UserWarning):
    """Something is legal but probably not meant."""


def warn(message: str) -> None:
    """Warn of it at the line outside the library that led here."""
    here, level, frame = str(Path(__file__).parent), 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(here):
        level, frame = level + 1, frame.f_back
    warnings.warn(LayerkitWarning(message), stacklevel=level)


@contextmanager
def placed(layer: str | None = None, where: Span | None = None) -> Iterator[None]:
    """Fill in the layer and the place of an error raised below; the innermost one wins."""
    try:
        yield
    except LayerkitError as error:
        error.layer = error.layer or layer
        error.where = error.where or where
        raise


MANY = 300
LONG = 60
"""So many names, of so many characters at most, are compared with a misspelt one: a hostile file may have thousands."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that ``word`` most likely was meant to be, or None; ``lr`` may mean ``learning_rate``.

    >>> nearest("activtion", ["units", "activation"]), nearest("lr", ["learning_rate", "rho"])
    ('activation', 'learning_rate')
    >>> nearest("val", ["validation", "test"])
    'validation'
    """
    if len(word) > LONG:
        return None
    known = [name for name in islice(known, MANY) if len(name) <= LONG]
    by_folded: dict[str, list[str]] = {}
    for name in known:
        by_folded.setdefault(name.lower().replace("_", ""), []).append(name)
    found = difflib.get_close_matches(word.lower().replace("_", ""), by_folded, n=1, cutoff=0.6)
    initials = [name for name in known if "_" in name and word == "".join(part[:1] for part in name.split("_"))]
    begun = [name for name in known if len(word) > 2 and name.lower().startswith(word.lower())]
    spellings = by_folded[found[0]] if found else initials[:1] or begun * (len(begun) == 1)
    return max(spellings, key=lambda name: difflib.SequenceMatcher(None, word, name).ratio(), default=None)


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A fix line for a misspelt ``word``: the nearest known one, or the whole list."""
    known = sorted(known)
    match = nearest(word, known)
    return f"did you mean '{match}'?" if match else f"use one of {listed(known)}"


def listed(names: Iterable[str]) -> str:
    """Names as errors list them; of very many the first.

    >>> listed(["width", "rate"])
    'width, rate'
    """
    text = ", ".join(islice(names, MANY))
    return text if len(text) <= 2000 else f"{text[:2000]}..."
