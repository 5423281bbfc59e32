"""The commands that worked on a search, one line for each in ``sessions.jsonl``: when, where, with which versions."""

from __future__ import annotations

import json
import os
import platform
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import layerkit

FILE = "sessions.jsonl"
VERSIONS = ("numpy", "llvmlite", "optuna", "ml_dtypes", "safetensors", "pyyaml")


def note(folder: Path, command: str, workers: int) -> None:
    """One begins."""
    versions = {"layerkit": layerkit.__version__}
    for name in VERSIONS:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    entry = {
        "command": command,
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "workers": workers,
        "folder": os.getcwd(),
        "python": platform.python_version(),
        "versions": versions,
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "memory_bytes": _memory(),
        "variables": {k: v for k, v in sorted(os.environ.items()) if k.startswith("LAYERKIT_")},
    }
    with (folder / FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def sessions(folder: Path) -> list[dict[str, Any]]:
    """Those that were noted; a line that a full disk cut off is passed over."""
    found = []
    with suppress(OSError):
        for line in (folder / FILE).read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict):
                    found.append(entry)
    return found


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows has none of it
        return None
