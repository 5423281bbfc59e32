"""``dataclass`` as Python has it, but made when the first object is: a program has hundreds of them and uses a few.

Python writes and compiles six methods for each class, which takes half a millisecond: a tenth of the time in which a spec is
checked went into ops and kernels that its model does not have.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls: type | None = None, **options: Any) -> Any:
        """``dataclasses.dataclass`` for classes of which only objects are looked at."""

        def wrap(cls: type) -> type:
            if "__init__" in vars(cls) or options.get("slots"):  # is not written by us, or makes another class
                _make(cls)
                return dataclasses.dataclass(**options)(cls)
            cls.__init__ = _first_init(cls, options)
            return cls

        return wrap if cls is None else wrap(cls)


def _first_init(cls: type, options: dict[str, Any]) -> Callable[..., None]:
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        with _undisturbed():
            _make(type(self))
        type(self).__init__(self, *args, **kwargs)

    init.options = options  # type: ignore[attr-defined]
    return init


def _make(cls: type) -> None:
    """Make the methods of a class, and before them those of its bases, whose fields it has too."""
    for base in reversed(cls.__mro__):
        options = getattr(base.__dict__.get("__init__"), "options", None)
        if options is not None:
            del base.__init__  # type: ignore[misc]
            dataclasses.dataclass(**options)(base)


_LOCK = RLock()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """No other thread runs meanwhile, and meets a class that is half made: for less than a millisecond."""
    with _LOCK:
        usual = sys.getswitchinterval()
        sys.setswitchinterval(10.0)
        time.sleep(0)  # whoever has asked for a turn already gets it now
        try:
            yield
        finally:
            sys.setswitchinterval(usual)
