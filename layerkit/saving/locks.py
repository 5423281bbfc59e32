"""One process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from layerkit.errors import StateError


@contextmanager
def alone(path: Path, *, waits: bool) -> Iterator[IO[str]]:
    """Nobody else holds this file meanwhile; the system lets go of it when the last process that has it ends, however it does.

    Args:
        path: of a file, made where it is not there.
        waits: for whoever holds it now.

    Raises:
        StateError: somebody holds it, and we do not wait.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
        except ImportError:  # Windows: not guarded
            pass
        except BlockingIOError as error:
            raise StateError(
                f"another process is at work in '{path.parent}'.", fix="wait for it, or stop it"
            ) from error
        yield file
