"""IDX, the format of MNIST: a magic number, sizes, and big-endian numbers. Source: http://yann.lecun.com/exdb/mnist."""

from __future__ import annotations

import struct
from math import prod
from pathlib import Path

import numpy as np

from layerkit.data.files import broken, read_bytes
from layerkit.ir import Array

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | Path) -> Array:
    """The array in an IDX file, plain or ``.gz``, in native byte order.

    Raises:
        FileFormatError: no IDX file, or another number of bytes than its sizes say.
    """
    data = read_bytes(path)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _DTYPES:
        raise broken(
            path,
            "this is no IDX file.",
            expected="two zero bytes, then a dtype and a rank",
            got=data[:4].hex() or "nothing",
        )
    rank, dtype = data[3], np.dtype(_DTYPES[data[2]])
    start = 4 + 4 * rank
    if len(data) < start:
        raise broken(path, "the file ends within its header.", expected=f"{start} bytes", got=f"{len(data)} bytes")
    sizes = struct.unpack(f">{rank}I", data[4:start])
    wanted = prod(sizes) * dtype.itemsize
    if len(data) - start != wanted:
        raise broken(
            path,
            "the file has another size than it declares.",
            expected=f"{wanted} bytes for {sizes}",
            got=f"{len(data) - start} bytes",
        )
    return np.frombuffer(data, dtype, offset=start).reshape(sizes).astype(dtype.newbyteorder("="))
