"""Files as bytes and text, with clear errors; the readers beside it call this."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from layerkit.errors import FileFormatError, Span

MAX_BYTES = 1 << 32  # of decompressed data: four gigabytes


def broken(path: str | Path, summary: str, line: int | None = None, **parts: object) -> FileFormatError:
    """The error for a broken file."""
    where = Span(str(path), line, 1) if line is not None else None
    summary = summary if where else f"'{path}': {summary}"
    return FileFormatError(summary, where=where, **parts)  # type: ignore[arg-type]


def read_bytes(path: str | Path) -> bytes:
    """The content of a file, decompressed if its name ends in ``.gz``.

    Raises:
        FileFormatError: the file is not there, or no gzip file.
    """
    path = Path(path)
    is_packed = path.suffix == ".gz"
    data = read_start(path, MAX_BYTES + 1 if is_packed else -1)
    if is_packed and len(data) > MAX_BYTES:
        raise broken(path, "the file is too large.", expected=f"at most {MAX_BYTES} bytes", got="more")
    return data


def read_start(path: str | Path, size: int) -> bytes:
    """The first bytes of a file, all for -1, decompressed if its name ends in ``.gz``.

    Raises:
        FileFormatError: the file is not there, or no gzip file.
    """
    path = Path(path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            return stream.read(size)
    except (OSError, EOFError, zlib.error) as error:
        raise broken(
            path,
            "the file cannot be read.",
            got=str(error),
            fix="check the path; a truncated download must be repeated",
        ) from error


def read_text(path: str | Path) -> str:
    """The content of a UTF-8 file, without a byte-order mark."""
    data = read_bytes(path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise broken(
            path, "the file is no UTF-8 text.", line, expected="UTF-8", got=f"byte 0x{data[error.start]:02x}"
        ) from error
