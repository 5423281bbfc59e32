"""NPZ: a zip of NumPy arrays. Pickled objects are refused, sizes are checked before anything is allocated."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from layerkit.data.files import MAX_BYTES, broken
from layerkit.ir import Array


def read_npz(path: str | Path) -> dict[str, Array]:
    """The arrays in an NPZ file, by name.

    Raises:
        FileFormatError: no NPZ file, an array of objects, or sizes that do not fit the file.
    """
    return _made(path, _whole)


def read_npz_heads(path: str | Path) -> dict[str, Array]:
    """Arrays of the shapes and dtypes of those in an NPZ file, in whose place is one zero; no numbers are read.

    Raises:
        FileFormatError: as by ``read_npz``, but for numbers that cannot be read.
    """
    return _made(path, lambda stream, shape, is_fortran, dtype: np.broadcast_to(np.zeros((), dtype), shape))


def _whole(stream: IO[bytes], shape: tuple[int, ...], is_fortran: bool, dtype: np.dtype) -> Array:
    return np.frombuffer(bytearray(stream.read()), dtype).reshape(shape, order="F" if is_fortran else "C")


def _made(path: str | Path, make: Callable[[IO[bytes], tuple[int, ...], bool, np.dtype], Array]) -> dict[str, Array]:
    """What ``make`` makes of each array of the file, given its stream behind its header, and what that says."""
    arrays: dict[str, Array] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if m.filename.endswith(".npy")]
            if sum(m.file_size for m in members) > MAX_BYTES:
                raise broken(path, "the arrays are too large.", expected=f"at most {MAX_BYTES} bytes", got="more")
            for member in members:
                name = member.filename.removesuffix(".npy")
                with archive.open(member) as stream:
                    version = npy.read_magic(stream)
                    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
                    shape, is_fortran, dtype = read(stream, max_header_size=10_000)
                    if dtype.hasobject:
                        raise broken(path, f"array '{name}' holds Python objects.", expected="numbers", got=str(dtype))
                    wanted, there = prod(shape) * dtype.itemsize, member.file_size - stream.tell()
                    if there != wanted:
                        raise broken(path, f"array '{name}' has another size than it declares.", expected=f"{wanted} bytes", got=f"{there}")  # fmt: skip
                    arrays[name] = make(stream, shape, is_fortran, dtype)
    except (OSError, zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        if type(error).__module__.startswith("layerkit."):
            raise
        raise broken(
            path, "this is no NPZ file.", expected="a file that numpy.savez wrote", got=str(error)[:200]
        ) from error
    return arrays
