"""The commands that worked on a search, in ``sessions.jsonl``: when, where, with which versions, and how they ended."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import layerkit
from layerkit.errors import LayerkitError

FILE = "sessions.jsonl"
VERSIONS = ("numpy", "llvmlite", "optuna", "ml_dtypes", "safetensors", "pyyaml")


@contextmanager
def noted(folder: Path, command: str, workers: int) -> Iterator[None]:
    """One begins, and ends: well, by an error, or interrupted. One that is killed has no end."""
    _write(folder, {
        "command": command, "began": _now(), "workers": workers, "folder": os.getcwd(), "python": platform.python_version(),
        "versions": _versions(), "platform": platform.platform(), "cores": os.cpu_count(), "memory_bytes": _memory(),
        "variables": {k: v for k, v in sorted(os.environ.items()) if k.startswith("LAYERKIT_")},
    })  # fmt: skip
    end: dict[str, Any] = {}
    try:
        yield
    except (LayerkitError, OSError, sqlite3.Error) as error:
        end = {"failed": f"{getattr(error, 'summary', error)} {getattr(error, 'got', None) or ''}".strip()}
        raise
    except KeyboardInterrupt:
        end = {"failed": "it was interrupted."}
        raise
    finally:
        with suppress(OSError):  # on a full disk this is the least that is lost
            _write(folder, {"ended": _now(), **end})


def _write(folder: Path, entry: dict[str, Any]) -> None:
    with (folder / FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _versions() -> dict[str, str]:
    found = {"layerkit": layerkit.__version__}
    for name in VERSIONS:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def sessions(folder: Path) -> list[dict[str, Any]]:
    """Those that were noted, each with its end; a line that a full disk cut off is passed over."""
    found: list[dict[str, Any]] = []
    with suppress(OSError):
        for line in (folder / FILE).read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):
                entry = json.loads(line)
                if not isinstance(entry, dict):
                    continue
                if "ended" in entry and found:
                    found[-1] |= entry
                else:
                    found.append(entry)
    return found


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows has none of it
        return None
