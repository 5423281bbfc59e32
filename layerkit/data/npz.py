"""NPZ: a zip of NumPy arrays. Pickled objects are refused, sizes are checked before anything is allocated."""

from __future__ import annotations

import zipfile
import zlib
from math import prod
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from layerkit.data.files import MAX_BYTES, broken
from layerkit.ir import Array


def read_npz(path: str | Path) -> dict[str, Array]:
    """The arrays in an NPZ file, by name.

    Raises:
        FileFormatError: no NPZ file, an array of objects, or sizes that do not fit the file.
    """
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
                    shape, fortran, dtype = read(stream, max_header_size=10_000)
                    if dtype.hasobject:
                        raise broken(path, f"array '{name}' holds Python objects.", expected="numbers", got=str(dtype))
                    data = stream.read(member.file_size)
                wanted = prod(shape) * dtype.itemsize
                if len(data) != wanted:
                    raise broken(
                        path,
                        f"array '{name}' has another size than it declares.",
                        expected=f"{wanted} bytes",
                        got=f"{len(data)}",
                    )
                arrays[name] = np.frombuffer(bytearray(data), dtype).reshape(shape, order="F" if fortran else "C")
    except (OSError, zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        if type(error).__module__.startswith("layerkit."):
            raise
        raise broken(
            path, "this is no NPZ file.", expected="a file that numpy.savez wrote", got=str(error)[:200]
        ) from error
    return arrays
