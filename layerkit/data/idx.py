"""IDX, the format of MNIST: a magic number, sizes, and big-endian numbers. Source: http://yann.lecun.com/exdb/mnist."""

from __future__ import annotations

import struct
from math import prod
from pathlib import Path

import numpy as np

from layerkit.data.files import broken, read_bytes, read_start
from layerkit.ir import Array

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | Path) -> Array:
    """The array in an IDX file, plain or ``.gz``, in native byte order.

    Raises:
        FileFormatError: no IDX file, or another number of bytes than its sizes say.
    """
    data = read_bytes(path)
    sizes, dtype = _header(path, data)
    start = 4 + 4 * len(sizes)
    _check_size(path, sizes, dtype, len(data) - start)
    return np.frombuffer(data, dtype, offset=start).reshape(sizes).astype(dtype.newbyteorder("="))


def read_idx_head(path: str | Path) -> Array:
    """An array of the shape and dtype of that in an IDX file, in whose place is one zero; no numbers are read.

    Raises:
        FileFormatError: no IDX file, or one that is not compressed has another number of bytes than its sizes say.
    """
    path = Path(path)
    sizes, dtype = _header(path, read_start(path, 4 + 4 * 255))
    if path.suffix != ".gz":
        _check_size(path, sizes, dtype, path.stat().st_size - 4 - 4 * len(sizes))
    return np.broadcast_to(np.zeros((), dtype.newbyteorder("=")), sizes)


def _header(path: str | Path, data: bytes) -> tuple[tuple[int, ...], np.dtype]:
    """Sizes and dtype, from the first bytes of a file."""
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _DTYPES:
        raise broken(
            path,
            "this is no IDX file.",
            expected="two zero bytes, then a dtype and a rank",
            got=data[:4].hex() or "nothing",
        )
    rank = data[3]
    start = 4 + 4 * rank
    if len(data) < start:
        raise broken(path, "the file ends within its header.", expected=f"{start} bytes", got=f"{len(data)} bytes")
    return struct.unpack(f">{rank}I", data[4:start]), np.dtype(_DTYPES[data[2]])


def _check_size(path: str | Path, sizes: tuple[int, ...], dtype: np.dtype, found: int) -> None:
    wanted = prod(sizes) * dtype.itemsize
    if found != wanted:
        raise broken(
            path,
            "the file has another size than it declares.",
            expected=f"{wanted} bytes for {sizes}",
            got=f"{found} bytes",
        )
