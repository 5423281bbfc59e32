"""Paths that a spec may name: relative ones. What it reads lies in its own folder, also after links are followed."""

from __future__ import annotations

from pathlib import Path


def is_relative(text: str) -> bool:
    """Whether a path leads down from where it starts, as it is written."""
    return not (Path(text).is_absolute() or text[:1] == "~" or ".." in Path(text).parts or "\\" in text or "\0" in text)


def inside(folder: Path, text: str) -> Path | None:
    """The path of ``text`` in a folder; None for anything outside it.

    Example:
        >>> inside(Path("specs"), "words.txt").as_posix(), inside(Path("specs"), "../words.txt")
        ('specs/words.txt', None)
    """
    if not is_relative(text):
        return None
    path = folder / text
    try:
        return path if path.resolve().is_relative_to(folder.resolve()) else None
    except (OSError, RuntimeError):
        return None
