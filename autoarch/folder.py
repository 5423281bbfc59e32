"""What is where in the folder of a search, by names that several modules use, and what it takes on the disk.

Files that one module alone writes and reads have their names there: ``study``, ``clock``, ``sessions``, ``checks``.
"""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from layerkit.errors import ArgumentError

RESULT, LEADERBOARD, REPORT = "result.json", "leaderboard.json", "report.html"
STUDY = "study.sqlite"
"""The file of what was proposed and what came of it: a folder that has it holds a search."""
BEST = "best.yaml"
"""The winner's spec."""
DELIVERED = "best"
"""A folder, the run of ``layerkit train best.yaml``, with the winner's model."""
PREPARED = "prepared"
"""A folder with data that are prepared once for all trials."""
MODEL = "model.lk"
"""In ``DELIVERED``, in the folder of a trial or finalist that was trained, and in that of the best so far."""
TAKEN = (
    RESULT, LEADERBOARD, REPORT, BEST, DELIVERED, PREPARED, "best.lock", "lock", "trials", "incumbent", "finalists", STUDY,
    "checks.json", "clock.json", "sessions.jsonl", "workers.log", "labels.json", "data.csv", "data.npz",
)  # fmt: skip
"""All names: files that lie beside ``BEST`` because it names them have others."""


def require_new(folder: Path, beside: Sequence[str] = ()) -> None:
    """Refuse a folder for a search in which there is something.

    Args:
        folder: it need not be there.
        beside: names of files that may be there.

    Raises:
        ArgumentError: it holds something else, or is a file.
    """
    if folder.is_file():
        raise ArgumentError(f"'{folder}' is a file.", expected="a new folder", got=str(folder), fix="give a new folder")
    left = f"{STUDY}.new"  # by one that was killed while it began
    if folder.is_dir() and any(f.name not in beside and not f.name.startswith(left) for f in folder.iterdir()):
        fix = f"autoarch resume {folder}" if (folder / STUDY).exists() else "give a new folder"
        raise ArgumentError(f"'{folder}' is not empty.", expected="a new folder", got=str(folder), fix=fix)


def delivered_model(folder: Path) -> Path:
    """The file of the winner's model."""
    return folder / DELIVERED / MODEL


def disk_use(folder: Path) -> dict[str, int]:
    """The bytes of each folder in a search's, and of the ``files`` beside them; the largest first."""
    found: dict[str, int] = defaultdict(int)
    for place, _, names in os.walk(folder):  # a search that is at work removes some meanwhile, folders too
        part = Path(place).relative_to(folder).parts[:1] or ("files",)
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                found[part[0]] += (Path(place) / name).stat().st_size
    return dict(sorted(((n, size) for n, size in found.items() if size), key=lambda item: -item[1]))
