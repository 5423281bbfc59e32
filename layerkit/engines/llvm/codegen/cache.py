"""Compiled code on disk, so that a program that was compiled once starts at once.

An entry is a file behind a header with its hash: the machine code for a module, named by a hash of its text; where a function
was compiled, the name of such code; the plan of a graph, named by a hash of the graph, which names all its code. The folder
belongs to the user alone, since what lies in it is executed: a folder that others can write to is not used. Entries are written under another name and renamed, so
readers never see half of one; whatever does not fit its hash is deleted and compiled again. Nothing here can fail a
program: where the disk cannot be written, code is compiled each time.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from layerkit.records import dataclass

FOLDER, SWITCH, BOUND = "LAYERKIT_CACHE_DIR", "LAYERKIT_CACHE", "LAYERKIT_CACHE_MB"
"""Environment variables: the folder; 0 switches the cache off; its most megabytes."""
MAGIC = b"layerkit object 1\n"
SUFFIX = ".object"
DEFAULT_MB = 256
KEPT = 0.75  # of the bound, when it was passed
BLOCK = 4096  # bytes of which a file takes a multiple: most entries only say where a function is
COUNT = "count"
"""A file as long as the folder has blocks: whoever stores something makes it longer by as many, in one call that never
overlaps another process's. So the bound is kept without looking through the folder, which takes long when it is full."""


def default_folder() -> Path:
    """Where the platform keeps what can be made again."""
    if FOLDER in os.environ:
        return Path(os.environ[FOLDER])
    home = Path.home()
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "layerkit"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home)) / "layerkit" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "layerkit"


@dataclass(frozen=True)
class ObjectCache:
    """A folder of compiled code."""

    folder: Path
    most_bytes: int = DEFAULT_MB << 20
    is_on: bool = True

    @classmethod
    def default(cls) -> ObjectCache:
        """The user's, as the environment says."""
        given = os.environ.get(BOUND, "")
        megabytes = int(given) if given.isdigit() else DEFAULT_MB
        return cls(default_folder(), megabytes << 20, os.environ.get(SWITCH, "1") != "0")

    @cached_property
    def reason(self) -> str | None:
        """Why the cache is not used; None if it is."""
        if not self.is_on:
            return f"{SWITCH}=0"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self.folder.stat()
        except OSError as error:
            return f"{self.folder}: {error.strerror}"
        if hasattr(os, "getuid"):
            if found.st_uid != os.getuid():
                return f"{self.folder} belongs to somebody else"
            if found.st_mode & 0o022:
                return f"others can write to {self.folder}"
        return None

    def get(self, key: str) -> bytes | None:
        """The code stored under a key, if it is there and whole."""
        if self.reason is not None:
            return None
        path = self._path(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        start = len(MAGIC) + 32
        if data.startswith(MAGIC) and hashlib.sha256(data[start:]).digest() == data[len(MAGIC) : start]:
            with suppress(OSError):
                os.utime(path)  # used just now
            return data[start:]
        with suppress(OSError):
            path.unlink()
        return None

    def put(self, key: str, code: bytes) -> None:
        """Store code; if that is not possible, or would drive out most of the others, nothing happens."""
        if self.reason is not None or len(code) > self.most_bytes // 2:
            return
        try:
            descriptor, name = tempfile.mkstemp(suffix=".tmp", dir=self.folder)
        except OSError:
            return
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(MAGIC + hashlib.sha256(code).digest() + code)
            Path(name).replace(self._path(key))
        except OSError:
            with suppress(OSError):
                Path(name).unlink()
            return
        self._shrink(_on_disk(len(MAGIC) + 32 + len(code)))

    def compiled(self, key: str, compile_: Callable[[], bytes]) -> bytes:
        """The code under a key, compiled if it is not there."""
        code = self.get(key)
        if code is None:
            code = compile_()
            self.put(key, code)
        return code

    def entries(self) -> list[Path]:
        """All entries, the one used longest ago first."""
        return [Path(path) for _, _, path in sorted(self._stats())]

    @property
    def size(self) -> int:
        """Bytes of all entries on disk."""
        return sum(size for _, size, _ in self._stats())

    def clear(self) -> int:
        """Remove all entries; returns the bytes freed."""
        freed = 0
        for _, size, path in self._stats():
            with suppress(OSError):
                os.unlink(path)
                freed += size
        self._recount(0)
        return freed

    def _stats(self) -> Iterator[tuple[float, int, str]]:
        """When each entry was used, its bytes on disk, its path."""
        try:
            found = list(os.scandir(self.folder))
        except OSError:
            return
        for entry in found:
            if entry.name.endswith((SUFFIX, ".tmp")):
                with suppress(OSError):
                    stat = entry.stat(follow_symlinks=False)
                    yield stat.st_mtime, _on_disk(stat.st_size), entry.path

    def _shrink(self, added: int) -> None:
        """Keep the bound; the folder is looked through only when it is full, or was never counted."""
        if (known := self._counted(added)) is not None and known <= self.most_bytes:
            return
        stats = sorted(self._stats())
        total = sum(size for _, size, _ in stats)
        wanted = self.most_bytes if total <= self.most_bytes else int(KEPT * self.most_bytes)
        for _, size, path in stats:
            if total <= wanted:
                break
            with suppress(OSError):
                os.unlink(path)
            total -= size
        self._recount(total)

    def _counted(self, added: int) -> int | None:
        """The bytes of all entries, those just ``added`` included; None where nobody has counted before.

        Entries that were written over or deleted are counted still, until the folder is looked through again. A count begins
        with a look: of a process that is ended meanwhile no count stays that knows its own entries alone.
        """
        try:
            with (self.folder / COUNT).open("ab") as file:
                before = file.tell()
                if before:
                    file.write(bytes(added // BLOCK))
        except OSError:
            return None
        return before * BLOCK + added if before else None

    def _recount(self, total: int) -> None:
        with suppress(OSError):
            os.truncate(self.folder / COUNT, total // BLOCK)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{SUFFIX}"


def _on_disk(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def key_of(*parts: str) -> str:
    """A key: the hash of everything that the code depends on."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()
