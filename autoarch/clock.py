"""The time that a search may take: a clock that goes on where it stood when the search was interrupted.

The clock counts while a command is at work. A thread writes it down each second, so that what was used before ``kill -9``
counts too. When it runs out, ``alarm`` interrupts whatever the main thread does.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

FILE = "clock.json"
BEAT_S = 1.0
MARGIN_S = 0.5
"""Before the deadline nothing new is begun any more: what is known is written, processes end."""
AGAIN_S = 1.0
"""After so long an alarm rings again: Python drops an exception that comes while it calls a finalizer, and a call of the system
that waits does not end for a signal that comes just before it."""


class TimeIsUp(BaseException):
    """The deadline has come."""


def began() -> float:
    """When this process was started, by ``time.monotonic``; where the system does not tell, now."""
    now = time.monotonic()  # first: where the process has to wait here, a search ends early rather than late
    try:
        ticks = int(Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError, IndexError):
        age = 0.0
    return now - max(age, 0.0)


class Clock:
    """Seconds that a search may take, and those that it took so far.

    Args:
        folder: of the search.
        began: when this command began, by ``time.monotonic``; now unless given.

    Attributes:
        allowed: in all commands together; None: any number.
        granted: of them by the last command that gave any; shares of the time are shares of these.
    """

    def __init__(self, folder: Path, began: float | None = None) -> None:
        self._path = folder / FILE
        self._began = time.monotonic() if began is None else began
        self.allowed, self.granted, self._before = _read(self._path)

    def allow(self, seconds: float) -> None:
        """So many from the beginning of this command on, whatever was used before."""
        self.allowed, self.granted = self._before + seconds, seconds
        self.write()

    @property
    def spent(self) -> float:
        """Seconds so far, those before interruptions included."""
        return self._before + time.monotonic() - self._began

    @property
    def left(self) -> float:
        """Seconds until the deadline; infinite where there is none."""
        return math.inf if self.allowed is None else self.allowed - self.spent

    @property
    def is_over(self) -> bool:
        """Whether nothing more may be begun."""
        return self.left <= MARGIN_S

    def write(self) -> None:
        """Keep what is known for the next command."""
        new = self._path.with_suffix(".new")
        known = {"allowed": self.allowed, "granted": self.granted, "spent": round(self.spent, 3)}
        new.write_text(json.dumps(known), encoding="utf-8")
        new.replace(self._path)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Write it down each second meanwhile, where there is a deadline."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(BEAT_S):
                with contextlib.suppress(OSError):  # a full disk: whoever needs it will say so
                    self.write()

        if self.allowed is None:
            yield
            return
        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            with contextlib.suppress(OSError):
                self.write()

    def alarm(self, before: float = 0.0) -> contextlib.AbstractContextManager[None]:
        """Interrupt what is done here when time is up, or so many seconds ``before``; see ``alarm``."""
        return alarm(self.left - MARGIN_S - before)


@contextlib.contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Interrupt what is done here after so many seconds; never, where they are infinite.

    Where signals cannot be had, in other threads than the main one or on Windows, the caller looks at the clock.

    Raises:
        TimeIsUp: they are over.
    """
    has_alarm = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if seconds == math.inf or not has_alarm:
        yield
        return

    has_ended = False

    def ring(number: int, frame: FrameType | None) -> None:
        if not (has_ended or _is_handled()):
            raise TimeIsUp

    def report(lost: sys.UnraisableHookArgs) -> None:
        if lost.exc_type is not TimeIsUp:
            usual_report(lost)

    usual, usual_report = signal.signal(signal.SIGALRM, ring), sys.unraisablehook
    sys.unraisablehook = report
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001), AGAIN_S)
            yield
        finally:
            has_ended = True
    finally:  # also where it rings just before that
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = usual_report
        signal.signal(signal.SIGALRM, usual)


def _is_handled() -> bool:
    """Whether the alarm was heard already, and what it interrupted is cleaning up: that is not interrupted."""
    error = sys.exception()
    while error is not None and not isinstance(error, TimeIsUp):
        error = error.__context__
    return error is not None


def _read(path: Path) -> tuple[float | None, float | None, float]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None, None, 0.0
    return found["allowed"], found.get("granted", found["allowed"]), found["spent"]
