"""How much work a spec may make: counted before it is done, so that a short text that stands for very much is refused at once.

A ``Budget`` belongs to one reading of a spec, and is larger for one in which more is written. Formulas, the values put in the place of names, the entries of repeats and blocks
that are walked to count layers, all spend from it.
"""

from __future__ import annotations

from builders.faults import Faults, TooManyFaults
from layerkit.errors import Span

MAX_WORK = 100_000
"""Small steps, each about what one sign of a formula takes: all of them together take some hundredths of a second."""
WRITTEN = 5
"""What each value that is written in the file adds: to look at it once or twice is no more work than to read it."""
FORMULA = 10
"""What putting a value in the place of a ``$`` takes, besides the signs of its formula."""
ENTRY = 10
"""What looking at one entry of a list of layers takes."""
FAULT = 100
"""What telling a fault takes."""


class TooMuchWork(TooManyFaults):
    """The budget is spent, which is reported; nothing that is left is looked at."""


class Budget:
    """What is left of the work that a spec with so many values in it may make."""

    def __init__(self, faults: Faults, written: int = 0) -> None:
        self.faults = faults
        self.most = self.left = MAX_WORK + WRITTEN * written

    def spend(self, steps: int, where: Span) -> None:
        """Take so many steps, before they are done.

        Raises:
            TooMuchWork: there are not so many left.
        """
        self.left -= steps
        if self.left < 0:
            self.faults.report("the spec takes too much work to read.", where, expected=f"at most {self.most} values and signs of formulas, with all repeats and blocks",
                               got="more", fix="smaller repeats, shorter formulas and lists")  # fmt: skip
            raise TooMuchWork
