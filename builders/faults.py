"""The faults of a spec: collected while going on as far as possible, reported once, in the order of the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from builders.nodes import short
from layerkit.errors import LayerkitError, Span, SpecError, SpecErrors, UnknownArgumentError, nearest

MAX_FAULTS = 100


class TooManyFaults(Exception):
    """There are ``MAX_FAULTS``: enough to work on."""


class Faults:
    """A list of faults; one that is met again at the same place, by another use of a block, is listed once.

    ``len`` counts how often one was met: it grows with each, whether that is listed or not.
    """

    def __init__(self, file: str, found: Iterable[LayerkitError] = ()) -> None:
        self.file = file
        self._uses: Sequence[object] = ()
        self._errors: dict[tuple[Span | None, str], LayerkitError] = {}
        self._led: dict[tuple[Span | None, str], list[tuple[str, ...]]] = {}
        """The different uses that led to each fault."""
        self._lines = {(e.where.file, e.where.line) for e in found if e.where is not None}
        for error in found:
            self._errors[error.where, error.summary] = error
        self._met = len(self._errors)

    def __len__(self) -> int:
        return self._met

    def add(self, error: LayerkitError) -> None:
        """Keep an error; not one in a line that could not be read rightly to begin with.

        Raises:
            TooManyFaults: it is the last one that is kept.
        """
        self._met += 1
        if error.where is not None and (error.where.file, error.where.line) in self._lines:
            return
        key = error.where, error.summary
        uses = tuple(map(str, reversed(self._uses)))
        if not any(note == "in" for note, _ in error.notes):
            error.notes += [("in" if i == 0 else "", use) for i, use in enumerate(uses)]
        kept = self._errors.setdefault(key, error)
        led = self._led.setdefault(key, [])
        if uses and uses not in led:
            led.append(uses)
            kept.notes = [("in", f"{len(led)} uses, first {led[0][0]}") if note == "in" and len(led) > 1 else (note, text) for note, text in kept.notes]  # fmt: skip
        if len(self._errors) >= MAX_FAULTS:
            raise TooManyFaults

    @contextmanager
    def within(self, uses: Sequence[object]) -> Iterator[None]:
        """Say of each fault that is met inside which uses of blocks, and turns of repeats, led to it."""
        before, self._uses = self._uses, uses
        try:
            yield
        finally:
            self._uses = before

    def report(self, summary: str, where: Span | None, **parts: Any) -> None:
        """Keep a fault of the language."""
        self.add(SpecError(summary, where=where, **parts))

    def unknown(
        self, what: str, key: str, where: Span, known: Iterable[str], layer: str | None = None, fix: str | None = None
    ) -> None:
        """Keep the fault that ``what`` has no argument ``key``; ``fix`` is for a key that is known elsewhere."""
        known = list(known)
        match = None if fix else nearest(key, known)
        longer = [name for name in known if name.startswith(f"{key}_")]
        if len(longer) > 1 and not fix:
            fix, match = f"did you mean one of {', '.join(longer)}?", None
        error = UnknownArgumentError(
            f"{what} has no argument '{short(key)}'.", where=where, layer=layer, expected=", ".join(known) or "nothing", got=short(key),
            fix=f"did you mean '{match}'?" if match else fix or "remove it", argument=key,
        )  # fmt: skip
        self.add(error)

    @contextmanager
    def caught(self, where: Span | None = None, layer: str | None = None) -> Iterator[None]:
        """Keep an error that is raised inside, with its place, and go on after it."""
        try:
            yield
        except SpecErrors as several:
            for error in several.errors:
                self.add(error)
        except LayerkitError as error:
            error.where = error.where or where
            error.layer = layer or error.layer
            self.add(error)

    def sorted(self) -> list[LayerkitError]:
        """All of them: those of the spec's own file in its order, then those of other files."""

        def place(error: LayerkitError) -> tuple[Any, ...]:
            at = error.where
            return (False, "", 0, 0) if at is None else (at.file != self.file, at.file, at.line, at.column)

        return sorted(self._errors.values(), key=place)

    def raise_all(self) -> None:
        """Raise them together, if there are any."""
        if self._errors:
            raise SpecErrors(self.sorted())
